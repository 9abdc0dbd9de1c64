//! What the forwarder promises, one promise a test.

use std::net::SocketAddr;

use dns::{Query, RType, Rcode};

use super::*;
use crate::limits::{MANGLED_MIN, MANNERS_TIME, UPSTREAM_REST_MIN, UPSTREAM_STREAMS_MAX};

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
            Action::Late(late) => Step::Late(late.served.map(|waiter| waiter.head.id()).collect()),
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
            .on_error(place, self.now, &mut note(&mut self.steps));
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

/// A forwarder that asks 192.0.2.1 over TLS, and then, if so, 192.0.2.2 in the clear.
fn over_tls(with_another: bool) -> Bench {
    let mut bench = Bench::new(1);
    let mut upstreams: Vec<Upstream> = addresses(1..=2).into_iter().map(Upstream::from).collect();
    upstreams[0].tls = Some("dns.example".try_into().unwrap());
    upstreams.truncate(1 + usize::from(with_another));
    bench.forwarder.set_config(&Config {
        routes: vec![Route {
            domain: dns::Name::root(),
            upstreams,
        }],
        policy: Policy::Sequential,
    });
    bench
}

#[test]
fn over_tls_all_questions_share_one_connection_and_are_told_apart_by_id() {
    let mut bench = over_tls(false);
    let asked: Vec<_> = (0..50_u16)
        .map(|number| bench.ask(&query_about(number, &numbered(number))))
        .collect();
    let (place, ..) = asked[0];
    assert!(place.is_kept() && !place.is_stream());
    assert!(
        asked
            .iter()
            .all(|(other, _, question)| *other == place && question.len() == 128)
    );
    let ids: std::collections::HashSet<_> = asked
        .iter()
        .map(|(_, _, question)| question[..2].to_vec())
        .collect();
    assert_eq!(ids.len(), 50);
    let end = 12 + 6 + 4;
    for (number, (_, _, question)) in (0..50).zip(&asked).rev() {
        let mut reply = [&question[..end], RECORD].concat();
        reply[2] |= 0x80;
        (reply[7], reply[11]) = (1, 0);
        bench.reply(place, &reply);
        assert_eq!(
            bench.ended(),
            (vec![number], Ok(RECORD.to_vec()), Cause::Answered)
        );
    }
    assert!(bench.forwarder.is_free(place));
    bench.assert_idle();
}

#[test]
fn a_server_asked_over_tls_is_asked_in_the_clear_neither_for_a_cut_reply_nor_by_a_probe() {
    let mut bench = over_tls(false);
    let (place, _, question) = bench.ask(&query(1));
    let mut cut = error(&question, 0);
    cut[2] |= 2;
    bench.reply(place, &cut);
    assert_eq!(
        bench.ended(),
        (vec![1], Err((Rcode::SERV_FAIL, 23)), Cause::Failed)
    );
    let (place, ..) = bench.ask(&query(2));
    bench.error(place);
    assert_eq!(bench.ended().1, Err((Rcode::SERV_FAIL, 23)));
    bench.later(1500);
    bench.ask(&query(3));
    let (probe, _, octets) = bench.asked();
    assert!(probe.is_kept() && octets.len() < 30, "a probe");
}

#[test]
fn a_connection_that_ends_costs_its_questions_nothing_and_one_that_fails_leads_to_the_next_upstream() {
    let mut bench = over_tls(true);
    let (place, upstream, _) = bench.ask(&query(1));
    let (other, ..) = bench.ask(&query_about(2, &numbered(2)));
    assert_eq!((upstream, place), (1, other));
    let now = bench.now;
    bench.forwarder.on_end(place, now, &mut note(&mut bench.steps));
    let again = [bench.asked(), bench.asked()];
    assert!(
        bench.steps.is_empty()
            && !bench
                .forwarder
                .is_slow(&asked_of(&query(1)), FORWARD_TIMEOUT, now)
    );
    // Where there is another it may be asked instead; here both answer.
    for (place, _, question) in &again {
        bench.reply(*place, &error(question, 3));
    }
    let mut bench = over_tls(false);
    let (place, ..) = bench.ask(&query(1));
    let now = bench.now;
    bench.forwarder.on_end(place, now, &mut note(&mut bench.steps));
    let (again, _, question) = bench.asked();
    assert_eq!(place, again, "by a new connection");
    bench.reply(again, &reply(&question));
    assert_eq!(bench.ended(), (vec![1], Ok(RECORD.to_vec()), Cause::Answered));
    let mut bench = over_tls(true);
    let (place, ..) = bench.ask(&query(1));
    bench.error(place);
    let (place, upstream, question) = bench.asked();
    assert_eq!((place.is_kept(), upstream), (false, 2));
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0, [1]);
    assert_eq!(bench.ask(&query(2)).1, 2, "the first is passed over");
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

