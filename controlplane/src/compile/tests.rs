use dns::RType;

use super::owner::CROWD_MIN;
use super::*;
use crate::fixture::{addresses, addresses_for, answer, builder, name, network, on, service, source};
use crate::service::{Compose, Port, Protocol};

pub(super) const ZONES: [&str; 2] = ["docker", "corp.example"];

/// A client on no network.
pub(super) const CLIENT: &str = "127.0.0.1";

pub(super) fn compiler() -> Compiler {
    Compiler::new(Naming::new(ZONES.map(name).to_vec()), builder(&ZONES))
}

pub(super) fn came(service: &Service) -> Delta {
    Delta::Came(Arc::new(service.clone()))
}

pub(super) fn went(service: &Service) -> Delta {
    Delta::Went(Arc::new(service.clone()))
}

fn with(instance: &str, address: &str) -> Service {
    Service {
        addresses: vec![address.parse::<IpAddr>().unwrap().into()].into(),
        ..service("e", instance)
    }
}

#[test]
fn a_service_is_found_under_every_name_and_gone_from_all() {
    let mut compiler = compiler();
    let web = with("web1", "10.0.0.1");
    compiler.apply(&came(&web));
    let (full, remarks) = compiler.compile();
    assert_eq!(remarks.errors, []);
    compiler.apply(&went(&web));
    let (empty, _) = compiler.compile();

    let uuid = format!("{}.corp.example", web.uuid);
    let long = format!(
        "{}.{}.here.web1.web.dev.docker",
        web.uuid,
        web.host().replace('.', "-")
    );
    for owner in [
        "dev.docker",
        "web.dev.docker",
        "web1.web.dev.docker",
        "web1.docker",
        &uuid,
        &long,
        "web1.*.any.docker",
    ] {
        assert_eq!(addresses(&full, owner), "10.0.0.1", "{owner}");
        assert_eq!(addresses(&empty, owner), "nxdomain", "{owner}");
    }
    let reverse = name("1.0.0.10.in-addr.arpa");
    assert!(
        answer(&full, CLIENT, &reverse, RType::PTR)
            .unwrap()
            .ends_with(name("web1.web.dev.docker").octets())
    );
    assert_eq!(answer(&empty, CLIENT, &reverse, RType::PTR), Err("not ours"));
    assert_eq!((empty.names(), empty.endpoints(), empty.serial()), (0, 0, 2));
}

#[test]
fn names_of_a_crowd_can_be_left_for_later() {
    let mut compiler = compiler();
    let of = |number: usize| with(&format!("n{number}"), &format!("10.0.0.{number}"));
    let ready = |snapshot: &Snapshot, name: &str| addresses(snapshot, name).split(' ').count();
    for number in 1..CROWD_MIN {
        compiler.apply(&came(&of(number)));
    }
    let (few, _) = compiler.compile_but_crowds();
    assert_eq!(ready(&few, "dev.docker"), CROWD_MIN - 1, "no crowd yet");
    assert!(!compiler.is_behind());

    compiler.apply(&came(&of(CROWD_MIN)));
    compiler.apply(&went(&of(1)));
    compiler.apply(&came(&of(CROWD_MIN + 1)));
    let (own, _) = compiler.compile_but_crowds();
    let (last, address) = (format!("n{CROWD_MIN}.docker"), format!("10.0.0.{CROWD_MIN}"));
    assert_eq!(addresses(&own, &last), address);
    assert_eq!(addresses(&own, "n1.docker"), "nxdomain");
    assert_eq!(addresses(&own, "dev.docker"), addresses(&few, "dev.docker"));
    assert!(compiler.is_behind());

    let (all, _) = compiler.compile();
    let at_all = addresses(&all, "dev.docker");
    assert_eq!(ready(&all, "dev.docker"), CROWD_MIN);
    assert!(at_all.contains(&address) && !at_all.split(' ').any(|it| it == "10.0.0.1"));
    assert!(!compiler.is_behind());
}

