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

/// 200 once everything that the engines told us first is served, and a line for each engine that is away since; else
/// 503, and a line for each part that is missing.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    let status = shared.status.borrow();
    let (missing, away) = (status.missing(), status.away());
    let (code, first, lines) = match missing.is_empty() {
        true => (StatusCode::OK, "ready\n", away),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n", missing),
    };
    let lines = lines.iter().map(|line| format!("{line}\n"));
    (code, lines.fold(first.to_owned(), |text, line| text + &line))
}

/// All counters, in the OpenMetrics text format.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.exposition.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