#[test]
fn a_crowd_before_one_question_has_its_bound() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(0));
    for _ in 1..CROWD_MAX {
        assert_eq!(bench.submit(&query(1)), Ok(Submitted::Joined));
    }
    assert_eq!(bench.submit(&query(1)), Err(Refusal::Crowd));
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0.len(), CROWD_MAX);
}

// RFC 5452, section 9.1; CVE-2020-25684 and 25685: replies must be matched in full, and CVE-2023-28452: a wrong
// one must not end the wait.
#[test]
fn a_reply_that_differs_anywhere_is_dropped_and_the_right_one_still_counts() {
    let mut bench = Bench::new(2);
    let (place, _, question) = bench.ask(&query(7));
    let (other_place, _, _) = bench.ask(&query_about(7, b"\x01b\x00"));
    let right = reply(&question);
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
        ("answer count 2", 7, 0x03),
        ("the record's owner", 30, 0x12),
    ];
    for (what, octet, bits) in wrongs {
        let mut packet = right.clone();
        packet[octet] ^= bits;
        assert_eq!(bench.reply(place, &packet), Heard::Stray, "{what}");
    }
    assert_eq!(bench.reply(other_place, &right), Heard::Stray, "socket");
    for length in 0..right.len() {
        assert_eq!(
            bench.reply(place, &right[..length]),
            Heard::Stray,
            "{length} octets"
        );
    }
    assert_eq!(bench.steps, []);
    assert_eq!(bench.reply(place, &right), Heard::Reply);
    assert_eq!(bench.ended().0, [7]);
    assert_eq!(bench.reply(place, &right), Heard::Stray, "a second time");
}

/// Changes the case of the letters at `range` where `upper` says so.
fn respelled(packet: &[u8], upper: bool) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let name = &mut packet[12..25];
    match upper {
        true => name.make_ascii_uppercase(),
        false => name.make_ascii_lowercase(),
    }
    packet
}

#[test]
fn names_are_spelled_at_random_and_another_spelling_is_no_answer_yet() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(7));
    assert!(question[12..25].iter().any(u8::is_ascii_uppercase));
    assert!(question[12..25].iter().any(u8::is_ascii_lowercase));
    bench.reply(place, &respelled(&reply(&question), false));
    let (again, upstream, plain) = bench.asked();
    assert_eq!(
        (upstream, &plain[12..25]),
        (1, b"\x07example\x03com\x00".as_slice())
    );
    assert!(
        plain[..2] != question[..2] && again != place,
        "guessed once, it must be guessed again"
    );
    assert_eq!(bench.reply(place, &reply(&question)), Heard::Stray);
    assert_eq!(bench.reply(again, &respelled(&reply(&plain), true)), Heard::Reply);
    assert_eq!(bench.ended(), (vec![7], Ok(RECORD.to_vec()), Cause::Answered));
    bench.assert_idle();
}

#[test]
fn an_upstream_that_never_keeps_the_spelling_is_asked_once_for_each_name() {
    let mut bench = Bench::new(1);
    let is_spelled = |question: &[u8]| question[12..25].iter().any(u8::is_ascii_uppercase);
    for _ in 0..MANGLED_MIN {
        let (place, _, question) = bench.ask(&query(7));
        assert!(is_spelled(&question));
        bench.reply(place, &respelled(&reply(&question), false));
        let (place, _, question) = bench.asked();
        bench.reply(place, &reply(&question));
        let _ = bench.ended();
    }
    let (place, _, question) = bench.ask(&query(7));
    assert!(!is_spelled(&question));
    bench.reply(place, &reply(&question));
    let _ = bench.ended();
    bench.later(MANNERS_TIME.as_millis() as u64);
    assert!(is_spelled(&bench.ask(&query(7)).2), "it may have been replaced");
}

