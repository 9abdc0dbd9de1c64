//! Forwarding while ten thousand queries wait for an upstream that is dead: what they cost everybody else.

mod fixture;

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use dataplane::forward::{Action, Asked, Config, Forwarder, Local, Place, Policy, ReturnPath, Route, Waiter};
use dataplane::respond::{Client, Transport, respond};
use dns::{Name, Query};

const A: u16 = 1;
/// Queries that wait.
const WAITING: u32 = 10_000;

/// A forwarder whose upstream for `example` answers, and another for the rest that is dead.
fn forwarder(now: Instant, waiting: u32) -> Forwarder {
    let mut forwarder = Forwarder::new([7; 32]);
    let route = |domain: Name, host| Route {
        domain,
        upstreams: vec![SocketAddr::from(([192, 0, 2, host], 53)).into()],
    };
    forwarder.set_config(&Config {
        routes: vec![route(Name::root(), 1), route(fixture::name("example"), 2)],
        policy: Policy::Sequential,
    });
    for number in 0..waiting {
        let packet = fixture::query(&format!("name{number}.invalid"), A);
        submit(&mut forwarder, &packet, number, now, &mut |_| {});
    }
    assert_eq!(forwarder.waiting(), waiting as usize);
    forwarder
}

/// Has client `number` ask.
fn submit(
    forwarder: &mut Forwarder,
    packet: &[u8],
    number: u32,
    now: Instant,
    sink: &mut impl FnMut(Action<'_>),
) {
    let query = Query::parse(packet).expect("a query of our own");
    let [_, high, middle, low] = number.to_be_bytes();
    let to = ReturnPath::Datagram {
        listener: 0,
        peer: SocketAddr::from(([10, high, middle, low], 53)),
        local: Local::Bound,
    };
    let waiter = Waiter::new(&query, to, 1232, None);
    forwarder
        .submit(now, Asked::of(&query), waiter, sink)
        .expect("there is room");
}

/// One turn of a worker: a local name is answered, and the forwarder has a look at its clock.
fn local_answer(c: &mut Criterion) {
    let (snapshot, policy, now) = (fixture::zone(1_000).build(), fixture::policy(), Instant::now());
    let client = Client {
        address: IpAddr::from([172, 17, 0, 2]),
        transport: Transport::Udp,
    };
    let packet = fixture::query("instance77.image7.dev.docker", A);
    let mut buffer = vec![0; 4096];
    for waiting in [0, WAITING] {
        let mut forwarder = forwarder(now, waiting);
        c.bench_function(&format!("forward/local_answer/{waiting}_waiting"), |b| {
            b.iter(|| {
                let mut message = fixture::received(&mut buffer, &packet);
                black_box(respond(&snapshot, &policy, client, black_box(&mut message)));
                forwarder.on_timeout(black_box(now), &mut |_| {});
            });
        });
    }
}

/// A name of the upstream that answers: asked, replied to, and told to its client.
fn exchange(c: &mut Criterion) {
    let (packet, now) = (fixture::query("www.example", A), Instant::now());
    for waiting in [0, WAITING] {
        let mut forwarder = forwarder(now, waiting);
        let mut reply = [0; 512];
        c.bench_function(&format!("forward/exchange/{waiting}_waiting"), |b| {
            b.iter(|| {
                let mut asked: Option<(Place, usize)> = None;
                submit(&mut forwarder, &packet, WAITING, now, &mut |action| {
                    if let Action::Ask(ask) = action {
                        let room = reply.get_mut(..ask.octets.len()).expect("a short question");
                        room.copy_from_slice(ask.octets);
                        asked = Some((ask.place, ask.octets.len()));
                    }
                });
                let (place, length) = asked.expect("it is asked");
                // QR; with the OPT record of the question it is a whole reply.
                reply[2] |= 0x80;
                let mut told = 0;
                let packet = reply.get(..length).expect("a short question");
                forwarder.on_reply(place, packet, now, &mut |action| {
                    if let Action::Ended(ended) = action {
                        told += ended.served.count();
                    }
                });
                assert_eq!(told, 1);
            });
        });
    }
}

/// All that wait are asked once more at the same moment.
fn retries(c: &mut Criterion) {
    let now = Instant::now();
    c.bench_function(&format!("forward/retry_all/{WAITING}_waiting"), |b| {
        b.iter_batched_ref(
            || forwarder(now, WAITING),
            |forwarder| forwarder.on_timeout(now + Duration::from_millis(800), &mut |_| {}),
            criterion::BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, local_answer, exchange, retries);
criterion_main!(benches);
