//! Whom to ask what is not ours, as the user says.

use dataplane::forward::{Policy, Route, Upstream};
use dataplane::limits::{ROUTES_MAX, UPSTREAMS_MAX};
use dataplane::special;
use dns::Name;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::servers;
use crate::upstreams::Given;

/// Checks what is said of upstreams, where `zones` are ours.
///
/// # Errors
///
/// [`Failure::Usage`]: a server, route or policy that cannot be, or more than there is room for.
pub(super) fn from(cli: &Cli, zones: &[Name]) -> Result<Given, Failure> {
    let flags = &cli.flags;
    Ok(Given {
        nameservers: servers(cli, "nameserver", &flags.nameserver)?,
        ca: flags.nameserver_ca.clone(),
        routes: routes(cli, zones)?,
        policy: match flags.policy.as_str() {
            "sequential" => Policy::Sequential,
            "round-robin" => Policy::RoundRobin,
            "fastest" => Policy::Fastest,
            other => {
                let remedy = "no such policy; give sequential, round-robin or fastest";
                return Err(cli.refusal("policy", other, remedy));
            }
        },
    })
}

/// Servers, each once.
fn servers(cli: &Cli, flag: &str, values: &[String]) -> Result<Vec<Upstream>, Failure> {
    let mut servers: Vec<Upstream> = Vec::new();
    for value in values {
        let server = servers::parse(value).map_err(|remedy| cli.refusal(flag, value, remedy))?;
        if servers.contains(&server) {
            return Err(cli.refusal(flag, value, "was given twice; give it once"));
        }
        servers.push(server);
    }
    cli.at_most(flag, values, UPSTREAMS_MAX)?;
    Ok(servers)
}

/// Routes, each domain once and none of them ours.
fn routes(cli: &Cli, zones: &[Name]) -> Result<Vec<Route>, Failure> {
    let mut routes: Vec<Route> = Vec::new();
    // In the environment there is one value for all of them: what has no `=` is one more address of the domain before.
    for value in &cli.flags.forward {
        let mut parts = value.split(',').map(str::trim).peekable();
        while let Some(part) = parts.next() {
            let Some((domain, first)) = part.split_once('=') else {
                let remedy = "names no domain; write corp.example=10.0.0.2, or corp.example=none";
                return Err(cli.refusal("forward", value, remedy));
            };
            let domain: Name = domain
                .trim()
                .parse()
                .map_err(|error: dns::NameError| cli.refusal("forward", value, error))?;
            let mut addresses = vec![first.trim().to_owned()];
            while let Some(more) = parts.next_if(|part| !part.contains('=')) {
                addresses.push(more.to_owned());
            }
            let upstreams = match addresses.as_slice() {
                [nobody] if nobody == "none" => Vec::new(),
                addresses => servers(cli, "forward", addresses)?,
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
            return Err(cli.refusal("forward", value, remedy));
        }
    }
    Ok(routes)
}
