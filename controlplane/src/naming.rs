//! Which names a service gets.
//!
//! ```text
//!  six words ──label──▶ six labels ─┬─▶ env.zone  service.env.zone  instance.service.env.zone     grammar
//!  of a Service                     ├─▶ uuid.zone  instance.zone                                  short
//!                                   ├─▶ Endpoint: names of four labels and more, query wildcards
//!  addresses ──────────────────────▶└─▶ 4.3.2.1.in-addr.arpa  ...ip6.arpa                         reverse
//! ```
//!
//! A plain function of the zones and the service: that two services share a name, or that a short name is
//! taken by an environment, is for `compile` to see.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use dns::name::LABEL_OCTETS_MAX;
use dns::snapshot::is_wildcard;
use dns::{Endpoint, Name, NameError};

use crate::service::Service;

/// What stands behind a label that would mean "any label" in a question. A container may not be called so: nobody
/// could ask for it alone, and its owner would seem to own everybody's names.
const WILDCARD_SUFFIX: &str = "-1";

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
    /// `env`, `service.env` and `instance.service.env` of each zone.
    pub grammar: Vec<Name>,
    /// `uuid` and `instance` of each zone; given only where the one label is not an environment.
    pub short: Vec<Name>,
    /// Reverse names of its addresses, which point to `canonical`.
    pub reverse: Vec<Name>,
    /// What names of four and more labels, and query wildcards, match and get.
    pub endpoint: Endpoint,
    /// Words that had to be changed to become labels.
    pub mapped: Vec<Mapping>,
}

/// A word of a service that could not be its label as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Which label it became.
    pub kind: Kind,
    /// As the source gave it.
    pub word: String,
    /// As it can be asked for.
    pub label: String,
}

/// The labels of the grammar, right to left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// First label left of the zone.
    Environment,
    /// Second.
    Service,
    /// Third.
    Instance,
    /// Fourth.
    Region,
    /// Fifth.
    Host,
    /// Sixth.
    Uuid,
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
        instance: String,
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
        instance: String,
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
        let words = Kind::ALL.map(|kind| (kind, kind.word(service)));
        let mut labels: [Box<[u8]>; 6] = Default::default();
        let mut mapped = Vec::new();
        for (slot, (kind, word)) in labels.iter_mut().zip(words) {
            let label = label(word).ok_or_else(|| NamingError::empty(service, kind))?;
            if kind.is_reported(word, &label) {
                mapped.push(Mapping {
                    kind,
                    word: word.to_owned(),
                    label: label.clone().into_owned(),
                });
            }
            *slot = label.as_bytes().into();
        }
        let [environment, service_label, instance, _, _, uuid] = &labels;

        let mut canonical = None;
        let (mut grammar, mut short) = (Vec::new(), Vec::new());
        for zone in &self.zones {
            let too_long = |reason| NamingError::name(service, zone, reason);
            let in_environment = zone.child(environment).map_err(too_long)?;
            let in_service = in_environment.child(service_label).map_err(too_long)?;
            let in_instance = in_service.child(instance).map_err(too_long)?;
            canonical.get_or_insert_with(|| in_instance.clone());
            grammar.extend([in_environment, in_service, in_instance]);
            short.push(zone.child(uuid).map_err(too_long)?);
            if instance != uuid {
                short.push(zone.child(instance).map_err(too_long)?);
            }
        }
        let Some(canonical) = canonical else {
            return Ok(None);
        };
        let addresses: BTreeSet<IpAddr> = service.addresses.iter().copied().collect();
        let reverse = addresses.iter().copied().map(Name::reverse).collect();
        let (ipv4, ipv6) = families(&addresses);
        let port = service.announced_port();
        let endpoint = Endpoint {
            labels,
            ipv4,
            ipv6,
            port,
            ttl_seconds: service.ttl_seconds,
            views: Vec::new(),
        };
        Ok(Some(Names {
            canonical,
            grammar,
            short,
            reverse,
            endpoint,
            mapped,
        }))
    }
}

/// `<uuid>.<zone>`: the host that an SRV record of `service` points to. None only for a service that has no
/// names.
pub(crate) fn target(service: &Service, zone: &Name) -> Option<Name> {
    zone.child(label(&service.uuid)?.as_bytes()).ok()
}

/// Splits addresses by family, keeping their order.
fn families(addresses: &BTreeSet<IpAddr>) -> (Vec<Ipv4Addr>, Vec<Ipv6Addr>) {
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => ipv4.push(*address),
            IpAddr::V6(address) => ipv6.push(*address),
        }
    }
    (ipv4, ipv6)
}

/// Makes one label of a word; none if the word is empty.
///
/// ASCII letters become lower-case; dots, which would part labels, and control characters, which no terminal
/// shows, become hyphens; more than 63 octets are cut there, or before the character that crosses it; and a
/// word that would match any label gets `-1` behind it. All else is kept: a label may hold any octet (RFC
/// 2181, section 11).
#[must_use]
pub fn label(word: &str) -> Option<Cow<'_, str>> {
    let is_plain = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let label = if word.len() <= LABEL_OCTETS_MAX && word.bytes().all(is_plain) {
        // Nearly every word, and every uuid; a change in a large environment asks for thousands of these.
        Cow::Borrowed(word)
    } else {
        let mapped = word.chars().map(|c| match c {
            '.' => '-',
            c if c.is_control() => '-',
            c => c.to_ascii_lowercase(),
        });
        let mut label: String = mapped.collect();
        label.truncate(label.floor_char_boundary(LABEL_OCTETS_MAX));
        Cow::Owned(label)
    };
    if is_wildcard(label.as_bytes()) {
        return Some(Cow::Owned(label.into_owned() + WILDCARD_SUFFIX));
    }
    (!label.is_empty()).then_some(label)
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

