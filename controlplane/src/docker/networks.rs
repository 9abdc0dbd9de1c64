//! The engine's networks: read from its list, and when to ask for it.
//!
//! As with containers, an event only says that the list may have changed; what is told comes from a list that was asked
//! for after the last event.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use arcstr::ArcStr;
use ipnet::IpNet;

use super::attachment::rank;
use super::wire;
use crate::service::{Address, Network};

/// Networks of one engine that are told; the rest, last by name, have no addresses for us. Beyond what an engine's
/// address pools allow.
pub(super) const NETWORKS_MAX: usize = 4096;

/// How long the first complete state of a connection waits for the list of networks, so that the first snapshot has
/// all variants. An engine that is slow to list them must not hold up all names.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Drivers whose containers stand in a network of the outside world, which gives out addresses there, too.
const OUTSIDE_DRIVERS: [&str; 2] = ["macvlan", "ipvlan"];

/// Where Docker says that the host has no address of its own on a bridge network.
const BRIDGE_WITHOUT_HOST: [(&str, &str); 3] = [
    ("com.docker.network.bridge.inhibit_ipv4", "true"),
    ("com.docker.network.bridge.gateway_mode_ipv4", "isolated"),
    ("com.docker.network.bridge.gateway_mode_ipv6", "isolated"),
];

/// What the engine's list of networks tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    /// Networks with subnets, by name, each name once.
    pub(super) networks: Vec<Network>,
    /// Where the engine's host is reached on them: its address on each bridge, the default one first.
    pub(super) host: Vec<Address>,
    /// Names of all networks, those without subnets, too.
    pub(super) names: Vec<ArcStr>,
    /// Names of networks of whose containers the list of containers shows every port: bridges that lead outside. Of
    /// others it shows none, exposed or not.
    pub(super) shows_ports: Vec<ArcStr>,
}

/// Reads the engine's list.
pub(super) fn read(list: Vec<wire::Network>) -> List {
    let by_name: BTreeMap<String, wire::Network> = list
        .into_iter()
        .filter(|network| !network.name.is_empty())
        .map(|network| (network.name.clone(), network))
        .collect();
    let mut host: Vec<Address> = by_name.values().flat_map(host_addresses).collect();
    host.sort_by(|a, b| {
        let rank = |it: &Address| it.network.clone().map(|name| (rank(&name).0, name));
        rank(a).cmp(&rank(b))
    });
    let names = by_name.keys().map(|name| name.as_str().into()).collect();
    let shows_ports = by_name
        .values()
        .filter(|it| it.driver == "bridge" && !it.internal);
    let shows_ports = shows_ports.map(|it| it.name.as_str().into()).collect();
    let networks = by_name.into_values().filter_map(network);
    List {
        networks: networks.take(NETWORKS_MAX).collect(),
        host,
        names,
        shows_ports,
    }
}

/// A network; none if it has no subnet.
fn network(network: wire::Network) -> Option<Network> {
    let mut subnets: Vec<IpNet> = network
        .ipam
        .config
        .iter()
        .filter_map(|pool| pool.subnet.parse().ok())
        .collect();
    subnets.sort_unstable();
    subnets.dedup();
    (!subnets.is_empty()).then(|| Network {
        name: network.name.into(),
        subnets,
        is_own: !OUTSIDE_DRIVERS.contains(&network.driver.as_str()),
    })
}

/// The host's addresses on a network: a bridge's gateway is the bridge, and that is the host. The gateway of another
/// driver may be anybody.
fn host_addresses(network: &wire::Network) -> Vec<Address> {
    let has_option = |(name, value): &(&str, &str)| network.options.get(*name).is_some_and(|it| it == value);
    if network.driver != "bridge" || BRIDGE_WITHOUT_HOST.iter().any(has_option) {
        return Vec::new();
    }
    let gateways = network.ipam.config.iter();
    let gateways = gateways.filter_map(|pool| pool.gateway.split('/').next()?.parse().ok());
    let gateways = gateways.filter(|ip: &IpAddr| !ip.is_unspecified());
    let on_it = |ip| Address {
        ip,
        network: Some(network.name.as_str().into()),
        is_hosts: true,
    };
    gateways.map(on_it).collect()
}

/// What one connection knows of the engine's networks.
pub(super) struct Networks {
    /// Whether the list must be asked for, again if one is under way.
    is_stale: bool,
    is_asking: bool,
    /// The first complete state waits for the list until then.
    awaited_until: Option<Instant>,
    /// What the pipeline has yet to be told.
    news: Option<Vec<Network>>,
    /// What it was told last.
    told: Option<Vec<Network>>,
}

