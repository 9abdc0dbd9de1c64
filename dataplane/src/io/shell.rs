//! One core's listening sockets and its worker: what both engines do between two waits.
//!
//! ```text
//!  turn: wait ─▶ listeners: receive ─▶ answer ─▶ forward ─▶ send       until each is empty
//!          ▲     relay:     replies of upstreams, retries ─▶ send
//!          └─────────────────────────────────────────┘
//! ```

use std::io::PipeReader;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::Reader;
use rustls::ClientConfig;

use super::clock;
use super::relay::Relay;
use super::udp::{self, Batch, Listener, PollSet};
use crate::counters::Writer;
use crate::forward::ReturnPath;
use crate::forward::{PLACES, config};
use crate::limits::{BATCHES_PER_TURN_MAX, DRAIN_MAX, LISTENERS_MAX};
use crate::respond::Policy;
use crate::worker::{Answer, Share, Worker};

/// All that one core needs, before its thread exists.
pub(crate) struct Setup {
    pub(crate) core: usize,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) reader: Reader,
    pub(crate) policy: Policy,
    pub(crate) routes: config::Reader,
    pub(crate) cache: Share,
    pub(crate) seed: [u8; 32],
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) counters: Writer,
}

/// One core at work.
pub(crate) struct Shell {
    listeners: Vec<Listener>,
    worker: Worker,
    relay: Relay,
    batch: Batch,
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
            routes,
            cache,
            seed,
            tls,
            counters,
            ..
        } = setup;
        Self {
            worker: Worker::new(reader, policy, routes, cache, seed, counters),
            relay: Relay::new(tls),
            batch: Batch::new(),
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
        self.worker.forwarder.under_way() > 0
    }

    /// To be called before a wait that may be long: no snapshot is kept through it.
    pub(crate) fn fall_asleep(&mut self) {
        self.worker.rest();
    }

    /// Sleeps until something comes in, something is due or `patience` is over, and then deals with all of it.
    pub(crate) fn turn(&mut self, patience: Option<Duration>) -> Turn {
        self.set.truncate(0);
        self.listeners
            .iter()
            .for_each(|listener| self.set.push(listener.as_fd()));
        let upstreams = self.relay.poll(&self.worker.forwarder, &mut self.set);
        self.bell.iter().for_each(|bell| self.set.push(bell.as_fd()));

        let ready = self.set.wait(self.patience(patience));
        if upstreams > 0 {
            self.worker.set_time(clock::now());
        }
        // A connection that was given up is told of before a new query is asked by the one that takes its place.
        self.relay.report_failures(&mut self.worker, by(&self.listeners));
        if ready {
            for position in 0..self.listeners.len() {
                if self.set.is_ready(position) {
                    self.serve(position);
                }
            }
            for position in 0..upstreams {
                if self.set.is_ready(self.listeners.len() + position) {
                    self.relay
                        .collect(position, &mut self.worker, by(&self.listeners));
                }
            }
        }
        self.relay.keep_time(&mut self.worker, by(&self.listeners));
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
        self.relay.give_up(&mut self.worker, by(&self.listeners));
    }

    /// When a turn has something to do although nothing came in.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.relay.next_deadline(&self.worker.forwarder)
    }

    /// How long a wait may be: until something is due, if that is sooner than `patience`. The clock is read only when there
    /// is something.
    fn patience(&self, patience: Option<Duration>) -> Option<Duration> {
        let due = self
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
            if self.worker.answer(&mut self.batch, clock::now()) {
                let outlet = &mut self.relay.outlet(by(&self.listeners));
                self.worker
                    .forward(&mut self.batch, number, Instant::now(), outlet);
            }
            let sent = self.batch.send(listener);
            self.worker.counters.dropped_send.add(sent.dropped as u64);
            // Queries that come one by one leave the queue empty: looking costs as much as waiting does.
            if received == 1 {
                break;
            }
        }
        self.relay.report_failures(&mut self.worker, by(&self.listeners));
    }
}

/// How an answer from upstream goes back: by the socket that its query came to.
fn by(listeners: &[Listener]) -> impl FnMut(&Answer<'_>, &Writer) {
    |answer, counters| {
        let ReturnPath::Datagram {
            listener,
            peer,
            local,
        } = answer.to
        else {
            return;
        };
        let Some(listener) = listeners.get(usize::from(listener)) else {
            return;
        };
        if udp::send(listener, answer.octets, peer, local).is_err() {
            counters.dropped_send.increment();
        }
    }
}

#[cfg(test)]
mod tests;
