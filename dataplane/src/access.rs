//! Who may ask. Pure: an address in, a yes or no out.
//!
//! Closed by default, because a resolver that answers everybody is a tool for attacks on others
//! (RFC 5358): loopback, link-local and private networks may ask, and what `--allow` adds or replaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The networks whose clients get answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    ipv4: Box<[Ipv4Net]>,
    ipv6: Box<[Ipv6Net]>,
}

/// Networks that may ask when none are named: loopback, private (RFC 1918, RFC 4193), shared (RFC 6598)
/// and link-local ones.
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
        v4(100, 64, 0, 0, 10),
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
                IpNet::V4(network) => ipv4.push(network),
                IpNet::V6(network) => ipv6.push(network),
            }
        }
        Self {
            ipv4: ipv4.into_boxed_slice(),
            ipv6: ipv6.into_boxed_slice(),
        }
    }

    /// Whether `client` may ask. An IPv4 address written as an IPv6 one is taken as what it is.
    #[must_use]
    pub fn allows(&self, client: IpAddr) -> bool {
        match client.to_canonical() {
            IpAddr::V4(client) => self.ipv4.iter().any(|network| network.contains(&client)),
            IpAddr::V6(client) => self.ipv6.iter().any(|network| network.contains(&client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(access: &Access, client: &str) -> bool {
        access.allows(client.parse().unwrap())
    }

    #[test]
    fn private_clients_may_ask_by_default_and_public_ones_may_not() {
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
}
