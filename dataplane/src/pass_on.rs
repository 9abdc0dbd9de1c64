//! What upstreams said, as our clients get it.
//!
//! ```text
//!  query ─▶ Waiter: way back, id, spelling, size, cookie          while an upstream is asked
//!  answer ─▶ its records behind the client's own question, and OPT as on any reply of ours
//! ```
//!
//! Of an upstream's message go along the response code and the records that answer, as the cache has sifted them. Its
//! flags, its OPT and what else it sends do not.

use dns::{Query, Rcode, Reply};

use crate::cache::Answer;
use crate::forward::{Asked, ReturnPath, Waiter};
use crate::respond::{Client, Outcome, Policy, Transport, UDP_SIZE, limit, put_options};

/// A reply in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Its length, in octets.
    pub(crate) length: usize,
    /// Its response code.
    pub(crate) rcode: Rcode,
    /// It was cut for want of room.
    pub(crate) truncated: bool,
}

impl Written {
    /// The same as what becomes of a query.
    pub(crate) fn outcome(self) -> Outcome {
        let Self {
            length,
            rcode,
            truncated,
        } = self;
        Outcome::Reply {
            length,
            rcode,
            truncated,
        }
    }
}

/// What is kept of `query` while others are asked.
pub(crate) fn waiter(policy: &Policy, query: &Query<'_>, to: ReturnPath) -> Waiter {
    let transport = transport_of(&to);
    let client = Client {
        address: to.client(),
        transport,
    };
    let cookie = policy.answer_cookie(query.cookie(), client);
    let cookie = cookie.map(|(_, octets)| octets);
    Waiter::new(query, to, limit(transport, query.edns), cookie)
}

/// Begins the reply for `waiter`, whose question was `original`, in `room`.
pub(crate) fn begin<'r>(policy: &Policy, waiter: &Waiter, original: &Asked, room: &'r mut [u8]) -> Reply<'r> {
    waiter.write_question(original.octets(), room);
    let mut reply = Reply::begin(room, waiter.head, waiter.limit, UDP_SIZE);
    reply.offer_recursion();
    let transport = transport_of(&waiter.to);
    put_options(&mut reply, policy, waiter.head, waiter.cookie, transport);
    reply
}

fn transport_of(to: &ReturnPath) -> Transport {
    match to {
        ReturnPath::Datagram { .. } => Transport::Udp,
        ReturnPath::Stream { .. } => Transport::Tcp,
    }
}

/// Writes the reply for `waiter` to what was `asked`, with `answer` in it, into `room`.
pub(crate) fn pass_on(
    policy: &Policy,
    waiter: &Waiter,
    asked: &Asked,
    answer: &Answer<'_>,
    room: &mut [u8],
) -> Written {
    let reply = begin(policy, waiter, asked, room);
    let (length, truncated) = answer.write(reply, waiter.head.id());
    Written {
        length,
        rcode: answer.rcode(),
        truncated,
    }
}
