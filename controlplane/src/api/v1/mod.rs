//! Our own interface: everything that SkyDNS's lacks.
//!
//! ```text
//!  /v1/services              GET, a page at a time
//!  /v1/services/{id}         GET PUT PATCH DELETE, each only if it is as expected (ETag)
//!  /v1/services/{id}/heartbeat  POST
//!  /v1/events                GET, server-sent events of every change
//!  /v1/explain               GET, why a question is answered as it is
//!  /v1/settings              GET, what is in force, without secrets
//!  /v1/cache/flush           POST, forget what other servers answered
//!  /v1/openapi.json          GET, all of this for programs
//! ```
//!
//! Errors are problems (RFC 9457) that name the field. Nothing of a write is done unless all of it can be.

mod cache;
mod condition;
mod events;
mod explain;
mod listed;
mod openapi;
mod services;
mod settings;
mod shown;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::Shared;
use super::problem::Problem;

pub use cache::FlushCache;
pub use explain::{Others, Rehearse, Rehearsed};
pub use settings::Setting;

/// Content type of what this gives.
const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

/// Its routes.
pub(super) fn router(flush_cache: FlushCache) -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/services", get(listed::list))
        .route(
            "/v1/services/{id}",
            get(services::one)
                .put(services::put)
                .patch(services::patch)
                .delete(services::remove),
        )
        .route("/v1/services/{id}/heartbeat", post(services::beat))
        .route("/v1/events", get(events::watch))
        .route("/v1/explain", get(explain::show))
        .route("/v1/settings", get(settings::show))
        .route("/v1/openapi.json", get(openapi::show))
        .merge(cache::router(flush_cache))
        .route("/v1/{*rest}", axum::routing::any(not_found))
        .method_not_allowed_fallback(wrong_method)
}

async fn not_found(uri: Uri) -> Problem {
    let path = uri.path();
    let detail = format!("there is no {path}; GET /v1/openapi.json lists what there is");
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    let detail = format!("{path} has no {method}; the Allow header lists what it has");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("maps of text and numbers are JSON")
}
