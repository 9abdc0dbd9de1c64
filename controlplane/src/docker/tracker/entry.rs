//! What is remembered of one container. There may be a hundred thousand, so what few of them have is behind a pointer.

use std::time::Instant;

use super::{Fingerprint, Leaving, Stop};
use crate::service::{Health, Services};

/// One container.
#[derive(Default)]
pub(super) struct Entry {
    /// What the pipeline shall hold for it: the last inspect that counted, or the list before there was one.
    pub(super) services: Option<Services>,
    /// What that saw, if it runs, published or not.
    pub(super) seen: Option<Fingerprint>,
    /// [`Tracker::clock`](super::Tracker) at its last event.
    pub(super) changed_at: u64,
    pub(super) work: Work,
    /// How it is stopped, as an inspect said; none if there was none yet.
    pub(super) stop: Option<Stop>,
    /// It was sent a signal, and has not ended since.
    pub(super) leaving: Option<Box<Leaving>>,
    /// What its health check said when it was seen.
    pub(super) health: Health,
    /// Inspects that failed in a row.
    pub(super) failures: u8,
    /// Whether the pipeline may hold anything for it.
    pub(super) announced: bool,
    /// Whether the pipeline must still be told; the entry is then in the outbox.
    pub(super) unsent: bool,
    /// Another was seen to have an address of its, and it is looked at again for that.
    pub(super) is_doubted: bool,
    /// Whether the first complete state waits for it.
    pub(super) awaited: bool,
}

/// When it is inspected.
#[derive(Default)]
pub(super) enum Work {
    #[default]
    Idle,
    /// In `later`, when there is nothing else to do: the list told what it is.
    Later,
    /// In `planned` under this time.
    Planned(Instant),
    /// Being inspected; with a time, the result is void and another inspect follows then.
    UnderWay { again: Option<Instant> },
}

impl Entry {
    /// Whether it runs, its check says that, and nothing has happened since that was seen. One that was given up is
    /// not known.
    pub(super) fn is_known_to_be(&self, health: Health) -> bool {
        let is_seen = self.seen.is_some() && self.failures == 0;
        is_seen && self.health == health && matches!(self.work, Work::Idle)
    }

    pub(super) fn is_spent(&self) -> bool {
        let is_gone = self.services.is_none() && self.seen.is_none() && !self.announced;
        is_gone && !self.unsent && matches!(self.work, Work::Idle)
    }

    /// Until when it is withdrawn although it may still run, for it was told to stop.
    pub(super) fn stopping_until(&self) -> Option<Instant> {
        match self.leaving.as_deref()? {
            Leaving::Until(until) => Some(*until),
            Leaving::Signalled(..) => None,
        }
    }
}

impl Work {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self {
            Work::Idle | Work::Later => false,
            Work::Planned(at) => *at <= now,
            Work::UnderWay { .. } => true,
        }
    }
}

const _: () = assert!(size_of::<Entry>() <= 88, "there is one for each container");
