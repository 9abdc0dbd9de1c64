//! Clients that are idle, slow, greedy, gone, or too many.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::end::{assert_idle, descriptors};
use super::{AT_ONCE, NO_ENGINE, World, big, on_each_engine, web};
use crate::support::daemon::Daemon;
use crate::support::stream::{Stream, framed};
use crate::support::{SOON, eventually, expect, raw};

// RFC 7766, section 6.2.3, and slowloris.
#[test]
fn clients_that_do_nothing_or_drip_are_closed_in_time() {
    on_each_engine(|world| {
        let (mut silent, mut asked, mut dripping) = (world.client(), world.client(), world.client());
        assert!(asked.ask(&web(1)).is_some());
        let start = Instant::now();
        for octet in framed(&web(2)).into_iter().take(8) {
            if !dripping.send(&[octet]) || dripping.has_ended() {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        dripping.time_to_end();
        let waited = start.elapsed();
        assert!(
            waited > Duration::from_millis(4500) && waited < Duration::from_secs(7),
            "{waited:?}"
        );
        world.await_closed("slow_query", 1);
        assert!(!silent.has_ended() && !asked.has_ended());
        silent.time_to_end();
        asked.time_to_end();
        let waited = start.elapsed();
        assert!(
            waited > Duration::from_millis(9500) && waited < Duration::from_secs(12),
            "{waited:?}"
        );
        world.await_closed("idle", 2);
    });
}

// CVE-2024-8418: one client that held a connection stopped aardvark-dns for all.
#[test]
fn a_client_with_400_idle_connections_keeps_a_few_and_nobody_out() {
    on_each_engine(|world| {
        let mut held: Vec<_> = (0..400).map(|_| world.client()).collect();
        world.assert_others_are_served();
        eventually("the oldest were closed", SOON, || {
            expect(|open| *open <= 32, world.streams().open())
        });
        assert!(held[..300].iter().all(Stream::has_ended));
        let last = held.last_mut().expect("400 of them");
        assert!(last.ask(&web(1)).is_some(), "the newest stay");
        assert_eq!(world.streams().refused, 0);
    });
}

#[test]
fn clients_of_many_addresses_hold_all_places_and_a_newcomer_gets_in() {
    let daemon = Daemon::start(NO_ENGINE);
    let held: Vec<_> = (0..560)
        .map(|number: u16| {
            let [_, host] = (number % 20 + 10).to_be_bytes();
            Stream::from(Ipv4Addr::new(127, 0, 0, host), daemon.dns())
        })
        .collect();
    eventually("all are taken", SOON, || {
        let accepted = daemon.metric("skydock_tcp_connections_accepted_total", "");
        expect(|accepted| *accepted >= 560.0, accepted)
    });
    assert_eq!(daemon.metric("skydock_tcp_connections_open", ""), 512.0);
    let start = Instant::now();
    assert_eq!(daemon.dig("docker SOA +tcp").status, "NOERROR");
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    assert!(start.elapsed() < 2 * AT_ONCE);
    let ended = held.iter().take(49).filter(|client| client.has_ended()).count();
    assert!(ended >= 48, "the oldest gave way: {ended}");
}

#[test]
fn strangers_of_many_addresses_take_no_place_from_those_who_may_ask() {
    on_each_engine(|world| {
        let mut client = world.client();
        assert!(client.ask(&web(1)).is_some());
        let held: Vec<_> = (0..300)
            .map(|number: u16| {
                let [_, host] = (number % 15 + 10).to_be_bytes();
                Stream::from(Ipv4Addr::new(127, 0, 0, host), world.address())
            })
            .collect();
        // Half of the 512 places are open to them, and one of those has the client.
        world.await_closed("displaced", 300 - 255);
        assert_eq!(world.streams().open(), 256);
        assert!(held[..45].iter().all(Stream::has_ended));
        assert!(client.ask(&web(2)).is_some());
        world.assert_others_are_served();
    });
}

#[test]
fn a_client_that_never_reads_is_bounded_and_closed_and_delays_nobody() {
    on_each_engine(|world| {
        let mut greedy = world.client();
        // 640 MB of answers, if they were all made.
        greedy.send(&framed(&big(1)).repeat(400));
        for _ in 0..5 {
            world.assert_others_are_served();
        }
        let before = replies(&world);
        std::thread::sleep(Duration::from_millis(300));
        // What there is for it: two replies with us, and what both kernels hold.
        assert!(replies(&world) - before < 5, "no more is made than fits");
        assert!(replies(&world) < 200, "{}", replies(&world));
        world.await_closed("slow_reader", 1);
    });
}

fn replies(world: &World) -> u64 {
    let counters = world.served.counters();
    counters.tcp().replies().map(|(_, count)| count).sum()
}

#[test]
fn a_client_that_takes_a_little_now_and_then_is_closed_too() {
    on_each_engine(|world| {
        let mut slow = world.client();
        slow.send(&framed(&big(1)).repeat(400));
        let start = Instant::now();
        while world.streams().open() > 0 && start.elapsed() < SOON {
            slow.await_something();
            std::thread::sleep(Duration::from_millis(250));
        }
        world.await_closed("slow_reader", 1);
    });
}

// CVE-2026-35406: such frames and a reset left aardvark-dns at 100 % CPU for ever.
#[test]
fn truncated_frames_and_resets_leave_no_descriptor_and_no_cpu_time_behind() {
    for engine in ["auto", "threads"] {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --engine {engine}"));
        assert_eq!(daemon.dig("docker SOA +tcp").status, "NOERROR");
        let before = descriptors(&daemon);
        for number in 0..100_usize {
            let mut client = Stream::to(daemon.dns());
            let query = framed(&raw::query(1, "docker", 6));
            client.send(&query);
            client.await_something();
            client.send(&query[..number % query.len()]);
            // A reply left unread makes this a reset.
            drop(client);
        }
        // A daemon this young may still open one or two for itself; a hundred clients would leave a hundred.
        eventually("descriptors", SOON, || {
            expect(|open| *open <= before + 5, descriptors(&daemon))
        });
        assert_idle(&daemon);
        assert_eq!(daemon.metric("skydock_tcp_connections_open", ""), 0.0);
        assert_eq!(daemon.dig("docker SOA +tcp").status, "NOERROR");
    }
}

// CVE-2022-0396 (BIND): connections stayed in CLOSE_WAIT for ever.
#[test]
fn clients_that_go_away_in_mid_answer_leave_nothing_behind() {
    on_each_engine(|world| {
        for number in 0..40 {
            let mut client = world.client();
            client.send(&framed(&big(1)).repeat(30));
            client.await_something();
            if number % 2 == 0 {
                client.end();
            }
            drop(client);
        }
        eventually("no connection is left", SOON, || {
            let open = world.streams().open();
            expect(
                |left| *left == (0, 0),
                (open, sockets_of(world.address(), CLOSE_WAIT)),
            )
        });
        world.assert_others_are_served();
    });
}

/// As /proc/net/tcp has it.
const CLOSE_WAIT: &str = "08";

/// How many sockets of loopback with this port and state there are.
fn sockets_of(local: SocketAddr, state: &str) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let place = format!("0100007F:{:04X}", local.port());
    let lines = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|words| words.get(1) == Some(&place.as_str()) && words.get(3) == Some(&state))
        .count()
}
