//! Answers of upstreams, kept for whoever asks next.
//!
//! ```text
//!  query ─▶ Key ─lookup─▶ Store ─▶ Answer, fresh ─────────────▶ reply
//!                           │        └── soon over, and asked for often ─▶ refresh, too
//!                           └──▶ none, or past its time ─▶ upstream ─reply─▶ sift ─▶ Draft ─insert─▶ Store
//!                                                             └── failed ─▶ Answer, stale, or the failure is kept
//! ```
//!
//! One for each core, with no lock and no clock: octets and a time in, octets out. Time is in whole seconds of a clock
//! that never goes back. A hit compares the whole question, copies records, and counts their TTLs down where they then
//! lie; it allocates nothing, and neither does anything else here once the cache is made.

mod answer;
mod chain;
mod entry;
mod flush;
mod index;
mod key;
mod picked;
mod records;
mod ring;
mod rules;
mod sift;
mod store;

use std::time::Duration;

use dns::wire::ExtendedError;
use dns::{NameRef, Query, Question, Rcode};

pub use self::answer::{Age, Answer};
pub use self::entry::Kind;
use self::entry::Meta;
pub use self::flush::{Flush, Flusher, Flushes};
use self::key::Hash;
pub use self::key::Key;
pub use self::rules::Rules;
use self::sift::Draft;
pub use self::store::Moves;
use self::store::{Position, Store};
use crate::limits::{
    CACHE_REFRESH_HITS, CACHE_REFRESH_PAUSE, CACHE_REFRESH_SHARE, CACHE_STALE_PAUSE, CACHE_TTL_REFRESHED_MIN,
};

/// What the caches of all cores are to be. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Octets that they take together; 0: nothing is kept.
    pub octets: usize,
    /// How long what is kept.
    pub rules: Rules,
}

/// One core's answers.
pub struct Cache {
    hash: Hash,
    rules: Rules,
    /// None: nothing is kept.
    store: Option<Store>,
    draft: Draft,
}

/// What the cache has to say about a question.
#[derive(Debug)]
pub struct Hit<'a> {
    /// The answer.
    pub answer: Answer<'a>,
    /// An upstream should be asked as well, so that the next answer is there before this one is over.
    pub refresh: bool,
}

impl Cache {
    /// A cache that takes `octets` of memory and not more; 0: it keeps nothing. `seed` must be unpredictable, except
    /// in tests.
    #[must_use]
    pub fn new(octets: usize, rules: Rules, seed: u64) -> Self {
        let draft = Draft::new();
        let room = octets.saturating_sub(draft.taken());
        let store = (octets > 0).then(|| Store::new(room, rules.stale_seconds));
        Self {
            hash: Hash::new(seed),
            store,
            rules,
            draft,
        }
    }

    /// What a question is kept under; with DNSSEC records if `dnssec_ok`, and those that do not validate if
    /// `checking_disabled`.
    #[must_use]
    pub fn key_of(&self, question: &Question<'_>, dnssec_ok: bool, checking_disabled: bool) -> Key {
        Key::new(&self.hash, question, dnssec_ok, checking_disabled)
    }

    /// What the question of `query` is kept under.
    #[must_use]
    pub fn key(&self, query: &Query<'_>) -> Key {
        Key::of(&self.hash, query)
    }

