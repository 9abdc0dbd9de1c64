//! The way back to a client, remembered while its query waits. Plain numbers: it is known to what decides, which
//! has no sockets, and to what has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The way back to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnPath {
    /// One datagram, by the socket and from the address that the query came to.
    Datagram {
        /// Which of the core's listening sockets.
        listener: u8,
        /// The client.
        peer: SocketAddr,
        /// Our address that it asked.
        local: Local,
    },
    /// The connection that the query came by, if it is still there.
    Stream {
        /// Which connection.
        key: StreamKey,
        /// The client.
        peer: IpAddr,
    },
}

impl ReturnPath {
    /// The client's address. It is to have no more than its share of what waits.
    pub(crate) fn client(&self) -> IpAddr {
        match self {
            Self::Datagram { peer, .. } => peer.ip(),
            Self::Stream { peer, .. } => *peer,
        }
    }
}

/// The address of ours that a query came to, which its reply must leave from (RFC 2181, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// The one address that the socket is bound to.
    Bound,
    /// This one.
    V4(Ipv4Addr),
    /// This one, on the interface with this index (0: whichever the route says).
    V6(Ipv6Addr, u32),
}

/// Where the question of a client is kept that asked about an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AliasSlot(pub(crate) u16);

/// Names one connection for as long as the process runs: a later one in the same place has another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl StreamKey {
    /// As one number, for the kernel to keep beside the descriptor.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that [`StreamKey::number`] was taken from.
    pub(crate) fn of(number: u64) -> Self {
        let half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
        Self {
            index: half(number),
            generation: half(number >> 32),
        }
    }
}
