//! Lists, and the complete state that the pipeline is told of after one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use arcstr::ArcStr;
use foldhash::fast::RandomState;

use super::{CONTAINERS_MAX, Entry, LATER_AFTER, Listed, Running, Tracker, Work};

/// How long after the last inspect came back the first complete state is sent without those that are still under way.
/// One container that hangs must not hold up the names of all others.
pub(super) const SYNC_STALL: Duration = Duration::from_millis(500);

/// The moment a list was asked for, as [`Tracker`] counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListTicket(u64);

impl ListTicket {
    #[cfg(test)]
    pub(crate) fn at(clock: u64) -> Self {
        Self(clock)
    }

    /// Whether what was touched at `clock` is older than the list.
    pub(crate) fn is_after(self, clock: u64) -> bool {
        clock <= self.0
    }
}

/// Where we are with the first complete state after a connection.
pub(super) enum Sync {
    /// No connection, or no list yet.
    Unlisted,
    /// Inspecting what was listed. The set is counted in `awaited`; `idle_since` is since when we wait for the engine with
    /// nothing to do ourselves: none until the next tick, for what we do with a list of a hundred thousand takes longer
    /// than an engine may stall. Where the pipeline was told of a complete state of this connection before,
    /// `renewing`, it goes on being told who leaves.
    Inspecting {
        awaited: usize,
        idle_since: Option<Instant>,
        renewing: bool,
    },
    /// All known, the pipeline has yet to be told.
    Known,
    /// The pipeline was told; changes flow.
    Sent,
}

impl Tracker {
    /// To be called when a list is asked for; its answer comes to [`Tracker::listed`].
    pub(crate) fn list_began(&self) -> ListTicket {
        ListTicket(self.clock)
    }

    /// Whether no list has come on this connection yet: it is the next one that tells what containers are.
    pub(crate) fn is_unlisted(&self) -> bool {
        matches!(self.sync, Sync::Unlisted)
    }

    /// Takes in the list of all containers. What is not listed, or has ended, is withdrawn. A container that had an event
    /// since the list was asked for is left as the event made it.
    ///
    /// After a connection, what the list tells of a container is held, and all others are inspected; what was not held
    /// loses its [`Listed::told`]. Later those are inspected that differ from what was last seen of them, for an engine may
    /// list as running what it has just told the end of.
    pub(crate) fn listed(&mut self, asked: ListTicket, containers: &mut [Listed], now: Instant) {
        let syncing = self.is_unlisted();
        // At the first list of all nothing can have gone.
        let may_have_gone = !self.entries.is_empty();
        self.entries.reserve(
            containers
                .len()
                .min(CONTAINERS_MAX)
                .saturating_sub(self.entries.len()),
        );
        let mut awaited = 0;
        for listed in containers.iter_mut().filter(|it| it.is_alive()) {
            let told = listed.told.take();
            let Some(entry) = self.entry(&listed.id) else {
                continue;
            };
            let is_current = entry.changed_at <= asked.0;
            let doubtful = entry.failures > 0 || listed.differs_from(entry.seen);
            match told.filter(|_| syncing && is_current) {
                Some(told) => {
                    self.told(&listed.id, &told.running, now);
                    listed.told = Some(told);
                }
                None if is_current && (syncing || doubtful) => {
                    entry.failures = 0;
                    self.plan(&listed.id, now);
                }
                None => {}
            }
            if syncing
                && let Some(entry) = self.entries.get_mut(&listed.id)
                && entry.work.is_due(now)
                && !entry.awaited
            {
                entry.awaited = true;
                awaited += 1;
            }
            self.tidy(&listed.id);
        }
        if may_have_gone {
            self.withdraw_unlisted(asked, containers, now);
        }
        if syncing {
            self.later_from = now + LATER_AFTER;
            self.sync = Sync::Inspecting {
                awaited,
                idle_since: None,
                renewing: false,
            };
            self.settle();
        }
    }

    /// Withdraws all that have had no event since the list was asked for, and are not on it.
    fn withdraw_unlisted(&mut self, asked: ListTicket, containers: &[Listed], now: Instant) {
        let present = containers.iter().filter(|it| it.is_alive());
        let present: HashSet<&str, RandomState> = present.map(|it| &*it.id).collect();
        let gone = |(id, entry): &(&ArcStr, &Entry)| !present.contains(&***id) && entry.changed_at <= asked.0;
        for id in self
            .entries
            .iter()
            .filter(gone)
            .map(|(id, _)| id.clone())
            .collect::<Vec<_>>()
        {
            self.hold(&id, None, None);
            self.unplan(&id, now);
            self.tidy(&id);
        }
    }

    /// Holds what the list tells of a container. It is inspected in its own time, unless that is what an inspect showed.
    fn told(&mut self, id: &ArcStr, running: &Running, now: Instant) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        let is_known = entry.seen.is_some() && entry.stop.is_some() && entry.services == running.services;
        // What was inspected before it was lost from sight keeps what the list does not show until it is inspected again.
        let is_kept = entry
            .services
            .as_ref()
            .zip(running.services.as_ref())
            .is_some_and(|(held, told)| held.is_but_for_network_aliases(told));
        if !is_kept {
            self.services += usize::from(running.services.is_some());
            self.services -= usize::from(entry.services.is_some());
            entry.services = running.services.clone();
        }
        // The pipeline is told of all at once.
        entry.seen = Some(running.seen);
        entry.health = running.health;
        if !is_known && matches!(entry.work, Work::Idle) {
            entry.work = Work::Later;
            self.later.push_back(id.clone());
        }
        self.claim(id, &running.claims, now);
    }

    /// Has every container that runs inspected anew, because what they are called is decided otherwise from now on. The
    /// pipeline is told of all in one [`Change::Reset`], and until then only of those that leave.
    pub(crate) fn renew(&mut self, now: Instant) {
        // Without a list yet, all are to be inspected anyway.
        if self.is_unlisted() {
            return;
        }
        let renewing = self.is_told();
        let mut awaited = 0;
        let mut again = Vec::new();
        for (id, entry) in &mut self.entries {
            entry.awaited = entry.seen.is_some();
            awaited += usize::from(entry.awaited);
            // One that is being inspected for the first time, too, was asked about already or is just being.
            if entry.awaited || matches!(entry.work, Work::UnderWay { .. }) {
                again.push(id.clone());
            }
        }
        for id in &again {
            self.plan(id, now);
        }
        self.keep_withdrawals();
        self.sync = Sync::Inspecting {
            awaited,
            idle_since: None,
            renewing,
        };
        self.settle();
    }

    /// Notes that all is done that could be by `now`. Gives up waiting for the rest of the first complete state once
    /// that has stalled.
    pub(crate) fn tick(&mut self, now: Instant) {
        if let Sync::Inspecting { idle_since, .. } = &mut self.sync
            && now >= *idle_since.get_or_insert(now) + SYNC_STALL
        {
            self.sync = Sync::Known;
        }
    }

    /// The first complete state waits no longer for this one.
    pub(super) fn release(&mut self, id: &ArcStr) {
        let was_awaited = self
            .entries
            .get_mut(id)
            .is_some_and(|entry| std::mem::take(&mut entry.awaited));
        if was_awaited && let Sync::Inspecting { awaited, .. } = &mut self.sync {
            *awaited -= 1;
            self.settle();
        }
    }

    fn settle(&mut self) {
        if matches!(self.sync, Sync::Inspecting { awaited: 0, .. }) {
            self.sync = Sync::Known;
        }
    }
}
