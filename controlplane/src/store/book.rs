//! All registrations, and what a write makes of them.
//!
//! The [`Book`] is what has been synced. [`Pages`] lies over it while a batch of writes is decided, so that the second
//! of two writes sees what the first one did; what could not be synced is thrown away with it.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::registration::{Callback, Defaults, Draft, DraftPort, Invalid, Registration};
use crate::naming::{Naming, label};

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

/// What somebody asks for.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Register it, or replace what is registered.
    Put {
        /// Which.
        id: Arc<str>,
        /// What it is from now on.
        draft: Draft,
        /// Only if.
        condition: Condition,
    },
    /// Change some of it.
    Patch {
        /// Which.
        id: Arc<str>,
        /// What to change.
        patch: Box<Patch>,
        /// Only if.
        condition: Condition,
    },
    /// It still lives.
    Beat {
        /// Which.
        id: Arc<str>,
        /// Its TTL from now on, in seconds; nothing: as before.
        ttl: Option<u32>,
    },
    /// Remove it.
    Remove {
        /// Which.
        id: Arc<str>,
        /// Only if.
        condition: Condition,
    },
    /// Tell somebody when any of these goes.
    Call {
        /// Which: those with these words.
        words: Words,
        /// Whom to tell.
        callback: Callback,
    },
}

/// When a write is to be done at all (RFC 9110, section 13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Always.
    #[default]
    Always,
    /// If it is not there: `If-None-Match: *`.
    Absent,
    /// If it is there: `If-Match: *`.
    Present,
    /// If it is there and has one of these revisions: `If-Match: "1", "2"`.
    Revision(Vec<u64>),
    /// If it has none of these: `If-None-Match: "1", "2"`.
    NotRevision(Vec<u64>),
}

/// Changes to a draft: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patch {
    /// The fields of a [`Draft`].
    pub(crate) service: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) region: Option<String>,
    /// Addresses or an alias: either takes the place of the other.
    pub(crate) host: Option<(Vec<std::net::IpAddr>, Option<String>)>,
    pub(crate) ports: Option<Vec<DraftPort>>,
    pub(crate) priority: Option<Option<u16>>,
    pub(crate) weight: Option<Option<u16>>,
    pub(crate) texts: Option<Vec<String>>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) ttl: Option<u32>,
    pub(crate) permanent: Option<bool>,
}

/// The four words that SkyDNS finds the services of a callback by. An empty one, and `*`, is any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    pub(crate) service: String,
    pub(crate) instance: String,
    pub(crate) environment: String,
    pub(crate) region: String,
}

/// What a write did.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// As it is now; nothing if it was removed.
    pub(crate) entry: Option<Entry>,
    /// Whether it was not there before.
    pub(crate) is_new: bool,
}

/// Why a write was not done. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no such registration.
    #[error("no service {0:?} is registered; GET /v1/services lists those that are")]
    NotFound(Arc<str>),
    /// It is there already.
    #[error("service {0:?} is registered already; remove it first, or change it under /v1/services")]
    Exists(Arc<str>),
    /// Its condition does not hold.
    #[error("service {id:?} is not as the condition has it; its revision is {revision}")]
    Condition {
        /// Which.
        id: Arc<str>,
        /// What it is; `none` if it is not there.
        revision: String,
    },
    /// It cannot be served.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// There are too many.
    #[error("{REGISTRATIONS_MAX} services are registered, and there is room for no more; remove some")]
    TooMany,
    /// Too many writes wait.
    #[error("too many writes wait for the disk; try again in a second")]
    Busy,
    /// The disk did not take it in time. What becomes of it is open.
    #[error("the disk has not taken the write in time, and may yet do so; look before trying again")]
    Slow,
    /// The store does not take writes.
    #[error("{reason}")]
    Storage {
        /// Why, and the remedy.
        reason: String,
        /// Whether it has no room.
        is_full: bool,
    },
    /// We are ending.
    #[error("skydock is stopping")]
    Stopping,
}

/// What every write is judged by.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) defaults: Defaults,
    pub(crate) naming: Naming,
}

/// The two clocks, read together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Nobody sets it: what ends while we run, ends by it.
    pub(crate) instant: Instant,
    /// Survives a restart.
    pub(crate) wall: SystemTime,
}

