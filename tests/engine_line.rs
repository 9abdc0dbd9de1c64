//! From a container that starts, stops or changes to the answer of its name.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use support::container::{Container, Network};
use support::daemon::Daemon;
use support::engine::{self, Engine};
use support::{SOON, eventually, raw, unique};

/// The service that the harness's image stands for.
const REDIS: &str = "redis.dev.docker";

/// An engine and a daemon that watches it.
fn world() -> Option<(Arc<Engine>, Daemon)> {
    let engine = engine::shared()?;
    let daemon = Daemon::for_engine(&engine, "");
    Some((engine, daemon))
}

#[test]
fn a_container_that_starts_is_answered_under_all_its_names() {
    let Some((engine, daemon)) = world() else { return };
    let container = Container::run(&engine, "redis");
    let (name, address) = (container.name(), container.address().to_string());
    daemon.await_answers(&format!("{name}.{REDIS} A"), &[&address]);
    for shorter in [format!("{name}.docker"), format!("{}.docker", container.uuid())] {
        let reply = daemon.dig(&format!("{shorter} A"));
        assert_eq!(reply.sorted_answers(), [address.as_str()], "{shorter}: {reply:?}");
    }
    for shared in [REDIS, "dev.docker"] {
        let reply = daemon.dig(&format!("{shared} A"));
        assert!(reply.sorted_answers().contains(&address), "{shared}: {reply:?}");
    }
}

#[test]
fn an_answer_has_the_flags_the_ttl_and_the_owner_that_it_should() {
    let Some((engine, daemon)) = world() else { return };
    let container = Container::run(&engine, "redis");
    let name = format!("{}.{REDIS}", container.name());
    daemon.await_answers(&format!("{name} A"), &[&container.address().to_string()]);
    let reply = daemon.dig(&format!("{name} A"));
    assert_eq!(reply.flags, ["qr", "aa", "rd", "ra"]);
    assert_eq!(reply.edns, Some(1232));
    assert!(
        reply
            .answer
            .iter()
            .all(|record| record.owner == name && record.ttl == 30),
        "{reply:?}"
    );
    let plain = daemon.dig(&format!("{name} A +noedns"));
    assert_eq!((plain.status.as_str(), plain.edns), ("NOERROR", None));
}