    /// The answer to `key`'s question, if there is one that is good at `now`; or one past its time, while asking for a
    /// newer one is known to be of no use.
    pub fn lookup(&mut self, key: &Key, now: u32) -> Option<Hit<'_>> {
        let store = self.store.as_mut()?;
        let position = store.find(key)?;
        let mut meta = store.meta(position)?;
        let age = meta.age_at(now);
        let refresh = if let Age::Kept(_) = age {
            let hits = store.hit(position, &meta);
            let refresh = is_due(&meta, hits, now);
            if refresh {
                (meta.hits, meta.refreshed_at) = (hits, now.max(1));
                store.set_meta(position, &meta);
            }
            refresh
        } else {
            let failed_lately = meta.failed_at != 0 && now.saturating_sub(meta.failed_at) < CACHE_STALE_PAUSE;
            if !failed_lately || !self.rules.may_be_told(&meta, now) {
                return None;
            }
            store.hit(position, &meta);
            false
        };
        let answer = answer(store, position, &meta, age)?;
        Some(Hit { answer, refresh })
    }

    /// How long a client waits for upstreams before it is told what is past its time, if that is to be told.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        (self.store.is_some() && self.rules.stale_seconds > 0).then_some(self.rules.stale_patience)
    }

    /// What upstreams last said of `key`'s question, if the rules allow it to be told when there is no asking them.
    pub fn last_known(&mut self, key: &Key, now: u32) -> Option<Answer<'_>> {
        let store = self.store.as_mut()?;
        let position = store.find(key)?;
        let meta = store.meta(position)?;
        if !self.rules.may_be_told(&meta, now) {
            return None;
        }
        store.hit(position, &meta);
        answer(store, position, &meta, meta.age_at(now))
    }

    /// Takes in `reply`, the octets in which an upstream answered `key`'s question, keeps what may be kept, and returns
    /// what is to be told of it. `is_ours` says which names are not for others to tell. Of a reply that is none, because it
    /// cannot be read or its aliases lead nowhere, SERVFAIL is told.
    ///
    /// What was kept before is gone, also where the newer answer is not to be kept: nobody says so any more.
    pub fn insert(
        &mut self,
        key: &Key,
        reply: &[u8],
        now: u32,
        is_ours: impl Fn(NameRef<'_>) -> bool,
    ) -> Answer<'_> {
        if self.draft.sift(key, reply, &self.rules, is_ours).is_err() {
            return self.insert_failure(key, Rcode::SERV_FAIL, Some(ExtendedError::INVALID_DATA), now);
        }
        if self.draft.kind == Kind::Failure {
            self.keep_failure(key, now);
        } else if let Some(store) = &mut self.store {
            if self.draft.ttl > 0 {
                store.insert(key, &self.draft, now);
            } else {
                store.remove(key);
            }
        }
        self.draft.answer()
    }

    /// Returns what is to be told of `reply`, as [`Cache::insert`] does, and keeps nothing of it.
    pub fn sift(&mut self, key: &Key, reply: &[u8], is_ours: impl Fn(NameRef<'_>) -> bool) -> Answer<'_> {
        let sifted = self.draft.sift(key, reply, &self.rules, is_ours);
        match sifted {
            Ok(()) => self.draft.answer(),
            Err(_) => Answer::none(Rcode::SERV_FAIL, Some(ExtendedError::INVALID_DATA)),
        }
    }

    /// Keeps that upstreams failed to answer `key`'s question (RFC 9520), and returns what is to be told: what they said
    /// before, if that is there still and the rules allow it, else `rcode` and `why`.
    pub fn insert_failure(
        &mut self,
        key: &Key,
        rcode: Rcode,
        why: Option<ExtendedError>,
        now: u32,
    ) -> Answer<'_> {
        self.draft.fail(rcode);
        let before = self.keep_failure(key, now);
        let stale = self.store.as_ref().zip(before);
        let stale = stale.and_then(|(store, (position, meta, age))| answer(store, position, &meta, age));
        stale.unwrap_or(Answer {
            why,
            ..self.draft.answer()
        })
    }

    /// Does what was asked for since the last time.
    pub fn flush(&mut self, flush: &Flush) {
        let Some(store) = &mut self.store else {
            return;
        };
        match flush {
            Flush::All => store.flush_all(),
            Flush::Below(name) => store.flush(name),
        }
    }

    /// Entries there are.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.store.as_ref().map_or(0, Store::entries)
    }

    /// Octets that they take.
    #[must_use]
    pub fn used(&self) -> usize {
        self.store.as_ref().map_or(0, Store::used)
    }

    /// What was kept, and what made room for it, since this was last asked.
    pub fn take_moves(&mut self) -> Moves {
        self.store.as_mut().map(Store::take_moves).unwrap_or_default()
    }

    /// Keeps the failure that the draft holds, unless there is something better: then only that there was one. Returns
    /// the better.
    fn keep_failure(&mut self, key: &Key, now: u32) -> Option<(Position, Meta, Age)> {
        let store = self.store.as_mut()?;
        if let Some(position) = store.find(key)
            && let Some(mut meta) = store.meta(position)
            && self.rules.may_be_told(&meta, now)
        {
            meta.hits = store.hit(position, &meta);
            meta.failed_at = now.max(1);
            store.set_meta(position, &meta);
            // It may be good still: then the failure was that of a refreshment.
            return Some((position, meta, meta.age_at(now)));
        }
        store.insert(key, &self.draft, now);
        None
    }
}

impl Draft {
    fn answer(&self) -> Answer<'_> {
        Answer {
            records: self.records(),
            offsets: self.offsets(),
            answers: self.answers,
            authorities: self.authorities,
            rotation: self.rotation,
            rcode: self.rcode,
            kind: self.kind,
            age: Age::New,
            why: None,
        }
    }
}

fn answer<'a>(store: &'a Store, position: Position, meta: &Meta, age: Age) -> Option<Answer<'a>> {
    let parts = store.parts(position, meta)?;
    Some(Answer {
        records: parts.records,
        offsets: parts.offsets,
        answers: meta.answers,
        authorities: meta.authorities,
        rotation: meta.rotation,
        rcode: meta.rcode,
        kind: meta.kind,
        age,
        why: None,
    })
}

/// Whether an entry that was hit `hits` times is to be refreshed before it is over.
fn is_due(meta: &Meta, hits: u8, now: u32) -> bool {
    let left = meta.ttl.saturating_sub(meta.age(now));
    hits >= CACHE_REFRESH_HITS
        && meta.kind != Kind::Failure
        && meta.ttl >= CACHE_TTL_REFRESHED_MIN
        && left <= meta.ttl / CACHE_REFRESH_SHARE
        && (meta.refreshed_at == 0 || now.saturating_sub(meta.refreshed_at) >= CACHE_REFRESH_PAUSE)
}

#[cfg(test)]
mod tests;
