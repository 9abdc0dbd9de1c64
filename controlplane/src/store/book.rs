//! All registrations, and what a write makes of them.
//!
//! The [`Book`] is what has been synced. [`Pages`] lies over it while a batch of writes is decided, so that the second
//! of two writes sees what the first one did; what could not be synced is thrown away with it. Of two writes of one id
//! the disk is given the last, and everybody else each, in order ([`Step`]).

use std::collections::{HashMap, hash_map};
use std::sync::Arc;
use std::time::Instant;

use arcstr::ArcStr;

use super::check::Invalid;
use super::clock::Now;
use super::registration::{Callback, Defaults, Draft, Registration};
use super::write::{Condition, Done, Refusal, Words, Write};
use crate::naming::Naming;

/// Registrations in all: what one host's proxies could ever tell apart.
pub(crate) const REGISTRATIONS_MAX: usize = 200_000;
/// Octets of all of them together ([`Registration::octets`]), so that few large ones take no more than many usual ones.
/// What would make it more is refused with 507. Names and records that are made of them come on top.
pub(crate) const REGISTRATIONS_OCTETS_MAX: usize = 128 << 20;
/// Callbacks of one registration.
const CALLBACKS_MAX: usize = 16;
/// Registrations that one callback is for: each is stored anew with it.
const CALLED_MAX: usize = 4096;

/// A registration, and when it ends by the clock that nobody sets.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What was registered.
    pub(crate) registration: Arc<Registration>,
    /// When it ends; nothing for one that does not.
    pub(crate) deadline: Option<Instant>,
}

impl Entry {
    /// `registration`, which lives for its TTL from `now` on.
    fn from_now(mut registration: Registration, now: Now) -> Self {
        let ttl = registration.draft.ttl;
        let ends = (!registration.draft.permanent).then(|| now.ends(ttl));
        registration.set_ends(ends);
        Self {
            registration: Arc::new(registration),
            deadline: ends.map(|ends| now.deadline(ends, ttl)),
        }
    }

    /// Whole seconds that it has left; its TTL, for one that does not end.
    pub(crate) fn remaining_seconds(&self, now: Instant) -> u32 {
        match self.deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(now).as_secs();
                u32::try_from(left).unwrap_or(u32::MAX)
            }
            None => self.registration.draft.ttl,
        }
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// What one write did, for those who follow each.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// It is this now.
    Put {
        /// As it is.
        entry: Entry,
        /// As it was, if it was there.
        before: Option<Entry>,
    },
    /// It was this, and is no longer there.
    Went(Entry),
}

/// What a batch of writes comes to.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    /// What each id is in the end; nothing, if it is not there.
    pub(crate) changed: HashMap<ArcStr, Option<Entry>>,
    /// How it came to that. What nobody but the disk has to be told is not among them.
    pub(crate) steps: Vec<Step>,
    /// Greatest revision that was given.
    pub(crate) revision: u64,
}

/// All registrations that are synced.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: HashMap<ArcStr, Entry>,
    /// What they take together.
    octets: usize,
    /// Greatest revision ever given.
    revision: u64,
}

/// What every write is judged by.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) defaults: Defaults,
    pub(crate) naming: Naming,
}

impl Book {
    /// A book of what was stored, and what of it has to be stored anew, since its end was told by another run of the
    /// clock that nobody sets.
    pub(crate) fn of(stored: Vec<Registration>, now: Now) -> (Self, Vec<ArcStr>) {
        let (mut book, mut anew) = (Self::default(), Vec::new());
        for mut registration in stored {
            let ttl = registration.draft.ttl;
            let id = registration.id.clone();
            let ends = registration.ends();
            let deadline = ends.map(|ends| now.deadline(ends, ttl));
            if let (Some(ends), Some(deadline)) = (ends, deadline)
                && !now.knows(ends)
                && deadline > now.instant
            {
                registration.set_ends(Some(now.ends_at(deadline)));
                anew.push(id.clone());
            }
            book.revision = book.revision.max(registration.revision);
            let registration = Arc::new(registration);
            book.set(
                id,
                Some(Entry {
                    registration,
                    deadline,
                }),
            );
        }
        (book, anew)
    }

