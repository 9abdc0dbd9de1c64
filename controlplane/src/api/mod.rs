//! The admin listener: what there is to ask for, here, and who may keep asking, in `connections`.

mod connections;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

pub(crate) use self::connections::serve;
use crate::metrics::Exposition;
use crate::status::Status;

/// Octets of a body, which no route reads today.
const BODY_OCTETS_MAX: usize = 64 * 1024;

/// What there is to ask for, as the 404 says it.
const ROUTES: &str = "\
not found; there is:
  GET /health   200 while the process answers
  GET /ready    200 once everything that the engines told us first is served, else 503 and what is missing
  GET /metrics  counters for Prometheus (OpenMetrics text)
";

/// What the routes read.
struct Shared {
    status: watch::Receiver<Status>,
    exposition: Exposition,
}

/// All routes.
pub(crate) fn router(status: watch::Receiver<Status>, exposition: Exposition) -> Router {
    Router::new()
        .route("/health", get(status::health))
        .route("/ready", get(status::ready))
        .route("/metrics", get(status::metrics))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .with_state(Arc::new(Shared { status, exposition }))
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, ROUTES).into_response()
}

#[cfg(test)]
mod tests;
