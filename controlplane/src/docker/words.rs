//! Words that many containers share, each held once.

use std::collections::HashSet;

use arcstr::ArcStr;

/// Words held before those that nobody uses any more are looked for.
const SWEEP_AT_LEAST: usize = 64;

/// Words in use: images, projects, networks, and what the settings say. Holds at most twice as many as are in use.
#[derive(Debug, Default)]
pub(crate) struct Words {
    held: HashSet<ArcStr>,
    sweep_at: usize,
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
        let new: ArcStr = word.into();
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
}
