//! Services that are registered over REST: which there are, how long they live, and that they survive a crash.
//!
//! ```text
//!  api ──Write──▶ Store ══queue══▶ keeper (one thread) ──▶ disk, synced ──▶ book ──Change──▶ pipeline
//!   ▲                                                                        │
//!   └──────────────────── reads, at any time ────────────────────────────────┘
//! ```
//!
//! A write is answered when the disk has it and the snapshot that shows it is published. Time: while we run, what
//! ends, ends by a clock that nobody sets (`clock`).

mod book;
mod callbacks;
mod check;
mod clock;
mod counts;
mod disk;
mod keeper;
mod legacy;
mod registration;
mod timers;
mod told;
mod write;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use book::{Entry, Rules};
#[cfg(test)]
pub(crate) use callbacks::tests::call;
pub(crate) use callbacks::{Call, Calls};
pub(crate) use check::{Invalid, word};
pub(crate) use clock::Now;
pub(crate) use counts::{Called, Counts};
pub(crate) use disk::Failure;
pub(crate) use legacy::{Shown, moment};
pub use registration::Defaults;
pub(crate) use registration::{Callback, Draft, DraftPort, Transport};
pub(crate) use write::{Condition, Done, Patch, Refusal, Words, Write};

use self::book::Book;
use self::disk::{Disk, Found};
use self::keeper::{ANSWERS_QUEUED_MAX, Answers, Keeper, Message, WRITES_QUEUED_MAX, answer};
use self::timers::Timers;
use self::told::Told;
use crate::service::{Change, Mark};

/// Time for a write, from the queue to its answer. Then the caller is told that it is open what became of it.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

/// Where and how services are registered. Clones are the same store.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    book: Arc<RwLock<Book>>,
    writes: SyncSender<Message>,
    /// Why writes fail, while they do.
    failing: watch::Receiver<Option<Failure>>,
    defaults: Arc<Defaults>,
    /// Whether all that was stored is served.
    loaded: watch::Receiver<bool>,
    counts: Counts,
}

/// What the start found in the data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Where services are kept; nothing: nowhere.
    pub directory: Option<PathBuf>,
    /// How many were kept.
    pub services: usize,
    /// Where a file that could not be read is kept now.
    pub quarantined: Option<PathBuf>,
    /// Why it cannot be written, with the remedy.
    pub failing: Option<String>,
}

/// What a store needs done.
pub(crate) struct Parts {
    keeper: Keeper,
    queue: Receiver<Message>,
    answers: mpsc::Receiver<Answers>,
    calls: Calls,
}

impl Store {
    /// Opens what is kept in `directory`; nothing: keeps nothing. What [`Parts`] holds has to be run.
    ///
    /// Blocks while it reads the disk. Never fails: what is wrong is in what it gives.
    pub(crate) fn open(
        directory: Option<PathBuf>,
        rules: Rules,
        changes: mpsc::Sender<Change>,
    ) -> (Self, Parts, Kept) {
        let (disk, found) = Disk::open(directory.as_deref());
        let Found {
            registrations,
            calls: owed,
            quarantined,
            failure,
            ..
        } = found;
        let kept = Kept {
            directory,
            services: registrations.len(),
            quarantined,
            failing: failure.as_ref().map(ToString::to_string),
        };
        let now = Now::read();
        let (book, anew) = Book::of(registrations, now);
        let book = Arc::new(RwLock::new(book));
        let (writes, queue) = sync_channel(WRITES_QUEUED_MAX);
        let (failing, watched) = watch::channel(failure);
        let counts = Counts::new();
        let (caller, calls) = callbacks::queue(counts.clone(), writes.clone(), owed, now);
        let (answers, answered) = mpsc::channel(ANSWERS_QUEUED_MAX);
        let (mark, loaded) = Mark::new();
        let defaults = Arc::new(rules.defaults.clone());
        let keeper = Keeper {
            book: book.clone(),
            rules,
            disk,
            anew,
            timers: Timers::default(),
            told: Told::nothing(Instant::now()),
            changes,
            caller,
            loaded: mark,
            failing,
            answers,
            counts: counts.clone(),
        };
        let store = Self {
            book,
            writes,
            failing: watched,
            defaults,
            loaded,
            counts,
        };
        let parts = Parts {
            keeper,
            queue,
            answers: answered,
            calls,
        };
        (store, parts, kept)
    }

    /// Has `write` done, and waits until the disk has it and questions are answered accordingly.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: nothing has changed, but for [`Refusal::Slow`].
    pub(crate) async fn write(&self, write: Write) -> Result<Done, Refusal> {
        let (to, answered) = oneshot::channel();
        match self.writes.try_send(Message::Write(Box::new(write), to)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Refusal::Busy),
            Err(TrySendError::Disconnected(_)) => return Err(Refusal::Stopping),
        }
        match tokio::time::timeout(WRITE_TIME_MAX, answered).await {
            Ok(Ok(answer)) => answer,
            // Without a word: the keeper or the pipeline has ended.
            Ok(Err(_)) => Err(Refusal::Stopping),
            Err(_) => Err(Refusal::Slow),
        }
    }

    /// What is registered as `id`.
    pub(crate) fn get(&self, id: &str, now: Now) -> Option<Entry> {
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        book.get(id).filter(|entry| !entry.is_over(now.instant)).cloned()
    }

    /// What a registration has that does not say so itself.
    pub(crate) fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// What it counts.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Waits until all that was stored is served.
    pub(crate) async fn loaded(&self) {
        // An end without a word is that of everything.
        let _ = self.loaded.clone().wait_for(|loaded| *loaded).await;
    }

    /// Why writes fail at the moment.
    pub(crate) fn failing(&self) -> Option<Failure> {
        self.failing.borrow().clone()
    }

    /// Ends the store once what is queued is done.
    pub(crate) fn stop(&self) {
        // A full queue has enough to do, and ends when we are gone.
        drop(self.writes.try_send(Message::Stop));
    }
}

impl Parts {
    /// All of them: what has to be run on a thread of its own until [`Store::stop`], what has to be run beside it, and the
    /// calls to make.
    pub(crate) fn split(self) -> (impl FnOnce() + Send, impl Future<Output = ()> + Send, Calls) {
        let Self {
            keeper,
            queue,
            answers,
            calls,
        } = self;
        (move || keeper.run(&queue), answer(answers), calls)
    }
}
