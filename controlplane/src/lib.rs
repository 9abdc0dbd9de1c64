//! Watches container engines and publishes what runs there as DNS snapshots.
//!
//! ```text
//!  an event
//!     │                                            ┌───────────────── pipeline ──────────────────┐
//!  docker::run ─ inspect ─▶ Service ─▶ Change ══▶ Registry ─▶ Delta ─▶ Compiler ─▶ Snapshot ─▶ Publisher ═▶ workers
//!     │  one task an engine             queue     all that runs     names, records      one swap │
//!     │                                                                                          │
//!     └─▶ EngineState ─▶ Status ◀── what was published ──────────────────────────────────────────┘
//!                          ├─▶ api: /health /ready /metrics
//!                          └─▶ main: the start-up report
//! ```
//!
//! Changes of one engine keep their order. The pipeline alone owns the registry and the publisher; what it
//! cannot name is logged and skipped, and everything else goes on being served. While an engine is away its
//! last records keep serving.
//!
//! Between an inspect and its service stand the plugins, where the user brought any.
//!
//! Modules in the order of the line: [`docker`], [`plugin`], [`service`], `pipeline`, [`registry`], [`naming`],
//! [`compile`]; what is registered over REST, in `store`; then what shows how it goes: [`status`], [`metrics`], `feed`,
//! `api`.

pub mod docker;
pub mod plugin;
pub mod service;
mod store;

mod feed;
mod look;
mod pipeline;

pub mod compile;
pub mod naming;
pub mod registry;

mod api;
pub mod metrics;
pub mod status;

#[cfg(test)]
mod fixture;

use std::path::PathBuf;

use dns::{Builder, Name, Publisher};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

pub use api::{
    Access, FlushCache, Others, Rehearse, Rehearsed, Renewal, Secret, SecretError, Setting, Tls, TlsError,
};
pub use metrics::{CacheCounts, CoreCounts, CountCores, StreamCounts, UpstreamState, WorkerCounts};
pub use pipeline::CHANGES_QUEUED_MAX;
pub use service::{
    Address, Change, Compose, Health, NamedPort, Network, Port, Protocol, Publish, PublishedPort, Service,
    ServiceId, Services, Source, Wishes,
};
pub use status::{EngineStatus, Published, Status};
pub use store::{Defaults, Kept};

use compile::{Compiler, PublishedAt};
use feed::Feed;
use metrics::{Exposition, Metrics};
use naming::Naming;
use pipeline::{LOOKS_QUEUED_MAX, Pipeline};
use store::{Rules, Store};

/// What the control plane is to do.
pub struct Config {
    /// The zones that names are made in, those of the builder; the first is the one that reverse names point
    /// into.
    pub zones: Vec<Name>,
    /// Where clients outside this host and the engines' networks are led to.
    pub published: PublishedAt,
    /// Engines to watch. Without any, what is published stays empty.
    pub engines: Vec<docker::Watch>,
    /// Where HTTP is served, bound already; none serves it nowhere.
    pub admin: Option<TcpListener>,
    /// Who may ask there, and for what.
    pub access: Access,
    /// The files that `access` is from; none if it is from none.
    pub renewal: Option<Renewal>,
    /// What services that are registered there have where they do not say so themselves.
    pub defaults: Defaults,
    /// Where those services are kept; none keeps them nowhere.
    pub data_dir: Option<PathBuf>,
    /// Asks the data plane for its counters, each time metrics are read.
    pub count_cores: CountCores,
    /// Asks it what it would answer, each time somebody asks why.
    pub rehearse: Rehearse,
    /// Has the data plane forget what it keeps of other servers' answers.
    pub flush_cache: FlushCache,
}

/// A part of the control plane came to an end by itself, which none should.
#[derive(Debug, thiserror::Error)]
#[error("the control plane stopped: its {part} ended by itself")]
pub struct PartEnded {
    /// Which part.
    pub part: &'static str,
}

