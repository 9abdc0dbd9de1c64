//! Latencies of one measurement or of many, and what may be said of them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longest latency that is told apart from longer ones, in nanoseconds: a minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// Digits that are kept of each.
const DIGITS: u8 = 3;
/// Latencies that must be longer than a quantile for it to be told: of fewer, it is chance which one it is.
const ABOVE_MIN: u64 = 10;

/// How long answers took, to three digits. Those of several rounds can be put together, so a quantile is one of all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS);
        Self(histogram.expect("bounds that a histogram can have"))
    }
}

impl Latencies {
    /// Takes in `count` answers that took `each`.
    pub fn record(&mut self, each: Duration, count: u64) {
        let nanoseconds = u64::try_from(each.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.0.saturating_record_n(nanoseconds, count);
    }

    /// Takes in all of `other`.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("histograms of the same bounds");
    }

    /// All of `parts` together.
    #[must_use]
    pub fn sum<'l>(parts: impl IntoIterator<Item = &'l Self>) -> Self {
        let mut sum = Self::default();
        parts.into_iter().for_each(|part| sum.add(part));
        sum
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// In microseconds what `quantile` of them, a part of one, do not exceed; `None` where fewer than ten are longer.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> Option<f64> {
        let up_to = (self.0.len() as f64 * quantile).ceil() as u64;
        let is_told = self.0.len().saturating_sub(up_to) >= ABOVE_MIN;
        is_told.then(|| self.0.value_at_quantile(quantile) as f64 / 1e3)
    }

    /// The longest, in microseconds.
    #[must_use]
    pub fn longest_us(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }

    /// As JSON has them: each length in nanoseconds, and how many had it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let each = self.0.iter_recorded();
        json!(
            each.flat_map(|it| [it.value_iterated_to(), it.count_at_value()])
                .collect::<Vec<_>>()
        )
    }

    /// Reads what [`Latencies::to_json`] wrote; `None`: it did not.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let mut latencies = Self::default();
        for pair in value.as_array()?.chunks(2) {
            let [length, count] = pair else { return None };
            latencies.0.saturating_record_n(length.as_u64()?, count.as_u64()?);
        }
        Some(latencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_to(microseconds: u64) -> Latencies {
        let mut latencies = Latencies::default();
        (1..=microseconds).for_each(|it| latencies.record(Duration::from_micros(it), 1));
        latencies
    }

    #[test]
    fn quantiles_come_in_microseconds_and_are_right_to_a_thousandth() {
        let mut latencies = one_to(10_000);
        for (quantile, expected) in [(0.5, 5_000.0), (0.99, 9_900.0), (0.999, 9_990.0)] {
            let found = latencies.quantile_us(quantile).unwrap();
            assert!(
                (found / expected - 1.0_f64).abs() < 0.002,
                "{found} for {expected}"
            );
        }
        assert!((latencies.longest_us() / 10_000.0 - 1.0).abs() < 0.002);
        latencies.record(Duration::MAX, 1);
        assert_eq!(latencies.count(), 10_001, "what is too long is counted, too");
    }

    #[test]
    fn a_quantile_that_fewer_than_ten_exceed_is_not_told() {
        assert_eq!(one_to(9_990).quantile_us(0.999), None);
        assert!(one_to(10_000).quantile_us(0.999).is_some());
        assert_eq!(one_to(500).quantile_us(0.99), None);
        assert_eq!(Latencies::default().quantile_us(0.5), None);
        let rounds = [one_to(5_000), one_to(5_000)];
        assert!(
            Latencies::sum(&rounds).quantile_us(0.999).is_some(),
            "rounds together tell what none of them can"
        );
    }

    #[test]
    fn they_survive_their_line_whole() {
        let mut latencies = one_to(5_000);
        latencies.record(Duration::from_secs(1), 7);
        let line = latencies.to_json().to_string();
        let read = Latencies::from_json(&serde_json::from_str(&line).unwrap()).unwrap();
        assert_eq!(read.count(), latencies.count());
        for quantile in [0.1, 0.5, 0.99] {
            assert_eq!(read.quantile_us(quantile), latencies.quantile_us(quantile));
        }
        assert_eq!(read.longest_us(), latencies.longest_us());
        assert_eq!(Latencies::from_json(&json!([1])), None);
        assert_eq!(Latencies::from_json(&json!("x")), None);
    }
}
