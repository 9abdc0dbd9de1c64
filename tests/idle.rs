//! Without queries the daemon sleeps: no thread of it polls.

mod support;

use std::thread::sleep;
use std::time::Duration;

use harness::engine::Engine;
use harness::world::World;
use support::daemon::Daemon;
use support::threads::sleeps;
use tempfile::TempDir;

/// How long it is watched.
const WATCH: Duration = Duration::from_secs(3);
/// Times that it may wake up, each second and core.
const WAKE_UPS_PER_SECOND_MAX: u64 = 10;
/// How often it is watched: at a start, or on a machine full of other work, something may be done once.
const WATCHES_MAX: usize = 4;

fn check(engine: &str) {
    let directory = TempDir::new().expect("a directory");
    let containers = Engine::start(World::new(10), &directory.path().join("docker.sock")).expect("an engine");
    let daemon = Daemon::start(&format!("--docker {} --engine {engine}", containers.endpoint()));
    daemon.await_ready();
    let cores = dataplane::cores::select(None).expect("cores").len() as u64;
    let most = WAKE_UPS_PER_SECOND_MAX * cores * WATCH.as_secs();
    let mut seen = Vec::new();
    for _ in 0..WATCHES_MAX {
        let before = sleeps(daemon.pid());
        sleep(WATCH);
        let woken: Vec<_> = sleeps(daemon.pid())
            .into_iter()
            .map(|(thread, after)| {
                let woken = after - before.get(&thread).copied().unwrap_or(0);
                (thread, woken)
            })
            .filter(|(_, woken)| *woken > 0)
            .collect();
        if woken.iter().map(|(_, woken)| woken).sum::<u64>() < most {
            return;
        }
        seen.push(woken);
    }
    unreachable!("with {engine} it woke up {most} times or more in each {WATCH:?}: {seen:#?}");
}

#[test]
fn an_idle_daemon_wakes_up_less_than_ten_times_a_second_for_each_core_with_io_uring() {
    check("auto");
}

#[test]
fn an_idle_daemon_wakes_up_less_than_ten_times_a_second_for_each_core_with_threads() {
    check("threads");
}
