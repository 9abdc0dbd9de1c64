//! Where a container stands on the engine's networks: on the default bridge first, then on the others by name.
//!
//! It is read from `NetworkSettings.Networks`, which every engine from 20.10 (API 1.41) fills in for the default bridge
//! too; the fields beside it are gone since API 1.52.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::wire::Endpoint;

/// Networks a container is on when nobody chose one: Docker's and Podman's.
const DEFAULT_NETWORKS: [&str; 2] = ["bridge", "podman"];

/// A container's place on one network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The network's name.
    pub(crate) network: String,
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// As the engine writes it; empty where it tells none. The same for the two below.
    pub(crate) gateway: String,
    pub(crate) ipv6_gateway: String,
    pub(crate) mac_address: String,
    /// What its neighbours on this network may call it.
    pub(crate) aliases: Vec<String>,
}

impl Attachment {
    /// Its addresses there, IPv4 first.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (ipv4, ipv6) = (self.ipv4.map(IpAddr::V4), self.ipv6.map(IpAddr::V6));
        ipv4.into_iter().chain(ipv6)
    }
}

/// Reads all places of a container, the primary one first. An address that is unspecified or no address is none.
pub(super) fn attachments(networks: HashMap<String, Endpoint>) -> Vec<Attachment> {
    let mut attachments: Vec<_> = networks
        .into_iter()
        .map(|(network, endpoint)| Attachment {
            ipv4: parse(&endpoint.ip_address).filter(|ip: &Ipv4Addr| !ip.is_unspecified()),
            ipv6: parse(&endpoint.global_ipv6_address).filter(|ip: &Ipv6Addr| !ip.is_unspecified()),
            gateway: endpoint.gateway,
            ipv6_gateway: endpoint.ipv6_gateway,
            mac_address: endpoint.mac_address,
            aliases: endpoint.aliases,
            network,
        })
        .collect();
    attachments.sort_unstable_by(|a, b| rank(&a.network).cmp(&rank(&b.network)));
    attachments
}

/// Where a network of this name stands among others.
pub(super) fn rank(network: &str) -> (bool, &str) {
    (!DEFAULT_NETWORKS.contains(&network), network)
}

/// Reads an address, a prefix length behind it ignored.
fn parse<A: FromStr>(text: &str) -> Option<A> {
    text.split('/').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::wire;

    fn check(networks: &str, expected: &[&str]) {
        let inspect = format!(r#"{{"NetworkSettings": {{"Networks": {networks}}}}}"#);
        let inspect: wire::Inspect = wire::read(inspect.as_bytes()).unwrap();
        let found = attachments(inspect.network_settings.networks);
        let found = found.iter().flat_map(|place| {
            place
                .addresses()
                .map(move |ip| format!("{ip} on {}", place.network))
        });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{networks}");
    }

    #[test]
    fn the_default_bridge_is_primary_and_the_others_follow_by_name() {
        check(
            r#"{
                "zeta": {"IPAddress": "10.3.0.2", "GlobalIPv6Address": "fd00:3::2"},
                "alpha": {"IPAddress": "10.1.0.2"},
                "bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": "fd00::2"}
            }"#,
            &[
                "172.17.0.2 on bridge",
                "fd00::2 on bridge",
                "10.1.0.2 on alpha",
                "10.3.0.2 on zeta",
                "fd00:3::2 on zeta",
            ],
        );
    }

    #[test]
    fn without_the_default_bridge_the_first_network_by_name_is_primary() {
        let networks = r#"{"b": {"IPAddress": "10.2.0.2"}, "a": {"IPAddress": "10.1.0.2"}}"#;
        check(networks, &["10.1.0.2 on a", "10.2.0.2 on b"]);
        let podman = r#"{"a": {"IPAddress": "10.1.0.2"}, "podman": {"IPAddress": "10.88.0.2"}}"#;
        check(podman, &["10.88.0.2 on podman", "10.1.0.2 on a"]);
    }

    #[test]
    fn an_empty_unspecified_or_broken_address_is_none() {
        for networks in [
            "{}",
            r#"{"host": {"IPAddress": "", "GlobalIPv6Address": ""}}"#,
            r#"{"none": {}}"#,
            r#"{"x": {"IPAddress": "0.0.0.0", "GlobalIPv6Address": "::"}}"#,
            r#"{"x": {"IPAddress": "invalid IP"}}"#,
        ] {
            check(networks, &[]);
        }
        let only_ipv6 = r#"{"x": {"IPAddress": "", "GlobalIPv6Address": "fd00::2/64"}}"#;
        check(only_ipv6, &["fd00::2 on x"]);
    }
}
