//! One shard of the names: a probe table and the entries that it leads to, in one run of octets.
//!
//! ```text
//! shard   | slot | slot | ...                  as many as `slots` says
//!         | entry | entry | ...                the arena, in no order
//! slot    | offset into the arena + 1: u16 | tag: u16 |              0 where it is free; integers little-endian
//! ```
//!
//! Where the arena is longer than 65 535 octets, which takes a name of thousands, the offset has 32 bits and sixteen more are
//! free.
//!
//! Invariants, made by [`Shard::edited`], relied on by [`Shard::find`]:
//! - `free-slot`: at least a quarter of the slots are free, so a probe for an absent key stops soon.

use bytes::Bytes;

use super::entry::{Entry, EntryOctets};

/// First octet of a key that is a label of the pattern index; no wire name begins with it.
pub(super) const LABEL_MARK: u8 = 0xff;
/// A slot where the arena is short, as nearly everywhere.
type Narrow = [u8; 4];
/// A slot where it is long.
type Wide = [u8; 8];
/// Octets of the longest arena that narrow slots can point into.
const SHORT_OCTETS_MAX: usize = u16::MAX as usize;

/// A part of all names, those whose hash chose it. Never changes once built; a clone shares its octets.
#[derive(Clone)]
pub(super) struct Shard {
    octets: Bytes,
    slots: u32,
    entries: u32,
}

/// A change of one key, as [`Shard::edited`] applies it. `None` removes.
pub(super) type Edit<'e> = (&'e [u8], Hash, Option<&'e EntryOctets>);

/// A hash of a key, as the tables use it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(pub(super) u64);

/// What a used slot holds.
#[derive(Clone, Copy)]
struct Slot {
    tag: u16,
    /// Where in the arena its entry begins.
    offset: usize,
}

