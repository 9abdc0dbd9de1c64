//! Upstreams that are asked over TLS: Unbound behind a certificate that holds, or does not, and connections that end.

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use dataplane::limits::{TLS_IDLE_MAX, TRY_TIMEOUT};
use support::daemon::Daemon;
use support::dig::Reply;
use support::over_tls::{NAME, World, make_certificates};
use support::upstream::Upstream;
use support::{SOON, eventually, expect, ports, threads};

/// What the workers wait with.
const ENGINES: [&str; 2] = ["auto", "threads"];

fn is_answered(daemon: &Daemon, question: &str) -> Result<Reply, String> {
    let reply = daemon.dig(&format!("{question} +time=5"));
    expect(|reply: &Reply| reply.answer.len() == 2, reply)
}

#[test]
fn everything_is_asked_by_one_connection_that_is_kept_and_nothing_in_the_clear() {
    let Some(world) = World::start(NAME, 4000) else {
        return;
    };
    let daemon = world.daemon("", "");
    for _ in 0..20 {
        is_answered(&daemon, "www.example.org A").expect("an answer");
    }
    assert_eq!(world.middle.connections(), 1);
    // Many at once are in flight together, and those that come by TCP have a worker and a connection of their own.
    std::thread::scope(|scope| {
        for number in 0..16 {
            let daemon = &daemon;
            scope.spawn(move || {
                let reply = daemon.dig(&format!("n{number}.many.example.org A +time=5"));
                assert_eq!(reply.answer.len(), 1, "{reply:?}");
            });
        }
    });
    is_answered(&daemon, "www.example.org A +tcp").expect("an answer");
    assert_eq!(world.middle.connections(), 2);
    assert_eq!(daemon.dig("gone.example.org A").status, "NXDOMAIN");
    world.middle.assert_nothing_in_the_clear();
    assert!(daemon.metric("skydock_dns_forward_tls_total", "") >= 38.0);
    assert_eq!(daemon.metric("skydock_dns_forward_tls_failures_total", ""), 0.0);
}

// RFC 8310, section 5: with the strict profile there is no service rather than one that nobody vouches for.
#[test]
fn a_certificate_for_another_name_or_over_or_of_a_stranger_is_refused_at_once() {
    for (name, year, is_trusted, state, said) in [
        (
            "other.example",
            4000,
            true,
            "certificate_for_another_name",
            "its certificate is for another name",
        ),
        (
            NAME,
            2020,
            true,
            "certificate_expired",
            "its certificate has expired",
        ),
        (
            NAME,
            4000,
            false,
            "certificate_of_unknown_issuer",
            "its certificate is from nobody who is trusted",
        ),
    ] {
        let Some(world) = World::start(name, year) else {
            return;
        };
        if !is_trusted {
            // Another CA is trusted than the one that signed.
            let stranger = tempfile::tempdir().expect("a directory");
            make_certificates(stranger.path(), name, year);
            std::fs::copy(
                stranger.path().join("ca.pem"),
                world.directory.path().join("ca.pem"),
            )
            .expect("a file");
        }
        let daemon = world.daemon("", "");
        let start = Instant::now();
        let reply = daemon.dig("www.example.org A +time=5");
        assert_eq!(reply.status, "SERVFAIL", "{name} {year}");
        assert!(
            start.elapsed() < Duration::from_millis(2400),
            "{:?}",
            start.elapsed()
        );
        assert!(daemon.metric("skydock_dns_forward_tls_failures_total", "") >= 1.0);
        let state = format!("state=\"{state}\"");
        assert_eq!(daemon.metric("skydock_dns_upstream_state", &state), 1.0);
        // Whoever runs it is told why, once, however many ask.
        let line = format!(
            "upstream {}#{NAME} gives no answers: {said}",
            world.middle.address
        );
        daemon.await_log(&line);
        for number in 0..3 {
            daemon.dig(&format!("n{number}.example.org A +time=5"));
        }
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(daemon.log().matches(&line).count(), 1);
        world.middle.assert_nothing_in_the_clear();
        // Another server steps in.
        let upstream = Upstream::start();
        let daemon = world.daemon(&format!(",{}", upstream.address()), "");
        assert_eq!(daemon.dig("www.example.org A +time=5").status, "NOERROR");
        assert_eq!(upstream.asked(), 1);
    }
}

#[test]
fn a_connection_that_ends_is_made_anew_and_a_server_that_comes_back_is_found() {
    let Some(mut world) = World::start(NAME, 4000) else {
        return;
    };
    let daemon = world.daemon("", "");
    is_answered(&daemon, "www.example.org A").expect("an answer");
    for _ in 0..5 {
        world.middle.break_off();
        is_answered(&daemon, "www.example.org A").expect("an answer by a new connection");
    }
    assert_eq!(world.middle.connections(), 6);
    assert!(daemon.metric("skydock_dns_forward_tls_ends_total", "") >= 5.0);
    world.unbound.kill();
    assert_eq!(daemon.dig("www.example.org A +time=5").status, "SERVFAIL");
    daemon.await_log("gives no answers: it ends connections before it has answered");
    world.unbound.start_again();
    eventually("Unbound again", 6 * SOON, || {
        is_answered(&daemon, "www.example.org A")
    });
    daemon.await_log("answers again");
    assert_eq!(daemon.metric("skydock_dns_upstream_state", "state=\"ok\""), 1.0);
}

