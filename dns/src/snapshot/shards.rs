//! All names of a snapshot: shards, in groups, so that a copy for the next snapshot is cheap.
//!
//! ```text
//! Shards ──▶ Group: 8 shards ──▶ Shard: a probe table and its entries
//! ```
//!
//! To change a name copies its shard and the list of its group, and a snapshot copies the list of groups. With a list of all shards
//! that was most of publishing: counting a user up and down touches a line of memory each, four thousand of them.

use std::sync::Arc;

use super::entry::Entry;
use super::table::{Edit, Hash, Shard};

/// Entries a shard holds on average before there are four times as many shards. A change copies its
/// shard, at most some 20 KiB at this size.
const SHARD_ENTRIES_MAX: usize = 192;
/// Shards of a group.
pub(super) const GROUP_SHARDS: usize = 8;

pub(super) type Group = [Shard; GROUP_SHARDS];

/// The shards by their place; their number is a power of two. A copy shares what is not changed later.
#[derive(Clone)]
pub(super) struct Shards {
    groups: Box<[Arc<Group>]>,
    entries: usize,
}

impl Shards {
    /// None of any entry.
    pub(super) fn empty() -> Self {
        Self {
            groups: [Arc::default()].into(),
            entries: 0,
        }
    }

    /// The entry of `key`, whose hash is `hash`.
    pub(super) fn find(&self, hash: Hash, key: &[u8]) -> Option<Entry<'_>> {
        let place = hash.shard(self.count());
        let group = self.groups.get(place / GROUP_SHARDS)?;
        group.get(place % GROUP_SHARDS)?.find(hash, key)
    }

    /// All entries, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.all().flat_map(Shard::entries)
    }

    /// Number of entries.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// Octets held by entries and slots.
    pub(super) fn octets(&self) -> usize {
        self.all().map(Shard::octets).sum()
    }

    /// Applies `edits`; each key at most once among them. `hash` gives the hash of a key that stays.
    pub(super) fn edit(&mut self, mut edits: Vec<Edit<'_>>, hash: impl Fn(&[u8]) -> Hash) {
        self.make_room(edits.len(), hash);
        let count = self.count();
        edits.sort_unstable_by_key(|(_, hash, _)| hash.shard(count));
        for of_shard in edits.chunk_by(|(_, one, _), (_, other, _)| one.shard(count) == other.shard(count)) {
            let Some((_, hash, _)) = of_shard.first() else {
                continue;
            };
            let place = hash.shard(count);
            let group = self.groups.get_mut(place / GROUP_SHARDS).map(Arc::make_mut);
            if let Some(shard) = group.and_then(|group| group.get_mut(place % GROUP_SHARDS)) {
                let edited = shard.edited(of_shard);
                self.entries = self.entries + edited.len() - shard.len();
                *shard = edited;
            }
        }
    }

    /// Has shards enough for so many entries more. `hash` gives the hash of a key that stays.
    pub(super) fn make_room(&mut self, more: usize, hash: impl Fn(&[u8]) -> Hash) {
        let most = self.entries + more;
        if most > self.count() * SHARD_ENTRIES_MAX {
            self.split(most, hash);
        }
    }

    /// The groups, to be edited each by itself, by whichever thread; [`Shards::changed`] takes in what that changed.
    pub(super) fn groups(&mut self) -> &mut [Arc<Group>] {
        &mut self.groups
    }

    /// There are so many entries more, or fewer, since groups were edited by themselves.
    pub(super) fn changed(&mut self, entries: isize) {
        self.entries = self.entries.saturating_add_signed(entries);
    }

    /// Deals the entries out to as many shards as `entries` need.
    fn split(&mut self, entries: usize, hash: impl Fn(&[u8]) -> Hash) {
        let mut groups = self.groups.len();
        // Four times as many each time, so that it seldom happens.
        while entries > groups * GROUP_SHARDS * SHARD_ENTRIES_MAX {
            groups *= 4;
        }
        let count = groups * GROUP_SHARDS;
        let mut dealt: Vec<Vec<(u16, Entry<'_>)>> = Vec::new();
        dealt.resize_with(count, Vec::new);
        for entry in self.entries() {
            let hash = hash(entry.key());
            if let Some(shard) = dealt.get_mut(hash.shard(count)) {
                shard.push((hash.tag(), entry));
            }
        }
        let (groups_of_shards, _) = dealt.as_chunks::<GROUP_SHARDS>();
        let groups = groups_of_shards
            .iter()
            .map(|shards| Arc::new(shards.each_ref().map(|entries| Shard::of(entries))));
        self.groups = groups.collect();
    }

    fn all(&self) -> impl Iterator<Item = &Shard> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// Number of shards.
    pub(super) fn count(&self) -> usize {
        self.groups.len() * GROUP_SHARDS
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::EntryOctets;
    use super::*;

    fn hash(key: &[u8]) -> Hash {
        let number = key.iter().fold(7_u64, |sum, octet| sum * 31 + u64::from(*octet));
        Hash(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn found(shards: &Shards, key: &[u8]) -> Option<u32> {
        shards.find(hash(key), key).map(|entry| entry.value)
    }

    #[test]
    fn a_copy_keeps_what_it_had_while_the_other_grows_and_shrinks() {
        let keys: Vec<[u8; 2]> = (0..3000_u16).map(u16::to_be_bytes).collect();
        let entries: Vec<_> = keys
            .iter()
            .map(|key| EntryOctets::new(key, u32::from(u16::from_be_bytes(*key)), &[], &[]))
            .collect();
        let mut shards = Shards::empty();
        let put = |place: usize| (keys[place].as_slice(), hash(&keys[place]), Some(&entries[place]));
        shards.edit((0..1000).map(put).collect(), hash);
        let before = shards.clone();
        shards.edit((1000..3000).map(put).collect(), hash);
        let removed = (0..2000).map(|place| (keys[place].as_slice(), hash(&keys[place]), None));
        let all = shards.clone();
        shards.edit(removed.collect(), hash);

        assert_eq!((before.count(), all.count(), shards.count()), (8, 32, 32));
        assert_eq!((before.entries, all.entries, shards.entries), (1000, 3000, 1000));
        for (place, key) in keys.iter().enumerate() {
            let there = |is_there: bool| is_there.then_some(place as u32);
            assert_eq!(found(&before, key), there(place < 1000));
            assert_eq!(found(&all, key), there(true));
            assert_eq!(found(&shards, key), there(place >= 2000));
        }
        assert_eq!(shards.entries().count(), 1000);
        assert!(shards.octets() < all.octets());
    }
}
