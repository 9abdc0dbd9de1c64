//! What other servers said is kept, told again, and forgotten: the daemon with a scripted upstream, and with Unbound,
//! which is killed and started again while it is asked.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dataplane::cache::{Rules, Settings};
use support::daemon::Daemon;
use support::dig::{Reply, dig};
use support::plane::{World, all_to, on_each_engine};
use support::resolver::{Resolver, reply};
use support::unbound::{Unbound, fixed_port};
use support::upstream::{ANSWER, ANSWER_TTL, Upstream};
use support::{SOON, eventually, expect, ports};

const NO_ENGINE: &str = "--docker /nonexistent";

/// A daemon on one core, so that whoever asks again asks the same cache, with `arguments`.
fn start(upstream: SocketAddr, arguments: &str) -> Daemon {
    Daemon::start(&format!(
        "{NO_ENGINE} --cores 1 --nameserver {upstream} {arguments}"
    ))
}

#[test]
fn a_question_is_asked_once_and_told_again_with_its_time_counted_down() {
    let upstream = Upstream::start();
    let daemon = start(upstream.address(), "");
    let first = daemon.dig("www.example.org A");
    assert_eq!(
        (first.status.as_str(), first.answer[0].ttl),
        ("NOERROR", ANSWER_TTL)
    );
    eventually("a second to pass", SOON, || {
        let again = daemon.dig("WWW.Example.ORG A");
        assert_eq!(
            (again.status.as_str(), again.answer[0].data.clone()),
            ("NOERROR", ANSWER.to_string())
        );
        assert_eq!(
            again.answer[0].owner, "WWW.Example.ORG",
            "as the client spells it"
        );
        assert_eq!(again.flags, ["qr", "rd", "ra"]);
        expect(|ttl| *ttl < ANSWER_TTL, again.answer[0].ttl)
    });
    assert_eq!(upstream.asked(), 1);
    assert!(daemon.metric("skydock_cache_hits_total", "type=\"success\"") >= 1.0);
    assert_eq!(daemon.metric("skydock_cache_entries", ""), 1.0);

    daemon.dig("www.example.org AAAA");
    daemon.dig("www.example.org A +dnssec");
    assert_eq!(
        upstream.asked(),
        3,
        "another type, and with signatures, are other questions"
    );
    let refused = daemon.dig("www.example.org A +norecurse");
    assert_eq!(
        refused.status, "REFUSED",
        "whoever wants no recursion gets none from the cache either"
    );
}

#[test]
fn over_tcp_the_same_is_kept() {
    let upstream = Upstream::start();
    let daemon = start(upstream.address(), "");
    for _ in 0..3 {
        assert_eq!(daemon.dig("www.example.org A +tcp").status, "NOERROR");
    }
    assert_eq!(upstream.asked(), 1);
}

#[test]
fn without_a_size_nothing_is_kept() {
    let upstream = Upstream::start();
    let daemon = start(upstream.address(), "--cache-size 0");
    for _ in 0..3 {
        assert_eq!(daemon.dig("www.example.org A").status, "NOERROR");
    }
    assert_eq!(upstream.asked(), 3);
}

// RFC 9520: the failure is remembered, so that a dead upstream is not asked for every client.
#[test]
fn a_failure_is_remembered_and_told_at_once() {
    let upstream = Upstream::start();
    upstream.set_silent(true);
    let daemon = start(upstream.address(), "");
    assert_eq!(daemon.dig("www.example.org A +time=5").status, "SERVFAIL");
    let asked = upstream.asked();
    let started = Instant::now();
    assert_eq!(daemon.dig("www.example.org A").status, "SERVFAIL");
    assert!(started.elapsed() < Duration::from_secs(2));
    let probes = upstream.asked() - asked;
    assert!(
        probes <= 1,
        "{probes} questions, where only a probe may have been"
    );
    assert_eq!(daemon.metric("skydock_cache_hits_total", "type=\"failure\""), 1.0);
    upstream.set_silent(false);
    eventually("the failure to be forgotten", SOON, || {
        expect(
            |reply: &Reply| reply.status == "NOERROR",
            daemon.dig("www.example.org A"),
        )
    });
}

// RFC 8767.
#[test]
fn what_is_past_its_time_is_told_while_upstreams_fail_if_that_was_asked_for() {
    let upstream = Upstream::start();
    let daemon = start(upstream.address(), "--cache-max-ttl 1 --serve-stale 600");
    assert_eq!(daemon.dig("www.example.org A").answer[0].ttl, 1);
    upstream.set_silent(true);
    eventually("the answer to be over", SOON, || {
        let reply = daemon.dig("www.example.org A +time=5");
        assert_eq!(reply.status, "NOERROR");
        expect(|reply: &Reply| reply.answer[0].ttl == 30, reply)
    });
    let started = Instant::now();
    assert_eq!(daemon.dig("www.example.org A").answer[0].ttl, 30);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "it is not asked for again so soon"
    );
    assert_eq!(daemon.dig("other.example.org A +time=5").status, "SERVFAIL");
    assert!(daemon.metric("skydock_cache_hits_total", "type=\"stale\"") >= 2.0);
}

