//! One thread of the generator: lanes in turn, each receives, then sends.

use std::io;
use std::time::{Duration, Instant};

use super::pending::{Pending, Waiting};
use super::{Latencies, Outcome, Pace};
use crate::mix::Script;
use crate::question::{Question, Wrong};

/// Queries that leave, and answers that come, by one system call.
pub(super) const BATCH: usize = 32;
/// How long an answer is waited for. Resolvers of containers ask again after five seconds; no server here takes one.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// How often what is lost is looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// Octets of the longest query: a header, a name, type, class and OPT.
const QUERY_OCTETS: usize = 12 + 255 + 4 + 11;
/// Lanes that may break before we take the server for one that does not want us.
const BREAKS_MAX: u64 = 1_000_000;

/// A way to the server, and back.
pub(super) trait Lane {
    /// Sends these, and says how many left or will.
    fn send(&mut self, queries: &[Vec<u8>]) -> io::Result<usize>;

    /// Shows each answer that has come to `each`, and does not wait for more.
    ///
    /// # Errors
    ///
    /// The lane is broken: nothing will come any more.
    fn receive(&mut self, each: impl FnMut(&[u8])) -> io::Result<()>;

    /// Makes a broken lane anew.
    fn mend(&mut self) -> io::Result<()>;
}

/// What one thread asks next: every so many questions of a script, the other threads those between.
#[derive(Debug)]
pub(super) struct Order<'s> {
    pub(super) script: &'s Script,
    /// Questions that this thread has asked.
    pub(super) turn: usize,
    /// Its place among the threads.
    pub(super) place: usize,
    pub(super) threads: usize,
}

impl Order<'_> {
    /// The question that is asked after `count` more.
    fn question(&self, count: usize) -> (u32, &Question) {
        let turn = self.turn.wrapping_add(count);
        self.script
            .question(turn.wrapping_mul(self.threads).wrapping_add(self.place))
    }
}

/// What one thread counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: u64,
    answered: u64,
    /// Of those, while queries left.
    in_time: u64,
    lost: u64,
    wrong: u64,
    complaint: Option<Wrong>,
    latencies: Latencies,
}

impl Tally {
    /// Notes queries that nobody answered. Each counts as one whose answer came when it was given up: a server that drops
    /// what it cannot answer soon would seem to be quick otherwise.
    fn lose(&mut self, queries: u64) {
        self.lost += queries;
        self.latencies.record(LOST_AFTER, queries);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.in_time += other.in_time;
        self.lost += other.lost;
        self.wrong += other.wrong;
        self.complaint = self.complaint.or(other.complaint);
        self.latencies.add(&other.latencies);
    }

    pub(super) fn outcome(self, seconds: f64) -> Outcome {
        Outcome {
            sent: self.sent,
            answered: self.answered,
            rate: self.in_time as f64 / seconds,
            lost: self.lost,
            wrong: self.wrong,
            complaint: self.complaint.map(|wrong| format!("{wrong:?}")),
            latencies: self.latencies,
        }
    }
}

