//! Which addresses a container has: those on the default bridge first, then those on its other networks by name; IPv4
//! before IPv6 on each.
//!
//! They are read from `NetworkSettings.Networks`, which every engine from 20.10 (API 1.41) fills in for the default
//! bridge too; the fields beside it are gone since API 1.52. A container on the host's network, or in another container's,
//! has no address of its own there, so it gets no names yet.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use bollard::models::EndpointSettings;

use crate::service::Address;

/// Networks a container is on when nobody chose one: Docker's and Podman's.
const DEFAULT_NETWORKS: [&str; 2] = ["bridge", "podman"];

/// The addresses on all networks, primary first; no unspecified and no double ones.
pub(crate) fn addresses(networks: &HashMap<String, EndpointSettings>) -> Vec<Address> {
    let mut networks: Vec<_> = networks.iter().collect();
    networks.sort_by_key(|(name, _)| (!DEFAULT_NETWORKS.contains(&name.as_str()), *name));
    let mut addresses: Vec<Address> = Vec::new();
    for (name, endpoint) in networks {
        let ipv4 = parse::<Ipv4Addr>(endpoint.ip_address.as_deref()).map(IpAddr::V4);
        let ipv6 = parse::<Ipv6Addr>(endpoint.global_ipv6_address.as_deref()).map(IpAddr::V6);
        let name: Arc<str> = name.as_str().into();
        for ip in ipv4.into_iter().chain(ipv6) {
            if !ip.is_unspecified() && !addresses.iter().any(|known| known.ip == ip) {
                let network = Some(name.clone());
                addresses.push(Address { ip, network });
            }
        }
    }
    addresses
}

/// Reads an address, a prefix length behind it ignored.
fn parse<A: FromStr>(text: Option<&str>) -> Option<A> {
    text?.split('/').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(networks: &str, expected: &[&str]) {
        let found = addresses(&serde_json::from_str(networks).unwrap());
        let found = found.iter().map(|address| {
            let network = address.network.as_deref().unwrap();
            format!("{} on {network}", address.ip)
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
