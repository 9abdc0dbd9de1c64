//! Which names a service gets.
//!
//! ```text
//!  six words ──label──▶ six labels ─┬─▶ env.zone  service.env.zone  instance.service.env.zone     grammar
//!  of a Service                     ├─▶ uuid.zone  instance.zone                                  short
//!                                   ├─▶ Endpoint: names of four labels and more, query wildcards
//!  its Compose project ─────────────┼─▶ service.project.zone  n.service.project.zone  service.zone
//!  its addresses ───────────────────┴─▶ 4.3.2.1.in-addr.arpa  ...ip6.arpa                         reverse
//! ```
//!
//! A plain function of the zones and the service: that two services share a name, or that a name is taken by one with
//! a better claim ([`Role`]), is for `compile` to see. So are the names that follow from others, `_port._proto.name`.

mod label;
mod reverse;
mod role;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use dns::{Endpoint, Name, NameError};

pub(crate) use label::words;
pub use label::{Kind, Mapping, label};
pub(crate) use reverse::reverse_zones;
pub use role::Role;

use crate::service::{Compose, Service};

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
    /// reverse names of its addresses, which point to `canonical`.
    pub places: Vec<(Name, Role)>,
    /// What names of four and more labels, and query wildcards, match and get.
    pub endpoint: Endpoint,
    /// Words that had to be changed to become labels.
    pub mapped: Vec<Mapping>,
}

