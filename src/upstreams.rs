//! Where questions that are not ours go.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use dataplane::limits::UPSTREAMS_MAX;

use crate::address::{self, DNS_PORT};
use crate::failure::{self, Failure};

/// Where the host's resolver is told its nameservers.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Upstreams, and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstreams {
    /// In the order to try them. Empty: nothing is forwarded.
    pub(crate) addresses: Vec<SocketAddr>,
    /// For the report: `from --nameserver`, `from /etc/resolv.conf`, or why there are none.
    pub(crate) origin: String,
}

impl Upstreams {
    /// Whether they are the stub of systemd-resolved, which can be told to send us one domain.
    pub(crate) fn are_resolved(&self) -> bool {
        /// Where its stub listens, fully featured and plain (systemd-resolved.service(8)).
        const STUBS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(127, 0, 0, 54)];
        self.addresses
            .iter()
            .any(|address| STUBS.iter().any(|stub| address.ip() == *stub))
    }
}

impl fmt::Display for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for address in &self.addresses {
            write!(f, "{address}, ")?;
        }
        f.write_str(&self.origin)
    }
}

/// Which questions would come back to us.
#[derive(Debug)]
pub(crate) struct Ourselves {
    /// What we listen on.
    pub(crate) listeners: Vec<SocketAddr>,
    /// The addresses of this host, which a wildcard listener covers.
    pub(crate) host: Vec<IpAddr>,
}

impl Ourselves {
    /// Whether what is sent to `address` arrives at one of our own listeners.
    fn answer_at(&self, address: SocketAddr) -> bool {
        let ip = destination(address.ip().to_canonical());
        self.listeners.iter().any(|listener| {
            let wildcard = listener.ip().is_unspecified()
                && listener.is_ipv6() == ip.is_ipv6()
                && (ip.is_loopback() || self.host.contains(&ip));
            listener.port() == address.port() && (listener.ip() == ip || wildcard)
        })
    }
}

/// Chooses the upstreams: those `given` with --nameserver, else those of the resolv.conf at `path`.
///
/// # Errors
///
/// - [`Failure::Usage`]: one that was given is ourselves, so a question would go round for ever.
/// - [`Failure::Runtime`]: no descriptor is left to read the file with.
pub(crate) fn find(given: &[SocketAddr], path: &Path, ourselves: &Ourselves) -> Result<Upstreams, Failure> {
    if !given.is_empty() {
        if let Some(address) = given.iter().find(|address| ourselves.answer_at(**address)) {
            return Err(Failure::Usage(format!(
                "--nameserver {address}: this is skydock itself, and forwarded questions would come back for ever; \
                 name another server"
            )));
        }
        return Ok(Upstreams {
            addresses: given.to_vec(),
            origin: "from --nameserver".to_owned(),
        });
    }
    let shown = path.display();
    let text = match fs::read(path) {
        Ok(octets) => String::from_utf8_lossy(&octets).into_owned(),
        Err(error) if failure::shortage(&error).is_some() => {
            return Err(failure::of(&format!("{shown} cannot be read"), &error));
        }
        Err(error) => return Ok(none(&format!("{shown} cannot be read ({error})"))),
    };
    let named = nameservers(&text);
    let (ours, mut addresses): (Vec<_>, Vec<_>) =
        named.iter().partition(|address| ourselves.answer_at(**address));
    // In order of preference, so what is cut off would be asked last.
    addresses.truncate(UPSTREAMS_MAX);
    Ok(match (addresses.is_empty(), ours.is_empty()) {
        (false, true) => Upstreams {
            addresses,
            origin: format!("from {shown}"),
        },
        (false, false) => Upstreams {
            addresses,
            origin: format!("from {shown}, ourselves left out"),
        },
        (true, false) => none(&format!("{shown} names only ourselves")),
        (true, true) => none(&format!("{shown} names no server")),
    })
}

fn none(reason: &str) -> Upstreams {
    let origin =
        format!("none, only our own names are answered: {reason}\ngive --nameserver to forward the rest");
    Upstreams {
        addresses: Vec::new(),
        origin,
    }
}

