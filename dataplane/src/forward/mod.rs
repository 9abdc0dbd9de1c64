//! What becomes of a query that is not ours to answer.
//!
//! ```text
//!  query ─submit─▶ Pending ─Ask─▶ upstream ─on_reply─▶ is it the answer? ─yes─▶ Answer ─▶ client
//!                    ▲  │                                 └─no: dropped, waiting goes on
//!                    │  ├─on_timeout─▶ try again, the next upstream first ──┐
//!                    │  └─on_error───▶ the next upstream at once ───────────┤
//!                    └──────────────────────────────────────────────────────┴─▶ SERVFAIL when none is left
//! ```
//!
//! A state machine of octets, addresses and times: it opens no socket and reads no clock. What is to be
//! sent comes back as an [`Action`], so the same code runs under both engines and in a simulated network.
//! Every query taken in gets exactly one answer, at the latest after [`FORWARD_TIMEOUT`].
//!
//! A reply counts only if it came in on the connected socket that the question left by, with its id, and
//! repeats the question octet for octet (RFC 5452, section 9.1). Socket, and so source port, and id are
//! drawn anew for each try, from a generator that cannot be predicted (section 9.2).
//!
//! [`FORWARD_TIMEOUT`]: crate::limits::FORWARD_TIMEOUT

pub(crate) mod config;
mod health;
mod pending;
#[cfg(test)]
mod simulation;
mod upstream;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use dns::wire::{ExtendedError, HEADER_OCTETS, Head, Header};
use dns::{Flags, NameRef, Opcode, Query, Rcode, Reply};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

pub use self::config::{Config, ConfigError, Policy, Route};
use self::pending::{Asked, Entry, Index, Key, Pending};
pub use self::upstream::{Nobody, Place};
use self::upstream::{UpstreamIndex, Upstreams};
use crate::limits::{
    FORWARD_QUERY_OCTETS_MAX, ID_DRAWS_MAX, REPLY_OCTETS_MAX, UDP_REPLY_OCTETS_MAX, UDP_REPLY_OCTETS_MIN,
};
pub use crate::path::ReturnPath;

/// Something to send.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// To an upstream.
    Ask(Ask<'a>),
    /// To a client, which is the end of its query.
    Answer(Answer<'a>),
}

/// A question for an upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The place whose socket it leaves by.
    pub place: Place,
    /// The place needs a new socket, connected to the upstream from a random port. The one there before, if any,
    /// is done with.
    pub fresh: bool,
    /// Where to.
    pub upstream: SocketAddr,
    /// The message.
    pub octets: &'a [u8],
}

/// An answer for a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Where to.
    pub to: ReturnPath,
    /// The message.
    pub octets: &'a [u8],
    /// Its response code.
    pub rcode: Rcode,
    /// It was cut, by us or before us, and says so.
    pub truncated: bool,
    /// How it came about.
    pub cause: Cause,
}

/// Why a client gets its answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An upstream answered.
    Answered,
    /// None did in time.
    TimedOut,
    /// None will: each refused, or we are stopping.
    Failed,
}

/// Why a query is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is nobody to ask.
    Nobody(Nobody),
    /// There is no room for it: the table is full, or it is too long.
    Full,
}

impl Refusal {
    /// What the client is told.
    #[must_use]
    pub fn rcode(self) -> Rcode {
        match self {
            Self::Nobody(Nobody::NoRoute) => Rcode::REFUSED,
            Self::Nobody(Nobody::Nowhere) => Rcode::NX_DOMAIN,
            Self::Full => Rcode::SERV_FAIL,
        }
    }
}

/// The queries of one core that wait for an upstream.
pub struct Forwarder {
    pending: Pending,
    upstreams: Upstreams,
    random: ChaCha12Rng,
}

