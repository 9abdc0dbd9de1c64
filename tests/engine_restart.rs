//! An engine that goes away and comes back, while questions keep coming.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::daemon::Daemon;
use support::engine::{self, BUSYBOX, Engine};
use support::{SOON, eventually, raw, unique};

const REDIS: &str = "redis.dev.docker";
/// How long the engine stays away: several tries to reconnect.
const AWAY: Duration = Duration::from_millis(1500);

/// Asks for `name` without pause while `during` runs; every reply must be NOERROR with one answer.
///
/// Gives the number of replies.
fn under_load(daemon: &Daemon, name: &str, during: impl FnOnce()) -> u64 {
    let (stop, replies) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let asker = raw::Asker::of(daemon.dns());
            let packet = raw::query(7, name, 1);
            while !stop.load(Ordering::Relaxed) {
                // No query is left without a reply.
                let reply = asker.expect_reply(&packet);
                let seen = (raw::rcode(&reply), raw::answers(&reply));
                assert_eq!(
                    seen,
                    (Some(0), 1),
                    "rcode and answers, after {replies:?} good ones"
                );
                replies.fetch_add(1, Ordering::Relaxed);
            }
        });
        during();
        stop.store(true, Ordering::Relaxed);
        asking.join().expect("every answer was right");
    });
    replies.into_inner()
}

/// The daemon has noticed that the engine is away, and said so once.
fn await_away(daemon: &Daemon) {
    eventually("the engine reported away", SOON, || {
        support::expect(|up| *up == 0.0, daemon.metric("skydock_engine_connected", ""))
    });
}

fn await_back(daemon: &Daemon) {
    eventually("the engine reported back", SOON, || {
        support::expect(|up| *up == 1.0, daemon.metric("skydock_engine_connected", ""))
    });
}