    /// One registration, if it is there.
    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> hash_map::Values<'_, ArcStr, Entry> {
        self.entries.values()
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes in what was synced: what is `None` is removed.
    pub(crate) fn turn(&mut self, changed: HashMap<ArcStr, Option<Entry>>, revision: u64) {
        self.revision = self.revision.max(revision);
        for (id, entry) in changed {
            self.set(id, entry);
        }
    }

    fn set(&mut self, id: ArcStr, entry: Option<Entry>) {
        self.octets += octets(entry.as_ref());
        let before = match entry {
            Some(entry) => self.entries.insert(id, entry),
            None => self.entries.remove(&id),
        };
        self.octets -= octets(before.as_ref());
    }
}

/// What one of them takes; nothing for one that is not there.
fn octets(entry: Option<&Entry>) -> usize {
    entry.map_or(0, |entry| entry.registration.octets())
}

/// Decisions that are not synced yet, over the book.
pub(crate) struct Pages<'b> {
    book: &'b Book,
    rules: &'b Rules,
    now: Now,
    /// What was over then is not there.
    lived: Instant,
    decided: Decided,
    count: usize,
    octets: usize,
}

impl<'b> Pages<'b> {
    /// Nothing decided yet.
    pub(crate) fn over(book: &'b Book, rules: &'b Rules, now: Now) -> Self {
        Self {
            book,
            rules,
            now,
            lived: now.instant,
            decided: Decided {
                revision: book.revision,
                ..Decided::default()
            },
            count: book.len(),
            octets: book.octets,
        }
    }

    /// What lived at `lived` is there, though it is over meanwhile.
    pub(crate) fn lived_at(self, lived: Instant) -> Self {
        Self { lived, ..self }
    }

    /// What was decided.
    pub(crate) fn into_decided(self) -> Decided {
        self.decided
    }

    /// Decides one write: all of it, or nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal`], but those that have to do with the disk.
    pub(crate) fn decide(&mut self, write: Write) -> Result<Done, Refusal> {
        match write {
            Write::Put { id, draft, condition } => self.put(&id, draft, &condition),
            Write::Patch { id, patch, condition } => {
                let known = self.known(&id, &condition)?;
                let draft = patch.applied_to(&known.registration.draft);
                self.put(&id, draft, &condition)
            }
            Write::Beat { id, ttl, condition } => self.beat(&id, ttl, &condition),
            Write::Remove { id, condition } => {
                let went = self.known(&id, &condition)?.clone();
                self.remove(went);
                Ok(Done {
                    entry: None,
                    is_new: false,
                })
            }
            Write::Call { words, callback } => self.call(&words, &callback),
        }
    }

    /// What is written under `id`, be it over.
    fn written(&self, id: &str) -> Option<&Entry> {
        match self.decided.changed.get(id) {
            Some(changed) => changed.as_ref(),
            None => self.book.get(id),
        }
    }

    fn get(&self, id: &str) -> Option<&Entry> {
        // What is over is removed in a moment, and is not there for anybody already.
        self.written(id).filter(|entry| !entry.is_over(self.lived))
    }

    fn remove(&mut self, went: Entry) {
        self.count -= 1;
        self.octets -= octets(Some(&went));
        self.decided.changed.insert(went.registration.id.clone(), None);
        self.decided.steps.push(Step::Went(went));
    }

    /// Has `entry` be what is registered, if there is room for what it takes more than `before`.
    fn set(&mut self, entry: Entry, before: Option<&Entry>) -> Result<(), Refusal> {
        let (new, old) = (octets(Some(&entry)), octets(before));
        let all = self.octets - old + new;
        if all > REGISTRATIONS_OCTETS_MAX && new > old {
            return Err(Refusal::TooLarge);
        }
        self.octets = all;
        let id = entry.registration.id.clone();
        self.decided.changed.insert(id, Some(entry));
        Ok(())
    }

    /// What is registered, if `condition` holds for it.
    fn known(&self, id: &ArcStr, condition: &Condition) -> Result<&Entry, Refusal> {
        let known = self.get(id);
        condition.check(id, known)?;
        known.ok_or_else(|| Refusal::NotFound(id.clone()))
    }

