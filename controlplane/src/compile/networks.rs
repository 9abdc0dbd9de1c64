//! The networks of all sources: whose clients get which variant of a name, and which reverse names are ours.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arcstr::ArcStr;
use dns::{Name, View};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::published::PublishedAt;

use crate::naming::{Naming, reverse_zones};
use crate::service::{Network, Service, Source};

/// Reverse zones that we are authoritative for. More than the address pools of any engine make; the names of further
/// subnets are answered where we know them, and else asked upstream.
pub(super) const REVERSE_ZONES_MAX: usize = 4096;

/// Who is on this host for sure.
const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];
/// All clients of each family.
const ANYWHERE: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
];

/// The networks that a source has told of, and those that a service is on.
#[derive(Default)]
pub(super) struct Networks {
    held: HashMap<Source, HashMap<ArcStr, Held>>,
    told: BTreeMap<Source, Vec<Network>>,
    /// Views that no network has any more; they are given out again, so 16 bits last for as many as there are at once.
    free: Vec<View>,
    /// The last view that was given out for the first time.
    last: View,
    published: PublishedAt,
}

/// What is kept of one network.
struct Held {
    view: View,
    /// Addresses on it, and one more if its source has told of it. Never zero.
    holders: usize,
}

impl Networks {
    /// Takes in all networks of a source; whether that changes anything.
    pub(super) fn set(&mut self, source: &Source, networks: Vec<Network>) -> bool {
        if self.told.get(source).map_or(&[][..], Vec::as_slice) == networks {
            return false;
        }
        for network in &networks {
            self.hold(source, &network.name);
        }
        for network in self.told.insert(source.clone(), networks).unwrap_or_default() {
            self.release(source, &network.name);
        }
        true
    }

    /// Whether a client that is in no network is outside this host.
    pub(super) fn is_outside(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        let mut here = self.published.here.iter().chain(&LOOPBACK);
        self.published.is_on() && !here.any(|network| network.contains(&client))
    }

    /// Takes in where clients outside are led.
    pub(super) fn set_published(&mut self, published: PublishedAt) {
        self.published = published;
    }

    /// Where clients outside are led.
    pub(super) fn published(&self) -> &PublishedAt {
        &self.published
    }

    /// Gives the networks of a service their views, for as long as it is there.
    pub(super) fn enter(&mut self, service: &Service) {
        for network in service
            .addresses
            .iter()
            .filter_map(|address| address.network.as_ref())
        {
            self.hold(&service.id.source, network);
        }
    }

    /// Takes back what [`Networks::enter`] did.
    pub(super) fn leave(&mut self, service: &Service) {
        for network in service
            .addresses
            .iter()
            .filter_map(|address| address.network.as_ref())
        {
            self.release(&service.id.source, network);
        }
    }

    /// The view of the clients in a network; everybody's if it has none of its own.
    pub(super) fn view(&self, source: &Source, network: &str) -> View {
        let held = self.held.get(source).and_then(|networks| networks.get(network));
        held.map_or(View::EVERYONE, |held| held.view)
    }

    /// The addresses of a service that other clients than everybody get, each with its view; those outside get these
    /// alone.
    pub(super) fn views(&self, service: &Service) -> Vec<(View, IpAddr)> {
        let networks: BTreeSet<&str> = service
            .addresses
            .iter()
            .filter_map(|address| address.network.as_deref())
            .collect();
        let mut views = Vec::new();
        for network in networks {
            let view = self.view(&service.id.source, network);
            for is_ipv6 in [false, true] {
                let family = |network| {
                    let addresses = service.addresses_for(network);
                    addresses.filter(move |ip| ip.is_ipv6() == is_ipv6)
                };
                if view != View::EVERYONE && !family(Some(network)).eq(family(None)) {
                    views.extend(family(Some(network)).map(|ip| (view, ip)));
                }
            }
        }
        let outside = self.published.addresses(service);
        views.extend(outside.into_iter().map(|ip| (View::OUTSIDE, ip)));
        views
    }

