//! One core's share of a query's path: a batch goes in, and each of its datagrams has an outcome.
//!
//! ```text
//!  Batch ─▶ [ load the snapshot, once ] ─▶ respond ─▶ respond ─▶ …       Reply │ Forward │ Drop
//!                                              │
//!                                              └─ Forward ─▶ Forwarder::submit ─▶ ask an upstream, or SERVFAIL
//! ```
//!
//! A query of a stream goes the same way by itself: [`Worker::answer_one`].
//!
//! No socket and no clock: both engines call the same steps, and so may a test.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use dns::{Rcode, Reader};

use crate::counters::Writer;
use crate::forward::{Answer, Ask, Cause, Forwarder, ReturnPath};
use crate::io::tcp::StreamKey;
use crate::io::udp::{Batch, Datagram, Unusable};
use crate::respond::{Client, Message, Outcome, Policy, Transport, fail, respond};

/// What one core knows: the zones, who may ask, and which queries wait for an upstream.
pub(crate) struct Worker {
    reader: Reader,
    policy: Policy,
    pub(crate) forwarder: Forwarder,
    pub(crate) counters: Writer,
}

impl Worker {
    /// A worker that answers from what `reader` gives and asks `upstreams` for the rest.
    pub(crate) fn new(
        reader: Reader,
        policy: Policy,
        upstreams: &[SocketAddr],
        seed: [u8; 32],
        counters: Writer,
    ) -> Self {
        Self {
            reader,
            policy,
            forwarder: Forwarder::new(upstreams, seed),
            counters,
        }
    }

    /// Gives every datagram of `batch` its outcome. Returns whether some are to be forwarded.
    pub(crate) fn answer(&mut self, batch: &mut Batch) -> bool {
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
            *outcome = respond(snapshot, policy, client, &mut Message::new(buffer, len));
            match *outcome {
                Outcome::Reply { rcode, truncated, .. } => count_reply(counters, rcode, truncated),
                Outcome::Forward => forwards = true,
                Outcome::Drop => counters.dropped_malformed.increment(),
            }
        }
        counters.queries.add(received);
        counters.batches.increment();
        forwards
    }

    /// Passes those datagrams of `batch` on that [`Worker::answer`] marked, and hands each question for an
    /// upstream to `ask`. One that cannot be passed on becomes SERVFAIL in its place.
    ///
    /// `listener` is the socket the batch came from, for the way back.
    pub(crate) fn forward(
        &mut self,
        batch: &mut Batch,
        listener: u8,
        now: Instant,
        mut ask: impl FnMut(&Ask<'_>),
    ) {
        for Datagram {
            buffer,
            len,
            peer,
            local,
            outcome,
        } in batch.datagrams()
        {
            let (Outcome::Forward, Ok(peer)) = (*outcome, peer) else {
                continue;
            };
            let query = buffer.get(..len).unwrap_or_default();
            if let Some(question) = self.forwarder.submit(
                now,
                query,
                ReturnPath::Datagram {
                    listener,
                    peer,
                    local,
                },
            ) {
                self.counters.forwards.increment();
                ask(&question);
                *outcome = Outcome::Drop;
            } else {
                self.counters.forward_failures.increment();
                *outcome = fail(&mut Message::new(buffer, len), Rcode::SERV_FAIL);
                if let Outcome::Reply { rcode, truncated, .. } = *outcome {
                    count_reply(&self.counters, rcode, truncated);
                }
            }
        }
    }
}

impl Worker {
    /// What becomes of the one query in the first `length` octets of `buffer`, which came from `address` over the
    /// stream `key`. [`Outcome::Forward`]: its question was handed to `ask`, and an answer will come.
    pub(crate) fn answer_one(
        &mut self,
        address: IpAddr,
        key: StreamKey,
        buffer: &mut [u8],
        length: usize,
        now: Instant,
        mut ask: impl FnMut(&Ask<'_>),
    ) -> Outcome {
        let client = Client {
            address,
            transport: Transport::Tcp,
        };
        self.counters.queries.increment();
        let mut outcome = respond(
            self.reader.load(),
            &self.policy,
            client,
            &mut Message::new(buffer, length),
        );
        if outcome == Outcome::Forward {
            let query = buffer.get(..length).unwrap_or_default();
            if let Some(question) = self.forwarder.submit(now, query, ReturnPath::Stream(key)) {
                self.counters.forwards.increment();
                ask(&question);
                return Outcome::Forward;
            }
            self.counters.forward_failures.increment();
            outcome = fail(&mut Message::new(buffer, length), Rcode::SERV_FAIL);
        }
        match outcome {
            Outcome::Reply { rcode, truncated, .. } => count_reply(&self.counters, rcode, truncated),
            Outcome::Forward | Outcome::Drop => self.counters.dropped_malformed.increment(),
        }
        outcome
    }
}

/// Counts an answer that a forwarded query came to.
pub(crate) fn count_answer(counters: &Writer, answer: &Answer<'_>) {
    match answer.cause {
        Cause::Answered => counters.forward_answers.increment(),
        Cause::TimedOut => counters.forward_timeouts.increment(),
        Cause::Failed => counters.forward_failures.increment(),
    }
    count_reply(counters, answer.rcode, answer.truncated);
}

fn count_reply(counters: &Writer, rcode: Rcode, truncated: bool) {
    counters.reply(rcode);
    if truncated {
        counters.truncated.increment();
    }
}
