//! What other servers of containers' names get wrong, each tried here on a real engine; `docs/engine.md` has the list.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use support::container::Container;
use support::daemon::{Daemon, world};
use support::engine;
use support::upstream::Upstream;
use support::{SOON, eventually, expect, raw, unique};

fn own(container: &Container) -> String {
    format!("{}.docker", container.name())
}

#[test]
fn a_name_of_a_container_that_ended_and_a_type_that_nobody_knows_are_never_asked_of_others() {
    let upstream = Upstream::start();
    let Some((engine, daemon)) = world(&format!("--nameserver {}", upstream.address())) else {
        return;
    };
    let container = Container::run(&engine, "ends");
    let name = own(&container);
    daemon.await_answers(&format!("{name} A"), &[&container.address().to_string()]);
    for rtype in ["HTTPS", "SVCB", "MX", "TYPE65280", "CNAME", "AAAA"] {
        let reply = daemon.dig(&format!("{name} {rtype}"));
        assert_eq!(
            (reply.status.as_str(), reply.answer.len()),
            ("NOERROR", 0),
            "{rtype}: {reply:?}"
        );
        assert!(reply.soa().is_some() && reply.has("aa"), "{rtype}: {reply:?}");
    }
    container.docker("stop");
    daemon.await_status(&format!("{name} A"), "NXDOMAIN");
    daemon.await_status(&format!("{name} HTTPS"), "NXDOMAIN");
    drop(container);
    daemon.await_status(&format!("{name} A"), "NXDOMAIN");
    assert_eq!(upstream.asked(), 0);
}

// RFC 4343: names are compared without regard to case.
#[test]
fn a_container_whose_name_has_capitals_is_found_in_any_case() {
    let Some((engine, daemon)) = world("") else { return };
    let name = unique("MixedCase");
    let container = Container::run_image(&engine, &name, engine::BUSYBOX, &[]);
    let address = container.address().to_string();
    for name in [name.clone(), name.to_lowercase(), name.to_uppercase()] {
        daemon.await_answers(&format!("{name}.DoCkEr A"), &[&address]);
        daemon.await_answers(&format!("{name}.ReDiS.dev.docker A"), &[&address]);
    }
}

#[test]
fn the_hosts_resolv_conf_is_as_it_was_while_skydock_runs_and_after_it_was_killed() {
    let Some((engine, daemon)) = world("") else { return };
    let file = std::path::Path::new("/etc/resolv.conf");
    let look = || {
        let changed = std::fs::metadata(file).and_then(|file| file.modified());
        (std::fs::read(file).ok(), changed.ok())
    };
    let before = look();
    let container = Container::run(&engine, "one");
    daemon.await_answers(
        &format!("{} A", own(&container)),
        &[&container.address().to_string()],
    );
    assert_eq!(look(), before);
    daemon.kill();
    assert_eq!(look(), before);
}

#[test]
fn no_query_is_lost_while_plugins_are_read_anew_and_containers_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("plugin.js");
    std::fs::write(&file, "function createService(container) { return {}; }").expect("it is written");
    let Some((engine, daemon)) = world(&format!("--plugins {}", file.display())) else {
        return;
    };
    let container = Container::run(&engine, "asked");
    daemon.await_answers(
        &format!("{} A", own(&container)),
        &[&container.address().to_string()],
    );
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let asker = raw::Asker::of(daemon.dns());
            let packet = raw::query(7, &own(&container), 1);
            let mut replies = 0;
            while !is_over.load(Ordering::Relaxed) {
                let reply = asker.expect_reply(&packet);
                assert_eq!((raw::rcode(&reply), raw::answers(&reply)), (Some(0), 1));
                replies += 1;
            }
            replies
        });
        for _ in 0..5 {
            daemon.signal(Signal::SIGHUP);
            drop(Container::run(&engine, "comes-and-goes"));
        }
        is_over.store(true, Ordering::Relaxed);
        let replies = asking.join().expect("every answer was right");
        assert!(replies > 100, "{replies} replies are no load");
    });
}

// RFC 1035, section 3.3.13: the serial is the version number of the zone. One that goes with the clock would have
// secondaries fetch a zone that has not changed.
#[test]
fn the_serial_of_the_zone_changes_with_what_is_in_it_and_not_with_the_time() {
    // An engine of its own, on which nothing happens but here.
    let Some(engine) = engine::private(&[]) else {
        return;
    };
    let daemon = Daemon::for_engine(&engine, "");
    let serial = || {
        let reply = daemon.dig("docker SOA");
        let serial = reply
            .sorted_answers()
            .first()
            .and_then(|soa| soa.split(' ').nth(2)?.parse::<u32>().ok());
        serial.expect("an SOA record has a serial")
    };
    // The first list of a connection is followed by another.
    std::thread::sleep(Duration::from_millis(1500));
    let before = serial();
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(serial(), before);
    engine.docker(&[
        "run",
        "--detach",
        "--name",
        "new",
        "--stop-signal",
        "KILL",
        engine::BUSYBOX,
    ]);
    let after = eventually("another serial", SOON, || {
        expect(|now: &u32| *now != before, serial())
    });
    assert!(
        after.wrapping_sub(before) < 1 << 31,
        "RFC 1982: {before} is before {after}"
    );
}
