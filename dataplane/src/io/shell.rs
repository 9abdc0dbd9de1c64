//! One core's sockets and its worker: what both engines do between two waits.
//!
//! ```text
//!  turn: wait ─▶ listeners: receive ─▶ answer ─▶ forward ─▶ send       until each is empty
//!          ▲     upstreams: receive ─▶ on_reply ─▶ send
//!          │     clock:                on_timeout ─▶ send
//!          └─────────────────────────────────────────┘
//! ```

use std::io::PipeReader;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use dns::Reader;

use super::outbound::{Outbound, PLACES, Received};
use super::udp::{self, Batch, Listener, PollSet};
use crate::counters::Writer;
use crate::forward::{Action, Answer, Place};
use crate::limits::{
    BATCHES_PER_TURN_MAX, DRAIN_MAX, LISTENERS_MAX, UPSTREAM_REPLIES_PER_TURN_MAX, UPSTREAM_REPLY_OCTETS_MAX,
};
use crate::respond::Policy;
use crate::worker::{Worker, count_answer};

/// All that one core needs, before its thread exists.
pub(crate) struct Setup {
    pub(crate) core: usize,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) reader: Reader,
    pub(crate) policy: Policy,
    pub(crate) upstreams: Vec<SocketAddr>,
    pub(crate) seed: [u8; 32],
    pub(crate) counters: Writer,
}

/// One core at work.
pub(crate) struct Shell {
    listeners: Vec<Listener>,
    worker: Worker,
    outbound: Outbound,
    batch: Batch,
    reply: Vec<u8>,
    set: PollSet,
    bell: Option<PipeReader>,
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something came in.
    Busy,
    /// Nothing did, as long as we waited.
    Quiet,
}

impl Shell {
    /// Makes everything that the core will use. `bell` ends a wait when it can be read or its writer is gone.
    pub(crate) fn new(setup: Setup, bell: Option<PipeReader>) -> Self {
        let Setup {
            listeners,
            reader,
            policy,
            upstreams,
            seed,
            counters,
            ..
        } = setup;
        Self {
            worker: Worker::new(reader, policy, &upstreams, seed, counters),
            outbound: Outbound::new(),
            batch: Batch::new(),
            reply: vec![0; UPSTREAM_REPLY_OCTETS_MAX],
            set: PollSet::with_capacity(LISTENERS_MAX + PLACES + 1),
            listeners,
            bell,
        }
    }

    /// The listening sockets.
    pub(crate) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Whether some queries wait for an upstream.
    pub(crate) fn is_waiting(&self) -> bool {
        self.worker.forwarder.waiting() > 0
    }

    /// Notes that the executor goes to sleep.
    pub(crate) fn count_park(&self) {
        self.worker.counters.parks.increment();
    }

    /// Sleeps until something comes in, a retry is due or `patience` is over, and then deals with all of it.
    pub(crate) fn turn(&mut self, patience: Option<Duration>) -> Turn {
        self.set.truncate(0);
        self.listeners
            .iter()
            .for_each(|listener| self.set.push(listener.as_fd()));
        let upstreams = self.outbound.poll(&self.worker.forwarder, &mut self.set);
        self.bell.iter().for_each(|bell| self.set.push(bell.as_fd()));

        let ready = self.set.wait(self.patience(patience));
        if ready {
            for position in 0..self.listeners.len() {
                if self.set.is_ready(position) {
                    self.serve(position);
                }
            }
            for position in 0..upstreams {
                if self.set.is_ready(self.listeners.len() + position) {
                    self.outbound
                        .polled(position)
                        .into_iter()
                        .for_each(|place| self.collect(place));
                }
            }
        }
        self.keep_time();
        if ready { Turn::Busy } else { Turn::Quiet }
    }

