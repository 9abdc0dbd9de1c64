//! Asking an upstream: which, by what socket, with what id, and in what words.

use std::time::Instant;

use rand_core::Rng;

use super::Forwarder;
use super::action::{Action, Ask, Cause, Failure};
use super::place::{Place, Set, UpstreamIndex};
use super::question::Asked;
use super::table::{Index, Key, Try};
use crate::limits::{ASKS_MAX, ID_DRAWS_MAX, TRY_TIMEOUT, TRY_TIMEOUT_MIN};

/// How a question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Datagram,
    Stream,
    /// By the one connection to the upstream, which is kept.
    Tls,
}

impl Forwarder {
    /// Whom to ask after the last one did not help: one that is not being asked already, or, if there is none and
    /// `also_again`, one that is.
    pub(super) fn next(&self, index: Index, also_again: bool) -> Option<UpstreamIndex> {
        let exchange = self.table.get(index)?;
        let mut busy = exchange.refused;
        let places = exchange.tries().map(|made| made.key.place);
        places
            .filter_map(|place| self.upstreams.owner(place))
            .for_each(|upstream| busy.insert(upstream));
        let after = |not: Set| {
            let (name, last) = (exchange.asked.name(), exchange.last);
            self.upstreams.after(name, last, not, self.free())
        };
        after(busy).or_else(|| after(exchange.refused).filter(|_| also_again))
    }

    /// `upstream`, which was asked before, if it still is one to ask: others may be asked now about names of that domain.
    pub(super) fn still(&self, index: Index, upstream: Option<UpstreamIndex>) -> Option<UpstreamIndex> {
        let exchange = self.table.get(index)?;
        upstream.filter(|&upstream| self.upstreams.is_for(upstream, exchange.asked.name()))
    }

    /// Asks `upstream` over a datagram. If that cannot be, waits for what was asked before; if nothing was, the exchange
    /// ends with what went wrong before, or with `failure`.
    pub(super) fn ask_or(
        &mut self,
        index: Index,
        upstream: Option<UpstreamIndex>,
        now: Instant,
        failure: Failure,
        cause: Cause,
        sink: &mut impl FnMut(Action<'_>),
    ) {
        if upstream.is_some_and(|upstream| self.ask(index, upstream, Over::Datagram, now, sink)) {
            return;
        }
        if self.is_asked_of_nobody(index) {
            let error = self.table.get(index).and_then(|exchange| exchange.error);
            self.end(index, Err(error.unwrap_or(failure)), cause, sink);
        }
    }

    /// One more try, at `upstream`, by a place and id of its own. False if it cannot be made.
    pub(super) fn ask(
        &mut self,
        index: Index,
        upstream: UpstreamIndex,
        over: Over,
        now: Instant,
        sink: &mut impl FnMut(Action<'_>),
    ) -> bool {
        let Some(exchange) = self.table.get(index) else {
            return false;
        };
        let Some(server) = self.upstreams.server(upstream) else {
            return false;
        };
        if exchange.asks >= ASKS_MAX {
            return false;
        }
        // Whoever is to be asked over TLS is asked in no other way.
        let over = if server.tls.is_some() { Over::Tls } else { over };
        let manners = self.upstreams.manners(upstream);
        let is_probe = exchange.is_probe;
        let is_spelled = over == Over::Datagram
            && !is_probe
            && !exchange.plain.contains(upstream)
            && manners.keeps_case(now);
        let with_edns = !is_probe && !exchange.without_edns.contains(upstream) && manners.takes_edns(now);
        let taken = match over {
            Over::Datagram => self.upstreams.take(upstream, &mut self.random),
            Over::Stream => self.upstreams.take_stream(upstream).map(|place| (place, true)),
            Over::Tls => self.upstreams.take_kept(upstream),
        };
        let Some((place, fresh)) = taken else {
            if over == Over::Stream {
                sink(Action::NoStream);
            }
            return false;
        };
        let key = self.draw(place);
        let made = Try {
            key,
            sent: now,
            is_spelled,
            with_edns,
        };
        if let Some(replaced) = self.table.push_try(index, made) {
            self.upstreams.release(replaced.key.place);
        }
        let Some(exchange) = self.table.get_mut(index) else {
            return false;
        };
        exchange.asks += 1;
        exchange.last = Some(upstream);
        let spelling = is_spelled.then_some(&exchange.case);
        let length = exchange
            .asked
            .write(key.id, spelling, with_edns, over == Over::Tls, &mut self.message);
        let end = exchange.end;
        // A last try waits for all of the time that is left, rather than that another one is made in vain.
        let deadline = now + TRY_TIMEOUT;
        let is_last = end.saturating_duration_since(deadline) < TRY_TIMEOUT_MIN;
        self.table
            .set_deadline(index, if is_last { end } else { deadline });
        let Some(server) = self.upstreams.server(upstream) else {
            return false;
        };
        sink(Action::Ask(Ask {
            place,
            fresh,
            upstream: server.address,
            tls: server.tls.as_ref(),
            octets: self.message.get(..length).unwrap_or_default(),
        }));
        true
    }

    /// A key for `place` that nobody can guess and nobody else waits for.
    fn draw(&mut self, place: Place) -> Key {
        let mut id = 0;
        for _ in 0..ID_DRAWS_MAX {
            id = self.random.next_u32() as u16;
            if self.table.find_try(Key { place, id }).is_none() {
                return Key { place, id };
            }
        }
        let mut keys = (0..=u16::MAX).map(|step| Key {
            place,
            id: id.wrapping_add(step),
        });
        keys.find(|&key| self.table.find_try(key).is_none())
            .expect("`limits` leaves most ids of a place free")
    }

    /// Asks those upstreams that are down whether they are back. Replies to it are told to nobody.
    pub(super) fn probe(&mut self, now: Instant, sink: &mut impl FnMut(Action<'_>)) {
        while let Some(upstream) = self.upstreams.take_probe(now) {
            let Some(index) = self.begin(now, Asked::probe(), true) else {
                return;
            };
            if !self.ask(index, upstream, Over::Datagram, now, sink) {
                self.discard(index);
            }
        }
    }
}
