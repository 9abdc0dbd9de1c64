//! When which registration has to be looked at.
//!
//! Ordered by time, so that whoever waits knows how long: nothing is scanned, and nobody wakes for nothing. A
//! heartbeat only moves an end further away, and then leaves the timer where it is: it finds nothing to end when it
//! fires, and is set anew.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use arcstr::ArcStr;

/// Shortest time between two looks at what is due: what comes due meanwhile is one change of the names and not many. Well
/// within the second in which a service that is over has to be gone.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A timer for each registration that ends.
#[derive(Debug, Default)]
pub(super) struct Timers {
    ordered: BTreeSet<(Instant, ArcStr)>,
    due: HashMap<ArcStr, Instant>,
}

impl Timers {
    /// Looks at `id` at `due`, or a little earlier; replaces a timer that is later.
    pub(super) fn set(&mut self, id: ArcStr, due: Instant) {
        match self.due.get_mut(&id) {
            // It is set anew when it fires.
            Some(earlier) if *earlier <= due => {}
            Some(later) => {
                self.ordered.remove(&(*later, id.clone()));
                *later = due;
                self.ordered.insert((due, id));
            }
            None => {
                self.due.insert(id.clone(), due);
                self.ordered.insert((due, id));
            }
        }
    }

    /// Does not look at `id` any more.
    pub(super) fn clear(&mut self, id: &str) {
        if let Some((id, due)) = self.due.remove_entry(id) {
            self.ordered.remove(&(due, id));
        }
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.ordered.first().map(|(due, _)| *due)
    }

    /// Those that are due, each once; they have no timer any more.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<ArcStr> {
        let mut taken = Vec::new();
        while let Some((due, _)) = self.ordered.first()
            && *due <= now
        {
            if let Some((_, id)) = self.ordered.pop_first() {
                self.due.remove(&id);
                taken.push(id);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_fires_once_and_in_order() {
        let now = Instant::now();
        let mut timers = Timers::default();
        for (id, after) in [("b", 2), ("a", 1), ("c", 3)] {
            timers.set(id.into(), now + seconds(after));
        }
        assert_eq!(timers.next(), Some(now + seconds(1)));
        assert_eq!(
            timers.take_due(now + seconds(2)),
            ["a".into(), "b".into()] as [ArcStr; 2]
        );
        assert_eq!(timers.take_due(now + seconds(2)), [] as [ArcStr; 0]);
        assert_eq!(timers.take_due(now + seconds(9)), ["c".into()] as [ArcStr; 1]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_heartbeat_leaves_the_timer_and_a_shorter_ttl_moves_it() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.set("a".into(), now + seconds(5));
        timers.set("a".into(), now + seconds(9));
        assert_eq!(timers.next(), Some(now + seconds(5)));
        timers.set("a".into(), now + seconds(2));
        assert_eq!(timers.next(), Some(now + seconds(2)));
        timers.clear("a");
        assert_eq!(
            (timers.next(), timers.take_due(now + seconds(9)).len()),
            (None, 0)
        );
    }

    /// Lets `seconds` pass for `count` registrations of this TTL, looked at as the keeper does it; each is heard of every
    /// `beat` seconds, if there is a beat. Wakes, and registrations that were looked at.
    fn pass(count: usize, ttl: u64, beat: Option<u64>, seconds_passed: u64) -> (u64, u64) {
        let began = Instant::now();
        let mut timers = Timers::default();
        let id = |number: usize| -> ArcStr { format!("{number}").into() };
        // They came over a minute.
        let mut deadlines: Vec<_> = (0..count)
            .map(|number| began + seconds(60) * u32::try_from(number).unwrap() / count as u32 + seconds(ttl))
            .collect();
        for (number, deadline) in deadlines.iter().enumerate() {
            timers.set(id(number), *deadline);
        }
        let (mut wakes, mut looks, mut now) = (0, 0, began);
        let mut heard = began;
        while let Some(next) = timers.next() {
            now = next.max(now + LOOK_EVERY);
            if now > began + seconds(seconds_passed) {
                break;
            }
            if let Some(beat) = beat
                && now - heard >= seconds(beat)
            {
                heard = now;
                for (number, deadline) in deadlines.iter_mut().enumerate() {
                    *deadline = now + seconds(ttl);
                    timers.set(id(number), *deadline);
                }
            }
            wakes += 1;
            for id in timers.take_due(now) {
                looks += 1;
                let deadline = deadlines[id.parse::<usize>().unwrap()];
                assert!(deadline > now || beat.is_none(), "it was heard of in time");
                if deadline > now {
                    timers.set(id, deadline);
                }
            }
        }
        (wakes, looks)
    }

    #[test]
    fn a_hundred_thousand_that_nobody_touches_are_not_looked_at() {
        let hour = 3600;
        assert_eq!(pass(100_000, 24 * hour, None, hour), (0, 0));
        assert_eq!(pass(0, 30, None, hour), (0, 0), "and nobody wakes for nothing");
    }

    #[test]
    fn heartbeats_have_each_looked_at_once_in_its_ttl() {
        let (wakes, looks) = pass(20_000, 30, Some(20), 600);
        assert!(looks <= 20_000 * 600 / 20 + 20_000, "{wakes} {looks}");
        assert!(wakes <= 4 * 600 + 1, "{wakes} {looks}");
    }
}