impl Now {
    /// Reads them.
    pub(crate) fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn unix_ms(&self) -> u64 {
        let since = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// The end of what was stored to end at `expires_unix_ms`.
    ///
    /// Between two runs only the wall clock has gone on. If it was set back meanwhile, a registration lives for no
    /// longer than its `ttl` again; if it was set forward, it ends early, and is registered anew.
    pub(crate) fn deadline(&self, expires_unix_ms: u64, ttl: u32) -> Instant {
        let left = Duration::from_millis(expires_unix_ms.saturating_sub(self.unix_ms()));
        self.instant + left.min(Duration::from_secs(ttl.into()))
    }
}

impl Book {
    /// A book of what was stored.
    pub(crate) fn of(stored: Vec<Registration>, now: Now) -> Self {
        let mut book = Self::default();
        for registration in stored {
            let ttl = registration.draft.ttl;
            let deadline = registration.expires_unix_ms.map(|ends| now.deadline(ends, ttl));
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
        let lasts = (!draft.permanent).then_some(draft.ttl);
        let registration = Registration {
            id: id.clone(),
            expires_unix_ms: lasts.map(|ttl| self.now.unix_ms().saturating_add(u64::from(ttl) * 1000)),
            // Greater than any before, also of one that was removed and forgotten with a restart.
            revision: self.next_revision(),
            draft,
            callbacks,
        };
        let entry = Entry {
            registration: Arc::new(registration),
            deadline: lasts.map(|ttl| self.now.instant + Duration::from_secs(ttl.into())),
        };
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
        let lasts = (!registration.draft.permanent).then_some(registration.draft.ttl);
        registration.expires_unix_ms =
            lasts.map(|ttl| self.now.unix_ms().saturating_add(u64::from(ttl) * 1000));
        let entry = Entry {
            registration: Arc::new(registration),
            deadline: lasts.map(|ttl| self.now.instant + Duration::from_secs(ttl.into())),
        };
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

impl Condition {
    fn check(&self, id: &Arc<str>, known: Option<&Entry>) -> Result<(), Refusal> {
        let revision = known.map(|known| known.registration.revision);
        let holds = match self {
            Self::Always => true,
            Self::Absent => revision.is_none(),
            Self::Present => revision.is_some(),
            Self::Revision(wanted) => revision.is_some_and(|revision| wanted.contains(&revision)),
            Self::NotRevision(unwanted) => !revision.is_some_and(|revision| unwanted.contains(&revision)),
        };
        if holds {
            return Ok(());
        }
        let id = id.clone();
        Err(Refusal::Condition {
            id,
            revision: revision.map_or_else(|| "none".to_owned(), |revision| revision.to_string()),
        })
    }
}

impl Patch {
    fn applied_to(self, draft: &Draft) -> Draft {
        let (addresses, alias) = self
            .host
            .unwrap_or_else(|| (draft.addresses.clone(), draft.alias.clone()));
        let draft = draft.clone();
        Draft {
            service: self.service.unwrap_or(draft.service),
            instance: self.instance.unwrap_or(draft.instance),
            environment: self.environment.unwrap_or(draft.environment),
            region: self.region.unwrap_or(draft.region),
            addresses,
            alias,
            ports: self.ports.unwrap_or(draft.ports),
            priority: self.priority.unwrap_or(draft.priority),
            weight: self.weight.unwrap_or(draft.weight),
            texts: self.texts.unwrap_or(draft.texts),
            names: self.names.unwrap_or(draft.names),
            ttl: self.ttl.unwrap_or(draft.ttl),
            permanent: self.permanent.unwrap_or(draft.permanent),
        }
    }
}

impl Words {
    fn mean(&self, registration: &Registration, defaults: &Defaults) -> bool {
        let service = registration.service(defaults, 0);
        [
            (&self.service, &service.service),
            (&self.instance, &service.instance),
            (&self.environment, &service.environment),
            (&self.region, &service.region),
        ]
        .into_iter()
        .all(|(wanted, has)| matches!(wanted.as_str(), "" | "*") || label(wanted) == label(has))
    }
}

impl std::fmt::Display for Words {
    /// As a question would have them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = [&self.region, &self.instance, &self.service, &self.environment];
        let words = words.map(|word| if word.is_empty() { "*" } else { word.as_str() });
        f.write_str(&words.join("."))
    }
}

#[cfg(test)]
mod tests;
