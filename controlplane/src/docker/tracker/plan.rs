//! When which container is inspected.

use std::sync::Arc;
use std::time::Instant;

use super::{INSPECTS_MAX, SYNC_STALL, Sync, Tracker, Work};

impl Tracker {
    /// The container to inspect now, unless as many as may are under way or none is due. Its result must be given to
    /// [`Tracker::inspected`].
    pub(crate) fn next_inspect(&mut self, now: Instant) -> Option<Arc<str>> {
        if self.under_way >= INSPECTS_MAX || self.planned.first().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, id) = self.planned.pop_first()?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.work = Work::UnderWay { again: None };
        }
        self.under_way += 1;
        Some(id)
    }

    /// When something is to be done next that neither an event nor a result brings: [`Tracker::next_inspect`] for what
    /// is planned, [`Tracker::tick`] for the rest.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let stalled_at = match self.sync {
            Sync::Inspecting { idle_since, .. } => idle_since.map(|since| since + SYNC_STALL),
            Sync::Unlisted | Sync::Known | Sync::Sent => None,
        };
        // With all slots taken the next result comes first, however long something has been due.
        let due_at = self
            .planned
            .first()
            .map(|(at, _)| *at)
            .filter(|_| self.under_way < INSPECTS_MAX);
        due_at.into_iter().chain(stalled_at).min()
    }

    /// Plans an inspect at `at`, or earlier if it was; the one under way is void then.
    pub(super) fn plan(&mut self, id: &Arc<str>, at: Instant) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        match &mut entry.work {
            Work::UnderWay { again } => *again = Some(at),
            Work::Planned(before) if *before <= at => {}
            Work::Planned(_) | Work::Idle => {
                if let Work::Planned(before) = std::mem::replace(&mut entry.work, Work::Planned(at)) {
                    self.planned.remove(&(before, id.clone()));
                }
                self.planned.insert((at, id.clone()));
            }
        }
    }

    /// Takes back a planned inspect. The one under way is void, and done again at `at` to be sure.
    pub(super) fn unplan(&mut self, id: &Arc<str>, at: Instant) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        match &mut entry.work {
            Work::UnderWay { again } => *again = Some(at),
            Work::Planned(before) => {
                self.planned.remove(&(*before, id.clone()));
                entry.work = Work::Idle;
            }
            Work::Idle => {}
        }
    }
}

impl Work {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self {
            Work::Idle => false,
            Work::Planned(at) => *at <= now,
            Work::UnderWay { .. } => true,
        }
    }
}
