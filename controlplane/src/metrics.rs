//! What `/metrics` shows, in CoreDNS's shapes, so that its dashboards need only another prefix.
//!
//! ```text
//!  pipeline ──observes──▶ Metrics ───────────┐
//!  watches, pipeline ──▶ Status ─────────────┼──▶ Exposition ──▶ text
//!  data plane ──▶ CoreCounts, by a closure ──┘
//! ```
//!
//! Counters of the data plane stay there: this crate does not know it, and asks a closure when it is scraped.

mod cores;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use cores::{encode_cores, encode_upstreams};

use crate::docker::EngineCounters;
use crate::service::Change;
use crate::status::{EngineStatus, Status};

/// Content type of what [`Exposition::text`] gives.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters of the data plane, since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounts {
    /// Of each worker.
    pub cores: Vec<CoreCounts>,
    /// Of TCP connections.
    pub streams: StreamCounts,
    /// How each upstream is.
    pub upstreams: Vec<UpstreamState>,
}

/// How an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamState {
    /// Its address, and the name that its certificate must be for.
    pub upstream: String,
    /// `ok`, or one word for why it gives no answers.
    pub state: &'static str,
}

/// What became of TCP connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Connections let in.
    pub accepted: u64,
    /// Connections refused, because there were too many.
    pub refused: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections that ended, by reason.
    pub closed: Vec<(&'static str, u64)>,
}

/// Counters of one worker of the data plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreCounts {
    /// The number of the worker's core; `any` where it is bound to none.
    pub core: Cow<'static, str>,
    /// How its clients reach it: `udp` or `tcp`.
    pub transport: &'static str,
    /// Messages read, those dropped among them.
    pub queries: u64,
    /// Replies sent, by rcode in CoreDNS's spelling: `NOERROR`, `NXDOMAIN`, ..., `other`.
    pub responses: Vec<(Cow<'static, str>, u64)>,
    /// Replies that were cut to fit.
    pub truncated: u64,
    /// Queries sent on to an upstream.
    pub forwards: u64,
    /// Replies of upstreams passed on.
    pub forward_replies: u64,
    /// Queries that no upstream answered in time.
    pub forward_timeouts: u64,
    /// Queries whose forwarding failed at once, or everywhere.
    pub forward_failures: u64,
    /// Queries told what is past its time, as upstreams took too long.
    pub forward_late: u64,
    /// Packets from upstreams that answer nothing that was asked.
    pub forward_mismatches: u64,
    /// Of its cache.
    pub cache: CacheCounts,
    /// Queries whose question an upstream was being asked already.
    pub forward_joins: u64,
    /// Questions sent to upstreams, retries and probes among them.
    pub forward_asks: u64,
    /// Questions sent to upstreams over TCP, as a reply was cut.
    pub forward_streams: u64,
    /// Questions sent to upstreams over TLS.
    pub forward_tls: u64,
    /// Connections over TLS that could not be made, or that broke before the first reply.
    pub forward_tls_failures: u64,
    /// Connections over TLS that ended after they had served.
    pub forward_tls_ends: u64,
    /// Times that forwarding came to a bound, by which.
    pub forward_bounds: Vec<(&'static str, u64)>,
    /// Replies over the rate limit that were sent cut, so that a real client asks over TCP.
    pub rate_slips: u64,
    /// Replies over the rate limit that were sent, since a cookie proved the client's address.
    pub rate_proven: u64,
    /// Packets not answered, by reason.
    pub drops: Vec<(&'static str, u64)>,
    /// Batches of packets received.
    pub batches: u64,
    /// Times the core went to sleep.
    pub parks: u64,
}

/// Counters of the cache of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Queries that it answered, by what it had: `success`, `denial`, `failure`, `stale`.
    pub hits: Vec<(&'static str, u64)>,
    /// Queries that it had nothing for.
    pub misses: u64,
    /// Questions asked again before their answer was over.
    pub refreshes: u64,
    /// Answers and failures kept.
    pub inserts: u64,
    /// Entries that made room for others.
    pub evictions: u64,
    /// Orders to forget that were carried out.
    pub flushes: u64,
    /// Answers kept back because they lead into private networks.
    pub blocked: u64,
    /// Entries there are.
    pub entries: u64,
    /// Octets that they take.
    pub octets: u64,
}

/// Asks the data plane for the counters of all its workers.
pub type CountCores = Arc<dyn Fn() -> WorkerCounts + Send + Sync>;

/// What the pipeline counts. Clones count into the same.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    changes: Family<[(&'static str, String); 2], Counter>,
    publishes: Counter,
    publish_seconds: Histogram,
    skipped: Counter,
}

/// Everything that can be scraped.
pub(crate) struct Exposition {
    registry: Registry,
}

/// Reads what others keep, when it is asked.
struct Planes {
    status: watch::Receiver<Status>,
    count_cores: CountCores,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        // 10 us, one container more, to 0.66 s, a hundred thousand at once.
        let publish_seconds = Histogram::new(exponential_buckets(1e-5, 2.0, 17));
        Self {
            changes: Family::default(),
            publishes: Counter::default(),
            publish_seconds,
            skipped: Counter::default(),
        }
    }

    /// A source told us something.
    pub(crate) fn received(&self, change: &Change) {
        let (kind, source) = match change {
            Change::Put(services) => ("put", &services.first().id.source),
            Change::Remove(id) => ("remove", &id.source),
            Change::Reset { source, .. } => ("reset", source),
            Change::Networks { source, .. } => ("networks", source),
            Change::Carried { source, .. } => ("carried", source),
            Change::Mark(_) => return,
        };
        self.changes
            .get_or_create(&[("source", source.to_string()), ("kind", kind.to_owned())])
            .inc();
    }

    /// A snapshot was published, `took` after its first change was taken from the queue.
    pub(crate) fn published(&self, took: Duration) {
        self.publishes.inc();
        self.publish_seconds.observe(took.as_secs_f64());
    }

    /// A service got no names.
    pub(crate) fn skipped(&self) {
        self.skipped.inc();
    }
}