impl Forwarder {
    /// A forwarder that knows nobody to ask yet. `seed` must be unpredictable, except in tests.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        let mut share_seed = [0; 16];
        random.fill_bytes(&mut share_seed);
        Self {
            pending: Pending::new(&share_seed),
            upstreams: Upstreams::new(),
            random,
        }
    }

    /// Goes by `config` from now on. Queries that wait go on waiting, and are tried again as it says.
    pub fn set_config(&mut self, config: &Config) {
        self.upstreams.set(config);
    }

    /// Whether `client` has as many queries waiting as one client may. The next one is to be told SERVFAIL.
    #[must_use]
    pub fn has_its_share(&self, client: IpAddr) -> bool {
        self.pending.has_its_share(client)
    }

    /// Takes in `query`, the octets as the client sent them, and returns what to ask of whom.
    ///
    /// # Errors
    ///
    /// Why it cannot be forwarded. The client is to be told [`Refusal::rcode`] at once then.
    pub fn submit(&mut self, now: Instant, query: &[u8], to: ReturnPath) -> Result<Ask<'_>, Refusal> {
        let parsed = Query::parse(query).map_err(|_| Refusal::Full)?;
        let upstream = self
            .upstreams
            .first(parsed.question.qname, now, &mut self.random)
            .map_err(Refusal::Nobody)?;
        let limit = match to {
            ReturnPath::Datagram { .. } => parsed
                .edns
                .map_or(0, |edns| usize::from(edns.udp_size))
                .clamp(UDP_REPLY_OCTETS_MIN, UDP_REPLY_OCTETS_MAX),
            ReturnPath::Stream { .. } => REPLY_OCTETS_MAX,
        };
        let asked = Asked {
            to,
            head: Head::from(&parsed),
            id: parsed.id,
            question_end: parsed.question_end(),
            limit,
        };
        let index = self.pending.insert(asked, query, now).ok_or(Refusal::Full)?;
        self.ask(index, upstream).ok_or(Refusal::Full)
    }

    /// Looks at a packet that came in on the socket of `place`: the first `length` octets of `buffer`.
    ///
    /// If it answers a waiting query, it is made ready for the client in place: its own id, RA set, cut if it is
    /// longer than the client takes. None if not; it is to be counted, and waiting goes on.
    pub fn on_reply<'b>(&mut self, place: Place, buffer: &'b mut [u8], length: usize) -> Option<Answer<'b>> {
        let (header, _) = Header::split(buffer.get(..length)?).ok()?;
        let index = self.pending.find(Key { place, id: header.id })?;
        let entry = self.pending.get(index)?;
        let is_reply = header.flags.contains(Flags::QR) && header.flags.opcode() == Opcode::QUERY;
        if !is_reply {
            return None;
        }
        let question = HEADER_OCTETS..entry.asked.question_end;
        let asked = self.pending.query(index).get(question.clone())?;
        match header.counts {
            // Some upstreams write the name in small letters; the client's case is put back.
            [1, ..] if same_question(asked, buffer.get(..length)?.get(question.clone())?) => {
                buffer.get_mut(question)?.copy_from_slice(asked);
            }
            // An error may come without the question, from an upstream that could not read it.
            [0, 0, 0, _] if header.flags.rcode() != Rcode::NO_ERROR => {
                buffer.get_mut(question)?.copy_from_slice(asked);
                let (entry, _) = self.remove(index)?;
                let rcode = header.flags.rcode();
                let length = error(buffer, &entry, rcode);
                let octets = buffer.get(..length)?;
                let (to, cause) = (entry.asked.to, Cause::Answered);
                return Some(Answer {
                    to,
                    octets,
                    rcode,
                    truncated: false,
                    cause,
                });
            }
            _ => return None,
        }
        if let Some(upstream) = self.upstreams.owner(place) {
            self.upstreams.succeeded(upstream, None);
        }
        let (entry, _) = self.remove(index)?;
        let rcode = header.flags.rcode();
        let (length, truncated) = if length > entry.asked.limit {
            (cut(buffer, &entry, rcode), true)
        } else {
            if let [i0, i1, _, flags, ..] = buffer {
                [*i0, *i1] = entry.asked.id.to_be_bytes();
                *flags |= RA_OCTET;
            }
            (length, header.flags.contains(Flags::TC))
        };
        let octets = buffer.get(..length)?;
        Some(Answer {
            to: entry.asked.to,
            octets,
            rcode,
            truncated,
            cause: Cause::Answered,
        })
    }

    /// The socket of `place` reported an error: nobody listens at that upstream, or there is no way to it.
    ///
    /// To be called until it returns None: each call moves one query on to the next upstream, or fails it.
    pub fn on_error(&mut self, place: Place, now: Instant) -> Option<Action<'_>> {
        if let Some(upstream) = self.upstreams.owner(place) {
            self.upstreams.refused(upstream, now);
        }
        let index = self.pending.newest_in(place)?;
        if let Some(key) = self.pending.clear_key(index) {
            self.upstreams.release(key.place);
        }
        let entry = self.pending.get_mut(index)?;
        entry.refused.insert(entry.upstream);
        match self.next_upstream(index) {
            Some(next) => self.ask(index, next).map(Action::Ask),
            None => self.fail(index, Cause::Failed),
        }
    }

    /// Does what is due at `now`. To be called until it returns None.
    pub fn on_timeout(&mut self, now: Instant) -> Option<Action<'_>> {
        let (index, due) = self.pending.next_due()?;
        if due > now {
            return None;
        }
        let last = self.pending.get(index)?.last_try();
        if let Some(upstream) = last.and_then(|key| self.upstreams.owner(key.place)) {
            self.upstreams.timed_out(upstream, now);
        }
        match self.next_upstream(index) {
            Some(next) if self.pending.advance(index, now) => self.ask(index, next).map(Action::Ask),
            _ => self.fail(index, Cause::TimedOut),
        }
    }

    /// Whom to ask after the last one did not help.
    fn next_upstream(&self, index: Index) -> Option<UpstreamIndex> {
        let entry = self.pending.get(index)?;
        let question = self.pending.query(index).get(HEADER_OCTETS..)?;
        let (name, _) = NameRef::split(question).ok()?;
        self.upstreams.after(name, Some(entry.upstream), entry.refused)
    }

    /// Ends one waiting query with SERVFAIL, for a core that stops. To be called until it returns None.
    pub fn give_up(&mut self) -> Option<Action<'_>> {
        let (index, _) = self.pending.next_due()?;
        self.fail(index, Cause::Failed)
    }

    /// When [`Forwarder::on_timeout`] has something to do next. None when nothing waits.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.pending.next_due().map(|(_, deadline)| deadline)
    }

    /// How many queries wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Whether no query waits for the socket of `place`, so that it may be closed.
    #[must_use]
    pub fn is_free(&self, place: Place) -> bool {
        self.upstreams.is_free(place)
    }

    /// One more try, at `upstream`, by a place and id of its own.
    fn ask(&mut self, index: Index, upstream: UpstreamIndex) -> Option<Ask<'_>> {
        let address = self.upstreams.address(upstream)?;
        let (place, fresh) = self.upstreams.take(upstream, &mut self.random)?;
        let key = self.draw(place);
        if let Some(replaced) = self.pending.set_key(index, key) {
            self.upstreams.release(replaced.place);
        }
        self.pending.get_mut(index)?.upstream = upstream;
        if let Some(id) = self.pending.octets_mut(index).first_chunk_mut() {
            *id = key.id.to_be_bytes();
        }
        Some(Ask {
            place,
            fresh,
            upstream: address,
            octets: self.pending.query(index),
        })
    }

    /// A key for `place` that nobody can guess and nobody else waits for.
    fn draw(&mut self, place: Place) -> Key {
        let mut id = 0;
        for _ in 0..ID_DRAWS_MAX {
            id = self.random.next_u32() as u16;
            if self.pending.find(Key { place, id }).is_none() {
                return Key { place, id };
            }
        }
        let mut keys = (0..=u16::MAX).map(|step| Key {
            place,
            id: id.wrapping_add(step),
        });
        keys.find(|&key| self.pending.find(key).is_none())
            .expect("`limits` leaves most ids of a place free")
    }

    /// Takes a query out of the table and lets go of its places.
    fn remove(&mut self, index: Index) -> Option<(Entry, &mut [u8])> {
        let (entry, octets) = self.pending.remove(index)?;
        for key in entry.tries() {
            self.upstreams.release(key.place);
        }
        Some((entry, octets))
    }

    /// Ends a query with SERVFAIL.
    fn fail(&mut self, index: Index, cause: Cause) -> Option<Action<'_>> {
        let (entry, octets) = self.remove(index)?;
        let mut reply = Reply::begin(octets, entry.asked.head, entry.asked.limit, UDP_SIZE);
        reply.offer_recursion();
        reply.set_rcode(Rcode::SERV_FAIL);
        reply.explain(ExtendedError::NO_REACHABLE_AUTHORITY);
        let length = reply.finish();
        let octets = octets.get(..length)?;
        Some(Action::Answer(Answer {
            to: entry.asked.to,
            octets,
            rcode: Rcode::SERV_FAIL,
            truncated: false,
            cause,
        }))
    }
}

