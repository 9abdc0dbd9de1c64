//! All endpoints of a snapshot: chunks of 256, and a table of contents by which most of them are passed over.
//!
//! ```text
//! Chunks ──▶ Block: 64 chunks | least number in each column: 6 × 64 × u32 | greatest: 6 × 64 × u32 |
//! ```
//!
//! A pattern is compared with the spans of 64 chunks at a time, which lie side by side: asking each chunk itself
//! would fetch a line of memory for each, and took half of a query among 100 000 services.

use std::sync::Arc;

use super::endpoint::{ANY, Chunk, GRAMMAR_LABELS, NEVER, Numbers, bits};

/// Chunks of a block, a bit of a word for each. A change copies its block, about 3.5 KiB, and the list of blocks.
const BLOCK_CHUNKS: usize = 64;

/// A number of each chunk, for each column.
type Bounds = [[u32; BLOCK_CHUNKS]; GRAMMAR_LABELS];

/// The chunks by their place. A copy shares what is not changed later.
#[derive(Clone, Default)]
pub(super) struct Chunks(Vec<Arc<Block>>);

#[derive(Clone)]
struct Block {
    /// Least and greatest number in each column of each chunk: services loaded together have neighbouring numbers, so
    /// most chunks cannot have what is wanted. A chunk without rows, or none, has none between them.
    least: Bounds,
    greatest: Bounds,
    chunks: Vec<Arc<Chunk>>,
}

impl Chunks {
    /// The chunk at `place`, if there ever was one.
    pub(super) fn get(&self, place: usize) -> Option<&Chunk> {
        let block = self.0.get(place / BLOCK_CHUNKS)?;
        block.chunks.get(place % BLOCK_CHUNKS).map(|chunk| &**chunk)
    }

    /// Puts `chunk` at `place`.
    pub(super) fn set(&mut self, place: usize, chunk: Chunk) {
        let (block, within) = (place / BLOCK_CHUNKS, place % BLOCK_CHUNKS);
        if self.0.len() <= block {
            self.0.resize_with(block + 1, Arc::default);
        }
        if let Some(block) = self.0.get_mut(block) {
            Arc::make_mut(block).set(within, chunk);
        }
    }

    /// The chunks from `place` on that may have rows with `wanted`, each with its place.
    pub(super) fn candidates(&self, place: usize, wanted: Numbers) -> Candidates<'_> {
        let (first, within) = (place / BLOCK_CHUNKS, place % BLOCK_CHUNKS);
        let mut candidates = Candidates {
            rest: self.0.get(first..).unwrap_or_default(),
            wanted,
            chunks: &[],
            left: 0,
            begin: first * BLOCK_CHUNKS,
        };
        candidates.enter();
        candidates.left &= u64::MAX << within;
        candidates
    }
}

/// See [`Chunks::candidates`].
pub(super) struct Candidates<'s> {
    /// The block that we are in, and those behind it.
    rest: &'s [Arc<Block>],
    wanted: Numbers,
    /// The chunks of that block, which of them are still to come, and the place of its first.
    chunks: &'s [Arc<Chunk>],
    left: u64,
    begin: usize,
}

impl Candidates<'_> {
    fn enter(&mut self) {
        if let Some(block) = self.rest.first() {
            let absent = u64::MAX.checked_shl(block.chunks.len() as u32).unwrap_or(0);
            (self.chunks, self.left) = (&block.chunks, block.spanning(&self.wanted) & !absent);
        }
    }
}

impl<'s> Iterator for Candidates<'s> {
    type Item = (usize, &'s Chunk);

    fn next(&mut self) -> Option<Self::Item> {
        while self.left == 0 {
            self.rest = self.rest.get(1..)?;
            self.begin += BLOCK_CHUNKS;
            self.enter();
        }
        let within = self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        let chunk = self.chunks.get(within)?;
        Some((self.begin + within, chunk))
    }
}

impl Block {
    fn set(&mut self, place: usize, chunk: Chunk) {
        let spans = chunk.spans();
        let columns = self.least.iter_mut().zip(&mut self.greatest).zip(spans);
        for ((least, greatest), span) in columns {
            if let (Some(least), Some(greatest)) = (least.get_mut(place), greatest.get_mut(place)) {
                (*least, *greatest) = span;
            }
        }
        if self.chunks.len() <= place {
            self.chunks.resize_with(place + 1, || Arc::new(Chunk::empty()));
        }
        if let Some(slot) = self.chunks.get_mut(place) {
            *slot = Arc::new(chunk);
        }
    }

    /// Which chunks span `wanted` in every column, a bit for each.
    fn spanning(&self, wanted: &Numbers) -> u64 {
        let mut spanning = [1; BLOCK_CHUNKS];
        for ((want, least), greatest) in wanted.iter().zip(&self.least).zip(&self.greatest) {
            if *want == ANY {
                continue;
            }
            for ((spanning, least), greatest) in spanning.iter_mut().zip(least).zip(greatest) {
                *spanning &= u8::from(least <= want) & u8::from(want <= greatest);
            }
        }
        bits(&spanning)
    }
}

impl Default for Block {
    fn default() -> Self {
        Self {
            least: [[NEVER; BLOCK_CHUNKS]; GRAMMAR_LABELS],
            greatest: [[ANY; BLOCK_CHUNKS]; GRAMMAR_LABELS],
            chunks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::EndpointKey;
    use super::*;

    /// A chunk with one row, whose label has this number in every column.
    fn chunk(number: u32) -> Chunk {
        let content = ([number; GRAMMAR_LABELS], Box::from([0; 16]));
        Chunk::empty().edited(&[(EndpointKey(0), Some(content))])
    }

    fn places(chunks: &Chunks, from: usize, wanted: Numbers) -> Vec<usize> {
        chunks.candidates(from, wanted).map(|(place, _)| place).collect()
    }

    #[test]
    fn only_chunks_that_span_what_is_wanted_are_looked_at_from_a_place_on() {
        let mut chunks = Chunks::default();
        for place in [0, 1, 63, 64, 130] {
            chunks.set(place, chunk(place as u32 + 1));
        }
        let all = [ANY; GRAMMAR_LABELS];
        let there_are: Vec<_> = (0..=64).chain(128..=130).collect();
        assert_eq!(places(&chunks, 0, all), there_are);
        assert_eq!(places(&chunks, 64, all), [64, 128, 129, 130]);
        for (place, from) in [(0, 0), (63, 63), (64, 2), (130, 65)] {
            let mut wanted = all;
            wanted[3] = place as u32 + 1;
            assert_eq!(places(&chunks, from, wanted), [place], "from {from}");
            assert!(places(&chunks, place + 1, wanted).is_empty());
            wanted[5] = NEVER;
            assert!(places(&chunks, 0, wanted).is_empty());
        }
        assert!(places(&chunks, 1000, all).is_empty());
        // What was copied before does not change.
        let before = chunks.clone();
        chunks.set(64, Chunk::empty());
        let wanted = [65; GRAMMAR_LABELS];
        assert!(places(&chunks, 0, wanted).is_empty());
        assert_eq!(places(&before, 0, wanted), [64]);
    }
}