impl Exposition {
    pub(crate) fn new(metrics: Metrics, status: watch::Receiver<Status>, count_cores: CountCores) -> Self {
        let mut registry = Registry::with_prefix("skydock");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program that answers", version);
        registry.register(
            "changes",
            "Changes that engines told us, repetitions included",
            metrics.changes,
        );
        registry.register("snapshot_publishes", "Snapshots published", metrics.publishes);
        registry.register_with_unit(
            "snapshot_publish_duration",
            "Time from taking changes out of the queue to their publication",
            Unit::Seconds,
            metrics.publish_seconds,
        );
        registry.register(
            "services_skipped",
            "Services that could not be named",
            metrics.skipped,
        );
        registry.register_collector(Box::new(Planes { status, count_cores }));
        Self { registry }
    }

    /// Has what `register` puts there shown, too.
    pub(crate) fn add(&mut self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry);
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    ///
    /// None in practice: a `String` takes whatever is written to it.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Planes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planes").finish_non_exhaustive()
    }
}

impl Collector for Planes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.status.borrow().clone();
        encode_status(&mut encoder, &status)?;
        let counts = (self.count_cores)();
        encode_cores(&mut encoder, &counts.cores)?;
        encode_upstreams(&mut encoder, &counts.upstreams)?;
        encode_streams(&mut encoder, &counts.streams)
    }
}

/// A metric's name, its help, and where it is read.
type Reading<From, Number> = (&'static str, &'static str, fn(&From) -> Number);

fn encode_status(to: &mut DescriptorEncoder<'_>, status: &Status) -> fmt::Result {
    let published = &status.published;
    for (name, help, value) in [
        (
            "snapshot_serial",
            "Serial of the snapshot that is served, as its SOA has it",
            i64::from(published.serial),
        ),
        ("snapshot_names", "Names with records", count(published.names)),
        (
            "snapshot_services",
            "Services that have names",
            count(published.services),
        ),
        (
            "ready",
            "Whether all that the engines told us first is served",
            i64::from(status.is_complete),
        ),
    ] {
        let gauge = ConstGauge::new(value);
        gauge.encode(to.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
    }
    let gauges: [Reading<EngineStatus, bool>; 2] = [
        (
            "engine_connected",
            "Whether we hear the engine's events",
            EngineStatus::is_connected,
        ),
        (
            "engine_synced",
            "Whether all that the engine told us first is served",
            |engine| engine.is_synced,
        ),
    ];
    for (name, help, read) in gauges {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for engine in &status.engines {
            let labels = [("engine", engine.endpoint.to_string())];
            ConstGauge::new(i64::from(read(engine))).encode(family.encode_family(&labels)?)?;
        }
    }
    let counters: [Reading<EngineCounters, u64>; 4] = [
        ("engine_events", "Events received", EngineCounters::events),
        (
            "engine_resyncs",
            "Complete states told to the pipeline",
            EngineCounters::resyncs,
        ),
        (
            "engine_inspects",
            "Inspects that came back",
            EngineCounters::inspects,
        ),
        (
            "engine_inspect_failures",
            "Inspects that failed or took too long",
            EngineCounters::inspect_failures,
        ),
    ];
    for (name, help, read) in counters {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
        for engine in &status.engines {
            let labels = [("engine", engine.endpoint.to_string())];
            ConstCounter::new(read(&engine.counters)).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Containers, by why they have names or none";
    let mut family = to.encode_descriptor("engine_containers", help, None, MetricType::Gauge)?;
    for engine in &status.engines {
        for (standing, containers) in engine.census.counts() {
            let labels = [
                ("engine", engine.endpoint.to_string()),
                ("standing", standing.word().to_owned()),
            ];
            ConstGauge::new(count(containers)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_streams(to: &mut DescriptorEncoder<'_>, streams: &StreamCounts) -> fmt::Result {
    for (name, help, value) in [
        (
            "tcp_connections_accepted",
            "TCP connections let in",
            streams.accepted,
        ),
        (
            "tcp_connections_refused",
            "TCP connections refused because there were too many",
            streams.refused,
        ),
    ] {
        let counter = ConstCounter::new(value);
        counter.encode(to.encode_descriptor(name, help, None, MetricType::Counter)?)?;
    }
    let open = ConstGauge::new(i64::try_from(streams.open).unwrap_or(i64::MAX));
    open.encode(to.encode_descriptor(
        "tcp_connections_open",
        "TCP connections open now",
        None,
        MetricType::Gauge,
    )?)?;
    let mut family = to.encode_descriptor(
        "tcp_connections_closed",
        "TCP connections that ended",
        None,
        MetricType::Counter,
    )?;
    for (reason, connections) in &streams.closed {
        ConstCounter::new(*connections).encode(family.encode_family(&[("reason", *reason)])?)?;
    }
    Ok(())
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
