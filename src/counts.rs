//! The data plane's counters, in the words of the control plane, which does not know that plane.

use std::borrow::Cow;
use std::sync::Arc;

use controlplane::{CacheCounts, CoreCounts, CountCores, StreamCounts, WorkerCounts};
use dataplane::forward::Conditions;
use dataplane::{Counters, Totals};

use crate::conditions;

/// A closure that reads `counters`, and how upstreams are, for whoever shows them.
pub(crate) fn of(counters: Counters, conditions: Conditions) -> CountCores {
    Arc::new(move || {
        let cores = counters.per_core();
        let streams = counters.streams();
        WorkerCounts {
            cores: cores
                .map(|(core, totals)| of_one(core.to_string().into(), "udp", &totals))
                .chain([of_one("any".into(), "tcp", &counters.tcp())])
                .collect(),
            streams: StreamCounts {
                accepted: streams.accepted,
                refused: streams.refused,
                open: streams.open(),
                closed: streams
                    .closed()
                    .map(|(why, count)| (why.label(), count))
                    .collect(),
            },
            upstreams: conditions::states(&conditions),
        }
    })
}

fn of_one(core: Cow<'static, str>, transport: &'static str, totals: &Totals) -> CoreCounts {
    CoreCounts {
        core,
        transport,
        queries: totals.queries,
        responses: totals
            .replies()
            .map(|(rcode, count)| match rcode {
                Some(rcode) => (Cow::Owned(rcode.to_string()), count),
                None => (Cow::Borrowed("other"), count),
            })
            .collect(),
        truncated: totals.truncated,
        forwards: totals.forwards,
        forward_replies: totals.forward_answers,
        forward_timeouts: totals.forward_timeouts,
        forward_failures: totals.forward_failures,
        forward_late: totals.forward_late,
        forward_mismatches: totals.forward_mismatches,
        cache: CacheCounts {
            hits: totals.cache_answers().collect(),
            misses: totals.cache_misses,
            refreshes: totals.cache_refreshes,
            inserts: totals.cache_inserts,
            evictions: totals.cache_evictions,
            flushes: totals.cache_flushes,
            blocked: totals.cache_blocked,
            entries: totals.cache_entries,
            octets: totals.cache_octets,
        },
        forward_joins: totals.forward_joins,
        forward_asks: totals.forward_asks,
        forward_streams: totals.forward_streams,
        forward_tls: totals.forward_tls,
        forward_tls_failures: totals.forward_tls_failures,
        forward_tls_ends: totals.forward_tls_ends,
        forward_bounds: totals.forward_bounds().collect(),
        rate_slips: totals.rate_slips,
        rate_proven: totals.rate_proven,
        drops: totals.drops().collect(),
        batches: totals.batches,
        parks: totals.parks,
    }
}
