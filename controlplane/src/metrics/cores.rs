//! What workers count, written out.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{CacheCounts, CoreCounts, Reading, UpstreamState};

/// All that workers count.
pub(super) fn encode_cores(to: &mut DescriptorEncoder<'_>, cores: &[CoreCounts]) -> fmt::Result {
    let plain: [Reading<CoreCounts, u64>; 18] = [
        (
            "dns_requests",
            "Messages read, those dropped among them",
            |core| core.queries,
        ),
        ("dns_responses_truncated", "Replies cut to fit", |core| {
            core.truncated
        }),
        ("dns_forwards", "Queries sent on to an upstream", |core| {
            core.forwards
        }),
        ("dns_forward_replies", "Replies of upstreams passed on", |core| {
            core.forward_replies
        }),
        (
            "dns_forward_timeouts",
            "Queries that no upstream answered in time",
            |core| core.forward_timeouts,
        ),
        (
            "dns_forward_failures",
            "Queries that failed because nobody is at any upstream",
            |core| core.forward_failures,
        ),
        (
            "dns_forward_late",
            "Queries told what is past its time, as upstreams took too long",
            |core| core.forward_late,
        ),
        (
            "dns_forward_mismatches",
            "Packets from upstreams that answer nothing that was asked",
            |core| core.forward_mismatches,
        ),
        (
            "dns_forward_joins",
            "Queries whose question an upstream was being asked already",
            |core| core.forward_joins,
        ),
        (
            "dns_forward_asks",
            "Questions sent to upstreams, retries and probes among them",
            |core| core.forward_asks,
        ),
        (
            "dns_forward_streams",
            "Questions sent to upstreams over TCP, as a reply was cut",
            |core| core.forward_streams,
        ),
        (
            "dns_forward_tls",
            "Questions sent to upstreams over TLS",
            |core| core.forward_tls,
        ),
        (
            "dns_forward_tls_failures",
            "Connections over TLS not made, or broken before the first reply",
            |core| core.forward_tls_failures,
        ),
        (
            "dns_forward_tls_ends",
            "Connections over TLS that ended after they had served",
            |core| core.forward_tls_ends,
        ),
        (
            "dns_rate_slips",
            "Replies over the rate limit that were sent cut",
            |core| core.rate_slips,
        ),
        (
            "dns_rate_proven",
            "Replies over the rate limit that were sent to a client proven by its cookie",
            |core| core.rate_proven,
        ),
        ("worker_batches", "Batches of packets received", |core| {
            core.batches
        }),
        ("worker_parks", "Times a worker went to sleep", |core| core.parks),
    ];
    encode_counters(to, &plain, cores, |core| core)?;
    encode_caches(to, cores)?;
    encode_words(to, ("dns_responses", "Replies sent", "rcode"), cores, |core| {
        &core.responses
    })?;
    let help = "Queries not forwarded, or not over TCP, because a bound was reached";
    encode_words(to, ("dns_forward_bounds", help, "bound"), cores, |core| {
        &core.forward_bounds
    })?;
    encode_words(
        to,
        ("dns_drops", "Packets not answered", "reason"),
        cores,
        |core| &core.drops,
    )
}

/// A counter of each core.
fn encode_counters<From>(
    to: &mut DescriptorEncoder<'_>,
    counters: &[Reading<From, u64>],
    cores: &[CoreCounts],
    part: fn(&CoreCounts) -> &From,
) -> fmt::Result {
    for (name, help, read) in counters {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
        for core in cores {
            ConstCounter::new(read(part(core))).encode(family.encode_family(&labels(core))?)?;
        }
    }
    Ok(())
}

/// A counter of which each core has one for each of several words: its name, its help, and what the words are.
fn encode_words<Word: AsRef<str>>(
    to: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, &'static str),
    cores: &[CoreCounts],
    words: fn(&CoreCounts) -> &[(Word, u64)],
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for core in cores {
        for (word, times) in words(core) {
            let [core, transport] = labels(core);
            let labels = [core, transport, (kind, word.as_ref())];
            ConstCounter::new(*times).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// How upstreams are: of all states the one that each is in.
pub(super) fn encode_upstreams(to: &mut DescriptorEncoder<'_>, upstreams: &[UpstreamState]) -> fmt::Result {
    let help = "Whether an upstream answers (ok), or why not, as was last found out";
    let mut family = to.encode_descriptor("dns_upstream_state", help, None, MetricType::Gauge)?;
    for UpstreamState { upstream, state } in upstreams {
        let labels = [("upstream", upstream.as_str()), ("state", state)];
        ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Caches, under the names that CoreDNS gives its own.
fn encode_caches(to: &mut DescriptorEncoder<'_>, cores: &[CoreCounts]) -> fmt::Result {
    let counters: [Reading<CacheCounts, u64>; 6] = [
        ("cache_misses", "Queries that nothing was kept for", |cache| {
            cache.misses
        }),
        (
            "cache_prefetches",
            "Questions asked again before their answer was over",
            |cache| cache.refreshes,
        ),
        ("cache_inserts", "Answers and failures kept", |cache| {
            cache.inserts
        }),
        ("cache_evictions", "Entries that made room for others", |cache| {
            cache.evictions
        }),
        (
            "cache_flushes",
            "Orders to forget that were carried out",
            |cache| cache.flushes,
        ),
        (
            "cache_blocked",
            "Answers kept back because they lead into private networks",
            |cache| cache.blocked,
        ),
    ];
    encode_counters(to, &counters, cores, |core| &core.cache)?;
    let gauges: [Reading<CacheCounts, u64>; 2] = [
        ("cache_entries", "Entries there are", |cache| cache.entries),
        ("cache_bytes", "Octets that entries take", |cache| cache.octets),
    ];
    for (name, help, read) in gauges {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for core in cores {
            let value = i64::try_from(read(&core.cache)).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(family.encode_family(&labels(core))?)?;
        }
    }
    let help = "Queries that were answered with what was kept";
    encode_words(to, ("cache_hits", help, "type"), cores, |core| &core.cache.hits)
}

/// The labels of every counter of a worker; CoreDNS calls the transport `proto` too.
fn labels(core: &CoreCounts) -> [(&'static str, &str); 2] {
    [("core", &core.core), ("proto", core.transport)]
}
