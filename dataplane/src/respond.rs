//! Answering one query.
//!
//! ```text
//!  packet ──parse──▶ Query ──lookup──▶ Lookup ──write──▶ reply octets, in the packet's own buffer
//!     │                 │                ├─ not our zone ──▶ Forward
//!     │                 │                └─ an alias of a name that is not ours ──▶ Follow
//!     │                 └─ not for us to answer ──▶ error reply
//!     └─ not a query ──▶ Drop
//! ```
//!
//! Everything here is a plain function of its arguments: no socket, no clock, no allocation. A worker
//! owns the sockets and calls [`respond`] once per datagram.

mod answering;
mod chaos;
mod policy;
mod unreadable;

pub(crate) use answering::{Opening, put_options};
pub use policy::Policy;

use std::net::IpAddr;

use dns::wire::{ExtendedError, Head, Standing};
use dns::{Class, Edns, Flags, Lookup, Query, RType, Rcode, Snapshot};

use self::answering::{Answering, cut};
use self::unreadable::unreadable;
use crate::limits::{REPLY_OCTETS_MAX, UDP_REPLY_OCTETS_MAX, UDP_REPLY_OCTETS_MIN};
use crate::special;

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram; what does not fit is cut, and TC says so.
    Udp,
    /// A stream, in which a message has up to 65,535 octets.
    Tcp,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Source address.
    pub address: IpAddr,
    /// How the query came, and so how the reply goes.
    pub transport: Transport,
}

/// A buffer whose first octets are a query, and later the reply to it.
#[derive(Debug)]
pub struct Message<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

/// What is to be done with the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Send its first `length` octets back.
    Reply {
        /// Octets of the reply.
        length: usize,
        /// Its response code, for the counters.
        rcode: Rcode,
        /// It was cut for want of room.
        truncated: bool,
    },
    /// The buffer still holds the query: ask an upstream.
    Forward,
    /// The buffer still holds the query, whose name is an alias that leads to a name that is not ours: ask an upstream
    /// about that one.
    Follow,
    /// Send nothing.
    Drop,
}

impl<'b> Message<'b> {
    /// The message in the first `length` octets of `buffer`; the rest is room for the reply.
    pub fn new(buffer: &'b mut [u8], length: usize) -> Self {
        Self {
            length: length.min(buffer.len()),
            buffer,
        }
    }

