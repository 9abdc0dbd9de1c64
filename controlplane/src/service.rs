//! What the control plane knows of a running thing, and the changes that reach the pipeline.

mod lists;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use dns::{Moment, Name, Tier};
pub use dns::{Port, Protocol};
use ecow::EcoString;
use ipnet::IpNet;
pub use lists::{Addresses, Ports};
use tokio::sync::watch;

/// Octets that a service takes besides its words: its fields, and a share for its addresses and ports.
const SERVICE_OCTETS: usize = 512;
/// Octets that each name, text and named port of it takes besides its own words.
const WISH_OCTETS: usize = 32;

/// Longest time to live, in seconds: a week. Resolvers cap longer ones (RFC 8767, section 4), and a container's
/// address is never good for longer. Below the 2^31 - 1 of RFC 2181, section 8, so a record can always carry it.
pub const TTL_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

/// Who told us of a service. Two sources never overwrite each other's services.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A container engine, named by its endpoint, for example `unix:///var/run/docker.sock`.
    Engine(ArcStr),
    /// Whoever registered it over the REST API.
    Rest,
}

/// One service of one source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId {
    /// Who told us of it.
    pub source: Source,
    /// The source's own name for it; for an engine the full container id.
    pub id: ArcStr,
    /// Which of the services that have this id, from 0 on: a plugin may make several of one container.
    pub part: u16,
}

/// Whether a service says that it can do its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Health {
    /// It has no health check, and counts as healthy.
    #[default]
    None,
    /// It was started, and no check has succeeded yet.
    Starting,
    /// The last checks succeeded.
    Healthy,
    /// The last checks failed.
    Unhealthy,
}

/// An address of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The address; never an unspecified one.
    pub ip: IpAddr,
    /// Name of the network that it is on, among those of its source; none for an address on no network that its
    /// source knows.
    pub network: Option<ArcStr>,
    /// Whether it is the host's own: whoever has the host's network is reached there, but who is seen there is not it.
    /// So it is told for the service's names, and has no name of the service's.
    pub is_hosts: bool,
}

/// Where a service stands in a Compose project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compose {
    /// The project's name.
    pub project: ArcStr,
    /// The service's name in the project.
    pub service: ArcStr,
    /// Which of the service's containers it is, from 1 on; none where the source does not say.
    pub number: Option<u32>,
}

/// Which states of health let names that a service shares with others lead to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Publish {
    /// Healthy or never checked; starting ones only while nobody is healthy.
    #[default]
    Healthy,
    /// As soon as it is started, before the first check succeeded.
    Starting,
    /// Whatever its checks say.
    Always,
}

/// A port with a name, asked for as `_name._proto.<name of the service>` (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPort {
    /// Without the underscore: `http`. At most 15 letters, digits and hyphens (RFC 6335, section 5.1).
    pub name: ArcStr,
    /// Where the service listens.
    pub port: Port,
}

/// A port of a service that can be reached at an address of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// The host's address it is bound to; unspecified for all of them.
    pub host_ip: IpAddr,
    /// Its number there.
    pub host_number: u16,
    /// The service's own port that this leads to.
    pub port: Port,
}

/// What the neighbours of a service on one network may call it (`docker run --network-alias`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkAlias {
    /// The network's name, as [`Address::network`] has it.
    pub network: ArcStr,
    /// The word; `naming` makes a label of it.
    pub word: ArcStr,
}

/// What was asked for a service by its labels, its engine, a plugin or over REST, besides the words and addresses that each has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Names of its own, in a zone or outside all of them. A first label `*` makes it a wildcard owner (RFC 4592).
    pub names: Vec<Name>,
    /// Where it is a name instead of addresses: its names are aliases of this one (CNAME).
    pub alias: Option<Name>,
    /// What SRV announces, before the rule of [`Service::announced_port`].
    pub port: Option<u16>,
    /// Ports that are asked for by name.
    pub named_ports: Vec<NamedPort>,
    /// SRV priority; that of every other service where there is none.
    pub priority: Option<u16>,
    /// SRV weight; an even share of 100 where there is none.
    pub weight: Option<u16>,
    /// A TXT record each, of any length.
    pub texts: Vec<ArcStr>,
    /// Which states of health it is published in.
    pub publish: Publish,
    /// Ports that clients outside the host's networks are led to.
    pub published_ports: Vec<PublishedPort>,
    /// What it is called by clients on its networks, and by nobody else.
    pub network_aliases: Vec<NetworkAlias>,
}

