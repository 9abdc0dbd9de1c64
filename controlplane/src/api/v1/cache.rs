//! `/v1/cache/flush`: what the data plane keeps of other servers' answers is to be forgotten.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use dns::{Name, NameError};
use serde::Deserialize;

use crate::api::Shared;
use crate::api::problem::Problem;

/// Has the data plane forget a name and all below it; `None`: everything.
pub type FlushCache = Arc<dyn Fn(Option<&Name>) + Send + Sync>;

/// What is to be forgotten.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: Option<String>,
}

/// Its route.
pub(super) fn router(flush: FlushCache) -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/cache/flush", post(forget))
        .with_state(flush)
}

async fn forget(
    State(flush): State<FlushCache>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(Asked { name }) = asked?;
    let name = name.map(|name| name.parse::<Name>()).transpose();
    let name = name.map_err(|error: NameError| Problem::invalid("name", error.to_string()))?;
    flush(name.as_ref());
    Ok(StatusCode::NO_CONTENT)
}
