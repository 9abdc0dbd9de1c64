//! Entries in a fixed number of octets, the ones that are asked for again outliving those that were asked for once.
//!
//! ```text
//!               ┌────────────────── hits ≥ 2, or there is room in main ───────────────┐
//!  new ──▶ [ small: 1/10 ] ──oldest──┤                                              ▼
//!               ▲                    └── else: gone, its hash a ghost       [ main: 9/10 ] ──oldest──┬── hits: again, one less
//!               │                                                                   ▲                └── none: gone
//!               └── a ghost's or main's own key, come again ────────────────────────┘
//! ```
//!
//! This is S3-FIFO (Yang et al., SOSP 2023): a name that is asked for once, as in a scan, passes through a tenth of the
//! room and never displaces what is in use; a hit writes one octet and moves nothing. Both queues are rings of octets
//! ([`Ring`]), so that an entry is one run, room is never scattered, and the bound is exact: the octets of rings,
//! index and ghosts are counted and taken once. Pages are touched as the rings first come to them.
//!
//! Crates for this were looked at and left aside: quick_cache, moka and foyer weigh entries by what they are told and take
//! each from the allocator, so their bound is a wish; all are made to be shared by threads, and pay for it.

use dns::{Name, NameRef};

use super::entry::{self, GRAIN_OCTETS, HITS_MAX, META_OCTETS, Meta};
use super::index::{Ghosts, Index};
use super::key::{Key, name_of};
use super::records::leads_into;
use super::ring::Ring;
use super::sift::Draft;
use crate::limits::CACHE_MOVES_MAX;

/// Hits that take an entry from the queue of newcomers to the main one.
const PROMOTION_HITS: u8 = 2;

/// Entries, by key.
pub(super) struct Store {
    octets: Vec<u8>,
    index: Index,
    ghosts: Ghosts,
    small: Ring,
    main: Ring,
    /// Seconds that an entry is kept after it is no longer fresh.
    grace: u32,
    moves: Moves,
}

/// What came and went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Entries that were kept.
    pub inserts: u64,
    /// Entries that made room for others.
    pub evictions: u64,
}

/// Where an entry is, in grains; above 0.
pub(super) type Position = u32;

/// What an entry holds besides its meta and key.
pub(super) struct Parts<'a> {
    pub(super) offsets: &'a [u8],
    pub(super) records: &'a [u8],
}

impl Store {
    /// A store that takes `share` octets in all, and keeps entries `grace` seconds longer than they are fresh.
    pub(super) fn new(share: usize, grace: u32) -> Self {
        // One slot for 64 octets: of the shortest entries that matter, it is the index that is full first.
        let slots = previous_power_of_two(share / 64).max(64);
        let ghosts = slots / 2;
        let overhead = slots * size_of::<u64>() + ghosts * size_of::<u32>();
        let grains = share.saturating_sub(overhead) / GRAIN_OCTETS;
        // Position 0 means no entry, so the first grain is never one.
        let (small, whole) = ((1 + grains / 10) * GRAIN_OCTETS, grains.max(2) * GRAIN_OCTETS);
        Self {
            octets: vec![0; whole],
            index: Index::new(slots),
            ghosts: Ghosts::new(ghosts),
            small: Ring::new(GRAIN_OCTETS, small),
            main: Ring::new(small, whole),
            grace,
            moves: Moves::default(),
        }
    }

    /// Where the entry of `key` is, fresh or not.
    pub(super) fn find(&self, key: &Key) -> Option<Position> {
        self.index.find(key.hash(), |position| {
            let at = place(position);
            let octets = self.octets.get(at + META_OCTETS..).unwrap_or_default();
            self.meta(position)
                .is_some_and(|meta| octets.get(..meta.key.into()) == Some(key.octets()))
        })
    }

    pub(super) fn meta(&self, position: Position) -> Option<Meta> {
        let octets = self.octets.get(place(position)..)?;
        octets.first_chunk().map(Meta::read)
    }

