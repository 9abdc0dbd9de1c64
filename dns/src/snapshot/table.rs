//! One shard of the names: a probe table over one arena of octets.
//!
//! ```text
//! slots   | tag: upper 32 bits, offset into the arena + 1: lower 32 bits |   0: free
//! arena   | entry | entry | ...                                             in no order
//!
//! entry   | length: u32 | value: u32 | key length: u8 | RRsets: u8 | flags: u8 | key | heads | payload |
//! head    | type: u16 | view: u16 | records: u16 | stride: u16 | additional records: u16 |
//!         | start: u32 | answer octets: u16 | additional octets: u16 |       18 octets, little-endian
//! payload | answer records of the first RRset | its additional records | of the second ... |
//! ```
//!
//! A key is a lower-cased wire name, or, behind [`LABEL_MARK`], a label of the pattern index. `value`
//! counts the names right below a name, or is the number of a label. [`FLAG_IS_SET`] tells a
//! name that was set, be it without records, from one that exists because of names below it. `stride` is the length of every
//! answer record where they have one length, else 0.
//!
//! An entry is one flat run of octets with constant offsets, so that a lookup touches the slot, then
//! neighbouring lines, and so that the same run can later be read from a kernel map.
//!
//! Invariants, made by [`Shard::edited`], relied on by [`Shard::find`]:
//! - `mask`: the number of slots is a power of two, so a tag is masked, not divided.
//! - `free-slot`: at least half of the slots are free, so a probe for an absent key stops soon.

use crate::record::View;
use crate::wire::RType;

/// First octet of a key that is a label of the pattern index; no wire name begins with it.
pub(super) const LABEL_MARK: u8 = 0xff;

const ENTRY_HEADER_OCTETS: usize = 11;
/// Someone set this name; otherwise it exists because of names below it.
const FLAG_IS_SET: u8 = 1;
/// Some RRset is for the clients of one network, so the client's address is looked at.
const FLAG_HAS_VIEWS: u8 = 2;
const HEAD_OCTETS: usize = 18;

/// A part of all names, those whose hash chose it. Never changes once built.
#[derive(Default)]
pub(super) struct Shard {
    slots: Box<[u64]>,
    arena: Box<[u8]>,
    entries: u32,
}

/// One name, found.
#[derive(Clone, Copy)]
pub(super) struct Entry<'s> {
    octets: &'s [u8],
    /// Names right below this one, or a label's number.
    pub(super) value: u32,
    flags: u8,
    key_end: usize,
    rrsets: u8,
}

/// An RRset as it goes out: whole records that may stand anywhere in a reply to the name's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'s> {
    /// Type of the records.
    pub rtype: RType,
    /// Whose clients get them.
    pub view: View,
    /// Records in `answer`, at least one.
    pub records: u16,
    /// Records in `additional`.
    pub additional_records: u16,
    /// Length of every record in `answer` if they share one, else 0.
    pub stride: u16,
    /// The answer section's octets.
    pub answer: &'s [u8],
    /// The additional section's octets.
    pub additional: &'s [u8],
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

/// The octets of one entry, made before its shard is.
pub(super) struct EntryOctets(Box<[u8]>);

