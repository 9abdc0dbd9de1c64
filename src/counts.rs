//! The data plane's counters, in the words of the control plane, which does not know that plane.

use std::borrow::Cow;
use std::sync::Arc;

use controlplane::{CoreCounts, CountCores};
use dataplane::Counters;

/// A closure that reads `counters`, for whoever shows them.
pub(crate) fn of(counters: Counters) -> CountCores {
    Arc::new(move || {
        let cores = counters.per_core();
        cores
            .map(|(core, totals)| CoreCounts {
                core,
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
                drops: totals.drops().collect(),
                batches: totals.batches,
                parks: totals.parks,
            })
            .collect()
    })
}
