//! What becomes of a container is what becomes of its names.

use std::time::{Duration, Instant};

use crate::REDIS;
use crate::support::container::{Container, Network};
use crate::support::daemon::{Daemon, world};
use crate::support::{self, SOON, engine, eventually, unique};

#[test]
fn a_container_that_stops_is_gone() {
    let Some((engine, daemon)) = world("") else { return };
    let container = Container::run(&engine, "redis");
    let question = format!("{}.{REDIS} A", container.name());
    daemon.await_answers(&question, &[&container.address().to_string()]);
    container.docker("stop");
    daemon.await_status(&question, "NXDOMAIN");
}

/// Peers need not ask a container that has been told to go and takes its time.
#[test]
fn a_container_that_is_being_stopped_leaves_at_the_signal_and_not_when_it_ends() {
    /// What milliseconds become on a machine that compiles meanwhile. The engine waits for much longer.
    const BOUND: Duration = Duration::from_millis(1500);
    let Some((engine, daemon)) = world("") else {
        return;
    };
    // Process 1 of a container takes no SIGTERM that it has no handler for.
    let stubborn = ["--stop-signal", "TERM"];
    let container = Container::run_image(&engine, &unique("slow"), engine::BUSYBOX, &stubborn);
    let question = format!("{}.{REDIS} A", container.name());
    daemon.await_answers(&question, &[&container.address().to_string()]);
    std::thread::scope(|scope| {
        let started = Instant::now();
        let stop = scope.spawn(|| container.docker("stop --time 5"));
        daemon.await_status(&question, "NXDOMAIN");
        let took = started.elapsed();
        assert!(
            container.is_running() && !stop.is_finished(),
            "the name went with the process"
        );
        assert!(took < BOUND, "it took {took:?} to withdraw the name");
    });
}

#[test]
fn a_container_that_is_killed_is_gone() {
    let Some((engine, daemon)) = world("") else { return };
    let container = Container::run(&engine, "redis");
    let question = format!("{}.{REDIS} A", container.name());
    daemon.await_answers(&question, &[&container.address().to_string()]);
    container.docker("kill");
    daemon.await_status(&question, "NXDOMAIN");
}

#[test]
fn a_signal_that_ends_nothing_withdraws_nothing() {
    let Some((engine, daemon)) = world("") else { return };
    let container = Container::run(&engine, "redis");
    let question = format!("{}.{REDIS} A", container.name());
    let address = container.address().to_string();
    daemon.await_answers(&question, &[&address]);
    container.docker("kill --signal HUP");
    // The event is long there when the client returns; half a second would show a withdrawal that comes late.
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(500) {
        let reply = daemon.dig(&question);
        assert_eq!(reply.sorted_answers(), [address.as_str()], "{reply:?}");
    }
}

#[test]
fn a_paused_container_leaves_and_comes_back() {
    let Some((engine, daemon)) = world("") else { return };
    let container = Container::run(&engine, "redis");
    let question = format!("{}.{REDIS} A", container.name());
    let address = container.address().to_string();
    daemon.await_answers(&question, &[&address]);
    container.docker("pause");
    daemon.await_status(&question, "NXDOMAIN");
    container.docker("unpause");
    daemon.await_answers(&question, &[&address]);
}

#[test]
fn a_restarted_container_is_answered_with_the_address_it_has_then() {
    let Some((engine, daemon)) = world("") else { return };
    let container = Container::run(&engine, "redis");
    let question = format!("{}.{REDIS} A", container.name());
    daemon.await_answers(&question, &[&container.address().to_string()]);
    // Somebody else takes the address meanwhile.
    container.docker("stop");
    let squatter = Container::run(&engine, "squatter");
    container.docker("start");
    assert_ne!(container.address(), squatter.address());
    daemon.await_answers(&question, &[&container.address().to_string()]);
    container.docker("restart");
    daemon.await_answers(&question, &[&container.address().to_string()]);
    daemon.await_answers(
        &format!("{}.{REDIS} A", squatter.name()),
        &[&squatter.address().to_string()],
    );
}

#[test]
fn a_renamed_container_has_its_new_name_and_loses_the_old() {
    let Some((engine, daemon)) = world("") else { return };
    let mut container = Container::run(&engine, "before");
    let address = container.address().to_string();
    let before = format!("{}.{REDIS} A", container.name());
    daemon.await_answers(&before, &[&address]);
    container.rename(&unique("after"));
    daemon.await_answers(&format!("{}.{REDIS} A", container.name()), &[&address]);
    daemon.await_status(&before, "NXDOMAIN");
}

