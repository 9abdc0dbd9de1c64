//! What a worker remembers: its cache, kept up to date and counted.
//!
//! ```text
//!  query ─answer─▶ found ─▶ reply, and at times what to ask again
//!             └──▶ not found ─▶ forwarder ─▶ the end of an exchange ─take_in─▶ what each who waited is told
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use dns::{Class, Lookup, NameRef, Query, Question, RType, Snapshot};

use crate::cache::{Age, Answer, Cache, Flushes, Hit, Key, Kind, Settings};
use crate::counters::Writer;
use crate::forward::{Asked, Ended, Failure};
use crate::respond::{Client, Message, Opening, Outcome, Policy};

/// A worker's share of the caches, before its thread exists.
pub(crate) struct Share {
    /// Octets and rules; the octets are this worker's alone.
    pub(crate) settings: Settings,
    /// What is to be forgotten.
    pub(crate) flushes: Flushes,
}

/// A worker's cache.
pub(super) struct Recall {
    cache: Cache,
    flushes: Flushes,
    /// When it last was ordered to forget something.
    flushed_at: Option<Instant>,
    /// What is under way since before that may still be found by who asks the same.
    is_flushed: bool,
    /// When it was first told the time.
    began: Option<Instant>,
}

impl Recall {
    /// Nothing yet. `seed` must be unpredictable, except in tests.
    pub(super) fn new(share: Share, seed: u64) -> Self {
        let Settings { octets, rules } = share.settings;
        Self {
            cache: Cache::new(octets, rules, seed),
            flushes: share.flushes,
            flushed_at: None,
            is_flushed: false,
            began: None,
        }
    }

    /// Answers the query in `message`, if there is something to answer it with; and says what should be asked again.
    pub(super) fn answer(
        &mut self,
        policy: &Policy,
        counters: &Writer,
        client: Client,
        message: &mut Message<'_>,
        now: Instant,
    ) -> Option<(Outcome, Option<Asked>)> {
        self.forget(counters, now);
        let now = self.seconds(now);
        let query = Query::parse(message.octets()).ok()?;
        let key = self.cache.key(&query);
        let hit = look_up(&mut self.cache, &key, counters, now)?;
        let refresh = hit.refresh.then(|| Asked::of(&query));
        let opening = Opening::of(policy, client, &query);
        Some((write(&hit.answer, &opening, policy, message), refresh))
    }

