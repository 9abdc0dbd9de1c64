//! Being told to stop, or to read the settings again.

use controlplane::Renewal;
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
    readable: Readable,
    /// What a write past the limit of file sizes would end us by; so it fails, as on a full disk.
    _file_too_large: Signal,
}

/// What a SIGHUP has read again.
#[derive(Debug, Default)]
pub(crate) struct Readable {
    /// The plugins, if there are any.
    pub(crate) plugins: Option<Plugins>,
    /// The certificate of the HTTP interface and the secret, if they are from files.
    pub(crate) renewal: Option<Renewal>,
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
            readable: Readable::default(),
            _file_too_large: take(SignalKind::from_raw(nix::libc::SIGXFSZ))?,
        })
    }

    /// Has `readable` read again on SIGHUP.
    pub(crate) fn reload(&mut self, readable: Readable) {
        self.readable = readable;
    }

    /// Waits for the next one that asks for an end and gives its name. A SIGHUP is answered in the log.
    pub(crate) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => self.readable.read_again(),
            }
        }
    }
}

impl Readable {
    fn read_again(&self) {
        let plugins = self.plugins.as_ref().map(|_| "plugins");
        let renewal = self.renewal.as_ref().map(|_| "certificate and secret");
        let what: Vec<_> = plugins.into_iter().chain(renewal).collect();
        let rest = "flags and environment are read at the start alone";
        match what.is_empty() {
            true => tracing::info!("SIGHUP: there is nothing to reload; {rest}"),
            false => tracing::info!("SIGHUP: reading {} again; {rest}", what.join(", ")),
        }
        if let Some(plugins) = &self.plugins {
            plugins.reload();
        }
        if let Some(renewal) = &self.renewal {
            renewal.reload();
        }
    }
}
