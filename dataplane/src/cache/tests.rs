//! What is kept of a reply, told again, and forgotten; and the whole cache beside a map too simple to be wrong.

use std::collections::HashMap;

use dns::wire::Head;
use dns::{Name, Reply};
use domain::base::Message;
use domain::base::name::ParsedName;
use domain::base::rdata::RecordData as _;
use domain::rdata::AllRecordData;

use super::*;

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

// CVE-2021-25220, CVE-2025-40778, CVE-2025-11411.
#[test]
fn only_the_chain_that_answers_the_question_is_kept() {
    check(
        "www.example.org A",
        PLAIN,
        0,
        &[
            "answer cdn.example.net 60 A 192.0.2.1",
            "answer bank.example 60 A 192.0.2.66",
            "answer www.example.org 300 CNAME cdn.example.net",
            "answer www.example.org 300 TXT nothing",
            "authority example.org 300 NS ns.evil.example",
            "additional ns.evil.example 300 A 192.0.2.66",
        ],
        &[
            "0",
            "answer cdn.example.net 60 A 192.0.2.1",
            "answer www.example.org 300 CNAME cdn.example.net",
        ],
        Some(&[
            "0",
            "answer cdn.example.net 55 A 192.0.2.1",
            "answer www.example.org 295 CNAME cdn.example.net",
        ]),
    );
}

#[test]
fn a_chain_is_followed_to_its_end_and_dies_with_its_shortest_link() {
    let mut case = Case::new(Rules::default());
    let records = [
        "answer a.example 300 CNAME b.example",
        "answer b.example 7 CNAME c.example",
        "answer c.example 200 MX mail.example",
    ];
    case.insert("a.example MX", PLAIN, 0, &records, 100);
    let (told, _) = case.lookup("a.example MX", PLAIN, 106).unwrap();
    assert_eq!(
        told,
        [
            "0",
            "answer a.example 294 CNAME b.example",
            "answer b.example 1 CNAME c.example",
            "answer c.example 194 MX mail.example",
        ]
    );
    assert_eq!(case.lookup("a.example MX", PLAIN, 107), None);
}

// Several resolvers draw the line at eleven links, or a few more.
#[test]
fn a_chain_that_is_too_long_or_goes_round_is_no_answer() {
    let link = |number: usize| format!("answer n{number}.example 60 CNAME n{}.example", number + 1);
    let chain = |links: usize| {
        let mut records: Vec<String> = (0..links).map(link).collect();
        records.push(format!("answer n{links}.example 60 A 192.0.2.1"));
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        Case::new(Rules::default()).insert("n0.example A", PLAIN, 0, &records, 0)
    };
    let most = crate::limits::CACHE_LINKS_MAX;
    assert_eq!(chain(most).len(), 1 + most + 1);
    assert_eq!(chain(most + 1), ["2", "why 24"]);
    check(
        "a.example A",
        PLAIN,
        0,
        &[
            "answer a.example 60 CNAME b.example",
            "answer b.example 60 CNAME a.example",
        ],
        &["2", "why 24"],
        None,
    );
}

// MaginotDNS: what is ours is never learnt from others.
#[test]
fn a_chain_into_our_own_zone_ends_there() {
    check(
        "www.example.org A",
        PLAIN,
        0,
        &[
            "answer www.example.org 300 CNAME web.docker",
            "answer web.docker 300 A 192.0.2.66",
        ],
        &["0", "answer www.example.org 300 CNAME web.docker"],
        Some(&["0", "answer www.example.org 295 CNAME web.docker"]),
    );
}

// RFC 2308, section 5: "the minimum of the SOA.MINIMUM field and SOA's TTL".
#[test]
fn what_does_not_exist_is_kept_for_the_time_that_its_soa_says() {
    for (rcode, told) in [(3, "3"), (0, "0")] {
        check(
            "gone.example.org A",
            PLAIN,
            rcode,
            &[
                "authority example.org 900 SOA 60",
                "authority example.org 900 NS ns.example",
            ],
            &[told, "authority example.org 60 SOA 60"],
            Some(&[told, "authority example.org 55 SOA 60"]),
        );
    }
    let mut case = Case::new(Rules::default());
    let week = ["authority example.org 604800 SOA 604800"];
    case.insert("gone.example.org A", PLAIN, 3, &week, 0);
    assert!(case.lookup("gone.example.org A", PLAIN, 10_799).is_some());
    assert!(case.lookup("gone.example.org A", PLAIN, 10_800).is_none());
}

