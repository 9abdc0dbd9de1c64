//! Free ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that the kernel gives to who asks for any, so that no client of a test takes one before a server does.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// What comes next: each is handed out once in a run of a test, and the next run begins elsewhere.
static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(997)));

/// A loopback address whose port nobody has, neither for UDP nor for TCP.
pub(crate) fn free() -> SocketAddr {
    loop {
        let place = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = u16::try_from(FIRST + place).expect("below 30 000");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
