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
//! The work of one query is bounded by the number of services, and by what a reply can hold. These are wildcards of
//! queries; a wildcard owner (RFC 4592) would be a name of its own.

mod gather;

pub use gather::srv_share;

use std::ops::ControlFlow;

use foldhash::fast::FixedState;

use self::gather::Gather;
use super::Zone;
use super::chunks::Chunks;
use super::endpoint::{ANY, Chunk, GRAMMAR_LABELS, NEVER, Numbers, Row, Rows, SRV_WEIGHT, Tier};
use super::entry::Answer;
use crate::moment::Moment;
use crate::record::{RDATA_AT, View};
use crate::wire::{OWNER_IS_QNAME, RType, Reply, Section};

/// Column of the instance; who names one, or a uuid, means a single endpoint.
const INSTANCE: usize = 2;
/// Column of the region, which SRV falls back from.
pub(super) const REGION: usize = 3;
/// Column of the uuid.
const UUID: usize = 5;
/// SRV priority of services in the region that was asked for, or where none was (SkyDNS v1).
pub const SRV_PRIORITY: u16 = 10;
/// What is added to the SRV priority of services in other regions (SkyDNS v1 gives them 20).
const OTHER_REGION_PRIORITY: u16 = 10;
/// Endpoints that one answer looks at: as many A records of 16 octets as one TCP message holds. Of more, the first
/// are taken, as they are for a name that very many share. So what a short question costs does not grow with the
/// number of services, even where all of them have the same address.
const ROWS_MAX: usize = 65_535 / A_OCTETS;

/// Octets of an A and of an AAAA record, each behind a pointer.
const A_OCTETS: usize = RDATA_AT + 4;
const AAAA_OCTETS: usize = RDATA_AT + 16;

/// Whether `label`, lower-cased, stands for any label in a query.
#[must_use]
pub fn is_wildcard(label: &[u8]) -> bool {
    matches!(label, b"*" | b"any" | b"all")
}

/// All endpoints that a query matches, at least one, possibly in other regions alone.
#[derive(Clone, Copy)]
pub struct Matches<'s> {
    chunks: &'s Chunks,
    /// The place of the first chunk with a match.
    first: usize,
    hasher: &'s FixedState,
    wanted: Numbers,
    /// Those that match in that chunk, which is all that most queries look at, again and again.
    first_rows: Rows,
    /// Who of them answers.
    admitted: Admitted,
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
    /// Not all records fitted; those that did are in the reply, as if they were all.
    Cut,
    /// The matching endpoints have no record of the type.
    Nothing,
}

/// Which tiers answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Admitted {
    All,
    Only(Tier),
}

impl Admitted {
    const NOBODY: Self = Self::Only(Tier::Withheld);

    /// Those of `rows` of `chunk` that answer.
    fn of(self, rows: Rows, chunk: &Chunk) -> Rows {
        match self {
            Self::All => rows,
            Self::Only(tier) => rows.and(chunk.rows_of(tier)),
        }
    }
}

impl<'s> Matches<'s> {
    /// The endpoints that `labels` match: for each label its number, or none where it is unknown; no
    /// label at all means any. `None` when there are none.
    pub(super) fn find(
        chunks: &'s Chunks,
        hasher: &'s FixedState,
        zone: &'s Zone,
        labels: [Option<Option<u32>>; GRAMMAR_LABELS],
        view: View,
    ) -> Option<Self> {
        let wanted = labels.map(|label| label.map_or(ANY, |number| number.unwrap_or(NEVER)));
        let matches = Self {
            chunks,
            first: 0,
            hasher,
            wanted,
            first_rows: Rows::NONE,
            admitted: Admitted::All,
            owner: OWNER_IS_QNAME,
            view,
            zone,
        };
        // A region without services still has its name: SRV answers with the other regions.
        let in_any_region = matches.with_any_region();
        let existing = in_any_region.unwrap_or(wanted);
        let mut each = chunks
            .candidates(0, existing)
            .map(|(place, chunk)| (place, chunk.matching(&existing)));
        // Whoever walks them later begins where there is something.
        let (first, rows) = each.find(|(_, rows)| !rows.is_empty())?;
        let matches = Self { first, ..matches };
        let first_rows = in_any_region.map_or(rows, |_| matches.rows_of_first());
        Some(
            Self {
                first_rows,
                ..matches
            }
            .with_admitted(),
        )
    }

