//! Opening the listening sockets: for each address one per core for UDP and one for TCP, before any worker runs and
//! before privileges are dropped.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use super::tcp;
use super::udp::{self, Listener};
use crate::limits::RECEIVE_QUEUE_OCTETS;

/// An address that is ours, over UDP and TCP: the kernel spreads the clients of UDP over one socket per core.
#[derive(Debug)]
pub struct BoundAddress {
    address: SocketAddr,
    listeners: Vec<Listener>,
    streams: TcpListener,
}

/// What travels over an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// Why an address could not be bound. Read by a person at start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is held.
    #[error("{address} ({protocol}) is in use by another process: stop it, or listen elsewhere")]
    InUse {
        /// What was to be bound.
        address: SocketAddr,
        /// Over what.
        protocol: Protocol,
    },
    /// A port below 1024 without the privilege for it.
    #[error(
        "{address} ({protocol}) needs a privilege: run as root, grant CAP_NET_BIND_SERVICE, or listen on port 1024 or above"
    )]
    Denied {
        /// What was to be bound.
        address: SocketAddr,
        /// Over what.
        protocol: Protocol,
    },
    /// No interface has the address.
    #[error("{address} ({protocol}) is not an address of this host")]
    NotHere {
        /// What was to be bound.
        address: SocketAddr,
        /// Over what.
        protocol: Protocol,
    },
    /// Anything else.
    #[error("{address} ({protocol}) cannot be bound")]
    Other {
        /// What was to be bound.
        address: SocketAddr,
        /// Over what.
        protocol: Protocol,
        /// What the kernel said.
        source: io::Error,
    },
}

impl BoundAddress {
    /// The address, with the port that the kernel chose if port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many sockets there are for UDP: as many as cores can serve it.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.listeners.len()
    }

    /// Has each datagram go to the worker on the core where it arrives, instead of to one by the client's address and port.
    /// `cores` has a core for each socket; what arrives on another one is spread as before.
    ///
    /// # Errors
    ///
    /// [`BindError::Other`]: the kernel does not do it.
    pub fn steer_by_core(&self, cores: &[usize]) -> Result<(), BindError> {
        let Some(first) = self.listeners.first().filter(|_| self.listeners.len() > 1) else {
            return Ok(());
        };
        udp::steer_by_core(first, cores).map_err(|source| BindError::Other {
            address: self.address,
            protocol: Protocol::Udp,
            source,
        })
    }

    #[cfg(test)]
    pub(crate) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The sockets: one for each core for UDP, and the one for TCP.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Listener>, TcpListener) {
        (self.listeners, self.streams)
    }
}

/// Binds `address` for UDP, `sockets` times, and for TCP. Port 0 lets the kernel choose one port for all of them.
///
/// # Errors
///
/// As the variants of [`BindError`] say. Either all sockets are bound or none.
pub fn bind(address: SocketAddr, sockets: usize) -> Result<BoundAddress, BindError> {
    let mut draws = PORT_DRAWS_MAX;
    loop {
        draws -= 1;
        match bind_both(address, sockets) {
            // The port that the kernel chose for UDP is somebody's for TCP.
            Err(BindError::InUse { .. }) if address.port() == 0 && draws > 0 => {}
            result => return result,
        }
    }
}

/// How often the kernel is asked for a port that is free for both.
const PORT_DRAWS_MAX: usize = 16;

fn bind_both(address: SocketAddr, sockets: usize) -> Result<BoundAddress, BindError> {
    let explain = |address, protocol, source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address, protocol },
        io::ErrorKind::PermissionDenied => BindError::Denied { address, protocol },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { address, protocol },
        _ => BindError::Other {
            address,
            protocol,
            source,
        },
    };
    let mut bound = address;
    let mut listeners = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        // The first socket settles the port; the others follow it.
        let first = listeners.is_empty();
        let (listener, address) =
            open(bound, first).map_err(|error| explain(address, Protocol::Udp, error))?;
        bound = address;
        listeners.push(listener);
    }
    let streams = tcp::open(bound).map_err(|error| explain(bound, Protocol::Tcp, error))?;
    Ok(BoundAddress {
        address: bound,
        listeners,
        streams,
    })
}

