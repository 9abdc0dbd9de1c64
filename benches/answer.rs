//! The steps of a query's path, each by itself and then as one: parse, lookup, write, respond.

mod fixture;

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use dataplane::respond::{Client, Outcome, Transport, respond};
use dns::wire::{Head, Section};
use dns::{Lookup, Query, Reply};

const A: u16 = 1;
const AAAA: u16 = 28;
/// Whoever asks; no name of the benches has variants.
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 17, 0, 2));
const SRV: u16 = 33;

/// Questions of every kind, each with the name of its bench.
const QUESTIONS: [(&str, &str, u16); 10] = [
    ("one_a", "instance77.image7.dev.docker", A),
    ("ten_a", "image7.dev.docker", A),
    ("ten_srv", "image7.dev.docker", SRV),
    ("nodata", "instance77.image7.dev.docker", AAAA),
    ("nxdomain", "absent.image7.dev.docker", A),
    ("wildcard_of_one", "instance77.*.dev.docker", A),
    ("wildcard_of_ten", "*.image7.*.docker", A),
    ("wildcard_of_all", "*.docker", A),
    ("long_name_of_one", "region.instance77.image7.dev.docker", A),
    ("forward", "example.org", A),
];

fn parse(c: &mut Criterion) {
    let packet = fixture::query("instance77.image7.dev.docker", A);
    c.bench_function("parse/query_with_opt", |b| {
        b.iter(|| Query::parse(black_box(&packet)).is_ok());
    });
}

fn lookup(c: &mut Criterion) {
    for services in [1_000, 100_000] {
        let snapshot = fixture::zone(services).build();
        for (kind, owner, qtype) in QUESTIONS {
            let packet = fixture::query(owner, qtype);
            let query = Query::parse(&packet).expect("a query of our own");
            c.bench_function(&format!("lookup/{kind}/{services}"), |b| {
                b.iter(|| {
                    black_box(snapshot.lookup(black_box(&query.question), CLIENT));
                });
            });
        }
    }
}

/// Writing the reply to a question whose answer was found: header, records, OPT.
fn write(c: &mut Criterion) {
    let snapshot = fixture::zone(1_000).build();
    for (kind, owner, qtype) in [
        ("one_a", "instance77.image7.dev.docker", A),
        ("ten_srv", "image7.dev.docker", SRV),
    ] {
        let packet = fixture::query(owner, qtype);
        let query = Query::parse(&packet).expect("a query of our own");
        let Lookup::Found(answer) = snapshot.lookup(&query.question, CLIENT) else {
            continue;
        };
        let (head, mut buffer) = (Head::from(&query), packet.clone());
        buffer.resize(4096, 0);
        c.bench_function(&format!("write/{kind}"), |b| {
            b.iter(|| {
                let mut reply = Reply::begin(black_box(&mut buffer), head, 1232, 1232);
                assert!(reply.push(Section::Answer, answer.records, &[answer.answer]));
                assert!(reply.push(
                    Section::Additional,
                    answer.additional_records,
                    &[answer.additional]
                ));
                reply.finish()
            });
        });
    }
}

fn respond_whole(c: &mut Criterion) {
    let policy = fixture::policy();
    let client = Client {
        address: IpAddr::from([172, 17, 0, 2]),
        transport: Transport::Udp,
    };
    for services in [1_000, 100_000] {
        let snapshot = fixture::zone(services).build();
        for (kind, owner, qtype) in QUESTIONS {
            let packet = fixture::query(owner, qtype);
            let mut buffer = vec![0; 4096];
            c.bench_function(&format!("respond/{kind}/{services}"), |b| {
                b.iter(|| {
                    let mut message = fixture::received(&mut buffer, &packet);
                    let outcome = respond(&snapshot, &policy, client, black_box(&mut message));
                    assert!(!matches!(outcome, Outcome::Drop));
                });
            });
        }
    }
}

/// A wildcard of exactly a hundred matches, all of them written: a datagram would be cut.
fn respond_crowd(c: &mut Criterion) {
    let policy = fixture::policy();
    let client = Client {
        address: IpAddr::from([172, 17, 0, 2]),
        transport: Transport::Tcp,
    };
    for services in [1_000, 100_000] {
        let snapshot = fixture::crowd(services).build();
        for (kind, qtype) in [("a", A), ("srv", SRV)] {
            let packet = fixture::query("*.crowd.dev.docker", qtype);
            let mut buffer = vec![0; 65_535];
            c.bench_function(&format!("respond/wildcard_of_100_{kind}/{services}"), |b| {
                b.iter(|| {
                    let mut message = fixture::received(&mut buffer, &packet);
                    respond(&snapshot, &policy, client, black_box(&mut message))
                });
            });
            let [a0, a1] = [buffer.get(6), buffer.get(7)].map(|octet| octet.copied().unwrap_or(0));
            assert_eq!(
                u32::from(u16::from_be_bytes([a0, a1])),
                fixture::CROWD,
                "all of them"
            );
        }
    }
}

/// A hundred thousand names, asked for in an order that no cache can guess: what a lookup costs when the
/// table is not at hand.
fn lookup_cold(c: &mut Criterion) {
    let services = 100_000_u32;
    let snapshot = fixture::zone(services).build();
    let packets: Vec<Vec<u8>> = (0..services)
        .map(|number| number.wrapping_mul(2_654_435_761) % services)
        .map(|number| {
            fixture::query(
                &format!("instance{number}.image{}.dev.docker", number / fixture::REPLICAS),
                A,
            )
        })
        .collect();
    let queries: Vec<Query<'_>> = packets
        .iter()
        .map(|packet| Query::parse(packet).expect("a query of our own"))
        .collect();
    let mut queries = queries.iter().cycle();
    c.bench_function("lookup/uniform/100000", |b| {
        b.iter(|| {
            let query = queries.next().expect("a cycle has no end");
            black_box(snapshot.lookup(&query.question, CLIENT));
        });
    });
}

criterion_group!(
    benches,
    parse,
    lookup,
    lookup_cold,
    write,
    respond_whole,
    respond_crowd
);
criterion_main!(benches);
