//! The forwarder's end that touches sockets: what it wants sent is sent, what comes in is told to it.
//!
//! ```text
//!  Forwarder ──Ask──▶ Outbound ──▶ upstream ──reply──▶ collect ──on_reply──▶ Answer ──▶ whoever asked
//!                        └── cannot send ──▶ report_failures ──on_error──▶ the next upstream, or SERVFAIL
//!  clock ──▶ keep_time ──on_timeout──▶ try again, or SERVFAIL
//! ```
//!
//! Workers of datagrams and the one of streams differ only in the way an answer goes back, and hand that in.

use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;

use super::outbound::{Failed, Outbound, Received};
use super::udp::PollSet;
use crate::counters::Writer;
use crate::forward::{Ask, Forwarder};
use crate::limits::{UPSTREAM_REPLIES_PER_TURN_MAX, UPSTREAM_REPLY_OCTETS_MAX};
use crate::worker::{Answer, Outlet, Worker};

/// The sockets towards upstreams of one worker.
pub(crate) struct Relay {
    outbound: Outbound,
    reply: Vec<u8>,
}

/// Questions go out by `outbound`, answers as `deliver` has it.
struct Ways<'r, D> {
    outbound: &'r mut Outbound,
    deliver: D,
}

impl<D: FnMut(&Answer<'_>, &Writer)> Outlet for Ways<'_, D> {
    fn ask(&mut self, ask: &Ask<'_>) {
        self.outbound.ask(ask);
    }

    fn answer(&mut self, answer: &Answer<'_>, counters: &Writer) {
        (self.deliver)(answer, counters);
    }
}

impl Relay {
    /// Without a socket yet. `tls` is as for [`Outbound::new`].
    pub(crate) fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            outbound: Outbound::new(tls),
            reply: vec![0; UPSTREAM_REPLY_OCTETS_MAX],
        }
    }

    /// Where a worker's questions and answers go. Sockets that fail are kept for [`Relay::report_failures`].
    pub(crate) fn outlet(&mut self, deliver: impl FnMut(&Answer<'_>, &Writer)) -> impl Outlet {
        Ways {
            outbound: &mut self.outbound,
            deliver,
        }
    }

    /// Closes the sockets that nothing waits for and that are not kept, and adds the others to `set`. Returns how many those are.
    pub(crate) fn poll(&mut self, forwarder: &Forwarder, set: &mut PollSet) -> usize {
        self.outbound.poll(forwarder, set)
    }

    /// When [`Relay::poll`] or [`Relay::keep_time`] has something to do although nothing came in.
    pub(crate) fn next_deadline(&self, forwarder: &Forwarder) -> Option<Instant> {
        let outbound = self.outbound.next_deadline(forwarder);
        forwarder.next_deadline().into_iter().chain(outbound).min()
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
        let now = Instant::now();
        let mut replies = 0;
        // What is here already must not wait for a socket to tell of it: there is 64 KiB of it at most.
        while replies < UPSTREAM_REPLIES_PER_TURN_MAX || self.outbound.holds_reply(place) {
            replies += 1;
            // A connection that is kept is looked at to the end, which may be just that.
            if worker.forwarder.is_free(place) && !place.is_kept() {
                break;
            }
            let received = self.outbound.receive(place, &mut self.reply, now);
            let outlet = &mut Ways {
                outbound: &mut self.outbound,
                deliver: &mut deliver,
            };
            match received {
                Received::Packet(length) => {
                    let packet = self.reply.get(..length).unwrap_or_default();
                    worker.on_reply(place, packet, now, outlet);
                }
                Received::Nothing => break,
                Received::Failed(trouble) => {
                    worker.on_error(place, trouble, now, outlet);
                    break;
                }
                Received::Ended => {
                    worker.on_end(place, now, outlet);
                    break;
                }
            }
        }
        self.report_failures(worker, deliver);
    }

    /// Does what is due. The clock is read only when something waits.
    pub(crate) fn keep_time(&mut self, worker: &mut Worker, mut deliver: impl FnMut(&Answer<'_>, &Writer)) {
        if worker.forwarder.under_way() == 0 {
            return;
        }
        worker.on_timeout(Instant::now(), &mut self.outlet(&mut deliver));
        self.report_failures(worker, deliver);
    }

    /// Tells the forwarder which sockets could not send. What it does about it may fail in turn, but only as often as
    /// there are upstreams left to refuse.
    pub(crate) fn report_failures(
        &mut self,
        worker: &mut Worker,
        mut deliver: impl FnMut(&Answer<'_>, &Writer),
    ) {
        while let Some(Failed {
            place,
            trouble,
            is_end,
            ..
        }) = self.outbound.take_failed()
        {
            let (now, outlet) = (Instant::now(), &mut self.outlet(&mut deliver));
            match is_end {
                true => worker.on_end(place, now, outlet),
                false => worker.on_error(place, trouble, now, outlet),
            }
        }
    }

    /// Ends all that waits, with SERVFAIL.
    pub(crate) fn give_up(&mut self, worker: &mut Worker, deliver: impl FnMut(&Answer<'_>, &Writer)) {
        worker.give_up(Instant::now(), &mut self.outlet(deliver));
    }
}
