//! What the daemon is told: flags and environment, checked once, as one typed value.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use controlplane::docker::Selection;
use controlplane::service::TTL_SECONDS_MAX;
use controlplane::{Setting, naming};
use dataplane::forward::{self, Route, Upstream};
use dataplane::limits::{LISTENERS_MAX, NSID_OCTETS_MAX, RATE_LIMIT_MAX, ROUTES_MAX, UPSTREAMS_MAX};
use dataplane::{access, special};
use dns::Name;
use dns::name::LABEL_OCTETS_MAX;
use dns::snapshot::is_wildcard;
use ipnet::IpNet;

use crate::address::{self, DNS_PORT};
use crate::caching::{self, Caching};
use crate::cli::Cli;
use crate::engines;
use crate::failure::Failure;
use crate::rest::{self, Rest};
use crate::servers;
use crate::upstreams;

/// Everything the user may set, with defaults filled in where they do not depend on what this host allows.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Domains we answer for; at least one, none inside another. The first is where PTR records point.
    pub(crate) zones: Vec<Name>,
    /// Environment label, as it can be asked for.
    pub(crate) environment: String,
    /// Region label, as it can be asked for.
    pub(crate) region: String,
    /// Time to live of every record, in seconds.
    pub(crate) ttl_seconds: u32,
    /// Plugin files, in order.
    pub(crate) plugins: Vec<PathBuf>,
    /// Container engines; none: look for one.
    pub(crate) engines: Vec<engines::Given>,
    /// Which containers are published.
    pub(crate) selection: Selection,
    /// Where clients outside this host's networks are led; at most one of each family.
    pub(crate) published_addresses: Vec<IpAddr>,
    /// Addresses to answer on; empty: the defaults of `listen`.
    pub(crate) listen: Vec<SocketAddr>,
    /// Whom to ask what is not ours.
    pub(crate) upstreams: upstreams::Given,
    /// What is kept of other servers' answers.
    pub(crate) caching: Caching,
    /// Networks that may ask, loopback among them; the addresses of this host's interfaces are not.
    pub(crate) allow: Vec<IpNet>,
    /// Replies a second for each public network, from each core; 0: no limit.
    pub(crate) rate_limit: u32,
    /// What is told to who asks which server this is; empty: nothing.
    pub(crate) nsid: Vec<u8>,
    /// Upstreams are asked about reverse names of private addresses that are not ours.
    pub(crate) forwards_private_reverse: bool,
    /// Cores that answer, by number; at least one.
    pub(crate) cores: Vec<usize>,
    /// How workers wait for packets.
    pub(crate) engine: Engine,
    /// The admin listener.
    pub(crate) http: Http,
    /// Who may change services there, and where those are kept.
    pub(crate) rest: Rest,
    /// All of this as it was written, without secrets.
    pub(crate) in_force: Vec<Setting>,
    /// Sentences about flags that have no effect, or another than they seem to, for the log.
    pub(crate) notes: Vec<String>,
}

/// How workers wait for packets, as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// glommio where the kernel allows io_uring, else threads.
    Auto,
    /// glommio, or not at all.
    Glommio,
    /// Threads.
    Threads,
}

/// Where the admin listener goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Http {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// Whether the user named it. The default one is given up with a line in the report when it is taken.
    pub(crate) is_given: bool,
}

