//! The thread that runs plugins.
//!
//! ```text
//!  inspects ══ queue ══▶ the thread: ask, one container after another ──▶ oneshot each
//!     │                        │ what it runs, and since when
//!     └─ no answer for long ───┴─▶ stuck: left behind, and another thread goes on without that plugin
//! ```
//!
//! A run ends by itself when it reaches a limit, but a few loops inside JavaScript (reversing an array of 2^53 elements,
//! say) never look at the limit of time. A thread cannot be stopped from outside, so one that is caught in such a loop is
//! left behind at the lowest priority, and its plugin is left out until its file changes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::gettid;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

use super::ask::{Made, ask};
use super::complaints::Complaints;
use super::container::Seen;
use super::fault::{Fault, PluginError};
use super::helpers::Defaults;
use super::limits::{JOBS_MAX, LIMITS_IN_A_ROW_MAX, THREAD_STACK_OCTETS};
use super::said::{Level, Said};
use super::script::Script;
use crate::service::Service;

/// A container that waits for the plugins.
struct Job {
    seen: Seen,
    built_in: Service,
    reply: oneshot::Sender<Vec<Service>>,
}

/// A thread with plugins. It ends when this is dropped and its last job is done.
pub(super) struct Host {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

/// What the thread and those who wait for it both see.
struct Shared {
    /// Those that are still asked, in order.
    scripts: Mutex<Vec<Script>>,
    now: Mutex<Now>,
    complaints: Arc<Mutex<Complaints>>,
}

#[derive(Default)]
struct Now {
    /// What runs: which file, since when.
    running: Option<(Arc<str>, Instant)>,
    thread: Option<nix::unistd::Pid>,
}

/// How a job ended.
pub(super) enum Ended {
    Made(Vec<Service>),
    /// The thread has been busy with this plugin for too long.
    Stuck(Arc<str>),
    /// The thread is gone.
    Gone,
}

impl Host {
    /// Starts a thread with `scripts`. `left_out` is called when it leaves out one of them by itself.
    ///
    /// `threads` counts it from here until it ends.
    pub(super) fn start(
        scripts: Vec<Script>,
        defaults: Defaults,
        complaints: Arc<Mutex<Complaints>>,
        threads: &Arc<AtomicU32>,
        left_out: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let shared = Arc::new(Shared {
            scripts: Mutex::new(scripts),
            now: Mutex::default(),
            complaints,
        });
        let (its, threads) = (shared.clone(), Counted::one_more(threads));
        std::thread::Builder::new()
            .name("plugins".to_owned())
            .stack_size(THREAD_STACK_OCTETS)
            .spawn(move || {
                work(queue, &its, &defaults, left_out);
                drop(threads);
            })?;
        Ok(Self { jobs, shared })
    }

    /// Those that are still asked.
    pub(super) fn scripts(&self) -> Vec<Script> {
        lock(&self.shared.scripts).clone()
    }

    /// Asks the plugins about one container. A full queue is waited for.
    pub(super) async fn ask(&self, seen: &Seen, built_in: &Service, stuck_after: Duration) -> Ended {
        let (reply, mut answer) = oneshot::channel();
        let job = Job {
            seen: seen.clone(),
            built_in: built_in.clone(),
            reply,
        };
        let asked = async {
            if self.jobs.send(job).await.is_err() {
                return Ended::Gone;
            }
            match (&mut answer).await {
                Ok(services) => Ended::Made(services),
                Err(_) => Ended::Gone,
            }
        };
        tokio::select! {
            ended = asked => ended,
            file = self.stuck(stuck_after) => Ended::Stuck(file),
        }
    }

    /// Waits until the thread has been busy with one plugin for that long.
    async fn stuck(&self, stuck_after: Duration) -> Arc<str> {
        loop {
            tokio::time::sleep(stuck_after / 4).await;
            match &lock(&self.shared.now).running {
                Some((file, since)) if since.elapsed() > stuck_after => return file.clone(),
                Some(_) | None => {}
            }
        }
    }

    /// Makes the thread, which nobody waits for any more, run when nothing else wants the processor.
    pub(super) fn lower(&self) {
        if let Some(thread) = lock(&self.shared.now).thread {
            super::priority::lowest(thread);
        }
    }
}

/// Runs plugins until nobody can ask any more.
fn work(mut queue: mpsc::Receiver<Job>, shared: &Shared, defaults: &Defaults, left_out: impl Fn()) {
    lock(&shared.now).thread = Some(gettid());
    let mut limits_in_a_row: HashMap<Arc<str>, u32> = HashMap::new();
    while let Some(job) = queue.blocking_recv() {
        // An event made its answer void.
        if job.reply.is_closed() {
            continue;
        }
        let scripts = lock(&shared.scripts).clone();
        let began = Instant::now();
        let made = ask(&scripts, &job.seen, job.built_in, defaults, |script| {
            lock(&shared.now).running = Some((script.file.clone(), Instant::now()));
        });
        lock(&shared.now).running = None;
        debug!(container = %job.seen.called, took_us = began.elapsed().as_micros(), "plugins ran");
        let exhausted: Vec<_> = scripts
            .iter()
            .filter(|script| {
                let is_limit = made
                    .failed
                    .iter()
                    .any(|error| error.file == script.file && error.fault.is_limit());
                let in_a_row = limits_in_a_row.entry(script.file.clone()).or_default();
                *in_a_row = if is_limit { *in_a_row + 1 } else { 0 };
                *in_a_row >= LIMITS_IN_A_ROW_MAX
            })
            .map(|script| script.file.clone())
            .collect();
        tell(&made, shared);
        // Whoever asked may be gone by now.
        let _ = job.reply.send(made.services);
        if !exhausted.is_empty() {
            lock(&shared.scripts).retain(|script| !exhausted.contains(&script.file));
            for file in exhausted {
                error!(
                    "plugin {file} ran into a limit for {LIMITS_IN_A_ROW_MAX} containers in a row; it is left out until its file changes, or until SIGHUP"
                );
            }
            left_out();
        }
    }
}

/// Logs what the plugins said, and how they failed.
fn tell(made: &Made, shared: &Shared) {
    for (file, Said { level, text }) in &made.said {
        match level {
            Level::Debug => debug!("plugin {file}: {text}"),
            Level::Info => info!("plugin {file}: {text}"),
            Level::Warn => warn!("plugin {file}: {text}"),
            Level::Error => error!("plugin {file}: {text}"),
        }
    }
    for failed in &made.failed {
        let line = lock(&shared.complaints).line(failed.clone(), Instant::now());
        if let Some(line) = line {
            warn!("{line}");
        }
    }
}

/// The error of a plugin whose thread is stuck.
pub(super) fn stuck(file: Arc<str>, seen: &Seen) -> PluginError {
    PluginError {
        file,
        place: None,
        container: Some(seen.called.clone()),
        fault: Fault::Stuck,
    }
}

/// Counts a thread while it lives.
struct Counted(Arc<AtomicU32>);

impl Counted {
    fn one_more(threads: &Arc<AtomicU32>) -> Self {
        threads.fetch_add(1, Ordering::Relaxed);
        Self(threads.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Nothing that holds one of these locks runs a script or can panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
