//! The fallback engine: a plain thread per core that sleeps in `ppoll`. For where io_uring is forbidden.

use std::io::{PipeReader, PipeWriter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::shell::{Setup, Shell};
use super::{Crew, Ready, pin};
use crate::SpawnError;

/// Stops the threads when dropped.
pub(crate) struct Bell {
    stopping: Arc<AtomicBool>,
    // Its end is what wakes them: closing a pipe makes every reader of it ready.
    _writer: PipeWriter,
}

impl Drop for Bell {
    fn drop(&mut self) {
        // Fields are dropped after this, so whoever wakes sees the flag.
        self.stopping.store(true, Ordering::Release);
    }
}

/// Starts a thread for each of `setups`.
pub(crate) fn spawn(setups: Vec<Setup>) -> Result<(Crew, Bell), SpawnError> {
    let (reader, writer) = std::io::pipe().map_err(SpawnError::Thread)?;
    let bell = Bell {
        stopping: Arc::default(),
        _writer: writer,
    };
    let mut jobs = Vec::with_capacity(setups.len());
    for setup in setups {
        let (reader, stopping) = (
            reader.try_clone().map_err(SpawnError::Thread)?,
            Arc::clone(&bell.stopping),
        );
        jobs.push((setup.core, move |ready| work(setup, reader, &stopping, ready)));
    }
    Ok((Crew::start(jobs)?, bell))
}

fn work(setup: Setup, bell: PipeReader, stopping: &AtomicBool, ready: Ready) {
    if let Err(error) = pin(setup.core) {
        return ready.failed(error);
    }
    let mut shell = Shell::new(setup, Some(bell));
    ready.running();
    while !stopping.load(Ordering::Acquire) {
        shell.turn(None);
    }
    shell.drain();
}
