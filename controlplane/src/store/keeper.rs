//! The one thread that changes the book.
//!
//! ```text
//!  writes ══queue══▶ batch ──▶ Pages::decide, each ──▶ Disk::commit, once ──▶ Book::turn ──▶ Change ══▶ pipeline
//!                     ▲                                     │ fails                            │
//!  Timers ── due ─────┘                                     ▼                                  ▼
//!                                                   all are refused              Mark: published, and answered
//! ```
//!
//! Whatever is queued when it looks is one transaction and one sync. What is over goes by itself, whether the disk
//! takes it or not: what is stored says when it ends, too.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arcstr::ArcStr;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use super::book::{Book, Decided, Entry, Pages, Rules, Step};
use super::callbacks::{Call, Caller};
use super::clock::Now;
use super::counts::Counts;
use super::disk::{All, Disk, Failure};
use super::timers::{LOOK_EVERY, Timers};
use super::told::Told;
use super::write::{Condition, Done, Refusal, Write};
use crate::service::{Change, Mark, Service, ServiceId, Source};

/// Writes that wait. One more is refused with 503.
pub(super) const WRITES_QUEUED_MAX: usize = 1024;
/// Batches whose answers wait until they are served. One more waits in the keeper, until the pipeline has caught up.
pub(super) const ANSWERS_QUEUED_MAX: usize = 64;
/// Writes in one transaction: past some hundred, the sync is no longer what it costs.
const BATCH_MAX: usize = 256;
/// Registrations in one transaction of those at the start, which nobody waits for: some MiB of rows.
const ANEW_MAX: usize = 4096;
/// Services that the log names of those that end at one time; of more, such as those that ended while we did not run, it
/// has the number.
const EXPIRED_TOLD_MAX: usize = 16;
/// Longest sleep. There is no need to wake at all while nothing is due; this only bounds how far a timer may lie.
const SLEEP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What reaches the keeper.
#[derive(Debug)]
pub(super) enum Message {
    /// A write, and where its answer goes.
    Write(Box<Write>, oneshot::Sender<Answer>),
    /// Callbacks were made, or are given up.
    Settled,
    /// End.
    Stop,
}

/// What became of a write.
pub(super) type Answer = Result<Done, Refusal>;

/// Answers of one batch, which wait until questions are answered accordingly.
#[derive(Debug)]
pub(super) struct Answers {
    seen: watch::Receiver<bool>,
    each: Vec<(Done, oneshot::Sender<Answer>)>,
}

/// Gives the answers of each batch of `queue` when what it changed is served.
///
/// Here and not in the keeper, for there each of them would wake the thread that everybody waits on; a batch is one wake.
pub(super) async fn answer(mut queue: mpsc::Receiver<Answers>) {
    while let Some(Answers { mut seen, each }) = queue.recv().await {
        // Its end without a word is the pipeline's.
        if seen.wait_for(|seen| *seen).await.is_err() {
            return;
        }
        for (done, to) in each {
            // Whoever asked may have hung up; there is nobody else to tell.
            drop(to.send(Ok(done)));
        }
    }
}

/// The one that changes the book.
pub(super) struct Keeper {
    pub(super) book: Arc<RwLock<Book>>,
    pub(super) rules: Rules,
    pub(super) disk: Disk,
    /// What has to be stored anew at the start.
    pub(super) anew: Vec<ArcStr>,
    pub(super) timers: Timers,
    pub(super) told: Told,
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) caller: Caller,
    /// Behind everything that was stored.
    pub(super) loaded: Mark,
    /// Why writes fail, while they do.
    pub(super) failing: watch::Sender<Option<Failure>>,
    pub(super) answers: mpsc::Sender<Answers>,
    pub(super) counts: Counts,
}

