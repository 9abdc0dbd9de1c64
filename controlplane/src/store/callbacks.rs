//! Who wants to be told that a service went.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::warn;

use super::book::Entry;
use super::clock::Now;
use super::counts::{Called, Counts};
use super::legacy::Shown;
use super::registration::Callback;

/// Callbacks that wait. One more is dropped, with a line in the log: whoever asked for it learns of the end of its
/// service from DNS.
const CALLBACKS_QUEUED_MAX: usize = 1024;

/// Where callbacks are handed in.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    queue: mpsc::Sender<Call>,
    counts: Counts,
}

/// One request to make.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// To whom.
    pub(crate) callback: Callback,
    /// The service that went, as SkyDNS wrote it.
    pub(crate) body: Arc<str>,
}

/// A queue, and its two ends.
pub(super) fn queue(counts: Counts) -> (Caller, mpsc::Receiver<Call>) {
    let (queue, receiver) = mpsc::channel(CALLBACKS_QUEUED_MAX);
    (Caller { queue, counts }, receiver)
}

impl Caller {
    /// Has everybody told who wants to know that `entry` went.
    pub(super) fn went(&self, entry: &Entry, now: Now) {
        let registration = &entry.registration;
        if registration.callbacks.is_empty() {
            return;
        }
        let body: Arc<str> = Shown::of(entry, now).to_string().into();
        for callback in &registration.callbacks {
            let call = Call {
                callback: callback.clone(),
                body: body.clone(),
            };
            if self.queue.try_send(call).is_err() {
                self.counts.called(Called::Dropped);
                warn!(
                    "callback {:?} of service {:?} is dropped: {CALLBACKS_QUEUED_MAX} wait already",
                    callback.id, registration.id
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::draft;
    use crate::store::registration::Registration;

    #[test]
    fn more_than_there_is_room_for_are_dropped_and_nobody_waits() {
        let (caller, mut calls) = queue(Counts::new());
        let callback = Callback {
            id: "c1".into(),
            reply: "10.0.0.9".into(),
            port: 80,
        };
        let registration = Registration {
            id: "1001".into(),
            draft: draft(30),
            expires_unix_ms: None,
            expires_uptime: None,
            revision: 1,
            callbacks: vec![callback],
        };
        let entry = Entry {
            registration: Arc::new(registration),
            deadline: None,
        };
        for _ in 0..CALLBACKS_QUEUED_MAX + 10 {
            caller.went(&entry, Now::read());
        }
        let waiting = std::iter::from_fn(|| calls.try_recv().ok()).count();
        assert_eq!(waiting, CALLBACKS_QUEUED_MAX);
        assert_eq!(caller.counts.times(Called::Dropped), 10);
    }
}
