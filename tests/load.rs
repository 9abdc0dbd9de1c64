//! The whole daemon with a thousand containers, asked as fast as it answers: every answer is right.

mod support;

use harness::engine::Engine;
use harness::load::{Pace, Spec, Transport, Turns, run};
use harness::mix::Mix;
use harness::world::World;
use support::daemon::Daemon;
use tempfile::TempDir;

/// Containers of one image each ten; the special ones come on top.
const CONTAINERS: u32 = 1_000;
/// Queries under way. Few: the machine has other tests to run, and a lost datagram is a failure here.
const IN_FLIGHT: usize = 32;

fn check(daemon: &Daemon, mix: Mix, transport: Transport, edns: bool, pace: Pace) {
    let spec = Spec {
        to: daemon.dns(),
        transport,
        edns,
        pace,
        seconds: 0.15,
    };
    let outcome = run(
        &spec,
        &mix.script(World::new(CONTAINERS)),
        &mut Turns::default(),
        &[],
    )
    .expect("sockets on loopback");
    let told = format!("{mix} over {transport:?}, EDNS {edns}: {outcome:?}");
    assert!(outcome.answered > 0 && outcome.wrong == 0, "{told}");
    assert_eq!(outcome.sent, outcome.answered + outcome.lost, "{told}");
    assert_eq!(outcome.lost, 0, "{told}");
}

#[test]
fn a_thousand_containers_are_answered_for_without_a_wrong_answer() {
    let directory = TempDir::new().unwrap();
    let engine = Engine::start(World::new(CONTAINERS), &directory.path().join("docker.sock")).unwrap();
    // The labels are those that the questions of the generator have.
    let daemon = Daemon::start(&format!("--docker {} --ttl 30", engine.endpoint()));
    daemon.await_ready();
    daemon.await_answers("n999.app99.dev.docker", &["10.0.3.245"]);
    for mix in Mix::ALL.into_iter().filter(|mix| !mix.is_forwarded()) {
        for edns in [false, true] {
            check(&daemon, mix, Transport::Udp, edns, Pace::InFlight(IN_FLIGHT));
        }
    }
    check(
        &daemon,
        Mix::Uniform,
        Transport::Tcp,
        true,
        Pace::InFlight(IN_FLIGHT),
    );
    check(&daemon, Mix::Zipf, Transport::Udp, true, Pace::Rate(500.0));

    engine.replace(0).expect("there is a first container");
    daemon.await_answers("hot.web.dev.docker", &["10.16.0.1"]);
}
