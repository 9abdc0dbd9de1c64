//! Telling registrants that a service went.
//!
//! ```text
//!  DELETE http://<reply>:<port>/skydns/callbacks/<callback id>      body: the service, as SkyDNS wrote it
//! ```
//!
//! Whoever may register a callback has us send a request to a host of their choice. So it is this one request and no
//! other: plain HTTP, no redirect is followed, nothing of the reply is kept or shown, and addresses that lead to no
//! host of the registrant's (link-local ones, where clouds keep their secrets, among them) are refused.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arcstr::ArcStr;
use axum::body::Body;
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::store::{Call, Callback, Called, Calls};

/// Callbacks under way at one time. More wait.
const CALLS_MAX: usize = 16;
/// Callbacks under way to one host and port: one that never answers keeps nobody else waiting. More wait aside.
const CALLS_TO_ONE_MAX: usize = 4;
/// Times that one is tried.
const TRIES_MAX: u32 = 4;
/// Time for one try.
const TRY_TIME_MAX: Duration = Duration::from_secs(5);
/// Pause after the first try; the others are twice as long each.
const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// Makes the calls of `queue` until `stop`. What is under way then is made again after the next start.
pub(crate) async fn run(mut queue: Calls, stop: CancellationToken) {
    let mut calls = JoinSet::new();
    let mut turns = Turns::default();
    loop {
        while calls.len() < CALLS_MAX
            && let Some(call) = turns.next()
        {
            calls.spawn(async move {
                let called = call_until_heard(&call).await;
                (call, called)
            });
        }
        tokio::select! {
            () = stop.cancelled() => return,
            Some(ended) = calls.join_next() => {
                // What panicked has ended the process.
                if let Ok((call, called)) = ended {
                    turns.ended(&target(&call));
                    queue.over(&call, called);
                }
            }
            call = queue.next(), if calls.len() < CALLS_MAX => match call {
                Some(call) => turns.waiting.push_back(call),
                None => return,
            },
        }
    }
}

/// A host and port that are called.
type Target = (ArcStr, u16);

fn target(call: &Call) -> Target {
    (call.callback.reply.clone(), call.callback.port)
}

/// Whose turn it is.
#[derive(Default)]
struct Turns {
    /// No more than are owed, which the store bounds.
    waiting: VecDeque<Arc<Call>>,
    /// How many are under way to each that has any.
    under_way: HashMap<Target, usize>,
}

impl Turns {
    /// The first whose turn it is; it counts as under way until [`Turns::ended`].
    fn next(&mut self) -> Option<Arc<Call>> {
        let may = |call: &Arc<Call>| {
            self.under_way
                .get(&target(call))
                .is_none_or(|count| *count < CALLS_TO_ONE_MAX)
        };
        let place = self.waiting.iter().position(may)?;
        let call = self.waiting.remove(place)?;
        *self.under_way.entry(target(&call)).or_default() += 1;
        Some(call)
    }

    /// One to `target` is over.
    fn ended(&mut self, target: &Target) {
        if let Some(count) = self.under_way.get_mut(target) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(target);
            }
        }
    }
}

async fn call_until_heard(call: &Call) -> Called {
    let Call { callback, body, .. } = call;
    let mut pause = PAUSE_FIRST;
    for number in 1..=TRIES_MAX {
        let reason = match timeout(TRY_TIME_MAX, try_once(callback, body)).await {
            Ok(Ok(())) => return Called::Heard,
            Ok(Err(reason)) => reason,
            Err(_) => format!("no answer within {TRY_TIME_MAX:?}"),
        };
        let Callback { id, reply, port } = callback;
        if number == TRIES_MAX {
            warn!("callback {id:?} to {reply}:{port} is given up after {number} tries: {reason}");
            break;
        }
        debug!("callback {id:?} to {reply}:{port} failed: {reason}");
        sleep(pause).await;
        pause *= 2;
    }
    Called::Unheard
}

/// One try. A reply is a reply, whatever its status: who gives one has heard us. But one that says "not now" is not.
async fn try_once(callback: &Callback, body: &str) -> Result<(), String> {
    let Callback { id, reply, port } = callback;
    let stream = connect(reply, *port).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let host = match reply.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, *port).to_string(),
        Err(_) => format!("{reply}:{port}"),
    };
    let request = Request::builder()
        .method(Method::DELETE)
        .uri(format!("/skydns/callbacks/{id}"))
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .body(Body::from(body.to_owned()))
        .map_err(|error| error.to_string())?;
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = answer.as_mut() => answer,
        // It has ended, with the reply handed over or not.
        _ = connection => answer.await,
    };
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status().is_server_error() {
        return Err(format!("it answered {}", answer.status()));
    }
    Ok(())
}

async fn connect(reply: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = match reply.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let found = lookup_host((reply, port)).await;
            found.map_err(|error| error.to_string())?.collect()
        }
    };
    let mut last = "it has no address that callbacks may go to".to_owned();
    for address in addresses {
        if !may_be_called(address.ip()) {
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

/// Whether a callback may go to `address`.
pub(super) fn may_be_called(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            !(address.is_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast())
        }
        IpAddr::V6(address) => {
            !(address.is_unicast_link_local() || address.is_unspecified() || address.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::call;

    #[test]
    fn whoever_never_answers_keeps_nobody_else_waiting() {
        let mut turns = Turns::default();
        for key in 0..1000 {
            turns.waiting.push_back(call(key, "silent").into());
        }
        let begun: Vec<_> = std::iter::from_fn(|| turns.next()).collect();
        assert_eq!(begun.len(), CALLS_TO_ONE_MAX);
        turns.waiting.push_back(call(2000, "well").into());
        assert_eq!(
            turns.next().map(|call| call.callback.id.clone()),
            Some("2000".into())
        );
        assert!(turns.next().is_none());
        turns.ended(&target(&begun[0]));
        assert_eq!(
            turns.next().map(|call| call.callback.id.clone()),
            Some("4".into())
        );
        turns.ended(&("well".into(), 80));
        assert_eq!(turns.under_way.len(), 1);
    }
}
