//! What is kept of a reply, told again, and forgotten; and the whole cache beside a map too simple to be wrong.

mod model;
mod room;
mod sifting;

use super::*;
use dns::wire::Head;
use dns::{Name, Reply};
use domain::base::Message;
use domain::base::name::ParsedName;
use domain::base::rdata::RecordData as _;
use domain::rdata::AllRecordData;
use std::collections::HashMap;

const OCTETS: usize = 1 << 20;

const DO: bool = true;

const PLAIN: bool = false;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A query for `question`, as `www.example.org A`, with OPT.
fn query(question: &str, dnssec_ok: bool, id: u16) -> Vec<u8> {
    let (owner, rtype) = question.split_once(' ').unwrap();
    let header = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let opt = [0, 0, 41, 4, 0xd0, 0, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0];
    let mut query = [
        &header[..],
        name(owner).octets(),
        &code(rtype).to_be_bytes(),
        &[0, 1],
        &opt,
    ]
    .concat();
    query[..2].copy_from_slice(&id.to_be_bytes());
    query
}

fn code(rtype: &str) -> u16 {
    let known = [
        ("A", 1),
        ("NS", 2),
        ("CNAME", 5),
        ("SOA", 6),
        ("MX", 15),
        ("TXT", 16),
        ("AAAA", 28),
        ("DNAME", 39),
        ("RRSIG", 46),
        ("NSEC", 47),
        ("ANY", 255),
    ];
    known.iter().find(|(text, _)| *text == rtype).unwrap().1
}

/// A reply to `question` with `records`, each as `answer www.example.org 300 A 192.0.2.1`.
fn reply(question: &str, rcode: u8, records: &[&str]) -> Vec<u8> {
    let mut reply = query(question, false, 7);
    reply.truncate(reply.len() - 11);
    reply[2..12].copy_from_slice(&[0x81, 0x80 | rcode, 0, 1, 0, 0, 0, 0, 0, 0]);
    for record in records {
        let words: Vec<&str> = record.split(' ').collect();
        let [section, owner, ttl, rtype, data] = words[..] else {
            panic!("{record}")
        };
        let count = match section {
            "answer" => 7,
            "authority" => 9,
            _ => 11,
        };
        reply[count] += 1;
        let data = match rtype {
            "A" => data.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
            "AAAA" => data.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec(),
            "NS" | "CNAME" | "DNAME" => name(data).octets().to_vec(),
            "MX" => [&[0, 10], name(data).octets()].concat(),
            "TXT" => [&[data.len() as u8], data.as_bytes()].concat(),
            // Its minimum.
            "SOA" => [
                name("ns.test").octets(),
                name("hostmaster.test").octets(),
                &[0; 16],
                &data.parse::<u32>().unwrap().to_be_bytes(),
            ]
            .concat(),
            // The type it covers.
            "RRSIG" => [&code(data).to_be_bytes(), &[13; 16][..], &[0], &[1; 64]].concat(),
            "NSEC" => [name(data).octets(), &[0, 1, 0x40]].concat(),
            _ => panic!("{record}"),
        };
        reply.extend_from_slice(name(owner).octets());
        reply.extend_from_slice(&code(rtype).to_be_bytes());
        reply.extend_from_slice(&[0, 1]);
        reply.extend_from_slice(&ttl.parse::<u32>().unwrap().to_be_bytes());
        reply.extend_from_slice(&(data.len() as u16).to_be_bytes());
        reply.extend_from_slice(&data);
    }
    reply
}

