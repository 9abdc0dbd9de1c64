//! Addresses as people write them in flags and in resolv.conf.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use ipnet::IpNet;
use nix::net::if_::if_nametoindex;

/// The port of DNS (RFC 1035, section 4.2).
pub(crate) const DNS_PORT: u16 = 53;

/// Reads `127.0.0.1`, `127.0.0.1:5300`, `::1`, `[::1]`, `[::1]:53` or `fe80::1%eth0`; `port` where none is written.
///
/// `None` for anything else, and for an interface that this host does not have.
pub(crate) fn socket(text: &str, port: u16) -> Option<SocketAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Some((address, interface)) = bare.split_once('%') {
        let address: Ipv6Addr = address.parse().ok()?;
        let index = interface
            .parse()
            .ok()
            .or_else(|| if_nametoindex(interface).ok())?;
        return Some(SocketAddrV6::new(address, port, 0, index).into());
    }
    Some(SocketAddr::new(bare.parse().ok()?, port))
}

/// Whether `text`, which [`socket`] does not take, would be an address but for what stands in its port's place.
pub(crate) fn has_bad_port(text: &str) -> bool {
    text.trim()
        .rsplit_once(':')
        .is_some_and(|(address, _)| match address.strip_prefix('[') {
            Some(bracketed) => bracketed
                .strip_suffix(']')
                .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
            None => address.parse::<Ipv4Addr>().is_ok(),
        })
}

/// Reads a network, `10.0.0.0/8`, or one address, which is a network of its own.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_53_unless_written() {
        for (text, expected) in [
            ("127.0.0.1", "127.0.0.1:53"),
            (" 127.0.0.1 ", "127.0.0.1:53"),
            ("127.0.0.1:5300", "127.0.0.1:5300"),
            ("::1", "[::1]:53"),
            ("[::1]", "[::1]:53"),
            ("[::1]:5300", "[::1]:5300"),
            ("fe80::1%7", "[fe80::1%7]:53"),
        ] {
            assert_eq!(
                socket(text, DNS_PORT)
                    .map(|address| address.to_string())
                    .as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn an_interface_is_known_by_its_name() {
        assert_eq!(
            socket("fe80::1%lo", DNS_PORT),
            Some("[fe80::1%1]:53".parse().unwrap())
        );
        assert_eq!(socket("fe80::1%no-such-link", DNS_PORT), None);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "localhost",
            ":5300",
            "127.0.0.1:",
            "127.0.0.1:70000",
            "10.0.0.0/8",
            "[127.0.0.1",
        ] {
            assert_eq!(socket(text, DNS_PORT), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_port_is_told_from_a_wrong_address() {
        for text in ["127.0.0.1:", "127.0.0.1:70000", " 127.0.0.1:dns ", "[::1]:70000"] {
            assert!(socket(text, DNS_PORT).is_none() && has_bad_port(text), "{text}");
        }
        for text in [
            "localhost:53",
            "localhost",
            "::1:70000",
            "300.0.0.1:53",
            "[::1:53",
        ] {
            assert!(socket(text, DNS_PORT).is_none() && !has_bad_port(text), "{text}");
        }
    }

    #[test]
    fn one_address_is_a_network() {
        assert_eq!(network("10.0.0.7"), Some("10.0.0.7/32".parse().unwrap()));
        assert_eq!(network("fd00::/8"), Some("fd00::/8".parse().unwrap()));
        assert_eq!(network("private"), None);
    }
}
