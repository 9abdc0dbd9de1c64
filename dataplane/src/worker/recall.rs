//! What a worker remembers: its cache, kept up to date and counted.

use dns::Query;

use crate::cache::{Age, Answer, Cache, Flush, Flushes, Kind, Settings};
use crate::counters::Writer;
use crate::respond::{Client, Message, Opening, Outcome, Policy};

/// A worker's share of the caches, before its thread exists.
pub(crate) struct Share {
    /// Octets and rules; the octets are this worker's alone.
    pub(crate) settings: Settings,
    /// What is to be forgotten.
    pub(crate) flushes: Flushes,
}

/// A worker's cache.
pub(crate) struct Recall {
    cache: Cache,
    flushes: Flushes,
    /// Seconds of a clock that never goes back.
    now: u32,
}

impl Recall {
    /// Nothing yet. `seed` must be unpredictable, except in tests.
    pub(crate) fn new(share: Share, seed: u64) -> Self {
        let Settings { octets, rules } = share.settings;
        Self {
            cache: Cache::new(octets, rules, seed),
            flushes: share.flushes,
            now: 0,
        }
    }

    /// Tells the time, in seconds, and forgets what is to be forgotten. To be called once a batch.
    #[inline]
    pub(crate) fn catch_up(&mut self, now: u32, counters: &Writer) {
        self.now = now;
        let cache = &mut self.cache;
        self.flushes.hear(|flush: &Flush| {
            cache.flush(flush);
            counters.cache_flushes.increment();
            gauge(cache, counters);
        });
    }

    /// Answers the query in `message`, if there is something to answer it with; what should be asked again soon is told
    /// to `refresh`.
    pub(crate) fn answer(
        &mut self,
        policy: &Policy,
        counters: &Writer,
        client: Client,
        message: &mut Message<'_>,
        refresh: impl FnOnce(&Query<'_>),
    ) -> Option<Outcome> {
        let query = Query::parse(message.octets()).ok()?;
        let key = self.cache.key(&query);
        let Some(hit) = self.cache.lookup(&key, self.now) else {
            counters.cache_misses.increment();
            return None;
        };
        if hit.refresh {
            counters.cache_refreshes.increment();
            refresh(&query);
        }
        count(&hit.answer, counters);
        let opening = Opening::of(policy, client, &query);
        let (length, truncated) = hit
            .answer
            .write(opening.begin(policy, message), opening.head().id());
        Some(Outcome::Reply {
            length,
            rcode: hit.answer.rcode(),
            truncated,
        })
    }
}

/// Counts a query that `answer` answers.
fn count(answer: &Answer<'_>, counters: &Writer) {
    let counter = match (answer.age, answer.kind) {
        (Age::Stale, _) => &counters.cache_stale,
        (_, Kind::Positive) => &counters.cache_hits,
        (_, Kind::Negative) => &counters.cache_denials,
        (_, Kind::Failure) => &counters.cache_failures,
        (_, Kind::Blocked) => &counters.cache_blocked,
    };
    counter.increment();
}

/// Tells how full the cache is.
fn gauge(cache: &Cache, counters: &Writer) {
    counters.cache_entries.set(cache.entries() as u64);
    counters.cache_octets.set(cache.used() as u64);
}
