//! skydock inside a container, where most of its users run it: as process 1, and often without io_uring.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::container::Container;
use support::dig::{Reply, dig};
use support::engine::{self, Engine, SKYDOCK};
use support::{SOON, eventually, expect, unique};

/// What Docker's default profile has done to io_uring since 25.0, and nothing else of it.
const NO_IO_URING: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{
        "names": ["io_uring_setup", "io_uring_enter", "io_uring_register"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 1
    }]
}"#;

/// An engine with the image, and a profile that forbids io_uring.
fn world() -> Option<(Arc<Engine>, tempfile::NamedTempFile)> {
    let engine = engine::shared()?;
    if !engine.is_private() || !engine::is_installed("ldd") {
        support::skip("the socket and the libraries of this host have to be there for a container");
        return None;
    }
    engine.make_skydock_image();
    let profile = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(profile.path(), NO_IO_URING).expect("our own file");
    Some((engine, profile))
}

/// Runs skydock in a container that may use the engine's socket.
fn run(engine: &Arc<Engine>, profile: &tempfile::NamedTempFile, arguments: &[&str]) -> Container {
    let socket = engine.host().trim_start_matches("unix://");
    let volume = format!("{socket}:/var/run/docker.sock");
    let seccomp = format!("seccomp={}", profile.path().display());
    let docker = [
        "--volume",
        &volume,
        "--security-opt",
        &seccomp,
        "--stop-signal",
        "TERM",
    ];
    Container::run_command(engine, &unique("skydock"), SKYDOCK, &docker, arguments)
}

#[test]
fn without_io_uring_it_answers_all_the_same_and_says_why() {
    let Some((engine, profile)) = world() else { return };
    let redis = Container::run(&engine, "redis");
    let skydock = run(&engine, &profile, &["--listen", "0.0.0.0"]);
    let server = SocketAddr::from((skydock.address(), 53));
    let question = format!("{}.redis.dev.docker A +tries=1 +time=1", redis.name());
    eventually("an answer from inside the container", SOON, || {
        expect(
            |reply: &Reply| reply.sorted_answers() == [redis.address().to_string()],
            dig(server, &question),
        )
    });
    let log = skydock.log();
    let said: Vec<_> = log.lines().filter(|line| line.contains("io_uring")).collect();
    assert!(
        said.iter().any(|line| line.contains("seccomp")),
        "the reason, with the remedy: {said:?}"
    );
}

#[test]
fn where_io_uring_was_insisted_on_it_ends_with_the_remedy() {
    let Some((engine, profile)) = world() else { return };
    let skydock = run(&engine, &profile, &["--engine", "glommio"]);
    assert_eq!(skydock.exit_code(), "1");
    let log = skydock.log();
    let sentence = log.lines().last().unwrap_or_default();
    assert!(
        sentence.contains("seccomp") && sentence.contains("--engine threads"),
        "{log}"
    );
}

/// The kernel gives process 1 no default action for a signal: who does not listen is killed after ten seconds.
#[test]
fn as_process_1_it_ends_well_when_the_container_is_stopped() {
    let Some((engine, profile)) = world() else { return };
    let skydock = run(&engine, &profile, &[]);
    eventually("the report", SOON, || {
        expect(|log: &String| log.contains("  use "), skydock.log())
    });
    let started = Instant::now();
    skydock.docker("stop");
    let took = started.elapsed();
    assert_eq!(skydock.exit_code(), "0", "{}", skydock.log());
    assert!(took < Duration::from_secs(5), "it took {took:?} to stop");
}
