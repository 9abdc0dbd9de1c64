//! Aliases of ours that lead to names which are not: what they lead to is looked up like any foreign name, and the
//! answer stands behind our aliases.
//!
//! ```text
//!  db.docker A ─▶ CNAME db.example.com, ours ─▶ db.example.com A ─▶ Recall, else Forwarder
//!                                                                       └──▶ CNAME, ours; A, theirs
//! ```
//!
//! While others are asked, the client's own question is kept, and its aliases are looked up once more when the answer
//! comes: it is told what is true then. An answer that leads back into our names ends there, as any foreign one does.

use std::net::IpAddr;
use std::time::Instant;

use dns::wire::ExtendedError;
use dns::{Alias, Flags, Lookup, NameRef, Query, Rcode, Reply, Snapshot};

use super::recall::count;
use super::{Outlet, Worker};
use crate::cache::Answer;
use crate::forward::{Asked, Nobody, Refusal, ReturnPath, Waiter};
use crate::limits::ALIASES_WAITING_MAX;
use crate::pass_on::{Written, begin, pass_on, waiter};
use crate::path::AliasSlot;
use crate::respond::{Client, Message, Opening, Outcome, Policy, fail};

impl Worker {
    /// Answers a query about an alias that leads out of our names. None: an upstream is asked about the name that it leads
    /// to, and an answer will come.
    pub(super) fn follow(
        &mut self,
        client: Client,
        message: &mut Message<'_>,
        path: ReturnPath,
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> Option<Outcome> {
        let policy = &self.policy;
        // `respond` has read it before, and followed it.
        let Ok(query) = Query::parse(message.octets()) else {
            return Some(fail(policy, client, message, Rcode::SERV_FAIL));
        };
        let original = Asked::of(&query);
        let Some((_, target)) = aliased(self.reader.load(), policy, &original, client.address) else {
            return Some(fail(policy, client, message, Rcode::SERV_FAIL));
        };
        let asked = Asked::about(target, &query);
        let opening = Opening::of(policy, client, &query);
        let mut waiter = waiter(policy, &query, path);
        let behind = Behind {
            original: &original,
            asked: &asked,
            client: client.address,
        };
        if let Some(hit) = self.recall.find(&asked, &self.counters, now) {
            let refresh = hit.refresh;
            let reply = opening.begin(&self.policy, message);
            let written = behind.complete(self.reader.load(), &self.policy, reply, &hit.answer);
            if refresh {
                self.refresh(asked, now, outlet);
            }
            return Some(written.outcome());
        }
        waiter.patience = self.recall.patience(&asked, &self.counters, now);
        if self.is_out_of_patience(&asked, waiter.patience, now)
            && let Some(stale) = self.recall.last_known(&asked, &self.counters, now)
        {
            count(&stale, &self.counters);
            let reply = opening.begin(&self.policy, message);
            let written = behind.complete(self.reader.load(), &self.policy, reply, &stale);
            self.refresh(asked, now, outlet);
            return Some(written.outcome());
        }
        let refusal = self.submit_behind(&behind, waiter, now, outlet).err()?;
        let rcode = match refusal {
            // Nobody is to be asked: the client sees where the alias leads, as from any server that asks nobody.
            Refusal::Nobody(Nobody::NoRoute) => Rcode::NO_ERROR,
            refusal => refusal.rcode(),
        };
        let stale = match rcode {
            Rcode::SERV_FAIL => self.recall.last_known(&asked, &self.counters, now),
            _ => None,
        };
        stale.iter().for_each(|stale| count(stale, &self.counters));
        let why = (rcode == Rcode::SERV_FAIL).then_some(ExtendedError::NO_REACHABLE_AUTHORITY);
        let answer = stale.unwrap_or_else(|| Answer::none(rcode, why));
        let reply = opening.begin(&self.policy, message);
        let written = behind.complete(self.reader.load(), &self.policy, reply, &answer);
        Some(written.outcome())
    }

    /// Has an upstream asked, and keeps the client's own question until then.
    fn submit_behind(
        &mut self,
        behind: &Behind<'_>,
        mut waiter: Waiter,
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> Result<(), Refusal> {
        let Some(slot) = self.originals.keep(behind.original.clone()) else {
            self.counters.forward_full.increment();
            return Err(Refusal::Full);
        };
        waiter.behind = Some(slot);
        let submitted = self.submit(behind.asked.clone(), waiter, now, outlet);
        if submitted.is_err() {
            self.originals.take(slot);
        }
        submitted
    }
}

/// Writes the reply for `waiter` into `room`: `answer`, which is to what was `asked`, behind our aliases if it was one of
/// those that the client asked about.
pub(super) fn tell(
    policy: &Policy,
    snapshot: &Snapshot,
    originals: &mut Originals,
    waiter: &Waiter,
    asked: &Asked,
    answer: &Answer<'_>,
    room: &mut [u8],
) -> Written {
    let Some(original) = waiter.behind.and_then(|slot| originals.take(slot)) else {
        return pass_on(policy, waiter, asked, answer, room);
    };
    let behind = Behind {
        original: &original,
        asked,
        client: waiter.to.client(),
    };
    let reply = begin(policy, waiter, &original, room);
    behind.complete(snapshot, policy, reply, answer)
}

/// A question of a client about an alias, and what is asked of others for it.
struct Behind<'a> {
    original: &'a Asked,
    asked: &'a Asked,
    client: IpAddr,
}

impl Behind<'_> {
    /// Writes our aliases into `reply`, whose question is the client's, and `answer` behind them. Where they no longer
    /// lead to what was asked, the client is told SERVFAIL, and asks once more.
    fn complete(
        &self,
        snapshot: &Snapshot,
        policy: &Policy,
        mut reply: Reply<'_>,
        answer: &Answer<'_>,
    ) -> Written {
        let asked = self.asked.name().octets();
        let found = aliased(snapshot, policy, self.original, self.client);
        let Some((alias, _)) = found.filter(|(_, target)| target.octets().eq_ignore_ascii_case(asked)) else {
            reply.set_rcode(Rcode::SERV_FAIL);
            return Written {
                length: reply.finish(),
                rcode: Rcode::SERV_FAIL,
                truncated: false,
            };
        };
        // The first owner is ours (RFC 1035, section 4.1.1).
        reply.set_flags(Flags::AA);
        let rotation = reply.id();
        let (length, truncated) =
            match alias.write_links(self.original.question().qtype, policy.now, &mut reply) {
                Some(target_at) => answer.write_behind(reply, rotation, target_at, self.asked.question_end()),
                None => {
                    reply.truncate();
                    (reply.finish(), true)
                }
            };
        Written {
            length,
            rcode: answer.rcode(),
            truncated,
        }
    }
}

