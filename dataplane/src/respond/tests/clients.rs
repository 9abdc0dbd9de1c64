//! What depends on how a query came, and from whom.

use super::*;
use crate::limits::NSID_OCTETS_MAX;

#[test]
fn strangers_are_refused_before_the_name_is_looked_at() {
    let stranger = client("8.8.8.8", Transport::Udp);
    for asked in ["redis1.redis.dev.docker", "example.org"] {
        assert_eq!(
            line(&ask(&query(asked, 1, 0, &[]), stranger, true).1),
            "REFUSED rd ra"
        );
    }
}

// CVE-2026-26017: who may not ask is told so whatever the name is, or stands for.
#[test]
fn access_is_decided_by_the_client_before_any_name_is_looked_at() {
    for name in [
        "redis.dev.docker",
        "alias.docker",
        "localhost",
        "example.org",
        "x.onion",
    ] {
        let (_, reply) = ask(&query(name, 1, 0, &OPT), client(STRANGER, Transport::Udp), true);
        assert_eq!(line(&reply), "REFUSED rd ra; opt 1232");
        assert_eq!(options(&reply), [(15, vec![0, 18])], "{name}");
    }
}

#[test]
fn other_classes_transfers_and_edns_versions_have_their_own_errors() {
    assert_eq!(answer("redis.dev.docker", 252, 0, &[]), "REFUSED rd ra");
    assert_eq!(answer("redis.dev.docker", 251, 0, &[]), "REFUSED rd ra");
    let mut packet = query("redis.dev.docker", 1, 0, &[]);
    *packet.last_mut().unwrap() = 3;
    assert_eq!(
        line(&ask(&packet, client("127.0.0.1", Transport::Udp), true).1),
        "REFUSED rd ra"
    );
    let mut version_1 = OPT;
    version_1[6] = 1;
    assert_eq!(
        answer("redis.dev.docker", 1, 0, &version_1),
        "NOERROR rd ra; opt 1232"
    );
    let (outcome, reply) = ask(
        &query("redis.dev.docker", 1, 0, &version_1),
        client("::1", Transport::Udp),
        true,
    );
    assert!(matches!(
        outcome,
        Outcome::Reply {
            rcode: Rcode::BAD_VERS,
            ..
        }
    ));
    assert_eq!(
        reply[reply.len() - 6..],
        [1, 0, 0, 0, 0, 0],
        "extended rcode 1, version 0"
    );
}

