//! Which of a name's variants a client gets: its address, then its network, then the view of that network.
//!
//! Only names that have variants ask. There are as many networks as the engines have, dozens, so they
//! are walked, longest prefix first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::record::View;

/// The networks that have a view.
#[derive(Clone, Default)]
pub(super) struct Networks {
    ipv4: Box<[(u32, u32, View)]>,
    ipv6: Box<[(u128, u128, View)]>,
}

impl Networks {
    pub(super) fn of(networks: &[(IpNet, View)]) -> Self {
        let mut longest_first = networks.to_vec();
        longest_first.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for (network, view) in longest_first {
            match network.trunc() {
                IpNet::V4(network) => ipv4.push((network.addr().into(), network.netmask().into(), view)),
                IpNet::V6(network) => ipv6.push((network.addr().into(), network.netmask().into(), view)),
            }
        }
        Self {
            ipv4: ipv4.into(),
            ipv6: ipv6.into(),
        }
    }

    /// The view of the network that `client` is in; an IPv4 address written as an IPv6 one is what it is.
    pub(super) fn view_of(&self, client: IpAddr) -> View {
        let view = match client.to_canonical() {
            IpAddr::V4(client) => self.view_of_v4(client),
            IpAddr::V6(client) => self.view_of_v6(client),
        };
        view.unwrap_or(View::EVERYONE)
    }

    fn view_of_v4(&self, client: Ipv4Addr) -> Option<View> {
        let client = u32::from(client);
        self.ipv4
            .iter()
            .find(|(network, mask, _)| client & mask == *network)
            .map(|(_, _, view)| *view)
    }

    fn view_of_v6(&self, client: Ipv6Addr) -> Option<View> {
        let client = u128::from(client);
        self.ipv6
            .iter()
            .find(|(network, mask, _)| client & mask == *network)
            .map(|(_, _, view)| *view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides_and_strangers_are_everyone() {
        let networks = [
            ("172.18.0.0/16", 1),
            ("172.18.5.0/24", 2),
            ("fd00:1::/64", 3),
            ("0.0.0.0/32", 4),
        ];
        let networks = networks.map(|(network, view)| (network.parse().unwrap(), View(view)));
        let networks = Networks::of(&networks);
        for (client, view) in [
            ("172.18.0.9", 1),
            ("172.18.5.9", 2),
            ("::ffff:172.18.5.9", 2),
            ("fd00:1::7", 3),
            ("fd00:2::7", 0),
            ("172.19.0.1", 0),
        ] {
            assert_eq!(networks.view_of(client.parse().unwrap()), View(view), "{client}");
        }
    }
}
