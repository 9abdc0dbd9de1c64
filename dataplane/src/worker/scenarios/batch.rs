//! What a core does with a batch of datagrams, under an allocator that counts.

use std::net::UdpSocket;

use dns::Moment;

use super::*;
use crate::io::udp::{Batch, Listener};
use crate::limits::BATCH_DATAGRAMS_MAX;
use crate::ratelimit::RateLimiter;
use crate::worker::Now;

/// Fewer than a batch holds, so that some are answered and the rest is limited.
const RATE: u32 = 12;

#[test]
fn batches_answered_by_us_and_the_cache_and_limited_allocate_nothing() {
    let mut scene = Scene::with(1);
    let client = scene.ask("db.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    scene.worker.limiter = RateLimiter::new(RATE, &[7; 16]);
    scene.worker.limiter.exempt_nobody();

    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let listener = Listener::new(server.into(), false);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut batch = Batch::new();
    let before = scene.counters.total();
    // Each round is a second later, in which the client has its rate again.
    for second in 1..=3 {
        for number in 0..BATCH_DATAGRAMS_MAX {
            let names = ["web.docker", "db.docker", "db.example.com", "nobody.docker"];
            client
                .send_to(&query(names[number % names.len()]), address)
                .unwrap();
        }
        let now = Now {
            seconds: second,
            moment: Moment::of_milliseconds(1000 * u64::from(second)),
        };
        let counted = allocation_counter::measure(|| {
            let mut received = 0;
            while received < BATCH_DATAGRAMS_MAX {
                received += batch.receive(&listener).unwrap();
                if scene.worker.answer(&mut batch, now) {
                    scene.worker.forward(&mut batch, 0, scene.now, &mut scene.sent);
                }
                batch.send(&listener);
            }
        });
        assert_eq!(counted.count_total, 0);
    }
    assert!(scene.nothing_is_asked(), "all was known");
    let total = scene.counters.total();
    let rounds = 3;
    let (queries, answered) = (rounds * BATCH_DATAGRAMS_MAX as u64, rounds * u64::from(RATE));
    let limited = queries - answered;
    assert_eq!(total.queries - before.queries, queries);
    assert_eq!((total.rate_slips, total.dropped_rate), (limited / 2, limited / 2));
    // Of four names two are told from the cache, one of them behind an alias.
    assert_eq!(total.cache_hits - before.cache_hits, answered / 2);
}
