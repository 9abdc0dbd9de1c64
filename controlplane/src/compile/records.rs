//! What a name says: the RRsets of the services that it speaks for.
//!
//! ```text
//!  services ─┬─ each audience ──▶ A AAAA SRV             SRV for each of their ports
//!            ├─ each network ───▶ A AAAA SRV             where that is what neighbours call them
//!            ├─ texts ──────────▶ TXT
//!            ├─ one, elsewhere ─▶ CNAME, and nothing else
//!            └─ addresses ──────▶ PTR
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use dns::snapshot::{PORT_RRSETS_MAX, SRV_PRIORITY, SRV_WEIGHT, srv_share};
use dns::{Moment, Name, PortRrSets, Record, RecordData, RrSet, View};

use super::audience::{Audience, neighbours, variants};
use super::networks::Networks;
use super::owner::Chosen;
use crate::naming::{Naming, Role, is_port_name, is_wildcard_owner, named_port, target};
use crate::service::{Port, Protocol, Service};

/// Octets of a text that a TXT record can hold: its data has at most 65 535, a 256th of which are the lengths of its
/// strings.
const TEXT_OCTETS_MAX: usize = 65_535 / 256 * 255;

/// SRV records of a name that can be of use: as many of 32 octets (a uuid of ten digits in a zone of one
/// letter), with an A record of 28 octets for the target of each, as one TCP message of 65 535 octets holds.
/// Of more, the first by id are taken.
const SRV_MEMBERS_MAX: usize = 65_535 / (32 + 28);

/// What stands at `name`: all RRsets, none of them empty, and those of its ports.
///
/// Records are ordered and without doubles, so equal services make equal octets.
pub(super) fn at(
    name: &Name,
    chosen: &Chosen<'_>,
    naming: &Naming,
    networks: &Networks,
) -> (Vec<RrSet>, Vec<PortRrSets>) {
    let reverse = reverse(&chosen.reverse, naming);
    if chosen.role == Some(Role::NetworkAlias)
        && let Some(zone) = naming.zone_of(name)
    {
        let rrsets = neighbours(&chosen.forward, networks, name, |services, audience| {
            hosts(services, zone, audience)
        });
        return (rrsets.into_iter().chain(reverse).collect(), Vec::new());
    }
    // Outside every zone there is no name but this one: hosts are called as in the first zone.
    let (services, zone) = (&chosen.forward, naming.zone_of(name).or(naming.first_zone()));
    let (Some(zone), false) = (zone, services.is_empty() && chosen.ports.is_empty()) else {
        return (reverse.into_iter().collect(), Vec::new());
    };
    if is_port_name(name) {
        let rrsets = variants(services, networks, |audience| {
            let port = |service: &Service| match named_port(service, name) {
                Some(named) => audience.port(service, named.port),
                None => announced(service, audience),
            };
            srv(services, zone, audience, port).into_iter().collect()
        });
        return (rrsets, Vec::new());
    }
    let ports = match naming.zone_of(name) {
        Some(zone) if !is_wildcard_owner(name) => ports(services, &chosen.ports, zone, networks),
        _ => Vec::new(),
    };
    if let (Some(alias), None) = (alias(name, chosen, naming), &reverse) {
        return (vec![alias], ports);
    }
    let mut rrsets = variants(services, networks, |audience| hosts(services, zone, audience));
    if chosen.role.is_some_and(Role::has_texts) {
        rrsets.extend(texts(services));
    }
    rrsets.extend(reverse);
    (rrsets, ports)
}

/// A, AAAA, and SRV with the ports that services announce.
fn hosts<'s>(services: &[&'s Service], zone: &Name, audience: Audience<'s>) -> Vec<RrSet> {
    let mut sets = addresses(services, audience);
    let port = |service: &Service| announced(service, audience);
    sets.extend(srv(services, zone, audience, port));
    sets
}

/// The CNAME of a name that leads to one service which stands for a name elsewhere, and has nothing else to say (RFC
/// 1034, section 3.6.2). An apex has an SOA to say.
fn alias(name: &Name, chosen: &Chosen<'_>, naming: &Naming) -> Option<RrSet> {
    let [only] = chosen.forward.as_slice() else {
        return None;
    };
    let is_host = chosen.role.is_some_and(Role::is_host);
    let target = only
        .alias()
        .filter(|target| *target != name && !naming.is_apex(name))?;
    (is_host || only.announced_port().is_none()).then(|| RrSet {
        view: View::EVERYONE,
        ttl_seconds: only.ttl_seconds,
        until: only.until,
        records: vec![RecordData::Cname(target.clone())],
        additional: Vec::new(),
    })
}