    /// The CNAME record of the only endpoint that matches, where it is an alias and SRV says nothing of it.
    pub(super) fn alias(&self) -> Option<Answer<'s>> {
        if self.admitted == Admitted::NOBODY {
            return None;
        }
        let mut only = None;
        let flow = self.each(self.admitted, |row| match (&only, row.alias()) {
            (None, Some(alias)) if row.port(self.view).is_none() => {
                only = Some(alias);
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        });
        only.filter(|_| flow.is_continue())
    }

    /// The same matches with the name at the pointer `owner` as the records' owner, behind an alias.
    pub(super) fn owned_by(self, owner: [u8; 2]) -> Self {
        Self { owner, ..self }
    }

    /// Writes the records of `qtype` into `reply`, as they are at `now`, the first one chosen by `rotation`, none of them
    /// twice.
    ///
    /// A and AAAA: the addresses of every endpoint that is to answer ([`Tier`]). SRV: theirs, then those of other
    /// regions where one was asked for, with addresses of the targets as additional records where they fit. ANY: one
    /// type, the first there is (RFC 8482, section 4.1).
    pub fn write(&self, qtype: RType, rotation: u16, now: Moment, reply: &mut Reply<'_>) -> Written {
        match qtype {
            RType::A => self.write_addresses::<A_OCTETS>(qtype, rotation, now, reply),
            RType::AAAA => self.write_addresses::<AAAA_OCTETS>(qtype, rotation, now, reply),
            RType::SRV => self.write_srv(rotation, now, reply),
            RType::ANY => [RType::A, RType::AAAA, RType::SRV]
                .into_iter()
                .map(|rtype| self.write(rtype, rotation, now, reply))
                .find(|written| *written != Written::Nothing)
                .unwrap_or(Written::Nothing),
            _ => Written::Nothing,
        }
    }

    /// `RECORD`: octets of each record.
    fn write_addresses<const RECORD: usize>(
        &self,
        rtype: RType,
        rotation: u16,
        now: Moment,
        reply: &mut Reply<'_>,
    ) -> Written {
        if self.admitted == Admitted::NOBODY {
            return Written::Nothing;
        }
        let mut records = Gather::new(reply, self.hasher, Section::Answer);
        let first = records.end();
        let flow = self.each(self.admitted, |row| {
            let whole = row.addresses(rtype, self.view, |address| {
                records.push_address::<RECORD>(self.owner, rtype, row.ttl_seconds(now), address)
            });
            continued(whole)
        });
        if flow.is_continue() && records.is_empty() {
            return Written::Nothing;
        }
        // What was cut goes out over a stream: it is an RRset, too.
        records.level_ttl();
        records.rotate_equals(first..records.end(), rotation, RECORD);
        written(flow)
    }

    fn write_srv(&self, rotation: u16, now: Moment, reply: &mut Reply<'_>) -> Written {
        // Health is asked of all that can answer: healthy ones elsewhere go before starting ones here.
        let anywhere = self.in_any_region();
        let all = anywhere.unwrap_or(*self);
        let admitted = all.admitted;
        if admitted == Admitted::NOBODY {
            return Written::Nothing;
        }
        let mut records = Gather::new(reply, self.hasher, Section::Answer);
        let here = records.end();
        let mut flow = self.each(admitted, |row| self.push_srv(&mut records, row, now, 0));
        let elsewhere = records.end();
        if let (Some(all), ControlFlow::Continue(())) = (anywhere, flow) {
            flow = all.each_unlike(&self.wanted, admitted, |row| {
                self.push_srv(&mut records, row, now, OTHER_REGION_PRIORITY)
            });
        }
        if flow.is_continue() && records.is_empty() {
            return Written::Nothing;
        }
        let ttl_seconds = records.level_ttl();
        records.share_weights();
        records.rotate(here..elsewhere, rotation);
        records.rotate(elsewhere..records.end(), rotation);
        if flow.is_break() {
            return Written::Cut;
        }
        // Addresses are a courtesy: what does not fit is left out and TC stays clear (RFC 2181, section 9).
        let mut targets = Gather::new(reply, self.hasher, Section::Additional);
        let _ = all.each(admitted, |row| self.push_target(&mut targets, row, ttl_seconds));
        Written::Whole
    }

    fn push_srv(
        &self,
        records: &mut Gather<'_, '_>,
        row: Row<'_>,
        now: Moment,
        more_priority: u16,
    ) -> ControlFlow<()> {
        let Some(port) = row.port(self.view) else {
            return ControlFlow::Continue(());
        };
        let priority = row.priority().saturating_add(more_priority);
        let target = row.target(self.zone.apex().octets());
        continued(records.push_srv(
            self.owner,
            row.ttl_seconds(now),
            [priority, row.weight(), port],
            target,
        ))
    }