#[test]
fn services_share_a_name_until_the_last_one_goes() {
    let mut compiler = compiler();
    let (a, b) = (with("a", "10.0.0.1"), with("b", "10.0.0.2"));
    compiler.apply(&came(&b));
    compiler.apply(&came(&a));
    assert_eq!(
        addresses(&compiler.compile().0, "web.dev.docker"),
        "10.0.0.1 10.0.0.2"
    );
    compiler.apply(&went(&a));
    assert_eq!(addresses(&compiler.compile().0, "web.dev.docker"), "10.0.0.2");
    compiler.apply(&went(&b));
    assert_eq!(addresses(&compiler.compile().0, "web.dev.docker"), "nxdomain");
}

#[test]
fn a_change_moves_the_names_it_touches_and_says_what_a_dig_would_show() {
    let mut compiler = compiler();
    let old = Arc::new(with("web1", "10.0.0.1"));
    let first = compiler.apply(&Delta::Came(old.clone())).came.unwrap();
    let called = |compiler: &Compiler, service: &Service| compiler.announcement(service).unwrap().name;
    assert_eq!(called(&compiler, &first), name("web1.web.dev.docker"));

    let slower = Arc::new(Service {
        ttl_seconds: 60,
        ..(*old).clone()
    });
    let quiet = compiler.apply(&Delta::Changed {
        old,
        new: slower.clone(),
    });
    assert_eq!((quiet.went, quiet.came), (None, None));

    let renamed = Arc::new(Service {
        instance: "web2".into(),
        ..(*slower).clone()
    });
    let moved = compiler.apply(&Delta::Changed {
        old: slower,
        new: renamed,
    });
    assert_eq!(
        called(&compiler, &moved.went.unwrap()),
        name("web1.web.dev.docker")
    );
    assert_eq!(
        called(&compiler, &moved.came.unwrap()),
        name("web2.web.dev.docker")
    );
    let (snapshot, _) = compiler.compile();
    assert_eq!(addresses(&snapshot, "web1.docker"), "nxdomain");
    assert_eq!(addresses(&snapshot, "web2.docker"), "10.0.0.1");
    assert_eq!(addresses(&snapshot, "web.dev.docker"), "10.0.0.1");
}

#[test]
fn an_environment_wins_over_short_names_which_come_back_when_it_goes() {
    let mut compiler = compiler();
    let mut with_uuid = with("prod", "10.0.0.1");
    with_uuid.uuid = "cafe".into();
    compiler.apply(&came(&with_uuid));
    let (before, _) = compiler.compile();
    assert_eq!(
        ["prod.docker", "cafe.docker"].map(|owner| addresses(&before, owner)),
        ["10.0.0.1", "10.0.0.1"]
    );

    let production = Service {
        environment: "prod".into(),
        ..with("db1", "10.0.0.2")
    };
    let cafe = Service {
        environment: "Cafe".into(),
        ..with("db2", "10.0.0.3")
    };
    compiler.apply(&came(&production));
    compiler.apply(&came(&cafe));
    let (during, _) = compiler.compile();
    assert_eq!(
        ["prod.docker", "cafe.docker"].map(|owner| addresses(&during, owner)),
        ["10.0.0.2", "10.0.0.3"]
    );
    assert_eq!(addresses(&during, "prod.web.dev.docker"), "10.0.0.1");

    compiler.apply(&went(&production));
    compiler.apply(&went(&cafe));
    let (after, _) = compiler.compile();
    assert_eq!(
        ["prod.docker", "cafe.docker"].map(|owner| addresses(&after, owner)),
        ["10.0.0.1", "10.0.0.1"]
    );
}

#[test]
fn a_service_that_cannot_be_named_costs_the_others_nothing() {
    let mut compiler = compiler();
    let (good, old) = (with("good", "10.0.0.1"), Arc::new(with("bad", "10.0.0.2")));
    compiler.apply(&came(&good));
    compiler.apply(&Delta::Came(old.clone()));
    let bad = Arc::new(Service {
        region: "".into(),
        ..(*old).clone()
    });
    let applied = compiler.apply(&Delta::Changed {
        old: old.clone(),
        new: bad.clone(),
    });
    assert_eq!(
        applied.failed.unwrap().to_string(),
        "\"bad\" (id-of-bad) gets no names: its region is empty; give --region a word"
    );
    assert!(applied.went.is_some() && applied.came.is_none());
    let (snapshot, _) = compiler.compile();
    assert_eq!(addresses(&snapshot, "dev.docker"), "10.0.0.1");
    assert_eq!(addresses(&snapshot, "bad.docker"), "nxdomain");

    // It can go without ever having been there, and come back.
    assert!(compiler.apply(&Delta::Went(bad)).went.is_none());
    compiler.apply(&Delta::Came(old));
    assert_eq!(
        addresses(&compiler.compile().0, "dev.docker"),
        "10.0.0.1 10.0.0.2"
    );
}