/// What is told of `answer` to `query`, with room for `limit` octets, as `domain` reads it: the response code, then each
/// record as [`reply`] takes them.
fn told(answer: &Answer<'_>, query: &[u8], limit: usize) -> Vec<String> {
    let head = Head::from(&Query::parse(query).unwrap());
    let mut buffer = query.to_vec();
    buffer.resize(70_000, 0xee);
    let (length, truncated) = answer.write(Reply::begin(&mut buffer, head, limit, 1232), head.id());
    assert!(length <= limit);
    let message = Message::from_octets(&buffer[..length]).unwrap();
    assert_eq!(message.header().tc(), truncated);
    let mut told = vec![format!("{}", message.header().rcode().to_int())];
    for record in &message {
        let (record, section) = record.unwrap();
        let record = record
            .into_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>()
            .unwrap();
        let data = record.data();
        let data = match data {
            AllRecordData::Opt(opt) => {
                let options = opt.for_slice_ref();
                let why = options
                    .iter::<domain::base::opt::ExtendedError<&[u8]>>()
                    .next()
                    .map(|why| why.unwrap().code().to_int());
                if let Some(why) = why {
                    told.push(format!("why {why}"));
                }
                continue;
            }
            AllRecordData::Soa(soa) => soa.minimum().as_secs().to_string(),
            AllRecordData::Rrsig(signature) => signature.type_covered().to_string(),
            AllRecordData::Mx(mx) => mx.exchange().to_string(),
            AllRecordData::Nsec(nsec) => nsec.next_name().to_string(),
            AllRecordData::Txt(txt) => String::from_utf8(txt.text::<Vec<u8>>()).unwrap(),
            data => data.to_string(),
        };
        let section = match section {
            domain::base::message::Section::Answer => "answer",
            domain::base::message::Section::Authority => "authority",
            domain::base::message::Section::Additional => "additional",
        };
        told.push(format!(
            "{section} {} {} {} {}",
            record.owner(),
            record.ttl().as_secs(),
            record.data().rtype(),
            data.trim_end_matches('.')
        ));
    }
    told
}

struct Case {
    cache: Cache,
}

impl Case {
    fn new(rules: Rules) -> Self {
        Self {
            cache: Cache::new(OCTETS, rules, 1),
        }
    }

    /// Takes in a reply to `question` at `now`, and returns what is told at once.
    fn insert(
        &mut self,
        question: &str,
        dnssec_ok: bool,
        rcode: u8,
        records: &[&str],
        now: u32,
    ) -> Vec<String> {
        let query = query(question, dnssec_ok, 0);
        let key = self.cache.key(&Query::parse(&query).unwrap());
        let is_ours = |name: NameRef<'_>| name.start_of(&"docker".parse().unwrap()).is_some();
        let answer = self
            .cache
            .insert(&key, &reply(question, rcode, records), now, is_ours);
        told(&answer, &query, 65_535)
    }

    /// What is known of `question` at `now`, and whether it is to be refreshed.
    fn lookup(&mut self, question: &str, dnssec_ok: bool, now: u32) -> Option<(Vec<String>, bool)> {
        let query = query(question, dnssec_ok, 0);
        let key = self.cache.key(&Query::parse(&query).unwrap());
        let hit = self.cache.lookup(&key, now)?;
        Some((told(&hit.answer, &query, 65_535), hit.refresh))
    }

    /// What is told when upstreams fail to answer `question` at `now`.
    fn fail(&mut self, question: &str, now: u32) -> Vec<String> {
        let query = query(question, PLAIN, 0);
        let key = self.cache.key(&Query::parse(&query).unwrap());
        let why = Some(ExtendedError::NO_REACHABLE_AUTHORITY);
        told(
            &self.cache.insert_failure(&key, Rcode::SERV_FAIL, why, now),
            &query,
            65_535,
        )
    }
}

