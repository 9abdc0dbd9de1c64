//! Sockets, and the two engines that wait for them. Everything that decides is elsewhere.
//!
//! ```text
//!  glommio.rs ─┐                       ┌─▶ udp.rs        batches in, batches out
//!  threads.rs ─┴─ wait ─┬▶ shell.rs ───┼─▶ worker.rs     what becomes of each query
//!                       │ one core's   └─▶ relay.rs      replies of upstreams, through outbound.rs's sockets
//!                       └▶ tcp/ ──────────▶ worker.rs, relay.rs
//!                         all streams
//! ```

mod ancillary;
mod bind;
mod clock;
pub mod udp;

pub(crate) mod glommio;
mod outbound;
mod outbound_stream;
mod outbound_tls;
mod relay;
pub(crate) mod shell;
#[cfg(test)]
mod silent;
pub mod tcp;
pub(crate) mod threads;

use std::fmt::Display;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

pub use self::bind::{BindError, BoundAddress, Protocol, bind};
use crate::SpawnError;

/// The threads of an engine: one per core, and one for TCP.
pub(crate) struct Crew {
    threads: Vec<JoinHandle<()>>,
}

/// What a thread of an engine does from its start to its end.
pub(crate) type Job = Box<dyn FnOnce(Ready) + Send>;

/// How a new thread tells that it runs, or why it cannot.
pub(crate) struct Ready(mpsc::Sender<Result<(), SpawnError>>);

impl Ready {
    pub(crate) fn running(self) {
        self.report(Ok(()));
    }

    pub(crate) fn failed(self, error: SpawnError) {
        self.report(Err(error));
    }

    fn report(self, result: Result<(), SpawnError>) {
        // Nobody hears it only when another thread failed first, and then all of them stop.
        let _ = self.0.send(result);
    }
}

impl Crew {
    /// Starts a thread for each job, under the name given with it, and waits until all of them run.
    ///
    /// # Errors
    ///
    /// The first that a job or the kernel tells. The other threads end once their bell is dropped.
    pub(crate) fn start(jobs: impl IntoIterator<Item = (String, Job)>) -> Result<Self, SpawnError> {
        let (sender, reports) = mpsc::channel();
        let mut threads = Vec::new();
        for (name, job) in jobs {
            let ready = Ready(sender.clone());
            threads.push(
                Builder::new()
                    .name(name)
                    .spawn(move || job(ready))
                    .map_err(SpawnError::Thread)?,
            );
        }
        drop(sender);
        for _ in &threads {
            reports.recv().map_err(|_| SpawnError::Panicked)??;
        }
        Ok(Self { threads })
    }

    /// Waits until all threads have ended.
    pub(crate) fn join(self) {
        for thread in self.threads {
            // A panic was reported by the thread itself, and there is nothing left to do for it.
            let _ = thread.join();
        }
    }
}

/// Threads are named after what they serve: a core, or TCP.
fn name(of: impl Display) -> String {
    format!("skydock-{of}")
}

/// Keeps the calling thread, and those that it starts, on `core`.
fn pin(core: usize) -> Result<(), SpawnError> {
    confine(&[core])
}

/// Keeps the calling thread, and those that it starts, on `cores`.
fn confine(cores: &[usize]) -> Result<(), SpawnError> {
    let mut allowed = CpuSet::new();
    let confined = cores
        .iter()
        .try_for_each(|&core| allowed.set(core))
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &allowed));
    confined.map_err(|source| SpawnError::Pin {
        core: cores.first().copied().unwrap_or_default(),
        source,
    })
}
