//! What others may know of our connection to the engine: its state, and its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Where we stand with a container engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// Not tried yet, or the first try is under way.
    Connecting,
    /// Its events are followed, and the pipeline was told of all containers.
    Connected {
        /// Product and version, for example `Docker 20.10.24`.
        version: String,
        /// Version of its API that we speak, for example `1.41`.
        api: String,
        /// Containers that run and are not paused.
        containers: usize,
    },
    /// Not to be reached. What was known last keeps serving, and we keep trying.
    Away {
        /// Since when, on the monotonic clock.
        since: Instant,
        /// What is wrong, naming the endpoint; a sentence without its full stop.
        reason: String,
        /// What the operator can do about it; likewise.
        remedy: String,
    },
}

/// Counters of one engine, for whoever exports them. Cheap to clone; all clones count the same things.
#[derive(Clone, Debug, Default)]
pub struct EngineCounters(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    events: AtomicU64,
    resyncs: AtomicU64,
    inspects: AtomicU64,
    inspect_failures: AtomicU64,
}

impl EngineCounters {
    /// Events received, those that change nothing included.
    pub fn events(&self) -> u64 {
        self.0.events.load(Ordering::Relaxed)
    }

    /// Complete states sent to the pipeline: one for each connection.
    pub fn resyncs(&self) -> u64 {
        self.0.resyncs.load(Ordering::Relaxed)
    }

    /// Inspects that came back, failed ones included.
    pub fn inspects(&self) -> u64 {
        self.0.inspects.load(Ordering::Relaxed)
    }

    /// Inspects that failed or took too long. One that finds no such container did not fail.
    pub fn inspect_failures(&self) -> u64 {
        self.0.inspect_failures.load(Ordering::Relaxed)
    }

    pub(crate) fn count_event(&self) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_resync(&self) {
        self.0.resyncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_inspect(&self, failed: bool) {
        self.0.inspects.fetch_add(1, Ordering::Relaxed);
        self.0
            .inspect_failures
            .fetch_add(u64::from(failed), Ordering::Relaxed);
    }
}
