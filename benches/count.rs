//! Answers one kind of question a given number of times, for `benches/count` to count instructions of:
//! a number that does not depend on what else the machine does.

mod fixture;

use std::net::IpAddr;

use dataplane::respond::{Client, Message, Transport, respond};

/// Services in the zone.
const SERVICES: u32 = 1_000;

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(owner), Some(qtype), Some(times)) = (words.next(), words.next(), words.next()) else {
        // `cargo bench` runs every bench without words.
        return;
    };
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
    for _ in 0..times {
        buffer
            .get_mut(..packet.len())
            .expect("larger than any query")
            .copy_from_slice(&packet);
        let mut message = Message::new(&mut buffer, packet.len());
        std::hint::black_box(respond(&snapshot, &policy, client, &mut message));
    }
}
