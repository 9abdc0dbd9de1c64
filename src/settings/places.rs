//! Where we answer, and whom: addresses and networks.

use std::net::SocketAddr;

use dataplane::access;
use dataplane::limits::LISTENERS_MAX;
use ipnet::IpNet;

use crate::address::{self, DNS_PORT};
use crate::cli::Cli;
use crate::failure::Failure;

/// Addresses to answer on, each once.
///
/// # Errors
///
/// [`Failure::Usage`]: one that cannot be, that another one covers, or more than there is room for.
pub(super) fn listen(cli: &Cli) -> Result<Vec<SocketAddr>, Failure> {
    let bad = |value: &str, remedy: &str| cli.refusal("listen", value, remedy);
    let values = &cli.flags.listen;
    let mut listen: Vec<SocketAddr> = Vec::new();
    for value in values {
        let address = address::socket(value, DNS_PORT).ok_or_else(|| match address::has_bad_port(value) {
            true => bad(value, "its port is no number from 0 to 65535"),
            false => bad(
                value,
                "no IP address; write 127.0.0.1, 127.0.0.1:5300, ::1 or [::1]:5300",
            ),
        })?;
        if listen.contains(&address) {
            return Err(bad(value, "was given twice; give it once"));
        }
        listen.push(address);
    }
    cli.at_most("listen", values, LISTENERS_MAX)?;
    match covered(&listen) {
        None => Ok(listen),
        Some((covered, wildcard)) => Err(bad(
            &covered.to_string(),
            &format!("{wildcard} covers it already; give only one of them"),
        )),
    }
}

/// An address that needs no listener, and the wildcard among `listen` that takes its packets already.
fn covered(listen: &[SocketAddr]) -> Option<(SocketAddr, SocketAddr)> {
    let wildcards = listen.iter().filter(|address| address.ip().is_unspecified());
    wildcards
        .flat_map(|wildcard| listen.iter().map(move |address| (*address, *wildcard)))
        .find(|(address, wildcard)| {
            address != wildcard
                && address.port() == wildcard.port()
                && address.is_ipv4() == wildcard.is_ipv4()
        })
}

/// Address of the admin listener.
///
/// # Errors
///
/// [`Failure::Usage`]: what is no address with a port.
pub(super) fn http(cli: &Cli) -> Result<SocketAddr, Failure> {
    let value = &cli.flags.http;
    address::socket(value, 0)
        .filter(|address| address.port() != 0)
        .ok_or_else(|| {
            let remedy = match address::has_bad_port(value) {
                true => "its port is no number from 1 to 65535",
                false => "no IP address with a port; write 127.0.0.1:8053 or [::1]:8053",
            };
            cli.refusal("http", value, remedy)
        })
}

/// Networks that may ask: those that are given, else private ones; and loopback.
///
/// # Errors
///
/// [`Failure::Usage`]: what is no network.
pub(super) fn allow(cli: &Cli) -> Result<Vec<IpNet>, Failure> {
    let network = |value: &String| {
        address::network(value).ok_or_else(|| {
            let remedy = "no network; write 10.0.0.0/8, fd00::/8 or one IP address";
            cli.refusal("allow", value, remedy)
        })
    };
    let mut allow = cli
        .flags
        .allow
        .iter()
        .map(network)
        .collect::<Result<Vec<_>, _>>()?;
    // Whoever is on this host can see the containers anyway, and `dig` on it should not depend on a list.
    let loopback = |network: &IpNet| network.addr().is_loopback();
    match allow.is_empty() {
        true => allow.extend(access::default_networks()),
        false => allow.extend(access::default_networks().filter(loopback)),
    }
    Ok(allow)
}
