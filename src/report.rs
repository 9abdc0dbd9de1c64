//! What the daemon prints when it has started: all that the person who started it needs for the first question.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::address::DNS_PORT;
use crate::cli::VERSION;
use crate::holder::Holder;
use crate::listen::{BRIDGE, Fallback};

/// Everything that has been found out by the time we serve.
#[derive(Debug)]
pub(crate) struct Report {
    /// Each container engine and its version, or what is missing. Any text here may have several lines.
    pub(crate) engines: Vec<String>,
    /// Domains, as text.
    pub(crate) zones: Vec<String>,
    /// Where we answer; at least one.
    pub(crate) listeners: Vec<SocketAddr>,
    /// Cores that answer, and how they wait.
    pub(crate) workers: String,
    /// Why loopback's port 53 is not among the listeners.
    pub(crate) fallback: Option<Fallback>,
    /// More about listeners that we would have liked.
    pub(crate) notes: Vec<String>,
    /// Upstreams and where they came from.
    pub(crate) upstreams: String,
    /// Whether this host asks systemd-resolved, which can send one domain to us.
    pub(crate) resolved: bool,
    /// Addresses of [`BRIDGE`].
    pub(crate) bridge: Vec<IpAddr>,
    /// The admin listener, or why there is none.
    pub(crate) admin: String,
    /// Where services that are registered are kept.
    pub(crate) kept: String,
    /// Names loaded, as text.
    pub(crate) names: String,
    /// A name that we answer right now.
    pub(crate) sample: Option<String>,
    /// Environment label, for an example where there is no sample.
    pub(crate) environment: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<_> = self
            .engines
            .iter()
            .map(|engine| ("engine", engine.clone()))
            .collect();
        rows.extend([
            (
                if self.zones.len() == 1 { "zone" } else { "zones" },
                self.zones.join(", "),
            ),
            (
                "listening",
                format!("{}, UDP and TCP, on {}", join(&self.listeners), self.workers),
            ),
        ]);
        let reason = self.fallback.as_ref().map(Fallback::sentence);
        rows.extend(reason.iter().chain(&self.notes).map(|note| ("", note.clone())));
        rows.push(("upstreams", self.upstreams.clone()));
        rows.push(("admin", self.admin.clone()));
        rows.push(("services", self.kept.clone()));
        rows.push(("names", self.names.clone()));

        writeln!(f, "skydock {}\n", VERSION.as_str())?;
        for (label, text) in rows {
            writeln!(f, "  {label:<10} {}", text.replace('\n', "\n             "))?;
        }
        writeln!(f, "\n  {:<10} {}", "try", self.question())?;
        writeln!(f, "  {:<10} {}\n", "use", self.adoption())
    }
}

impl Report {
    /// A dig line that works on this set-up as it is.
    fn question(&self) -> String {
        let mut dig = "dig".to_owned();
        if let Some(listener) = self.listeners.first() {
            dig += &format!(" @{}", reachable(listener.ip()));
            if listener.port() != DNS_PORT {
                dig += &format!(" -p {}", listener.port());
            }
        }
        match (&self.sample, self.zones.first()) {
            (Some(name), _) => format!("{dig} +short {name}"),
            (None, zone) => format!(
                "{dig} +short web.nginx.{}.{}    # after: docker run -d --name web nginx",
                self.environment,
                zone.map_or("docker", String::as_str)
            ),
        }
    }

    /// A line that makes this host, or else a container, ask us.
    fn adoption(&self) -> String {
        let on_loopback = self
            .listeners
            .iter()
            .find(|listener| reachable(listener.ip()).is_loopback());
        let on_port_53 = |bridge: bool| {
            let mut listeners = self.listeners.iter();
            listeners.find(|it| it.port() == DNS_PORT && self.bridge.contains(&it.ip()) == bridge)
        };

        // Resolved would send everything to a server of its own file, and we would send it back; a server of one
        // link, for our domains alone, makes no such circle.
        if self.resolved
            && !self.bridge.is_empty()
            && let Some(listener) = on_loopback
        {
            let server = SocketAddr::new(reachable(listener.ip()), listener.port());
            let domains: Vec<_> = self.zones.iter().map(|zone| format!("'~{zone}'")).collect();
            return format!(
                "sudo resolvectl dns {BRIDGE} {server} && sudo resolvectl domain {BRIDGE} {} && \
                 sudo resolvectl default-route {BRIDGE} no",
                domains.join(" ")
            );
        }
        // In front of the servers that are there: those stay our upstreams, and step in while we are down.
        if !self.resolved
            && let Some(listener) = on_port_53(false)
        {
            let server = reachable(listener.ip());
            return format!("sudo sed -i --follow-symlinks '1i nameserver {server}' /etc/resolv.conf");
        }
        if let Some(listener) =
            on_port_53(true).or_else(|| on_port_53(false).filter(|it| !it.ip().is_loopback()))
        {
            let server = match (listener.ip(), self.bridge.first()) {
                (ip, Some(bridge)) if ip.is_unspecified() => *bridge,
                (ip, _) => ip,
            };
            return format!("docker run --dns {server} ...");
        }
        match (&self.fallback, self.listeners.first()) {
            (Some(Fallback::NotAllowed), _) => {
                let program = std::env::current_exe().unwrap_or_else(|_| "skydock".into());
                format!(
                    "sudo setcap cap_net_bind_service=+ep {}    # and start again: resolvers ask port 53",
                    program.display()
                )
            }
            (Some(Fallback::Taken(_, Holder::Process { name, .. })), Some(listener)) if name == "dnsmasq" => {
                format!("{} && sudo systemctl restart dnsmasq", self.dnsmasq(listener))
            }
            (_, Some(listener)) => format!(
                "{}    # for a dnsmasq; resolv.conf knows only port 53",
                self.dnsmasq(listener)
            ),
            (_, None) => String::new(),
        }
    }

