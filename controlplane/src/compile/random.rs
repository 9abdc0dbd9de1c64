//! Any changes, one after the other, lead to the snapshot that a fresh compile of what is left makes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use dns::{Class, Lookup, Question, RType};

use super::tests::{CLIENT, ZONES, came, compiler};
use super::wish_tests::ask;
use super::*;
use crate::fixture::{Dice, addresses_for, answer, name, network, service};
use crate::naming::{Role, named_port, target};
use crate::registry::{Registry, folded};
use crate::service::{
    Address, Change, Compose, NamedPort, NetworkAlias, Port, Protocol, Publish, PublishedPort, ServiceId,
    Wishes,
};

/// What changes are made of, out of few words.
trait Random {
    fn service(&mut self) -> Service;
    fn wishes(&mut self) -> Wishes;
    fn networks(&mut self) -> Vec<Network>;
}

impl Random for Dice {
    /// A service out of few words, so that names, addresses, networks and environments collide all the time.
    fn service(&mut self) -> Service {
        let base = service(
            self.pick(&["e", "f"]),
            self.pick(&["c0", "c1", "c2", "c3", "c4", "c5"]),
        );
        let address = |dice: &mut Self| {
            let ip = match dice.roll(4) {
                0 => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::try_from(dice.roll(4)).unwrap()]),
                _ => IpAddr::from([
                    10,
                    u8::try_from(dice.roll(3)).unwrap(),
                    0,
                    u8::try_from(dice.roll(6)).unwrap(),
                ]),
            };
            let network = dice.pick(&["", "n0", "n1", "n2"]);
            Address {
                ip,
                network: (!network.is_empty()).then(|| network.into()),
                is_hosts: false,
            }
        };
        let addresses = (0..self.roll(4)).map(|_| address(self)).collect();
        let port = |number| Port {
            protocol: Protocol::Tcp,
            number,
        };
        let ports: Vec<_> = (0..self.roll(3))
            .map(|more| port(80 + u16::try_from(more).unwrap()))
            .collect();
        let compose = (self.roll(2) == 0).then(|| Compose {
            project: self.pick(&["shop", "blog", "dev"]).into(),
            service: self.pick(&["web", "db", "web1"]).into(),
            number: [None, Some(1), Some(2)][self.roll(3)],
        });
        let wishes = (self.roll(3) == 0).then(|| Box::new(self.wishes()));
        let healths = [Health::None, Health::Healthy, Health::Starting, Health::Unhealthy];
        Service {
            environment: self.pick(&["dev", "prod", "web1", "beef", "all"]).into(),
            service: self.pick(&["web", "db"]).into(),
            is_service_asked: self.roll(4) == 0,
            instance: self.pick(&["web1", "web2", "dev", "Web.1", "beef"]).into(),
            region: self.pick(&["here", "there", "here", ""]).into(),
            uuid: self.pick(&["beef", "cafe", "f00d", "prod"]).into(),
            compose: compose.map(Box::new),
            addresses,
            ports: ports.into(),
            health: healths[self.roll(4)],
            wishes,
            ttl_seconds: u32::try_from(self.roll(3) * 10 + 10).unwrap(),
            ..base
        }
    }

    /// Wishes out of few, for names that others have too.
    fn wishes(&mut self) -> Wishes {
        let words = [
            "web1.docker",
            "web.dev.docker",
            "api.docker",
            "www.example.org",
            "*.wild.docker",
            "api.wild.docker",
            "*.example.net",
            "api.example.net",
            "docker",
        ];
        let port = |number: usize| Port {
            protocol: Protocol::Tcp,
            number: u16::try_from(80 + number).unwrap(),
        };
        let mut named_ports = Vec::new();
        for _ in 0..self.roll(3) {
            named_ports.push(NamedPort {
                name: self.pick(&["http", "admin"]).into(),
                port: port(self.roll(2)),
            });
        }
        let mut published_ports = Vec::new();
        for _ in 0..self.roll(3) {
            let host_ip = self.pick(&["0.0.0.0", "127.0.0.1", "::", "198.51.100.7"]);
            published_ports.push(PublishedPort {
                host_ip: host_ip.parse().unwrap(),
                host_number: 8080,
                port: port(self.roll(2)),
            });
        }
        let aliases = ["api.docker", "far.example", "web1.docker"];
        Wishes {
            names: (0..self.roll(3)).map(|_| name(self.pick(&words))).collect(),
            alias: (self.roll(3) == 0).then(|| name(self.pick(&aliases))),
            port: [None, Some(80), Some(99)][self.roll(3)],
            named_ports,
            priority: [None, Some(5)][self.roll(2)],
            weight: [None, Some(0), Some(300)][self.roll(3)],
            texts: (0..self.roll(3))
                .map(|_| self.pick(&["a=1", "b=2", ""]).into())
                .collect(),
            publish: [Publish::Healthy, Publish::Starting, Publish::Always][self.roll(3)],
            published_ports,
            network_aliases: (0..self.roll(3))
                .map(|_| NetworkAlias {
                    network: self.pick(&["n0", "n1", "n2"]).into(),
                    word: self.pick(&["front", "web1", "api", "A.b"]).into(),
                })
                .collect(),
        }
    }

    /// Networks out of few, so that engines share subnets, and subnets lie in each other.
    fn networks(&mut self) -> Vec<Network> {
        let mut networks = Vec::new();
        for (number, name) in ["n0", "n1", "n2"].into_iter().enumerate() {
            let subnets: &[&str] = match self.roll(4) {
                0 => continue,
                1 => &[["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/15"][number]],
                2 => &[["10.0.0.0/24", "10.1.0.0/17", "10.2.0.0/16"][number], "fd00::/64"],
                _ => &["10.0.0.0/8"],
            };
            networks.push(Network {
                is_own: self.roll(3) > 0,
                ..network(name, subnets)
            });
        }
        networks
    }
}

