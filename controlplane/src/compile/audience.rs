//! Who asks, as far as that decides what they get.
//!
//! ```text
//!  services ─┬─ as everybody sees them ───────────────▶ RRsets
//!            ├─ as the clients of a network do ───────▶ RRsets   those that differ
//!            └─ as clients outside this host do ──────▶ RRsets   those that differ, and what they do not have
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dns::{Name, RecordData, RrSet, Tier, View};

use super::networks::Networks;
use super::owner::{Verdict, of_several};
use super::published::PublishedAt;
use crate::naming::networks_calling;
use crate::service::{Port, Service, Source};

/// Networks whose clients get their own variant of one name; an entry holds 255 RRsets, and each has three. Clients in
/// further networks, by their names, get what everybody gets.
const VIEWS_MAX: usize = 64;

/// Services in all variants of one name together: 30 MiB of records, and tens of milliseconds to compile them. The
/// more services share a name, the fewer variants it has.
const VARIANT_SERVICES_MAX: usize = 1 << 16;

/// Who asks.
#[derive(Clone, Copy)]
pub(super) enum Audience<'a> {
    Everyone,
    /// Clients in one network of one source.
    Network(&'a Source, &'a str),
    /// Clients that are in none of the networks, and not on this host.
    Outside(&'a PublishedAt),
}

impl<'a> Audience<'a> {
    /// The addresses of `service` that it gets.
    pub(super) fn addresses(self, service: &'a Service) -> impl Iterator<Item = IpAddr> {
        let (published, network) = match self {
            Self::Network(source, network) if *source == service.id.source => (Vec::new(), Some(network)),
            Self::Outside(published) => (published.addresses(service), None),
            Self::Network(..) | Self::Everyone => (Vec::new(), None),
        };
        let has_own = published.is_empty();
        let own = service.addresses_for(network).filter(move |_| has_own);
        published.into_iter().chain(own)
    }

    /// The number of `port` of `service` for it; none where it cannot reach that port.
    pub(super) fn port(self, service: &Service, port: Port) -> Option<u16> {
        match self {
            Self::Outside(published) => published.port(service, port),
            Self::Everyone | Self::Network(..) => Some(port.number),
        }
    }
}

/// The RRsets for everybody, and for each other audience those that differ.
pub(super) fn variants<'s>(
    services: &[&'s Service],
    networks: &'s Networks,
    rrsets: impl Fn(Audience<'s>) -> Vec<RrSet>,
) -> Vec<RrSet> {
    let mut all = rrsets(Audience::Everyone);
    let everybodys = all.len();
    for (audience, view) in audiences(services, networks) {
        let own = rrsets(audience);
        // What everybody has and this audience does not must not be taken from everybody's.
        let absent = |rrset: &RrSet| {
            let rtype = rrset.records.first().map(RecordData::rtype)?;
            let is_it = |own: &RrSet| own.records.first().map(RecordData::rtype) == Some(rtype);
            (!own.iter().any(is_it)).then_some(RrSet {
                view,
                ttl_seconds: rrset.ttl_seconds,
                until: rrset.until,
                records: vec![RecordData::Absent(rtype)],
                additional: Vec::new(),
            })
        };
        let default = all.get(..everybodys).unwrap_or_default();
        let absent: Vec<_> = default.iter().filter_map(absent).collect();
        let own = own.into_iter().filter(|rrset| !default.contains(rrset));
        let own: Vec<_> = own.map(|rrset| RrSet { view, ..rrset }).collect();
        all.extend(own.into_iter().chain(absent));
    }
    all
}

/// The RRsets of a name that services have as an alias on networks: on each for those on it who can do their work, and for
/// nobody else.
pub(super) fn neighbours<'s>(
    services: &[&'s Service],
    networks: &Networks,
    name: &Name,
    rrsets: impl Fn(&[&'s Service], Audience<'s>) -> Vec<RrSet>,
) -> Vec<RrSet> {
    let mut by_network: BTreeMap<(&Source, &str), Vec<&Service>> = BTreeMap::new();
    for service in services {
        for network in networks_calling(service, name) {
            by_network
                .entry((&service.id.source, network))
                .or_default()
                .push(service);
        }
    }
    let with_view = by_network.into_iter().map(|((source, network), there)| {
        let view = networks.view(source, network);
        (Audience::Network(source, network), view, there)
    });
    // A network past those that can have a view of their own is everybody's, who are no neighbours.
    let views = with_view.filter(|(_, view, _)| *view != View::EVERYONE);
    let rrsets = views.take(VIEWS_MAX).flat_map(|(audience, view, there)| {
        let some_ready = there.iter().any(|service| service.tier() == Tier::Ready);
        let answering = there
            .into_iter()
            .filter(|service| of_several(service.tier(), some_ready) == Verdict::Answers);
        let answering: Vec<&Service> = answering.collect();
        let own = rrsets(&answering, audience).into_iter();
        own.map(move |rrset| RrSet { view, ..rrset })
    });
    rrsets.collect()
}

/// The networks, by name, on which a service has an address that not everybody gets, and those outside if a service
/// is reached otherwise from there.
fn audiences<'s>(services: &[&'s Service], networks: &'s Networks) -> Vec<(Audience<'s>, View)> {
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
            if !service
                .addresses_for(Some(network))
                .eq(service.addresses_for(None))
            {
                audiences.insert((&service.id.source, network));
            }
        }
    }
    let with_view = audiences.into_iter().map(|(source, network)| {
        let view = networks.view(source, network);
        (Audience::Network(source, network), view)
    });
    let most = VIEWS_MAX.min(VARIANT_SERVICES_MAX.checked_div(services.len()).unwrap_or(0));
    let published = networks.published();
    let is_published = services.iter().any(|service| published.reaches(service));
    with_view
        .filter(|(_, view)| *view != View::EVERYONE)
        .take(most)
        .chain(is_published.then_some((Audience::Outside(published), View::OUTSIDE)))
        .collect()
}