impl Networks {
    /// Nothing is known yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            is_stale: true,
            is_asking: false,
            awaited_until: Some(now + WAIT_MAX),
            news: None,
            told: None,
        }
    }

    /// The networks may have changed.
    pub(super) fn changed(&mut self) {
        self.is_stale = true;
    }

    /// Whether to ask for the list now; it counts as asked for.
    pub(super) fn ask(&mut self) -> bool {
        let ask = self.is_stale && !self.is_asking;
        if ask {
            self.is_stale = false;
            self.is_asking = true;
        }
        ask
    }

    /// Takes in the answer; none if there was none.
    pub(super) fn answered(&mut self, list: Option<Vec<Network>>) {
        self.is_asking = false;
        self.awaited_until = None;
        // What is older than the last event is told all the same: it is newer than what was told.
        if let Some(list) = list {
            self.news = (self.told.as_ref() != Some(&list)).then_some(list);
        }
    }

    /// Until when containers must wait for the networks that they are on; none if they need not.
    pub(super) fn awaited_until(&self, now: Instant) -> Option<Instant> {
        self.awaited_until.filter(|until| now < *until)
    }

    /// Whether [`Networks::next`] gives something.
    pub(super) fn has_news(&self) -> bool {
        self.news.is_some()
    }

    /// What the pipeline must be told; it counts as told.
    pub(super) fn next(&mut self) -> Option<Vec<Network>> {
        let news = self.news.take()?;
        self.told = Some(news.clone());
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::network;

    fn check(list: &str, expected: &[Network]) {
        let found = read(wire::read_list(list.as_bytes()).unwrap());
        assert_eq!(found.networks, expected, "{list}");
    }

    #[test]
    fn the_host_is_reached_at_its_bridges_the_default_one_first() {
        let list = r#"[
            {"Name": "app", "Driver": "bridge", "IPAM": {"Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1"},
                {"Subnet": "fd00:1::/64", "Gateway": "fd00:1::1/64"}]}},
            {"Name": "bridge", "Driver": "bridge", "IPAM": {"Config": [{"Gateway": "172.17.0.1"}]}},
            {"Name": "lan", "Driver": "macvlan", "IPAM": {"Config": [{"Gateway": "192.168.1.1"}]}},
            {"Name": "away", "Driver": "bridge", "IPAM": {"Config": [{"Gateway": "10.2.0.1"}]},
                "Options": {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}},
            {"Name": "odd", "Driver": "bridge", "IPAM": {"Config": [{}, {"Gateway": "x"}, {"Gateway": "0.0.0.0"}]}},
            {"Name": "host", "Driver": "host", "IPAM": {"Config": null}}
        ]"#;
        let host = read(wire::read_list(list.as_bytes()).unwrap()).host;
        let shown: Vec<_> = host
            .iter()
            .map(|it| format!("{} on {}", it.ip, it.network.as_deref().unwrap()))
            .collect();
        assert_eq!(
            shown,
            ["172.17.0.1 on bridge", "10.1.0.1 on app", "fd00:1::1 on app"]
        );
    }

    #[test]
    fn networks_with_subnets_are_read_by_name() {
        check(
            r#"[
                {"Name": "shop", "Id": "n2", "Driver": "bridge", "EnableIPv6": true, "IPAM": {"Driver": "default",
                    "Options": null, "Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"},
                                                {"Subnet": "fd00:18::/64", "Gateway": "fd00:18::1"}]}},
                {"Name": "host", "Id": "n3", "Driver": "host", "IPAM": {"Config": null}},
                {"Name": "none", "Id": "n4", "Driver": "null", "IPAM": {"Config": []}},
                {"Name": "bridge", "Id": "n1", "Driver": "bridge", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]}}
            ]"#,
            &[
                network("bridge", &["172.17.0.0/16"]),
                network("shop", &["172.18.0.0/16", "fd00:18::/64"]),
            ],
        );
    }

    // The addresses of a macvlan network are the LAN's, whose router knows its reverse names.
    #[test]
    fn a_network_of_the_outside_world_is_not_the_engines_own() {
        for driver in ["macvlan", "ipvlan"] {
            let lan = Network {
                is_own: false,
                ..network("lan", &["192.168.1.0/24"])
            };
            let list = format!(
                r#"[{{"Name":"lan","Driver":"{driver}","IPAM":{{"Config":[{{"Subnet":"192.168.1.0/24"}}]}}}}]"#
            );
            check(&list, &[lan]);
        }
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        check("[{}]", &[]);
        check(
            r#"[{"Name":"","IPAM":{"Config":[{"Subnet":"10.0.0.0/8"}]}}]"#,
            &[],
        );
        check(
            r#"[{"Name":"x","IPAM":{"Config":[{},{"Subnet":""},{"Subnet":"10.0.0.0/99"}]}}]"#,
            &[],
        );
    }

    #[test]
    fn an_event_while_a_list_is_under_way_asks_for_another_one() {
        let mut networks = Networks::new(Instant::now());
        assert!(networks.ask() && !networks.ask());
        networks.changed();
        assert!(!networks.ask(), "one at a time");
        networks.answered(Some(vec![]));
        assert!(networks.ask());
    }

    #[test]
    fn only_what_is_new_is_told_and_the_first_list_always() {
        let mut networks = Networks::new(Instant::now());
        let mut told = |list: Option<Vec<Network>>| {
            networks.answered(list);
            networks.next().map(|list| list.len())
        };
        assert_eq!(told(None), None);
        assert_eq!(told(Some(vec![])), Some(0));
        assert_eq!(told(Some(vec![])), None);
        assert_eq!(told(Some(vec![network("x", &["10.0.0.0/8"])])), Some(1));
        assert_eq!(told(None), None);
    }

    #[test]
    fn containers_wait_for_the_first_answer_and_not_for_ever() {
        let now = Instant::now();
        let mut networks = Networks::new(now);
        assert_eq!(networks.awaited_until(now), Some(now + WAIT_MAX));
        assert_eq!(networks.awaited_until(now + WAIT_MAX), None);
        networks.answered(None);
        assert_eq!(networks.awaited_until(now), None);
    }
}