fn open(address: SocketAddr, first: bool) -> io::Result<(Listener, SocketAddr)> {
    // Left blocking: io_uring answers EAGAIN at once on a non-blocking socket instead of waiting. Each of our own
    // calls says MSG_DONTWAIT.
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(socket2::Protocol::UDP),
    )?;
    let wildcard = address.ip().is_unspecified();
    match address.ip() {
        // Replies must leave from the address that was asked; only a wildcard socket has to be told which.
        IpAddr::V4(_) if wildcard => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
        IpAddr::V4(_) => {}
        IpAddr::V6(_) => {
            socket.set_only_v6(true)?;
            if wildcard {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            }
        }
    }
    udp::ignore_path_mtu(&socket, address.is_ipv6())?;
    // Past the system's limit only with CAP_NET_ADMIN; without it the kernel gives as much as it may.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_QUEUE_OCTETS).is_err() {
        socket.set_recv_buffer_size(RECEIVE_QUEUE_OCTETS)?;
    }
    // With SO_REUSEPORT set before its bind, the first socket would quietly join a group that another
    // process of the same user holds, and the two would answer half of the clients each. Bound without
    // it, it is refused; set afterwards, it opens the group for our own others.
    if !first {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    if first {
        socket.set_reuse_port(true)?;
    }
    let address = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((Listener::new(socket, wildcard), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:0";

    fn refused(address: &str) -> String {
        bind(address.parse().unwrap(), 2).unwrap_err().to_string()
    }

    #[test]
    fn all_sockets_of_an_address_share_the_port_the_kernel_chose() {
        let bound = bind(LOOPBACK.parse().unwrap(), 3).unwrap();
        assert_ne!(bound.address().port(), 0);
        assert_eq!(bound.sockets(), 3);
    }

    #[test]
    fn a_held_port_is_an_error_even_where_its_holder_would_share_it() {
        let alone = std::net::UdpSocket::bind(LOOPBACK).unwrap();
        let address = alone.local_addr().unwrap().to_string();
        assert!(refused(&address).contains(&format!("{address} (UDP) is in use")));

        let sharing = bind(LOOPBACK.parse().unwrap(), 2).unwrap();
        assert!(refused(&sharing.address().to_string()).contains("is in use"));
        // A wildcard covers every address of the port.
        assert!(refused(&format!("0.0.0.0:{}", sharing.address().port())).contains("is in use"));
    }

    #[test]
    fn an_address_is_had_for_udp_and_tcp_or_not_at_all() {
        let held = TcpListener::bind(LOOPBACK).unwrap();
        let address = held.local_addr().unwrap();
        assert!(refused(&address.to_string()).contains(&format!("{address} (TCP) is in use")));
        // What had been bound for UDP was let go.
        std::net::UdpSocket::bind(address).unwrap();
        drop(held);
        let bound = bind(address, 1).unwrap();
        TcpListener::bind(bound.address()).unwrap_err();
    }

    #[test]
    fn an_address_can_be_had_again_while_connections_of_the_last_run_linger() {
        let bound = bind(LOOPBACK.parse().unwrap(), 1).unwrap();
        let address = bound.address();
        let _client = std::net::TcpStream::connect(address).unwrap();
        let (_, listener) = bound.into_parts();
        // We close first, so the connection stays with the kernel.
        drop(listener.accept().unwrap());
        drop(listener);
        bind(address, 1).unwrap();
    }

    #[test]
    fn an_address_of_another_host_is_told_as_such() {
        assert!(refused("192.0.2.1:5353").contains("192.0.2.1:5353 (UDP) is not an address of this host"));
    }

    #[test]
    fn both_families_may_hold_the_wildcard_of_one_port() {
        let v4 = bind("0.0.0.0:0".parse().unwrap(), 1).unwrap();
        bind(format!("[::]:{}", v4.address().port()).parse().unwrap(), 1).unwrap();
    }
}
