//! The steps of a question that is not ours: found, not found, kept; and kept while others have to go.

mod fixture;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dataplane::cache::{Cache, Rules};
use dns::wire::Head;
use dns::{Query, Reply};

const A: u16 = 1;
/// What one of two cores has by default.
const OCTETS: usize = 32 << 20;
const NAMES: u32 = 100_000;

/// A cache that knows `names` names, `host0.example.org` and so on, each with `addresses` addresses.
fn filled(names: u32, addresses: u8) -> Cache {
    let mut cache = Cache::new(OCTETS, Rules::default(), 7);
    for number in 0..names {
        insert(&mut cache, &question(number), addresses);
    }
    cache
}

fn question(number: u32) -> Vec<u8> {
    fixture::query(&format!("host{number}.example.org"), A)
}

fn insert(cache: &mut Cache, packet: &[u8], addresses: u8) {
    let key = cache.key(&Query::parse(packet).expect("a query of our own"));
    let reply = fixture::reply(packet, addresses);
    black_box(cache.insert(&key, &reply, 0, |_| false));
}

/// From the query's octets to the reply's, as a worker does it after `respond` has said that the name is not ours.
fn hit(c: &mut Criterion) {
    for addresses in [1, 10] {
        let mut cache = filled(NAMES, addresses);
        let packet = question(77);
        let mut buffer = packet.clone();
        buffer.resize(4096, 0);
        c.bench_function(&format!("cache/hit/{addresses}_a"), |b| {
            b.iter(|| {
                let query = Query::parse(black_box(&packet)).expect("a query of our own");
                let head = Head::from(&query);
                let key = cache.key(&query);
                let hit = cache.lookup(&key, 1).expect("it was kept");
                hit.answer
                    .write(Reply::begin(&mut buffer, head, 1232, 1232), head.id())
            });
        });
    }
}

/// A hundred thousand names, asked for in an order that no processor can guess.
fn hit_cold(c: &mut Criterion) {
    let mut cache = filled(NAMES, 1);
    let order = (0..NAMES).map(|number| number.wrapping_mul(2_654_435_761) % NAMES);
    let packets: Vec<Vec<u8>> = order.map(question).collect();
    let mut packets = packets.iter().cycle();
    c.bench_function("cache/hit/uniform", |b| {
        b.iter(|| {
            let packet = packets.next().expect("a cycle has no end");
            let key = cache.key(&Query::parse(packet).expect("a query of our own"));
            black_box(cache.lookup(&key, 1)).is_some()
        });
    });
}

fn miss(c: &mut Criterion) {
    let mut cache = filled(NAMES, 1);
    let packet = question(NAMES);
    c.bench_function("cache/miss", |b| {
        b.iter(|| {
            let key = cache.key(&Query::parse(black_box(&packet)).expect("a query of our own"));
            cache.lookup(&key, 1).is_none()
        });
    });
}

/// The sifting and keeping of a reply: again and again the same, and a new name each time into a cache that is full.
fn keep(c: &mut Criterion) {
    let mut cache = filled(1, 1);
    let packet = question(0);
    let key = cache.key(&Query::parse(&packet).expect("a query of our own"));
    for addresses in [1, 10] {
        let reply = fixture::reply(&packet, addresses);
        c.bench_function(&format!("cache/insert/{addresses}_a"), |b| {
            b.iter(|| cache.insert(&key, black_box(&reply), 0, |_| false).rcode());
        });
    }
    let mut cache = filled(4 * NAMES, 1);
    let packets: Vec<Vec<u8>> = (4 * NAMES..8 * NAMES).map(question).collect();
    let mut packets = packets.iter().cycle();
    c.bench_function("cache/insert/full", |b| {
        b.iter(|| insert(&mut cache, packets.next().expect("a cycle has no end"), 1));
    });
}

criterion_group!(benches, hit, hit_cold, miss, keep);
criterion_main!(benches);
