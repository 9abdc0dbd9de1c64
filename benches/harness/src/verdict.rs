//! What is promised, held against what was found: met, missed, or too close to tell.

use serde_json::{Value, json};

use crate::table::median;

/// How much is promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// This much at least.
    Least(f64),
    /// This much at most.
    Most(f64),
}

/// What was found, and between what it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    /// The median of the rounds.
    pub(crate) middle: f64,
    /// Where that median would lie in at least nine of ten runs; of fewer than five rounds, the least and the most.
    pub(crate) between: Option<[f64; 2]>,
}

/// One promise, and what was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    /// What it is about.
    pub(crate) what: String,
    /// What was found, or why nothing was.
    pub(crate) found: Result<Found, String>,
    /// What is promised.
    pub(crate) bound: Bound,
}

/// What became of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Kept.
    Met,
    /// Not kept.
    Missed,
    /// The rounds lie on both sides of the bound.
    Close,
    /// Not measured, or nothing to compare.
    None,
}

/// How sure an interval is at least.
const COVERAGE_MIN: f64 = 0.9;
/// Digits behind the point; more where a bound is so near that these would show it.
const DIGITS: usize = 2;
const DIGITS_MAX: usize = 4;

impl Found {
    /// One value of which nothing else is known.
    pub(crate) fn exactly(value: f64) -> Self {
        Self {
            middle: value,
            between: None,
        }
    }

    /// What `rounds` say; `None` of none.
    ///
    /// The interval is that of the sign test, which takes nothing for granted about how rounds are spread: a slow neighbour
    /// is no bell curve.
    pub(crate) fn of(rounds: &[f64]) -> Option<Self> {
        let middle = median(rounds)?;
        let mut sorted = rounds.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let left_out = left_out(sorted.len());
        let least = *sorted.get(left_out)?;
        let most = *sorted.get(sorted.len() - 1 - left_out)?;
        Some(Self {
            middle,
            between: Some([least, most]),
        })
    }
}

/// How many of `count` rounds may be left out on each side.
fn left_out(count: usize) -> usize {
    // Of so many coins, the chance that no more than `heads` show heads.
    let mut chance = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut sum = 0.0;
    for heads in 0..count / 2 {
        sum += chance;
        if 1.0 - 2.0 * sum < COVERAGE_MIN {
            return heads.saturating_sub(1);
        }
        chance *= (count - heads) as f64 / (heads + 1) as f64;
    }
    // Too few to be so sure, or so many that the chance is nothing.
    (count / 2).saturating_sub(1)
}

impl Bar {
    /// What became of it.
    pub(crate) fn verdict(&self) -> Verdict {
        let Ok(found) = &self.found else {
            return Verdict::None;
        };
        let is_met = |value: f64| match self.bound {
            Bound::Least(bound) => value >= bound,
            Bound::Most(bound) => value <= bound,
        };
        let [least, most] = found.between.unwrap_or([found.middle; 2]);
        match (is_met(least), is_met(most)) {
            (true, true) => Verdict::Met,
            (false, false) => Verdict::Missed,
            _ => Verdict::Close,
        }
    }

    /// A line that begins with `met`, `MISSED`, `close` or `none`.
    pub(crate) fn line(&self) -> String {
        let Self { what, found, bound } = self;
        let word = self.verdict().word();
        let found = match found {
            Ok(found) => found,
            Err(why) => return format!("{word:<8}{what}: not measured: {why}"),
        };
        let (sign, bound) = match bound {
            Bound::Least(bound) => (">=", *bound),
            Bound::Most(bound) => ("<=", *bound),
        };
        let shows_bound = |digits: &usize| {
            found.middle.to_bits() != bound.to_bits()
                && format!("{:.digits$}", found.middle) == format!("{bound:.digits$}")
        };
        let digits = (DIGITS..DIGITS_MAX).find(|digits| !shows_bound(digits));
        let digits = digits.unwrap_or(DIGITS_MAX);
        let between = found
            .between
            .map(|[least, most]| format!(" ({least:.digits$} to {most:.digits$})"));
        let close = match self.verdict() {
            Verdict::Close => ", too close to tell",
            _ => "",
        };
        format!(
            "{word:<8}{what}: {:.digits$}{} {sign} {bound:.digits$}{close}",
            found.middle,
            between.unwrap_or_default()
        )
    }

    /// As the results have it.
    pub(crate) fn to_json(&self) -> Value {
        let (least, most) = match self.bound {
            Bound::Least(bound) => (Some(bound), None),
            Bound::Most(bound) => (None, Some(bound)),
        };
        let found = self.found.as_ref();
        json!({
            "what": self.what, "verdict": self.verdict().word(), "at_least": least, "at_most": most,
            "found": found.ok().map(|found| found.middle), "between": found.ok().and_then(|found| found.between),
            "why": found.err(),
        })
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::Close => "close",
            Self::None => "none",
        }
    }
}

/// Each of `bars` as a line.
pub(crate) fn lines(bars: &[Bar]) -> String {
    bars.iter().map(|bar| bar.line() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(found: Option<Found>, bound: Bound) -> Bar {
        Bar {
            what: "times".to_owned(),
            found: found.ok_or_else(|| "it did not run".to_owned()),
            bound,
        }
    }

    #[test]
    fn a_bound_inside_the_interval_is_too_close_to_tell() {
        let found = Found::of(&[1.22, 1.24, 1.26, 1.28, 1.30]);
        for (bound, line) in [
            (
                Bound::Least(1.25),
                "close   times: 1.26 (1.22 to 1.30) >= 1.25, too close to tell",
            ),
            (Bound::Least(1.2), "met     times: 1.26 (1.22 to 1.30) >= 1.20"),
            (Bound::Least(1.4), "MISSED  times: 1.26 (1.22 to 1.30) >= 1.40"),
            (Bound::Most(1.4), "met     times: 1.26 (1.22 to 1.30) <= 1.40"),
            (Bound::Most(1.0), "MISSED  times: 1.26 (1.22 to 1.30) <= 1.00"),
        ] {
            assert_eq!(bar(found, bound).line(), line);
        }
        let line = bar(None, Bound::Least(1.0)).line();
        assert_eq!(line, "none    times: not measured: it did not run");
    }

    #[test]
    fn near_a_bound_more_digits_are_shown() {
        let line = |found| bar(Some(Found::exactly(found)), Bound::Least(1.25)).line();
        assert_eq!(line(1.2476), "MISSED  times: 1.248 >= 1.250");
        assert_eq!(line(1.2499), "MISSED  times: 1.2499 >= 1.2500");
        assert_eq!(line(1.25), "met     times: 1.25 >= 1.25");
        assert_eq!(line(1.3), "met     times: 1.30 >= 1.25");
    }

    #[test]
    fn an_interval_leaves_out_no_more_rounds_than_nine_in_ten_allow() {
        for (count, expected) in [
            (0, 0),
            (1, 0),
            (3, 0),
            (5, 0),
            (7, 0),
            (8, 1),
            (10, 1),
            (12, 2),
            (20, 5),
        ] {
            assert_eq!(left_out(count), expected, "{count}");
        }
        // One round that a neighbour spoiled is not the end of eight.
        let rounds = [1.3, 1.31, 1.29, 1.3, 1.32, 1.3, 0.4, 1.28];
        assert_eq!(Found::of(&rounds).unwrap().between, Some([1.28, 1.31]));
        assert_eq!(Found::of(&[]), None);
    }
}
