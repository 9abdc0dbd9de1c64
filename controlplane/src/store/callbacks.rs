//! Who wants to be told that a service went.
//!
//! ```text
//!  a service went ──owe──▶ Call ──▶ disk, with the removal ──make══queue══▶ Calls::next ──▶ api
//!                                          ▲                                                │
//!                                          └─────── settle ◀══════ Calls::over ◀────────────┘
//! ```
//!
//! What is owed is stored in the transaction that removes the service, and is there until somebody was told, or it was
//! given up: so each is made at least once, also after a crash.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::book::Step;
use super::clock::Now;
use super::counts::{Called, Counts};
use super::disk::CallRow;
use super::keeper::Message;
use super::legacy::Shown;
use super::registration::Callback;

/// Callbacks that are owed: waiting, under way, or stored by the run before. One more is dropped, with a line in the log:
/// whoever asked for it learns of the end of its service from DNS.
const OWED_MAX: usize = 1024;
/// Age of one that is stored, in milliseconds, past which it is given up at the start: a day. What a registrant has to
/// know for longer it asks for.
const OWED_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// One request to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// By which it is stored: greater than that of each before.
    #[serde(skip)]
    pub(super) key: u64,
    /// To whom.
    pub(crate) callback: Callback,
    /// The service that went, as SkyDNS wrote it.
    pub(crate) body: ArcStr,
    /// When it went, in milliseconds since 1970.
    since_unix_ms: u64,
}

/// What is owed, and where it is handed in.
#[derive(Debug)]
pub(super) struct Caller {
    queue: mpsc::Sender<Arc<Call>>,
    owed: BTreeMap<u64, Arc<Call>>,
    /// Greatest key ever given.
    last: u64,
    over: Over,
    /// Those that are owed no more, and that the file may have.
    gone: Vec<u64>,
    counts: Counts,
}

/// The calls to make.
#[derive(Debug)]
pub(crate) struct Calls {
    queue: mpsc::Receiver<Arc<Call>>,
    over: Over,
    wake: SyncSender<Message>,
    counts: Counts,
}

/// Keys of those that were made or given up, which the keeper has not seen yet: at most [`OWED_MAX`].
type Over = Arc<Mutex<Vec<u64>>>;

/// A queue, and its two ends. `kept` is what the file has; `wake` leads to whoever has the [`Caller`].
pub(super) fn queue(counts: Counts, wake: SyncSender<Message>, kept: Vec<Call>, now: Now) -> (Caller, Calls) {
    // Whatever is in it is owed.
    let (queue, receiver) = mpsc::channel(OWED_MAX);
    let over = Over::default();
    let mut caller = Caller {
        queue,
        owed: BTreeMap::new(),
        last: 0,
        over: over.clone(),
        gone: Vec::new(),
        counts: counts.clone(),
    };
    caller.take_up(kept, now);
    let calls = Calls {
        queue: receiver,
        over,
        wake,
        counts,
    };
    (caller, calls)
}

impl Caller {
    /// Has those made that the run before has not.
    fn take_up(&mut self, kept: Vec<Call>, now: Now) {
        let mut given_up = 0;
        for call in kept {
            self.last = self.last.max(call.key);
            let age = now.unix_ms().saturating_sub(call.since_unix_ms);
            if age > OWED_MS_MAX || self.owed.len() >= OWED_MAX {
                given_up += 1;
                self.gone.push(call.key);
                self.counts.called(Called::Unheard);
                continue;
            }
            let call = Arc::new(call);
            self.owed.insert(call.key, call.clone());
            self.make(&[call]);
        }
        if !self.owed.is_empty() {
            info!(
                "{} callbacks were not made before the start, and are now",
                self.owed.len()
            );
        }
        if given_up > 0 {
            warn!("{given_up} callbacks of before the start are given up: they are more than a day old");
        }
    }

    /// What is owed for `steps` from now on, to be stored and made. What there is no room for is dropped.
    pub(super) fn owe(&mut self, steps: &[Step], now: Now) -> Vec<Arc<Call>> {
        let (mut calls, mut dropped) = (Vec::new(), None);
        for step in steps {
            let Step::Went(entry) = step else { continue };
            let registration = &entry.registration;
            if registration.callbacks.is_empty() {
                continue;
            }
            let body: ArcStr = Shown::of(entry, now).to_string().into();
            for callback in &registration.callbacks {
                if self.owed.len() >= OWED_MAX {
                    self.counts.called(Called::Dropped);
                    let (_, count) = dropped.get_or_insert((callback, 0));
                    *count += 1;
                    continue;
                }
                self.last = (self.last + 1).max(now.unix_ms());
                let call = Arc::new(Call {
                    key: self.last,
                    callback: callback.clone(),
                    body: body.clone(),
                    since_unix_ms: now.unix_ms(),
                });
                self.owed.insert(call.key, call.clone());
                calls.push(call);
            }
        }
        if let Some((first, count)) = dropped {
            let id = &first.id;
            warn!("{count} callbacks are dropped, {id:?} first: {OWED_MAX} wait already");
        }
        calls
    }

    /// `calls` are owed no more: what would have caused them was not done.
    pub(super) fn forgive(&mut self, calls: &[Arc<Call>]) {
        for call in calls {
            self.owed.remove(&call.key);
            self.gone.push(call.key);
        }
    }

