//! Which time counts.
//!
//! ```text
//!  while we run                   the clock that nobody sets       Now::instant
//!  over a restart of skydock      the same clock, stored           Uptime
//!  over a restart of the host     the wall clock, stored           milliseconds since 1970
//! ```
//!
//! What a restart of the host has left is stored anew at the first start after it, by both clocks. Else the wall clock
//! would be asked again at each start, and what it is set to by then would count.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dns::Moment;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Where the kernel says which of its starts this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The clocks, read together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Nobody sets it: what ends while we run, ends by it.
    pub(crate) instant: Instant,
    /// Survives a restart of the host.
    pub(crate) wall: SystemTime,
    /// The first one again, as answers go by it.
    moment: Moment,
    /// And as it can be stored; none where the kernel does not say which of its starts this is.
    pub(crate) uptime: Option<Uptime>,
}

/// A moment since the start of this host. Those of two starts cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Uptime {
    /// Which start.
    boot: u64,
    /// Milliseconds that the host has run since.
    ms: u64,
}

/// When something ends, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// In milliseconds since 1970.
    pub(crate) unix_ms: u64,
    /// By the clock that nobody sets.
    pub(crate) uptime: Option<Uptime>,
}

impl Now {
    /// Reads them.
    pub(crate) fn read() -> Self {
        // The clock has been there since Linux 2.6.
        let since_start = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(TimeSpec::new(0, 0));
        let ms = u64::try_from(Duration::from(since_start).as_millis()).unwrap_or(u64::MAX);
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
            moment: Moment::of_milliseconds(ms),
            uptime: boot().map(|boot| Uptime { boot, ms }),
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn unix_ms(&self) -> u64 {
        let since = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// `deadline`, as answers go by it.
    pub(crate) fn moment(&self, deadline: Instant) -> Moment {
        let left = deadline.saturating_duration_since(self.instant).as_millis();
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        Moment::of_milliseconds(self.moment.milliseconds().saturating_add(left))
    }

    /// The end of what lives for `ttl` seconds from now on.
    pub(crate) fn ends(&self, ttl: u32) -> Ends {
        self.ends_after(u64::from(ttl) * 1000)
    }

    /// The end at `deadline`.
    pub(crate) fn ends_at(&self, deadline: Instant) -> Ends {
        let left = deadline.saturating_duration_since(self.instant).as_millis();
        self.ends_after(u64::try_from(left).unwrap_or(u64::MAX))
    }

    fn ends_after(&self, ms: u64) -> Ends {
        Ends {
            unix_ms: self.unix_ms().saturating_add(ms),
            uptime: self.uptime.map(|Uptime { boot, ms: now }| Uptime {
                boot,
                ms: now.saturating_add(ms),
            }),
        }
    }

    /// Whether `ends` is told by the clock that nobody sets, as it runs now.
    pub(crate) fn knows(&self, ends: Ends) -> bool {
        ends.uptime.map(|ends| ends.boot) == self.uptime.map(|now| now.boot)
    }

    /// The end of what was stored to end then.
    ///
    /// Where the host was started anew since, only the wall clock has gone on. If it was set back meanwhile, what was
    /// stored lives for no longer than its `ttl` again; if it was set forward, it ends early, and is registered anew.
    pub(crate) fn deadline(&self, ends: Ends, ttl: u32) -> Instant {
        let left = match (ends.uptime, self.uptime) {
            (Some(ends), Some(now)) if ends.boot == now.boot => ends.ms.saturating_sub(now.ms),
            _ => ends.unix_ms.saturating_sub(self.unix_ms()),
        };
        self.instant + Duration::from_millis(left).min(Duration::from_secs(ttl.into()))
    }
}

/// Which start of this host it is: half of the kernel's random number for it.
fn boot() -> Option<u64> {
    static BOOT: OnceLock<Option<u64>> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = std::fs::read_to_string(BOOT_ID).ok()?;
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        u64::from_str_radix(&digits, 16).ok()
    })
}

#[cfg(test)]
impl Now {
    /// So many seconds later, by all clocks.
    pub(crate) fn later(self, seconds: u64) -> Self {
        let passed = Duration::from_secs(seconds);
        Self {
            instant: self.instant + passed,
            wall: self.wall + passed,
            moment: Moment::of_milliseconds(self.moment.milliseconds() + 1000 * seconds),
            uptime: self.uptime.map(|Uptime { boot, ms }| Uptime {
                boot,
                ms: ms + 1000 * seconds,
            }),
        }
    }

    /// After a new start of the host.
    pub(crate) fn rebooted(self) -> Self {
        let uptime = self.uptime.map(|Uptime { boot, .. }| Uptime {
            boot: boot ^ 1,
            ms: 10_000,
        });
        Self { uptime, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: u32 = 60;

    /// Seconds that are left of a minute when the clocks stand like this.
    fn left(stored: Now, now: Now) -> u64 {
        (now.deadline(stored.ends(TTL), TTL) - now.instant).as_secs()
    }

    fn with_wall(now: Now, wall: SystemTime) -> Now {
        Now { wall, ..now }
    }

    #[test]
    fn while_the_host_runs_nobody_sets_the_time() {
        let stored = Now::read();
        let now = stored.later(20);
        assert_eq!(left(stored, now), 40);
        for hours in [1, 24 * 365 * 50] {
            let jump = Duration::from_secs(hours * 3600);
            assert_eq!(
                left(stored, with_wall(now, now.wall + jump)),
                40,
                "{hours} h forward"
            );
            assert_eq!(
                left(stored, with_wall(now, now.wall - jump)),
                40,
                "{hours} h back"
            );
        }
        assert_eq!(left(stored, stored.later(600)), 0);
    }

    #[test]
    fn over_a_new_start_of_the_host_the_wall_clock_counts() {
        let stored = Now::read();
        let now = stored.later(20).rebooted();
        assert_eq!(left(stored, now), 40);
        let hour = Duration::from_secs(3600);
        assert_eq!(left(stored, with_wall(now, now.wall + hour)), 0, "it ends early");
        assert_eq!(
            left(stored, with_wall(now, now.wall - hour)),
            60,
            "its TTL again, and no more"
        );
        assert_eq!(left(stored, with_wall(now, UNIX_EPOCH)), 60);
    }

    #[test]
    fn what_was_stored_without_the_other_clock_ends_by_the_wall_clock() {
        let stored = Now::read();
        let mut ends = stored.ends(TTL);
        ends.uptime = None;
        let now = stored.later(20);
        assert_eq!((now.deadline(ends, TTL) - now.instant).as_secs(), 40);
    }

    #[test]
    fn this_host_says_which_start_it_is() {
        assert_eq!(Now::read().uptime.map(|uptime| uptime.boot), boot());
        assert!(boot().is_some());
    }
}
