//! Answers one kind of question a given number of times, for `benches/count` to count instructions of:
//! a number that does not depend on what else the machine does.

mod fixture;

use std::net::IpAddr;

use dataplane::cache::{Cache, Rules};
use dataplane::respond::{Client, Message, Outcome, Transport, respond};
use dns::wire::Head;
use dns::{Query, Reply};

/// Services in the zone.
const SERVICES: u32 = 1_000;

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(owner), Some(qtype), Some(times)) = (words.next(), words.next(), words.next()) else {
        // `cargo bench` runs every bench without words.
        return;
    };
    let is_kept = words.next().is_some();
    let qtype = qtype.parse().expect("a record type's number");
    let times: u32 = times.parse().expect("how many times");
    let snapshot = fixture::zone(SERVICES).build();
    let policy = fixture::policy();
    let client = Client {
        address: IpAddr::from([172, 17, 0, 2]),
        transport: Transport::Udp,
    };
    let packet = fixture::query(&owner, qtype);
    let mut buffer = vec![0; 4096];
    let mut cache = Cache::new(1 << 20, Rules::default(), 7);
    if is_kept {
        let key = cache.key(&Query::parse(&packet).expect("a query of our own"));
        cache.insert(&key, &fixture::reply(&packet, 1), 0, |_| false);
    }
    for _ in 0..times {
        buffer
            .get_mut(..packet.len())
            .expect("larger than any query")
            .copy_from_slice(&packet);
        let mut message = Message::new(&mut buffer, packet.len());
        let outcome = std::hint::black_box(respond(&snapshot, &policy, client, &mut message));
        if is_kept && outcome == Outcome::Forward {
            std::hint::black_box(recall(&mut cache, &mut buffer, packet.len()));
        }
    }
}

/// Answers the query in the first `length` octets of `buffer` from the cache, as a worker does after `respond`.
fn recall(cache: &mut Cache, buffer: &mut [u8], length: usize) -> Option<usize> {
    let query = Query::parse(buffer.get(..length)?).ok()?;
    let head = Head::from(&query);
    let key = cache.key(&query);
    let hit = cache.lookup(&key, 1)?;
    let (length, _) = hit
        .answer
        .write(Reply::begin(buffer, head, 1232, 1232), head.id());
    Some(length)
}
