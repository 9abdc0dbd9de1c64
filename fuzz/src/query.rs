//! Any octets as a packet: nothing panics, and what is answered is answered well.

use std::sync::LazyLock;

use dataplane::respond::{Outcome, Transport};
use dns::wire::{COOKIE_OCTETS, Cookie, Envelope};
use dns::{Builder, Edns, Endpoint, ParseError, Query, RecordData, RrSet, Snapshot, ZoneSettings};
use domain::base::Message;
use domain::base::iana::{OptionCode, Rtype};
use domain::base::opt::UnknownOptData;

use crate::answer::{NSID, ask, read};

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let apex = "docker".parse().expect("a constant");
    let mut builder = Builder::new(vec![ZoneSettings::of(apex, 30)], 1, 0).expect("one zone");
    let labels = ["dev", "a", "b", "r", "h", "u"].map(|label| label.as_bytes().into());
    let endpoint = Endpoint {
        ipv4: vec![[10, 0, 0, 1].into()],
        ipv6: vec![[7; 16].into()],
        port: Some(80),
        ..Endpoint::new(labels, 30)
    };
    builder.insert_endpoint(&endpoint).expect("labels of one octet");
    for (owner, records) in [("a.dev.docker", 1_u32), ("b.a.dev.docker", 200), ("x", 1)] {
        let records = (1..=records).map(|last| RecordData::A(last.into())).collect();
        let rrset = RrSet {
            view: dns::View::EVERYONE,
            ttl_seconds: 30,
            until: None,
            records,
            additional: Vec::new(),
        };
        builder
            .set(&owner.parse().expect("a constant"), &[rrset])
            .expect("records of one type");
    }
    builder.build()
});

/// Answers `packet` over both transports, and compares reader and writer with the `domain` crate.
///
/// # Panics
///
/// When our reading of the packet differs from `domain`'s, or a reply is not what a reply may be.
pub fn query(packet: &[u8]) {
    let ours = Query::parse(packet);
    compare(packet, ours);
    for (transport, room) in [(Transport::Udp, 4096), (Transport::Tcp, 65_535)] {
        let (outcome, buffer) = ask(&SNAPSHOT, packet, [127, 0, 0, 1].into(), transport, room);
        let length = match outcome {
            Outcome::Reply { length, .. } => length,
            Outcome::Forward | Outcome::Follow => {
                assert!(ours.is_ok(), "only what was read is forwarded");
                assert!(buffer.starts_with(packet), "what is forwarded is left as it came");
                continue;
            }
            Outcome::Drop => {
                let silent = matches!(ours, Err(ParseError::ShortHeader | ParseError::IsResponse));
                assert!(silent, "only what is no query is met with silence");
                continue;
            }
        };
        let reply = buffer.get(..length).expect("a reply is as long as it says");
        assert_eq!(reply.get(..2), packet.get(..2), "the id is the client's");
        let said = read(reply);
        match ours {
            Ok(query) => {
                let question = packet.get(12..query.question_end());
                assert_eq!(
                    reply.get(12..query.question_end()),
                    question,
                    "the question stays as it was"
                );
                let limit = match (transport, query.edns) {
                    (Transport::Tcp, _) => 65_535,
                    (Transport::Udp, None) => 512,
                    (Transport::Udp, Some(edns)) => usize::from(edns.udp_size).clamp(512, 1232),
                };
                assert!(length <= limit, "{length} octets where the client takes {limit}");
                assert!(
                    !said.truncated || said.answers.is_empty(),
                    "an RRset is whole or absent"
                );
                check_options(reply, query.edns, query.cookie());
            }
            Err(ParseError::Opcode | ParseError::QuestionCount) if length > 12 => {
                let envelope = Envelope::parse(packet).expect("a longer reply is for what was read");
                assert_eq!(reply.get(4..6), Some(&[0, 0][..]), "no question is repeated");
                assert!(length <= 512, "{length} octets for what is no query");
                check_options(reply, envelope.edns, envelope.cookie());
            }
            Err(error) => {
                assert_eq!(length, 12, "nothing that was not understood is echoed");
                let rcode = if error == ParseError::Opcode { 4 } else { 1 };
                assert_eq!(said.rcode, rcode);
            }
        }
    }
}

/// Looks at the OPT record of `reply`: there is one for one, and it holds what was asked for and nothing else.
fn check_options(reply: &[u8], edns: Option<Edns>, cookie: Option<Cookie<'_>>) {
    let message = Message::from_octets(reply).expect("a reply has a header");
    let opt = message.opt();
    assert_eq!(
        opt.is_some(),
        edns.is_some(),
        "EDNS is answered with EDNS and nothing else is"
    );
    let (Some(opt), Some(edns)) = (opt, edns) else {
        return;
    };
    assert_eq!((opt.version(), opt.udp_payload_size()), (0, 1232));
    assert_eq!(opt.dnssec_ok(), edns.dnssec_ok, "DO is copied");
    let (mut cookies, mut names) = (0, 0);
    for option in opt.opt().iter::<UnknownOptData<_>>() {
        let option = option.expect("every option of a reply can be read");
        match option.code() {
            OptionCode::COOKIE => {
                cookies += 1;
                assert_eq!(option.as_slice().len(), COOKIE_OCTETS);
                let client = cookie.map(|cookie| cookie.client);
                assert_eq!(option.as_slice().first_chunk(), client.as_ref());
            }
            OptionCode::NSID => {
                names += 1;
                assert_eq!(option.as_slice(), NSID);
            }
            OptionCode::TCP_KEEPALIVE => {
                assert!(edns.asks_keepalive, "the time is for who asks");
                assert_eq!(option.as_slice(), [0, 100], "ten seconds");
            }
            code => assert_eq!(code, OptionCode::EXTENDED_ERROR),
        }
    }
    assert_eq!(cookies, usize::from(cookie.is_some()), "a cookie is for a cookie");
    assert!(names <= usize::from(edns.asks_nsid), "the name is for who asks");
}

