//! Hearing what upstreams say: whether it is a reply to what was asked, and what follows from it.

use std::time::Instant;

use dns::wire::HEADER_OCTETS;
use dns::{Flags, Rcode};

use super::Forwarder;
use super::action::{Action, Cause, Failure, Heard};
use super::asking::Over;
use super::place::{Place, Set, UpstreamIndex};
use super::question::QUESTION_OCTETS_MAX;
use super::reply::Foreign;
use super::table::{Exchange, Index, Key, Try, TryIndex};

impl Forwarder {
    /// Looks at a packet that came in on the socket of `place`.
    pub fn on_reply(
        &mut self,
        place: Place,
        packet: &[u8],
        now: Instant,
        sink: &mut impl FnMut(Action<'_>),
    ) -> Heard {
        let Some((at, made, reply)) = self.read(place, packet) else {
            return Heard::Stray;
        };
        let index = at.exchange;
        let upstream = self.upstreams.owner(place);
        if made.is_spelled && !self.is_spelled_as_asked(index, packet, &reply) {
            // A forger who knew port and id, or an upstream that does not keep the case of names: the next try tells.
            // It has a port and an id of its own, so whoever guessed once must guess again.
            self.drop_try(at);
            if let (Some(exchange), Some(upstream)) = (self.table.get_mut(index), upstream) {
                exchange.plain.insert(upstream);
            }
            self.ask_again(index, upstream, now, sink);
            return Heard::Reply;
        }
        let waited = now.saturating_duration_since(made.sent);
        if let Some(upstream) = upstream
            && self.upstreams.succeeded(upstream, Some(waited))
        {
            self.tell(upstream, sink);
        }
        if self.is_probe(index) {
            self.discard(index);
            return Heard::Reply;
        }
        if reply.header.flags.contains(Flags::TC) {
            self.on_cut(at, upstream, now, sink);
            return Heard::Reply;
        }
        let dislikes_edns = [Rcode::FORM_ERR, Rcode::NOT_IMP, Rcode::BAD_VERS].contains(&reply.rcode);
        if dislikes_edns && made.with_edns {
            self.drop_try(at);
            if let (Some(exchange), Some(upstream)) = (self.table.get_mut(index), upstream) {
                exchange.without_edns.insert(upstream);
            }
            self.ask_again(index, upstream, now, sink);
            return Heard::Reply;
        }
        if let Some(upstream) = upstream {
            self.learn(index, upstream, &made, dislikes_edns, now);
        }
        if [Rcode::NO_ERROR, Rcode::NX_DOMAIN, YX_DOMAIN].contains(&reply.rcode) {
            self.end(index, Ok(reply), Cause::Answered, sink);
        } else {
            let failure = Failure::of(&reply);
            self.on_failure(at, upstream, failure, now, sink);
        }
        Heard::Reply
    }

    /// The try that `packet` is a reply to, and the reply, whose question is the same but for case.
    fn read<'p>(&self, place: Place, packet: &'p [u8]) -> Option<(TryIndex, Try, Foreign<'p>)> {
        let id = u16::from_be_bytes(*packet.first_chunk()?);
        let (at, made) = self.table.find_try(Key { place, id })?;
        let asked = &self.table.get(at.exchange)?.asked;
        let reply = Foreign::read(packet, asked.question_end())?;
        let is_to_this = match reply.header.counts {
            // An error may come without the question, from an upstream that could not read it.
            [0, 0, 0, _] => ![Rcode::NO_ERROR, Rcode::NX_DOMAIN].contains(&reply.rcode),
            [1, ..] => same_question(asked.octets(), packet.get(HEADER_OCTETS..asked.question_end())?),
            _ => false,
        };
        is_to_this.then_some((at, made, reply))
    }

