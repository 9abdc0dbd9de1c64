//! Queries that others are to be asked about: answered from what was kept, or handed to the forwarder.
//!
//! ```text
//!  query ─▶ Recall::answer ─▶ reply
//!                └─ nothing ─▶ past its time, and others wait too long already ─▶ reply, stale
//!                                  └─ no ─▶ Forwarder::submit ─▶ an answer will come
//!                                                 └─ refused ─▶ reply, stale or an error
//! ```

use std::time::{Duration, Instant};

use dns::{Query, Rcode};

use super::{Outlet, Worker, count_reply};
use crate::forward::{Asked, Nobody, Refusal, ReturnPath, Submitted, Waiter};
use crate::pass_on::waiter;
use crate::respond::{Client, Message, Outcome, fail};

impl Worker {
    /// Answers a query that others are to be asked about: with what was kept, or, if none can be asked, with an error.
    /// None: an upstream is asked, through `outlet`, and an answer will come.
    pub(super) fn pass(
        &mut self,
        client: Client,
        message: &mut Message<'_>,
        is_alias: bool,
        path: ReturnPath,
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> Option<Outcome> {
        let passed = match is_alias {
            true => self.follow(client, message, path, now, outlet),
            false => self.recall_or_ask(client, message, path, now, outlet),
        };
        if let Some(Outcome::Reply { rcode, truncated, .. }) = passed {
            count_reply(&self.counters, rcode, truncated);
        }
        passed
    }

    /// The same for a name that is asked for itself.
    fn recall_or_ask(
        &mut self,
        client: Client,
        message: &mut Message<'_>,
        path: ReturnPath,
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> Option<Outcome> {
        let (policy, counters) = (&self.policy, &self.counters);
        if let Some((outcome, refresh)) = self.recall.answer(policy, counters, client, message, now) {
            if let Some(asked) = refresh {
                self.refresh(asked, now, outlet);
            }
            return Some(outcome);
        }
        // `respond` has read it before.
        let Ok(query) = Query::parse(message.octets()) else {
            return Some(fail(policy, client, message, Rcode::SERV_FAIL));
        };
        let (asked, mut waiter) = (Asked::of(&query), waiter(policy, &query, path));
        waiter.patience = self.recall.patience(&asked, &self.counters, now);
        if self.is_out_of_patience(&asked, waiter.patience, now)
            && let Some(stale) = self.answer_stale(client, message, now)
        {
            self.refresh(asked, now, outlet);
            return Some(stale);
        }
        let refusal = self.submit(asked, waiter, now, outlet).err()?;
        let rcode = refusal.rcode();
        let stale = match rcode {
            Rcode::SERV_FAIL => self.answer_stale(client, message, now),
            _ => None,
        };
        Some(stale.unwrap_or_else(|| fail(&self.policy, client, message, rcode)))
    }

    /// Answers a query with what is past its time, if that is allowed.
    fn answer_stale(&mut self, client: Client, message: &mut Message<'_>, now: Instant) -> Option<Outcome> {
        let (policy, counters) = (&self.policy, &self.counters);
        self.recall.answer_stale(policy, counters, client, message, now)
    }

    /// Whether a client with so much `patience` has waited long enough for what is `asked`, as others did before it.
    pub(super) fn is_out_of_patience(&self, asked: &Asked, patience: Option<Duration>, now: Instant) -> bool {
        patience.is_some_and(|patience| patience.is_zero() || self.forwarder.is_slow(asked, patience, now))
    }

    /// Asks an upstream for nobody but the cache.
    pub(super) fn refresh(&mut self, asked: Asked, now: Instant, outlet: &mut impl Outlet) {
        let (forwarder, mut sink) = self.forwarding(now, outlet);
        forwarder.refresh(now, asked, &mut sink);
    }

    /// Hands a question to the forwarder, or says why it is not asked.
    pub(super) fn submit(
        &mut self,
        asked: Asked,
        waiter: Waiter,
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> Result<(), Refusal> {
        if self.recall.take_flushed() {
            self.forwarder.ask_anew();
        }
        let submitted = {
            let (forwarder, mut sink) = self.forwarding(now, outlet);
            forwarder.submit(now, asked, waiter, &mut sink)
        };
        let counters = &self.counters;
        match submitted {
            Ok(submitted) => {
                counters.forwards.increment();
                let joined = u64::from(submitted == Submitted::Joined);
                counters.forward_joins.add(joined);
                return Ok(());
            }
            Err(Refusal::Nobody(Nobody::NoRoute | Nobody::Nowhere)) => {}
            Err(Refusal::Nobody(Nobody::Overrun)) => counters.forward_overruns.increment(),
            Err(Refusal::Share) => counters.forward_shares.increment(),
            Err(Refusal::Crowd) => counters.forward_crowds.increment(),
            Err(Refusal::Full) => counters.forward_full.increment(),
        }
        submitted.map(drop)
    }
}