/// Every name that could be asked for after `seen`.
fn askable(seen: &[Service]) -> HashSet<Name> {
    let naming = Naming::new(ZONES.map(name).to_vec());
    let names = seen
        .iter()
        .filter_map(|service| naming.names(service).ok().flatten());
    let mut all: HashSet<Name> = names
        .flat_map(|names| names.places.into_iter().map(|(name, _)| name))
        .collect();
    let below: Vec<Name> = all
        .iter()
        .flat_map(|name| ["_80", "_81", "_82"].map(|port| name.prefixed(&[port, "_tcp"]).ok()))
        .flatten()
        .collect();
    all.extend(below);
    all.extend(
        [
            "docker",
            "*.docker",
            "www.example.org",
            "sub.www.example.org",
            "x.y.wild.docker",
            "x.api.wild.docker",
            "x.example.net",
            "x.api.example.net",
            "_80._tcp.x.wild.docker",
            "_080._tcp.web.dev.docker",
            "nowhere.web1.web.dev.docker",
            "nowhere.any.web.dev.docker",
            "there.web2.web.prod.docker",
            "_http.web1.web.dev.docker",
            "docker",
            "*.dev.docker",
            "_tcp.web.dev.docker",
            "shop.docker",
            "web.*.corp.example",
            "web1.any.prod.docker",
            "here.*.web.*.docker",
            "beef.*.*.web1.web.dev.docker",
            "nobody.docker",
            "9.9.0.10.in-addr.arpa",
            "10.in-addr.arpa",
            "1.ip6.arpa",
        ]
        .map(name),
    );
    all
}

/// Those who answer for a question, as it is explained.
fn answering(compiler: &Compiler, client: &str, owner: &Name, qtype: RType) -> Vec<Candidate> {
    let mut candidates = compiler.explain(owner, qtype, client.parse().unwrap()).candidates;
    candidates.retain(|it| it.verdict == Verdict::Answers && it.role != Some(Role::Reverse));
    candidates
}

/// The IPv4 addresses of those who answer for `owner`, as it is explained, or nothing if there are none.
fn explained(compiler: &Compiler, client: &str, owner: &Name) -> String {
    let way = compiler.explain(owner, RType::A, client.parse().unwrap()).way;
    let mut addresses: Vec<IpAddr> = answering(compiler, client, owner, RType::A)
        .iter()
        .flat_map(|candidate| candidate.addresses.iter().copied())
        .filter(IpAddr::is_ipv4)
        .collect();
    if matches!(way, Way::Port(_)) || is_port_name(owner) && way == Way::Name {
        addresses.clear();
    }
    addresses.sort_unstable();
    addresses.dedup();
    let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(" ")
}

/// The targets of those who answer an SRV question for `owner`, as it is explained.
fn explained_targets(compiler: &Compiler, client: &str, owner: &Name) -> BTreeSet<String> {
    let naming = Naming::new(ZONES.map(name).to_vec());
    let zone = naming.zone_of(owner).cloned().unwrap_or_else(|| name(ZONES[0]));
    let is_port = matches!(
        compiler.explain(owner, RType::SRV, client.parse().unwrap()).way,
        Way::Port(_)
    );
    let answering = answering(compiler, client, owner, RType::SRV);
    let with_port = answering.iter().filter(|it| {
        is_port || named_port(&it.service, owner).is_some() || it.service.announced_port().is_some()
    });
    let targets = with_port.filter_map(|it| target(&it.service, &zone));
    targets.map(|target| target.to_string()).collect()
}