#[test]
fn silence_is_tried_again_elsewhere_and_ends_in_servfail_in_time() {
    let mut bench = Bench::new(2);
    let first = bench.ask(&query(7));
    bench.later(799);
    assert_eq!(bench.steps, []);
    bench.later(1);
    let second = bench.asked();
    bench.later(800);
    let third = bench.asked();
    assert_eq!((first.1, second.1, third.1), (1, 2, 1));
    assert!(
        first.2[..2] != second.2[..2] && second.2[..2] != third.2[..2],
        "each try has an id of its own"
    );
    bench.later(899);
    assert_eq!(bench.steps, []);
    bench.later(1);
    assert_eq!(
        bench.ended(),
        (vec![7], Err((Rcode::SERV_FAIL, 22)), Cause::TimedOut)
    );
    bench.assert_idle();
    assert!(
        [first.0, second.0, third.0]
            .iter()
            .all(|&it| bench.forwarder.is_free(it))
    );
}

// RFC 8767, section 5: the client response timer.
#[test]
fn who_has_something_older_waits_for_so_long_only_and_the_exchange_goes_on_for_others() {
    let mut bench = Bench::new(1);
    bench.patience = Some(Duration::from_millis(1800));
    let (first, _, question) = bench.ask(&query(1));
    bench.later(800);
    bench.asked();
    bench.later(400);
    assert_eq!(bench.submit(&query(2)), Ok(Submitted::Joined));
    bench.later(400);
    bench.asked();
    let asked = asked_of(&query(0));
    let is_slow = |bench: &Bench| {
        bench
            .forwarder
            .is_slow(&asked, Duration::from_millis(1800), bench.now)
    };
    bench.later(199);
    assert!(bench.steps.is_empty() && !is_slow(&bench));
    bench.later(1);
    assert_eq!(bench.step(), Some(Step::Late(vec![1, 2])));
    assert!(is_slow(&bench) && bench.forwarder.waiting() == 0);
    // Whoever has nothing older still may wait for it.
    bench.patience = None;
    assert_eq!(bench.submit(&query(3)), Ok(Submitted::Joined));
    bench.reply(first, &reply(&question));
    assert_eq!(bench.ended(), (vec![3], Ok(RECORD.to_vec()), Cause::Answered));
    bench.assert_idle();
}

#[test]
fn an_answer_in_time_and_a_failure_at_once_leave_nobody_to_be_told_late() {
    let mut bench = Bench::new(1);
    bench.patience = Some(Duration::from_millis(1800));
    let (place, _, question) = bench.ask(&query(1));
    bench.later(700);
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0, [1]);
    let (place, ..) = bench.ask(&query(2));
    bench.error(place);
    assert_eq!(bench.ended().0, [2]);
    bench.later(5000);
    bench.assert_idle();
}

#[test]
fn an_answer_to_an_earlier_try_is_as_good_as_one_to_the_last() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(7));
    bench.later(800);
    bench.asked();
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().2, Cause::Answered);
    bench.assert_idle();
}

#[test]
fn nobody_there_moves_on_at_once_and_fails_once_nobody_is_anywhere() {
    let mut bench = Bench::new(2);
    let (place, _, _) = bench.ask(&query(7));
    bench.ask(&query_about(8, b"\x01b\x00"));
    bench.error(place);
    let (next, upstream, _) = bench.asked();
    assert_eq!(upstream, 2);
    assert_eq!(bench.steps, [], "the other query has a socket of its own");
    bench.error(place);
    assert_eq!(bench.steps, []);
    bench.error(next);
    assert_eq!(
        bench.ended(),
        (vec![7], Err((Rcode::SERV_FAIL, 23)), Cause::Failed)
    );
    assert_eq!(bench.forwarder.waiting(), 1);
}

