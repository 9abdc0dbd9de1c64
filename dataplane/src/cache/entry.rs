//! One entry, as it lies in a queue.
//!
//! ```text
//! | meta: 48 octets | key | TTL offsets: u16 each | records |      filled up to a multiple of 8
//! ```
//!
//! Records are those of a message whose question is the key's: pointers into the question, and to each other, hold in
//! every reply that they are copied into. An offset says where among the records a TTL is.

use super::answer::Age;

/// Length of what every entry has before its key, in octets.
pub(super) const META_OCTETS: usize = 48;
/// Blocks begin and end at multiples of this many octets; positions are counted in them.
pub(super) const GRAIN_OCTETS: usize = 8;
/// Where in an entry the count of its hits is.
const HITS_AT: usize = 41;
/// Where in an entry it says whether it is in use.
const LIVE_AT: usize = 42;
/// Most hits that are counted: enough to tell hot from cold.
pub(super) const HITS_MAX: u8 = 3;

/// What kind of answer is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Records.
    #[default]
    Positive,
    /// No such name, or no such records (RFC 2308).
    Negative,
    /// Upstreams failed (RFC 9520).
    Failure,
    /// Records that may not be told, as they lead into private networks.
    Blocked,
}

/// Records of one type and size at the end of an answer, any of which may come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rotation {
    /// Where among the records they begin, in octets.
    pub(super) start: u16,
    /// Octets of each.
    pub(super) stride: u16,
    /// How many they are; below two there is nothing to rotate.
    pub(super) count: u16,
}

/// What is known of an entry besides its key and records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// Octets of the whole block.
    pub(super) block: u32,
    /// Hash of the key.
    pub(super) hash: u32,
    /// When it was stored, in seconds of the clock that never goes back.
    pub(super) stored_at: u32,
    /// Seconds that it is good for: the least TTL of its records.
    pub(super) ttl: u32,
    /// When its refreshment last began, 0 for never.
    pub(super) refreshed_at: u32,
    /// When its refreshment last failed, 0 for never.
    pub(super) failed_at: u32,
    /// Octets of the key.
    pub(super) key: u16,
    /// How many TTLs there are.
    pub(super) offsets: u16,
    /// Octets of the records.
    pub(super) records: u16,
    /// Records of the answer section.
    pub(super) answers: u16,
    /// Records of the authority section.
    pub(super) authorities: u16,
    /// What may be rotated.
    pub(super) rotation: Rotation,
    /// Response code: four bits, as what has more is EDNS's and so between us and the upstream.
    pub(super) rcode: u8,
    /// Hits since it came or was last moved, up to [`HITS_MAX`].
    pub(super) hits: u8,
    /// Whether the index knows it.
    pub(super) is_live: bool,
    /// What it is.
    pub(super) kind: Kind,
}

impl Meta {
    /// Reads what [`Meta::octets`] gave.
    pub(super) fn read(octets: &[u8; META_OCTETS]) -> Self {
        let long = |at: usize| u32::from_le_bytes(part(octets, at));
        let short = |at: usize| u16::from_le_bytes(part(octets, at));
        let [kind] = part(octets, 43);
        let [rcode] = part(octets, 40);
        let [hits] = part(octets, HITS_AT);
        let [live] = part(octets, LIVE_AT);
        Self {
            block: long(0),
            hash: long(4),
            stored_at: long(8),
            ttl: long(12),
            refreshed_at: long(16),
            failed_at: long(20),
            key: short(24),
            offsets: short(26),
            records: short(28),
            answers: short(30),
            authorities: short(32),
            rotation: Rotation {
                start: short(34),
                stride: short(36),
                count: short(38),
            },
            rcode,
            hits,
            is_live: live != 0,
            kind: match kind {
                0 => Kind::Positive,
                1 => Kind::Negative,
                2 => Kind::Failure,
                _ => Kind::Blocked,
            },
        }
    }

    /// As it lies at the front of its block.
    pub(super) fn octets(&self) -> [u8; META_OCTETS] {
        let mut octets = [0; META_OCTETS];
        let longs = [
            self.block,
            self.hash,
            self.stored_at,
            self.ttl,
            self.refreshed_at,
            self.failed_at,
        ];
        let Rotation { start, stride, count } = self.rotation;
        let shorts = [
            self.key,
            self.offsets,
            self.records,
            self.answers,
            self.authorities,
            start,
            stride,
            count,
        ];
        let small = [self.rcode, self.hits, u8::from(self.is_live), self.kind as u8];
        let fields = longs
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .chain(shorts.into_iter().flat_map(u16::to_le_bytes))
            .chain(small);
        octets.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        octets
    }

    /// Seconds since it was stored.
    pub(super) fn age(&self, now: u32) -> u32 {
        // Who looked at the clock before something was stored may look for it with what the clock said then.
        now.saturating_sub(self.stored_at)
    }

    /// Whether it is of no use to anybody any more: neither good nor told for want of a newer one, for which there are
    /// `grace` seconds.
    pub(super) fn is_over(&self, now: u32, grace: u32) -> bool {
        let grace = if self.kind == Kind::Failure { 0 } else { grace };
        self.age(now) >= self.ttl.saturating_add(grace)
    }

    /// How old that makes it.
    pub(super) fn age_at(&self, now: u32) -> Age {
        match self.age(now) {
            age if age < self.ttl => Age::Kept(age),
            _ => Age::Stale,
        }
    }

    /// Octets of a block for a key, offsets and records of these lengths.
    pub(super) fn block_for(key: usize, offsets: usize, records: usize) -> usize {
        (META_OCTETS + key + offsets + records).next_multiple_of(GRAIN_OCTETS)
    }
}

/// Counts a hit of the entry that begins `block`.
pub(super) fn set_hits(block: &mut [u8], hits: u8) {
    if let Some(octet) = block.get_mut(HITS_AT) {
        *octet = hits;
    }
}

/// Marks the entry that begins `block` as one that the index no longer knows.
pub(super) fn set_dead(block: &mut [u8]) {
    if let Some(octet) = block.get_mut(LIVE_AT) {
        *octet = 0;
    }
}

fn part<const N: usize>(octets: &[u8; META_OCTETS], at: usize) -> [u8; N] {
    let part = octets.get(at..).and_then(<[u8]>::first_chunk);
    *part.expect("every field lies within the meta")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let rotation = Rotation {
            start: 12,
            stride: 13,
            count: 14,
        };
        for kind in [Kind::Positive, Kind::Negative, Kind::Failure, Kind::Blocked] {
            let meta = Meta {
                block: 1 << 24,
                hash: 2,
                stored_at: 3,
                ttl: 4,
                refreshed_at: 5,
                failed_at: 6,
                key: 7,
                offsets: 8,
                records: 9,
                answers: 10,
                authorities: 11,
                rotation,
                rcode: 15,
                hits: 2,
                is_live: true,
                kind,
            };
            let mut octets = meta.octets();
            assert_eq!(Meta::read(&octets), meta);
            set_hits(&mut octets, 3);
            set_dead(&mut octets);
            let changed = Meta {
                hits: 3,
                is_live: false,
                ..meta
            };
            assert_eq!(Meta::read(&octets), changed);
        }
    }
}
