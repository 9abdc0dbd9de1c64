//! What the forwarder promises, one promise a test.

mod bounds;
mod failures;
mod replies;
mod tls;

use super::*;
use crate::limits::{MANGLED_MIN, MANNERS_TIME, UPSTREAM_REST_MIN, UPSTREAM_STREAMS_MAX};
use dns::{Query, RType, Rcode};
use std::net::SocketAddr;

/// The records of an answer, or an error and its reason.
type Told = Result<Vec<u8>, (Rcode, u16)>;

/// What the forwarder wanted done, borrowing nothing.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Ask {
        place: Place,
        upstream: u8,
        octets: Vec<u8>,
    },
    /// The ids of those who wait, and what they are told.
    Ended {
        ids: Vec<u16>,
        result: Told,
        cause: Cause,
    },
    /// The ids of those who are told what is past its time.
    Late(Vec<u16>),
    NoStream,
}

struct Bench {
    forwarder: Forwarder,
    now: Instant,
    steps: Vec<Step>,
    /// How long clients wait who have something older.
    patience: Option<Duration>,
}

fn note(steps: &mut Vec<Step>) -> impl FnMut(Action<'_>) {
    |action| {
        steps.push(match action {
            Action::Ask(ask) => Step::Ask {
                place: ask.place,
                upstream: match ask.upstream {
                    SocketAddr::V4(upstream) => upstream.ip().octets()[3],
                    SocketAddr::V6(upstream) => panic!("{upstream}"),
                },
                octets: ask.octets.to_vec(),
            },
            Action::Ended(ended) => Step::Ended {
                ids: ended.served.map(|waiter| waiter.head.id()).collect(),
                result: match ended.result {
                    Ok(foreign) => Ok(foreign.answers.to_vec()),
                    Err(failure) => Err((failure.rcode, failure.why.0)),
                },
                cause: ended.cause,
            },
            Action::Late(late) => Step::Late(late.standing.map(|waiter| waiter.head.id()).collect()),
            // A test of its own is about that.
            Action::Turned(_) => return,
            Action::NoStream => Step::NoStream,
        });
    }
}

impl Bench {
    /// A forwarder to so many upstreams, 192.0.2.1 the first.
    fn new(upstreams: u8) -> Self {
        let mut forwarder = Forwarder::new([5; 32]);
        forwarder.set_config(&Config::all_to(addresses(1..=upstreams)));
        Self {
            forwarder,
            now: Instant::now(),
            steps: Vec::new(),
            patience: None,
        }
    }

    fn later(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.forwarder.on_timeout(self.now, &mut note(&mut self.steps));
    }

    fn submit(&mut self, query: &[u8]) -> Result<Submitted, Refusal> {
        self.submit_from("127.0.0.1:9999", query)
    }

    fn submit_from(&mut self, peer: &str, query: &[u8]) -> Result<Submitted, Refusal> {
        let query = Query::parse(query).unwrap();
        let to = ReturnPath::Datagram {
            listener: 3,
            peer: peer.parse().unwrap(),
            local: Local::Bound,
        };
        let mut waiter = Waiter::new(&query, to, 512, None);
        waiter.patience = self.patience;
        self.forwarder
            .submit(self.now, Asked::of(&query), waiter, &mut note(&mut self.steps))
    }

    /// Submits a query, and returns what is asked of whom about it.
    fn ask(&mut self, query: &[u8]) -> (Place, u8, Vec<u8>) {
        assert_eq!(self.submit(query), Ok(Submitted::Asked));
        self.asked()
    }

    fn reply(&mut self, place: Place, packet: &[u8]) -> Heard {
        self.forwarder
            .on_reply(place, packet, self.now, &mut note(&mut self.steps))
    }

    fn error(&mut self, place: Place) {
        self.forwarder
            .on_error(place, Trouble::Unreachable, self.now, &mut note(&mut self.steps));
    }

    fn step(&mut self) -> Option<Step> {
        (!self.steps.is_empty()).then(|| self.steps.remove(0))
    }

    fn asked(&mut self) -> (Place, u8, Vec<u8>) {
        match self.step() {
            Some(Step::Ask {
                place,
                upstream,
                octets,
            }) => (place, upstream, octets),
            other => panic!("expected a question, got {other:?}"),
        }
    }

    fn ended(&mut self) -> (Vec<u16>, Told, Cause) {
        match self.step() {
            Some(Step::Ended { ids, result, cause }) => (ids, result, cause),
            other => panic!("expected an end, got {other:?}"),
        }
    }

    /// That nothing is under way, and no place is taken.
    fn assert_idle(&self) {
        let forwarder = &self.forwarder;
        assert_eq!(
            (
                forwarder.under_way(),
                forwarder.waiting(),
                forwarder.next_deadline()
            ),
            (0, 0, None)
        );
    }
}

