//! What the HTTP interface counts, for `/metrics`.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Shared;

/// Requests by what was asked for and what was answered. All three are from short lists, whoever asks.
type Requests = Family<[(&'static str, String); 3], Counter>;

/// What the HTTP interface counts. Clones count into the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    requests: Requests,
    watchers: Gauge,
}

/// One that watches events, until it is dropped.
pub(super) struct Watching(Gauge);

impl Counts {
    /// Has all of them shown.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Requests to the HTTP interface; 429 are those beyond the rate limit, the route `none` is any other path",
            self.requests.clone(),
        );
        registry.register(
            "http_watchers",
            "Connections that are told of each change",
            self.watchers.clone(),
        );
    }

    /// One more watches.
    pub(super) fn watching(&self) -> Watching {
        self.watchers.inc();
        Watching(self.watchers.clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts every request with its answer.
pub(super) async fn requests(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let method = known(request.method()).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("route", route), ("method", method), ("status", status)];
    shared.counts.requests.get_or_create(&labels).inc();
    response
}

/// `method`, if it is one that there is; whoever asks may invent others.
fn known(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "PUT" | "PATCH" | "POST" | "DELETE" | "OPTIONS") => known,
        _ => "other",
    }
}
