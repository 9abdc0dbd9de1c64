//! Writing the reply to a query that was read.

use dns::snapshot::{Denial, Written};
use dns::wire::{
    COOKIE_OCTETS, EDNS_OCTETS, HEADER_OCTETS, Head, OPTION_OCTETS, OptionCode, Section, Standing,
};
use dns::{Alias, Answer, Flags, Matches, ParseError, Query, RType, Rcode, Reply};

use super::{Client, Message, Outcome, Policy, Refusal, Transport, UDP_SIZE, limit};
use crate::limits::{NSID_OCTETS_MAX, TCP_IDLE_MAX, UDP_REPLY_OCTETS_MIN};
use crate::special::Special;

/// A pointer to the question's name, which always begins there.
const QNAME_POINTER: [u8; 2] = [0xc0, HEADER_OCTETS as u8];

/// A query that was read, and the room for its reply.
pub(super) struct Answering<'a, 'b> {
    pub(super) policy: &'a Policy,
    pub(super) head: Head,
    pub(super) limit: usize,
    pub(super) cookie: Option<[u8; COOKIE_OCTETS]>,
    pub(super) transport: Transport,
    pub(super) message: &'a mut Message<'b>,
}

/// What a reply takes of its query, for records that are not of a snapshot.
pub(crate) struct Opening {
    head: Head,
    limit: usize,
    cookie: Option<[u8; COOKIE_OCTETS]>,
    transport: Transport,
}

impl Opening {
    /// Of a query that `client` sent.
    pub(crate) fn of(policy: &Policy, client: Client, query: &Query<'_>) -> Self {
        let cookie = policy.answer_cookie(query.cookie(), client);
        Self {
            head: Head::from(query),
            limit: limit(client.transport, query.edns),
            cookie: cookie.map(|(_, octets)| octets),
            transport: client.transport,
        }
    }

    /// What the reply keeps of the query.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Begins the reply in the buffer that holds the query.
    pub(crate) fn begin<'b>(&self, policy: &Policy, message: &'b mut Message<'_>) -> Reply<'b> {
        let mut reply = Reply::begin(message.buffer, self.head, self.limit, UDP_SIZE);
        if policy.recursion {
            reply.offer_recursion();
        }
        put_options(&mut reply, policy, self.head, self.cookie, self.transport);
        reply
    }
}

impl<'a, 'b> Answering<'a, 'b> {
    /// For a reply that takes nothing but its question from the query in `message`; and what its cookie proves.
    pub(super) fn begun(
        policy: &'a Policy,
        client: Client,
        message: &'a mut Message<'b>,
    ) -> Result<(Self, Option<Standing>), ParseError> {
        let query = Query::parse(message.octets())?;
        let (standing, cookie) = policy.answer_cookie(query.cookie(), client).unzip();
        let (head, limit) = (Head::from(&query), limit(client.transport, query.edns));
        let begun = Self {
            policy,
            head,
            limit,
            cookie,
            transport: client.transport,
            message,
        };
        Ok((begun, standing))
    }

    /// An RRset as it was compiled, its first record chosen by the query's id.
    pub(super) fn found(&mut self, answer: &Answer<'_>) -> Outcome {
        let [early, late] = answer.rotated(self.head.id());
        let now = self.policy.now;
        let mut reply = self.begin(Flags::AA);
        let from = reply.end();
        if !reply.push(Section::Answer, answer.records, &[early, late]) {
            return cut(reply);
        }
        // Addresses of targets are a courtesy: left out whole where they do not fit, and TC stays clear.
        let _ = reply.push(
            Section::Additional,
            answer.additional_records,
            &[answer.additional],
        );
        answer.cap_ttls(&mut reply, from, now);
        sent(reply, Rcode::NO_ERROR)
    }

    /// The records of all endpoints that a pattern matches.
    pub(super) fn matches(&mut self, matches: &Matches<'_>, qtype: RType, transport: Transport) -> Outcome {
        let (rotation, now) = (self.head.id(), self.policy.now);
        let mut reply = self.begin(Flags::AA);
        match matches.write(qtype, rotation, now, &mut reply) {
            Written::Whole => sent(reply, Rcode::NO_ERROR),
            Written::Cut if transport == Transport::Udp => cut(reply),
            // There is no larger message to ask for: what fits into 64 KiB is all that can be had.
            Written::Cut => sent(reply, Rcode::NO_ERROR),
            Written::Nothing => self.negative(Rcode::NO_ERROR, matches.zone.denial()),
        }
    }

    /// An alias, the names it leads to, and what is at the end of them.
    pub(super) fn alias(&mut self, alias: &Alias<'_>, qtype: RType, transport: Transport) -> Outcome {
        let (rotation, now) = (self.head.id(), self.policy.now);
        let mut reply = self.begin(Flags::AA);
        let (written, rcode) = alias.write(qtype, rotation, now, &mut reply);
        reply.set_rcode(rcode);
        if written == Written::Cut && transport == Transport::Udp {
            cut(reply)
        } else {
            sent(reply, rcode)
        }
    }