fn asked_of(query: &[u8]) -> Asked {
    Asked::of(&Query::parse(query).unwrap())
}

fn addresses(hosts: std::ops::RangeInclusive<u8>) -> Vec<SocketAddr> {
    hosts
        .map(|host| SocketAddr::from(([192, 0, 2, host], 53)))
        .collect()
}

/// A query for `ExAmple.com A` with RD.
fn query(id: u16) -> Vec<u8> {
    query_about(id, b"\x07ExAmple\x03com\x00")
}

fn query_about(id: u16, name: &[u8]) -> Vec<u8> {
    let header = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    [&id.to_be_bytes(), header.as_slice(), name, b"\x00\x01\x00\x01"].concat()
}

const RECORD: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 9];

const QUESTION_END: usize = 29;

/// The reply to `question` with one A record.
fn reply(question: &[u8]) -> Vec<u8> {
    let mut reply = [&question[..QUESTION_END], RECORD].concat();
    reply[2] |= 0x80;
    (reply[7], reply[11]) = (1, 0);
    reply
}

/// The reply to `question` with `rcode` and no record.
fn error(question: &[u8], rcode: u8) -> Vec<u8> {
    let mut reply = question[..QUESTION_END].to_vec();
    reply[2] |= 0x80;
    (reply[3], reply[11]) = (rcode, 0);
    reply
}

#[test]
fn an_answer_reaches_the_client_that_asked() {
    let mut bench = Bench::new(1);
    let (place, upstream, question) = bench.ask(&query(7));
    assert_eq!(upstream, 1);
    assert_eq!((question.len(), question[2]), (QUESTION_END + 11, 1));
    assert_ne!(question[..2], [0, 7], "the id is ours, not the client's");
    assert_eq!(bench.reply(place, &reply(&question)), Heard::Reply);
    assert_eq!(bench.ended(), (vec![7], Ok(RECORD.to_vec()), Cause::Answered));
    assert!(bench.forwarder.is_free(place));
    bench.assert_idle();
}

#[test]
fn equal_questions_share_one_exchange_whatever_their_case_and_id() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(0));
    for id in 1..50 {
        let mut query = query(id);
        query[13..20].make_ascii_uppercase();
        assert_eq!(
            bench.submit_from(&format!("10.0.0.{id}:53"), &query),
            Ok(Submitted::Joined)
        );
    }
    assert_eq!(bench.steps, []);
    bench.reply(place, &reply(&question));
    let (ids, result, _) = bench.ended();
    assert_eq!((ids, result), ((0..50).collect::<Vec<_>>(), Ok(RECORD.to_vec())));
    bench.assert_idle();
    assert_eq!(bench.submit(&query(1)), Ok(Submitted::Asked), "it is over");
}

#[test]
fn questions_that_differ_in_type_do_or_cd_do_not_share() {
    let mut bench = Bench::new(1);
    let mut other_type = query(7);
    other_type[26] = RType::AAAA.0 as u8;
    let mut checking_disabled = query(7);
    checking_disabled[3] = 0x10;
    let mut with_do = [&query(7), [0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 0].as_slice()].concat();
    with_do[11] = 1;
    for query in [query(7), other_type, checking_disabled, with_do] {
        assert_eq!(bench.submit(&query), Ok(Submitted::Asked));
    }
}

/// A name of its own for each number.
fn numbered(number: u16) -> [u8; 6] {
    let letter = |shift: u16| b'a' + (number >> shift & 0xf) as u8;
    [4, letter(12), letter(8), letter(4), letter(0), 0]
}

#[test]
fn a_refreshment_is_asked_for_once_and_told_to_nobody_but_whoever_joins() {
    let mut bench = Bench::new(1);
    let packet = query(7);
    let refreshed = Query::parse(&packet).unwrap();
    for _ in 0..2 {
        bench
            .forwarder
            .refresh(bench.now, Asked::of(&refreshed), &mut note(&mut bench.steps));
    }
    let (place, _, question) = bench.asked();
    assert_eq!(bench.steps, []);
    assert_eq!(bench.submit(&query(9)), Ok(Submitted::Joined));
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0, [9]);
    bench
        .forwarder
        .refresh(bench.now, Asked::of(&refreshed), &mut note(&mut bench.steps));
    bench.asked();
    bench.later(2500);
    bench.steps.retain(|step| matches!(step, Step::Ended { .. }));
    assert_eq!(
        bench.ended(),
        (vec![], Err((Rcode::SERV_FAIL, 22)), Cause::TimedOut)
    );
}
