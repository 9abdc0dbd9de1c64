//! One core's share of a query's path: a batch goes in, and each of its datagrams has an outcome.
//!
//! ```text
//!  Batch ─▶ [ load the snapshot, once ] ─▶ RateLimiter ─▶ respond ─▶ respond ─▶ …       Reply │ Forward │ Drop
//!                                              │             │
//!                                              │             ├─ Forward ─▶ Recall::answer, else Forwarder::submit ─▶ ask an upstream, or an error
//!                                              │             └─ Follow ─▶ the same about what an alias leads to
//!                                              └─ too many: slip, or Drop
//! ```
//!
//! A query of a stream goes the same way by itself: [`Worker::answer_one`]. What upstreams say comes in by
//! [`Worker::on_reply`], is sifted and kept, and goes out as an [`Answer`] to each client that waits for it.
//!
//! No socket and no clock: both engines call the same steps, tell them the time, and so may a test.

mod follow;
mod pass;
mod recall;
#[cfg(test)]
mod scenarios;

use std::net::IpAddr;
use std::time::Instant;

use dns::{Moment, Rcode, Reader};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use self::follow::{Originals, tell};
pub(crate) use self::recall::Share;
use self::recall::{Recall, count_told};
use crate::counters::Writer;
use crate::forward::config;
use crate::forward::{Action, Ask, Cause, Forwarder, Heard, Place, ReturnPath, Trouble};
use crate::io::udp::{Batch, Datagram, Unusable};
use crate::limits::REPLY_OCTETS_MAX;
use crate::path::StreamKey;
use crate::ratelimit::{RateLimiter, Verdict};
use crate::respond::{Client, Message, Outcome, Policy, Transport, is_proven, respond, slip};

/// The time, as cheaply as it is to be had: read once a batch, and right to some milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// Seconds since 1970, modulo 2^32.
    pub(crate) seconds: u32,
    /// By the clock that never goes back.
    pub(crate) moment: Moment,
}

impl Now {
    /// Milliseconds of the clock that never goes back, modulo 2^32.
    pub(crate) fn milliseconds(self) -> u32 {
        self.moment.milliseconds() as u32
    }
}

/// An answer for a client that waited for an upstream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// Where to.
    pub(crate) to: ReturnPath,
    /// The message.
    pub(crate) octets: &'a [u8],
}

