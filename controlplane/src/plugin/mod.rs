//! Plugins: JavaScript that says what a container is called.
//!
//! ```text
//!  --plugins FILE,.. ─ files ─▶ Script ═▶ Host, a thread ─ ask ─▶ run: a runtime for each container
//!        ▲ looked at once a second                          │        createService(container) and its kin
//!        └ SIGHUP                                           ▼
//!  an inspect ─ container ─▶ Seen ── Plugins::apply ──▶ answer: hostile input ─ wanted ─▶ Services
//! ```
//!
//! A plugin written for skydock in 2014 runs unchanged; `docs/plugins.md` has the contract. No plugin can do more harm
//! than to leave its containers the names they would have without it: [`limits`] has what holds it, and what it gives
//! is checked like a packet from the network.

mod answer;
mod ask;
mod complaints;
mod container;
mod fault;
mod files;
mod helpers;
mod host;
mod limits;
mod priority;
mod run;
mod said;
mod script;
mod wanted;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use ask::Made;
pub use container::Seen;
pub(crate) use container::{Attached, Binding, Described, State};
pub use fault::{Fault, LoadError, PluginError};
pub use helpers::Defaults;
pub use said::{Level, Said};
pub use script::Script;

use crate::look::{Changes, LOOK_EVERY, Look};
use crate::service::Service;
use complaints::Complaints;
use host::{Ended, Host, lock};
use limits::{STUCK_AFTER, THREADS_LEFT_MAX};

/// The plugins in force. Clones are the same plugins.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    files: Vec<PathBuf>,
    defaults: Defaults,
    /// How the files looked before they were read at the start.
    look: Look,
    host: Mutex<Arc<Host>>,
    /// Threads that run, those left behind among them.
    threads: Arc<AtomicU32>,
    complaints: Arc<Mutex<Complaints>>,
    changed: watch::Sender<u64>,
    hang_up: Notify,
    stuck_after: Duration,
}

impl Plugins {
    /// Reads `files` and starts their thread.
    ///
    /// # Errors
    ///
    /// [`LoadError`]: one of them is no plugin; it names file, line and reason.
    pub fn load(files: Vec<PathBuf>, defaults: Defaults) -> Result<Self, LoadError> {
        Self::with(files, defaults, STUCK_AFTER)
    }

    fn with(files: Vec<PathBuf>, defaults: Defaults, stuck_after: Duration) -> Result<Self, LoadError> {
        let look = Look::at(&files);
        let scripts = files::load(&files, &defaults)?;
        let (complaints, threads) = Default::default();
        let changed = watch::Sender::new(0);
        let host = start(scripts, &defaults, &complaints, &threads, &changed)?;
        Ok(Self(Arc::new(Inner {
            files,
            defaults,
            look,
            host: Mutex::new(Arc::new(host)),
            threads,
            complaints,
            changed,
            hang_up: Notify::new(),
            stuck_after,
        })))
    }

    /// The services of a container, which without plugins would be `built_in`; none where it shall have no names.
    ///
    /// Waits for the plugins' thread, at most as long as a few containers take in all. Dropping the future takes the
    /// container off its queue.
    pub async fn apply(&self, seen: &Seen, built_in: Service) -> Vec<Service> {
        let host = lock(&self.0.host).clone();
        match host.ask(seen, &built_in, self.0.stuck_after).await {
            Ended::Made(services) => return services,
            Ended::Stuck(file) => self.0.leave_behind(&host, file, seen),
            Ended::Gone => {}
        }
        vec![built_in]
    }

    /// Changes each time other plugins are in force, so that every container has to be asked about again.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// The files in force, in order.
    pub fn files(&self) -> Vec<Arc<str>> {
        let host = lock(&self.0.host).clone();
        host.scripts().into_iter().map(|script| script.file).collect()
    }

    /// Has the files read again soon, changed or not; [`Plugins::keep_up`] does it.
    pub fn reload(&self) {
        self.0.hang_up.notify_one();
    }

