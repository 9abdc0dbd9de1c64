//! Which container engines are watched, and which of their containers are published.
//!
//! ```text
//!  --docker [REGION=]ENDPOINT ──given──▶ Given ─┐
//!  --opt-in --only --label-prefix ──▶ Selection ┴─watches─▶ a Watch each
//! ```

use std::net::IpAddr;

use controlplane::docker::{ContainerSettings, Endpoint, Selection, ThisHost, Watch};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::settings::{self, Settings};

/// Engines that are watched at once. Each is a task with a few connections; a fleet wants a skydock on each host.
const ENGINES_MAX: usize = 64;

/// An engine as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// Region label of its containers; none for the usual one.
    region: Option<String>,
    endpoint: String,
}

/// Reads the values of `--docker`; `bad` makes an error of a value and what would be right.
///
/// # Errors
///
/// An empty value, a region that is no label, or more than [`ENGINES_MAX`].
pub(crate) fn given(values: &[String], bad: impl Fn(&str, &str) -> Failure) -> Result<Vec<Given>, Failure> {
    if let Some(value) = values.get(ENGINES_MAX) {
        let remedy = format!(
            "of {} engines there is room for {ENGINES_MAX}; leave some out",
            values.len()
        );
        return Err(bad(value, &remedy));
    }
    let read = |value: &String| {
        // What has a slash or a colon before the first = is a path or an address that happens to hold one.
        let (region, endpoint) = match value.split_once('=') {
            Some((region, endpoint)) if !region.contains(['/', ':']) => (Some(region), endpoint),
            _ => (None, value.as_str()),
        };
        if endpoint.trim().is_empty() {
            return Err(bad(
                value,
                "names no engine; give a socket's path, or leave it out to search",
            ));
        }
        let region = region.map(|region| settings::label(region).map_err(|remedy| bad(value, remedy)));
        Ok(Given {
            region: region.transpose()?,
            endpoint: endpoint.to_owned(),
        })
    };
    values.iter().map(read).collect()
}

/// Which containers are published.
///
/// # Errors
///
/// [`Failure::Usage`]: an empty prefix, or a constraint that names no label.
pub(crate) fn selection(cli: &Cli) -> Result<Selection, Failure> {
    let flags = &cli.flags;
    let prefix = flags.label_prefix.trim();
    if prefix.is_empty() || prefix.contains(char::is_whitespace) {
        let remedy =
            "labels are told from those of others by what they begin with; give one such as skydock.";
        return Err(cli.refusal("label-prefix", &flags.label_prefix, remedy));
    }
    // `com.example` means labels such as `com.example.port`; whoever parts them otherwise says so.
    let ends_with_a_word = prefix.ends_with(|last: char| last.is_ascii_alphanumeric());
    let only = flags.only.iter().map(|value| {
        let constraint = value.parse();
        constraint.map_err(|error| cli.refusal("only", value, error))
    });
    Ok(Selection {
        label_prefix: if ends_with_a_word {
            format!("{prefix}.")
        } else {
            prefix.to_owned()
        },
        opt_in: flags.opt_in,
        only: only.collect::<Result<_, _>>()?,
        zones: Vec::new(),
    })
}

