//! Points in time that records end at. Who reads the clock is somebody else.

use std::num::NonZeroU64;

/// A moment of the host's clock that nobody sets (`CLOCK_MONOTONIC`), in milliseconds since that clock began.
///
/// Both planes read the same clock, so an end that one of them sets means the same to the other. Those of two hosts, or of
/// two starts of one, cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// So many milliseconds after the clock began; its very beginning counts as the first one.
    #[must_use]
    pub const fn of_milliseconds(milliseconds: u64) -> Self {
        match NonZeroU64::new(milliseconds) {
            Some(milliseconds) => Self(milliseconds),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Milliseconds since the clock began.
    #[must_use]
    pub const fn milliseconds(self) -> u64 {
        self.0.get()
    }

    /// How long a record may be remembered, in seconds, that ends at this moment and is asked for at `now`: what is left, and never
    /// 0, for which everybody would ask again at once.
    #[must_use]
    pub fn ttl_seconds(self, now: Self) -> u32 {
        let left = self.milliseconds().saturating_sub(now.milliseconds()) / 1000;
        u32::try_from(left).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_whole_seconds_and_never_as_nothing() {
        let at = Moment::of_milliseconds;
        let end = at(30_500);
        let told = [500, 501, 29_499, 29_501, 30_500, 99_000].map(|now| end.ttl_seconds(at(now)));
        assert_eq!(told, [30, 29, 1, 1, 1, 1]);
        assert_eq!(at(u64::MAX).ttl_seconds(at(0)), u32::MAX);
        assert_eq!(at(0), at(1));
    }
}