/// The servers of a resolv.conf, each once.
///
/// As lenient as the C library: a line that it would not understand costs only itself.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some("nameserver"), Some(server)) = (words.next(), words.next()) else {
            continue;
        };
        let Some(server) = address::socket(server, DNS_PORT) else {
            continue;
        };
        let server = match server.ip() {
            ip if ip.is_unspecified() => SocketAddr::new(destination(ip), server.port()),
            _ => server,
        };
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// Where Linux delivers what is sent to `ip`: the unspecified address means this host.
fn destination(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// What becomes of a resolv.conf that says `text` while we listen on `listeners`.
    fn check(text: &str, listeners: &[&str], expected: &str) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let ourselves = Ourselves {
            listeners: addresses(listeners),
            host: vec!["172.17.0.1".parse().unwrap()],
        };
        let upstreams = find(&[], file.path(), &ourselves).unwrap().to_string();
        let upstreams = upstreams.replace(&file.path().display().to_string(), "FILE");
        assert!(
            upstreams.starts_with(expected),
            "{text:?} {listeners:?}: {upstreams}"
        );
    }

    #[test]
    fn the_servers_of_resolv_conf_are_used_in_order_and_once() {
        check(
            "# nameserver 1.1.1.1\nsearch example\nnameserver 9.9.9.9\nnameserver\t2620:fe::fe\nnameserver 9.9.9.9\n",
            &["127.0.0.1:53"],
            "9.9.9.9:53, [2620:fe::fe]:53, from FILE",
        );
    }

    #[test]
    fn a_broken_line_costs_only_itself() {
        check(
            "nonsense\nnameserver\nnameserver x\nnameserver 9.9.9.9 # quad9\n",
            &[],
            "9.9.9.9:53, from FILE",
        );
    }

    #[test]
    fn the_stub_of_systemd_resolved_is_used_as_it_is() {
        check(
            "nameserver 127.0.0.53\noptions edns0 trust-ad\n",
            &["127.0.0.1:53"],
            "127.0.0.53:53, from FILE",
        );
    }

    #[test]
    fn we_never_forward_to_ourselves() {
        check(
            "nameserver 127.0.0.1\nnameserver 9.9.9.9\n",
            &["127.0.0.1:53"],
            "9.9.9.9:53, from FILE, ourselves",
        );
        check(
            "nameserver 127.0.0.1\n",
            &["127.0.0.1:53"],
            "none, only our own names are answered: FILE names only",
        );
        check("nameserver 0.0.0.0\n", &["127.0.0.1:53"], "none, ");
        check("nameserver 172.17.0.1\n", &["0.0.0.0:53"], "none, ");
        check("nameserver ::1\n", &["[::]:53"], "none, ");
    }

    #[test]
    fn another_server_on_this_host_is_not_ourselves() {
        check(
            "nameserver 127.0.0.1\n",
            &["127.0.0.1:5300"],
            "127.0.0.1:53, from FILE",
        );
        check(
            "nameserver 172.17.0.2\n",
            &["0.0.0.0:53"],
            "172.17.0.2:53, from FILE",
        );
        check(
            "nameserver 172.17.0.1\n",
            &["[::]:53"],
            "172.17.0.1:53, from FILE",
        );
    }

    #[test]
    fn without_servers_nothing_is_forwarded_and_the_reason_is_said() {
        check(
            "search example\n",
            &[],
            "none, only our own names are answered: FILE names no server",
        );
        let ourselves = Ourselves {
            listeners: Vec::new(),
            host: Vec::new(),
        };
        let none = find(&[], Path::new("/nonexistent/resolv.conf"), &ourselves).unwrap();
        assert!(
            none.addresses.is_empty() && none.origin.contains("cannot be read"),
            "{none}"
        );
    }

    #[test]
    fn a_given_server_that_is_ourselves_is_an_error() {
        let ourselves = Ourselves {
            listeners: addresses(&["127.0.0.1:53"]),
            host: Vec::new(),
        };
        let given = addresses(&["9.9.9.9:53", "127.0.0.1:53"]);
        let error = find(&given, Path::new(RESOLV_CONF), &ourselves)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("--nameserver 127.0.0.1:53: this is skydock itself"),
            "{error}"
        );
        assert_eq!(
            find(&addresses(&["9.9.9.9:53"]), Path::new("/x"), &ourselves)
                .unwrap()
                .origin,
            "from --nameserver"
        );
    }
}