impl Keeper {
    /// Tells the pipeline of everything that was stored, then serves `queue` until it is told to stop.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        if self.tell_all().is_err() {
            return;
        }
        self.count();
        self.store_anew();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut looked: Option<Instant> = None;
        loop {
            let earliest = looked.map(|looked| looked + LOOK_EVERY);
            let sleep = self.timers.next().map_or(SLEEP_MAX, |due| {
                let due = earliest.map_or(due, |earliest| earliest.max(due));
                due.saturating_duration_since(Instant::now())
            });
            match queue.recv_timeout(sleep.min(SLEEP_MAX)) {
                Ok(message) => batch.push(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            batch.extend(queue.try_iter().take(BATCH_MAX - 1));
            let is_stopping = batch.iter().any(|message| matches!(message, Message::Stop));
            let now = Now::read();
            // While the disk or the pipeline held us up, heartbeats that came in time have waited since we looked last: who
            // lived then lives until they are taken in.
            let lived = looked.replace(now.instant).filter(|_| !batch.is_empty());
            let lived = lived.unwrap_or(now.instant);
            self.caller.settle();
            // Before the writes, so that they find free what is over.
            if self.take_due(now, lived).is_err() || self.write(batch.drain(..), now, lived).is_err() {
                return;
            }
            self.forget_calls();
            if is_stopping {
                return;
            }
        }
    }

    /// Tells the pipeline of all of them.
    fn tell_all(&mut self) -> Result<(), Ended> {
        let now = Now::read();
        let entries: Vec<_> = {
            let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
            book.iter().cloned().collect()
        };
        let mut services = Vec::with_capacity(entries.len());
        for entry in &entries {
            if entry.is_over(now.instant) {
                self.timers.set(entry.registration.id.clone(), now.instant);
            } else {
                self.set_timer(entry);
                services.push(self.service(entry, now));
            }
        }
        if !services.is_empty() {
            info!(
                "{} services were registered before the start and are served again",
                services.len()
            );
        }
        self.send(Change::Reset {
            source: Source::Rest,
            services,
        })?;
        self.send(Change::Mark(self.loaded.clone()))
    }

    /// Stores what has to be stored anew. Where the disk does not take it, it is as it was at the next start.
    fn store_anew(&mut self) {
        let anew = std::mem::take(&mut self.anew);
        let book = self.book.clone();
        let book = book.read().unwrap_or_else(PoisonError::into_inner);
        for ids in anew.chunks(ANEW_MAX) {
            let rows = ids.iter().map(|id| (id.clone(), book.get(id).cloned()));
            if let Err(failure) = self.commit(&book, &rows.collect(), &[]) {
                warn!("when services end stays as the wall clock has it: {failure}");
                return;
            }
        }
    }

    /// Decides `batch`, of what lived at `lived`, syncs it, and answers.
    fn write(&mut self, batch: impl Iterator<Item = Message>, now: Now, lived: Instant) -> Result<(), Ended> {
        let book = self.book.clone();
        let book_read = book.read().unwrap_or_else(PoisonError::into_inner);
        let mut pages = Pages::over(&book_read, &self.rules, now).lived_at(lived);
        let mut decided = Vec::new();
        let mut beats = Vec::new();
        for message in batch {
            let Message::Write(write, to) = message else {
                continue;
            };
            let beat = match &*write {
                Write::Beat { id, ttl, .. } => Some((id.clone(), *ttl)),
                _ => None,
            };
            match pages.decide(*write) {
                Ok(done) => {
                    if beat.is_some() {
                        self.counts.beat();
                    }
                    beats.extend(beat);
                    decided.push((done, to));
                }
                // Whoever asked may have hung up; there is nobody else to tell.
                Err(refusal) => drop(to.send(Err(refusal))),
            }
        }
        let outcome = pages.into_decided();
        if decided.is_empty() {
            return Ok(());
        }

        let calls = self.caller.owe(&outcome.steps, now);
        let committed = self.commit(&book_read, &outcome.changed, &calls);
        drop(book_read);
        if let Err(failure) = committed {
            self.caller.forgive(&calls);
            for (_, to) in decided {
                let Failure { reason, is_full } = failure.clone();
                drop(to.send(Err(Refusal::Storage { reason, is_full })));
            }
            return self.keep_alive(beats, now, lived);
        }
        let seen = self.turn(outcome, &calls, now)?;
        let answers = Answers { seen, each: decided };
        self.answers.blocking_send(answers).map_err(|_| Ended)
    }

    /// Takes heartbeats in that the disk does not take: whoever sent them is told of the failure, and yet no service that lives
    /// may go for it. The next commit that succeeds writes all of the file anew.
    fn keep_alive(
        &mut self,
        beats: Vec<(ArcStr, Option<u32>)>,
        now: Now,
        lived: Instant,
    ) -> Result<(), Ended> {
        let book = self.book.clone();
        let book = book.read().unwrap_or_else(PoisonError::into_inner);
        let mut pages = Pages::over(&book, &self.rules, now).lived_at(lived);
        for (id, ttl) in beats {
            // One of a service that came with the same batch finds nobody.
            let condition = Condition::Always;
            let _ = pages.decide(Write::Beat { id, ttl, condition });
        }
        let outcome = pages.into_decided();
        drop(book);
        if !outcome.changed.is_empty() {
            self.turn(outcome, &[], now)?;
        }
        Ok(())
    }

    /// Has the disk forget the callbacks that were made, if no transaction has done so meanwhile. While the disk takes
    /// nothing, the next one that succeeds does.
    fn forget_calls(&mut self) {
        if !self.caller.settle() || self.failing.borrow().is_some() {
            return;
        }
        let book = self.book.clone();
        let book = book.read().unwrap_or_else(PoisonError::into_inner);
        if let Err(failure) = self.commit(&book, &HashMap::new(), &[]) {
            warn!("callbacks that were made may be made again after the next start: {failure}");
        }
    }

    /// Stores `changed`, and the `calls` that are owed from now on.
    fn commit(
        &mut self,
        book: &Book,
        changed: &HashMap<ArcStr, Option<Entry>>,
        calls: &[Arc<Call>],
    ) -> Result<(), Failure> {
        let rows: Vec<_> = changed
            .iter()
            .map(|(id, entry)| (&**id, entry.as_ref().map(|entry| &*entry.registration)))
            .collect();
        let all = || {
            let each = book.iter().map(|entry| &*entry.registration);
            All {
                registrations: each
                    .map(|registration| (registration.id.clone(), registration))
                    .collect(),
                calls: self.caller.owed().collect(),
            }
        };
        let began = Instant::now();
        let committed = self.disk.commit(&rows, &self.caller.rows(calls), all);
        if committed.is_ok() {
            self.caller.stored();
        }
        self.counts
            .committed(rows.len(), began.elapsed(), committed.is_ok());
        self.failing.send_if_modified(|failing| {
            let new = committed.as_ref().err().cloned();
            match (&*failing, &new) {
                (None, Some(failure)) => error!("services cannot be registered: {failure}"),
                (Some(_), None) => info!("services can be registered again"),
                _ => {}
            }
            let is_new = *failing != new;
            *failing = new;
            is_new
        });
        committed
    }

    /// Takes in what was decided, tells the pipeline each step of it, and has `calls` made. Gives the moment from which it
    /// is served.
    fn turn(
        &mut self,
        decided: Decided,
        calls: &[Arc<Call>],
        now: Now,
    ) -> Result<watch::Receiver<bool>, Ended> {
        let Decided {
            changed,
            steps,
            revision,
        } = decided;
        let mut changes = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Step::Put { entry, before } => {
                    self.set_timer(&entry);
                    if before.is_none_or(|before| !self.told.is_told(&before, &entry, now.instant)) {
                        changes.push(Change::Put(self.service(&entry, now).into()));
                    }
                }
                Step::Went(entry) => {
                    let id = &entry.registration.id;
                    self.timers.clear(id);
                    self.told.forget(id);
                    changes.push(remove(id));
                }
            }
        }
        self.book
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .turn(changed, revision);
        self.count();
        for change in changes {
            self.send(change)?;
        }
        self.caller.make(calls);
        let (mark, seen) = Mark::new();
        self.send(Change::Mark(mark))?;
        Ok(seen)
    }

    /// Removes what was over at `lived`.
    fn take_due(&mut self, now: Now, lived: Instant) -> Result<(), Ended> {
        let mut over = Decided::default();
        for id in self.timers.take_due(lived) {
            let Some(entry) = self.entry(&id) else { continue };
            if entry.is_over(lived) {
                over.changed.insert(id, None);
                over.steps.push(Step::Went(entry));
            } else {
                self.set_timer(&entry);
            }
        }
        if over.changed.is_empty() {
            return Ok(());
        }
        let gone = over.changed.clone();
        self.counts.expired(gone.len());
        let calls = self.caller.owe(&over.steps, now);
        self.turn(over, &calls, now)?;
        for id in gone.keys().take(EXPIRED_TOLD_MAX) {
            info!("service {id:?} expired: no heartbeat came within its TTL");
        }
        if gone.len() > EXPIRED_TOLD_MAX {
            info!(
                "{} services more expired with them",
                gone.len() - EXPIRED_TOLD_MAX
            );
        }
        let book = self.book.clone();
        let book = book.read().unwrap_or_else(PoisonError::into_inner);
        // A row that stays says itself that it is over; the next start leaves it out, and tells who wants to know.
        if let Err(failure) = self.commit(&book, &gone, &calls) {
            warn!("what expired stays in the file for now: {failure}");
        }
        Ok(())
    }

    /// The service of `entry`, which the pipeline is told of now.
    fn service(&mut self, entry: &Entry, now: Now) -> Arc<Service> {
        let until = self.told.tell(entry).map(|until| now.moment(until));
        Arc::new(entry.registration.service(&self.rules.defaults, until))
    }

    /// Looks at `entry` when it is over.
    fn set_timer(&mut self, entry: &Entry) {
        let id = &entry.registration.id;
        match entry.deadline {
            Some(deadline) => self.timers.set(id.clone(), deadline),
            None => self.timers.clear(id),
        }
    }

    fn entry(&self, id: &str) -> Option<Entry> {
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        book.get(id).cloned()
    }

    /// Counts what there is now.
    fn count(&self) {
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        self.counts.now(book.len(), self.disk.octets());
    }

    fn send(&self, change: Change) -> Result<(), Ended> {
        self.changes.blocking_send(change).map_err(|_| Ended)
    }
}

/// The pipeline is gone: we are ending.
struct Ended;

fn remove(id: &ArcStr) -> Change {
    Change::Remove(ServiceId {
        source: Source::Rest,
        id: id.clone(),
        part: 0,
    })
}

#[cfg(test)]
mod tests;