    pub(super) fn soa(&mut self, soa: Denial<'_>) -> Outcome {
        let mut reply = self.begin(Flags::AA);
        let owner = reply.pointer_to_suffix(soa.owner_octets);
        let _ = reply.push(Section::Answer, 1, &[&owner, soa.soa_after_owner]);
        sent(reply, Rcode::NO_ERROR)
    }

    /// A name or type that does not exist, with the SOA that says for how long (RFC 2308, section 3).
    pub(super) fn negative(&mut self, rcode: Rcode, denial: Denial<'_>) -> Outcome {
        let mut reply = self.begin(Flags::AA);
        reply.set_rcode(rcode);
        let owner = reply.pointer_to_suffix(denial.owner_octets);
        let _ = reply.push(Section::Authority, 1, &[&owner, denial.soa_after_owner]);
        sent(reply, rcode)
    }

    /// A name that the RFCs decide about.
    pub(super) fn special(&mut self, special: &Special, qtype: RType) -> Outcome {
        let mut reply = self.begin(Flags::AA);
        let rcode = match special.record(qtype) {
            Some(record) => {
                let owner = QNAME_POINTER;
                let _ = reply.push(Section::Answer, 1, &[&owner, record]);
                Rcode::NO_ERROR
            }
            None => {
                let owner = reply.pointer_to_suffix(special.suffix_octets);
                let _ = reply.push(Section::Authority, 1, &[&owner, special.soa_after_owner()]);
                special.denial()
            }
        };
        reply.set_rcode(rcode);
        sent(reply, rcode)
    }

    /// The name of this server, as a text of class CH that nobody keeps (RFC 4892, section 2).
    pub(super) fn who(&mut self) -> Outcome {
        let policy = self.policy;
        let length = u8::try_from(policy.nsid.len()).unwrap_or(u8::MAX);
        let text = policy.nsid.get(..usize::from(length)).unwrap_or_default();
        let [.., data_length] = u16::from(length).saturating_add(1).to_be_bytes();
        let mut reply = self.begin(Flags::AA);
        let head = [0, 16, 0, 3, 0, 0, 0, 0, 0, data_length, length];
        let _ = reply.push(Section::Answer, 1, &[&QNAME_POINTER, &head, text]);
        sent(reply, Rcode::NO_ERROR)
    }

    pub(super) fn error(&mut self, (rcode, why): Refusal) -> Outcome {
        let mut reply = self.begin(Flags(0));
        reply.set_rcode(rcode);
        if let Some(why) = why {
            reply.explain(why);
        }
        sent(reply, rcode)
    }

    pub(super) fn begin(&mut self, flags: Flags) -> Reply<'_> {
        let mut reply = Reply::begin(self.message.buffer, self.head, self.limit, UDP_SIZE);
        reply.set_flags(flags);
        if self.policy.recursion {
            reply.offer_recursion();
        }
        put_options(&mut reply, self.policy, self.head, self.cookie, self.transport);
        reply
    }
}

/// What every reply tells a client that asked for it in its OPT record. There is room, whatever the question.
pub(crate) fn put_options(
    reply: &mut Reply<'_>,
    policy: &Policy,
    head: Head,
    cookie: Option<[u8; COOKIE_OCTETS]>,
    transport: Transport,
) {
    if let Some(cookie) = &cookie {
        reply.option(OptionCode::COOKIE, &[cookie]);
    }
    if head.asks_nsid() && !policy.nsid.is_empty() {
        reply.option(OptionCode::NSID, &[&policy.nsid]);
    }
    if head.asks_keepalive() && transport == Transport::Tcp {
        reply.option(OptionCode::TCP_KEEPALIVE, &[&IDLE.to_be_bytes()]);
    }
}

/// How long a connection may be idle, as clients are told: in tenths of a second (RFC 7828, section 3.1).
const IDLE: u16 = (TCP_IDLE_MAX.as_millis() / 100) as u16;
const _: () = assert!(
    TCP_IDLE_MAX.as_millis() / 100 <= u16::MAX as u128,
    "it is a 16-bit field"
);

const _: () = assert!(
    HEADER_OCTETS + dns::name::NAME_OCTETS_MAX + 4 + EDNS_OCTETS // header, question, OPT
        + OPTION_OCTETS + COOKIE_OCTETS // cookie
        + OPTION_OCTETS + NSID_OCTETS_MAX // NSID
        + OPTION_OCTETS + 2 // keepalive
        + OPTION_OCTETS + 2 // extended error
        <= UDP_REPLY_OCTETS_MIN,
    "every option fits beside the longest question"
);

pub(super) fn sent(reply: Reply<'_>, rcode: Rcode) -> Outcome {
    Outcome::Reply {
        length: reply.finish(),
        rcode,
        truncated: false,
    }
}

pub(super) fn cut(mut reply: Reply<'_>) -> Outcome {
    reply.truncate();
    Outcome::Reply {
        length: reply.finish(),
        rcode: Rcode::NO_ERROR,
        truncated: true,
    }
}
