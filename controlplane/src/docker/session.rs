//! One connection to the engine, from the first request until it breaks.
//!
//! ```text
//!  connect ─▶ subscribe to events ─▶ list ─▶ inspect whom it tells too little of ─▶ one Change::Reset ─▶ follow the
//!                                  │  ▲                                               events, inspect the rest  │
//!                                  │  └─ soon after the first, then every few minutes ──────────────────────────┘
//!                                  └─▶ list networks ─▶ Change::Networks, again when one comes or goes
//! ```
//!
//! All of it is one task and one `select!`. Neither an inspect that hangs nor a pipeline that is slow keeps it from
//! reading events: an engine drops what a slow reader leaves, without a word. What there is to do is the tracker's to
//! say; here it is done.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use arcstr::ArcStr;
use futures_util::stream::{FuturesUnordered, Stream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::container::Container;
use super::engine::Engine;
use super::events::News;
use super::failure::Failure;
use super::listed::Listed;
use super::memory::{Look, Memory, Step};
use super::networks::Networks;
use super::state::EngineState;
use super::tracker::{CONTAINERS_MAX, ListTicket, Tracker};
use super::{Pace, Watch};
use crate::plugin::Plugins;
use crate::service::Change;

/// Lines that a list may have; those of containers that have ended among them. A longer one counts as failed.
const LISTED_MAX: usize = 8 * CONTAINERS_MAX;

/// Why a session ended without a fault.
pub(super) struct Stopped;

/// What a session talks to: where changes and the state go, and who stops it.
pub(super) struct Outlets {
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) state: watch::Sender<EngineState>,
    pub(super) stop: CancellationToken,
}

/// Connects, and serves until the engine fails or we are stopped. It fails when an answer takes longer than `deadline`.
///
/// # Errors
///
/// The [`Failure`] that ended it. What `memory` holds stays true as far as we know.
pub(super) async fn serve(
    watch: &Watch,
    deadline: Duration,
    memory: &mut Memory,
    outlets: &Outlets,
) -> Result<Stopped, Failure> {
    let engine = tokio::select! {
        () = outlets.stop.cancelled() => return Ok(Stopped),
        engine = Engine::connect(&watch.endpoint, deadline) => engine?,
    };
    let mut events = pin!(engine.events());
    let mut listing = Some(Listing::begin(&engine, memory, watch));
    let mut lists = Lists::new(watch.pace);
    let mut inspects = FuturesUnordered::new();
    let mut networks = Networks::new(Instant::now());
    let mut network_lists = FuturesUnordered::new();
    let mut networks_are_refused = false;
    let mut overflowed = memory.tracker.overflowed();
    let mut plugins = watch.plugins.as_ref().map(Plugins::changed);
    loop {
        let now = Instant::now();
        memory.tracker.tick(now);
        while let Some(id) = memory.tracker.next_inspect(now) {
            inspects.push(look(&engine, watch, id, Step::Inspect));
        }
        memory.tracker.gather(now);
        if listing.is_none() && now >= lists.next_at {
            listing = Some(Listing::begin(&engine, memory, watch));
            networks.changed();
        }
        if memory.is_missing_networks() {
            networks.changed();
        }
        if networks.ask() {
            network_lists.push(engine.networks());
        }
        report(watch, &memory.tracker, &engine, &outlets.state);
        if memory.tracker.overflowed() > overflowed {
            if overflowed == 0 {
                tracing::warn!(endpoint = %watch.endpoint, "over {CONTAINERS_MAX} containers; the rest get no names");
            }
            overflowed = memory.tracker.overflowed();
        }
        let networks_awaited = networks.awaited_until(now);
        let wake_at = memory
            .tracker
            .wake_at()
            .into_iter()
            .chain(listing.is_none().then_some(lists.next_at))
            .chain(networks_awaited)
            .min();
        tokio::select! {
            () = outlets.stop.cancelled() => return Ok(Stopped),
            event = events.next() => {
                let event = event.ok_or(Failure::EventsEnded)??;
                watch.counters.count_event();
                match event {
                    Some(News::Container(event)) => {
                        tracing::debug!(container = %event.container, effect = ?event.effect, "engine event");
                        memory.event(&event, Instant::now());
                    }
                    Some(News::Networks) => networks.changed(),
                    None => {}
                }
            }
            // Which lines tell all depends on the networks that containers are on.
            lines = Listing::next(&mut listing), if networks_awaited.is_none() => {
                if let Some(lines) = lines? {
                    let lines = lines.into_iter().map(|line| memory.line(line));
                    Listing::take(&mut listing, lines)?;
                } else if let Some(Listing { asked, lines, .. }) = listing.take() {
                    memory.listed(asked, lines, Instant::now());
                    lists.done();
                }
            }
            Some((id, found)) = inspects.next() => {
                if !matches!(found, Look::Asked(..)) {
                    watch.counters.count_inspect(matches!(found, Look::Failed));
                }
                if let Some(step) = memory.looked(&id, found, watch, Instant::now()) {
                    inspects.push(look(&engine, watch, id, step));
                }
            }
            () = changed(&mut plugins) => memory.tracker.renew(Instant::now()),
            Some(answer) = network_lists.next() => {
                // That the engine is gone is said where the session ends.
                if let Err(failure) = &answer
                    && !failure.is_unreachable()
                    && !std::mem::replace(&mut networks_are_refused, true)
                {
                    let trouble = failure.explain(&watch.endpoint);
                    tracing::warn!(
                        "answers do not depend on the client's network: {}; {}",
                        trouble.reason,
                        trouble.remedy,
                    );
                }
                if let Ok(list) = &answer {
                    memory.networks(list, Instant::now());
                }
                networks.answered(answer.ok().map(|list| list.networks));
            }
            permit = outlets.changes.reserve(),
                if networks.has_news() || networks_awaited.is_none() && memory.has_change(now) =>
            {
                // The pipeline is gone only when the whole program ends.
                let Ok(permit) = permit else { return Ok(Stopped) };
                if let Some(networks) = networks.next() {
                    let source = memory.source().clone();
                    permit.send(Change::Networks { source, networks });
                } else if let Some(change) = memory.next_change() {
                    if matches!(change, Change::Reset { .. }) {
                        watch.counters.count_resync();
                    }
                    permit.send(change);
                }
            }
            () = sleep_until(wake_at) => {}
        }
    }
}

