//! What is promised of a run.

use super::{Results, cpu_us, per_cpu_second};
use crate::load::Transport;
use crate::measure::Sample;
use crate::mix::Mix;
use crate::network::Path;
use crate::plan::{Load, Point};
use crate::servers::Kind;
use crate::verdict::{Bar, Bound, Found, Verdict};

/// Of a thousand queries, how many a server may lose for its latencies to be compared: those lost count as a second each, so of
/// more the quantiles say how many were lost and not how long the others took.
const LOST_PERMILLE_MAX: f64 = 1.0;

type Value = fn(&Sample) -> Option<f64>;

impl Results {
    /// What is promised, each with what was found.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        let mut bars = self.knot();
        for other in Kind::ALL.into_iter().filter(|kind| !kind.is_ours()) {
            // Not one of those that we promise to be ahead of, where there is none.
            if other != Kind::Coredns || self.servers.iter().any(|server| server.kind == other) {
                bars.extend(self.ahead_of(other));
            }
        }
        bars.extend(self.yardsticks());
        bars.extend(self.slow_and_late());
        bars.extend(self.containers());
        bars
    }

    /// The ratio of `kind`'s `value` to that of `other`, each at its point; or why there is none.
    fn compared(
        &self,
        (kind, wanted): (Kind, &dyn Fn(&Point) -> bool),
        (other, other_wanted): (Kind, &dyn Fn(&Point) -> bool),
        value: Value,
    ) -> Result<Found, String> {
        let place = |wanted: &dyn Fn(&Point) -> bool| {
            let place = self.plan.iter().position(wanted);
            place.ok_or_else(|| "left out of this run".to_owned())
        };
        let (ours, theirs) = ((kind, place(wanted)?), (other, place(other_wanted)?));
        self.has_figure(ours)?;
        self.has_figure(theirs)?;
        let found = self.ratio(ours, theirs, value);
        found.ok_or_else(|| "too few answers".to_owned())
    }

    /// Why `kind` has no figure at `place`, if it has none.
    fn has_figure(&self, (kind, place): (Kind, usize)) -> Result<(), String> {
        if self.figure(kind, place).is_some() {
            return Ok(());
        }
        let word = kind.word();
        let missing = self.missing.iter().find(|(missing, _)| *missing == kind);
        Err(match (self.wrong(kind, place), missing) {
            (0, Some((_, why))) => format!("{word}: {why}"),
            (0, None) => format!("{word} did not take part"),
            (wrong, _) => format!("{word} gave {wrong} wrong answers"),
        })
    }

    fn knot(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        for path in [Path::Loopback, Path::Bridge] {
            for mix in [Mix::Hot, Mix::Uniform] {
                let wanted = at(mix, path, Load::Peak);
                bars.push(Bar {
                    what: format!("times Knot per CPU-second, {mix}, {path}"),
                    found: self.compared((Kind::Skydock, &wanted), (Kind::Knot, &wanted), speed),
                    bound: Bound::Least(1.25),
                });
            }
        }
        bars
    }

    /// At every peak that `other` takes, each way and with EDNS and without. Where we are ahead, the least of all stands for them.
    fn ahead_of(&self, other: Kind) -> Vec<Bar> {
        let word = other.word();
        let (mut bars, mut others, mut unmeasured) = (Vec::new(), Vec::new(), Vec::new());
        let peaks = self
            .plan
            .iter()
            .enumerate()
            .filter(|(_, point)| point.load == Load::Peak);
        for (place, point) in peaks.filter(|(_, point)| other.takes(point.mix, point.transport)) {
            // What it is known for is its cache.
            let least = match (other, point.mix) {
                (Kind::Dnsmasq, Mix::Forward) => 1.3,
                _ => 1.0,
            };
            let fit = self
                .has_figure((Kind::Skydock, place))
                .and_then(|()| self.has_figure((other, place)));
            let found = fit.and_then(|()| {
                let found = self.ratio((Kind::Skydock, place), (other, place), speed);
                found.ok_or_else(|| "no round has both".to_owned())
            });
            let bar = Bar {
                what: format!("times {word} per CPU-second, {}", name(point)),
                found,
                bound: Bound::Least(least),
            };
            match bar.verdict() {
                Verdict::None => unmeasured.push(bar),
                Verdict::Met if least <= 1.0 => others.push(bar),
                _ => bars.push(bar),
            }
        }
        let least = others.iter().min_by(|one, two| {
            let middle = |bar: &Bar| bar.found.as_ref().map_or(0.0, |found| found.middle);
            middle(one).total_cmp(&middle(two))
        });
        if let Some(least) = least {
            let what = match others.len() {
                1 => least.what.clone(),
                count => format!("{}, the least of {count} points", least.what),
            };
            bars.push(Bar {
                what,
                ..least.clone()
            });
        }
        let what = format!("times {word} per CPU-second");
        let reason = |bar: Bar| bar.found.err().unwrap_or_default();
        match unmeasured.len() {
            0 if bars.is_empty() => bars.push(none(what, "left out of this run".to_owned())),
            0 => {}
            _ if bars.is_empty() => bars.extend(
                unmeasured
                    .into_iter()
                    .take(1)
                    .map(|bar| none(what.clone(), reason(bar))),
            ),
            _ => bars.extend(unmeasured),
        }
        bars
    }

    /// Against what knows one answer, and our own names beside those of others.
    fn yardsticks(&self) -> Vec<Bar> {
        let hot = at(Mix::Hot, Path::Loopback, Load::Peak);
        let cached = at(Mix::Forward, Path::Loopback, Load::Peak);
        let bar = |what: &str, found, least| Bar {
            what: what.to_owned(),
            found,
            bound: Bound::Least(least),
        };
        vec![
            bar(
                "of our own names' answers per CPU-second, forward",
                self.compared((Kind::Skydock, &cached), (Kind::Skydock, &hot), speed),
                0.8,
            ),
            bar(
                "times the bare responder with io_uring",
                self.compared((Kind::Skydock, &hot), (Kind::BareGlommio, &hot), speed),
                0.85,
            ),
            bar(
                "threads: times the bare responder with threads",
                self.compared((Kind::SkydockThreads, &hot), (Kind::BareThreads, &hot), speed),
                0.85,
            ),
        ]
    }

    /// What a query costs where there are few, and how late its answer comes where there are many.
    fn slow_and_late(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        for path in [Path::Loopback, Path::Bridge] {
            let slow = at(Mix::Hot, path, Load::Rate(1_000.0));
            bars.push(Bar {
                what: format!("times Knot's CPU per query at 1000/s, {path}"),
                found: self.compared((Kind::Skydock, &slow), (Kind::Knot, &slow), |it| Some(cpu_us(it))),
                bound: Bound::Most(1.0),
            });
        }
        for path in [Path::Loopback, Path::Bridge] {
            let late = at(Mix::Hot, path, Load::ShareOfPeak);
            let compared = self.compared((Kind::Skydock, &late), (Kind::Knot, &late), |it| {
                it.outcome.latencies.quantile_us(0.99)
            });
            let lost = [Kind::Skydock, Kind::Knot].map(|kind| {
                let lost = self.find(kind, &late).map_or(0.0, |figure| figure.lost_permille);
                (kind, lost)
            });
            let losers = lost.into_iter().filter(|(_, lost)| *lost > LOST_PERMILLE_MAX);
            let losers: Vec<_> = losers
                .map(|(kind, lost)| format!("{} lost {lost:.1} of a thousand", kind.word()))
                .collect();
            bars.push(Bar {
                what: format!("times Knot's p99 at 70 % of each one's peak, {path}"),
                found: match losers.is_empty() {
                    true => compared,
                    false => compared.and(Err(format!("not comparable: {}", losers.join(", ")))),
                },
                bound: Bound::Most(1.0),
            });
            // Whatever becomes of the comparison: it is a rate that it can answer.
            let place = self.plan.iter().position(&late);
            let figure = place.and_then(|place| self.figure(Kind::Skydock, place));
            bars.push(Bar {
                what: format!("lost of a thousand at 70 % of the peak, {path}"),
                found: figure
                    .map(|figure| Found::exactly(figure.lost_permille))
                    .ok_or_else(|| "left out of this run".to_owned()),
                bound: Bound::Most(LOST_PERMILLE_MAX),
            });
        }
        bars
    }

    /// Memory, and the start.
    fn containers(&self) -> [Bar; 2] {
        const NAMES: u32 = 100_000;
        let ours = self.servers.iter().find(|it| it.kind == Kind::Skydock);
        let ours = ours
            .ok_or_else(|| "skydock did not take part".to_owned())
            .and_then(|ours| match self.names {
                NAMES => Ok(ours),
                names => Err(format!("promised of {NAMES} names, and there are {names}")),
            });
        let bar = |what: &str, found, most| Bar {
            what: what.to_owned(),
            found,
            bound: Bound::Most(most),
        };
        let mib = |octets: u64| octets as f64 / f64::from(1 << 20);
        let memory = ours.clone().map(|it| Found::exactly(mib(it.memory_octets[1])));
        [
            bar("MiB with all names", memory, 100.0),
            bar(
                "seconds from start to all names",
                ours.map(|it| Found::exactly(it.start_seconds)),
                1.0,
            ),
        ]
    }
}