/// Keeps an answer for a second, and tells it past that after `patience`; asks `resolver`.
fn impatient(engine: dataplane::Engine, resolver: &Resolver, patience: Duration) -> World {
    let settings = Settings {
        octets: 2 << 20,
        rules: Rules {
            max_ttl: 1,
            stale_seconds: 600,
            stale_patience: patience,
            ..Rules::default()
        },
    };
    World::keeping(engine, all_to(&[resolver]), settings)
}

/// An upstream whose first answer has one address and comes at once; the others have two, and take two seconds and a
/// bit.
fn slowing_down() -> Resolver {
    let asked = AtomicU32::new(0);
    Resolver::start(move |_, question| {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return vec![reply(question, 0, 1)];
        }
        std::thread::sleep(Duration::from_millis(2200));
        vec![reply(question, 0, 2)]
    })
}

#[test]
fn a_name_that_is_asked_for_often_is_asked_for_again_before_it_is_over() {
    on_each_engine(|engine| {
        let resolver = Resolver::start(|_, question| vec![reply(question, 0, 1)]);
        let settings = Settings {
            octets: 2 << 20,
            rules: Rules {
                max_ttl: 10,
                ..Rules::default()
            },
        };
        let world = World::keeping(engine, all_to(&[&resolver]), settings);
        let ask = || {
            let reply = dig(world.address, "www.example.com A");
            assert!(!reply.answer.is_empty(), "{engine:?}: {reply:?}");
            reply.answer[0].ttl
        };
        for _ in 0..5 {
            ask();
        }
        assert_eq!(resolver.asked().len(), 1);
        // In the last tenth of its time it is still told, and asked for behind the client's back.
        eventually("the last second", 2 * SOON, || expect(|ttl| *ttl <= 1, ask()));
        eventually("an answer that was not waited for", SOON, || {
            expect(|ttl| *ttl >= 9, ask())
        });
        assert_eq!(resolver.asked().len(), 2, "{engine:?}");
        assert_eq!(
            (world.totals().cache_refreshes, world.totals().cache_misses),
            (1, 1)
        );
    });
}

// RFC 8767, section 5: the client response timer. Unbound: serve-expired-client-timeout.
#[test]
fn while_upstreams_are_slow_a_client_waits_as_long_as_its_patience_and_the_cache_still_learns_the_answer() {
    on_each_engine(|engine| {
        let resolver = slowing_down();
        let world = impatient(engine, &resolver, Duration::from_millis(1800));
        assert_eq!(dig(world.address, "www.example.com A").answer.len(), 1);
        std::thread::sleep(Duration::from_millis(2100));
        let start = Instant::now();
        let reply = dig(world.address, "www.example.com A +time=5");
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_millis(1700),
            "{waited:?}: upstreams had no time to answer"
        );
        assert_eq!((reply.answer.len(), reply.answer[0].ttl), (1, 30));
        let totals = world.totals();
        assert_eq!(
            (totals.forward_late, totals.cache_stale),
            (1, 1),
            "it was not a failure"
        );
        assert_eq!(totals.forward_timeouts + totals.forward_failures, 0);
        // Nobody waits any more, and the answer is taken in all the same.
        eventually("the slow answer", SOON, || {
            let reply = dig(world.address, "www.example.com A +time=5");
            expect(|reply: &Reply| reply.answer.len() == 2, reply)
        });
    });
}

#[test]
fn without_patience_what_is_past_its_time_is_told_at_once_and_asked_for_behind_the_clients_back() {
    on_each_engine(|engine| {
        let resolver = slowing_down();
        let world = impatient(engine, &resolver, Duration::ZERO);
        assert_eq!(dig(world.address, "www.example.com A").answer.len(), 1);
        std::thread::sleep(Duration::from_millis(2100));
        for _ in 0..3 {
            let start = Instant::now();
            let reply = dig(world.address, "www.example.com A +time=5");
            assert_eq!((reply.answer.len(), reply.answer[0].ttl), (1, 30));
            assert!(
                start.elapsed() < Duration::from_millis(1500),
                "{:?}",
                start.elapsed()
            );
        }
        eventually("the slow answer", SOON, || {
            let reply = dig(world.address, "www.example.com A +time=5");
            expect(|reply: &Reply| reply.answer.len() == 2, reply)
        });
    });
}