impl Kind {
    /// In the order of [`Endpoint::labels`].
    const ALL: [Self; 6] = [
        Self::Environment,
        Self::Service,
        Self::Instance,
        Self::Region,
        Self::Host,
        Self::Uuid,
    ];

    fn word(self, service: &Service) -> &str {
        match self {
            Self::Environment => &service.environment,
            Self::Service => &service.service,
            Self::Instance => &service.instance,
            Self::Region => &service.region,
            Self::Host => &service.host,
            Self::Uuid => &service.uuid,
        }
    }

    /// Whether whoever knows `word` would be surprised by `label`.
    ///
    /// Case never matters in DNS, and a host with hyphens for dots is what the grammar promises.
    fn is_reported(self, word: &str, label: &str) -> bool {
        self != Self::Host && !word.eq_ignore_ascii_case(label)
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Environment => "give --environment a word",
            Self::Region => "give --region a word",
            Self::Service | Self::Instance | Self::Host | Self::Uuid => {
                "this comes from the engine: look at it with docker inspect"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::Service => "service (image name)",
            Self::Instance => "instance (container name)",
            Self::Region => "region",
            Self::Host => "host",
            Self::Uuid => "uuid",
        })
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?} is no DNS label; ask for {:?}",
            self.kind, self.word, self.label
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::service;

    fn naming(zones: &[&str]) -> Naming {
        Naming::new(zones.iter().map(|zone| zone.parse().unwrap()).collect())
    }

    fn texts(names: &[Name]) -> Vec<String> {
        names.iter().map(Name::to_string).collect()
    }

    fn check_label(word: &str, expected: Option<&str>) {
        assert_eq!(label(word).as_deref(), expected, "{word:?}");
    }

    #[test]
    fn a_service_has_the_names_of_the_grammar_and_two_short_ones() {
        let mut redis = service("e", "Redis1");
        redis.service = "redis".into();
        redis.uuid = "0123456789".into();
        redis.addresses = vec!["172.17.0.4".parse().unwrap(), "fd00::4".parse().unwrap()];
        let names = naming(&["docker"]).names(&redis).unwrap().unwrap();
        assert_eq!(
            texts(&names.grammar),
            ["dev.docker", "redis.dev.docker", "redis1.redis.dev.docker"]
        );
        assert_eq!(texts(&names.short), ["0123456789.docker", "redis1.docker"]);
        assert_eq!(names.canonical.to_string(), "redis1.redis.dev.docker");
        assert_eq!(names.reverse.len(), 2);
        assert_eq!(names.reverse[0].to_string(), "4.0.17.172.in-addr.arpa");
        assert_eq!(names.mapped, []);
    }

    #[test]
    fn each_zone_has_all_names_and_the_first_one_is_canonical() {
        let names = naming(&["docker", "corp.example"])
            .names(&service("e", "web1"))
            .unwrap()
            .unwrap();
        assert_eq!(names.grammar.len(), 6);
        assert_eq!(names.short.len(), 4);
        assert_eq!(names.canonical.to_string(), "web1.web.dev.docker");
        assert!(texts(&names.short).contains(&"web1.corp.example".to_owned()));
    }

    #[test]
    fn an_endpoint_holds_the_labels_right_to_left_and_what_it_answers() {
        let web = service("e", "web1");
        let endpoint = naming(&["docker"]).names(&web).unwrap().unwrap().endpoint;
        let host = web.host.replace('.', "-");
        let expected = ["dev", "web", "web1", "here", host.as_str(), web.uuid.as_str()];
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
    fn what_would_part_or_break_a_label_becomes_a_hyphen() {
        check_label("Web.1", Some("web-1"));
        check_label("a\nb\u{7f}c\u{85}d", Some("a-b-c-d"));
        check_label("under_score kept", Some("under_score kept"));
        check_label("grün", Some("grün"));
        check_label("", None);
    }

    #[test]
    fn a_label_ends_at_63_octets_and_never_inside_a_character() {
        check_label(&"a".repeat(63), Some(&"a".repeat(63)));
        check_label(&"a".repeat(64), Some(&"a".repeat(63)));
        check_label(&format!("{}ü", "a".repeat(62)), Some(&"a".repeat(62)));
    }

    #[test]
    fn no_container_is_called_by_a_wildcard() {
        check_label("*", Some("*-1"));
        check_label("ANY", Some("any-1"));
        check_label("all", Some("all-1"));
        check_label("all-of-it", Some("all-of-it"));
        check_label("*.web", Some("*-web"));
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
        web.environment.clear();
        let empty = naming(&["docker"]).names(&web).unwrap_err().to_string();
        assert_eq!(
            empty,
            "\"web1\" (id-of-web1) gets no names: its environment is empty; give --environment a word"
        );

        let mut web = service("e", &"i".repeat(63));
        web.service = "s".repeat(63);
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
        assert_eq!(naming.canonical(&web), Some(names.canonical));
        assert_eq!(target(&web, &naming.zones[1]).as_ref(), names.short.get(2));
    }
}
