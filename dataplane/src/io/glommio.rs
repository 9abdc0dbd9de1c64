//! The usual engine: one glommio executor per core, pinned to it, and one for TCP.
//!
//! ```text
//!  turn ─▶ turn ─▶ …    while queries come: one ppoll each, or none under load
//!    │ nothing for LINGER
//!    ▼
//!  park: glommio waits for every listener, for the next deadline, and for the order to stop ──▶ turn
//! ```
//!
//! Glommio is the one that waits, for it serves whatever else lives on its core; datagrams are taken and sent by
//! `udp`, many to a call. Two of its habits shape this file. Its own receives allocate and take one datagram
//! each, and the slow path of its `send_to` sends one octet, so neither carries a query. And its park costs some ten
//! system calls, so a core first lingers in one `ppoll`, and parks only once it is idle. Parked after each query at 1 000 a second it took
//! 1.64 times the CPU of lingering, by its `recv_from` 1.59, by a ring of our own 1.48. Its `spin_before_park` looks at its own
//! rings meanwhile and not at our sockets: behind the lingering it made no difference (237 against 243 thousand a CPU-second, 33.0
//! against 33.3 us at 1 000 a second).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use futures_channel::oneshot;
use futures_io::AsyncRead;
use glommio::net::{TcpStream, UdpSocket};
use glommio::timer::Timer;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use super::shell::{Setup, Shell, Turn};
use super::{Crew, Job, Ready, confine, name, pin, tcp, udp};
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
        udp::try_io_uring().map_err(explain)?;
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

/// Starts an executor for each of `cores`, and one for `streams`.
pub(crate) fn spawn(cores: Vec<Setup>, streams: tcp::Setup) -> Result<(Crew, Bell), SpawnError> {
    probe()?;
    let mut senders = Vec::with_capacity(cores.len() + 1);
    let mut stop = || {
        let (sender, stop) = oneshot::channel();
        senders.push(sender);
        stop
    };
    let mut jobs: Vec<(_, Job)> = Vec::with_capacity(cores.len() + 1);
    for setup in cores {
        let stop = stop();
        jobs.push((name(setup.core), Box::new(move |ready| work(setup, stop, ready))));
    }
    let stop = stop();
    jobs.push((
        name("tcp"),
        Box::new(move |ready| work_streams(streams, stop, ready)),
    ));
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
    builder.make().map_err(|error| explain(error.into()))
}

fn explain(error: io::Error) -> SpawnError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => SpawnError::IoUringForbidden,
        Some(Errno::ENOSYS) => SpawnError::IoUringAbsent,
        Some(Errno::ENOMEM) => SpawnError::MemoryLock,
        _ if error.kind() == io::ErrorKind::Unsupported => SpawnError::IoUringAbsent,
        _ => SpawnError::IoUring(error),
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
            shell.fall_asleep();
            parking.park(shell.next_deadline(), &mut stop).await;
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
    /// Waits until a listener has something to read, something is `due`, or `stop` is over.
    ///
    /// Not for connections to upstreams that are kept. One that its server ends while nothing is asked is half open until
    /// we would have ended it ourselves, and no harm: the turn of the next query finds that in the same `ppoll` as the
    /// query, and asks what went by it a moment before again by a new one. To be told sooner would take an epoll instance
    /// in each core, and wake it up for something that nobody waits for.
    async fn park(&mut self, due: Option<Instant>, stop: &mut oneshot::Receiver<()>) {
        let mut timer = timer(due);
        poll_fn(|context| {
            let mut woken = Pin::new(&mut *stop).poll(context).is_ready();
            if let Some(timer) = &mut timer {
                woken |= Pin::new(timer).poll(context).is_ready();
            }
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

/// What is ready at `due`.
fn timer(due: Option<Instant>) -> Option<Timer> {
    due.map(|due| Timer::new(due.saturating_duration_since(Instant::now())))
}

/// Serves streams on an executor that may run on any of our cores, pinned to none: they are all busy with datagrams
/// or all idle, and a core of its own is more than TCP needs. So it goes wherever there is time.
fn work_streams(setup: tcp::Setup, stop: oneshot::Receiver<()>, ready: Ready) {
    let executor = match confine(&setup.cores).and_then(|()| executor(Placement::Unbound)) {
        Ok(executor) => executor,
        Err(error) => return ready.failed(error),
    };
    executor.run(async move {
        match tcp::Shell::new(setup, None) {
            Ok(shell) => {
                ready.running();
                run_streams(shell, stop).await;
            }
            Err(error) => ready.failed(error),
        }
    });
}

/// Glommio is the one that waits here too, for a single descriptor that tells of all streams.
///
/// Its own TCP was read and left aside: each stream keeps a request in the ring that outlives its descriptor, so a closed
/// connection stays open until that request is cancelled; writes go without MSG_NOSIGNAL; a connection taken and
/// not bound to an executor keeps its descriptor for ever; and taking one switches the listener to
/// non-blocking and back, in three calls whose failure is a panic.
async fn run_streams(mut shell: tcp::Shell, mut stop: oneshot::Receiver<()>) {
    let mut wait = None;
    while stop.try_recv().is_ok() {
        if shell.turn(Some(LINGER)) == Turn::Busy || shell.is_waiting() {
            glommio::yield_if_needed().await;
        } else {
            shell.fall_asleep();
            park(&shell, &mut wait, &mut stop).await;
        }
    }
    shell.drain();
}

/// Waits until a stream has something for us, a deadline has come, or `stop` is over. `wait` is kept until it is over.
async fn park(shell: &tcp::Shell, wait: &mut Option<TcpStream>, stop: &mut oneshot::Receiver<()>) {
    let mut timer = timer(shell.next_deadline());
    if wait.is_none() {
        // Without a descriptor there is nothing to wait for: a turn lingers, and then it is tried again.
        *wait = udp::poller(shell.readiness()).ok();
    }
    let Some(stream) = wait else { return };
    let is_readable = poll_fn(|context| {
        if Pin::new(&mut *stop).poll(context).is_ready() {
            return Poll::Ready(false);
        }
        if let Some(timer) = &mut timer
            && Pin::new(timer).poll(context).is_ready()
        {
            return Poll::Ready(false);
        }
        // What glommio takes for a stream is an epoll instance. It polls the descriptor, as it does any, and
        // then the read fails, for it is no socket: either way there is something.
        Pin::new(&mut *stream).poll_read(context, &mut [0]).map(|_| true)
    })
    .await;
    if is_readable {
        *wait = None;
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
            let told = explain(errno.into()).to_string();
            assert!(
                told.contains(remedy) && told.contains("--engine threads"),
                "{told}"
            );
        }
    }
}
