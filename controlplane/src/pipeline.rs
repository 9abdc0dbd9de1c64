//! The event's line itself: one loop, every step in order.
//!
//! ```text
//!  Change ──queue──▶ Registry::apply ──▶ Delta ──folded──▶ Compiler::apply_all ──▶ Applied
//!                     └─ for each that is queued ─┘                                  │
//!                                                                                    ▼
//!                                Compiler::compile ──▶ Publisher::publish ──▶ Status, metrics, a log line each
//! ```
//!
//! One task owns the registry, the compiler and the publisher, so nothing here is locked. Whatever is queued
//! when it looks becomes one snapshot, and after each it rests for some time: a burst of a thousand containers
//! is a few publications, not a thousand. A change that comes alone is served at once. Of one right behind another the
//! names that very many share are served a little later than its own.

mod looks;
mod telling;

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use dns::Publisher;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

pub(crate) use self::looks::{LOOKS_QUEUED_MAX, Look, Page, PageAsked};
use self::telling::{News, TOLD_AT_ONCE};
use crate::compile::{Applied, Compiler, Remarks};
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::naming::Mapping;
use crate::registry::{Delta, Registry, folded};
use crate::service::{Change, Mark, Network, Source};
use crate::status::{Published, Status};

/// Changes that wait for the pipeline, and most that one snapshot takes in. A source that has one more waits:
/// an engine keeps its events for us, so nothing is lost.
pub const CHANGES_QUEUED_MAX: usize = 1024;

/// A pause after each publication is so many times as long as that took: however many changes come, publishing takes at
/// most a fifth of a core, unless one takes longer than 2.5 ms.
const REST_FACTOR: u32 = 4;

/// The shortest pause, unless somebody waits for what was told: what comes meanwhile is one publication, which takes little more
/// than one of them would.
const REST_MIN: Duration = Duration::from_millis(4);

/// The longest pause: a container that starts right behind another is seen within milliseconds all the same.
const REST_MAX: Duration = Duration::from_millis(10);

/// Names that very many share are compiled once in this time at most, while one change follows another and nobody waits for
/// them.
const CROWDS_EVERY: Duration = Duration::from_millis(100);

/// How long after a publication replaced snapshots are looked at once more: whoever answers has let go of them by then, and
/// who sleeps holds none.
const COLLECT_AFTER: Duration = Duration::from_secs(1);

/// The owner of the registry and of the publisher.
pub(crate) struct Pipeline {
    registry: Registry,
    compiler: Compiler,
    publisher: Publisher,
    /// What was published last.
    published: Published,
    /// From when on names that very many share are compiled again.
    crowds_from: tokio::time::Instant,
    /// Whether what may be left for later is of somebody who waits for it.
    is_awaited: bool,
    /// Replaced snapshots that a worker still held at the last publication, until they are looked at once more.
    retired: usize,
    /// What is served and not told of yet, in order. Hardly more than a first list makes: it is told in the rests that
    /// publications are followed by, in which more comes.
    untold: VecDeque<News>,
    told: HashSet<Mapping>,
    status: watch::Sender<Status>,
    metrics: Metrics,
    feed: Feed,
}

impl Pipeline {
    pub(crate) fn new(
        compiler: Compiler,
        publisher: Publisher,
        status: watch::Sender<Status>,
        metrics: Metrics,
        feed: Feed,
    ) -> Self {
        let (registry, told) = (Registry::default(), HashSet::new());
        // What workers serve until the first change is the snapshot that the publisher was connected with.
        let serial = publisher.reader().load().serial();
        let published = Published {
            serial,
            ..Published::default()
        };
        Self {
            registry,
            compiler,
            publisher,
            published,
            crowds_from: tokio::time::Instant::now(),
            is_awaited: false,
            retired: 0,
            untold: VecDeque::new(),
            told,
            status,
            metrics,
            feed,
        }
    }