    /// The query's octets.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// Answers the query in `message`, from `snapshot` alone.
///
/// Says nothing to what is no query, and REFUSED, never NXDOMAIN, to what is not ours to know.
pub fn respond(snapshot: &Snapshot, policy: &Policy, client: Client, message: &mut Message<'_>) -> Outcome {
    let query = match Query::parse(message.octets()) {
        Ok(query) => query,
        Err(error) => return unreadable(policy, client, message, error),
    };
    let (head, qtype) = (Head::from(&query), query.question.qtype);
    let forward = policy.recursion && query.flags.contains(Flags::RD);
    let limit = limit(client.transport, query.edns);
    let cookie = policy.answer_cookie(query.cookie(), client);
    let lookup = match refusal(policy, client, &query) {
        None => Ok(snapshot.lookup(&query.question, client.address)),
        Some(refusal) => Err(refusal),
    };
    let special = match lookup {
        Ok(Lookup::NotOurs) => {
            let qname = query.question.qname;
            special::of(qname).filter(|special| !policy.forwards_special(special, qname))
        }
        _ => None,
    };
    let falls_through =
        forward && matches!(lookup, Ok(Lookup::NxDomain(_))) && policy.falls_through(query.question.qname);
    let leads_out = matches!(&lookup, Ok(Lookup::Alias(alias))
        if forward && policy.follows(alias, &query.question).is_some());
    let asks_who = matches!(lookup, Err((Rcode::REFUSED, None))) && chaos::asks_who(policy, &query.question);
    // From here on the query's octets may be overwritten: what is needed of them was taken out above.
    let mut reply = Answering {
        policy,
        head,
        limit,
        cookie: cookie.map(|(_, octets)| octets),
        transport: client.transport,
        message,
    };
    match lookup {
        Ok(Lookup::Found(answer)) => reply.found(&answer),
        Ok(Lookup::Matches(matches)) => reply.matches(&matches, qtype, client.transport),
        Ok(Lookup::Alias(_)) if leads_out => Outcome::Follow,
        Ok(Lookup::Alias(alias)) => reply.alias(&alias, qtype, client.transport),
        Ok(Lookup::Soa(soa)) => reply.soa(soa),
        Ok(Lookup::NoData(denial)) => reply.negative(Rcode::NO_ERROR, denial),
        Ok(Lookup::NxDomain(_)) if falls_through => Outcome::Forward,
        Ok(Lookup::NxDomain(denial)) => reply.negative(Rcode::NX_DOMAIN, denial),
        Ok(Lookup::NotOurs) => match special {
            Some(special) => reply.special(&special, qtype),
            None if forward => Outcome::Forward,
            None => reply.error((Rcode::REFUSED, Some(ExtendedError::NOT_AUTHORITATIVE))),
        },
        Err(_) if asks_who => reply.who(),
        Err(refusal) => reply.error(refusal),
    }
}

/// An rcode, and for clients with EDNS the reason for it.
type Refusal = (Rcode, Option<ExtendedError>);

/// Why a query that was read is not answered, if it is not.
fn refusal(policy: &Policy, client: Client, query: &Query<'_>) -> Option<Refusal> {
    let question = query.question;
    if !policy.access.allows(client.address) {
        return Some((Rcode::REFUSED, Some(ExtendedError::PROHIBITED)));
    }
    let rcode = if query.edns.is_some_and(|edns| edns.version != 0) {
        Rcode::BAD_VERS
    } else if question.qclass != Class::IN {
        Rcode::REFUSED
    } else {
        match question.qtype {
            RType::AXFR | RType::IXFR => Rcode::REFUSED,
            // What stands beside the data, or for none at all, is nothing that a question can be about.
            RType::RESERVED | RType::OPT | RType::TKEY | RType::TSIG => Rcode::FORM_ERR,
            _ => return None,
        }
    };
    Some((rcode, None))
}

/// Turns the query in `message` into an error reply with `rcode`; RA says that upstreams exist.
///
/// For a query that was to be forwarded and could not be. Nothing is sent to what is no query.
pub fn fail(policy: &Policy, client: Client, message: &mut Message<'_>, rcode: Rcode) -> Outcome {
    let why = match rcode {
        Rcode::SERV_FAIL => Some(ExtendedError::NO_REACHABLE_AUTHORITY),
        Rcode::REFUSED => Some(ExtendedError::NOT_AUTHORITATIVE),
        _ => None,
    };
    match Answering::begun(policy, client, message) {
        Ok((mut reply, _)) => reply.error((rcode, why)),
        Err(error) => unreadable(policy, client, message, error),
    }
}

/// Whether the query in `message` has a cookie that only `client` can know: its address is not forged.
#[must_use]
pub fn is_proven(policy: &Policy, client: Client, message: &Message<'_>) -> bool {
    let query = Query::parse(message.octets()).ok();
    let cookie = query.and_then(|query| query.cookie());
    matches!(policy.answer_cookie(cookie, client), Some((Standing::Valid, _)))
}

/// Turns the query in `message` into a reply without answer, for a client that has had its share of them. It is no
/// longer than the query with our cookie, so nobody gains by forging an address.
///
/// TC bids a client come by TCP, where its address is beyond doubt. One that knows cookies is told BADCOOKIE, and
/// may ask again at once with the cookie that it gets here (RFC 7873, section 5.2.3).
pub fn slip(policy: &Policy, client: Client, message: &mut Message<'_>) -> Outcome {
    match Answering::begun(policy, client, message) {
        Ok((mut reply, Some(Standing::New | Standing::Invalid))) => reply.error((Rcode::BAD_COOKIE, None)),
        Ok((mut reply, _)) => cut(reply.begin(Flags(0))),
        // A limited client's errors are not worth a reply.
        Err(_) => Outcome::Drop,
    }
}

/// The size of datagram that our OPT record asks clients to keep to.
pub(crate) const UDP_SIZE: u16 = UDP_REPLY_OCTETS_MAX as u16;
const _: () = assert!(UDP_REPLY_OCTETS_MAX <= u16::MAX as usize, "it is a 16-bit field");

/// The largest reply in octets that the client takes (RFC 6891, section 6.2.3) and we send.
pub(crate) fn limit(transport: Transport, edns: Option<Edns>) -> usize {
    match (transport, edns) {
        (Transport::Tcp, _) => REPLY_OCTETS_MAX,
        (Transport::Udp, None) => UDP_REPLY_OCTETS_MIN,
        (Transport::Udp, Some(edns)) => {
            usize::from(edns.udp_size).clamp(UDP_REPLY_OCTETS_MIN, UDP_REPLY_OCTETS_MAX)
        }
    }
}

#[cfg(test)]
mod tests;
