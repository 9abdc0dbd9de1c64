//! Sockets towards upstreams: one in each place of the forwarder that has something to wait for.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};

use super::outbound_stream::OutboundStream;
use super::outbound_tls::OutboundTls;
use super::udp::{PollSet, ignore_path_mtu};
use crate::forward::{Ask, Forwarder, PLACES, Place, Trouble};

/// The open sockets of one core.
pub(crate) struct Outbound {
    sockets: Vec<Option<Line>>,
    /// Places with a socket, in the order that they are polled.
    open: Vec<Place>,
    /// Places whose socket is of no more use, not yet told to the forwarder.
    failed: Vec<Failed>,
    /// What certificates of upstreams are held against.
    tls: Option<Arc<ClientConfig>>,
}

/// A place whose socket is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) place: Place,
    /// When that was found out.
    pub(crate) since: Instant,
    /// Why.
    pub(crate) trouble: Trouble,
    /// It was a connection that had served before: a new one may be worth a try.
    pub(crate) is_end: bool,
}

/// One socket.
enum Line {
    Datagram(UdpSocket),
    Stream(OutboundStream),
    Tls(Box<OutboundTls>),
}

/// What a socket had to say.
pub(crate) enum Received {
    /// A packet of this many octets.
    Packet(usize),
    /// Nothing more for now.
    Nothing,
    /// There is no way to the upstream, or nobody there, or not who should be.
    Failed(Trouble),
    /// The connection, which had served before, has ended.
    Ended,
}

