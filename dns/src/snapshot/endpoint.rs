//! Endpoints as columns of label numbers: what patterns are compared with.
//!
//! ```text
//! chunk   | column 0: 256 × u32 | ... | column 5 | starts: 256 × u32 | arena |
//! row     | ttl: u32 | port: u16, 0 for none | priority: u16 | weight: u16 | tier, and whether it ends: u8 |
//!         | label octets: u8 | IPv4: u8 | IPv6: u8 | views: u8 | ports in views: u8 |
//!         | uuid label, wire form | IPv4 addresses | IPv6 addresses | views | ports in views | CNAME record, or none |
//!         | moment that it ends at: u64, only where it does |
//! view    | view: u16 | address: 16 octets, an IPv4 one mapped |
//! port    | view: u16 | port: u16 |                                                 integers little-endian
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

use super::entry::Answer;
use super::wildcard::SRV_PRIORITY;
use crate::moment::Moment;
use crate::name::Name;
use crate::record::{RDATA_AT, RecordData, View};
use crate::wire::RType;

/// Labels that the grammar knows: environment, service, instance, region, host, uuid.
pub const GRAMMAR_LABELS: usize = 6;
/// Rows of a chunk: a change copies one chunk, about 12 KiB.
pub(super) const CHUNK_ROWS: usize = 256;
/// Number of no label: a free row has it in every column, and a query that wants it wants any label.
pub(super) const ANY: u32 = 0;
/// Number that no row has: the query's label is unknown.
pub(super) const NEVER: u32 = u32::MAX;
/// A view's number and an address in it.
const VIEW_OCTETS: usize = 18;
/// A view's number and a port in it.
const VIEW_PORT_OCTETS: usize = 4;
/// SRV weight of an endpoint that asks for none; what others ask for is relative to it (SkyDNS).
pub const SRV_WEIGHT: u16 = 100;

/// Which endpoints answer first, where a query means all of a kind. One that means a single endpoint, by its instance
/// or its uuid, is answered whatever the tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// It can do its work.
    Ready,
    /// It answers where no match is ready.
    Starting,
    /// It does not answer; its names exist all the same.
    Withheld,
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
    /// The name that it is known by elsewhere, where it has no addresses: SRV leads there.
    pub alias: Option<Name>,
    /// The port that SRV announces; none means no SRV record.
    pub port: Option<u16>,
    /// SRV priority, where no region was asked for or its own.
    pub priority: u16,
    /// SRV weight, as a share of those of one priority.
    pub weight: u16,
    /// Time to live, in seconds.
    pub ttl_seconds: u32,
    /// When it ends by itself, if it does: nobody is told to remember it for longer than until then.
    pub until: Option<Moment>,
    /// Whether it answers for its kind.
    pub tier: Tier,
    /// Addresses that the clients of one view get in place of those of the same family above; at most 255.
    pub views: Vec<(View, IpAddr)>,
    /// Ports that the clients of one view get in place of that above; at most 255.
    pub view_ports: Vec<(View, u16)>,
}

/// Where an endpoint stands in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointKey(pub(super) u32);

/// The numbers of one row's labels; all [`ANY`] for a free row.
pub(super) type Numbers = [u32; GRAMMAR_LABELS];

/// Some of a chunk's rows, a bit for each.
#[derive(Clone, Copy)]
pub(super) struct Rows([u64; CHUNK_ROWS / 64]);

/// 256 rows. Never changes once built.
pub(super) struct Chunk {
    columns: [[u32; CHUNK_ROWS]; GRAMMAR_LABELS],
    /// Rows of [`Tier::Ready`], and of [`Tier::Starting`]: who answers is found without a look at each row.
    tiers: [Rows; 2],
    starts: [u32; CHUNK_ROWS],
    arena: Box<[u8]>,
}

/// What a row holds besides its labels. Read where it is asked for: most queries want one thing of many rows.
#[derive(Clone, Copy)]
pub(super) struct Row<'s> {
    head: &'s [u8; ROW_HEADER_OCTETS],
    rest: &'s [u8],
}