/// What runs according to the engine is what we answer, and nothing else.
fn assert_equal_to_list(engine: &Engine, daemon: &Daemon) {
    let running = engine.docker(&["ps", "--quiet"]);
    let mut addresses: Vec<_> = running
        .split_whitespace()
        .map(|id| engine.docker(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", id]))
        .collect();
    addresses.sort();
    eventually("answers equal to the engine's list", SOON, || {
        support::expect(
            |answers| *answers == addresses,
            daemon.dig("dev.docker A").sorted_answers(),
        )
    });
}

#[test]
fn answers_stay_right_while_a_killed_engine_is_away_and_after_its_return() {
    // --live-restore keeps containers through the engine's return, so their names have no reason to go at any time.
    let Some(mut engine) = engine::private(&["--live-restore"]) else {
        return;
    };
    let daemon = Daemon::for_engine(&engine, "");
    let name = unique("stays");
    let names = [name.clone(), unique("dies"), unique("other")];
    // The engine takes its containers along, so nothing stands for them here.
    for name in &names {
        engine.docker(&[
            "run",
            "--detach",
            "--name",
            name,
            "--stop-signal",
            "KILL",
            BUSYBOX,
        ]);
    }
    let question = format!("{name}.{REDIS}");
    eventually("the first answer", SOON, || {
        support::expect(|status| status == "NOERROR", daemon.dig(&question).status)
    });

    let replies = under_load(&daemon, &question, || {
        engine.kill();
        await_away(&daemon);
        std::thread::sleep(AWAY);
        engine.start(&["--live-restore"]);
        await_back(&daemon);
        engine.docker(&["stop", &names[1]]);
        engine.docker(&["run", "--detach", "--name", &unique("comes"), BUSYBOX]);
        assert_equal_to_list(&engine, &daemon);
    });
    assert!(replies > 1000, "{replies} replies are no load");
    daemon.await_status(&format!("{}.{REDIS} A", names[1]), "NXDOMAIN");
}

/// Starts one container that is not to be restarted and one that always is, and waits for their names.
fn run_once_and_always(engine: &Engine, daemon: &Daemon) -> (String, String) {
    let (once, always) = (unique("once"), unique("always"));
    engine.docker(&[
        "run",
        "--detach",
        "--name",
        &once,
        "--stop-signal",
        "KILL",
        BUSYBOX,
    ]);
    engine.docker(&[
        "run",
        "--detach",
        "--name",
        &always,
        "--stop-signal",
        "KILL",
        "--restart",
        "always",
        BUSYBOX,
    ]);
    for name in [&once, &always] {
        let question = format!("{name}.{REDIS} A");
        eventually(&question, SOON, || {
            support::expect(|status| status == "NOERROR", daemon.dig(&question).status)
        });
    }
    (once, always)
}

#[test]
fn names_of_what_an_engine_takes_down_with_it_stay_until_it_can_say_so() {
    let Some(mut engine) = engine::private(&[]) else {
        return;
    };
    let daemon = Daemon::for_engine(&engine, "");
    let (once, always) = run_once_and_always(&engine, &daemon);

    under_load(&daemon, &format!("{once}.{REDIS}"), || {
        // Killed, it says nothing, and its containers run on.
        engine.kill();
        await_away(&daemon);
        std::thread::sleep(AWAY);
    });
    // Without --live-restore it ends at its start what still runs, and starts what is to restart always.
    engine.start(&[]);
    await_back(&daemon);
    daemon.await_status(&format!("{once}.{REDIS} A"), "NXDOMAIN");
    assert_equal_to_list(&engine, &daemon);
    assert_eq!(daemon.dig(&format!("{always}.{REDIS} A")).status, "NOERROR");
}

#[test]
fn an_engine_that_is_stopped_and_started_is_followed() {
    let Some(mut engine) = engine::private(&[]) else {
        return;
    };
    let daemon = Daemon::for_engine(&engine, "");
    let (once, always) = run_once_and_always(&engine, &daemon);
    engine.stop();
    await_away(&daemon);
    assert_eq!(daemon.get("/health").0, 200);
    // It was ready once, and what it knows is still served: a load balancer has no reason to take it out.
    assert_eq!(daemon.get("/ready").0, 200);
    engine.start(&[]);
    let started = Instant::now();
    await_back(&daemon);
    assert_equal_to_list(&engine, &daemon);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?} to follow");
    assert_eq!(daemon.dig(&format!("{once}.{REDIS} A")).status, "NXDOMAIN");
    assert_eq!(daemon.dig(&format!("{always}.{REDIS} A")).status, "NOERROR");
}

#[test]
fn an_engine_that_hangs_holds_up_neither_start_nor_answers_nor_stop() {
    let Some(mut engine) = engine::private(&[]) else {
        return;
    };
    let name = unique("known");
    engine.docker(&["run", "--detach", "--name", &name, BUSYBOX]);
    let knows = Daemon::for_engine(&engine, "");
    engine.freeze();
    let knows_nothing = Daemon::start(&format!("--docker {}", engine.host()));
    assert_eq!(knows.dig(&format!("{name}.{REDIS} A")).status, "NOERROR");
    assert_eq!(knows_nothing.dig("docker SOA").status, "NOERROR");
    assert_eq!(knows_nothing.get("/ready").0, 503);
    knows.stop();
    knows_nothing.stop();

    let waits = Daemon::start(&format!("--docker {}", engine.host()));
    engine.thaw();
    waits.await_ready();
    assert_equal_to_list(&engine, &waits);
}

#[test]
fn an_engine_that_comes_after_skydock_is_found() {
    let Some(mut engine) = engine::private(&[]) else {
        return;
    };
    let name = unique("late");
    engine.docker(&["run", "--detach", "--name", &name, "--restart", "always", BUSYBOX]);
    engine.kill();
    let daemon = Daemon::start(&format!("--docker {}", engine.host()));
    assert_eq!(daemon.get("/ready").0, 503);
    assert_eq!(daemon.dig(&format!("{name}.{REDIS} A")).status, "NXDOMAIN");
    engine.start(&[]);
    daemon.await_ready();
    assert_equal_to_list(&engine, &daemon);
}