/// Tells the state's readers if it has changed, and the log if we are connected anew.
fn report(watch: &Watch, tracker: &Tracker, engine: &Engine, state: &watch::Sender<EngineState>) {
    if !tracker.is_synced() {
        return;
    }
    let containers = tracker.services();
    state.send_if_modified(|state| match state {
        EngineState::Connected {
            containers: known, ..
        } => std::mem::replace(known, containers) != containers,
        EngineState::Connecting | EngineState::Away { .. } => {
            let (version, api) = (engine.version.clone(), engine.api.clone());
            tracing::info!(
                "connected to {version} at {}, API {api}; containers with names: {containers}",
                watch.endpoint
            );
            if engine.is_old {
                tracing::warn!(
                    "{version} speaks an API older than 1.41, the oldest we were tried with; update it if names are missing"
                );
            }
            *state = EngineState::Connected {
                version,
                api,
                containers,
            };
            true
        }
    });
}

/// Does what is next to be done to know the container `id`: inspects it; or, where that was done and it has the network
/// of another, that other one; or asks the plugins. A failure is logged at debug level: it is tried again, and given up
/// aloud.
async fn look(engine: &Engine, watch: &Watch, id: ArcStr, step: Step) -> (ArcStr, Look) {
    let shares = match step {
        Step::Inspect => None,
        Step::Owner(container, owner) => Some((container, owner)),
        Step::Plugins(question) => {
            let built_in = question.built_in.clone();
            let services = match &watch.plugins {
                Some(plugins) => plugins.apply(&question.seen, built_in).await,
                None => vec![built_in],
            };
            return (id, Look::Asked(question, services));
        }
    };
    let asked = shares.as_ref().map_or(&id, |(_, owner)| owner).clone();
    let found = match engine.inspect(&asked).await {
        Ok(Some(answer)) => {
            // One id for a container, held once.
            let found: ArcStr = if answer.id.is_empty() || answer.id == *asked {
                asked.clone()
            } else {
                answer.id.as_str().into()
            };
            Some(Box::new(Container::from_inspect(found, answer)))
        }
        Ok(None) => None,
        Err(failure) => {
            tracing::debug!(container = %asked, reason = %failure.explain(&watch.endpoint).reason, "inspect failed");
            return (id, Look::Failed);
        }
    };
    let look = match (shares, found) {
        (Some((container, owner)), found) => Look::Sharing(container, owner, found),
        (None, Some(container)) => Look::Found(container),
        (None, None) => Look::Absent,
    };
    (id, look)
}

/// Waits until other plugins are in force.
async fn changed(plugins: &mut Option<watch::Receiver<u64>>) {
    match plugins {
        // Its sender lives as long as the plugins, which the watch holds.
        Some(plugins) => {
            if plugins.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// A list that is under way.
struct Listing {
    asked: ListTicket,
    answer: Pin<Box<dyn Stream<Item = Result<Vec<Listed>, Failure>> + Send>>,
    /// What has come of it.
    lines: Vec<Listed>,
}

impl Listing {
    fn begin(engine: &Engine, memory: &Memory, watch: &Watch) -> Self {
        Self {
            asked: memory.tracker.list_began(),
            answer: Box::pin(engine.list(memory.lines(watch))),
            // Most of it is known, but at the first list.
            lines: Vec::with_capacity(memory.tracker.services()),
        }
    }

    /// Waits for more of the list, if one is under way; none when that was all.
    async fn next(listing: &mut Option<Self>) -> Result<Option<Vec<Listed>>, Failure> {
        match listing {
            Some(Self { answer, .. }) => answer.try_next().await,
            None => std::future::pending().await,
        }
    }

    /// Keeps what was read of it.
    fn take(listing: &mut Option<Self>, lines: impl Iterator<Item = Listed>) -> Result<(), Failure> {
        let Some(Self { lines: kept, .. }) = listing else {
            return Ok(());
        };
        kept.extend(lines);
        if kept.len() > LISTED_MAX {
            return Err(Failure::TooLong {
                what: "list containers",
            });
        }
        Ok(())
    }
}

/// How much longer the third list waits than the second: longer than an engine's list shows what has ended.
const SETTLED_AFTER: u32 = 12;

/// When to list again.
struct Lists {
    pace: Pace,
    done: u32,
    next_at: Instant,
}

impl Lists {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            done: 0,
            next_at: Instant::now() + pace.relist_first,
        }
    }

    fn done(&mut self) {
        self.done = self.done.saturating_add(1);
        // What was going on as we came is settled by the third one, whatever the first two still showed.
        let wait = match self.done {
            1 => self.pace.relist_first,
            2 => self
                .pace
                .relist_first
                .saturating_mul(SETTLED_AFTER)
                .min(self.pace.relist),
            _ => self.pace.relist,
        };
        self.next_at = Instant::now() + wait;
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep(at.saturating_duration_since(Instant::now())).await,
        None => std::future::pending().await,
    }
}
