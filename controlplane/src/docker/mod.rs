//! The container engine: what runs there, told to the pipeline as [`Change`]s.
//!
//! ```text
//!  endpoint ─▶ session ┬ engine ── events ─┬▶ tracker ── inspect ─▶ container ─▶ publish ─▶ Change::{Put, Remove, Reset}
//!     ▲                │                   │                            labels ──┘ └─▶ census: why it has names or none
//!     │                │                   └▶ networks ── list ─▶ Change::Networks
//!     │                └ fails: failure ─▶ EngineState::Away ─▶ backoff ┐
//!     └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`run`] keeps one engine in view for ever. While the engine is away nothing is sent, so what was known last keeps
//! serving; when it is back, one [`Change::Reset`] tells the whole truth. Requests are GET only.

mod attachment;
mod backoff;
mod carried;
mod census;
mod client;
mod container;
mod described;
mod elements;
mod endpoint;
mod engine;
mod events;
mod failure;
mod image;
pub(crate) mod label;
mod lenient;
mod line;
mod listed;
mod memory;
mod networks;
pub mod once;
mod port;
mod publish;
mod reading;
mod selection;
mod session;
mod sharing;
mod standing;
mod state;
mod stop;
mod stream;
mod tracker;
mod wire;
mod words;

#[cfg(test)]
mod fake_engine;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use census::{Census, Sighting};
pub use endpoint::{Address, Endpoint, EndpointError, Origin, Surroundings, ThisHost};
pub use label::{Complaint, PREFIX_DEFAULT};
pub use publish::ContainerSettings;
pub use selection::{Constraint, ConstraintError, Selection};
pub use standing::Standing;
pub use state::{EngineCounters, EngineState};

use crate::plugin::Plugins;
use crate::service::{Change, Source};
use backoff::{Backoff, Bounds, Patience};
use failure::Trouble;
use memory::Memory;
use session::{Outlets, Stopped};

/// An engine to watch.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Where it is.
    pub endpoint: Endpoint,
    /// What its containers' records get that the containers do not say themselves.
    pub settings: ContainerSettings,
    /// Counted in while [`run`] goes on; keep a clone to read them.
    pub counters: EngineCounters,
    /// All of its containers, kept up to date likewise.
    pub census: Census,
    /// Who decides what its containers are called, where the user brought somebody.
    pub plugins: Option<Plugins>,
    pace: Pace,
}

/// How often and how long; a constant but in tests.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// For the engine's version, an inspect or the networks, body included, and for each part of a list.
    deadline: Bounds,
    /// Between tries to connect.
    backoff: Bounds,
    /// Between looks at whether a unix socket that was missing or refused us takes connections again.
    look: Duration,
    /// From the first list of a connection to the second.
    relist_first: Duration,
    /// From then on between lists.
    relist: Duration,
}

/// - `look`: a few system calls, so that names are right within a second of a local engine's return.
/// - `deadline`: an engine that is alive lists thousands of containers in well under a second. One that has tens of thousands, or
///   has just begun to start them, takes longer, and is given that: up to what would leave nobody in doubt that it hangs.
/// - `relist`: an engine drops the events of a reader that is too slow, and says nothing; a list costs it little.
const PACE: Pace = Pace {
    deadline: Bounds {
        first: Duration::from_secs(5),
        last: Duration::from_secs(120),
    },
    backoff: Bounds {
        first: Duration::from_millis(100),
        last: Duration::from_secs(5),
    },
    look: Duration::from_millis(250),
    relist_first: Duration::from_secs(1),
    relist: Duration::from_secs(5 * 60),
};

impl Watch {
    /// Watches the engine at `endpoint`.
    pub fn new(endpoint: Endpoint, settings: ContainerSettings) -> Self {
        Self {
            endpoint,
            settings,
            counters: EngineCounters::default(),
            census: Census::default(),
            plugins: None,
            pace: PACE,
        }
    }

    /// The source that its services carry: the endpoint's text.
    pub fn source(&self) -> Source {
        Source::Engine(self.endpoint.to_string().into())
    }
}

/// Keeps the engine in view until `stop` is cancelled or the receiver of `changes` is gone.
///
/// Each connection begins with a [`Change::Networks`], unless the engine does not tell, and one [`Change::Reset`] that
/// lists all running containers, paused ones left out; then come [`Change::Put`] and [`Change::Remove`] as containers
/// come, change and go, and further [`Change::Networks`]. A [`Change::Carried`] comes before what else changes with it.
/// While the engine is away nothing is sent, and it is tried
/// again after 100 ms to 5 s, or as soon as its unix socket takes connections. `state` is set on every change of it. A
/// change of it, not a try, is logged.
///
/// A full `changes` keeps no event unread: what waits is merged, one change per container.
pub async fn run(
    watch: Watch,
    changes: mpsc::Sender<Change>,
    state: watch::Sender<EngineState>,
    stop: CancellationToken,
) {
    let outlets = Outlets { changes, state, stop };
    let mut memory = Memory::of(&watch);
    let mut backoff = Backoff::new(watch.pace.backoff);
    let mut patience = Patience::new(watch.pace.deadline);
    loop {
        let began = Instant::now();
        let failure = match session::serve(&watch, patience.deadline(), &mut memory, &outlets).await {
            Ok(Stopped) => return,
            Err(failure) => failure,
        };
        memory.tracker.disconnected();
        away(failure.explain(&watch.endpoint), &outlets.state);
        backoff.lived(began.elapsed());
        patience.ended(failure.is_late());
        tokio::select! {
            () = outlets.stop.cancelled() => return,
            () = tokio::time::sleep(backoff.wait()) => {}
            () = back_at_its_socket(&watch), if failure.is_unreachable() => {}
        }
    }
}

/// Waits until the engine's unix socket takes connections. An engine elsewhere is only tried, never looked at.
async fn back_at_its_socket(watch: &Watch) {
    let Address::Unix(path) = &watch.endpoint.address else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(watch.pace.look).await;
        if UnixStream::connect(path).await.is_ok() {
            return;
        }
    }
}

/// Sets the state to away, and logs why, unless it is away for that reason already.
///
/// What the very first try finds is not logged: it belongs into the report of whoever started us, and once is enough.
fn away(Trouble { reason, remedy }: Trouble, state: &watch::Sender<EngineState>) {
    state.send_if_modified(|state| {
        let since = match state {
            EngineState::Away { reason: known, .. } if *known == reason => return false,
            EngineState::Away { since, .. } => *since,
            EngineState::Connecting | EngineState::Connected { .. } => Instant::now(),
        };
        if !matches!(state, EngineState::Connecting) {
            tracing::warn!("{reason}; {remedy}");
        }
        *state = EngineState::Away {
            since,
            reason,
            remedy,
        };
        true
    });
}