/// A running thing that gets names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Who told us of it, and its id there.
    pub id: ServiceId,
    /// Environment, as the source gave it; `naming` makes a label of it, and of the five below.
    pub environment: ArcStr,
    /// Service: that of Compose, else the image's name without registry, repository, tag and digest.
    pub service: ArcStr,
    /// Whether that word was given on purpose, by a label, a plugin or over REST: then its name is shared with whoever has it, of
    /// other Compose projects too.
    pub is_service_asked: bool,
    /// Instance: the container's name.
    pub instance: ArcStr,
    /// Region: by default this host's name.
    pub region: ArcStr,
    /// First ten hex digits of the container id.
    pub uuid: EcoString,
    /// Where it stands in a Compose project, if it is in one.
    pub compose: Option<Box<Compose>>,
    /// Addresses, those on its primary network first. Empty when it has none, and then it gets no names.
    pub addresses: Addresses,
    /// Ports, least first.
    pub ports: Ports,
    /// Whether names that it shares with others lead to it.
    pub health: Health,
    /// Time to live of its records, in seconds.
    pub ttl_seconds: u32,
    /// When it ends, unless it is heard of before; none if it goes when its source says so.
    pub until: Option<Moment>,
    /// What was asked for it. Most services ask for nothing, and there are many of them: none is the same as all
    /// defaults, and the two are told apart nowhere.
    pub wishes: Option<Box<Wishes>>,
}

// Beside the two counts of an `Arc` it fills one of the sizes that allocators have.
const _: () = assert!(
    size_of::<Service>() + 16 == 160,
    "a host may have a hundred thousand"
);

/// All services of one id, which come, change and go together: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services(Held);

/// Nearly every id has one service, and there are many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    One(Arc<Service>),
    /// Behind a thin pointer, so that one has no more room than it needs.
    Several(Arc<Vec<Arc<Service>>>),
}

/// A network that services can share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name, by which [`Address::network`] means it.
    pub name: ArcStr,
    /// Where the addresses of its members lie.
    pub subnets: Vec<IpNet>,
    /// Whether the source gives out all addresses of these subnets, so that what it has not given out does not exist.
    /// Not so where containers stand in a network of the outside world.
    pub is_own: bool,
}

/// What the pipeline is told, by every source alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The id is there, and its services look like these.
    Put(Services),
    /// The id is gone, with all of its services; which part is named does not matter.
    Remove(ServiceId),
    /// The complete truth of one source: what it does not list is gone.
    Reset {
        /// Whose truth.
        source: Source,
        /// All of its services.
        services: Vec<Arc<Service>>,
    },
    /// All networks of one source; what it does not list is gone.
    Networks {
        /// Whose networks.
        source: Source,
        /// All of them, each name once.
        networks: Vec<Network>,
    },
    /// Which names things of one source carry, beside those of services: a name outside our zones is ours while anything
    /// carries it, whether that runs or not. Of things that are not listed nothing changes.
    Carried {
        /// Whose things.
        source: Source,
        /// The id of each, and all of its names from now on; none where it is gone.
        carriers: Vec<(ArcStr, Arc<[Name]>)>,
    },
    /// Somebody wants to know when all that was told before is served.
    Mark(Mark),
}

/// A place in the queue of changes, which whoever put it there can wait for.
#[derive(Clone, Debug)]
pub struct Mark(watch::Sender<bool>);

impl Mark {
    /// A mark, and what turns true when everything that was told before it is served.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<bool>) {
        let (mark, seen) = watch::channel(false);
        (Self(mark), seen)
    }

    /// Everything before it is served.
    pub(crate) fn reached(self) {
        self.0.send_replace(true);
    }
}

