//! Results: medians of the samples, as tables, as JSON, and held against the bars.

mod bars;
mod baseline;
mod text;

use std::fmt;
use std::process::Command;

use serde_json::{Value, json};

use crate::field::Running;
use crate::load::Latencies;
use crate::measure::{Measured, Sample};
use crate::plan::Point;
use crate::servers::Kind;
use crate::table::median;
use crate::verdict::{Bar, Found};

pub(crate) use self::baseline::Baseline;

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
    /// Octets that its socket for datagrams queues, if that could be seen.
    pub queue_octets: Option<u64>,
}

/// What one server came to at one point: medians of its rounds, or of all answers of all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Right answers for each second of the server's CPU: the median, the least, the most.
    pub per_cpu_second: [f64; 3],
    /// Microseconds of CPU for each right answer.
    pub cpu_us: f64,
    /// Right answers a second.
    pub rate: f64,
    /// Latency in microseconds over all rounds: median, 99 %, 99.9 %; `None` where fewer than ten took longer.
    pub latency_us: [Option<f64>; 3],
    /// The longest.
    pub longest_us: f64,
    /// Queries without an answer, of a thousand, over all rounds.
    pub lost_permille: f64,
    /// CPU that the kernel's thread for interrupts used on the server's core, of that of the server.
    pub softirq_share: f64,
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

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            machine,
            date,
            commit,
        } = self;
        write!(f, "{date}, commit {commit}, {machine}")
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
            queue_octets: running.queue_octets(),
        }
    }
}

impl Figure {
    /// What `samples` come to; `None` of none, and of those with a wrong answer.
    #[must_use]
    pub fn of(samples: &[&Sample]) -> Option<Self> {
        let over = |value: fn(&Sample) -> f64| -> Vec<f64> { samples.iter().map(|it| value(it)).collect() };
        let sum = |value: fn(&Sample) -> u64| samples.iter().map(|it| value(it)).sum::<u64>();
        if sum(|it| it.outcome.wrong) > 0 {
            return None;
        }
        let speeds = over(per_cpu_second);
        let least = speeds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = speeds.iter().copied().fold(0.0, f64::max);
        let latencies = Latencies::sum(samples.iter().map(|it| &it.outcome.latencies));
        Some(Self {
            per_cpu_second: [median(&speeds)?, least, most],
            cpu_us: median(&over(cpu_us))?,
            rate: median(&over(|it| it.outcome.rate))?,
            latency_us: [0.5, 0.99, 0.999].map(|quantile| latencies.quantile_us(quantile)),
            longest_us: latencies.longest_us(),
            lost_permille: sum(|it| it.outcome.lost) as f64 * 1e3 / sum(|it| it.outcome.sent).max(1) as f64,
            softirq_share: over(|it| it.softirq_seconds).iter().sum::<f64>()
                / over(|it| it.cpu_seconds).iter().sum::<f64>().max(1e-9),
        })
    }
}

/// Right answers for each second of the server's CPU.
pub(crate) fn per_cpu_second(sample: &Sample) -> f64 {
    sample.outcome.answered as f64 / sample.cpu_seconds.max(1e-9)
}

/// Microseconds of CPU for each right answer.
pub(crate) fn cpu_us(sample: &Sample) -> f64 {
    sample.cpu_seconds * 1e6 / sample.outcome.answered.max(1) as f64
}

impl Results {
    /// The measurements of `kind` at the point at `place`.
    pub(crate) fn samples(&self, kind: Kind, place: usize) -> Vec<&Sample> {
        let samples = self.measured.samples.iter();
        samples
            .filter(|it| it.kind == kind && it.point == place)
            .collect()
    }

    /// The figure of `kind` at the point at `place`, unless one of its answers was wrong.
    #[must_use]
    pub fn figure(&self, kind: Kind, place: usize) -> Option<Figure> {
        Figure::of(&self.samples(kind, place))
    }

    /// The wrong answers of `kind` at the point at `place`.
    #[must_use]
    pub fn wrong(&self, kind: Kind, place: usize) -> u64 {
        let samples = self.samples(kind, place);
        samples.iter().map(|it| it.outcome.wrong).sum()
    }