    /// Which view clients of which address have.
    ///
    /// A subnet that two engines have is that of the one on this host: clients of the other one do not come from that
    /// address.
    pub(super) fn prefixes(&self) -> Vec<(IpNet, View)> {
        let is_elsewhere = |source: &Source| {
            !source
                .endpoint()
                .is_some_and(|endpoint| endpoint.starts_with("unix:"))
        };
        let mut sources: Vec<_> = self.told.iter().collect();
        sources.sort_by_key(|(source, _)| is_elsewhere(source));
        let mut seen = HashSet::new();
        let mut prefixes = Vec::new();
        for (source, networks) in sources {
            for network in networks {
                let view = self.view(source, &network.name);
                let subnets = network.subnets.iter().map(IpNet::trunc);
                prefixes.extend(
                    subnets
                        .filter(|subnet| seen.insert(*subnet))
                        .map(|subnet| (subnet, view)),
                );
            }
        }
        if self.published.is_on() {
            let here = self.published.here.iter().map(IpNet::trunc).chain(LOOPBACK);
            // An address of this host in one of its networks is a client in that network.
            let is_apart = |network: &IpNet| !seen.iter().any(|subnet| subnet.contains(network));
            prefixes.extend(here.filter(is_apart).map(|network| (network, View::EVERYONE)));
            prefixes.extend(ANYWHERE.map(|network| (network, View::OUTSIDE)));
        }
        prefixes
    }

    /// The network that the client at that address is in, as its view has it: the one of the longest prefix.
    pub(super) fn of_client(&self, client: IpAddr) -> Option<(Source, ArcStr)> {
        let client = client.to_canonical();
        let prefixes = self.prefixes();
        let (_, view) = prefixes
            .iter()
            .filter(|(subnet, _)| subnet.contains(&client))
            .max_by_key(|(subnet, _)| subnet.prefix_len())?;
        self.held.iter().find_map(|(source, networks)| {
            let network = networks.iter().find(|(_, held)| held.view == *view)?;
            Some((source.clone(), network.0.clone()))
        })
    }

    /// The outermost zones of the reverse names of all subnets that are their sources' own, none of them in a zone of
    /// `naming` or around one; and how many are left out, because there are more than [`REVERSE_ZONES_MAX`].
    pub(super) fn reverse_zones(&self, naming: &Naming) -> (BTreeSet<Name>, usize) {
        let own = self.told.values().flatten().filter(|network| network.is_own);
        let all: BTreeSet<Name> = own
            .flat_map(|network| network.subnets.iter().flat_map(reverse_zones))
            .collect();
        let is_outermost = |zone: &Name| {
            let around = (1..zone.labels().count())
                .filter_map(|labels| Name::from_labels(zone.labels().skip(labels)).ok());
            !around.into_iter().any(|around| all.contains(&around))
        };
        let mut zones: BTreeSet<Name> = all
            .iter()
            .filter(|zone| !naming.overlaps(zone) && is_outermost(zone))
            .cloned()
            .collect();
        let surplus = zones.iter().nth(REVERSE_ZONES_MAX).cloned();
        let left_out = surplus.map_or(0, |first| zones.split_off(&first).len());
        (zones, left_out)
    }

    fn hold(&mut self, source: &Source, network: &ArcStr) {
        if !self.held.contains_key(source) {
            self.held.insert(source.clone(), HashMap::new());
        }
        let Some(networks) = self.held.get_mut(source) else {
            return;
        };
        match networks.entry(network.clone()) {
            Entry::Occupied(mut held) => held.get_mut().holders += 1,
            Entry::Vacant(free) => {
                let view = self.free.pop().or_else(|| {
                    let next = View(self.last.0 + 1);
                    if next == View::OUTSIDE {
                        return None;
                    }
                    self.last = next;
                    Some(next)
                });
                // Past 65 534 networks at once the clients of the others are everybody.
                let view = view.unwrap_or(View::EVERYONE);
                free.insert(Held { view, holders: 1 });
            }
        }
    }

