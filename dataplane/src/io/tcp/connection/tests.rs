//! What one connection promises, whatever pieces its octets come in.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::limits::{TCP_QUERIES_IN_FLIGHT_MAX, TCP_READ_OCTETS_MAX};

const MESSAGE_MAX: usize = u16::MAX as usize;

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// A message of `length` octets that says which one it is.
fn message(number: u16, length: usize) -> Vec<u8> {
    let mut message = vec![number as u8; length];
    message[..2].copy_from_slice(&number.to_be_bytes());
    message
}

/// Takes all queries that can be taken.
fn queries(connection: &mut Connection, now: Instant) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| connection.next_query(now).map(<[u8]>::to_vec)).collect()
}

fn fed(octets: &[u8], now: Instant) -> Connection {
    let mut connection = Connection::new(now);
    connection.receive(octets);
    connection.settle(now);
    connection
}

#[test]
fn queries_come_out_whole_and_in_order_however_the_octets_were_split() {
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |bound: usize| random.next_u32() as usize % bound;
        let sent: Vec<_> = (0..1 + below(200) as u16)
            .map(|number| {
                let length = match below(20) {
                    0 => MESSAGE_MAX - below(3),
                    _ => HEADER_OCTETS + below(300),
                };
                message(number, length)
            })
            .collect();
        let stream: Vec<u8> = sent.iter().flat_map(|message| framed(message)).collect();
        let (now, mut connection) = (Instant::now(), Connection::new(Instant::now()));
        let (mut taken, mut rest) = (Vec::new(), stream.as_slice());
        while !rest.is_empty() {
            if connection.wants_input() {
                let piece = match below(3) {
                    0 => 1,
                    1 => 1 + below(40),
                    _ => 1 + below(TCP_READ_OCTETS_MAX),
                };
                let (piece, later) = rest.split_at(piece.min(rest.len()));
                connection.receive(piece);
                rest = later;
            }
            // Not always at once, and not always all: others have their turns.
            for _ in 0..below(80) {
                let Some(query) = connection.next_query(now) else {
                    break;
                };
                taken.push(query.to_vec());
            }
            connection.settle(now);
            assert!(
                connection.input.len() <= LENGTH_OCTETS + MESSAGE_MAX + TCP_READ_OCTETS_MAX,
                "seed {seed}"
            );
        }
        taken.extend(queries(&mut connection, now));
        assert!(
            taken == sent,
            "seed {seed}: {} of {} queries",
            taken.len(),
            sent.len()
        );
        connection.receive_end();
        connection.settle(now);
        assert_eq!(connection.over(), Some(Closed::Finished), "seed {seed}");
    }
}

#[test]
fn replies_are_framed_and_leave_whole_however_they_are_sent() {
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |bound: usize| random.next_u32() as usize % bound;
        let (now, mut connection) = (Instant::now(), Connection::new(Instant::now()));
        let (mut expected, mut sent) = (Vec::new(), Vec::new());
        for number in 0..100 {
            if connection.is_full() {
                continue;
            }
            let longest = if below(9) == 0 { 60_000 } else { 400 };
            let reply = message(number, HEADER_OCTETS + below(longest));
            connection.reply(&reply, now);
            expected.extend(framed(&reply));
            assert!(connection.unsent().len() <= TCP_OUTPUT_OCTETS_MAX);
            let octets = below(connection.unsent().len() + 1);
            sent.extend_from_slice(&connection.unsent()[..octets]);
            connection.sent(octets, now);
        }
        sent.extend_from_slice(connection.unsent());
        connection.sent(connection.unsent().len(), now);
        assert!(sent == expected, "seed {seed}");
        assert_eq!(connection.quiet_since(), Some(now), "seed {seed}");
    }
}