/// Holds our reading of `packet` against `domain`'s.
fn compare(packet: &[u8], ours: Result<Query<'_>, ParseError>) {
    let Ok(message) = Message::from_octets(packet) else {
        assert_eq!(ours, Err(ParseError::ShortHeader));
        return;
    };
    let header = message.header();
    let plain = !header.qr() && header.opcode().to_int() == 0 && message.header_counts().qdcount() == 1;
    let question = message.first_question().filter(|_| plain);
    let query = match ours {
        Ok(query) => query,
        Err(error) => {
            let is_founded = is_founded(error, packet, &message);
            assert!(is_founded, "{error:?}, and `domain` reads it without a fault");
            return;
        }
    };
    let theirs = question.expect("what we read can be read");
    assert_eq!(theirs.qtype().to_int(), query.question.qtype.0);
    assert_eq!(theirs.qclass().to_int(), query.question.qclass.0);
    let mut labels = query.question.qname.labels();
    for label in theirs.qname().iter().filter(|label| !label.is_root()) {
        assert_eq!(Some(label.as_slice()), labels.next(), "both read the same labels");
    }
    assert_eq!(labels.next(), None);
    let readable = message.iter().all(|record| record.is_ok());
    let opt = message.iter().filter_map(Result::ok).map(|(record, _)| record);
    let opt = opt.filter(|record| record.rtype() == Rtype::OPT).last();
    if let (true, Some(edns)) = (readable, query.edns) {
        let opt = opt.expect("we saw an OPT record");
        assert_eq!(opt.class().to_int(), edns.udp_size);
        let [_, version, flags, _] = opt.ttl().as_secs().to_be_bytes();
        assert_eq!((version, flags & 0x80 != 0), (edns.version, edns.dnssec_ok));
    }
}

/// Whether `domain` finds the fault as well for which we refuse `packet`, or it is one of those that are ours alone to
/// find:
///
/// - a pointer in the question, which `domain` follows wherever it leads (RFC 9267);
/// - an OPT record that is doubled, misplaced or not the root's, which is to whoever reads it (RFC 6891, section 6.1.1);
/// - a cookie of no cookie's length, of which `domain` makes an unknown option (RFC 7873, section 5.2.2);
/// - a name or an OPT record's options past the octets that hold them, which `domain` finds only where they are asked for.
fn is_founded(error: ParseError, packet: &[u8], message: &Message<&[u8]>) -> bool {
    let readable = message.iter().all(|record| record.is_ok());
    match error {
        ParseError::ShortHeader => packet.len() < 12,
        ParseError::IsResponse => message.header().qr(),
        ParseError::Opcode => message.header().opcode().to_int() != 0,
        ParseError::QuestionCount => message.header_counts().qdcount() != 1,
        ParseError::Truncated => !readable || message.first_question().is_none(),
        ParseError::Name => !readable || message.first_question().is_none() || has_pointer(packet),
        ParseError::Signed => {
            let mut records = message.iter().flatten();
            !readable || records.any(|(record, _)| record.rtype() == Rtype::TSIG)
        }
        ParseError::Edns => !readable || has_bad_opt(message),
    }
}

/// Whether the question's name holds a pointer.
fn has_pointer(packet: &[u8]) -> bool {
    let mut rest = packet.get(12..).unwrap_or_default();
    while let Some((&length, after)) = rest.split_first() {
        match length {
            0 => return false,
            1..=63 => rest = after.get(usize::from(length)..).unwrap_or_default(),
            _ => return length >= 0xc0,
        }
    }
    false
}

fn has_bad_opt(message: &Message<&[u8]>) -> bool {
    let records = message.iter().flatten();
    let opts: Vec<_> = records
        .filter(|(record, _)| record.rtype() == Rtype::OPT)
        .collect();
    let [(opt, section)] = opts.as_slice() else {
        return true;
    };
    let is_misplaced = *section != domain::base::message::Section::Additional;
    let Some(record) = message.opt().filter(|_| !is_misplaced && opt.owner().is_root()) else {
        return true;
    };
    let options: Result<Vec<_>, _> = record.opt().iter::<UnknownOptData<_>>().collect();
    let Ok(options) = options else { return true };
    let mut cookies = options
        .iter()
        .filter(|option| option.code() == OptionCode::COOKIE);
    let is_cookie = |octets: usize| octets == 8 || (16..=40).contains(&octets);
    cookies
        .next()
        .is_some_and(|first| !is_cookie(first.as_slice().len()))
}
