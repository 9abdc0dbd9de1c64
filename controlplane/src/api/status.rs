//! `/health`, `/ready` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Shared;
use crate::metrics::CONTENT_TYPE;

/// 200: the process runs and can answer.
pub(super) async fn health() -> &'static str {
    "alive\n"
}

/// 200 once everything that the engines told us first is served; else 503, and a line for each part that is
/// missing.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    let missing = shared.status.borrow().missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready\n{}\n", missing.join("\n")),
    )
}

/// All counters, in the OpenMetrics text format.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.exposition.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
