//! All registrations, and what a write makes of them.
//!
//! The [`Book`] is what has been synced. [`Pages`] lies over it while a batch of writes is decided, so that the second
//! of two writes sees what the first one did; what could not be synced is thrown away with it.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;
use std::time::Instant;

use super::check::Invalid;
use super::clock::Now;
use super::registration::{Callback, Defaults, Draft, Registration};
use super::write::{Condition, Done, Refusal, Words, Write};
use crate::naming::Naming;

/// Registrations in all: some 100 MiB of them, and what one host's proxies could ever tell apart.
pub(crate) const REGISTRATIONS_MAX: usize = 200_000;
/// Callbacks of one registration.
const CALLBACKS_MAX: usize = 16;

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

/// All registrations that are synced.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: HashMap<Arc<str>, Entry>,
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
    /// A book of what was stored.
    pub(crate) fn of(stored: Vec<Registration>, now: Now) -> Self {
        let mut book = Self::default();
        for registration in stored {
            let ttl = registration.draft.ttl;
            let deadline = registration.ends().map(|ends| now.deadline(ends, ttl));
            book.revision = book.revision.max(registration.revision);
            let registration = Arc::new(registration);
            let id = registration.id.clone();
            book.entries.insert(
                id,
                Entry {
                    registration,
                    deadline,
                },
            );
        }
        book
    }

    /// One registration, if it is there.
    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> hash_map::Values<'_, Arc<str>, Entry> {
        self.entries.values()
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes in what was synced: what is `None` is removed.
    pub(crate) fn turn(&mut self, changed: HashMap<Arc<str>, Option<Entry>>, revision: u64) {
        self.revision = self.revision.max(revision);
        for (id, entry) in changed {
            match entry {
                Some(entry) => self.entries.insert(id, entry),
                None => self.entries.remove(&id),
            };
        }
    }
}

/// Decisions that are not synced yet, over the book.
pub(crate) struct Pages<'b> {
    book: &'b Book,
    rules: &'b Rules,
    now: Now,
    changed: HashMap<Arc<str>, Option<Entry>>,
    count: usize,
    revision: u64,
}

impl<'b> Pages<'b> {
    /// Nothing decided yet.
    pub(crate) fn over(book: &'b Book, rules: &'b Rules, now: Now) -> Self {
        Self {
            book,
            rules,
            now,
            changed: HashMap::new(),
            count: book.len(),
            revision: book.revision,
        }
    }

    /// What was decided, and the greatest revision that was given.
    pub(crate) fn into_changed(self) -> (HashMap<Arc<str>, Option<Entry>>, u64) {
        (self.changed, self.revision)
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
            Write::Beat { id, ttl } => self.beat(&id, ttl),
            Write::Remove { id, condition } => {
                self.known(&id, &condition)?;
                self.changed.insert(id, None);
                self.count -= 1;
                Ok(Done {
                    entry: None,
                    is_new: false,
                })
            }
            Write::Call { words, callback } => self.call(&words, &callback),
        }
    }

    fn get(&self, id: &str) -> Option<&Entry> {
        let entry = match self.changed.get(id) {
            Some(changed) => changed.as_ref(),
            None => self.book.get(id),
        };
        // What is over is removed in a moment, and is not there for anybody already.
        entry.filter(|entry| !entry.is_over(self.now.instant))
    }

    /// What is registered, if `condition` holds for it.
    fn known(&self, id: &Arc<str>, condition: &Condition) -> Result<&Entry, Refusal> {
        let known = self.get(id);
        condition.check(id, known)?;
        known.ok_or_else(|| Refusal::NotFound(id.clone()))
    }

    fn put(&mut self, id: &Arc<str>, draft: Draft, condition: &Condition) -> Result<Done, Refusal> {
        draft.check(id, &self.rules.defaults, &self.rules.naming)?;
        let known = self.get(id);
        condition.check(id, known)?;
        let is_new = known.is_none();
        let callbacks = known.map_or_else(Vec::new, |known| known.registration.callbacks.clone());
        // One that is over is still counted.
        if is_new && !self.is_counted(id) {
            if self.count >= REGISTRATIONS_MAX {
                return Err(Refusal::TooMany);
            }
            self.count += 1;
        }
        let registration = Registration {
            id: id.clone(),
            expires_unix_ms: None,
            expires_uptime: None,
            // Greater than any before, also of one that was removed and forgotten with a restart.
            revision: self.next_revision(),
            draft,
            callbacks,
        };
        let entry = Entry::from_now(registration, self.now);
        self.changed.insert(id.clone(), Some(entry.clone()));
        Ok(Done {
            entry: Some(entry),
            is_new,
        })
    }

    fn is_counted(&self, id: &str) -> bool {
        match self.changed.get(id) {
            Some(changed) => changed.is_some(),
            None => self.book.get(id).is_some(),
        }
    }

    fn next_revision(&mut self) -> u64 {
        self.revision = (self.revision + 1).max(self.now.unix_ms());
        self.revision
    }

    fn beat(&mut self, id: &Arc<str>, ttl: Option<u32>) -> Result<Done, Refusal> {
        let known = self.known(id, &Condition::Always)?;
        let mut registration = Registration::clone(&known.registration);
        registration.draft.ttl = ttl.unwrap_or(registration.draft.ttl);
        let entry = Entry::from_now(registration, self.now);
        self.changed.insert(id.clone(), Some(entry.clone()));
        Ok(Done {
            entry: Some(entry),
            is_new: false,
        })
    }

    fn call(&mut self, words: &Words, callback: &Callback) -> Result<Done, Refusal> {
        let ids = self.book.entries.keys().chain(self.changed.keys());
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
        let mut called = Vec::with_capacity(ids.len());
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
            called.push((id, Some(entry)));
        }
        self.changed.extend(called);
        Ok(Done {
            entry: None,
            is_new: true,
        })
    }
}

#[cfg(test)]
mod tests;
