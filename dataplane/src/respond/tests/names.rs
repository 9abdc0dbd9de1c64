//! What there is at a name of ours.

use super::*;

#[test]
fn a_stored_name_is_answered_whole() {
    assert_eq!(
        answer("Redis1.redis.DEV.docker", 1, 0, &[]),
        "NOERROR aa rd ra; Answer redis1.redis.dev.docker 30 10.0.0.4"
    );
    assert_eq!(
        answer("redis1.redis.dev.docker", 1, 0, &OPT),
        "NOERROR aa rd ra; Answer redis1.redis.dev.docker 30 10.0.0.4; opt 1232"
    );
}

#[test]
fn the_question_comes_back_in_the_case_it_was_sent() {
    let mut packet = query("redis1.redis.dev.docker", 1, 0, &[]);
    packet[13..].iter_mut().take(6).for_each(u8::make_ascii_uppercase);
    let (_, reply) = ask(&packet, client("127.0.0.1", Transport::Udp), true);
    assert_eq!(reply[12..packet.len()], packet[12..]);
}

#[test]
fn records_rotate_by_the_query_id_and_the_set_stays_complete() {
    let rotated = |qtype, id| answer("redis.dev.docker", qtype, id, &[]);
    assert!(rotated(1, 0).ends_with("30 10.0.0.4; Answer redis.dev.docker 30 10.0.0.5"));
    assert!(rotated(1, 1).ends_with("30 10.0.0.5; Answer redis.dev.docker 30 10.0.0.4"));
    assert_eq!(rotated(1, 2), rotated(1, 0));
    assert!(rotated(33, 1).contains("Answer redis.dev.docker 30 10 50 6379 u2.docker; Answer"));
}

#[test]
fn srv_brings_the_addresses_of_its_targets() {
    assert_eq!(
        answer("redis.dev.docker", 33, 0, &[]),
        "NOERROR aa rd ra; Answer redis.dev.docker 30 10 50 6379 u1.docker; \
         Answer redis.dev.docker 30 10 50 6379 u2.docker; \
         Additional u1.docker 30 10.0.0.4; Additional u2.docker 30 10.0.0.5"
    );
}

#[test]
fn wildcards_match_any_label_in_any_place() {
    let both =
        |asked: &str| format!("NOERROR aa rd ra; Answer {asked} 30 10.0.0.4; Answer {asked} 30 10.0.0.5");
    for asked in [
        "*.docker",
        "*.redis.dev.docker",
        "any.all.docker",
        "*.*.redis.*.docker",
        "*.*.*.*.*.*.docker",
    ] {
        assert_eq!(answer(asked, 1, 0, &[]), both(asked));
    }
    for (asked, last) in [
        ("redis1.*.dev.docker", 4),
        ("u2.*.*.*.*.*.docker", 5),
        ("west.*.redis.any.docker", 5),
        ("u1.h.east.redis1.redis.dev.docker", 4),
    ] {
        assert_eq!(
            answer(asked, 1, 0, &[]),
            format!("NOERROR aa rd ra; Answer {asked} 30 10.0.0.{last}")
        );
    }
    for asked in [
        "redis3.*.dev.docker",
        "*.web.dev.docker",
        "*.*.*.*.*.*.*.docker",
        "u1.*.*.*.web.*.docker",
    ] {
        assert_eq!(
            answer(asked, 1, 0, &[]),
            format!("NXDOMAIN aa rd ra; {SOA}"),
            "{asked}"
        );
    }
    assert_eq!(
        answer("*.redis.dev.docker", 28, 0, &[]),
        format!("NOERROR aa rd ra; {SOA}")
    );
}

