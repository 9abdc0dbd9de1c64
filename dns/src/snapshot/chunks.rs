//! All endpoints of a snapshot: chunks of 256, and a table of contents by which most of them are passed over.
//!
//! ```text
//! Chunks ──▶ Block: 32 chunks | least number in each column: 6 × 32 × u32 | greatest: 6 × 32 × u32 |
//! ```
//!
//! A pattern is compared with the spans of 32 chunks at a time, which lie side by side: asking each chunk itself
//! would fetch a line of memory for each, and took half of a query among 100 000 services.

use std::sync::Arc;

use super::endpoint::{ANY, Chunk, GRAMMAR_LABELS, NEVER, Numbers};

/// Chunks of a block. A change copies its block, about 1.8 KiB, and the list of blocks.
const BLOCK_CHUNKS: usize = 32;

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

    /// Puts `chunk` at `place`; those before it that there never were are empty.
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
    pub(super) fn candidates(&self, place: usize, wanted: Numbers) -> impl Iterator<Item = (usize, &Chunk)> {
        let blocks = self.0.iter().enumerate().skip(place / BLOCK_CHUNKS);
        let all = blocks.flat_map(move |(number, block)| {
            let places = number * BLOCK_CHUNKS..;
            let chunks = places.zip(&block.chunks).zip(block.spanning(&wanted));
            chunks.filter_map(|((place, chunk), is_candidate)| is_candidate.then_some((place, &**chunk)))
        });
        all.skip_while(move |(at, _)| *at < place)
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

    /// Which chunks span `wanted` in every column.
    fn spanning(&self, wanted: &Numbers) -> [bool; BLOCK_CHUNKS] {
        let mut spanning = [true; BLOCK_CHUNKS];
        for ((want, least), greatest) in wanted.iter().zip(&self.least).zip(&self.greatest) {
            if *want == ANY {
                continue;
            }
            for ((spanning, least), greatest) in spanning.iter_mut().zip(least).zip(greatest) {
                *spanning &= (least <= want) & (want <= greatest);
            }
        }
        spanning
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
