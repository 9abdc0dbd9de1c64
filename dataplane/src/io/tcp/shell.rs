//! The sockets of all streams and their worker: what both engines do between two waits.
//!
//! ```text
//!  turn: wait ─▶ listeners: accept ─▶ admit or refuse
//!          ▲     clients:   read ─────────┐
//!          │     relay:     answers ──────┼─▶ touched ─▶ advance: queries ─▶ replies ─▶ write ─▶ close?
//!          │     clock:     deadlines ────┘                (a bounded number of each client's)
//!          └──────────────────────────────────────────────────┘
//! ```
//!
//! One epoll instance holds every listener and connection, each for exactly what it may do next: what we would not
//! read cannot wake us, and an error, which wakes always, closes at once. So no state of a client makes a loop.

mod accept;

use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::Reader;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustls::ClientConfig;

use super::connection::{Closed, Connection};
use super::table::Table;
use crate::SpawnError;
use crate::counters::{StreamWriter, Writer};
use crate::forward::ReturnPath;
use crate::forward::{PLACES, config};
use crate::io::clock;
use crate::io::relay::Relay;
use crate::io::shell::Turn;
use crate::io::udp::PollSet;
use crate::limits::{
    DRAIN_MAX, REPLY_OCTETS_MAX, TCP_CONNECTIONS_MAX, TCP_EVENTS_PER_TURN_MAX, TCP_QUERIES_PER_TURN_MAX,
    TCP_READ_OCTETS_MAX,
};
use crate::path::StreamKey;
use crate::respond::{Outcome, Policy};
use crate::worker::{Answer, Share, Worker};

/// All that the worker of streams needs, before its thread exists.
pub(crate) struct Setup {
    /// The cores that it may run on.
    pub(crate) cores: Vec<usize>,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) reader: Reader,
    pub(crate) policy: Policy,
    pub(crate) routes: config::Reader,
    pub(crate) cache: Share,
    pub(crate) seed: [u8; 32],
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) counters: Writer,
    pub(crate) streams: StreamWriter,
}

/// All streams at work.
pub(crate) struct Shell {
    listeners: Vec<TcpListener>,
    table: Table<Client>,
    worker: Worker,
    relay: Relay,
    streams: StreamWriter,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    set: PollSet,
    bell: Option<PipeReader>,
    /// Room for one message, and for what is read at once.
    scratch: Vec<u8>,
    /// Connections that something happened to, each once.
    touched: Vec<StreamKey>,
    /// No connection has a deadline before this.
    due: Option<Instant>,
    /// When connections are taken again, after descriptors had run out.
    accept_again: Option<Instant>,
}

/// A connection's socket.
struct Client {
    stream: TcpStream,
    /// What epoll waits for.
    interest: EpollFlags,
    is_touched: bool,
}

/// Listeners are told from connections by a number that no place of the table has.
const FIRST_LISTENER: u64 = TCP_CONNECTIONS_MAX as u64;

impl Shell {
    /// Makes what all connections share. `bell` ends a wait when it can be read or its writer is gone.
    ///
    /// # Errors
    ///
    /// [`SpawnError::Thread`]: no descriptor is left.
    pub(crate) fn new(setup: Setup, bell: Option<PipeReader>) -> Result<Self, SpawnError> {
        let failed = |error: Errno| SpawnError::Thread(error.into());
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        for (number, listener) in (FIRST_LISTENER..).zip(&setup.listeners) {
            epoll
                .add(listener, EpollEvent::new(EpollFlags::EPOLLIN, number))
                .map_err(failed)?;
        }
        Ok(Self {
            worker: Worker::new(
                setup.reader,
                setup.policy,
                setup.routes,
                setup.cache,
                setup.seed,
                setup.counters,
            ),
            listeners: setup.listeners,
            table: Table::new(),
            relay: Relay::new(setup.tls),
            streams: setup.streams,
            epoll,
            events: vec![EpollEvent::empty(); TCP_EVENTS_PER_TURN_MAX],
            set: PollSet::with_capacity(PLACES + 2),
            bell,
            scratch: vec![0; REPLY_OCTETS_MAX],
            touched: Vec::new(),
            due: None,
            accept_again: None,
        })
    }

    /// What can be read whenever a listener or a connection has something for us.
    pub(crate) fn readiness(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }

    /// Whether there is more to do than [`Shell::readiness`] and [`Shell::next_deadline`] tell.
    pub(crate) fn is_waiting(&self) -> bool {
        self.worker.forwarder.under_way() > 0 || !self.touched.is_empty()
    }

