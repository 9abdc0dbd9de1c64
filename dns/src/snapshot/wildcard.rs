//! Names with wildcard labels, and names of more than three labels: matched, not stored.
//!
//! SkyDNS's grammar gives every service six labels and lets a query leave out any on the left and
//! write `*`, `any` or `all` for any other:
//!
//! ```text
//! [uuid.][host.][region.][instance.][service.][environment.]<domain>
//!     5      4        3          2         1             0     column
//! ```
//!
//! Stored, that would be 63 names for each service. Instead every label has a number, and a query is
//! compared with six columns of numbers, 256 services at a time (`endpoint`).
//!
//!
//! The work of one query is bounded by the number of services. These are wildcards of queries; a
//! wildcard owner (RFC 4592) would be a name of its own.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Zone;
use super::endpoint::{ANY, CHUNK_ROWS, Chunk, GRAMMAR_LABELS, NEVER, Numbers, Row};
use crate::record::View;
use crate::wire::{Class, OWNER_IS_QNAME, RType, Reply, Section};

/// Column of the region, which SRV falls back from.
const REGION: usize = 3;
/// SRV priority of services in the region that was asked for, or where none was (SkyDNS v1).
pub const SRV_PRIORITY: u16 = 10;
/// Octets of the shortest record, that of an IPv4 address.
const RECORD_OCTETS_MIN: usize = 16;
/// SRV priority of services in other regions (SkyDNS v1).
const PRIORITY_OTHER_REGION: u16 = 20;

/// Whether `label`, lower-cased, stands for any label in a query.
#[must_use]
pub fn is_wildcard(label: &[u8]) -> bool {
    matches!(label, b"*" | b"any" | b"all")
}

/// All endpoints that a query matches, at least one, possibly in other regions alone.
#[derive(Clone, Copy)]
pub struct Matches<'s> {
    chunks: &'s [Arc<Chunk>],
    wanted: Numbers,
    /// Owner of the records.
    owner: [u8; 2],
    /// Whose addresses the client gets.
    view: View,
    /// The zone that the query's name is in.
    pub zone: &'s Zone,
}

/// What [`Matches::write`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All records are in the reply.
    Whole,
    /// Not all records fitted; those that did are in the reply.
    Cut,
    /// The matching endpoints have no record of the type.
    Nothing,
}

/// What a first pass over the matching rows finds, before any is written.
struct Survey {
    rows: usize,
    ttl_seconds: u32,
}

impl<'s> Matches<'s> {
    /// The endpoints that `labels` match: for each label its number, or none where it is unknown; no
    /// label at all means any. `None` when there are none.
    pub(super) fn find(
        chunks: &'s [Arc<Chunk>],
        zone: &'s Zone,
        labels: [Option<Option<u32>>; GRAMMAR_LABELS],
        view: View,
    ) -> Option<Self> {
        let wanted = labels.map(|label| label.map_or(ANY, |number| number.unwrap_or(NEVER)));
        let matches = Self {
            chunks,
            wanted,
            owner: OWNER_IS_QNAME,
            view,
            zone,
        };
        // A region without services still has its name: SRV answers with the other regions.
        let existing = matches.in_any_region().unwrap_or(matches);
        existing
            .each(|_| ControlFlow::Break(()))
            .is_break()
            .then_some(matches)
    }

    /// The same matches with the name at the pointer `owner` as the records' owner, behind an alias.
    pub(super) fn owned_by(self, owner: [u8; 2]) -> Self {
        Self { owner, ..self }
    }

    /// Writes the records of `qtype` into `reply`, the first one chosen by `rotation`.
    ///
    /// A and AAAA: the addresses of every endpoint. SRV: as [`Matches`] with addresses of the targets
    /// as additional records where they fit. ANY: one type, the first there is (RFC 8482, section 4.1).
    pub fn write(&self, qtype: RType, rotation: u16, reply: &mut Reply<'_>) -> Written {
        match qtype {
            RType::A | RType::AAAA => self.write_addresses(qtype, rotation, reply),
            RType::SRV => self.write_srv(rotation, reply),
            RType::ANY => [RType::A, RType::AAAA, RType::SRV]
                .into_iter()
                .map(|rtype| self.write(rtype, rotation, reply))
                .find(|written| *written != Written::Nothing)
                .unwrap_or(Written::Nothing),
            _ => Written::Nothing,
        }
    }

