//! When which container is inspected.

use std::collections::VecDeque;
use std::time::Instant;

use arcstr::ArcStr;

use super::{Gather, INSPECTS_MAX, LATER_MAX, SYNC_STALL, Sync, Tracker, Work};

impl Tracker {
    /// The container to inspect now, unless as many as may are under way or none is due. Its result must be given to
    /// [`Tracker::inspected`].
    pub(crate) fn next_inspect(&mut self, now: Instant) -> Option<ArcStr> {
        if self.under_way >= INSPECTS_MAX {
            return None;
        }
        let id = match self.planned.first() {
            Some((at, _)) if *at <= now => self.planned.pop_first()?.1,
            _ => self.next_later(now)?,
        };
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
        let later_at = self.may_look_later().then_some(self.later_from);
        let gathered_at = match self.gather {
            Gather::Until(until) => Some(until),
            Gather::Not | Gather::Over => None,
        };
        [due_at, stalled_at, later_at, gathered_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next of those that the list told of.
    fn next_later(&mut self, now: Instant) -> Option<ArcStr> {
        if !self.may_look_later() || now < self.later_from {
            return None;
        }
        let entries = &self.entries;
        let is_later = |id: &ArcStr| entries.get(id).is_some_and(|it| matches!(it.work, Work::Later));
        let next = std::iter::from_fn(|| self.later.pop_front()).find(is_later);
        if self.later.is_empty() {
            // After the first list of a large host it has room for all containers.
            self.later = VecDeque::new();
        }
        next
    }

    fn may_look_later(&self) -> bool {
        let is_told = matches!(self.sync, Sync::Sent);
        is_told && !self.later.is_empty() && self.under_way < LATER_MAX
    }

    /// Plans an inspect at `at`, or earlier if it was; the one under way is void then.
    pub(super) fn plan(&mut self, id: &ArcStr, at: Instant) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        match &mut entry.work {
            Work::UnderWay { again } => *again = Some(at),
            Work::Planned(before) if *before <= at => {}
            Work::Planned(_) | Work::Later | Work::Idle => {
                if let Work::Planned(before) = std::mem::replace(&mut entry.work, Work::Planned(at)) {
                    self.planned.remove(&(before, id.clone()));
                }
                self.planned.insert((at, id.clone()));
            }
        }
    }

    /// Takes back a planned inspect. The one under way is void, and done again at `at` to be sure.
    pub(super) fn unplan(&mut self, id: &ArcStr, at: Instant) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        match &mut entry.work {
            Work::UnderWay { again } => *again = Some(at),
            Work::Planned(before) => {
                self.planned.remove(&(*before, id.clone()));
                entry.work = Work::Idle;
            }
            Work::Later => entry.work = Work::Idle,
            Work::Idle => {}
        }
    }
}
