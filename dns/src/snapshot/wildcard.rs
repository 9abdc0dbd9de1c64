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
//! compared with six columns of numbers, 256 services at a time:
//!
//! ```text
//! chunk   | column 0: 256 × u32 | ... | column 5 | starts: 256 × u32 | arena |
//! row     | ttl: u32 | port: u16, 0 for none | label octets: u8 | IPv4: u8 | IPv6: u8 | views: u8 |
//!         | uuid label, wire form | IPv4 addresses | IPv6 addresses | views |       integers little-endian
//! view    | view: u16 | address: 16 octets, an IPv4 one mapped |
//! ```
//!
//! The work of one query is bounded by the number of services. These are wildcards of queries; a
//! wildcard owner (RFC 4592) would be a name of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Zone;
use crate::record::View;
use crate::wire::{Class, RType, Reply, Section};

/// A view's number and an address in it.
const VIEW_OCTETS: usize = 18;
/// Labels that the grammar knows: environment, service, instance, region, host, uuid.
pub const GRAMMAR_LABELS: usize = 6;
/// Column of the region, which SRV falls back from.
const REGION: usize = 3;
/// Rows of a chunk: a change copies one chunk, about 12 KiB.
const CHUNK_ROWS: usize = 256;
/// Number of no label: a free row has it in every column, and a query that wants it wants any label.
const ANY: u32 = 0;
/// Number that no row has: the query's label is unknown.
const NEVER: u32 = u32::MAX;
/// SRV priority of services in the region that was asked for, and of the others (SkyDNS v1).
const PRIORITY: u16 = 10;
const PRIORITY_OTHER_REGION: u16 = 20;

/// Whether `label`, lower-cased, stands for any label in a query.
#[must_use]
pub fn is_wildcard(label: &[u8]) -> bool {
    matches!(label, b"*" | b"any" | b"all")
}

/// One running thing, as queries with wildcards or more than three labels see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Environment, service, instance, region, host, uuid: lower-cased, 1 to 63 octets each.
    pub labels: [Box<[u8]>; GRAMMAR_LABELS],
    /// Its IPv4 addresses, at most 255.
    pub ipv4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses, at most 255.
    pub ipv6: Vec<Ipv6Addr>,
    /// The port that SRV announces; none means no SRV record.
    pub port: Option<u16>,
    /// Time to live, in seconds.
    pub ttl_seconds: u32,
    /// Addresses that the clients of one view get in place of those of the same family above; at most 255.
    pub views: Vec<(View, IpAddr)>,
}

/// Where an endpoint stands in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointKey(pub(super) u32);

/// The numbers of one row's labels; all [`ANY`] for a free row.
pub(super) type Numbers = [u32; GRAMMAR_LABELS];

/// 256 rows. Never changes once built.
pub(super) struct Chunk {
    columns: [[u32; CHUNK_ROWS]; GRAMMAR_LABELS],
    /// Least and greatest number in each column: services loaded together have neighbouring numbers,
    /// so most chunks are passed over without a look at their rows.
    ranges: [(u32, u32); GRAMMAR_LABELS],
    starts: [u32; CHUNK_ROWS],
    arena: Box<[u8]>,
}

/// What a row holds besides its labels.
#[derive(Clone, Copy)]
struct Row<'s> {
    ttl_seconds: u32,
    port: u16,
    /// With its length octet.
    uuid_label: &'s [u8],
    ipv4: &'s [[u8; 4]],
    ipv6: &'s [[u8; 16]],
    views: &'s [[u8; VIEW_OCTETS]],
}

/// The content of one row: its labels' numbers and its octets.
pub(super) type RowContent = (Numbers, Box<[u8]>);
/// A row and its new content; free when there is none.
pub(super) type RowEdit = (EndpointKey, Option<RowContent>);

impl EndpointKey {
    /// Which chunk.
    pub(super) fn chunk(self) -> usize {
        self.0 as usize / CHUNK_ROWS
    }

    fn row(self) -> usize {
        self.0 as usize % CHUNK_ROWS
    }
}

