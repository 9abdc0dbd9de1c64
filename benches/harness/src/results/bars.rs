//! What is promised, held against what was measured.

use super::{Figure, Results};
use crate::load::Transport;
use crate::mix::Mix;
use crate::network::Path;
use crate::plan::{Load, Point};
use crate::servers::Kind;

/// How much is promised.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// This much at least.
    Least(f64),
    /// This much at most.
    Most(f64),
}

/// A line that begins with `met` or `MISSED`: what was promised, and what was found.
pub(crate) fn verdict(what: &str, found: f64, bound: Bound) -> String {
    let (is_met, sign, bound) = match bound {
        Bound::Least(bound) => (found >= bound, ">=", bound),
        Bound::Most(bound) => (found <= bound, "<=", bound),
    };
    let word = if is_met { "met   " } else { "MISSED" };
    format!("{word}  {what}: {found:.2} {sign} {bound:.2}")
}

impl Results {
    /// What is promised, each with what was found: a line that begins with `met` or `MISSED`.
    #[must_use]
    pub fn bars(&self) -> Vec<String> {
        let at = |mix, path, load| {
            move |point: &Point| {
                point.edns
                    && point.transport == Transport::Udp
                    && (point.mix, point.path, point.load) == (mix, path, load)
            }
        };
        let mut bars = Vec::new();
        let mut bar = |what: String, found: Option<f64>, bound: f64, is_least: bool| {
            let Some(found) = found else { return };
            bars.push(verdict(
                &what,
                found,
                if is_least {
                    Bound::Least(bound)
                } else {
                    Bound::Most(bound)
                },
            ));
        };
        let ratio = |value: fn(Figure) -> f64, other: Kind, mix, path, load| {
            let of = |kind| self.find(kind, at(mix, path, load)).map(value);
            Some(of(Kind::Skydock)? / of(other)?)
        };
        let per_cpu: fn(Figure) -> f64 = |it| it.per_cpu_second[0];
        for path in [Path::Loopback, Path::Bridge] {
            for mix in [Mix::Hot, Mix::Uniform] {
                let what = format!("times Knot per CPU-second, {mix}, {path}");
                bar(
                    what,
                    ratio(per_cpu, Kind::Knot, mix, path, Load::Peak),
                    1.25,
                    true,
                );
            }
        }
        for other in Kind::ALL
            .into_iter()
            .filter(|kind| !kind.is_ours() && *kind != Kind::Knot)
        {
            for mix in Mix::ALL {
                let what = format!("times {} per CPU-second, {mix}", other.word());
                // What it is known for is its cache.
                let least = match (other, mix) {
                    (Kind::Dnsmasq, Mix::Forward) => 1.3,
                    _ => 1.0,
                };
                bar(
                    what,
                    ratio(per_cpu, other, mix, Path::Loopback, Load::Peak),
                    least,
                    true,
                );
            }
        }
        for other in Kind::ALL.into_iter().filter(|kind| !kind.is_ours()) {
            let over_tcp =
                |point: &Point| point.edns && point.transport == Transport::Tcp && point.mix == Mix::Hot;
            let of = |kind| self.find(kind, over_tcp).map(per_cpu);
            let found = of(Kind::Skydock).zip(of(other)).map(|(ours, its)| ours / its);
            bar(
                format!("times {} per CPU-second, hot, TCP", other.word()),
                found,
                1.0,
                true,
            );
        }
        let ours = |mix| {
            self.find(Kind::Skydock, at(mix, Path::Loopback, Load::Peak))
                .map(per_cpu)
        };
        let cached = ours(Mix::Forward)
            .zip(ours(Mix::Hot))
            .map(|(cached, own)| cached / own);
        bar(
            "of our own names' answers per CPU-second, forward".to_owned(),
            cached,
            0.8,
            true,
        );
        let bare = ratio(per_cpu, Kind::BareGlommio, Mix::Hot, Path::Loopback, Load::Peak);
        bar(
            "times the bare responder with io_uring".to_owned(),
            bare,
            0.85,
            true,
        );
        let of = |kind| {
            self.find(kind, at(Mix::Hot, Path::Loopback, Load::Peak))
                .map(per_cpu)
        };
        let bare = of(Kind::SkydockThreads)
            .zip(of(Kind::BareThreads))
            .map(|(ours, bare)| ours / bare);
        bar(
            "threads: times the bare responder with threads".to_owned(),
            bare,
            0.85,
            true,
        );
        let slow = ratio(
            |it| it.cpu_us,
            Kind::Knot,
            Mix::Hot,
            Path::Loopback,
            Load::Rate(1_000.0),
        );
        bar(
            "times Knot's CPU per query at 1000/s".to_owned(),
            slow,
            1.0,
            false,
        );
        let p99 = ratio(
            |it| it.latency_us[1],
            Kind::Knot,
            Mix::Hot,
            Path::Loopback,
            Load::ShareOfPeak,
        );
        bar(
            "times Knot's p99 at 70 % of each one's peak".to_owned(),
            p99,
            1.0,
            false,
        );
        let ours = self.servers.iter().find(|it| it.kind == Kind::Skydock);
        if let Some(ours) = ours.filter(|_| self.names >= 100_000) {
            let mib = ours.memory_octets[1] as f64 / f64::from(1 << 20);
            bar("MiB with all names".to_owned(), Some(mib), 100.0, false);
            bar(
                "seconds from start to all names".to_owned(),
                Some(ours.start_seconds),
                1.0,
                false,
            );
        }
        bars
    }
}
