//! Rate against cores, on whatever machine this is.

use std::fs;
use std::path::Path;

use dataplane::cores::{CoreSelection, Shown, physical, select};
use serde_json::{Value, json};

use crate::chart::cores_chart;
use crate::cli::{Outcome, say};
use crate::cores::{clients_beside_many, granted};
use crate::engine::Engine;
use crate::field::{Ground, Running};
use crate::generator::Generator;
use crate::load::{self, Latencies, Pace, Spec, Transport};
use crate::measure::{Asker, Taker};
use crate::mix::Mix;
use crate::network;
use crate::plan::IN_FLIGHT;
use crate::results::About;
use crate::servers::Kind;
use crate::table::{count, median, table};
use crate::verdict::{Bar, Bound, Found, lines};
use crate::world::World;

/// How long each number of cores is measured, and how often.
const SECONDS: f64 = 1.0;
const ROUNDS: usize = 5;
/// Answers a second on two cores, as a multiple of those on one.
const TWO_CORES_LEAST: f64 = 1.8;

/// What one number of cores came to.
struct Step {
    cores: Vec<usize>,
    /// Whether the generator has some of them, too.
    is_shared: bool,
    rates: Vec<f64>,
    per_cpu: Vec<f64>,
    latencies: Latencies,
    lost_permille: f64,
}

/// Asks `skydock` on one core, two, and so on as far as it is let, and writes `cores.svg` and `cores.json` to `out`. Gives a table.
///
/// # Errors
///
/// A sentence for whoever called.
pub(crate) fn run(skydock: &Path, world: World, out: &Path) -> Outcome<String> {
    let physical = physical()?;
    let (granted, why_no_more) = granted()?;
    let (clients, left) = clients_beside_many(&physical);
    let directory = tempfile::tempdir()?;
    let engine = Engine::start(world, &directory.path().join("docker.sock"))?.endpoint();
    let engines = [engine.as_str()];
    let mut steps = Vec::new();
    for number in 1..=granted {
        let cores = select(Some(&CoreSelection::Count(number)))?;
        say(&format!("{number} of {granted}"));
        let ground = Ground::of(world, directory.path(), skydock, &engines, &cores);
        let server = Running::start(Kind::Skydock, &ground)?;
        let mut generator = Generator::start(&clients, world, None)?;
        let spec = Spec {
            to: server.address(network::Path::Loopback),
            transport: Transport::Udp,
            edns: true,
            pace: Pace::InFlight(IN_FLIGHT * number),
            seconds: SECONDS,
        };
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let cpu = server.process.cpu_seconds();
            let outcome = generator.ask(Mix::Hot, &spec)?;
            if outcome.wrong > 0 {
                return Err(format!("{} wrong answers with {number} cores", outcome.wrong).into());
            }
            rounds.push((outcome, server.process.cpu_seconds() - cpu));
        }
        steps.push(Step::of(cores, number > left, &rounds));
    }
    let about = About::here();
    let points: Vec<_> = steps.iter().map(|step| (step.cores.len(), step.rate())).collect();
    fs::write(out.join("cores.svg"), cores_chart(&about, &points))?;
    let record = json!({
        "machine": about.machine, "date": about.date, "commit": about.commit, "clients": clients,
        "points": steps.iter().map(Step::to_json).collect::<Vec<_>>(), "no_more_because": why_no_more.to_string(),
    });
    fs::write(out.join("cores.json"), format!("{record}\n"))?;
    let out = out.display();
    Ok(format!(
        "{about}\ngenerator on {}\n\n{}\nno more cores: {why_no_more}\n\n{}written: {out}/cores.svg and {out}/cores.json",
        Shown::of(&clients),
        text(&steps),
        lines(&bars(&steps)),
    ))
}

impl Step {
    /// Rounds are what the generator saw, and the CPU-seconds that it took.
    fn of(cores: Vec<usize>, is_shared: bool, rounds: &[(load::Outcome, f64)]) -> Self {
        let sum =
            |value: fn(&load::Outcome) -> u64| rounds.iter().map(|(it, _)| value(it)).sum::<u64>() as f64;
        Self {
            cores,
            is_shared,
            rates: rounds.iter().map(|(it, _)| it.rate).collect(),
            per_cpu: rounds
                .iter()
                .map(|(it, cpu)| it.answered as f64 / cpu.max(1e-9))
                .collect(),
            latencies: Latencies::sum(rounds.iter().map(|(it, _)| &it.latencies)),
            lost_permille: sum(|it| it.lost) * 1e3 / sum(|it| it.sent).max(1.0),
        }
    }

