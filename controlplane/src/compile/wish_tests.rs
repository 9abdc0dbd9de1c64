//! What was asked for a service by labels, plugins and REST.

use dns::{Lookup, Moment, Query, RType, Reply};

use super::tests::{CLIENT, came, compiler};
use super::*;
use crate::fixture::{addresses, addresses_for, name, network, on, service, source};
use crate::service::{NamedPort, Port, Protocol, Publish, PublishedPort, Wishes};

fn wishing(instance: &str, address: &str, wishes: Wishes) -> Service {
    Service {
        addresses: vec![address.parse::<IpAddr>().unwrap().into()].into(),
        wishes: Some(Box::new(wishes)),
        ..service("e", instance)
    }
}

fn named(names: &[&str]) -> Wishes {
    Wishes {
        names: names.iter().map(|text| name(text)).collect(),
        ..Wishes::default()
    }
}

/// One that stands for a name elsewhere, and listens on `port`.
fn alias(instance: &str, target: &str, port: Option<u16>, names: &[&str]) -> Service {
    Service {
        addresses: Vec::new().into(),
        ports: Vec::new().into(),
        ..wishing(
            instance,
            "10.0.0.1",
            Wishes {
                alias: Some(name(target)),
                port,
                ..named(names)
            },
        )
    }
}

fn compiled(services: &[Service]) -> (Snapshot, Remarks) {
    let mut compiler = compiler();
    for service in services {
        let applied = compiler.apply(&came(service));
        assert!(applied.failed.is_none());
    }
    compiler.compile()
}

/// The answer's records as text, `TYPE data`, or the word for there being none.
pub(super) fn ask(snapshot: &Snapshot, client: &str, owner: &str, qtype: RType) -> Vec<String> {
    let owner = name(owner);
    let head = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let packet = [&head, owner.octets(), &qtype.0.to_be_bytes(), &[0, 1]].concat();
    let query = Query::parse(&packet).unwrap();
    let mut buffer = packet.clone();
    buffer.resize(65_535, 0);
    let mut reply = Reply::begin(&mut buffer, (&query).into(), 65_535, 1232);
    match snapshot.lookup(&query.question, client.parse().unwrap()) {
        Lookup::Found(answer) => {
            assert!(reply.push(dns::wire::Section::Answer, answer.records, &[answer.answer]));
        }
        Lookup::Matches(matches) => drop(matches.write(qtype, 0, Moment::of_milliseconds(0), &mut reply)),
        Lookup::Alias(alias) => drop(alias.write(qtype, 0, Moment::of_milliseconds(0), &mut reply)),
        Lookup::Soa(_) => return vec!["soa".to_owned()],
        Lookup::NoData(_) => return vec!["nodata".to_owned()],
        Lookup::NxDomain(_) => return vec!["nxdomain".to_owned()],
        Lookup::NotOurs => return vec!["not ours".to_owned()],
    }
    let length = reply.finish();
    let message = domain::base::Message::from_octets(&buffer[..length]).unwrap();
    let records = message.answer().unwrap().map(|record| {
        let record = record.unwrap();
        let record = record.into_record::<domain::rdata::AllRecordData<_, _>>();
        let record = record.unwrap().unwrap();
        format!("{} {}", record.rtype(), record.data())
    });
    let mut records: Vec<_> = records.collect();
    records.sort();
    records
}

#[test]
fn a_name_that_was_asked_for_leads_to_all_who_asked_for_it() {
    let wanted = ["api.docker", "*.apps.docker"];
    let (snapshot, remarks) = compiled(&[
        wishing("web1", "10.0.0.1", named(&wanted)),
        wishing("web2", "10.0.0.2", named(&wanted)),
    ]);
    assert_eq!(remarks.troubles, []);
    for owner in ["api.docker", "any.apps.docker", "deep.any.apps.docker"] {
        assert_eq!(addresses(&snapshot, owner), "10.0.0.1 10.0.0.2", "{owner}");
    }
    assert_eq!(addresses(&snapshot, "apps.docker"), "nodata");
    assert_eq!(
        ask(&snapshot, CLIENT, "_80._tcp.api.docker", RType::SRV).len(),
        2,
        "its ports have names, too"
    );
}

