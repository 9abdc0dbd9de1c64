//! Batches of datagrams: many queries taken by one system call, answered where they lie, sent by another.
//!
//! ```text
//!  recvmmsg ──▶ slot 0 │ slot 1 │ slot 2 │ …      buffer, peer, local address of each
//!                 │reply   │drop    │reply
//!  sendmmsg ◀─────┴─────────────────┘             only those with a reply, from the same buffers
//! ```
//!
//! With the files below it the only one of this crate that has `unsafe`: system calls that std, nix and glommio do not offer
//! without allocating. Each block is one call on pointers made in the lines above it. Addresses and control messages
//! are read and written as octets, by ordinary code in `ancillary`.
//!
//! A ring of our own in place of these calls was tried and left: multishot receives into provided buffers took 1.02 to 1.05
//! times the CPU at saturation with `sendmmsg`, 1.03 to 1.04 with sends in the ring, and as much at 1 000 queries a second.
#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg, ppoll and some smaller calls have no safe wrapper that fits"
)]

mod calls;
mod poll;
mod steer;

use std::io;
use std::mem::{self, offset_of};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use socket2::Socket;

pub use self::calls::waiter;
pub(crate) use self::calls::{ignore_path_mtu, poller, register_barrier, try_io_uring};
pub use self::poll::PollSet;
pub(crate) use self::steer::by_core as steer_by_core;
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

#[cfg(test)]
mod tests;
