//! What is said of a container that runs: which names it has, and what each type of record tells.

use std::collections::HashSet;

use crate::REDIS;
use crate::support::container::Container;
use crate::support::daemon::{Daemon, world};
use crate::support::{self, SOON, engine, eventually, unique};

#[test]
fn a_container_that_starts_is_answered_under_all_its_names() {
    let Some((engine, daemon)) = world("") else { return };
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
    let Some((engine, daemon)) = world("") else { return };
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
fn two_replicas_share_a_service_name_and_take_turns() {
    let Some((engine, daemon)) = world("") else { return };
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
    let Some((engine, daemon)) = world("") else { return };
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
    let Some((engine, daemon)) = world("") else { return };
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
    let Some((engine, daemon)) = world("") else { return };
    let container = Container::run(&engine, "redis");
    daemon.await_answers(
        &format!("-x {}", container.address()),
        &[&format!("{}.{REDIS}.", container.name())],
    );
}

// RFC 2308, section 2.2: NODATA is "NOERROR and no relevant answers in the answer section".
#[test]
fn aaaa_of_a_container_without_ipv6_is_nodata_with_the_soa() {
    let Some((engine, daemon)) = world("") else { return };
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
    let Some((_engine, daemon)) = world("") else {
        return;
    };
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
fn a_container_without_a_network_address_has_no_names() {
    let Some((engine, daemon)) = world("") else { return };
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
