//! One client's connection, without its socket: octets go in as they come, whole queries come out, and replies go back.
//!
//! ```text
//!  received ─▶ input ─▶ next_query ─▶ │ length: u16 │ message │      big-endian; RFC 1035, section 4.2.2
//!                          │
//!                          ├─ answered at once ──▶ reply ────┐
//!                          └─ waits for an upstream ─▶ answer ┴─▶ output ─▶ unsent ─▶ sent
//! ```
//!
//! Replies leave in the order they are ready, not in that of their queries (RFC 7766, section 6.2.1.1). A client that
//! does not read what it asked for is not read from either, so what it can make us keep has a bound; and whatever a
//! client leaves undone has a deadline: it sends nothing, a part of a query, or takes nothing.

use std::time::Instant;

use dns::wire::HEADER_OCTETS;

use crate::limits::{
    REPLY_OCTETS_MAX, TCP_IDLE_MAX, TCP_OUTPUT_OCTETS_MAX, TCP_OUTPUT_TIME_MAX, TCP_QUERIES_IN_FLIGHT_MAX,
    TCP_QUERY_TIME_MAX,
};

/// Octets of the length that stands before each message.
pub(crate) const LENGTH_OCTETS: usize = 2;

/// Buffers that have grown beyond this are given back once they are empty: most queries and replies are shorter.
const KEPT_OCTETS_MAX: usize = 1024;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client had no more to ask.
    Finished,
    /// It asked nothing for a while.
    Idle,
    /// It was idle, and another client needed its place.
    Displaced,
    /// It did not complete a query in time.
    SlowQuery,
    /// It did not take its replies in time.
    SlowReader,
    /// It sent what is no query.
    Malformed,
    /// It broke.
    Broken,
    /// We are stopping.
    Stopped,
}

impl Closed {
    /// Every reason, in the order that they are counted in.
    pub(crate) const ALL: [Self; 8] = [
        Self::Finished,
        Self::Idle,
        Self::Displaced,
        Self::SlowQuery,
        Self::SlowReader,
        Self::Malformed,
        Self::Broken,
        Self::Stopped,
    ];

    /// The reason in a word or two, as counters are labelled.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Idle => "idle",
            Self::Displaced => "displaced",
            Self::SlowQuery => "slow_query",
            Self::SlowReader => "slow_reader",
            Self::Malformed => "malformed",
            Self::Broken => "broken",
            Self::Stopped => "stopped",
        }
    }
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Octets received; the first `read` of them were taken as queries.
    input: Vec<u8>,
    read: usize,
    /// Framed replies; the first `written` octets of them were sent.
    output: Vec<u8>,
    written: usize,
    /// Queries that wait for an upstream.
    in_flight: usize,
    /// The client will send no more.
    has_ended: bool,
    /// No further query is taken, for this reason; what is owed is still sent.
    ending: Option<Closed>,
    /// When it began, last completed a query, or was last given all that it asked for.
    quiet_since: Instant,
    /// When the query that has begun must be whole.
    query_due: Option<Instant>,
    /// When the next `owed` octets of output must be sent.
    output_due: Option<Instant>,
    owed: usize,
}