#[test]
fn all_who_wait_at_a_socket_that_fails_are_moved_on() {
    let mut bench = Bench::new(2);
    let names: Vec<_> = (0..200).map(numbered).collect();
    let mut places = Vec::new();
    for (id, name) in (0..).zip(&names) {
        places.push(bench.ask(&query_about(id, name)).0);
    }
    places.sort_by_key(|place| place.index());
    places.dedup();
    for place in places {
        bench.error(place);
    }
    let asked: Vec<_> = (0..200).map(|_| bench.asked().1).collect();
    assert_eq!((asked, bench.step()), (vec![2; 200], None));
}

#[test]
fn later_queries_pass_over_an_upstream_that_is_down_until_a_probe_finds_it_back() {
    let mut bench = Bench::new(2);
    let (place, _, _) = bench.ask(&query(7));
    bench.error(place);
    let (place, _, question) = bench.asked();
    bench.reply(place, &reply(&question));
    let _ = bench.ended();
    assert_eq!(bench.ask(&query(7)).1, 2);
    bench.later(UPSTREAM_REST_MIN.as_millis() as u64);
    bench.steps.clear();
    // The next query takes a probe along.
    let (_, upstream, _) = bench.ask(&query_about(8, b"\x01b\x00"));
    let (probed, down, probe) = bench.asked();
    assert_eq!((upstream, down), (2, 1));
    assert_eq!(
        probe[2..],
        *b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
    );
    let mut back = probe.clone();
    (back[2], back[3]) = (0x81, 0x85);
    assert_eq!(bench.reply(probed, &back), Heard::Reply);
    assert_eq!(bench.step(), None, "a probe is told to nobody");
    assert_eq!(bench.ask(&query_about(9, b"\x01c\x00")).1, 1);
}

#[test]
fn with_all_upstreams_down_each_query_is_a_probe() {
    let mut bench = Bench::new(2);
    for _ in 0..3 {
        let (place, _, _) = bench.ask(&query(7));
        bench.error(place);
        let (place, _, _) = bench.asked();
        bench.error(place);
        assert_eq!(bench.ended().2, Cause::Failed);
    }
    let (place, upstream, question) = bench.ask(&query(7));
    bench.reply(place, &reply(&question));
    let _ = bench.ended();
    assert_eq!(bench.ask(&query(7)).1, upstream);
}

#[test]
fn an_error_of_one_upstream_is_not_the_last_word() {
    let mut bench = Bench::new(3);
    let (place, _, question) = bench.ask(&query(7));
    bench.reply(place, &error(&question, 2));
    let (place, upstream, question) = bench.asked();
    assert_eq!(upstream, 2);
    bench.reply(place, &error(&question, 5));
    let (place, upstream, question) = bench.asked();
    assert_eq!(upstream, 3);
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().1, Ok(RECORD.to_vec()));
    bench.assert_idle();
}

#[test]
fn the_last_error_is_told_once_all_upstreams_had_one_with_its_reason() {
    let mut bench = Bench::new(2);
    let (place, _, question) = bench.ask(&query(7));
    bench.reply(place, &error(&question, 2));
    let (place, _, question) = bench.asked();
    let mut refused = error(&question, 5);
    refused[11] = 1;
    refused.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 6, 0, 15, 0, 2, 0, 18]);
    bench.reply(place, &refused);
    assert_eq!(
        bench.ended(),
        (vec![7], Err((Rcode::REFUSED, 18)), Cause::Answered)
    );
    bench.assert_idle();
}

#[test]
fn an_error_waits_for_what_another_upstream_was_asked_before() {
    let mut bench = Bench::new(2);
    let (slow, _, question_of_slow) = bench.ask(&query(7));
    bench.later(800);
    let (place, _, question) = bench.asked();
    bench.reply(place, &error(&question, 2));
    assert_eq!(bench.steps, []);
    bench.reply(slow, &reply(&question_of_slow));
    assert_eq!(bench.ended().1, Ok(RECORD.to_vec()));
}

