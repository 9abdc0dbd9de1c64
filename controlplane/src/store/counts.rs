//! What the store counts, for `/metrics`.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What became of something: `done`, `failed`, `dropped`.
type ByResult = Family<[(&'static str, &'static str); 1], Counter>;

/// What the store and the caller of callbacks count. Clones count into the same.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    commits: ByResult,
    commit_seconds: Histogram,
    commit_writes: Histogram,
    heartbeats: Counter,
    expired: Counter,
    registered: Gauge,
    file_octets: Gauge,
    callbacks: ByResult,
}

/// What became of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// Whoever asked for it has answered.
    Heard,
    /// Nobody has, however often it was tried.
    Unheard,
    /// Too many waited.
    Dropped,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            commits: Family::default(),
            // 0.1 ms, a disk with a battery, to 3.3 s, one that is about to fail.
            commit_seconds: Histogram::new(exponential_buckets(1e-4, 2.0, 16)),
            // 1 to 256, which is all that one transaction takes.
            commit_writes: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            heartbeats: Counter::default(),
            expired: Counter::default(),
            registered: Gauge::default(),
            file_octets: Gauge::default(),
            callbacks: Family::default(),
        }
    }

    /// A transaction of so many writes took so long to be on disk, or failed.
    pub(super) fn committed(&self, writes: usize, took: Duration, is_done: bool) {
        let result = if is_done { "done" } else { "failed" };
        self.commits.get_or_create(&[("result", result)]).inc();
        self.commit_seconds.observe(took.as_secs_f64());
        // No transaction has so many that this loses any.
        self.commit_writes.observe(writes as f64);
    }

    /// Somebody said that a service still lives.
    pub(super) fn beat(&self) {
        self.heartbeats.inc();
    }

    /// So many services ended because nobody said so.
    pub(super) fn expired(&self, services: usize) {
        self.expired.inc_by(services as u64);
    }

    /// So many are registered, in a file of so many octets.
    pub(super) fn now(&self, registered: usize, file_octets: u64) {
        self.registered.set(i64::try_from(registered).unwrap_or(i64::MAX));
        self.file_octets
            .set(i64::try_from(file_octets).unwrap_or(i64::MAX));
    }

    /// This became of a callback.
    pub(crate) fn called(&self, called: Called) {
        self.callbacks.get_or_create(&[("result", called.word())]).inc();
    }

    /// How many callbacks became that.
    #[cfg(test)]
    pub(super) fn times(&self, called: Called) -> u64 {
        self.callbacks.get_or_create(&[("result", called.word())]).get()
    }

    /// Has all of them shown.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "store_services",
            "Services that are registered over HTTP",
            self.registered.clone(),
        );
        registry.register(
            "store_commits",
            "Transactions of the store, those of expiry included",
            self.commits.clone(),
        );
        registry.register_with_unit(
            "store_commit_duration",
            "Time until a transaction was on disk",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register(
            "store_commit_writes",
            "Services that one transaction changed",
            self.commit_writes.clone(),
        );
        registry.register(
            "store_heartbeats",
            "Heartbeats that were taken",
            self.heartbeats.clone(),
        );
        registry.register(
            "store_expired",
            "Services that ended for want of a heartbeat",
            self.expired.clone(),
        );
        registry.register_with_unit(
            "store_file",
            "Size of the file that they are kept in; 0 without one",
            Unit::Bytes,
            self.file_octets.clone(),
        );
        registry.register(
            "callbacks",
            "Requests to tell that a service went",
            self.callbacks.clone(),
        );
    }
}

impl Called {
    fn word(self) -> &'static str {
        match self {
            Self::Heard => "sent",
            Self::Unheard => "failed",
            Self::Dropped => "dropped",
        }
    }
}
