//! Podman's service, which speaks Docker's API in its own way.

mod support;

use support::container::{Container, Network};
use support::daemon::Daemon;
use support::engine::BUSYBOX;
use support::podman::Podman;
use support::{SOON, eventually, expect, unique};

/// The question for a container's own name.
fn own(container: &Container) -> String {
    format!("{}.docker A", container.name())
}

#[test]
fn containers_of_podman_are_named_like_those_of_docker() {
    let Some(podman) = Podman::start() else { return };
    let engine = &podman.engine;
    let daemon = Daemon::for_engine(engine, "");
    assert!(daemon.log().contains("Podman "), "{}", daemon.log());
    let run =
        |stem: &str, arguments: &[&str]| Container::run_image(engine, &unique(stem), BUSYBOX, arguments);

    let mut container = run("one", &["--label", "skydock.ttl=7"]);
    let address = container.address_on("podman").to_string();
    daemon.await_answers(&own(&container), &[&address]);
    let reply = daemon.dig(&format!("{}.redis.dev.docker A", container.name()));
    assert_eq!(
        reply.sorted_answers(),
        [address.as_str()],
        "named after its image: {reply:?}"
    );
    assert!(reply.answer.iter().all(|record| record.ttl == 7), "{reply:?}");
    let reverse = daemon.dig(&format!("-x {address}"));
    assert_eq!(
        reverse.sorted_answers(),
        [format!("{}.redis.dev.docker.", container.name())]
    );
    // What has no name on its network is ours to say so: the network's subnet is known, though Podman calls it otherwise
    // in its list.
    let nobody = daemon.dig("-x 10.88.255.254");
    assert_eq!(
        (nobody.status.as_str(), nobody.soa().is_some()),
        ("NXDOMAIN", true)
    );

    container.docker("kill --signal HUP");
    container.docker("pause");
    daemon.await_status(&own(&container), "NXDOMAIN");
    container.docker("unpause");
    daemon.await_answers(&own(&container), &[&address]);
    let before = own(&container);
    container.rename(&unique("two"));
    daemon.await_answers(&own(&container), &[&address]);
    daemon.await_status(&before, "NXDOMAIN");

    // No event tells of a network that is made.
    let name = unique("net");
    let Some(_network) = Network::make(engine, &name) else {
        return;
    };
    container.connect(&name);
    let second = container.address_on(&name).to_string();
    eventually("its name on the new network", SOON, || {
        let names = daemon.dig(&format!("-x {second}")).sorted_answers();
        expect(|names: &Vec<String>| names.len() == 1, names)
    });
    container.disconnect(&name);
    daemon.await_status(&format!("-x {second}"), "NXDOMAIN");

    let joined = run(
        "joined",
        &["--network", &format!("container:{}", container.name())],
    );
    daemon.await_answers(&own(&joined), &[&address]);
    drop(joined);
    container.docker("stop");
    daemon.await_status(&own(&container), "NXDOMAIN");
    container.docker("start");
    daemon.await_answers(&own(&container), &[&container.address_on("podman").to_string()]);
    let question = own(&container);
    drop(container);
    daemon.await_status(&question, "NXDOMAIN");
    assert_eq!(
        daemon.metric("skydock_engine_resyncs_total", ""),
        1.0,
        "nothing that it said was not understood"
    );
}
