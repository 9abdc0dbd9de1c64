//! Where a container is reached, on every kind of network, and what its labels make of it.

mod support;

use std::sync::Arc;

use support::container::{Container, Network};
use support::daemon::{Daemon, world};
use support::engine::{BUSYBOX, Engine};
use support::{SOON, dig, eventually, expect, skip, skip_here, unique};

fn run(engine: &Arc<Engine>, stem: &str, arguments: &[&str]) -> Container {
    Container::run_image(engine, &unique(stem), BUSYBOX, arguments)
}

/// The question for a container's own name.
fn own(container: &Container) -> String {
    format!("{}.docker A", container.name())
}

fn ask_from(daemon: &Daemon, source: &str, question: &str, expected: &str) {
    eventually(&format!("{question} from {source}"), SOON, || {
        let reply = dig::dig(daemon.dns(), &format!("{question} -b {source}"));
        expect(
            |answers: &Vec<String>| *answers == [expected],
            reply.sorted_answers(),
        )
    });
}

#[test]
fn a_container_in_the_hosts_network_is_reached_at_the_host_on_the_clients_own_bridge() {
    let Some((engine, daemon)) = world("") else { return };
    if !engine.is_private() {
        return skip("the gateways of an engine elsewhere are not this host's, to ask from");
    }
    let container = run(&engine, "host", &["--network", "host"]);
    let primary = engine.gateway().to_string();
    daemon.await_answers(&own(&container), &[&primary]);
    // Whoever is seen at that address is the host, or came through it.
    assert_eq!(daemon.dig(&format!("-x {primary}")).status, "NXDOMAIN");
    let name = unique("net");
    let Some(network) = Network::make(&engine, &name) else {
        return;
    };
    let gateway = network.gateway();
    // The network came later than the container.
    ask_from(&daemon, &gateway, &own(&container), &gateway);
    ask_from(&daemon, "127.0.0.1", &own(&container), &primary);
    drop(network);
    ask_from(&daemon, &primary, &own(&container), &primary);
    container.docker("stop");
    daemon.await_status(&own(&container), "NXDOMAIN");
}

#[test]
fn a_container_in_anothers_network_is_reached_there_and_follows_its_life() {
    let Some((engine, daemon)) = world("") else { return };
    let owner = run(&engine, "owner", &[]);
    let by_name = run(
        &engine,
        "joined",
        &["--network", &format!("container:{}", owner.name())],
    );
    let first = owner.address().to_string();
    daemon.await_answers(&own(&by_name), &[&first]);
    daemon.await_answers(&own(&owner), &[&first]);
    // Another of its networks is the other one's, too.
    let name = unique("net");
    let Some(_network) = Network::make(&engine, &name) else {
        return;
    };
    owner.connect(&name);
    let second = owner.address_on(&name).to_string();
    eventually("the second address", SOON, || {
        let names = daemon.dig(&format!("-x {second}")).sorted_answers();
        expect(
            |names: &Vec<String>| names.iter().any(|it| it.starts_with(by_name.name())),
            names,
        )
    });
    owner.docker("stop");
    daemon.await_status(&own(&by_name), "NXDOMAIN");
    assert!(by_name.is_running());
    // It runs on in a network that is gone.
    owner.docker("start");
    daemon.await_answers(&own(&owner), &[&owner.address().to_string()]);
    assert_eq!(daemon.dig(&own(&by_name)).status, "NXDOMAIN");
    by_name.docker("restart");
    daemon.await_answers(&own(&by_name), &[&owner.address().to_string()]);
}

/// Whether a container can be run on the network `name`; where the kernel has no such thing, that is told as skipped.
fn has_driver(engine: &Engine, name: &str) -> bool {
    let (done, said) = engine.try_docker(&["run", "--rm", "--network", name, BUSYBOX, "/bin/true"]);
    let is_missing = !done && (said.contains("not supported") || said.contains("unknown link type"));
    if is_missing {
        skip_here(&format!("no such network here: {said}"));
    }
    !is_missing
}