/// Sends queries over `lanes` for as long as `seconds`, as `order` has them, then waits for what is owed. What could not leave is the
/// next to be asked.
pub(super) fn drive<L: Lane>(
    lanes: &mut [L],
    order: &mut Order<'_>,
    edns: bool,
    pace: Pace,
    seconds: Duration,
) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut pendings: Vec<_> = lanes.iter().map(|_| Pending::new()).collect();
    let mut batch: Vec<Vec<u8>> = (0..BATCH).map(|_| Vec::with_capacity(QUERY_OCTETS)).collect();
    let mut ids = [0; BATCH];
    let started = Instant::now();
    let mut swept = Duration::ZERO;
    let mut breaks = 0;
    // Where the next query of an open loop goes.
    let mut next_lane = 0;
    loop {
        let is_sending = started.elapsed() < seconds;
        for place in 0..lanes.len() {
            let (lane, pending) = (&mut lanes[place], &mut pendings[place]);
            // What was here before the look at the clock has not been late by what the look took.
            let now_ns = elapsed_ns(started);
            let received = lane.receive(|reply| {
                if let Err(wrong) = take(&mut tally, pending, order.script, reply, now_ns, is_sending) {
                    tally.wrong += 1;
                    tally.complaint.get_or_insert(wrong);
                }
            });
            if received.is_err() {
                // Whoever closes a connection with questions on it has them asked again.
                pending.expire(u64::MAX);
                breaks += 1;
                if breaks > BREAKS_MAX {
                    return received.map(|()| tally);
                }
                lane.mend()?;
            }
            if !is_sending {
                continue;
            }
            let due = match pace {
                Pace::InFlight(window) => {
                    let share = window / pendings.len() + usize::from(place < window % pendings.len());
                    share.saturating_sub(pendings[place].len())
                }
                Pace::Rate(_) if place != next_lane => 0,
                Pace::Rate(rate) => {
                    let due = due_by(started.elapsed(), rate).saturating_sub(tally.sent) as usize;
                    // Spread over the lanes, as from many clients.
                    due.div_ceil(lanes.len())
                }
            };
            let (lane, pending) = (&mut lanes[place], &mut pendings[place]);
            let mut count = 0;
            while count < due.min(BATCH) {
                let due_ns = match pace {
                    Pace::InFlight(_) => now_ns,
                    Pace::Rate(rate) => ((tally.sent + count as u64) as f64 / rate * 1e9) as u64,
                };
                let (question, asked) = order.question(count);
                let Some(id) = pending.begin(Waiting { question, due_ns }) else {
                    break;
                };
                asked.write(id, edns, &mut batch[count]);
                ids[count] = id;
                count += 1;
            }
            if count == 0 && due > 0 {
                // No place: what is due now will never be answered in time.
                tally.sent += due as u64;
                tally.lose(due as u64);
                continue;
            }
            // An error is told by the next receive, too, and what waits for it is lost.
            let left = lane.send(&batch[..count]).unwrap_or(count);
            for id in &ids[left..count] {
                pending.end(*id);
            }
            tally.sent += left as u64;
            order.turn = order.turn.wrapping_add(left);
            if left > 0 {
                next_lane = (place + 1) % lanes.len();
            }
        }
        let now = started.elapsed();
        if now.saturating_sub(swept) > SWEEP_EVERY {
            swept = now;
            let before = now.saturating_sub(LOST_AFTER).as_nanos() as u64;
            tally.lose(pendings.iter_mut().map(|pending| pending.expire(before)).sum());
        }
        if !is_sending && pendings.iter().all(|pending| pending.len() == 0) {
            return Ok(tally);
        }
    }
}

/// Takes one answer in.
fn take(
    tally: &mut Tally,
    pending: &mut Pending,
    script: &Script,
    reply: &[u8],
    now_ns: u64,
    in_time: bool,
) -> Result<(), Wrong> {
    let id = reply
        .first_chunk()
        .copied()
        .map(u16::from_be_bytes)
        .ok_or(Wrong::Malformed)?;
    // An answer that comes after it was given up was counted then.
    let Some(waiting) = pending.end(id) else {
        return Ok(());
    };
    script.at(waiting.question).check(reply)?;
    tally.answered += 1;
    tally.in_time += u64::from(in_time);
    tally
        .latencies
        .record(Duration::from_nanos(now_ns.saturating_sub(waiting.due_ns)), 1);
    Ok(())
}

fn elapsed_ns(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

/// How many queries of an open loop are due after `elapsed`: the first at once, each later one a `rate`th of a second after
/// the one before.
fn due_by(elapsed: Duration, rate: f64) -> u64 {
    (elapsed.as_secs_f64() * rate) as u64 + 1
}

#[cfg(test)]
mod tests;