#[test]
fn an_answer_of_unbound_is_kept_as_it_is_with_or_without_records() {
    let address = ports::free();
    let Some(_unbound) = Unbound::start(address, "") else {
        return;
    };
    let daemon = start(address, "--rebind-protection");
    eventually("Unbound", SOON, || {
        expect(
            |reply: &Reply| reply.answer.len() == 2,
            daemon.dig("www.example.org A"),
        )
    });
    for _ in 0..2 {
        let reply = daemon.dig("www.example.org A");
        assert_eq!(reply.sorted_answers(), ["192.0.2.1", "192.0.2.2"]);
        let reply = daemon.dig("gone.example.org A");
        assert_eq!(
            (reply.status.as_str(), reply.authority[0].rtype.as_str()),
            ("NXDOMAIN", "SOA")
        );
        assert!(reply.authority[0].ttl <= 30, "{reply:?}");
        let reply = daemon.dig("www.example.org AAAA");
        assert_eq!(
            (reply.status.as_str(), reply.answer.len(), reply.authority.len()),
            ("NOERROR", 0, 1)
        );
        let reply = daemon.dig("inside.example.org A");
        assert_eq!(
            (reply.status.as_str(), reply.answer.len()),
            ("NOERROR", 0),
            "a private address"
        );
    }
    assert!(daemon.metric("skydock_cache_hits_total", "type=\"denial\"") >= 2.0);
    assert_eq!(daemon.metric("skydock_cache_blocked_total", ""), 2.0);
}

#[test]
fn what_is_known_goes_on_being_told_while_unbound_is_killed_and_started_again_under_load() {
    let address = fixed_port();
    let Some(mut unbound) = Unbound::start(address, "") else {
        return;
    };
    let daemon = Arc::new(start(
        address,
        "--cache-max-ttl 2 --serve-stale 600 --cache-size 1",
    ));
    let is_told = |daemon: &Daemon| {
        let reply = daemon.dig("www.example.org A +time=5 +tries=2");
        expect(|reply: &Reply| reply.answer.len() == 2, reply)
    };
    eventually("Unbound", SOON, || is_told(&daemon));
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let (daemon, stop) = (daemon.clone(), stop.clone());
        std::thread::spawn(move || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a loopback port");
            let mut number = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let query = support::raw::query(number as u16, &format!("n{number}.many.example.org"), 1);
                let _ = socket.send_to(&query, daemon.dns());
                // Far more than anybody asks, and not so many that a debug build on a busy machine drops them.
                if number.is_multiple_of(8) {
                    std::thread::sleep(Duration::from_millis(4));
                }
            }
            number
        })
    };
    for _ in 0..2 {
        unbound.kill();
        let killed = Instant::now();
        while killed.elapsed() < Duration::from_secs(4) {
            is_told(&daemon).expect("what was known before is told");
        }
        unbound.start_again();
        // On a busy machine it takes its time.
        eventually("Unbound itself", 6 * SOON, || {
            let reply = dig(address, "www.example.org A");
            expect(|reply: &Reply| reply.status == "NOERROR", reply)
        });
        eventually("a name that was never asked for", SOON, || {
            let name = format!("x{}.many.example.org A +time=5", killed.elapsed().as_nanos());
            expect(|reply: &Reply| reply.status == "NOERROR", daemon.dig(&name))
        });
        is_told(&daemon).expect("and it goes on");
    }
    stop.store(true, Ordering::Relaxed);
    let asked = load.join().expect("it does not panic");
    assert!(asked > 1000, "{asked} questions are no load");
    assert!(daemon.metric("skydock_cache_bytes", "") < f64::from(1 << 20));
}

/// POSTs to a path of the admin listener, and gives what it says.
fn post(daemon: &Daemon, path: &str) -> String {
    let mut stream = TcpStream::connect(daemon.http()).expect("the admin listener");
    let head = "HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream
        .write_all(format!("POST {path} {head}").as_bytes())
        .expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it answers");
    reply
}

#[test]
fn what_is_flushed_is_asked_for_again_by_every_worker() {
    let upstream = Upstream::start();
    let daemon = start(upstream.address(), "");
    // There is one worker for datagrams and one for streams.
    let ask = |name: &str| {
        assert_eq!(daemon.dig(&format!("{name} A")).status, "NOERROR");
        assert_eq!(daemon.dig(&format!("{name} A +tcp")).status, "NOERROR");
    };
    ask("www.example.org");
    ask("www.example.com");
    ask("www.example.org");
    ask("www.example.com");
    assert_eq!(upstream.asked(), 4, "each keeps what it heard");
    let reply = post(&daemon, "/v1/cache/flush?name=example.org");
    assert!(reply.starts_with("HTTP/1.1 204 "), "{reply}");
    ask("www.example.com");
    assert_eq!(upstream.asked(), 4, "other names are still known");
    ask("www.example.org");
    assert_eq!(upstream.asked(), 6, "each asks once more");
    assert!(post(&daemon, "/v1/cache/flush").starts_with("HTTP/1.1 204 "));
    ask("www.example.com");
    assert_eq!(upstream.asked(), 8);
}