    /// Reads the files again when they change or [`Plugins::reload`] asks for it, until `stop`.
    ///
    /// Files of which one is no plugin leave those in force that were, and the log says why.
    pub async fn keep_up(self, stop: CancellationToken) {
        let mut changes = Changes::since(self.0.look.clone());
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.hang_up.notified() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            for line in lock(&self.0.complaints).due(Instant::now()) {
                warn!("{line}");
            }
            let look = Look::at(&self.0.files);
            if !changes.are_over(look.clone()) && !asked {
                continue;
            }
            if asked {
                changes = Changes::since(look);
            }
            let inner = self.0.clone();
            let read = tokio::task::spawn_blocking(move || inner.read_again()).await;
            match read {
                Ok(Ok(true)) => info!("plugins were read again; every container is named anew"),
                Ok(Ok(false)) => info!("plugins were read again; they are what they were"),
                Ok(Err(error)) => error!("{error}; the plugins that were in force stay"),
                Err(error) => {
                    error!("plugins could not be read again ({error}); those that were in force stay");
                }
            }
        }
    }
}

/// Plugins that are run once, for someone who looks on: `skydock plugin run`.
pub struct Trial {
    scripts: Vec<Script>,
    defaults: Defaults,
}

impl Trial {
    /// Reads `files`.
    ///
    /// # Errors
    ///
    /// As [`Plugins::load`].
    pub fn load(files: &[PathBuf], defaults: Defaults) -> Result<Self, LoadError> {
        let scripts = files::load(files, &defaults)?;
        Ok(Self { scripts, defaults })
    }

    /// What they make of a container. Blocks, within the limits of plugins.
    #[must_use]
    pub fn run(&self, seen: &Seen, built_in: Service) -> Made {
        ask::ask(&self.scripts, seen, built_in, &self.defaults, |_| ())
    }
}

fn start(
    scripts: Vec<Script>,
    defaults: &Defaults,
    complaints: &Arc<Mutex<Complaints>>,
    threads: &Arc<AtomicU32>,
    changed: &watch::Sender<u64>,
) -> Result<Host, LoadError> {
    let changed = changed.clone();
    let left_out = move || changed.send_modify(|version| *version += 1);
    Host::start(scripts, defaults.clone(), complaints.clone(), threads, left_out).map_err(LoadError::Thread)
}

impl Inner {
    /// Puts what the files say now in force; whether that is anything new.
    fn read_again(&self) -> Result<bool, LoadError> {
        let scripts = files::load(&self.files, &self.defaults)?;
        if lock(&self.host).scripts() == scripts {
            return Ok(false);
        }
        self.replace(scripts)?;
        Ok(true)
    }

    /// Starts a thread with `scripts`; the one before it ends after what is queued, unless it is stuck.
    fn replace(&self, scripts: Vec<Script>) -> Result<(), LoadError> {
        let mut host = lock(&self.host);
        *host = Arc::new(start(
            scripts,
            &self.defaults,
            &self.complaints,
            &self.threads,
            &self.changed,
        )?);
        drop(host);
        self.changed.send_modify(|version| *version += 1);
        Ok(())
    }

    /// Goes on without a thread that is stuck, and without the plugin that it is stuck in.
    fn leave_behind(&self, stuck: &Arc<Host>, file: Arc<str>, seen: &Seen) {
        // Of those who wait for it one is enough.
        if !Arc::ptr_eq(&lock(&self.host), stuck) {
            return;
        }
        stuck.lower();
        error!("{}", host::stuck(file.clone(), seen));
        let mut scripts = stuck.scripts();
        scripts.retain(|script| script.file != file);
        if self.threads.load(Ordering::Relaxed) >= THREADS_LEFT_MAX {
            error!(
                "{THREADS_LEFT_MAX} threads are stuck in plugins; no plugin is asked until skydock is restarted"
            );
            scripts.clear();
        }
        if let Err(error) = self.replace(scripts) {
            error!("{error}");
        }
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugins").field(&self.0.files).finish()
    }
}

#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;
