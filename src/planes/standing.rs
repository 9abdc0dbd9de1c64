//! How everything stands: what the report tells, and what the log tells later.

use std::net::{IpAddr, SocketAddr};

use controlplane::docker::EngineState;
use controlplane::{EngineStatus, Kept, Published, Status};
use dataplane::cores::Shown;
use tokio::sync::watch;

use crate::listen::Fallback;
use crate::report::Report;
use crate::settings::Settings;
use crate::upstreams::Upstreams;

/// What the report tells that does not change.
pub(super) struct Facts {
    pub(super) settings: Settings,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) workers: String,
    pub(super) fallback: Option<Fallback>,
    pub(super) notes: Vec<String>,
    pub(super) bridge: Vec<IpAddr>,
    pub(super) upstreams: Upstreams,
    pub(super) admin: String,
}

impl Facts {
    /// The report, where the control plane stands at `status`.
    pub(super) fn report(&self, status: &Status) -> Report {
        Report {
            engines: status.engines.iter().map(engine_shown).collect(),
            zones: self.settings.zones.iter().map(ToString::to_string).collect(),
            listeners: self.listeners.clone(),
            workers: self.workers.clone(),
            fallback: self.fallback.clone(),
            notes: self.notes.clone(),
            upstreams: self.upstreams.to_string(),
            resolved: self.upstreams.are_resolved(),
            bridge: self.bridge.clone(),
            admin: self.admin.clone(),
            kept: kept_shown(&status.kept),
            names: match status.published {
                Published { names: 0, .. } => {
                    "none yet; a line is logged for each that comes or goes".to_owned()
                }
                Published {
                    names, services: 1, ..
                } => format!("{names}, of 1 service"),
                Published { names, services, .. } => format!("{names}, of {services} services"),
            },
            sample: status.published.sample.as_ref().map(ToString::to_string),
            environment: self.settings.environment.clone(),
        }
    }
}

/// `http://127.0.0.1:8053, open to this host`.
pub(super) fn admin_shown(settings: &Settings) -> String {
    let who = match (&settings.rest.secret, settings.http.address.ip().is_loopback()) {
        (Some(_), _) => "to whoever has the secret",
        (None, true) => "to this host",
        (None, false) => "to everybody who can reach it",
    };
    let scheme = if settings.rest.tls.is_some() {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{}, open {who}", settings.http.address)
}

/// `kept in /var/lib/skydock; 3 were`.
fn kept_shown(kept: &Kept) -> String {
    let Some(directory) = &kept.directory else {
        return "kept in memory alone: they end with skydock".to_owned();
    };
    let mut shown = format!("kept in {}", directory.display());
    if kept.services > 0 {
        shown += &format!("; {} were", kept.services);
    }
    if let Some(aside) = &kept.quarantined {
        shown += &format!("\nwhat was kept cannot be read, and is {} now", aside.display());
    }
    if let Some(reason) = &kept.failing {
        shown += &format!("\n{reason}");
    }
    shown
}

/// `2 cores (0-1) with io_uring`.
pub(super) fn workers_shown(engine: dataplane::Engine, cores: &[usize]) -> String {
    let plural = if cores.len() == 1 { "core" } else { "cores" };
    let engine = match engine {
        dataplane::Engine::Glommio => "io_uring",
        dataplane::Engine::Threads => "threads",
    };
    format!("{} {plural} ({}) with {engine}", cores.len(), Shown::of(cores))
}

/// Where we stand with an engine, as a sentence.
fn engine_shown(engine: &EngineStatus) -> String {
    match &engine.state {
        EngineState::Connected { version, api, .. } => format!("{version} at {}, API {api}", engine.endpoint),
        EngineState::Connecting => format!("{} has not answered yet; skydock keeps trying", engine.endpoint),
        EngineState::Away { reason, remedy, .. } => format!("{reason}; skydock keeps trying\n{remedy}"),
    }
}

/// Whether each engine has answered, or is known not to.
pub(super) fn are_found_out(status: &Status) -> bool {
    let is_open = |engine: &EngineStatus| matches!(engine.state, EngineState::Connecting);
    !status.engines.iter().any(is_open)
}

/// Logs what the report would have said of engines that are away, once that is known.
pub(super) async fn tell_what_was_found_out(status: &mut watch::Receiver<Status>) {
    // An error is the end of the control plane, which is told elsewhere.
    let Ok(status) = status.wait_for(are_found_out).await else {
        return;
    };
    for engine in &status.engines {
        if let EngineState::Away { reason, remedy, .. } = &engine.state {
            tracing::warn!("{reason}; {remedy}");
        }
    }
}