#[test]
fn a_frame_too_short_for_a_query_ends_it_after_what_came_before_was_answered() {
    let now = Instant::now();
    for short in 0..HEADER_OCTETS {
        let stream = [
            framed(&message(1, 30)),
            framed(&vec![0; short]),
            framed(&message(2, 30)),
        ]
        .concat();
        let mut connection = fed(&stream, now);
        assert_eq!(queries(&mut connection, now), [message(1, 30)]);
        connection.reply(&message(1, 40), now);
        connection.settle(now);
        assert!(!connection.wants_input() && connection.over().is_none());
        connection.sent(42, now);
        assert_eq!(connection.over(), Some(Closed::Malformed), "{short} octets");
    }
}

#[test]
fn a_client_that_has_ended_gets_all_its_answers_first() {
    let now = Instant::now();
    let mut connection = fed(&framed(&message(1, 30)).repeat(2), now);
    connection.receive_end();
    connection.settle(now);
    assert_eq!(queries(&mut connection, now).len(), 2);
    connection.await_answer();
    connection.reply(&message(1, 30), now);
    connection.settle(now);
    connection.sent(32, now);
    assert_eq!(connection.over(), None);
    connection.answer(&message(2, 30), now);
    assert_eq!(connection.over(), None);
    connection.sent(32, now);
    assert_eq!(connection.over(), Some(Closed::Finished));
}

#[test]
fn a_client_that_ends_inside_a_query_is_let_go() {
    let now = Instant::now();
    let whole = framed(&message(1, 30));
    for octets in 0..whole.len() {
        let mut connection = fed(&whole[..octets], now);
        connection.receive_end();
        connection.settle(now);
        assert_eq!(connection.over(), Some(Closed::Finished), "after {octets} octets");
    }
}

#[test]
fn no_more_queries_are_read_than_may_wait_for_an_upstream() {
    let now = Instant::now();
    let mut connection = fed(
        &framed(&message(1, 30)).repeat(2 * TCP_QUERIES_IN_FLIGHT_MAX),
        now,
    );
    let mut taken = 0;
    while connection.next_query(now).is_some() {
        connection.await_answer();
        taken += 1;
    }
    assert_eq!(taken, TCP_QUERIES_IN_FLIGHT_MAX);
    connection.settle(now);
    assert!(!connection.wants_input() && !connection.has_query());
    assert_eq!(connection.deadline(), None, "the upstream's deadlines hold now");
    connection.answer(&message(1, 30), now);
    assert!(connection.has_query());
}

#[test]
fn what_a_client_does_not_take_is_bounded_and_so_is_the_time_it_has() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut connection = fed(&framed(&message(1, 30)).repeat(100), start);
    let mut taken = 0;
    while connection.next_query(start).is_some() {
        connection.reply(&message(1, MESSAGE_MAX), start);
        taken += 1;
    }
    assert_eq!(taken, 2);
    connection.settle(start);
    assert!(!connection.wants_input() && !connection.has_query());
    // A few octets now and then do not help.
    connection.sent(10, at(3));
    assert_eq!(connection.deadline(), Some(start + TCP_OUTPUT_TIME_MAX));
    connection.on_deadline(start + TCP_OUTPUT_TIME_MAX);
    assert_eq!(connection.over(), Some(Closed::SlowReader));
    assert!(connection.unsent().is_empty());

    let mut connection = Connection::new(start);
    connection.reply(&message(1, 1000), start);
    connection.sent(1002, at(4));
    connection.reply(&message(1, 1000), at(4));
    connection.on_deadline(start + TCP_OUTPUT_TIME_MAX);
    assert_eq!(connection.over(), None, "each has its own time");
}

#[test]
fn an_answer_from_upstream_without_room_ends_the_connection() {
    let now = Instant::now();
    let mut connection = fed(&framed(&message(1, 30)).repeat(3), now);
    for _ in 0..3 {
        connection.next_query(now).unwrap();
        connection.await_answer();
    }
    connection.answer(&message(1, MESSAGE_MAX), now);
    connection.answer(&message(1, MESSAGE_MAX), now);
    assert_eq!(connection.over(), None);
    connection.answer(&message(1, 12), now);
    assert_eq!(connection.over(), Some(Closed::SlowReader));
}