/// SRV at the name of each of `ports`, of those `services` that listen on it.
///
/// Of more RRsets than a name can hold for its ports, those of the last ones are left out.
fn ports(services: &[&Service], ports: &[Port], zone: &Name, networks: &Networks) -> Vec<PortRrSets> {
    let mut left = PORT_RRSETS_MAX;
    let mut all = Vec::with_capacity(ports.len());
    for &port in ports {
        let rrsets = variants(services, networks, |audience| {
            let listens = |service: &Service| {
                let listens = service.ports.contains(&port);
                listens.then(|| audience.port(service, port)).flatten()
            };
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

/// The port of `service` that SRV announces to an audience.
fn announced(service: &Service, audience: Audience<'_>) -> Option<u16> {
    let number = service.announced_port()?;
    // A port that was asked for by its number alone is that of the first protocol which has it.
    let known = service.ports.iter().filter(|port| port.number == number).min();
    let protocol = known.map_or(Protocol::Tcp, |port| port.protocol);
    audience.port(service, Port { protocol, number })
}

/// The port of `service` in views other than everybody's, 0 for none, as its endpoint has it.
pub(super) fn view_ports(service: &Service, networks: &Networks) -> Vec<(View, u16)> {
    let published = networks.published();
    if !published.reaches(service) {
        return Vec::new();
    }
    let port = announced(service, Audience::Outside(published));
    vec![(View::OUTSIDE, port.unwrap_or(0))]
}

/// TXT: a record for each text, in strings of at most 255 octets. A text that no record can hold is left out.
fn texts(services: &[&Service]) -> Option<RrSet> {
    let with_texts = services.iter().filter_map(|service| {
        let texts = &service.wishes.as_ref()?.texts;
        (!texts.is_empty()).then_some((*service, texts))
    });
    let life = Life::of(with_texts.clone().map(|(service, _)| service));
    let texts: Vec<&str> = with_texts
        .flat_map(|(_, texts)| texts.iter().map(|text| &**text))
        .filter(|text| text.len() <= TEXT_OCTETS_MAX)
        .collect();
    rrset(texts, life, |text| RecordData::Txt(vec![text.as_bytes().into()]))
}

/// PTR to the names of `services`; none if there are none.
pub(super) fn reverse(services: &[&Service], naming: &Naming) -> Option<RrSet> {
    let names = services
        .iter()
        .filter_map(|service| naming.canonical(service))
        .collect();
    rrset(names, Life::of(services.iter().copied()), RecordData::Ptr)
}

/// A and AAAA.
fn addresses<'s>(services: &[&'s Service], audience: Audience<'s>) -> Vec<RrSet> {
    let (mut v4, mut v6) = (Vec::with_capacity(services.len()), Vec::new());
    let (mut v4_life, mut v6_life) = (Life::LONGEST, Life::LONGEST);
    for service in services {
        for address in audience.addresses(service) {
            match address {
                IpAddr::V4(address) => {
                    v4.push(address);
                    v4_life = v4_life.or_shorter(service);
                }
                IpAddr::V6(address) => {
                    v6.push(address);
                    v6_life = v6_life.or_shorter(service);
                }
            }
        }
    }
    let sets = [
        rrset(v4, v4_life, RecordData::A),
        rrset(v6, v6_life, RecordData::Aaaa),
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
    let life = Life::of(hosts.iter().map(|(_, _, service)| *service));

    // Two engines may show the same container: one record each for what is the same.
    let asked = hosts.iter().map(|(target, port, service)| {
        let priority = service.priority().unwrap_or(SRV_PRIORITY);
        (target, *port, priority, service.weight().unwrap_or(SRV_WEIGHT))
    });
    let mut asked: Vec<_> = asked.collect();
    asked.sort_unstable();
    asked.dedup();
    let mut sums: BTreeMap<u16, u32> = BTreeMap::new();
    for (_, _, priority, weight) in &asked {
        *sums.entry(*priority).or_default() += u32::from(*weight);
    }
    let record = |(target, port, priority, weight): (&Name, u16, u16, u16)| RecordData::Srv {
        priority,
        weight: srv_share(weight, sums.get(&priority).copied().unwrap_or(0)),
        port,
        target: target.clone(),
    };
    let mut rrset = rrset(asked, life, record)?;
    // An alias has no address that we know.
    let mut addresses: BTreeMap<(&Name, IpAddr), u32> = BTreeMap::new();
    for (owner, _, service) in &hosts {
        for address in audience.addresses(service) {
            let ttl = addresses.entry((owner, address)).or_insert(u32::MAX);
            *ttl = service.ttl_seconds.min(*ttl);
        }
    }
    let additional = addresses
        .into_iter()
        .map(|((owner, address), ttl_seconds)| Record {
            owner: owner.clone(),
            ttl_seconds,
            data: address_data(address),
        });
    rrset.additional = additional.collect();
    Some(rrset)
}

fn address_data(address: IpAddr) -> RecordData {
    match address {
        IpAddr::V4(address) => RecordData::A(address),
        IpAddr::V6(address) => RecordData::Aaaa(address),
    }
}

/// Orders what the records say, drops doubles and makes the records; none if there is nothing to say.
fn rrset<T: Ord>(mut values: Vec<T>, life: Life, record: impl Fn(T) -> RecordData) -> Option<RrSet> {
    values.sort_unstable();
    values.dedup();
    let records: Vec<_> = values.into_iter().map(record).collect();
    (!records.is_empty()).then_some(RrSet {
        view: View::EVERYONE,
        ttl_seconds: life.ttl_seconds,
        until: life.until,
        records,
        additional: Vec::new(),
    })
}

/// How long the records of services may be remembered: the least of their TTLs (RFC 2181, section 5.2), and until the
/// first of them ends.
#[derive(Clone, Copy)]
struct Life {
    ttl_seconds: u32,
    until: Option<Moment>,
}

impl Life {
    /// That of nobody.
    const LONGEST: Self = Self {
        ttl_seconds: u32::MAX,
        until: None,
    };

    fn of<'s>(services: impl Iterator<Item = &'s Service>) -> Self {
        services.fold(Self::LONGEST, Self::or_shorter)
    }

    fn or_shorter(self, service: &Service) -> Self {
        Self {
            ttl_seconds: self.ttl_seconds.min(service.ttl_seconds),
            until: self.until.into_iter().chain(service.until).min(),
        }
    }
}

#[cfg(test)]
mod tests;
