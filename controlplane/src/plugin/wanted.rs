//! What a plugin asked for, put into the service that the container is without it.

use arcstr::ArcStr;

use super::answer::{Host, Wanted};
use crate::service::{Addresses, Service, Wishes};

/// One service for each that is wanted, in order. `built_in` says what they leave open.
pub(super) fn apply(all: Vec<Wanted>, built_in: &Service) -> Vec<Service> {
    let services = all.into_iter().enumerate();
    services
        .map(|(place, wanted)| {
            let mut service = built_in.clone();
            // The names of a Compose project are the container's, and its aliases, so one of its services has them.
            if place > 0 {
                service.compose = None;
                wishes(&mut service, |wishes| wishes.network_aliases.clear());
            }
            put(wanted, &mut service);
            service
        })
        .collect()
}

/// Changes what was asked for `service`.
pub(super) fn wishes(service: &mut Service, change: impl FnOnce(&mut Wishes)) {
    let mut wishes = service.wishes.take().unwrap_or_default();
    change(&mut wishes);
    service.wishes = (*wishes != Wishes::default()).then_some(wishes);
}

fn put(wanted: Wanted, service: &mut Service) {
    let Wanted {
        service: word,
        instance,
        environment,
        region,
        host,
        port,
        ttl_seconds,
        priority,
        weight,
        texts,
        names,
        ports,
    } = wanted;
    service.is_service_asked |= word.is_some();
    for (slot, word) in [
        (&mut service.service, word),
        (&mut service.instance, instance),
        (&mut service.environment, environment),
        (&mut service.region, region),
    ] {
        if let Some(word) = word {
            *slot = word.into();
        }
    }
    service.ttl_seconds = ttl_seconds.unwrap_or(service.ttl_seconds);
    let mut alias = None;
    match host {
        None => {}
        Some(Host::Address(ip)) => {
            let own = service.addresses.iter().find(|address| address.ip == ip);
            match own.map(|own| own.network.clone()) {
                // Of its own addresses it chose whose network is the primary one.
                Some(network) => {
                    let mut addresses = service.addresses.to_vec();
                    addresses.sort_by_key(|address| (address.network != network, address.ip != ip));
                    service.addresses = addresses.into();
                }
                None => service.addresses = vec![ip.into()].into(),
            }
        }
        Some(Host::Name(name)) => {
            service.addresses = Addresses::default();
            alias = Some(name);
        }
    }
    let mut named = None;
    if let Some((mut ports, named_ports)) = ports {
        ports.sort_unstable();
        ports.dedup();
        service.ports = ports.into();
        named = Some(named_ports);
    }
    wishes(service, |wishes| {
        wishes.alias = alias.or(wishes.alias.take());
        wishes.port = port.or(wishes.port);
        wishes.priority = priority.or(wishes.priority);
        wishes.weight = weight.or(wishes.weight);
        if let Some(named) = named {
            wishes.named_ports = named;
        }
        if let Some(names) = names {
            wishes.names = names;
        }
        if let Some(texts) = texts {
            wishes.texts = texts.into_iter().map(ArcStr::from).collect();
        }
    });
}
