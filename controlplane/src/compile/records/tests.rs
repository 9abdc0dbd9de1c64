use super::*;
use crate::fixture::service;
use crate::service::{Port, Ports, Protocol, Wishes};

fn zone() -> Name {
    "docker".parse().unwrap()
}

fn replica(uuid: &str, addresses: &[&str]) -> Service {
    let addresses = addresses
        .iter()
        .map(|ip| ip.parse::<IpAddr>().unwrap().into())
        .collect();
    Service {
        uuid: uuid.into(),
        addresses,
        ..service("e", uuid)
    }
}

/// Everything in one line for each set: `A 30 10.0.0.1 | ...`.
fn check(services: &[&Service], expected: &[&str]) {
    let line = |rrset: &RrSet| {
        let records: Vec<_> = rrset.records.iter().map(text).collect();
        let view = match rrset.view {
            View::EVERYONE => String::new(),
            View(number) => format!("for {number}: "),
        };
        let mut line = format!("{view}{} {}", rrset.ttl_seconds, records.join(", "));
        for record in &rrset.additional {
            line += &format!(" + {} {}", record.owner, text(&record.data));
        }
        line
    };
    let mut networks = Networks::default();
    services.iter().for_each(|service| networks.enter(service));
    let chosen = Chosen {
        forward: services.to_vec(),
        role: Some(Role::Service),
        ..Chosen::default()
    };
    let naming = Naming::new(vec![zone()]);
    let owner = "web.dev.docker".parse().unwrap();
    let (found, _) = at(&owner, &chosen, &naming, &networks);
    assert_eq!(found.iter().map(line).collect::<Vec<_>>(), expected);
}

