//! Datagrams as they are.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::{SOON, eventually};

/// How long to wait for a reply before it counts as silence.
const SILENCE: Duration = Duration::from_millis(250);

/// A UDP client that sends octets and shows what comes back.
pub(crate) struct Asker {
    socket: UdpSocket,
}

impl Asker {
    /// A client on a port of its own that hears `server` alone.
    pub(crate) fn of(server: SocketAddr) -> Self {
        Self::from(Ipv4Addr::LOCALHOST, server)
    }

    /// The same at `client`, one of this host's addresses.
    pub(crate) fn from(client: Ipv4Addr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((client, 0)).expect("a port of an address of ours");
        socket.connect(server).expect("loopback is there");
        socket
            .set_read_timeout(Some(SILENCE))
            .expect("a timeout above zero");
        Self { socket }
    }

    /// Sends one datagram and gives the reply, on which it waits for as long as a machine under load may need.
    ///
    /// # Panics
    ///
    /// When there is none within [`SOON`].
    pub(crate) fn expect_reply(&self, packet: &[u8]) -> Vec<u8> {
        self.send(packet);
        eventually("a reply", SOON, || {
            self.receive().ok_or_else(|| "silence".to_owned())
        })
    }

    /// Sends one datagram and gives the next that comes; `None`: silence.
    pub(crate) fn ask(&self, packet: &[u8]) -> Option<Vec<u8>> {
        self.send(packet);
        self.receive()
    }

    /// Sends one datagram.
    pub(crate) fn send(&self, packet: &[u8]) {
        self.socket.send(packet).expect("loopback takes it");
    }

    /// The next datagram; `None`: silence.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_535];
        match self.socket.recv(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                Some(buffer)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => unreachable!("loopback: {error}"),
        }
    }
}

/// A query of class IN with RD set and no EDNS.
pub(crate) fn query(id: u16, name: &str, rtype: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).expect("a label of 63 octets at most"));
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(rtype.to_be_bytes());
    packet.extend([0, 1]);
    packet
}

/// The response code of a reply's header.
pub(crate) fn rcode(reply: &[u8]) -> Option<u8> {
    reply.get(3).map(|flags| flags & 0x0f)
}

/// The number of records in a reply's answer section.
pub(crate) fn answers(reply: &[u8]) -> u16 {
    match reply {
        [_, _, _, _, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}