    fn release(&mut self, source: &Source, network: &ArcStr) {
        let Some(networks) = self.held.get_mut(source) else {
            return;
        };
        let Entry::Occupied(mut held) = networks.entry(network.clone()) else {
            return;
        };
        held.get_mut().holders -= 1;
        if held.get().holders == 0 {
            let Held { view, .. } = held.remove();
            if view != View::EVERYONE {
                self.free.push(view);
            }
        }
        if networks.is_empty() {
            self.held.remove(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{name, network, on, service, source};

    fn web(engine: &str, networks: &[&str]) -> Service {
        let addresses = networks.iter().zip(1..);
        Service {
            addresses: addresses
                .map(|(network, last): (_, u8)| on(network, &format!("10.{last}.0.2")))
                .collect(),
            ..service(engine, "web1")
        }
    }

    #[test]
    fn a_network_has_a_view_as_long_as_someone_is_on_it_or_its_source_knows_it() {
        let mut networks = Networks::default();
        let (a, b) = (web("e", &["x", "y"]), web("f", &["x"]));
        networks.enter(&a);
        networks.enter(&b);
        let views =
            [("e", "x"), ("e", "y"), ("f", "x")].map(|(engine, name)| networks.view(&source(engine), name));
        assert_eq!(views, [View(1), View(2), View(3)], "a name is one engine's own");
        networks.set(&source("e"), vec![network("y", &["10.2.0.0/16"])]);
        networks.leave(&a);
        assert_eq!(networks.view(&source("e"), "x"), View::EVERYONE);
        assert_eq!(networks.view(&source("e"), "y"), View(2));
        networks.set(&source("e"), vec![]);
        networks.enter(&web("g", &["p", "q"]));
        let again = ["p", "q"].map(|name| networks.view(&source("g"), name));
        assert_eq!(again, [View(2), View(1)], "numbers are given out again");
    }

    #[test]
    fn what_is_told_twice_changes_nothing() {
        let mut networks = Networks::default();
        assert!(!networks.set(&source("e"), vec![]));
        assert!(networks.set(&source("e"), vec![network("x", &["10.1.0.0/16"])]));
        assert!(!networks.set(&source("e"), vec![network("x", &["10.1.0.0/16"])]));
        assert!(networks.set(&source("e"), vec![network("x", &["10.9.0.0/16"])]));
    }

    #[test]
    fn clients_elsewhere_than_on_the_primary_network_get_addresses_of_their_own() {
        let mut networks = Networks::default();
        let both = web("e", &["x", "y"]);
        networks.enter(&both);
        assert_eq!(networks.views(&both), [(View(2), "10.2.0.2".parse().unwrap())]);
        assert_eq!(networks.views(&web("e", &["x"])), []);
    }

    #[test]
    fn of_two_engines_with_one_subnet_the_one_on_this_host_has_its_clients() {
        let mut networks = Networks::default();
        for engine in ["tcp://other:2376", "unix:///var/run/docker.sock"] {
            networks.set(&source(engine), vec![network("bridge", &["172.17.0.1/16"])]);
        }
        let local = networks.view(&source("unix:///var/run/docker.sock"), "bridge");
        assert_eq!(networks.prefixes(), [("172.17.0.0/16".parse().unwrap(), local)]);
    }

    #[test]
    fn reverse_zones_are_the_outermost_ones_of_own_networks_and_never_overlap_the_zones_of_names() {
        let mut networks = Networks::default();
        let lan = Network {
            is_own: false,
            ..network("lan", &["192.168.1.0/24"])
        };
        networks.set(
            &source("e"),
            vec![network("x", &["10.1.0.0/16", "fd00:1::/64"]), lan],
        );
        networks.set(
            &source("f"),
            vec![network("x", &["10.1.2.0/24", "10.3.0.0/16", "10.4.0.0/23"])],
        );
        let naming = Naming::new(["docker", "3.10.in-addr.arpa"].map(name).to_vec());
        let (zones, left_out) = networks.reverse_zones(&naming);
        let zones: BTreeSet<String> = zones.iter().map(Name::to_string).collect();
        let expected = [
            "1.10.in-addr.arpa",
            "0.4.10.in-addr.arpa",
            "1.4.10.in-addr.arpa",
            "0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa",
        ];
        assert_eq!((zones, left_out), (expected.map(str::to_owned).into(), 0));
    }

    #[test]
    fn reverse_zones_have_a_bound() {
        let mut networks = Networks::default();
        let subnets: Vec<_> = (0..33).map(|n| format!("10.{n}.0.0/17")).collect();
        let subnets: Vec<_> = subnets.iter().map(String::as_str).collect();
        networks.set(&source("e"), vec![network("x", &subnets)]);
        let (zones, left_out) = networks.reverse_zones(&Naming::new(vec![name("docker")]));
        assert_eq!((zones.len(), left_out), (REVERSE_ZONES_MAX, 128));
    }
}