#[test]
fn outside_our_zones_we_own_the_name_alone() {
    let (snapshot, _) = compiled(&[wishing(
        "web1",
        "10.0.0.1",
        named(&["www.example.org", "*.example.net"]),
    )]);
    assert_eq!(addresses(&snapshot, "www.example.org"), "10.0.0.1");
    assert_eq!(ask(&snapshot, CLIENT, "www.example.org", RType::SOA), ["soa"]);
    assert_eq!(ask(&snapshot, CLIENT, "www.example.org", RType::AAAA), ["nodata"]);
    let target = ask(&snapshot, CLIENT, "www.example.org", RType::SRV);
    assert!(
        target[0].ends_with(".docker"),
        "hosts are called as in the first zone: {target:?}"
    );
    for other in [
        "example.org",
        "mail.example.org",
        "sub.www.example.org",
        "_80._tcp.www.example.org",
    ] {
        assert_eq!(addresses(&snapshot, other), "not ours", "{other}");
    }
    assert_eq!(addresses(&snapshot, "a.b.example.net"), "10.0.0.1");
    assert_eq!(addresses(&snapshot, "example.net"), "not ours");
}

/// Takes in that `id` of the engine `e` carries these from now on; which of them answer otherwise for it.
fn carries(compiler: &mut Compiler, id: &str, names: &[&str]) -> Vec<Name> {
    let names: Vec<Name> = names.iter().copied().map(name).collect();
    compiler.carried(&source("e"), vec![(id.into(), names.into())])
}

#[test]
fn a_name_outside_our_zones_is_ours_while_somebody_carries_it() {
    let names = ["www.example.org", "*.example.net"];
    let mut compiler = compiler();
    let web = wishing("web1", "10.0.0.1", named(&names));
    compiler.apply(&came(&web));
    assert_eq!(
        carries(&mut compiler, "web1", &names),
        [],
        "somebody stands there"
    );
    compiler.compile();
    compiler.apply(&Delta::Went(Arc::new(web.clone())));
    let (snapshot, _) = compiler.compile();
    for owner in ["www.example.org", "a.example.net"] {
        assert_eq!(ask(&snapshot, CLIENT, owner, RType::A), ["nodata"], "{owner}");
    }
    assert_eq!(snapshot.names(), 0);
    assert_eq!(addresses(&snapshot, "1.0.0.10.in-addr.arpa"), "not ours");
    compiler.apply(&came(&web));
    let (snapshot, _) = compiler.compile();
    assert_eq!(addresses(&snapshot, "www.example.org"), "10.0.0.1");
    compiler.apply(&Delta::Went(Arc::new(web)));
    compiler.compile();
    assert_eq!(carries(&mut compiler, "web1", &[]).len(), 2);
    let (snapshot, _) = compiler.compile();
    for owner in ["www.example.org", "a.example.net"] {
        assert_eq!(addresses(&snapshot, owner), "not ours", "{owner}");
    }
}

#[test]
fn what_does_not_run_holds_its_names_outside_our_zones_and_no_others() {
    let mut compiler = compiler();
    let changed = carries(&mut compiler, "s", &["shop.example", "api.docker"]);
    assert_eq!(changed, [name("shop.example")]);
    carries(&mut compiler, "t", &["shop.example"]);
    let (snapshot, _) = compiler.compile();
    assert_eq!(addresses(&snapshot, "shop.example"), "nodata");
    assert_eq!(addresses(&snapshot, "api.docker"), "nxdomain");
    assert_eq!(carries(&mut compiler, "s", &[]), [], "another carries it, too");
    assert_eq!(carries(&mut compiler, "t", &[]), changed);
    assert_eq!(addresses(&compiler.compile().0, "shop.example"), "not ours");
}

