//! Which containers must be looked at, and what the pipeline has yet to be told: a state machine without I/O.
//!
//! ```text
//!  event ────────────────┬─▶ planned ─next_inspect─▶ (the engine) ─inspected─▶ held ─next_change─▶ pipeline
//!  list: what differs ───┘      ▲                                       │        ▲
//!    └─ the first: what it tells is held at once, and inspected later   │        │
//!                  └────────────────────────────────────────────────────┼────────┘
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
//! After a (re)connection what the list tells of a container is held as if an inspect had, and inspected in its own
//! time, behind all else. Containers of which it tells too little are inspected at once, and the pipeline is told of all
//! in one [`Change::Reset`]. Until then nothing is told, and what it was told before keeps serving. A list may be older
//! than an event that came before it: whoever had one since the connection began is not taken from the list.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use arcstr::ArcStr;
use foldhash::fast::RandomState;

use super::events::{Effect, Event};
use super::listed::{Fingerprint, Listed};
use super::stop::Stop;
use crate::service::{Address, Health, Services, Source};

mod claims;
mod entry;
mod leaving;
mod outbox;
mod plan;
mod sync;

use claims::Holders;
use entry::{Entry, Work};
use leaving::{Leaving, Signal};
use outbox::Gather;
pub(crate) use sync::ListTicket;
use sync::{SYNC_STALL, Sync};

/// Inspects under way at once. One takes the engine about a millisecond of CPU, but waits for the container's lock
/// while that starts or stops, up to seconds: enough that some may wait. The next ones stay queued.
pub(crate) const INSPECTS_MAX: usize = 16;

/// How many of them may be of containers that the list told of. Nobody waits for these, and the engine has other work.
const LATER_MAX: usize = 4;

/// How long after the list the first of them begins: by then the names that it told are served.
const LATER_AFTER: Duration = Duration::from_secs(1);

/// Containers known at once; a record of each is in memory. Beyond any host's: what is above is not looked at, until
/// others have gone and the periodic list shows it.
pub(crate) const CONTAINERS_MAX: usize = 1 << 17;

/// Inspects of one container that may fail in a row and be repeated. After that the record it has stays, and the
/// next event or the periodic list brings it back.
pub(crate) const RETRIES_MAX: u8 = 4;

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
    /// How it is stopped; none where only the list was seen.
    pub(crate) stop: Option<Stop>,
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
    entries: HashMap<ArcStr, Entry, RandomState>,
    /// Counts events, so that a list knows which of them came after it had been asked for.
    clock: u64,
    /// Entries whose work is [`Work::Planned`], under the time it is planned for.
    planned: BTreeSet<(Instant, ArcStr)>,
    /// Entries whose work is [`Work::Later`], and others that were so once. Each at most once for a connection.
    later: VecDeque<ArcStr>,
    /// From when on these are inspected.
    later_from: Instant,
    /// How many entries' work is [`Work::UnderWay`].
    under_way: usize,
    /// Entries that are `unsent`, in the order in which they became so, withdrawn ones first. Empty until the first
    /// complete state was sent.
    outbox: VecDeque<ArcStr>,
    gather: Gather,
    sync: Sync,
    /// Who was last seen to have an address; may be out of date, which is why it is looked up here.
    holders: Holders,
    /// How many entries hold a service.
    services: usize,
    /// How many times a container was passed over because of [`CONTAINERS_MAX`].
    overflowed: u64,
}

/// What an event comes to for a container.
enum Todo {
    /// Inspect it then.
    Look(Instant),
    /// It is withdrawn; look then whether that is right.
    Withdraw(Option<Instant>),
}

