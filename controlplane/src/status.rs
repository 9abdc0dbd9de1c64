//! How the control plane is doing, at one moment: for the start-up report, `/ready` and `/metrics`.

use arcstr::ArcStr;
use dns::Name;

use crate::docker::{Census, EngineCounters, EngineState, Watch};
use crate::service::Source;
use crate::store::Kept;

/// How the control plane is doing. The pipeline and the watches keep one up to date in a
/// `tokio::sync::watch`.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Every configured engine.
    pub engines: Vec<EngineStatus>,
    /// Whether everything that the engines told us first is in what we serve. Never turns false again: while
    /// an engine is away its last records keep serving.
    pub is_complete: bool,
    /// What was published last.
    pub published: Published,
    /// What became of services that were registered before the start.
    pub kept: Kept,
}

/// One engine.
#[derive(Clone, Debug)]
pub struct EngineStatus {
    /// Where it is, for example `unix:///var/run/docker.sock`.
    pub endpoint: ArcStr,
    /// Whether we are connected, and to what; or why not.
    pub state: EngineState,
    /// Whether all that it told us first is in what we serve.
    pub is_synced: bool,
    /// What its watch counts.
    pub counters: EngineCounters,
    /// All of its containers, and why each has names or none.
    pub census: Census,
}

/// What was published last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Serial of the snapshot.
    pub serial: u32,
    /// Names with records.
    pub names: usize,
    /// Services that have names.
    pub services: usize,
    /// The name of one of them, to try.
    pub sample: Option<Name>,
}

impl Status {
    /// Before anything is known of `engines`.
    pub(crate) fn of(engines: &[Watch]) -> Self {
        let engines = engines.iter().map(|watch| EngineStatus {
            endpoint: watch.endpoint.to_string().into(),
            state: EngineState::Connecting,
            is_synced: false,
            counters: watch.counters.clone(),
            census: watch.census.clone(),
        });
        Self {
            engines: engines.collect(),
            ..Self::default()
        }
    }

    /// What is missing until we are ready, a line each; nothing once we are.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        if self.is_complete {
            return Vec::new();
        }
        let waiting = self.engines.iter().filter(|engine| !engine.is_synced);
        let lines: Vec<_> = waiting.map(EngineStatus::sentence).collect();
        // Between the last engine's word and its publication nothing else is missing.
        if lines.is_empty() {
            vec!["first publication: under way".to_owned()]
        } else {
            lines
        }
    }

    /// Engines whose last names are served while they are away, a line each.
    #[must_use]
    pub fn away(&self) -> Vec<String> {
        let away = |engine: &&EngineStatus| engine.is_synced && !engine.is_connected();
        let lines = self.engines.iter().filter(away).map(EngineStatus::sentence);
        lines
            .map(|line| format!("{line}; its last names are served"))
            .collect()
    }

    /// Takes note that what `synced` told us is in what we serve.
    pub(crate) fn served(&mut self, synced: &[Source], published: Published) {
        for engine in &mut self.engines {
            let is_it = |source: &Source| {
                source
                    .endpoint()
                    .is_some_and(|endpoint| **endpoint == *engine.endpoint)
            };
            engine.is_synced |= synced.iter().any(is_it);
        }
        self.is_complete = self.engines.iter().all(|engine| engine.is_synced);
        self.published = published;
    }
}

impl EngineStatus {
    /// Whether we hear the engine's events.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.state, EngineState::Connected { .. })
    }

    fn sentence(&self) -> String {
        let endpoint = &self.endpoint;
        match &self.state {
            EngineState::Connecting => format!("engine {endpoint}: connecting"),
            EngineState::Connected { version, .. } => {
                format!("engine {endpoint}: connected to {version}, its containers are being named")
            }
            EngineState::Away { reason, remedy, .. } => format!("engine {endpoint}: {reason}; {remedy}"),
        }
    }
}