/// Whether a reply's question is the one that was asked: the same name but for case, type and class (RFC 5452,
/// section 9.1).
fn same_question(asked: &[u8], replied: &[u8]) -> bool {
    let name_end = asked.len().saturating_sub(4);
    let parts = asked
        .split_at_checked(name_end)
        .zip(replied.split_at_checked(name_end));
    parts.is_some_and(|((name, rest), (other, other_rest))| {
        name.eq_ignore_ascii_case(other) && rest == other_rest
    })
}

/// Makes of the reply in `buffer` an error of our own with its response code, and returns its length in octets.
fn error(buffer: &mut [u8], entry: &Entry, rcode: Rcode) -> usize {
    let mut reply = Reply::begin(buffer, entry.asked.head, entry.asked.limit, UDP_SIZE);
    reply.offer_recursion();
    reply.set_rcode(rcode);
    reply.finish()
}

/// Leaves of the reply in `buffer` what tells the client to ask over TCP, and returns its length in octets.
fn cut(buffer: &mut [u8], entry: &Entry, rcode: Rcode) -> usize {
    let mut reply = Reply::begin(buffer, entry.asked.head, entry.asked.limit, UDP_SIZE);
    reply.offer_recursion();
    reply.set_rcode(rcode);
    reply.truncate();
    reply.finish()
}

/// RA, in the fourth octet of a header.
const RA_OCTET: u8 = Flags::RA.0 as u8;
const UDP_SIZE: u16 = UDP_REPLY_OCTETS_MAX as u16;
const _: () = assert!(
    FORWARD_QUERY_OCTETS_MAX >= UDP_REPLY_OCTETS_MIN,
    "SERVFAIL is written over the stored query"
);

#[cfg(test)]
mod tests;
