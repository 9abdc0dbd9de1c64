//! What names are made of that the user chooses: domains and labels.

use controlplane::naming;
use dns::Name;
use dns::name::LABEL_OCTETS_MAX;
use dns::snapshot::is_wildcard;

use crate::cli::Cli;
use crate::failure::Failure;

/// Domains, each once: naming the same one twice is harmless, one inside another is not.
///
/// # Errors
///
/// [`Failure::Usage`]: one that cannot be, or lies inside another.
pub(super) fn zones(cli: &Cli) -> Result<Vec<Name>, Failure> {
    let mut zones: Vec<Name> = Vec::new();
    let bad = |value: &str, remedy: &str| cli.refusal("domain", value, remedy);
    for value in &cli.flags.domain {
        if value.trim().is_empty() {
            return Err(bad(
                value,
                "an empty domain holds no names; give one such as docker",
            ));
        }
        if !value.trim().bytes().all(|octet| octet == b'.' || is_plain(octet)) {
            return Err(bad(
                value,
                "resolvers and shells do not take all of these characters; give letters, digits, hyphens, underscores and dots",
            ));
        }
        let zone: Name = value
            .trim()
            .parse()
            .map_err(|error: dns::NameError| bad(value, &error.to_string()))?;
        if zone == Name::root() {
            return Err(bad(
                value,
                "the root is not ours to answer for; give a name such as docker",
            ));
        }
        if zones.contains(&zone) {
            continue;
        }
        if let Some(other) = zones
            .iter()
            .find(|other| zone.is_within(other) || other.is_within(&zone))
        {
            let remedy =
                format!("overlaps with {other}, and a name must belong to one domain; give only one of them");
            return Err(bad(value, &remedy));
        }
        zones.push(zone);
    }
    Ok(zones)
}

/// The label that `value` can be asked for as; else what would be right.
pub(crate) fn label(value: &str) -> Result<String, &'static str> {
    match value {
        "" => Err("an empty label names nothing; give one to 63 letters, digits and hyphens"),
        _ if value.len() > LABEL_OCTETS_MAX => Err("a DNS label has at most 63 octets; give a shorter one"),
        _ if is_wildcard(value.to_ascii_lowercase().as_bytes()) => {
            Err("questions use this word to mean every one; give another")
        }
        _ if !value.bytes().all(|octet| octet == b'.' || is_plain(octet)) => Err(
            "resolvers and shells do not take all of these characters; give letters, digits, hyphens and underscores",
        ),
        _ => Ok(naming::label(value)
            .expect("the empty one was refused")
            .into_owned()),
    }
}

/// Whether `octet` needs no quotes anywhere: in a zone file, a shell, or a resolver's configuration.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
}

/// This host's name up to its first dot: a region is one label.
pub(super) fn of_host() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    match name.split('.').next() {
        Some(label) if !label.is_empty() => label.to_owned(),
        _ => "localhost".to_owned(),
    }
}