impl Endpoint {
    /// The octets of its row; none when it has more addresses than a row can count.
    pub(super) fn row_octets(&self) -> Option<Box<[u8]>> {
        let [.., uuid] = &self.labels;
        let counts = [uuid.len() + 1, self.ipv4.len(), self.ipv6.len(), self.views.len()].map(u8::try_from);
        let [Ok(label_octets), Ok(ipv4), Ok(ipv6), Ok(views)] = counts else {
            return None;
        };
        let mut octets = Vec::with_capacity(16 + uuid.len());
        octets.extend_from_slice(&self.ttl_seconds.to_le_bytes());
        octets.extend_from_slice(&self.port.unwrap_or(0).to_le_bytes());
        octets.extend_from_slice(&[label_octets, ipv4, ipv6, views, label_octets.saturating_sub(1)]);
        octets.extend_from_slice(uuid);
        octets.extend(self.ipv4.iter().flat_map(Ipv4Addr::octets));
        octets.extend(self.ipv6.iter().flat_map(Ipv6Addr::octets));
        for (view, address) in &self.views {
            let address = match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => *address,
            };
            octets.extend_from_slice(&view.0.to_le_bytes());
            octets.extend_from_slice(&address.octets());
        }
        Some(octets.into_boxed_slice())
    }
}

impl Chunk {
    /// A chunk of free rows.
    pub(super) fn empty() -> Self {
        Self {
            columns: [[ANY; CHUNK_ROWS]; GRAMMAR_LABELS],
            ranges: [(NEVER, ANY); GRAMMAR_LABELS],
            starts: [0; CHUNK_ROWS],
            arena: Box::default(),
        }
    }

    /// A copy with `edits` applied; each row at most once among them.
    pub(super) fn edited(&self, edits: &[RowEdit]) -> Self {
        let mut columns = self.columns;
        let mut new: [Option<&[u8]>; CHUNK_ROWS] = [None; CHUNK_ROWS];
        for (row, slot) in new.iter_mut().enumerate() {
            *slot = self.row_octets(row);
        }
        for (key, content) in edits {
            let numbers = content
                .as_ref()
                .map_or([ANY; GRAMMAR_LABELS], |(numbers, _)| *numbers);
            for (column, number) in columns.iter_mut().zip(numbers) {
                if let Some(cell) = column.get_mut(key.row()) {
                    *cell = number;
                }
            }
            if let Some(slot) = new.get_mut(key.row()) {
                *slot = content.as_ref().map(|(_, octets)| octets.as_ref());
            }
        }
        let mut starts = [0; CHUNK_ROWS];
        let mut arena = Vec::with_capacity(self.arena.len());
        for (start, octets) in starts.iter_mut().zip(new) {
            *start = u32::try_from(arena.len()).expect("256 rows of at most 6 KiB");
            arena.extend_from_slice(octets.unwrap_or_default());
        }
        let ranges = columns.map(|column| {
            let used = column.iter().copied().filter(|number| *number != ANY);
            used.fold((NEVER, ANY), |(least, greatest), number| {
                (least.min(number), greatest.max(number))
            })
        });
        Self {
            columns,
            ranges,
            starts,
            arena: arena.into_boxed_slice(),
        }
    }

    /// The octets of a used row.
    fn row_octets(&self, row: usize) -> Option<&[u8]> {
        let [column, ..] = &self.columns;
        if *column.get(row)? == ANY {
            return None;
        }
        let start = *self.starts.get(row)? as usize;
        let end = self
            .starts
            .get(row + 1)
            .map_or(self.arena.len(), |end| *end as usize);
        self.arena.get(start..end)
    }

    /// The numbers in a row.
    pub(super) fn numbers(&self, key: EndpointKey) -> Numbers {
        self.columns
            .map(|column| column.get(key.row()).copied().unwrap_or(ANY))
    }

    /// Which rows match, or none at all.
    fn matching(&self, wanted: &Numbers) -> Option<[bool; CHUNK_ROWS]> {
        let mut columns = wanted.iter().zip(&self.ranges);
        if columns.any(|(want, (least, greatest))| *want != ANY && (want < least || want > greatest)) {
            return None;
        }
        let [first, ..] = &self.columns;
        let mut rows = first.map(|number| number != ANY);
        for (column, want) in self.columns.iter().zip(wanted) {
            if *want != ANY {
                for (row, number) in rows.iter_mut().zip(column) {
                    *row &= number == want;
                }
            }
        }
        Some(rows)
    }
}

impl<'s> Row<'s> {
    fn read(octets: &'s [u8]) -> Option<Self> {
        let (&[t0, t1, t2, t3, p0, p1, label, ipv4, ipv6, views], rest) = octets.split_first_chunk()?;
        let (uuid_label, rest) = rest.split_at_checked(usize::from(label))?;
        let (ipv4, rest) = rest.split_at_checked(usize::from(ipv4) * 4)?;
        let (ipv6, rest) = rest.split_at_checked(usize::from(ipv6) * 16)?;
        let views = rest.get(..usize::from(views) * VIEW_OCTETS)?;
        let ((ipv4, _), (ipv6, _), (views, _)) = (ipv4.as_chunks(), ipv6.as_chunks(), views.as_chunks());
        Some(Self {
            ttl_seconds: u32::from_le_bytes([t0, t1, t2, t3]),
            port: u16::from_le_bytes([p0, p1]),
            uuid_label,
            ipv4,
            ipv6,
            views,
        })
    }

