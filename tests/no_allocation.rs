//! The query path allocates nothing: every kind of question is answered under an allocator that counts.

#[path = "../benches/fixture/mod.rs"]
mod fixture;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use dataplane::cache::{Cache, Flush, Rules};
use dataplane::forward::{Action, Asked, Config, Forwarder, Local, ReturnPath, Trouble, Waiter};
use dataplane::respond::{Client, Message, Outcome, Transport, fail, is_proven, respond, slip};
use dns::wire::Head;
use dns::{Query, Rcode, RecordData, Reply, RrSet, View};

/// Owner and type of a question of each kind.
const QUESTIONS: [(&str, u16); 31] = [
    // Stored, rotated, with additional records, without the type, absent, at the apex, of any type.
    ("instance7.image0.dev.docker", 1),
    ("image0.dev.docker", 1),
    ("image0.dev.docker", 33),
    ("instance7.image0.dev.docker", 28),
    ("nobody.image0.dev.docker", 1),
    ("docker", 6),
    ("docker", 2),
    ("image0.dev.docker", 255),
    // Matched by wildcards: one, ten, a hundred, more than a message of 64 KiB holds; by its length; in no region.
    ("instance7.*.dev.docker", 1),
    ("*.image0.*.docker", 33),
    ("*.crowd.dev.docker", 1),
    ("*.crowd.dev.docker", 33),
    ("*.docker", 1),
    ("*.docker", 33),
    ("*.docker", 255),
    ("region.instance7.image0.dev.docker", 1),
    ("elsewhere.instance7.image0.dev.docker", 33),
    // Aliases: of a name of ours, a chain of them, a circle, of a name that is not ours; and a wildcard owner.
    ("alias.docker", 1),
    ("chain.docker", 1),
    ("round.docker", 1),
    ("away.docker", 1),
    ("a.b.wild.docker", 1),
    // Cut over UDP.
    ("big.docker", 1),
    // Reverse names that are ours, those of private addresses, other special names, a transfer, a type that is none.
    ("7.0.0.10.in-addr.arpa", 12),
    ("8.0.0.10.in-addr.arpa", 12),
    ("host.localhost", 1),
    ("some.onion", 1),
    ("docker", 252),
    ("docker", 249),
    // Not ours, and as long as a name can be.
    ("example.org", 1),
    (LONGEST, 1),
];

/// 255 octets with the lengths of its labels.
const LONGEST: &str = concat!(
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.",
    "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.",
    "dddddddddddddddddddddddddddddddddddddddddddddddddddddd.docker",
);

/// What is no query of ours, and gets an error or nothing: cut, a reply, an operation of another kind, two questions, a
/// pointer, another version of EDNS.
fn oddities() -> Vec<Vec<u8>> {
    let query = fixture::query("instance7.image0.dev.docker", 1);
    let cut = |length: usize| query.iter().copied().take(length).collect();
    let with = |place: usize, octet: u8| {
        let mut packet = query.clone();
        *packet.get_mut(place).expect("a place in it") = octet;
        packet
    };
    vec![
        cut(11),
        cut(12),
        with(2, 0x81),
        with(2, 0x21),
        with(5, 2),
        with(12, 0xc0),
        with(query.len() - 5, 1),
    ]
}

