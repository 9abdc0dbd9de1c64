//! A queue of blocks of any size in one run of octets, first in, first out.
//!
//! ```text
//!  start      head         tail          lap_end   limit
//!    | blocks ▶ |   free     | older blocks ▶ | unused |
//! ```
//!
//! Only numbers: the octets are the store's. A block never wraps, so it can be read as one slice; what is left before
//! the limit is passed over. Blocks leave in the order they came, so free room is always in one piece and nothing is
//! ever scattered: that is why the queues of the cache are rings and not lists of blocks.

/// One queue.
#[derive(Debug)]
pub(super) struct Ring {
    start: usize,
    limit: usize,
    /// The oldest block.
    tail: usize,
    /// Where the next block goes.
    head: usize,
    /// Where the blocks before the wrap end.
    lap_end: usize,
    is_wrapped: bool,
    blocks: usize,
    used: usize,
}

impl Ring {
    /// An empty queue from `start` to `limit`.
    pub(super) fn new(start: usize, limit: usize) -> Self {
        Self {
            start,
            limit,
            tail: start,
            head: start,
            lap_end: limit,
            is_wrapped: false,
            blocks: 0,
            used: 0,
        }
    }

    /// Octets it can hold.
    pub(super) fn capacity(&self) -> usize {
        self.limit - self.start
    }

    /// Octets in its blocks, those no longer in use among them.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Blocks in it.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Whether `position` lies in it.
    pub(super) fn contains(&self, position: usize) -> bool {
        (self.start..self.limit).contains(&position)
    }

    /// The oldest block's position.
    pub(super) fn oldest(&self) -> Option<usize> {
        (self.blocks > 0).then_some(self.tail)
    }

    /// Takes `octets` for a new block, and returns its position. None: the oldest must go first.
    pub(super) fn push(&mut self, octets: usize) -> Option<usize> {
        if self.blocks == 0 {
            self.clear();
        }
        if self.is_wrapped {
            if self.tail - self.head < octets {
                return None;
            }
        } else if self.limit - self.head < octets {
            if self.tail - self.start < octets {
                return None;
            }
            self.lap_end = self.head;
            self.head = self.start;
            self.is_wrapped = true;
        }
        let position = self.head;
        self.head += octets;
        self.used += octets;
        self.blocks += 1;
        Some(position)
    }

    /// Whether [`Ring::push`] would find room.
    pub(super) fn has_room(&self, octets: usize) -> bool {
        if self.blocks == 0 {
            octets <= self.capacity()
        } else if self.is_wrapped {
            self.tail - self.head >= octets
        } else {
            self.limit - self.head >= octets || self.tail - self.start >= octets
        }
    }

    /// Lets go of the oldest block, which has `octets`.
    pub(super) fn pop(&mut self, octets: usize) {
        self.tail += octets;
        self.used -= octets;
        self.blocks -= 1;
        if self.is_wrapped && self.tail == self.lap_end {
            self.tail = self.start;
            self.is_wrapped = false;
        }
    }

    /// Lets go of all.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.start, self.limit);
    }

    /// The block after the one at `position`, which has `octets`; none after the newest.
    pub(super) fn next(&self, position: usize, octets: usize) -> Option<usize> {
        let end = position + octets;
        if end == self.head {
            None
        } else if self.is_wrapped && end == self.lap_end {
            // A lap that has just begun may be empty no longer: something was pushed when it did.
            Some(self.start)
        } else {
            Some(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn blocks_leave_in_order_never_overlap_and_never_pass_the_limit() {
        let mut random = 0x9e37_79b9_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize
        };
        let mut ring = Ring::new(64, 1064);
        let mut model: VecDeque<(usize, usize)> = VecDeque::new();
        for _ in 0..100_000 {
            let octets = 8 * (1 + next() % 40);
            if next() % 3 == 0 {
                if let Some((position, octets)) = model.pop_front() {
                    assert_eq!(ring.oldest(), Some(position));
                    ring.pop(octets);
                }
            } else {
                let had_room = ring.has_room(octets);
                let pushed = ring.push(octets);
                assert_eq!(pushed.is_some(), had_room);
                if let Some(position) = pushed {
                    assert!(position >= 64 && position + octets <= 1064);
                    let is_apart = |&(other, length): &(usize, usize)| {
                        position + octets <= other || other + length <= position
                    };
                    assert!(model.iter().all(is_apart));
                    model.push_back((position, octets));
                }
            }
            assert_eq!(ring.used(), model.iter().map(|(_, octets)| octets).sum::<usize>());
            let mut walk = ring.oldest();
            for &(position, octets) in &model {
                assert_eq!(walk, Some(position));
                walk = ring.next(position, octets);
            }
            assert_eq!(walk, None);
        }
    }
}
