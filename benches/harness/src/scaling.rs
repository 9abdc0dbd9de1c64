//! Rate against cores, on whatever machine this is.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use dataplane::cores::{CoreSelection, Shown, allowed, select};
use serde_json::json;

use crate::chart::cores_chart;
use crate::cli::{Outcome, say};
use crate::engine::Engine;
use crate::field::{Ground, Running};
use crate::generator::Generator;
use crate::load::{Pace, Spec, Transport};
use crate::mix::Mix;
use crate::network;
use crate::plan::IN_FLIGHT;
use crate::results::About;
use crate::results::bars::{Bound, verdict};
use crate::servers::Kind;
use crate::table::{count, median, table};
use crate::world::World;

/// How long each number of cores is measured, and how often.
const SECONDS: f64 = 1.0;
const ROUNDS: usize = 5;

/// Asks `skydock` on one core, two, and so on, and writes `cores.svg` and `cores.json` to `out`. Gives a table.
///
/// # Errors
///
/// A sentence for whoever called.
pub(crate) fn run(skydock: &Path, world: World, out: &Path) -> Outcome<String> {
    let all = allowed()?;
    let directory = tempfile::tempdir()?;
    let engine = Engine::start(world, &directory.path().join("docker.sock"))?.endpoint();
    let head = [
        "cores",
        "which",
        "answers/s",
        "per CPU-second",
        "times one core",
        "per CPU-second, times one",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let (mut points, mut records, mut bars) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = None;
    let mut is_shared = false;
    for number in 1..=all.len() {
        let cores = select(Some(&CoreSelection::Count(number)))?;
        let left: Vec<_> = all.iter().copied().filter(|core| !cores.contains(core)).collect();
        let left_none = left.is_empty();
        is_shared |= left_none;
        let clients = if left_none { all.clone() } else { left };
        say(&format!("{number} of {}", all.len()));
        let ground = Ground {
            world,
            directory: directory.path(),
            addresses: &[Ipv4Addr::LOCALHOST],
            upstream: None,
            cores: &cores,
            affinity: &cores,
            skydock,
            engines: &[&engine],
        };
        let server = Running::start(Kind::Skydock, &ground)?;
        let mut generator = Generator::start(&clients, world, None)?;
        let spec = Spec {
            to: server.address(network::Path::Loopback),
            transport: Transport::Udp,
            edns: true,
            pace: Pace::InFlight(IN_FLIGHT * number),
            seconds: SECONDS,
        };
        let (mut rates, mut per_cpu) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let cpu = server.process.cpu_seconds();
            let outcome = generator.run(Mix::Hot, &spec)?;
            if outcome.wrong > 0 {
                return Err(format!("{} wrong answers with {number} cores", outcome.wrong).into());
            }
            rates.push(outcome.rate);
            per_cpu.push(outcome.answered as f64 / (server.process.cpu_seconds() - cpu).max(1e-9));
        }
        let (rate, per_cpu) = (median(&rates).unwrap_or(0.0), median(&per_cpu).unwrap_or(0.0));
        let (one_rate, one_per_cpu) = *first.get_or_insert((rate, per_cpu));
        if number == 2 && !left_none {
            bars.push(verdict(
                "times one core, two of them",
                rate / one_rate.max(1.0),
                Bound::Least(1.8),
            ));
        }
        points.push((number, rate));
        records.push(json!({"cores": cores, "rate": rate, "answers_per_cpu_second": per_cpu}));
        rows.push(vec![
            number.to_string(),
            Shown::of(&cores).to_string(),
            count(rate),
            count(per_cpu),
            format!("{:.2}", rate / one_rate.max(1.0)),
            format!("{:.2}", per_cpu / one_per_cpu.max(1.0)),
        ]);
    }
    let about = About::here();
    fs::write(out.join("cores.svg"), cores_chart(&about, &points))?;
    let record =
        json!({"machine": about.machine, "date": about.date, "commit": about.commit, "points": records});
    fs::write(out.join("cores.json"), format!("{record}\n"))?;
    let shared = if is_shared {
        "\nWhere skydock had all cores, the generator shared them: there the answers for each CPU-second count."
    } else {
        ""
    };
    let (machine, date, out) = (&about.machine, &about.date, out.display());
    let table = table(&rows);
    Ok(format!(
        "{machine}, {date}\n\n{table}{shared}\n\n{}written: {out}/cores.svg and {out}/cores.json",
        bars.into_iter().map(|bar| bar + "\n\n").collect::<String>(),
    ))
}
