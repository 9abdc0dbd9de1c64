//! Connections of the admin listener, from the first octet to the last.
//!
//! Whoever reaches it may be anyone on this host, so a connection has a place to wait for, a time to speak
//! and a time to end. axum's own `serve` has none of these; the loop here is hyper's, with them.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::tls::Tls;

/// Connections at one time: registrants, watchers, a scraper, a health check and some people. A newcomer takes the place
/// of the one that has been idle longest, and waits in the kernel's backlog only while all are being answered.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// Time to send a request's head, and to be idle before one. Everyone who has reason to ask sends it at once.
const HEAD_TIME_MAX: Duration = Duration::from_secs(3);
/// Time that a connection may last: bounds who reads slowly, and costs a scraper one connection more in five
/// minutes.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(300);
/// Time for what is being answered when we stop. Well within the second that stopping may take in all.
const DRAIN_TIME_MAX: Duration = Duration::from_millis(300);
/// Octets of a request's head; hyper's least buffer.
pub(super) const HEAD_OCTETS_MAX: usize = 8 * 1024;
/// Pause after the kernel gave no connection, which it does when we have no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// Serves `router` on `listener` until `stop`, then lets open requests end; over TLS, if there is a certificate.
pub(crate) async fn serve(listener: TcpListener, tls: Option<Tls>, router: Router, stop: CancellationToken) {
    let mut connections = Connections::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("admin listener: cannot accept a connection: {error}");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = connections.make_room() => {}
        }
        let progress = Progress::default();
        let (router, tls, its, stop) = (router.clone(), tls.clone(), progress.clone(), stop.clone());
        let connection = async move {
            match tls {
                None => connection(stream, router, its, stop).await,
                Some(tls) => {
                    // Its errors are its peer's, and one that takes its time has none left for a request.
                    let shaken = tokio::select! {
                        () = stop.cancelled() => return,
                        shaken = timeout(HEAD_TIME_MAX, tls.acceptor().accept(stream)) => shaken,
                    };
                    if let Ok(Ok(stream)) = shaken {
                        connection(stream, router, its, stop).await;
                    }
                }
            }
        };
        connections
            .open
            .push((progress, connections.tasks.spawn(connection)));
    }
    while connections.tasks.join_next().await.is_some() {}
}

/// All that are open.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// One for each task, and some that have ended.
    open: Vec<(Progress, AbortHandle)>,
}

impl Connections {
    /// Waits until there is a place, by hanging up on who has been idle longest if there is none.
    async fn make_room(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|(_, task)| !task.is_finished());
        if self.tasks.len() < CONNECTIONS_MAX {
            return;
        }
        let idle = self
            .open
            .iter()
            .filter_map(|(it, task)| Some((it.idle_since()?, task)));
        if let Some((_, longest)) = idle.min_by_key(|(since, _)| *since) {
            longest.abort();
        }
        self.tasks.join_next().await;
    }
}

/// Where a connection is between two requests. Clones tell of the same one.
#[derive(Clone)]
struct Progress(Arc<Mutex<Turn>>);

/// Whose turn it is.
#[derive(Clone, Copy)]
enum Turn {
    /// The client's, since then, and it has not said anything whole yet.
    First(Instant),
    /// The client's, since then.
    Client(Instant),
    /// Ours.
    Server,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Turn::First(Instant::now()))))
    }
}

impl Progress {
    fn set(&self, turn: Turn) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }

    fn get(&self) -> Turn {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when no request is being answered; `None` while one is.
    fn idle_since(&self) -> Option<Instant> {
        match self.get() {
            Turn::First(since) | Turn::Client(since) => Some(since),
            Turn::Server => None,
        }
    }
}

/// Serves one connection. Its errors are its peer's: nobody here could act on them.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    router: Router,
    progress: Progress,
    stop: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| {
        progress.set(Turn::Server);
        let reply = router.call(request);
        let progress = &progress;
        async move {
            let reply = reply.await;
            progress.set(Turn::Client(Instant::now()));
            reply
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_OCTETS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    tokio::select! {
        // First, so that a reply that can be sent is sent.
        biased;
        _ = serving.as_mut() => return,
        () = sleep(CONNECTION_TIME_MAX) => {}
        () = stop.cancelled() => {}
    }
    if matches!(progress.get(), Turn::First(_)) {
        return;
    }
    // Hangs up at once between two requests, but waits for the rest of a reply, or of a head that has begun.
    serving.as_mut().graceful_shutdown();
    let _ = timeout(DRAIN_TIME_MAX, serving).await;
}