/// Octets of a row before what differs in length.
const ROW_HEADER_OCTETS: usize = 16;
/// Octets of the moment that a row ends with.
const UNTIL_OCTETS: usize = 8;
/// Beside a tier: the endpoint ends by itself.
const ENDS: u8 = 0x80;

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
    /// A ready one with these labels, and neither address nor port.
    #[must_use]
    pub fn new(labels: [Box<[u8]>; GRAMMAR_LABELS], ttl_seconds: u32) -> Self {
        Self {
            labels,
            ipv4: Vec::new(),
            ipv6: Vec::new(),
            alias: None,
            port: None,
            priority: SRV_PRIORITY,
            weight: SRV_WEIGHT,
            ttl_seconds,
            until: None,
            tier: Tier::Ready,
            views: Vec::new(),
            view_ports: Vec::new(),
        }
    }

    /// The octets of its row; none when it has more addresses than a row can count.
    pub(super) fn row_octets(&self) -> Option<Box<[u8]>> {
        let [.., uuid] = &self.labels;
        let counts = [
            uuid.len() + 1,
            self.ipv4.len(),
            self.ipv6.len(),
            self.views.len(),
            self.view_ports.len(),
        ];
        let [Ok(label_octets), Ok(ipv4), Ok(ipv6), Ok(views), Ok(view_ports)] = counts.map(u8::try_from)
        else {
            return None;
        };
        let mut octets = Vec::with_capacity(ROW_HEADER_OCTETS + usize::from(label_octets) + 4);
        octets.extend_from_slice(&self.ttl_seconds.to_le_bytes());
        for field in [self.port.unwrap_or(0), self.priority, self.weight] {
            octets.extend_from_slice(&field.to_le_bytes());
        }
        let tier = self.tier as u8 | self.until.map_or(0, |_| ENDS);
        octets.extend_from_slice(&[tier, label_octets, ipv4, ipv6, views, view_ports]);
        octets.push(label_octets.saturating_sub(1));
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
        for (view, port) in &self.view_ports {
            octets.extend_from_slice(&view.0.to_le_bytes());
            octets.extend_from_slice(&port.to_le_bytes());
        }
        if let Some(alias) = &self.alias {
            RecordData::Cname(alias.clone()).compose(self.ttl_seconds, &mut octets);
        }
        if let Some(until) = self.until {
            octets.extend_from_slice(&until.milliseconds().to_le_bytes());
        }
        Some(octets.into_boxed_slice())
    }
}

impl Chunk {
    /// A chunk of free rows.
    pub(super) fn empty() -> Self {
        Self {
            columns: [[ANY; CHUNK_ROWS]; GRAMMAR_LABELS],
            tiers: [Rows::NONE; 2],
            starts: [0; CHUNK_ROWS],
            arena: Box::default(),
        }
    }

    /// A copy with `edits` applied; each row at most once among them.
    pub(super) fn edited(&self, edits: &[RowEdit]) -> Self {
        let mut columns = self.columns;
        let mut tiers = self.tiers;
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
            let octets = content.as_ref().map(|(_, octets)| octets.as_ref());
            let tier = octets.and_then(Row::read).map(|row| row.tier());
            for (rows, its) in tiers.iter_mut().zip([Tier::Ready, Tier::Starting]) {
                rows.set(key.row(), tier == Some(its));
            }
            if let Some(slot) = new.get_mut(key.row()) {
                *slot = octets;
            }
        }
        let mut starts = [0; CHUNK_ROWS];
        let mut arena = Vec::with_capacity(self.arena.len());
        for (start, octets) in starts.iter_mut().zip(new) {
            *start = u32::try_from(arena.len()).expect("256 rows of at most 6 KiB");
            arena.extend_from_slice(octets.unwrap_or_default());
        }
        Self {
            columns,
            tiers,
            starts,
            arena: arena.into_boxed_slice(),
        }
    }

    /// The rows of `tier`; none of [`Tier::Withheld`], which do not answer.
    pub(super) fn rows_of(&self, tier: Tier) -> Rows {
        let [ready, starting] = self.tiers;
        match tier {
            Tier::Ready => ready,
            Tier::Starting => starting,
            Tier::Withheld => Rows::NONE,
        }
    }

    /// Least and greatest number in each column; the least is above the greatest where there is no row.
    pub(super) fn spans(&self) -> [(u32, u32); GRAMMAR_LABELS] {
        self.columns.map(|column| {
            let used = column.iter().copied().filter(|number| *number != ANY);
            used.fold((NEVER, ANY), |(least, greatest), number| {
                (least.min(number), greatest.max(number))
            })
        })
    }

    /// The octets of a used row.
    pub(super) fn row_octets(&self, row: usize) -> Option<&[u8]> {
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

    /// Which rows match.
    pub(super) fn matching(&self, wanted: &Numbers) -> Rows {
        let mut columns = self.columns.iter().zip(wanted).filter(|(_, want)| **want != ANY);
        // Octets and not bits, so that sixteen rows are compared at once; a free row equals no label that is wanted.
        let mut rows = match columns.next() {
            Some((column, want)) => column.map(|number| u8::from(number == *want)),
            None => {
                let [first, ..] = &self.columns;
                first.map(|number| u8::from(number != ANY))
            }
        };
        for (column, want) in columns {
            for (row, number) in rows.iter_mut().zip(column) {
                *row &= u8::from(number == want);
            }
        }
        Rows::of(&rows)
    }
}