    fn push_target(&self, records: &mut Gather<'_, '_>, row: Row<'_>, ttl_seconds: u32) -> ControlFlow<()> {
        if row.port(self.view).is_none() {
            return ControlFlow::Continue(());
        }
        let owner = row.target(self.zone.apex().octets());
        let whole = [RType::A, RType::AAAA].into_iter().all(|rtype| {
            let whole = row.addresses(rtype, self.view, |address| {
                records.push_target(owner, rtype, ttl_seconds, address)
            });
            if !whole {
                records.withdraw(owner, rtype);
            }
            whole
        });
        continued(whole)
    }

    /// What is wanted, with the region left open; none when it is open already.
    fn with_any_region(&self) -> Option<Numbers> {
        let mut wanted = self.wanted;
        (wanted[REGION] != ANY).then(|| {
            wanted[REGION] = ANY;
            wanted
        })
    }

    /// The same query with the region left open; none when it is open already.
    fn in_any_region(&self) -> Option<Self> {
        let wanted = self.with_any_region()?;
        let matches = Self { wanted, ..*self };
        let first_rows = matches.rows_of_first();
        Some(
            Self {
                first_rows,
                ..matches
            }
            .with_admitted(),
        )
    }

    /// The rows of the first chunk that match.
    fn rows_of_first(&self) -> Rows {
        let chunk = self.chunks.get(self.first);
        chunk.map_or(Rows::NONE, |chunk| chunk.matching(&self.wanted))
    }

    /// The same, and which tiers answer: the best there is, or all where the query means one endpoint.
    ///
    /// Passes over every chunk where nobody is ready, as after the start of a host, and looks at no row: the first of very
    /// many are not better than the others.
    fn with_admitted(self) -> Self {
        if [self.wanted[INSTANCE], self.wanted[UUID]] != [ANY, ANY] {
            return self;
        }
        let mut best = Tier::Withheld;
        for (place, chunk) in self.chunks.candidates(self.first, self.wanted) {
            let ready = chunk.rows_of(Tier::Ready);
            let starting = match best {
                Tier::Withheld => chunk.rows_of(Tier::Starting),
                Tier::Starting | Tier::Ready => Rows::NONE,
            };
            if ready.is_empty() && starting.is_empty() {
                continue;
            }
            let rows = self.rows_of(place, chunk);
            if !rows.and(ready).is_empty() {
                best = Tier::Ready;
                break;
            }
            if !rows.and(starting).is_empty() {
                best = Tier::Starting;
            }
        }
        Self {
            admitted: Admitted::Only(best),
            ..self
        }
    }

    /// The rows of `chunk`, which is at `place`, that match.
    fn rows_of(&self, place: usize, chunk: &Chunk) -> Rows {
        if place == self.first {
            self.first_rows
        } else {
            chunk.matching(&self.wanted)
        }
    }

    /// Calls `visit` for every row that matches this query but not `unlike`.
    fn each_unlike(
        &self,
        unlike: &Numbers,
        admitted: Admitted,
        visit: impl FnMut(Row<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.walk(Some(unlike), admitted, visit)
    }

    /// Calls `visit` for every row that matches, up to [`ROWS_MAX`].
    fn each(&self, admitted: Admitted, visit: impl FnMut(Row<'s>) -> ControlFlow<()>) -> ControlFlow<()> {
        self.walk(None, admitted, visit)
    }

    /// Calls `visit` for the rows that match this query but not `unlike`, up to [`ROWS_MAX`] of those that are admitted.
    fn walk(
        &self,
        unlike: Option<&Numbers>,
        admitted: Admitted,
        mut visit: impl FnMut(Row<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut left = ROWS_MAX;
        for (place, chunk) in self.chunks.candidates(self.first, self.wanted) {
            let mut rows = admitted.of(self.rows_of(place, chunk), chunk);
            if let Some(unlike) = unlike.filter(|_| !rows.is_empty()) {
                rows = rows.without(chunk.matching(unlike));
            }
            let mut is_over = false;
            let flow = rows.each(|row| {
                let Some(row) = chunk.row_octets(row).and_then(Row::read) else {
                    return ControlFlow::Continue(());
                };
                is_over = left == 0;
                left = left.saturating_sub(1);
                if is_over {
                    ControlFlow::Break(())
                } else {
                    visit(row)
                }
            });
            if is_over {
                break;
            }
            flow?;
        }
        ControlFlow::Continue(())
    }
}

fn written(flow: ControlFlow<()>) -> Written {
    if flow.is_break() {
        Written::Cut
    } else {
        Written::Whole
    }
}

fn continued(goes_on: bool) -> ControlFlow<()> {
    if goes_on {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}
