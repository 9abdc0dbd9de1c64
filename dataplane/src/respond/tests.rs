//! What is answered to whom, with no socket in between.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use dns::wire::Header;
use dns::{Builder, Endpoint, Name, Record, RecordData, RrSet, View, ZoneSettings};

use super::*;
use crate::access::default_networks;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Two replicas of redis in `docker`, one in another region, and a name outside the zone.
fn snapshot() -> Snapshot {
    let mut builder = Builder::new(vec![ZoneSettings::of(name("docker"), 30)], 7, 0).unwrap();
    let redis = [("redis1", "east", "u1", 4), ("redis2", "west", "u2", 5)];
    for (instance, region, uuid, last) in redis {
        let labels = ["dev", "redis", instance, region, "h", uuid].map(|label| label.as_bytes().into());
        let ipv4 = vec![Ipv4Addr::new(10, 0, 0, last)];
        let endpoint = Endpoint {
            ipv4,
            port: Some(6379),
            ..Endpoint::new(labels, 30)
        };
        builder.insert_endpoint(&endpoint).unwrap();
        let owner = name(&format!("{instance}.redis.dev.docker"));
        builder.set(&owner, &[addresses(&[last])]).unwrap();
    }
    let targets = [("u1.docker", 4), ("u2.docker", 5)];
    let srv = |(target, _): &(&str, u8)| RecordData::Srv {
        priority: 10,
        weight: 50,
        port: 6379,
        target: name(target),
    };
    let glue = |(target, last): &(&str, u8)| Record {
        owner: name(target),
        ttl_seconds: 30,
        data: RecordData::A([10, 0, 0, *last].into()),
    };
    let srv = RrSet {
        view: View::EVERYONE,
        ttl_seconds: 30,
        records: targets.iter().map(srv).collect(),
        additional: targets.iter().map(glue).collect(),
    };
    builder
        .set(&name("redis.dev.docker"), &[addresses(&[4, 5]), srv])
        .unwrap();
    builder
        .set(
            &name("big.dev.docker"),
            &[addresses(&(1..=100).collect::<Vec<_>>())],
        )
        .unwrap();
    builder.set(&name("www.example.org"), &[addresses(&[9])]).unwrap();
    for (owner, target) in [
        ("alias.docker", "further.docker"),
        ("further.docker", "redis1.redis.dev.docker"),
        ("away.docker", "www.example.net"),
        ("lost.docker", "nobody.dev.docker"),
        ("loop.docker", "pool.docker"),
        ("pool.docker", "loop.docker"),
    ] {
        let records = vec![RecordData::Cname(name(target))];
        let rrset = RrSet {
            view: View::EVERYONE,
            ttl_seconds: 30,
            records,
            additional: Vec::new(),
        };
        builder.set(&name(owner), &[rrset]).unwrap();
    }
    builder.set_networks(&[("10.9.0.0/16".parse().unwrap(), View(1))]);
    let inside = RrSet {
        view: View(1),
        ..addresses(&[77])
    };
    builder
        .set(&name("two.dev.docker"), &[addresses(&[7]), inside])
        .unwrap();
    for owner in ["*.wild.dev.docker", "*.example.com"] {
        builder.set(&name(owner), &[addresses(&[8])]).unwrap();
    }
    builder
        .set(&name("there.wild.dev.docker"), &[addresses(&[6])])
        .unwrap();
    builder.build()
}

fn addresses(last: &[u8]) -> RrSet {
    let records = last
        .iter()
        .map(|last| RecordData::A([10, 0, 0, *last].into()))
        .collect();
    RrSet {
        view: View::EVERYONE,
        ttl_seconds: 30,
        records,
        additional: Vec::new(),
    }
}

/// A query's octets: `text` is a name and a type's number; `id` chooses the rotation; `opt` follows.
fn query(owner: &str, qtype: u16, id: u16, opt: &[u8]) -> Vec<u8> {
    let additionals = u16::from(!opt.is_empty());
    let header = Header {
        id,
        flags: Flags::RD,
        counts: [1, 0, 0, additionals],
    };
    [
        &header.octets()[..],
        name(owner).octets(),
        &qtype.to_be_bytes(),
        &[0, 1],
        opt,
    ]
    .concat()
}

const OPT: [u8; 11] = [0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0];

fn client(address: &str, transport: Transport) -> Client {
    Client {
        address: address.parse().unwrap(),
        transport,
    }
}

fn policy(recursion: bool) -> Policy {
    Policy {
        cookies: Some(CookieJar::new([1; 16])),
        ..Policy::new(recursion, Access::of(default_networks()))
    }
}

fn ask(packet: &[u8], client: Client, recursion: bool) -> (Outcome, Vec<u8>) {
    let policy = policy(recursion);
    let mut buffer = vec![0xee; 65_535];
    buffer[..packet.len()].copy_from_slice(packet);
    let outcome = respond(
        &snapshot(),
        &policy,
        client,
        &mut Message::new(&mut buffer, packet.len()),
    );
    if let Outcome::Reply { length, .. } = outcome {
        buffer.truncate(length);
    }
    (outcome, buffer)
}