    fn rate(&self) -> f64 {
        median(&self.rates).unwrap_or(0.0)
    }

    fn per_cpu(&self) -> f64 {
        median(&self.per_cpu).unwrap_or(0.0)
    }

    fn p99_us(&self) -> Option<f64> {
        self.latencies.quantile_us(0.99)
    }

    fn to_json(&self) -> Value {
        let latency_us = [0.5, 0.99, 0.999].map(|quantile| self.latencies.quantile_us(quantile));
        json!({
            "cores": self.cores, "is_shared_with_generator": self.is_shared, "rate": self.rate(),
            "answers_per_cpu_second": self.per_cpu(), "lost_permille": self.lost_permille,
            "latency_us": latency_us,
            "rates": self.rates,
        })
    }
}

fn text(steps: &[Step]) -> String {
    let head = [
        "cores",
        "which",
        "answers/s",
        "per CPU-second",
        "times one core",
        "per CPU-second, times one",
        "p99 us",
        "lost, of 1000",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let one = steps.first();
    let times = |value: f64, first: Option<f64>| format!("{:.2}", value / first.unwrap_or(value).max(1.0));
    for step in steps {
        let star = if step.is_shared { " *" } else { "" };
        rows.push(vec![
            step.cores.len().to_string(),
            format!("{}{star}", Shown::of(&step.cores)),
            count(step.rate()),
            count(step.per_cpu()),
            times(step.rate(), one.map(Step::rate)),
            times(step.per_cpu(), one.map(Step::per_cpu)),
            step.p99_us().map_or("-".to_owned(), count),
            format!("{:.1}", step.lost_permille),
        ]);
    }
    let shared = if steps.iter().any(|step| step.is_shared) {
        "* The generator has some of these cores, too, or a thread of them: there the answers for each CPU-second count.\n"
    } else {
        ""
    };
    table(&rows) + shared
}

fn bars(steps: &[Step]) -> Vec<Bar> {
    let bar = |found| {
        vec![Bar {
            what: "times one core, two of them".to_owned(),
            found,
            bound: Bound::Least(TWO_CORES_LEAST),
        }]
    };
    bar(match steps {
        [one, two, ..] if !two.is_shared => {
            let ratios: Vec<_> = two
                .rates
                .iter()
                .zip(&one.rates)
                .map(|(two, one)| two / one.max(1.0))
                .collect();
            Found::of(&ratios).ok_or_else(|| "no rounds".to_owned())
        }
        [_, _, ..] => Err("the generator has one of the two".to_owned()),
        _ => Err("one core is all there is".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(cores: &[usize], is_shared: bool, rate: f64) -> Step {
        let outcome = load::Outcome {
            sent: 1_000,
            answered: 990,
            lost: 10,
            rate,
            ..load::Outcome::default()
        };
        Step::of(cores.to_vec(), is_shared, &vec![(outcome, 0.01); ROUNDS])
    }

    #[test]
    fn two_cores_are_held_against_one_where_the_generator_has_others() {
        let line = |steps: &[Step]| bars(steps)[0].line();
        let one = || step(&[0], false, 100_000.0);
        assert_eq!(
            line(&[one(), step(&[0, 1], false, 190_000.0)]),
            "met     times one core, two of them: 1.90 (1.90 to 1.90) >= 1.80"
        );
        assert!(
            line(&[one(), step(&[0, 1], true, 120_000.0)]).contains("not measured: the generator has one")
        );
        assert!(line(&[one()]).contains("not measured: one core"));
    }

    #[test]
    fn the_table_tells_loss_and_where_cores_are_shared() {
        let text = text(&[step(&[0], false, 100_000.0), step(&[0, 1], true, 120_000.0)]);
        assert!(
            text.contains("0-1 *") && text.contains("10.0") && text.contains("1.20"),
            "{text}"
        );
    }
}
