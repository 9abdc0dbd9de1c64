//! Any octets as what upstreams send: nothing panics, and only a reply to what was asked is taken for one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dataplane::forward::{Action, Asked, Config, Forwarder, Heard, Local, Place, ReturnPath, Waiter};
use dns::Query;
use domain::base::Message;
use domain::base::iana::{Opcode, Rcode};

/// Where the question ends in every message.
const QUESTION_END: usize = 12 + 13 + 4;
/// Packets that come in for one query.
const PACKETS_MAX: usize = 16;

/// What the forwarder wanted done.
#[derive(Default)]
struct Seen {
    asked: Vec<(Place, Vec<u8>)>,
    /// Clients that were told, and the replies that they were told of.
    told: usize,
    replies: Vec<Vec<u8>>,
}

/// Sends a query and then packets to whatever socket it is asked by: the octets are cut into pieces at every
/// 0xfe 0xfe, and the first octet of each says how much of the true header and question it begins with.
///
/// # Panics
///
/// When what is believed is not what a reply may be, or the client is not told exactly once.
pub fn reply(octets: &[u8]) {
    let mut forwarder = Forwarder::new([7; 32]);
    let upstreams = [1, 2].map(|host| SocketAddr::from(([192, 0, 2, host], 53)));
    forwarder.set_config(&Config::all_to(upstreams.to_vec()));
    let packet = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07ExAmple\x03com\x00\x00\x01\x00\x01";
    let query = Query::parse(packet).expect("a constant");
    let to = ReturnPath::Datagram {
        listener: 0,
        peer: SocketAddr::from(([127, 0, 0, 1], 9)),
        local: Local::Bound,
    };
    let (mut seen, start) = (Seen::default(), Instant::now());
    let waiter = Waiter::new(&query, to, 512, None);
    forwarder
        .submit(start, Asked::of(&query), waiter, &mut note(&mut seen))
        .expect("there is room for one");
    for piece in pieces(octets) {
        let (place, question) = seen.asked.last().expect("it was asked").clone();
        let packet = begun(piece, &question);
        let before = seen.replies.len();
        let heard = forwarder.on_reply(place, &packet, start, &mut note(&mut seen));
        if seen.replies.len() > before {
            assert_eq!(heard, Heard::Reply, "what is told of was heard");
            check(&packet, &question, place);
        }
        if seen.told > 0 {
            break;
        }
    }
    for milliseconds in (0..=2500).step_by(100) {
        let now = start + Duration::from_millis(milliseconds);
        forwarder.on_timeout(now, &mut note(&mut seen));
    }
    assert_eq!(seen.told, 1, "the client is told once");
    assert_eq!((forwarder.under_way(), forwarder.waiting()), (0, 0));
    assert!(seen.asked.iter().all(|(place, _)| forwarder.is_free(*place)));
}

fn note(seen: &mut Seen) -> impl FnMut(Action<'_>) {
    |action| match action {
        Action::Ask(ask) => seen.asked.push((ask.place, ask.octets.to_vec())),
        Action::Ended(ended) => {
            seen.replies
                .extend(ended.result.ok().map(|reply| reply.octets.to_vec()));
            seen.told += ended.served.count();
        }
        Action::Late(_) => unreachable!("its client has nothing older"),
        Action::Turned(_) => {}
        Action::NoStream => unreachable!("one question needs one stream"),
    }
}

fn pieces(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(octets);
    let next = move || {
        let octets = rest?;
        let at = octets.windows(2).position(|pair| pair == [0xfe, 0xfe]);
        let (piece, after) = match at {
            Some(at) => (octets.get(..at)?, octets.get(at + 2..)),
            None => (octets, None),
        };
        rest = after;
        Some(piece)
    };
    std::iter::from_fn(next).take(PACKETS_MAX)
}

/// A packet whose first octets are those of the true reply to `question`, so that others than the luckiest get far.
fn begun(piece: &[u8], question: &[u8]) -> Vec<u8> {
    let Some((how, piece)) = piece.split_first() else {
        return Vec::new();
    };
    let mut packet = piece.to_vec();
    let mut set = |range: std::ops::Range<usize>| {
        if let (Some(to), Some(from)) = (packet.get_mut(range.clone()), question.get(range)) {
            to.copy_from_slice(from);
        }
    };
    if how & 1 != 0 {
        set(0..2);
    }
    if how & 2 != 0 {
        set(12..QUESTION_END);
    }
    if how & 4 != 0
        && let Some(octets) = packet.get_mut(2..6)
    {
        octets.copy_from_slice(&[0x81, 0x80, 0, 1]);
    }
    packet
}

/// That a reply which clients are told of is one, in the eyes of `domain`.
fn check(packet: &[u8], question: &[u8], place: Place) {
    let message = Message::from_octets(packet).expect("a header");
    let header = message.header();
    assert!(header.qr() && header.opcode() == Opcode::QUERY && !header.tc());
    assert_eq!(packet.get(..2), question.get(..2), "the id");
    let [replied, asked] = [packet, question].map(|octets| octets.get(12..QUESTION_END).expect("a question"));
    // Whoever cannot hear what is asked does not know how it was spelled.
    let is_spelled = !place.is_stream() && asked.iter().any(u8::is_ascii_uppercase);
    assert!(replied == asked || !is_spelled && replied.eq_ignore_ascii_case(asked));
    assert!([Rcode::NOERROR, Rcode::NXDOMAIN, Rcode::YXDOMAIN].contains(&header.rcode()));
    for record in &message {
        record.expect("a record that can be read");
    }
}