    /// Answers what is queued, waits for upstreams for as long as a stop may take, and tells the rest SERVFAIL.
    pub(crate) fn drain(mut self) {
        // It has rung, and would end every wait at once.
        self.bell = None;
        let end = Instant::now() + DRAIN_MAX;
        loop {
            let patience = if self.is_waiting() {
                end.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            if (self.turn(Some(patience)) == Turn::Quiet && !self.is_waiting()) || Instant::now() >= end {
                break;
            }
        }
        while let Some(action) = self.worker.forwarder.give_up() {
            perform(action, &mut self.outbound, &self.listeners, &self.worker.counters);
        }
    }

    /// How long a wait may be: until the next retry is due, if that is sooner than `patience`. The clock is read
    /// only when there is one.
    fn patience(&self, patience: Option<Duration>) -> Option<Duration> {
        let due = self
            .worker
            .forwarder
            .next_deadline()
            .map(|due| due.saturating_duration_since(Instant::now()));
        patience.into_iter().chain(due).min()
    }

    /// Answers what the listener at `position` has queued.
    fn serve(&mut self, position: usize) {
        let Some((listener, number)) = self.listeners.get(position).zip(u8::try_from(position).ok()) else {
            return;
        };
        for _ in 0..BATCHES_PER_TURN_MAX {
            // An error that was waiting on the socket is taken off it by being told, so the next turn reads on.
            let received = self.batch.receive(listener).unwrap_or(0);
            if received == 0 {
                break;
            }
            if self.worker.answer(&mut self.batch) {
                let outbound = &mut self.outbound;
                self.worker
                    .forward(&mut self.batch, number, Instant::now(), |ask| outbound.ask(ask));
            }
            let sent = self.batch.send(listener);
            self.worker.counters.dropped_send.add(sent.dropped as u64);
            // Queries that come one by one leave the queue empty: looking costs as much as waiting does.
            if received == 1 {
                break;
            }
        }
        self.report_failures();
    }

    /// Passes on the replies that the upstream socket in `place` has queued, for as long as someone waits for one.
    fn collect(&mut self, place: Place) {
        for _ in 0..UPSTREAM_REPLIES_PER_TURN_MAX {
            if self.worker.forwarder.is_free(place) {
                break;
            }
            match self.outbound.receive(place, &mut self.reply) {
                Received::Packet(length) => {
                    match self.worker.forwarder.on_reply(place, &mut self.reply, length) {
                        Some(answer) => deliver(&answer, &self.listeners, &self.worker.counters),
                        None => self.worker.counters.forward_mismatches.increment(),
                    }
                }
                Received::Nothing => break,
                Received::Failed => {
                    self.fail(place);
                    break;
                }
            }
        }
        self.report_failures();
    }

    /// Does what is due. The clock is read only when something waits.
    fn keep_time(&mut self) {
        if !self.is_waiting() {
            return;
        }
        let now = Instant::now();
        while let Some(action) = self.worker.forwarder.on_timeout(now) {
            perform(action, &mut self.outbound, &self.listeners, &self.worker.counters);
        }
        self.report_failures();
    }

    /// Tells the forwarder which sockets could not send. What it does about it may fail in turn, but only as often as
    /// there are upstreams left to refuse.
    fn report_failures(&mut self) {
        while let Some(place) = self.outbound.take_failed() {
            self.fail(place);
        }
    }

    fn fail(&mut self, place: Place) {
        while let Some(action) = self.worker.forwarder.on_error(place) {
            perform(action, &mut self.outbound, &self.listeners, &self.worker.counters);
        }
    }
}

fn perform(action: Action<'_>, outbound: &mut Outbound, listeners: &[Listener], counters: &Writer) {
    match action {
        Action::Ask(ask) => outbound.ask(&ask),
        Action::Answer(answer) => deliver(&answer, listeners, counters),
    }
}

fn deliver(answer: &Answer<'_>, listeners: &[Listener], counters: &Writer) {
    count_answer(counters, answer);
    let Some(listener) = listeners.get(usize::from(answer.to.listener)) else {
        return;
    };
    if udp::send(listener, answer.octets, answer.to.peer, answer.to.local).is_err() {
        counters.dropped_send.increment();
    }
}
