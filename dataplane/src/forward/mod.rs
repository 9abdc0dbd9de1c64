//! What becomes of a query that is not ours to answer.
//!
//! ```text
//!  query ─submit─▶ the same is asked already? ─yes─▶ its line
//!                      └─no: an exchange begins
//!                             │
//!              ┌──── Ask ◀────┤ the name spelled at random, our own OPT, a port and id of its own
//!              ▼              │
//!          upstream ─reply─▶ is it one to this? ─no: dropped, waiting goes on
//!              │              └─yes─┬─ an answer ─────────────────────────────────▶ Ended, and its line is served
//!              │                    ├─ cut (TC) ─▶ asked again over TCP
//!              │                    ├─ FORMERR, NOTIMP ─▶ asked again without EDNS
//!              │                    └─ another error ─▶ the next upstream ─ none is left ─▶ Ended
//!              ├─ nothing in time ─▶ asked again, elsewhere if possible ─ 2.5 s are over ─▶ Ended
//!              │    └─ those who have something older are told it after 1.8 s ─▶ Late, and the exchange goes on
//!              └─ nobody is there ─▶ the next upstream at once ─ none is left ─▶ Ended
//! ```
//!
//! A state machine of octets, addresses and times: it opens no socket and reads no clock. What is to be
//! sent is handed out as an [`Action`], so the same code runs under both engines and in a simulated network.
//! Every query taken in gets exactly one answer, at the latest after [`FORWARD_TIMEOUT`].
//!
//! A reply counts only if it came in on the connected socket that the question left by, with its id, and
//! repeats the question (RFC 5452, section 9.1), as it was spelled unless the upstream is known not to keep that. Socket,
//! and so source port, and id are drawn anew for each try, from a generator that cannot be predicted (section 9.2).
//!
//! [`FORWARD_TIMEOUT`]: crate::limits::FORWARD_TIMEOUT

mod action;
mod asking;
mod case;
mod chains;
pub(crate) mod config;
mod deadlines;
mod health;
mod hearing;
mod manners;
mod place;
mod question;
mod reply;
#[cfg(test)]
mod simulation;
mod table;
mod trouble;
mod upstream;
mod waiters;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

pub use self::action::{Action, Ask, Cause, Ended, Failure, Heard, Late, Refusal, Submitted, Turned};
use self::asking::Over;
use self::case::Case;
pub use self::config::{Conditions, Config, ConfigError, Policy, Route, Upstream};
pub(crate) use self::place::PLACES;
pub use self::place::Place;
use self::place::UpstreamIndex;
use self::question::ASK_OCTETS_MAX;
pub use self::question::Asked;
pub use self::reply::Foreign;
use self::table::{Exchange, Index, Table, Try, TryIndex};
pub use self::trouble::Trouble;
pub use self::upstream::Nobody;
use self::upstream::Upstreams;
use self::waiters::{Line, Waiters};
pub use self::waiters::{Served, Standing, Waiter};
use crate::limits::{CROWD_MAX, FORWARD_TIMEOUT, PENDING_MAX, REFRESHES_MAX, TRY_TIMEOUT, TRY_TIMEOUT_MIN};
pub use crate::path::{Local, ReturnPath};

/// The questions that one core waits for upstreams to answer.
pub struct Forwarder {
    table: Table,
    waiters: Waiters,
    upstreams: Upstreams,
    random: ChaCha12Rng,
    message: Box<[u8; ASK_OCTETS_MAX]>,
}

