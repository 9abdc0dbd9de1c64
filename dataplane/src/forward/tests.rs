//! What the forwarder promises, one promise a test.

use crate::path::Local;
use std::time::Duration;

use super::*;
use crate::limits::{FORWARD_TIMEOUT, PENDING_MAX};

/// `id` 7, RD, `ExAmple.com A`, with EDNS of `size` octets unless that is 0.
fn query(size: u16) -> Vec<u8> {
    let mut query =
        b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07ExAmple\x03com\x00\x00\x01\x00\x01".to_vec();
    if size != 0 {
        query[11] = 1;
        query.extend([0, 0, 41]);
        query.extend(size.to_be_bytes());
        query.extend([0; 6]);
    }
    query
}

fn upstreams(count: u8) -> Vec<SocketAddr> {
    (1..=count)
        .map(|host| SocketAddr::from(([192, 0, 2, host], 53)))
        .collect()
}

fn forwarder(count: u8, seed: [u8; 32]) -> Forwarder {
    let mut forwarder = Forwarder::new(seed);
    forwarder.set_config(&Config::all_to(upstreams(count)));
    forwarder
}

fn path() -> ReturnPath {
    ReturnPath::Datagram {
        listener: 3,
        peer: "127.0.0.1:9999".parse().unwrap(),
        local: Local::Bound,
    }
}

/// What was asked: place, upstream's last octet, and the message.
fn asked(action: Option<Action<'_>>) -> (Place, u8, Vec<u8>) {
    match action {
        Some(Action::Ask(Ask {
            place,
            upstream: SocketAddr::V4(upstream),
            octets,
            ..
        })) => (place, upstream.ip().octets()[3], octets.to_vec()),
        other => panic!("expected a question, got {other:?}"),
    }
}

fn failed(action: Option<Action<'_>>) -> (Cause, Vec<u8>) {
    match action {
        Some(Action::Answer(Answer {
            octets,
            cause,
            rcode: Rcode::SERV_FAIL,
            ..
        })) => (cause, octets.to_vec()),
        other => panic!("expected SERVFAIL, got {other:?}"),
    }
}

/// The reply to `question` with one A record and `padding` more octets behind it, in a buffer.
fn reply(question: &[u8], padding: usize) -> (Vec<u8>, usize) {
    let mut reply = [
        &question[..29],
        &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 9],
    ]
    .concat();
    reply.resize(reply.len() + padding, 0);
    reply[2] |= 0x80;
    reply[7] = 1;
    let length = reply.len();
    reply.resize(4096, 0xee);
    (reply, length)
}

#[test]
fn an_answer_goes_back_with_the_clients_id_and_ra_and_nothing_else_changed() {
    let mut forwarder = forwarder(1, [5; 32]);
    let (place, upstream, question) = asked(
        forwarder
            .submit(Instant::now(), &query(1232), path())
            .ok()
            .map(Action::Ask),
    );
    assert_eq!(upstream, 1);
    assert_eq!(question[2..], query(1232)[2..]);
    assert_ne!(question[..2], [0, 7], "the id is ours, not the client's");
    let (mut buffer, length) = reply(&question, 0);
    let before = buffer.clone();
    let answer = forwarder.on_reply(place, &mut buffer, length).unwrap();
    assert_eq!(
        (answer.to, answer.rcode, answer.cause),
        (path(), Rcode::NO_ERROR, Cause::Answered)
    );
    assert_eq!(answer.octets[..4], [0, 7, 0x81, 0x80]);
    assert_eq!(answer.octets[4..], before[4..length]);
    assert!(forwarder.is_free(place) && forwarder.waiting() == 0 && forwarder.next_deadline().is_none());
}

#[test]
fn an_upstream_that_writes_the_name_in_small_letters_is_believed_and_the_clients_case_kept() {
    let mut forwarder = forwarder(1, [5; 32]);
    let (place, _, question) = asked(
        forwarder
            .submit(Instant::now(), &query(0), path())
            .ok()
            .map(Action::Ask),
    );
    let (mut buffer, length) = reply(&question, 0);
    buffer[12..25].make_ascii_lowercase();
    let answer = forwarder.on_reply(place, &mut buffer, length).unwrap();
    assert_eq!(answer.octets[12..29], query(0)[12..29]);
}