/// Checks what the command line and the environment say.
///
/// # Errors
///
/// [`Failure::Usage`]: a value that cannot be; the sentence names the flag or variable, the value and the remedy.
pub(crate) fn from(cli: &Cli) -> Result<Settings, Failure> {
    let flags = &cli.flags;
    let bad = |flag: &str, value: &str, remedy: &str| {
        Failure::Usage(format!("{} {value:?}: {remedy}", cli.origin(flag)))
    };

    let mut notes = notes(cli);
    let mut word = |flag: &str, value: &str| {
        let label = label(value).map_err(|remedy| bad(flag, value, remedy))?;
        if !label.eq_ignore_ascii_case(value) {
            let origin = cli.origin(flag);
            notes.push(format!("{origin} {value:?} is no DNS label; ask for {label:?}"));
        }
        Ok(label)
    };
    let environment = word("environment", &flags.environment)?;
    let region = match &flags.region {
        Some(region) => word("region", region)?,
        None => host_name(),
    };
    let addresses = |flag: &str, values: &[String], most: usize| {
        let bad = |value: &str, remedy: &dyn Display| bad(flag, value, &remedy.to_string());
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for value in values {
            let address =
                address::socket(value, DNS_PORT).ok_or_else(|| match address::has_bad_port(value) {
                    true => bad(value, &"its port is no number from 0 to 65535"),
                    false => bad(
                        value,
                        &"no IP address; write 127.0.0.1, 127.0.0.1:5300, ::1 or [::1]:5300",
                    ),
                })?;
            if addresses.contains(&address) {
                return Err(bad(value, &"was given twice; give it once"));
            }
            addresses.push(address);
        }
        match values.get(most) {
            None => Ok(addresses),
            Some(value) => {
                let given = values.len();
                Err(bad(
                    value,
                    &format!("of {given} that were given there is room for {most}; leave some out"),
                ))
            }
        }
    };
    let listen = addresses("listen", &flags.listen, LISTENERS_MAX)?;
    if let Some((covered, wildcard)) = covered(&listen) {
        let remedy = format!("{wildcard} covers it already; give only one of them");
        return Err(bad("listen", &covered.to_string(), &remedy));
    }
    let servers = |flag: &str, values: &[String]| {
        let mut servers: Vec<Upstream> = Vec::new();
        for value in values {
            let server = servers::parse(value).map_err(|remedy| bad(flag, value, remedy))?;
            if servers.contains(&server) {
                return Err(bad(flag, value, "was given twice; give it once"));
            }
            servers.push(server);
        }
        match values.get(UPSTREAMS_MAX) {
            None => Ok(servers),
            Some(value) => {
                let given = values.len();
                let remedy =
                    format!("of {given} that were given there is room for {UPSTREAMS_MAX}; leave some out");
                Err(bad(flag, value, &remedy))
            }
        }
    };
    let zones = zones(&flags.domain, &bad)?;
    let upstreams = upstreams::Given {
        nameservers: servers("nameserver", &flags.nameserver)?,
        ca: flags.nameserver_ca.clone(),
        routes: routes(&flags.forward, &zones, &servers, &bad)?,
        policy: match flags.policy.as_str() {
            "sequential" => forward::Policy::Sequential,
            "round-robin" => forward::Policy::RoundRobin,
            "fastest" => forward::Policy::Fastest,
            other => {
                let remedy = "no such policy; give sequential, round-robin or fastest";
                return Err(bad("policy", other, remedy));
            }
        },
    };

    let ttl_seconds = flags
        .ttl
        .trim()
        .parse()
        .ok()
        .filter(|ttl| *ttl <= TTL_SECONDS_MAX);
    let ttl_seconds = ttl_seconds.ok_or_else(|| {
        bad(
            "ttl",
            &flags.ttl,
            &format!("give whole seconds from 0 to {TTL_SECONDS_MAX}, which is a week"),
        )
    })?;
    let rate_limit = flags.rate_limit.trim().parse().ok();
    let rate_limit = rate_limit.filter(|rate| *rate <= RATE_LIMIT_MAX).ok_or_else(|| {
        bad(
            "rate-limit",
            &flags.rate_limit,
            &format!("give replies a second from 0, for no limit, to {RATE_LIMIT_MAX}"),
        )
    })?;
    let forwards_private_reverse = match flags.private_reverse.as_str() {
        "answer" => false,
        "forward" => true,
        other => return Err(bad("private-reverse", other, "give answer or forward")),
    };
    let nsid = flags.nsid.as_deref().unwrap_or_default();
    if nsid.len() > NSID_OCTETS_MAX {
        let remedy = format!("has more than {NSID_OCTETS_MAX} octets; give a shorter name");
        return Err(bad("nsid", nsid, &remedy));
    }
    let engine = match flags.engine.as_str() {
        "auto" => Engine::Auto,
        "glommio" => Engine::Glommio,
        "threads" => Engine::Threads,
        other => {
            return Err(bad(
                "engine",
                other,
                "no such engine; give auto, glommio or threads",
            ));
        }
    };
    let http = address::socket(&flags.http, 0)
        .filter(|address| address.port() != 0)
        .ok_or_else(|| {
            let remedy = match address::has_bad_port(&flags.http) {
                true => "its port is no number from 1 to 65535",
                false => "no IP address with a port; write 127.0.0.1:8053 or [::1]:8053",
            };
            bad("http", &flags.http, remedy)
        })?;
    let mut allow: Vec<IpNet> = flags
        .allow
        .iter()
        .map(|value| {
            address::network(value).ok_or_else(|| {
                bad(
                    "allow",
                    value,
                    "no network; write 10.0.0.0/8, fd00::/8 or one IP address",
                )
            })
        })
        .collect::<Result<_, _>>()?;
    // Whoever is on this host can see the containers anyway, and `dig` on it should not depend on a list.
    let loopback = |network: &IpNet| network.addr().is_loopback();
    match allow.is_empty() {
        true => allow.extend(access::default_networks()),
        false => allow.extend(access::default_networks().filter(loopback)),
    }
    let engines = engines::given(&flags.docker, |value, remedy| bad("docker", value, remedy))?;
    let selection = engines::selection(flags, &bad)?;
    let plugins = flags.plugins.iter().map(|value| match value.trim() {
        "" => Err(bad(
            "plugins",
            value,
            "names no file; give a JavaScript file, or leave it out",
        )),
        file => Ok(PathBuf::from(file)),
    });
    let published_addresses = engines::published_addresses(&flags.published_address, |value, remedy| {
        bad("published-address", value, remedy)
    })?;

    let cores = cores(flags.cores.as_deref(), &bad)?;
    Ok(Settings {
        caching: caching::from(
            &flags.caching,
            &zones,
            cores.len(),
            |flag| cli.is_given(flag),
            bad,
        )?,
        zones,
        environment,
        region,
        ttl_seconds,
        plugins: plugins.collect::<Result<_, _>>()?,
        engines,
        selection,
        published_addresses,
        listen,
        upstreams,
        allow,
        rate_limit,
        nsid: nsid.as_bytes().to_vec(),
        forwards_private_reverse,
        cores,
        engine,
        rest: rest::from(cli, http)?,
        in_force: cli.in_force(),
        http: Http {
            address: http,
            is_given: cli.is_given("http"),
        },
        notes,
    })
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

/// Domains, each once: naming the same one twice is harmless, one inside another is not.
fn zones(values: &[String], bad: &impl Fn(&str, &str, &str) -> Failure) -> Result<Vec<Name>, Failure> {
    let mut zones: Vec<Name> = Vec::new();
    for value in values {
        if value.trim().is_empty() {
            return Err(bad(
                "domain",
                value,
                "an empty domain holds no names; give one such as docker",
            ));
        }
        if !value.trim().bytes().all(|octet| octet == b'.' || is_plain(octet)) {
            return Err(bad(
                "domain",
                value,
                "resolvers and shells do not take all of these characters; give letters, digits, hyphens, underscores and dots",
            ));
        }
        let zone: Name = value
            .trim()
            .parse()
            .map_err(|error: dns::NameError| bad("domain", value, &error.to_string()))?;
        if zone == Name::root() {
            return Err(bad(
                "domain",
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
            return Err(bad("domain", value, &remedy));
        }
        zones.push(zone);
    }
    Ok(zones)
}

/// Routes, each domain once and none of them ours.
fn routes(
    values: &[String],
    zones: &[Name],
    servers: &impl Fn(&str, &[String]) -> Result<Vec<Upstream>, Failure>,
    bad: &impl Fn(&str, &str, &str) -> Failure,
) -> Result<Vec<Route>, Failure> {
    let mut routes: Vec<Route> = Vec::new();
    // In the environment there is one value for all of them: what has no `=` is one more address of the domain before.
    for value in values {
        let mut parts = value.split(',').map(str::trim).peekable();
        while let Some(part) = parts.next() {
            let Some((domain, first)) = part.split_once('=') else {
                let remedy = "names no domain; write corp.example=10.0.0.2, or corp.example=none";
                return Err(bad("forward", value, remedy));
            };
            let domain: Name = domain
                .trim()
                .parse()
                .map_err(|error: dns::NameError| bad("forward", value, &error.to_string()))?;
            let mut addresses = vec![first.trim().to_owned()];
            while let Some(more) = parts.next_if(|part| !part.contains('=')) {
                addresses.push(more.to_owned());
            }
            let upstreams = match addresses.as_slice() {
                [nobody] if nobody == "none" => Vec::new(),
                addresses => servers("forward", addresses)?,
            };
            let remedy = if domain == Name::root() {
                "the root is everything that is not ours; give --nameserver for that".to_owned()
            } else if let Some(zone) = zones.iter().find(|zone| domain.is_within(zone)) {
                format!("lies in {zone}, which is ours: its names are never asked of others")
            } else if special::of(domain.as_ref()).is_some_and(|special| !special.may_be_forwarded()) {
                "means this host, and is never asked of others".to_owned()
            } else if routes.iter().any(|route| route.domain == domain) {
                format!("{domain} was given before; name all of its servers at once")
            } else if routes.len() == ROUTES_MAX {
                format!("there is room for {ROUTES_MAX} domains; leave some out")
            } else {
                routes.push(Route { domain, upstreams });
                continue;
            };
            return Err(bad("forward", value, &remedy));
        }
    }
    Ok(routes)
}

fn cores(value: Option<&str>, bad: &impl Fn(&str, &str, &str) -> Failure) -> Result<Vec<usize>, Failure> {
    let selection = value
        .map(|value| dataplane::cores::parse(value).map_err(|error| bad("cores", value, &error.to_string())))
        .transpose()?;
    dataplane::cores::select(selection.as_ref())
        .map_err(|error| bad("cores", value.unwrap_or("all"), &error.to_string()))
}

/// This host's name up to its first dot: a region is one label.
fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    match name.split('.').next() {
        Some(label) if !label.is_empty() => label.to_owned(),
        _ => "localhost".to_owned(),
    }
}

/// One sentence for each flag that is accepted from old command lines alone.
fn notes(cli: &Cli) -> Vec<String> {
    let flags = &cli.flags;
    [
        (
            &flags.skydns,
            "-skydns does nothing: skydock answers DNS itself, so there is no SkyDNS to register with",
        ),
        (
            &flags.name,
            "-name does nothing: skydock answers DNS itself, so there is no SkyDNS container to look up",
        ),
        (
            &flags.workers,
            "-workers does nothing: events of one container are always taken in order; see --cores",
        ),
        (
            &flags.beat,
            "-beat does nothing: records live as long as their container, so there are no heartbeats",
        ),
    ]
    .into_iter()
    .filter_map(|(flag, note)| flag.as_ref().map(|_| note.to_owned()))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use dataplane::cache::Rules;

    use super::*;
    use crate::cli::{self, Asked};
    use crate::report;

    fn settings(line: &str) -> Result<Settings, Failure> {
        match cli::read(line.split_whitespace().map(OsString::from))? {
            Asked::Run(cli) => from(&cli),
            other => panic!("{line}: {other:?}"),
        }
    }

    /// The sentence that `line` ends with, and that it is a usage error.
    fn check(line: &str, expected: &str) {
        match settings(line) {
            Err(Failure::Usage(sentence)) => assert!(sentence.starts_with(expected), "{line}: {sentence}"),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_cache_is_as_it_was_asked_for() {
        let caching = settings("--cores 1").unwrap().caching;
        assert_eq!((caching.octets, caching.rules), (32 << 20, Rules::default()));
        let line = "--cores 1 --cache-size 64 --cache-max-ttl 3600 --cache-min-ttl 5 --serve-stale 86400 \
                    --serve-stale-client-timeout 500 --rebind-protection --rebind-allow Corp.Example,lan --fallthrough docker";
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| name.parse().unwrap())
                .collect::<Vec<Name>>()
        };
        let rules = Rules {
            max_ttl: 3600,
            min_ttl: 5,
            stale_seconds: 86_400,
            stale_patience: std::time::Duration::from_millis(500),
            rebind_protection: true,
            rebind_allow: names(&["corp.example", "lan"]),
        };
        let caching = settings(line).unwrap().caching;
        assert_eq!((caching.octets, caching.rules), (64 << 20, rules));
        assert_eq!(caching.fallthrough, names(&["docker"]));
        assert_eq!(settings("--cache-size 0").unwrap().caching.octets, 0);
    }

    #[test]
    fn a_cache_that_cannot_be_is_refused_with_the_remedy() {
        check(
            "--cores 1 --cache-size lots",
            "--cache-size \"lots\": give mebibytes: for one core from 1 to 32768, or 0 for no cache",
        );
        check("--cache-size -1", "--cache-size \"-1\": give mebibytes");
        check(
            "--cache-max-ttl 0",
            "--cache-max-ttl \"0\": give whole seconds from 1 to 604800",
        );
        check(
            "--cache-min-ttl 3601",
            "--cache-min-ttl \"3601\": give whole seconds from 0 to 3600",
        );
        check(
            "--cache-min-ttl 60 --cache-max-ttl 30",
            "--cache-min-ttl \"60\": no answer can be kept as long",
        );
        check(
            "--serve-stale 259201",
            "--serve-stale \"259201\": give whole seconds from 0 to 259200",
        );
        check(
            "--serve-stale-client-timeout 2501",
            "--serve-stale-client-timeout \"2501\": give whole milliseconds from 0 to 2500",
        );
        check("--rebind-allow a..b", "--rebind-allow \"a..b\": ");
        check(
            "--fallthrough example.org",
            "--fallthrough \"example.org\": lies in no domain of ours",
        );
    }

    #[test]
    fn no_flags_are_enough() {
        let settings = settings("").unwrap();
        assert_eq!(settings.zones, ["docker".parse().unwrap()]);
        assert_eq!((settings.environment.as_str(), settings.ttl_seconds), ("dev", 30));
        assert!(!settings.region.is_empty() && !settings.region.contains('.'));
        assert!(!settings.cores.is_empty() && settings.notes.is_empty() && !settings.http.is_given);
    }

    #[test]
    fn several_domains_are_several_zones() {
        let zones = settings("--domain docker,Corp.Example. --domain docker")
            .unwrap()
            .zones;
        assert_eq!(
            zones,
            ["docker".parse().unwrap(), "corp.example".parse().unwrap()]
        );
    }

    #[test]
    fn a_domain_inside_another_is_refused_either_way_round() {
        check(
            "--domain corp,dev.corp",
            "--domain \"dev.corp\": overlaps with corp",
        );
        check(
            "--domain dev.corp,corp",
            "--domain \"corp\": overlaps with dev.corp",
        );
        assert!(settings("--domain corp,xcorp").is_ok());
    }

    #[test]
    fn a_domain_that_no_pasted_line_could_hold_is_refused() {
        for domain in ["a\\032b", "it's", "b\u{fc}cher", "a$b", "a;b"] {
            check(
                &format!("--domain {domain}"),
                &format!("--domain {domain:?}: resolvers and shells"),
            );
        }
        assert!(settings("--domain _corp-1.Example").is_ok());
    }

    #[test]
    fn a_label_with_dots_is_told_what_it_becomes() {
        let settings = settings("--environment Prod.1 --region eu.west").unwrap();
        assert_eq!(
            (settings.environment.as_str(), settings.region.as_str()),
            ("prod-1", "eu-west")
        );
        assert_eq!(
            settings.notes,
            [
                "--environment \"Prod.1\" is no DNS label; ask for \"prod-1\"",
                "--region \"eu.west\" is no DNS label; ask for \"eu-west\"",
            ]
        );
    }

    #[test]
    fn an_address_that_is_listened_on_already_is_refused() {
        check(
            "--listen 0.0.0.0:5391,127.0.0.1:5391",
            "--listen \"127.0.0.1:5391\": 0.0.0.0:5391 covers it already",
        );
        check(
            "--listen [::1]:53 --listen [::]",
            "--listen \"[::1]:53\": [::]:53 covers it already",
        );
        check(
            "--listen 127.0.0.1,127.0.0.1:53",
            "--listen \"127.0.0.1:53\": was given twice; give it once",
        );
        // The IPv6 wildcard is for IPv6 alone.
        assert!(settings("--listen 0.0.0.0:5391,[::]:5391,127.0.0.1:5392").is_ok());
    }

    #[test]
    fn more_addresses_than_there_is_room_for_are_refused() {
        let list = |count: usize| {
            let addresses: Vec<_> = (1..=count).map(|last| format!("127.0.1.{last}")).collect();
            addresses.join(",")
        };
        assert!(settings(&format!("--nameserver {}", list(UPSTREAMS_MAX))).is_ok());
        assert!(settings(&format!("--listen {}", list(LISTENERS_MAX))).is_ok());
        check(
            &format!("--nameserver {}", list(9)),
            "--nameserver \"127.0.1.9\": of 9 that were given there is room for 8",
        );
        check(
            &format!("--listen {}", list(65)),
            "--listen \"127.0.1.65\": of 65 that were given there is room for 64",
        );
    }

    #[test]
    fn a_domain_may_have_servers_of_its_own_or_none() {
        let routes = |line: &str| {
            let routes = settings(line).unwrap().upstreams.routes;
            let shown = |route: &Route| format!("{}={}", route.domain, report::join(&route.upstreams));
            routes.iter().map(shown).collect::<Vec<_>>()
        };
        let expected = [
            "corp.example=10.0.0.2:53, [::1]:5300",
            "lan=192.168.1.1:53",
            "gone.lan=",
        ];
        assert_eq!(
            routes(
                "--forward Corp.Example=10.0.0.2,[::1]:5300 --forward lan=192.168.1.1 --forward gone.lan=none"
            ),
            expected
        );
        assert_eq!(
            routes("--forward corp.example=10.0.0.2,[::1]:5300,lan=192.168.1.1,gone.lan=none"),
            expected,
            "as it is written in the environment"
        );
        assert_eq!(routes("--forward corp.local=10.0.0.2").len(), 1);
    }

    #[test]
    fn a_route_that_cannot_be_is_refused() {
        for (route, remedy) in [
            ("corp.example", "names no domain"),
            ("10.0.0.2", "names no domain"),
            ("corp.example=", "no IP address"),
            ("corp.example=dns.example", "no IP address"),
            ("corp.example=10.0.0.2,10.0.0.2", "was given twice"),
            ("corp.example=10.0.0.2:0", "nobody can be asked on port 0"),
            ("a..b=10.0.0.2", ""),
            (".=10.0.0.2", "the root is everything"),
            ("web.docker=10.0.0.2", "lies in docker"),
            ("localhost=10.0.0.2", "means this host"),
            ("a=10.0.0.2,b=10.0.0.3,A=10.0.0.4", "a was given before"),
        ] {
            let Err(Failure::Usage(sentence)) = settings(&format!("--forward {route}")) else {
                panic!("{route} was taken");
            };
            assert!(
                sentence.starts_with("--forward \"") && sentence.contains(remedy),
                "{route}: {sentence}"
            );
        }
        let many: Vec<_> = (0..=ROUTES_MAX)
            .map(|number| format!("d{number}=10.0.0.2"))
            .collect();
        check(
            &format!("--forward {}", many.join(",")),
            &format!("--forward \"{}\": there is room for 64", many.join(",")),
        );
        check("--policy random", "--policy \"random\": no such policy");
    }

    #[test]
    fn a_port_that_is_none_is_named_as_what_is_wrong() {
        check(
            "--listen 127.0.0.1:99999",
            "--listen \"127.0.0.1:99999\": its port",
        );
        check("--listen [::1]:dns", "--listen \"[::1]:dns\": its port");
        check(
            "--nameserver 8.8.8.8:0",
            "--nameserver \"8.8.8.8:0\": nobody can be asked on port 0",
        );
        check("--http 127.0.0.1:99999", "--http \"127.0.0.1:99999\": its port");
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        check("--domain .", "--domain \".\": the root is not ours");
        check("--domain a..b", "--domain \"a..b\": ");
        check(
            "--domain=",
            "--domain \"\": an empty domain holds no names; give one",
        );
    }

    #[test]
    fn a_ttl_is_seconds_up_to_a_week() {
        assert_eq!(settings("--ttl 0").unwrap().ttl_seconds, 0);
        assert_eq!(settings("--ttl 604800").unwrap().ttl_seconds, 604_800);
        for bad in ["604801", "-5", "30s", "4294967296"] {
            check(
                &format!("--ttl {bad}"),
                &format!("--ttl {bad:?}: give whole seconds from 0 to 604800"),
            );
        }
    }

    #[test]
    fn who_may_ask_is_as_told_and_always_this_host() {
        let shown = |line: &str| report::join(&settings(line).unwrap().allow);
        assert_eq!(
            shown("--allow 203.0.113.0/24,2001:db8::7"),
            "203.0.113.0/24, 2001:db8::7/128, 127.0.0.0/8, ::1/128"
        );
        assert!(shown("").contains("192.168.0.0/16"));
    }

    #[test]
    fn labels_that_questions_use_for_every_one_are_refused() {
        check(
            "--environment any",
            "--environment \"any\": questions use this word",
        );
        check("--region *", "--region \"*\": questions use this word");
        check("--environment=", "--environment \"\": an empty label");
        check(&format!("--region {}", "r".repeat(64)), "--region ");
    }

    #[test]
    fn addresses_and_networks_that_are_none_are_refused() {
        check("--listen localhost", "--listen \"localhost\": no IP address");
        check(
            "--nameserver 9.9.9.9,dns.example",
            "--nameserver \"dns.example\": no IP address",
        );
        check(
            "--http 127.0.0.1",
            "--http \"127.0.0.1\": no IP address with a port",
        );
        check("--allow private", "--allow \"private\": no network");
        check("--engine uring", "--engine \"uring\": no such engine");
        check("--cores none", "--cores \"none\": ");
        check("--rate-limit -1", "--rate-limit \"-1\": give replies a second");
        check("--rate-limit 1000001", "--rate-limit \"1000001\": give replies");
        check(&format!("--nsid {}", "n".repeat(64)), "--nsid ");
        check(
            "--private-reverse no",
            "--private-reverse \"no\": give answer or forward",
        );
        check("-s=", "--docker \"\": names no engine");
        check("--only =x", "--only \"=x\": names no label");
        check("--label-prefix=", "--label-prefix \"\": ");
        check(
            "--published-address host",
            "--published-address \"host\": no IP address",
        );
    }

    #[test]
    fn plugins_are_files_in_order() {
        let files = settings("-plugins /a.js,/b.js --plugins /c.js").unwrap().plugins;
        assert_eq!(files, ["/a.js", "/b.js", "/c.js"].map(PathBuf::from));
        check("--plugins=", "--plugins \"\": names no file");
    }

    #[test]
    fn flags_of_old_command_lines_that_do_nothing_say_so() {
        let line = "-skydns http://h -name skydns -workers 3 -beat 20";
        let notes = settings(line).unwrap().notes;
        assert_eq!(notes.len(), 4);
        for (flag, note) in ["-skydns ", "-name ", "-workers ", "-beat "].iter().zip(&notes) {
            assert!(note.starts_with(flag), "{note}");
        }
    }
}
