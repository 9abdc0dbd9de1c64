//! Names that a service has besides those of the grammar.

use std::borrow::Cow;
use std::collections::BTreeSet;

use dns::Name;

use super::{Role, label};
use crate::service::{Compose, NamedPort, Protocol, Service};

/// The names that a Compose project gives in `zone`.
///
/// One that does not fit into 255 octets is left out: nobody could ask for it. The grammar's names remain.
pub(super) fn compose_places(compose: &Compose, zone: &Name) -> Vec<(Name, Role)> {
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

/// The names in `zone` that neighbours of a service on some network may call it by, each once. One that does not fit into 255
/// octets is left out.
pub(super) fn neighbour_places(service: &Service, zone: &Name) -> Vec<(Name, Role)> {
    let labels: BTreeSet<_> = service
        .network_aliases()
        .filter_map(|alias| label(&alias.word))
        .collect();
    let names = labels
        .iter()
        .filter_map(|label| zone.child(label.as_bytes()).ok());
    names.map(|name| (name, Role::NetworkAlias)).collect()
}

/// The networks whose clients may call `service` by `name`, one of [`neighbour_places`].
pub(crate) fn networks_calling<'s>(service: &'s Service, name: &Name) -> BTreeSet<&'s str> {
    let called = name.labels().next();
    let aliases = service.network_aliases();
    let by_name = aliases.filter(|alias| label(&alias.word).is_some_and(|it| called == Some(it.as_bytes())));
    by_name.map(|alias| &*alias.network).collect()
}

/// The names that a service asked for itself, and those of its named ports below each of `places`.
pub(super) fn wished_places(service: &Service, places: &[(Name, Role)]) -> Vec<(Name, Role)> {
    let Some(wishes) = &service.wishes else {
        return Vec::new();
    };
    // Outside every zone we own a name that was asked for, and such a zone cannot be the root.
    let names = wishes.names.iter().filter(|name| **name != Name::root());
    let mut wished: Vec<(Name, Role)> = names.map(|name| (name.clone(), Role::Wished)).collect();
    let with_ports = places
        .iter()
        .chain(&wished)
        .filter(|(name, role)| role.has_ports() && !is_wildcard_owner(name));
    let below: Vec<(Name, Role)> = with_ports
        .flat_map(|(name, role)| {
            let ports = wishes.named_ports.iter();
            ports.filter_map(move |port| Some((named_port_name(port, name)?, *role)))
        })
        .collect();
    wished.extend(below);
    wished
}

/// The names that somebody who does not run asked for, and those of its named ports below them: what
/// [`wished_places`] would give it besides those of its other names.
pub(crate) fn carried_names(names: &[Name], ports: &[NamedPort]) -> Vec<Name> {
    let mut carried: Vec<Name> = names
        .iter()
        .filter(|name| **name != Name::root())
        .cloned()
        .collect();
    let with_ports = names.iter().filter(|name| !is_wildcard_owner(name));
    let below = with_ports.flat_map(|name| ports.iter().filter_map(|port| named_port_name(port, name)));
    carried.extend(below);
    carried
}

/// `_name._protocol.<owner>` (RFC 2782); none where it does not fit into 255 octets, and nobody could ask for it.
fn named_port_name(port: &NamedPort, owner: &Name) -> Option<Name> {
    let label = named_port_label(&port.name)?;
    owner.prefixed(&[&*label, port.port.protocol.label()]).ok()
}

fn named_port_label(name: &str) -> Option<String> {
    label(&format!("_{name}")).map(Cow::into_owned)
}

/// Whether `name` stands for names that are not there (RFC 4592, section 2.1.1).
pub(crate) fn is_wildcard_owner(name: &Name) -> bool {
    name.labels().next() == Some(b"*")
}

/// Whether `name` is that of a port, `_port._protocol.name`: nothing else has a label of a protocol.
pub(crate) fn is_port_name(name: &Name) -> bool {
    let mut labels = name.labels();
    let is_service = labels.next().is_some_and(|label| label.starts_with(b"_"));
    let protocol = labels.next();
    is_service
        && Protocol::ALL
            .iter()
            .any(|its| protocol == Some(its.label().as_bytes()))
}

/// The number of the port of `service` whose name `name` begins with.
pub(crate) fn named_port(service: &Service, name: &Name) -> Option<NamedPort> {
    let mut labels = name.labels();
    let (label, protocol) = (labels.next()?, labels.next()?);
    let ports = service.wishes.as_ref()?.named_ports.iter();
    let is_it = |port: &&NamedPort| {
        protocol == port.port.protocol.label().as_bytes()
            && named_port_label(&port.name).is_some_and(|its| its.as_bytes() == label)
    };
    ports.filter(is_it).min_by_key(|port| port.port).cloned()
}

/// The host that an SRV record of `service` points to: the name that it is an alias of, else `<uuid>.<zone>`. None only
/// for a service that has no names.
pub(crate) fn target(service: &Service, zone: &Name) -> Option<Name> {
    if let Some(alias) = service.alias() {
        return Some(alias.clone());
    }
    zone.child(label(&service.uuid)?.as_bytes()).ok()
}