/// Why a service gets no names. Read by a person, who shall know which container and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// A word is empty, and a label has at least one octet.
    #[error("{instance:?} ({id}) gets no names: its {kind} is empty; {}", kind.remedy())]
    Empty {
        /// The source's id of the service.
        id: Arc<str>,
        /// Its instance word.
        instance: Arc<str>,
        /// The empty one.
        kind: Kind,
    },
    /// Labels and zone do not fit into one name.
    #[error(
        "{instance:?} ({id}) gets no names below {zone}: {reason}; shorten {} or {}",
        Kind::Instance,
        Kind::Service
    )]
    Name {
        /// The source's id of the service.
        id: Arc<str>,
        /// Its instance word.
        instance: Arc<str>,
        /// The zone they do not fit into.
        zone: Name,
        /// What the name's maker found.
        reason: NameError,
    },
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

    /// Names `service`; none if it has no address, since there is nothing to say of it, or if there is no
    /// zone.
    ///
    /// # Errors
    ///
    /// - [`NamingError::Empty`]: one of the six words is empty.
    /// - [`NamingError::Name`]: a name would have more than 255 octets.
    pub fn names(&self, service: &Service) -> Result<Option<Names>, NamingError> {
        if service.addresses.is_empty() {
            return Ok(None);
        }
        let mut labels: [Box<[u8]>; 6] = Default::default();
        let mut mapped = Vec::new();
        for (slot, kind) in labels.iter_mut().zip(Kind::GRAMMAR) {
            let word = kind.word(service);
            let label = label(word).ok_or_else(|| NamingError::empty(service, kind))?;
            mapped.extend(kind.mapping(word, &label));
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
        }
        let Some(canonical) = canonical else {
            return Ok(None);
        };
        let project = Kind::Project.word(service);
        mapped.extend(label(project).and_then(|label| Kind::Project.mapping(project, &label)));
        let addresses: BTreeSet<IpAddr> = service.addresses.iter().map(|address| address.ip).collect();
        places.extend(
            addresses
                .into_iter()
                .map(|address| (Name::reverse(address), Role::Reverse)),
        );
        let (ipv4, ipv6) = families(service.addresses_for(None));
        let endpoint = Endpoint {
            ipv4,
            ipv6,
            port: service.announced_port(),
            tier: service.tier(),
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

/// The names that a Compose project gives in `zone`.
///
/// One that does not fit into 255 octets is left out: nobody could ask for it. The grammar's names remain.
fn compose_places(compose: &Compose, zone: &Name) -> Vec<(Name, Role)> {
    let [Some(project), Some(service)] = [&compose.project, &compose.service].map(|word| label(word)) else {
        return Vec::new();
    };
    let bare = zone.child(service.as_bytes()).ok();
    let in_project = zone.prefixed(&[&*service, &*project]).ok();
    let numbered = compose.number.and_then(|number| {
        let number = number.to_string();
        zone.prefixed(&[&*number, &*service, &*project]).ok()
    });
    let places = [
        (in_project, Role::ComposeService),
        (numbered, Role::ComposeInstance),
        (bare, Role::ComposeBare),
    ];
    let fitting = places.into_iter().filter_map(|(name, role)| Some((name?, role)));
    fitting.collect()
}

/// `<uuid>.<zone>`: the host that an SRV record of `service` points to. None only for a service that has no
/// names.
pub(crate) fn target(service: &Service, zone: &Name) -> Option<Name> {
    zone.child(label(&service.uuid)?.as_bytes()).ok()
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

impl NamingError {
    fn empty(service: &Service, kind: Kind) -> Self {
        Self::Empty {
            id: service.id.id.clone(),
            instance: service.instance.clone(),
            kind,
        }
    }

    fn name(service: &Service, zone: &Name, reason: NameError) -> Self {
        let (id, instance) = (service.id.id.clone(), service.instance.clone());
        Self::Name {
            id,
            instance,
            zone: zone.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{on, service};

    fn naming(zones: &[&str]) -> Naming {
        Naming::new(zones.iter().map(|zone| zone.parse().unwrap()).collect())
    }

    fn texts(names: &Names, role: Role) -> Vec<String> {
        let places = names.places.iter().filter(|(_, its)| *its == role);
        places.map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn a_service_has_the_names_of_the_grammar_and_two_short_ones() {
        let mut redis = service("e", "Redis1");
        redis.service = "redis".into();
        redis.uuid = "0123456789".into();
        redis.addresses = vec![on("bridge", "172.17.0.4"), on("bridge", "fd00::4")];
        let names = naming(&["docker"]).names(&redis).unwrap().unwrap();
        for (role, expected) in [
            (Role::Environment, "dev.docker"),
            (Role::Service, "redis.dev.docker"),
            (Role::Instance, "redis1.redis.dev.docker"),
            (Role::Uuid, "0123456789.docker"),
            (Role::Container, "redis1.docker"),
        ] {
            assert_eq!(texts(&names, role), [expected]);
        }
        assert_eq!(names.canonical.to_string(), "redis1.redis.dev.docker");
        let reverse = texts(&names, Role::Reverse);
        assert_eq!(
            (reverse.len(), reverse[0].as_str()),
            (2, "4.0.17.172.in-addr.arpa")
        );
        assert_eq!((names.places.len(), names.mapped), (7, vec![]));
    }

    #[test]
    fn a_container_of_a_compose_project_has_its_names_too() {
        let names = |number, project: &str| {
            let compose = Compose {
                project: project.into(),
                service: "Web".into(),
                number,
            };
            let web = Service {
                compose: Some(compose),
                ..service("e", "shop-web-2")
            };
            naming(&["docker"]).names(&web).unwrap().unwrap()
        };
        let second = names(Some(2), "my.shop");
        assert_eq!(texts(&second, Role::ComposeService), ["web.my-shop.docker"]);
        assert_eq!(texts(&second, Role::ComposeInstance), ["2.web.my-shop.docker"]);
        assert_eq!(texts(&second, Role::ComposeBare), ["web.docker"]);
        let mapped: Vec<_> = second.mapped.iter().map(Mapping::to_string).collect();
        let expected = r#"project (of Compose) "my.shop" is no DNS label; ask for "my-shop""#;
        assert_eq!(mapped, [expected]);
        assert_eq!(texts(&names(None, "shop"), Role::ComposeInstance), [""; 0]);
        assert_eq!(texts(&names(Some(1), ""), Role::ComposeBare), [""; 0]);
    }

    #[test]
    fn each_zone_has_all_names_and_the_first_one_is_canonical() {
        let names = naming(&["docker", "corp.example"])
            .names(&service("e", "web1"))
            .unwrap()
            .unwrap();
        assert_eq!(names.places.len(), 2 * 5 + 1);
        assert_eq!(names.canonical.to_string(), "web1.web.dev.docker");
        assert_eq!(
            texts(&names, Role::Container),
            ["web1.docker", "web1.corp.example"]
        );
    }

    #[test]
    fn an_endpoint_holds_the_labels_right_to_left_and_what_it_answers() {
        let web = service("e", "web1");
        let endpoint = naming(&["docker"]).names(&web).unwrap().unwrap().endpoint;
        let host = web.host.replace('.', "-");
        let expected = ["dev", "web", "web1", "here", host.as_str(), &*web.uuid];
        assert_eq!(
            endpoint
                .labels
                .map(|label| String::from_utf8(label.into()).unwrap()),
            expected
        );
        assert_eq!(
            (endpoint.port, endpoint.ttl_seconds, endpoint.ipv4.len()),
            (Some(80), 30, 1)
        );
    }

    #[test]
    fn a_service_without_an_address_has_no_names() {
        let mut web = service("e", "web1");
        web.addresses.clear();
        assert!(naming(&["docker"]).names(&web).unwrap().is_none());
    }

    #[test]
    fn a_changed_word_is_reported_but_case_and_host_are_not() {
        let mut web = service("e", "Web1");
        web.region = "my.host.example".into();
        let mapped = naming(&["docker"]).names(&web).unwrap().unwrap().mapped;
        let [region] = mapped.as_slice() else {
            panic!("{mapped:?}")
        };
        assert_eq!(region.kind, Kind::Region);
        assert_eq!(
            region.to_string(),
            r#"region "my.host.example" is no DNS label; ask for "my-host-example""#
        );
    }

    #[test]
    fn an_error_names_the_service_and_the_way_out() {
        let mut web = service("e", "web1");
        web.environment = "".into();
        let empty = naming(&["docker"]).names(&web).unwrap_err().to_string();
        assert_eq!(
            empty,
            "\"web1\" (id-of-web1) gets no names: its environment is empty; give --environment a word"
        );

        let mut web = service("e", &"i".repeat(63));
        web.service = "s".repeat(63).into();
        let zone = ["z".repeat(40), "z".repeat(40), "z".repeat(40)].join(".");
        let long = naming(&[&zone]).names(&web).unwrap_err().to_string();
        assert!(
            long.contains("255 octets") && long.contains("shorten instance"),
            "{long}"
        );
    }

    #[test]
    fn a_name_belongs_to_the_zone_it_ends_in() {
        let naming = naming(&["docker", "corp.example"]);
        let zone = |text: &str| naming.zone_of(&text.parse().unwrap()).map(Name::to_string);
        assert_eq!(zone("web.dev.docker").as_deref(), Some("docker"));
        assert_eq!(zone("corp.example").as_deref(), Some("corp.example"));
        assert_eq!(zone("4.0.17.172.in-addr.arpa"), None);
    }

    #[test]
    fn the_canonical_name_alone_is_that_of_all_names() {
        let naming = naming(&["docker", "corp.example"]);
        let mut web = service("e", "Web.1");
        web.environment = "all".into();
        let names = naming.names(&web).unwrap().unwrap();
        assert_eq!(naming.canonical(&web).as_ref(), Some(&names.canonical));
        let uuid = target(&web, &naming.zones[1]).unwrap();
        assert!(names.places.contains(&(uuid, Role::Uuid)));
    }
}
