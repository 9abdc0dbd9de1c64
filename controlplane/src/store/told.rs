//! What answers tell of the ends of registrations, and which heartbeats change it.
//!
//! Each that does compiles the names of its service anew, and a hundred thousand services beat several thousand times a
//! second. So what is told may be a little late, or early, where there are many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use arcstr::ArcStr;

use super::book::Entry;

/// Heartbeats in a second that change what answers tell of the seconds that are left.
pub(super) const BEATS_TOLD_PER_SECOND_MAX: usize = 500;

/// What the pipeline was told.
#[derive(Debug)]
pub(super) struct Told {
    /// When each ends, of those that do.
    ends: HashMap<ArcStr, Instant>,
    /// Heartbeats that may still be told of, in the second that began then.
    beats_left: (usize, Instant),
}

impl Told {
    /// Nothing yet.
    pub(super) fn nothing(now: Instant) -> Self {
        Self {
            ends: HashMap::new(),
            beats_left: (BEATS_TOLD_PER_SECOND_MAX, now),
        }
    }

    /// Whether answers need not change though `entry` replaces `before`: it is a heartbeat, and does not outlive what they
    /// tell, or there were many and they tell of more than half of its time.
    pub(super) fn is_told(&mut self, before: &Entry, entry: &Entry, now: Instant) -> bool {
        if before.registration.draft != entry.registration.draft {
            return false;
        }
        let Some(deadline) = entry.deadline else {
            return true;
        };
        let Some(told) = self.ends.get(&entry.registration.id).copied() else {
            return false;
        };
        let half = deadline.saturating_duration_since(now) / 2;
        told >= deadline || (told >= now + half && !self.take_beat(now))
    }

    /// Until when the pipeline is to be told that `entry` lives; none if it does not end. It counts as told.
    pub(super) fn tell(&mut self, entry: &Entry) -> Option<Instant> {
        let id = &entry.registration.id;
        let end = entry.deadline.map(|deadline| deadline + slack(self.ends.len()));
        match end {
            Some(end) => self.ends.insert(id.clone(), end),
            None => self.ends.remove(id),
        };
        end
    }

    /// It is gone.
    pub(super) fn forget(&mut self, id: &str) {
        self.ends.remove(id);
    }

    /// Whether one more heartbeat may be told of now.
    fn take_beat(&mut self, now: Instant) -> bool {
        let (left, since) = &mut self.beats_left;
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            (*left, *since) = (BEATS_TOLD_PER_SECOND_MAX, now);
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }
}

/// How much later than they do the records of `count` registrations end, so that no more than [`BEATS_TOLD_PER_SECOND_MAX`]
/// heartbeats a second change answers: those in between find what is told late enough.
fn slack(count: usize) -> Duration {
    Duration::from_secs(u64::try_from(count / BEATS_TOLD_PER_SECOND_MAX).unwrap_or(u64::MAX))
}