// RFC 6891, section 7: FORMERR or NOTIMP is what servers say that do not know EDNS.
#[test]
fn an_upstream_without_edns_is_asked_without_it_and_remembered() {
    for rcode in [1, 4] {
        let mut bench = Bench::new(1);
        let (place, _, question) = bench.ask(&query(7));
        assert_eq!(question[11], 1);
        // From some of them without the question.
        let bare = [&question[..2], &[0x81, rcode, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        bench.reply(place, &bare);
        let (place, _, question) = bench.asked();
        assert_eq!((question[11], question.len()), (0, QUESTION_END));
        bench.reply(place, &reply(&question));
        let _ = bench.ended();
        assert_eq!(bench.ask(&query(7)).2[11], 0, "rcode {rcode}");
        bench.later(MANNERS_TIME.as_millis() as u64);
        bench.steps.clear();
        assert_eq!(bench.ask(&query(8)).2[11], 1);
    }
}

#[test]
fn formerr_without_edns_as_well_is_an_error_like_others() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(7));
    bench.reply(place, &error(&question, 1));
    let (place, _, question) = bench.asked();
    bench.reply(place, &error(&question, 1));
    assert_eq!(
        bench.ended(),
        (vec![7], Err((Rcode::SERV_FAIL, 22)), Cause::Answered)
    );
    assert_eq!(bench.ask(&query(7)).2[11], 1, "so it was not EDNS");
}