    /// Calls `push` with each address of the family of `rtype` that clients in `view` get, until it
    /// returns false; returns whether it never did.
    fn addresses(&self, rtype: RType, view: View, mut push: impl FnMut(&[u8]) -> bool) -> bool {
        let mut has_own = false;
        for &[v0, v1, ref address @ ..] in self.views {
            let mapped = Ipv6Addr::from(*address).to_ipv4_mapped();
            if View(u16::from_le_bytes([v0, v1])) != view || mapped.is_some() != (rtype == RType::A) {
                continue;
            }
            has_own = true;
            let went_on = match mapped {
                Some(address) => push(&address.octets()),
                None => push(address),
            };
            if !went_on {
                return false;
            }
        }
        match rtype {
            _ if has_own => true,
            RType::A => self.ipv4.iter().all(|address| push(address)),
            _ => self.ipv6.iter().all(|address| push(address)),
        }
    }

    /// Whether it has a record of `rtype` for clients in `view`.
    fn has(&self, rtype: RType, view: View) -> bool {
        match rtype {
            RType::A | RType::AAAA => !self.addresses(rtype, view, |_| false),
            RType::SRV => self.port != 0,
            _ => false,
        }
    }
}

/// All endpoints that a query matches, at least one, possibly in other regions alone.
#[derive(Clone, Copy)]
pub struct Matches<'s> {
    chunks: &'s [Arc<Chunk>],
    wanted: Numbers,
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
        let survey = self.survey(rtype);
        if survey.rows == 0 {
            return Written::Nothing;
        }
        let head = record_head(rtype, survey.ttl_seconds);
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
        let here = self.survey(RType::SRV);
        let elsewhere = self.in_any_region().map(|all| (all, all.survey(RType::SRV)));
        let total = elsewhere.as_ref().map_or(here.rows, |(_, survey)| survey.rows);
        if total == 0 {
            return Written::Nothing;
        }
        let ttl_seconds = elsewhere
            .as_ref()
            .map_or(here.ttl_seconds, |(_, survey)| survey.ttl_seconds);
        let head = record_head(RType::SRV, ttl_seconds);
        let mut flow = self.each_rotated(RType::SRV, here.rows, rotation, |row| {
            self.push_srv(reply, &head, row, PRIORITY, weight(here.rows))
        });
        if let (Some((all, _)), ControlFlow::Continue(())) = (&elsewhere, flow) {
            let others = total - here.rows;
            flow = all.each_unlike(&self.wanted, |row| {
                self.push_srv(reply, &head, row, PRIORITY_OTHER_REGION, weight(others))
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
            let head = record_head(rtype, ttl_seconds);
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

    fn survey(&self, rtype: RType) -> Survey {
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
            ControlFlow::Continue(())
        });
        survey
    }

    /// Calls `visit` for the `rows` rows with records of `rtype`, beginning at one that `rotation` chooses.
    fn each_rotated(
        &self,
        rtype: RType,
        rows: usize,
        rotation: u16,
        mut visit: impl FnMut(Row<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let first = usize::from(rotation).checked_rem(rows).unwrap_or(0);
        for late in [false, true] {
            let mut rank = 0;
            self.each(|row| {
                if !row.has(rtype, self.view) {
                    return ControlFlow::Continue(());
                }
                rank += 1;
                if (rank > first) == late {
                    ControlFlow::Continue(())
                } else {
                    visit(row)
                }
            })?;
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

/// Share of each of `rows` records: SkyDNS's 100 / n, but never 0, which RFC 2782 all but excludes from use.
fn weight(rows: usize) -> u16 {
    u16::try_from(100_usize.checked_div(rows).unwrap_or(0).max(1)).unwrap_or(1)
}

/// Owner (the question's name), type, class and TTL of a record.
fn record_head(rtype: RType, ttl_seconds: u32) -> [u8; 10] {
    let ([t0, t1], [c0, c1]) = (rtype.0.to_be_bytes(), Class::IN.0.to_be_bytes());
    let [s0, s1, s2, s3] = ttl_seconds.to_be_bytes();
    [0xc0, 12, t0, t1, c0, c1, s0, s1, s2, s3]
}

fn push_address(reply: &mut Reply<'_>, head: &[u8; 10], address: &[u8]) -> bool {
    let length = [0, u8::try_from(address.len()).unwrap_or(0)];
    reply.push(Section::Answer, 1, &[head, &length, address])
}
