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
/// Octets of their services ([`Service::octets`]): twice what as many usual ones take, so that a few large ones, changed
/// over and over, hold no more. The oldest are forgotten first, and the newest is always kept.
const EVENTS_OCTETS_MAX: usize = 8 << 20;
/// Events that one reading gives.
const EVENTS_READ_MAX: usize = 256;
/// Octets of their services, since a slow watcher holds what it was given; one event is always given. The others come
/// with the next reading.
const EVENTS_READ_OCTETS_MAX: usize = 128 << 10;

/// What came, changed and went. Clones are the same feed.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Tells one run of the daemon from another: numbers begin anew with each.
    run: u64,
    kept: Mutex<Kept>,
    latest: watch::Sender<u64>,
}

/// The last events, oldest first.
#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Event>,
    /// What their services take.
    octets: usize,
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
            kept: Mutex::default(),
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
        let mut kept = self.kept();
        let number = *self.0.latest.borrow() + 1;
        let service = service.clone();
        kept.push(Event {
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
        let kept = self.kept();
        let events = &kept.events;
        let first = events.front().map_or(u64::MAX, |event| event.number);
        if first > place.number + 1 {
            return None;
        }
        let skipped = usize::try_from(place.number + 1 - first).unwrap_or(usize::MAX);
        let mut room = EVENTS_READ_OCTETS_MAX;
        let fits = |event: &&Event| {
            let had = room;
            room = room.saturating_sub(event.service.octets());
            room > 0 || had == EVENTS_READ_OCTETS_MAX
        };
        let wanted = events.iter().skip(skipped).take(EVENTS_READ_MAX);
        Some(wanted.take_while(fits).cloned().collect())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Keeps `event`, and forgets the oldest ones that there is no room for any more.
    fn push(&mut self, event: Event) {
        self.octets += event.service.octets();
        self.events.push_back(event);
        while (self.events.len() > EVENTS_KEPT_MAX || self.octets > EVENTS_OCTETS_MAX)
            && self.events.len() > 1
            && let Some(oldest) = self.events.pop_front()
        {
            self.octets -= oldest.service.octets();
        }
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
    use crate::service::Wishes;

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

    /// One with as much text as a registration may have.
    fn large() -> Delta {
        let wishes = Wishes {
            texts: vec!["x".repeat(1024).as_str().into(); 16],
            ..Wishes::default()
        };
        Delta::Came(Arc::new(Service {
            wishes: Some(Box::new(wishes)),
            ..service("e", "large")
        }))
    }

    #[tokio::test]
    async fn large_services_are_forgotten_sooner_and_a_watcher_from_before_is_told() {
        let feed = Feed::new();
        let start = feed.here();
        let mut told = 0;
        while feed.kept().events.front().is_none_or(|first| first.number == 1) {
            feed.tell(&large());
            told += 1;
            assert!(feed.kept().octets <= EVENTS_OCTETS_MAX && told < EVENTS_KEPT_MAX);
        }
        assert_eq!(names(&feed, start).await, None, "it is forgotten");
        let sum: usize = feed.kept().events.iter().map(|it| it.service.octets()).sum();
        assert_eq!(sum, feed.kept().octets);
        // Small ones behind them have the room of those that go.
        for _ in 0..EVENTS_KEPT_MAX {
            feed.tell(&came("a"));
        }
        assert_eq!(feed.kept().events.len(), EVENTS_KEPT_MAX);
    }

    #[tokio::test]
    async fn one_reading_holds_few_large_ones_and_the_next_goes_on() {
        let feed = Feed::new();
        let mut place = feed.here();
        for _ in 0..40 {
            feed.tell(&large());
        }
        let mut count = 0;
        while count < 40 {
            let events = feed.after(place).await.unwrap();
            assert!((1..=8).contains(&events.len()), "{}", events.len());
            count += events.len();
            place = feed.place_of(events.last().unwrap());
        }
        assert_eq!(place, feed.here());
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
