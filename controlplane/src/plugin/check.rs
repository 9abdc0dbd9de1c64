//! Texts read into what names are made of; an error is what would be right.

use dns::Name;
use dns::name::LABEL_OCTETS_MAX;
use dns::snapshot::is_wildcard;

use crate::service::{Port, Protocol};

/// A week, in seconds.
pub(super) const TTL_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;
const TEXT_OCTETS_MAX: usize = 4096;
const PORT_NAME_OCTETS_MAX: usize = 15;

pub(super) fn word(value: &str) -> Result<(), String> {
    match value {
        _ if value.len() > LABEL_OCTETS_MAX => {
            Err("a DNS label has at most 63 octets; give a shorter one".to_owned())
        }
        _ if is_wildcard(value.to_ascii_lowercase().as_bytes()) => {
            Err("questions use this word to mean every one; give another".to_owned())
        }
        _ => Ok(()),
    }
}

pub(super) fn name(value: &str) -> Result<Name, String> {
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

pub(super) fn port(key: &str) -> Option<Port> {
    let (number, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    let number = number.parse().ok().filter(|&number| number != 0)?;
    Some(Port { protocol, number })
}

pub(super) fn port_name(name: &str) -> Result<String, String> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    if name.is_empty() || !name.bytes().all(is_plain) || name.len() > PORT_NAME_OCTETS_MAX {
        return Err(format!(
            "a port's name has 1 to {PORT_NAME_OCTETS_MAX} letters, digits and hyphens, without an underscore"
        ));
    }
    Ok(name.to_ascii_lowercase())
}

pub(super) fn text(value: &str) -> Result<(), String> {
    match value.len() {
        0..=TEXT_OCTETS_MAX => Ok(()),
        given => Err(format!(
            "it has {given} octets; give a text of at most {TEXT_OCTETS_MAX}"
        )),
    }
}