/// The alias that `original` asks about, and the name that others are asked about for it.
fn aliased<'s>(
    snapshot: &'s Snapshot,
    policy: &Policy,
    original: &Asked,
    client: IpAddr,
) -> Option<(Alias<'s>, NameRef<'s>)> {
    let question = original.question();
    match snapshot.lookup(&question, client) {
        Lookup::Alias(alias) => {
            let target = policy.follows(&alias, &question)?;
            Some((alias, target))
        }
        _ => None,
    }
}

/// Questions about aliases, kept while others are asked about what those lead to.
pub(super) struct Originals {
    kept: Vec<Option<Asked>>,
    free: Vec<AliasSlot>,
}

impl Originals {
    /// None. Allocates all that it will ever use; the kernel gives the memory when it is touched.
    pub(super) fn new() -> Self {
        Self {
            kept: Vec::with_capacity(ALIASES_WAITING_MAX),
            free: Vec::with_capacity(ALIASES_WAITING_MAX),
        }
    }

    /// Keeps `original`. None if there is no room.
    fn keep(&mut self, original: Asked) -> Option<AliasSlot> {
        if let Some(slot) = self.free.pop() {
            *self.kept.get_mut(usize::from(slot.0))? = Some(original);
            return Some(slot);
        }
        if self.kept.len() >= ALIASES_WAITING_MAX {
            return None;
        }
        let slot = AliasSlot(u16::try_from(self.kept.len()).ok()?);
        self.kept.push(Some(original));
        Some(slot)
    }

    /// Takes out what was kept in `slot`.
    fn take(&mut self, slot: AliasSlot) -> Option<Asked> {
        let original = self.kept.get_mut(usize::from(slot.0))?.take()?;
        self.free.push(slot);
        Some(original)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_questions_and_what_is_taken_out_makes_room_again() {
        let packet = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
        let asked = Asked::of(&Query::parse(packet).unwrap());
        let mut originals = Originals::new();
        for _ in 0..2 {
            let slots: Vec<_> = (0..ALIASES_WAITING_MAX)
                .map(|_| originals.keep(asked.clone()).unwrap())
                .collect();
            assert_eq!(originals.keep(asked.clone()), None);
            for slot in slots {
                assert_eq!(originals.take(slot), Some(asked.clone()));
                assert_eq!(originals.take(slot), None);
            }
        }
        assert_eq!(originals.kept.capacity(), ALIASES_WAITING_MAX);
    }
}