    pub(super) fn parts(&self, position: Position, meta: &Meta) -> Option<Parts<'_>> {
        let octets = self.octets.get(place(position) + META_OCTETS..)?;
        let (offsets, rest) = octets
            .get(meta.key.into()..)?
            .split_at_checked(2 * usize::from(meta.offsets))?;
        let records = rest.get(..meta.records.into())?;
        Some(Parts { offsets, records })
    }

    /// Counts a hit, and returns how many there were since the entry came.
    pub(super) fn hit(&mut self, position: Position, meta: &Meta) -> u8 {
        let hits = (meta.hits + 1).min(HITS_MAX);
        if hits != meta.hits
            && let Some(block) = self.octets.get_mut(place(position)..)
        {
            entry::set_hits(block, hits);
        }
        hits
    }

    /// Writes a changed meta back. Lengths, hash and key must be as they were.
    pub(super) fn set_meta(&mut self, position: Position, meta: &Meta) {
        if let Some(octets) = self.octets.get_mut(place(position)..)
            && let Some(octets) = octets.first_chunk_mut()
        {
            *octets = meta.octets();
        }
    }

    /// Keeps `draft` under `key`, instead of what was there. Returns whether there is room for something as long.
    pub(super) fn insert(&mut self, key: &Key, draft: &Draft, now: u32) -> bool {
        let block = Meta::block_for(key.octets().len(), draft.offsets().len(), draft.records().len());
        if block > self.small.capacity() / 2 {
            self.remove(key);
            return false;
        }
        let mut meta = Meta {
            block: block as u32,
            hash: key.hash(),
            stored_at: now,
            ttl: draft.ttl,
            key: key.octets().len() as u16,
            offsets: (draft.offsets().len() / 2) as u16,
            records: draft.records().len() as u16,
            answers: draft.answers,
            authorities: draft.authorities,
            rotation: draft.rotation,
            rcode: draft.rcode,
            kind: draft.kind,
            is_live: true,
            ..Meta::default()
        };
        let mut belongs_to_main = false;
        if let Some(position) = self.find(key) {
            let old = self.meta(position).unwrap_or_default();
            // Hot before, it is to be asked for again before it counts as hot once more.
            meta.hits = old.hits.min(1);
            if old.block as usize >= block {
                meta.block = old.block;
                self.write(position, &meta, key, draft);
                self.moves.inserts += 1;
                return true;
            }
            belongs_to_main = self.main.contains(place(position));
            self.forget(position, &old);
        }
        belongs_to_main |= self.ghosts.take(key.hash());
        if self.index.is_full() {
            self.evict_any(now);
        }
        let Some(at) = self.make_room(belongs_to_main, block, now) else {
            return false;
        };
        let position = (at / GRAIN_OCTETS) as Position;
        self.write(position, &meta, key, draft);
        self.index.insert(key.hash(), position);
        self.moves.inserts += 1;
        true
    }

    /// Takes out the entry of `key`, if there is one.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(position) = self.find(key)
            && let Some(meta) = self.meta(position)
        {
            self.forget(position, &meta);
        }
    }

    /// Takes out all entries of `name` and of all names below it, and those with aliases that lead to one of these. Looks at
    /// every entry.
    pub(super) fn flush(&mut self, name: &Name) {
        for is_main in [false, true] {
            let mut next = self.ring(is_main).oldest();
            while let Some(at) = next {
                let position = (at / GRAIN_OCTETS) as Position;
                let meta = self.meta(position).unwrap_or_default();
                if meta.is_live && self.tells_of(position, &meta, name) {
                    self.forget(position, &meta);
                }
                next = self.ring(is_main).next(at, meta.block as usize);
            }
        }
    }

    /// Whether an entry is of `name` or a name below it, or leads to one.
    fn tells_of(&self, position: Position, meta: &Meta, name: &Name) -> bool {
        let octets = self.octets.get(place(position) + META_OCTETS..);
        let key = octets.and_then(|octets| octets.get(..meta.key.into()));
        let owner = NameRef::split(name_of(key.unwrap_or_default()));
        let is_of = owner.is_ok_and(|(owner, _)| owner.start_of(name).is_some());
        let records = self.parts(position, meta).map(|parts| parts.records);
        is_of || leads_into(records.unwrap_or_default(), name)
    }

    /// Takes out all entries.
    pub(super) fn flush_all(&mut self) {
        self.index.clear();
        self.small.clear();
        self.main.clear();
    }

    /// Entries there are.
    pub(super) fn entries(&self) -> usize {
        self.index.len()
    }

    /// Octets in use: entries, those that were replaced and have not been reached yet among them.
    pub(super) fn used(&self) -> usize {
        self.small.used() + self.main.used()
    }

    /// Octets taken in all, in use or not.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.octets.capacity() + self.index.taken() + self.ghosts.taken()
    }

    /// That its parts agree: every entry in use that lies in a queue is where the index says, and there are no others.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let (mut live, mut seen) = (0, Vec::new());
        for ring in [&self.small, &self.main] {
            let (mut blocks, mut used, mut next) = (0, 0, ring.oldest());
            while let Some(at) = next {
                let position = (at / GRAIN_OCTETS) as Position;
                let meta = self.meta(position).unwrap();
                let block = meta.block as usize;
                assert!(
                    ring.contains(at) && ring.contains(at + block - 1),
                    "a block wraps"
                );
                seen.push((at, at + block));
                if meta.is_live {
                    let found = self.index.find(meta.hash, |other| other == position);
                    assert_eq!(found, Some(position), "an entry is lost");
                    live += 1;
                }
                (blocks, used) = (blocks + 1, used + block);
                next = ring.next(at, block);
            }
            assert_eq!((blocks, used), (ring.blocks(), ring.used()));
        }
        assert_eq!(live, self.index.len(), "the index knows what is in no queue");
        seen.sort_unstable();
        assert!(
            seen.is_sorted_by(|one, other| one.1 <= other.0),
            "two blocks overlap"
        );
    }

    /// What came and went since the last time that this was asked.
    pub(super) fn take_moves(&mut self) -> Moves {
        std::mem::take(&mut self.moves)
    }

    /// A place for `block` octets in a queue, others having left it.
    fn make_room(&mut self, is_main: bool, block: usize, now: u32) -> Option<usize> {
        let mut moves = CACHE_MOVES_MAX;
        loop {
            if let Some(at) = self.ring_mut(is_main).push(block) {
                return Some(at);
            }
            self.evict(is_main, &mut moves, now)?;
        }
    }

    /// Takes the least missed entry out, as the index has no place for another: from the queue of newcomers, unless those
    /// are less than a tenth already.
    fn evict_any(&mut self, now: u32) {
        let mut moves = CACHE_MOVES_MAX;
        while self.index.is_full() {
            let is_main = self.small.blocks() * 10 < self.index.len();
            if self.evict(is_main, &mut moves, now).is_none() {
                return;
            }
        }
    }

    /// Takes the oldest block out of a queue; an entry that proved itself goes on in the main one, while `moves` last.
    fn evict(&mut self, is_main: bool, moves: &mut usize, now: u32) -> Option<()> {
        let at = self.ring(is_main).oldest()?;
        let position = (at / GRAIN_OCTETS) as Position;
        let mut meta = self.meta(position)?;
        let block = meta.block as usize;
        let is_over = meta.is_over(now, self.grace);
        let stays = meta.is_live
            && !is_over
            && match is_main {
                true => meta.hits > 0,
                false => meta.hits >= PROMOTION_HITS || self.main.has_room(block) && !self.index.is_full(),
            };
        if stays && *moves > 0 {
            *moves -= 1;
            meta.hits = if is_main { meta.hits - 1 } else { 0 };
            while !is_main && !self.main.has_room(block) {
                self.evict(true, moves, now)?;
            }
            // It leaves its place first, as its room may be what is needed. Nothing is written until it is copied.
            self.ring_mut(is_main).pop(block);
            loop {
                if let Some(to) = self.main.push(block) {
                    self.octets.copy_within(at..at + block, to);
                    let moved_to = (to / GRAIN_OCTETS) as Position;
                    self.set_meta(moved_to, &meta);
                    self.index.moved(meta.hash, position, moved_to);
                    return Some(());
                }
                self.drop_oldest(true)?;
            }
        }
        if meta.is_live && !is_main && !is_over {
            self.ghosts.insert(meta.hash);
        }
        self.drop_oldest(is_main)
    }

    /// Takes the oldest block out of a queue, whatever it is.
    fn drop_oldest(&mut self, is_main: bool) -> Option<()> {
        let at = self.ring(is_main).oldest()?;
        let position = (at / GRAIN_OCTETS) as Position;
        let meta = self.meta(position)?;
        if meta.is_live {
            self.index.remove(meta.hash, position);
            self.moves.evictions += 1;
        }
        self.ring_mut(is_main).pop(meta.block as usize);
        Some(())
    }

    /// Makes an entry unknown; its block goes when it is the oldest.
    fn forget(&mut self, position: Position, meta: &Meta) {
        self.index.remove(meta.hash, position);
        if let Some(block) = self.octets.get_mut(place(position)..) {
            entry::set_dead(block);
        }
    }

    fn write(&mut self, position: Position, meta: &Meta, key: &Key, draft: &Draft) {
        let mut rest = self.octets.get_mut(place(position)..).unwrap_or_default();
        for part in [&meta.octets()[..], key.octets(), draft.offsets(), draft.records()] {
            let Some((to, after)) = rest.split_at_mut_checked(part.len()) else {
                return;
            };
            to.copy_from_slice(part);
            rest = after;
        }
    }

    fn ring(&self, is_main: bool) -> &Ring {
        if is_main { &self.main } else { &self.small }
    }

    fn ring_mut(&mut self, is_main: bool) -> &mut Ring {
        if is_main { &mut self.main } else { &mut self.small }
    }
}

/// The octet where the entry at `position` begins.
fn place(position: Position) -> usize {
    position as usize * GRAIN_OCTETS
}

fn previous_power_of_two(number: usize) -> usize {
    match number {
        0 => 1,
        _ => 1 << number.ilog2(),
    }
}
