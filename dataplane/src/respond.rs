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

use std::net::IpAddr;

use dns::snapshot::{Denial, Written};
use dns::wire::{
    COOKIE_OCTETS, Cookie, CookieJar, EDNS_OCTETS, Envelope, ExtendedError, HEADER_OCTETS, Head,
    OPTION_OCTETS, OptionCode, Section, Standing,
};
use dns::{
    Alias, Answer, Class, Edns, Flags, Lookup, Matches, Name, NameRef, ParseError, Query, Question, RType,
    Rcode, Reply, Snapshot,
};

use crate::access::Access;
use crate::forward;
use crate::limits::{
    NSID_OCTETS_MAX, REPLY_OCTETS_MAX, TCP_IDLE_MAX, UDP_REPLY_OCTETS_MAX, UDP_REPLY_OCTETS_MIN,
};
use crate::special::{self, Special};

/// What holds for every query alike.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Names that are not ours are asked of others; without it they are refused.
    pub recursion: bool,
    /// Who may ask.
    pub access: Access,
    /// Makes and checks cookies, and knows the time for it; without it cookies are passed over.
    pub cookies: Option<CookieJar>,
    /// Which server this is, told to who asks for it (NSID); at most [`NSID_OCTETS_MAX`] octets, and none: not told.
    pub nsid: Box<[u8]>,
    /// Replies a second that each public network gets over UDP; 0: as many as it asks for.
    pub rate_limit: u32,
    /// Domains that others are asked about although the RFCs decide about them, as `local` where a network uses it.
    pub forwarded_specials: Box<[Name]>,
    /// Others are asked about reverse names of private addresses that are not ours (RFC 6303).
    pub forwards_private_reverse: bool,
    /// Domains in zones of ours whose names others are asked about where we know none.
    pub fallthrough: Box<[Name]>,
}

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

impl Policy {
    /// Without cookies, NSID and limit.
    #[must_use]
    pub fn new(recursion: bool, access: Access) -> Self {
        Self {
            recursion,
            access,
            cookies: None,
            nsid: Box::default(),
            rate_limit: 0,
            forwarded_specials: Box::default(),
            forwards_private_reverse: false,
            fallthrough: Box::default(),
        }
    }

    /// Goes by `config`: whether others are asked at all, and which of the names that the RFCs keep from them are asked
    /// about all the same, because the user named a domain that they lie in.
    pub fn forward_as(&mut self, config: &forward::Config) {
        self.recursion = config.forwards();
        let domains = config.routes.iter().map(|route| &route.domain);
        self.forwarded_specials = domains
            .filter(|domain| may_hold_specials(domain))
            .cloned()
            .collect();
    }

    /// Tells the time that cookies are stamped with and checked by, in seconds since 1970 modulo 2^32.
    pub fn set_time(&mut self, now_seconds: u32) {
        if let Some(cookies) = &mut self.cookies {
            cookies.set_time(now_seconds);
        }
    }

    /// Whether others are asked about `name`, which lies in a zone of ours and does not exist.
    #[must_use]
    pub fn falls_through(&self, name: NameRef<'_>) -> bool {
        let mut domains = self.fallthrough.iter();
        domains.any(|domain| name.start_of(domain).is_some())
    }

    /// Whether others are asked about `name`, which the RFCs decide about.
    fn forwards_special(&self, special: &Special, name: NameRef<'_>) -> bool {
        if special.is_private_reverse() && self.forwards_private_reverse {
            return true;
        }
        let mut domains = self.forwarded_specials.iter();
        domains.any(|domain| name.start_of(domain).is_some())
    }

    /// The name that `alias`, the answer to `question`, leads to, if others are to be asked about it.
    pub(crate) fn follows<'s>(&self, alias: &Alias<'s>, question: &Question<'_>) -> Option<NameRef<'s>> {
        let Question { qname, qtype, .. } = *question;
        let target = alias.leads_out(qname, qtype, |name| self.falls_through(name))?;
        let is_asked = special::of(target).is_none_or(|special| self.forwards_special(&special, target));
        is_asked.then_some(target)
    }

    /// What `cookie` proves of `client`, and what it is answered.
    pub(crate) fn answer_cookie(
        &self,
        cookie: Option<Cookie<'_>>,
        client: Client,
    ) -> Option<(Standing, [u8; COOKIE_OCTETS])> {
        let (cookies, cookie) = (self.cookies.as_ref()?, cookie?);
        Some(cookies.answer(&cookie, client.address))
    }
}

