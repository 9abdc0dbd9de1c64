//! Who may ask. Pure: an address in, a yes or no out.
//!
//! Closed by default, because a resolver that answers everybody is a tool for attacks on others
//! (RFC 5358): loopback, link-local and private networks may ask, and what `--allow` adds or replaces.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The networks whose clients get answers.
///
/// Kept as ranges of addresses, ordered and apart from each other, so that a look costs the same few steps for one
/// network and for ten: it is taken twice for every query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    ipv4: Box<[RangeInclusive<u32>]>,
    ipv6: Box<[RangeInclusive<u128>]>,
}

/// Networks that may ask when none are named: loopback, private (RFC 1918, RFC 4193) and link-local ones.
///
/// Not the shared ones (RFC 6598): behind a carrier's translator, or in a data centre, they are other people's. Who has a
/// network of his own there, as Tailscale makes them, names it with `--allow`.
pub fn default_networks() -> impl Iterator<Item = IpNet> {
    let v4 = |a, b, c, d, length| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length));
    let v6 = |first, last, length| {
        IpNet::V6(Ipv6Net::new_assert(
            Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last),
            length,
        ))
    };
    [
        v4(127, 0, 0, 0, 8),
        v4(10, 0, 0, 0, 8),
        v4(172, 16, 0, 0, 12),
        v4(192, 168, 0, 0, 16),
        v4(169, 254, 0, 0, 16),
        v6(0, 1, 128),
        v6(0xfc00, 0, 7),
        v6(0xfe80, 0, 10),
    ]
    .into_iter()
}

impl Access {
    /// Lets clients in `networks` ask, and nobody else.
    #[must_use]
    pub fn of(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(network) => ipv4.push(network.network().to_bits()..=network.broadcast().to_bits()),
                IpNet::V6(network) => ipv6.push(network.network().to_bits()..=network.broadcast().to_bits()),
            }
        }
        Self {
            ipv4: outermost(ipv4),
            ipv6: outermost(ipv6),
        }
    }

    /// Whether `client` may ask. An IPv4 address written as an IPv6 one is taken as what it is.
    #[must_use]
    pub fn allows(&self, client: IpAddr) -> bool {
        match client.to_canonical() {
            IpAddr::V4(client) => holds(&self.ipv4, client.to_bits()),
            IpAddr::V6(client) => holds(&self.ipv6, client.to_bits()),
        }
    }
}

/// Orders `ranges` and leaves out those that lie in another one. Two networks overlap no other way.
fn outermost<T: Copy + Ord>(mut ranges: Vec<RangeInclusive<T>>) -> Box<[RangeInclusive<T>]> {
    ranges.sort_unstable_by_key(|range| (*range.start(), Reverse(*range.end())));
    ranges.dedup_by(|inner, outer| inner.end() <= outer.end());
    ranges.into_boxed_slice()
}

/// Whether one of `ranges`, as [`outermost`] has them, holds `address`.
fn holds<T: Copy + Ord>(ranges: &[RangeInclusive<T>], address: T) -> bool {
    let begun = ranges.partition_point(|range| *range.start() <= address);
    let last = begun.checked_sub(1).and_then(|last| ranges.get(last));
    last.is_some_and(|range| address <= *range.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(access: &Access, client: &str) -> bool {
        access.allows(client.parse().unwrap())
    }

    #[test]
    fn private_clients_may_ask_by_default_and_public_and_shared_ones_may_not() {
        let access = Access::of(default_networks());
        for client in [
            "127.0.0.1",
            "172.17.0.9",
            "192.168.1.1",
            "fd00::1",
            "fe80::1",
            "::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(allows(&access, client), "{client}");
        }
        for client in [
            "8.8.8.8",
            "172.32.0.1",
            "2001:db8::1",
            "100.64.0.1",
            "::ffff:8.8.8.8",
            "::2",
            "0.0.0.0",
        ] {
            assert!(!allows(&access, client), "{client}");
        }
    }

    #[test]
    fn named_networks_replace_the_default_ones() {
        let access = Access::of(["203.0.113.0/24".parse().unwrap()]);
        assert!(allows(&access, "203.0.113.7"));
        assert!(!allows(&access, "127.0.0.1"));
    }

    #[test]
    fn networks_that_touch_or_lie_in_each_other_allow_what_each_allows() {
        let texts = [
            "10.1.0.0/16",
            "10.0.0.0/8",
            "10.1.2.3/32",
            "11.0.0.0/8",
            "0.0.0.0/32",
            "255.255.255.255/32",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
        ];
        let networks: Vec<IpNet> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let access = Access::of(networks.iter().copied());
        let ends = networks
            .iter()
            .flat_map(|network| [network.network(), network.broadcast()]);
        let beside = |address: IpAddr| match address {
            IpAddr::V4(address) => [
                address.to_bits().wrapping_sub(1),
                address.to_bits().wrapping_add(1),
            ]
            .map(|bits| IpAddr::from(Ipv4Addr::from(bits))),
            IpAddr::V6(address) => [
                address.to_bits().wrapping_sub(1),
                address.to_bits().wrapping_add(1),
            ]
            .map(|bits| IpAddr::from(Ipv6Addr::from(bits))),
        };
        for client in ends.flat_map(|end| beside(end).into_iter().chain([end])) {
            let expected = networks
                .iter()
                .any(|network| network.contains(&client.to_canonical()));
            assert_eq!(access.allows(client), expected, "{client}");
        }
        assert!(!Access::of([]).allows("127.0.0.1".parse().unwrap()));
        assert!(Access::of(["0.0.0.0/0".parse().unwrap()]).allows("255.255.255.255".parse().unwrap()));
    }
}