#[test]
fn a_container_on_several_networks_is_reached_on_the_one_that_its_client_is_on() {
    let Some((engine, daemon)) = world("") else { return };
    if !engine.is_private() {
        return skip("the gateways of an engine elsewhere are not this host's, to ask from");
    }
    // Both were made after the daemon's start, and one of them after the container's.
    let (first, second) = (unique("first"), unique("second"));
    let Some(one) = Network::make(&engine, &first) else {
        return;
    };
    let container = run(&engine, "several", &["--network", &first]);
    let question = own(&container);
    daemon.await_answers(&question, &[&container.address_on(&first).to_string()]);
    let Some(two) = Network::make(&engine, &second) else {
        return;
    };
    container.connect(&second);
    ask_from(
        &daemon,
        &two.gateway(),
        &question,
        &container.address_on(&second).to_string(),
    );
    ask_from(
        &daemon,
        &one.gateway(),
        &question,
        &container.address_on(&first).to_string(),
    );
    container.disconnect(&first);
    ask_from(
        &daemon,
        "127.0.0.1",
        &question,
        &container.address_on(&second).to_string(),
    );
    drop(container);
    daemon.await_status(&question, "NXDOMAIN");
}

#[test]
fn a_container_without_a_network_has_names_only_where_a_label_says_its_address() {
    let Some((engine, daemon)) = world("") else { return };
    let silent = run(&engine, "none", &["--network", "none"]);
    let said = run(
        &engine,
        "said",
        &["--network", "none", "--label", "skydock.ip=192.0.2.9"],
    );
    daemon.await_answers(&own(&said), &["192.0.2.9"]);
    daemon.await_status(&own(&silent), "NXDOMAIN");
}

#[test]
fn clients_off_this_host_are_led_to_the_published_address_and_port() {
    let Some((engine, daemon)) = world("--published-address 192.0.2.7") else {
        return;
    };
    let port = support::ports::free().port();
    let container = run(&engine, "published", &["--publish", &format!("{port}:6379")]);
    let name = format!("{}.redis.dev.docker", container.name());
    daemon.await_answers(&format!("{name} A"), &[&container.address().to_string()]);
    let explained = |from: &str| {
        let (_, body) = daemon.get(&format!("/v1/explain?name={name}&type=SRV&from={from}"));
        body
    };
    let outside = explained("10.250.3.4");
    assert!(
        outside.contains(&format!(" {port} ")) && outside.contains("192.0.2.7"),
        "{outside}"
    );
    let inside = explained("127.0.0.1");
    assert!(
        inside.contains(" 6379 ") && !inside.contains("192.0.2.7"),
        "{inside}"
    );
}

#[test]
fn internal_networks_ipv6_macvlan_and_ipvlan_are_networks_like_any_other() {
    let Some((engine, daemon)) = world("") else { return };
    let on = |network: &str| run(&engine, "on", &["--network", network]);

    let name = unique("internal");
    if let Some(_internal) = Network::make_with(&engine, &name, &["--internal"]) {
        let container = on(&name);
        daemon.await_answers(&own(&container), &[&container.address_on(&name).to_string()]);
    }

    let name = unique("six");
    let arguments = ["--ipv6", "--subnet", "fd00:5d0c:6::/64"];
    if let Some(_six) = Network::make_with(&engine, &name, &arguments) {
        let container = on(&name);
        let format = format!("{{{{(index .NetworkSettings.Networks {name:?}).GlobalIPv6Address}}}}");
        let address = engine.docker(&["inspect", "--format", &format, container.name()]);
        daemon.await_answers(&format!("{}.docker AAAA", container.name()), &[&address]);
        let reverse = daemon.dig(&format!("-x {address}"));
        assert_eq!(
            reverse.sorted_answers(),
            [format!("{}.redis.dev.docker.", container.name())]
        );
    }

    for (driver, subnet) in [("macvlan", "10.213.7.0/24"), ("ipvlan", "10.213.8.0/24")] {
        let name = unique(driver);
        let arguments = ["--driver", driver, "--subnet", subnet];
        if let Some(_lan) = Network::make_with(&engine, &name, &arguments)
            && has_driver(&engine, &name)
        {
            let container = on(&name);
            daemon.await_answers(&own(&container), &[&container.address_on(&name).to_string()]);
        }
    }
}