#[test]
fn a_bare_header_is_an_error_and_never_an_answer() {
    let mut bench = Bench::new(1);
    let (place, _, question) = bench.ask(&query(7));
    for (rcode, heard) in [(0, Heard::Stray), (3, Heard::Stray), (2, Heard::Reply)] {
        let bare = [&question[..2], &[0x81, rcode, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(bench.reply(place, &bare), heard, "rcode {rcode}");
    }
    assert_eq!(bench.ended().1, Err((Rcode::SERV_FAIL, 22)));
}

#[test]
fn a_cut_reply_is_asked_for_over_tcp_from_the_same_upstream() {
    let mut bench = Bench::new(2);
    let (place, _, question) = bench.ask(&query(7));
    let mut cut = reply(&question);
    cut[2] |= 2;
    cut.truncate(35);
    bench.reply(place, &cut);
    let (stream, upstream, question) = bench.asked();
    assert_eq!((stream.is_stream(), upstream), (true, 1));
    assert!(bench.forwarder.is_free(place));
    bench.reply(stream, &reply(&question));
    assert_eq!(bench.ended(), (vec![7], Ok(RECORD.to_vec()), Cause::Answered));
    assert!(bench.forwarder.is_free(stream));
    bench.assert_idle();
}

#[test]
fn a_stream_that_fails_or_is_silent_or_cut_again_leads_to_the_next_upstream() {
    for how in 0..3 {
        let mut bench = Bench::new(2);
        let (place, _, question) = bench.ask(&query(7));
        let mut cut = reply(&question);
        cut[2] |= 2;
        bench.reply(place, &cut);
        let (stream, _, question) = bench.asked();
        match how {
            0 => bench.error(stream),
            1 => bench.later(800),
            _ => {
                let mut cut = reply(&question);
                cut[2] |= 2;
                bench.reply(stream, &cut);
            }
        }
        assert!(bench.forwarder.is_free(stream));
        let (place, upstream, question) = bench.asked();
        assert_eq!((place.is_stream(), upstream), (false, 2));
        bench.reply(place, &reply(&question));
        assert_eq!(bench.ended().1, Ok(RECORD.to_vec()));
        assert_eq!(bench.ask(&query(7)).1, 1, "datagrams still reach it");
    }
}

#[test]
fn streams_have_their_bound_and_past_it_the_next_upstream_is_asked() {
    let mut bench = Bench::new(1);
    for number in 0..=UPSTREAM_STREAMS_MAX as u8 {
        let name = [1, number, 0];
        let (place, _, question) = bench.ask(&query_about(number.into(), &name));
        let mut cut = question[..12 + 3 + 4].to_vec();
        (cut[2], cut[11]) = (0x83, 0);
        bench.reply(place, &cut);
        if usize::from(number) < UPSTREAM_STREAMS_MAX {
            assert!(bench.asked().0.is_stream());
        }
    }
    assert_eq!(bench.step(), Some(Step::NoStream));
    assert_eq!(bench.ended().1, Err((Rcode::SERV_FAIL, 23)));
}

#[test]
fn what_cannot_be_forwarded_is_refused_at_once() {
    let mut bench = Bench::new(0);
    assert_eq!(bench.submit(&query(7)), Err(Refusal::Nobody(Nobody::NoRoute)));
    bench.forwarder.set_config(&Config {
        routes: vec![Route {
            domain: "com".parse().unwrap(),
            upstreams: Vec::new(),
        }],
        policy: Policy::Sequential,
    });
    assert_eq!(bench.submit(&query(7)), Err(Refusal::Nobody(Nobody::Nowhere)));
    bench.assert_idle();
}

/// A name of its own for each number.
fn numbered(number: u16) -> [u8; 6] {
    let letter = |shift: u16| b'a' + (number >> shift & 0xf) as u8;
    [4, letter(12), letter(8), letter(4), letter(0), 0]
}

#[test]
fn a_hanging_upstream_leaves_room_for_the_names_of_others() {
    let mut bench = Bench::new(1);
    let route = |domain: &str, hosts| Route {
        domain: domain.parse().unwrap(),
        upstreams: addresses(hosts).into_iter().map(Into::into).collect(),
    };
    bench.forwarder.set_config(&Config {
        routes: vec![route(".", 1..=1), route("com", 2..=2)],
        policy: Policy::Sequential,
    });
    let mut refusals = Vec::new();
    for number in 0..PENDING_MAX as u16 {
        let peer = format!("10.0.{}.{}:53", number >> 8, number & 0xff);
        if let Err(refusal) = bench.submit_from(&peer, &query_about(number, &numbered(number))) {
            refusals.push(refusal);
        }
    }
    assert!(refusals.iter().all(|&it| it == Refusal::Nobody(Nobody::Overrun)));
    assert_eq!(refusals.len(), PENDING_MAX / 4);
    bench.steps.clear();
    let (place, upstream, question) = bench.ask(&query(7));
    assert_eq!(upstream, 2);
    bench.reply(place, &reply(&question));
    assert_eq!(bench.ended().0, [7]);
}

#[test]
fn a_client_has_its_share_and_a_stop_ends_all_that_waits() {
    let mut bench = Bench::new(8);
    let mut number = 0;
    let refusal = loop {
        if let Err(refusal) = bench.submit(&query_about(number, &numbered(number))) {
            break refusal;
        }
        number += 1;
    };
    assert!(matches!(
        refusal,
        Refusal::Share | Refusal::Nobody(Nobody::Overrun)
    ));
    assert_eq!(bench.forwarder.waiting(), PENDING_MAX / 4 * 3);
    bench.steps.clear();
    bench.forwarder.give_up(&mut note(&mut bench.steps));
    assert_eq!(bench.steps.len(), PENDING_MAX / 4 * 3);
    assert!(bench.steps.iter().all(|step| matches!(
        step,
        Step::Ended {
            result: Err((Rcode::SERV_FAIL, _)),
            cause: Cause::Failed,
            ..
        }
    )));
    bench.assert_idle();
}

#[test]
fn new_upstreams_are_asked_by_retries_too_and_old_ones_may_still_answer() {
    let mut bench = Bench::new(1);
    let (old, _, question) = bench.ask(&query(7));
    let (other, _, _) = bench.ask(&query_about(8, b"\x01b\x00"));
    bench.forwarder.set_config(&Config::all_to(addresses(9..=9)));
    bench.later(800);
    assert_eq!([bench.asked().1, bench.asked().1], [9, 9]);
    bench.reply(old, &reply(&question));
    assert_eq!(bench.ended().0, [7]);
    bench.error(other);
    bench.later(1700);
    assert!(bench.steps.iter().any(|step| matches!(step, Step::Ended { .. })));
    bench.assert_idle();
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

// RFC 5452, section 9.2: ids are unpredictable and use the whole range.
#[test]
fn ids_use_the_whole_range_and_differ_between_seeds() {
    let ids = |seed| {
        let mut bench = Bench::new(1);
        bench.forwarder = Forwarder::new([seed; 32]);
        bench.forwarder.set_config(&Config::all_to(addresses(1..=1)));
        (0..512)
            .map(|number| {
                let (_, _, question) = bench.ask(&query_about(7, &numbered(number)));
                u16::from_be_bytes([question[0], question[1]])
            })
            .collect::<Vec<_>>()
    };
    let drawn = ids(1);
    assert!((0..16).all(|bit| drawn.iter().any(|id| id >> bit & 1 == 1)));
    assert_ne!(drawn, ids(2));
}
