//! The measuring itself: every point, every server in turn, round after round.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use crate::host::stolen_seconds;
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
    /// Which of the point's rounds; those of two servers in one round were made one after the other.
    pub round: usize,
    /// What the generator saw.
    pub outcome: Outcome,
    /// CPU that the server's processes used.
    pub cpu_seconds: f64,
    /// CPU that the kernel's thread for interrupts used on the server's core.
    pub softirq_seconds: f64,
    /// What the host took meanwhile from the cores of server and generator, and how long all of these had.
    pub stolen_seconds: [f64; 2],
}

/// What was measured, and what could not be.
#[derive(Debug, Default)]
pub struct Measured {
    /// All measurements, in the order they were made.
    pub samples: Vec<Sample>,
    /// What a server did not take part in, and why, and what else went wrong; each a sentence.
    pub notes: Vec<String>,
}

/// Who asks: a generator.
pub trait Asker {
    /// Asks the questions of `mix` as `spec` says.
    ///
    /// # Errors
    ///
    /// It is gone, or cannot reach the server.
    fn ask(&mut self, mix: Mix, spec: &Spec) -> io::Result<Outcome>;
}

/// Who is asked: a server that runs.
pub trait Taker {
    /// Which.
    fn kind(&self) -> Kind;
    /// Where it is asked that way.
    fn address(&self, path: Path) -> SocketAddr;
    /// CPU that it has used so far.
    fn cpu_seconds(&self) -> f64;
    /// Waits until it has worked off what it was asked.
    ///
    /// # Errors
    ///
    /// It goes on and on; a sentence.
    fn calm_down(&self) -> Result<(), String>;
}

/// The cores that a measurement takes.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Where the servers run.
    pub server: usize,
    /// Those of the generator, and that of the servers.
    pub all: Vec<usize>,
}

/// Measures every point of `plan` with each of `servers`, which run on `cores`; `askers` has one for each way. `tell` hears
/// of each point that begins.
///
/// # Errors
///
/// A generator is gone, or cannot reach a server.
pub fn measure(
    plan: &[Point],
    servers: &[impl Taker],
    askers: &mut HashMap<Path, impl Asker>,
    cores: &Watched,
    mut tell: impl FnMut(usize),
) -> io::Result<Measured> {
    let mut measured = Measured::default();
    let mut fit: HashMap<(Kind, Mix, Transport), bool> = HashMap::new();
    let mut told = HashSet::new();
    for (place, point) in plan.iter().enumerate() {
        tell(place);
        let Some(asker) = askers.get_mut(&point.path) else {
            if told.insert(point.path) {
                measured
                    .notes
                    .push(format!("{}: this way could not be made", point.path));
            }
            continue;
        };
        let mut takers = Vec::new();
        for server in servers {
            let (kind, mix, transport) = (server.kind(), point.mix, point.transport);
            if !kind.takes(mix, transport) {
                continue;
            }
            let is_fit = match fit.get(&(kind, mix, transport)) {
                Some(is_fit) => *is_fit,
                None => {
                    let complaint = prove(server, point, asker, &mut measured.notes)?;
                    if let Some(complaint) = &complaint {
                        let note = format!("{}, {mix} over {transport:?}: {complaint}", kind.word());
                        measured.notes.push(note);
                    }
                    fit.insert((kind, mix, transport), complaint.is_none());
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
                let kind = server.kind();
                let pace = pace(point.load, peak_of(&measured.samples, plan, point, kind));
                let Some(pace) = pace else { continue };
                let (stolen, began) = (stolen_seconds(&cores.all), Instant::now());
                let (cpu, softirq) = (server.cpu_seconds(), softirq_seconds(&[cores.server]));
                let outcome = asker.ask(point.mix, &spec(server, point, pace, point.seconds))?;
                measured.samples.push(Sample {
                    kind,
                    point: place,
                    round,
                    outcome,
                    cpu_seconds: server.cpu_seconds() - cpu,
                    softirq_seconds: softirq_seconds(&[cores.server]) - softirq,
                    stolen_seconds: [
                        stolen_seconds(&cores.all) - stolen,
                        began.elapsed().as_secs_f64() * cores.all.len() as f64,
                    ],
                });
                calm_down(server, point.mix, &mut measured.notes);
            }
        }
    }
    Ok(measured)
}

/// Whoever does not come to rest takes the core from the next one: that is told, once for each mix.
fn calm_down(server: &impl Taker, mix: Mix, notes: &mut Vec<String>) {
    if let Err(why) = server.calm_down() {
        let note = format!("{} after {mix}: {why}", server.kind().word());
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

/// Why `server` cannot be measured at `point`, if it cannot; it is warm then.
fn prove(
    server: &impl Taker,
    point: &Point,
    asker: &mut impl Asker,
    notes: &mut Vec<String>,
) -> io::Result<Option<String>> {
    let warm = spec(server, point, Pace::InFlight(32), WARM_SECONDS);
    // Whatever comes: a forwarder may lose some while it has nothing cached.
    let warmed = asker.ask(point.mix, &warm);
    let proof = spec(server, point, Pace::InFlight(1), PROOF_SECONDS);
    let outcome = warmed.and_then(|_| {
        calm_down(server, point.mix, notes);
        asker.ask(point.mix, &proof)
    });
    calm_down(server, point.mix, notes);
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

fn spec(server: &impl Taker, point: &Point, pace: Pace, seconds: f64) -> Spec {
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

#[cfg(test)]
mod tests;