#[test]
fn what_is_no_query_gets_a_bare_header_or_nothing() {
    let local = client("127.0.0.1", Transport::Udp);
    let packet = query("redis.dev.docker", 1, 0x1234, &[]);
    let (outcome, reply) = ask(&packet[..20], local, true);
    assert!(matches!(
        outcome,
        Outcome::Reply {
            rcode: Rcode::FORM_ERR,
            ..
        }
    ));
    assert_eq!(reply, [0x12, 0x34, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut update = packet.clone();
    update[2] = 0x28;
    assert_eq!(ask(&update, local, true).1[..4], [0x12, 0x34, 0xa8, 4]);
    let mut response = packet.clone();
    response[2] = 0x80;
    assert_eq!(ask(&response, local, true).0, Outcome::Drop);
    assert_eq!(ask(&packet[..11], local, true).0, Outcome::Drop);
    assert_eq!(ask(&[], local, true).0, Outcome::Drop);
}

// RFC 8906, section 3.1.4.
#[test]
fn every_operation_but_query_is_notimp_and_copies_no_flag() {
    for opcode in 1..16_u8 {
        let mut packet = query("redis.dev.docker", 1, 7, &[]);
        (packet[2], packet[3]) = (opcode << 3 | 0x07, 0xf0);
        let (_, reply) = ask(&packet, client("127.0.0.1", Transport::Udp), true);
        assert_eq!(reply, [0, 7, 0x80 | opcode << 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            ask(&packet[..12], client("127.0.0.1", Transport::Udp), true)
                .1
                .len(),
            12
        );
    }
}

// RFC 4035, section 3.2.2: CD is for whoever recurses.
#[test]
fn cd_is_copied_only_where_recursion_is_offered() {
    let mut packet = query("redis.dev.docker", 1, 0, &[]);
    packet[3] = 0x10;
    let local = client("127.0.0.1", Transport::Udp);
    assert_eq!(ask(&packet, local, true).1[2..4], [0x85, 0x90]);
    assert_eq!(ask(&packet, local, false).1[2..4], [0x85, 0x00]);
}

// RFC 6891, section 6.1.2.
#[test]
fn two_hundred_unknown_options_are_passed_over() {
    let many: Vec<(u16, &[u8])> = (0..200).map(|number| (65_001 + number, &[1, 2, 3][..])).collect();
    assert_eq!(
        answer("redis1.redis.dev.docker", 1, 0, &opt_with(&many)),
        "NOERROR aa rd ra; Answer redis1.redis.dev.docker 30 10.0.0.4; opt 1232"
    );
}

#[test]
fn who_asks_for_the_servers_name_is_told_it_if_it_has_one() {
    let packet = query("redis1.redis.dev.docker", 1, 0, &opt_with(&[(3, &[])]));
    let named = |policy: &Policy, client, message: &mut Message<'_>| {
        let policy = Policy {
            nsid: (*b"one").into(),
            ..policy.clone()
        };
        respond(&snapshot(), &policy, client, message)
    };
    assert_eq!(options(&act(&packet, named, "::1").1), [(3, b"one".to_vec())]);
    let not_asked = query("redis1.redis.dev.docker", 1, 0, &OPT);
    assert_eq!(options(&act(&not_asked, named, "::1").1), []);
}

// RFC 4892, section 2.
#[test]
fn who_asks_for_the_servers_name_in_class_chaos_is_told_it_if_it_has_one() {
    let named = |policy: &Policy, client, message: &mut Message<'_>| {
        let policy = Policy {
            nsid: (*b"one").into(),
            ..policy.clone()
        };
        respond(&snapshot(), &policy, client, message)
    };
    let chaos = |name: &str, qtype: u16, client: &str| {
        let mut packet = query(name, qtype, 0, &[]);
        let end = packet.len();
        packet[end - 1] = 3;
        let reply = act(&packet, named, client).1;
        let text = [&[0xc0, 12, 0, 16, 0, 3, 0, 0, 0, 0, 0, 4, 3], b"one".as_slice()].concat();
        (reply[3] & 15, reply[7], reply.ends_with(&text))
    };
    for name in ["id.server", "HOSTNAME.bind"] {
        assert_eq!(chaos(name, 16, "::1"), (0, 1, true), "{name}");
        assert_eq!(chaos(name, 255, "::1"), (0, 1, true), "{name}");
        assert_eq!(chaos(name, 1, "::1"), (5, 0, false), "{name}");
        assert_eq!(
            chaos(name, 16, "192.0.2.1"),
            (5, 0, false),
            "{name} to a stranger"
        );
    }
    for name in ["version.bind", "version.server", "a.id.server"] {
        assert_eq!(chaos(name, 16, "::1"), (5, 0, false), "{name}");
    }
}

#[test]
fn without_cookies_of_our_own_those_of_clients_are_passed_over() {
    let packet = query("redis1.redis.dev.docker", 1, 0, &opt_with(&[(10, &[7; 8])]));
    let without = |policy: &Policy, client, message: &mut Message<'_>| {
        let policy = Policy {
            cookies: None,
            ..policy.clone()
        };
        respond(&snapshot(), &policy, client, message)
    };
    assert_eq!(options(&act(&packet, without, "::1").1), []);
    let empty = [
        &[0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &opt_with(&[(10, &[7; 8])])[..],
    ]
    .concat();
    assert_eq!(
        act(&empty, without, "::1").1,
        [0, 7, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    );
}

// RFC 7873, section 5.2.5: a client that has learned its cookie is known by it.
#[test]
fn a_cookie_that_we_gave_proves_its_client_and_no_other() {
    let packet = query("redis1.redis.dev.docker", 1, 0, &opt_with(&[(10, &[7; 8])]));
    let cookie = match &options(&act(&packet, |p, c, m| respond(&snapshot(), p, c, m), "10.0.0.9").1)[..] {
        [(10, cookie)] => cookie.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((cookie.len(), &cookie[..8]), (24, &[7; 8][..]));
    let proven = |cookie: &[u8], address: &str| {
        let mut packet = query("redis1.redis.dev.docker", 1, 0, &opt_with(&[(10, cookie)]));
        let length = packet.len();
        is_proven(
            &policy(true),
            client(address, Transport::Udp),
            &Message::new(&mut packet, length),
        )
    };
    assert!(proven(&cookie, "10.0.0.9"));
    assert!(!proven(&cookie, "10.0.0.8"));
    assert!(!proven(&cookie[..8], "10.0.0.9"));
}

#[test]
fn a_limited_client_is_bidden_to_come_by_tcp_or_with_a_cookie_in_no_more_octets_than_it_sent() {
    let (_, reply) = act(&query("big.dev.docker", 1, 0, &[]), slip, STRANGER);
    assert_eq!(line(&reply), "NOERROR tc rd ra");
    let (_, reply) = act(&query("example.org", 255, 0, &OPT), slip, STRANGER);
    assert_eq!(line(&reply), "NOERROR tc rd ra; opt 1232");
    assert_eq!(reply.len(), query("example.org", 255, 0, &OPT).len());
    for cookie in [&[7; 8][..], &[7; 24]] {
        let packet = query("example.org", 1, 0, &opt_with(&[(10, cookie)]));
        let (outcome, reply) = act(&packet, slip, STRANGER);
        assert!(matches!(
            outcome,
            Outcome::Reply {
                rcode: Rcode::BAD_COOKIE,
                truncated: false,
                ..
            }
        ));
        assert_eq!(options(&reply)[0].1[..8], [7; 8]);
        assert!(reply.len() <= packet.len() + 16);
    }
    assert_eq!(act(b"no query", slip, STRANGER).0, Outcome::Drop);
    let mut update = query("docker", 6, 0, &[]);
    update[2] = 0x28;
    assert_eq!(act(&update, slip, STRANGER).0, Outcome::Drop);
}

#[test]
fn no_reply_exceeds_its_limit_with_all_options_and_the_longest_name() {
    let options = opt_with(&[(10, &[7; 8]), (3, &[])]);
    let longest = ["a"; 63].map(|_| "abc").join(".") + ".d";
    for name in ["big.dev.docker", "redis.dev.docker", "nobody.docker", &longest] {
        for size in (0..1400).step_by(7) {
            let mut opt = options.clone();
            opt[3..5].copy_from_slice(&u16::try_from(size).unwrap().to_be_bytes());
            let named = |policy: &Policy, client, message: &mut Message<'_>| {
                let policy = Policy {
                    nsid: [b'n'; NSID_OCTETS_MAX].into(),
                    recursion: false,
                    ..policy.clone()
                };
                respond(&snapshot(), &policy, client, message)
            };
            let (outcome, reply) = act(&query(name, 33, 0, &opt), named, "::1");
            assert!(matches!(outcome, Outcome::Reply { .. }));
            assert!(reply.len() <= size.clamp(512, 1232), "{name}: {}", reply.len());
            let codes: Vec<_> = self::options(&reply).into_iter().map(|(code, _)| code).collect();
            assert!(
                codes.contains(&10) && codes.contains(&3),
                "{name} {size}: {codes:?}"
            );
        }
    }
}
