//! Ports as engines and people write them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use super::wire;
use crate::service::{Port, Protocol, PublishedPort};

/// Reads `80/tcp`, `53/udp` or `7/sctp`, and `80` as TCP; none for what is no port.
pub(super) fn parse(text: &str) -> Option<Port> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    port(number.parse().ok()?, protocol)
}

fn port(number: u16, protocol: &str) -> Option<Port> {
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    (number != 0).then_some(Port { protocol, number })
}

/// What a container exposes and what is published of it, as an inspect shows it, least first; and which of the host's
/// ports lead to them, in the same order. What is no port is left out.
pub(super) fn inspected<'k>(
    exposed: impl Iterator<Item = &'k String>,
    bindings: &'k HashMap<String, Vec<wire::Binding>>,
) -> (Vec<Port>, Vec<PublishedPort>) {
    let keys = exposed.chain(bindings.keys());
    let bound = bindings
        .iter()
        .filter_map(|(key, bindings)| Some((parse(key)?, bindings)));
    let published = bound.flat_map(|(port, bindings)| {
        let number = |it: &wire::Binding| it.host_port.parse().ok();
        bindings
            .iter()
            .filter_map(move |it| published(port, &it.host_ip, number(it)?))
    });
    ordered(keys.filter_map(|key| parse(key)), published)
}

/// The same as the list shows it.
pub(super) fn listed(listed: &[wire::ListedPort]) -> (Vec<Port>, Vec<PublishedPort>) {
    let number = |number: Option<i64>| number.and_then(|it| u16::try_from(it).ok());
    let all = || {
        let ports = listed.iter();
        ports.filter_map(move |it| Some((port(number(it.private_port)?, &it.protocol)?, it)))
    };
    let published = all().filter_map(|(port, it)| published(port, &it.ip, number(it.public_port)?));
    ordered(all().map(|(port, _)| port), published)
}

fn ordered(
    ports: impl Iterator<Item = Port>,
    published: impl Iterator<Item = PublishedPort>,
) -> (Vec<Port>, Vec<PublishedPort>) {
    let (mut ports, mut published): (Vec<_>, Vec<_>) = (ports.collect(), published.collect());
    ports.sort_unstable();
    ports.dedup();
    published.sort_unstable_by_key(|it| (it.port, it.host_number, it.host_ip));
    published.dedup();
    (ports, published)
}

fn published(port: Port, host_ip: &str, host_number: u16) -> Option<PublishedPort> {
    // Podman leaves the address of all interfaces out.
    let host_ip = match host_ip {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        text => text.parse().ok()?,
    };
    (host_number != 0).then_some(PublishedPort {
        host_ip,
        host_number,
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_port_is_none() {
        for text in [
            "",
            "/tcp",
            "0/tcp",
            "65536/tcp",
            "80/ipx",
            "a/udp",
            "-1/tcp",
            "80-90/tcp",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        let numbers = ["81", "82/TCP", "83/sctp"].map(|text| parse(text).unwrap().number);
        assert_eq!(numbers, [81, 82, 83]);
    }
}
