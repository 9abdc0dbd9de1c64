//! The numbers of labels: what rows of the pattern index have instead of their octets.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::name::LABEL_OCTETS_MAX;
use crate::snapshot::entry::EntryOctets;
use crate::snapshot::hash_of;
use crate::snapshot::shards::Shards;
use crate::snapshot::table::{Hash, LABEL_MARK};

/// The number that no label has.
const NONE: u32 = 0;

/// Which label has which number. What the shards have of it is looked up there.
pub(super) struct Labels {
    hasher: FixedState,
    /// How many rows have the label of each number, where it is more than one: most labels are one container's.
    shared: HashMap<u32, u32, FixedState>,
    /// The greatest number that was ever given out.
    last: u32,
    /// Numbers that no row has; they are given out again, so 32 bits last for ever.
    free: Vec<u32>,
    changed: Changed,
}

/// Labels whose number is another than the shards have. A host's first list brings three for each container, so they lie in one
/// run of octets: less than their rows take, which wait for the same build and bound them.
#[derive(Default)]
struct Changed {
    /// Keys, one behind the other.
    octets: Vec<u8>,
    labels: Vec<Label>,
    /// Places in `labels`, by the key there.
    places: HashTable<u32>,
}

#[derive(Clone, Copy)]
struct Label {
    /// Where its key ends; it begins where that before it ends.
    end: u32,
    /// [`NONE`] when no row has it any more.
    number: u32,
}

/// A label behind its mark, as the shards know it.
struct Key {
    octets: [u8; 1 + LABEL_OCTETS_MAX],
    length: usize,
}

impl Labels {
    pub(super) fn new(hasher: FixedState) -> Self {
        Self {
            shared: HashMap::with_hasher(hasher.clone()),
            hasher,
            last: NONE,
            free: Vec::new(),
            changed: Changed::default(),
        }
    }

    /// The number of `label`, which one more row has.
    pub(super) fn take(&mut self, label: &[u8], shards: &Shards) -> u32 {
        let key = Key::of(label);
        let hash = hash_of(&self.hasher, key.octets());
        match self.number(&key, hash, shards) {
            NONE => {
                let number = self.free.pop().unwrap_or_else(|| {
                    self.last = (self.last.checked_add(1)).expect("memory ends before 2^32 labels");
                    self.last
                });
                self.changed.set(&self.hasher, &key, hash, number);
                number
            }
            known => {
                *self.shared.entry(known).or_insert(1) += 1;
                known
            }
        }
    }

    /// One row less has `label`, whose number this is.
    pub(super) fn give_back(&mut self, number: u32, label: &[u8], shards: &Shards) {
        if let Some(rows) = self.shared.get_mut(&number) {
            *rows -= 1;
            if *rows == 1 {
                self.shared.remove(&number);
            }
            return;
        }
        let key = Key::of(label);
        let hash = hash_of(&self.hasher, key.octets());
        // Otherwise the label would lead to whoever gets its number next.
        debug_assert_eq!(
            self.number(&key, hash, shards),
            number,
            "the labels it was inserted with"
        );
        self.changed.set(&self.hasher, &key, hash, NONE);
        self.free.push(number);
    }

    /// The labels that changed since this was asked last, each with its hash, and its entry if it has one.
    pub(super) fn take_changed(&mut self) -> ChangedLabels {
        ChangedLabels {
            hasher: self.hasher.clone(),
            changed: std::mem::take(&mut self.changed),
        }
    }

    /// Numbers that were ever given out, and that of no label.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> usize {
        self.last as usize + 1
    }

    fn number(&self, key: &Key, hash: Hash, shards: &Shards) -> u32 {
        match self.changed.get(key, hash) {
            Some(number) => number,
            None => shards.find(hash, key.octets()).map_or(NONE, |entry| entry.value),
        }
    }
}

impl Changed {
    fn key(&self, place: usize) -> &[u8] {
        let end_of = |place: usize| self.labels.get(place).map_or(0, |label| label.end as usize);
        let start = place.checked_sub(1).map_or(0, end_of);
        self.octets.get(start..end_of(place)).unwrap_or_default()
    }

    fn get(&self, key: &Key, hash: Hash) -> Option<u32> {
        let place = self
            .places
            .find(hash.0, |place| self.key(*place as usize) == key.octets())?;
        self.labels.get(*place as usize).map(|label| label.number)
    }

    fn set(&mut self, hasher: &FixedState, key: &Key, hash: Hash, number: u32) {
        let known = self
            .places
            .find(hash.0, |place| self.key(*place as usize) == key.octets())
            .copied();
        if let Some(label) = known.and_then(|place| self.labels.get_mut(place as usize)) {
            label.number = number;
            return;
        }
        let place = u32::try_from(self.labels.len()).expect("memory ends before 2^32 labels");
        self.octets.extend_from_slice(key.octets());
        let end = u32::try_from(self.octets.len()).expect("a host has no 4 GiB of labels");
        self.labels.push(Label { end, number });
        // Taken out, since where it grows the other keys are hashed anew.
        let mut places = std::mem::take(&mut self.places);
        places.insert_unique(hash.0, place, |place| {
            hash_of(hasher, self.key(*place as usize)).0
        });
        self.places = places;
    }
}

/// See [`Labels::take_changed`].
pub(super) struct ChangedLabels {
    hasher: FixedState,
    changed: Changed,
}

impl ChangedLabels {
    pub(super) fn len(&self) -> usize {
        self.changed.labels.len()
    }

    /// The key at `place`, and its hash.
    pub(super) fn key(&self, place: usize) -> (&[u8], Hash) {
        let key = self.changed.key(place);
        (key, hash_of(&self.hasher, key))
    }

    /// What the shards are to have there; none where no row has the label.
    pub(super) fn entry(&self, place: usize) -> Option<EntryOctets> {
        let number = self.changed.labels.get(place)?.number;
        (number != NONE).then(|| EntryOctets::new(self.changed.key(place), number, &[], &[]))
    }
}

impl Key {
    fn of(label: &[u8]) -> Self {
        let mut octets = [LABEL_MARK; 1 + LABEL_OCTETS_MAX];
        let length = 1 + label.len();
        if let Some(to) = octets.get_mut(1..length) {
            to.copy_from_slice(label);
        }
        Self { octets, length }
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }
}
