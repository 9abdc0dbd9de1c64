//! One shard of the names: a probe table over one arena of octets.
//!
//! ```text
//! slots   | tag: upper 32 bits, offset into the arena + 1: lower 32 bits |   0: free
//! arena   | entry | entry | ...                                             in no order
//!
//! ```
//!
//! Invariants, made by [`Shard::edited`], relied on by [`Shard::find`]:
//! - `free-slot`: at least a third of the slots are free, so a probe for an absent key stops soon.

use super::entry::{Entry, EntryOctets};

/// First octet of a key that is a label of the pattern index; no wire name begins with it.
pub(super) const LABEL_MARK: u8 = 0xff;

/// A part of all names, those whose hash chose it. Never changes once built.
#[derive(Default)]
pub(super) struct Shard {
    slots: Box<[u64]>,
    arena: Box<[u8]>,
    entries: u32,
}

/// A change of one key, as [`Shard::edited`] applies it. `None` removes.
pub(super) type Edit<'e> = (&'e [u8], Hash, Option<&'e EntryOctets>);

/// A hash of a key, as the tables use it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(pub(super) u64);

impl Hash {
    /// Which shard, of `shards`, a power of two.
    pub(super) fn shard(self, shards: usize) -> usize {
        (self.0 >> 32) as usize & (shards - 1)
    }

    /// What a slot keeps of the hash.
    pub(super) fn tag(self) -> u32 {
        self.0 as u32
    }
}

impl Shard {
    /// The entry of `key`, whose hash is `hash`.
    ///
    /// Compares the key whole: a tag that matches says nothing yet.
    pub(super) fn find(&self, hash: Hash, key: &[u8]) -> Option<Entry<'_>> {
        let tag = hash.tag();
        let mut slot = first_slot(tag, self.slots.len());
        loop {
            let found = *self.slots.get(slot)?;
            if found == 0 {
                return None;
            }
            if (found >> 32) as u32 == tag {
                let entry = Entry::at(&self.arena, (found as u32 - 1) as usize)?;
                if entry.key() == key {
                    return Some(entry);
                }
            }
            slot = next_slot(slot, self.slots.len());
        }
    }

    /// All entries, in no order, each with its tag.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let entry = Entry::at(&self.arena, offset)?;
            offset += entry.octets().len();
            Some(entry)
        })
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries as usize
    }

    /// Octets held, tables included.
    pub(super) fn octets(&self) -> usize {
        self.arena.len() + self.slots.len() * size_of::<u64>()
    }

    /// A shard with the entries of this one and `edits` applied; each key at most once among them.
    ///
    /// `hash` gives the hash of a key that stays.
    pub(super) fn edited(&self, edits: &[Edit<'_>], hash: impl Fn(&[u8]) -> Hash) -> Self {
        let edited: std::collections::HashSet<&[u8]> = edits.iter().map(|(key, ..)| *key).collect();
        let kept = self.entries().filter(|entry| !edited.contains(entry.key()));
        let mut tagged: Vec<(u32, Entry<'_>)> = Vec::with_capacity(self.len() + edits.len());
        tagged.extend(kept.map(|entry| (hash(entry.key()).tag(), entry)));
        let new = edits
            .iter()
            .filter_map(|(_, hash, entry)| Some((hash.tag(), (*entry)?.entry())));
        tagged.extend(new);
        Self::of(&tagged)
    }

    /// A shard of these entries, each with the tag of its key's hash.
    pub(super) fn of(tagged: &[(u32, Entry<'_>)]) -> Self {
        if tagged.is_empty() {
            return Self::default();
        }
        let slots_count = tagged.len() + tagged.len() / 2 + 1;
        let mut slots = vec![0_u64; slots_count].into_boxed_slice();
        let octets = tagged.iter().map(|(_, entry)| entry.octets().len()).sum();
        let mut arena = Vec::with_capacity(octets);
        for (tag, entry) in tagged {
            let offset = u32::try_from(arena.len() + 1).expect("a shard splits long before it holds 4 GiB");
            arena.extend_from_slice(entry.octets());
            let mut slot = first_slot(*tag, slots_count);
            while let Some(taken) = slots.get_mut(slot) {
                if *taken == 0 {
                    *taken = u64::from(*tag) << 32 | u64::from(offset);
                    break;
                }
                slot = next_slot(slot, slots_count);
            }
        }
        let entries = u32::try_from(tagged.len()).expect("fewer entries than octets");
        Self {
            slots,
            arena: arena.into_boxed_slice(),
            entries,
        }
    }
}

/// Where a probe for `tag` begins: the upper 32 bits of a product, so any number of slots will do.
fn first_slot(tag: u32, slots: usize) -> usize {
    ((u64::from(tag) * slots as u64) >> 32) as usize
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
        Hash(u64::from(key.last().copied().unwrap_or(0) & 1))
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
        let shard = Shard::default().edited(&edits, poor);
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
        let first = Shard::default().edited(
            &[(b"a", hash(b"a"), Some(&old)), (b"b", hash(b"b"), Some(&other))],
            hash,
        );
        let new = EntryOctets::new(b"a", 3, &[answer(1, b"new", b"")], &[]);
        let second = first.edited(&[(b"a", hash(b"a"), Some(&new))], hash);
        let third = second.edited(&[(b"a", hash(b"a"), None)], hash);

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
    fn an_empty_shard_finds_nothing() {
        assert!(Shard::default().find(Hash(7), b"a").is_none());
        let one = EntryOctets::new(b"a", 0, &[], &[]);
        let shard = Shard::default().edited(&[(b"a", Hash(7), Some(&one))], |_| Hash(7));
        let emptied = shard.edited(&[(b"a", Hash(7), None)], |_| Hash(7));
        assert_eq!((emptied.len(), emptied.octets()), (0, 0));
    }
}
