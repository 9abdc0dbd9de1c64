//! The names that health, networks, ports and Compose give and take, on a real engine.

mod support;

use std::net::Ipv4Addr;
use std::sync::Arc;

use support::container::{Container, Network};
use support::daemon::world;
use support::engine::Engine;
use support::{SOON, dig, eventually, expect, unique};

/// A container of an image that is this test's own, so that its service is, too.
fn run(engine: &Arc<Engine>, image: &str, stem: &str, arguments: &[&str]) -> Container {
    Container::run_image(engine, &unique(stem), image, arguments)
}

#[test]
fn a_shared_name_leads_to_a_container_while_it_is_healthy_and_its_own_name_always() {
    let Some((engine, daemon)) = world("") else { return };
    let image = unique("health");
    engine.tag(&image);
    let check = [
        "--health-cmd",
        "test -e /well",
        "--health-interval",
        "1s",
        "--health-retries",
        "1",
    ];
    let container = run(&engine, &image, "checked", &check);
    let address = container.address().to_string();
    let (own, shared) = (
        format!("{}.docker A", container.name()),
        format!("{image}.dev.docker A"),
    );
    // Its first check has failed when the shared name stands without an address.
    daemon.await_answers(&own, &[&address]);
    daemon.await_answers(&shared, &[]);
    daemon.await_log(", unhealthy");
    let reply = daemon.dig(&shared);
    assert_eq!((reply.status.as_str(), reply.soa().is_some()), ("NOERROR", true));
    daemon.await_answers(&own, &[&address]);

    let (is_done, said) = container.exec(&["/bin/sh", "-c", "echo >/well"]);
    assert!(is_done, "{said}");
    daemon.await_answers(&shared, &[&address]);
    let unchecked = run(&engine, &image, "unchecked", &[]);
    daemon.await_answers(&shared, &[&address, &unchecked.address().to_string()]);

    let (is_done, said) = container.exec(&["/bin/busybox", "rm", "/well"]);
    assert!(is_done, "{said}");
    daemon.await_answers(&shared, &[&unchecked.address().to_string()]);
    daemon.await_answers(&own, &[&address]);
}

#[test]
fn each_port_has_a_name_that_tells_where_it_is() {
    let Some((engine, daemon)) = world("") else { return };
    let image = unique("ports");
    engine.tag(&image);
    let container = run(
        &engine,
        &image,
        "one",
        &["--expose", "6379", "--expose", "53/udp"],
    );
    let target = format!("{}.docker", container.uuid());
    daemon.await_answers(&format!("{target} A"), &[&container.address().to_string()]);
    for (owner, expected) in [
        (format!("_6379._tcp.{image}.dev.docker"), "10 100 6379"),
        (format!("_53._udp.{image}.dev.docker"), "10 100 53"),
        (format!("_6379._tcp.{}.docker", container.name()), "10 100 6379"),
    ] {
        let reply = daemon.dig(&format!("{owner} SRV"));
        assert_eq!(
            reply.sorted_answers(),
            [format!("{expected} {target}.")],
            "{owner}: {reply:?}"
        );
        assert_eq!(reply.additional.len(), 1, "{reply:?}");
    }
    let other = daemon.dig(&format!("_6379._udp.{image}.dev.docker SRV"));
    assert_eq!(other.status, "NXDOMAIN");
}

#[test]
fn a_compose_service_is_found_by_its_project_and_alone_while_it_is_the_only_one() {
    let Some((engine, daemon)) = world("") else { return };
    let image = unique("built");
    engine.tag(&image);
    let (service, shop, blog) = (unique("web"), unique("shop"), unique("blog"));
    let compose = |project: &str, number: &str| {
        let labels = [
            format!("com.docker.compose.project={project}"),
            format!("com.docker.compose.service={service}"),
            format!("com.docker.compose.container-number={number}"),
        ];
        let arguments: Vec<&str> = labels
            .iter()
            .flat_map(|label| ["--label", label.as_str()])
            .collect();
        run(&engine, &image, project, &arguments)
    };
    let (first, second) = (compose(&shop, "1"), compose(&shop, "2"));
    let [one, two] = [&first, &second].map(|container| container.address().to_string());
    let ask = |name: &str| format!("{name}.docker A");
    daemon.await_answers(&ask(&format!("{service}.{shop}")), &[&one, &two]);
    daemon.await_answers(&ask(&format!("2.{service}.{shop}")), &[&two]);
    daemon.await_answers(&ask(&format!("{service}.dev")), &[&one, &two]);
    daemon.await_answers(&ask(&service), &[&one, &two]);

    let rival = compose(&blog, "1");
    let three = rival.address().to_string();
    daemon.await_answers(&ask(&format!("{service}.{blog}")), &[&three]);
    daemon.await_status(&ask(&service), "NXDOMAIN");
    // The name of the service in the environment is there, for theirs are below it, and says nothing either.
    let in_environment = ask(&format!("{service}.dev"));
    daemon.await_status(&in_environment, "NOERROR");
    for contested in [&service, &format!("{service}.dev")] {
        daemon.await_log(&format!("{contested}.docker is nobody's: Compose projects"));
    }
    daemon.await_answers(&ask(&format!("{}.{service}.dev", rival.name())), &[&three]);
    // Who asks for the word as such shares its name, and takes it from nobody.
    let sharing = run(
        &engine,
        &image,
        "wiki",
        &[
            "--label=com.docker.compose.project=wiki",
            "--label=com.docker.compose.service=pages",
            &format!("--label=skydock.service={service}"),
        ],
    );
    drop((first, second));
    daemon.await_answers(&ask(&service), &[&three]);
    daemon.await_answers(&in_environment, &[&three, &sharing.address().to_string()]);
}

#[test]
fn a_client_gets_the_address_on_its_network_and_its_reverse_names_are_ours() {
    let Some((engine, daemon)) = world("") else { return };
    if !engine.is_private() {
        support::skip("the gateways of an engine elsewhere are not this host's, to ask from");
        return;
    }
    let network = unique("net");
    let Some(_made) = Network::make(&engine, &network) else {
        return;
    };
    let container = Container::run(&engine, "two");
    let question = format!("{}.docker A", container.name());
    let primary = container.address();
    container.connect(&network);
    let second = container.address_on(&network);
    // The host has an address in each network, so it can ask as a member of it would.
    let format = "{{(index .IPAM.Config 0).Gateway}}";
    let gateway = engine.docker(&["network", "inspect", "--format", format, &network]);
    let ask_from = |source: &str, expected: Ipv4Addr| {
        eventually(&format!("{question} from {source}"), SOON, || {
            let reply = dig::dig(daemon.dns(), &format!("{question} -b {source}"));
            expect(
                |answers: &Vec<String>| *answers == [expected.to_string()],
                reply.sorted_answers(),
            )
        });
    };
    ask_from(&gateway, second);
    ask_from(&engine.gateway().to_string(), primary);
    ask_from("127.0.0.1", primary);

    let reverse = daemon.dig(&format!("-x {second}"));
    assert_eq!(
        reverse.sorted_answers(),
        [format!("{}.redis.dev.docker.", container.name())]
    );
    // The gateway is no container: its name does not exist, and nobody else is asked for it.
    let stranger = daemon.dig(&format!("-x {gateway}"));
    assert_eq!(
        (stranger.status.as_str(), stranger.soa().is_some()),
        ("NXDOMAIN", true)
    );

    container.disconnect(&network);
    ask_from(&gateway, primary);
}
