//! Batches of datagrams: many queries taken by one system call, answered where they lie, sent by another.
//!
//! ```text
//!  recvmmsg ──▶ slot 0 │ slot 1 │ slot 2 │ …      buffer, peer, local address of each
//!                 │reply   │drop    │reply
//!  sendmmsg ◀─────┴─────────────────┘             only those with a reply, from the same buffers
//! ```
//!
//! The only file of this crate with `unsafe`: system calls that std, nix and glommio do not offer without
//! allocating. Each block is one call on pointers made in the lines above it. Addresses and control messages are
//! read and written as octets, by ordinary code in `ancillary`.
#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg, ppoll and some smaller calls have no safe wrapper that fits"
)]

use std::io;
use std::mem::{self, offset_of};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use socket2::Socket;

use super::ancillary::{self, CONTROL_OCTETS, Control, NAME_OCTETS, Name};
use crate::limits::{BATCH_DATAGRAMS_MAX, DATAGRAM_OCTETS_MAX, SEND_RETRIES_MAX};
use crate::path::Local;
use crate::respond::Outcome;

/// A socket that queries arrive on.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    wildcard: bool,
}

impl Listener {
    /// `wildcard`: the socket is bound to all addresses and set to tell each datagram's own.
    pub(crate) fn new(socket: Socket, wildcard: bool) -> Self {
        Self { socket, wildcard }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Why a datagram was dropped before anyone read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Longer than the buffer.
    Oversize,
    /// From port 0, or an address family that we do not know.
    Unanswerable,
}

/// One received datagram, in its slot.
#[derive(Debug)]
pub struct Datagram<'b> {
    /// Room for the reply; its first `len` octets are the query.
    pub buffer: &'b mut [u8],
    /// Length of the query, in octets.
    pub len: usize,
    /// Who sent it, or why it is of no use.
    pub peer: Result<SocketAddr, Unusable>,
    /// Our address that it was sent to.
    pub local: Local,
    /// What is to become of it; [`Outcome::Drop`] until someone says otherwise.
    pub outcome: &'b mut Outcome,
}

/// What came of sending a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Replies that the kernel took.
    pub sent: usize,
    /// Replies that it would not take (ENOBUFS, EPERM, EMSGSIZE, …), each dropped by itself.
    pub dropped: usize,
}

/// Room for [`BATCH_DATAGRAMS_MAX`] datagrams, made once and used for ever.
pub struct Batch {
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
    received: usize,
}

struct Slot {
    buffer: [u8; DATAGRAM_OCTETS_MAX],
    name: Name,
    control: Control,
    iovec: libc::iovec,
    // What the kernel reported with the datagram.
    len: usize,
    name_len: u32,
    control_len: usize,
    cut: bool,
    outcome: Outcome,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty batch. Allocates; nothing after it does.
    #[must_use]
    pub fn new() -> Self {
        let slots = (0..BATCH_DATAGRAMS_MAX).map(|_| Slot::empty()).collect();
        let headers = (0..BATCH_DATAGRAMS_MAX).map(|_| empty_header()).collect();
        Self {
            slots,
            headers,
            received: 0,
        }
    }