/// The targets that an SRV question for `owner` is told; none where it is told an alias.
fn told_targets(snapshot: &Snapshot, client: &str, owner: &Name) -> Option<BTreeSet<String>> {
    let said = ask(snapshot, client, &owner.to_string(), RType::SRV);
    if said.iter().any(|line| line.starts_with("CNAME ")) {
        return None;
    }
    let srv = said.iter().filter(|line| line.starts_with("SRV "));
    let targets = srv.filter_map(|line| line.rsplit(' ').next());
    Some(
        targets
            .map(|target| target.trim_end_matches('.').to_owned())
            .collect(),
    )
}

/// Everything that a name may have.
const TYPES: [RType; 6] = [
    RType::A,
    RType::AAAA,
    RType::SRV,
    RType::PTR,
    RType::TXT,
    RType::CNAME,
];

/// Clients on no network, and on each that [`Random::networks`] makes.
const CLIENTS: [&str; 8] = [
    CLIENT,
    "10.0.0.9",
    "10.1.0.9",
    "10.2.0.9",
    "10.3.0.9",
    "fd00::9",
    "192.0.2.1",
    "2001:db8::1",
];

/// Every second seed leads clients outside elsewhere.
fn seeded(seed: u64) -> Compiler {
    let addresses = ["198.51.100.1", "2001:db8:1::1"].map(|ip| ip.parse().unwrap());
    match seed % 2 {
        0 => compiler(),
        _ => compiler().published_at(PublishedAt {
            addresses: addresses.to_vec(),
            here: vec!["192.0.2.200/32".parse().unwrap()],
        }),
    }
}

/// Everything at once, however little it is, on three threads.
fn in_bursts(compiler: Compiler) -> Compiler {
    Compiler {
        burst_min: 0,
        run: |work| {
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(work);
                }
            });
        },
        ..compiler
    }
}

#[test]
fn a_burst_on_several_threads_leads_where_one_change_after_the_other_does() {
    for seed in 1..=6_u64 {
        let mut dice = Dice(seed);
        let mut registry = Registry::default();
        let (mut one_by_one, mut at_once) = (seeded(seed), in_bursts(seeded(seed)));
        let mut seen = Vec::new();
        for (burst, inside) in CLIENTS.iter().enumerate().take(4) {
            let mut deltas = Vec::new();
            if burst == 0 {
                // The first list of a host, in which all are new.
                let services: Vec<_> = (0..25).map(|_| Arc::new(dice.service())).collect();
                seen.extend(services.iter().map(|service| Service::clone(service)));
                let source = Source::Engine("e".into());
                deltas = registry.apply(Change::Reset { source, services });
            } else {
                for _ in 0..=dice.roll(25) {
                    let service = dice.service();
                    seen.push(service.clone());
                    let change = match dice.roll(4) {
                        0 => Change::Remove(service.id),
                        _ => Change::Put(service.into()),
                    };
                    deltas.extend(registry.apply(change));
                }
            }
            let names: Arc<[Name]> = dice.wishes().names.into();
            let networks = dice.networks();
            let [one, other] = [&mut one_by_one, &mut at_once].map(|compiler| {
                let applied = compiler.apply_all(&deltas);
                let source = Source::Engine("e".into());
                compiler.carried(&source, vec![("c".into(), names.clone())]);
                compiler.networks(&source, networks.clone()).unwrap();
                let (snapshot, remarks) = compiler.compile();
                (snapshot, format!("{applied:?} {remarks:?}"))
            });
            assert_eq!(one.1, other.1, "seed {seed}, burst {burst}");
            let counts = |it: &Snapshot| (it.serial(), it.names(), it.endpoints());
            assert_eq!(counts(&one.0), counts(&other.0), "seed {seed}, burst {burst}");
            for owner in askable(&seen) {
                for qtype in TYPES {
                    for client in [inside, CLIENTS[7]] {
                        let [one, other] =
                            [&one.0, &other.0].map(|it| ask(it, client, &owner.to_string(), qtype));
                        assert_eq!(one, other, "seed {seed}, {owner} {} for {client}", qtype.0);
                    }
                }
            }
        }
    }
}

