//! Where questions that are not ours go.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataplane::forward::{Config, Policy, Route, Upstream};
use dataplane::limits::UPSTREAMS_MAX;
use dns::Name;
use if_addrs::Interface;
use rustls::ClientConfig;

use crate::address::{self, DNS_PORT};
use crate::failure::{self, Failure};
use crate::report;
use crate::servers;

/// Where the host's resolver is told its nameservers.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Upstreams as the user gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// For everything that has no route; empty: the host's.
    pub(crate) nameservers: Vec<Upstream>,
    /// For the names of some domains.
    pub(crate) routes: Vec<Route>,
    /// Which of several is asked first.
    pub(crate) policy: Policy,
    /// Whose certificates are trusted of those that are asked over TLS; none: whose this host trusts.
    pub(crate) ca: Option<PathBuf>,
}

impl Given {
    /// What certificates are held against, if somebody is asked over TLS.
    ///
    /// # Errors
    ///
    /// As [`servers::trust`] has it; or nobody is asked so, and it was said whom to trust all the same.
    pub(crate) fn trust(&self) -> Result<Option<Arc<ClientConfig>>, Failure> {
        let routed = self.routes.iter().flat_map(|route| &route.upstreams);
        let is_any = self
            .nameservers
            .iter()
            .chain(routed)
            .any(|upstream| upstream.tls.is_some());
        match &self.ca {
            Some(ca) if !is_any => Err(Failure::Usage(format!(
                "--nameserver-ca {}: no server is asked over TLS; write 192.0.2.1#dns.example, or leave it out",
                ca.display()
            ))),
            ca => is_any.then(|| servers::trust(ca.as_deref())).transpose(),
        }
    }
}

/// Upstreams, and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstreams {
    /// For everything that has no route, in the order of preference. Empty: it is not forwarded.
    pub(crate) addresses: Vec<Upstream>,
    /// For the names of some domains.
    pub(crate) routes: Vec<Route>,
    /// Which of several is asked first.
    pub(crate) policy: Policy,
    /// For the report: `from --nameserver`, `from /etc/resolv.conf`, or why there are none.
    pub(crate) origin: String,
}

impl Upstreams {
    /// For the workers.
    pub(crate) fn config(&self) -> Config {
        let everything = (!self.addresses.is_empty()).then(|| Route {
            domain: Name::root(),
            upstreams: self.addresses.clone(),
        });
        Config {
            routes: everything
                .into_iter()
                .chain(self.routes.iter().cloned())
                .collect(),
            policy: self.policy,
        }
    }

    /// Whether they are the stub of systemd-resolved, which can be told to send us one domain.
    pub(crate) fn are_resolved(&self) -> bool {
        /// Where its stub listens, fully featured and plain (systemd-resolved.service(8)).
        const STUBS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(127, 0, 0, 54)];
        self.addresses
            .iter()
            .any(|upstream| STUBS.iter().any(|stub| upstream.address.ip() == *stub))
    }
}

impl fmt::Display for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for address in &self.addresses {
            write!(f, "{address}, ")?;
        }
        let order = match self.policy {
            _ if self.addresses.len() < 2 => "",
            Policy::Sequential => "",
            Policy::RoundRobin => "each in its turn, ",
            Policy::Fastest => "the fastest first, ",
        };
        write!(f, "{order}{}", self.origin)?;
        for Route { domain, upstreams } in &self.routes {
            match upstreams.is_empty() {
                true => write!(f, "\n{domain}: none, its names do not exist")?,
                false => write!(f, "\n{domain}: {}", report::join(upstreams))?,
            }
        }
        Ok(())
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
    /// Who listens on `listeners`, on a host with `interfaces`.
    pub(crate) fn on(listeners: Vec<SocketAddr>, interfaces: &[Interface]) -> Self {
        let host = interfaces.iter().map(Interface::ip).collect();
        Self { listeners, host }
    }

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

