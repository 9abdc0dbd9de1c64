//! A container made into a service, or the reason why it is none.
//!
//! ```text
//!  Container ─▶ labels ─▶ selection ─▶ its place on the networks ─▶ Service
//!                 │           └─ refused ───┴─ without an address ─▶ Standing: why not
//!                 └─ cannot be read ─▶ Complaint
//! ```
//!
//! Words come from, in this order: labels, Compose, the container itself.

use arcstr::ArcStr;
use ecow::EcoString;

use super::container::{Container, NetworkMode};
use super::image::image_name;
use super::label::{self, Asked, Complaint};
use super::selection::Selection;
use super::standing::Standing;
use super::words::Words;
use crate::naming;
use crate::service::{
    Address, Compose, NetworkAlias, PublishedPort, Service, ServiceId, Services, Source, Wishes,
};

/// Hex digits of the container id that make the uuid label, as in SkyDNS's names.
const UUID_DIGITS: usize = 10;
/// Those of Docker's own short id.
const SHORT_ID_DIGITS: usize = 12;

/// Aliases of a container on one network that become names; of more, the first. As many as its labels may ask for.
const ALIASES_MAX: usize = 32;

/// What a container's records get that the container itself does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSettings {
    /// The environment label, `--environment`.
    pub environment: String,
    /// The region label, `--region`.
    pub region: String,
    /// Time to live of the records, in seconds, `--ttl`.
    pub ttl_seconds: u32,
    /// Which containers are published.
    pub selection: Selection,
    /// Whether services carry their published ports, for clients outside the host's networks: `--published-address`.
    pub has_published_address: bool,
}

impl ContainerSettings {
    /// All containers are published, as they say themselves.
    pub fn new(environment: &str, region: &str, ttl_seconds: u32) -> Self {
        Self {
            environment: environment.to_owned(),
            region: region.to_owned(),
            ttl_seconds,
            selection: Selection::default(),
            has_published_address: false,
        }
    }
}

/// What containers are published with.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) source: &'c Source,
    pub(crate) settings: &'c ContainerSettings,
    /// Where the engine's host is reached on the engine's networks, primary first.
    pub(crate) host: &'c [Address],
}

/// The container whose network another one shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It runs.
    Running(Box<Container>),
    /// It does not, or does not exist.
    Away,
}

/// What becomes of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    /// What it is; none where it is not published.
    pub(crate) services: Option<Services>,
    pub(crate) standing: Standing,
    /// Labels that could not be read.
    pub(crate) complaints: Vec<Complaint>,
}

/// Where a container can be reached.
struct Place {
    /// Primary first.
    addresses: Vec<Address>,
    published_ports: Vec<PublishedPort>,
}

/// Makes a service of a container that runs. `owner` is whose network it shares, where it shares one. Words that
/// others have too are shared with them.
pub(crate) fn publish(
    container: Container,
    owner: Option<Owner>,
    context: Context<'_>,
    words: &mut Words,
) -> Publication {
    let selection = &context.settings.selection;
    let (asked, mut complaints) = label::read(&container.labels, &selection.label_prefix, &selection.zones);
    let refused = |standing, complaints| Publication {
        services: None,
        standing,
        complaints,
    };
    if let Some(standing) = selection.refuses(&container.labels, asked.enable) {
        return refused(standing, complaints);
    }
    let place = match place(&container, owner, &asked, context, &mut complaints) {
        Ok(place) => place,
        Err(standing) => return refused(standing, complaints),
    };
    let service = service(container, place, asked, context, words);
    Publication {
        services: Some(service.into()),
        standing: Standing::Published,
        complaints,
    }
}

/// Where `container` can be reached; else why nowhere.
fn place(
    container: &Container,
    owner: Option<Owner>,
    asked: &Asked,
    context: Context<'_>,
    complaints: &mut Vec<Complaint>,
) -> Result<Place, Standing> {
    let published_ports = container.published_ports.clone();
    if !asked.ips.is_empty() {
        let addresses = asked.ips.iter().copied().map(Address::from).collect();
        return Ok(Place {
            addresses,
            published_ports,
        });
    }
    let place = match (&container.network_mode, owner) {
        (NetworkMode::Of(_), Some(Owner::Running(owner))) => {
            if moment(&container.started) < moment(&owner.started) {
                return Err(Standing::OwnerRestarted);
            }
            let leads_here = |it: &PublishedPort| container.ports.contains(&it.port);
            Place {
                addresses: match owner.network_mode {
                    NetworkMode::Host => context.host.to_vec(),
                    _ => owner.addresses(),
                },
                published_ports: owner.published_ports.into_iter().filter(leads_here).collect(),
            }
        }
        (NetworkMode::Of(_), _) => return Err(Standing::OwnerAway),
        (NetworkMode::Host, _) => {
            if context.host.is_empty() {
                return Err(Standing::NoHostAddress);
            }
            Place {
                addresses: context.host.to_vec(),
                published_ports,
            }
        }
        (NetworkMode::None, _)
            if container
                .attachments
                .iter()
                .all(|it| it.addresses().next().is_none()) =>
        {
            return Err(Standing::NoNetwork);
        }
        (NetworkMode::None | NetworkMode::Own, _) => Place {
            addresses: container.addresses(),
            published_ports,
        },
    };
    let Place {
        mut addresses,
        published_ports,
    } = place;
    if let Some(network) = &asked.network {
        let is_on = |address: &Address| address.network.as_deref() == Some(network);
        if !addresses.iter().any(is_on) {
            let label = format!("{}network", context.settings.selection.label_prefix);
            complaints.push(Complaint::new(label, network, networks_there(&addresses)));
        }
        // Stable, so that the rest keeps its order.
        addresses.sort_by_key(|address| !is_on(address));
    }
    if addresses.is_empty() {
        return Err(Standing::NoAddress);
    }
    Ok(Place {
        addresses,
        published_ports,
    })
}