// SkyDNS v1 answered NXDOMAIN when the region asked for had no match of its own.
#[test]
fn srv_with_a_region_falls_back_to_the_others_at_a_lower_priority() {
    assert_eq!(
        answer("east.*.redis.dev.docker", 33, 0, &[]),
        "NOERROR aa rd ra; Answer east.*.redis.dev.docker 30 10 100 6379 u1.docker; \
         Answer east.*.redis.dev.docker 30 20 100 6379 u2.docker; \
         Additional u1.docker 30 10.0.0.4; Additional u2.docker 30 10.0.0.5"
    );
    assert_eq!(
        answer("north.redis2.redis.dev.docker", 33, 0, &[]),
        "NOERROR aa rd ra; Answer north.redis2.redis.dev.docker 30 20 100 6379 u2.docker; \
         Additional u2.docker 30 10.0.0.5"
    );
    assert_eq!(
        answer("north.redis2.redis.dev.docker", 1, 0, &[]),
        format!("NOERROR aa rd ra; {SOA}")
    );
}

#[test]
fn an_alias_is_followed_to_its_end_among_our_names() {
    assert_eq!(
        answer("alias.docker", 1, 0, &[]),
        "NOERROR aa rd ra; Answer alias.docker 30 further.docker.; \
         Answer further.docker 30 redis1.redis.dev.docker.; Answer redis1.redis.dev.docker 30 10.0.0.4"
    );
    assert_eq!(
        answer("alias.docker", 5, 0, &[]),
        "NOERROR aa rd ra; Answer alias.docker 30 further.docker."
    );
    assert_eq!(answer("away.docker", 1, 0, &[]), "follow");
    assert_eq!(
        answer("further.docker", 28, 0, &[]),
        format!("NOERROR aa rd ra; Answer further.docker 30 redis1.redis.dev.docker.; {SOA}")
    );
    // RFC 6604, section 3: the response code is that of the last name.
    assert_eq!(
        answer("lost.docker", 1, 0, &[]),
        format!("NXDOMAIN aa rd ra; Answer lost.docker 30 nobody.dev.docker.; {SOA}")
    );
    assert_eq!(answer("loop.docker", 1, 0, &[]).matches("Answer").count(), 2);
}

#[test]
fn the_clients_network_decides_which_variant_it_gets() {
    for (address, last) in [("10.9.1.1", 77), ("10.8.1.1", 7), ("127.0.0.1", 7)] {
        let (_, reply) = ask(
            &query("two.dev.docker", 1, 0, &[]),
            client(address, Transport::Udp),
            true,
        );
        assert_eq!(
            line(&reply),
            format!("NOERROR aa rd ra; Answer two.dev.docker 30 10.0.0.{last}")
        );
    }
}

// RFC 4592, section 2.2.1: a wildcard covers what does not exist below its closest encloser, and that only.
#[test]
fn a_wildcard_owner_covers_names_at_any_depth_that_are_not_there() {
    for asked in [
        "a.wild.dev.docker",
        "b.a.wild.dev.docker",
        "c.b.a.wild.dev.docker",
        "x.example.com",
    ] {
        assert_eq!(
            answer(asked, 1, 0, &[]),
            format!("NOERROR aa rd ra; Answer {asked} 30 10.0.0.8")
        );
    }
    assert_eq!(
        answer("a.wild.dev.docker", 28, 0, &[]),
        format!("NOERROR aa rd ra; {SOA}")
    );
    assert_eq!(
        answer("wild.dev.docker", 1, 0, &[]),
        format!("NOERROR aa rd ra; {SOA}")
    );
    assert_eq!(
        answer("x.there.wild.dev.docker", 1, 0, &[]),
        format!("NXDOMAIN aa rd ra; {SOA}")
    );
    assert_eq!(answer("example.com", 1, 0, &[]), "forward");
}

// RFC 2308, section 2.2: NODATA is "NOERROR and no relevant answers in the answer section".
#[test]
fn known_name_without_the_type_is_nodata_not_nxdomain() {
    for (asked, qtype) in [
        ("redis1.redis.dev.docker", 28),
        ("dev.docker", 16),
        ("docker", 1),
        ("redis.dev.docker", 666),
    ] {
        assert_eq!(
            answer(asked, qtype, 0, &[]),
            format!("NOERROR aa rd ra; {SOA}"),
            "{asked}"
        );
    }
    let own = SOA.replace("Authority docker", "Authority www.example.org");
    assert_eq!(
        answer("www.example.org", 28, 0, &[]),
        format!("NOERROR aa rd ra; {own}")
    );
}