    /// Takes what is queued on `listener`, as many datagrams as there is room for, and never waits.
    ///
    /// Returns how many; 0 when the queue is empty.
    ///
    /// # Errors
    ///
    /// What the kernel says, except that nothing is there. The batch is empty then.
    pub fn receive(&mut self, listener: &Listener) -> io::Result<usize> {
        // All of them, though the last batch may have used one: some stores each, and no pointer outlives a call.
        for (slot, header) in self.slots.iter_mut().zip(&mut self.headers) {
            slot.aim(&mut header.msg_hdr, listener.wildcard);
        }
        self.received = 0;
        // SAFETY: `headers` holds as many headers as the length says; each points at the name, control and buffer
        // of its own slot with their true lengths (`Slot::aim`, just above), which live as long as `self`, and
        // nothing else refers to the slots while the call runs. A null timeout is allowed.
        let received = unsafe {
            libc::recvmmsg(
                listener.socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH_DATAGRAMS_MAX as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock {
                Ok(0)
            } else {
                Err(error)
            };
        };
        for (slot, header) in self.slots.iter_mut().zip(&self.headers).take(received) {
            slot.len = (header.msg_len as usize).min(DATAGRAM_OCTETS_MAX);
            slot.name_len = header.msg_hdr.msg_namelen;
            slot.control_len = header.msg_hdr.msg_controllen.min(CONTROL_OCTETS);
            slot.cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            slot.outcome = Outcome::Drop;
        }
        self.received = received;
        Ok(received)
    }

    /// The datagrams received last.
    pub fn datagrams(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        self.slots.iter_mut().take(self.received).map(Slot::datagram)
    }

    /// Sends every datagram with [`Outcome::Reply`] back where it came from, from the address it came to.
    ///
    /// A reply that the kernel will not take is dropped by itself, and the others still leave.
    pub fn send(&mut self, listener: &Listener) -> Sent {
        let mut queued = 0;
        let slots = self.slots.iter_mut().take(self.received);
        for slot in slots {
            let Outcome::Reply { length, .. } = slot.outcome else {
                continue;
            };
            let Some(header) = self.headers.get_mut(queued) else {
                break;
            };
            slot.aim_back(&mut header.msg_hdr, length);
            queued += 1;
        }
        self.received = 0;
        let mut result = Sent::default();
        let mut retries = SEND_RETRIES_MAX;
        let mut rest = self.headers.get_mut(..queued).unwrap_or_default();
        while !rest.is_empty() {
            // SAFETY: `rest` is a slice of headers, each aimed by `Slot::aim_back` at a slot of `self` with lengths
            // inside its arrays; the kernel reads them, and nothing else refers to the slots meanwhile.
            let sent = unsafe {
                libc::sendmmsg(
                    listener.socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            // The kernel stops at the first that fails and reports why only if none went before it.
            let done = match usize::try_from(sent) {
                Ok(sent) => {
                    result.sent += sent;
                    sent.max(1)
                }
                Err(_) if retries > 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => {
                    retries -= 1;
                    std::thread::yield_now();
                    continue;
                }
                Err(_) => {
                    result.dropped += 1;
                    1
                }
            };
            rest = rest.get_mut(done..).unwrap_or_default();
        }
        result
    }
}

impl Slot {
    fn empty() -> Self {
        Self {
            buffer: [0; DATAGRAM_OCTETS_MAX],
            name: Name([0; NAME_OCTETS]),
            control: Control([0; CONTROL_OCTETS]),
            iovec: libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            },
            len: 0,
            name_len: 0,
            control_len: 0,
            cut: false,
            outcome: Outcome::Drop,
        }
    }

    /// Points `header` at this slot, all of it free.
    fn aim(&mut self, header: &mut libc::msghdr, wildcard: bool) {
        self.iovec = libc::iovec {
            iov_base: self.buffer.as_mut_ptr().cast(),
            iov_len: DATAGRAM_OCTETS_MAX,
        };
        header.msg_iov = &raw mut self.iovec;
        header.msg_iovlen = 1;
        header.msg_name = self.name.0.as_mut_ptr().cast();
        header.msg_namelen = NAME_OCTETS as libc::socklen_t;
        header.msg_control = self.control.0.as_mut_ptr().cast();
        header.msg_controllen = if wildcard { CONTROL_OCTETS } else { 0 };
        header.msg_flags = 0;
    }

    /// Points `header` at this slot's reply of `len` octets.
    fn aim_back(&mut self, header: &mut libc::msghdr, len: usize) {
        self.iovec = libc::iovec {
            iov_base: self.buffer.as_mut_ptr().cast(),
            iov_len: len.min(DATAGRAM_OCTETS_MAX),
        };
        header.msg_iov = &raw mut self.iovec;
        header.msg_iovlen = 1;
        header.msg_name = self.name.0.as_mut_ptr().cast();
        header.msg_namelen = self.name_len;
        let local = self.control.local(self.control_len);
        header.msg_controllen = self.control.write(local);
        header.msg_control = self.control.0.as_mut_ptr().cast();
        header.msg_flags = 0;
    }

    fn datagram(&mut self) -> Datagram<'_> {
        let peer = match self.name.read(self.name_len) {
            _ if self.cut => Err(Unusable::Oversize),
            Some(peer) if peer.port() != 0 => Ok(peer),
            _ => Err(Unusable::Unanswerable),
        };
        Datagram {
            local: self.control.local(self.control_len),
            buffer: &mut self.buffer,
            len: self.len,
            peer,
            outcome: &mut self.outcome,
        }
    }
}

/// Sends one datagram to `peer`, from `local`. Used for answers that come one by one, from upstream.
///
/// # Errors
///
/// What the kernel says; the datagram is lost then.
pub fn send(listener: &Listener, octets: &[u8], peer: SocketAddr, local: Local) -> io::Result<()> {
    let mut name = Name([0; NAME_OCTETS]);
    let mut control = Control([0; CONTROL_OCTETS]);
    let mut iovec = libc::iovec {
        iov_base: octets.as_ptr().cast_mut().cast(),
        iov_len: octets.len(),
    };
    let mut header = empty_header().msg_hdr;
    header.msg_namelen = name.write(peer);
    header.msg_name = name.0.as_mut_ptr().cast();
    header.msg_controllen = control.write(local);
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    // SAFETY: every pointer of `header` is to a local variable or to `octets`, with its true length, and the kernel
    // only reads through them, so the cast from `*const` is never written through.
    let sent = unsafe {
        libc::sendmsg(
            listener.socket.as_raw_fd(),
            &raw const header,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: integers and pointers only, for which all zeros is a value: nothing, of length nothing.
    unsafe { mem::zeroed() }
}

// `ancillary` goes by these numbers and layouts, those of 64-bit Linux.
const _: () = assert!(ancillary::AF_INET == libc::AF_INET && ancillary::AF_INET6 == libc::AF_INET6);
const _: () = assert!(ancillary::IPPROTO_IP == libc::IPPROTO_IP && ancillary::IP_PKTINFO == libc::IP_PKTINFO);
const _: () = assert!(ancillary::IPPROTO_IPV6 == libc::IPPROTO_IPV6);
const _: () = assert!(ancillary::IPV6_PKTINFO == libc::IPV6_PKTINFO);
const _: () = assert!(ancillary::NAME_V4_OCTETS == size_of::<libc::sockaddr_in>());
const _: () = assert!(NAME_OCTETS == size_of::<libc::sockaddr_in6>());
const _: () = assert!(offset_of!(libc::sockaddr_in, sin_addr) == 4);
const _: () = assert!(offset_of!(libc::sockaddr_in6, sin6_addr) == 8);
const _: () = assert!(ancillary::CMSG_OCTETS == size_of::<libc::cmsghdr>());
const _: () =
    assert!(offset_of!(libc::cmsghdr, cmsg_level) == 8 && offset_of!(libc::cmsghdr, cmsg_type) == 12);
const _: () = assert!(ancillary::PKTINFO_V4_OCTETS == size_of::<libc::in_pktinfo>());
const _: () = assert!(offset_of!(libc::in_pktinfo, ipi_spec_dst) == 4);
const _: () = assert!(ancillary::PKTINFO_V6_OCTETS == size_of::<libc::in6_pktinfo>());
const _: () = assert!(offset_of!(libc::in6_pktinfo, ipi6_ifindex) == 16);
const _: () = assert!(CONTROL_OCTETS >= ancillary::CMSG_OCTETS + ancillary::PKTINFO_V6_OCTETS + 4);

// --- the smaller calls ---

/// Keeps no path-MTU state for `socket` and never sets DF, so that forged ICMP cannot shrink what we send (RFC 9715).
///
/// # Errors
///
/// What the kernel says.
pub(crate) fn ignore_path_mtu(socket: &Socket, ipv6: bool) -> io::Result<()> {
    let (level, option, value) = if ipv6 {
        (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_OMIT,
        )
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
    };
    // SAFETY: the kernel reads one integer, of the length given, from a variable that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A second handle on `listener`'s socket for glommio to wait on, to be used in the executor that it belongs to.
///
/// # Errors
///
/// No descriptor is left.
pub(crate) fn waiter(listener: &Listener) -> io::Result<glommio::net::UdpSocket> {
    let descriptor = listener.socket.try_clone()?.into_raw_fd();
    // SAFETY: `into_raw_fd` gave up the only owner of this open descriptor, so glommio becomes it.
    Ok(unsafe { glommio::net::UdpSocket::from_raw_fd(descriptor) })
}

/// A second handle on `descriptor`, whatever it is, for glommio to poll as it does a stream, to be used in the executor
/// that it belongs to. Reading from it tells when the first one can be read, and no more.
///
/// # Errors
///
/// No descriptor is left.
pub(crate) fn poller(descriptor: BorrowedFd<'_>) -> io::Result<glommio::net::TcpStream> {
    let descriptor = descriptor.try_clone_to_owned()?.into_raw_fd();
    // SAFETY: `into_raw_fd` gave up the only owner of this open descriptor, so glommio becomes it. Polling, reading
    // and closing are defined for every descriptor; reading one that is no socket is an error.
    Ok(unsafe { glommio::net::TcpStream::from_raw_fd(descriptor) })
}

/// Tells the kernel that this process will use private expedited memory barriers, as glommio does before each sleep.
///
/// Done before any thread exists it is free; done by the first sleep of one thread among several, as
/// glommio 0.9 does by itself, it stalls that sleep for 30 to 80 ms on kernels from 6.8 on. Where the call is
/// unknown glommio has other means.
pub(crate) fn register_barrier() {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    // SAFETY: takes two integers, no memory; the result only says whether it is supported.
    unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0) };
}

/// Finds out whether io_uring may be used here, by trying each of its three system calls once.
///
/// Glommio 0.9 panics where it is forbidden and ends the process where an operation is missing, so it must not
/// be the one that finds out.
///
/// # Errors
///
/// What the kernel says: EPERM or EACCES where a seccomp profile or sysctl forbids it, ENOSYS where there is none.
/// [`io::ErrorKind::Unsupported`]: it lacks an operation that glommio asks for.
pub(crate) fn try_io_uring() -> io::Result<()> {
    const REGISTER_PROBE: libc::c_uint = 8;
    const OPERATIONS: usize = 256;
    // `struct io_uring_params` has 120 octets, all of which may be zero.
    let mut params = [0_u64; 15];
    // SAFETY: the kernel reads and writes the 120 octets of `params`, and returns a new descriptor or an error.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr()) };
    if ring < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above made this descriptor and nobody else has it.
    let ring = unsafe { OwnedFd::from_raw_fd(ring as libc::c_int) };
    // `struct io_uring_probe`: 16 octets, then 8 for each operation, whose second 16 bits are its flags.
    let mut probe = [[0_u16; 4]; 2 + OPERATIONS];
    // SAFETY: `probe` is as long as a probe of OPERATIONS operations, which is what the kernel is told it may write.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_PROBE,
            probe.as_mut_ptr(),
            OPERATIONS,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: submits nothing, waits for nothing, and passes no memory.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            ring.as_raw_fd(),
            0,
            0,
            0,
            std::ptr::null::<libc::sigset_t>(),
            0,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // Glommio's operations all lie between NOP (0) and RECV (27), as Linux 5.8 had them.
    let supported = |operation: &[u16; 4]| matches!(operation, [_, flags, ..] if flags & 1 == 1);
    if probe.iter().skip(2).take(28).all(supported) {
        Ok(())
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Descriptors to wait for, all for something to read.
pub(crate) struct PollSet {
    entries: Vec<libc::pollfd>,
}

impl PollSet {
    /// With room for `capacity` descriptors.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: Vec::with_capacity(capacity),
        }
    }

    /// Appends a descriptor; its place is the number of those before it.
    pub(crate) fn push(&mut self, descriptor: BorrowedFd<'_>) {
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
    pub(crate) fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
    }

    /// Sleeps until one is ready or `timeout` is over; for ever without one. Returns whether one is ready.
    ///
    /// A signal ends the sleep early, as if nothing were ready.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> bool {
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
    pub(crate) fn is_ready(&self, place: usize) -> bool {
        self.entries.get(place).is_some_and(|entry| entry.revents != 0)
    }
}

#[cfg(test)]
mod tests;
