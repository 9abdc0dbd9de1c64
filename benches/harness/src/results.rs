//! Results: medians of the samples, as tables, as JSON, and held against the bars.

pub(crate) mod bars;
mod text;

use std::process::Command;

use serde_json::{Value, json};

use crate::field::Running;
use crate::measure::{Measured, Sample};
use crate::plan::Point;
use crate::servers::Kind;
use crate::table::median;

/// Everything that a run found out.
#[derive(Debug)]
pub struct Results {
    /// Where, when, and of what.
    pub about: About,
    /// Names in the zone.
    pub names: u32,
    /// What was measured.
    pub plan: Vec<Point>,
    /// Servers that took part.
    pub servers: Vec<Server>,
    /// Servers that did not, and why.
    pub missing: Vec<(Kind, String)>,
    /// The measurements.
    pub measured: Measured,
}

/// Where, when and of what a run was.
#[derive(Clone, Debug)]
pub struct About {
    /// Processor, how many, kernel.
    pub machine: String,
    /// `2026-11-23`.
    pub date: String,
    /// Ours; a plus behind it: with changes.
    pub commit: String,
}

/// A server that took part.
#[derive(Clone, Debug)]
pub struct Server {
    /// Which.
    pub kind: Kind,
    /// Its version.
    pub version: String,
    /// Seconds from its start to knowing every name.
    pub start_seconds: f64,
    /// Octets of memory then, and at the end.
    pub memory_octets: [u64; 2],
}

/// Medians of one server at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Right answers for each second of the server's CPU: the median, the least, the most.
    pub per_cpu_second: [f64; 3],
    /// Microseconds of CPU for each right answer.
    pub cpu_us: f64,
    /// Right answers a second.
    pub rate: f64,
    /// Latency in microseconds: median, 99 %, 99.9 %, longest.
    pub latency_us: [f64; 4],
    /// Queries without an answer, of a thousand.
    pub lost_permille: f64,
    /// Wrong answers, in all rounds.
    pub wrong: u64,
}

