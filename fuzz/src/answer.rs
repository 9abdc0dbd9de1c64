//! A reply, read by the `domain` crate alone, so that our writer is not checked by our reader.

use std::collections::BTreeSet;
use std::net::IpAddr;

use dataplane::access::{Access, default_networks};
use dataplane::respond::{Client, Message, Outcome, Policy, Transport, respond};
use dns::wire::CookieJar;
use dns::{Moment, Snapshot};
use domain::base::iana::Rtype;
use domain::rdata::AllRecordData;

/// What the server calls itself.
pub(crate) const NSID: &[u8] = b"fuzzed";
/// When every packet comes in.
const NOW_SECONDS: u32 = 1_000_000;
/// The same by the clock that records end by.
pub(crate) const NOW: Moment = Moment::of_milliseconds(5_000_000);

/// What a reply says, in an order that does not depend on rotation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Response code, with EDNS's upper bits.
    pub(crate) rcode: u16,
    /// The answer is authoritative.
    pub(crate) authoritative: bool,
    /// The answer was cut.
    pub(crate) truncated: bool,
    /// TTL, type and data of the answer's records, sorted; of an SOA the type alone.
    pub(crate) answers: Vec<String>,
    /// Owner, type and data of the additional records, sorted.
    pub(crate) additional: Vec<String>,
    /// The authority section holds an SOA and nothing else.
    pub(crate) denied: bool,
}

/// Puts `packet` into a buffer of `room` octets and answers it for `client`, who may recurse.
pub(crate) fn ask(
    snapshot: &Snapshot,
    packet: &[u8],
    address: IpAddr,
    transport: Transport,
    room: usize,
) -> (Outcome, Vec<u8>) {
    let mut policy = Policy {
        cookies: Some(CookieJar::new([7; 16])),
        nsid: NSID.into(),
        ..Policy::new(true, Access::of(default_networks()))
    };
    policy.set_time(NOW_SECONDS, NOW);
    let client = Client { address, transport };
    let mut buffer = vec![0xee; room.max(packet.len())];
    let (query, _) = buffer.split_at_mut(packet.len());
    query.copy_from_slice(packet);
    let outcome = respond(
        snapshot,
        &policy,
        client,
        &mut Message::new(&mut buffer, packet.len()),
    );
    (outcome, buffer)
}

/// Reads the whole of `reply`.
///
/// # Panics
///
/// When it is no message, when a record of it cannot be read, or when octets are left over.
pub(crate) fn read(reply: &[u8]) -> Said {
    let message = domain::base::Message::from_octets(reply).expect("a reply has a header");
    assert!(message.header().qr(), "a reply says that it is one");
    let (mut answers, mut additional, mut all) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut denials = 0;
    let mut others = 0;
    let mut records = 0;
    for record in &message {
        let (record, section) = record.expect("every record of a reply can be read");
        records += 1;
        let rtype = record.rtype();
        if rtype == Rtype::OPT {
            continue;
        }
        let record = record
            .into_record::<AllRecordData<_, _>>()
            .expect("the data of every record can be read")
            .expect("all types are asked for");
        let (owner, ttl) = (record.owner(), record.ttl().as_secs());
        let is_new = all.insert((section as u8, owner.to_string(), record.data().to_string()));
        assert!(
            is_new,
            "no record stands in a section twice (RFC 2181, section 5)"
        );
        match section {
            domain::base::message::Section::Answer if rtype == Rtype::SOA => answers.push("SOA".to_owned()),
            domain::base::message::Section::Answer => {
                answers.push(format!("{ttl} {rtype} {}", record.data()));
            }
            domain::base::message::Section::Authority if rtype == Rtype::SOA => denials += 1,
            domain::base::message::Section::Authority => others += 1,
            domain::base::message::Section::Additional => {
                additional.push(format!("{owner} {rtype} {}", record.data()));
            }
        }
    }
    let counts = message.header_counts();
    let counted = counts.ancount() + counts.nscount() + counts.arcount();
    assert_eq!(records, counted, "the header counts the records");
    answers.sort();
    additional.sort();
    Said {
        rcode: message.opt_rcode().to_int(),
        authoritative: message.header().aa(),
        truncated: message.header().tc(),
        answers,
        additional,
        denied: denials == 1 && others == 0,
    }
}