/// Runs the control plane on the current tokio runtime until `stop`, and returns when all of its parts have
/// ended.
///
/// `builder` is the one that made the snapshot `publisher` was connected with. `status` is kept up to date
/// from the first moment on; [`Status::is_complete`] tells the first complete publication.
///
/// # Errors
///
/// [`PartEnded`]: a part ended before `stop`. The others are stopped then: a daemon that watches nothing any
/// more would serve ever older answers and look alive.
pub async fn run(
    config: Config,
    builder: Builder,
    publisher: Publisher,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) -> Result<(), PartEnded> {
    let Config {
        zones,
        published,
        engines,
        admin,
        access,
        renewal,
        defaults,
        data_dir,
        count_cores,
        rehearse,
        flush_cache,
    } = config;
    status.send_replace(Status::of(&engines));
    let stop = stop.child_token();
    // Kept to the end: the pipeline would end with its last sender, and there may be no engine.
    let (changes, queue) = mpsc::channel(CHANGES_QUEUED_MAX);
    let metrics = Metrics::new();
    let mut parts = JoinSet::new();

    let (feed, (looks, looked_at)) = (Feed::new(), mpsc::channel(LOOKS_QUEUED_MAX));
    let naming = Naming::new(zones);
    let compiler = Compiler::new(naming.clone(), builder).published_at(published);
    let pipeline = Pipeline::new(compiler, publisher, status.clone(), metrics.clone(), feed.clone());
    let line = pipeline.run(queue, looked_at, stop.clone());
    parts.spawn(async {
        line.await;
        "pipeline"
    });

    let rules = Rules { defaults, naming };
    let (store, store_parts, kept) = Store::open(data_dir, rules, changes.clone());
    status.send_modify(|status| status.kept = kept);
    let (keep, answer, calls) = store_parts.split();
    // Ends with the store.
    tokio::spawn(answer);
    parts.spawn_blocking(|| {
        keep();
        "store"
    });
    let calling = api::call(calls, stop.clone());
    parts.spawn(async {
        calling.await;
        "caller"
    });
    // It waits for writes, where no token can be seen.
    let (stopping, stopped) = (stop.clone(), store.clone());
    tokio::spawn(async move {
        stopping.cancelled().await;
        stopped.stop();
    });

    if let Some(listener) = admin {
        let exposition = Exposition::new(metrics, status.subscribe(), count_cores);
        let (tls, loaded) = (access.tls.clone(), store.clone());
        let shared = api::Shared::new(
            status.subscribe(),
            exposition,
            store,
            looks,
            rehearse,
            feed,
            access,
            stop.clone(),
        );
        let serving = api::serve(listener, tls, api::router(shared, flush_cache), stop.clone());
        parts.spawn(async move {
            // Whoever asks shall not be told that what was stored is not there.
            loaded.loaded().await;
            serving.await;
            "admin listener"
        });
    }
    if let Some(renewal) = renewal {
        let keeping_up = renewal.keep_up(stop.clone());
        parts.spawn(async {
            keeping_up.await;
            "renewal of certificates"
        });
    }
    if let Some(plugins) = engines.iter().find_map(|engine| engine.plugins.clone()) {
        let keeping_up = plugins.keep_up(stop.clone());
        parts.spawn(async {
            keeping_up.await;
            "plugins"
        });
    }
    for (place, engine) in engines.into_iter().enumerate() {
        let (state, news) = watch::channel(docker::EngineState::Connecting);
        // Ends with its watch, which alone can send to it.
        tokio::spawn(follow(news, place, status.clone()));
        let watching = docker::run(engine, changes.clone(), state, stop.clone());
        parts.spawn(async {
            watching.await;
            "engine watch"
        });
    }

    let mut ended_early = None;
    while let Some(ended) = parts.join_next().await {
        let part = ended.unwrap_or("task that panicked");
        if !stop.is_cancelled() {
            error!("{part} ended by itself; stopping");
            ended_early = Some(PartEnded { part });
            stop.cancel();
        }
    }
    ended_early.map_or(Ok(()), Err)
}

/// Copies the state of one engine into the status of all.
async fn follow(mut news: watch::Receiver<docker::EngineState>, place: usize, status: watch::Sender<Status>) {
    while news.changed().await.is_ok() {
        let state = news.borrow_and_update().clone();
        status.send_modify(|status| {
            if let Some(engine) = status.engines.get_mut(place) {
                engine.state = state;
            }
        });
    }
}

#[cfg(test)]
mod tests;