#[test]
fn a_connection_that_ended_while_its_core_slept_costs_the_next_query_no_time() {
    for engine in ENGINES {
        let Some(world) = World::start(NAME, 4000) else {
            return;
        };
        let daemon = world.daemon("", &format!("--engine {engine}"));
        for transport in ["+notcp", "+tcp"] {
            let ask = || is_answered(&daemon, &format!("www.example.org A {transport}"));
            eventually("an answer", SOON, ask);
            let mut attempts = (0..3).map(|_| {
                // It sleeps by then, and still does when the next query comes.
                std::thread::sleep(Duration::from_millis(500));
                world.middle.break_off();
                std::thread::sleep(Duration::from_millis(500));
                let start = Instant::now();
                ask()?;
                // Had it not been noticed, the question would have been asked again only after that.
                expect(|waited| *waited < TRY_TIMEOUT, start.elapsed())
            });
            // On a machine full of other work a new connection may take too long once.
            assert!(attempts.any(|attempt| attempt.is_ok()), "{engine} {transport}");
        }
        assert!(daemon.metric("skydock_dns_forward_tls_ends_total", "") >= 2.0);
        assert_eq!(daemon.metric("skydock_dns_forward_tls_failures_total", ""), 0.0);
    }
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_gives_way_to_the_next() {
    let Some(world) = World::start(NAME, 4000) else {
        return;
    };
    // It accepts by its backlog, and never reads.
    let silent = TcpListener::bind(ports::free()).expect("a port that was free");
    let address = silent.local_addr().expect("its address");
    let (server, ca) = (world.middle.address, world.directory.path().join("ca.pem"));
    let daemon = Daemon::start(&format!(
        "--docker /nonexistent --cores 1 --cache-size 0 --nameserver {address}#{NAME},{server}#{NAME} \
         --nameserver-ca {}",
        ca.display()
    ));
    is_answered(&daemon, "www.example.org A").expect("the second one's answer");
    eventually("the first to be passed over", SOON, || {
        let start = Instant::now();
        is_answered(&daemon, "www.example.org A")?;
        expect(|waited| *waited < Duration::from_millis(700), start.elapsed())
    });
}

#[test]
fn a_connection_that_falls_silent_is_given_up_early_enough_for_another_one_to_answer() {
    for engine in ENGINES {
        let Some(world) = World::start(NAME, 4000) else {
            return;
        };
        let daemon = world.daemon("", &format!("--engine {engine}"));
        for transport in ["+notcp", "+tcp"] {
            let ask = || is_answered(&daemon, &format!("www.example.org A {transport}"));
            // On a machine full of other work a new connection may take too long once.
            let attempts = (0..3).map(|_| {
                eventually("an answer", SOON, ask);
                world.middle.silence();
                // There is no other server. Whatever is told comes by a new connection, before the client's time is over.
                ask()
            });
            let mut failures = attempts.take_while(Result::is_err);
            assert!(failures.by_ref().count() < 3, "{engine} {transport}");
        }
    }
}

#[test]
fn a_connection_that_nothing_is_asked_by_is_ended_without_a_query_and_nothing_wakes_up_for_it_before() {
    let worlds: Vec<_> = ENGINES
        .into_iter()
        .filter_map(|engine| Some((engine, World::start(NAME, 4000)?)))
        .collect();
    let daemons: Vec<_> = worlds
        .iter()
        .map(|(engine, world)| (*engine, world, world.daemon("", &format!("--engine {engine}"))))
        .collect();
    for (engine, world, daemon) in &daemons {
        is_answered(daemon, "www.example.org A").expect("an answer");
        is_answered(daemon, "www.example.org A +tcp").expect("an answer");
        assert_eq!(
            (world.middle.connections(), world.middle.ended()),
            (2, 0),
            "{engine}"
        );
    }
    // What is left of the queries themselves is over by then.
    std::thread::sleep(Duration::from_secs(2));
    let before: Vec<_> = daemons
        .iter()
        .map(|(_, _, daemon)| threads::sleeps(daemon.pid()))
        .collect();
    std::thread::sleep(TLS_IDLE_MAX / 2);
    for ((engine, world, daemon), before) in daemons.iter().zip(before) {
        for (thread, after) in threads::sleeps(daemon.pid()) {
            let woken = after - before.get(&thread).copied().unwrap_or(0);
            // The client's own connection is ended meanwhile, and what comes once may wake a core twice.
            assert!(
                !thread.contains("skydock-") || woken <= 6,
                "{engine}: {thread} woke up {woken} times"
            );
        }
        assert_eq!(world.middle.ended(), 0, "{engine}: it is kept for a while");
    }
    // Unbound itself would end them after thirty seconds.
    let rest = TLS_IDLE_MAX / 2 + Duration::from_secs(5);
    for (engine, world, _) in &daemons {
        eventually(&format!("{engine}: the end of both"), rest, || {
            expect(|ended| *ended == 2, world.middle.ended())
        });
    }
}