#[test]
fn labels_name_a_container_and_one_that_cannot_be_read_is_told_once() {
    let Some((engine, daemon)) = world("") else { return };
    let (service, instance) = (unique("cache"), unique("one"));
    let labels = [
        format!("skydock.service={service}"),
        format!("skydock.instance={instance}"),
        "skydock.environment=prod".to_owned(),
        "skydock.ttl=7".to_owned(),
        "skydock.ip=192.0.2.77".to_owned(),
        "skydock.weight=heavy".to_owned(),
    ];
    let arguments: Vec<&str> = labels
        .iter()
        .flat_map(|label| ["--label", label.as_str()])
        .collect();
    let container = run(&engine, "labelled", &arguments);
    let question = format!("{instance}.{service}.prod.docker A");
    daemon.await_answers(&question, &["192.0.2.77"]);
    assert!(daemon.dig(&question).answer.iter().all(|record| record.ttl == 7));
    assert_eq!(daemon.dig(&own(&container)).status, "NXDOMAIN");

    container.docker("restart");
    daemon.await_answers(&question, &["192.0.2.77"]);
    let told = daemon.log();
    let complaint = format!("container {} (", container.name());
    let told: Vec<_> = told.lines().filter(|line| line.contains(&complaint)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("skydock.weight=\\\"heavy\\\"") || told[0].contains("skydock.weight=\"heavy\""),
        "{told:?}"
    );
    assert!(told[0].contains("0 to 65535"), "{told:?}");
}

#[test]
fn only_containers_that_are_chosen_are_published() {
    let Some((engine, daemon)) = world("--opt-in --only team=web --label-prefix com.example") else {
        return;
    };
    let run = |labels: &[&str]| {
        let arguments: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
        run(&engine, "chosen", &arguments)
    };
    let silent = run(&["team=web"]);
    let other = run(&["com.example.enable=true", "team=db"]);
    let chosen = run(&["com.example.enable=true", "team=web"]);
    daemon.await_answers(&own(&chosen), &[&chosen.address().to_string()]);
    for absent in [&silent, &other] {
        assert_eq!(daemon.dig(&own(absent)).status, "NXDOMAIN");
    }
    let count =
        |standing: &str| daemon.metric("skydock_engine_containers", &format!("standing=\"{standing}\""));
    assert!(count("not-opted-in") >= 1.0 && count("not-selected") >= 1.0 && count("published") >= 1.0);
}

#[test]
fn an_alias_leads_clients_on_its_network_to_all_who_have_it_there_and_nobody_else() {
    let Some((engine, daemon)) = world("") else { return };
    if !engine.is_private() {
        return skip("the gateways of an engine elsewhere are not this host's, to ask from");
    }
    let (front, back, alias) = (unique("front"), unique("back"), unique("db"));
    let (Some(in_front), Some(in_back)) = (Network::make(&engine, &front), Network::make(&engine, &back))
    else {
        return;
    };
    let (in_front, in_back) = ((in_front, front.clone()), (in_back, back.clone()));
    let question = format!("{alias}.docker A");
    let called =
        |stem: &str, network: &str| run(&engine, stem, &["--network", network, "--network-alias", &alias]);
    let ask = |network: &(Network, String), expected: &[&Container]| {
        let (network, name) = network;
        let addresses = expected.iter().map(|it| it.address_on(name).to_string());
        let mut wanted: Vec<String> = addresses.collect();
        wanted.sort();
        let question = format!("{question} -b {}", network.gateway());
        eventually(&question, SOON, || {
            let reply = dig::dig(daemon.dns(), &question);
            expect(|answers: &Vec<String>| *answers == wanted, reply.sorted_answers())
        });
    };
    let (one, two, apart) = (
        called("one", &front),
        called("two", &front),
        called("apart", &back),
    );
    ask(&in_front, &[&one, &two]);
    ask(&in_back, &[&apart]);
    daemon.await_status(&question, "NOERROR");
    let (_, why) = daemon.get(&format!("/v1/explain?name={alias}.docker"));
    assert!(why.contains("clients on its network alone"), "{why}");

    two.docker("stop -t 0");
    ask(&in_front, &[&one]);
    // Without the network, without the alias; and with another network, with what it is called there.
    apart.disconnect(&back);
    ask(&in_back, &[]);
    engine.docker(&["network", "connect", "--alias", &alias, &back, one.name()]);
    ask(&in_back, &[&one]);
    // A container of that name goes before, for everybody.
    let named = Container::run_image(&engine, &alias, BUSYBOX, &[]);
    daemon.await_answers(&question, &[&named.address().to_string()]);
    drop(named);
    ask(&in_front, &[&one]);
    daemon.await_status(&question, "NOERROR");
}
