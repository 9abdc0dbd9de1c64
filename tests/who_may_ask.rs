//! Who is answered, and how much: real clients with addresses of their own, and what is counted of them.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dataplane::forward::{Config, Policy, Route};
use support::daemon::Daemon;
use support::network::{enter_network, ip};
use support::raw::{self, Asker};
use support::resolver::{Resolver, name, reply};
use support::served::{self, Served};
use support::stream::Stream;
use support::{SOON, eventually, expect};

const NO_ENGINE: &str = "--docker /nonexistent/docker.sock";
const SOA: u16 = 6;
const A: u16 = 1;
const SERV_FAIL: u8 = 2;
const REFUSED: u8 = 5;

/// Two hosts of one public network, and one of another (RFC 5737).
const FLOODING: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(198, 51, 100, 8)];
const QUIET: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

fn is_cut(reply: &[u8]) -> bool {
    reply.get(2).is_some_and(|flags| flags & 2 != 0)
}

/// A query with a cookie in its OPT record.
fn with_cookie(id: u16, cookie: &[u8]) -> Vec<u8> {
    let mut packet = raw::query(id, "docker", SOA);
    let length = u8::try_from(cookie.len()).expect("40 octets at most");
    *packet.get_mut(11).expect("the count of additional records") = 1;
    packet.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, length + 4, 0, 10, 0, length]);
    packet.extend(cookie);
    packet
}

#[test]
fn a_public_network_gets_its_rate_and_a_way_to_prove_itself_and_others_are_answered() {
    if !enter_network(&[FLOODING[0], FLOODING[1], QUIET]) {
        return;
    }
    let daemon = Daemon::start(&format!(
        "{NO_ENGINE} --cores 1 --rate-limit 10 --allow 0.0.0.0/0"
    ));
    let (first, second) = (
        Asker::from(FLOODING[0], daemon.dns()),
        Asker::from(FLOODING[1], daemon.dns()),
    );
    // One network, so one allowance: ten at once, and ten a second while this lasts.
    let started = Instant::now();
    for id in 0..40 {
        let client = if id % 2 == 0 { &first } else { &second };
        client.send(&raw::query(id, "docker", SOA));
    }
    eventually("all are read", SOON, || {
        expect(
            |read| *read == 40.0,
            daemon.metric("skydock_dns_requests_total", ""),
        )
    });
    let (mut answered, mut cut) = (0, 0);
    for reply in [&first, &second]
        .into_iter()
        .flat_map(|client| std::iter::from_fn(|| client.receive()))
    {
        if is_cut(&reply) {
            assert_eq!(raw::answers(&reply), 0);
            cut += 1;
        } else {
            answered += 1;
        }
    }
    let silent = 40 - answered - cut;
    let more = started.elapsed().as_secs_f64() * 10.0;
    assert!(
        answered >= 10 && f64::from(answered) <= 11.0 + more,
        "{answered} answers, and {more} more are due"
    );
    assert!(
        cut > 0 && silent > 0 && i32::abs(cut - silent) <= 1,
        "{cut} cut, {silent} silent"
    );

    // A real client does what it was bidden.
    let over_tcp = Stream::from(FLOODING[0], daemon.dns()).ask(&raw::query(1, "docker", SOA));
    assert!(over_tcp.is_some_and(|reply| !is_cut(&reply) && raw::answers(&reply) == 1));
    let asked_anew = |packet: &[u8], wanted: &dyn Fn(&[u8]) -> bool| {
        eventually("a reply of that kind", SOON, || {
            let reply = first.ask(packet).ok_or("silence")?;
            if wanted(&reply) {
                Ok(reply)
            } else {
                Err(format!("{reply:?}"))
            }
        })
    };
    let exhaust = || (0..30).for_each(|id| first.send(&raw::query(id, "docker", SOA)));
    exhaust();
    while first.receive().is_some() {}
    exhaust();
    let bidden = asked_anew(&with_cookie(77, &[9; 8]), &|reply| reply[..2] == [0, 77]);
    let cookie = bidden
        .get(bidden.len() - 24..)
        .expect("BADCOOKIE or an answer, with our cookie");
    assert_eq!(cookie[..8], [9; 8]);
    exhaust();
    for id in 200..220 {
        let proven = asked_anew(&with_cookie(id, cookie), &|reply| reply[..2] == id.to_be_bytes());
        assert_eq!((raw::answers(&proven), raw::rcode(&proven)), (1, Some(0)));
    }

    // Nobody else notices.
    let (quiet, local) = (Asker::from(QUIET, daemon.dns()), Asker::of(daemon.dns()));
    for id in 0..10 {
        let reply = quiet.expect_reply(&raw::query(id, "docker", SOA));
        assert_eq!((raw::answers(&reply), is_cut(&reply)), (1, false));
    }
    for id in 0..50 {
        assert_eq!(
            raw::answers(&local.expect_reply(&raw::query(id, "docker", SOA))),
            1
        );
    }

    let counted = |metric: &str, labels: &str| daemon.metric(metric, labels);
    assert!(counted("skydock_dns_rate_slips_total", "") >= f64::from(cut));
    assert!(counted("skydock_dns_rate_proven_total", "") >= 20.0);
    assert!(counted("skydock_dns_drops_total", "reason=\"rate\"") >= f64::from(silent));
    assert!(
        !daemon.log().contains(&FLOODING[0].to_string()),
        "nothing is logged of a packet: {}",
        daemon.log()
    );
}