/// Where a worker's answers and questions go.
pub(crate) trait Outlet {
    /// Sends a question to an upstream.
    fn ask(&mut self, ask: &Ask<'_>);
    /// Sends an answer to a client.
    fn answer(&mut self, answer: &Answer<'_>, counters: &Writer);
}

/// What one core knows: the zones, who may ask, who asked too much, and which queries wait for an upstream.
pub(crate) struct Worker {
    reader: Reader,
    policy: Policy,
    limiter: RateLimiter,
    /// Whom to ask, as last told.
    routes: config::Reader,
    pub(crate) forwarder: Forwarder,
    recall: Recall,
    originals: Originals,
    pub(crate) counters: Writer,
    /// Room for one reply to a client that waited.
    reply: Box<[u8]>,
}

impl Worker {
    /// A worker that answers from what `reader` gives and asks others for the rest, as `routes` says.
    pub(crate) fn new(
        reader: Reader,
        policy: Policy,
        routes: config::Reader,
        cache: Share,
        seed: [u8; 32],
        counters: Writer,
    ) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        let (mut limiter_seed, mut forwarder_seed) = ([0; 16], [0; 32]);
        random.fill_bytes(&mut limiter_seed);
        random.fill_bytes(&mut forwarder_seed);
        let mut worker = Self {
            reader,
            limiter: RateLimiter::new(policy.rate_limit, &limiter_seed),
            policy,
            routes,
            forwarder: Forwarder::new(forwarder_seed),
            recall: Recall::new(cache, random.next_u64()),
            originals: Originals::new(),
            counters,
            reply: vec![0; REPLY_OCTETS_MAX].into_boxed_slice(),
        };
        worker.look_at_routes();
        // What a first look allocates for its thread is made now, and not by a query.
        worker.reader.load();
        worker
    }

    /// Goes by the newest configuration of the forwarder. To be called once a batch.
    fn look_at_routes(&mut self) {
        if let Some(config) = self.routes.changed() {
            self.forwarder.set_config(config);
            self.policy.forward_as(config);
        }
    }

    /// Whether who has this address may ask.
    pub(crate) fn may_ask(&self, client: IpAddr) -> bool {
        self.policy.access.allows(client)
    }

    /// Tells the time that cookies are made with and records end by. [`Worker::answer`] does so itself.
    pub(crate) fn set_time(&mut self, now: Now) {
        self.policy.set_time(now.seconds, now.moment);
    }

    /// Gives every datagram of `batch` its outcome. Returns whether some are to be forwarded.
    pub(crate) fn answer(&mut self, batch: &mut Batch, now: Now) -> bool {
        self.set_time(now);
        self.look_at_routes();
        let snapshot = self.reader.load();
        let (policy, counters) = (&self.policy, &self.counters);
        let mut forwards = false;
        let mut received = 0;
        for Datagram {
            buffer,
            len,
            peer,
            outcome,
            ..
        } in batch.datagrams()
        {
            received += 1;
            let peer = match peer {
                Ok(peer) => peer,
                Err(Unusable::Oversize) => {
                    counters.dropped_oversize.increment();
                    continue;
                }
                Err(Unusable::Unanswerable) => {
                    counters.dropped_unanswerable.increment();
                    continue;
                }
            };
            let client = Client {
                address: peer.ip(),
                transport: Transport::Udp,
            };
            let mut message = Message::new(buffer, len);
            let verdict = match self.limiter.check(client.address, now.milliseconds()) {
                Verdict::Slip | Verdict::Drop if is_proven(policy, client, &message) => {
                    counters.rate_proven.increment();
                    Verdict::Pass
                }
                verdict => verdict,
            };
            *outcome = match verdict {
                Verdict::Pass => respond(snapshot, policy, client, &mut message),
                Verdict::Slip => slip(policy, client, &mut message),
                Verdict::Drop => Outcome::Drop,
            };
            match (*outcome, verdict) {
                (Outcome::Reply { rcode, truncated, .. }, _) => {
                    count_reply(counters, rcode, truncated);
                    counters.rate_slips.add(u64::from(verdict == Verdict::Slip));
                }
                (Outcome::Forward | Outcome::Follow, _) => forwards = true,
                (Outcome::Drop, Verdict::Pass) => counters.dropped_malformed.increment(),
                (Outcome::Drop, Verdict::Slip | Verdict::Drop) => counters.dropped_rate.increment(),
            }
        }
        counters.queries.add(received);
        counters.batches.increment();
        forwards
    }

    /// Passes those datagrams of `batch` on that [`Worker::answer`] marked, and hands what there is to ask to `outlet`. One
    /// that cannot be passed on becomes an error in its place.
    ///
    /// `listener` is the socket the batch came from, for the way back.
    pub(crate) fn forward(
        &mut self,
        batch: &mut Batch,
        listener: u8,
        now: Instant,
        outlet: &mut impl Outlet,
    ) {
        for Datagram {
            buffer,
            len,
            peer,
            local,
            outcome,
        } in batch.datagrams()
        {
            let (Outcome::Forward | Outcome::Follow, Ok(peer)) = (*outcome, peer) else {
                continue;
            };
            let client = Client {
                address: peer.ip(),
                transport: Transport::Udp,
            };
            let path = ReturnPath::Datagram {
                listener,
                peer,
                local,
            };
            let is_alias = *outcome == Outcome::Follow;
            let mut message = Message::new(buffer, len);
            let passed = self.pass(client, &mut message, is_alias, path, now, outlet);
            // An answer comes later, and by another way.
            *outcome = passed.unwrap_or(Outcome::Drop);
        }
    }
}

impl Worker {
    /// What becomes of the one query in the first `length` octets of `buffer`, which came from `address` over the
    /// stream `key`. [`Outcome::Forward`]: an upstream is asked, through `outlet`, and an answer will come.
    pub(crate) fn answer_one(
        &mut self,
        address: IpAddr,
        key: StreamKey,
        buffer: &mut [u8],
        length: usize,
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> Outcome {
        let client = Client {
            address,
            transport: Transport::Tcp,
        };
        self.counters.queries.increment();
        self.look_at_routes();
        let outcome = respond(
            self.reader.load(),
            &self.policy,
            client,
            &mut Message::new(buffer, length),
        );
        if let Outcome::Forward | Outcome::Follow = outcome {
            let path = ReturnPath::Stream { key, peer: address };
            let is_alias = outcome == Outcome::Follow;
            let mut message = Message::new(buffer, length);
            let passed = self.pass(client, &mut message, is_alias, path, now, outlet);
            return passed.unwrap_or(Outcome::Forward);
        }
        match outcome {
            Outcome::Reply { rcode, truncated, .. } => count_reply(&self.counters, rcode, truncated),
            Outcome::Forward | Outcome::Follow | Outcome::Drop => self.counters.dropped_malformed.increment(),
        }
        outcome
    }

    /// Looks at a packet that came in on the socket of `place`.
    pub(crate) fn on_reply(&mut self, place: Place, packet: &[u8], now: Instant, outlet: &mut impl Outlet) {
        let heard = {
            let (forwarder, mut sink) = self.forwarding(now, outlet);
            forwarder.on_reply(place, packet, now, &mut sink)
        };
        if heard == Heard::Stray {
            self.counters.forward_mismatches.increment();
        }
    }

    /// The socket of `place` is of no use, because of `trouble`.
    pub(crate) fn on_error(
        &mut self,
        place: Place,
        trouble: Trouble,
        now: Instant,
        outlet: &mut impl Outlet,
    ) {
        let failures = &self.counters.forward_tls_failures;
        failures.add(u64::from(place.is_kept()));
        let (forwarder, mut sink) = self.forwarding(now, outlet);
        forwarder.on_error(place, trouble, now, &mut sink);
    }

    /// The connection of `place`, which had served before, has ended.
    pub(crate) fn on_end(&mut self, place: Place, now: Instant, outlet: &mut impl Outlet) {
        self.counters.forward_tls_ends.increment();
        let (forwarder, mut sink) = self.forwarding(now, outlet);
        forwarder.on_end(place, now, &mut sink);
    }

    /// Notes that it goes to sleep, and lets go of the snapshot until it has something to answer.
    pub(crate) fn rest(&mut self) {
        self.counters.parks.increment();
        self.reader.rest();
    }

    /// Does what is due at `now`.
    pub(crate) fn on_timeout(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let (forwarder, mut sink) = self.forwarding(now, outlet);
        forwarder.on_timeout(now, &mut sink);
    }

    /// Ends all that waits, with SERVFAIL.
    pub(crate) fn give_up(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let (forwarder, mut sink) = self.forwarding(now, outlet);
        forwarder.give_up(&mut sink);
    }

    /// The forwarder, and what is done with all that it wants done.
    fn forwarding<'w>(
        &'w mut self,
        now: Instant,
        outlet: &'w mut impl Outlet,
    ) -> (&'w mut Forwarder, impl FnMut(Action<'_>) + 'w) {
        let Self {
            reader,
            forwarder,
            recall,
            policy,
            counters,
            originals,
            routes,
            reply,
            ..
        } = self;
        let sink = move |action: Action<'_>| match action {
            Action::Ask(ask) => {
                counters.forward_asks.increment();
                counters.forward_streams.add(u64::from(ask.place.is_stream()));
                counters.forward_tls.add(u64::from(ask.place.is_kept()));
                outlet.ask(&ask);
            }
            Action::Turned(turned) => routes.note(turned.upstream, turned.trouble),
            Action::NoStream => counters.forward_stream_bounds.increment(),
            Action::Late(late) => {
                let (asked, snapshot) = (late.asked, reader.load());
                // It was there when they were told to wait so long, but others may have taken its room since.
                let Some(told) = recall.last_known(asked, counters, now) else {
                    return;
                };
                for waiter in late.standing {
                    count_told(&told, counters);
                    counters.forward_late.increment();
                    let written = tell(policy, snapshot, originals, &waiter, asked, &told, reply);
                    count_reply(counters, written.rcode, written.truncated);
                    let answer = Answer {
                        to: waiter.to,
                        octets: reply.get(..written.length).unwrap_or_default(),
                    };
                    outlet.answer(&answer, counters);
                }
            }
            Action::Ended(ended) => {
                let (asked, snapshot) = (ended.asked, reader.load());
                let told = recall.take_in(&ended, snapshot, policy, counters, now);
                for waiter in ended.served {
                    count_told(&told, counters);
                    match ended.cause {
                        Cause::Answered => counters.forward_answers.increment(),
                        Cause::TimedOut => counters.forward_timeouts.increment(),
                        Cause::Failed => counters.forward_failures.increment(),
                    }
                    let written = tell(policy, snapshot, originals, &waiter, asked, &told, reply);
                    count_reply(counters, written.rcode, written.truncated);
                    let answer = Answer {
                        to: waiter.to,
                        octets: reply.get(..written.length).unwrap_or_default(),
                    };
                    outlet.answer(&answer, counters);
                }
                recall.count(counters);
            }
        };
        (forwarder, sink)
    }
}

fn count_reply(counters: &Writer, rcode: Rcode, truncated: bool) {
    counters.reply(rcode);
    if truncated {
        counters.truncated.increment();
    }
}
