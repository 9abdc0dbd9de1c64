//! `/v1/openapi.json`: the interface, for programs.

use axum::response::{IntoResponse, Response};

use super::JSON;

/// The document. The tests hold it against the routes, and execute its examples.
pub(in crate::api) const DOCUMENT: &str = include_str!("../openapi.json");

pub(super) async fn show() -> Response {
    ([JSON], DOCUMENT).into_response()
}