impl About {
    /// This machine, now, this checkout.
    #[must_use]
    pub fn here() -> Self {
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok();
            let output = output.filter(|output| output.status.success());
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown processor", |(_, model)| model);
        let count = cpuinfo
            .lines()
            .filter(|line| line.starts_with("processor"))
            .count();
        let kernel = said("uname", &["-sr"]).unwrap_or_default();
        let commit = said("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
        // What the run itself writes is no change of what it measures.
        let changes = said(
            "git",
            &[
                "status",
                "--porcelain",
                "--untracked-files=no",
                "--",
                ":!benches/results",
            ],
        );
        let plus = if changes.is_some_and(|changes| !changes.is_empty()) {
            "+"
        } else {
            ""
        };
        Self {
            machine: format!("{count} x {model}, {kernel}"),
            date: said("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default(),
            commit: format!("{commit}{plus}"),
        }
    }
}

impl Server {
    /// What is known of a server at the end of a run.
    #[must_use]
    pub fn of(running: &Running) -> Self {
        Self {
            kind: running.kind,
            version: running.version.clone(),
            start_seconds: running.start_seconds,
            memory_octets: [running.memory_octets, running.process.memory_octets()],
        }
    }
}

impl Figure {
    /// The medians of `samples`; `None` of none.
    #[must_use]
    pub fn of(samples: &[&Sample]) -> Option<Self> {
        let over = |value: fn(&Sample) -> f64| -> Vec<f64> { samples.iter().map(|it| value(it)).collect() };
        let middle = |value: fn(&Sample) -> f64| median(&over(value));
        let per_cpu_second = over(|it| it.outcome.answered as f64 / it.cpu_seconds.max(1e-9));
        let least = per_cpu_second.iter().copied().fold(f64::INFINITY, f64::min);
        let most = per_cpu_second.iter().copied().fold(0.0, f64::max);
        Some(Self {
            per_cpu_second: [median(&per_cpu_second)?, least, most],
            cpu_us: middle(|it| it.cpu_seconds * 1e6 / it.outcome.answered.max(1) as f64)?,
            rate: middle(|it| it.outcome.rate)?,
            latency_us: [
                middle(|it| it.outcome.latency_us[0])?,
                middle(|it| it.outcome.latency_us[1])?,
                middle(|it| it.outcome.latency_us[2])?,
                middle(|it| it.outcome.latency_us[3])?,
            ],
            lost_permille: middle(|it| it.outcome.lost as f64 * 1e3 / it.outcome.sent.max(1) as f64)?,
            wrong: samples.iter().map(|it| it.outcome.wrong).sum(),
        })
    }
}

impl Results {
    /// The figure of `kind` at the point at `place`.
    #[must_use]
    pub fn figure(&self, kind: Kind, place: usize) -> Option<Figure> {
        let samples = &self.measured.samples;
        let samples: Vec<_> = samples
            .iter()
            .filter(|it| it.kind == kind && it.point == place)
            .collect();
        Figure::of(&samples)
    }

    /// The figure of `kind` at the first point that `wanted` picks.
    #[must_use]
    pub fn find(&self, kind: Kind, wanted: impl Fn(&Point) -> bool) -> Option<Figure> {
        self.figure(kind, self.plan.iter().position(wanted)?)
    }

    /// All of it for programs: the medians, and every sample if asked for.
    #[must_use]
    pub fn json(&self, with_samples: bool) -> Value {
        let point = |point: &Point| {
            json!({
                "mix": point.mix.word(), "transport": format!("{:?}", point.transport).to_lowercase(),
                "edns": point.edns, "path": point.path.word(), "load": point.load.word(),
                "seconds": point.seconds, "rounds": point.rounds,
            })
        };
        let servers = self.servers.iter().map(|it| {
            let figures = (0..self.plan.len()).map(|place| {
                self.figure(it.kind, place).map(|it| {
                    let [middle, least, most] = it.per_cpu_second;
                    json!({
                        "answers_per_cpu_second": middle, "least": least, "most": most, "cpu_us": it.cpu_us,
                        "rate": it.rate, "latency_us": it.latency_us, "lost_permille": it.lost_permille,
                        "wrong": it.wrong,
                    })
                })
            });
            json!({
                "server": it.kind.word(), "version": it.version, "start_seconds": it.start_seconds,
                "memory_octets": it.memory_octets, "figures": figures.collect::<Vec<_>>(),
            })
        });
        let samples = self.measured.samples.iter().filter(|_| with_samples).map(|it| {
            let mut value = it.outcome.to_json();
            value["server"] = it.kind.word().into();
            value["point"] = it.point.into();
            value["cpu_seconds"] = it.cpu_seconds.into();
            value["softirq_seconds"] = it.softirq_seconds.into();
            value
        });
        let missing = self
            .missing
            .iter()
            .map(|(kind, why)| json!({"server": kind.word(), "why": why}));
        json!({
            "machine": self.about.machine, "date": self.about.date, "commit": self.about.commit, "names": self.names,
            "points": self.plan.iter().map(point).collect::<Vec<_>>(),
            "servers": servers.collect::<Vec<_>>(), "missing": missing.collect::<Vec<_>>(),
            "left_out": self.measured.left_out, "bars": self.bars(), "samples": samples.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::load::Outcome;
    use crate::plan::{Extent, points};

    /// Results in which each server answers so many times a CPU-second at every point.
    pub(crate) fn results(speeds: &[(Kind, f64)]) -> Results {
        let plan = points(Extent::Quick);
        let mut measured = Measured::default();
        for (point, round) in (0..plan.len()).flat_map(|point| (0..3).map(move |round| (point, round))) {
            for (kind, speed) in speeds {
                let outcome = Outcome {
                    sent: 1_000,
                    answered: 1_000,
                    rate: *speed,
                    latency_us: [10.0, 20.0, 30.0, 1e9 / speed],
                    ..Outcome::default()
                };
                // The second round is an odd one: the median does not see it.
                let cpu_seconds = if round == 1 { 10.0 } else { 1_000.0 / speed };
                measured.samples.push(Sample {
                    kind: *kind,
                    point,
                    outcome,
                    cpu_seconds,
                    softirq_seconds: 0.0,
                });
            }
        }
        let servers = speeds.iter().map(|(kind, _)| Server {
            kind: *kind,
            version: "1.0".to_owned(),
            start_seconds: 0.5,
            memory_octets: [200 << 20, 201 << 20],
        });
        Results {
            about: About {
                machine: "a <machine>".to_owned(),
                date: "2026-11-23".to_owned(),
                commit: "abc".to_owned(),
            },
            names: 100_000,
            plan,
            servers: servers.collect(),
            missing: vec![(Kind::Coredns, "not installed".to_owned())],
            measured,
        }
    }

    #[test]
    fn a_figure_is_the_median_of_its_rounds_and_knows_the_extremes() {
        let figure = results(&[(Kind::Knot, 100_000.0)]).figure(Kind::Knot, 0).unwrap();
        let [middle, least, most] = figure.per_cpu_second.map(f64::round);
        assert_eq!((middle, least, most), (100_000.0, 100.0, 100_000.0));
        assert_eq!(figure.cpu_us.round(), 10.0);
    }

    #[test]
    fn the_text_names_what_is_missing_and_which_bars_are_met() {
        let text = results(&[
            (Kind::Skydock, 150_000.0),
            (Kind::Knot, 100_000.0),
            (Kind::Nsd, 160_000.0),
        ])
        .text();
        for part in [
            "met     times Knot per CPU-second, hot, loopback: 1.50 >= 1.25",
            "MISSED  times nsd per CPU-second, hot: 0.94 >= 1.00",
            "MISSED  MiB with all names: 201.00 <= 100.00",
            "coredns: not installed",
            "open loop at 70 % of peak",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn wrong_answers_stand_where_the_figure_would() {
        let mut results = results(&[(Kind::Knot, 100_000.0)]);
        results.measured.samples[0].outcome.wrong = 7;
        assert!(results.text().contains("7 WRONG"));
        assert_eq!(results.json(true)["servers"][0]["figures"][0]["wrong"], 7);
    }
}