/// Where clients outside this host's networks are led.
///
/// # Errors
///
/// What is no address that others can reach, or a second one of a family.
pub(crate) fn published_addresses(
    values: &[String],
    bad: impl Fn(&str, &str) -> Failure,
) -> Result<Vec<IpAddr>, Failure> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for value in values {
        let address: IpAddr = value
            .trim()
            .parse()
            .map_err(|_| bad(value, "no IP address; write 192.0.2.7 or 2001:db8::7"))?;
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return Err(bad(
                value,
                "clients outside this host cannot reach it there; give an address that they can",
            ));
        }
        if addresses.iter().any(|known| known.is_ipv4() == address.is_ipv4()) {
            return Err(bad(
                value,
                "there is one of its family already; give one of IPv4 and one of IPv6",
            ));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// A watch for each engine, or for the one that is found.
///
/// # Errors
///
/// [`Failure::Usage`]: an address that cannot be, or one that was given twice.
pub(crate) fn watches(settings: &Settings) -> Result<Vec<Watch>, Failure> {
    let find = |given: Option<&Given>| {
        let endpoint = given.map(|given| given.endpoint.as_str());
        let endpoint =
            Endpoint::find(endpoint, &ThisHost).map_err(|error| Failure::Usage(error.to_string()))?;
        let region = given.and_then(|given| given.region.as_ref());
        let container = ContainerSettings {
            environment: settings.environment.clone(),
            region: region.unwrap_or(&settings.region).clone(),
            ttl_seconds: settings.ttl_seconds,
            selection: Selection {
                zones: settings.zones.clone(),
                ..settings.selection.clone()
            },
            has_published_address: !settings.published_addresses.is_empty(),
        };
        Ok(Watch::new(endpoint, container))
    };
    if settings.engines.is_empty() {
        return Ok(vec![find(None)?]);
    }
    let mut watches: Vec<Watch> = Vec::new();
    for given in &settings.engines {
        let watch = find(Some(given))?;
        if watches.iter().any(|known| known.source() == watch.source()) {
            let endpoint = &watch.endpoint;
            return Err(Failure::Usage(format!(
                "--docker: {endpoint} was given twice; give it once"
            )));
        }
        watches.push(watch);
    }
    Ok(watches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Vec<(Option<String>, String)>, String> {
        let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
        let given = given(&values, |value, remedy| {
            Failure::Usage(format!("{value:?}: {remedy}"))
        });
        match given {
            Ok(given) => Ok(given.into_iter().map(|it| (it.region, it.endpoint)).collect()),
            Err(Failure::Usage(sentence)) => Err(sentence),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_engine_may_have_its_region_in_front() {
        let region = |region: &str| Some(region.to_owned());
        for (value, expected) in [
            ("/docker.sock", (None, "/docker.sock")),
            ("tcp://10.0.0.5:2375", (None, "tcp://10.0.0.5:2375")),
            ("eu=tcp://10.0.0.5", (region("eu"), "tcp://10.0.0.5")),
            ("EU.west=/docker.sock", (region("eu-west"), "/docker.sock")),
            ("/a=b.sock", (None, "/a=b.sock")),
            ("unix:///a=b", (None, "unix:///a=b")),
        ] {
            assert_eq!(
                read(&[value]),
                Ok(vec![(expected.0, expected.1.to_owned())]),
                "{value}"
            );
        }
        assert_eq!(read(&[]), Ok(vec![]));
    }

    #[test]
    fn what_names_no_engine_is_refused_with_the_remedy() {
        for (value, expected) in [
            ("", "names no engine"),
            ("eu=", "names no engine"),
            ("any=/docker.sock", "every one"),
            ("=/docker.sock", "an empty label"),
        ] {
            let refused = read(&[value]).unwrap_err();
            assert!(refused.contains(expected), "{value}: {refused}");
        }
        assert!(read(&["/x"; ENGINES_MAX]).is_ok());
        assert!(
            read(&["/x"; ENGINES_MAX + 1])
                .unwrap_err()
                .contains("room for 64")
        );
    }

    #[test]
    fn one_published_address_of_each_family_is_enough() {
        let read = |values: &[&str]| {
            let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
            published_addresses(&values, |value, remedy| {
                Failure::Usage(format!("{value:?}: {remedy}"))
            })
            .is_ok()
        };
        assert!(read(&["192.0.2.7", "2001:db8::7"]) && read(&[]));
        for bad in [
            &["192.0.2.7", "192.0.2.8"][..],
            &["127.0.0.1"],
            &["0.0.0.0"],
            &["host"],
            &["ff02::1"],
        ] {
            assert!(!read(bad), "{bad:?}");
        }
    }
}
