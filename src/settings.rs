//! What the daemon is told: flags and environment, checked once, as one typed value.

mod forwarding;
mod names;
mod places;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use controlplane::Setting;
use controlplane::docker::Selection;
use controlplane::service::TTL_SECONDS_MAX;
use dataplane::limits::{NSID_OCTETS_MAX, RATE_LIMIT_MAX};
use dns::Name;
use ipnet::IpNet;

pub(crate) use self::names::label;
use crate::caching::{self, Caching};
use crate::cli::Cli;
use crate::engines;
use crate::failure::Failure;
use crate::rest::{self, Rest};
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
    let mut notes = notes(cli);
    let mut word = |flag: &str, value: &str| {
        let label = label(value).map_err(|remedy| cli.refusal(flag, value, remedy))?;
        if !label.eq_ignore_ascii_case(value) {
            let origin = cli.origin(flag);
            notes.push(format!("{origin} {value:?} is no DNS label; ask for {label:?}"));
        }
        Ok(label)
    };
    let environment = word("environment", &flags.environment)?;
    let region = match &flags.region {
        Some(region) => word("region", region)?,
        None => names::of_host(),
    };
    let listen = places::listen(cli)?;
    let zones = names::zones(cli)?;
    let upstreams = forwarding::from(cli, &zones)?;

    let ttl_seconds = flags.ttl.trim().parse().ok();
    let ttl_seconds = ttl_seconds.filter(|ttl| *ttl <= TTL_SECONDS_MAX).ok_or_else(|| {
        let remedy = format!("give whole seconds from 0 to {TTL_SECONDS_MAX}, which is a week");
        cli.refusal("ttl", &flags.ttl, remedy)
    })?;
    let rate_limit = flags.rate_limit.trim().parse().ok();
    let rate_limit = rate_limit.filter(|rate| *rate <= RATE_LIMIT_MAX).ok_or_else(|| {
        let remedy = format!("give replies a second from 0, for no limit, to {RATE_LIMIT_MAX}");
        cli.refusal("rate-limit", &flags.rate_limit, remedy)
    })?;
    let forwards_private_reverse = match flags.private_reverse.as_str() {
        "answer" => false,
        "forward" => true,
        other => return Err(cli.refusal("private-reverse", other, "give answer or forward")),
    };
    let nsid = flags.nsid.as_deref().unwrap_or_default();
    if nsid.len() > NSID_OCTETS_MAX {
        let remedy = format!("has more than {NSID_OCTETS_MAX} octets; give a shorter name");
        return Err(cli.refusal("nsid", nsid, remedy));
    }
    let engine = match flags.engine.as_str() {
        "auto" => Engine::Auto,
        "glommio" => Engine::Glommio,
        "threads" => Engine::Threads,
        other => {
            let remedy = "no such engine; give auto, glommio or threads";
            return Err(cli.refusal("engine", other, remedy));
        }
    };
    let spread = match flags.spread.as_str() {
        "hash" => Spread::Hash,
        "core" => Spread::Core,
        other => return Err(cli.refusal("spread", other, "give hash or core")),
    };
    let http = places::http(cli)?;
    let allow = places::allow(cli)?;
    let engines = engines::given(&flags.docker, |value, remedy| {
        cli.refusal("docker", value, remedy)
    })?;
    let selection = engines::selection(cli)?;
    let published_addresses = engines::published_addresses(&flags.published_address, |value, remedy| {
        cli.refusal("published-address", value, remedy)
    })?;
    let cores = cores(cli)?;
    Ok(Settings {
        caching: caching::from(cli, &zones, cores.len())?,
        zones,
        environment,
        region,
        ttl_seconds,
        plugins: plugins(cli)?,
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

fn cores(cli: &Cli) -> Result<Vec<usize>, Failure> {
    let value = cli.flags.cores.as_deref();
    let selection = value
        .map(|value| dataplane::cores::parse(value).map_err(|error| cli.refusal("cores", value, error)))
        .transpose()?;
    dataplane::cores::select(selection.as_ref())
        .map_err(|error| cli.refusal("cores", value.unwrap_or("all"), error))
}

fn plugins(cli: &Cli) -> Result<Vec<PathBuf>, Failure> {
    let file = |value: &String| match value.trim() {
        "" => {
            let remedy = "names no file; give a JavaScript file, or leave it out";
            Err(cli.refusal("plugins", value, remedy))
        }
        file => Ok(PathBuf::from(file)),
    };
    cli.flags.plugins.iter().map(file).collect()
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