#[test]
fn a_service_with_more_addresses_than_an_endpoint_holds_is_skipped() {
    let mut compiler = compiler();
    let many = (0..=255)
        .map(|last| IpAddr::from([10, 9, 9, last]).into())
        .collect();
    let applied = compiler.apply(&came(&Service {
        addresses: many,
        ..service("e", "many")
    }));
    let text = applied.failed.unwrap().to_string();
    assert!(
        text.starts_with("\"many\" (id-of-many) gets no names: "),
        "{text}"
    );
    assert_eq!(compiler.compile().0.names(), 0);
    assert_eq!(compiler.sample(), None);
}

#[test]
fn a_name_of_very_many_answers_with_the_first_and_changes_behind_them_leave_it_alone() {
    let mut compiler = compiler();
    for number in 0..5_000_u32 {
        let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let one = Service {
            addresses: vec![address.into()].into(),
            ..service("e", &format!("w{number:05}"))
        };
        compiler.apply(&came(&one));
    }
    let (before, _) = compiler.compile();
    compiler.apply(&came(&with("w99999", "10.99.99.99")));
    assert!(
        !compiler.touched.contains(&name("dev.docker")),
        "it stands behind those that answer"
    );
    compiler.apply(&went(&with("w00000", "10.0.0.0")));
    assert!(compiler.touched.contains(&name("dev.docker")));
    let (after, _) = compiler.compile();

    let octets = |snapshot, qtype| answer(snapshot, CLIENT, &name("dev.docker"), qtype).unwrap();
    for snapshot in [&before, &after] {
        assert!(
            octets(snapshot, RType::A).len() > 64_000,
            "as much as one message holds"
        );
        assert!(octets(snapshot, RType::SRV).len() > 64_000);
    }
    assert_ne!(octets(&before, RType::A), octets(&after, RType::A));
    assert_eq!(addresses(&after, "w99999.docker"), "10.99.99.99");
}

#[test]
fn shared_names_lead_to_the_healthy_and_own_names_to_whoever_is_there() {
    let mut compiler = compiler();
    let of = |instance: &str, address: &str, health| {
        Arc::new(Service {
            health,
            ..with(instance, address)
        })
    };
    let starting = of("web1", "10.0.0.1", Health::Starting);
    let sick = of("web2", "10.0.0.2", Health::Unhealthy);
    compiler.apply(&Delta::Came(sick.clone()));
    let (only_sick, _) = compiler.compile();
    for shared in ["web.dev.docker", "dev.docker", "_80._tcp.web.dev.docker"] {
        assert_eq!(
            addresses(&only_sick, shared),
            "nodata",
            "{shared} is ours, and there is nobody to ask"
        );
    }
    assert_eq!(
        answer(&only_sick, CLIENT, &name("_80._tcp.web.dev.docker"), RType::SRV),
        Err("nodata")
    );
    for own in ["web2.web.dev.docker", "web2.docker"] {
        assert_eq!(addresses(&only_sick, own), "10.0.0.2");
    }
    assert!(answer(&only_sick, CLIENT, &name("2.0.0.10.in-addr.arpa"), RType::PTR).is_ok());
    assert_eq!(
        addresses(&only_sick, "*.web.dev.docker"),
        "",
        "it matches, and has nobody to name"
    );
    for own in ["web2.*.dev.docker", "here.web2.web.dev.docker"] {
        assert_eq!(addresses(&only_sick, own), "10.0.0.2", "{own}");
    }

    compiler.apply(&Delta::Came(starting.clone()));
    let (some_start, _) = compiler.compile();
    for shared in ["web.dev.docker", "*.web.dev.docker", "here.*.web.dev.docker"] {
        assert_eq!(addresses(&some_start, shared), "10.0.0.1", "{shared}");
    }

    let healthy = of("web1", "10.0.0.1", Health::Healthy);
    let applied = compiler.apply(&Delta::Changed {
        old: starting,
        new: healthy,
    });
    assert!(applied.went.is_none() && applied.came.is_none());
    assert_eq!(applied.turned.unwrap().health, Health::Healthy);
    let (snapshot, _) = compiler.compile();
    assert_eq!(addresses(&snapshot, "*.web.dev.docker"), "10.0.0.1");
    assert_eq!(addresses(&snapshot, "dev.docker"), "10.0.0.1");
    let recovered = of("web2", "10.0.0.2", Health::Healthy);
    compiler.apply(&Delta::Changed {
        old: sick,
        new: recovered,
    });
    assert_eq!(
        addresses(&compiler.compile().0, "dev.docker"),
        "10.0.0.1 10.0.0.2"
    );
    assert_eq!(compiler.services(), 2);
}

