use std::collections::BTreeMap;

use dns::RType;

use super::*;
use crate::fixture::{addresses, answer, builder, name, service};
use crate::registry::Registry;
use crate::service::{Change, Port, Protocol, ServiceId};

const ZONES: [&str; 2] = ["docker", "corp.example"];

fn compiler() -> Compiler {
    Compiler::new(Naming::new(ZONES.map(name).to_vec()), builder(&ZONES))
}

fn came(service: &Service) -> Delta {
    Delta::Came(Arc::new(service.clone()))
}

fn went(service: &Service) -> Delta {
    Delta::Went(Arc::new(service.clone()))
}

fn with(instance: &str, address: &str) -> Service {
    Service {
        addresses: vec![address.parse().unwrap()],
        ..service("e", instance)
    }
}

#[test]
fn a_service_is_found_under_every_name_and_gone_from_all() {
    let mut compiler = compiler();
    let web = with("web1", "10.0.0.1");
    compiler.apply(&came(&web));
    let (full, errors) = compiler.compile();
    assert_eq!(errors, []);
    compiler.apply(&went(&web));
    let (empty, _) = compiler.compile();

    let uuid = format!("{}.corp.example", web.uuid);
    let long = format!(
        "{}.{}.here.web1.web.dev.docker",
        web.uuid,
        web.host.replace('.', "-")
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
        answer(&full, &reverse, RType::PTR)
            .unwrap()
            .ends_with(name("web1.web.dev.docker").octets())
    );
    assert_eq!(answer(&empty, &reverse, RType::PTR), Err("not ours"));
    assert_eq!((empty.names(), empty.endpoints(), empty.serial()), (0, 0, 2));
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
    assert_eq!(first.name, name("web1.web.dev.docker"));

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
    assert_eq!(moved.went, Some(first));
    assert_eq!(moved.came.unwrap().name, name("web2.web.dev.docker"));
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
        region: String::new(),
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
    let many = (0..=255).map(|last| IpAddr::from([10, 9, 9, last])).collect();
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
            addresses: vec![address],
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

    let octets = |snapshot, qtype| answer(snapshot, &name("dev.docker"), qtype).unwrap();
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

/// Small numbers that look random and are the same in every run (Marsaglia's xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// A service out of few words, so that names, addresses and environments collide all the time.
    fn service(&mut self) -> Service {
        let base = service(
            self.pick(&["e", "f"]),
            self.pick(&["c0", "c1", "c2", "c3", "c4", "c5"]),
        );
        let address = |dice: &mut Self| match dice.below(4) {
            0 => IpAddr::from([0, 0, 0, 0, 0, 0, 0, u16::try_from(dice.below(4)).unwrap()]),
            _ => IpAddr::from([10, 0, 0, u8::try_from(dice.below(6)).unwrap()]),
        };
        let addresses = (0..self.below(3)).map(|_| address(self)).collect();
        let ports = match self.below(3) {
            0 => vec![],
            _ => vec![Port {
                protocol: Protocol::Tcp,
                number: 80,
            }],
        };
        Service {
            environment: self.pick(&["dev", "prod", "web1", "beef", "all"]).into(),
            service: self.pick(&["web", "db"]).into(),
            instance: self.pick(&["web1", "web2", "dev", "Web.1", "beef"]).into(),
            region: self.pick(&["here", "there", "here", ""]).into(),
            uuid: self.pick(&["beef", "cafe", "f00d", "prod"]).into(),
            addresses,
            ports,
            ttl_seconds: u32::try_from(self.below(3) * 10 + 10).unwrap(),
            ..base
        }
    }
}

/// Every name that could be asked for after `seen`.
fn askable(seen: &[Service]) -> HashSet<Name> {
    let naming = Naming::new(ZONES.map(name).to_vec());
    let names = seen
        .iter()
        .filter_map(|service| naming.names(service).ok().flatten());
    let mut all: HashSet<Name> = names
        .flat_map(|names| places(names).map(|(name, _)| name))
        .collect();
    all.extend(
        [
            "docker",
            "*.docker",
            "*.dev.docker",
            "web.*.corp.example",
            "web1.any.prod.docker",
        ]
        .map(name),
    );
    all.extend(
        [
            "here.*.web.*.docker",
            "beef.*.*.web1.web.dev.docker",
            "nobody.docker",
        ]
        .map(name),
    );
    all
}

#[test]
fn random_changes_lead_to_the_snapshot_that_a_fresh_compile_makes() {
    for seed in 1..=30_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut registry, mut incremental) = (Registry::default(), compiler());
        let mut model: BTreeMap<ServiceId, Service> = BTreeMap::new();
        let mut seen = Vec::new();
        for _ in 0..30 {
            // Several changes a snapshot, as in a burst.
            for _ in 0..=dice.below(4) {
                let service = dice.service();
                seen.push(service.clone());
                let change = match dice.below(8) {
                    0..5 => {
                        model.insert(service.id.clone(), service.clone());
                        Change::Put(service)
                    }
                    5..7 => {
                        model.remove(&service.id);
                        Change::Remove(service.id)
                    }
                    _ => {
                        let source = service.id.source.clone();
                        let mut services: Vec<_> = (0..4).map(|_| dice.service()).collect();
                        services.retain(|service| service.id.source == source);
                        seen.extend_from_slice(&services);
                        model.retain(|id, _| id.source != source);
                        model.extend(services.iter().map(|one| (one.id.clone(), one.clone())));
                        Change::Reset { source, services }
                    }
                };
                for delta in registry.apply(change) {
                    incremental.apply(&delta);
                }
            }
            let (snapshot, errors) = incremental.compile();
            assert_eq!(errors, []);

            let mut fresh = compiler();
            model
                .values()
                .for_each(|service| drop(fresh.apply(&came(service))));
            let (expected, _) = fresh.compile();
            assert_eq!(
                (snapshot.names(), snapshot.endpoints(), registry.len()),
                (expected.names(), expected.endpoints(), model.len()),
                "seed {seed}"
            );
            for owner in askable(&seen) {
                let is_exact = incremental.owners.contains_key(&owner);
                let types = [RType::A, RType::AAAA, RType::SRV, RType::PTR];
                for qtype in types.into_iter().filter(|qtype| is_exact || *qtype == RType::A) {
                    let (got, wanted) = (answer(&snapshot, &owner, qtype), answer(&expected, &owner, qtype));
                    assert_eq!(got, wanted, "seed {seed}, {owner} {}", qtype.0);
                }
            }
        }
    }
}
