//! What a core remembers of all this, and tells again.

use std::collections::HashMap;
use std::time::Duration;

use dns::wire::Head;
use dns::{Query, Question, Reply};

use super::upstream::{QUESTION_END, truth};
use super::{Failure, number};
use crate::cache::{Cache, Kind, Rules};
use crate::limits::{CACHE_FAILURE_TTL, CACHE_SHARE_OCTETS_MIN};

/// The cache beside the forwarder.
pub(super) struct Memory {
    cache: Cache,
    /// When upstreams were last heard of each name, in microseconds, and what they gave: an answer, or none.
    heard: HashMap<u32, (u64, bool)>,
}

/// Seconds that answers are kept: so few that they are over while clients still ask.
const TTL: u32 = 2;

impl Memory {
    pub(super) fn new(seed: u64) -> Self {
        let rules = Rules {
            max_ttl: TTL,
            ..Rules::default()
        };
        Self {
            cache: Cache::new(CACHE_SHARE_OCTETS_MIN, rules, seed),
            heard: HashMap::new(),
        }
    }

    /// Takes in how the exchange about `question` ended at `now`.
    pub(super) fn take_in(&mut self, question: &[u8], result: &Result<Vec<u8>, Failure>, now: u64) {
        let (asked, _) = Question::split(question).unwrap();
        let key = self.cache.key_of(&asked, false, false);
        let kind = match result {
            Ok(reply) => self.cache.insert(&key, reply, seconds(now), |_| false).kind,
            Err(Failure { rcode, why }) => {
                let told = self.cache.insert_failure(&key, *rcode, Some(*why), seconds(now));
                told.kind
            }
        };
        assert_eq!(kind == Kind::Positive, result.is_ok());
        self.heard.insert(number(question), (now, result.is_ok()));
    }

    /// Whether whoever sends `query` at `now` is told something that is kept; and if so, whether that is an answer.
    pub(super) fn recall(&mut self, query: &[u8], now: u64) -> Option<bool> {
        let parsed = Query::parse(query).unwrap();
        let key = self.cache.key(&parsed);
        let hit = self.cache.lookup(&key, seconds(now))?;
        let question = query[12..].to_ascii_lowercase();
        let (since, is_answer) = self.heard[&number(&question)];
        let age = Duration::from_micros(now - since);
        assert_eq!(hit.answer.kind == Kind::Positive, is_answer);
        let longest = if is_answer { TTL } else { CACHE_FAILURE_TTL };
        assert!(
            age < Duration::from_secs(longest.into()),
            "what is {age:?} old was told"
        );
        if is_answer {
            let mut buffer = [query, &[0; 512]].concat();
            let reply = Reply::begin(&mut buffer, Head::from(&parsed), 512, 512);
            let (length, _) = hit.answer.write(reply, 0);
            let (mut told, ttl) = (buffer[QUESTION_END..length].to_vec(), 6..10);
            assert!((1..=TTL as u8).contains(&told[9]), "{told:?}");
            let truth = truth(&question);
            told[ttl.clone()].copy_from_slice(&truth[ttl]);
            assert_eq!(told, truth, "a forged answer was kept");
        }
        Some(is_answer)
    }
}

/// The cache's own clock.
fn seconds(now: u64) -> u32 {
    (now / 1_000_000) as u32
}