// RFC 2782, "The format of the SRV RR": the port is that of this target host of this service.
#[test]
fn each_port_has_a_name_of_its_own_below_the_names_of_its_services() {
    let mut compiler = compiler();
    let port = |protocol, number| Port { protocol, number };
    let both = Service {
        ports: vec![port(Protocol::Tcp, 80), port(Protocol::Udp, 53)].into(),
        ..with("web1", "10.0.0.1")
    };
    let one = Service {
        ports: vec![port(Protocol::Tcp, 80)].into(),
        ..with("web2", "10.0.0.2")
    };
    compiler.apply(&came(&both));
    compiler.apply(&came(&one));
    let (snapshot, _) = compiler.compile();
    let targets = |snapshot: &Snapshot, owner: &str| {
        let octets = answer(snapshot, CLIENT, &name(owner), RType::SRV)?;
        let has = |service: &Service| {
            let target = name(&format!("{}.docker", service.uuid));
            octets
                .windows(target.octets().len())
                .any(|part| part == target.octets())
        };
        Ok::<_, &str>([has(&both), has(&one)])
    };
    for (owner, expected) in [
        ("_80._tcp.web.dev.docker", Ok([true, true])),
        ("_53._udp.web.dev.docker", Ok([true, false])),
        ("_80._tcp.web2.web.dev.docker", Ok([false, true])),
        ("_80._tcp.web1.docker", Ok([true, false])),
        ("_53._udp.web2.docker", Err("nxdomain")),
        ("_80._udp.web.dev.docker", Err("nxdomain")),
        ("_tcp.web.dev.docker", Err("nodata")),
        ("_80._tcp.dev.docker", Err("nxdomain")),
    ] {
        assert_eq!(targets(&snapshot, owner), expected, "{owner}");
    }
    compiler.apply(&went(&both));
    let (after, _) = compiler.compile();
    assert_eq!(targets(&after, "_80._tcp.web.dev.docker"), Ok([false, true]));
    assert_eq!(targets(&after, "_53._udp.web.dev.docker"), Err("nxdomain"));
    assert_eq!(targets(&after, "_udp.web.dev.docker"), Err("nxdomain"));
    compiler.apply(&went(&one));
    assert_eq!(compiler.compile().0.names(), 0);
}

fn composed(project: &str, instance: &str, address: &str) -> Service {
    let compose = Compose {
        project: project.into(),
        service: "web".into(),
        number: Some(1),
    };
    Service {
        compose: Some(Box::new(compose)),
        ..with(instance, address)
    }
}