    /// Turns changes into snapshots until `stop`, or until nobody is left to send any.
    pub(crate) async fn run(
        mut self,
        mut changes: mpsc::Receiver<Change>,
        mut looks: mpsc::Receiver<Look>,
        stop: CancellationToken,
    ) {
        // Without any engine everything they could tell us is served.
        self.report(&[]);
        let mut batch = Vec::with_capacity(CHANGES_QUEUED_MAX);
        let mut rested_at = tokio::time::Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // What comes meanwhile waits in the queue, and behind it where that is full.
                received = rest_and_receive(rested_at, &mut changes, &mut batch) => {
                    if received == 0 {
                        break;
                    }
                    if let Some(rest) = self.step(batch.drain(..)) {
                        rested_at = tokio::time::Instant::now() + rest;
                    }
                }
                () = sleep_until(self.crowds_from), if self.compiler.is_behind() => {
                    rested_at = tokio::time::Instant::now() + self.catch_up();
                }
                Some(look) = looks.recv() => self.show(look),
                () = yield_now(), if !self.untold.is_empty() => self.tell_some(),
                () = sleep(COLLECT_AFTER), if self.retired > 0 => {
                    self.publisher.collect();
                    self.retired = 0;
                }
            }
        }
        while !self.untold.is_empty() {
            self.tell_some();
        }
    }

    fn show(&self, look: Look) {
        match look {
            Look::All(to) => drop(to.send(self.registry.iter().cloned().collect())),
            Look::Page(asked, to) => drop(to.send(Page::of(&self.registry, &asked))),
            Look::Container(id, to) => drop(to.send(self.registry.container(&id).cloned())),
            Look::Explain(name, qtype, client, to) => {
                drop(to.send(self.compiler.explain(&name, qtype, client)));
            }
        }
    }

    /// Takes in one burst: everything that an event causes, from here to the log, happens in this function. How long to rest
    /// after that; none if nothing had to be published.
    fn step(&mut self, changes: impl Iterator<Item = Change>) -> Option<Duration> {
        let began = Instant::now();
        let mut synced = Vec::new();
        let mut applied = Vec::new();
        let mut deltas = Vec::new();
        let mut carried = Vec::new();
        let mut marks = Vec::new();
        let mut is_new = false;
        for change in changes {
            self.metrics.received(&change);
            if let Change::Mark(mark) = change {
                marks.push(mark);
                continue;
            }
            // Neither what it lists, nor what comes with other networks, is more than one difference for each service.
            if matches!(
                change,
                Change::Reset { .. } | Change::Networks { .. } | Change::Carried { .. }
            ) {
                applied.append(&mut self.take_in(&mut deltas));
            }
            if let Change::Networks { source, networks } = change {
                if self.networks(&source, networks) {
                    is_new = true;
                    // A view that is given to another network must not show what was for the one before.
                    self.crowds_from = tokio::time::Instant::now();
                }
                continue;
            }
            if let Change::Carried { source, carriers } = change {
                carried.extend(self.compiler.carried(&source, carriers));
                continue;
            }
            let reset = match &change {
                Change::Reset { source, .. } => Some(source.clone()),
                _ => None,
            };
            let new = self.registry.apply(change);
            self.is_awaited |= new.iter().any(|delta| delta.source() == &Source::Rest);
            new.iter().for_each(|delta| self.feed.tell(delta));
            match reset {
                Some(source) => {
                    synced.push(source);
                    applied.append(&mut self.compiler.apply_all(&new));
                }
                None => deltas.extend(new),
            }
        }
        applied.append(&mut self.take_in(&mut deltas));
        is_new |= !applied.is_empty() || !carried.is_empty();
        // Who has told all, or waits for what it told, is served all.
        if !synced.is_empty() || self.is_awaited && !marks.is_empty() {
            self.crowds_from = tokio::time::Instant::now();
            is_new |= self.compiler.is_behind();
        }
        let (remarks, took) = if is_new {
            (self.publish(), began.elapsed())
        } else {
            Default::default()
        };
        if is_new {
            self.served(took);
        }
        let is_waited_for = !marks.is_empty();
        marks.into_iter().for_each(Mark::reached);
        if is_new || !synced.is_empty() {
            self.report(&synced);
        }
        self.untold.extend(applied.into_iter().map(News::Applied));
        self.untold.extend(carried.into_iter().map(News::Carried));
        self.untold.push_back(News::Remarks(remarks));
        // What one container causes is in the log as soon as it is served.
        if self.untold.len() <= TOLD_AT_ONCE {
            self.tell_some();
        }
        let least = if is_waited_for { Duration::ZERO } else { REST_MIN };
        is_new.then(|| rest_after(took, least))
    }

    /// Takes in what became of services one after another, and leaves nothing of it: what went and came again meanwhile
    /// only looks different.
    fn take_in(&mut self, deltas: &mut Vec<Delta>) -> Vec<Applied> {
        self.compiler.apply_all(&folded(std::mem::take(deltas)))
    }

    /// Takes in the networks of one source; whether that changes what we serve.
    fn networks(&mut self, source: &Source, networks: Vec<Network>) -> bool {
        match self.compiler.networks(source, networks) {
            Ok(None) => false,
            Ok(Some(left_out)) => {
                if left_out > 0 {
                    warn!(
                        "too many subnets: {left_out} zones of reverse names are asked upstream where we know no name"
                    );
                }
                true
            }
            Err(error) => {
                error!("a subnet's reverse names are asked upstream where we know no name: {error}");
                true
            }
        }
    }

    /// Publishes what was left for later. How long to rest after that.
    fn catch_up(&mut self) -> Duration {
        let began = Instant::now();
        let remarks = self.publish();
        let took = began.elapsed();
        self.served(took);
        self.report(&[]);
        // Behind what is to be told of those whom they are about.
        self.untold.push_back(News::Remarks(remarks));
        rest_after(took, REST_MIN)
    }

    /// Notes a publication, and how long it took.
    fn served(&self, took: Duration) {
        self.metrics.published(took);
        let Published { serial, names, .. } = self.published;
        debug!(serial, names, took_us = took.as_micros(), "published");
    }

    fn publish(&mut self) -> Remarks {
        let began = tokio::time::Instant::now();
        let (snapshot, remarks) = if began < self.crowds_from {
            self.compiler.compile_but_crowds()
        } else {
            let compiled = self.compiler.compile();
            let took = began.elapsed();
            self.crowds_from = began + took + CROWDS_EVERY.max(took.saturating_mul(REST_FACTOR));
            compiled
        };
        self.is_awaited &= self.compiler.is_behind();
        self.published = Published {
            serial: snapshot.serial(),
            names: snapshot.names(),
            services: self.compiler.services(),
            sample: self.compiler.sample(),
        };
        self.retired = self.publisher.publish(snapshot);
        remarks
    }

    fn report(&self, synced: &[Source]) {
        self.status
            .send_modify(|status| status.served(synced, self.published.clone()));
    }
}

/// Waits for changes, from `rested_at` on; how many were put into `batch`, none when nobody is left to send any.
async fn rest_and_receive(
    rested_at: tokio::time::Instant,
    changes: &mut mpsc::Receiver<Change>,
    batch: &mut Vec<Change>,
) -> usize {
    sleep_until(rested_at).await;
    changes.recv_many(batch, CHANGES_QUEUED_MAX).await
}

/// How long to rest after a publication that took so long.
fn rest_after(took: Duration, least: Duration) -> Duration {
    took.saturating_mul(REST_FACTOR).clamp(least, REST_MAX)
}

#[cfg(test)]
mod tests;
