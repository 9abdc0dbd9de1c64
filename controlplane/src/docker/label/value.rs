//! Values of labels, each read into what cannot be wrong; an error is what would be right.

use std::net::IpAddr;

use dns::Name;
use dns::name::LABEL_OCTETS_MAX;
use dns::snapshot::is_wildcard;

use crate::docker::port;
use crate::naming::refused;
use crate::service::{Port, Publish, TTL_SECONDS_MAX};

/// Addresses that one container may give itself.
pub(super) const ADDRESSES_MAX: usize = 16;

/// Octets of one text: several fit into the largest reply, and what belongs into DNS is shorter.
const TEXT_OCTETS_MAX: usize = 4096;

/// RFC 6335, section 5.1: a service name has at most 15 characters.
const PORT_NAME_OCTETS_MAX: usize = 15;

pub(super) fn truth(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

/// A word that becomes a label of names; `naming` maps what DNS does not carry.
pub(crate) fn word(value: &str) -> Result<String, String> {
    match value {
        "" => Err("an empty label names nothing; give 1 to 63 letters, digits and hyphens".to_owned()),
        _ if value.len() > LABEL_OCTETS_MAX => {
            Err("a DNS label has at most 63 octets; give a shorter one".to_owned())
        }
        _ if is_wildcard(value.to_ascii_lowercase().as_bytes()) => {
            Err("questions use this word to mean every one; give another".to_owned())
        }
        _ => Ok(value.to_owned()),
    }
}

/// A text that is not empty.
pub(super) fn filled(value: &str, what: &str) -> Result<String, String> {
    match value {
        "" => Err(format!("it is empty; give {what}")),
        _ => Ok(value.to_owned()),
    }
}

/// Values with commas between them, at least one.
pub(super) fn list<T>(
    value: &str,
    most: usize,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let values: Vec<_> = value
        .split(',')
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .collect();
    match values.len() {
        0 => Err("it is empty; give a value, or several with commas between them".to_owned()),
        given if given > most => Err(format!(
            "of {given} that were given there is room for {most}; leave some out"
        )),
        _ => values.into_iter().map(read).collect(),
    }
}

/// `shop.example` or `*.shop.example`.
pub(crate) fn name(value: &str) -> Result<Name, String> {
    let name: Name = value.parse().map_err(|error: dns::NameError| error.to_string())?;
    let mut labels = name.labels();
    let first = labels.next().unwrap_or_default();
    if labels.clone().any(|label| label == b"*") {
        return Err("only the first label may be *; write *.shop.example".to_owned());
    }
    if first.is_empty() || (first == b"*" && labels.next().is_none()) {
        return Err("the root is not ours to answer for; give a name such as shop.example".to_owned());
    }
    Ok(name)
}

/// The same, if it lies in one of `zones` or may be taken outside.
pub(super) fn own_name(value: &str, zones: &[Name]) -> Result<Name, String> {
    let name = name(value)?;
    match refused(&name, zones) {
        Some(remedy) => Err(remedy.to_owned()),
        None => Ok(name),
    }
}

/// An address that something can be reached at.
pub(super) fn address(value: &str) -> Result<IpAddr, String> {
    let address: IpAddr = value
        .parse()
        .map_err(|_| format!("{value:?} is no IP address; write 192.0.2.7 or 2001:db8::7"))?;
    if address.is_unspecified() || address.is_multicast() || address == IpAddr::from([255; 4]) {
        return Err(format!(
            "{address} is no host's address; give one that clients can reach"
        ));
    }
    Ok(address)
}

pub(super) fn port_number(value: &str) -> Result<u16, String> {
    let port = value.parse().ok().filter(|&port| port != 0);
    port.ok_or_else(|| "no port; give a number from 1 to 65535".to_owned())
}

/// `80/tcp`, or `80` for TCP.
pub(crate) fn transport(value: &str) -> Result<Port, String> {
    let expected = || format!("{value:?} is no port with a protocol; write 80/tcp, 53/udp or 7/sctp");
    port::parse(value).ok_or_else(expected)
}

/// RFC 6335, section 5.1: letters, digits and hyphens; underscores are added in the name.
pub(crate) fn port_name(name: &str) -> Result<String, String> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    if name.is_empty() || !name.bytes().all(is_plain) || name.len() > PORT_NAME_OCTETS_MAX {
        return Err(format!(
            "a port's name has 1 to {PORT_NAME_OCTETS_MAX} letters, digits and hyphens, without an underscore"
        ));
    }
    Ok(name.to_ascii_lowercase())
}

pub(super) fn number(value: &str) -> Result<u16, String> {
    value
        .parse()
        .map_err(|_| "give a number from 0 to 65535".to_owned())
}

pub(super) fn ttl(value: &str) -> Result<u32, String> {
    let ttl = value.parse().ok().filter(|ttl| *ttl <= TTL_SECONDS_MAX);
    ttl.ok_or_else(|| format!("give whole seconds from 0 to {TTL_SECONDS_MAX}, which is a week"))
}

pub(crate) fn text(value: &str) -> Result<&str, String> {
    match value.len() {
        0..=TEXT_OCTETS_MAX => Ok(value),
        given => Err(format!(
            "it has {given} octets; give a text of at most {TEXT_OCTETS_MAX}"
        )),
    }
}

pub(super) fn publish(value: &str) -> Result<Publish, String> {
    match value.to_ascii_lowercase().as_str() {
        "healthy" => Ok(Publish::Healthy),
        "starting" => Ok(Publish::Starting),
        "always" => Ok(Publish::Always),
        _ => Err("give healthy, starting or always".to_owned()),
    }
}
