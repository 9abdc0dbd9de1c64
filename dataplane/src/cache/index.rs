//! Where entries are, by the hash of their keys, and which have been here lately.

/// Positions of entries: open addressing, linear probing, no marks of what was deleted.
///
/// ```text
/// slot   | hash: u32 | position: u32 |   0 in all: free
/// ```
///
/// The hash beside the position spares a look at almost every entry that is another's. Invariant: at most three
/// quarters of the slots are taken ([`Index::is_full`]), so a probe for what is absent stops soon.
pub(super) struct Index {
    slots: Vec<u64>,
    length: usize,
}

impl Index {
    /// With `slots` of them, a power of two.
    pub(super) fn new(slots: usize) -> Self {
        debug_assert!(slots.is_power_of_two());
        Self {
            slots: vec![0; slots],
            length: 0,
        }
    }

    /// Entries in it.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Whether something must go before something else comes.
    pub(super) fn is_full(&self) -> bool {
        self.length >= self.slots.len() / 4 * 3
    }

    /// The position, above 0, of the entry with `hash` for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let (other, position) = split(*self.slots.get(at)?);
            if position == 0 {
                return None;
            }
            if other == hash && is_it(position) {
                return Some(position);
            }
            at = self.after(at);
        }
    }

    /// Puts an entry that is not in it there. Not to be called while [`Index::is_full`].
    pub(super) fn insert(&mut self, hash: u32, position: u32) {
        let mut at = self.home(hash);
        while self.slots.get(at).is_some_and(|slot| *slot != 0) {
            at = self.after(at);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = joined(hash, position);
            self.length += 1;
        }
    }

    /// Says that the entry with `hash` at `from` is at `to` now.
    pub(super) fn moved(&mut self, hash: u32, from: u32, to: u32) {
        if let Some(at) = self.slot_of(hash, from)
            && let Some(slot) = self.slots.get_mut(at)
        {
            *slot = joined(hash, to);
        }
    }

    /// Takes the entry with `hash` at `position` out.
    pub(super) fn remove(&mut self, hash: u32, position: u32) {
        let Some(mut hole) = self.slot_of(hash, position) else {
            return;
        };
        // Entries that were pushed past the hole move back, or a later probe would stop at it (Knuth, 6.4, R).
        let mut at = hole;
        loop {
            at = self.after(at);
            let slot = self.slots.get(at).copied().unwrap_or_default();
            if slot == 0 {
                break;
            }
            let home = self.home(split(slot).0);
            let mask = self.slots.len() - 1;
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                if let Some(free) = self.slots.get_mut(hole) {
                    *free = slot;
                }
                hole = at;
            }
        }
        if let Some(free) = self.slots.get_mut(hole) {
            *free = 0;
            self.length -= 1;
        }
    }

    /// Takes all out.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.length = 0;
    }

    /// Octets it takes.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    fn slot_of(&self, hash: u32, position: u32) -> Option<usize> {
        let mut at = self.home(hash);
        let wanted = joined(hash, position);
        loop {
            match *self.slots.get(at)? {
                0 => return None,
                slot if slot == wanted => return Some(at),
                _ => at = self.after(at),
            }
        }
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

fn joined(hash: u32, position: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(position)
}

fn split(slot: u64) -> (u32, u32) {
    ((slot >> 32) as u32, slot as u32)
}

/// Hashes of what was evicted lately from the queue of newcomers: who comes again is no newcomer.
///
/// Each hash has one place, where it stays until another falls on it; so the table forgets in about the order in which
/// it was told, and costs four octets for each that it remembers.
pub(super) struct Ghosts(Vec<u32>);

impl Ghosts {
    /// With `places` of them, a power of two.
    pub(super) fn new(places: usize) -> Self {
        debug_assert!(places.is_power_of_two());
        Self(vec![0; places])
    }

    pub(super) fn insert(&mut self, hash: u32) {
        if let Some(place) = self.place(hash) {
            *place = hash;
        }
    }

    /// Whether `hash` is among them, and no longer from now on.
    pub(super) fn take(&mut self, hash: u32) -> bool {
        self.place(hash).is_some_and(|place| {
            let is_there = *place == hash && hash != 0;
            if is_there {
                *place = 0;
            }
            is_there
        })
    }

    /// Octets they take.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }

    fn place(&mut self, hash: u32) -> Option<&mut u32> {
        let mask = self.0.len() - 1;
        self.0.get_mut(hash as usize & mask)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_index_agrees_with_a_map_whatever_collides() {
        let mut random = 7_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize
        };
        let mut index = Index::new(64);
        let mut model: HashMap<u32, u32> = HashMap::new();
        for _ in 0..200_000 {
            let position = 1 + (next() % 90) as u32;
            // Few homes, so that most are pushed on, also around the end.
            let hash = |position: u32| (position % 7) * 9 + 60 + (position << 20);
            match (next() % 2, model.contains_key(&position)) {
                (0, true) => {
                    index.remove(hash(position), position);
                    model.remove(&position);
                }
                (1, false) if !index.is_full() => {
                    index.insert(hash(position), position);
                    model.insert(position, hash(position));
                }
                _ => {}
            }
            assert_eq!(index.len(), model.len());
            let asked = 1 + (next() % 90) as u32;
            assert_eq!(
                index.find(hash(asked), |position| position == asked),
                model.contains_key(&asked).then_some(asked)
            );
        }
        for (&position, &hash) in &model {
            index.moved(hash, position, position + 1000);
            assert_eq!(
                index.find(hash, |other| other == position + 1000),
                Some(position + 1000)
            );
        }
    }

    #[test]
    fn a_ghost_is_seen_once() {
        let mut ghosts = Ghosts::new(16);
        ghosts.insert(5);
        assert!(ghosts.take(5) && !ghosts.take(5) && !ghosts.take(21));
        ghosts.insert(5);
        ghosts.insert(21);
        assert!(!ghosts.take(5) && ghosts.take(21));
    }
}
