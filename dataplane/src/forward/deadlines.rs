//! When something is to be done about whom: the earliest first, each changed or forgotten at any time.
//!
//! ```text
//!  heap:  (deadline, item)  the earliest on top          place:  item ─▶ where in the heap it is
//! ```

use std::time::Instant;

/// Deadlines of numbered items, at most one of each.
pub(crate) struct Deadlines {
    heap: Vec<(Instant, u16)>,
    place: Box<[u16]>,
}

/// The place of an item without a deadline.
const NOWHERE: u16 = u16::MAX;

impl Deadlines {
    /// None yet, for items below `items`, which must be below `u16::MAX`. Allocates all that it will ever use.
    pub(crate) fn new(items: usize) -> Self {
        Self {
            heap: Vec::with_capacity(items),
            place: vec![NOWHERE; items].into_boxed_slice(),
        }
    }

    /// The earliest deadline, and whose it is.
    pub(crate) fn first(&self) -> Option<(Instant, u16)> {
        self.heap.first().copied()
    }

    /// Gives `item` a deadline, instead of the one that it may have.
    pub(crate) fn set(&mut self, item: u16, deadline: Instant) {
        let at = match self.find(item) {
            Some(at) => {
                if let Some(entry) = self.heap.get_mut(at) {
                    entry.0 = deadline;
                }
                at
            }
            None => {
                self.heap.push((deadline, item));
                self.heap.len() - 1
            }
        };
        let at = self.rise(at);
        self.sink(at);
    }

    /// Forgets the deadline of `item`, if it has one.
    pub(crate) fn remove(&mut self, item: u16) {
        let Some(at) = self.find(item) else { return };
        self.heap.swap_remove(at);
        self.put(item, NOWHERE);
        if at < self.heap.len() {
            let at = self.rise(at);
            self.sink(at);
        }
    }

    fn find(&self, item: u16) -> Option<usize> {
        let at = *self.place.get(usize::from(item))?;
        (at != NOWHERE).then_some(at.into())
    }

    /// Moves an entry up for as long as it is earlier than the one above it. Returns where it came to be.
    fn rise(&mut self, mut at: usize) -> usize {
        while let Some(above) = at.checked_sub(1).map(|below| below / 2)
            && self.deadline(at) < self.deadline(above)
        {
            self.swap(at, above);
            at = above;
        }
        self.note(at);
        at
    }

    /// Moves an entry down for as long as one below it is earlier.
    fn sink(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let below = if self.deadline(right).is_some() && self.deadline(right) < self.deadline(left) {
                right
            } else {
                left
            };
            if self.deadline(below).is_none() || self.deadline(below) >= self.deadline(at) {
                break;
            }
            self.swap(at, below);
            at = below;
        }
        self.note(at);
    }

    fn deadline(&self, at: usize) -> Option<Instant> {
        self.heap.get(at).map(|&(deadline, _)| deadline)
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        self.note(one);
        self.note(other);
    }

    /// Notes where the item at `at` is.
    fn note(&mut self, at: usize) {
        if let Some(&(_, item)) = self.heap.get(at) {
            // There are fewer items than `NOWHERE`.
            self.put(item, u16::try_from(at).unwrap_or(NOWHERE));
        }
    }

    fn put(&mut self, item: u16, at: u16) {
        if let Some(place) = self.place.get_mut(usize::from(item)) {
            *place = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use rand_chacha::ChaCha12Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn the_earliest_is_first_whatever_was_set_and_forgotten() {
        let start = Instant::now();
        let mut random = ChaCha12Rng::from_seed([7; 32]);
        let (mut deadlines, mut model) = (Deadlines::new(64), BTreeMap::new());
        for _ in 0..20_000 {
            let item = (random.next_u32() % 64) as u16;
            if random.next_u32().is_multiple_of(3) {
                deadlines.remove(item);
                model.remove(&item);
            } else {
                let deadline = start + Duration::from_millis((random.next_u32() % 500).into());
                deadlines.set(item, deadline);
                model.insert(item, deadline);
            }
            let first = deadlines.first();
            assert_eq!(first.map(|(at, _)| at), model.values().min().copied());
            assert!(first.is_none_or(|(at, item)| model[&item] == at));
            assert_eq!(deadlines.heap.len(), model.len());
        }
        assert_eq!(deadlines.heap.capacity(), 64);
    }
}