    /// The figure of `kind` at the first point that `wanted` picks.
    #[must_use]
    pub fn find(&self, kind: Kind, wanted: impl Fn(&Point) -> bool) -> Option<Figure> {
        self.figure(kind, self.plan.iter().position(wanted)?)
    }

    /// What share of the time of the cores that were measured the host gave to others.
    #[must_use]
    pub fn stolen_share(&self) -> f64 {
        let samples = self.measured.samples.iter();
        let [stolen, all] = samples.fold([0.0, 0.0], |[stolen, all], it| {
            [stolen + it.stolen_seconds[0], all + it.stolen_seconds[1]]
        });
        stolen / f64::max(all, 1e-9)
    }

    /// Ratios of `value`, of one server at a point by that of another, round by round.
    pub(crate) fn ratio(
        &self,
        (kind, place): (Kind, usize),
        (other, other_place): (Kind, usize),
        value: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Found> {
        let theirs = self.samples(other, other_place);
        let ratios = self.samples(kind, place).into_iter().filter_map(|ours| {
            let its = theirs.iter().find(|its| its.round == ours.round)?;
            Some(value(ours)? / value(its)?.max(1e-9))
        });
        Found::of(&ratios.collect::<Vec<_>>())
    }

    /// All of it for programs: each figure, with each of its rounds.
    #[must_use]
    pub fn json(&self) -> Value {
        let point = |point: &Point| {
            json!({
                "mix": point.mix.word(), "transport": format!("{:?}", point.transport).to_lowercase(),
                "edns": point.edns, "path": point.path.word(), "load": point.load.word(),
                "seconds": point.seconds, "rounds": point.rounds,
            })
        };
        let servers = self.servers.iter().map(|it| {
            let figures = (0..self.plan.len()).map(|place| {
                let rounds = self.samples(it.kind, place);
                if rounds.is_empty() {
                    return Value::Null;
                }
                let Some(figure) = self.figure(it.kind, place) else {
                    let complaint = rounds.iter().find_map(|it| it.outcome.complaint.as_ref());
                    return json!({"wrong": self.wrong(it.kind, place), "complaint": complaint});
                };
                let [middle, least, most] = figure.per_cpu_second;
                let each = |value: fn(&Sample) -> f64| -> Vec<_> {
                    rounds.iter().map(|it| (value(it) * 1e4).round() / 1e4).collect()
                };
                json!({
                    "answers_per_cpu_second": middle, "least": least, "most": most, "cpu_us": figure.cpu_us,
                    "rate": figure.rate, "latency_us": figure.latency_us, "longest_us": figure.longest_us,
                    "lost_permille": figure.lost_permille, "softirq_share": figure.softirq_share, "wrong": 0,
                    "rounds": {
                        "answered": each(|it| it.outcome.answered as f64), "lost": each(|it| it.outcome.lost as f64),
                        "rate": each(|it| it.outcome.rate.round()), "cpu_seconds": each(|it| it.cpu_seconds),
                        "softirq_seconds": each(|it| it.softirq_seconds), "steal_seconds": each(|it| it.stolen_seconds[0]),
                        "p99_us": rounds.iter().map(|it| it.outcome.latencies.quantile_us(0.99)).collect::<Vec<_>>(),
                    },
                })
            });
            json!({
                "server": it.kind.word(), "version": it.version, "start_seconds": it.start_seconds,
                "memory_octets": it.memory_octets, "queue_octets": it.queue_octets, "figures": figures.collect::<Vec<_>>(),
            })
        });
        let missing = self
            .missing
            .iter()
            .map(|(kind, why)| json!({"server": kind.word(), "why": why}));
        json!({
            "machine": self.about.machine, "date": self.about.date, "commit": self.about.commit, "names": self.names,
            "points": self.plan.iter().map(point).collect::<Vec<_>>(),
            "servers": servers.collect::<Vec<_>>(), "missing": missing.collect::<Vec<_>>(),
            "notes": self.measured.notes, "steal_share": self.stolen_share(),
            "bars": self.bars().iter().map(Bar::to_json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
