//! A name that stands for another: the chain of CNAME records, followed within our own names.
//!
//! ```text
//! asked CNAME a, a CNAME b, b A 10.0.0.4      one reply: two CNAME records, then the A records of b
//! ```
//!
//! Every record that we hold says that its owner is the question's name. Behind the first CNAME that is
//! no longer so, and the owner becomes a pointer to the target inside the record before.

use std::net::IpAddr;
use std::ops::ControlFlow;

use super::{Lookup, Snapshot, Written};
use crate::moment::Moment;
use crate::name::{Folded, NameRef};
use crate::record::{RDATA_AT, View};
use crate::snapshot::entry::{Answer, Entry};
use crate::wire::{Class, OWNER_IS_QNAME, Question, RType, Rcode, Reply, Section};

/// Aliases followed in one answer; what lies behind them is left to the client. Others stop at 8 to 11.
const CHAIN_MAX: usize = 8;

/// An alias at the name asked for.
#[derive(Clone, Copy)]
pub struct Alias<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) cname: Answer<'s>,
    pub(super) client: IpAddr,
}

/// Where a chain ends: the last name, and what there is.
struct End<'s> {
    name: NameRef<'s>,
    lookup: Lookup<'s>,
}

impl<'s> Alias<'s> {
    /// Writes the chain into `reply`, then what there is at its end: the records of `qtype`, or the SOA that
    /// denies them (RFC 2308, section 2). Returns the response code, too, which is that of the last name
    /// (RFC 6604, section 3). A chain ends where it leaves our names, where it comes back to one of its own, and
    /// after [`CHAIN_MAX`] aliases: the client sees where it leads. `rotation` and `now` are as for
    /// [`super::Matches::write`].
    pub fn write(&self, qtype: RType, rotation: u16, now: Moment, reply: &mut Reply<'_>) -> (Written, Rcode) {
        let (links, end) = self.write_chain(qtype, now, reply);
        let Some(Links { owner, target_at }) = links else {
            return (Written::Cut, Rcode::NO_ERROR);
        };
        let Some(End { name, lookup }) = end else {
            return (Written::Whole, Rcode::NO_ERROR);
        };
        let (rcode, denial) = match lookup {
            Lookup::Found(answer) => {
                let from = reply.end();
                let whole = push_records(reply, owner, &answer, rotation);
                let records = answer.additional_records;
                let _ = whole && reply.push(Section::Additional, records, &[answer.additional]);
                answer.cap_ttls(reply, from, now);
                return (written(whole), Rcode::NO_ERROR);
            }
            Lookup::Matches(matches) => match matches.owned_by(owner).write(qtype, rotation, now, reply) {
                Written::Nothing => (Rcode::NO_ERROR, matches.zone.denial()),
                written => return (written, Rcode::NO_ERROR),
            },
            Lookup::Soa(soa) => {
                let whole = reply.push(Section::Answer, 1, &[&owner, soa.soa_after_owner]);
                return (written(whole), Rcode::NO_ERROR);
            }
            Lookup::NoData(denial) => (Rcode::NO_ERROR, denial),
            Lookup::NxDomain(denial) => (Rcode::NX_DOMAIN, denial),
            Lookup::NotOurs | Lookup::Alias(_) => return (Written::Whole, Rcode::NO_ERROR),
        };
        let zone_at = target_at + name.octets().len().saturating_sub(denial.owner_octets);
        let whole = reply.push(
            Section::Authority,
            1,
            &[&pointer(zone_at), denial.soa_after_owner],
        );
        (written(whole), rcode)
    }

    /// Writes the aliases alone, for a reply that others complete. Returns where in it the last one's target lies; none
    /// if they did not fit.
    pub fn write_links(&self, qtype: RType, now: Moment, reply: &mut Reply<'_>) -> Option<usize> {
        let (links, _) = self.write_chain(qtype, now, reply);
        links.map(|links| links.target_at)
    }