impl PartialEq for Mark {
    /// Whether it is the same one.
    fn eq(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Eq for Mark {}

impl Source {
    /// The endpoint, if it is an engine.
    #[must_use]
    pub fn endpoint(&self) -> Option<&ArcStr> {
        match self {
            Self::Engine(endpoint) => Some(endpoint),
            Self::Rest => None,
        }
    }
}

impl fmt::Display for Source {
    /// The engine's endpoint, or `rest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.endpoint().map_or("rest", |endpoint| endpoint))
    }
}

impl Service {
    /// The port that SRV announces: the one that was asked for, else the lowest TCP port, else the lowest of the others;
    /// none if it listens nowhere.
    #[must_use]
    pub fn announced_port(&self) -> Option<u16> {
        let asked = self.wishes.as_ref().and_then(|wishes| wishes.port);
        asked.or_else(|| self.ports.iter().min().map(|port| port.number))
    }

    /// Octets that it takes, in memory or as text. It bounds, and need not be exact.
    pub(crate) fn octets(&self) -> usize {
        let words = [
            &self.environment,
            &self.service,
            &self.instance,
            &self.region,
            &self.id.id,
        ];
        let wishes = self.wishes.as_deref();
        let names = wishes.into_iter().flat_map(|wishes| &wishes.names);
        let texts = wishes.into_iter().flat_map(|wishes| &wishes.texts);
        let ports = wishes.into_iter().flat_map(|wishes| &wishes.named_ports);
        let sizes = (names.map(|name| name.octets().len()))
            .chain(texts.map(ArcStr::len))
            .chain(ports.map(|port| port.name.len()));
        SERVICE_OCTETS
            + words.map(ArcStr::len).into_iter().sum::<usize>()
            + self.uuid.len()
            + sizes.map(|octets| octets + WISH_OCTETS).sum::<usize>()
    }