#[test]
fn a_name_of_a_registration_is_ours_no_longer_than_that() {
    let mut compiler = compiler();
    let mut web = wishing("web1", "10.0.0.1", named(&["www.example.org"]));
    web.id.source = Source::Rest;
    compiler.apply(&came(&web));
    assert_eq!(addresses(&compiler.compile().0, "www.example.org"), "10.0.0.1");
    compiler.apply(&Delta::Went(Arc::new(web)));
    assert_eq!(addresses(&compiler.compile().0, "www.example.org"), "not ours");
}

#[test]
fn what_the_grammar_means_by_a_name_nobody_gets_by_asking() {
    let mut compiler = compiler();
    compiler.apply(&came(&service("e", "web1")));
    compiler.apply(&came(&wishing(
        "thief",
        "10.6.6.6",
        named(&["web1.web.dev.docker", "web1.docker"]),
    )));
    let (snapshot, remarks) = compiler.compile();
    let overruled = Trouble::Overruled(vec!["thief".to_owned()]);
    assert_eq!(remarks.troubles, [(name("web1.web.dev.docker"), overruled)]);
    assert_ne!(addresses(&snapshot, "web1.web.dev.docker"), "10.6.6.6");
    assert_eq!(
        addresses(&snapshot, "web1.docker"),
        "10.6.6.6",
        "a container is called so by chance, and who asks for a name means it"
    );
    compiler.apply(&came(&wishing("third", "10.0.0.3", named(&["third.example"]))));
    assert_eq!(compiler.compile().1.troubles, [], "told once");
}

// RFC 1034, section 3.6.2: "If a CNAME RR is present at a node, no other data should be present".
#[test]
fn an_alias_stands_alone_and_a_service_with_a_port_has_srv_instead() {
    let quiet = alias("quiet", "db.example.com", None, &["old.docker"]);
    let (snapshot, remarks) = compiled(std::slice::from_ref(&quiet));
    assert!(remarks.errors.is_empty() && remarks.troubles.is_empty());
    let cname = ["CNAME db.example.com."];
    let uuid = format!("{}.docker", quiet.uuid);
    for owner in [
        "old.docker",
        "quiet.docker",
        "web.dev.docker",
        &uuid,
        "here.quiet.web.dev.docker",
    ] {
        for qtype in [RType::A, RType::CNAME, RType::TXT, RType::ANY] {
            assert_eq!(ask(&snapshot, CLIENT, owner, qtype), cname, "{owner}");
        }
    }
    let (snapshot, _) = compiled(&[alias("rest", "db.example.com", Some(5432), &["old.docker"])]);
    for owner in [
        "web.dev.docker",
        "rest.web.dev.docker",
        "*.dev.docker",
        "here.rest.web.dev.docker",
    ] {
        let srv = ask(&snapshot, CLIENT, owner, RType::SRV);
        assert_eq!(srv, ["SRV 10 100 5432 db.example.com"], "{owner}");
    }
    assert_eq!(addresses(&snapshot, "web.dev.docker"), "nodata");
    assert_eq!(ask(&snapshot, CLIENT, "old.docker", RType::A), cname);
}

#[test]
fn an_alias_that_shares_its_name_is_left_out_and_told_of() {
    let mut compiler = compiler();
    compiler.apply(&came(&alias("far", "db.example.com", None, &["db.docker"])));
    compiler.apply(&came(&wishing("near", "10.0.0.1", named(&["db.docker"]))));
    let (snapshot, remarks) = compiler.compile();
    assert_eq!(addresses(&snapshot, "db.docker"), "10.0.0.1");
    let aliases = Trouble::Aliases(vec!["far".to_owned()]);
    assert_eq!(remarks.troubles, [(name("db.docker"), aliases)]);
    assert_eq!(remarks.errors, []);
    for impossible in ["docker", "self.docker"] {
        let (snapshot, remarks) = compiled(&[alias("a", "self.docker", None, &[impossible])]);
        assert_eq!(
            addresses(&snapshot, impossible),
            "nodata",
            "no alias of itself, nor of a zone"
        );
        assert_eq!(remarks.errors, []);
    }
}

