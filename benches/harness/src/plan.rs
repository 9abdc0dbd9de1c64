//! What is measured, and for how long.

use std::collections::HashSet;

use crate::load::Transport;
use crate::mix::Mix;
use crate::network::Path;
use crate::servers::Kind;

/// Queries under way in a closed loop: enough that a server never waits for the next one.
pub const IN_FLIGHT: usize = 192;
/// The share of its own peak that a server is asked at in an open loop, beside fixed rates.
pub const SHARE_OF_PEAK: f64 = 0.7;

/// How hard a server is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// As much as it takes.
    Peak,
    /// So many queries a second.
    Rate(f64),
    /// [`SHARE_OF_PEAK`] of what it answers at its peak.
    ShareOfPeak,
}

/// One point of measurement, the same for every server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What is asked.
    pub mix: Mix,
    /// How.
    pub transport: Transport,
    /// Whether with EDNS.
    pub edns: bool,
    /// Which way.
    pub path: Path,
    /// How hard.
    pub load: Load,
    /// How long, each time.
    pub seconds: f64,
    /// How often; all servers take their turn in each round.
    pub rounds: usize,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything; some twenty minutes with all servers.
    Full,
    /// The same mixes, less often, for shorter, and most of them with EDNS alone; some five minutes.
    Quick,
}

impl Load {
    /// As the results call it.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Peak => "peak".to_owned(),
            Self::Rate(rate) => format!("{}/s", crate::table::count(rate)),
            Self::ShareOfPeak => format!("{:.0} % of peak", SHARE_OF_PEAK * 100.0),
        }
    }
}

/// Everything that is measured, peaks first: shares of them come later.
///
/// Longest where most is said: peaks over loopback with EDNS, and where quantiles are read. The 99.9th of a thousand queries a second takes
/// ten seconds in all. Rounds are an odd number or many, for on a machine that others use a pause of theirs spoils some.
#[must_use]
pub fn points(extent: Extent) -> Vec<Point> {
    let is_full = extent == Extent::Full;
    let mut points = Vec::new();
    let mut peak = |mix, transport, edns, path, (seconds, rounds)| {
        points.push(Point {
            mix,
            transport,
            edns,
            path,
            load: Load::Peak,
            seconds,
            rounds,
        });
    };
    for mix in Mix::ALL {
        let length = if is_full { (0.5, 7) } else { (0.3, 5) };
        peak(mix, Transport::Udp, true, Path::Loopback, length);
        if is_full || mix == Mix::Hot {
            peak(mix, Transport::Udp, false, Path::Loopback, (0.3, 5));
        }
        let is_told = matches!(mix, Mix::Hot | Mix::Uniform);
        if is_full || is_told {
            let length = if is_full && is_told { (0.5, 7) } else { (0.3, 5) };
            peak(mix, Transport::Udp, true, Path::Bridge, length);
        }
    }
    peak(Mix::Hot, Transport::Tcp, true, Path::Loopback, (0.3, 5));
    if is_full {
        peak(Mix::Hot, Transport::Tcp, false, Path::Loopback, (0.3, 5));
        peak(Mix::Uniform, Transport::Tcp, true, Path::Loopback, (0.3, 5));
    }
    for path in [Path::Loopback, Path::Bridge] {
        for (load, full, quick) in [
            (Load::Rate(1_000.0), (1.7, 6), Some((0.5, 5))),
            (Load::Rate(10_000.0), (0.4, 5), None),
            (Load::Rate(50_000.0), (0.4, 5), Some((0.3, 5))),
            (Load::ShareOfPeak, (0.5, 9), Some((0.4, 5))),
        ] {
            let quick = quick.filter(|_| path == Path::Loopback);
            let Some((seconds, rounds)) = (if is_full { Some(full) } else { quick }) else {
                continue;
            };
            points.push(Point {
                mix: Mix::Hot,
                transport: Transport::Udp,
                edns: true,
                path,
                load,
                seconds,
                rounds,
            });
        }
    }
    points
}

/// Seconds that the measuring of `points` takes with `servers`, each at every point that it takes.
#[must_use]
pub fn seconds(points: &[Point], servers: &[Kind]) -> f64 {
    /// Around each measurement: sockets, what is still under way, the look at the process.
    const AROUND: f64 = 0.06;
    /// Before the first of a mix.
    const PROOF: f64 = 0.4;
    let mut proved = HashSet::new();
    let each = |point: &Point| (point.seconds + AROUND) * point.rounds as f64;
    let mut sum = 0.0;
    for kind in servers {
        for point in points.iter().filter(|it| kind.takes(it.mix, it.transport)) {
            sum += each(point);
            if proved.insert((*kind, point.mix, point.transport)) {
                sum += PROOF;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_takes_some_twenty_minutes_and_a_quick_one_some_five() {
        let servers: Vec<_> = Kind::ALL
            .into_iter()
            .filter(|kind| *kind != Kind::Coredns)
            .collect();
        let minutes = |extent| seconds(&points(extent), &servers) / 60.0;
        let (full, quick) = (minutes(Extent::Full), minutes(Extent::Quick));
        assert!((14.0..20.0).contains(&full), "{full}");
        assert!((3.0..6.0).contains(&quick), "{quick}");
    }

    #[test]
    fn there_are_rounds_enough_for_an_interval_and_answers_enough_for_long_quantiles() {
        for point in points(Extent::Full) {
            assert!(point.rounds >= 5, "{point:?}");
            let in_all = point.seconds * point.rounds as f64;
            if let Load::Rate(rate) = point.load {
                assert!(rate * in_all >= 10_000.0, "no p99.9: {point:?}");
            }
        }
    }

    #[test]
    fn every_mix_is_measured_and_each_peak_comes_before_a_share_of_it() {
        for extent in [Extent::Full, Extent::Quick] {
            let points = points(extent);
            for mix in Mix::ALL {
                assert!(points.iter().any(|point| point.mix == mix), "{mix}");
            }
            let share = points
                .iter()
                .position(|point| point.load == Load::ShareOfPeak)
                .unwrap();
            let peak = Point {
                load: Load::Peak,
                ..points[share]
            };
            let is_its_peak = |point: &Point| {
                (point.load, point.mix, point.path, point.edns) == (peak.load, peak.mix, peak.path, peak.edns)
            };
            assert!(points.iter().position(is_its_peak).unwrap() < share);
        }
    }
}