    /// Has `calls` made, which are owed.
    pub(super) fn make(&self, calls: &[Arc<Call>]) {
        for call in calls {
            // There is room for all that are owed; when nobody makes them any more, the next run does.
            drop(self.queue.try_send(call.clone()));
        }
    }

    /// Takes note of those that were made or given up; gives whether the file may have any that is owed no more.
    pub(super) fn settle(&mut self) -> bool {
        let over = std::mem::take(&mut *self.over.lock().unwrap_or_else(PoisonError::into_inner));
        for key in &over {
            self.owed.remove(key);
        }
        self.gone.extend(over);
        // While the disk takes nothing. What is left out may be made once more after the next start.
        self.gone.truncate(OWED_MAX);
        !self.gone.is_empty()
    }

    /// All that are owed.
    pub(super) fn owed(&self) -> impl Iterator<Item = &Call> {
        self.owed.values().map(|call| &**call)
    }

    /// What a transaction has to do with the calls that the file has: to store `new` ones, and to remove those that are
    /// owed no more.
    pub(super) fn rows<'c>(&'c self, new: &'c [Arc<Call>]) -> Vec<CallRow<'c>> {
        let gone = self.gone.iter().map(|key| (*key, None));
        let new = new.iter().map(|call| (call.key, Some(&**call)));
        gone.chain(new).collect()
    }

    /// A transaction has done so.
    pub(super) fn stored(&mut self) {
        self.gone.clear();
    }
}

impl Calls {
    /// The next one to make; none when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Arc<Call>> {
        self.queue.recv().await
    }

    /// `call` was made, or is given up, and is owed no more.
    pub(crate) fn over(&self, call: &Call, called: Called) {
        self.over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call.key);
        // A queue that is full wakes the keeper anyway.
        drop(self.wake.try_send(Message::Settled));
        self.counts.called(called);
    }

    /// One that waits, if one does.
    #[cfg(test)]
    pub(super) fn waiting(&mut self) -> Option<Arc<Call>> {
        self.queue.try_recv().ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::fixture::draft;
    use crate::store::book::Entry;
    use crate::store::registration::Registration;

    /// A call to `reply`.
    pub(crate) fn call(key: u64, reply: &str) -> Call {
        Call {
            key,
            callback: Callback {
                id: key.to_string().as_str().into(),
                reply: reply.into(),
                port: 80,
            },
            body: "{}".into(),
            since_unix_ms: Now::read().unix_ms(),
        }
    }

    fn went() -> Step {
        let registration = Registration {
            id: "1001".into(),
            draft: draft(30),
            expires_unix_ms: None,
            expires_uptime: None,
            revision: 1,
            callbacks: vec![call(1, "10.0.0.9").callback],
        };
        Step::Went(Entry {
            registration: Arc::new(registration),
            deadline: None,
        })
    }

    fn of_kept(kept: Vec<Call>) -> (Caller, Calls) {
        let (wake, _) = sync_channel(1);
        queue(Counts::new(), wake, kept, Now::read())
    }

    #[test]
    fn more_than_there_is_room_for_are_dropped_and_nobody_waits() {
        let (mut caller, mut calls) = of_kept(vec![]);
        for _ in 0..OWED_MAX + 10 {
            let new = caller.owe(&[went()], Now::read());
            caller.make(&new);
        }
        assert_eq!(caller.counts.times(Called::Dropped), 10);
        let waiting: Vec<_> = std::iter::from_fn(|| calls.waiting()).collect();
        assert_eq!(waiting.len(), OWED_MAX);
        // Who was told makes room for another.
        calls.over(&waiting[0], Called::Heard);
        assert!(caller.settle() && caller.owed().count() == OWED_MAX - 1);
        assert_eq!(caller.owe(&[went()], Now::read()).len(), 1);
        assert_eq!(caller.counts.times(Called::Dropped), 10);
    }

    #[test]
    fn what_the_run_before_owed_is_made_unless_it_is_old_or_too_much() {
        let old = Call {
            since_unix_ms: Now::read().unix_ms() - OWED_MS_MAX - 1000,
            ..call(1, "10.0.0.9")
        };
        // The clock was set back since.
        let later = Call {
            since_unix_ms: u64::MAX,
            ..call(2, "10.0.0.9")
        };
        let (mut caller, mut calls) = of_kept(vec![old, later]);
        assert_eq!(calls.waiting().map(|call| call.key), Some(2));
        assert!(calls.waiting().is_none());
        assert_eq!(caller.rows(&[]), [(1, None)]);
        assert!(caller.owe(&[went()], Now::read())[0].key > 2);

        let many = (1..=OWED_MAX as u64 + 2)
            .map(|key| call(key, "10.0.0.9"))
            .collect();
        let (caller, _) = of_kept(many);
        assert_eq!((caller.owed().count(), caller.gone.len()), (OWED_MAX, 2));
    }

    #[test]
    fn what_was_not_done_is_not_owed() {
        let (mut caller, mut calls) = of_kept(vec![]);
        let new = caller.owe(&[went()], Now::read());
        caller.forgive(&new);
        assert_eq!(caller.owed().count(), 0);
        assert_eq!(caller.rows(&[]), [(new[0].key, None)]);
        caller.stored();
        assert!(!caller.settle() && calls.waiting().is_none());
    }
}