#[test]
fn texts_stand_at_the_names_of_their_service() {
    let texts = Wishes {
        texts: vec![
            "version=1".into(),
            "x".repeat(300).into(),
            "y".repeat(70_000).into(),
        ],
        ..named(&["api.docker", "www.example.org"])
    };
    let (snapshot, remarks) = compiled(&[wishing("web1", "10.0.0.1", texts)]);
    assert_eq!(remarks.errors, []);
    let long = format!("TXT \"{}\" \"{}\"", "x".repeat(255), "x".repeat(45));
    for owner in [
        "web.dev.docker",
        "web1.web.dev.docker",
        "web1.docker",
        "api.docker",
        "www.example.org",
    ] {
        let found = ask(&snapshot, CLIENT, owner, RType::TXT);
        assert_eq!(found, ["TXT \"version=1\"", &long], "{owner}");
    }
    for owner in ["dev.docker", "*.dev.docker"] {
        let found = ask(&snapshot, CLIENT, owner, RType::TXT);
        assert!(found.is_empty() || found == ["nodata"], "{owner}: {found:?}");
    }
}

#[test]
fn a_port_with_a_name_is_found_by_it_below_each_name() {
    let http = |number| NamedPort {
        name: "HTTP".into(),
        port: Port {
            protocol: Protocol::Tcp,
            number,
        },
    };
    let wishes = |number| Wishes {
        named_ports: vec![http(number)],
        ..named(&["api.docker", "www.example.org", "*.wild.docker"])
    };
    let mut compiler = compiler();
    let (one, two) = (
        wishing("web1", "10.0.0.1", wishes(8080)),
        wishing("web2", "10.0.0.2", wishes(9090)),
    );
    compiler.apply(&came(&one));
    compiler.apply(&came(&two));
    let (snapshot, _) = compiler.compile();
    let numbers = |owner: &str| {
        let srv = ask(&snapshot, CLIENT, owner, RType::SRV);
        let number = |line: &String| line.split(' ').nth(3).unwrap_or(line).to_owned();
        let mut numbers: Vec<_> = srv.iter().map(number).collect();
        numbers.sort();
        numbers.join(" ")
    };
    for owner in [
        "_http._tcp.web.dev.docker",
        "_http._tcp.api.docker",
        "_http._tcp.www.example.org",
    ] {
        assert_eq!(numbers(owner), "8080 9090", "{owner}");
        assert_eq!(addresses(&snapshot, owner), "nodata");
    }
    assert_eq!(numbers("_http._tcp.web1.docker"), "8080");
    assert_eq!(addresses(&snapshot, "_http._udp.web.dev.docker"), "nxdomain");
    compiler.apply(&Delta::Went(Arc::new(one)));
    compiler.apply(&Delta::Went(Arc::new(two)));
    assert_eq!(compiler.compile().0.names(), 0);
}

#[test]
fn srv_has_the_port_priority_and_weight_that_were_asked_for() {
    let asked = |priority, weight| Wishes {
        port: Some(8443),
        priority,
        weight,
        ..Wishes::default()
    };
    let (snapshot, _) = compiled(&[
        wishing("web1", "10.0.0.1", asked(None, Some(300))),
        wishing("web2", "10.0.0.2", asked(Some(10), None)),
        wishing("web3", "10.0.0.3", asked(Some(1), Some(0))),
    ]);
    for owner in ["web.dev.docker", "*.dev.docker"] {
        let srv = ask(&snapshot, CLIENT, owner, RType::SRV);
        let starts: Vec<_> = srv.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
        assert_eq!(
            starts,
            ["SRV 1 0 8443", "SRV 10 25 8443", "SRV 10 75 8443"],
            "{owner}"
        );
    }
}