#[test]
fn an_idle_client_has_ten_seconds_from_its_last_answer() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut connection = Connection::new(start);
    assert_eq!(connection.deadline(), Some(at(10)));
    connection.receive(&framed(&message(1, 30)));
    connection.next_query(at(6)).unwrap();
    connection.await_answer();
    connection.settle(at(6));
    assert_eq!((connection.deadline(), connection.quiet_since()), (None, None));
    connection.answer(&message(1, 30), at(8));
    connection.sent(32, at(8));
    connection.settle(at(8));
    assert_eq!(connection.deadline(), Some(at(18)));
    connection.on_deadline(at(17));
    assert_eq!(connection.over(), None);
    connection.on_deadline(at(18));
    assert_eq!(connection.over(), Some(Closed::Idle));
}

#[test]
fn a_query_must_be_whole_five_seconds_after_its_first_octet_however_it_drips() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut connection = Connection::new(start);
    for (second, octet) in framed(&message(1, 30)).into_iter().take(5).enumerate() {
        connection.receive(&[octet]);
        connection.settle(at(8 + second as u64));
        assert_eq!(
            connection.deadline(),
            Some(at(13)),
            "the idle time is over, this one is not"
        );
    }
    connection.on_deadline(at(13));
    assert_eq!(connection.over(), Some(Closed::SlowQuery));

    // One that is whole in time gives the next one its own five seconds.
    let mut connection = fed(&framed(&message(1, 30))[..10], start);
    connection.receive(&[&framed(&message(1, 30))[10..], &[0]].concat());
    connection.next_query(at(4)).unwrap();
    connection.settle(at(4));
    assert_eq!(connection.deadline(), Some(at(9)));
}

#[test]
fn time_in_which_we_do_not_read_is_not_held_against_the_client() {
    let start = Instant::now();
    let mut connection = fed(&[framed(&message(1, 30)), vec![0]].concat(), start);
    connection.next_query(start).unwrap();
    connection.reply(&message(1, MESSAGE_MAX), start);
    connection.reply(&message(1, 12), start);
    connection.settle(start);
    assert!(!connection.wants_input());
    assert_eq!(connection.deadline(), Some(start + TCP_OUTPUT_TIME_MAX));
    let later = start + Duration::from_secs(4);
    connection.sent(connection.unsent().len(), later);
    connection.settle(later);
    assert_eq!(connection.deadline(), Some(later + TCP_QUERY_TIME_MAX));
}

#[test]
fn buffers_that_grew_are_given_back_and_an_idle_connection_holds_little() {
    let now = Instant::now();
    let mut connection = Connection::new(now);
    assert_eq!(
        (connection.input.capacity(), connection.output.capacity()),
        (0, 0)
    );
    connection.receive(&framed(&message(1, MESSAGE_MAX)));
    connection.next_query(now).unwrap();
    connection.reply(&message(1, MESSAGE_MAX), now);
    connection.sent(MESSAGE_MAX + 2, now);
    connection.settle(now);
    assert!(
        connection.input.capacity() <= KEPT_OCTETS_MAX && connection.output.capacity() <= KEPT_OCTETS_MAX
    );
}

#[test]
fn a_stop_forgets_what_was_not_asked_whole_and_sends_what_is_owed() {
    let now = Instant::now();
    let mut connection = fed(&framed(&message(1, 30))[..20], now);
    connection.end(Closed::Stopped);
    connection.settle(now);
    assert_eq!(connection.over(), Some(Closed::Stopped));

    let mut connection = fed(&framed(&message(1, 30)), now);
    connection.next_query(now).unwrap();
    connection.await_answer();
    connection.end(Closed::Stopped);
    assert_eq!(connection.over(), None);
    connection.answer(&message(1, 30), now);
    connection.sent(32, now);
    assert_eq!(connection.over(), Some(Closed::Stopped));
}
