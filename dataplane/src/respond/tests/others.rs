//! Names that are not ours, or that we do not know.

use super::*;
use crate::forward;

#[test]
fn unknown_names_in_the_zone_do_not_exist_and_others_are_forwarded() {
    for asked in [
        "redis3.redis.dev.docker",
        "prod.docker",
        "x.u1.h.east.redis1.redis.dev.docker",
    ] {
        assert_eq!(
            answer(asked, 1, 0, &[]),
            format!("NXDOMAIN aa rd ra; {SOA}"),
            "{asked}"
        );
    }
    for asked in ["example.org", "xdocker", "a.xdocker", "."] {
        assert_eq!(answer(asked, 1, 0, &[]), "forward", "{asked}");
    }
}

#[test]
fn a_foreign_name_is_refused_without_upstreams_and_without_rd() {
    let local = client("127.0.0.1", Transport::Udp);
    let mut packet = query("example.org", 1, 0, &[]);
    assert_eq!(line(&ask(&packet, local, false).1), "REFUSED rd");
    packet[2] = 0;
    assert_eq!(line(&ask(&packet, local, true).1), "REFUSED ra");
}

#[test]
fn a_foreign_name_without_upstreams_is_refused_as_not_ours() {
    let packet = query("example.org", 1, 0, &OPT);
    let (_, reply) = ask(&packet, client("127.0.0.1", Transport::Udp), false);
    assert_eq!(options(&reply), [(15, vec![0, 20])]);
}

#[test]
fn a_query_that_cannot_be_forwarded_is_turned_into_an_error() {
    let packet = query("example.org", 1, 7, &OPT);
    let mut buffer = vec![0; 512];
    buffer[..packet.len()].copy_from_slice(&packet);
    let mut message = Message::new(&mut buffer, packet.len());
    let local = client("127.0.0.1", Transport::Udp);
    let outcome = fail(&policy(true), local, &mut message, Rcode::SERV_FAIL);
    let Outcome::Reply { length, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(line(&buffer[..length]), "SERVFAIL rd ra; opt 1232");
}

#[test]
fn a_failure_names_its_reason_and_keeps_the_cookie() {
    let packet = query("example.org", 1, 0, &opt_with(&[(10, &[7; 8])]));
    let failed = |p: &Policy, c, m: &mut Message<'_>| fail(p, c, m, Rcode::SERV_FAIL);
    let codes: Vec<_> = options(&act(&packet, failed, "::1").1)
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(codes, [15, 10]);
}

#[test]
fn a_special_name_is_forwarded_if_upstreams_were_named_for_it() {
    let mut policy = policy(true);
    let route = |domain: &str| forward::Route {
        domain: name(domain),
        upstreams: vec![std::net::SocketAddr::from(([192, 0, 2, 1], 53)).into()],
    };
    policy.forward_as(&forward::Config {
        routes: [".", "corp.local", "localhost", "example"].map(route).to_vec(),
        policy: forward::Policy::default(),
    });
    for (owner, is_forwarded) in [
        ("a.Corp.local", true),
        ("corp.local", true),
        ("b.local", false),
        ("xcorp.local", false),
        ("localhost", false),
        ("a.invalid", false),
        ("a.example", true),
    ] {
        assert_eq!(forwards(&policy, owner, RType::A), is_forwarded, "{owner}");
    }
}

/// Whether a client of this host that asks for `owner` has its question forwarded.
fn forwards(policy: &Policy, owner: &str, qtype: RType) -> bool {
    let mut packet = query(owner, qtype.0, 7, &[]);
    let length = packet.len();
    packet.resize(512, 0);
    let message = &mut Message::new(&mut packet, length);
    respond(&snapshot(), policy, client("127.0.0.1", Transport::Udp), message) == Outcome::Forward
}

#[test]
fn reverse_names_of_private_addresses_are_forwarded_where_that_was_asked_for() {
    let policy = Policy {
        forwards_private_reverse: true,
        ..policy(true)
    };
    for (owner, is_forwarded) in [
        ("4.3.2.10.in-addr.arpa", true),
        ("1.0.16.172.in-addr.arpa", true),
        ("8.e.f.ip6.arpa", true),
        ("a.local", false),
        ("localhost", false),
    ] {
        assert_eq!(forwards(&policy, owner, RType::PTR), is_forwarded, "{owner}");
    }
}

#[test]
fn names_that_we_do_not_know_fall_through_in_domains_where_that_was_asked_for() {
    let client = Client {
        address: [10, 0, 0, 1].into(),
        transport: Transport::Udp,
    };
    let check = |owner: &str, recursion: bool, recurse: bool, expected: Rcode| {
        let policy = Policy {
            fallthrough: Box::new([name("dev.docker")]),
            ..policy(recursion)
        };
        let mut packet = query(owner, RType::A.0, 7, &[]);
        packet[2] = u8::from(recurse);
        let length = packet.len();
        packet.resize(512, 0);
        let outcome = respond(
            &snapshot(),
            &policy,
            client,
            &mut Message::new(&mut packet, length),
        );
        match outcome {
            Outcome::Forward => assert_eq!(expected, Rcode(99), "{owner}"),
            Outcome::Reply { rcode, .. } => assert_eq!(rcode, expected, "{owner}"),
            Outcome::Follow | Outcome::Drop => panic!("{owner}"),
        }
    };
    let forwarded = Rcode(99);
    check("nobody.redis.dev.docker", true, true, forwarded);
    check("nobody.redis.dev.docker", true, false, Rcode::NX_DOMAIN);
    check("nobody.redis.dev.docker", false, true, Rcode::NX_DOMAIN);
    check("redis1.redis.dev.docker", true, true, Rcode::NO_ERROR);
    check("nobody.redis.prod.docker", true, true, Rcode::NX_DOMAIN);
}
