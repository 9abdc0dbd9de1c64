//! `/cache/flush`: what the data plane keeps of other servers' answers is to be forgotten.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::routing::post;
use dns::{Name, NameError};
use serde::Deserialize;

use super::Shared;
use super::problem::Problem;

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
        .route("/cache/flush", post(forget))
        .with_state(flush)
}

async fn forget(
    State(flush): State<FlushCache>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<String, Problem> {
    let Query(Asked { name }) = asked.map_err(|error| Problem::invalid("name", error.body_text()))?;
    let Some(name) = name else {
        flush(None);
        return Ok("every answer that was kept is forgotten\n".to_owned());
    };
    let name: Name = name
        .parse()
        .map_err(|error: NameError| Problem::invalid("name", error.to_string()))?;
    flush(Some(&name));
    Ok(format!(
        "every answer that was kept for {name} and below it is forgotten\n"
    ))
}