/// Whether names that the RFCs decide about lie in `domain`, and others may be asked about them. All reverse names may.
fn may_hold_specials(domain: &Name) -> bool {
    let is_special = special::of(domain.as_ref()).is_some_and(|special| special.may_be_forwarded());
    is_special || domain.labels().last() == Some(b"arpa")
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

/// What is said to a message that is no query of ours.
fn unreadable(policy: &Policy, client: Client, message: &mut Message<'_>, error: ParseError) -> Outcome {
    match error {
        // Replying to a reply could bounce between two servers for ever.
        ParseError::ShortHeader | ParseError::IsResponse => Outcome::Drop,
        ParseError::Opcode => unknown_operation(policy, client, message),
        ParseError::QuestionCount => no_question(policy, client, message),
        ParseError::Truncated | ParseError::Name | ParseError::Edns | ParseError::Signed => {
            bare(message, Rcode::FORM_ERR)
        }
    }
}

/// NOTIMP, in EDNS to who speaks it (RFC 6891, section 7) and with no flag copied (RFC 8906, section 3.1.4).
fn unknown_operation(policy: &Policy, client: Client, message: &mut Message<'_>) -> Outcome {
    let envelope = Envelope::parse(message.octets());
    let Some((envelope, edns)) = envelope
        .ok()
        .and_then(|envelope| Some((envelope, envelope.edns?)))
    else {
        return bare(message, Rcode::NOT_IMP);
    };
    let cookie = policy.answer_cookie(envelope.cookie(), client);
    let rcode = if edns.version == 0 {
        Rcode::NOT_IMP
    } else {
        Rcode::BAD_VERS
    };
    let head = Head::from(&envelope);
    let limit = limit(client.transport, Some(edns));
    let mut reply = Reply::begin(message.buffer, head, limit, UDP_SIZE);
    let cookie = cookie.map(|(_, octets)| octets);
    put_options(&mut reply, policy, head, cookie, client.transport);
    reply.set_rcode(rcode);
    sent(reply, rcode)
}

/// Without a question there is nothing to say, unless it is a cookie that is wanted, or to be confirmed (RFC 7873,
/// section 5.4).
fn no_question(policy: &Policy, client: Client, message: &mut Message<'_>) -> Outcome {
    let envelope = Envelope::parse(message.octets());
    let Some(envelope) = envelope.ok().filter(|envelope| envelope.questions == 0) else {
        return bare(message, Rcode::FORM_ERR);
    };
    let Some((standing, cookie)) = policy.answer_cookie(envelope.cookie(), client) else {
        return bare(message, Rcode::FORM_ERR);
    };
    let mut reply = Answering {
        policy,
        head: Head::from(&envelope),
        limit: limit(client.transport, envelope.edns),
        cookie: Some(cookie),
        transport: client.transport,
        message,
    };
    reply.error(match standing {
        _ if !policy.access.allows(client.address) => (Rcode::REFUSED, Some(ExtendedError::PROHIBITED)),
        Standing::Invalid => (Rcode::BAD_COOKIE, None),
        Standing::New | Standing::Valid => (Rcode::NO_ERROR, None),
    })
}

fn bare(message: &mut Message<'_>, rcode: Rcode) -> Outcome {
    // Not even the length of the query is repeated: the header is all that was understood.
    let header = message
        .buffer
        .get_mut(..message.length.min(HEADER_OCTETS))
        .unwrap_or_default();
    match Reply::bare(header, rcode) {
        Some(length) => Outcome::Reply {
            length,
            rcode,
            truncated: false,
        },
        None => Outcome::Drop,
    }
}

/// A pointer to the question's name, which always begins there.
const QNAME_POINTER: [u8; 2] = [0xc0, HEADER_OCTETS as u8];

/// A query that was read, and the room for its reply.
struct Answering<'a, 'b> {
    policy: &'a Policy,
    head: Head,
    limit: usize,
    cookie: Option<[u8; COOKIE_OCTETS]>,
    transport: Transport,
    message: &'a mut Message<'b>,
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
    fn begun(
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
    fn found(&mut self, answer: &Answer<'_>) -> Outcome {
        let (late, early) = answer.answer.split_at(rotated(answer, self.head.id()));
        let mut reply = self.begin(Flags::AA);
        if !reply.push(Section::Answer, answer.records, &[early, late]) {
            return cut(reply);
        }
        // Addresses of targets are a courtesy: left out whole where they do not fit, and TC stays clear.
        let _ = reply.push(
            Section::Additional,
            answer.additional_records,
            &[answer.additional],
        );
        sent(reply, Rcode::NO_ERROR)
    }

    /// The records of all endpoints that a pattern matches.
    fn matches(&mut self, matches: &Matches<'_>, qtype: RType, transport: Transport) -> Outcome {
        let rotation = self.head.id();
        let mut reply = self.begin(Flags::AA);
        match matches.write(qtype, rotation, &mut reply) {
            Written::Whole => sent(reply, Rcode::NO_ERROR),
            Written::Cut if transport == Transport::Udp => cut(reply),
            // There is no larger message to ask for: what fits into 64 KiB is all that can be had.
            Written::Cut => sent(reply, Rcode::NO_ERROR),
            Written::Nothing => self.negative(Rcode::NO_ERROR, matches.zone.denial()),
        }
    }

    /// An alias, the names it leads to, and what is at the end of them.
    fn alias(&mut self, alias: &Alias<'_>, qtype: RType, transport: Transport) -> Outcome {
        let rotation = self.head.id();
        let mut reply = self.begin(Flags::AA);
        let (written, rcode) = alias.write(qtype, rotation, &mut reply);
        reply.set_rcode(rcode);
        if written == Written::Cut && transport == Transport::Udp {
            cut(reply)
        } else {
            sent(reply, rcode)
        }
    }

    fn soa(&mut self, soa: Denial<'_>) -> Outcome {
        let mut reply = self.begin(Flags::AA);
        let owner = reply.pointer_to_suffix(soa.owner_octets);
        let _ = reply.push(Section::Answer, 1, &[&owner, soa.soa_after_owner]);
        sent(reply, Rcode::NO_ERROR)
    }

    /// A name or type that does not exist, with the SOA that says for how long (RFC 2308, section 3).
    fn negative(&mut self, rcode: Rcode, denial: Denial<'_>) -> Outcome {
        let mut reply = self.begin(Flags::AA);
        reply.set_rcode(rcode);
        let owner = reply.pointer_to_suffix(denial.owner_octets);
        let _ = reply.push(Section::Authority, 1, &[&owner, denial.soa_after_owner]);
        sent(reply, rcode)
    }

    /// A name that the RFCs decide about.
    fn special(&mut self, special: &Special, qtype: RType) -> Outcome {
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

    fn error(&mut self, (rcode, why): Refusal) -> Outcome {
        let mut reply = self.begin(Flags(0));
        reply.set_rcode(rcode);
        if let Some(why) = why {
            reply.explain(why);
        }
        sent(reply, rcode)
    }

    fn begin(&mut self, flags: Flags) -> Reply<'_> {
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

fn sent(reply: Reply<'_>, rcode: Rcode) -> Outcome {
    Outcome::Reply {
        length: reply.finish(),
        rcode,
        truncated: false,
    }
}

fn cut(mut reply: Reply<'_>) -> Outcome {
    reply.truncate();
    Outcome::Reply {
        length: reply.finish(),
        rcode: Rcode::NO_ERROR,
        truncated: true,
    }
}

/// Where in `answer` the record that `rotation` chooses begins, in octets.
fn rotated(answer: &Answer<'_>, rotation: u16) -> usize {
    let first = rotation.checked_rem(answer.records).unwrap_or(0);
    match (first, answer.stride) {
        (0, _) => 0,
        (first, 0) => nth_record(answer.answer, first),
        (first, stride) => usize::from(first) * usize::from(stride),
    }
    .min(answer.answer.len())
}

/// Where the record after `records` records begins. Owners are pointers: two octets before type, class,
/// TTL and RDLENGTH.
fn nth_record(answer: &[u8], records: u16) -> usize {
    let mut start = 0;
    for _ in 0..records {
        let Some(&[.., l0, l1]) = answer.get(start..).and_then(<[u8]>::first_chunk::<12>) else {
            return 0;
        };
        start += 12 + usize::from(u16::from_be_bytes([l0, l1]));
    }
    start
}

#[cfg(test)]
mod tests;
