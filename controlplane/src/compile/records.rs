//! What a name says: the RRsets of the services that it speaks for.
//!
//! ```text
//!  services ─┬─ as everybody sees them ──────────▶ A AAAA SRV
//!            └─ as the clients of a network do ──▶ A AAAA SRV   those that differ
//! ```

use std::collections::BTreeSet;
use std::net::IpAddr;

use dns::snapshot::{PORT_RRSETS_MAX, SRV_PRIORITY, SRV_WEIGHT, srv_share};
use dns::{Name, PortRrSets, Record, RecordData, RrSet, View};

use super::networks::Networks;
use crate::naming::{Naming, target};
use crate::service::{Port, Service, Source};

/// SRV records of a name that can be of use: as many of 32 octets (a uuid of ten digits in a zone of one
/// letter), with an A record of 28 octets for the target of each, as one TCP message of 65 535 octets holds.
/// Of more, the first by id are taken.
const SRV_MEMBERS_MAX: usize = 65_535 / (32 + 28);

/// Networks whose clients get their own variant of one name; an entry holds 255 RRsets, and each has three. Clients in
/// further networks, by their names, get what everybody gets.
const VIEWS_MAX: usize = 64;

/// Services in all variants of one name together: 30 MiB of records, and tens of milliseconds to compile them. The
/// more services share a name, the fewer variants it has.
const VARIANT_SERVICES_MAX: usize = 1 << 16;

/// Who asks.
#[derive(Clone, Copy)]
enum Audience<'a> {
    Everyone,
    /// Clients in one network of one source.
    Network(&'a Source, &'a str),
}

impl<'a> Audience<'a> {
    /// The addresses of `service` that it gets.
    fn addresses(self, service: &'a Service) -> impl Iterator<Item = IpAddr> + 'a {
        let network = match self {
            Self::Network(source, network) if *source == service.id.source => Some(network),
            Self::Network(..) | Self::Everyone => None,
        };
        service.addresses_for(network)
    }
}

/// A, AAAA and SRV of `services` at a name in `zone`; no RRset is empty.
///
/// Records are ordered and without doubles, so equal services make equal octets. An RRset's TTL is the least
/// of its services (RFC 2181, section 5.2).
pub(super) fn forward(services: &[&Service], zone: &Name, networks: &Networks) -> Vec<RrSet> {
    variants(services, networks, |audience| {
        let mut sets = addresses(services, audience);
        sets.extend(srv(services, zone, audience, Service::announced_port));
        sets
    })
}

/// SRV at the name of each of `ports`, of those `services` that listen on it.
///
/// Of more RRsets than a name can hold for its ports, those of the last ones are left out.
pub(super) fn ports(
    services: &[&Service],
    ports: &[Port],
    zone: &Name,
    networks: &Networks,
) -> Vec<PortRrSets> {
    let mut left = PORT_RRSETS_MAX;
    let mut all = Vec::with_capacity(ports.len());
    for &port in ports {
        let rrsets = variants(services, networks, |audience| {
            let listens = |service: &Service| service.ports.contains(&port).then_some(port.number);
            srv(services, zone, audience, listens).into_iter().collect()
        });
        match left.checked_sub(rrsets.len().max(1)) {
            Some(fewer) => left = fewer,
            None => break,
        }
        all.push(PortRrSets { port, rrsets });
    }
    all
}

/// PTR to the names of `services`; none if there are none.
pub(super) fn reverse(services: &[&Service], naming: &Naming) -> Option<RrSet> {
    let names = services
        .iter()
        .filter_map(|service| naming.canonical(service))
        .collect();
    rrset(names, ttl_seconds(services.iter().copied()), RecordData::Ptr)
}

/// The RRsets for everybody, and for the clients in each network those that differ.
fn variants<'s>(
    services: &[&'s Service],
    networks: &Networks,
    rrsets: impl Fn(Audience<'s>) -> Vec<RrSet>,
) -> Vec<RrSet> {
    let mut all = rrsets(Audience::Everyone);
    let everybodys = all.len();
    for ((source, network), view) in audiences(services, networks) {
        for mut rrset in rrsets(Audience::Network(source, network)) {
            let default = all.get(..everybodys).unwrap_or_default();
            if !default.contains(&rrset) {
                rrset.view = view;
                all.push(rrset);
            }
        }
    }
    all
}

/// The networks, by name, on which a service has an address that not everybody gets.
fn audiences<'s>(services: &[&'s Service], networks: &Networks) -> Vec<((&'s Source, &'s str), View)> {
    let mut audiences = BTreeSet::new();
    for service in services {
        // Nearly every service is on one network: nothing is looked up for it.
        let Some((first, others)) = service.addresses.split_first() else {
            continue;
        };
        if others.iter().all(|other| other.network == first.network) {
            continue;
        }
        for network in service
            .addresses
            .iter()
            .filter_map(|address| address.network.as_deref())
        {
            let audience = Audience::Network(&service.id.source, network);
            if !audience.addresses(service).eq(service.addresses_for(None)) {
                audiences.insert((&service.id.source, network));
            }
        }
    }
    let with_view = audiences.into_iter().map(|(source, network)| {
        let view = networks.view(source, network);
        ((source, network), view)
    });
    let most = VIEWS_MAX.min(VARIANT_SERVICES_MAX.checked_div(services.len()).unwrap_or(0));
    with_view
        .filter(|(_, view)| *view != View::EVERYONE)
        .take(most)
        .collect()
}

