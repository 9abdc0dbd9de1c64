//! What upstreams said, as our clients get it.
//!
//! ```text
//!  query ─▶ Waiter: way back, id, spelling, size, cookie          while an upstream is asked
//!  answer ─▶ its records behind the client's own question, and OPT as on any reply of ours
//! ```
//!
//! Of an upstream's message go along the response code and the records that answer: those of the answer section, and of the
//! authority section where there is no answer or where they prove it. Its flags, its OPT and what else it sends do not.

use dns::wire::Section;
use dns::{Query, Rcode, Reply};

use crate::forward::{Asked, Ended, Failure, Foreign, ReturnPath, Waiter};
use crate::respond::{Client, Policy, Transport, UDP_SIZE, limit, put_options};

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

/// What is kept of `query` while others are asked.
pub(crate) fn waiter(policy: &Policy, query: &Query<'_>, to: ReturnPath) -> Waiter {
    let transport = match to {
        ReturnPath::Datagram { .. } => Transport::Udp,
        ReturnPath::Stream { .. } => Transport::Tcp,
    };
    let client = Client {
        address: to.client(),
        transport,
    };
    let cookie = policy.answer_cookie(query.cookie(), client);
    let cookie = cookie.map(|(_, octets)| octets);
    Waiter::new(query, to, limit(transport, query.edns), cookie)
}

/// Writes the reply for `waiter` to the end of an exchange into `room`.
pub(crate) fn pass_on(policy: &Policy, waiter: &Waiter, ended: &Ended<'_>, room: &mut [u8]) -> Written {
    write(policy, waiter, ended.asked, room, |reply| match &ended.result {
        Ok(foreign) => write_answer(foreign, ended.asked, reply),
        Err(failure) => write_failure(*failure, reply),
    })
}

/// Begins the reply for `waiter` to what was `asked`, in `room`, and has `body` write its records and finish it.
pub(crate) fn write<T>(
    policy: &Policy,
    waiter: &Waiter,
    asked: &Asked,
    room: &mut [u8],
    body: impl FnOnce(Reply<'_>) -> T,
) -> T {
    waiter.write_question(asked.octets(), room);
    let mut reply = Reply::begin(room, waiter.head, waiter.limit, UDP_SIZE);
    reply.offer_recursion();
    put_options(&mut reply, policy, waiter.head, waiter.cookie);
    body(reply)
}

fn write_answer(foreign: &Foreign<'_>, asked: &Asked, mut reply: Reply<'_>) -> Written {
    let [_, answers, authorities, _] = foreign.header.counts;
    let rcode = foreign.rcode;
    reply.set_rcode(rcode);
    // Pointers hold as they are: the question is as long as it was, and they lead to the front.
    let mut fits = reply.push(Section::Answer, answers, &[foreign.answers]);
    if answers == 0 || asked.dnssec_ok {
        fits &= reply.push(Section::Authority, authorities, &[foreign.authorities]);
    }
    if !fits {
        reply.truncate();
    }
    Written {
        length: reply.finish(),
        rcode,
        truncated: !fits,
    }
}

fn write_failure(failure: Failure, mut reply: Reply<'_>) -> Written {
    reply.set_rcode(failure.rcode);
    reply.explain(failure.why);
    Written {
        length: reply.finish(),
        rcode: failure.rcode,
        truncated: false,
    }
}