#[test]
fn a_set_too_large_for_the_client_is_left_out_whole_and_tc_set() {
    assert_eq!(answer("big.dev.docker", 1, 0, &[]), "NOERROR aa tc rd ra");
    assert_eq!(
        answer("big.dev.docker", 1, 0, &OPT),
        "NOERROR aa tc rd ra; opt 1232"
    );
    let stream = client("127.0.0.1", Transport::Tcp);
    let (_, whole) = ask(&query("big.dev.docker", 1, 0, &OPT), stream, true);
    assert_eq!(line(&whole).matches("Answer").count(), 100);
}

/// What is said of `asked` so many milliseconds before the first of several things ends, that are there by their names, as
/// an alias and for a wildcard.
fn ending(asked: &str, qtype: u16, before: u64) -> String {
    let end = 100_000;
    let ends = |after: u64| Some(Moment::of_milliseconds(end + after));
    let mut builder = empty();
    let lasting = RrSet {
        records: vec![RecordData::Txt(vec![b"lasts".as_slice().into()])],
        ..addresses(&[])
    };
    let srv = RecordData::Srv {
        priority: 10,
        weight: 100,
        port: 80,
        target: name("u1.docker"),
    };
    let target = Record {
        owner: name("u1.docker"),
        ttl_seconds: 30,
        data: RecordData::A([10, 0, 0, 7].into()),
    };
    let srv = RrSet {
        until: ends(5_000),
        records: vec![srv],
        additional: vec![target],
        ..addresses(&[])
    };
    let both = RrSet {
        until: ends(0),
        ..addresses(&[7, 7])
    };
    builder.set(&name("web.docker"), &[both, lasting, srv]).unwrap();
    let alias = RrSet {
        until: ends(10_000),
        ..cname("web.docker")
    };
    builder.set(&name("alias.docker"), &[alias]).unwrap();
    for (uuid, until, last) in [("u1", ends(0), 7), ("u2", None, 8)] {
        let labels = ["dev", "web", "web1", "here", "h", uuid].map(|label| label.as_bytes().into());
        let endpoint = Endpoint {
            ipv4: vec![[10, 0, 0, last].into()],
            port: Some(80),
            until,
            ..Endpoint::new(labels, 30)
        };
        builder.insert_endpoint(&endpoint).unwrap();
    }
    let mut policy = policy(false);
    policy.set_time(0, Moment::of_milliseconds(end - before));
    let packet = query(asked, qtype, 0, &[]);
    let client = client("127.0.0.1", Transport::Udp);
    line(&ask_of(&builder.build(), &policy, &packet, client).1)
}

#[test]
fn what_ends_is_told_with_the_seconds_that_it_has_left() {
    let told = |before, ttl: u32| {
        assert_eq!(
            ending("web.docker", 1, before),
            format!("NOERROR aa rd; Answer web.docker {ttl} 10.0.0.7; Answer web.docker {ttl} 10.0.0.7")
        );
    };
    for (before, ttl) in [
        (99_000, 30),
        (30_000, 30),
        (29_999, 29),
        (1_000, 1),
        (999, 1),
        (0, 1),
    ] {
        told(before, ttl);
    }
    assert_eq!(
        ending("web.docker", 16, 5_000),
        "NOERROR aa rd; Answer web.docker 30 \"lasts\"",
        "what does not end is told as it is"
    );
    assert_eq!(
        ending("web.docker", 33, 5_000),
        "NOERROR aa rd; Answer web.docker 10 10 100 80 u1.docker; Additional u1.docker 10 10.0.0.7"
    );
    assert_eq!(
        ending("alias.docker", 1, 5_000),
        "NOERROR aa rd; Answer alias.docker 15 web.docker.; Answer web.docker 5 10.0.0.7; Answer web.docker 5 10.0.0.7"
    );
}