// RFC 2308, section 5: "negative responses without SOA records SHOULD NOT be cached".
#[test]
fn without_an_soa_of_a_zone_of_the_name_nothing_is_kept() {
    check("gone.example.org A", PLAIN, 3, &[], &["3"], None);
    let other = ["authority example.com 900 SOA 60"];
    check("gone.example.org A", PLAIN, 3, &other, &["3"], None);
    let referral = ["authority example.org 900 NS ns.example.org"];
    check("www.example.org A", PLAIN, 0, &referral, &["0"], None);
}

#[test]
fn a_chain_that_leads_to_nothing_is_negative_under_the_last_name() {
    check(
        "www.example.org A",
        PLAIN,
        3,
        &[
            "answer www.example.org 300 CNAME gone.example.net",
            "authority example.net 900 SOA 60",
        ],
        &[
            "3",
            "answer www.example.org 300 CNAME gone.example.net",
            "authority example.net 60 SOA 60",
        ],
        Some(&[
            "3",
            "answer www.example.org 295 CNAME gone.example.net",
            "authority example.net 55 SOA 60",
        ]),
    );
}

#[test]
fn signatures_and_proofs_are_for_those_who_asked_for_them() {
    let records = [
        "answer www.example.org 300 CNAME cdn.example.net",
        "answer www.example.org 300 RRSIG CNAME",
        "answer cdn.example.net 300 A 192.0.2.1",
        "answer cdn.example.net 300 A 192.0.2.2",
        "answer cdn.example.net 300 RRSIG A",
        "answer cdn.example.net 300 RRSIG TXT",
        "authority cdm.example.net 300 NSEC cdz.example.net",
        "authority cdm.example.net 300 RRSIG NSEC",
        "authority example.net 300 NS ns.example.net",
        "authority example.net 300 RRSIG NS",
    ];
    let with: Vec<&str> = [&["0"][..], &records[..5], &records[6..8]].concat();
    let without: Vec<&str> = vec!["0", records[0], records[2], records[3]];
    for (dnssec_ok, expected) in [(DO, with), (PLAIN, without)] {
        let mut case = Case::new(Rules::default());
        assert_eq!(
            case.insert("www.example.org A", dnssec_ok, 0, &records, 9),
            expected
        );
        assert_eq!(
            case.lookup("www.example.org A", dnssec_ok, 9).unwrap().0,
            expected
        );
        assert_eq!(case.lookup("www.example.org A", !dnssec_ok, 9), None);
    }
    check(
        "gone.example.org A",
        DO,
        3,
        &[
            "authority example.org 900 SOA 60",
            "authority example.org 900 RRSIG SOA",
            "authority golf.example.org 900 NSEC h.example.org",
            "authority golf.example.org 900 RRSIG NSEC",
        ],
        &[
            "3",
            "authority example.org 60 SOA 60",
            "authority example.org 900 RRSIG SOA",
            "authority golf.example.org 900 NSEC h.example.org",
            "authority golf.example.org 900 RRSIG NSEC",
        ],
        Some(&[
            "3",
            "authority example.org 55 SOA 60",
            "authority example.org 895 RRSIG SOA",
            "authority golf.example.org 895 NSEC h.example.org",
            "authority golf.example.org 895 RRSIG NSEC",
        ]),
    );
}

#[test]
fn a_renamed_tree_keeps_the_record_that_renamed_it() {
    let records = [
        "answer old.example 300 DNAME new.example",
        "answer www.old.example 300 CNAME www.new.example",
        "answer www.new.example 300 A 192.0.2.1",
        "answer other.example 300 DNAME new.example",
    ];
    let kept: Vec<&str> = [&["0"][..], &records[..3]].concat();
    let mut case = Case::new(Rules::default());
    assert_eq!(case.insert("www.old.example A", PLAIN, 0, &records, 0), kept);
}

// RFC 2181, section 8: a TTL with the highest bit set counts as 0.
#[test]
fn a_ttl_of_nothing_is_for_one_question_alone() {
    for ttl in ["0", "2147483648", "4294967295"] {
        let record = format!("answer www.example.org {ttl} A 192.0.2.1");
        check(
            "www.example.org A",
            PLAIN,
            0,
            &[&record],
            &["0", "answer www.example.org 0 A 192.0.2.1"],
            None,
        );
    }
}