impl Forwarder {
    /// A forwarder that knows nobody to ask yet. `seed` must be unpredictable, except in tests.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        let (mut table_seed, mut share_seed) = ([0; 16], [0; 16]);
        random.fill_bytes(&mut table_seed);
        random.fill_bytes(&mut share_seed);
        Self {
            table: Table::new(&table_seed),
            waiters: Waiters::new(&share_seed),
            upstreams: Upstreams::new(),
            random,
            message: Box::new([0; ASK_OCTETS_MAX]),
        }
    }

    /// Goes by `config` from now on. Queries that wait go on waiting, and are tried again as it says; what waits for a
    /// connection that is kept to a server which is no longer asked is due to be asked of another.
    pub fn set_config(&mut self, config: &Config) {
        let gone = self.upstreams.set(config);
        self.table.part_with(gone);
        for place in gone.iter().filter_map(Place::kept_for) {
            // Whoever has the server's number now has its place, too.
            while let Some((at, made)) = self.table.try_in(place) {
                self.drop_try(at);
                if self.is_probe(at.exchange) {
                    self.discard(at.exchange);
                } else if self.is_asked_of_nobody(at.exchange) {
                    self.table.set_deadline(at.exchange, made.sent);
                }
            }
        }
    }

    /// Whether `client` has as many queries waiting as one client may.
    #[must_use]
    pub fn has_its_share(&self, client: IpAddr) -> bool {
        self.waiters.has_its_share(client)
    }

    /// Takes in what is to be `asked`, the answer to which goes to `waiter`.
    ///
    /// # Errors
    ///
    /// Why it is not forwarded. The client is to be told [`Refusal::rcode`] at once then.
    ///
    /// Nothing ends here: an answer comes later, from another call.
    pub fn submit(
        &mut self,
        now: Instant,
        asked: Asked,
        waiter: Waiter,
        sink: &mut impl FnMut(Action<'_>),
    ) -> Result<Submitted, Refusal> {
        if self.has_its_share(waiter.to.client()) {
            return Err(Refusal::Share);
        }
        if let Some(index) = self.table.find(&asked) {
            self.join(index, waiter)?;
            return Ok(Submitted::Joined);
        }
        let first = self.upstreams.first(asked.name(), self.free(), &mut self.random);
        let upstream = first.map_err(Refusal::Nobody)?;
        let index = self.begin(now, asked, false).ok_or(Refusal::Full)?;
        let joined = self.join(index, waiter);
        let asked = joined.and_then(|()| {
            let asked = self.ask(index, upstream, Over::Datagram, now, sink);
            if asked {
                Ok(Submitted::Asked)
            } else {
                Err(Refusal::Full)
            }
        });
        match asked {
            Ok(_) => self.probe(now, sink),
            Err(_) => self.discard(index),
        }
        asked
    }

    /// Asks for what a cache is to be refreshed with, unless that is under way or others need the room.
    pub fn refresh(&mut self, now: Instant, asked: Asked, sink: &mut impl FnMut(Action<'_>)) {
        if self.table.find(&asked).is_some() || self.table.len() >= REFRESHES_MAX {
            return;
        }
        let first = self.upstreams.first(asked.name(), self.free(), &mut self.random);
        if let Ok(upstream) = first
            && let Some(index) = self.begin(now, asked, false)
            && !self.ask(index, upstream, Over::Datagram, now, sink)
        {
            self.discard(index);
        }
    }

    /// The socket of `place` is of no use, because of `trouble`: nobody listens at that upstream, say, or not who should.
    /// Whoever waits there is moved on to the next upstream.
    pub fn on_error(
        &mut self,
        place: Place,
        trouble: Trouble,
        now: Instant,
        sink: &mut impl FnMut(Action<'_>),
    ) {
        let upstream = self.upstreams.owner(place);
        // A stream says nothing of datagrams: many a firewall lets those pass alone.
        if let Some(upstream) = upstream.filter(|_| !place.is_stream())
            && self.upstreams.refused(upstream, trouble, now)
        {
            self.tell(upstream, sink);
        }
        // What is moved on must not come back to where it left from.
        self.upstreams.hold(place);
        while let Some((at, _)) = self.table.try_in(place) {
            let index = at.exchange;
            self.drop_try(at);
            if self.is_probe(index) {
                self.discard(index);
                continue;
            }
            if let (Some(exchange), Some(upstream)) = (self.table.get_mut(index), upstream) {
                exchange.refused.insert(upstream);
            }
            let next = self.next(index, false);
            self.ask_or(index, next, now, Failure::network(), Cause::Failed, sink);
        }
        self.upstreams.release(place);
    }

    /// The connection of `place`, which had served before, has ended. What waits there is asked again at once, by a new one:
    /// it says nothing of the upstream's health, and nothing at all of those that were asked since.
    pub fn on_end(&mut self, place: Place, now: Instant, sink: &mut impl FnMut(Action<'_>)) {
        let upstream = self.upstreams.owner(place);
        while let Some((at, _)) = self.table.try_in(place) {
            let index = at.exchange;
            let newest = self.table.get(index).and_then(Exchange::newest);
            let was_newest = newest.is_some_and(|(newest, _)| newest == at);
            self.drop_try(at);
            let is_asked_of_nobody = self.is_asked_of_nobody(index);
            let Some(exchange) = self.table.get_mut(index) else {
                return;
            };
            exchange.again = upstream.filter(|&upstream| !exchange.refused.contains(upstream));
            // What was asked of others since has its time.
            if is_asked_of_nobody || was_newest && exchange.again.is_some() {
                self.table.set_deadline(index, now);
            }
        }
        self.on_timeout(now, sink);
    }

    /// Does what is due at `now`.
    pub fn on_timeout(&mut self, now: Instant, sink: &mut impl FnMut(Action<'_>)) {
        while let Some((due, index)) = self.table.next_due()
            && due <= now
        {
            let Some(exchange) = self.table.get(index) else {
                return;
            };
            if exchange.is_late(now) {
                self.tell_late(index, sink);
                continue;
            }
            let (end, newest) = (exchange.end, exchange.newest());
            if let Some((at, made)) = newest
                && now.saturating_duration_since(made.sent) >= TRY_TIMEOUT_MIN
                && let Some(upstream) = self.upstreams.owner(made.key.place)
            {
                if self.upstreams.timed_out(upstream, now) {
                    self.tell(upstream, sink);
                }
                if made.key.place.is_stream() {
                    // It was worth one connection, and no more.
                    self.drop_try(at);
                    if let Some(exchange) = self.table.get_mut(index) {
                        exchange.refused.insert(upstream);
                    }
                }
            }
            if self.is_probe(index) {
                self.discard(index);
                continue;
            }
            let Some(exchange) = self.table.get_mut(index) else {
                return;
            };
            let (error, again) = (exchange.error, exchange.again.take());
            // Once an upstream said that it has no answer, no second try is made at those that said nothing.
            let again = self.still(index, again);
            let next = again.or_else(|| self.next(index, error.is_none()));
            let is_asked =
                end > now && next.is_some_and(|next| self.ask(index, next, Over::Datagram, now, sink));
            match error {
                _ if is_asked => {}
                Some(error) => self.end(index, Err(error), Cause::Answered, sink),
                None if end <= now || self.is_asked_of_nobody(index) => {
                    self.end(index, Err(Failure::unreachable()), Cause::TimedOut, sink);
                }
                None => self.table.set_deadline(index, end),
            }
        }
    }

    /// Lets nobody else wait for what is under way: who asks the same from now on is to hear what upstreams say from now on.
    pub fn ask_anew(&mut self) {
        self.table.part_questions();
    }

    /// Ends all that is under way with SERVFAIL, for a core that stops.
    pub fn give_up(&mut self, sink: &mut impl FnMut(Action<'_>)) {
        while let Some((_, index)) = self.table.next_due() {
            self.end(index, Err(Failure::unreachable()), Cause::Failed, sink);
        }
    }

    /// When [`Forwarder::on_timeout`] has something to do next. None when nothing is under way.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.table.next_due().map(|(due, _)| due)
    }

    /// How many exchanges are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.table.len()
    }

    /// How many clients wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Whether what is `asked` has been under way for so long that a client with so much `patience` is not to wait for it.
    #[must_use]
    pub fn is_slow(&self, asked: &Asked, patience: Duration, now: Instant) -> bool {
        let exchange = self.table.find(asked).and_then(|index| self.table.get(index));
        exchange.is_some_and(|exchange| exchange.began() + patience <= now)
    }

    /// Whether nothing waits for the socket of `place`, so that it may be closed.
    #[must_use]
    pub fn is_free(&self, place: Place) -> bool {
        self.upstreams.is_free(place)
    }

    /// How many more exchanges there is room for.
    fn free(&self) -> usize {
        PENDING_MAX - self.table.len().min(PENDING_MAX)
    }

    fn is_probe(&self, index: Index) -> bool {
        self.table.get(index).is_some_and(|exchange| exchange.is_probe)
    }

    /// Whether there is no try that could still be answered.
    fn is_asked_of_nobody(&self, index: Index) -> bool {
        self.table
            .get(index)
            .is_some_and(|exchange| exchange.tries().next().is_none())
    }

    fn begin(&mut self, now: Instant, asked: Asked, is_probe: bool) -> Option<Index> {
        let patience: Duration = if is_probe { TRY_TIMEOUT } else { FORWARD_TIMEOUT };
        let case = Case::random(&mut self.random);
        self.table.insert(asked, case, now + patience, is_probe)
    }

    /// Puts a client into the line of an exchange.
    fn join(&mut self, index: Index, waiter: Waiter) -> Result<(), Refusal> {
        let exchange = self.table.get_mut(index).ok_or(Refusal::Full)?;
        if exchange.line.length() >= CROWD_MAX {
            return Err(Refusal::Crowd);
        }
        let late_at = waiter.patience.map(|patience| exchange.began() + patience);
        if !self.waiters.join(&mut exchange.line, waiter) {
            return Err(Refusal::Full);
        }
        if let Some(late_at) = late_at {
            self.table.set_late(index, late_at);
        }
        Ok(())
    }

    /// Forgets a try, and gives its place back.
    fn drop_try(&mut self, at: TryIndex) -> Option<Try> {
        let made = self.table.remove_try(at)?;
        self.upstreams.release(made.key.place);
        Some(made)
    }

    /// Ends an exchange without a word to anybody.
    fn discard(&mut self, index: Index) {
        if let Some(mut exchange) = self.table.remove(index) {
            exchange
                .tries()
                .for_each(|made| self.upstreams.release(made.key.place));
            while self.waiters.pop(&mut exchange.line).is_some() {}
        }
    }

    /// Tells that `upstream` is no longer as it was.
    fn tell(&self, upstream: UpstreamIndex, sink: &mut impl FnMut(Action<'_>)) {
        if let Some(server) = self.upstreams.server(upstream) {
            sink(Action::Turned(Turned {
                upstream: server,
                trouble: self.upstreams.trouble(upstream),
            }));
        }
    }

    /// Has those told who wait for an exchange that takes too long, if there is something to tell them. It goes on for
    /// whoever is left or comes, and for the cache.
    fn tell_late(&mut self, index: Index, sink: &mut impl FnMut(Action<'_>)) {
        self.table.clear_late(index);
        let Some(exchange) = self.table.get_mut(index) else {
            return;
        };
        sink(Action::Late(Late {
            asked: &exchange.asked,
            standing: Standing::new(&mut self.waiters, &mut exchange.line),
        }));
    }

    /// Ends an exchange, and has those told who wait for it.
    fn end(
        &mut self,
        index: Index,
        result: Result<Foreign<'_>, Failure>,
        cause: Cause,
        sink: &mut impl FnMut(Action<'_>),
    ) {
        let Some(mut exchange) = self.table.remove(index) else {
            return;
        };
        exchange
            .tries()
            .for_each(|made| self.upstreams.release(made.key.place));
        if exchange.is_probe {
            return;
        }
        let line: Line = std::mem::take(&mut exchange.line);
        sink(Action::Ended(Ended {
            asked: &exchange.asked,
            result,
            cause,
            began: exchange.began(),
            served: Served::new(&mut self.waiters, line),
        }));
    }
}

#[cfg(test)]
mod tests;
