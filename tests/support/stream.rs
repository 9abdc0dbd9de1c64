//! DNS over TCP as it is: octets, segments and the end of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, connect, socket,
};

use super::SOON;

/// A client with one connection.
pub(crate) struct Stream {
    stream: TcpStream,
}

/// A message with its length before it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a message of 65,535 octets at most");
    [&length.to_be_bytes(), message].concat()
}

impl Stream {
    /// Connects to `server`.
    pub(crate) fn to(server: SocketAddr) -> Self {
        Self::of(TcpStream::connect(server).expect("the server listens"))
    }

    /// Connects to `server` from `client`, one of the many addresses of loopback.
    pub(crate) fn from(client: Ipv4Addr, server: SocketAddr) -> Self {
        let flags = SockFlag::SOCK_CLOEXEC;
        let stream = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a descriptor");
        let [a, b, c, d] = client.octets();
        bind(stream.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0)).expect("an address of loopback");
        connect(stream.as_raw_fd(), &SockaddrStorage::from(server)).expect("the server listens");
        Self::of(stream.into())
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a connected socket");
        stream
            .set_read_timeout(Some(SOON + SOON))
            .expect("a timeout above zero");
        stream
            .set_write_timeout(Some(SOON + SOON))
            .expect("a timeout above zero");
        Self { stream }
    }

    /// Sends octets, in one segment if they fit into one. False: the connection is gone.
    pub(crate) fn send(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).is_ok()
    }

    /// Sends no more.
    pub(crate) fn end(&self) {
        // A connection that is gone has ended too.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next message; `None`: the connection ended before one, by whatever means.
    ///
    /// # Panics
    ///
    /// When nothing comes for long, or the connection ends inside a message.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        if !self.fill(&mut length) {
            return None;
        }
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        assert!(self.fill(&mut message), "it ended inside a message");
        Some(message)
    }

    /// Sends one message and gives the next that comes.
    pub(crate) fn ask(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.send(&framed(message));
        self.receive()
    }

    /// What one read gives; empty at the end.
    pub(crate) fn read_once(&mut self) -> Vec<u8> {
        let mut octets = vec![0; 1 << 16];
        let length = self.stream.read(&mut octets).expect("the connection lives");
        octets.truncate(length);
        octets
    }

    /// How long the server takes to end the connection, when nothing more comes of it.
    ///
    /// # Panics
    ///
    /// When a message comes.
    pub(crate) fn time_to_end(&mut self) -> Duration {
        let start = Instant::now();
        assert_eq!(self.receive(), None);
        start.elapsed()
    }

    /// Waits until there is something to read, without reading it.
    pub(crate) fn await_something(&self) {
        let peeked = self.stream.peek(&mut [0]);
        assert!(matches!(peeked, Ok(1)), "{peeked:?}");
    }

    /// Whether the server has ended it already.
    pub(crate) fn has_ended(&self) -> bool {
        self.stream.set_nonblocking(true).expect("a connected socket");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a connected socket");
        match peeked {
            Ok(length) => length == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// False: the connection ended before the first octet, or broke.
    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        match self.stream.read_exact(buffer) {
            Ok(()) => true,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                false
            }
            Err(error) => unreachable!("loopback: {error}"),
        }
    }
}
