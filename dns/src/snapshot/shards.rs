//! All names of a snapshot: shards, in groups and branches, so that a copy for the next snapshot is cheap.
//!
//! ```text
//! Shards ──▶ Branch: 16 groups ──▶ Group: 8 shards ──▶ Shard: a probe table and its entries
//! ```
//!
//! To change a name copies its shard, the list of its group and that of its branch, and a snapshot copies the list of branches. With
//! a list of all shards that was most of publishing: counting a user up and down touches a line of memory each, sixteen
//! thousand of them.

use std::sync::Arc;

use super::entry::Entry;
use super::table::{Edit, Hash, Shard};

/// Entries a shard holds on average before there are twice as many shards. A change copies its shard, at most some 8 KiB
/// at this size; three times as many took 16 % more for a change, and a third of it saved some octets of each service.
const SHARD_ENTRIES_MAX: usize = 64;
/// Shards of a group.
const GROUP_SHARDS: usize = 8;
/// Groups of a branch.
const BRANCH_GROUPS: usize = 16;
/// Shards of a branch.
pub(super) const BRANCH_SHARDS: usize = BRANCH_GROUPS * GROUP_SHARDS;

type Group = [Shard; GROUP_SHARDS];
pub(super) type Branch = [Arc<Group>; BRANCH_GROUPS];

/// The shards by their place; their number is a power of two. A copy shares what is not changed later.
#[derive(Clone)]
pub(super) struct Shards {
    branches: Box<[Arc<Branch>]>,
    entries: usize,
}

impl Shards {
    /// None of any entry.
    pub(super) fn empty() -> Self {
        Self {
            branches: [Arc::default()].into(),
            entries: 0,
        }
    }

    /// The entry of `key`, whose hash is `hash`.
    pub(super) fn find(&self, hash: Hash, key: &[u8]) -> Option<Entry<'_>> {
        let place = hash.shard(self.count());
        let branch = self.branches.get(place / BRANCH_SHARDS)?;
        let group = branch.get(place / GROUP_SHARDS % BRANCH_GROUPS)?;
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
            let branch = self.branches.get_mut(place / BRANCH_SHARDS);
            if let Some(shard) = branch.and_then(|branch| shard(branch, place % BRANCH_SHARDS)) {
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

    /// The branches, to be edited each by itself, by whichever thread; [`Shards::changed`] takes in what that changed.
    pub(super) fn branches(&mut self) -> &mut [Arc<Branch>] {
        &mut self.branches
    }

    /// There are so many entries more, or fewer, since branches were edited by themselves.
    pub(super) fn changed(&mut self, entries: isize) {
        self.entries = self.entries.saturating_add_signed(entries);
    }

    /// Deals the entries out to as many shards as `entries` need.
    fn split(&mut self, entries: usize, hash: impl Fn(&[u8]) -> Hash) {
        let mut count = self.count();
        while entries > count * SHARD_ENTRIES_MAX {
            count *= 2;
        }
        let mut dealt: Vec<Vec<(u16, Entry<'_>)>> = Vec::new();
        dealt.resize_with(count, Vec::new);
        for entry in self.entries() {
            let hash = hash(entry.key());
            if let Some(shard) = dealt.get_mut(hash.shard(count)) {
                shard.push((hash.tag(), entry));
            }
        }
        let (groups, _) = dealt.as_chunks::<GROUP_SHARDS>();
        let (branches, _) = groups.as_chunks::<BRANCH_GROUPS>();
        let group = |shards: &[Vec<_>; GROUP_SHARDS]| Arc::new(shards.each_ref().map(|its| Shard::of(its)));
        let branches = branches
            .iter()
            .map(|groups| Arc::new(groups.each_ref().map(group)));
        self.branches = branches.collect();
    }

    fn all(&self) -> impl Iterator<Item = &Shard> {
        let groups = self.branches.iter().flat_map(|branch| branch.iter());
        groups.flat_map(|group| group.iter())
    }

    /// Number of shards.
    pub(super) fn count(&self) -> usize {
        self.branches.len() * BRANCH_SHARDS
    }
}

/// The shard at that place of `branch`, to be changed.
pub(super) fn shard(branch: &mut Arc<Branch>, place: usize) -> Option<&mut Shard> {
    let group = Arc::make_mut(branch).get_mut(place / GROUP_SHARDS)?;
    Arc::make_mut(group).get_mut(place % GROUP_SHARDS)
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
        let keys: Vec<[u8; 2]> = (0..30_000_u16).map(u16::to_be_bytes).collect();
        let entries: Vec<_> = keys
            .iter()
            .map(|key| EntryOctets::new(key, u32::from(u16::from_be_bytes(*key)), &[], &[]))
            .collect();
        let mut shards = Shards::empty();
        let put = |place: usize| (keys[place].as_slice(), hash(&keys[place]), Some(&entries[place]));
        shards.edit((0..1000).map(put).collect(), hash);
        let before = shards.clone();
        shards.edit((1000..30_000).map(put).collect(), hash);
        let removed = (0..29_000).map(|place| (keys[place].as_slice(), hash(&keys[place]), None));
        let all = shards.clone();
        shards.edit(removed.collect(), hash);

        assert_eq!((before.count(), all.count(), shards.count()), (128, 512, 1024));
        assert_eq!(
            (before.entries, all.entries, shards.entries),
            (1000, 30_000, 1000)
        );
        for (place, key) in keys.iter().enumerate() {
            let there = |is_there: bool| is_there.then_some(place as u32);
            assert_eq!(found(&before, key), there(place < 1000));
            assert_eq!(found(&all, key), there(true));
            assert_eq!(found(&shards, key), there(place >= 29_000));
        }
        assert_eq!(shards.entries().count(), 1000);
        assert!(shards.octets() < all.octets());
    }
}