impl Outbound {
    /// No sockets yet; room for all. `tls`: what certificates of upstreams are held against, if some are asked over TLS.
    pub(crate) fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            sockets: (0..PLACES).map(|_| None).collect(),
            open: Vec::with_capacity(PLACES),
            failed: Vec::with_capacity(PLACES),
            tls,
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
        if let Some(name) = ask.tls {
            let asked = ask_over_tls(slot, self.tls.as_ref(), ask, name);
            if asked.is_ok() && !self.open.contains(&ask.place) {
                self.open.push(ask.place);
            }
            self.fail_unless(asked, ask.place);
            return;
        }
        if ask.fresh {
            // Given up first, so that its descriptor can be had again.
            *slot = None;
            if !self.open.contains(&ask.place) {
                self.open.push(ask.place);
            }
        }
        let sent = match slot {
            None if ask.place.is_stream() => OutboundStream::connect(ask.upstream, ask.octets)
                .map(|stream| *slot = Some(Line::Stream(stream))),
            None if ask.fresh => connect(ask.upstream).and_then(|socket| {
                let sent = socket.send(ask.octets);
                *slot = Some(Line::Datagram(socket));
                sent.map(drop)
            }),
            Some(Line::Datagram(socket)) => socket.send(ask.octets).map(drop),
            Some(Line::Stream(_) | Line::Tls(_)) | None => Err(io::ErrorKind::NotConnected.into()),
        };
        self.fail_unless(sent, ask.place);
    }

    /// Keeps that `place` has failed, if `sent` says so.
    fn fail_unless(&mut self, sent: io::Result<()>, place: Place) {
        match sent {
            // A full send queue is a loss like any other: the retry takes care of it.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                let is_end = self.sockets.get_mut(place.index()).is_some_and(give_up);
                self.failed.push(Failed {
                    place,
                    since: Instant::now(),
                    trouble: Trouble::of(&error),
                    is_end,
                });
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// A place that the forwarder is to be told of.
    pub(crate) fn take_failed(&mut self) -> Option<Failed> {
        self.failed.pop()
    }

    /// Whether a reply of `place` is here already, so that no socket tells of it.
    pub(crate) fn holds_reply(&self, place: Place) -> bool {
        let line = self.sockets.get(place.index()).and_then(Option::as_ref);
        matches!(line, Some(Line::Tls(line)) if line.holds_reply())
    }

    /// Reads one packet from the socket of `place`, without waiting.
    pub(crate) fn receive(&mut self, place: Place, buffer: &mut [u8], now: Instant) -> Received {
        let Some(slot) = self.sockets.get_mut(place.index()) else {
            return Received::Nothing;
        };
        let received = match slot {
            None => return Received::Nothing,
            Some(Line::Datagram(socket)) => socket.recv(buffer),
            Some(Line::Stream(stream)) => stream.advance(buffer),
            Some(Line::Tls(line)) => line.advance(buffer, now),
        };
        match received {
            Ok(length) => Received::Packet(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
            Err(_) if give_up(slot) => Received::Ended,
            Err(error) => Received::Failed(Trouble::of(&error)),
        }
    }

    /// Closes the sockets that nothing waits for, but those that are kept, and adds the others to `set`. Returns how many
    /// those are.
    pub(crate) fn poll(&mut self, forwarder: &Forwarder, set: &mut PollSet) -> usize {
        let (sockets, failed) = (&mut self.sockets, &mut self.failed);
        let is_any_kept = self.open.iter().any(|place| place.is_kept());
        let now = is_any_kept.then(Instant::now);
        self.open.retain(|&place| {
            let Some(slot) = sockets.get_mut(place.index()) else {
                return false;
            };
            let is_free = forwarder.is_free(place);
            match (&mut *slot, now) {
                (Some(Line::Tls(line)), Some(now)) if is_free && line.idle_until() <= now => {
                    line.end();
                    *slot = None;
                }
                (Some(Line::Tls(line)), Some(now)) if !is_free && line.silent_until() <= now => {
                    let is_end = give_up(slot);
                    failed.push(Failed {
                        place,
                        since: now,
                        trouble: Trouble::Silent,
                        is_end,
                    });
                }
                (Some(Line::Tls(_)), _) => {}
                _ if is_free => *slot = None,
                _ => {}
            }
            match slot {
                Some(Line::Stream(stream)) if stream.is_sending() => set.push_writable(stream.as_fd()),
                Some(Line::Tls(line)) if line.is_sending() => set.push_either(line.as_fd()),
                Some(line) => set.push(line.as_fd()),
                None => return false,
            }
            true
        });
        self.open.len()
    }

    /// When there is something to do although nothing came in: a connection that is kept is to be given up, or one was, which
    /// the forwarder is to hear of before it waits for what was asked by it.
    pub(crate) fn next_deadline(&self, forwarder: &Forwarder) -> Option<Instant> {
        let kept = self.open.iter().filter(|place| place.is_kept());
        let deadlines = kept.filter_map(|&place| match self.sockets.get(place.index())? {
            Some(Line::Tls(line)) if forwarder.is_free(place) => Some(line.idle_until()),
            Some(Line::Tls(line)) => Some(line.silent_until()),
            _ => None,
        });
        deadlines
            .chain(self.failed.iter().map(|failed| failed.since))
            .min()
    }

    /// The place that [`Outbound::poll`] added as number `position`.
    pub(crate) fn polled(&self, position: usize) -> Option<Place> {
        self.open.get(position).copied()
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Datagram(socket) => socket.as_fd(),
            Self::Stream(stream) => stream.as_fd(),
            Self::Tls(line) => line.as_fd(),
        }
    }
}

/// Asks by the connection in `slot`, or by a new one if there is none that leads where it should.
fn ask_over_tls(
    slot: &mut Option<Line>,
    config: Option<&Arc<ClientConfig>>,
    ask: &Ask<'_>,
    name: &ServerName<'static>,
) -> io::Result<()> {
    let now = Instant::now();
    let is_there = matches!(slot, Some(Line::Tls(line)) if line.leads_to(ask.upstream, name));
    if !is_there {
        // `spawn` was given what it takes if any upstream is asked so.
        let config = config.ok_or(io::ErrorKind::Unsupported)?;
        *slot = None;
        *slot = Some(Line::Tls(Box::new(OutboundTls::connect(
            config,
            ask.upstream,
            name,
            now,
        )?)));
    }
    match slot {
        Some(Line::Tls(line)) => line.ask(ask.octets, ask.fresh, now),
        _ => Err(io::ErrorKind::NotConnected.into()),
    }
}

/// Closes a connection that is kept. Returns whether it had served before.
fn give_up(slot: &mut Option<Line>) -> bool {
    let has_served = matches!(slot, Some(Line::Tls(line)) if line.has_served());
    if let Some(Line::Tls(_)) = slot {
        *slot = None;
    }
    has_served
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

#[cfg(test)]
mod tests {
    use std::thread;

    use dns::Query;

    use super::*;
    use crate::forward::{Action, Asked};
    use crate::io::silent::Silent;
    use crate::limits::{TLS_IDLE_MAX, TLS_SILENCE_MAX};

    /// A forwarder that asks a server over TLS which says nothing.
    struct Scene {
        forwarder: Forwarder,
        outbound: Outbound,
        set: PollSet,
        _server: Silent,
    }

    impl Scene {
        fn new() -> Self {
            let server = Silent::new();
            let mut forwarder = Forwarder::new([7; 32]);
            forwarder.set_config(&server.config());
            Self {
                forwarder,
                outbound: Outbound::new(Some(Silent::trust())),
                set: PollSet::with_capacity(4),
                _server: server,
            }
        }

        fn ask(&mut self) {
            let packet = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
            let asked = Asked::of(&Query::parse(packet).unwrap());
            let Self {
                forwarder, outbound, ..
            } = self;
            forwarder.refresh(Instant::now(), asked, &mut |action| match action {
                Action::Ask(ask) => outbound.ask(&ask),
                other => panic!("{other:?}"),
            });
        }

        fn poll(&mut self) -> usize {
            self.set.truncate(0);
            self.outbound.poll(&self.forwarder, &mut self.set)
        }

        /// How long after `from` there is something to do.
        fn due_within(&self, from: Instant) -> Option<std::time::Duration> {
            let due = self.outbound.next_deadline(&self.forwarder)?;
            Some(due.saturating_duration_since(from))
        }
    }

    #[test]
    fn what_waits_for_a_silent_connection_is_told_of_it_at_once() {
        let mut scene = Scene::new();
        assert_eq!(scene.outbound.next_deadline(&scene.forwarder), None);
        let start = Instant::now();
        scene.ask();
        let asked = start.elapsed();
        assert_eq!(scene.poll(), 1);
        let due = scene.due_within(start).unwrap();
        assert!(
            (TLS_SILENCE_MAX..=TLS_SILENCE_MAX + asked).contains(&due),
            "{due:?}"
        );
        thread::sleep(due.saturating_sub(start.elapsed()));
        assert_eq!(scene.poll(), 0, "it is closed");
        let due = scene.outbound.next_deadline(&scene.forwarder);
        assert!(
            due.is_some_and(|due| due <= Instant::now()),
            "there is no waiting"
        );
        assert!(scene.outbound.take_failed().is_some_and(|failed| !failed.is_end));
        assert_eq!(scene.outbound.next_deadline(&scene.forwarder), None);
    }

    #[test]
    fn a_connection_that_nothing_is_asked_by_is_due_once_it_is_not_worth_keeping() {
        let mut scene = Scene::new();
        let start = Instant::now();
        scene.ask();
        let asked = start.elapsed();
        scene.forwarder.give_up(&mut |_| {});
        assert_eq!(scene.poll(), 1, "it is kept");
        let due = scene.due_within(start).unwrap();
        assert!((TLS_IDLE_MAX..=TLS_IDLE_MAX + asked).contains(&due), "{due:?}");
    }
}
