//! A connection to an upstream over TLS (RFC 7858), kept for one question after another.
//!
//! ```text
//!  connect ─▶ handshake, certificate ─▶ length, question … ▶          each step as far as the kernel takes it, never waiting
//!                                     ◀─ length, reply, in any order
//! ```
//!
//! rustls moves octets and decides nothing about sockets, so this is the same non-blocking code under both engines. What
//! it takes of memory it allocates: octets of TLS are worth far more than an allocation.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::outbound_stream::{LENGTH_OCTETS, begin, later};
use crate::limits::{TLS_IDLE_MAX, TLS_SILENCE_MAX, TLS_UNSENT_OCTETS_MAX};

/// A connection that is kept.
pub(crate) struct OutboundTls {
    upstream: SocketAddr,
    name: ServerName<'static>,
    stream: TcpStream,
    tls: ClientConnection,
    /// Questions, each behind its length, that TLS has not taken.
    unsent: Vec<u8>,
    /// What has come and was not handed on: the beginning of a reply, and at times whole ones.
    received: Vec<u8>,
    /// It has brought a reply.
    has_served: bool,
    /// When something came last, or a question was asked while nothing else waited.
    quiet_since: Instant,
}

impl OutboundTls {
    /// Begins to connect to `upstream`, whose certificate must be for `name` and hold before what `config` trusts.
    ///
    /// # Errors
    ///
    /// What the kernel or rustls says, except that it takes time.
    pub(crate) fn connect(
        config: &Arc<ClientConfig>,
        upstream: SocketAddr,
        name: &ServerName<'static>,
        now: Instant,
    ) -> io::Result<Self> {
        let tls = ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
        let stream = begin(upstream)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            upstream,
            name: name.clone(),
            stream,
            tls,
            unsent: Vec::new(),
            received: Vec::new(),
            has_served: false,
            quiet_since: now,
        })
    }

    /// Whether it leads to this upstream, under this name.
    pub(crate) fn leads_to(&self, upstream: SocketAddr, name: &ServerName<'static>) -> bool {
        self.upstream == upstream && self.name == *name
    }

    /// Whether it has brought a reply: if it ends, a new one is worth a try.
    pub(crate) fn has_served(&self) -> bool {
        self.has_served
    }

    /// Whether it waits to send as well as to receive.
    pub(crate) fn is_sending(&self) -> bool {
        self.tls.wants_write() || !self.unsent.is_empty() && !self.tls.is_handshaking()
    }

    /// When it is no longer worth keeping, if nothing is asked by it until then.
    pub(crate) fn idle_until(&self) -> Instant {
        self.quiet_since + TLS_IDLE_MAX
    }

    /// When replies that are waited for will not come any more, if nothing does until then.
    pub(crate) fn silent_until(&self) -> Instant {
        self.quiet_since + TLS_SILENCE_MAX
    }

    /// Whether a whole reply is there that was not handed on.
    pub(crate) fn holds_reply(&self) -> bool {
        self.whole().is_some()
    }

    /// Sends `question` as soon as it can be. `is_first`: nothing else is waited for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`]: too much waits to be sent, and this is lost. Any other: nothing will be sent any more.
    pub(crate) fn ask(&mut self, question: &[u8], is_first: bool, now: Instant) -> io::Result<()> {
        if is_first {
            self.quiet_since = now;
        }
        if self.unsent.len() + LENGTH_OCTETS + question.len() > TLS_UNSENT_OCTETS_MAX {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = u16::try_from(question.len()).map_err(|_| ErrorKind::InvalidInput)?;
        self.unsent.extend_from_slice(&length.to_be_bytes());
        self.unsent.extend_from_slice(question);
        self.send()
    }

    /// Sends and receives what it can. Returns the next reply's length in octets once it is whole, in `message`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`]: not yet. Any other: there will be no reply any more, as the connection has ended or
    /// whoever is there is not whom we want to speak to.
    pub(crate) fn advance(&mut self, message: &mut [u8], now: Instant) -> io::Result<usize> {
        loop {
            if let Some(length) = self.take(message)? {
                self.has_served = true;
                return Ok(length);
            }
            self.send()?;
            if later(self.tls.read_tls(&mut self.stream))? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.quiet_since = now;
            if let Err(error) = self.tls.process_new_packets() {
                // It is told why, if it still listens.
                let _ = self.tls.write_tls(&mut self.stream);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            self.decrypt()?;
        }
    }

    /// Says that nothing more will be asked, as far as that can be said at once.
    pub(crate) fn end(&mut self) {
        self.tls.send_close_notify();
        let _ = self.send();
    }

    fn send(&mut self) -> io::Result<()> {
        loop {
            let taken = match self.tls.is_handshaking() || self.unsent.is_empty() {
                true => 0,
                false => self.tls.writer().write(&self.unsent)?,
            };
            self.unsent.drain(..taken.min(self.unsent.len()));
            while self.tls.wants_write() {
                match later(self.tls.write_tls(&mut self.stream)) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                    Ok(_) => {}
                }
            }
            if taken == 0 {
                return Ok(());
            }
        }
    }

    /// Takes over what TLS has made of the octets that came: one record's worth, or a few.
    fn decrypt(&mut self) -> io::Result<()> {
        let mut octets = [0; 4096];
        loop {
            match self.tls.reader().read(&mut octets) {
                // The end, as it should be said. What came before it counts.
                Ok(0) if self.holds_reply() => return Ok(()),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self
                    .received
                    .extend_from_slice(octets.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The first reply, if all of it is there.
    fn whole(&self) -> Option<&[u8]> {
        let (length, rest) = self.received.split_first_chunk::<LENGTH_OCTETS>()?;
        rest.get(..usize::from(u16::from_be_bytes(*length)))
    }

    fn take(&mut self, message: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(reply) = self.whole() else {
            return Ok(None);
        };
        let length = reply.len();
        let room = message
            .get_mut(..length)
            .ok_or(io::Error::from(ErrorKind::OutOfMemory))?;
        room.copy_from_slice(reply);
        self.received.drain(..LENGTH_OCTETS + length);
        Ok(Some(length))
    }
}

impl AsFd for OutboundTls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