/// What a local UDP client with recursion on gets, read by `domain` and put in one line.
fn answer(owner: &str, qtype: u16, id: u16, opt: &[u8]) -> String {
    let (outcome, reply) = ask(
        &query(owner, qtype, id, opt),
        client("127.0.0.1", Transport::Udp),
        true,
    );
    match outcome {
        Outcome::Forward => "forward".to_owned(),
        Outcome::Follow => "follow".to_owned(),
        Outcome::Drop => "drop".to_owned(),
        Outcome::Reply { .. } => line(&reply),
    }
}

fn line(reply: &[u8]) -> String {
    use domain::base::Message;
    use domain::rdata::AllRecordData;
    let message = Message::from_octets(reply).unwrap();
    let (header, flags) = (message.header(), message.header().flags());
    let mut line = header.rcode().to_string();
    for (set, text) in [
        (flags.aa, " aa"),
        (flags.tc, " tc"),
        (flags.rd, " rd"),
        (flags.ra, " ra"),
    ] {
        line.push_str(if set { text } else { "" });
    }
    for record in &message {
        let (record, section) = record.unwrap();
        if record.rtype() == domain::base::Rtype::OPT {
            write!(line, "; opt {}", record.class().to_int()).unwrap();
            continue;
        }
        let record = record.into_record::<AllRecordData<_, _>>().unwrap().unwrap();
        let owner = record.owner();
        write!(
            line,
            "; {section:?} {owner} {} {}",
            record.ttl().as_secs(),
            record.data()
        )
        .unwrap();
    }
    line
}

const SOA: &str = "Authority docker 5 ns.dns.docker. hostmaster.docker. 1 28800 7200 604800 5";

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

/// [`OPT`] with `options`, each a code and its data.
fn opt_with(options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut rdata = Vec::new();
    for (code, data) in options {
        rdata.extend(code.to_be_bytes());
        rdata.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        rdata.extend(*data);
    }
    let length = u16::try_from(rdata.len()).unwrap().to_be_bytes();
    [&OPT[..9], &length, &rdata].concat()
}

/// The options in a reply's OPT record.
fn options(reply: &[u8]) -> Vec<(u16, Vec<u8>)> {
    use domain::base::Message;
    use domain::base::opt::UnknownOptData;
    let message = Message::from_octets(reply).unwrap();
    let Some(opt) = message.opt() else {
        return Vec::new();
    };
    let options = opt.opt().iter::<UnknownOptData<_>>();
    options
        .map(|option| option.unwrap())
        .map(|option| (option.code().to_int(), option.as_slice().to_vec()))
        .collect()
}

/// Gives `packet` to `act`, and returns what came of it and the reply.
fn act(
    packet: &[u8],
    act: impl FnOnce(&Policy, Client, &mut Message<'_>) -> Outcome,
    address: &str,
) -> (Outcome, Vec<u8>) {
    let mut buffer = vec![0xee; 4096];
    buffer[..packet.len()].copy_from_slice(packet);
    let mut message = Message::new(&mut buffer, packet.len());
    let outcome = act(&policy(true), client(address, Transport::Udp), &mut message);
    if let Outcome::Reply { length, .. } = outcome {
        buffer.truncate(length);
    }
    (outcome, buffer)
}

const STRANGER: &str = "203.0.113.9";

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
fn a_foreign_name_without_upstreams_is_refused_as_not_ours() {
    let packet = query("example.org", 1, 0, &OPT);
    let (_, reply) = ask(&packet, client("127.0.0.1", Transport::Udp), false);
    assert_eq!(options(&reply), [(15, vec![0, 20])]);
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
fn a_failure_names_its_reason_and_keeps_the_cookie() {
    let packet = query("example.org", 1, 0, &opt_with(&[(10, &[7; 8])]));
    let failed = |p: &Policy, c, m: &mut Message<'_>| fail(p, c, m, Rcode::SERV_FAIL);
    let codes: Vec<_> = options(&act(&packet, failed, "::1").1)
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(codes, [15, 10]);
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
        let mut packet = query(owner, 1, 7, &[]);
        let length = packet.len();
        packet.resize(512, 0);
        let message = &mut Message::new(&mut packet, length);
        let outcome = respond(&snapshot(), &policy, client("127.0.0.1", Transport::Udp), message);
        assert_eq!(outcome == Outcome::Forward, is_forwarded, "{owner}");
    }
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
        let mut packet = query(owner, RType::PTR.0, 7, &[]);
        let length = packet.len();
        packet.resize(512, 0);
        let message = &mut Message::new(&mut packet, length);
        let outcome = respond(&snapshot(), &policy, client("127.0.0.1", Transport::Udp), message);
        assert_eq!(outcome == Outcome::Forward, is_forwarded, "{owner}");
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
