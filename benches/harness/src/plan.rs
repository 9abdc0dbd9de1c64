//! What is measured, and for how long.

use crate::load::Transport;
use crate::mix::Mix;
use crate::network::Path;

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
    /// Everything; some ten minutes with all servers.
    Full,
    /// The same mixes, less often, for shorter, and most of them with EDNS alone; two to three minutes.
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
#[must_use]
pub fn points(extent: Extent) -> Vec<Point> {
    let is_full = extent == Extent::Full;
    let (peak_seconds, rate_seconds) = if is_full { (0.2, 0.5) } else { (0.25, 0.3) };
    // In few rounds a neighbour's slice of the core decides the longest hundredth.
    let (peak_rounds, rate_rounds) = if is_full { (5, 5) } else { (3, 3) };
    let peak = |mix, transport, edns, path| Point {
        mix,
        transport,
        edns,
        path,
        load: Load::Peak,
        seconds: peak_seconds,
        rounds: peak_rounds,
    };
    let mut points = Vec::new();
    for mix in Mix::ALL {
        points.push(peak(mix, Transport::Udp, true, Path::Loopback));
        if is_full || mix == Mix::Hot {
            points.push(peak(mix, Transport::Udp, false, Path::Loopback));
        }
        if is_full || matches!(mix, Mix::Hot | Mix::Uniform) {
            points.push(peak(mix, Transport::Udp, true, Path::Bridge));
        }
    }
    points.push(peak(Mix::Hot, Transport::Tcp, true, Path::Loopback));
    if is_full {
        points.push(peak(Mix::Hot, Transport::Tcp, false, Path::Loopback));
        points.push(peak(Mix::Uniform, Transport::Tcp, true, Path::Loopback));
    }
    let loads = [
        Load::Rate(1_000.0),
        Load::Rate(10_000.0),
        Load::Rate(50_000.0),
        Load::ShareOfPeak,
    ];
    for path in [Path::Loopback, Path::Bridge] {
        for load in loads {
            if !is_full && (load == Load::Rate(10_000.0) || path == Path::Bridge) {
                continue;
            }
            points.push(Point {
                load,
                seconds: rate_seconds,
                rounds: rate_rounds,
                ..peak(Mix::Hot, Transport::Udp, true, path)
            });
        }
    }
    points
}

/// Seconds that the measuring of `points` takes with `servers`, each at every point.
#[must_use]
pub fn seconds(points: &[Point], servers: usize) -> f64 {
    /// Around each measurement: sockets, what is still under way, the look at the process.
    const AROUND: f64 = 0.05;
    let each = points
        .iter()
        .map(|point| (point.seconds + AROUND) * point.rounds as f64);
    each.sum::<f64>() * servers as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_takes_some_ten_minutes_and_a_quick_one_less_than_three() {
        let minutes = |extent| seconds(&points(extent), 12) / 60.0;
        assert!(
            (7.0..12.0).contains(&minutes(Extent::Full)),
            "{}",
            minutes(Extent::Full)
        );
        assert!(minutes(Extent::Quick) < 3.0, "{}", minutes(Extent::Quick));
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