    /// When a turn has something to do although nothing came in.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let relay = self.relay.next_deadline(&self.worker.forwarder);
        [self.due, self.accept_again, relay].into_iter().flatten().min()
    }

    /// To be called before a wait that may be long: no snapshot is kept through it.
    pub(crate) fn fall_asleep(&mut self) {
        self.worker.rest();
    }

    /// Sleeps until something comes in, something is due or `patience` is over, and then deals with all of it.
    pub(crate) fn turn(&mut self, patience: Option<Duration>) -> Turn {
        self.set.truncate(0);
        self.set.push(self.epoll.0.as_fd());
        let upstreams = self.relay.poll(&self.worker.forwarder, &mut self.set);
        self.bell.iter().for_each(|bell| self.set.push(bell.as_fd()));

        let is_busy = !self.touched.is_empty();
        let patience = if is_busy {
            Some(Duration::ZERO)
        } else {
            let due = self.next_deadline();
            let due = due.map(|due| due.saturating_duration_since(Instant::now()));
            patience.into_iter().chain(due).min()
        };
        let ready = self.set.wait(patience);
        let now = Instant::now();
        self.worker.set_time(clock::now());
        // A connection that was given up is told of before anything new is asked by the one that takes its place.
        let deliver = by(&mut self.table, &mut self.touched, now);
        self.relay.report_failures(&mut self.worker, deliver);
        if ready {
            if self.set.is_ready(0) {
                self.take_events(now);
            }
            for position in 0..upstreams {
                if self.set.is_ready(1 + position) {
                    let deliver = by(&mut self.table, &mut self.touched, now);
                    self.relay.collect(position, &mut self.worker, deliver);
                }
            }
        }
        let deliver = by(&mut self.table, &mut self.touched, now);
        self.relay.keep_time(&mut self.worker, deliver);
        self.keep_time(now);
        self.advance_touched(now);
        if ready || is_busy { Turn::Busy } else { Turn::Quiet }
    }

    /// Answers what has come in, waits for upstreams and slow readers for as long as a stop may take, and closes.
    pub(crate) fn drain(mut self) {
        // It has rung, and would end every wait at once.
        self.bell = None;
        let end = Instant::now() + DRAIN_MAX;
        while self.turn(Some(Duration::ZERO)) == Turn::Busy && Instant::now() < end {}
        self.listeners.clear();
        self.accept_again = None;
        let keys: Vec<_> = self.table.keys().collect();
        for key in keys {
            if let Some(entry) = self.table.get_mut(key) {
                entry.connection.end(Closed::Stopped);
            }
            touch(&mut self.table, &mut self.touched, key);
        }
        while !self.table.is_empty() && Instant::now() < end {
            self.turn(Some(end.saturating_duration_since(Instant::now())));
        }
        let now = Instant::now();
        let deliver = by(&mut self.table, &mut self.touched, now);
        self.relay.give_up(&mut self.worker, deliver);
        self.advance_touched(now);
        let keys: Vec<_> = self.table.keys().collect();
        keys.into_iter().for_each(|key| self.close(key, Closed::Stopped));
    }

    fn take_events(&mut self, now: Instant) {
        let count = self.epoll.wait(&mut self.events, EpollTimeout::ZERO).unwrap_or(0);
        for place in 0..count {
            let Some(&event) = self.events.get(place) else {
                return;
            };
            match event.data().checked_sub(FIRST_LISTENER) {
                Some(position) if position < self.listeners.len() as u64 => {
                    self.accept(position as usize, now);
                }
                _ => self.hear(StreamKey::of(event.data()), event.events()),
            }
        }
    }

    /// Reads from a connection that has something, or lets it go if it broke.
    fn hear(&mut self, key: StreamKey, events: EpollFlags) {
        let Some(entry) = self.table.get_mut(key) else {
            return;
        };
        // Both directions are shut: nobody is left to answer.
        let mut is_broken = events.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        if !is_broken && events.contains(EpollFlags::EPOLLIN) && entry.connection.wants_input() {
            let room = self.scratch.get_mut(..TCP_READ_OCTETS_MAX).unwrap_or_default();
            match entry.socket.stream.read(room) {
                Ok(0) => entry.connection.receive_end(),
                Ok(length) => entry.connection.receive(room.get(..length).unwrap_or_default()),
                Err(error) => is_broken = !is_for_later(&error),
            }
        }
        if is_broken {
            self.close(key, Closed::Broken);
        } else {
            touch(&mut self.table, &mut self.touched, key);
        }
    }

    /// Does what is due, apart from the relay's.
    fn keep_time(&mut self, now: Instant) {
        if self.accept_again.is_some_and(|due| due <= now) {
            self.accept_again = None;
            self.set_accepting(true);
        }
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        // Deadlines move later more often than they pass, so `due` is only a bound: here it is made exact again.
        self.due = None;
        let keys: Vec<_> = self.table.keys().collect();
        for key in keys {
            let Some(entry) = self.table.get_mut(key) else {
                continue;
            };
            entry.connection.on_deadline(now);
            if entry.connection.over().is_some() {
                touch(&mut self.table, &mut self.touched, key);
            } else {
                self.due = earlier(self.due, entry.connection.deadline());
            }
        }
    }

    /// Moves every connection on that something happened to.
    fn advance_touched(&mut self, now: Instant) {
        let mut touched = std::mem::take(&mut self.touched);
        for &key in &touched {
            if let Some(entry) = self.table.get_mut(key) {
                entry.socket.is_touched = false;
            }
            if let Some(why) = self.advance(key, now) {
                self.close(key, why);
            }
        }
        touched.clear();
        // What was touched meanwhile waits for the next turn.
        touched.append(&mut self.touched);
        self.touched = touched;
        let deliver = by(&mut self.table, &mut self.touched, now);
        self.relay.report_failures(&mut self.worker, deliver);
    }

    /// Answers some queries of a connection and sends what it can. Returns why it is over, if it is.
    fn advance(&mut self, key: StreamKey, now: Instant) -> Option<Closed> {
        let entry = self.table.get_mut(key)?;
        let (client, connection) = (&mut entry.socket, &mut entry.connection);
        for _ in 0..TCP_QUERIES_PER_TURN_MAX {
            let Some(query) = connection.next_query(now) else {
                break;
            };
            let length = query.len();
            self.scratch
                .get_mut(..length)
                .expect("a message has at most as many octets as there is room for")
                .copy_from_slice(query);
            // What upstreams answer comes later, and by another way.
            let outlet = &mut self.relay.outlet(|_, _| {});
            let scratch = &mut self.scratch;
            let outcome = self
                .worker
                .answer_one(entry.peer.ip(), key, scratch, length, now, outlet);
            match outcome {
                Outcome::Reply { length, .. } => {
                    connection.reply(self.scratch.get(..length).unwrap_or_default(), now);
                }
                Outcome::Forward | Outcome::Follow => connection.await_answer(),
                // Nothing that may be answered, a reply for example: whoever sends it is no client.
                Outcome::Drop => connection.end(Closed::Malformed),
            }
        }
        if send(&mut client.stream, connection, now).is_err() {
            return Some(Closed::Broken);
        }
        connection.settle(now);
        if let Some(why) = connection.over() {
            return Some(why);
        }
        let mut interest = EpollFlags::empty();
        interest.set(EpollFlags::EPOLLIN, connection.wants_input());
        interest.set(EpollFlags::EPOLLOUT, !connection.unsent().is_empty());
        if interest != client.interest {
            client.interest = interest;
            let mut event = EpollEvent::new(interest, key.number());
            if self.epoll.modify(&client.stream, &mut event).is_err() {
                return Some(Closed::Broken);
            }
        }
        self.due = earlier(self.due, connection.deadline());
        if connection.has_query() {
            touch(&mut self.table, &mut self.touched, key);
        }
        None
    }

    fn close(&mut self, key: StreamKey, why: Closed) {
        let Some(mut entry) = self.table.remove(key) else {
            return;
        };
        self.streams.closed(why).increment();
        // Octets left unread turn the end of the stream into a reset, which takes back replies on their way.
        let room = self.scratch.as_mut_slice();
        let _ = entry.socket.stream.read(room);
    }
}

/// How an answer from upstream goes back: into its connection, if that is still there.
fn by(
    table: &mut Table<Client>,
    touched: &mut Vec<StreamKey>,
    now: Instant,
) -> impl FnMut(&Answer<'_>, &Writer) {
    move |answer, _| {
        let ReturnPath::Stream { key, .. } = answer.to else {
            return;
        };
        if let Some(entry) = table.get_mut(key) {
            entry.connection.answer(answer.octets, now);
            touch(table, touched, key);
        }
    }
}

/// Notes that a connection is to be moved on.
fn touch(table: &mut Table<Client>, touched: &mut Vec<StreamKey>, key: StreamKey) {
    if let Some(entry) = table.get_mut(key)
        && !entry.socket.is_touched
    {
        entry.socket.is_touched = true;
        touched.push(key);
    }
}

/// Sends as much as the kernel takes, in as few writes as that can be.
fn send(stream: &mut TcpStream, connection: &mut Connection, now: Instant) -> io::Result<()> {
    while !connection.unsent().is_empty() {
        match stream.write(connection.unsent()) {
            Ok(length) => connection.sent(length, now),
            Err(error) if is_for_later(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests;