impl EntryOctets {
    /// Lays out the entry of a key that someone set. `rrsets` holds for each RRset its head's fields and octets.
    pub(super) fn new(key: &[u8], value: u32, rrsets: &[Answer<'_>]) -> Self {
        let has_views = rrsets.iter().any(|rrset| rrset.view != View::EVERYONE);
        let flags = if has_views {
            FLAG_IS_SET | FLAG_HAS_VIEWS
        } else {
            FLAG_IS_SET
        };
        Self::laid_out(key, value, flags, rrsets)
    }

    /// The entry of a name that exists because of `children` names below it.
    pub(super) fn empty_non_terminal(key: &[u8], children: u32) -> Self {
        Self::laid_out(key, children, 0, &[])
    }

    fn laid_out(key: &[u8], value: u32, flags: u8, rrsets: &[Answer<'_>]) -> Self {
        let key_octets = u8::try_from(key.len()).expect("a wire name has at most 255 octets, a label 64");
        let count = u8::try_from(rrsets.len()).expect("the builder refuses more than 255 RRsets");
        let mut octets = vec![0; 4];
        octets.extend_from_slice(&value.to_le_bytes());
        octets.extend_from_slice(&[key_octets, count, flags]);
        octets.extend_from_slice(key);
        let mut start = 0_u32;
        for rrset in rrsets {
            let lengths = [rrset.answer.len(), rrset.additional.len()]
                .map(|length| u16::try_from(length).expect("the builder keeps RRsets within a message"));
            let [answer, additional] = lengths;
            for field in [
                rrset.rtype.0,
                rrset.view.0,
                rrset.records,
                rrset.stride,
                rrset.additional_records,
            ] {
                octets.extend_from_slice(&field.to_le_bytes());
            }
            octets.extend_from_slice(&start.to_le_bytes());
            octets.extend_from_slice(&answer.to_le_bytes());
            octets.extend_from_slice(&additional.to_le_bytes());
            start += u32::from(answer) + u32::from(additional);
        }
        for rrset in rrsets {
            octets.extend_from_slice(rrset.answer);
            octets.extend_from_slice(rrset.additional);
        }
        Self::sealed(octets)
    }

    /// The same entry with another `value`.
    pub(super) fn with_value(entry: Entry<'_>, value: u32) -> Self {
        let mut octets = entry.octets.to_vec();
        if let Some(at) = octets.get_mut(4..8) {
            at.copy_from_slice(&value.to_le_bytes());
        }
        Self(octets.into_boxed_slice())
    }

    pub(super) fn entry(&self) -> Entry<'_> {
        Entry::at(&self.0, 0).expect("`sealed` wrote the length that `at` reads")
    }

    fn sealed(mut octets: Vec<u8>) -> Self {
        let length = u32::try_from(octets.len()).expect("an entry holds a few RRsets of at most 128 KiB");
        if let Some(at) = octets.get_mut(..4) {
            at.copy_from_slice(&length.to_le_bytes());
        }
        Self(octets.into_boxed_slice())
    }
}

impl Shard {
    /// The entry of `key`, whose hash is `hash`.
    ///
    /// Compares the key whole: a tag that matches says nothing yet.
    pub(super) fn find(&self, hash: Hash, key: &[u8]) -> Option<Entry<'_>> {
        let mask = self.slots.len().checked_sub(1)?;
        let tag = hash.tag();
        let mut slot = tag as usize & mask;
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
            slot = (slot + 1) & mask;
        }
    }

    /// All entries, in no order, each with its tag.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let entry = Entry::at(&self.arena, offset)?;
            offset += entry.octets.len();
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
        let slots_count = (tagged.len() * 2).next_power_of_two();
        let mut slots = vec![0_u64; slots_count].into_boxed_slice();
        let octets = tagged.iter().map(|(_, entry)| entry.octets.len()).sum();
        let mut arena = Vec::with_capacity(octets);
        let mask = slots_count - 1;
        for (tag, entry) in tagged {
            let offset = u32::try_from(arena.len() + 1).expect("a shard splits long before it holds 4 GiB");
            arena.extend_from_slice(entry.octets);
            let mut slot = *tag as usize & mask;
            while let Some(taken) = slots.get_mut(slot) {
                if *taken == 0 {
                    *taken = u64::from(*tag) << 32 | u64::from(offset);
                    break;
                }
                slot = (slot + 1) & mask;
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

impl<'s> Entry<'s> {
    fn at(arena: &'s [u8], offset: usize) -> Option<Self> {
        let from = arena.get(offset..)?;
        let (&[l0, l1, l2, l3, v0, v1, v2, v3, key_octets, rrsets, flags], _) =
            from.split_first_chunk::<ENTRY_HEADER_OCTETS>()?;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        Some(Self {
            octets: from.get(..length)?,
            value: u32::from_le_bytes([v0, v1, v2, v3]),
            flags,
            key_end: ENTRY_HEADER_OCTETS + usize::from(key_octets),
            rrsets,
        })
    }

    /// The key, whole.
    pub(super) fn key(&self) -> &'s [u8] {
        self.octets
            .get(ENTRY_HEADER_OCTETS..self.key_end)
            .unwrap_or_default()
    }

    /// Someone set this name; otherwise it exists because of names below it.
    pub(super) fn is_set(&self) -> bool {
        self.flags & FLAG_IS_SET != 0
    }

    /// Number of RRsets; 0 for an empty non-terminal.
    pub(super) fn rrsets(&self) -> usize {
        usize::from(self.rrsets)
    }

    /// The RRset of `rtype` for `view`, else for everyone; any one type for ANY (RFC 8482, section 4.1).
    pub(super) fn rrset(&self, rtype: RType, view: View) -> Option<Answer<'s>> {
        let of_type = |answer: &Answer<'_>| answer.rtype == rtype || rtype == RType::ANY;
        let mut found = None;
        for answer in self.answers().filter(of_type) {
            if answer.view == view {
                return Some(answer);
            }
            if answer.view == View::EVERYONE {
                found = found.or(Some(answer));
            }
        }
        found
    }

    /// Whether some RRset is for the clients of one network.
    pub(super) fn has_views(&self) -> bool {
        self.flags & FLAG_HAS_VIEWS != 0
    }

    /// All RRsets.
    pub(super) fn answers(&self) -> impl Iterator<Item = Answer<'s>> {
        let heads_end = self.key_end + self.rrsets() * HEAD_OCTETS;
        let heads = self.octets.get(self.key_end..heads_end).unwrap_or_default();
        let payload = self.octets.get(heads_end..).unwrap_or_default();
        let (heads, _) = heads.as_chunks::<HEAD_OCTETS>();
        heads.iter().filter_map(move |head| Answer::of(head, payload))
    }
}

