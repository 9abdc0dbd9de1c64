//! Free ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// A loopback address whose port nobody has, neither for UDP nor for TCP.
///
/// Somebody else could take it before the caller does. The kernel hands such ports out at random, so that takes bad luck.
pub(crate) fn free() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port for UDP");
        let address = udp.local_addr().expect("its address");
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