/// What is told of a reply at once, and again five seconds later; none: it is not kept.
fn check(
    question: &str,
    dnssec_ok: bool,
    rcode: u8,
    records: &[&str],
    at_once: &[&str],
    later: Option<&[&str]>,
) {
    let mut case = Case::new(Rules::default());
    assert_eq!(
        case.insert(question, dnssec_ok, rcode, records, 100),
        at_once,
        "{records:#?}"
    );
    let known = case.lookup(question, dnssec_ok, 105);
    assert_eq!(
        known.as_ref().map(|(told, _)| told.as_slice()),
        later
            .map(|it| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
            .as_deref(),
        "{records:#?}"
    );
}

#[test]
fn an_answer_is_told_again_with_its_ttls_counted_down() {
    check(
        "www.example.org A",
        PLAIN,
        0,
        &[
            "answer www.example.org 300 A 192.0.2.1",
            "answer www.example.org 300 A 192.0.2.2",
        ],
        &[
            "0",
            "answer www.example.org 300 A 192.0.2.1",
            "answer www.example.org 300 A 192.0.2.2",
        ],
        Some(&[
            "0",
            "answer www.example.org 295 A 192.0.2.1",
            "answer www.example.org 295 A 192.0.2.2",
        ]),
    );
}

// RFC 9520, section 3.2.
#[test]
fn a_failure_is_remembered_for_some_seconds_and_said_to_be() {
    let mut case = Case::new(Rules::default());
    assert_eq!(case.insert("www.example.org A", PLAIN, 2, &[], 10), ["2"]);
    assert_eq!(
        case.lookup("www.example.org A", PLAIN, 14).unwrap().0,
        ["2", "why 13"]
    );
    assert_eq!(case.lookup("www.example.org A", PLAIN, 15), None);
    assert_eq!(case.fail("www.example.org A", 20), ["2", "why 22"]);
    assert_eq!(
        case.lookup("www.example.org A", PLAIN, 24).unwrap().0,
        ["2", "why 13"]
    );
}

#[test]
fn a_name_that_is_asked_for_often_is_refreshed_before_it_is_over_once() {
    let mut case = Case::new(Rules::default());
    let record = ["answer www.example.org 100 A 192.0.2.1"];
    let question = "www.example.org A";
    case.insert(question, PLAIN, 0, &record, 0);
    let mut refreshed = |now| case.lookup(question, PLAIN, now).unwrap().1;
    assert!(!refreshed(95), "one hit is not many");
    assert!(!refreshed(95));
    assert!(refreshed(95));
    assert!(!refreshed(96), "it is under way");
    case.insert(question, PLAIN, 0, &record, 97);
    for now in 97..187 {
        assert!(!case.lookup(question, PLAIN, now).unwrap().1);
    }
    assert!(case.lookup(question, PLAIN, 187).unwrap().1);
}

// RFC 8767, sections 4 and 5.
#[test]
fn an_answer_past_its_time_is_told_only_while_upstreams_fail_and_the_rules_allow_it() {
    let record = ["answer www.example.org 100 A 192.0.2.1"];
    let question = "www.example.org A";
    let stale = ["0", "answer www.example.org 30 A 192.0.2.1", "why 3"];
    let failure = ["2", "why 22"];
    let mut case = Case::new(Rules::default());
    case.insert(question, PLAIN, 0, &record, 0);
    assert_eq!(case.fail(question, 100), failure);

    let mut case = Case::new(Rules {
        stale_seconds: 1000,
        ..Rules::default()
    });
    case.insert(question, PLAIN, 0, &record, 0);
    assert_eq!(
        case.lookup(question, PLAIN, 100),
        None,
        "upstreams are asked first"
    );
    assert_eq!(case.fail(question, 102), stale);
    assert_eq!(case.lookup(question, PLAIN, 131).unwrap().0, stale);
    assert_eq!(case.lookup(question, PLAIN, 132), None, "they are asked again");
    assert_eq!(case.fail(question, 1099), stale);
    assert_eq!(case.fail(question, 1100), failure);
    assert_eq!(case.fail("other.example.org A", 102), failure);
    case.insert(question, PLAIN, 0, &record, 1200);
    assert_eq!(case.lookup(question, PLAIN, 1200).unwrap().0[1], record[0]);
    assert_eq!(
        case.fail(question, 1210)[1],
        "answer www.example.org 90 A 192.0.2.1",
        "it is good still"
    );

    let gone = ["authority example.org 900 SOA 60"];
    case.insert("gone.example.org A", PLAIN, 3, &gone, 0);
    assert_eq!(
        case.fail("gone.example.org A", 70),
        ["3", "authority example.org 30 SOA 60", "why 19"]
    );
}

#[test]
fn the_clients_case_and_id_are_its_own_and_the_first_address_changes() {
    let mut cache = Cache::new(OCTETS, Rules::default(), 1);
    let records = [1, 2, 3].map(|last| format!("answer www.example.org 60 A 192.0.2.{last}"));
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let first = query("www.example.org A", PLAIN, 0);
    let key = cache.key(&Query::parse(&first).unwrap());
    cache.insert(&key, &reply("www.example.org A", 0, &records), 0, |_| false);
    for id in 0..6 {
        let mut query = query("www.example.org A", PLAIN, id);
        query[13..16].copy_from_slice(b"WwW");
        let key = cache.key(&Query::parse(&query).unwrap());
        let hit = cache.lookup(&key, 1).unwrap();
        let told = told(&hit.answer, &query, 65_535);
        let expected: Vec<String> = (0_u16..3)
            .map(|place| {
                let last = 1 + (place + id) % 3;
                format!("answer WwW.example.org 59 A 192.0.2.{last}")
            })
            .collect();
        assert_eq!(told[1..], expected);
    }
}

#[test]
fn what_a_client_has_no_room_for_is_cut_whole() {
    let mut cache = Cache::new(OCTETS, Rules::default(), 1);
    let records: Vec<String> = (0..100)
        .map(|last| format!("answer www.example.org 60 A 192.0.2.{last}"))
        .collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let query = query("www.example.org A", PLAIN, 0);
    let key = cache.key(&Query::parse(&query).unwrap());
    cache.insert(&key, &reply("www.example.org A", 0, &records), 0, |_| false);
    let hit = cache.lookup(&key, 1).unwrap();
    assert_eq!(told(&hit.answer, &query, 1232), ["0"]);
    assert_eq!(told(&hit.answer, &query, 65_535).len(), 101);
}

#[test]
fn an_answer_that_came_after_the_clock_was_looked_at_is_new() {
    let mut case = Case::new(Rules::default());
    let record = "answer www.example.org 60 A 192.0.2.1";
    case.insert("www.example.org A", PLAIN, 0, &[record], 11);
    let (told, _) = case.lookup("www.example.org A", PLAIN, 10).unwrap();
    assert_eq!(told, ["0", record]);
}

/// What was kept of a name, and then `rcode` and `records` come, which are not kept: the name is asked for again.
#[track_caller]
fn check_superseded(rcode: u8, records: &[&str]) {
    let mut case = Case::new(Rules {
        stale_seconds: 1000,
        ..Rules::default()
    });
    let question = "www.example.org A";
    case.insert(question, PLAIN, 0, &["answer www.example.org 60 A 192.0.2.1"], 0);
    case.insert(question, PLAIN, rcode, records, 50);
    assert_eq!(case.lookup(question, PLAIN, 51), None, "it was good still");
    assert_eq!(
        case.fail(question, 70),
        ["2", "why 22"],
        "what nobody says any more is not told for want of better either"
    );
}

// RFC 2308, section 5, and RFC 8767, section 4: whatever a server says takes the place of what it said before.
#[test]
fn an_answer_that_is_not_kept_takes_the_place_of_one_that_was() {
    check_superseded(0, &["answer www.example.org 0 A 192.0.2.2"]);
    check_superseded(3, &[]);
    let mut cache = Cache::new(crate::limits::CACHE_SHARE_OCTETS_MIN, Rules::default(), 1);
    let query = query("www.example.org A", PLAIN, 0);
    let key = cache.key(&Query::parse(&query).unwrap());
    cache.insert(
        &key,
        &reply("www.example.org A", 0, &["answer www.example.org 60 A 192.0.2.1"]),
        0,
        |_| false,
    );
    let mut too_long = reply("www.example.org A", 0, &[]);
    for _ in 0..4000_u16 {
        too_long.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9]);
    }
    too_long[6..8].copy_from_slice(&4000_u16.to_be_bytes());
    assert_eq!(cache.insert(&key, &too_long, 1, |_| false).answers, 4000);
    assert!(cache.lookup(&key, 1).is_none());
}

// A failure is not what servers say of the name, and so an answer takes its place as well.
#[test]
fn an_answer_for_one_question_alone_ends_a_failure() {
    let mut case = Case::new(Rules::default());
    case.fail("www.example.org A", 0);
    let record = "answer www.example.org 0 A 192.0.2.1";
    case.insert("www.example.org A", PLAIN, 0, &[record], 1);
    assert_eq!(case.lookup("www.example.org A", PLAIN, 1), None);
}
