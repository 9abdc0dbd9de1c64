//! A service as our own interface shows it.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;

use crate::service::{Health, Service, Source};
use crate::store::{DraftPort, Entry, Now, Transport, moment};

/// A service: of a container, or registered.
#[derive(Clone, Debug, Serialize)]
pub(in crate::api) struct Shown<'s> {
    /// By which it is asked for here; a container's is its uuid label.
    id: Cow<'s, str>,
    /// `rest`, or the endpoint of its engine.
    source: Cow<'s, str>,
    service: Cow<'s, str>,
    instance: Cow<'s, str>,
    environment: Cow<'s, str>,
    region: Cow<'s, str>,
    addresses: Vec<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<Cow<'s, str>>,
    ports: Vec<DraftPort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    texts: Vec<Cow<'s, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    /// Seconds: that a registration lives from its last heartbeat on, that a container's records may be kept for.
    ttl: u32,
    /// Whether nothing but its removal ends it.
    permanent: bool,
    #[serde(flatten)]
    registered: Option<Registered>,
    #[serde(flatten)]
    contained: Option<Contained<'s>>,
}

/// What only a registration has.
#[derive(Clone, Debug, Serialize)]
struct Registered {
    /// Seconds until it ends; not for a permanent one.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u32>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// What its ETag says.
    revision: u64,
}

/// What only a container has.
#[derive(Clone, Debug, Serialize)]
struct Contained<'s> {
    /// Its whole id.
    container: &'s str,
    health: &'static str,
    networks: Vec<Member<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'s str>,
}

/// An address on a network.
#[derive(Clone, Debug, Serialize)]
struct Member<'s> {
    network: &'s str,
    address: IpAddr,
}

impl<'s> Shown<'s> {
    /// A service that the pipeline knows, and what is registered, if it is.
    pub(in crate::api) fn of(service: &'s Service, entry: Option<&Entry>, now: Now) -> Self {
        let wishes = service.wishes.as_deref();
        let names = wishes.map(|wishes| wishes.names.iter().map(ToString::to_string).collect());
        let texts = wishes.map(|wishes| wishes.texts.iter().map(|text| Cow::Borrowed(&**text)).collect());
        let is_registered = service.id.source == Source::Rest;
        let draft = entry.map(|entry| &entry.registration.draft);
        Self {
            id: if is_registered {
                &*service.id.id
            } else {
                &*service.uuid
            }
            .into(),
            source: match &service.id.source {
                Source::Engine(endpoint) => Cow::Borrowed(&**endpoint),
                Source::Rest => Cow::Owned(Source::Rest.to_string()),
            },
            service: (&*service.service).into(),
            instance: (&*service.instance).into(),
            environment: (&*service.environment).into(),
            region: (&*service.region).into(),
            addresses: service.addresses.iter().map(|address| address.ip).collect(),
            alias: wishes.and_then(|wishes| Some(wishes.alias.as_ref()?.to_string().into())),
            ports: match draft {
                Some(draft) => draft.ports.clone(),
                None => ports(service),
            },
            priority: wishes.and_then(|wishes| wishes.priority),
            weight: wishes.and_then(|wishes| wishes.weight),
            texts: texts.unwrap_or_default(),
            names: names.unwrap_or_default(),
            ttl: draft.map_or(service.ttl_seconds, |draft| draft.ttl),
            // Of one that is gone nobody knows any more.
            permanent: draft.map_or(!is_registered, |draft| draft.permanent),
            registered: entry.map(|entry| Registered::of(entry, now)),
            contained: (!is_registered).then(|| Contained::of(service)),
        }
    }
}

impl Registered {
    fn of(entry: &Entry, now: Now) -> Self {
        let ends = entry.deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(now.instant);
            moment(now.wall + left)
        });
        Self {
            remaining: entry.deadline.map(|_| entry.remaining_seconds(now.instant)),
            expires: ends,
            revision: entry.registration.revision,
        }
    }
}

impl<'s> Contained<'s> {
    fn of(service: &'s Service) -> Self {
        let networks = service.addresses.iter().filter_map(|address| {
            Some(Member {
                network: address.network.as_deref()?,
                address: address.ip,
            })
        });
        Self {
            container: &service.id.id,
            health: health(service.health),
            networks: networks.collect(),
            project: service.compose.as_ref().map(|compose| &*compose.project),
        }
    }
}

/// How health is written.
pub(super) fn health(health: Health) -> &'static str {
    match health {
        Health::None => "none",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

fn ports(service: &Service) -> Vec<DraftPort> {
    let named = service.wishes.iter().flat_map(|wishes| &wishes.named_ports);
    let name_of = |port| {
        named
            .clone()
            .find(|named| named.port == port)
            .map(|named| named.name.to_string())
    };
    let each = service.ports.iter().map(|port| DraftPort {
        number: port.number,
        protocol: Transport::from(port.protocol),
        name: name_of(*port),
    });
    each.collect()
}