#[test]
fn an_error_without_a_question_is_passed_on_with_the_clients_own() {
    let mut forwarder = forwarder(1, [5; 32]);
    let (place, _, question) = asked(
        forwarder
            .submit(Instant::now(), &query(1232), path())
            .ok()
            .map(Action::Ask),
    );
    let mut buffer = vec![0xee; 4096];
    let header = |flags: [u8; 2]| [&question[..2], &flags, &[0; 8]].concat();
    buffer[..12].copy_from_slice(&header([0x80, 0]));
    assert!(
        forwarder.on_reply(place, &mut buffer, 12).is_none(),
        "an answer must show its question"
    );
    buffer[..12].copy_from_slice(&header([0x80, 1]));
    let answer = forwarder.on_reply(place, &mut buffer, 12).unwrap();
    assert_eq!(answer.octets[..4], [0, 7, 0x81, 0x81]);
    assert_eq!(
        (answer.octets[12..29].to_vec(), answer.octets.len()),
        (query(0)[12..29].to_vec(), 40)
    );
    assert_eq!(forwarder.waiting(), 0);
}

#[test]
fn a_reply_longer_than_the_client_takes_is_cut_to_its_question() {
    for (size, padding, cut_to) in [
        (0, 480, Some(29)),
        (0, 400, None),
        (700, 700, Some(40)),
        (65_535, 1300, Some(40)),
    ] {
        let mut forwarder = forwarder(1, [5; 32]);
        let (place, _, question) = asked(
            forwarder
                .submit(Instant::now(), &query(size), path())
                .ok()
                .map(Action::Ask),
        );
        let (mut buffer, length) = reply(&question, padding);
        let answer = forwarder.on_reply(place, &mut buffer, length).unwrap();
        assert_eq!(answer.truncated, cut_to.is_some());
        assert_eq!(answer.octets.len(), cut_to.unwrap_or(length));
        let (header, _) = Header::split(answer.octets).unwrap();
        assert_eq!(
            (header.id, header.flags.contains(Flags::TC)),
            (7, cut_to.is_some())
        );
        if cut_to.is_some() {
            assert_eq!(header.counts, [1, 0, 0, u16::from(size != 0)]);
            assert!(header.flags.contains(Flags::QR.with(Flags::RD).with(Flags::RA)));
        }
    }
}

// RFC 5452, section 9.1; CVE-2020-25684 and 25685: replies must be matched in full, and CVE-2023-28452: a wrong
// one must not end the wait.
#[test]
fn a_reply_that_differs_anywhere_is_dropped_and_the_right_one_still_counts() {
    let mut forwarder = forwarder(2, [5; 32]);
    let (place, _, question) = asked(
        forwarder
            .submit(Instant::now(), &query(0), path())
            .ok()
            .map(Action::Ask),
    );
    let (other_place, _, _) = asked(
        forwarder
            .submit(Instant::now(), &query(0), path())
            .ok()
            .map(Action::Ask),
    );
    let (right, length) = reply(&question, 0);
    // What differs, where, and by which bits.
    let wrongs = [
        ("id", 0, 0x01),
        ("QR", 2, 0x80),
        ("opcode", 2, 0x08),
        ("question count 0", 5, 0x01),
        ("question count 3", 5, 0x02),
        ("a letter of the name", 13, 0x01),
        ("type", 26, 0x1d),
        ("class", 28, 0x02),
    ];
    for (what, octet, bits) in wrongs {
        let mut packet = right.clone();
        packet[octet] ^= bits;
        assert_eq!(forwarder.on_reply(place, &mut packet, length), None, "{what}");
    }
    assert_eq!(
        forwarder.on_reply(other_place, &mut right.clone(), length),
        None,
        "socket"
    );
    for length in 0..29 {
        assert_eq!(
            forwarder.on_reply(place, &mut right.clone(), length),
            None,
            "{length} octets"
        );
    }
    assert!(forwarder.on_reply(place, &mut right.clone(), length).is_some());
    assert_eq!(
        forwarder.on_reply(place, &mut right.clone(), length),
        None,
        "a second time"
    );
}