#[test]
fn a_compose_service_is_found_by_its_project_and_alone_while_only_one_project_has_it() {
    let mut compiler = compiler();
    compiler.apply(&came(&composed("shop", "shop-web-1", "10.0.0.1")));
    let (one, remarks) = compiler.compile();
    assert_eq!(remarks.troubles, []);
    for owner in ["web.shop.docker", "1.web.shop.docker", "web.docker"] {
        assert_eq!(addresses(&one, owner), "10.0.0.1", "{owner}");
    }
    assert_eq!(addresses(&one, "shop.docker"), "nodata");

    let blog = composed("blog", "blog-web-1", "10.0.0.2");
    compiler.apply(&came(&blog));
    let (two, remarks) = compiler.compile();
    let rivals = Trouble::Rivals(["blog", "shop"].map(str::to_owned).to_vec());
    for owner in ["web.docker", "web.dev.docker"] {
        assert!(
            remarks.troubles.contains(&(name(owner), rivals.clone())),
            "{owner}"
        );
    }
    assert_eq!(remarks.troubles.len(), 2 * ZONES.len());
    for (owner, expected) in [
        ("web.docker", "nxdomain"),
        ("web.shop.docker", "10.0.0.1"),
        ("web.blog.docker", "10.0.0.2"),
        ("web.dev.docker", "nodata"),
        ("shop-web-1.web.dev.docker", "10.0.0.1"),
        ("dev.docker", "10.0.0.1 10.0.0.2"),
        // Who asks for whatever there is gets it.
        ("web.*.docker", "10.0.0.1 10.0.0.2"),
        ("here.*.web.dev.docker", "10.0.0.1 10.0.0.2"),
    ] {
        assert_eq!(addresses(&two, owner), expected, "{owner}");
    }
    for owner in ["_80._tcp.web.docker", "_80._tcp.web.dev.docker"] {
        assert_eq!(addresses(&two, owner), "nxdomain", "{owner}");
    }

    compiler.apply(&came(&composed("blog", "blog-web-2", "10.0.0.3")));
    assert_eq!(compiler.compile().1.troubles, [], "said once");
    compiler.apply(&went(&composed("shop", "shop-web-1", "10.0.0.1")));
    let (alone, _) = compiler.compile();
    for owner in ["web.docker", "web.dev.docker"] {
        assert_eq!(addresses(&alone, owner), "10.0.0.2 10.0.0.3", "{owner}");
    }
}

#[test]
fn a_service_that_asked_for_its_word_or_is_in_no_project_shares_the_name_of_one_that_is() {
    let mut compiler = compiler();
    let asked = Service {
        is_service_asked: true,
        ..composed("blog", "blog-web-1", "10.0.0.2")
    };
    compiler.apply(&came(&composed("shop", "shop-web-1", "10.0.0.1")));
    compiler.apply(&came(&asked));
    compiler.apply(&came(&with("plain", "10.0.0.3")));
    let (shared, remarks) = compiler.compile();
    assert_eq!(addresses(&shared, "web.dev.docker"), "10.0.0.1 10.0.0.2 10.0.0.3");
    // The name that Compose gives is none that was asked for.
    assert_eq!(addresses(&shared, "web.docker"), "nxdomain");
    assert_eq!(remarks.troubles.len(), ZONES.len());

    // Of two that did not ask, none has it, and who would have shared it with one of them does not either.
    compiler.apply(&came(&composed("wiki", "wiki-web-1", "10.0.0.4")));
    let (contested, _) = compiler.compile();
    assert_eq!(addresses(&contested, "web.dev.docker"), "nodata");
    assert_eq!(addresses(&contested, "plain.docker"), "10.0.0.3");
    // In an environment of its own it is no rival.
    let apart = Service {
        environment: "wiki".into(),
        ..composed("wiki", "wiki-web-1", "10.0.0.4")
    };
    compiler.apply(&went(&composed("wiki", "wiki-web-1", "10.0.0.4")));
    compiler.apply(&came(&apart));
    let (apart, _) = compiler.compile();
    assert_eq!(addresses(&apart, "web.dev.docker"), "10.0.0.1 10.0.0.2 10.0.0.3");
    assert_eq!(addresses(&apart, "web.wiki.docker"), "10.0.0.4");
}

#[test]
fn the_grammar_and_a_container_of_that_name_go_before_a_compose_project() {
    let mut compiler = compiler();
    // A project that is called as an environment is.
    compiler.apply(&came(&composed("dev", "dev-web-1", "10.0.0.1")));
    assert_eq!(addresses(&compiler.compile().0, "web.dev.docker"), "10.0.0.1");
    compiler.apply(&came(&with("plain", "10.0.0.2")));
    let (snapshot, _) = compiler.compile();
    assert_eq!(addresses(&snapshot, "web.dev.docker"), "10.0.0.1 10.0.0.2");
    assert_eq!(
        addresses(&snapshot, "1.web.dev.docker"),
        "10.0.0.1",
        "nobody else is called so"
    );
    // A container that is called as a service is.
    compiler.apply(&came(&with("web", "10.0.0.3")));
    assert_eq!(addresses(&compiler.compile().0, "web.docker"), "10.0.0.3");
    // The project's environment is another one.
    let elsewhere = Service {
        environment: "prod".into(),
        ..composed("dev", "other-web-1", "10.0.0.4")
    };
    compiler.apply(&came(&elsewhere));
    let (snapshot, _) = compiler.compile();
    assert_eq!(
        addresses(&snapshot, "web.dev.docker"),
        "10.0.0.1 10.0.0.2 10.0.0.3"
    );
}

