//! One question to an upstream over TCP, and its reply: a connection each.
//!
//! ```text
//!  connect ─▶ length, question ─▶ length, reply ─▶ done          each step as far as the kernel takes it, never waiting
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Octets of a length in front of a message (RFC 1035, section 4.2.2).
pub(super) const LENGTH_OCTETS: usize = 2;

/// A connection on its way through the steps.
pub(crate) struct OutboundStream {
    stream: TcpStream,
    /// Length and question, as far as they are not sent.
    unsent: Vec<u8>,
    /// Length and reply, as far as they have come. It grows to what the length says, 64 KiB at most.
    received: Vec<u8>,
}

impl OutboundStream {
    /// Begins to connect to `upstream`, to ask `question` of it.
    ///
    /// # Errors
    ///
    /// What the kernel says, except that it takes time.
    pub(crate) fn connect(upstream: SocketAddr, question: &[u8]) -> io::Result<Self> {
        let stream = begin(upstream)?;
        let length = u16::try_from(question.len()).map_err(|_| ErrorKind::InvalidInput)?;
        // Length and message in one write (RFC 7766, section 8).
        let unsent = [&length.to_be_bytes(), question].concat();
        Ok(Self {
            stream,
            unsent,
            received: Vec::new(),
        })
    }

    /// Whether it waits to send, rather than to receive.
    pub(crate) fn is_sending(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends and receives what it can. Returns the reply's length in octets once it is whole, in `message`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`]: not yet. Any other: there will be no reply.
    pub(crate) fn advance(&mut self, message: &mut [u8]) -> io::Result<usize> {
        while self.is_sending() {
            let sent = later(self.stream.write(&self.unsent))?;
            self.unsent.drain(..sent.min(self.unsent.len()));
        }
        loop {
            let missing = match self.received.first_chunk::<LENGTH_OCTETS>() {
                None => LENGTH_OCTETS - self.received.len(),
                Some(length) => {
                    let whole = LENGTH_OCTETS + usize::from(u16::from_be_bytes(*length));
                    whole - self.received.len()
                }
            };
            if missing == 0 {
                break;
            }
            let room = message
                .get_mut(..missing)
                .ok_or(io::Error::from(ErrorKind::OutOfMemory))?;
            match later(self.stream.read(room))? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                length => self
                    .received
                    .extend_from_slice(room.get(..length).unwrap_or_default()),
            }
        }
        let reply = self.received.get(LENGTH_OCTETS..).unwrap_or_default();
        let room = message
            .get_mut(..reply.len())
            .ok_or(io::Error::from(ErrorKind::OutOfMemory))?;
        room.copy_from_slice(reply);
        let length = reply.len();
        // One question was asked, so there is no other reply: the next look finds the end.
        self.received.clear();
        Ok(length)
    }
}

impl AsFd for OutboundStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Begins to connect to `upstream`.
pub(super) fn begin(upstream: SocketAddr) -> io::Result<TcpStream> {
    let domain = Domain::for_address(upstream);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    match socket.connect(&upstream.into()) {
        Err(error) if !is_for_later(&error) => Err(error),
        Ok(()) | Err(_) => Ok(socket.into()),
    }
}

/// `result`, with all that means "not yet" told alike.
pub(super) fn later<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| match is_for_later(&error) {
        true => ErrorKind::WouldBlock.into(),
        false => error,
    })
}

/// Whether it only takes time. A connection under way says ENOTCONN to who reads from it (connect(2)).
fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        || matches!(
            error.raw_os_error().map(Errno::from_raw),
            Some(Errno::EINPROGRESS | Errno::ENOTCONN)
        )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// What comes of a question to a server that answers with `parts`, one after the other, and then closes.
    fn check(parts: &'static [&'static [u8]]) -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 6];
            stream.read_exact(&mut question).unwrap();
            assert_eq!(question, *b"\x00\x04what");
            for part in parts {
                stream.write_all(part).unwrap();
                thread::sleep(Duration::from_millis(10));
            }
        });
        let mut stream = OutboundStream::connect(address, b"what").unwrap();
        let (mut message, start) = ([0; 4096], Instant::now());
        let received = loop {
            match stream.advance(&mut message) {
                Ok(length) => break Ok(message[..length].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(start.elapsed() < Duration::from_secs(5), "it never ends");
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) => break Err(error),
            }
        };
        server.join().unwrap();
        received
    }

    #[test]
    fn a_reply_is_whole_however_it_comes() {
        assert_eq!(check(&[b"\x00\x05reply"]).unwrap(), b"reply");
        assert_eq!(check(&[b"\x00", b"\x05", b"r", b"ep", b"ly"]).unwrap(), b"reply");
        assert_eq!(check(&[b"\x00\x00"]).unwrap(), b"");
    }

    #[test]
    fn a_connection_that_ends_too_soon_is_a_failure() {
        let parts: [&[&[u8]]; 3] = [&[], &[b"\x00"], &[b"\x00\x05repl"]];
        for parts in parts {
            assert_eq!(check(parts).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn nobody_there_is_a_failure() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let failed = OutboundStream::connect(address, b"what").and_then(|mut stream| {
            thread::sleep(Duration::from_millis(50));
            stream.advance(&mut [0; 512])
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
