//! Which containers must be looked at, and what the pipeline has yet to be told: a state machine without I/O.
//!
//! ```text
//!  event ────────────────┬─▶ planned ─next_inspect─▶ (the engine) ─inspected─▶ held ─next_change─▶ pipeline
//!  list: what differs ───┘      ▲                                       │
//!                               └─ an event came meanwhile, or it failed ◀┘
//! ```
//!
//! The engine's truth is taken by level, not by edge. An event only says that a container must be looked at, so
//! doubled, late and swapped events end in the same state, and a flood of them costs one entry per container:
//!
//! - `one-inspect`: a container has at most one inspect under way, and all together at most [`INSPECTS_MAX`].
//! - `fresh`: an inspect during which an event arrived for its container is void, and is done again.
//! - `once-queued`: a container stands at most once among the planned inspects, and once in the outbox of changes;
//!   changes that the pipeline has not taken yet are merged, so a slow pipeline costs no memory either.
//!
//! A container that is made, or joins a network, usually starts next: unless it is known to run, it is looked at
//! [`CONFIRM_AFTER`] later, and a start asks for the one inspect that counts.
//!
//! A container that dies is withdrawn at once. It is looked at again [`CONFIRM_AFTER`] later, so that an event that
//! came late, after the container had started anew, does not lose it. One that is sent its stop signal is withdrawn
//! before it ends, and put back if it still runs when its time to stop is over.
//!
//! After a (re)connection everything that is listed is inspected, and the pipeline is told of it all in one
//! [`Change::Reset`]. Until then nothing is told, and what it was told before keeps serving.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::events::{Effect, Event};
use super::listed::{Fingerprint, Listed};
use super::stop::Stop;
use crate::service::{Address, Health, Services, Source};

mod claims;
mod outbox;
mod plan;
mod sync;

pub(crate) use sync::ListTicket;
use sync::{SYNC_STALL, Sync};

/// Inspects under way at once. One takes the engine about a millisecond of CPU, but waits for the container's lock
/// while that starts or stops, up to seconds: enough that some may wait. The next ones stay queued.
pub(crate) const INSPECTS_MAX: usize = 16;

/// Containers known at once; a record of each is in memory. Beyond any host's: what is above is not looked at, until
/// others have gone and the periodic list shows it.
pub(crate) const CONTAINERS_MAX: usize = 1 << 17;

/// Inspects of one container that may fail in a row and be repeated. After that the record it has stays, and the
/// next event or the periodic list brings it back.
pub(crate) const RETRIES_MAX: u32 = 4;

/// Wait before the first repeat of a failed inspect; each further one waits four times as long, so 8.5 s in all.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How long after its death, or its making, a container is looked at once more. Long enough that what usually follows
/// (start, destroy) has come and makes it needless.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);

/// What an inspect came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inspection {
    /// It runs.
    Running(Running),
    /// It is stopped, paused, waits to be restarted, or does not exist.
    Absent,
    /// The engine did not tell.
    Failed,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    /// What it is published as; none if it is not.
    pub(crate) services: Option<Services>,
    /// What the list would show of it.
    pub(crate) seen: Fingerprint,
    /// What its health check says.
    pub(crate) health: Health,
    /// How it is stopped.
    pub(crate) stop: Stop,
    /// Addresses that it alone has on the engine's networks.
    pub(crate) claims: Vec<Address>,
}

/// What becomes of an inspect's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is what we hold now.
    Held,
    /// The container runs, but was told to stop, and is held back until it has or has not.
    Stopping,
    /// It is void or failed, and another inspect follows.
    Again,
    /// It failed too often. Until the next event or list, what we hold for it stays.
    GivenUp,
}

/// See the module's text.
pub(crate) struct Tracker {
    source: Source,
    entries: HashMap<Arc<str>, Entry>,
    /// Counts events, so that a list knows which of them came after it had been asked for.
    clock: u64,
    /// Entries whose work is [`Work::Planned`], under the time it is planned for.
    planned: BTreeSet<(Instant, Arc<str>)>,
    /// How many entries' work is [`Work::UnderWay`].
    under_way: usize,
    /// Entries that are `unsent`, in the order in which they became so, withdrawn ones first. Empty until the first
    /// complete state was sent.
    outbox: VecDeque<Arc<str>>,
    sync: Sync,
    /// Who was last seen to have an address; may be out of date, which is why it is looked up here.
    holders: HashMap<IpAddr, Arc<str>>,
    /// How many entries hold a service.
    services: usize,
    /// How many times a container was passed over because of [`CONTAINERS_MAX`].
    overflowed: u64,
}

