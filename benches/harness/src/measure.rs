//! The measuring itself: every point, every server in turn, round after round.

use std::collections::{HashMap, HashSet};
use std::io;

use crate::field::Running;
use crate::generator::Generator;
use crate::load::{Outcome, Pace, Spec, Transport};
use crate::mix::Mix;
use crate::network::Path;
use crate::plan::{IN_FLIGHT, Load, Point, SHARE_OF_PEAK};
use crate::process::softirq_seconds;
use crate::servers::Kind;
use crate::table::median;

/// How long a server is asked before its first measurement of a mix, so that its caches hold what they will hold.
const WARM_SECONDS: f64 = 0.25;
/// How long it is asked one question after another to see whether it knows the answers.
const PROOF_SECONDS: f64 = 0.02;

/// One measurement of one server.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The server.
    pub kind: Kind,
    /// Place of the point in the plan.
    pub point: usize,
    /// What the generator saw.
    pub outcome: Outcome,
    /// CPU that the server's processes used.
    pub cpu_seconds: f64,
    /// CPU that the kernel's thread for interrupts used on the server's core.
    pub softirq_seconds: f64,
}

/// What was measured, and what could not be.
#[derive(Debug, Default)]
pub struct Measured {
    /// All measurements, in the order they were made.
    pub samples: Vec<Sample>,
    /// What a server did not take part in, and why; each a sentence.
    pub left_out: Vec<String>,
}

/// One generator for each way.
pub type Generators = HashMap<Path, Generator>;

/// Measures every point of `plan` with each of `servers`, which run on `core`. `tell` hears of each point that begins.
///
/// # Errors
///
/// A generator is gone, or cannot reach a server.
pub fn measure(
    plan: &[Point],
    servers: &[Running],
    generators: &mut Generators,
    core: usize,
    mut tell: impl FnMut(usize),
) -> io::Result<Measured> {
    let mut measured = Measured::default();
    let mut fit: HashMap<(Kind, Mix, Transport), bool> = HashMap::new();
    let mut told = HashSet::new();
    for (place, point) in plan.iter().enumerate() {
        tell(place);
        let Some(generator) = generators.get_mut(&point.path) else {
            if told.insert(point.path) {
                measured
                    .left_out
                    .push(format!("{}: this way could not be made", point.path));
            }
            continue;
        };
        let mut takers = Vec::new();
        for server in servers
            .iter()
            .filter(|server| server.kind.takes(point.mix, point.transport))
        {
            let key = (server.kind, point.mix, point.transport);
            let is_fit = match fit.get(&key) {
                Some(is_fit) => *is_fit,
                None => {
                    let complaint = prove(server, point, generator)?;
                    if let Some(complaint) = &complaint {
                        let Point { mix, transport, .. } = point;
                        let kind = server.kind.word();
                        measured
                            .left_out
                            .push(format!("{kind}, {mix} over {transport:?}: {complaint}"));
                    }
                    fit.insert(key, complaint.is_none());
                    complaint.is_none()
                }
            };
            if is_fit {
                takers.push(server);
            }
        }
        for round in 0..point.rounds {
            // A, B, C, then B, C, A: nobody always follows the same one.
            for turn in 0..takers.len() {
                let server = takers[(round + turn) % takers.len()];
                let pace = pace(point.load, peak_of(&measured.samples, plan, point, server.kind));
                let Some(pace) = pace else { continue };
                let (cpu, softirq) = (server.process.cpu_seconds(), softirq_seconds(&[core]));
                let outcome = generator.run(point.mix, &spec(server, point, pace, point.seconds))?;
                measured.samples.push(Sample {
                    kind: server.kind,
                    point: place,
                    outcome,
                    cpu_seconds: server.process.cpu_seconds() - cpu,
                    softirq_seconds: softirq_seconds(&[core]) - softirq,
                });
                server.calm_down();
            }
        }
    }
    Ok(measured)
}

/// Why `server` cannot be measured at `point`, if it cannot; it is warm then.
fn prove(server: &Running, point: &Point, generator: &mut Generator) -> io::Result<Option<String>> {
    let warm = spec(server, point, Pace::InFlight(32), WARM_SECONDS);
    // Whatever comes: a forwarder may lose some while it has nothing cached.
    let warmed = generator.run(point.mix, &warm);
    let proof = spec(server, point, Pace::InFlight(1), PROOF_SECONDS);
    let outcome = warmed.and_then(|_| {
        server.calm_down();
        generator.run(point.mix, &proof)
    });
    server.calm_down();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let complaint = outcome.complaint.as_deref();
    Ok(match (outcome.answered, outcome.wrong) {
        (0, 0) => Some("no answer".to_owned()),
        (_, 0) => None,
        _ => Some(format!("wrong answers: {}", complaint.unwrap_or("unknown"))),
    })
}

fn spec(server: &Running, point: &Point, pace: Pace, seconds: f64) -> Spec {
    Spec {
        to: server.address(point.path),
        transport: point.transport,
        edns: point.edns,
        pace,
        seconds,
    }
}

/// `None`: a share of a peak that was not measured.
fn pace(load: Load, peak: Option<f64>) -> Option<Pace> {
    match load {
        Load::Peak => Some(Pace::InFlight(IN_FLIGHT)),
        Load::Rate(rate) => Some(Pace::Rate(rate)),
        Load::ShareOfPeak => peak.map(|peak| Pace::Rate(peak * SHARE_OF_PEAK)),
    }
}

/// The answered rate of `kind` at the peak that `point` is a share of.
fn peak_of(samples: &[Sample], plan: &[Point], point: &Point, kind: Kind) -> Option<f64> {
    let is_its_peak = |other: &Point| {
        other.load == Load::Peak
            && (other.mix, other.transport, other.edns, other.path)
                == (point.mix, point.transport, point.edns, point.path)
    };
    let rates: Vec<_> = samples
        .iter()
        .filter(|sample| sample.kind == kind && plan.get(sample.point).is_some_and(is_its_peak))
        .map(|sample| sample.outcome.rate)
        .collect();
    median(&rates)
}
