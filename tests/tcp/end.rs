//! Descriptors that are not there, ports that others have, and how a server stops.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{NO_ENGINE, World, big, ids, on_each_engine, web};
use crate::support::daemon::{Daemon, binary, run_command, words};
use crate::support::dig::Reply;
use crate::support::stream::{Stream, framed};
use crate::support::{SOON, eventually, expect, ports, raw};

#[test]
fn without_descriptors_accepting_pauses_without_spinning_and_goes_on_after() {
    for engine in ["auto", "threads"] {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --engine {engine}"));
        // Before the last worker runs, descriptors are wanted for starting it.
        assert_eq!(daemon.get("/health").0, 200);
        assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
        let asker = raw::Asker::of(daemon.dns());
        let limit = descriptors(&daemon) + 6;
        set_descriptors_max(&daemon, limit);
        // All busy with a query, so none can give way; only half of them find a descriptor.
        let mut held: Vec<_> = (0..12).map(|_| Stream::to(daemon.dns())).collect();
        for client in &mut held {
            client.send(&framed(&raw::query(1, "docker", 6))[..10]);
        }
        std::thread::sleep(Duration::from_millis(300));
        assert_idle(&daemon);
        let reply = asker.ask(&raw::query(2, "docker", 6));
        assert_eq!(reply.as_deref().and_then(raw::rcode), Some(0), "UDP goes on");
        drop(held);
        eventually("it accepts again", SOON, || {
            expect(
                |reply: &Reply| reply.status == "NOERROR",
                daemon.dig("docker SOA +tcp"),
            )
        });
    }
}

#[test]
fn a_stop_answers_what_was_asked_and_ends_every_connection() {
    on_each_engine(|world| {
        world.upstream.set_silent(true);
        let (mut idle, mut waiting, mut asking) = (world.client(), world.client(), world.client());
        assert!(idle.ask(&web(1)).is_some());
        waiting.send(&framed(&raw::query(2, "example.com", 1)));
        eventually("the upstream was asked", SOON, || {
            expect(|asked| *asked > 0, world.upstream.asked())
        });
        let mut greedy = world.client();
        greedy.send(&framed(&big(3)).repeat(50));
        asking.send(&(0..100).flat_map(|id| framed(&web(id))).collect::<Vec<_>>());
        let (
            address,
            World {
                served,
                upstream: _silent,
            },
        ) = (world.address(), world);
        let start = Instant::now();
        drop(served);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(ids(&mut asking, 100), (0..100).collect::<Vec<_>>());
        assert_eq!(asking.receive(), None);
        assert_eq!(idle.receive(), None);
        assert_eq!(
            waiting.receive().as_deref().and_then(raw::rcode),
            Some(2),
            "SERVFAIL"
        );
        assert_eq!(waiting.receive(), None);
        drop(greedy);
        // The port is free again, whatever lingers.
        dataplane::bind(address, 1).expect("the same address");
    });
}

#[test]
fn a_daemon_with_connections_in_every_state_stops_in_time_and_well() {
    for engine in ["auto", "threads"] {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --engine {engine}"));
        let (idle, mut partial, mut gone) = (
            Stream::to(daemon.dns()),
            Stream::to(daemon.dns()),
            Stream::to(daemon.dns()),
        );
        partial.send(&[0, 30, 1]);
        gone.send(&framed(&raw::query(1, "docker", 6)).repeat(100));
        drop(gone);
        daemon.stop();
        assert!(idle.has_ended());
    }
}

#[test]
fn an_address_held_for_tcp_alone_is_not_taken_and_its_holder_is_named() {
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = holder.local_addr().expect("its address");
    let line = format!("--listen {address} --http {} {NO_ENGINE}", ports::free());
    let (exit, _, error) = run_command(binary().args(words(&line)));
    assert_eq!(exit, Some(1));
    for part in [
        format!("{address} (TCP) is held by"),
        format!("pid {}", std::process::id()),
    ] {
        assert!(error.contains(&part), "{part:?} is missing in: {error}");
    }
}

pub(super) fn descriptors(daemon: &Daemon) -> usize {
    let directory = PathBuf::from(format!("/proc/{}/fd", daemon.pid()));
    directory.read_dir().expect("our child's descriptors").count()
}

fn set_descriptors_max(daemon: &Daemon, limit: usize) {
    let status = Command::new("prlimit")
        .args([
            format!("--pid={}", daemon.pid()),
            format!("--nofile={limit}:{limit}"),
        ])
        .status();
    assert!(status.expect("prlimit starts (package util-linux)").success());
}

/// The daemon uses next to no CPU time for half a second.
pub(super) fn assert_idle(daemon: &Daemon) {
    let cpu = || {
        let tasks = PathBuf::from(format!("/proc/{}/task", daemon.pid()));
        let tasks = tasks.read_dir().expect("our child's threads").flatten();
        let times = tasks.filter_map(|task| {
            let line = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            line.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(times.sum())
    };
    eventually("it is idle", SOON, || {
        let before = cpu();
        std::thread::sleep(Duration::from_millis(500));
        expect(
            |used| *used < Duration::from_millis(25),
            cpu().saturating_sub(before),
        )
    });
}
