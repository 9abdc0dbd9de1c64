//! Who wants to be told that a service went.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::warn;

use super::book::{Entry, Now};
use super::legacy::Shown;
use super::registration::Callback;

/// Callbacks that wait. One more is dropped, with a line in the log: whoever asked for it learns of the end of its
/// service from DNS.
const CALLBACKS_QUEUED_MAX: usize = 1024;

/// Where callbacks are handed in.
#[derive(Clone, Debug)]
pub(super) struct Caller(mpsc::Sender<Call>);

/// One request to make.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// To whom.
    pub(crate) callback: Callback,
    /// The service that went, as SkyDNS wrote it.
    pub(crate) body: Arc<str>,
}

/// A queue, and its two ends.
pub(super) fn queue() -> (Caller, mpsc::Receiver<Call>) {
    let (sender, receiver) = mpsc::channel(CALLBACKS_QUEUED_MAX);
    (Caller(sender), receiver)
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
            if self.0.try_send(call).is_err() {
                warn!(
                    "callback {:?} of service {:?} is dropped: {CALLBACKS_QUEUED_MAX} wait already",
                    callback.id, registration.id
                );
            }
        }
    }
}
