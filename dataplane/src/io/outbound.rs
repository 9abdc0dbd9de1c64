//! Sockets towards upstreams: one in each place of the forwarder that has something to wait for.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::udp::{PollSet, ignore_path_mtu};
use crate::forward::{Ask, Forwarder, Place};
use crate::limits::UPSTREAM_SOCKETS_MAX;

/// The open sockets of one core.
pub(crate) struct Outbound {
    sockets: Vec<Option<UdpSocket>>,
    /// Places with a socket, in the order that they are polled.
    open: Vec<Place>,
    /// Places whose socket could not send, not yet told to the forwarder.
    failed: Vec<Place>,
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
            sockets: (0..UPSTREAM_SOCKETS_MAX).map(|_| None).collect(),
            open: Vec::with_capacity(UPSTREAM_SOCKETS_MAX),
            failed: Vec::with_capacity(UPSTREAM_SOCKETS_MAX),
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
        let sent = if ask.fresh {
            // Given up first, so that its descriptor can be had again.
            *slot = None;
            connect(ask.upstream).and_then(|socket| {
                let socket = slot.insert(socket);
                if !self.open.contains(&ask.place) {
                    self.open.push(ask.place);
                }
                socket.send(ask.octets)
            })
        } else {
            slot.as_ref()
                .ok_or(io::ErrorKind::NotConnected.into())
                .and_then(|socket| socket.send(ask.octets))
        };
        match sent {
            // A full send queue is a loss like any other: the retry takes care of it.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.failed.push(ask.place),
            Ok(_) | Err(_) => {}
        }
    }

    /// A place that the forwarder is to be told has failed.
    pub(crate) fn take_failed(&mut self) -> Option<Place> {
        self.failed.pop()
    }

    /// Reads one packet from the socket of `place`, without waiting.
    pub(crate) fn receive(&self, place: Place, buffer: &mut [u8]) -> Received {
        let Some(socket) = self.sockets.get(place.index()).and_then(Option::as_ref) else {
            return Received::Nothing;
        };
        match socket.recv(buffer) {
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
            slot.as_ref().inspect(|socket| set.push(socket.as_fd())).is_some()
        });
        self.open.len()
    }

    /// The place that [`Outbound::poll`] added as number `position`.
    pub(crate) fn polled(&self, position: usize) -> Option<Place> {
        self.open.get(position).copied()
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