/// A bit for each of `octets`, all of which are 0 or 1.
pub(super) fn bits(octets: &[u8; 64]) -> u64 {
    let (eights, _) = octets.as_chunks::<8>();
    let each = eights.iter().enumerate().map(|(place, eight)| {
        // Each octet's lowest bit goes to another one of the highest eight, and none of them meet.
        (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * place)
    });
    each.fold(0, |word, bits| word | bits)
}

impl Rows {
    /// No row.
    pub(super) const NONE: Self = Self([0; CHUNK_ROWS / 64]);

    /// Those of which `rows` has 1; all others are 0.
    fn of(rows: &[u8; CHUNK_ROWS]) -> Self {
        let (sixty_fours, _) = rows.as_chunks::<64>();
        let mut words = [0; CHUNK_ROWS / 64];
        for (word, octets) in words.iter_mut().zip(sixty_fours) {
            *word = bits(octets);
        }
        Self(words)
    }

    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        self.0 == [0; CHUNK_ROWS / 64]
    }

    /// Has `row` among them, or not.
    fn set(&mut self, row: usize, is_there: bool) {
        if let Some(word) = self.0.get_mut(row / 64) {
            let bit = 1 << (row % 64);
            *word = if is_there { *word | bit } else { *word & !bit };
        }
    }

    /// Those that are in `others`, too.
    pub(super) fn and(mut self, others: Self) -> Self {
        for (word, others) in self.0.iter_mut().zip(others.0) {
            *word &= others;
        }
        self
    }

    /// Those that are not in `others`.
    pub(super) fn without(mut self, others: Self) -> Self {
        for (word, others) in self.0.iter_mut().zip(others.0) {
            *word &= !others;
        }
        self
    }

    /// Calls `visit` with the number of each, in order, until it breaks.
    pub(super) fn each(self, mut visit: impl FnMut(usize) -> ControlFlow<()>) -> ControlFlow<()> {
        for (place, mut word) in self.0.into_iter().enumerate() {
            while word != 0 {
                visit(place * 64 + word.trailing_zeros() as usize)?;
                word &= word - 1;
            }
        }
        ControlFlow::Continue(())
    }
}

impl<'s> Row<'s> {
    /// The row of these octets.
    pub(super) fn read(octets: &'s [u8]) -> Option<Self> {
        let (head, rest) = octets.split_first_chunk()?;
        Some(Self { head, rest })
    }

    fn ends(&self) -> bool {
        let &[.., tier, _, _, _, _, _] = self.head;
        tier & ENDS != 0
    }

    /// When it ends by itself, if it does.
    fn until(&self) -> Option<Moment> {
        let milliseconds = self.rest.last_chunk().filter(|_| self.ends())?;
        Some(Moment::of_milliseconds(u64::from_le_bytes(*milliseconds)))
    }

    /// Time to live at `now`, in seconds.
    pub(super) fn ttl_seconds(&self, now: Moment) -> u32 {
        let &[t0, t1, t2, t3, ..] = self.head;
        let ttl_seconds = u32::from_le_bytes([t0, t1, t2, t3]);
        match self.until() {
            None => ttl_seconds,
            Some(until) => ttl_seconds.min(until.ttl_seconds(now)),
        }
    }

    pub(super) fn priority(&self) -> u16 {
        let &[_, _, _, _, _, _, p0, p1, ..] = self.head;
        u16::from_le_bytes([p0, p1])
    }

    pub(super) fn weight(&self) -> u16 {
        let &[_, _, _, _, _, _, _, _, w0, w1, ..] = self.head;
        u16::from_le_bytes([w0, w1])
    }

    pub(super) fn tier(&self) -> Tier {
        let &[.., tier, _, _, _, _, _] = self.head;
        match tier & !ENDS {
            0 => Tier::Ready,
            1 => Tier::Starting,
            _ => Tier::Withheld,
        }
    }

    /// Octets of the uuid's label, of both kinds of addresses, of views and of ports in views.
    fn lengths(&self) -> [usize; 5] {
        let &[.., label, ipv4, ipv6, views, ports] = self.head;
        let [label, ipv4, ipv6, views, ports] = [label, ipv4, ipv6, views, ports].map(usize::from);
        [
            label,
            ipv4 * 4,
            ipv6 * 16,
            views * VIEW_OCTETS,
            ports * VIEW_PORT_OCTETS,
        ]
    }