#[test]
fn a_container_that_stops_is_gone() {
    let Some((engine, daemon)) = world() else { return };
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
    let Some((engine, daemon)) = world() else {
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
fn a_container_that_joins_and_leaves_a_network_keeps_its_primary_address_for_who_is_on_neither() {
    let Some((engine, daemon)) = world() else {
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
    let Some((engine, daemon)) = world() else {
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
fn a_container_that_is_killed_is_gone() {
    let Some((engine, daemon)) = world() else { return };
    let container = Container::run(&engine, "redis");
    let question = format!("{}.{REDIS} A", container.name());
    daemon.await_answers(&question, &[&container.address().to_string()]);
    container.docker("kill");
    daemon.await_status(&question, "NXDOMAIN");
}

#[test]
fn a_signal_that_ends_nothing_withdraws_nothing() {
    let Some((engine, daemon)) = world() else { return };
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
fn a_renamed_container_has_its_new_name_and_loses_the_old() {
    let Some((engine, daemon)) = world() else { return };
    let mut container = Container::run(&engine, "before");
    let address = container.address().to_string();
    let before = format!("{}.{REDIS} A", container.name());
    daemon.await_answers(&before, &[&address]);
    container.rename(&unique("after"));
    daemon.await_answers(&format!("{}.{REDIS} A", container.name()), &[&address]);
    daemon.await_status(&before, "NXDOMAIN");
}

#[test]
fn a_restarted_container_is_answered_with_the_address_it_has_then() {
    let Some((engine, daemon)) = world() else { return };
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
fn a_paused_container_leaves_and_comes_back() {
    let Some((engine, daemon)) = world() else { return };
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
fn two_replicas_share_a_service_name_and_take_turns() {
    let Some((engine, daemon)) = world() else { return };
    let service = unique("web");
    // Registry, port, repository and tag are no part of the service's name.
    let image = format!("registry.example:5000/team/{service}:1.27");
    engine.tag(&image);
    let replicas = [unique("a"), unique("b")].map(|name| Container::run_image(&engine, &name, &image, &[]));
    let addresses = replicas.each_ref().map(|replica| replica.address().to_string());
    let question = format!("{service}.dev.docker A");
    daemon.await_answers(&question, &addresses.each_ref().map(String::as_str));
    let mut first = HashSet::new();
    eventually("both replicas in the first place", SOON, || {
        first.extend(daemon.dig(&question).addresses().first().copied());
        support::expect(|seen: &usize| *seen == 2, first.len())
    });
    replicas[0].docker("stop");
    daemon.await_answers(&question, &[&addresses[1]]);
}

#[test]
fn wildcard_labels_match_any_label() {
    let Some((engine, daemon)) = world() else { return };
    let container = Container::run(&engine, "redis");
    let (name, address) = (container.name(), container.address().to_string());
    daemon.await_answers(&format!("{name}.*.dev.docker A"), &[&address]);
    for word in ["*", "any", "all"] {
        for question in [
            format!("{name}.{word}.{word}.docker"),
            format!("{name}.redis.{word}.docker"),
        ] {
            let reply = daemon.dig(&format!("{question} A"));
            assert_eq!(
                reply.sorted_answers(),
                [address.as_str()],
                "{question}: {reply:?}"
            );
            assert!(
                reply.answer.iter().all(|record| record.owner == question),
                "{reply:?}"
            );
        }
        let reply = daemon.dig(&format!("{word}.redis.dev.docker A"));
        assert!(reply.sorted_answers().contains(&address), "{reply:?}");
    }
    let reply = daemon.dig(&format!("{name}.*.elsewhere.docker A"));
    assert_eq!(reply.status, "NXDOMAIN", "{reply:?}");
}

#[test]
fn srv_has_the_port_and_the_address_of_its_target() {
    let Some((engine, daemon)) = world() else { return };
    let container = Container::run(&engine, "redis");
    let (name, address) = (container.name(), container.address().to_string());
    daemon.await_answers(&format!("{name}.{REDIS} A"), &[&address]);
    let reply = daemon.dig(&format!("{name}.{REDIS} SRV"));
    let target = format!("{}.docker", container.uuid());
    assert_eq!(
        reply.sorted_answers(),
        [format!("10 100 6379 {target}.")],
        "{reply:?}"
    );
    let additional: Vec<_> = reply
        .additional
        .iter()
        .map(|it| (it.owner.as_str(), it.data.as_str()))
        .collect();
    assert_eq!(additional, [(target.as_str(), address.as_str())]);
}

#[test]
fn the_address_leads_back_to_the_name() {
    let Some((engine, daemon)) = world() else { return };
    let container = Container::run(&engine, "redis");
    daemon.await_answers(
        &format!("-x {}", container.address()),
        &[&format!("{}.{REDIS}.", container.name())],
    );
}

// RFC 2308, section 2.2: NODATA is "NOERROR and no relevant answers in the answer section".
#[test]
fn aaaa_of_a_container_without_ipv6_is_nodata_with_the_soa() {
    let Some((engine, daemon)) = world() else { return };
    let container = Container::run(&engine, "redis");
    let name = format!("{}.{REDIS}", container.name());
    daemon.await_answers(&format!("{name} A"), &[&container.address().to_string()]);
    for name in [
        name,
        format!("{}.docker", container.name()),
        format!("{}.docker", container.uuid()),
    ] {
        let reply = daemon.dig(&format!("{name} AAAA"));
        assert_eq!(reply.status, "NOERROR", "{name}: {reply:?}");
        assert!(reply.answer.is_empty() && reply.has("aa"), "{name}: {reply:?}");
        assert_eq!(
            reply.soa().map(|soa| soa.owner.as_str()),
            Some("docker"),
            "{name}: {reply:?}"
        );
    }
}

#[test]
fn an_unknown_name_is_nxdomain_with_the_soa() {
    let Some((_engine, daemon)) = world() else { return };
    for name in [
        "nobody.redis.dev.docker",
        "nobody.docker",
        "x.a.b.c.d.e.dev.docker",
    ] {
        let reply = daemon.dig(&format!("{name} A"));
        assert_eq!(reply.status, "NXDOMAIN", "{name}: {reply:?}");
        assert!(reply.has("aa") && reply.soa().is_some(), "{name}: {reply:?}");
    }
}

#[test]
fn what_happened_while_skydock_was_down_is_known_after_its_start() {
    let Some((engine, daemon)) = world() else { return };
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
    let Some((engine, daemon)) = world() else { return };
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

#[test]
fn a_container_without_a_network_address_has_no_names() {
    let Some((engine, daemon)) = world() else { return };
    let name = unique("alone");
    let _alone = Container::run_image(&engine, &name, engine::BUSYBOX, &["--network", "none"]);
    let marker = Container::run(&engine, "marker");
    // What came later is there, so this one would be.
    daemon.await_answers(
        &format!("{}.{REDIS} A", marker.name()),
        &[&marker.address().to_string()],
    );
    assert_eq!(daemon.dig(&format!("{name}.{REDIS} A")).status, "NXDOMAIN");
}

#[test]
fn environment_domain_and_ttl_are_those_of_the_command_line() {
    let Some(engine) = engine::shared() else { return };
    let daemon = Daemon::for_engine(&engine, "--environment Prod --domain corp.test --ttl 5");
    let container = Container::run(&engine, "redis");
    let question = format!("{}.redis.prod.corp.test A", container.name());
    daemon.await_answers(&question, &[&container.address().to_string()]);
    assert!(daemon.dig(&question).answer.iter().all(|record| record.ttl == 5));
}

/// From the time that the engine gives its event to the first answer, by this host's clock both.
#[test]
fn a_start_is_answered_soon_after_the_engine_tells_of_it() {
    /// Ten times and more what it takes, for a machine that compiles meanwhile.
    const BOUND: Duration = Duration::from_millis(500);
    let Some((engine, daemon)) = world() else {
        return;
    };
    let asker = raw::Asker::of(daemon.dns());
    let mut took = Vec::new();
    for _ in 0..5 {
        let name = unique("timed");
        engine.docker(&[
            "create",
            "--name",
            &name,
            "--stop-signal",
            "KILL",
            engine::BUSYBOX,
        ]);
        let packet = raw::query(1, &format!("{name}.{REDIS}"), 1);
        let answered = std::thread::scope(|scope| {
            let answered = scope.spawn(|| {
                eventually("an answer", SOON, || {
                    let reply = asker.ask(&packet).ok_or("silence")?;
                    support::expect(|answers| *answers == 1, raw::answers(&reply)).map(|_| SystemTime::now())
                })
            });
            engine.docker(&["start", &name]);
            answered.join().expect("it was answered")
        });
        let told = UNIX_EPOCH + Duration::from_nanos(start_event_ns(&engine, &name));
        engine.docker(&["rm", "--force", &name]);
        took.push(answered.duration_since(told).unwrap_or_default());
    }
    assert!(
        took.iter().all(|took| *took < BOUND),
        "from event to answer: {took:?}"
    );
}

/// When the container was started, in nanoseconds since 1970, as the engine's event has it.
fn start_event_ns(engine: &Engine, name: &str) -> u64 {
    let until = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock that was set")
        .as_secs()
        + 1;
    let (until, container) = (until.to_string(), format!("container={name}"));
    let mut arguments = vec![
        "events",
        "--since",
        "1",
        "--until",
        &until,
        "--format",
        "{{.TimeNano}}",
    ];
    arguments.extend(["--filter", "event=start", "--filter", &container]);
    let event = engine.docker(&arguments);
    event
        .parse()
        .unwrap_or_else(|_| unreachable!("one start event of {name}, but {event:?}"))
}