fn speed(sample: &Sample) -> Option<f64> {
    Some(per_cpu_second(sample))
}

fn none(what: String, why: String) -> Bar {
    Bar {
        what,
        found: Err(why),
        bound: Bound::Least(1.0),
    }
}

/// Over UDP and with EDNS.
fn at(mix: Mix, path: Path, load: Load) -> impl Fn(&Point) -> bool {
    move |point| {
        point.edns
            && point.transport == Transport::Udp
            && (point.mix, point.path, point.load) == (mix, path, load)
    }
}

/// How a bar calls a peak.
fn name(point: &Point) -> String {
    let edns = if point.edns { "EDNS" } else { "no EDNS" };
    match point.transport {
        Transport::Udp => format!("{}, {}, {edns}", point.mix, point.path),
        Transport::Tcp => format!("{}, TCP, {}, {edns}", point.mix, point.path),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{place, results};
    use super::*;

    fn line<'l>(lines: &'l [String], part: &str) -> &'l str {
        let line = lines.iter().find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("no {part} in {lines:#?}"))
    }

    fn lines(results: &Results) -> Vec<String> {
        results.bars().iter().map(Bar::line).collect()
    }

    #[test]
    fn who_is_ahead_everywhere_is_told_by_the_least() {
        let mut results = results(&[(Kind::Skydock, 150_000.0), (Kind::Nsd, 100_000.0)]);
        let slow = place(&results, |point| {
            point.path == Path::Bridge && point.mix == Mix::Uniform
        });
        for sample in &mut results.measured.samples {
            if sample.kind == Kind::Skydock && sample.point == slow {
                sample.cpu_seconds *= 1.25;
            }
        }
        let told = lines(&results);
        let peaks = results
            .plan
            .iter()
            .filter(|point| point.load == Load::Peak && !point.mix.is_forwarded());
        let expected = format!(
            "met     times nsd per CPU-second, uniform, bridge, EDNS, the least of {} points: 1.20",
            peaks.count()
        );
        assert!(line(&told, "times nsd").starts_with(&expected), "{told:#?}");
        // The bridge and no EDNS count as much as the others.
        for sample in &mut results.measured.samples {
            if sample.kind == Kind::Skydock && sample.point == slow {
                sample.cpu_seconds *= 1.5;
            }
        }
        let told = lines(&results);
        assert!(line(&told, "nsd per CPU-second, uniform, bridge").starts_with("MISSED"));
        assert!(line(&told, "the least of").contains("nsd"));
    }

    #[test]
    fn what_did_not_run_is_said_so() {
        let told = lines(&results(&[(Kind::Skydock, 150_000.0)]));
        for part in [
            "times Knot per CPU-second, hot, loopback: not measured: knot did not take part",
            "times bind per CPU-second: not measured: bind did not take part",
            "io_uring: not measured",
            "p99 at 70 % of each one's peak, bridge: not measured: left out of this run",
        ] {
            assert!(line(&told, part).starts_with("none"));
        }
        assert!(!told.iter().any(|line| line.contains("coredns")));
    }

    #[test]
    fn latencies_of_who_loses_are_not_compared() {
        let speeds = [(Kind::Skydock, 150_000.0), (Kind::Knot, 100_000.0)];
        let mut results = results(&speeds);
        assert!(line(&lines(&results), "p99 at 70 % of each one's peak, loopback").starts_with("met"));
        let late = place(&results, |point| point.load == Load::ShareOfPeak);
        for sample in &mut results.measured.samples {
            if sample.kind == Kind::Knot && sample.point == late {
                sample.outcome.lost = 14;
            }
        }
        let told = lines(&results);
        assert_eq!(
            line(&told, "p99 at 70 % of each one's peak, loopback"),
            "none    times Knot's p99 at 70 % of each one's peak, loopback: not measured: not comparable: knot lost \
             14.0 of a thousand"
        );
        assert!(line(&told, "lost of a thousand at 70 % of the peak, loopback").starts_with("met"));
    }
}