    /// Whether the name in a reply is spelled as it was sent. An error without a question has none, and does no harm.
    fn is_spelled_as_asked(&self, index: Index, packet: &[u8], reply: &Foreign<'_>) -> bool {
        let [questions, ..] = reply.header.counts;
        let Some(Exchange { asked, case, .. }) = self.table.get(index) else {
            return false;
        };
        let mut room = [0; QUESTION_OCTETS_MAX];
        let question = asked.octets();
        let Some(spelled) = room.get_mut(..question.len()) else {
            return false;
        };
        spelled.copy_from_slice(question);
        let (name, _) = spelled.split_at_mut(question.len().saturating_sub(4));
        case.apply(name);
        let sent = packet.get(HEADER_OCTETS..asked.question_end());
        questions == 0 || sent == Some(spelled)
    }

    /// Notes what a reply that counts says of the manners of its upstream.
    fn learn(
        &mut self,
        index: Index,
        upstream: UpstreamIndex,
        made: &Try,
        dislikes_edns: bool,
        now: Instant,
    ) {
        let exchange = self.table.get(index);
        let is_in = |set: fn(&Exchange) -> Set| exchange.is_some_and(|it| set(it).contains(upstream));
        let (without_edns, plain) = (is_in(|it| it.without_edns), is_in(|it| it.plain));
        let Some(manners) = self.upstreams.manners_mut(upstream) else {
            return;
        };
        if without_edns && !dislikes_edns {
            manners.answered_without_edns(now);
        }
        if made.is_spelled {
            manners.kept_case();
        } else if plain && !made.key.place.is_stream() && !made.key.place.is_kept() {
            manners.mangled_case(now);
        }
    }

    /// An upstream's reply was cut: the same is asked of it over TCP.
    fn on_cut(
        &mut self,
        at: TryIndex,
        upstream: Option<UpstreamIndex>,
        now: Instant,
        sink: &mut impl FnMut(Action<'_>),
    ) {
        let index = at.exchange;
        let made = self.drop_try(at);
        let was_stream = made.is_some_and(|made| made.key.place.is_stream() || made.key.place.is_kept());
        let whole_from = self.still(index, upstream).filter(|_| !was_stream);
        let is_asked = whole_from.is_some_and(|upstream| self.ask(index, upstream, Over::Stream, now, sink));
        if is_asked {
            return;
        }
        if let (Some(exchange), Some(upstream)) = (self.table.get_mut(index), upstream) {
            exchange.refused.insert(upstream);
        }
        let next = self.next(index, false);
        self.ask_or(index, next, now, Failure::network(), Cause::Failed, sink);
    }

    /// `upstream`, if it is one of ours still, said that it has no answer: the next one is asked.
    fn on_failure(
        &mut self,
        at: TryIndex,
        upstream: Option<UpstreamIndex>,
        failure: Failure,
        now: Instant,
        sink: &mut impl FnMut(Action<'_>),
    ) {
        let index = at.exchange;
        self.drop_try(at);
        if let Some(exchange) = self.table.get_mut(index) {
            exchange.error = Some(failure);
            upstream
                .into_iter()
                .for_each(|upstream| exchange.refused.insert(upstream));
        }
        let next = self.next(index, false);
        self.ask_or(index, next, now, failure, Cause::Answered, sink);
    }

    /// Asks `upstream` once more, in another way; or the next one if it is no longer there.
    fn ask_again(
        &mut self,
        index: Index,
        upstream: Option<UpstreamIndex>,
        now: Instant,
        sink: &mut impl FnMut(Action<'_>),
    ) {
        let upstream = self.still(index, upstream);
        let upstream = upstream.or_else(|| self.next(index, false));
        self.ask_or(index, upstream, now, Failure::unreachable(), Cause::Failed, sink);
    }
}

/// The name that a DNAME makes of the one asked for is too long (RFC 6672, section 2.2): an answer like others.
const YX_DOMAIN: Rcode = Rcode(6);

/// Whether a reply's question is the one that was asked: the same name but for case, type and class (RFC 5452,
/// section 9.1). `asked` is lower-cased.
fn same_question(asked: &[u8], replied: &[u8]) -> bool {
    let name_end = asked.len().saturating_sub(4);
    let parts = asked
        .split_at_checked(name_end)
        .zip(replied.split_at_checked(name_end));
    parts.is_some_and(|((name, rest), (other, other_rest))| {
        name.eq_ignore_ascii_case(other) && rest == other_rest
    })
}
