//! What neighbours on one network call a service, and nobody else.

use dns::RType;

use super::tests::{CLIENT, came, compiler, went};
use super::*;
use crate::fixture::{addresses_for, answer, name, network, on, service, source};
use crate::service::{Compose, NetworkAlias, Wishes};

/// A client on each of the networks, and one on none.
const FRONT: &str = "10.1.0.9";
const BACK: &str = "10.2.0.9";

/// At these addresses, and called by these words on these networks: `front=db`.
fn called(instance: &str, addresses: &[(&str, &str)], aliases: &[&str]) -> Service {
    let aliases = aliases.iter().map(|alias| {
        let (network, word) = alias.split_once('=').unwrap();
        NetworkAlias {
            network: network.into(),
            word: word.into(),
        }
    });
    Service {
        addresses: addresses.iter().map(|(network, ip)| on(network, ip)).collect(),
        wishes: Some(Box::new(Wishes {
            network_aliases: aliases.collect(),
            ..Wishes::default()
        })),
        ..service("e", instance)
    }
}

fn world() -> Compiler {
    let mut compiler = compiler();
    let networks = vec![
        network("front", &["10.1.0.0/16"]),
        network("back", &["10.2.0.0/16"]),
    ];
    compiler.networks(&source("e"), networks).unwrap();
    compiler
}

/// What clients on `front`, on `back` and on none are answered with.
fn check(snapshot: &Snapshot, owner: &str, expected: [&str; 3]) {
    for (client, expected) in [FRONT, BACK, CLIENT].into_iter().zip(expected) {
        assert_eq!(
            addresses_for(snapshot, client, owner),
            expected,
            "{owner} for {client}"
        );
    }
}

#[test]
fn an_alias_leads_those_on_its_network_to_all_who_have_it_there_and_nobody_else() {
    let mut compiler = world();
    let both = called(
        "db1",
        &[("back", "10.2.0.2"), ("front", "10.1.0.2")],
        &["front=Db.main", "front=master"],
    );
    let other = called("db2", &[("front", "10.1.0.3")], &["front=db-main"]);
    let apart = called("db3", &[("back", "10.2.0.3")], &["back=db-main"]);
    for service in [&both, &other, &apart] {
        compiler.apply(&came(service));
    }
    let (all, remarks) = compiler.compile();
    assert_eq!(remarks.troubles, []);
    check(
        &all,
        "db-main.docker",
        ["10.1.0.2 10.1.0.3", "10.2.0.3", "nodata"],
    );
    check(&all, "master.docker", ["10.1.0.2", "nodata", "nodata"]);
    // Its port is announced as at any name of a host, and has no name below.
    let srv = |client, owner| answer(&all, client, &name(owner), RType::SRV).map(|_| ());
    assert_eq!(srv(FRONT, "master.docker"), Ok(()));
    assert_eq!(srv(BACK, "master.docker"), Err("nodata"));
    assert_eq!(srv(FRONT, "_80._tcp.master.docker"), Err("nxdomain"));

    // It leaves the network, and keeps what the engine says of it there.
    compiler.apply(&went(&both));
    compiler.apply(&came(&Service {
        addresses: vec![on("back", "10.2.0.2")].into(),
        ..both
    }));
    let (left, _) = compiler.compile();
    check(&left, "db-main.docker", ["10.1.0.3", "10.2.0.3", "nodata"]);
    check(&left, "master.docker", ["nxdomain"; 3]);
}

#[test]
fn who_answers_for_an_alias_is_seen_network_by_network() {
    let mut compiler = world();
    let of = |instance: &str, network: &str, address: &str, health| Service {
        health,
        ..called(instance, &[(network, address)], &[&format!("{network}=db")])
    };
    for service in [
        of("a", "front", "10.1.0.2", Health::Healthy),
        of("b", "front", "10.1.0.3", Health::Starting),
        of("c", "back", "10.2.0.2", Health::Starting),
        of("d", "back", "10.2.0.3", Health::Unhealthy),
    ] {
        compiler.apply(&came(&service));
    }
    check(
        &compiler.compile().0,
        "db.docker",
        ["10.1.0.2", "10.2.0.2", "nodata"],
    );
    for (client, expected) in [
        (
            FRONT,
            [
                ("a", Verdict::Answers),
                ("b", Verdict::Starting),
                ("c", Verdict::OtherNetwork),
                ("d", Verdict::OtherNetwork),
            ],
        ),
        (
            BACK,
            [
                ("c", Verdict::Answers),
                ("d", Verdict::Unhealthy),
                ("a", Verdict::OtherNetwork),
                ("b", Verdict::OtherNetwork),
            ],
        ),
    ] {
        let explanation = compiler.explain(&name("db.docker"), RType::A, client.parse().unwrap());
        let verdicts: Vec<_> = explanation
            .candidates
            .iter()
            .map(|it| (&*it.service.instance, it.verdict))
            .collect();
        assert_eq!(verdicts, expected, "{client}");
    }
}

#[test]
fn any_other_name_of_that_spelling_goes_before_an_alias() {
    let words = ["front=dev", "front=web1", "front=api", "front=wish", "front=f00d"];
    let neighbour = called("n", &[("front", "10.1.0.2")], &words);
    let others = [
        Service {
            uuid: "f00d".into(),
            ..service("e", "web1")
        },
        Service {
            compose: Some(Box::new(Compose {
                project: "shop".into(),
                service: "api".into(),
                number: None,
            })),
            ..service("e", "api1")
        },
        Service {
            wishes: Some(Box::new(Wishes {
                names: vec![name("wish.docker")],
                ..Wishes::default()
            })),
            ..service("e", "wishing")
        },
    ];
    let mut without = world();
    others.iter().for_each(|other| drop(without.apply(&came(other))));
    let expected = without.compile().0;
    let mut with = world();
    with.apply(&came(&neighbour));
    others.iter().for_each(|other| drop(with.apply(&came(other))));
    let found = with.compile().0;
    for owner in ["web1.docker", "api.docker", "wish.docker", "f00d.docker"] {
        assert_ne!(addresses_for(&expected, FRONT, owner), "nxdomain", "{owner}");
        for client in [FRONT, BACK, CLIENT] {
            assert_eq!(
                addresses_for(&found, client, owner),
                addresses_for(&expected, client, owner),
                "{owner} for {client}"
            );
        }
    }
    // All of an environment, the one with the aliases among them.
    assert!(addresses_for(&found, BACK, "dev.docker").contains(' '));
}