#[test]
fn who_asks_for_it_is_published_before_it_is_healthy_or_always() {
    let of = |instance: &str, address: &str, health, publish| Service {
        health,
        ..wishing(
            instance,
            address,
            Wishes {
                publish,
                ..Wishes::default()
            },
        )
    };
    let (snapshot, _) = compiled(&[
        of("a", "10.0.0.1", Health::Healthy, Publish::Healthy),
        of("b", "10.0.0.2", Health::Starting, Publish::Starting),
        of("c", "10.0.0.3", Health::Unhealthy, Publish::Always),
        of("d", "10.0.0.4", Health::Starting, Publish::Healthy),
        of("e", "10.0.0.5", Health::Unhealthy, Publish::Starting),
    ]);
    for owner in ["web.dev.docker", "*.dev.docker"] {
        assert_eq!(
            addresses(&snapshot, owner),
            "10.0.0.1 10.0.0.2 10.0.0.3",
            "{owner}"
        );
    }
}

#[test]
fn clients_outside_are_led_to_published_ports_and_to_nothing_that_they_cannot_reach() {
    let at = |host_ip: &str, host_number, number| PublishedPort {
        host_ip: host_ip.parse().unwrap(),
        host_number,
        port: Port {
            protocol: Protocol::Tcp,
            number,
        },
    };
    let published = PublishedAt {
        addresses: vec!["198.51.100.1".parse().unwrap()],
        here: vec!["192.0.2.5/32".parse().unwrap()],
    };
    let mut compiler = compiler().published_at(published);
    compiler
        .networks(&source("e"), vec![network("front", &["10.1.0.0/16"])])
        .unwrap();
    let port = |number| Port {
        protocol: Protocol::Tcp,
        number,
    };
    let web = Service {
        addresses: vec![on("front", "10.1.0.2"), on("front", "fd00::2")].into(),
        ports: vec![port(80), port(9000)].into(),
        wishes: Some(Box::new(Wishes {
            published_ports: vec![
                at("0.0.0.0", 8080, 80),
                at("::", 8080, 80),
                at("127.0.0.1", 9001, 9000),
            ],
            ..Wishes::default()
        })),
        ..service("e", "web1")
    };
    let quiet = Service {
        addresses: vec![on("front", "10.1.0.3")].into(),
        ..service("e", "quiet")
    };
    compiler.apply(&came(&web));
    compiler.apply(&came(&quiet));
    let (snapshot, remarks) = compiler.compile();
    assert_eq!(remarks.errors, []);
    let (outside, inside, here) = ("203.0.113.9", "10.1.0.9", "192.0.2.5");
    for owner in [
        "web1.docker",
        "web1.web.dev.docker",
        "web1.*.dev.docker",
        "here.web1.web.dev.docker",
    ] {
        assert_eq!(
            addresses_for(&snapshot, outside, owner),
            "198.51.100.1",
            "{owner}"
        );
        for client in [inside, here, CLIENT] {
            assert_eq!(
                addresses_for(&snapshot, client, owner),
                "10.1.0.2",
                "{owner} for {client}"
            );
        }
        let aaaa = ask(&snapshot, outside, owner, RType::AAAA);
        assert!(aaaa.is_empty() || aaaa == ["nodata"], "{owner}: {aaaa:?}");
        let srv = ask(&snapshot, outside, owner, RType::SRV);
        assert!(
            srv[0].starts_with("SRV 10 100 8080 ") && srv.len() == 1,
            "{owner}: {srv:?}"
        );
    }
    assert_eq!(
        ask(&snapshot, outside, "_9000._tcp.web1.docker", RType::SRV),
        ["nodata"]
    );
    assert_eq!(
        ask(&snapshot, inside, "_9000._tcp.web1.docker", RType::SRV).len(),
        1
    );
    assert_eq!(
        addresses_for(&snapshot, outside, "quiet.docker"),
        "10.1.0.3",
        "what is published nowhere keeps its address"
    );
    assert_eq!(
        addresses_for(&snapshot, outside, "web.dev.docker"),
        "10.1.0.3 198.51.100.1"
    );
}