/// One container.
#[derive(Default)]
struct Entry {
    /// What the pipeline shall hold for it; the last inspect that counted.
    services: Option<Services>,
    /// Whether the pipeline may hold anything for it.
    announced: bool,
    /// What that inspect saw, if it runs, published or not.
    seen: Option<Fingerprint>,
    /// What its health check said then.
    health: Health,
    /// Whether the pipeline must still be told; the entry is then in the outbox.
    unsent: bool,
    /// [`Tracker::clock`] at its last event.
    changed_at: u64,
    work: Work,
    /// How it is stopped, as the last inspect said.
    stop: Stop,
    /// It was told to stop: until this time it may still run, and is withdrawn all the same.
    stopping_until: Option<Instant>,
    /// Inspects that failed in a row.
    failures: u32,
    /// Another was seen to have an address of its, and it is looked at again for that.
    is_doubted: bool,
    /// Whether the first complete state waits for it.
    awaited: bool,
}

#[derive(Default)]
enum Work {
    #[default]
    Idle,
    /// In `planned` under this time.
    Planned(Instant),
    /// Being inspected; with a time, the result is void and another inspect follows then.
    UnderWay { again: Option<Instant> },
}

impl Tracker {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            entries: HashMap::new(),
            clock: 0,
            planned: BTreeSet::new(),
            under_way: 0,
            outbox: VecDeque::new(),
            holders: HashMap::new(),
            sync: Sync::Unlisted,
            services: 0,
            overflowed: 0,
        }
    }

    /// Forgets all work: the connection it went over is gone. What the pipeline was told is kept.
    pub(crate) fn disconnected(&mut self) {
        self.planned.clear();
        self.outbox.clear();
        self.under_way = 0;
        self.sync = Sync::Unlisted;
        for entry in self.entries.values_mut() {
            entry.work = Work::Idle;
            entry.unsent = false;
            entry.awaited = false;
            entry.failures = 0;
            // An engine that ends gives up its stops, or has seen them through and starts some of these anew.
            entry.stopping_until = None;
        }
    }

    /// How many containers have a service now.
    pub(crate) fn services(&self) -> usize {
        self.services
    }

    /// Whether the pipeline holds the complete state of this connection.
    pub(crate) fn is_synced(&self) -> bool {
        matches!(self.sync, Sync::Sent)
    }

    /// How often a container was passed over because [`CONTAINERS_MAX`] were known.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// How many events have come.
    pub(crate) fn clock(&self) -> u64 {
        self.clock
    }

    /// Takes in an event, and tells whether the container is withdrawn by it.
    pub(crate) fn event(&mut self, event: &Event, now: Instant) -> bool {
        self.clock += 1;
        let clock = self.clock;
        let effect = match event.effect {
            Effect::Signal(signal) => match self.entries.get_mut(&event.container) {
                Some(entry) if entry.stop.is_begun_by(signal) => {
                    let until = now + entry.stop.grace;
                    // The kill that ends the wait for a stop does not make it longer.
                    entry.stopping_until = entry.stopping_until.or(Some(until));
                    event.effect
                }
                _ => return false,
            },
            Effect::Health(health) => match self.entries.get(&event.container) {
                Some(entry) if entry.is_known_to_be(health) => return false,
                _ => Effect::Inspect,
            },
            effect => effect,
        };
        let withdraw = !matches!(effect, Effect::Inspect | Effect::Hint | Effect::Health(_));
        // Nothing is known of it, so there is nothing to withdraw, and no entry to make for that.
        if withdraw && !self.entries.contains_key(&event.container) {
            return true;
        }
        let Some(entry) = self.entry(&event.container) else {
            return false;
        };
        entry.changed_at = clock;
        entry.failures = 0;
        if matches!(effect, Effect::Withdraw | Effect::Forget) {
            entry.stopping_until = None;
        }
        let stopping_until = entry.stopping_until;
        // One that is being looked at may be found to run, and then it counts at once.
        let may_run = entry.seen.is_some() || matches!(entry.work, Work::UnderWay { .. });
        if withdraw {
            self.hold(&event.container, None, None);
            self.unplan(&event.container, now + CONFIRM_AFTER);
            self.release(&event.container);
        }
        match effect {
            Effect::Inspect | Effect::Health(_) => self.plan(&event.container, now),
            Effect::Hint => self.plan(&event.container, if may_run { now } else { now + CONFIRM_AFTER }),
            Effect::Signal(_) => self.plan(&event.container, stopping_until.unwrap_or(now)),
            Effect::Withdraw => self.plan(&event.container, now + CONFIRM_AFTER),
            Effect::Forget => {}
        }
        self.tidy(&event.container);
        withdraw
    }

    /// Takes in what the inspect of `id` came to. It counts only if no event for `id` came since it began.
    pub(crate) fn inspected(&mut self, id: &Arc<str>, outcome: Inspection, now: Instant) -> Verdict {
        let mut verdict = Verdict::Again;
        let Some(entry) = self.entries.get_mut(id) else {
            return verdict;
        };
        let Work::UnderWay { again } = std::mem::take(&mut entry.work) else {
            return verdict;
        };
        self.under_way -= 1;
        let is_void = again.is_some();
        match (again, outcome) {
            (Some(at), _) => self.plan(id, at),
            (None, Inspection::Failed) if entry.failures < RETRIES_MAX => {
                let wait = RETRY_AFTER * 4_u32.pow(entry.failures);
                entry.failures += 1;
                self.plan(id, now + wait);
            }
            (None, Inspection::Failed) => verdict = Verdict::GivenUp,
            (None, Inspection::Running(running)) => {
                let Running {
                    services,
                    seen,
                    health,
                    stop,
                    claims,
                } = running;
                entry.failures = 0;
                entry.health = health;
                entry.stop = stop;
                match entry.stopping_until.filter(|until| now < *until) {
                    Some(until) => {
                        verdict = Verdict::Stopping;
                        self.hold(id, None, None);
                        self.plan(id, until);
                    }
                    None => {
                        entry.stopping_until = None;
                        verdict = Verdict::Held;
                        self.hold(id, services, Some(seen));
                        self.claim(id, &claims, now);
                    }
                }
            }
            (None, Inspection::Absent) => {
                entry.failures = 0;
                verdict = Verdict::Held;
                self.hold(id, None, None);
            }
        }
        // While all are asked about anew, a void answer is one from before that.
        let is_from_before = is_void && matches!(self.sync, Sync::Inspecting { renewing: true, .. });
        if !is_from_before {
            if let Sync::Inspecting { idle_since, .. } = &mut self.sync {
                *idle_since = None;
            }
            self.release(id);
        }
        self.tidy(id);
        verdict
    }

    /// Its entry, made if there is none and room is left.
    fn entry(&mut self, id: &Arc<str>) -> Option<&mut Entry> {
        if self.entries.len() >= CONTAINERS_MAX && !self.entries.contains_key(id) {
            self.overflowed += 1;
            return None;
        }
        Some(self.entries.entry(id.clone()).or_default())
    }

    /// Drops the entry if nothing is left to remember about it.
    fn tidy(&mut self, id: &Arc<str>) {
        if self.entries.get(id).is_some_and(Entry::is_spent) {
            self.entries.remove(id);
        }
    }
}

impl Entry {
    /// Whether it runs, its check says that, and nothing has happened since that was seen. One that was given up is
    /// not known.
    fn is_known_to_be(&self, health: Health) -> bool {
        let is_seen = self.seen.is_some() && self.failures == 0;
        is_seen && self.health == health && matches!(self.work, Work::Idle)
    }

    fn is_spent(&self) -> bool {
        let is_gone = self.services.is_none() && self.seen.is_none() && !self.announced;
        is_gone && !self.unsent && matches!(self.work, Work::Idle)
    }
}

#[cfg(test)]
mod bench;
#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
