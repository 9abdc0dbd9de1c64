//! The usual engine: one glommio executor per core, pinned to it.
//!
//! ```text
//!  turn ─▶ turn ─▶ …    while queries come: one ppoll each, or none under load
//!    │ nothing for LINGER
//!    ▼
//!  park: glommio waits for every listener, and for the order to stop ──▶ turn
//! ```
//!
//! Glommio is the one that waits, for it serves whatever else lives on its core; datagrams are taken and sent by
//! `udp`, many to a call. Two of its habits shape this file. Its own receives allocate and take one datagram
//! each, and the slow path of its `send_to` sends one octet, so neither carries a query. And its park costs some ten
//! system calls, so a core first lingers in one `ppoll`, and parks only once it is idle.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;

use futures_channel::oneshot;
use glommio::net::UdpSocket;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use super::shell::{Setup, Shell, Turn};
use super::{Crew, Ready, pin, udp};
use crate::SpawnError;
use crate::limits::LINGER;

/// Entries in each of an executor's three rings: a listener takes one, and there is little else.
const RING_ENTRIES: usize = 32;

/// Glommio refuses to start below this limit of locked memory, in octets, whether or not the kernel would.
const LOCKABLE_OCTETS_MIN: u64 = 512 << 10;

/// Stops the executors when dropped.
pub(crate) struct Bell {
    _senders: Vec<oneshot::Sender<()>>,
}

/// Finds out whether executors can be made here at all: by the bare system calls first, and then by making one.
///
/// On a thread of its own, because the kernel takes a ring apart in the thread that made it, some time later,
/// and whatever that thread sleeps in then ends with EINTR.
pub(crate) fn probe() -> Result<(), SpawnError> {
    udp::register_barrier();
    let attempt = || {
        udp::try_io_uring().map_err(|error| explain(&error))?;
        executor(Placement::Unbound).map(drop)
    };
    let thread = std::thread::Builder::new()
        .name("skydock-probe".into())
        .spawn(attempt);
    thread
        .map_err(SpawnError::Thread)?
        .join()
        .unwrap_or(Err(SpawnError::Panicked))
}

/// Starts an executor for each of `setups`.
pub(crate) fn spawn(setups: Vec<Setup>) -> Result<(Crew, Bell), SpawnError> {
    probe()?;
    let (senders, jobs): (Vec<_>, Vec<_>) = setups
        .into_iter()
        .map(|setup| {
            let (sender, stop) = oneshot::channel();
            (sender, (setup.core, move |ready| work(setup, stop, ready)))
        })
        .unzip();
    Ok((Crew::start(jobs)?, Bell { _senders: senders }))
}

fn executor(placement: Placement) -> Result<LocalExecutor, SpawnError> {
    let (lockable, _) = getrlimit(Resource::RLIMIT_MEMLOCK).unwrap_or((u64::MAX, u64::MAX));
    if lockable < LOCKABLE_OCTETS_MIN {
        return Err(SpawnError::MemoryLock);
    }
    // No registered memory: it would count against that limit, and datagrams have buffers of their own.
    let builder = LocalExecutorBuilder::new(placement)
        .io_memory(0)
        .ring_depth(RING_ENTRIES);
    builder.make().map_err(|error| explain(&error.into()))
}

fn explain(error: &io::Error) -> SpawnError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => SpawnError::IoUringForbidden,
        Some(Errno::ENOSYS) => SpawnError::IoUringAbsent,
        Some(Errno::ENOMEM) => SpawnError::MemoryLock,
        _ if error.kind() == io::ErrorKind::Unsupported => SpawnError::IoUringAbsent,
        _ => SpawnError::IoUring(error.to_string()),
    }
}

fn work(setup: Setup, stop: oneshot::Receiver<()>, ready: Ready) {
    let executor = match pin(setup.core).and_then(|()| executor(Placement::Fixed(setup.core))) {
        Ok(executor) => executor,
        Err(error) => return ready.failed(error),
    };
    executor.run(async move {
        let shell = Shell::new(setup, None);
        match shell
            .listeners()
            .iter()
            .map(udp::waiter)
            .collect::<io::Result<Vec<_>>>()
        {
            Ok(waiters) => {
                ready.running();
                run(shell, &waiters, stop).await;
            }
            Err(error) => ready.failed(SpawnError::Thread(error)),
        }
    });
}

async fn run(mut shell: Shell, waiters: &[UdpSocket], mut stop: oneshot::Receiver<()>) {
    let mut parking = Parking {
        waiters,
        waits: waiters.iter().map(|_| None).collect(),
    };
    // Nothing is ever sent: the order is that the sender is gone, which is an error.
    while stop.try_recv().is_ok() {
        if shell.turn(Some(LINGER)) == Turn::Busy || shell.is_waiting() {
            glommio::yield_if_needed().await;
        } else {
            shell.count_park();
            parking.park(&mut stop).await;
        }
    }
    shell.drain();
}

/// What a parked core waits for.
struct Parking<'w> {
    waiters: &'w [UdpSocket],
    /// One for each waiter, kept until it is over: a listener that stays silent is not armed anew for each park.
    waits: Vec<Option<Pin<Box<dyn Future<Output = ()> + 'w>>>>,
}

impl Parking<'_> {
    /// Waits until a listener has something to read, or `stop` is over.
    async fn park(&mut self, stop: &mut oneshot::Receiver<()>) {
        poll_fn(|context| {
            let mut woken = Pin::new(&mut *stop).poll(context).is_ready();
            for (wait, waiter) in self.waits.iter_mut().zip(self.waiters) {
                let waiting = wait.get_or_insert_with(|| {
                    Box::pin(async {
                        // An error wakes like a datagram does: the turn that follows reads it off the socket.
                        let _ = waiter.peek_from(&mut [0]).await;
                    })
                });
                if waiting.as_mut().poll(context).is_ready() {
                    *wait = None;
                    woken = true;
                }
            }
            if woken { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_io_uring_is_told_with_its_remedy() {
        for (errno, remedy) in [
            (Errno::EPERM, "seccomp profile"),
            (Errno::EPERM, "kernel.io_uring_disabled=0"),
            (Errno::ENOSYS, "Linux 5.8"),
            (Errno::ENOMEM, "ulimit -l"),
            (Errno::EINVAL, "does not work here"),
        ] {
            let told = explain(&errno.into()).to_string();
            assert!(
                told.contains(remedy) && told.contains("--engine threads"),
                "{told}"
            );
        }
    }
}