    /// What is kept of what is `asked`, if that is there.
    pub(super) fn find(&mut self, asked: &Asked, counters: &Writer, now: Instant) -> Option<Hit<'_>> {
        self.forget(counters, now);
        let now = self.seconds(now);
        let key = self.key(asked);
        look_up(&mut self.cache, &key, counters, now)
    }

    /// What was last known of what is `asked`, if the rules allow that to be told.
    pub(super) fn last_known(
        &mut self,
        asked: &Asked,
        counters: &Writer,
        now: Instant,
    ) -> Option<Answer<'_>> {
        self.forget(counters, now);
        let now = self.seconds(now);
        let key = self.key(asked);
        self.cache.last_known(&key, now)
    }

    /// How long a client is to wait for what is `asked` before it is told what is past its time; none if there is nothing.
    pub(super) fn patience(&mut self, asked: &Asked, counters: &Writer, now: Instant) -> Option<Duration> {
        let patience = self.cache.patience()?;
        self.last_known(asked, counters, now).map(|_| patience)
    }

    fn key(&self, asked: &Asked) -> Key {
        let question = asked.question();
        self.cache
            .key_of(&question, asked.dnssec_ok, asked.checking_disabled)
    }

    /// Answers the query in `message` with what is past its time, if the rules allow it: there is no asking anybody now.
    pub(super) fn answer_stale(
        &mut self,
        policy: &Policy,
        counters: &Writer,
        client: Client,
        message: &mut Message<'_>,
        now: Instant,
    ) -> Option<Outcome> {
        let now = self.seconds(now);
        let query = Query::parse(message.octets()).ok()?;
        let key = self.cache.key(&query);
        let answer = self.cache.last_known(&key, now)?;
        count(&answer, counters);
        let opening = Opening::of(policy, client, &query);
        Some(write(&answer, &opening, policy, message))
    }

    /// Takes in the end of an exchange with upstreams, and returns what is told of it.
    ///
    /// What was asked before the last order to forget is told to those who waited, and kept for nobody: it may be just what
    /// was to be forgotten.
    pub(super) fn take_in(
        &mut self,
        ended: &Ended<'_>,
        snapshot: &Snapshot,
        policy: &Policy,
        counters: &Writer,
        now: Instant,
    ) -> Answer<'_> {
        self.forget(counters, now);
        let is_kept = self.flushed_at.is_none_or(|flushed_at| flushed_at <= ended.began);
        let now = self.seconds(now);
        let key = self.key(ended.asked);
        let is_ours = |name: NameRef<'_>| is_ours(name, snapshot, policy);
        match &ended.result {
            Ok(foreign) if is_kept => self.cache.insert(&key, foreign.octets, now, is_ours),
            Ok(foreign) => self.cache.sift(&key, foreign.octets, is_ours),
            Err(Failure { rcode, why }) if is_kept => {
                self.cache.insert_failure(&key, *rcode, Some(*why), now)
            }
            Err(Failure { rcode, why }) => Answer::none(*rcode, Some(*why)),
        }
    }

    /// Does what was ordered to be forgotten since the last time.
    fn forget(&mut self, counters: &Writer, now: Instant) {
        let Self {
            cache,
            flushes,
            flushed_at,
            is_flushed,
            ..
        } = self;
        flushes.hear(|flush| {
            cache.flush(flush);
            counters.cache_flushes.increment();
            (*flushed_at, *is_flushed) = (Some(now), true);
        });
    }

    /// Whether something was to be forgotten since this was last asked.
    pub(super) fn take_flushed(&mut self) -> bool {
        std::mem::take(&mut self.is_flushed)
    }

    /// Tells `counters` how full the cache is, and what came and went.
    pub(super) fn count(&mut self, counters: &Writer) {
        let moves = self.cache.take_moves();
        counters.cache_inserts.add(moves.inserts);
        counters.cache_evictions.add(moves.evictions);
        counters.cache_entries.set(self.cache.entries() as u64);
        counters.cache_octets.set(self.cache.used() as u64);
    }

    /// Whole seconds on the cache's own clock.
    fn seconds(&mut self, now: Instant) -> u32 {
        let began = *self.began.get_or_insert(now);
        // 136 years.
        now.saturating_duration_since(began).as_secs() as u32
    }
}

/// Looks `key` up, and counts what comes of it.
fn look_up<'c>(cache: &'c mut Cache, key: &Key, counters: &Writer, now: u32) -> Option<Hit<'c>> {
    let Some(hit) = cache.lookup(key, now) else {
        counters.cache_misses.increment();
        return None;
    };
    counters.cache_refreshes.add(u64::from(hit.refresh));
    count(&hit.answer, counters);
    Some(hit)
}

/// Turns the query in `message` into a reply with `answer`.
fn write(answer: &Answer<'_>, opening: &Opening, policy: &Policy, message: &mut Message<'_>) -> Outcome {
    let (length, truncated) = answer.write(opening.begin(policy, message), opening.head().id());
    Outcome::Reply {
        length,
        rcode: answer.rcode(),
        truncated,
    }
}

/// Whether `name` is for us alone to tell: it lies in a zone of ours, and is not asked of others where we know none.
fn is_ours(name: NameRef<'_>, snapshot: &Snapshot, policy: &Policy) -> bool {
    let question = Question {
        qname: name,
        qtype: RType::A,
        qclass: Class::IN,
    };
    match snapshot.lookup(&question, IpAddr::V4(Ipv4Addr::UNSPECIFIED)) {
        Lookup::NotOurs => false,
        Lookup::NxDomain(_) => !policy.falls_through(name),
        _ => true,
    }
}

/// Counts a query that `answer` answers without an upstream.
pub(super) fn count(answer: &Answer<'_>, counters: &Writer) {
    let counter = match (answer.age, answer.kind) {
        (Age::Stale, _) => &counters.cache_stale,
        (_, Kind::Positive) => &counters.cache_hits,
        (_, Kind::Negative) => &counters.cache_denials,
        (_, Kind::Failure) => &counters.cache_failures,
        (_, Kind::Blocked) => &counters.cache_blocked,
    };
    counter.increment();
}

/// Counts a query that was told `answer` at the end of an exchange, if that is not simply what an upstream said.
pub(super) fn count_told(answer: &Answer<'_>, counters: &Writer) {
    match (answer.age, answer.kind) {
        (Age::Stale, _) => counters.cache_stale.increment(),
        (_, Kind::Blocked) => counters.cache_blocked.increment(),
        _ => {}
    }
}