/// Chooses the upstreams: those `given`, and where no --nameserver is among them those of the resolv.conf at `path`.
///
/// # Errors
///
/// - [`Failure::Usage`]: one that was given is ourselves, so a question would go round for ever.
/// - [`Failure::Runtime`]: no descriptor is left to read the file with.
pub(crate) fn find(given: &Given, path: &Path, ourselves: &Ourselves) -> Result<Upstreams, Failure> {
    let routed = given.routes.iter().flat_map(|route| &route.upstreams);
    for (flag, address) in given
        .nameservers
        .iter()
        .map(|address| ("--nameserver", address))
        .chain(routed.map(|address| ("--forward", address)))
    {
        if ourselves.answer_at(address.address) {
            return Err(Failure::Usage(format!(
                "{flag} {address}: this is skydock itself, and forwarded questions would come back for ever; \
                 name another server"
            )));
        }
    }
    let (addresses, origin) = if given.nameservers.is_empty() {
        of_file(path, ourselves)?
    } else {
        (given.nameservers.clone(), "from --nameserver".to_owned())
    };
    Ok(Upstreams {
        addresses,
        routes: given.routes.clone(),
        policy: given.policy,
        origin,
    })
}

/// The servers of the resolv.conf at `path`, and a word on where they are from, or why there are none.
fn of_file(path: &Path, ourselves: &Ourselves) -> Result<(Vec<Upstream>, String), Failure> {
    let shown = path.display();
    let text = match fs::read(path) {
        Ok(octets) => String::from_utf8_lossy(&octets).into_owned(),
        Err(error) if failure::shortage(&error).is_some() => {
            return Err(failure::of(&format!("{shown} cannot be read"), &error));
        }
        Err(error) => return Ok(none(&format!("{shown} cannot be read ({error})"))),
    };
    let named = nameservers(&text);
    let (ours, addresses): (Vec<_>, Vec<_>) = named
        .into_iter()
        .partition(|address| ourselves.answer_at(*address));
    let mut addresses: Vec<_> = addresses.into_iter().map(Upstream::from).collect();
    // In order of preference, so what is cut off would be asked last.
    addresses.truncate(UPSTREAMS_MAX);
    Ok(match (addresses.is_empty(), ours.is_empty()) {
        (false, true) => (addresses, format!("from {shown}")),
        (false, false) => (addresses, format!("from {shown}, ourselves left out")),
        (true, false) => none(&format!("{shown} names only ourselves")),
        (true, true) => none(&format!("{shown} names no server")),
    })
}

fn none(reason: &str) -> (Vec<Upstream>, String) {
    let origin =
        format!("none, only our own names are answered: {reason}\ngive --nameserver to forward the rest");
    (Vec::new(), origin)
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

    fn servers(texts: &[&str]) -> Vec<Upstream> {
        addresses(texts).into_iter().map(Upstream::from).collect()
    }

    /// What becomes of a resolv.conf that says `text` while we listen on `listeners`.
    fn check(text: &str, listeners: &[&str], expected: &str) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let ourselves = Ourselves {
            listeners: addresses(listeners),
            host: vec!["172.17.0.1".parse().unwrap()],
        };
        let upstreams = find(&Given::default(), file.path(), &ourselves)
            .unwrap()
            .to_string();
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
        let none = find(
            &Given::default(),
            Path::new("/nonexistent/resolv.conf"),
            &ourselves,
        )
        .unwrap();
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
        let given = |nameservers: &[&str], routed: &[&str]| Given {
            nameservers: servers(nameservers),
            routes: vec![Route {
                domain: "corp".parse().unwrap(),
                upstreams: servers(routed),
            }],
            policy: Policy::RoundRobin,
            ca: None,
        };
        for (given, expected) in [
            (
                given(&["9.9.9.9:53", "127.0.0.1:53"], &[]),
                "--nameserver 127.0.0.1:53: this is skydock itself",
            ),
            (
                given(&["9.9.9.9:53"], &["127.0.0.1:53"]),
                "--forward 127.0.0.1:53: this is skydock itself",
            ),
        ] {
            let error = find(&given, Path::new("/x"), &ourselves).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let given = given(&["9.9.9.9:53", "1.1.1.1:53"], &["10.0.0.2:53", "10.0.0.3:53"]);
        assert_eq!(
            find(&given, Path::new("/x"), &ourselves).unwrap().to_string(),
            "9.9.9.9:53, 1.1.1.1:53, each in its turn, from --nameserver\ncorp: 10.0.0.2:53, 10.0.0.3:53"
        );
    }
}
