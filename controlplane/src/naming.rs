//! Which names a service gets.
//!
//! ```text
//!  six words ──label──▶ six labels ─┬─▶ env.zone  service.env.zone  instance.service.env.zone     grammar
//!  of a Service                     ├─▶ uuid.zone  instance.zone                                  short
//!                                   ├─▶ Endpoint: names of four labels and more, query wildcards
//!  its Compose project ─────────────┼─▶ service.project.zone  n.service.project.zone  service.zone
//!  its addresses ───────────────────┼─▶ 4.3.2.1.in-addr.arpa  ...ip6.arpa                         reverse
//!  its aliases on networks ─────────┼─▶ alias.zone                                                 for neighbours
//!  its wishes ──────────────────────┴─▶ any name, inside a zone or outside; _http._tcp.<each name>
//! ```
//!
//! A plain function of the zones and the service: that two services share a name, or that a name is taken by one with
//! a better claim ([`Role`]), is for `compile` to see. So are the names of ports by number, `_80._tcp.name`.

mod error;
mod label;
mod outside;
mod places;
mod reverse;
mod role;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dns::snapshot::{SRV_PRIORITY, SRV_WEIGHT};
use dns::{Endpoint, Name};

pub use error::NamingError;
pub(crate) use label::is_meant;
pub use label::{Kind, Mapping, label};
pub(crate) use outside::refused;
pub(crate) use places::{
    carried_names, is_port_name, is_wildcard_owner, named_port, networks_calling, target,
};
pub(crate) use reverse::reverse_zones;
pub use role::Role;

use self::places::{compose_places, neighbour_places, wished_places};
use crate::service::Service;

/// Makes names of services.
#[derive(Clone, Debug)]
pub struct Naming {
    zones: Vec<Name>,
}

/// Everything a service is called.
#[derive(Clone, Debug)]
pub struct Names {
    /// What we call it when we speak of it, and what its addresses are called: `instance.service.env` of the
    /// first zone.
    pub canonical: Name,
    /// Every name, and why: in each zone those of the grammar, the short ones and those of Compose; then the
    /// reverse names of its own addresses, which point to `canonical`.
    pub places: Vec<(Name, Role)>,
    /// What names of four and more labels, and query wildcards, match and get.
    pub endpoint: Endpoint,
    /// Words that had to be changed to become labels.
    pub mapped: Vec<Mapping>,
}

impl Naming {
    /// Names below each of `zones`; the first is the one that reverse names point into.
    #[must_use]
    pub fn new(zones: Vec<Name>) -> Self {
        Self { zones }
    }

    /// The zone that `name` lies in; zones do not overlap.
    #[must_use]
    pub fn zone_of(&self, name: &Name) -> Option<&Name> {
        self.zones.iter().find(|zone| name.is_within(zone))
    }

    /// All of the zones.
    pub(crate) fn zones(&self) -> &[Name] {
        &self.zones
    }

    /// Whether `name` is the apex of a zone.
    pub(crate) fn is_apex(&self, name: &Name) -> bool {
        self.zones.contains(name)
    }

    /// Whether `name` lies in a zone, or a zone in `name`.
    pub(crate) fn overlaps(&self, name: &Name) -> bool {
        self.zones
            .iter()
            .any(|zone| name.is_within(zone) || zone.is_within(name))
    }

    /// The zone that names are made in first.
    pub(crate) fn first_zone(&self) -> Option<&Name> {
        self.zones.first()
    }

    /// [`Names::canonical`] alone: what the addresses of `service` are called. None for a service without
    /// names.
    pub(crate) fn canonical(&self, service: &Service) -> Option<Name> {
        let words = [&service.instance, &service.service, &service.environment];
        let [Some(instance), Some(service), Some(environment)] = words.map(|word| label(word)) else {
            return None;
        };
        self.zones
            .first()?
            .prefixed(&[&*instance, &*service, &*environment])
            .ok()
    }

    /// Names `service`; none if it has neither an address nor a name elsewhere, since there is nothing to say of it, or
    /// if there is no zone.
    ///
    /// # Errors
    ///
    /// - [`NamingError::Empty`]: one of the six words is empty.
    /// - [`NamingError::Name`]: a name would have more than 255 octets.
    pub fn names(&self, service: &Service) -> Result<Option<Names>, NamingError> {
        if service.addresses.is_empty() && service.alias().is_none() {
            return Ok(None);
        }
        let mut labels: [Box<[u8]>; 6] = Default::default();
        let mut mapped = Vec::new();
        for (slot, kind) in labels.iter_mut().zip(Kind::GRAMMAR) {
            let word = kind.word(service);
            let label = label(&word).ok_or_else(|| NamingError::empty(service, kind))?;
            mapped.extend(kind.mapping(&word, &label));
            *slot = label.as_bytes().into();
        }
        let [environment, service_label, instance, _, _, uuid] = &labels;

        let mut canonical = None;
        let mut places = Vec::new();
        for zone in &self.zones {
            let too_long = |reason| NamingError::name(service, zone, reason);
            let in_environment = zone.child(environment).map_err(too_long)?;
            let in_service = in_environment.child(service_label).map_err(too_long)?;
            let in_instance = in_service.child(instance).map_err(too_long)?;
            canonical.get_or_insert_with(|| in_instance.clone());
            places.extend([
                (in_environment, Role::Environment),
                (in_service, Role::Service),
                (in_instance, Role::Instance),
                (zone.child(uuid).map_err(too_long)?, Role::Uuid),
            ]);
            if instance != uuid {
                places.push((zone.child(instance).map_err(too_long)?, Role::Container));
            }
            places.extend(
                service
                    .compose
                    .iter()
                    .flat_map(|compose| compose_places(compose, zone)),
            );
            places.extend(neighbour_places(service, zone));
        }
        let Some(canonical) = canonical else {
            return Ok(None);
        };
        let project = Kind::Project.word(service);
        mapped.extend(label(&project).and_then(|label| Kind::Project.mapping(&project, &label)));
        let addresses: BTreeSet<IpAddr> = service
            .addresses
            .iter()
            .filter(|address| !address.is_hosts)
            .map(|address| address.ip)
            .collect();
        places.extend(
            addresses
                .into_iter()
                .map(|address| (Name::reverse(address), Role::Reverse)),
        );
        places.extend(wished_places(service, &places));
        let (ipv4, ipv6) = families(service.addresses_for(None));
        let endpoint = Endpoint {
            ipv4,
            ipv6,
            alias: service.alias().cloned(),
            port: service.announced_port(),
            priority: service.priority().unwrap_or(SRV_PRIORITY),
            weight: service.weight().unwrap_or(SRV_WEIGHT),
            tier: service.tier(),
            until: service.until,
            ..Endpoint::new(labels, service.ttl_seconds)
        };
        Ok(Some(Names {
            canonical,
            places,
            endpoint,
            mapped,
        }))
    }
}

/// Splits addresses by family, each in order.
fn families(addresses: impl Iterator<Item = IpAddr>) -> (Vec<Ipv4Addr>, Vec<Ipv6Addr>) {
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => ipv4.push(address),
            IpAddr::V6(address) => ipv6.push(address),
        }
    }
    ipv4.sort_unstable();
    ipv6.sort_unstable();
    (ipv4, ipv6)
}

#[cfg(test)]
mod tests;