    /// The name at the end of the chain of `asked` that others are to be asked about: one that is not ours, or that does
    /// not exist and `falls_through`. None if the chain ends otherwise.
    pub fn leads_out(
        &self,
        asked: NameRef<'_>,
        qtype: RType,
        falls_through: impl Fn(NameRef<'_>) -> bool,
    ) -> Option<NameRef<'s>> {
        let end = self.follow(asked, qtype, |_| ControlFlow::Continue(()))?;
        let is_left = match end.lookup {
            Lookup::NotOurs => true,
            Lookup::NxDomain(_) => falls_through(end.name),
            _ => false,
        };
        is_left.then_some(end.name)
    }

    /// Writes the aliases, as far as they fit: no links if not all do.
    fn write_chain(
        &self,
        qtype: RType,
        now: Moment,
        reply: &mut Reply<'_>,
    ) -> (Option<Links>, Option<End<'s>>) {
        let asked = Folded::new(reply.qname());
        let (mut links, mut owner) = (None, OWNER_IS_QNAME);
        let end = self.follow(asked.as_ref(), qtype, |cname| {
            let from = reply.end();
            let target_at = from + RDATA_AT;
            if !push_records(reply, owner, cname, 0) {
                links = None;
                return ControlFlow::Break(());
            }
            cname.cap_ttls(reply, from, now);
            owner = pointer(target_at);
            links = Some(Links { owner, target_at });
            ControlFlow::Continue(())
        });
        (links, end)
    }

    /// Calls `link` with each alias of the chain of `asked`, until it breaks off. Returns the chain's end, if it has one.
    fn follow(
        &self,
        asked: NameRef<'_>,
        qtype: RType,
        mut link: impl FnMut(&Answer<'s>) -> ControlFlow<()>,
    ) -> Option<End<'s>> {
        let mut visited = [asked; CHAIN_MAX];
        let mut cname = self.cname;
        for step in 0..CHAIN_MAX {
            if link(&cname).is_break() {
                return None;
            }
            let rdata = cname.answer.get(RDATA_AT..).unwrap_or_default();
            let (name, _) = NameRef::split(rdata).ok()?;
            // No record may stand in a reply twice (RFC 2181, section 5).
            if visited.contains(&name) {
                return None;
            }
            *visited.get_mut(step)? = name;
            let question = Question {
                qname: name,
                qtype,
                qclass: Class::IN,
            };
            match self.snapshot.lookup(&question, self.client) {
                Lookup::Alias(next) => cname = next.cname,
                lookup => return Some(End { name, lookup }),
            }
        }
        None
    }
}

/// What of a chain is in a reply.
struct Links {
    /// A pointer to the last target: the owner of what follows.
    owner: [u8; 2],
    /// Where that is.
    target_at: usize,
}

fn written(whole: bool) -> Written {
    if whole { Written::Whole } else { Written::Cut }
}

/// A compression pointer to `offset`, which 14 bits hold: a chain of eight names ends far below 16 KiB.
fn pointer(offset: usize) -> [u8; 2] {
    (0xc000 | u16::try_from(offset).unwrap_or(0)).to_be_bytes()
}

/// Appends all records of `answer`, the one first that `rotation` chooses, with `owner` as their owner.
fn push_records(reply: &mut Reply<'_>, owner: [u8; 2], answer: &Answer<'_>, rotation: u16) -> bool {
    for mut rest in answer.rotated(rotation) {
        while let Some(&[.., l0, l1]) = rest.first_chunk::<RDATA_AT>() {
            let length = RDATA_AT + usize::from(u16::from_be_bytes([l0, l1]));
            let Some((record, after)) = rest.split_at_checked(length) else {
                break;
            };
            let after_owner = record.get(owner.len()..).unwrap_or_default();
            if !reply.push(Section::Answer, 1, &[&owner, after_owner]) {
                return false;
            }
            rest = after;
        }
    }
    true
}

/// The RRset at a name that is an alias for clients in `view`, unless the alias itself is asked for.
pub(super) fn alias_of<'s>(entry: &Entry<'s>, qtype: RType, view: View) -> Option<Answer<'s>> {
    if qtype == RType::CNAME {
        None
    } else {
        entry.rrset(RType::CNAME, view)
    }
}