impl<'s> Answer<'s> {
    fn of(head: &[u8; HEAD_OCTETS], payload: &'s [u8]) -> Option<Self> {
        let [
            t0,
            t1,
            v0,
            v1,
            r0,
            r1,
            s0,
            s1,
            x0,
            x1,
            o0,
            o1,
            o2,
            o3,
            a0,
            a1,
            b0,
            b1,
        ] = *head;
        let start = u32::from_le_bytes([o0, o1, o2, o3]) as usize;
        let answer_end = start + usize::from(u16::from_le_bytes([a0, a1]));
        let additional_end = answer_end + usize::from(u16::from_le_bytes([b0, b1]));
        Some(Self {
            rtype: RType(u16::from_le_bytes([t0, t1])),
            view: View(u16::from_le_bytes([v0, v1])),
            records: u16::from_le_bytes([r0, r1]),
            stride: u16::from_le_bytes([s0, s1]),
            additional_records: u16::from_le_bytes([x0, x1]),
            answer: payload.get(start..answer_end)?,
            additional: payload.get(answer_end..additional_end)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rtype: u16, answer: &'static [u8], additional: &'static [u8]) -> Answer<'static> {
        Answer {
            rtype: RType(rtype),
            view: View::EVERYONE,
            records: 1,
            additional_records: 0,
            stride: 3,
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
            .map(|key| EntryOctets::new(key, u32::from(key[1]), &[]))
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
        let old = EntryOctets::new(b"a", 1, &[answer(1, b"old", b"")]);
        let other = EntryOctets::new(b"b", 2, &[answer(1, b"bbb", b"x"), answer(28, b"666", b"yz")]);
        let first = Shard::default().edited(
            &[(b"a", hash(b"a"), Some(&old)), (b"b", hash(b"b"), Some(&other))],
            hash,
        );
        let new = EntryOctets::new(b"a", 3, &[answer(1, b"new", b"")]);
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
        let one = EntryOctets::new(b"a", 0, &[]);
        let shard = Shard::default().edited(&[(b"a", Hash(7), Some(&one))], |_| Hash(7));
        let emptied = shard.edited(&[(b"a", Hash(7), None)], |_| Hash(7));
        assert_eq!((emptied.len(), emptied.octets()), (0, 0));
    }
}
