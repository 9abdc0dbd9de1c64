//! A storm of containers that start, stop, are renamed and removed: what we answer then is what the engine says.

mod support;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::daemon::Daemon;
use support::engine::{self, BUSYBOX, Engine};
use support::{eventually, raw, unique};

/// Containers of the storm. Most have their address from a label instead of a network, which takes the engine a fraction
/// of the time and changes nothing for us.
const CONTAINERS: usize = 300;
/// Clients of the engine at work at once.
const CLIENTS: usize = 8;
/// How long what is answered may take to become what is true, once the storm is over. A container that died is looked at
/// again after a second.
const SETTLING_MAX: Duration = Duration::from_secs(20);

/// What happens to container number `number`; gives all names that it ever had.
fn live(engine: &Engine, stem: &str, number: usize) -> Vec<String> {
    let name = format!("{stem}-{number}");
    let label = format!("skydock.ip=10.99.{}.{}", number / 250, number % 250 + 1);
    let mut words = vec!["run", "--detach", "--name", &name, "--stop-signal", "KILL"];
    if !number.is_multiple_of(10) {
        words.extend(["--network", "none", "--label", &label]);
    }
    words.push(BUSYBOX);
    engine.docker(&words);
    let renamed = format!("{name}-again");
    match number % 5 {
        0 => {}
        1 => drop(engine.docker(&["kill", &name])),
        2 => drop(engine.docker(&["rm", "--force", &name])),
        3 => drop(engine.docker(&["rename", &name, &renamed])),
        _ => {
            engine.docker(&["kill", &name]);
            engine.docker(&["start", &name]);
        }
    }
    vec![name, renamed]
}

/// What runs, as the engine says: addresses by name.
fn running(engine: &Engine) -> BTreeMap<String, Ipv4Addr> {
    let ids = engine.docker(&["ps", "--quiet"]);
    let format = "{{.Name}} {{with index .Config.Labels \"skydock.ip\"}}{{.}}{{else}}\
                  {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}{{end}}";
    let mut words = vec!["inspect", "--format", format];
    words.extend(ids.split_whitespace());
    let lines = engine.docker(&words);
    let line = |line: &str| {
        let (name, address) = line.split_once(' ')?;
        Some((name.trim_start_matches('/').to_owned(), address.parse().ok()?))
    };
    lines.lines().filter_map(line).collect()
}

/// The addresses that a name is answered with; none where it does not exist.
fn answered(asker: &raw::Asker, name: &str) -> Option<Ipv4Addr> {
    let reply = asker.expect_reply(&raw::query(7, name, 1));
    let last: [u8; 4] = *reply.last_chunk().expect("a reply has a header");
    (raw::answers(&reply) == 1).then(|| Ipv4Addr::from(last))
}

#[test]
fn after_a_storm_what_is_answered_is_what_the_engine_says() {
    let Some(engine) = engine::private(&[]) else {
        return;
    };
    let engine = Arc::new(engine);
    let daemon = Daemon::for_engine(&engine, "");
    let (stem, next) = (unique("storm"), AtomicUsize::new(0));
    let names: Vec<String> = std::thread::scope(|scope| {
        let client = || {
            let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
            let numbers = numbers.take_while(|number| *number < CONTAINERS);
            numbers
                .flat_map(|number| live(&engine, &stem, number))
                .collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("docker does as it is told"))
            .collect()
    });
    let truth = running(&engine);
    assert_eq!(truth.len(), CONTAINERS / 5 * 3, "the storm went as it should");
    let asker = raw::Asker::of(daemon.dns());
    eventually("answers that are the truth", SETTLING_MAX, || {
        let wrong: Vec<_> = names
            .iter()
            .map(|name| {
                (
                    name,
                    answered(&asker, &format!("{name}.docker")),
                    truth.get(name).copied(),
                )
            })
            .filter(|(_, answer, truth)| answer != truth)
            .collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("{} wrong: {:?}", wrong.len(), &wrong[0]))
        }
    });
    // Nothing is told that is not true either: six names a container, and no other has any.
    let published = daemon.metric("skydock_engine_containers", "standing=\"published\"");
    assert_eq!(
        (published, daemon.metric("skydock_snapshot_services", "")),
        (truth.len() as f64, truth.len() as f64)
    );
    let stopped = daemon.metric("skydock_engine_containers", "standing=\"stopped\"");
    assert_eq!(stopped, (CONTAINERS / 5) as f64);
}
