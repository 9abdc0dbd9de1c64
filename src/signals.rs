//! Being told to stop, or to read the settings again.

use controlplane::plugin::Plugins;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{self, Failure};

/// The signals that ask for an end: SIGTERM from supervisors, SIGINT from a terminal. SIGHUP, by which supervisors ask
/// for new settings, would end us too if nobody took it.
///
/// For process 1, which we are in a container, they have no default action: without this it could only be killed.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// What a SIGHUP has read again.
    plugins: Option<Plugins>,
}

impl Signals {
    /// Takes all of them over. What arrives from now on waits for [`Signals::next`].
    ///
    /// # Errors
    ///
    /// [`Failure::Runtime`]: the kernel does not let us.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(|error| failure::of("signals cannot be received", &error));
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hang_up: take(SignalKind::hangup())?,
            plugins: None,
        })
    }

    /// Has `plugins` read again on SIGHUP.
    pub(crate) fn reload(&mut self, plugins: Option<Plugins>) {
        self.plugins = plugins;
    }

    /// Waits for the next one that asks for an end and gives its name. A SIGHUP is answered in the log.
    pub(crate) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => match &self.plugins {
                    Some(plugins) => {
                        tracing::info!("SIGHUP: reading plugins again; flags and environment are read at the start alone");
                        plugins.reload();
                    }
                    None => tracing::info!(
                        "SIGHUP: there is nothing to reload; flags and environment are read at the start alone"
                    ),
                },
            }
        }
    }
}