    /// The octets of `length` from `start` on.
    fn part(&self, start: usize, length: usize) -> &'s [u8] {
        self.rest.get(start..start + length).unwrap_or_default()
    }

    fn views(&self) -> &'s [[u8; VIEW_OCTETS]] {
        let [label, ipv4, ipv6, views, _] = self.lengths();
        self.part(label + ipv4 + ipv6, views).as_chunks().0
    }

    fn view_ports(&self) -> &'s [[u8; VIEW_PORT_OCTETS]] {
        let [label, ipv4, ipv6, views, ports] = self.lengths();
        self.part(label + ipv4 + ipv6 + views, ports).as_chunks().0
    }

    /// The CNAME record of an alias; empty for none.
    fn cname(&self) -> &'s [u8] {
        let until = if self.ends() { UNTIL_OCTETS } else { 0 };
        let cname = self.rest.get(self.lengths().iter().sum()..).unwrap_or_default();
        cname.get(..cname.len().saturating_sub(until)).unwrap_or_default()
    }

    /// The port that SRV announces to clients in `view`, if any.
    pub(super) fn port(&self, view: View) -> Option<u16> {
        let of_view = |&[v0, v1, p0, p1]: &[u8; VIEW_PORT_OCTETS]| {
            (View(u16::from_le_bytes([v0, v1])) == view).then(|| u16::from_le_bytes([p0, p1]))
        };
        let &[_, _, _, _, p0, p1, ..] = self.head;
        let everyones = u16::from_le_bytes([p0, p1]);
        let port = self.view_ports().iter().find_map(of_view).unwrap_or(everyones);
        (port != 0).then_some(port)
    }

    /// Where SRV leads, as the octets of a name: the alias, else `uuid` below `apex`, in two parts.
    pub(super) fn target(&self, apex: &'s [u8]) -> [&'s [u8]; 2] {
        let [label, ..] = self.lengths();
        match self.cname().get(RDATA_AT..) {
            Some(alias) => [alias, &[]],
            None => [self.part(0, label), apex],
        }
    }

    /// Its CNAME record, if it is an alias.
    pub(super) fn alias(&self) -> Option<Answer<'s>> {
        let cname = self.cname();
        (!cname.is_empty()).then_some(Answer {
            rtype: RType::CNAME,
            view: View::EVERYONE,
            records: 1,
            additional_records: 0,
            stride: 0,
            until: self.until(),
            answer: cname,
            additional: &[],
        })
    }

    /// Calls `push` with each address of the family of `rtype` that clients in `view` get, until it
    /// returns false; returns whether it never did.
    pub(super) fn addresses(&self, rtype: RType, view: View, mut push: impl FnMut(&[u8]) -> bool) -> bool {
        let mut has_own = false;
        for &[v0, v1, ref address @ ..] in self.views() {
            if View(u16::from_le_bytes([v0, v1])) != view {
                continue;
            }
            let mapped = Ipv6Addr::from(*address).to_ipv4_mapped();
            let is_of_family = mapped.is_some() == (rtype == RType::A);
            has_own |= is_of_family || view == View::OUTSIDE;
            if !is_of_family {
                continue;
            }
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
            RType::A => {
                let [label, ipv4, ..] = self.lengths();
                let (addresses, _) = self.part(label, ipv4).as_chunks::<4>();
                addresses.iter().all(|address| push(address))
            }
            _ => {
                let [label, ipv4, ipv6, ..] = self.lengths();
                let (addresses, _) = self.part(label + ipv4, ipv6).as_chunks::<16>();
                addresses.iter().all(|address| push(address))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_whose_octet_is_1() {
        let mut octets = [0; CHUNK_ROWS];
        for row in [0, 1, 7, 8, 62, 63, 64, 127, 200, 255] {
            octets[row] = 1;
        }
        let rows = Rows::of(&octets);
        let mut seen = Vec::new();
        let flow = rows.each(|row| {
            seen.push(row);
            if row == 200 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!(
            (seen, flow.is_break()),
            (vec![0, 1, 7, 8, 62, 63, 64, 127, 200], true)
        );
        octets[200] = 0;
        let mut both = Rows::of(&octets);
        both.set(3, true);
        both.set(0, false);
        assert!(!both.and(rows).is_empty() && both.and(rows).without(rows).is_empty());
        assert!(!both.without(rows).is_empty());
        let mut left = Vec::new();
        let _ = rows.without(Rows::of(&octets)).each(|row| {
            left.push(row);
            ControlFlow::Continue(())
        });
        assert_eq!(left, [200]);
        assert!(rows.without(rows).is_empty() && Rows::NONE.is_empty() && !rows.is_empty());
    }
}
