//! Being told to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// The signals that ask for an end: SIGTERM from supervisors, SIGINT from a terminal.
///
/// For process 1, which we are in a container, they have no default action: without this it could only be killed.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes both over. What arrives from now on waits for [`Signals::next`].
    ///
    /// # Errors
    ///
    /// [`Failure::Runtime`]: the kernel does not let us.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let take = |kind| {
            signal(kind).map_err(|error| Failure::Runtime(format!("signals cannot be received ({error})")))
        };
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one and gives its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