#[test]
fn a_wildcard_over_what_ends_and_what_does_not_tells_the_least() {
    assert_eq!(
        ending("*.web.dev.docker", 1, 5_000),
        "NOERROR aa rd; Answer *.web.dev.docker 5 10.0.0.7; Answer *.web.dev.docker 5 10.0.0.8"
    );
    assert_eq!(
        ending("u2.*.*.*.*.*.docker", 1, 5_000),
        "NOERROR aa rd; Answer u2.*.*.*.*.*.docker 30 10.0.0.8"
    );
    assert_eq!(
        ending("u1.*.*.*.*.*.docker", 33, 5_000),
        "NOERROR aa rd; Answer u1.*.*.*.*.*.docker 5 10 100 80 u1.docker; Additional u1.docker 5 10.0.0.7"
    );
}

/// What is said over TCP of `*.web.dev.docker`, which so many endpoints match; each hundredth of them ends in five seconds.
fn of_many(endpoints: u16, qtype: u16, id: u16) -> String {
    let mut builder = empty();
    for number in 0..endpoints {
        let [high, low] = number.to_be_bytes();
        let uuid = format!("{number:010x}");
        let labels = ["dev", "web", "web1", "here", "h", &uuid].map(|label| label.as_bytes().into());
        let endpoint = Endpoint {
            ipv4: vec![[10, 0, high, low].into()],
            port: Some(80),
            until: (number % 100 == 99).then_some(Moment::of_milliseconds(5_999)),
            ..Endpoint::new(labels, 30)
        };
        builder.insert_endpoint(&endpoint).unwrap();
    }
    let packet = query("*.web.dev.docker", qtype, id, &[]);
    let client = client("127.0.0.1", Transport::Tcp);
    line(&ask_of(&builder.build(), &policy(false), &packet, client).1)
}

// RFC 2181, sections 5.2 and 9: what finds no room even in 64 KiB is no reason for the rest to be less of an RRset.
#[test]
fn what_is_cut_at_64_kib_has_one_ttl_and_is_shared_out_and_rotated_like_what_is_whole() {
    for (qtype, endpoints) in [(1, 5_000), (33, 2_000)] {
        let lines = [0, 1].map(|id| of_many(endpoints, qtype, id));
        let lines = lines.each_ref().map(|line| line.split("; ").collect::<Vec<_>>());
        let [even, odd] = &lines;
        assert!(even.len() > 1_000, "{}", even.len());
        assert_eq!(even[1], odd[odd.len() - 1], "they begin one record apart");
        for record in &even[1..] {
            let words: Vec<_> = record.split(' ').collect();
            assert_eq!((words[0], words[2]), ("Answer", "5"), "{record}");
            assert!(qtype == 1 || words[4] == "1", "a share of a hundred: {record}");
        }
    }
}

#[test]
fn records_behind_an_alias_rotate_too() {
    let mut builder = empty();
    builder.set(&name("two.docker"), &[addresses(&[4, 5])]).unwrap();
    builder
        .set(&name("alias.docker"), &[cname("two.docker")])
        .unwrap();
    let snapshot = builder.build();
    let client = client("127.0.0.1", Transport::Udp);
    for (id, [first, second]) in [(0, [4, 5]), (1, [5, 4]), (2, [4, 5])] {
        let packet = query("alias.docker", 1, id, &[]);
        assert_eq!(
            line(&ask_of(&snapshot, &policy(false), &packet, client).1),
            format!(
                "NOERROR aa rd; Answer alias.docker 30 two.docker.; Answer two.docker 30 10.0.0.{first}; \
                 Answer two.docker 30 10.0.0.{second}"
            )
        );
    }
}