#[test]
fn silence_is_tried_again_elsewhere_and_ends_in_servfail_in_time() {
    let (mut forwarder, start) = (forwarder(2, [5; 32]), Instant::now());
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let first = asked(
        forwarder
            .submit(start, &query(1232), path())
            .ok()
            .map(Action::Ask),
    );
    assert_eq!(forwarder.on_timeout(at(799)), None);
    let second = asked(forwarder.on_timeout(at(800)));
    assert_eq!(forwarder.on_timeout(at(800)), None);
    let third = asked(forwarder.on_timeout(at(1600)));
    assert_eq!((first.1, second.1, third.1), (1, 2, 1));
    assert!(
        first.2[..2] != second.2[..2] && second.2[..2] != third.2[..2],
        "each try has an id of its own"
    );
    assert_eq!(forwarder.next_deadline(), Some(start + FORWARD_TIMEOUT));
    let (cause, octets) = failed(forwarder.on_timeout(at(2500)));
    assert_eq!(
        (cause, &octets[..12]),
        (
            Cause::TimedOut,
            [0, 7, 0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 1].as_slice()
        )
    );
    assert_eq!(octets[12..29], query(0)[12..]);
    // OPT, and in it why: no upstream could be reached.
    assert_eq!(octets[29 + 11..], [0, 15, 0, 2, 0, 22]);
    assert!(
        [first.0, second.0, third.0]
            .iter()
            .all(|&place| forwarder.is_free(place))
    );
}

#[test]
fn an_answer_to_an_earlier_try_is_as_good_as_one_to_the_last() {
    let (mut forwarder, start) = (forwarder(1, [5; 32]), Instant::now());
    let (place, _, question) = asked(forwarder.submit(start, &query(0), path()).ok().map(Action::Ask));
    asked(forwarder.on_timeout(start + Duration::from_millis(900)));
    let (mut buffer, length) = reply(&question, 0);
    assert!(forwarder.on_reply(place, &mut buffer, length).is_some());
    assert_eq!((forwarder.waiting(), forwarder.next_deadline()), (0, None));
}

#[test]
fn a_refusal_moves_on_at_once_and_fails_once_all_refused() {
    let mut forwarder = forwarder(2, [5; 32]);
    let (place, _, _) = asked(
        forwarder
            .submit(Instant::now(), &query(0), path())
            .ok()
            .map(Action::Ask),
    );
    let (next, upstream, _) = asked(forwarder.on_error(place, Instant::now()));
    assert_eq!(upstream, 2);
    assert_eq!(forwarder.on_error(place, Instant::now()), None);
    assert_eq!(failed(forwarder.on_error(next, Instant::now())).0, Cause::Failed);
    assert_eq!(forwarder.on_error(next, Instant::now()), None);
    assert_eq!(forwarder.waiting(), 0);
}

#[test]
fn later_queries_begin_with_the_upstream_that_did_not_fail() {
    let mut forwarder = forwarder(2, [5; 32]);
    let (place, _, _) = asked(
        forwarder
            .submit(Instant::now(), &query(0), path())
            .ok()
            .map(Action::Ask),
    );
    asked(forwarder.on_error(place, Instant::now()));
    assert_eq!(
        asked(
            forwarder
                .submit(Instant::now(), &query(0), path())
                .ok()
                .map(Action::Ask)
        )
        .1,
        2
    );
}

#[test]
fn what_cannot_be_forwarded_is_given_back_at_once() {
    let now = Instant::now();
    assert_eq!(
        forwarder(0, [5; 32]).submit(now, &query(0), path()),
        Err(Refusal::Nobody(Nobody::NoRoute))
    );
    let mut forwarder = forwarder(1, [5; 32]);
    assert_eq!(forwarder.submit(now, b"no query", path()), Err(Refusal::Full));
    let long = [query(0), vec![0; FORWARD_QUERY_OCTETS_MAX]].concat();
    assert_eq!(forwarder.submit(now, &long, path()), Err(Refusal::Full));
    for _ in 0..PENDING_MAX {
        asked(forwarder.submit(now, &query(0), path()).ok().map(Action::Ask));
    }
    assert_eq!(forwarder.submit(now, &query(0), path()), Err(Refusal::Full));
    for _ in 0..PENDING_MAX {
        failed(forwarder.give_up());
    }
    assert_eq!(forwarder.give_up(), None);
    asked(forwarder.submit(now, &query(0), path()).ok().map(Action::Ask));
}

// RFC 5452, section 9.2: ids are unpredictable and use the whole range.
#[test]
fn ids_use_the_whole_range_and_differ_between_seeds() {
    let ids = |seed| {
        let mut forwarder = forwarder(1, [seed; 32]);
        (0..512)
            .map(|_| {
                let (_, _, question) = asked(
                    forwarder
                        .submit(Instant::now(), &query(0), path())
                        .ok()
                        .map(Action::Ask),
                );
                u16::from_be_bytes([question[0], question[1]])
            })
            .collect::<Vec<_>>()
    };
    let drawn = ids(1);
    assert!((0..16).all(|bit| drawn.iter().any(|id| id >> bit & 1 == 1)));
    assert_ne!(drawn, ids(2));
}
