//! `/v1/events`: every change, as it happens (server-sent events).
//!
//! A watcher that comes back says with `Last-Event-ID` (or `?after=`) what it has seen, and is told what came after.
//! Where that is forgotten, or of another run of the daemon, the first event is `reset`: it has to list everything
//! anew.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::time::timeout;

use super::json;
use super::shown::Shown;
use crate::api::Shared;
use crate::api::counts::Watching;
use crate::api::problem::Problem;
use crate::feed::{Event, Feed, Place, What};
use crate::store::Now;

/// Silence after which a comment is sent, so that whoever forwards connections keeps this one.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// When a watcher that lost its connection comes back, in milliseconds.
const RETRY_MS: u32 = 1000;

/// The parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// As `Last-Event-ID`, for who cannot send headers.
    after: Option<String>,
}

pub(super) async fn watch(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(asked) = asked?;
    // One that is no text is none of ours, and not none.
    let last = headers.get("Last-Event-ID");
    let last = last.map(|last| last.to_str().unwrap_or("?"));
    let place = match last.or(asked.after.as_deref()) {
        None | Some("") => Some(shared.feed.here()),
        // One that is none of ours is one that is forgotten.
        Some(text) => text.parse().ok(),
    };
    // Where it is before the first event, so that one that is cut off before it comes back to there.
    let here = place.map_or_else(String::new, |place| format!("id: {place}\n"));
    let head = format!("{here}retry: {RETRY_MS}\n\n");
    let told = stream::unfold(
        Watcher {
            place,
            head: Some(head),
            _counted: shared.counts.watching(),
            shared,
        },
        Watcher::next,
    );
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(told)).into_response())
}

/// One that listens.
struct Watcher {
    shared: Arc<Shared>,
    /// What it has seen; nothing if that is not known any more.
    place: Option<Place>,
    head: Option<String>,
    _counted: Watching,
}

impl Watcher {
    /// What to send next; nothing at the end of the daemon.
    async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        if let Some(head) = self.head.take() {
            return Some((Ok(head.into()), self));
        }
        let feed = self.shared.feed.clone();
        let stop = self.shared.stop.clone();
        let events = match self.place {
            Some(place) => tokio::select! {
                () = stop.cancelled() => return None,
                events = timeout(SILENCE_MAX, feed.after(place)) => match events {
                    Ok(events) => events,
                    Err(_) => return Some((Ok(":\n\n".into()), self)),
                },
            },
            None => None,
        };
        let text = match events {
            Some(events) => {
                self.place = events.last().map(|last| feed.place_of(last)).or(self.place);
                events.iter().map(|event| self.told(&feed, event)).collect()
            }
            None => {
                let here = feed.here();
                self.place = Some(here);
                format!("id: {here}\nevent: reset\ndata: {{}}\n\n")
            }
        };
        Some((Ok(text.into()), self))
    }

    fn told(&self, feed: &Feed, event: &Event) -> String {
        let now = Now::read();
        let what = match event.what {
            What::Came => "added",
            What::Changed => "changed",
            What::Went => "removed",
        };
        // What is registered may be another one by now; then its own event follows.
        let entry = self.shared.store.get(&event.service.id.id, now);
        let entry = entry.filter(|_| event.service.id.source == crate::service::Source::Rest);
        let data = json(&Shown::of(&event.service, entry.as_ref(), now));
        format!("id: {}\nevent: {what}\ndata: {data}\n\n", feed.place_of(event))
    }
}