#[test]
fn answering_allocates_nothing() {
    let mut builder = fixture::crowd(5_000);
    let cname = |target| RecordData::Cname(fixture::name(target));
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        RecordData::A([10, 0, high, low].into())
    };
    for (owner, records) in [
        ("alias.docker", vec![cname("instance7.docker")]),
        ("chain.docker", vec![cname("further.docker")]),
        ("further.docker", vec![cname("alias.docker")]),
        ("round.docker", vec![cname("circle.docker")]),
        ("circle.docker", vec![cname("round.docker")]),
        ("away.docker", vec![cname("www.example.org")]),
        ("*.wild.docker", vec![address(1)]),
        ("big.docker", (0..200).map(address).collect()),
        (
            "7.0.0.10.in-addr.arpa",
            vec![RecordData::Ptr(fixture::name("instance7.docker"))],
        ),
    ] {
        let rrset = RrSet {
            view: View::EVERYONE,
            ttl_seconds: 30,
            // The time is looked at for those that end.
            until: (owner != "big.docker").then_some(dns::Moment::of_milliseconds(10_000)),
            records,
            additional: Vec::new(),
        };
        builder.set(&fixture::name(owner), &[rrset]).unwrap();
    }
    let (mut publisher, mut reader) = dns::channel(builder.build());
    let policy = fixture::policy();
    let mut buffer = vec![0; 65_535];
    for (owner, qtype) in QUESTIONS {
        let mut packet = fixture::query(owner, qtype);
        // A client cookie in the OPT record that ends the query: its RDLENGTH, then the option.
        packet.truncate(packet.len() - 2);
        packet.extend_from_slice(&[0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        for transport in [Transport::Udp, Transport::Tcp] {
            let client = Client {
                address: IpAddr::from([172, 17, 0, 2]),
                transport,
            };
            let counted = allocation_counter::measure(|| {
                for length in [packet.len(), packet.len() - 1] {
                    buffer[..packet.len()].copy_from_slice(&packet);
                    let mut message = Message::new(&mut buffer, length);
                    let outcome = respond(reader.load(), &policy, client, &mut message);
                    if outcome == Outcome::Forward {
                        let _ = fail(&policy, client, &mut message, Rcode::SERV_FAIL);
                    }
                }
            });
            assert_eq!(counted.count_total, 0, "{owner} {qtype} {transport:?}");
        }
    }
    for packet in oddities() {
        let client = Client {
            address: IpAddr::from([203, 0, 113, 2]),
            transport: Transport::Udp,
        };
        let counted = allocation_counter::measure(|| {
            for slips in [false, true] {
                buffer[..packet.len()].copy_from_slice(&packet);
                let mut message = Message::new(&mut buffer, packet.len());
                let _ = is_proven(&policy, client, &message);
                let _ = match slips {
                    true => slip(&policy, client, &mut message),
                    false => respond(reader.load(), &policy, client, &mut message),
                };
            }
        });
        assert_eq!(counted.count_total, 0, "{packet:?}");
    }
    // Seeing a new snapshot is a load and a comparison, and lets go of the old one without freeing it.
    publisher.publish(builder.build());
    let counted = allocation_counter::measure(|| assert_eq!(reader.load().serial(), 2));
    assert_eq!((counted.count_total, counted.count_current), (0, 0));
    // So is the first look after a rest.
    publisher.publish(builder.build());
    let counted = allocation_counter::measure(|| {
        reader.rest();
        assert_eq!(reader.load().serial(), 3);
    });
    assert_eq!((counted.count_total, counted.count_current), (0, 0));
}

#[test]
fn answering_by_network_with_our_name_and_behind_a_cut_alias_allocates_nothing() {
    let mut builder = fixture::crowd(50);
    builder.set_networks(&[("172.17.0.0/16".parse().expect("a network"), View(1))]);
    let rrset = |view, records| RrSet {
        view,
        ttl_seconds: 30,
        until: None,
        records,
        additional: Vec::new(),
    };
    let address = |number: u8| RecordData::A([10, 0, 0, number].into());
    for (owner, rrsets) in [
        (
            "near.docker",
            vec![
                rrset(View::EVERYONE, vec![address(1)]),
                rrset(View(1), vec![address(2)]),
            ],
        ),
        (
            "big.docker",
            vec![rrset(View::EVERYONE, (0..200).map(address).collect())],
        ),
        (
            "alias.docker",
            vec![rrset(
                View::EVERYONE,
                vec![RecordData::Cname(fixture::name("big.docker"))],
            )],
        ),
    ] {
        builder.set(&fixture::name(owner), &rrsets).expect("it fits");
    }
    let (_publisher, mut reader) = dns::channel(builder.build());
    // As a worker does before it answers.
    reader.load();
    let mut policy = fixture::policy();
    policy.nsid = b"one".as_slice().into();
    let client = Client {
        address: IpAddr::from([172, 17, 0, 2]),
        transport: Transport::Udp,
    };
    let mut buffer = vec![0; 65_535];
    for (owner, is_cut, ends_in) in [
        ("near.docker", false, [10, 0, 0, 2]),
        ("alias.docker", true, [0; 4]),
    ] {
        let mut packet = fixture::query(owner, 1);
        // NSID in the OPT record that ends the query: its RDLENGTH, then the option (RFC 5001).
        packet.truncate(packet.len() - 2);
        packet.extend_from_slice(&[0, 4, 0, 3, 0, 0]);
        let question_octets = packet.len() - 15;
        buffer[..packet.len()].copy_from_slice(&packet);
        let mut outcome = Outcome::Drop;
        let counted = allocation_counter::measure(|| {
            let mut message = Message::new(&mut buffer, packet.len());
            outcome = respond(reader.load(), &policy, client, &mut message);
        });
        assert_eq!(counted.count_total, 0, "{owner}");
        let Outcome::Reply {
            length, truncated, ..
        } = outcome
        else {
            panic!("{owner}: {outcome:?}");
        };
        assert_eq!(truncated, is_cut, "{owner}");
        let reply = &buffer[..length];
        assert!(
            reply.ends_with(&[0, 3, 0, 3, b'o', b'n', b'e']),
            "{owner}: our name"
        );
        if !is_cut {
            // A pointer, type, class, TTL and length stand before the address of the client's network.
            assert_eq!(reply[question_octets + 12..][..4], ends_in, "{owner}");
        }
    }
}

#[test]
fn keeping_an_answer_and_telling_it_again_allocates_nothing() {
    let mut cache = Cache::new(1 << 20, Rules::default(), 7);
    let packets: Vec<Vec<u8>> = (0..20_000)
        .map(|number| fixture::query(&format!("host{number}.example.org"), 1))
        .collect();
    let replies: Vec<Vec<u8>> = packets.iter().map(|packet| fixture::reply(packet, 3)).collect();
    let mut buffer = vec![0; 65_535];
    let below = Flush::Below(fixture::name("example.org"));
    // More names than there is room for: entries come, are told, move, and go.
    let counted = allocation_counter::measure(|| {
        for (packet, reply) in packets.iter().zip(&replies) {
            let query = Query::parse(packet).unwrap();
            let key = cache.key(&query);
            let _ = cache.lookup(&key, 0);
            cache.insert(&key, reply, 0, |_| false);
            let hit = cache.lookup(&key, 1).unwrap();
            let head = Head::from(&query);
            let (length, cut) = hit
                .answer
                .write(Reply::begin(&mut buffer, head, 1232, 1232), head.id());
            assert!(length > packet.len() && !cut);
            // The same behind an alias, as if that had filled so many octets.
            let reply = Reply::begin(&mut buffer, head, 1232, 1232);
            let (_, cut) = hit
                .answer
                .write_behind(reply, head.id(), packet.len(), packet.len());
            assert!(!cut);
            let _ = cache.insert_failure(&key, Rcode::SERV_FAIL, None, 2);
        }
        cache.flush(&below);
    });
    assert_eq!((counted.count_total, cache.entries()), (0, 0));
}

#[test]
fn waiting_for_upstreams_allocates_nothing() {
    let mut forwarder = Forwarder::new([7; 32]);
    let upstreams = [1, 2].map(|host| SocketAddr::from(([192, 0, 2, host], 53)));
    forwarder.set_config(&Config::all_to(upstreams.to_vec()));
    let packets: Vec<_> = (0..500)
        .map(|number| fixture::query(&format!("name{number}.example"), 1))
        .collect();
    let start = Instant::now();
    let mut told = 0;
    // What is put into tables for the first time was allocated with them.
    let counted = allocation_counter::measure(|| {
        for (round, packet) in (0..).zip(packets.iter().cycle().take(2000)) {
            let now = start + Duration::from_millis(round);
            let query = Query::parse(packet).expect("a query of our own");
            let to = ReturnPath::Datagram {
                listener: 0,
                peer: SocketAddr::from(([10, 0, 0, 1], 9)),
                local: Local::Bound,
            };
            let waiter = Waiter::new(&query, to, 1232, None);
            let mut asked = None;
            let mut reply = [0; 512];
            let submitted = forwarder.submit(now, Asked::of(&query), waiter, &mut |action| {
                if let Action::Ask(ask) = action {
                    reply[..ask.octets.len()].copy_from_slice(ask.octets);
                    asked = Some((ask.place, ask.octets.len()));
                }
            });
            assert!(submitted.is_ok());
            let mut sink = |action: Action<'_>| {
                if let Action::Ended(ended) = action {
                    told += ended.served.count();
                }
            };
            // Some are answered, of others the socket fails, and the rest is tried again and given up.
            match (asked, round % 3) {
                (Some((place, length)), 0) => {
                    reply[2] |= 0x80;
                    forwarder.on_reply(place, &reply[..length], now, &mut sink);
                }
                (Some((place, _)), 1) => forwarder.on_error(place, Trouble::Unreachable, now, &mut sink),
                _ => {}
            }
            forwarder.on_timeout(now, &mut sink);
        }
        forwarder.give_up(&mut |action| {
            if let Action::Ended(ended) = action {
                told += ended.served.count();
            }
        });
    });
    assert_eq!(told, 2000);
    assert_eq!(counted.count_total, 0);
}
