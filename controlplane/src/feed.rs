//! What came, changed and went, for whoever watches.
//!
//! The pipeline tells, and never waits: what nobody has read is kept for a while and then forgotten. A watcher reads
//! on from the number it has seen last, and is told when that is too long ago.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::registry::Delta;
use crate::service::Service;

/// Events that are kept for watchers who were away or are slow. Older ones are forgotten, and a watcher that has not
/// read them is told to look at everything anew.
pub(crate) const EVENTS_KEPT_MAX: usize = 4096;
/// Events that one reading gives.
const EVENTS_READ_MAX: usize = 256;

/// What came, changed and went. Clones are the same feed.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Tells one run of the daemon from another: numbers begin anew with each.
    run: u64,
    events: Mutex<VecDeque<Event>>,
    latest: watch::Sender<u64>,
}

/// Something that happened to a service.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// One more than the last one's.
    pub(crate) number: u64,
    /// What happened.
    pub(crate) what: What,
    /// The service as it is, or as it was before it went.
    pub(crate) service: Arc<Service>,
}

/// What happened to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It is there now.
    Came,
    /// It looks different now.
    Changed,
    /// It is no longer there.
    Went,
}

/// A place in the feed, as it is given out and given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    run: u64,
    number: u64,
}

impl Feed {
    /// A feed of this run.
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(Arc::new(Shared {
            run: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            events: Mutex::default(),
            latest: watch::Sender::new(0),
        }))
    }

    /// Tells of one change, unless nobody would care: a heartbeat alone is none.
    pub(crate) fn tell(&self, delta: &Delta) {
        let (what, service) = match delta {
            Delta::Came(service) => (What::Came, service),
            Delta::Changed { old, new } if is_heartbeat(old, new) => return,
            Delta::Changed { new, .. } => (What::Changed, new),
            Delta::Went(service) => (What::Went, service),
        };
        let mut events = self.events();
        let number = *self.0.latest.borrow() + 1;
        if events.len() >= EVENTS_KEPT_MAX {
            events.pop_front();
        }
        let service = service.clone();
        events.push_back(Event {
            number,
            what,
            service,
        });
        self.0.latest.send_replace(number);
    }

    /// The place behind the last event.
    pub(crate) fn here(&self) -> Place {
        let number = *self.0.latest.borrow();
        Place {
            run: self.0.run,
            number,
        }
    }

    /// The place of `event`.
    pub(crate) fn place_of(&self, event: &Event) -> Place {
        let number = event.number;
        Place {
            run: self.0.run,
            number,
        }
    }

    /// Waits for events behind `place` and gives some of them; nothing if they are forgotten, or of another run.
    pub(crate) async fn after(&self, place: Place) -> Option<Vec<Event>> {
        if place.run != self.0.run || place.number > self.here().number {
            return None;
        }
        let mut latest = self.0.latest.subscribe();
        // The sender lives as long as we do.
        let _ = latest.wait_for(|latest| *latest > place.number).await;
        let events = self.events();
        let first = events.front().map_or(u64::MAX, |event| event.number);
        if first > place.number + 1 {
            return None;
        }
        let skipped = usize::try_from(place.number + 1 - first).unwrap_or(usize::MAX);
        Some(
            events
                .iter()
                .skip(skipped)
                .take(EVENTS_READ_MAX)
                .cloned()
                .collect(),
        )
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `new` is `old` and merely ends later.
fn is_heartbeat(old: &Service, new: &Service) -> bool {
    let until = new.until;
    let same = Service { until, ..old.clone() };
    old.until.is_some() && until.is_some() && same == *new
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.run, self.number)
    }
}

impl std::str::FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (run, number) = text.split_once('-').ok_or(())?;
        Ok(Self {
            run: run.parse().map_err(|_| ())?,
            number: number.parse().map_err(|_| ())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use dns::Moment;

    use super::*;
    use crate::fixture::service;

    fn came(instance: &str) -> Delta {
        Delta::Came(Arc::new(service("e", instance)))
    }

    async fn names(feed: &Feed, place: Place) -> Option<Vec<String>> {
        let events = feed.after(place).await?;
        Some(
            events
                .iter()
                .map(|event| event.service.instance.to_string())
                .collect(),
        )
    }

    #[tokio::test]
    async fn a_watcher_reads_on_from_where_it_was() {
        let feed = Feed::new();
        let start = feed.here();
        feed.tell(&came("a"));
        let middle = feed.here();
        feed.tell(&came("b"));
        assert_eq!(names(&feed, start).await.unwrap(), ["a", "b"]);
        assert_eq!(names(&feed, middle).await.unwrap(), ["b"]);
        assert_eq!(middle.to_string().parse(), Ok(middle));
    }

    #[tokio::test]
    async fn what_is_forgotten_or_of_another_run_is_said_to_be() {
        let feed = Feed::new();
        let start = feed.here();
        for _ in 0..=EVENTS_KEPT_MAX {
            feed.tell(&came("a"));
        }
        assert_eq!(names(&feed, start).await, None);
        let other = Place {
            run: start.run + 1,
            ..start
        };
        assert_eq!(names(&feed, other).await, None);
        let later = Place {
            number: u64::MAX,
            ..start
        };
        assert_eq!(names(&feed, later).await, None);
    }

    #[tokio::test]
    async fn a_heartbeat_is_no_event_and_another_lease_is() {
        let feed = Feed::new();
        let until = |milliseconds| Some(Moment::of_milliseconds(milliseconds));
        let leased = Service {
            until: until(30_000),
            ..service("e", "a")
        };
        let beaten = Service {
            until: until(60_000),
            ..leased.clone()
        };
        let longer = Service {
            ttl_seconds: leased.ttl_seconds + 1,
            ..beaten.clone()
        };
        let permanent = Service {
            until: None,
            ..leased.clone()
        };
        let events = |old: &Service, new: &Service| {
            let start = feed.here().number;
            feed.tell(&Delta::Changed {
                old: old.clone().into(),
                new: new.clone().into(),
            });
            feed.here().number - start
        };
        assert_eq!(events(&leased, &beaten), 0);
        assert_eq!(events(&leased, &longer), 1);
        assert_eq!([events(&leased, &permanent), events(&permanent, &leased)], [1, 1]);
    }
}
