//! The HTTP interface: what there is to ask for, here; who may ask, in `guard`; and who may keep asking, in
//! `connections`.
//!
//! ```text
//!  connections ─▶ counts ─▶ guard: Host ─┬─▶ status                 /health /ready
//!                                        ├─▶ guard: rate ─────────┬─▶ status   /metrics
//!                                        │                        └─▶ 404, with what there is
//!                                        └─▶ guard: secret, rate ─┬─▶ skydns   as SkyDNS v1 had it
//!                                                                 └─▶ v1       our own
//! ```

mod body;
mod callbacks;
mod connections;
mod counts;
mod guard;
mod problem;
mod renewal;
mod secret;
mod skydns;
mod status;
mod tls;
mod v1;
mod view;
mod whole;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::callbacks::run as call;
pub(crate) use self::connections::serve;
pub use self::renewal::Renewal;
pub use self::secret::{Secret, SecretError};
pub use self::tls::{Tls, TlsError};
pub use self::v1::{FlushCache, Others, Rehearse, Rehearsed, Setting};
use crate::docker::Sighting;
use crate::feed::Feed;
use crate::metrics::Exposition;
use crate::pipeline::Look;
use crate::status::Status;
use crate::store::Store;

/// What there is to ask for, as the 404 says it.
const ROUTES: &str = "\
not found; there is:
  GET /health   200 while the process answers
  GET /ready    200 once everything that the engines told us first is served, else 503 and what is missing
  GET /metrics  counters for Prometheus (OpenMetrics text)
  GET /v1/openapi.json  all of it, for programs: services, events, explanations, settings, the cache
  GET /skydns/services/ and the rest of SkyDNS v1
";

/// Who may ask, and for what.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// What whoever asks for services has to know; nothing: everybody may.
    pub secret: Option<Secret>,
    /// Names of this host, by which it may be asked besides `localhost` and addresses.
    pub names: Vec<String>,
    /// Whether it may be asked by any name, and though others than this host can reach it.
    pub is_open: bool,
    /// With what connections are encrypted; nothing: they are not.
    pub tls: Option<Tls>,
    /// What is shown of our settings; no secrets.
    pub settings: Vec<Setting>,
}

/// What the routes read.
pub(crate) struct Shared {
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) exposition: Exposition,
    pub(crate) store: Store,
    pub(crate) looks: mpsc::Sender<Look>,
    pub(crate) rehearse: Rehearse,
    pub(crate) feed: Feed,
    pub(crate) settings: Vec<Setting>,
    pub(crate) stop: CancellationToken,
    /// A place for each list that SkyDNS gave whole.
    lists: whole::Lists,
    counts: counts::Counts,
    guard: guard::Guard,
}

impl Shared {
    /// Puts together what the routes read.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one thing that a route reads, and there is one caller"
    )]
    pub(crate) fn new(
        status: watch::Receiver<Status>,
        mut exposition: Exposition,
        store: Store,
        looks: mpsc::Sender<Look>,
        rehearse: Rehearse,
        feed: Feed,
        access: Access,
        stop: CancellationToken,
    ) -> Self {
        let Access {
            secret,
            names,
            is_open,
            settings,
            tls: _,
        } = access;
        let guard = guard::Guard::new(secret, &names, is_open);
        let counts = counts::Counts::default();
        exposition.add(|registry| {
            store.counts().register(registry);
            counts.register(registry);
        });
        Self {
            status,
            exposition,
            store,
            looks,
            rehearse,
            feed,
            settings,
            stop,
            lists: whole::Lists::new(),
            counts,
            guard,
        }
    }

    /// All containers of all engines, by engine and name.
    fn sightings(&self) -> Vec<Sighting> {
        let status = self.status.borrow();
        let engines = status.engines.iter();
        engines.flat_map(|engine| engine.census.all()).collect()
    }
}

/// All routes.
pub(crate) fn router(shared: Shared, flush_cache: FlushCache) -> Router {
    let shared = Arc::new(shared);
    let guarded = skydns::router()
        .merge(v1::router(flush_cache))
        .layer(from_fn_with_state(shared.clone(), guard::callers));
    // Without the two that decide whether we are ended: nobody else's requests may have them refused.
    let others = Router::new()
        .route("/metrics", get(status::metrics))
        .route("/raft", any(skydns::raft))
        .route("/raft/{*rest}", any(skydns::raft))
        .fallback(not_found)
        .layer(from_fn_with_state(shared.clone(), guard::others));
    Router::new()
        .route("/health", get(status::health))
        .route("/ready", get(status::ready))
        .merge(others)
        .merge(guarded)
        .layer(from_fn_with_state(shared.clone(), guard::hosts))
        .layer(from_fn_with_state(shared.clone(), counts::requests))
        .with_state(shared)
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, ROUTES).into_response()
}

#[cfg(test)]
mod tests;