/// A and AAAA.
fn addresses<'s>(services: &[&'s Service], audience: Audience<'s>) -> Vec<RrSet> {
    let (mut v4, mut v6) = (Vec::with_capacity(services.len()), Vec::new());
    let (mut v4_ttl_seconds, mut v6_ttl_seconds) = (u32::MAX, u32::MAX);
    for service in services {
        for address in audience.addresses(service) {
            match address {
                IpAddr::V4(address) => {
                    v4.push(address);
                    v4_ttl_seconds = v4_ttl_seconds.min(service.ttl_seconds);
                }
                IpAddr::V6(address) => {
                    v6.push(address);
                    v6_ttl_seconds = v6_ttl_seconds.min(service.ttl_seconds);
                }
            }
        }
    }
    let sets = [
        rrset(v4, v4_ttl_seconds, RecordData::A),
        rrset(v6, v6_ttl_seconds, RecordData::Aaaa),
    ];
    sets.into_iter().flatten().collect()
}

/// SRV of the services that have a port, and their addresses to go with it (RFC 2782).
fn srv<'s>(
    services: &[&'s Service],
    zone: &Name,
    audience: Audience<'s>,
    port: impl Fn(&Service) -> Option<u16>,
) -> Option<RrSet> {
    let with_port = services
        .iter()
        .filter_map(|service| Some((port(service)?, *service)));
    let with_target = with_port.filter_map(|(port, service)| Some((target(service, zone)?, port, service)));
    let mut hosts: Vec<_> = with_target.take(SRV_MEMBERS_MAX).collect();
    hosts.sort_by(|(a, a_port, _), (b, b_port, _)| (a, a_port).cmp(&(b, b_port)));
    let ttl_seconds = ttl_seconds(hosts.iter().map(|(_, _, service)| *service));

    // Two engines may show the same container: one record each for what is the same target and port.
    let mut targets: Vec<_> = hosts.iter().map(|(target, port, _)| (target, *port)).collect();
    targets.dedup();
    let all = u32::try_from(targets.len())
        .unwrap_or(u32::MAX)
        .saturating_mul(u32::from(SRV_WEIGHT));
    let (priority, weight) = (SRV_PRIORITY, srv_share(SRV_WEIGHT, all));
    let record = |(target, port): (&Name, u16)| RecordData::Srv {
        priority,
        weight,
        port,
        target: target.clone(),
    };
    let mut rrset = rrset(targets, ttl_seconds, record)?;

    rrset.additional.reserve(hosts.len());
    for (owner, _, service) in hosts {
        for address in audience.addresses(service) {
            let data = match address {
                IpAddr::V4(address) => RecordData::A(address),
                IpAddr::V6(address) => RecordData::Aaaa(address),
            };
            let mut same_owner = rrset
                .additional
                .iter()
                .rev()
                .take_while(|record| record.owner == owner);
            if !same_owner.any(|record| record.data == data) {
                let (owner, ttl_seconds) = (owner.clone(), service.ttl_seconds);
                rrset.additional.push(Record {
                    owner,
                    ttl_seconds,
                    data,
                });
            }
        }
    }
    Some(rrset)
}

/// Orders what the records say, drops doubles and makes the records; none if there is nothing to say.
fn rrset<T: Ord>(mut values: Vec<T>, ttl_seconds: u32, record: impl Fn(T) -> RecordData) -> Option<RrSet> {
    values.sort_unstable();
    values.dedup();
    let records: Vec<_> = values.into_iter().map(record).collect();
    (!records.is_empty()).then_some(RrSet {
        view: View::EVERYONE,
        ttl_seconds,
        records,
        additional: Vec::new(),
    })
}

/// The least TTL of `services`.
fn ttl_seconds<'s>(services: impl Iterator<Item = &'s Service>) -> u32 {
    services
        .map(|service| service.ttl_seconds)
        .min()
        .unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::service;
    use crate::service::{Port, Protocol};

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
        let found = forward(services, &zone(), &networks);
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
        (b.ports, b.addresses) = (
            vec![],
            ["10.0.0.2", "10.0.0.1"]
                .map(|ip| ip.parse::<IpAddr>().unwrap().into())
                .to_vec(),
        );
        check(
            &[&a, &b],
            &[
                "7 A 10.0.0.1, A 10.0.0.2, A 10.0.0.9",
                "30 SRV 10 100 80 b.docker + b.docker A 10.0.0.9 + b.docker A 10.0.0.2",
            ],
        );
    }

    #[test]
    fn a_service_that_listens_nowhere_has_no_srv() {
        let mut quiet = replica("a", &["10.0.0.1"]);
        quiet.ports.clear();
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
        ];
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
}
