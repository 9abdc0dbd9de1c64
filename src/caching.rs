//! Settings of the cache: its flags, and what they mean.

use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use dataplane::cache::Rules;
use dataplane::limits::{
    CACHE_OCTETS_DEFAULT, CACHE_SHARE_OCTETS_MAX, CACHE_SHARE_OCTETS_MIN, CACHE_TTL_MAX, FORWARD_TIMEOUT,
    STALE_PATIENCE_DEFAULT, STALE_SECONDS_MAX,
};
use dns::Name;

use crate::cli::Cli;
use crate::failure::Failure;

/// Longest time that answers can be kept, in seconds: a week (RFC 8767, section 4).
const TTL_MAX: u32 = 7 * 24 * 60 * 60;
/// Longest time that answers can be kept although their servers say less, in seconds: an hour. Longer, and what moves is
/// lost for too long.
const MIN_TTL_MAX: u32 = 60 * 60;
/// Longest time that a client can wait before it is told an answer past its time, in milliseconds.
const PATIENCE_MAX_MS: u32 = FORWARD_TIMEOUT.as_millis() as u32;
const MEBIBYTE: usize = 1 << 20;

/// The flags, as text.
#[derive(Debug, Args)]
pub(crate) struct CacheFlags {
    /// Memory for answers of other servers, of all cores together; 0 keeps none
    #[arg(
        long,
        env = "SKYDOCK_CACHE_SIZE",
        value_name = "MIB",
        default_value = "32",
        help_heading = "Cache"
    )]
    cache_size: String,

    /// Most seconds that an answer is kept
    #[arg(
        long,
        env = "SKYDOCK_CACHE_MAX_TTL",
        value_name = "SECONDS",
        default_value = "86400",
        help_heading = "Cache"
    )]
    cache_max_ttl: String,

    /// Least seconds that an answer is kept, whatever its servers say
    #[arg(
        long,
        env = "SKYDOCK_CACHE_MIN_TTL",
        value_name = "SECONDS",
        default_value = "0",
        help_heading = "Cache"
    )]
    cache_min_ttl: String,

    /// Seconds past its time that an answer is still told while no server gives a newer one (RFC 8767); 0 for never
    #[arg(
        long,
        env = "SKYDOCK_SERVE_STALE",
        value_name = "SECONDS",
        default_value = "0",
        help_heading = "Cache"
    )]
    serve_stale: String,

    /// Milliseconds that a client waits before it is told an answer past its time, while servers are asked on (RFC 8767); 0
    /// for not at all, 2500 for as long as servers are waited for. Only with --serve-stale
    #[arg(
        long,
        env = "SKYDOCK_SERVE_STALE_CLIENT_TIMEOUT",
        value_name = "MILLISECONDS",
        default_value = "1800",
        help_heading = "Cache"
    )]
    serve_stale_client_timeout: String,

    /// Keep back answers of other servers that lead into private networks, so that no web page outside can reach what is
    /// inside by a name of its own
    #[arg(
        long,
        env = "SKYDOCK_REBIND_PROTECTION",
        value_parser = BoolishValueParser::new(),
        action = clap::ArgAction::SetTrue,
        help_heading = "Cache"
    )]
    rebind_protection: bool,

    /// Domain whose names may lead into private networks all the same; repeat it, or separate several with commas
    #[arg(
        long,
        env = "SKYDOCK_REBIND_ALLOW",
        value_name = "DOMAIN",
        value_delimiter = ',',
        help_heading = "Cache"
    )]
    rebind_allow: Vec<String>,

    /// Domain of ours whose names are asked of other servers where we know none; repeat it, or separate several with commas
    /// [default: none, and they do not exist]
    #[arg(
        long,
        env = "SKYDOCK_FALLTHROUGH",
        value_name = "DOMAIN",
        value_delimiter = ',',
        help_heading = "Serving"
    )]
    fallthrough: Vec<String>,
}

/// What the flags say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Caching {
    /// Octets of all caches together; 0: nothing is kept.
    pub(crate) octets: usize,
    /// How long, and what.
    pub(crate) rules: Rules,
    /// Domains of ours whose names others are asked about where we know none.
    pub(crate) fallthrough: Vec<Name>,
}