#[test]
fn ttls_keep_to_the_bounds_that_were_set() {
    let mut case = Case::new(Rules {
        min_ttl: 30,
        max_ttl: 100,
        ..Rules::default()
    });
    for (ttl, kept) in [("5", "30"), ("50", "50"), ("5000", "100")] {
        let record = format!("answer www.example.org {ttl} A 192.0.2.1");
        let expected = format!("answer www.example.org {kept} A 192.0.2.1");
        assert_eq!(
            case.insert("www.example.org A", PLAIN, 0, &[&record], 0)[1],
            expected
        );
        let kept: u32 = kept.parse().unwrap();
        assert!(case.lookup("www.example.org A", PLAIN, kept - 1).is_some());
        assert!(case.lookup("www.example.org A", PLAIN, kept).is_none());
    }
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
fn what_anybody_may_answer_in_part_is_not_kept() {
    let record = "answer www.example.org 300 A 192.0.2.1";
    check("www.example.org ANY", PLAIN, 0, &[record], &["0", record], None);
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
fn private_addresses_of_outside_names_are_kept_back_if_asked_to() {
    let rules = Rules {
        rebind_protection: true,
        rebind_allow: vec![name("corp.example")],
        ..Rules::default()
    };
    let a = [
        "10.0.0.1",
        "127.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.0.1",
        "0.0.0.0",
    ];
    let aaaa = ["::", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1"];
    let cases = a
        .iter()
        .map(|it| ("A", it))
        .chain(aaaa.iter().map(|it| ("AAAA", it)));
    for (rtype, address) in cases {
        let mut case = Case::new(rules.clone());
        let question = format!("www.example.org {rtype}");
        let record = format!("answer www.example.org 60 {rtype} {address}");
        assert_eq!(case.insert(&question, PLAIN, 0, &[&record], 0), ["0", "why 15"]);
        assert_eq!(
            case.lookup(&question, PLAIN, 59).unwrap().0,
            ["0", "why 15"],
            "{address}"
        );
        assert_eq!(case.lookup(&question, PLAIN, 60), None);
        let question = format!("www.corp.example {rtype}");
        let record = format!("answer www.corp.example 60 {rtype} {address}");
        assert_eq!(case.insert(&question, PLAIN, 0, &[&record], 0)[1], record);
    }
    let mut case = Case::new(rules);
    let public = "answer www.example.org 60 A 192.0.2.1";
    assert_eq!(
        case.insert("www.example.org A", PLAIN, 0, &[public], 0)[1],
        public
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
fn names_are_forgotten_with_all_below_them_and_no_others() {
    let names = [
        "example.org",
        "www.example.org",
        "a.b.example.org",
        "xexample.org",
        "org",
        "example.com",
    ];
    let insert = |case: &mut Case| {
        for owner in names {
            let record = format!("answer {owner} 60 A 192.0.2.1");
            case.insert(&format!("{owner} A"), PLAIN, 0, &[&record], 0);
        }
    };
    let known = |case: &mut Case| -> Vec<&str> {
        let is_known = |owner: &&str| case.lookup(&format!("{owner} A"), PLAIN, 1).is_some();
        names.iter().copied().filter(is_known).collect()
    };
    let mut case = Case::new(Rules::default());
    insert(&mut case);
    assert_eq!(known(&mut case), names);
    case.cache.flush(&Flush::Below(name("Example.org")));
    assert_eq!(known(&mut case), names[3..]);
    insert(&mut case);
    case.cache.flush(&Flush::Below(name(".")));
    assert!(known(&mut case).is_empty());
    insert(&mut case);
    case.cache.flush(&Flush::All);
    assert!(known(&mut case).is_empty());
    assert_eq!((case.cache.entries(), case.cache.used()), (0, 0));
}

#[test]
fn a_cache_of_no_size_keeps_nothing_and_still_sifts() {
    let mut case = Case::new(Rules::default());
    case.cache = Cache::new(0, Rules::default(), 1);
    let record = "answer www.example.org 60 A 192.0.2.1";
    let junk = "additional bank.example 60 A 192.0.2.66";
    assert_eq!(
        case.insert("www.example.org A", PLAIN, 0, &[record, junk], 0),
        ["0", record]
    );
    assert_eq!(case.lookup("www.example.org A", PLAIN, 0), None);
}

#[test]
fn a_scan_stays_at_the_bound_and_leaves_what_is_in_use() {
    check_scan("answer www.example.org 3600 A 192.0.2.1", 4000);
}

/// Failures are so short that it is the index that is full first.
#[test]
fn a_scan_of_names_without_an_answer_leaves_what_is_in_use() {
    check_scan("", 4000);
}

/// Thirty times as many names as there is room for are taken in, each with `record`, while some are asked for now and again.
fn check_scan(record: &str, entries: usize) {
    const SCANNED: u32 = 200_000;
    let mut store = Store::new(OCTETS, 0);
    let hash = Hash::new(3);
    let mut draft = Draft::new();
    let query_for = |number: u32| {
        let mut query = query("0000000.example.org A", PLAIN, 0);
        query[13..20].copy_from_slice(format!("{number:07}").as_bytes());
        query
    };
    let key_of = |query: &[u8]| Key::of(&hash, &Query::parse(query).unwrap());
    let key = key_of(&query("www.example.org A", PLAIN, 0));
    let (rcode, records) = if record.is_empty() {
        (2, vec![])
    } else {
        (0, vec![record])
    };
    let reply = reply("www.example.org A", rcode, &records);
    draft.sift(&key, &reply, &Rules::default(), |_| false).unwrap();
    let hot: Vec<Vec<u8>> = (0..300).map(|number| query_for(9_000_000 + number)).collect();
    let ask = |store: &mut Store, query: &[u8]| {
        let key = key_of(query);
        let position = store.find(&key);
        match position {
            Some(position) => {
                let meta = store.meta(position).unwrap();
                store.hit(position, &meta);
            }
            None => assert!(store.insert(&key, &draft, 0)),
        }
        position.is_some()
    };
    for _ in 0..3 {
        hot.iter().for_each(|query| {
            ask(&mut store, query);
        });
    }
    let taken = store.taken();
    assert!(taken <= OCTETS, "{taken}");
    let mut lost = 0;
    for number in 0..SCANNED {
        assert!(store.insert(&key_of(&query_for(number)), &draft, 0));
        if number % 40 == 0 {
            // Each of the hot ones is asked for far less often than new names come.
            lost += u32::from(!ask(&mut store, &hot[number as usize / 40 % hot.len()]));
        }
    }
    assert_eq!(store.taken(), taken);
    // One in half a million names of a scan is taken for a ghost by its hash, and goes where hot ones are.
    assert!(lost <= 2, "{lost} times one of {} hot names", hot.len());
    assert!(store.entries() > entries, "{}", store.entries());
    assert!(store.take_moves().evictions > u64::from(SCANNED) - 20_000);
}

/// A map of all that was ever taken in, with exact expiry. It forgets nothing, so the cache may know less, never more.
#[test]
fn the_cache_never_knows_more_than_a_map_and_nearly_as_much() {
    for seed in 1..40_u64 {
        let mut random = seed;
        let mut next = move |below: u32| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 16) as u32 % below
        };
        let mut case = Case::new(Rules::default());
        case.cache = Cache::new(crate::limits::CACHE_SHARE_OCTETS_MIN, Rules::default(), seed);
        let mut model: HashMap<u32, (u32, u32, u32)> = HashMap::new();
        let (mut now, mut known, mut knowable) = (0, 0, 0);
        for step in 0..4000 {
            now += next(3);
            // Few names are asked for often, and many seldom.
            let number = if next(2) == 0 { next(20) } else { next(3000) };
            let question = format!("n{number}.example.org A");
            match next(12) {
                0 if step % 50 == 0 => {
                    case.cache
                        .flush(&Flush::Below(name(&format!("n{number}.example.org"))));
                    model.remove(&number);
                }
                1..=5 => {
                    let (ttl, count) = (1 + next(2000), 1 + next(12));
                    let records: Vec<String> = (0..count)
                        .map(|last| {
                            format!("answer n{number}.example.org {ttl} A 192.0.{}.{last}", step % 256)
                        })
                        .collect();
                    let records: Vec<&str> = records.iter().map(String::as_str).collect();
                    case.insert(&question, PLAIN, 0, &records, now);
                    model.insert(number, (now, ttl, count + step % 256 * 100));
                }
                _ => {
                    let good = model.get(&number).filter(|(stored, ttl, _)| now - stored < *ttl);
                    let hit = case.lookup(&question, PLAIN, now);
                    knowable += u32::from(good.is_some());
                    let Some((told, _)) = hit else {
                        continue;
                    };
                    known += 1;
                    let (stored, ttl, mark) = good.expect("the cache knows what nobody told it, or too long");
                    assert_eq!(told.len() as u32 - 1, mark % 100);
                    let prefix = format!(
                        "answer n{number}.example.org {} A 192.0.{}.",
                        ttl - (now - stored),
                        mark / 100
                    );
                    assert!(
                        told[1..].iter().all(|it| it.starts_with(&prefix)),
                        "{told:?} {prefix}"
                    );
                }
            }
        }
        assert!(known * 100 >= knowable * 80, "seed {seed}: {known} of {knowable}");
    }
}
