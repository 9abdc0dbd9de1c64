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
    /// Which worker a packet goes to.
    pub(crate) spread: Spread,
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

/// Which worker a packet goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// One by the client's address and port.
    Hash,
    /// The one on the core where it arrives.
    Core,
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
    let spread = match flags.spread.as_str() {
        "hash" => Spread::Hash,
        "core" => Spread::Core,
        other => return Err(bad("spread", other, "give hash or core")),
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
        spread,
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
mod tests;
