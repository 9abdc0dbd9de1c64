use std::time::Duration;

use super::*;
use crate::load::Outcome;
use crate::plan::{Extent, Load, points};

/// Results in which each server answers so many times a CPU-second at every point it takes.
pub(crate) fn results(speeds: &[(Kind, f64)]) -> Results {
    let plan = points(Extent::Quick);
    let mut measured = Measured::default();
    for (place, point) in plan.iter().enumerate() {
        for (round, (kind, speed)) in (0..3).flat_map(|round| speeds.iter().map(move |it| (round, it))) {
            if !kind.takes(point.mix, point.transport) {
                continue;
            }
            let mut latencies = Latencies::default();
            latencies.record(Duration::from_secs_f64(1.0 / speed), 10_000);
            let outcome = Outcome {
                sent: 1_000,
                answered: 1_000,
                rate: *speed,
                latencies,
                ..Outcome::default()
            };
            // The second round is an odd one for everybody: the median does not see it.
            let cpu_seconds = if round == 1 {
                1_000_000.0 / speed
            } else {
                1_000.0 / speed
            };
            measured.samples.push(Sample {
                kind: *kind,
                point: place,
                round,
                outcome,
                cpu_seconds,
                softirq_seconds: 0.0,
                stolen_seconds: [0.01, 0.5],
            });
        }
    }
    let servers = speeds.iter().map(|(kind, _)| Server {
        kind: *kind,
        version: "1.0".to_owned(),
        start_seconds: 0.5,
        memory_octets: [200 << 20, 201 << 20],
        queue_octets: Some(8 << 20),
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

/// The place of the first point that `wanted` picks.
pub(crate) fn place(results: &Results, wanted: impl Fn(&Point) -> bool) -> usize {
    results.plan.iter().position(wanted).unwrap()
}

#[test]
fn a_figure_is_the_median_of_its_rounds_and_knows_the_extremes() {
    let figure = results(&[(Kind::Knot, 100_000.0)]).figure(Kind::Knot, 0).unwrap();
    let [middle, least, most] = figure.per_cpu_second.map(f64::round);
    assert_eq!((middle, least, most), (100_000.0, 100.0, 100_000.0));
    assert_eq!(figure.cpu_us.round(), 10.0);
}

#[test]
fn what_one_round_lost_is_lost() {
    let mut results = results(&[(Kind::Knot, 100_000.0)]);
    results.measured.samples[0].outcome.lost = 60;
    let figure = results.figure(Kind::Knot, 0).unwrap();
    assert_eq!(
        figure.lost_permille, 20.0,
        "60 of 3000, though the median is none"
    );
    assert!(results.text().contains("100k (20.0)"), "{}", results.text());
}

#[test]
fn quantiles_are_of_all_rounds_together() {
    let figure = results(&[(Kind::Knot, 100_000.0)]).figure(Kind::Knot, 0).unwrap();
    assert!(figure.latency_us[2].is_some(), "30 000 answers have a p99.9");
    let mut few = results(&[(Kind::Knot, 100_000.0)]);
    for sample in &mut few.measured.samples {
        sample.outcome.latencies = Latencies::default();
        sample.outcome.latencies.record(Duration::from_micros(10), 500);
    }
    let place = place(&few, |point| point.load == Load::Rate(1_000.0));
    let [p50, p99, p999] = few.figure(Kind::Knot, place).unwrap().latency_us;
    assert!(p50.is_some() && p99.is_some() && p999.is_none());
    assert!(few.json()["servers"][0]["figures"][place]["latency_us"][2].is_null());
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
        "met     times Knot per CPU-second, hot, loopback: 1.50 (1.50 to 1.50) >= 1.25",
        "MISSED  times nsd per CPU-second, hot, loopback, EDNS: 0.94 (0.94 to 0.94) >= 1.00",
        "MISSED  MiB with all names: 201.00 <= 100.00",
        "none    times unbound per CPU-second: not measured",
        "coredns: not installed",
        "open loop at 70 % of peak",
        "the host gave 2.0 % of the cores' time to others",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_server_with_one_wrong_answer_has_no_figure_anywhere() {
    let speeds = [(Kind::Skydock, 150_000.0), (Kind::Knot, 100_000.0)];
    let mut results = results(&speeds);
    let rate = place(&results, |point| point.load == Load::Rate(1_000.0));
    for (at, sample) in results.measured.samples.iter_mut().enumerate() {
        let is_knots = sample.kind == Kind::Knot && (sample.point == 0 || sample.point == rate);
        if is_knots && sample.round == at % 2 {
            sample.outcome.wrong = 7;
        }
    }
    assert!(results.wrong(Kind::Knot, 0) >= 7);
    assert_eq!(results.figure(Kind::Knot, 0), None);
    let text = results.text();
    assert!(
        text.contains("none    times Knot per CPU-second, hot, loopback: not measured: knot gave"),
        "{text}"
    );
    let (_, open) = text.split_once("open loop at 1k/s").unwrap();
    let line = open.lines().find(|line| line.starts_with("knot")).unwrap();
    assert!(line.contains("WRONG"), "{line}");
    let json = results.json();
    let knot = &json["servers"][1]["figures"][0];
    assert!(knot["wrong"].as_u64() >= Some(7) && knot["rate"].is_null());
    let svg = crate::chart::chart(&results);
    let (_, hot) = svg.split_once("one hot name: answers").unwrap();
    let (hot, _) = hot.split_once("100k names, uniform").unwrap();
    assert!(hot.contains(">skydock<") && !hot.contains(">knot<"), "{hot}");
}

#[test]
fn ratios_are_of_rounds_that_belong_together() {
    let mut results = results(&[(Kind::Skydock, 150_000.0), (Kind::Knot, 100_000.0)]);
    // A neighbour that is loud for one round is loud for both.
    for sample in &mut results.measured.samples {
        sample.cpu_seconds *= 1.0 + sample.round as f64;
    }
    let found = results.ratio((Kind::Skydock, 0), (Kind::Knot, 0), |it| Some(per_cpu_second(it)));
    let between = found.unwrap().between.unwrap();
    assert!(between.iter().all(|it| (it - 1.5).abs() < 1e-9), "{between:?}");
    assert_eq!(
        results.ratio((Kind::Skydock, 0), (Kind::Nsd, 0), |it| Some(cpu_us(it))),
        None
    );
}

#[test]
fn each_round_is_in_the_json_with_what_disturbed_it() {
    let json = results(&[(Kind::Knot, 100_000.0)]).json();
    let rounds = &json["servers"][0]["figures"][0]["rounds"];
    for what in [
        "answered",
        "lost",
        "rate",
        "cpu_seconds",
        "softirq_seconds",
        "steal_seconds",
        "p99_us",
    ] {
        assert_eq!(rounds[what].as_array().map(Vec::len), Some(3), "{what}");
    }
    assert!((json["steal_share"].as_f64().unwrap() - 0.02).abs() < 1e-9);
}