#[test]
fn a_container_that_joins_and_leaves_a_network_keeps_its_primary_address_for_who_is_on_neither() {
    let Some((engine, daemon)) = world("") else {
        return;
    };
    let network = unique("net");
    let Some(_network) = Network::make(&engine, &network) else {
        return;
    };
    let container = Container::run(&engine, "redis");
    let question = format!("{}.{REDIS} A", container.name());
    let first = container.address().to_string();
    daemon.await_answers(&question, &[&first]);
    container.connect(&network);
    let second = container.address_on(&network).to_string();
    // Its reverse name tells when that is known.
    let name = format!("{}.{REDIS}.", container.name());
    daemon.await_answers(&format!("-x {second}"), &[&name]);
    daemon.await_answers(&question, &[&first]);
    container.disconnect(&network);
    daemon.await_status(&format!("-x {second}"), "NXDOMAIN");
    daemon.await_answers(&question, &[&first]);
}

/// The list at the end is what counts, however events of a burst overtake each other.
#[test]
fn a_burst_of_starts_and_ends_leaves_exactly_what_runs() {
    const CONTAINERS: usize = 12;
    let Some((engine, daemon)) = world("") else {
        return;
    };
    let image = unique("burst");
    engine.tag(&image);
    let containers: Vec<_> = std::thread::scope(|scope| {
        let run = || {
            let container = Container::run_image(&engine, &unique("one"), &image, &[]);
            container.docker("restart");
            container
        };
        let running: Vec<_> = (0..CONTAINERS).map(|_| scope.spawn(run)).collect();
        running
            .into_iter()
            .map(|it| it.join().expect("it runs"))
            .collect()
    });
    let addresses: Vec<_> = containers.iter().map(|it| it.address().to_string()).collect();
    let question = format!("{image}.dev.docker A");
    daemon.await_answers(
        &question,
        &addresses.iter().map(String::as_str).collect::<Vec<_>>(),
    );

    let (stays, goes) = containers.split_at(CONTAINERS / 2);
    std::thread::scope(|scope| {
        for container in goes {
            scope.spawn(|| container.docker("kill"));
        }
    });
    let addresses: Vec<_> = stays.iter().map(|it| it.address().to_string()).collect();
    daemon.await_answers(
        &question,
        &addresses.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn what_happened_while_skydock_was_down_is_known_after_its_start() {
    let Some((engine, daemon)) = world("") else { return };
    let dies = Container::run(&engine, "dies");
    let stays = Container::run(&engine, "stays");
    daemon.await_answers(
        &format!("{}.{REDIS} A", dies.name()),
        &[&dies.address().to_string()],
    );
    daemon.stop();

    let comes = Container::run(&engine, "comes");
    dies.docker("stop");
    let daemon = Daemon::for_engine(&engine, "");
    // It was ready, so all of this holds from the first question on.
    for container in [&stays, &comes] {
        let reply = daemon.dig(&format!("{}.{REDIS} A", container.name()));
        assert_eq!(
            reply.sorted_answers(),
            [container.address().to_string()],
            "{reply:?}"
        );
    }
    assert_eq!(
        daemon.dig(&format!("{}.{REDIS} A", dies.name())).status,
        "NXDOMAIN"
    );
}

#[test]
fn a_name_that_comes_or_goes_is_a_line_in_the_log() {
    let Some((engine, daemon)) = world("") else { return };
    let container = Container::run(&engine, "logged");
    let name = format!("{}.{REDIS}", container.name());
    let address = container.address().to_string();
    let lines = |daemon: &Daemon| daemon.log().lines().filter(|line| line.contains(&name)).count();
    eventually("a line about the name", SOON, || {
        support::expect(
            |log: &String| {
                log.lines()
                    .any(|line| line.contains(&name) && line.contains(&address))
            },
            daemon.log(),
        )
    });
    assert_eq!(lines(&daemon), 1, "{}", daemon.log());
    container.docker("stop");
    eventually("one more line about it", SOON, || {
        support::expect(|lines| *lines == 2, lines(&daemon))
    });
}
