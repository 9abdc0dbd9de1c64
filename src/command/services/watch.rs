//! `skydock services watch`: each change, as it happens.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::table;
use crate::command::client::{Ask, Method, Target, Trouble};
use crate::failure::{self, Failure};
use crate::output::{compact, deliver};

/// Silence after which a connection counts as lost: the daemon says something every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Pause before the first try to come back; each other one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Octets of one event: far more than any service takes.
const EVENT_OCTETS_MAX: usize = 1 << 20;

/// Prints events until it is interrupted, or nobody reads them any more. A connection that is lost is made again, and goes on where it was.
///
/// # Errors
///
/// [`Trouble`]: the first connection does not come about, or the daemon says no, now or later.
pub(super) async fn run(target: &Target, is_json: bool) -> Result<(), Trouble> {
    let mut events = Events::default();
    // The first time whoever started us looks on, and may have given a wrong address.
    let mut reply = target.open(events.ask()).await?;
    loop {
        while let Ok(Some(Ok(frame))) = timeout(SILENCE_MAX, reply.body_mut().frame()).await {
            if let Ok(data) = frame.into_data()
                && !events.take(&data, is_json)?
            {
                return Ok(());
            }
        }
        events.waiting.clear();
        let mut pause = PAUSE_FIRST;
        reply = loop {
            sleep(pause).await;
            match target.open(events.ask()).await {
                Ok(reply) => break reply,
                Err(Trouble::Refused(status, sentence))
                    if status.is_client_error() && status.as_u16() != 429 =>
                {
                    return Err(Trouble::Refused(status, sentence));
                }
                Err(Trouble::Failure(failure @ Failure::Usage(_))) => return Err(failure.into()),
                // Once for each loss: the daemon ends connections now and then, which nobody needs to know.
                Err(trouble) if pause == PAUSE_FIRST => {
                    failure::tell(&format!("{trouble}; trying again until it is there"));
                }
                Err(_) => {}
            }
            pause = (2 * pause).min(PAUSE_MAX);
        };
    }
}

/// What has come, and how far it has been printed.
#[derive(Default)]
struct Events {
    /// The id of the last one.
    last: Option<String>,
    /// The beginning of one that is not whole.
    waiting: Vec<u8>,
}

impl Events {
    fn ask(&self) -> Ask {
        Ask {
            headers: self
                .last
                .iter()
                .map(|last| ("Last-Event-ID", last.clone()))
                .collect(),
            ..Ask::of(Method::GET, "/v1/events")
        }
    }

    /// Prints those that `data` makes whole; gives whether anybody reads on.
    fn take(&mut self, data: &[u8], is_json: bool) -> Result<bool, Failure> {
        self.waiting.extend_from_slice(data);
        while let Some(end) = self.waiting.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.waiting.drain(..end + 2).collect();
            if let Some(text) = self.told(&String::from_utf8_lossy(&event), is_json)
                && !deliver(&text)?
            {
                return Ok(false);
            }
        }
        if self.waiting.len() > EVENT_OCTETS_MAX {
            return Err(Failure::Runtime(format!(
                "an event has more than {EVENT_OCTETS_MAX} octets; is it skydock that --url names?"
            )));
        }
        Ok(true)
    }

    /// One event as it is printed, if it is for people; keeps its id.
    fn told(&mut self, event: &str, is_json: bool) -> Option<String> {
        let field = |name: &str| {
            event
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        if let Some(id) = field("id:") {
            self.last = Some(id.to_owned());
        }
        let (what, data) = (field("event:")?, field("data:")?);
        let service: Value = serde_json::from_str(data).unwrap_or_default();
        Some(match is_json {
            true => compact(&json!({ "event": what, "id": self.last, "service": service })) + "\n",
            false => table::event(what, &service),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_when_it_is_whole_and_is_where_to_go_on() {
        let mut events = Events::default();
        events
            .take(b"retry: 1000\n\n:\n\nid: 7-1\nevent: add", false)
            .unwrap();
        assert_eq!((events.last.as_deref(), events.ask().headers.len()), (None, 0));
        events.take(b"ed\ndata: {}\n\nid: 7-2\n", false).unwrap();
        assert_eq!(events.last.as_deref(), Some("7-1"));
        assert_eq!(events.ask().headers, [("Last-Event-ID", "7-1".to_owned())]);
        let told = events
            .told("id: 7-3\nevent: removed\ndata: {\"id\":\"w\"}", true)
            .unwrap();
        assert_eq!(
            told,
            "{\"event\":\"removed\",\"id\":\"7-3\",\"service\":{\"id\":\"w\"}}\n"
        );
    }

    #[test]
    fn an_event_without_end_is_none() {
        let mut events = Events::default();
        assert!(events.take(&vec![b'x'; EVENT_OCTETS_MAX + 1], false).is_err());
    }
}
