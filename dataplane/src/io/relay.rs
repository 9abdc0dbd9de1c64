//! The forwarder's end that touches sockets: what it wants sent is sent, what comes in is told to it.
//!
//! ```text
//!  Forwarder ──Ask──▶ Outbound ──▶ upstream ──reply──▶ collect ──on_reply──▶ Answer ──▶ whoever asked
//!                        └── cannot send ──▶ report_failures ──on_error──▶ the next upstream, or SERVFAIL
//!  clock ──▶ keep_time ──on_timeout──▶ try again, or SERVFAIL
//! ```
//!
//! Workers of datagrams and the one of streams differ only in the way an answer goes back, and hand that in.

use std::time::Instant;

use super::outbound::{Outbound, Received};
use super::udp::PollSet;
use crate::counters::Writer;
use crate::forward::{Action, Answer, Ask, Forwarder, Place};
use crate::limits::{UPSTREAM_REPLIES_PER_TURN_MAX, UPSTREAM_REPLY_OCTETS_MAX};
use crate::worker::{Worker, count_answer};

/// The sockets towards upstreams of one worker.
pub(crate) struct Relay {
    outbound: Outbound,
    reply: Vec<u8>,
}

impl Relay {
    /// Without a socket yet.
    pub(crate) fn new() -> Self {
        Self {
            outbound: Outbound::new(),
            reply: vec![0; UPSTREAM_REPLY_OCTETS_MAX],
        }
    }

    /// Sends a question. A failure is kept for [`Relay::report_failures`].
    pub(crate) fn ask(&mut self, ask: &Ask<'_>) {
        self.outbound.ask(ask);
    }

    /// Closes the sockets that nothing waits for, and adds the others to `set`. Returns how many those are.
    pub(crate) fn poll(&mut self, forwarder: &Forwarder, set: &mut PollSet) -> usize {
        self.outbound.poll(forwarder, set)
    }

    /// Hands the replies on that the socket which [`Relay::poll`] added as number `position` has queued, for as long
    /// as someone waits for one.
    pub(crate) fn collect(
        &mut self,
        position: usize,
        worker: &mut Worker,
        mut deliver: impl FnMut(&Answer<'_>, &Writer),
    ) {
        let Some(place) = self.outbound.polled(position) else {
            return;
        };
        for _ in 0..UPSTREAM_REPLIES_PER_TURN_MAX {
            if worker.forwarder.is_free(place) {
                break;
            }
            match self.outbound.receive(place, &mut self.reply) {
                Received::Packet(length) => match worker.forwarder.on_reply(place, &mut self.reply, length) {
                    Some(answer) => {
                        count_answer(&worker.counters, &answer);
                        deliver(&answer, &worker.counters);
                    }
                    None => worker.counters.forward_mismatches.increment(),
                },
                Received::Nothing => break,
                Received::Failed => {
                    self.fail(place, worker, &mut deliver);
                    break;
                }
            }
        }
        self.report_failures(worker, deliver);
    }

    /// Does what is due. The clock is read only when something waits.
    pub(crate) fn keep_time(&mut self, worker: &mut Worker, mut deliver: impl FnMut(&Answer<'_>, &Writer)) {
        if worker.forwarder.waiting() == 0 {
            return;
        }
        let now = Instant::now();
        while let Some(action) = worker.forwarder.on_timeout(now) {
            match action {
                Action::Ask(ask) => self.outbound.ask(&ask),
                Action::Answer(answer) => {
                    count_answer(&worker.counters, &answer);
                    deliver(&answer, &worker.counters);
                }
            }
        }
        self.report_failures(worker, deliver);
    }

    /// Tells the forwarder which sockets could not send. What it does about it may fail in turn, but only as often as
    /// there are upstreams left to refuse.
    pub(crate) fn report_failures(
        &mut self,
        worker: &mut Worker,
        mut deliver: impl FnMut(&Answer<'_>, &Writer),
    ) {
        while let Some(place) = self.outbound.take_failed() {
            self.fail(place, worker, &mut deliver);
        }
    }

    /// Ends all that waits, with SERVFAIL.
    pub(crate) fn give_up(&mut self, worker: &mut Worker, mut deliver: impl FnMut(&Answer<'_>, &Writer)) {
        while let Some(Action::Answer(answer)) = worker.forwarder.give_up() {
            count_answer(&worker.counters, &answer);
            deliver(&answer, &worker.counters);
        }
    }

    fn fail(&mut self, place: Place, worker: &mut Worker, deliver: &mut impl FnMut(&Answer<'_>, &Writer)) {
        let now = Instant::now();
        while let Some(action) = worker.forwarder.on_error(place, now) {
            match action {
                Action::Ask(ask) => self.outbound.ask(&ask),
                Action::Answer(answer) => {
                    count_answer(&worker.counters, &answer);
                    deliver(&answer, &worker.counters);
                }
            }
        }
    }
}
