//! A name that stands for another: the chain of CNAME records, followed within our own names.
//!
//! ```text
//! asked CNAME a, a CNAME b, b A 10.0.0.4      one reply: two CNAME records, then the A records of b
//! ```
//!
//! Every record that we hold says that its owner is the question's name. Behind the first CNAME that is
//! no longer so, and the owner becomes a pointer to the target inside the record before.

use std::net::IpAddr;

use super::{Lookup, Snapshot, Written};
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

impl Alias<'_> {
    /// Writes the chain into `reply`, then what there is at its end: the records of `qtype`, or the SOA that
    /// denies them (RFC 2308, section 2). Returns the response code, too, which is that of the last name
    /// (RFC 6604, section 3). A chain ends where it leaves our names, where it comes back to one of its own, and
    /// after [`CHAIN_MAX`] aliases: the client sees where it leads. `rotation` is as for [`super::Matches::write`].
    pub fn write(&self, qtype: RType, rotation: u16, reply: &mut Reply<'_>) -> (Written, Rcode) {
        let asked = Folded::new(reply.qname());
        let mut visited = [asked.as_ref(); CHAIN_MAX];
        let mut owner = OWNER_IS_QNAME;
        let mut cname = self.cname;
        for step in 0..CHAIN_MAX {
            let target_at = reply.end() + RDATA_AT;
            if !push_records(reply, owner, &cname) {
                return (Written::Cut, Rcode::NO_ERROR);
            }
            let rdata = cname.answer.get(RDATA_AT..).unwrap_or_default();
            let Ok((qname, _)) = NameRef::split(rdata) else {
                break;
            };
            // No record may stand in a reply twice (RFC 2181, section 5).
            if visited.contains(&qname) {
                break;
            }
            if let Some(next) = visited.get_mut(step) {
                *next = qname;
            }
            owner = pointer(target_at);
            let question = Question {
                qname,
                qtype,
                qclass: Class::IN,
            };
            let (rcode, denial) = match self.snapshot.lookup(&question, self.client) {
                Lookup::Alias(next) => {
                    cname = next.cname;
                    continue;
                }
                Lookup::Found(answer) => {
                    let whole = push_records(reply, owner, &answer);
                    let records = answer.additional_records;
                    let _ = whole && reply.push(Section::Additional, records, &[answer.additional]);
                    return (written(whole), Rcode::NO_ERROR);
                }
                Lookup::Matches(matches) => match matches.owned_by(owner).write(qtype, rotation, reply) {
                    Written::Nothing => (Rcode::NO_ERROR, matches.zone.denial()),
                    written => return (written, Rcode::NO_ERROR),
                },
                Lookup::Soa(soa) => {
                    let whole = reply.push(Section::Answer, 1, &[&owner, soa.soa_after_owner]);
                    return (written(whole), Rcode::NO_ERROR);
                }
                Lookup::NoData(denial) => (Rcode::NO_ERROR, denial),
                Lookup::NxDomain(denial) => (Rcode::NX_DOMAIN, denial),
                Lookup::NotOurs => break,
            };
            let zone_at = target_at + qname.octets().len().saturating_sub(denial.owner_octets);
            let whole = reply.push(
                Section::Authority,
                1,
                &[&pointer(zone_at), denial.soa_after_owner],
            );
            return (written(whole), rcode);
        }
        (Written::Whole, Rcode::NO_ERROR)
    }
}

fn written(whole: bool) -> Written {
    if whole { Written::Whole } else { Written::Cut }
}

/// A compression pointer to `offset`, which 14 bits hold: a chain of eight names ends far below 16 KiB.
fn pointer(offset: usize) -> [u8; 2] {
    (0xc000 | u16::try_from(offset).unwrap_or(0)).to_be_bytes()
}

/// Appends all records of `answer`, with `owner` as their owner.
fn push_records(reply: &mut Reply<'_>, owner: [u8; 2], answer: &Answer<'_>) -> bool {
    let mut rest = answer.answer;
    for _ in 0..answer.records {
        let Some(&[.., l0, l1]) = rest.first_chunk::<RDATA_AT>() else {
            return true;
        };
        let length = RDATA_AT + usize::from(u16::from_be_bytes([l0, l1]));
        let Some((record, after)) = rest.split_at_checked(length) else {
            return true;
        };
        let after_owner = record.get(owner.len()..).unwrap_or_default();
        if !reply.push(Section::Answer, 1, &[&owner, after_owner]) {
            return false;
        }
        rest = after;
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
