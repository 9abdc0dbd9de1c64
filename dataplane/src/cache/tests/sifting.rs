//! What of a reply is kept, and for how long.

use super::*;

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

#[test]
fn what_anybody_may_answer_in_part_is_not_kept() {
    let record = "answer www.example.org 300 A 192.0.2.1";
    check("www.example.org ANY", PLAIN, 0, &[record], &["0", record], None);
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

// RFC 2308, section 2.1: with an alias the code is about the last name, and what there is of ours upstreams cannot know.
#[test]
fn that_a_name_of_ours_does_not_exist_is_not_for_others_to_say() {
    check(
        "www.example.org A",
        PLAIN,
        3,
        &[
            "answer www.example.org 300 CNAME web.docker",
            "authority docker 60 SOA 60",
        ],
        &["0", "answer www.example.org 300 CNAME web.docker"],
        Some(&["0", "answer www.example.org 295 CNAME web.docker"]),
    );
}

#[test]
fn an_alias_of_another_class_leads_nowhere() {
    let records = [
        "answer www.example.org 300 CNAME cdn.example.net",
        "answer cdn.example.net 300 A 192.0.2.1",
    ];
    let mut reply = reply("www.example.org A", 0, &records);
    // Behind header, question, and owner and type of the record.
    let class = 12 + 17 + 4 + 17 + 2;
    assert_eq!(reply[class..class + 2], [0, 1]);
    reply[class + 1] = 3;
    let mut cache = Cache::new(OCTETS, Rules::default(), 1);
    let query = query("www.example.org A", PLAIN, 0);
    let key = cache.key(&Query::parse(&query).unwrap());
    let answer = cache.insert(&key, &reply, 0, |_| false);
    assert_eq!(told(&answer, &query, 65_535), ["0"]);
}

// Unbound's cache-min-ttl and dnsmasq's min-cache-ttl are for a TTL of nothing, too.
#[test]
fn the_least_ttl_is_for_a_ttl_of_nothing_as_well() {
    let mut case = Case::new(Rules {
        min_ttl: 30,
        ..Rules::default()
    });
    let told = ["0", "answer www.example.org 30 A 192.0.2.1"];
    let record = "answer www.example.org 0 A 192.0.2.1";
    assert_eq!(case.insert("www.example.org A", PLAIN, 0, &[record], 0), told);
    assert!(case.lookup("www.example.org A", PLAIN, 29).is_some());
    let gone = "authority example.org 900 SOA 0";
    case.insert("gone.example.org A", PLAIN, 3, &[gone], 0);
    assert!(case.lookup("gone.example.org A", PLAIN, 29).is_some());
    assert_eq!(case.lookup("gone.example.org A", PLAIN, 30), None);
    case.insert("gone.example.org A", PLAIN, 3, &[], 40);
    assert_eq!(
        case.lookup("gone.example.org A", PLAIN, 40),
        None,
        "nobody said for how long there is nothing"
    );
}

#[test]
fn a_reply_of_the_shortest_records_there_can_be_has_room() {
    // The root's, of a type without data, in front of the alias that leads to it.
    let mut reply = reply("www.example.org TXT", 0, &[]);
    let count: u16 = 5930;
    for _ in 0..count {
        reply.extend([0, 0, 16, 0, 1, 0, 0, 0, 60, 0, 0]);
    }
    reply.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 1, 0]);
    reply[6..8].copy_from_slice(&(count + 1).to_be_bytes());
    let hash = Hash::new(3);
    let query = query("www.example.org TXT", PLAIN, 0);
    let key = Key::of(&hash, &Query::parse(&query).unwrap());
    let mut draft = Draft::new();
    let taken = draft.taken();
    assert_eq!(draft.sift(&key, &reply, &Rules::default(), |_| false), Ok(()));
    assert_eq!(draft.answers, count + 1);
    assert_eq!(draft.taken(), taken, "nothing was allocated");
}

// RFC 4074, section 4.2: "Return "Name Error"" for AAAA, by servers that know an A record of the name.
#[test]
fn what_does_not_exist_is_told_of_the_type_that_was_asked_for_alone() {
    let mut case = Case::new(Rules::default());
    let record = "answer www.example.org 300 A 192.0.2.1";
    case.insert("www.example.org A", PLAIN, 0, &[record], 0);
    let denied = ["authority example.org 900 SOA 60"];
    case.insert("www.example.org AAAA", PLAIN, 3, &denied, 0);
    assert_eq!(
        case.lookup("www.example.org A", PLAIN, 0).unwrap().0,
        ["0", record]
    );
    assert_eq!(case.lookup("www.example.org AAAA", PLAIN, 0).unwrap().0[0], "3");
    assert_eq!(case.lookup("www.example.org MX", PLAIN, 0), None);
}