impl Connection {
    /// A connection that begins at `now`. Allocates nothing until octets come.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            input: Vec::new(),
            read: 0,
            output: Vec::new(),
            written: 0,
            in_flight: 0,
            has_ended: false,
            ending: None,
            quiet_since: now,
            query_due: None,
            output_due: None,
            owed: 0,
        }
    }

    /// Whether more octets may be received. Not while whole queries wait to be taken, so that they stay few.
    pub(crate) fn wants_input(&self) -> bool {
        !self.has_ended && self.ending.is_none() && !self.is_full() && self.whole_query().is_none()
    }

    /// Takes in octets that the client sent.
    pub(crate) fn receive(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    /// The client will send no more. What it asked before is still answered (RFC 7766, section 6.2.4).
    pub(crate) fn receive_end(&mut self) {
        self.has_ended = true;
    }

    /// The next whole query, unless there is none or the client has to take some replies first.
    ///
    /// What is too short to be a query ends the connection: the sender is not in step with us.
    pub(crate) fn next_query(&mut self, now: Instant) -> Option<&[u8]> {
        if self.ending.is_some() || self.is_full() {
            return None;
        }
        let length = self.whole_query()?;
        if length < HEADER_OCTETS {
            self.end(Closed::Malformed);
            return None;
        }
        let start = self.read + LENGTH_OCTETS;
        self.read = start + length;
        self.quiet_since = now;
        self.query_due = None;
        self.input.get(start..self.read)
    }

    /// Whether [`Connection::next_query`] would do something.
    pub(crate) fn has_query(&self) -> bool {
        self.ending.is_none() && !self.is_full() && self.whole_query().is_some()
    }

    /// The query taken last waits for an upstream; [`Connection::answer`] will end that.
    pub(crate) fn await_answer(&mut self) {
        self.in_flight += 1;
    }

    /// Queues the answer to a query that waited. One that finds no room ends the connection, and all that was queued
    /// is forgotten: the client asked for more than it takes.
    pub(crate) fn answer(&mut self, message: &[u8], now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.unsent().len() + LENGTH_OCTETS + message.len() > TCP_OUTPUT_OCTETS_MAX {
            self.abandon(Closed::SlowReader);
        } else {
            self.reply(message, now);
        }
    }

    /// Queues a reply. There is room for one after each [`Connection::next_query`].
    pub(crate) fn reply(&mut self, message: &[u8], now: Instant) {
        let Ok(length) = u16::try_from(message.len()) else {
            return;
        };
        self.output.extend_from_slice(&length.to_be_bytes());
        self.output.extend_from_slice(message);
        if self.output_due.is_none() {
            self.expect_output(now);
        }
    }

    /// What is to be sent.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// The first `octets` of [`Connection::unsent`] were sent.
    pub(crate) fn sent(&mut self, octets: usize, now: Instant) {
        self.written += octets;
        self.owed = self.owed.saturating_sub(octets);
        if self.unsent().is_empty() {
            empty(&mut self.output);
            self.written = 0;
            self.quiet_since = now;
        }
        if self.owed == 0 {
            self.expect_output(now);
        }
    }

    /// Takes no further query. What is owed can still be sent.
    pub(crate) fn end(&mut self, why: Closed) {
        self.ending.get_or_insert(why);
    }

    /// Takes stock after octets came or went. To be called before the methods below.
    pub(crate) fn settle(&mut self, now: Instant) {
        if self.ending.is_some() || self.read == self.input.len() {
            empty(&mut self.input);
            self.read = 0;
        } else if self.whole_query().is_none() {
            self.input.drain(..self.read);
            self.read = 0;
        }
        // It is the client's turn only while we would read.
        if self.input.len() == self.read || !self.wants_input() {
            self.query_due = None;
        } else if self.query_due.is_none() {
            self.query_due = Some(now + TCP_QUERY_TIME_MAX);
        }
        if self.has_ended && self.whole_query().is_none() {
            self.end(Closed::Finished);
        }
    }

    /// Why it is over, once nothing is owed any more.
    pub(crate) fn over(&self) -> Option<Closed> {
        self.ending.filter(|_| self.owes_nothing())
    }

    /// When [`Connection::on_deadline`] has something to do, unless octets come or go before. None while an upstream
    /// has it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let idle = (self.owes_nothing() && self.query_due.is_none()).then(|| self.quiet_since + TCP_IDLE_MAX);
        [self.output_due, self.query_due, idle]
            .into_iter()
            .flatten()
            .min()
    }

    /// Ends it if a deadline has passed at `now`; it is over then.
    pub(crate) fn on_deadline(&mut self, now: Instant) {
        if self.deadline().is_none_or(|due| due > now) {
            return;
        }
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if is_due(self.output_due) {
            self.abandon(Closed::SlowReader);
        } else if is_due(self.query_due) {
            self.end(Closed::SlowQuery);
        } else {
            self.end(Closed::Idle);
        }
    }

    /// Since when nobody has waited for anything from us. None while someone does.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        self.owes_nothing().then_some(self.quiet_since)
    }

    fn owes_nothing(&self) -> bool {
        self.in_flight == 0 && self.unsent().is_empty()
    }

    /// Whether another reply might find no room, or another query would wait for an upstream beside too many.
    fn is_full(&self) -> bool {
        self.in_flight >= TCP_QUERIES_IN_FLIGHT_MAX
            || self.unsent().len() + LENGTH_OCTETS + REPLY_OCTETS_MAX > TCP_OUTPUT_OCTETS_MAX
    }

    /// The length of the next query, in octets, if all of it is there or its length alone is wrong.
    fn whole_query(&self) -> Option<usize> {
        let (length, message) = self.input.get(self.read..)?.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        (length < HEADER_OCTETS || length <= message.len()).then_some(length)
    }

    /// Gives up what is owed.
    fn abandon(&mut self, why: Closed) {
        self.ending = Some(why);
        self.in_flight = 0;
        self.output = Vec::new();
        (self.written, self.owed, self.output_due) = (0, 0, None);
    }

    /// From `now` on the client has a while to take what is queued.
    fn expect_output(&mut self, now: Instant) {
        self.owed = self.unsent().len();
        self.output_due = (self.owed > 0).then(|| now + TCP_OUTPUT_TIME_MAX);
    }
}

/// Empties a buffer, and gives its memory back if that is much.
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT_OCTETS_MAX);
}

#[cfg(test)]
mod tests;
