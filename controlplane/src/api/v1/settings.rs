//! `/v1/settings`: what is in force.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{JSON, json};
use crate::api::Shared;

/// One setting that is in force. Secrets are none of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its flag, without dashes: `rate-limit`.
    pub name: String,
    /// Its values, as they were written.
    pub values: Vec<String>,
    /// Where they are from: `default`, `environment` or `command line`.
    pub origin: &'static str,
}

#[derive(Serialize)]
struct Shown<'s> {
    version: &'static str,
    settings: &'s [Setting],
    store: Store,
}

/// What becomes of services that are registered.
#[derive(Serialize)]
struct Store {
    /// Where they are kept; nowhere, if nothing.
    directory: Option<String>,
    /// Why none can be registered at the moment.
    failing: Option<String>,
    /// Where a file that could not be read was put at the start.
    quarantined: Option<String>,
}

pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let kept = shared.status.borrow().kept.clone();
    let shown = Shown {
        version: env!("CARGO_PKG_VERSION"),
        settings: &shared.settings,
        store: Store {
            directory: kept.directory.map(|path| path.display().to_string()),
            failing: shared.store.failing().map(|failure| failure.to_string()),
            quarantined: kept.quarantined.map(|path| path.display().to_string()),
        },
    };
    ([JSON], json(&shown)).into_response()
}
