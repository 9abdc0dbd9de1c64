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
use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement};

use super::shell::{Setup, Shell, Turn};
use super::{Crew, Ready, udp};
use crate::SpawnError;
use crate::limits::LINGER;

/// Entries in each of an executor's three rings: a listener takes one, and there is little else.
const RING_ENTRIES: usize = 32;

/// Stops the executors when dropped.
pub(crate) struct Bell {
    _senders: Vec<oneshot::Sender<()>>,
}

/// Finds out whether executors can be made here at all, by making one.
pub(crate) fn probe() -> Result<(), SpawnError> {
    let probe = std::thread::Builder::new()
        .name("skydock-probe".into())
        .spawn(|| executor(Placement::Unbound).map(drop));
    match probe.map_err(SpawnError::Thread)?.join() {
        Ok(result) => result,
        Err(_) => Err(SpawnError::IoUring("the attempt ended in a panic".into())),
    }
}

/// Starts an executor for each of `setups`.
pub(crate) fn spawn(setups: Vec<Setup>) -> Result<(Crew, Bell), SpawnError> {
    udp::register_barrier();
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
    // No registered memory: it would count against the memlock limit, and datagrams have buffers of their own.
    LocalExecutorBuilder::new(placement)
        .io_memory(0)
        .ring_depth(RING_ENTRIES)
        .make()
        .map_err(explain)
}

fn explain(error: GlommioError<()>) -> SpawnError {
    match error {
        GlommioError::IoError(error) => match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => SpawnError::IoUringForbidden,
            Some(libc::ENOSYS) => SpawnError::IoUringAbsent,
            Some(libc::ENOMEM) => SpawnError::MemoryLock,
            _ => SpawnError::IoUring(error.to_string()),
        },
        GlommioError::ReactorError(glommio::ReactorErrorKind::MemLockLimit(..)) => SpawnError::MemoryLock,
        other => SpawnError::IoUring(other.to_string()),
    }
}

fn work(setup: Setup, stop: oneshot::Receiver<()>, ready: Ready) {
    let executor = match executor(Placement::Fixed(setup.core)) {
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
