//! Words that many containers share, each held once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arcstr::ArcStr;
use foldhash::fast::RandomState;

/// Words held before those that nobody uses any more are looked for.
const SWEEP_AT_LEAST: usize = 64;

/// Words in use: images, projects, networks, and what the settings say. Holds at most twice as many as are in use.
#[derive(Debug, Default)]
pub(crate) struct Words {
    held: HashSet<ArcStr, RandomState>,
    sweep_at: usize,
    /// Where those are looked for, and held too, that are not here.
    everyones: Option<SharedWords>,
}

/// Words that several threads share. Cheap to clone; all clones hold the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedWords(Arc<Mutex<Words>>);

impl SharedWords {
    /// All of them, for as long as nobody else needs them.
    pub(crate) fn all(&self) -> MutexGuard<'_, Words> {
        // Whoever panicked while it held the lock had put one whole word in or none.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None yet, but each that is asked for comes from here. So threads that read much ask each other once for each word.
    pub(crate) fn some(&self) -> Words {
        Words {
            everyones: Some(self.clone()),
            ..Words::default()
        }
    }
}

impl Words {
    /// `word`, shared with whoever asked for it before.
    pub(crate) fn shared(&mut self, word: &str) -> ArcStr {
        if let Some(held) = self.held.get(word) {
            return held.clone();
        }
        if self.held.len() >= self.sweep_at.max(SWEEP_AT_LEAST) {
            self.held
                .retain(|held| ArcStr::strong_count(held).is_some_and(|users| users > 1));
            self.sweep_at = 2 * self.held.len();
        }
        let new = match &self.everyones {
            Some(everyones) => everyones.all().shared(word),
            None => word.into(),
        };
        self.held.insert(new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_held_once_and_let_go_when_nobody_uses_it() {
        let mut words = Words::default();
        let redis = words.shared("redis");
        assert!(ArcStr::ptr_eq(&redis, &words.shared("redis")));
        for number in 0..10 * SWEEP_AT_LEAST {
            words.shared(&number.to_string());
        }
        assert!(words.held.len() <= SWEEP_AT_LEAST, "{}", words.held.len());
        assert!(ArcStr::ptr_eq(&redis, &words.shared("redis")));
    }

    #[test]
    fn threads_share_words_with_each_other_and_with_whoever_has_them_all() {
        let all = SharedWords::default();
        let redis = all.all().shared("redis");
        let (mut one, mut other) = (all.some(), all.some());
        assert!(ArcStr::ptr_eq(&redis, &one.shared("redis")));
        let nginx = one.shared("nginx");
        assert!(ArcStr::ptr_eq(&nginx, &other.shared("nginx")));
        assert!(ArcStr::ptr_eq(&nginx, &all.all().shared("nginx")));
    }
}