    fn write_addresses(&self, rtype: RType, rotation: u16, reply: &mut Reply<'_>) -> Written {
        let survey = self.survey(rtype, rows_that_fit(reply));
        if survey.rows == 0 {
            return Written::Nothing;
        }
        let head = record_head(self.owner, rtype, survey.ttl_seconds);
        let flow = self.each_rotated(rtype, survey.rows, rotation, |row| {
            let written = row.addresses(rtype, self.view, |address| push_address(reply, &head, address));
            if written {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        if flow.is_break() {
            Written::Cut
        } else {
            Written::Whole
        }
    }

    fn write_srv(&self, rotation: u16, reply: &mut Reply<'_>) -> Written {
        let here = self.survey(RType::SRV, rows_that_fit(reply));
        let elsewhere = self
            .in_any_region()
            .map(|all| (all, all.survey(RType::SRV, rows_that_fit(reply))));
        let total = elsewhere.as_ref().map_or(here.rows, |(_, survey)| survey.rows);
        if total == 0 {
            return Written::Nothing;
        }
        let ttl_seconds = elsewhere
            .as_ref()
            .map_or(here.ttl_seconds, |(_, survey)| survey.ttl_seconds);
        let head = record_head(self.owner, RType::SRV, ttl_seconds);
        let mut flow = self.each_rotated(RType::SRV, here.rows, rotation, |row| {
            self.push_srv(reply, &head, row, SRV_PRIORITY, srv_weight(here.rows))
        });
        if let (Some((all, _)), ControlFlow::Continue(())) = (&elsewhere, flow) {
            let others = total - here.rows;
            flow = all.each_unlike(&self.wanted, |row| {
                self.push_srv(reply, &head, row, PRIORITY_OTHER_REGION, srv_weight(others))
            });
        }
        if flow.is_break() {
            return Written::Cut;
        }
        // Addresses are a courtesy: what does not fit is left out and TC stays clear (RFC 2181, section 9).
        let targets = elsewhere.map_or(*self, |(all, _)| all);
        let _ = targets.each(|row| self.push_target(reply, row, ttl_seconds));
        Written::Whole
    }

    fn push_srv(
        &self,
        reply: &mut Reply<'_>,
        head: &[u8; 10],
        row: Row<'_>,
        priority: u16,
        weight: u16,
    ) -> ControlFlow<()> {
        if row.port == 0 {
            return ControlFlow::Continue(());
        }
        let apex = self.zone.apex().octets();
        let length = u16::try_from(6 + row.uuid_label.len() + apex.len()).unwrap_or(u16::MAX);
        let [[l0, l1], [p0, p1], [w0, w1], [n0, n1]] =
            [length, priority, weight, row.port].map(u16::to_be_bytes);
        let fixed = [l0, l1, p0, p1, w0, w1, n0, n1];
        let parts: [&[u8]; 4] = [head, &fixed, row.uuid_label, apex];
        if reply.push(Section::Answer, 1, &parts) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    fn push_target(&self, reply: &mut Reply<'_>, row: Row<'_>, ttl_seconds: u32) -> ControlFlow<()> {
        if row.port == 0 {
            return ControlFlow::Continue(());
        }
        let apex = self.zone.apex().octets();
        let mut push = |rtype: RType, address: &[u8]| {
            let head = record_head(self.owner, rtype, ttl_seconds);
            let length = [0, u8::try_from(address.len()).unwrap_or(0)];
            let after_owner = head.get(2..).unwrap_or_default();
            let parts: [&[u8]; 5] = [row.uuid_label, apex, after_owner, &length, address];
            reply.push(Section::Additional, 1, &parts)
        };
        let all = [RType::A, RType::AAAA]
            .into_iter()
            .all(|rtype| row.addresses(rtype, self.view, |address| push(rtype, address)));
        if all {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    /// The same query with the region left open; none when it is open already.
    fn in_any_region(&self) -> Option<Self> {
        let mut wanted = self.wanted;
        (wanted[REGION] != ANY).then(|| {
            wanted[REGION] = ANY;
            Self { wanted, ..*self }
        })
    }

    /// Counts the rows with records of `rtype`, up to `rows_max`: more would be cut off in any case, and to
    /// count them all would let one short question cost a walk over every service.
    fn survey(&self, rtype: RType, rows_max: usize) -> Survey {
        let mut survey = Survey {
            rows: 0,
            ttl_seconds: u32::MAX,
        };
        let _ = self.each(|row| {
            if row.has(rtype, self.view) {
                survey.rows += 1;
                // One TTL for the set (RFC 2181, section 5.2).
                survey.ttl_seconds = survey.ttl_seconds.min(row.ttl_seconds);
            }
            if survey.rows < rows_max {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        survey
    }

    /// Calls `visit` for the first `rows` rows with records of `rtype`, beginning at one that `rotation` chooses.
    fn each_rotated(
        &self,
        rtype: RType,
        rows: usize,
        rotation: u16,
        mut visit: impl FnMut(Row<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let first = usize::from(rotation).checked_rem(rows).unwrap_or(0);
        for ranks in [first..rows, 0..first] {
            let mut rank = 0;
            let mut visited = ControlFlow::Continue(());
            let _ = self.each(|row| {
                if rank >= ranks.end {
                    return ControlFlow::Break(());
                }
                if row.has(rtype, self.view) {
                    if ranks.contains(&rank) {
                        visited = visit(row);
                    }
                    rank += 1;
                }
                visited
            });
            visited?;
        }
        ControlFlow::Continue(())
    }

    /// Calls `visit` for every row that matches this query but not `unlike`.
    fn each_unlike(
        &self,
        unlike: &Numbers,
        mut visit: impl FnMut(Row<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for chunk in self.chunks {
            let Some(rows) = chunk.matching(&self.wanted) else {
                continue;
            };
            let without = chunk.matching(unlike).unwrap_or([false; CHUNK_ROWS]);
            for (row, _) in rows
                .iter()
                .zip(without)
                .enumerate()
                .filter(|(_, (yes, no))| **yes && !no)
            {
                if let Some(row) = chunk.row_octets(row).and_then(Row::read) {
                    visit(row)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn each(&self, mut visit: impl FnMut(Row<'s>) -> ControlFlow<()>) -> ControlFlow<()> {
        for chunk in self.chunks {
            let Some(rows) = chunk.matching(&self.wanted) else {
                continue;
            };
            for (row, _) in rows.iter().enumerate().filter(|(_, matches)| **matches) {
                if let Some(row) = chunk.row_octets(row).and_then(Row::read) {
                    visit(row)?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Weight of each of `records` SRV records of one priority: SkyDNS's 100 / n, but never 0, which RFC 2782 all but
/// excludes from use.
#[must_use]
pub fn srv_weight(records: usize) -> u16 {
    u16::try_from(100_usize.checked_div(records).unwrap_or(0).max(1)).unwrap_or(1)
}

/// Rows of which at least one cannot be in `reply` any more, were they all to have but one record.
fn rows_that_fit(reply: &Reply<'_>) -> usize {
    reply.room() / RECORD_OCTETS_MIN + 1
}

/// Owner (a pointer), type, class and TTL of a record.
fn record_head([o0, o1]: [u8; 2], rtype: RType, ttl_seconds: u32) -> [u8; 10] {
    let ([t0, t1], [c0, c1]) = (rtype.0.to_be_bytes(), Class::IN.0.to_be_bytes());
    let [s0, s1, s2, s3] = ttl_seconds.to_be_bytes();
    [o0, o1, t0, t1, c0, c1, s0, s1, s2, s3]
}

fn push_address(reply: &mut Reply<'_>, head: &[u8; 10], address: &[u8]) -> bool {
    let length = [0, u8::try_from(address.len()).unwrap_or(0)];
    reply.push(Section::Answer, 1, &[head, &length, address])
}

#[cfg(test)]
mod tests {
    use super::*;

    // SkyDNS gave 100 / n, which is 0 from the 101st service on.
    #[test]
    fn weights_share_a_hundred_and_are_never_zero() {
        assert_eq!([1, 3, 100, 101, 5000].map(srv_weight), [100, 33, 1, 1, 1]);
    }
}