#[test]
fn who_may_not_ask_is_refused_over_both_and_counted_and_not_logged() {
    if !enter_network(&[]) {
        return;
    }
    let daemon = Daemon::start(NO_ENGINE);
    daemon.await_log("  use ");
    let before = daemon.log();
    // Whatever address this host has at the start may ask.
    ip(&format!("address add {QUIET}/32 dev lo"));
    let stranger = Asker::from(QUIET, daemon.dns());
    let refused = |reply: &Vec<u8>| raw::rcode(reply) == Some(REFUSED);
    let replies = [
        stranger.expect_reply(&raw::query(1, "docker", SOA)),
        stranger.expect_reply(&raw::query(2, "example.com", A)),
        Stream::from(QUIET, daemon.dns())
            .ask(&raw::query(3, "docker", SOA))
            .expect("a reply"),
    ];
    assert!(replies.iter().all(refused), "{replies:?}");
    assert_eq!(
        daemon.metric("skydock_dns_responses_total", "rcode=\"REFUSED\""),
        3.0
    );
    assert_eq!(daemon.log(), before);
}

/// A client that asks for ever new names, as long as this value lives.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(client: Ipv4Addr, server: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let client = Asker::from(client, server);
            for number in 0_u32.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                client.send(&raw::query(7, &format!("n{number}.example"), A));
                // Faster than it is read is of no use: what the kernel drops is not asked.
                if number % 12 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An upstream that answers what begins with `good` and hangs with everything else.
fn hanging() -> Resolver {
    Resolver::start(|_, question| match name(question).starts_with("good") {
        true => vec![reply(question, 0, 1)],
        false => Vec::new(),
    })
}

#[test]
fn one_client_that_floods_a_hanging_upstream_leaves_room_for_another() {
    for engine in served::engines() {
        // Several, so that no single one of them is the first bound that is met.
        let upstreams = [hanging(), hanging(), hanging()];
        let served = Served::start(engine, served::zone(&[("web.docker", 1)]).build(), |config| {
            config.upstreams = Config {
                routes: vec![Route {
                    domain: ".".parse().expect("the root"),
                    upstreams: upstreams
                        .iter()
                        .map(|upstream| upstream.address().into())
                        .collect(),
                }],
                policy: Policy::RoundRobin,
            };
        });
        let had_its_share = || {
            let bounds = served.counters().total();
            bounds
                .forward_bounds()
                .any(|(bound, times)| bound == "client" && times > 0)
        };
        let _flood = Flood::start(Ipv4Addr::new(127, 0, 0, 2), served.address());
        eventually("the flood has had its share", 2 * SOON, || {
            expect(|is_so| *is_so, had_its_share())
        });
        let other = Asker::from(Ipv4Addr::new(127, 0, 0, 3), served.address());
        // Asked again where the kernel had no room for the datagram, behind those of the flood.
        let answered = |packet: Vec<u8>| {
            eventually("an answer for the other client", SOON, || {
                let seen = other
                    .ask(&packet)
                    .map(|reply| (raw::rcode(&reply), raw::answers(&reply)));
                expect(|seen| *seen == Some((Some(0), 1)), seen)
            })
        };
        for id in 0..20 {
            answered(raw::query(id, &format!("good{id}.example"), A));
            answered(raw::query(id, "web.docker", A));
        }
        let failed = served.counters().total();
        let failed = failed
            .replies()
            .find(|(rcode, _)| rcode.is_some_and(|rcode| rcode.0 == u16::from(SERV_FAIL)));
        assert!(failed.is_some_and(|(_, count)| count > 0));
    }
}