#[test]
fn a_client_gets_the_addresses_on_the_network_it_is_in() {
    let mut compiler = compiler();
    let both = Service {
        addresses: vec![on("front", "10.1.0.2"), on("back", "10.2.0.2")].into(),
        ..service("e", "web1")
    };
    let one = Service {
        addresses: vec![on("front", "10.1.0.3")].into(),
        ..service("e", "web2")
    };
    // Told after the services: whoever comes first, the other is not waited for.
    compiler.apply(&came(&both));
    compiler.apply(&came(&one));
    let subnets = vec![
        network("front", &["10.1.0.0/16"]),
        network("back", &["10.2.0.0/16"]),
    ];
    assert_eq!(compiler.networks(&source("e"), subnets), Ok(Some(0)));
    let (snapshot, _) = compiler.compile();
    for (client, expected) in [
        (CLIENT, "10.1.0.2 10.1.0.3"),
        ("10.1.0.9", "10.1.0.2 10.1.0.3"),
        ("10.2.0.9", "10.1.0.3 10.2.0.2"),
    ] {
        for owner in ["web.dev.docker", "dev.docker", "*.dev.docker", "web.*.docker"] {
            assert_eq!(
                addresses_for(&snapshot, client, owner),
                expected,
                "{owner} for {client}"
            );
        }
    }
    let uuid = format!("{}.docker", both.uuid);
    for owner in ["web1.docker", "web1.web.dev.docker", &uuid] {
        assert_eq!(addresses_for(&snapshot, "10.2.0.9", owner), "10.2.0.2", "{owner}");
    }
    let srv = |client| answer(&snapshot, client, &name("_80._tcp.web1.docker"), RType::SRV).unwrap();
    assert!(srv("10.2.0.9").ends_with(&[10, 2, 0, 2]) && srv(CLIENT).ends_with(&[10, 1, 0, 2]));

    // The network goes, and the container leaves it.
    compiler.apply(&went(&both));
    compiler.apply(&came(&Service {
        addresses: vec![on("front", "10.1.0.2")].into(),
        ..both
    }));
    assert_eq!(compiler.networks(&source("e"), vec![]), Ok(Some(0)));
    let (after, _) = compiler.compile();
    assert_eq!(addresses_for(&after, "10.2.0.9", "web1.docker"), "10.1.0.2");
}

#[test]
fn reverse_names_of_a_network_are_ours_as_long_as_it_is_there() {
    let mut compiler = compiler();
    let web = Service {
        addresses: vec![on("front", "10.1.0.2"), on("front", "fd00:1::2")].into(),
        ..service("e", "web1")
    };
    compiler.apply(&came(&web));
    let told = vec![network("front", &["10.1.0.0/16", "fd00:1::/64"])];
    assert_eq!(compiler.networks(&source("e"), told.clone()), Ok(Some(0)));
    assert_eq!(compiler.networks(&source("e"), told), Ok(None));
    let (snapshot, _) = compiler.compile();
    let ask = |snapshot: &Snapshot, ip: &str| {
        let owner = Name::reverse(ip.parse().unwrap());
        answer(snapshot, CLIENT, &owner, RType::PTR).map(|_| "ptr")
    };
    let all = ["10.1.0.2", "fd00:1::2", "10.1.9.9", "fd00:1::9", "10.2.0.1"];
    let expected = [
        Ok("ptr"),
        Ok("ptr"),
        Err("nxdomain"),
        Err("nxdomain"),
        Err("not ours"),
    ];
    assert_eq!(all.map(|ip| ask(&snapshot, ip)), expected);
    assert_eq!(addresses(&snapshot, "0.1.10.in-addr.arpa"), "nodata");

    compiler.networks(&source("e"), vec![]).unwrap();
    let (after, _) = compiler.compile();
    let expected = [
        Ok("ptr"),
        Ok("ptr"),
        Err("not ours"),
        Err("not ours"),
        Err("not ours"),
    ];
    assert_eq!(all.map(|ip| ask(&after, ip)), expected);
}
