//! How an upstream wants to be asked: what it did not understand once is left out for a while.

use std::time::Instant;

use crate::limits::{MANGLED_MIN, MANNERS_TIME};

/// How one upstream wants to be asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    /// It answered only when asked without EDNS; it is not asked with EDNS before this.
    edns_again: Option<Instant>,
    /// It does not keep the spelling of names; it is not relied on before this.
    case_again: Option<Instant>,
    /// Replies with another spelling than was asked, each proven not to be a forger's, since the last one that kept it.
    mangled: u32,
}

impl Manners {
    /// Whether it may be asked with EDNS.
    pub(crate) fn takes_edns(&self, now: Instant) -> bool {
        self.edns_again.is_none_or(|again| again <= now)
    }

    /// It answered without EDNS what it would not answer with it.
    pub(crate) fn answered_without_edns(&mut self, now: Instant) {
        self.edns_again = Some(now + MANNERS_TIME);
    }

    /// Whether the spelling of a name can be relied on to come back.
    pub(crate) fn keeps_case(&self, now: Instant) -> bool {
        self.case_again.is_none_or(|again| again <= now)
    }

    /// A name came back as it was spelled.
    pub(crate) fn kept_case(&mut self) {
        self.mangled = 0;
    }

    /// A name came back in another spelling, and then, asked once more from another port and with another id, it was
    /// answered. Whoever forges that must have guessed both twice; it counts only after some times in a row all the same.
    pub(crate) fn mangled_case(&mut self, now: Instant) {
        self.mangled = self.mangled.saturating_add(1);
        if self.mangled >= MANGLED_MIN {
            (self.case_again, self.mangled) = (Some(now + MANNERS_TIME), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_not_understood_is_tried_again_after_a_while() {
        let (mut manners, now) = (Manners::default(), Instant::now());
        let later = now + MANNERS_TIME;
        assert!(manners.takes_edns(now) && manners.keeps_case(now));
        manners.answered_without_edns(now);
        assert!(!manners.takes_edns(now) && manners.takes_edns(later));
        (0..MANGLED_MIN).for_each(|_| manners.mangled_case(now));
        assert!(!manners.keeps_case(later - Duration::from_millis(1)) && manners.keeps_case(later));
    }

    #[test]
    fn one_spelling_that_was_kept_outweighs_those_that_were_not() {
        let (mut manners, now) = (Manners::default(), Instant::now());
        for _ in 0..10 {
            (1..MANGLED_MIN).for_each(|_| manners.mangled_case(now));
            manners.kept_case();
        }
        assert!(manners.keeps_case(now));
    }
}