impl Tracker {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            entries: HashMap::default(),
            clock: 0,
            planned: BTreeSet::new(),
            later: VecDeque::new(),
            later_from: Instant::now(),
            under_way: 0,
            outbox: VecDeque::new(),
            gather: Gather::Not,
            holders: Holders::default(),
            sync: Sync::Unlisted,
            services: 0,
            overflowed: 0,
        }
    }

    /// Forgets all work: the connection it went over is gone. What the pipeline was told is kept.
    pub(crate) fn disconnected(&mut self) {
        self.planned.clear();
        self.later.clear();
        self.outbox.clear();
        self.under_way = 0;
        self.sync = Sync::Unlisted;
        for entry in self.entries.values_mut() {
            entry.work = Work::Idle;
            entry.unsent = false;
            entry.awaited = false;
            entry.failures = 0;
            // An engine that ends gives up its stops, or has seen them through and starts some of these anew.
            entry.leaving = None;
        }
    }

    /// A container of which something is remembered, and what it is held as.
    pub(crate) fn known(&self, id: &str) -> Option<(&ArcStr, Option<&Services>)> {
        let (id, entry) = self.entries.get_key_value(id)?;
        Some((id, entry.services.as_ref()))
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
        let (id, clock) = (&event.container, self.clock);
        let is_unlisted = self.is_unlisted();
        if event.effect.is_of_an_end() && !is_unlisted && !self.entries.contains_key(id) {
            // Nothing is known of it, so there is nothing to withdraw, and no entry to make for that. But a list that is
            // under way may show it as it was.
            return !matches!(event.effect, Effect::Signal(_));
        }
        let Some(entry) = self.entry(id) else {
            return false;
        };
        let todo = match event.effect {
            Effect::Health(health) if entry.is_known_to_be(health) => return false,
            Effect::Inspect | Effect::Health(_) => Todo::Look(now),
            Effect::Hint => {
                // One that is being looked at may be found to run, and then it counts at once.
                let may_run = entry.seen.is_some() || matches!(entry.work, Work::UnderWay { .. });
                Todo::Look(if may_run { now } else { now + CONFIRM_AFTER })
            }
            Effect::Signal(signal) => match entry.signalled(signal, now) {
                Signal::Nothing => return false,
                Signal::Ask => Todo::Look(now),
                Signal::Withdraw(until) => Todo::Withdraw(Some(until)),
            },
            Effect::Withdraw => {
                entry.leaving = None;
                Todo::Withdraw(Some(now + CONFIRM_AFTER))
            }
            Effect::Forget => {
                entry.leaving = None;
                Todo::Withdraw(is_unlisted.then_some(now + CONFIRM_AFTER))
            }
        };
        entry.changed_at = clock;
        entry.failures = 0;
        let is_withdrawn = match todo {
            Todo::Look(at) => {
                self.plan(id, at);
                false
            }
            Todo::Withdraw(look_at) => {
                self.hold(id, None, None);
                self.unplan(id, now + CONFIRM_AFTER);
                self.release(id);
                if let Some(at) = look_at {
                    self.plan(id, at);
                }
                true
            }
        };
        self.tidy(id);
        is_withdrawn
    }

    /// Takes in what the inspect of `id` came to. It counts only if no event for `id` came since it began.
    pub(crate) fn inspected(&mut self, id: &ArcStr, outcome: Inspection, now: Instant) -> Verdict {
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
                let wait = RETRY_AFTER * 4_u32.pow(entry.failures.into());
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
                match entry.stops(stop, now) {
                    Some(until) => {
                        verdict = Verdict::Stopping;
                        self.hold(id, None, None);
                        self.plan(id, until);
                    }
                    None => {
                        verdict = Verdict::Held;
                        self.hold(id, services, Some(seen));
                        self.claim(id, &claims, now);
                    }
                }
            }
            (None, Inspection::Absent) => {
                entry.failures = 0;
                entry.leaving = None;
                verdict = Verdict::Held;
                self.hold(id, None, None);
            }
        }
        // While all are asked about anew, a void answer is one from before that; and one that is inspected again at once is
        // known after that.
        let is_asked_again = is_void
            && (matches!(self.sync, Sync::Inspecting { renewing: true, .. })
                || self.entries.get(id).is_some_and(|entry| entry.work.is_due(now)));
        if !is_asked_again {
            if let Sync::Inspecting { idle_since, .. } = &mut self.sync {
                *idle_since = None;
            }
            self.release(id);
        }
        self.tidy(id);
        verdict
    }

    /// Its entry, made if there is none and room is left.
    fn entry(&mut self, id: &ArcStr) -> Option<&mut Entry> {
        if self.entries.len() >= CONTAINERS_MAX && !self.entries.contains_key(id) {
            self.overflowed += 1;
            return None;
        }
        Some(self.entries.entry(id.clone()).or_default())
    }

    /// Drops the entry if nothing is left to remember about it. Until the first list has come, that it had an event is.
    fn tidy(&mut self, id: &ArcStr) {
        if !self.is_unlisted() && self.entries.get(id).is_some_and(Entry::is_spent) {
            self.entries.remove(id);
        }
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