    /// Host: its first address, or the name that it stands for.
    #[must_use]
    pub fn host(&self) -> String {
        match (self.addresses.first(), self.alias()) {
            (Some(address), _) => address.ip.to_string(),
            (None, alias) => alias.map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// The name that it stands for, where it has no address.
    #[must_use]
    pub fn alias(&self) -> Option<&Name> {
        let alias = self.wishes.as_ref()?.alias.as_ref();
        alias.filter(|_| self.addresses.is_empty())
    }

    /// What its neighbours on networks that it has an address on may call it.
    pub fn network_aliases(&self) -> impl Iterator<Item = &NetworkAlias> {
        let aliases = self.wishes.iter().flat_map(|wishes| &wishes.network_aliases);
        aliases.filter(|alias| {
            let mut networks = self.addresses.iter().map(|address| address.network.as_ref());
            networks.any(|its| its == Some(&alias.network))
        })
    }

    /// SRV priority, if one was asked for.
    #[must_use]
    pub fn priority(&self) -> Option<u16> {
        self.wishes.as_ref()?.priority
    }

    /// SRV weight, if one was asked for.
    #[must_use]
    pub fn weight(&self) -> Option<u16> {
        self.wishes.as_ref()?.weight
    }

    /// Whether names that it shares with others lead to it, and when.
    #[must_use]
    pub fn tier(&self) -> Tier {
        let publish = self
            .wishes
            .as_ref()
            .map_or(Publish::Healthy, |wishes| wishes.publish);
        match (self.health, publish) {
            (Health::None | Health::Healthy, _) | (_, Publish::Always) => Tier::Ready,
            (Health::Starting, Publish::Starting) => Tier::Ready,
            (Health::Starting, Publish::Healthy) => Tier::Starting,
            (Health::Unhealthy, Publish::Healthy | Publish::Starting) => Tier::Withheld,
        }
    }

    /// Its addresses for clients on `network`, IPv4 first: of each family those on that network, else those on the
    /// first network that gave it one.
    ///
    /// Without a network: its primary addresses.
    pub fn addresses_for<'s>(&'s self, network: Option<&'s str>) -> impl Iterator<Item = IpAddr> + 's {
        [false, true].into_iter().flat_map(move |is_ipv6| {
            let family = self
                .addresses
                .iter()
                .filter(move |address| address.ip.is_ipv6() == is_ipv6);
            let shared = network.filter(|network| {
                let mut networks = family.clone().map(|address| address.network.as_deref());
                networks.any(|its| its == Some(network))
            });
            let chosen = match shared {
                Some(shared) => Some(shared),
                None => family.clone().next().and_then(|first| first.network.as_deref()),
            };
            family
                .filter(move |address| address.network.as_deref() == chosen)
                .map(|address| address.ip)
        })
    }
}

impl Services {
    /// Those of one id, that of the first, and numbered in this order; none if there is none.
    #[must_use]
    pub fn of(services: Vec<Service>) -> Option<Self> {
        let id = services.first()?.id.clone();
        let numbered = services.into_iter().zip(0..).map(|(mut service, part)| {
            service.id = ServiceId { part, ..id.clone() };
            Arc::new(service)
        });
        let mut numbered: Vec<_> = numbered.collect();
        Some(match numbered.len() {
            1 => Self(Held::One(numbered.pop()?)),
            _ => Self(Held::Several(Arc::new(numbered))),
        })
    }

    /// In the order of their numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[Arc<Service>] {
        match &self.0 {
            Held::One(service) => std::slice::from_ref(service),
            Held::Several(services) => services,
        }
    }

    /// Whether these are `other` but for network aliases, which an engine's list does not show.
    #[must_use]
    pub(crate) fn is_but_for_network_aliases(&self, other: &Self) -> bool {
        let without = |services: &Self| -> Vec<Service> {
            let mut services: Vec<Service> = services.as_slice().iter().map(|it| (**it).clone()).collect();
            for service in &mut services {
                let wishes = service.wishes.take().map(|wishes| Wishes {
                    network_aliases: Vec::new(),
                    ..*wishes
                });
                service.wishes = wishes.filter(|it| *it != Wishes::default()).map(Box::new);
            }
            services
        };
        self == other || without(self) == without(other)
    }

    /// The first one.
    #[must_use]
    pub fn first(&self) -> &Arc<Service> {
        match &self.0 {
            Held::One(service) => service,
            Held::Several(services) => services.first().expect("`of` takes no empty list"),
        }
    }
}

impl From<Arc<Service>> for Services {
    /// The only one of its id.
    fn from(service: Arc<Service>) -> Self {
        Self(Held::One(service))
    }
}

impl From<Service> for Services {
    /// The only one of its id.
    fn from(service: Service) -> Self {
        Arc::new(service).into()
    }
}

impl From<IpAddr> for Address {
    /// An address on no network that is known.
    fn from(ip: IpAddr) -> Self {
        Self {
            ip,
            network: None,
            is_hosts: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{on, service};

    fn check(addresses: &[Address], network: Option<&str>, expected: &[&str]) {
        let web = Service {
            addresses: addresses.to_vec().into(),
            ..service("e", "web1")
        };
        let found: Vec<_> = web.addresses_for(network).map(|ip| ip.to_string()).collect();
        assert_eq!(found, expected, "{network:?}");
    }

    #[test]
    fn a_client_gets_the_address_on_the_network_it_shares_and_else_the_primary_one() {
        let both = [on("front", "10.1.0.2"), on("back", "10.2.0.2")];
        check(&both, None, &["10.1.0.2"]);
        check(&both, Some("front"), &["10.1.0.2"]);
        check(&both, Some("back"), &["10.2.0.2"]);
        check(&both, Some("elsewhere"), &["10.1.0.2"]);
        check(&[], Some("front"), &[]);
    }

    // A network has IPv6 for all its members or for none: a client that shares only the IPv4 network and has IPv6 all
    // the same has it from a network that it may share, too.
    #[test]
    fn each_family_is_chosen_by_itself() {
        let both = [
            on("front", "10.1.0.2"),
            on("back", "10.2.0.2"),
            on("back", "fd00:2::2"),
        ];
        check(&both, None, &["10.1.0.2", "fd00:2::2"]);
        check(&both, Some("back"), &["10.2.0.2", "fd00:2::2"]);
    }

    #[test]
    fn addresses_on_no_network_stay_together() {
        let plain =
            ["10.0.0.1", "10.0.0.2", "fd00::1"].map(|ip| Address::from(ip.parse::<IpAddr>().unwrap()));
        check(&plain, None, &["10.0.0.1", "10.0.0.2", "fd00::1"]);
        check(&plain, Some("front"), &["10.0.0.1", "10.0.0.2", "fd00::1"]);
    }
}