#[test]
fn random_changes_lead_to_the_snapshot_that_a_fresh_compile_makes() {
    for seed in 1..=8_u64 {
        let mut dice = Dice(seed);
        let (mut registry, mut incremental) = (Registry::default(), seeded(seed));
        let mut model: BTreeMap<ServiceId, Service> = BTreeMap::new();
        let mut networks: BTreeMap<Source, Vec<Network>> = BTreeMap::new();
        let mut carried: BTreeMap<Holder, Arc<[Name]>> = BTreeMap::new();
        let mut seen = Vec::new();
        for burst in 0..12 {
            let (before, mut pending) = (seen.len(), Vec::new());
            // Several changes a snapshot, as in a burst.
            for _ in 0..=dice.roll(4) {
                let service = dice.service();
                if dice.roll(3) == 0 {
                    let names: Arc<[Name]> = dice.wishes().names.into();
                    let ServiceId { source, id, .. } = service.id.clone();
                    incremental.carried(&source, vec![(id.clone(), names.clone())]);
                    carried.insert((source, id), names);
                }
                seen.push(service.clone());
                let change = match dice.roll(10) {
                    0..5 => {
                        model.insert(service.id.clone(), service.clone());
                        Change::Put(service.into())
                    }
                    5..7 => {
                        model.remove(&service.id);
                        Change::Remove(service.id)
                    }
                    7..9 => {
                        let source = service.id.source.clone();
                        let mut services: Vec<_> = (0..4).map(|_| dice.service()).collect();
                        services.retain(|service| service.id.source == source);
                        seen.extend_from_slice(&services);
                        model.retain(|id, _| id.source != source);
                        model.extend(services.iter().map(|one| (one.id.clone(), one.clone())));
                        let services = services.into_iter().map(Arc::new).collect();
                        Change::Reset { source, services }
                    }
                    _ => {
                        let told = dice.networks();
                        networks.insert(service.id.source.clone(), told.clone());
                        incremental.networks(&service.id.source, told).unwrap();
                        continue;
                    }
                };
                pending.extend(registry.apply(change));
                // As the pipeline does it, and one by one: a burst may be cut anywhere.
                if dice.roll(2) == 0 {
                    incremental.apply_all(&folded(std::mem::take(&mut pending)));
                }
            }
            incremental.apply_all(&folded(pending));
            let (snapshot, remarks) = incremental.compile();
            assert_eq!(remarks.errors, []);

            let mut fresh = seeded(seed);
            for (source, networks) in &networks {
                fresh.networks(source, networks.clone()).unwrap();
            }
            model
                .values()
                .for_each(|service| drop(fresh.apply(&came(service))));
            for ((source, id), names) in &carried {
                fresh.carried(source, vec![(id.clone(), names.clone())]);
            }
            let (expected, _) = fresh.compile();
            assert_eq!(
                (snapshot.names(), snapshot.endpoints(), registry.len()),
                (expected.names(), expected.endpoints(), model.len()),
                "seed {seed}"
            );
            // What a burst does to names that are none of its own is still there when all are asked for.
            let asked = if burst % 4 == 3 {
                &seen[..]
            } else {
                &seen[before..]
            };
            for owner in askable(asked) {
                // Only A records of endpoints have one length, and can be put in order.
                let question = Question {
                    qname: owner.as_ref(),
                    qtype: RType::A,
                    qclass: Class::IN,
                };
                let is_exact = !matches!(
                    expected.lookup(&question, CLIENT.parse().unwrap()),
                    Lookup::Matches(_)
                );
                // An explanation looks at every service: a quarter of them is enough.
                let explaining = if burst % 4 == 3 {
                    &["10.0.0.9", "10.2.0.9"][..]
                } else {
                    &[]
                };
                for client in explaining {
                    let said = addresses_for(&snapshot, client, &owner.to_string());
                    let has_addresses = said.starts_with(|first: char| first.is_ascii_digit());
                    let said = if has_addresses { said } else { String::new() };
                    let explained = explained(&incremental, client, &owner);
                    assert_eq!(said, explained, "seed {seed}, {owner} for {client}");
                    // Clients outside are told published ports alone, where there are any.
                    if seed % 2 == 0
                        && let Some(told) = told_targets(&snapshot, client, &owner)
                    {
                        let explained = explained_targets(&incremental, client, &owner);
                        assert_eq!(told, explained, "seed {seed}, SRV of {owner} for {client}");
                    }
                }
                for qtype in TYPES.into_iter().filter(|qtype| is_exact || *qtype == RType::A) {
                    // Of other types there is one variant, which two clients a burst show as well as all.
                    let clients = match qtype {
                        RType::A | RType::AAAA | RType::SRV => &CLIENTS[..],
                        _ => &CLIENTS[burst % 4 * 2..][..2],
                    };
                    for client in clients {
                        let [got, wanted] =
                            [&snapshot, &expected].map(|snapshot| answer(snapshot, client, &owner, qtype));
                        assert_eq!(got, wanted, "seed {seed}, {owner} {} for {client}", qtype.0);
                    }
                }
            }
        }
    }
}