fn text(data: &RecordData) -> String {
    match data {
        RecordData::A(address) => format!("A {address}"),
        RecordData::Aaaa(address) => format!("AAAA {address}"),
        RecordData::Srv {
            priority,
            weight,
            port,
            target,
        } => {
            format!("SRV {priority} {weight} {port} {target}")
        }
        RecordData::Ptr(name) => format!("PTR {name}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn one_service_has_its_addresses_and_its_port() {
    let redis = replica("0123456789", &["172.17.0.4", "fd00::4"]);
    check(
        &[&redis],
        &[
            "30 A 172.17.0.4",
            "30 AAAA fd00::4",
            "30 SRV 10 100 80 0123456789.docker + 0123456789.docker A 172.17.0.4 + 0123456789.docker AAAA fd00::4",
        ],
    );
}

#[test]
fn records_are_ordered_single_and_have_the_least_ttl() {
    let (a, mut b) = (
        replica("b", &["10.0.0.9", "10.0.0.2"]),
        replica("a", &["10.0.0.2"]),
    );
    b.ttl_seconds = 7;
    b.ports = Ports::default();
    b.addresses = ["10.0.0.2", "10.0.0.1"]
        .map(|ip| ip.parse::<IpAddr>().unwrap().into())
        .into_iter()
        .collect();
    check(
        &[&a, &b],
        &[
            "7 A 10.0.0.1, A 10.0.0.2, A 10.0.0.9",
            "30 SRV 10 100 80 b.docker + b.docker A 10.0.0.2 + b.docker A 10.0.0.9",
        ],
    );
}

#[test]
fn a_service_that_listens_nowhere_has_no_srv() {
    let mut quiet = replica("a", &["10.0.0.1"]);
    quiet.ports = Ports::default();
    check(&[&quiet], &["30 A 10.0.0.1"]);
}

#[test]
fn srv_announces_tcp_before_udp_and_the_lowest_port() {
    let mut both = replica("a", &["10.0.0.1"]);
    let port = |protocol, number| Port { protocol, number };
    both.ports = vec![
        port(Protocol::Udp, 53),
        port(Protocol::Tcp, 8080),
        port(Protocol::Tcp, 443),
    ]
    .into();
    check(
        &[&both],
        &[
            "30 A 10.0.0.1",
            "30 SRV 10 100 443 a.docker + a.docker A 10.0.0.1",
        ],
    );
}

#[test]
fn a_container_seen_twice_is_one_target() {
    let a = replica("a", &["10.0.0.1"]);
    let (twice, b) = (a.clone(), replica("b", &["10.0.0.2"]));
    check(
        &[&a, &b, &twice],
        &[
            "30 A 10.0.0.1, A 10.0.0.2",
            "30 SRV 10 50 80 a.docker, SRV 10 50 80 b.docker + a.docker A 10.0.0.1 + b.docker A 10.0.0.2",
        ],
    );
}

#[test]
fn addresses_point_to_canonical_names() {
    let naming = Naming::new(vec![zone(), "corp".parse().unwrap()]);
    let (a, b) = (service("e", "web2"), service("e", "web1"));
    let ptr = reverse(&[&a, &b], &naming).unwrap();
    assert_eq!(
        ptr.records.iter().map(text).collect::<Vec<_>>(),
        ["PTR web1.web.dev.docker", "PTR web2.web.dev.docker"]
    );
    assert_eq!(reverse(&[], &naming), None);
}

fn at_a_service(services: &[&Service]) -> (Vec<RrSet>, Vec<PortRrSets>) {
    let mut networks = Networks::default();
    services.iter().for_each(|service| networks.enter(service));
    let chosen = Chosen {
        forward: services.to_vec(),
        ports: services
            .iter()
            .flat_map(|service| service.ports.iter().copied())
            .take(1)
            .collect(),
        role: Some(Role::Service),
        ..Chosen::default()
    };
    at(
        &"web.dev.docker".parse().unwrap(),
        &chosen,
        &Naming::new(vec![zone()]),
        &networks,
    )
}

fn ending(service: Service, until: Option<u64>) -> Service {
    Service {
        until: until.map(Moment::of_milliseconds),
        ..service
    }
}

#[test]
fn every_set_ends_with_the_first_of_its_services_and_never_where_none_ends() {
    let with_text = |uuid: &str, until| {
        let wishes = Wishes {
            texts: vec![uuid.into()],
            ..Wishes::default()
        };
        let service = replica(uuid, &["10.0.0.1", "fd00::1"]);
        ending(
            Service {
                wishes: Some(wishes.into()),
                ..service
            },
            until,
        )
    };
    for (one, other, first) in [
        (None, None, None),
        (Some(5), None, Some(5)),
        (None, Some(5), Some(5)),
        (Some(5), Some(9), Some(5)),
        (Some(9), Some(5), Some(5)),
    ] {
        let (a, b) = (with_text("a", one), with_text("b", other));
        let (mut sets, ports) = at_a_service(&[&a, &b]);
        assert_eq!(
            (sets.len(), ports.len()),
            (4, 1),
            "A, AAAA, SRV, TXT, and SRV of the port"
        );
        sets.extend(ports.into_iter().flat_map(|port| port.rrsets));
        sets.extend(reverse(&[&a, &b], &Naming::new(vec![zone()])));
        assert_eq!(sets.len(), 6);
        for set in sets {
            assert_eq!(
                set.until,
                first.map(Moment::of_milliseconds),
                "{one:?} {other:?} {set:?}"
            );
        }
    }
}

#[test]
fn a_set_ends_no_sooner_than_those_who_are_in_it() {
    let (four, six) = (
        ending(replica("a", &["10.0.0.1"]), Some(5)),
        ending(replica("b", &["fd00::1"]), Some(9)),
    );
    let (sets, _) = at_a_service(&[&four, &six]);
    let ends: Vec<_> = sets
        .iter()
        .map(|set| set.until.map(Moment::milliseconds))
        .collect();
    assert_eq!(ends, [Some(5), Some(9), Some(5)], "A, AAAA, and SRV of both");
}

#[test]
fn an_alias_ends_with_its_service() {
    for until in [None, Some(5)] {
        let wishes = Wishes {
            alias: Some("db.example.com".parse().unwrap()),
            ..Wishes::default()
        };
        let service = Service {
            addresses: Vec::new().into(),
            ports: Vec::new().into(),
            wishes: Some(wishes.into()),
            ..replica("a", &[])
        };
        let alias = ending(service, until);
        let (sets, _) = at_a_service(&[&alias]);
        let [cname] = sets.as_slice() else {
            panic!("{sets:?}");
        };
        assert!(matches!(cname.records[..], [RecordData::Cname(_)]));
        assert_eq!(cname.until, until.map(Moment::of_milliseconds));
    }
}