/// The slots of a shard.
#[derive(Clone, Copy)]
enum Slots<'s> {
    Narrow(&'s [Narrow]),
    Wide(&'s [Wide]),
}

/// A slot as it is written.
trait Written: Copy {
    /// None for a free one.
    fn read(self) -> Option<Slot>;
    fn of(slot: Slot) -> Self;
}

impl Hash {
    /// Which shard, of `shards`, a power of two.
    pub(super) fn shard(self, shards: usize) -> usize {
        (self.0 >> 32) as usize & (shards - 1)
    }

    /// What a slot keeps of the hash.
    pub(super) fn tag(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

impl Written for Narrow {
    fn read(self) -> Option<Slot> {
        let slot = u32::from_le_bytes(self);
        (slot != 0).then(|| Slot {
            tag: (slot >> 16) as u16,
            offset: usize::from(slot as u16 - 1),
        })
    }

    fn of(slot: Slot) -> Self {
        let place = u16::try_from(slot.offset + 1).expect("the arena has at most 65 535 octets");
        (u32::from(slot.tag) << 16 | u32::from(place)).to_le_bytes()
    }
}

impl Written for Wide {
    fn read(self) -> Option<Slot> {
        let slot = u64::from_le_bytes(self);
        (slot != 0).then(|| Slot {
            tag: (slot >> 32) as u16,
            offset: (slot as u32 - 1) as usize,
        })
    }

    fn of(slot: Slot) -> Self {
        let place = u32::try_from(slot.offset + 1).expect("a shard splits long before it holds 4 GiB");
        (u64::from(slot.tag) << 32 | u64::from(place)).to_le_bytes()
    }
}

impl Shard {
    /// A shard of these entries, each with the tag of its key's hash.
    pub(super) fn of(tagged: &[(u16, Entry<'_>)]) -> Self {
        let arena = tagged.iter().map(|(_, entry)| entry.octets().len()).sum();
        let mut new = New::of(slots_for(tagged.len()), arena);
        for (tag, entry) in tagged {
            new.push(*tag, entry.octets());
        }
        new.shard()
    }

    /// The entry of `key`, whose hash is `hash`.
    ///
    /// Compares the key whole: a tag that matches says nothing yet.
    pub(super) fn find(&self, hash: Hash, key: &[u8]) -> Option<Entry<'_>> {
        self.find_at(hash, key).map(|(_, entry)| entry)
    }

    /// The same, and where in the arena it begins.
    fn find_at(&self, hash: Hash, key: &[u8]) -> Option<(usize, Entry<'_>)> {
        let (slots, arena) = self.parts();
        match slots {
            Slots::Narrow(slots) => find_among(slots, arena, hash, key),
            Slots::Wide(slots) => find_among(slots, arena, hash, key),
        }
    }

    /// All entries, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let (_, arena) = self.parts();
        let mut offset = 0;
        std::iter::from_fn(move || {
            let entry = Entry::at(arena, offset)?;
            offset += entry.octets().len();
            Some(entry)
        })
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries as usize
    }

    /// Octets held, slots included.
    pub(super) fn octets(&self) -> usize {
        self.octets.len()
    }

    /// A shard with the entries of this one and `edits` applied; each key at most once among them.
    ///
    /// What stays is copied in as few runs as there are, and its slots tell where it belongs: nothing is hashed, and no entry
    /// read.
    pub(super) fn edited(&self, edits: &[Edit<'_>]) -> Self {
        if let Some(same) = self.overwritten(edits) {
            return same;
        }
        let mut gaps: Vec<Gap> = edits
            .iter()
            .filter_map(|(key, hash, _)| self.find_at(*hash, key))
            .map(|(start, entry)| Gap {
                start,
                length: entry.octets().len(),
                closed: 0,
            })
            .collect();
        gaps.sort_unstable_by_key(|gap| gap.start);
        let mut closed = 0;
        for gap in &mut gaps {
            closed += gap.length;
            gap.closed = closed;
        }

        let coming = || {
            edits
                .iter()
                .filter_map(|(_, hash, entry)| Some((hash.tag(), (*entry)?)))
        };
        let entries = self.len() - gaps.len() + coming().count();
        let (slots, arena) = self.parts();
        let octets = coming()
            .map(|(_, entry)| entry.entry().octets().len())
            .sum::<usize>();
        // As many slots as it has will do for some more or fewer entries.
        let (least, most) = (slots_min(entries), slots_for(entries + entries / 2));
        let has = self.slots as usize;
        let count = if (least..=most).contains(&has) {
            has
        } else {
            slots_for(entries)
        };
        let mut new = New::of(count, arena.len() - closed + octets);
        let mut from = 0;
        for gap in &gaps {
            new.append(arena.get(from..gap.start).unwrap_or_default());
            from = gap.start + gap.length;
        }
        new.append(arena.get(from..).unwrap_or_default());
        slots.each(|slot| {
            let before = gaps.partition_point(|gap| gap.start <= slot.offset);
            let last = before.checked_sub(1).and_then(|last| gaps.get(last));
            if last.is_none_or(|gap| gap.start != slot.offset) {
                let closed = last.map_or(0, |gap| gap.closed);
                new.place(Slot {
                    offset: slot.offset - closed,
                    ..slot
                });
            }
        });
        for (tag, entry) in coming() {
            new.push(tag, entry.entry().octets());
        }
        new.shard()
    }

    /// The same, if every edit puts as many octets in the place of others: a service that is there again with another address.
    fn overwritten(&self, edits: &[Edit<'_>]) -> Option<Self> {
        let mut octets = None;
        let arena = self.parts().1.len();
        for (key, hash, entry) in edits {
            let new = (*entry)?.entry().octets();
            let (start, old) = self.find_at(*hash, key)?;
            if old.octets().len() != new.len() {
                return None;
            }
            let octets = octets.get_or_insert_with(|| self.octets.to_vec());
            let start = self.octets.len() - arena + start;
            octets.get_mut(start..start + new.len())?.copy_from_slice(new);
        }
        Some(Self {
            octets: octets?.into(),
            ..*self
        })
    }

    /// Slots, and the arena.
    fn parts(&self) -> (Slots<'_>, &[u8]) {
        let slots = self.slots as usize;
        // One that is short is so without the upper halves of its slots.
        let of_short = self.octets.split_at_checked(slots * size_of::<Narrow>());
        match of_short.unwrap_or_default() {
            (slots, arena) if arena.len() <= SHORT_OCTETS_MAX => (Slots::Narrow(slots.as_chunks().0), arena),
            _ => {
                let of_long = self.octets.split_at_checked(slots * size_of::<Wide>());
                let (slots, arena) = of_long.unwrap_or_default();
                (Slots::Wide(slots.as_chunks().0), arena)
            }
        }
    }
}

impl Slots<'_> {
    /// Calls `visit` with each that is used.
    fn each(self, visit: impl FnMut(Slot)) {
        match self {
            Self::Narrow(slots) => slots.iter().filter_map(|slot| slot.read()).for_each(visit),
            Self::Wide(slots) => slots.iter().filter_map(|slot| slot.read()).for_each(visit),
        }
    }
}

/// The entry of `key`, and where in the arena it begins.
fn find_among<'s, W: Written>(
    slots: &[W],
    arena: &'s [u8],
    hash: Hash,
    key: &[u8],
) -> Option<(usize, Entry<'s>)> {
    let tag = hash.tag();
    let mut place = first_slot(tag, slots.len());
    loop {
        let slot = slots.get(place)?.read()?;
        if slot.tag == tag {
            let entry = Entry::at(arena, slot.offset)?;
            if entry.key() == key {
                return Some((slot.offset, entry));
            }
        }
        place = next_slot(place, slots.len());
    }
}

impl Default for Shard {
    /// One without entries.
    fn default() -> Self {
        Self {
            octets: Bytes::new(),
            slots: 0,
            entries: 0,
        }
    }
}

/// An entry that does not stay.
struct Gap {
    start: usize,
    length: usize,
    /// Octets of it and of those before it.
    closed: usize,
}

/// A shard being built.
struct New {
    octets: Vec<u8>,
    slots: usize,
    /// Octets before the arena.
    slot_octets: usize,
    is_long: bool,
    entries: u32,
}

impl New {
    /// With so many slots, and as many octets of entries to come.
    fn of(slots: usize, arena: usize) -> Self {
        let is_long = arena > SHORT_OCTETS_MAX;
        let slot_octets = slots
            * if is_long {
                size_of::<Wide>()
            } else {
                size_of::<Narrow>()
            };
        let mut octets = Vec::with_capacity(slot_octets + arena);
        octets.resize(slot_octets, 0);
        Self {
            octets,
            slots,
            slot_octets,
            is_long,
            entries: 0,
        }
    }

    /// Writes octets of entries behind those that are written.
    fn append(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Notes where an entry is.
    fn place(&mut self, slot: Slot) {
        self.entries += 1;
        let slots = self.octets.get_mut(..self.slot_octets).unwrap_or_default();
        if self.is_long {
            put_among::<Wide>(slots.as_chunks_mut().0, slot);
        } else {
            put_among::<Narrow>(slots.as_chunks_mut().0, slot);
        }
        debug_assert!(
            (self.entries as usize) < self.slots,
            "a probe for an absent key ends at a free slot"
        );
    }

    /// Writes an entry, and notes where it is.
    fn push(&mut self, tag: u16, entry: &[u8]) {
        let offset = self.octets.len() - self.slot_octets;
        self.append(entry);
        self.place(Slot { tag, offset });
    }

    fn shard(self) -> Shard {
        debug_assert_eq!(
            self.is_long,
            self.octets.len() - self.slot_octets > SHORT_OCTETS_MAX,
            "`parts` tells by the length"
        );
        let slots = u32::try_from(self.slots).expect("a shard splits long before it has 2^32 slots");
        Shard {
            octets: self.octets.into(),
            slots,
            entries: self.entries,
        }
    }
}

/// Writes `slot` to the first free place for it.
fn put_among<W: Written>(slots: &mut [W], slot: Slot) {
    let count = slots.len();
    let mut place = first_slot(slot.tag, count);
    while let Some(taken) = slots.get_mut(place) {
        if taken.read().is_none() {
            *taken = W::of(slot);
            break;
        }
        place = next_slot(place, count);
    }
}

/// Slots for so many entries when they are dealt out anew.
fn slots_for(entries: usize) -> usize {
    entries + entries / 2 + usize::from(entries > 0)
}

/// The fewest slots for so many entries.
fn slots_min(entries: usize) -> usize {
    entries + entries / 3 + usize::from(entries > 0)
}

/// Where a probe for `tag` begins: the upper bits of a product, so any number of slots will do.
fn first_slot(tag: u16, slots: usize) -> usize {
    (usize::from(tag) * slots) >> u16::BITS
}

fn next_slot(slot: usize, slots: usize) -> usize {
    if slot + 1 < slots { slot + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::View;
    use crate::snapshot::entry::Answer;
    use crate::wire::RType;

    fn answer(rtype: u16, answer: &'static [u8], additional: &'static [u8]) -> Answer<'static> {
        Answer {
            rtype: RType(rtype),
            view: View::EVERYONE,
            records: 1,
            additional_records: 0,
            stride: 3,
            until: None,
            answer,
            additional,
        }
    }

    /// A hash so poor that every key collides in its slot and half of them in their tag.
    fn poor(key: &[u8]) -> Hash {
        Hash(u64::from(key.last().copied().unwrap_or(0) & 1) << 16)
    }

    #[test]
    fn entries_are_found_whatever_collides() {
        let keys: Vec<[u8; 2]> = (0..50).map(|number| [1, number]).collect();
        let entries: Vec<EntryOctets> = keys
            .iter()
            .map(|key| EntryOctets::new(key, u32::from(key[1]), &[], &[]))
            .collect();
        let edits: Vec<Edit<'_>> = keys
            .iter()
            .zip(&entries)
            .map(|(key, entry)| (key.as_slice(), poor(key), Some(entry)))
            .collect();
        let shard = Shard::default().edited(&edits);
        for key in &keys {
            assert_eq!(shard.find(poor(key), key).unwrap().value, u32::from(key[1]));
        }
        assert!(shard.find(poor(&[1, 60]), &[1, 60]).is_none());
        assert_eq!((shard.len(), shard.entries().count()), (50, 50));
    }

    #[test]
    fn an_edit_replaces_or_removes_one_key_and_keeps_the_others() {
        let hash = |key: &[u8]| Hash(u64::from(key[0]).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let old = EntryOctets::new(b"a", 1, &[answer(1, b"old", b"")], &[]);
        let other = EntryOctets::new(
            b"b",
            2,
            &[answer(1, b"bbb", b"x"), answer(28, b"666", b"yz")],
            &[],
        );
        let first =
            Shard::default().edited(&[(b"a", hash(b"a"), Some(&old)), (b"b", hash(b"b"), Some(&other))]);
        let new = EntryOctets::new(b"a", 3, &[answer(1, b"new", b"")], &[]);
        let second = first.edited(&[(b"a", hash(b"a"), Some(&new))]);
        let third = second.edited(&[(b"a", hash(b"a"), None)]);

        assert_eq!(
            first
                .find(hash(b"a"), b"a")
                .unwrap()
                .rrset(RType::A, View::EVERYONE)
                .unwrap()
                .answer,
            b"old"
        );
        assert_eq!(
            second
                .find(hash(b"a"), b"a")
                .unwrap()
                .rrset(RType::A, View::EVERYONE)
                .unwrap()
                .answer,
            b"new"
        );
        assert!(third.find(hash(b"a"), b"a").is_none());
        let kept = third.find(hash(b"b"), b"b").unwrap();
        assert_eq!(
            kept.rrset(RType::AAAA, View::EVERYONE),
            Some(answer(28, b"666", b"yz"))
        );
        assert_eq!(
            kept.rrset(RType::ANY, View::EVERYONE),
            Some(answer(1, b"bbb", b"x"))
        );
        assert_eq!((kept.value, kept.rrset(RType::SRV, View::EVERYONE)), (2, None));
    }

    #[test]
    fn entries_as_long_as_those_before_are_put_in_their_places() {
        let entry = |key: &[u8], data: &'static [u8]| EntryOctets::new(key, 1, &[answer(1, data, b"")], &[]);
        let keys: [&[u8]; 3] = [b"aa", b"ba", b"ca"];
        let edits = |entries: &[EntryOctets]| -> Shard {
            let all = keys.iter().zip(entries);
            let all: Vec<Edit<'_>> = all.map(|(key, entry)| (*key, poor(key), Some(entry))).collect();
            Shard::default().edited(&all)
        };
        let before = edits(&keys.map(|key| entry(key, b"old")));
        let told = |shard: &Shard| {
            keys.map(|key| {
                let entry = shard.find(poor(key), key).unwrap();
                entry.rrset(RType::A, View::EVERYONE).unwrap().answer.to_vec()
            })
        };
        let order =
            |shard: &Shard| -> Vec<Vec<u8>> { shard.entries().map(|entry| entry.key().to_vec()).collect() };
        let (first, last) = (entry(keys[0], b"new"), entry(keys[2], b"now"));
        let two = |last| {
            before.edited(&[
                (keys[0], poor(keys[0]), Some(&first)),
                (keys[2], poor(keys[2]), Some(last)),
            ])
        };
        let same = two(&last);
        assert_eq!(told(&same), [b"new", b"old", b"now"]);
        assert_eq!(order(&same), order(&before));
        assert_eq!(told(&before), [b"old"; 3]);

        let longer = two(&entry(keys[2], b"longer"));
        assert_eq!(
            told(&longer),
            [b"new".to_vec(), b"old".to_vec(), b"longer".to_vec()]
        );
        assert_ne!(
            order(&longer),
            order(&before),
            "those that do not fit are behind the others"
        );
    }

    #[test]
    fn an_empty_shard_finds_nothing() {
        assert!(Shard::default().find(Hash(7), b"a").is_none());
        let one = EntryOctets::new(b"a", 0, &[], &[]);
        let shard = Shard::default().edited(&[(b"a", Hash(7), Some(&one))]);
        let emptied = shard.edited(&[(b"a", Hash(7), None)]);
        assert_eq!((emptied.len(), emptied.octets()), (0, 0));
    }

    /// Bursts of edits, more entries and fewer, longer and shorter ones, in long and short arenas, with few tags and with
    /// many: as a map has it.
    #[test]
    fn any_edits_of_one_shard_leave_what_a_map_would_have() {
        static OCTETS: [u8; 900] = [7; 900];
        for (tags, seed) in [1, 5, u64::from(u16::MAX)].into_iter().zip(1_u64..) {
            let mut state = seed;
            let mut roll = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % below
            };
            // The highest tags begin at the last slots, so that probes go round.
            let hash = |key: &[u8]| {
                let number = u64::from(key[0]).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                Hash((u64::from(u16::MAX) - number % tags) << 16)
            };
            let mut map = std::collections::BTreeMap::new();
            let mut shard = Shard::default();
            let mut long = 0;
            for round in 0..300_u32 {
                // Comings and goings outweigh each other in turn.
                let odds = if round / 30 % 2 == 0 { 4 } else { 1 };
                let mut burst = std::collections::BTreeMap::new();
                for _ in 0..=roll(40) {
                    let key = vec![roll(200) as u8; 1 + roll(2) as usize];
                    let length = roll(if round / 50 % 2 == 0 { 64 } else { 900 }) as usize;
                    let comes = roll(5) < odds;
                    burst.insert(
                        key.clone(),
                        comes.then(|| {
                            let answer = answer(1, &OCTETS[..length], b"");
                            (EntryOctets::new(&key, round, &[answer], &[]), length)
                        }),
                    );
                }
                let edits: Vec<Edit<'_>> = burst
                    .iter()
                    .map(|(key, new)| (&key[..], hash(key), new.as_ref().map(|(entry, _)| entry)))
                    .collect();
                let before = shard.clone();
                let had: Vec<Vec<u8>> = before.entries().map(|entry| entry.octets().to_vec()).collect();
                shard = shard.edited(&edits);
                assert!(before.entries().map(|entry| entry.octets().to_vec()).eq(had));
                for (key, new) in &burst {
                    match new {
                        Some((entry, length)) => {
                            map.insert(key.clone(), (round, *length, entry.entry().octets().len()))
                        }
                        None => map.remove(key),
                    };
                }
                let arena: usize = map.values().map(|(.., octets)| octets).sum();
                let (slots, slot_octets) = (shard.slots as usize, if arena > 65_535 { 8 } else { 4 });
                long += usize::from(arena > 65_535);
                assert_eq!((shard.len(), shard.entries().count()), (map.len(), map.len()));
                assert_eq!(shard.octets(), slots * slot_octets + arena);
                assert!((slots_min(map.len())..=slots_for(map.len() * 3 / 2)).contains(&slots));
                let mut used = 0;
                shard.parts().0.each(|_| used += 1);
                assert_eq!(used, map.len());
                for key in (0..200_u8).flat_map(|octet| [vec![octet], vec![octet; 2]]) {
                    let found = shard.find(hash(&key), &key).map(|entry| {
                        let answer = entry.rrset(RType::A, View::EVERYONE).unwrap();
                        (entry.value, answer.answer.len(), entry.octets().len())
                    });
                    assert_eq!(
                        found,
                        map.get(&key).copied(),
                        "{tags} tags, round {round}, {key:?}"
                    );
                }
            }
            assert!((50..250).contains(&long), "{long} of 300 rounds");
        }
    }

    #[test]
    fn some_slot_is_free_however_many_entries_there_are() {
        assert_eq!((slots_min(0), slots_for(0)), (0, 0));
        for entries in 1..100_000 {
            assert!(slots_min(entries) * 3 >= entries * 4 && slots_min(entries) > entries);
            assert!(slots_min(entries) <= slots_for(entries));
        }
        for slots in [1, 2, 3, 449, 1 << 16] {
            assert!(first_slot(u16::MAX, slots) == slots - 1 && first_slot(0, slots) == 0);
        }
    }
}
