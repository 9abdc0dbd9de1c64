//! Sockets towards upstreams: one in each place of the forwarder that has something to wait for.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::outbound_stream::OutboundStream;
use super::udp::{PollSet, ignore_path_mtu};
use crate::forward::{Ask, Forwarder, PLACES, Place};

/// The open sockets of one core.
pub(crate) struct Outbound {
    sockets: Vec<Option<Line>>,
    /// Places with a socket, in the order that they are polled.
    open: Vec<Place>,
    /// Places whose socket could not send, not yet told to the forwarder.
    failed: Vec<Place>,
}

/// One socket.
enum Line {
    Datagram(UdpSocket),
    Stream(OutboundStream),
}

/// What a socket had to say.
pub(crate) enum Received {
    /// A packet of this many octets.
    Packet(usize),
    /// Nothing more for now.
    Nothing,
    /// There is no way to the upstream, or nobody there.
    Failed,
}

impl Outbound {
    /// No sockets yet; room for all.
    pub(crate) fn new() -> Self {
        Self {
            sockets: (0..PLACES).map(|_| None).collect(),
            open: Vec::with_capacity(PLACES),
            failed: Vec::with_capacity(PLACES),
        }
    }

    /// Sends a question, by a new socket if it wants one. A failure is kept for [`Outbound::take_failed`].
    ///
    /// Where descriptors have run out that is a failure too: the query moves on or ends, and local names
    /// are answered as before.
    pub(crate) fn ask(&mut self, ask: &Ask<'_>) {
        let Some(slot) = self.sockets.get_mut(ask.place.index()) else {
            return;
        };
        if ask.fresh {
            // Given up first, so that its descriptor can be had again.
            *slot = None;
            if !self.open.contains(&ask.place) {
                self.open.push(ask.place);
            }
        }
        let sent = match slot {
            None if ask.place.is_stream() => OutboundStream::connect(ask.upstream, ask.octets)
                .map(|stream| *slot = Some(Line::Stream(stream))),
            None if ask.fresh => connect(ask.upstream).and_then(|socket| {
                let sent = socket.send(ask.octets);
                *slot = Some(Line::Datagram(socket));
                sent.map(drop)
            }),
            Some(Line::Datagram(socket)) => socket.send(ask.octets).map(drop),
            Some(Line::Stream(_)) | None => Err(io::ErrorKind::NotConnected.into()),
        };
        match sent {
            // A full send queue is a loss like any other: the retry takes care of it.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.failed.push(ask.place),
            Ok(()) | Err(_) => {}
        }
    }

    /// A place that the forwarder is to be told has failed.
    pub(crate) fn take_failed(&mut self) -> Option<Place> {
        self.failed.pop()
    }

    /// Reads one packet from the socket of `place`, without waiting.
    pub(crate) fn receive(&mut self, place: Place, buffer: &mut [u8]) -> Received {
        let received = match self.sockets.get_mut(place.index()).and_then(Option::as_mut) {
            None => return Received::Nothing,
            Some(Line::Datagram(socket)) => socket.recv(buffer),
            Some(Line::Stream(stream)) => stream.advance(buffer),
        };
        match received {
            Ok(length) => Received::Packet(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
            Err(_) => Received::Failed,
        }
    }

    /// Closes the sockets that nothing waits for, and adds the others to `set`. Returns how many those are.
    pub(crate) fn poll(&mut self, forwarder: &Forwarder, set: &mut PollSet) -> usize {
        let sockets = &mut self.sockets;
        self.open.retain(|&place| {
            let Some(slot) = sockets.get_mut(place.index()) else {
                return false;
            };
            if forwarder.is_free(place) {
                *slot = None;
            }
            match slot {
                Some(Line::Stream(stream)) if stream.is_sending() => set.push_writable(stream.as_fd()),
                Some(line) => set.push(line.as_fd()),
                None => return false,
            }
            true
        });
        self.open.len()
    }

    /// The place that [`Outbound::poll`] added as number `position`.
    pub(crate) fn polled(&self, position: usize) -> Option<Place> {
        self.open.get(position).copied()
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Datagram(socket) => socket.as_fd(),
            Self::Stream(stream) => stream.as_fd(),
        }
    }
}

/// A socket that hears `upstream` alone. Its source port is left to the kernel, which draws it from the whole
/// local range by its CSPRNG.
fn connect(upstream: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(upstream),
        Type::DGRAM.nonblocking(),
        Some(Protocol::UDP),
    )?;
    ignore_path_mtu(&socket, upstream.is_ipv6())?;
    socket.connect(&upstream.into())?;
    Ok(socket.into())
}