/// Checks the flags, for `cores` that answer, and `zones` of ours.
///
/// # Errors
///
/// [`Failure::Usage`]: a value that cannot be, or that another one contradicts.
pub(crate) fn from(cli: &Cli, zones: &[Name], cores: usize) -> Result<Caching, Failure> {
    let flags = &cli.flags.caching;
    let whole = |flag: &str, value: &str, unit: &str, least: u32, most: u32| {
        let number = value.trim().parse().ok();
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| cli.refusal(flag, value, format!("give whole {unit} from {least} to {most}")))
    };
    let seconds = |flag: &str, value: &str, least, most| whole(flag, value, "seconds", least, most);
    let patience = whole(
        "serve-stale-client-timeout",
        &flags.serve_stale_client_timeout,
        "milliseconds",
        0,
        PATIENCE_MAX_MS,
    )?;
    let max_ttl = seconds("cache-max-ttl", &flags.cache_max_ttl, 1, TTL_MAX)?;
    let min_ttl = seconds("cache-min-ttl", &flags.cache_min_ttl, 0, MIN_TTL_MAX)?;
    if min_ttl > max_ttl {
        let remedy = format!("no answer can be kept as long with --cache-max-ttl {max_ttl}; give less");
        return Err(cli.refusal("cache-min-ttl", &flags.cache_min_ttl, remedy));
    }
    let names = |flag: &str, values: &[String]| -> Result<Vec<Name>, Failure> {
        let name = |value: &String| {
            value
                .trim()
                .parse()
                .map_err(|error: dns::NameError| cli.refusal(flag, value, error))
        };
        values.iter().map(name).collect()
    };
    let fallthrough = names("fallthrough", &flags.fallthrough)?;
    let is_ours = |name: &Name| zones.iter().any(|zone| name.is_within(zone));
    // Reverse zones are ours as the engine's networks come and go.
    let is_reverse = |name: &Name| name.labels().last() == Some(b"arpa");
    for (name, value) in fallthrough.iter().zip(&flags.fallthrough) {
        if !is_ours(name) && !is_reverse(name) {
            let remedy =
                "lies in no domain of ours, so other servers are asked about it anyway; leave it out";
            return Err(cli.refusal("fallthrough", value, remedy));
        }
    }
    Ok(Caching {
        octets: octets(cli, cores)?,
        rules: Rules {
            max_ttl,
            min_ttl,
            stale_seconds: seconds("serve-stale", &flags.serve_stale, 0, STALE_SECONDS_MAX)?,
            stale_patience: Duration::from_millis(patience.into()),
            rebind_protection: flags.rebind_protection,
            rebind_allow: names("rebind-allow", &flags.rebind_allow)?,
        },
        fallthrough,
    })
}

/// Octets of all caches: one for each core, and one for TCP.
fn octets(cli: &Cli, cores: usize) -> Result<usize, Failure> {
    let (least, most) = (
        (cores + 1) * CACHE_SHARE_OCTETS_MIN,
        (cores + 1).saturating_mul(CACHE_SHARE_OCTETS_MAX),
    );
    if !cli.is_given("cache-size") {
        return Ok(CACHE_OCTETS_DEFAULT.max(least));
    }
    let (least_shown, most_shown) = (least.div_ceil(MEBIBYTE), most / MEBIBYTE);
    let value = &cli.flags.caching.cache_size;
    let size = value
        .trim()
        .parse()
        .ok()
        .and_then(|mebibytes: usize| mebibytes.checked_mul(MEBIBYTE));
    match size {
        Some(size) if size == 0 || (least..=most).contains(&size) => Ok(size),
        _ => {
            let cores = if cores == 1 {
                "one core".to_owned()
            } else {
                format!("{cores} cores")
            };
            let remedy =
                format!("give mebibytes: for {cores} from {least_shown} to {most_shown}, or 0 for no cache");
            Err(cli.refusal("cache-size", value, remedy))
        }
    }
}

const _: () = assert!(CACHE_TTL_MAX == 86_400, "the help says so");
const _: () = assert!(STALE_PATIENCE_DEFAULT.as_millis() == 1800, "the help says so");
const _: () = assert!(PATIENCE_MAX_MS == 2500, "the help says so");
const _: () = assert!(CACHE_OCTETS_DEFAULT == 32 * MEBIBYTE, "the help says so");
