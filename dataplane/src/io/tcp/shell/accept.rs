//! Connections as they come: admitted, refused, or put off while there are no descriptors.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Client, FIRST_LISTENER, Shell, earlier};
use crate::io::tcp::connection::{Closed, Connection};
use crate::io::tcp::table::{Admission, Entry};
use crate::limits::{TCP_ACCEPT_PAUSE, TCP_ACCEPTS_PER_TURN_MAX};

impl Shell {
    /// Takes the connections that a listener has queued.
    pub(super) fn accept(&mut self, position: usize, now: Instant) {
        for _ in 0..TCP_ACCEPTS_PER_TURN_MAX {
            let Some(listener) = self.listeners.get(position) else {
                return;
            };
            match listener.accept() {
                Ok((stream, peer)) => self.admit(stream, peer, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // This one went away while it waited; the error is its own.
                Err(error) if is_of_the_connection(&error) => {}
                // No descriptor, or no memory. Asking again at once would be answered alike, for ever.
                Err(_) => {
                    if let Some(key) = self.table.first_to_go() {
                        self.close(key, Closed::Displaced);
                    }
                    self.set_accepting(false);
                    self.accept_again = Some(now + TCP_ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr, now: Instant) {
        let may_ask = self.worker.may_ask(peer.ip());
        match self.table.admission(peer.ip(), may_ask) {
            Admission::Free => {}
            Admission::Displace(key) => self.close(key, Closed::Displaced),
            Admission::Refuse => {
                self.streams.refused.increment();
                return;
            }
        }
        // Replies are written whole: there is nothing that the kernel should wait for to send along.
        let prepared = stream
            .set_nonblocking(true)
            .and_then(|()| stream.set_nodelay(true));
        let interest = EpollFlags::EPOLLIN;
        let connection = Connection::new(now);
        self.due = earlier(self.due, connection.deadline());
        let client = Client {
            stream,
            interest,
            is_touched: false,
        };
        let key = self.table.insert(Entry {
            socket: client,
            peer,
            may_ask,
            connection,
        });
        self.streams.accepted.increment();
        let registered = self.table.get_mut(key).is_some_and(|entry| {
            let event = EpollEvent::new(interest, key.number());
            prepared.is_ok() && self.epoll.add(&entry.socket.stream, event).is_ok()
        });
        if !registered {
            self.close(key, Closed::Broken);
        }
    }

    pub(super) fn set_accepting(&mut self, accepting: bool) {
        let mut interest = EpollFlags::empty();
        interest.set(EpollFlags::EPOLLIN, accepting);
        for (number, listener) in (FIRST_LISTENER..).zip(&self.listeners) {
            // It can fail only for want of kernel memory; then the listener goes on as it did, which is harmless.
            let _ = self
                .epoll
                .modify(listener, &mut EpollEvent::new(interest, number));
        }
    }
}

/// Whether `accept` failed because of the connection it would have given (accept(2) lists these errors).
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(
            Errno::ECONNABORTED
                | Errno::EINTR
                | Errno::EPERM
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENOPROTOOPT
                | Errno::EHOSTDOWN
                | Errno::ENONET
                | Errno::EHOSTUNREACH
                | Errno::EOPNOTSUPP
                | Errno::ENETUNREACH
        )
    )
}
