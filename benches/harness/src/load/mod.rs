//! The load generator: asks, checks every answer, and times it from when its query was due.
//!
//! ```text
//!            ┌─ lane: a socket ─ pending: who waits for an answer on it
//!  drive ────┼─ lane                                                        one thread for each of our cores
//!   │ pace   └─ lane: queries leave and answers come in batches
//!   ▼
//!  Tally ─▶ Outcome: answered, lost, wrong, latencies
//! ```
//!
//! It spins and never sleeps: it has its cores to itself, and a sleeping client would make the server pay for waking it.
//! The same for every server, so the ratios hold.

mod drive;
mod latencies;
mod pending;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};

use self::drive::{Order, Tally, drive};
pub use self::latencies::Latencies;
use crate::mix::Script;

/// Sockets of each thread. Many clients ask a server, so that it cannot serve one flow alone.
const LANES: usize = 16;

/// How a query gets to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// On a connection that stays open, several at once.
    Tcp,
}

/// When a query leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as another one is answered: so many are under way. Closed loop; finds the peak.
    InFlight(usize),
    /// So many a second, whatever comes back. Open loop; latency counts from when a query was due, so that a server
    /// that stalls is not spared the queries that would have come meanwhile.
    Rate(f64),
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spec {
    /// Whom to ask.
    pub to: SocketAddr,
    /// How.
    pub transport: Transport,
    /// Whether each query has an OPT.
    pub edns: bool,
    /// When.
    pub pace: Pace,
    /// How long queries leave; what is under way then is waited for.
    pub seconds: f64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Queries that left, or should have.
    pub sent: u64,
    /// Right answers.
    pub answered: u64,
    /// Right answers a second, while queries left.
    pub rate: f64,
    /// Queries without an answer.
    pub lost: u64,
    /// Answers that were not right.
    pub wrong: u64,
    /// The first of those.
    pub complaint: Option<String>,
    /// How long each answer took. A query that is lost counts as one that took a second.
    pub latencies: Latencies,
}

/// How far through a script somebody has been asked, by each thread of the generator.
///
/// Kept from one measurement to the next, for each server by itself: every server is asked the same questions in the same order,
/// and none of them before all others had their turn, however many of them it answers in a round. Begun anew each time, a slow server would be
/// asked few names again and again; shared by all, each would be asked what another one left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turns(Vec<usize>);

/// Asks the questions of `script` as `spec` says, where `turns` left off, from one thread on each of `cores`; on none of them in
/// particular if there are none.
///
/// # Errors
///
/// What the kernel says: no socket, no connection, no such core.
pub fn run(spec: &Spec, script: &Script, turns: &mut Turns, cores: &[usize]) -> io::Result<Outcome> {
    let threads = cores.len().max(1);
    turns.0.resize(threads, 0);
    let tallies: io::Result<Vec<Tally>> = thread::scope(|scope| {
        let turns = turns.0.iter_mut().enumerate();
        let threads: Vec<_> = turns
            .map(|(place, turn)| {
                let core = cores.get(place);
                scope.spawn(move || {
                    if let Some(&core) = core {
                        pin(core)?;
                    }
                    let mut order = Order {
                        script,
                        turn: *turn,
                        place,
                        threads,
                    };
                    let tally = share(spec, &mut order, threads)?;
                    *turn = order.turn;
                    Ok(tally)
                })
            })
            .collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().expect("the generator does not panic"));
        ended.collect()
    });
    let mut sum = Tally::default();
    for tally in tallies? {
        sum.add(tally);
    }
    Ok(sum.outcome(spec.seconds))
}

/// One thread's share of `spec`.
fn share(spec: &Spec, order: &mut Order<'_>, threads: usize) -> io::Result<Tally> {
    let pace = match spec.pace {
        Pace::InFlight(all) => Pace::InFlight((all / threads).max(1)),
        Pace::Rate(all) => Pace::Rate(all / threads as f64),
    };
    let lanes = match pace {
        Pace::InFlight(window) => LANES.min(window),
        Pace::Rate(_) => LANES,
    };
    let seconds = Duration::from_secs_f64(spec.seconds);
    match spec.transport {
        Transport::Udp => {
            let lanes: io::Result<Vec<_>> = (0..lanes).map(|_| udp::Lane::connect(spec.to)).collect();
            drive(&mut lanes?, order, spec.edns, pace, seconds)
        }
        Transport::Tcp => {
            let lanes: io::Result<Vec<_>> = (0..lanes).map(|_| tcp::Lane::connect(spec.to)).collect();
            drive(&mut lanes?, order, spec.edns, pace, seconds)
        }
    }
}

/// Keeps this thread on `core`.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

impl Spec {
    /// As one line of JSON has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (in_flight, rate) = match self.pace {
            Pace::InFlight(count) => (Some(count), None),
            Pace::Rate(rate) => (None, Some(rate)),
        };
        json!({
            "to": self.to.to_string(), "tcp": self.transport == Transport::Tcp, "edns": self.edns,
            "in_flight": in_flight, "rate": rate, "seconds": self.seconds,
        })
    }

    /// Reads what [`Spec::to_json`] wrote; `None`: it did not.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let pace = match (value["in_flight"].as_u64(), value["rate"].as_f64()) {
            (Some(count), None) => Pace::InFlight(usize::try_from(count).ok()?),
            (None, Some(rate)) => Pace::Rate(rate),
            _ => return None,
        };
        Some(Self {
            to: value["to"].as_str()?.parse().ok()?,
            transport: if value["tcp"].as_bool()? {
                Transport::Tcp
            } else {
                Transport::Udp
            },
            edns: value["edns"].as_bool()?,
            pace,
            seconds: value["seconds"].as_f64()?,
        })
    }
}

impl Outcome {
    /// As one line of JSON has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "sent": self.sent, "answered": self.answered, "rate": self.rate, "lost": self.lost, "wrong": self.wrong,
            "complaint": self.complaint, "latencies": self.latencies.to_json(),
        })
    }

    /// Reads what [`Outcome::to_json`] wrote; `None`: it did not.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            sent: value["sent"].as_u64()?,
            answered: value["answered"].as_u64()?,
            rate: value["rate"].as_f64()?,
            lost: value["lost"].as_u64()?,
            wrong: value["wrong"].as_u64()?,
            complaint: value["complaint"].as_str().map(str::to_owned),
            latencies: Latencies::from_json(&value["latencies"])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_and_outcomes_survive_their_line() {
        for pace in [Pace::InFlight(192), Pace::Rate(1_000.0)] {
            let to = "127.0.0.1:5300".parse().unwrap();
            let spec = Spec {
                to,
                transport: Transport::Tcp,
                edns: true,
                pace,
                seconds: 0.5,
            };
            assert_eq!(Spec::from_json(&spec.to_json()), Some(spec));
        }
        let outcome = Outcome {
            answered: 3,
            complaint: Some("Records".to_owned()),
            ..Outcome::default()
        };
        assert_eq!(Outcome::from_json(&outcome.to_json()), Some(outcome));
        assert_eq!(Spec::from_json(&json!({"to": "127.0.0.1:53"})), None);
    }
}
