//! Waiting for several descriptors at once.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Descriptors to wait for, all for something to read.
pub struct PollSet {
    entries: Vec<libc::pollfd>,
}

impl PollSet {
    /// With room for `capacity` descriptors.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: Vec::with_capacity(capacity),
        }
    }

    /// Appends a descriptor; its place is the number of those before it.
    pub fn push(&mut self, descriptor: BorrowedFd<'_>) {
        self.append(descriptor, libc::POLLIN);
    }

    /// Appends a descriptor that is ready once it can be written to.
    pub(crate) fn push_writable(&mut self, descriptor: BorrowedFd<'_>) {
        self.append(descriptor, libc::POLLOUT);
    }

    /// Appends a descriptor that is ready once it can be read from or written to.
    pub(crate) fn push_either(&mut self, descriptor: BorrowedFd<'_>) {
        self.append(descriptor, libc::POLLIN | libc::POLLOUT);
    }

    fn append(&mut self, descriptor: BorrowedFd<'_>, events: libc::c_short) {
        self.entries.push(libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events,
            revents: 0,
        });
    }

    /// Forgets all descriptors from place `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
    }

    /// Sleeps until one is ready or `timeout` is over; for ever without one. Returns whether one is ready.
    ///
    /// A signal ends the sleep early, as if nothing were ready.
    pub fn wait(&mut self, timeout: Option<Duration>) -> bool {
        let timeout = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the pointer and the count are those of one live vector; the timeout is null or points at a local.
        let ready = unsafe {
            libc::ppoll(
                self.entries.as_mut_ptr(),
                self.entries.len() as libc::nfds_t,
                timeout,
                std::ptr::null(),
            )
        };
        if ready <= 0 {
            self.entries.iter_mut().for_each(|entry| entry.revents = 0);
        }
        ready > 0
    }

    /// Whether the descriptor at `place` had something, or an error, after the last wait.
    #[must_use]
    pub fn is_ready(&self, place: usize) -> bool {
        self.entries.get(place).is_some_and(|entry| entry.revents != 0)
    }
}