    /// A command that makes dnsmasq send our domains to `listener`.
    fn dnsmasq(&self, listener: &SocketAddr) -> String {
        let domains = self.zones.join("/");
        let (ip, port) = (reachable(listener.ip()), listener.port());
        format!("echo 'server=/{domains}/{ip}#{port}' | sudo tee /etc/dnsmasq.d/skydock.conf")
    }
}

/// The address to ask what listens on `ip`.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// `a, b, c`.
pub(crate) fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(listeners: &[&str]) -> Report {
        Report {
            engines: vec!["Docker 28.3.3 at unix:///var/run/docker.sock, API 1.51".to_owned()],
            zones: vec!["docker".to_owned()],
            listeners: listeners
                .iter()
                .map(|listener| listener.parse().unwrap())
                .collect(),
            workers: "2 cores (0-1) with io_uring".to_owned(),
            fallback: None,
            notes: Vec::new(),
            upstreams: "9.9.9.9:53, from /etc/resolv.conf".to_owned(),
            resolved: false,
            bridge: vec!["172.17.0.1".parse().unwrap()],
            admin: "http://127.0.0.1:8053".to_owned(),
            kept: "kept in /var/lib/skydock".to_owned(),
            names: "5".to_owned(),
            sample: Some("redis1.redis.dev.docker".to_owned()),
            environment: "dev".to_owned(),
        }
    }

    #[test]
    fn it_reads_as_a_short_table() {
        let mut report = report(&["127.0.0.1:5300"]);
        report.fallback = Some(Fallback::NotAllowed);
        let text = report.to_string();
        let (table, _) = text.split_once("\n  use ").unwrap();
        let expected = "\
skydock VERSION

  engine     Docker 28.3.3 at unix:///var/run/docker.sock, API 1.51
  zone       docker
  listening  127.0.0.1:5300, UDP and TCP, on 2 cores (0-1) with io_uring
             port 53 needs root or CAP_NET_BIND_SERVICE
  upstreams  9.9.9.9:53, from /etc/resolv.conf
  admin      http://127.0.0.1:8053
  services   kept in /var/lib/skydock
  names      5

  try        dig @127.0.0.1 -p 5300 +short redis1.redis.dev.docker";
        assert_eq!(table, expected.replace("VERSION", VERSION.as_str()));
    }

    #[test]
    fn the_dig_line_asks_where_we_really_listen() {
        for (listener, expected) in [
            ("127.0.0.1:53", "dig @127.0.0.1 +short redis1.redis.dev.docker"),
            (
                "0.0.0.0:5300",
                "dig @127.0.0.1 -p 5300 +short redis1.redis.dev.docker",
            ),
            ("[::]:53", "dig @::1 +short redis1.redis.dev.docker"),
        ] {
            assert_eq!(report(&[listener]).question(), expected);
        }
    }

    #[test]
    fn without_a_name_the_dig_line_is_an_example_in_our_zone() {
        let mut report = report(&["127.0.0.1:53"]);
        (report.sample, report.zones) = (None, vec!["corp".to_owned()]);
        assert!(
            report
                .question()
                .starts_with("dig @127.0.0.1 +short web.nginx.dev.corp ")
        );
    }

    #[test]
    fn the_line_to_use_us_fits_the_host() {
        let check = |report: &Report, expected: &str| {
            let line = report.adoption();
            assert!(line.starts_with(expected), "{:?}: {line}", report.listeners);
        };
        check(
            &report(&["127.0.0.1:53", "172.17.0.1:53"]),
            "sudo sed -i --follow-symlinks '1i nameserver 127.0.0.1'",
        );
        check(
            &report(&["10.0.0.5:53"]),
            "sudo sed -i --follow-symlinks '1i nameserver 10.0.0.5'",
        );
        check(
            &report(&["127.0.0.1:5300", "172.17.0.1:53"]),
            "docker run --dns 172.17.0.1 ",
        );
        check(
            &report(&["127.0.0.1:5300"]),
            "echo 'server=/docker/127.0.0.1#5300' | sudo tee",
        );

        let mut resolved = report(&["127.0.0.1:5300"]);
        resolved.resolved = true;
        check(
            &resolved,
            "sudo resolvectl dns docker0 127.0.0.1:5300 && sudo resolvectl domain docker0 '~docker' && ",
        );
        resolved.bridge.clear();
        resolved.fallback = Some(Fallback::NotAllowed);
        check(&resolved, "sudo setcap cap_net_bind_service=+ep /");

        let mut dnsmasq = report(&["127.0.0.1:5300"]);
        let holder = Holder::Process {
            name: "dnsmasq".to_owned(),
            pid: 7,
        };
        dnsmasq.fallback = Some(Fallback::Taken(dataplane::Protocol::Udp, holder));
        check(
            &dnsmasq,
            "echo 'server=/docker/127.0.0.1#5300' | sudo tee /etc/dnsmasq.d/skydock.conf && sudo systemctl",
        );
    }
}
