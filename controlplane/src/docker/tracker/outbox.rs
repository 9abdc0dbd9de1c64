//! What the pipeline has yet to be told.

use std::time::{Duration, Instant};

use arcstr::ArcStr;

use super::{Fingerprint, INSPECTS_MAX, Sync, Tracker};
use crate::service::{Change, ServiceId, Services};

/// How long a container that starts beside many others may wait for these, so that a burst is a few publications. Its
/// inspect had to wait for theirs as well.
const GATHER_MAX: Duration = Duration::from_millis(25);

/// Whether who comes waits in the outbox while many containers start at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Gather {
    #[default]
    Not,
    Until(Instant),
    /// They have waited long enough.
    Over,
}

impl Tracker {
    /// Whether [`Tracker::next_change`] may give one now.
    pub(crate) fn has_change(&self, now: Instant) -> bool {
        match self.sync {
            Sync::Unlisted => false,
            Sync::Known => true,
            // Until the first complete state it is empty.
            Sync::Inspecting { .. } | Sync::Sent => !self.outbox.is_empty() && !self.is_gathering(now),
        }
    }

    /// To be called once all inspects have begun that may. While more are due, many containers start at once: what comes
    /// of them is told together.
    pub(crate) fn gather(&mut self, now: Instant) {
        let is_burst = !self.outbox.is_empty() && self.is_behind(now);
        self.gather = match self.gather {
            _ if !is_burst => Gather::Not,
            Gather::Not => Gather::Until(now + GATHER_MAX),
            Gather::Until(until) if until <= now => Gather::Over,
            gather => gather,
        };
    }

    /// Whether who comes waits for others; who leaves does not.
    fn is_gathering(&self, now: Instant) -> bool {
        let comes = |id: &ArcStr| self.entries.get(id).is_some_and(|it| it.services.is_some());
        matches!(self.gather, Gather::Until(until) if now < until)
            && self.is_behind(now)
            && self.outbox.front().is_some_and(comes)
    }

    /// Whether more is to be inspected than may be at once.
    fn is_behind(&self, now: Instant) -> bool {
        self.under_way >= INSPECTS_MAX && self.planned.first().is_some_and(|(at, _)| *at <= now)
    }

    /// What the pipeline must be told next. It counts as told.
    pub(crate) fn next_change(&mut self) -> Option<Change> {
        match self.sync {
            Sync::Unlisted => None,
            Sync::Known => Some(self.reset()),
            Sync::Inspecting { .. } | Sync::Sent => self.next_in_outbox(),
        }
    }

    /// Whether the pipeline was told of a complete state of this connection.
    pub(super) fn is_told(&self) -> bool {
        matches!(self.sync, Sync::Sent | Sync::Inspecting { renewing: true, .. })
    }

    /// Takes everything but withdrawals out of the outbox: a complete state will tell of the rest.
    pub(super) fn keep_withdrawals(&mut self) {
        let entries = &mut self.entries;
        self.outbox.retain(|id| {
            let entry = entries.get_mut(id).filter(|entry| entry.services.is_some());
            entry.map(|entry| entry.unsent = false).is_none()
        });
    }

    fn reset(&mut self) -> Change {
        self.sync = Sync::Sent;
        self.outbox.clear();
        let mut services = Vec::with_capacity(self.services);
        for entry in self.entries.values_mut() {
            entry.announced = entry.services.is_some();
            entry.unsent = false;
            services.extend(entry.services.iter().flat_map(|it| it.as_slice().iter().cloned()));
        }
        self.entries.retain(|_, entry| !entry.is_spent());
        Change::Reset {
            source: self.source.clone(),
            services,
        }
    }

    fn next_in_outbox(&mut self) -> Option<Change> {
        while let Some(id) = self.outbox.pop_front() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            entry.unsent = false;
            // Started again before it was told of: the complete state that is to come has it.
            if entry.services.is_some() && !matches!(self.sync, Sync::Sent) {
                continue;
            }
            let was_announced = std::mem::replace(&mut entry.announced, entry.services.is_some());
            let change = match &entry.services {
                Some(services) => Some(Change::Put(services.clone())),
                None => was_announced.then(|| {
                    Change::Remove(ServiceId {
                        source: self.source.clone(),
                        id: id.clone(),
                        part: 0,
                    })
                }),
            };
            self.tidy(&id);
            if change.is_some() {
                return change;
            }
        }
        None
    }

    /// Sets what the pipeline shall hold for it, and what an inspect saw of it if it runs.
    pub(super) fn hold(&mut self, id: &ArcStr, services: Option<Services>, seen: Option<Fingerprint>) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        entry.seen = seen;
        if entry.services == services {
            return;
        }
        self.services += usize::from(services.is_some());
        self.services -= usize::from(entry.services.is_some());
        entry.services = services;
        let is_told_of = match self.sync {
            Sync::Sent => true,
            Sync::Inspecting { renewing, .. } => renewing && entry.services.is_none(),
            Sync::Unlisted | Sync::Known => false,
        };
        if is_told_of && !entry.unsent {
            entry.unsent = true;
            // Who leaves goes first: the engine may have given its address to another already.
            if entry.services.is_none() {
                self.outbox.push_front(id.clone());
            } else {
                self.outbox.push_back(id.clone());
            }
        }
    }
}