/// A time as one engine writes it, so that the texts compare as the times do: RFC 3339, the zone left out, which is the
/// same in all, and closing zeros are not written.
fn moment(time: &str) -> &str {
    time.split(['Z', '+']).next().unwrap_or(time)
}

/// What would be right for the label `network`.
fn networks_there(addresses: &[Address]) -> String {
    let mut networks: Vec<_> = addresses
        .iter()
        .filter_map(|address| address.network.as_deref())
        .collect();
    networks.dedup();
    match networks.as_slice() {
        [] => "it has an address on no network of the engine; leave the label out".to_owned(),
        networks => format!("it has an address on {}; give one of these", networks.join(", ")),
    }
}

fn service(
    container: Container,
    place: Place,
    asked: Asked,
    context: Context<'_>,
    words: &mut Words,
) -> Service {
    let Place {
        mut addresses,
        published_ports,
    } = place;
    let settings = context.settings;
    let uuid: EcoString = container.id.get(..UUID_DIGITS).unwrap_or(&container.id).into();
    let instance: ArcStr = match asked.instance {
        Some(instance) => instance.into(),
        None if container.name.is_empty() => uuid.as_str().into(),
        None => container.name.into(),
    };
    let compose = container.compose.map(|compose| Compose {
        project: words.shared(&compose.project),
        service: words.shared(&compose.service),
        number: compose.number,
    });
    let is_service_asked = asked.service.is_some();
    let service = match (
        asked.service,
        &compose,
        image_name(&container.image, &container.image_id),
    ) {
        (Some(service), ..) => words.shared(&service),
        (None, Some(compose), _) => compose.service.clone(),
        (None, None, Some(image)) => words.shared(image),
        (None, None, None) => instance.clone(),
    };
    let networks = addresses
        .iter_mut()
        .filter_map(|address| address.network.as_mut());
    for network in networks {
        *network = words.shared(network);
    }
    let aliases = match container.network_mode {
        NetworkMode::Own => container.attachments.as_slice(),
        NetworkMode::Host | NetworkMode::None | NetworkMode::Of(_) => &[],
    };
    // Compose adds the names of service and container, and engines up to Docker 24 the short id.
    let is_called_so_anyway = |word: &str| {
        let is = |name: &str| naming::label(name) == naming::label(word);
        let is_short_id = word.len() == SHORT_ID_DIGITS && container.id.starts_with(word);
        is(&instance) || is_short_id || compose.as_ref().is_some_and(|it| is(&it.service))
    };
    let mut network_aliases = Vec::new();
    for place in aliases {
        let words_there = place.aliases.iter().filter(|word| !is_called_so_anyway(word));
        for word in words_there.take(ALIASES_MAX) {
            network_aliases.push(NetworkAlias {
                network: words.shared(&place.network),
                word: words.shared(word),
            });
        }
    }
    let wishes = Wishes {
        names: asked.names,
        alias: None,
        port: asked.port,
        named_ports: asked.named_ports,
        priority: asked.priority,
        weight: asked.weight,
        texts: asked.texts,
        publish: asked.publish,
        published_ports: if settings.has_published_address {
            published_ports
        } else {
            Vec::new()
        },
        network_aliases,
    };
    Service {
        environment: words.shared(asked.environment.as_ref().unwrap_or(&settings.environment)),
        service,
        is_service_asked,
        instance,
        region: words.shared(asked.region.as_ref().unwrap_or(&settings.region)),
        uuid,
        compose: compose.map(Box::new),
        addresses: addresses.into(),
        ports: container.ports.into(),
        health: container.health,
        ttl_seconds: asked.ttl_seconds.unwrap_or(settings.ttl_seconds),
        until: None,
        wishes: (wishes != Wishes::default()).then(|| Box::new(wishes)),
        id: ServiceId {
            source: context.source.clone(),
            id: container.id,
            part: 0,
        },
    }
}

#[cfg(test)]
mod tests;
