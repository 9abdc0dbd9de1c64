//! What is known of one upstream: whether it answers, and how fast.
//!
//! ```text
//!           UPSTREAM_FAILURES_MAX in a row, or nobody there
//!   well ────────────────────────────────────────────────▶ down, not probed before UPSTREAM_REST_MIN is over
//!    ▲                                                       │    ▲
//!    └── any reply, to a probe or to a query that had ◀──────┘    └── a probe is lost: twice as long a rest,
//!        nobody else to go to                                         at most UPSTREAM_REST_MAX
//! ```
//!
//! Everything is learned from the queries that pass, and probes are sent along with them: no traffic, no probes.

use std::time::{Duration, Instant};

use crate::limits::{FORWARD_TIMEOUT, UPSTREAM_FAILURES_MAX, UPSTREAM_REST_MAX, UPSTREAM_REST_MIN};

/// What is known of one upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// How long its replies take, smoothed. None: it never answered.
    round_trip: Option<Duration>,
    /// Tries without a reply since the last reply.
    failures: u32,
    down: Option<Down>,
}

/// An upstream that does not answer.
#[derive(Clone, Copy, Debug)]
struct Down {
    probe_at: Instant,
    rest: Duration,
}

impl Health {
    /// Whether it is to be asked before those that are not well.
    pub(crate) fn is_well(&self) -> bool {
        self.down.is_none()
    }

    /// How long a reply is to be expected to take. Nothing at all for one that was never asked, so that it will be.
    pub(crate) fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or_default()
    }

    /// A reply came, after `waited` where it is known which try it answers.
    pub(crate) fn succeeded(&mut self, waited: Option<Duration>) {
        (self.failures, self.down) = (0, None);
        if let Some(waited) = waited {
            // An eighth of the newest, as TCP smooths its own (RFC 6298, section 2).
            self.round_trip = Some(match self.round_trip {
                Some(smoothed) => (smoothed * 7 + waited) / 8,
                None => waited,
            });
        }
    }

    /// A try was not answered in time.
    pub(crate) fn timed_out(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        // Slower than it seemed, if it is there at all.
        self.round_trip = self
            .round_trip
            .map(|smoothed| (smoothed * 2).min(FORWARD_TIMEOUT));
        if self.failures >= UPSTREAM_FAILURES_MAX && self.is_well() {
            self.rest(now, UPSTREAM_REST_MIN);
        }
    }

    /// Nobody is there, or there is no way.
    pub(crate) fn refused(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.is_well() {
            self.rest(now, UPSTREAM_REST_MIN);
        }
    }

    /// Whether a probe is due. It is taken for sent then, and the next one comes after a longer rest.
    pub(crate) fn take_probe(&mut self, now: Instant) -> bool {
        match self.down {
            Some(Down { probe_at, rest }) if probe_at <= now => {
                self.rest(now, (rest * 2).min(UPSTREAM_REST_MAX));
                true
            }
            _ => false,
        }
    }

    fn rest(&mut self, now: Instant, rest: Duration) {
        self.down = Some(Down {
            probe_at: now + rest,
            rest,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_reply_is_nothing_and_several_in_a_row_are_an_outage() {
        let (mut health, now) = (Health::default(), Instant::now());
        for _ in 0..10 {
            for _ in 1..UPSTREAM_FAILURES_MAX {
                health.timed_out(now);
            }
            assert!(health.is_well());
            health.succeeded(None);
        }
        for _ in 0..UPSTREAM_FAILURES_MAX {
            health.timed_out(now);
        }
        assert!(!health.is_well());
        health.succeeded(None);
        assert!(health.is_well());
        health.refused(now);
        assert!(!health.is_well(), "nobody there is beyond doubt");
    }

    #[test]
    fn probes_come_ever_more_seldom_and_one_reply_ends_them() {
        let (mut health, start) = (Health::default(), Instant::now());
        health.refused(start);
        let mut sent = Vec::new();
        for second in 0..60 {
            if health.take_probe(start + Duration::from_secs(second)) {
                sent.push(second);
            }
        }
        assert_eq!(sent, [1, 3, 7, 15, 31, 47]);
        health.succeeded(Some(Duration::from_millis(3)));
        assert!(!health.take_probe(start + Duration::from_secs(3600)));
        health.refused(start);
        assert!(health.take_probe(start + UPSTREAM_REST_MIN));
    }

    #[test]
    fn round_trips_are_smoothed_and_silence_counts_as_slow() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert_eq!(health.round_trip(), Duration::ZERO);
        health.succeeded(Some(Duration::from_millis(8)));
        health.succeeded(Some(Duration::from_millis(16)));
        assert_eq!(health.round_trip(), Duration::from_millis(9));
        for _ in 0..20 {
            health.timed_out(now);
        }
        assert_eq!(health.round_trip(), FORWARD_TIMEOUT);
    }
}