    fn put(&mut self, id: &ArcStr, draft: Draft, condition: &Condition) -> Result<Done, Refusal> {
        draft.check(id, &self.rules.defaults, &self.rules.naming)?;
        let before = self.get(id).cloned();
        condition.check(id, before.as_ref())?;
        if before.is_none()
            && let Some(over) = self.written(id).cloned()
        {
            // Its end is its own, and no change of what comes now.
            self.remove(over);
        }
        if before.is_none() && self.count >= REGISTRATIONS_MAX {
            return Err(Refusal::TooMany);
        }
        let registration = Registration {
            id: id.clone(),
            expires_unix_ms: None,
            expires_uptime: None,
            // Greater than any before, also of one that was removed and forgotten with a restart.
            revision: self.next_revision(),
            draft,
            callbacks: before
                .as_ref()
                .map_or_else(Vec::new, |before| before.registration.callbacks.clone()),
        };
        let entry = Entry::from_now(registration, self.now);
        self.set(entry.clone(), before.as_ref())?;
        let is_new = before.is_none();
        self.count += usize::from(is_new);
        self.decided.steps.push(Step::Put {
            entry: entry.clone(),
            before,
        });
        Ok(Done {
            entry: Some(entry),
            is_new,
        })
    }

    fn next_revision(&mut self) -> u64 {
        self.decided.revision = (self.decided.revision + 1).max(self.now.unix_ms());
        self.decided.revision
    }

    fn beat(&mut self, id: &ArcStr, ttl: Option<u32>, condition: &Condition) -> Result<Done, Refusal> {
        let before = self.known(id, condition)?.clone();
        let mut registration = Registration::clone(&before.registration);
        let ttl = ttl.unwrap_or(registration.draft.ttl);
        if registration.draft.ttl != ttl {
            // Whoever knows the old revision has to see this one.
            registration.draft.ttl = ttl;
            registration.revision = self.next_revision();
        }
        let entry = Entry::from_now(registration, self.now);
        self.set(entry.clone(), Some(&before))?;
        self.decided.steps.push(Step::Put {
            entry: entry.clone(),
            before: Some(before),
        });
        Ok(Done {
            entry: Some(entry),
            is_new: false,
        })
    }

    fn call(&mut self, words: &Words, callback: &Callback) -> Result<Done, Refusal> {
        let ids = self.book.entries.keys().chain(self.decided.changed.keys());
        let mut ids: Vec<_> = ids
            .filter(|id| {
                self.get(id)
                    .is_some_and(|entry| words.mean(&entry.registration, &self.rules.defaults))
            })
            .cloned()
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Err(Refusal::NotFound(words.to_string().into()));
        }
        if ids.len() > CALLED_MAX {
            let reason = format!(
                "{words} finds {} services, and one callback is for {CALLED_MAX} at most; give more of the words",
                ids.len()
            );
            return Err(Invalid::new("callback", reason).into());
        }
        let mut called = Vec::with_capacity(ids.len());
        let mut grown = 0;
        for id in ids {
            let Some(known) = self.get(&id) else { continue };
            let mut registration = Registration::clone(&known.registration);
            registration.callbacks.retain(|other| other.id != callback.id);
            if registration.callbacks.len() >= CALLBACKS_MAX {
                let reason =
                    format!("{id:?} has {CALLBACKS_MAX} callbacks already, and there is room for no more");
                return Err(Invalid::new("callback", reason).into());
            }
            registration.callbacks.push(callback.clone());
            let entry = Entry {
                registration: Arc::new(registration),
                deadline: known.deadline,
            };
            grown += octets(Some(&entry)).saturating_sub(octets(Some(known)));
            called.push((entry, known.clone()));
        }
        // Before the first, for it is all of them or none.
        if grown > 0 && self.octets + grown > REGISTRATIONS_OCTETS_MAX {
            return Err(Refusal::TooLarge);
        }
        for (entry, before) in called {
            self.set(entry, Some(&before))?;
        }
        Ok(Done {
            entry: None,
            is_new: true,
        })
    }
}

#[cfg(test)]
mod tests;
