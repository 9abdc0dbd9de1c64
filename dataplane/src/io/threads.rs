//! The fallback engine: plain threads, one per core and one for TCP, that sleep in `ppoll`. For where io_uring is forbidden.

use std::io::{PipeReader, PipeWriter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::shell::{Setup, Shell, Turn};
use super::{Crew, Job, Ready, confine, name, pin, tcp};
use crate::SpawnError;
use crate::limits::LINGER;

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

/// Starts a thread for each of `cores`, and one for `streams`.
pub(crate) fn spawn(cores: Vec<Setup>, streams: tcp::Setup) -> Result<(Crew, Bell), SpawnError> {
    let (reader, writer) = std::io::pipe().map_err(SpawnError::Thread)?;
    let bell = Bell {
        stopping: Arc::default(),
        _writer: writer,
    };
    let hear = || {
        let reader = reader.try_clone().map_err(SpawnError::Thread)?;
        Ok((reader, Arc::clone(&bell.stopping)))
    };
    let mut jobs: Vec<(_, Job)> = Vec::with_capacity(cores.len() + 1);
    for setup in cores {
        let (reader, stopping) = hear()?;
        jobs.push((
            name(setup.core),
            Box::new(move |ready| work(setup, reader, &stopping, ready)),
        ));
    }
    let (reader, stopping) = hear()?;
    jobs.push((
        name("tcp"),
        Box::new(move |ready| work_streams(streams, reader, &stopping, ready)),
    ));
    Ok((Crew::start(jobs)?, bell))
}

fn work(setup: Setup, bell: PipeReader, stopping: &AtomicBool, ready: Ready) {
    if let Err(error) = pin(setup.core) {
        return ready.failed(error);
    }
    let mut shell = Shell::new(setup, Some(bell));
    ready.running();
    while !stopping.load(Ordering::Acquire) {
        if shell.turn(Some(LINGER)) == Turn::Quiet {
            shell.fall_asleep();
            shell.turn(None);
        }
    }
    shell.drain();
}

fn work_streams(setup: tcp::Setup, bell: PipeReader, stopping: &AtomicBool, ready: Ready) {
    let shell = confine(&setup.cores).and_then(|()| tcp::Shell::new(setup, Some(bell)));
    let mut shell = match shell {
        Ok(shell) => shell,
        Err(error) => return ready.failed(error),
    };
    ready.running();
    while !stopping.load(Ordering::Acquire) {
        if shell.turn(Some(LINGER)) == Turn::Quiet {
            shell.fall_asleep();
            shell.turn(None);
        }
    }
    shell.drain();
}
