//! How long to wait before the next try to reach an engine, and for its answers.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// First wait or deadline, and the bound that doubled ones reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) first: Duration,
    pub(crate) last: Duration,
}

/// Doubles from the first wait to the last. Of each wait a random part, up to half, is left out, so that many hosts
/// that lost one proxy do not come back in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    bounds: Bounds,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            next: bounds.first,
        }
    }

    /// The next wait.
    pub(crate) fn wait(&mut self) -> Duration {
        // The standard library's hasher is seeded from the kernel's entropy: enough to spread retries.
        self.wait_with(RandomState::new().hash_one(()))
    }

    fn wait_with(&mut self, random: u64) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.bounds.last);
        let share = (random >> 32) as u32;
        full / 2 + (full / 2).mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    /// Starts over: it went well for as long as the longest wait. A shorter life must not undo the growth, or an engine
    /// that cuts every connection would be listed and inspected many times a second.
    pub(crate) fn lived(&mut self, life: Duration) {
        if life >= self.bounds.last {
            self.next = self.bounds.first;
        }
    }
}

/// How long an engine may take for an answer: twice as long after a session that ended because one was late, for an engine
/// with very many containers lists them only so fast; half as long after one that ended otherwise.
#[derive(Debug)]
pub(crate) struct Patience {
    bounds: Bounds,
    deadline: Duration,
}

impl Patience {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            deadline: bounds.first,
        }
    }

    /// For each request of the next session.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// A session ended; whether that was because an answer was late.
    pub(crate) fn ended(&mut self, was_late: bool) {
        self.deadline = if was_late {
            (self.deadline * 2).min(self.bounds.last)
        } else {
            (self.deadline / 2).max(self.bounds.first)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        first: Duration::from_millis(100),
        last: Duration::from_secs(5),
    };

    fn waits_ms(random: u64) -> Vec<u128> {
        let mut backoff = Backoff::new(BOUNDS);
        (0..8).map(|_| backoff.wait_with(random).as_millis()).collect()
    }

    #[test]
    fn waits_double_to_the_bound_and_lose_up_to_half() {
        assert_eq!(waits_ms(u64::MAX), [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(waits_ms(0), [50, 100, 200, 400, 800, 1600, 2500, 2500]);
    }

    #[test]
    fn only_a_connection_that_lasted_starts_the_waits_over() {
        let mut backoff = Backoff::new(BOUNDS);
        for _ in 0..3 {
            backoff.wait();
        }
        backoff.lived(Duration::from_millis(4999));
        assert_eq!(backoff.wait_with(u64::MAX).as_millis(), 800);
        backoff.lived(BOUNDS.last);
        assert_eq!(backoff.wait_with(u64::MAX).as_millis(), 100);
    }

    #[test]
    fn who_was_late_gets_more_time_up_to_the_bound_and_who_was_not_less_again() {
        let mut patience = Patience::new(BOUNDS);
        let late: Vec<u128> = (0..8)
            .map(|_| {
                patience.ended(true);
                patience.deadline().as_millis()
            })
            .collect();
        assert_eq!(late, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        patience.ended(false);
        assert_eq!(patience.deadline().as_millis(), 2500);
        (0..8).for_each(|_| patience.ended(false));
        assert_eq!(patience.deadline(), BOUNDS.first);
    }

    #[test]
    fn two_waits_are_seldom_equal() {
        let mut waits: Vec<_> = (0..16).map(|_| Backoff::new(BOUNDS).wait()).collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 8, "{waits:?}");
    }
}
