//! The table of queries that wait for an upstream.
//!
//! ```text
//!  (place, id) ──▶ keys ──▶ entries[i] ──── octets[i]      as many as PENDING_MAX, made at start
//!                             │  ▲
//!                    linked by stage, oldest first:   first try ─▶ … ─▶ …
//!                                                     second try ─▶ …
//!                                                     third try ─▶ …
//! ```
//!
//! All tries of one stage wait equally long, so each list is in the order of its deadlines by itself:
//! the next deadline is one of three heads, and an answered query leaves its list in constant time. A second
//! list links those whose last try went through one place, so that its failure finds them without a search.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use dns::wire::Head;
use siphasher::sip::SipHasher13;

use super::ReturnPath;
use super::upstream::{Place, Refused, UpstreamIndex};
use crate::limits::{
    FORWARD_QUERY_OCTETS_MAX, PENDING_MAX, SHARE_OF_FREE, SHARES, TRIES_MAX, TRY_TIMEOUTS,
    UPSTREAM_SOCKETS_MAX,
};

/// What a reply from upstream must show to be looked at: the socket it came in on, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) id: u16,
}

/// A waiting query's position in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index(u16);

/// What a query's arrival says of it, once and for all.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Where its answer goes.
    pub(crate) to: ReturnPath,
    /// The client's id, flags and EDNS, for an answer of our own.
    pub(crate) head: Head,
    /// The client's id, for an answer of others.
    pub(crate) id: u16,
    /// Length of header and question, in octets.
    pub(crate) question_end: usize,
    /// The longest reply that the client takes, in octets.
    pub(crate) limit: usize,
}

/// One waiting query.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) asked: Asked,
    /// The upstream asked last.
    pub(crate) upstream: UpstreamIndex,
    /// Those that will not be asked again.
    pub(crate) refused: Refused,
    /// Length of the whole query, in octets.
    length: usize,
    /// What each try so far would be answered as; an answer to an earlier one is as good as to the last.
    tries: [Option<Key>; TRIES_MAX],
    stage: usize,
    deadline: Instant,
    /// Its neighbours in the list of its stage, and in that of its last try's place.
    links: [Links; 2],
}

/// The neighbours of a query in one list.
#[derive(Clone, Copy, Debug, Default)]
struct Links {
    older: Option<Index>,
    newer: Option<Index>,
}

/// A list that a query is in, with the number that tells it from others of its kind.
#[derive(Clone, Copy)]
enum Chain {
    Stage(usize),
    Place(usize),
}

impl Chain {
    /// Which of an entry's links belong to it.
    fn kind(self) -> usize {
        match self {
            Self::Stage(_) => 0,
            Self::Place(_) => 1,
        }
    }
}

impl Entry {
    /// The key of the last try.
    pub(crate) fn last_try(&self) -> Option<Key> {
        self.tries.get(self.stage).copied().flatten()
    }

    /// The keys of all tries.
    pub(crate) fn tries(&self) -> impl Iterator<Item = Key> + use<> {
        self.tries.into_iter().flatten()
    }
}

/// The table.
pub(crate) struct Pending {
    entries: Vec<Option<Entry>>,
    free: Vec<Index>,
    octets: Vec<u8>,
    keys: HashMap<Key, Index>,
    stages: [List; TRIES_MAX],
    places: Box<[List]>,
    waiting: usize,
    /// How many wait, by a hash of their client's address.
    shares: Box<[u16]>,
    hasher: SipHasher13,
}

/// The two ends of one list.
#[derive(Clone, Copy, Debug, Default)]
struct List {
    oldest: Option<Index>,
    newest: Option<Index>,
}

impl Pending {
    /// An empty table. Allocates all that it will ever use; the kernel gives the memory when it is touched. `seed`
    /// must be unpredictable, or a client could choose addresses that share another's bound.
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        Self {
            entries: Vec::with_capacity(PENDING_MAX),
            free: Vec::with_capacity(PENDING_MAX),
            octets: vec![0; PENDING_MAX * FORWARD_QUERY_OCTETS_MAX],
            // Twice what it can hold: half empty, it cleans up after removals in place and never grows.
            keys: HashMap::with_capacity(2 * PENDING_MAX * TRIES_MAX),
            stages: [List::default(); TRIES_MAX],
            places: vec![List::default(); UPSTREAM_SOCKETS_MAX].into_boxed_slice(),
            waiting: 0,
            shares: vec![0; SHARES].into_boxed_slice(),
            hasher: SipHasher13::new_with_key(seed),
        }
    }

    /// Whether `client` has as many queries waiting as it may, so that the rest stays for others.
    pub(crate) fn has_its_share(&self, client: IpAddr) -> bool {
        let waiting = self.shares.get(self.share(client)).copied().unwrap_or(0);
        usize::from(waiting) >= SHARE_OF_FREE * (PENDING_MAX - self.waiting.min(PENDING_MAX))
    }

    /// Which counter is `client`'s.
    fn share(&self, client: IpAddr) -> usize {
        let address = match client.to_canonical() {
            IpAddr::V4(client) => client.to_ipv6_mapped(),
            IpAddr::V6(client) => client,
        };
        self.hasher.hash(&address.octets()) as usize & (SHARES - 1)
    }

    fn count_share(&mut self, client: IpAddr, count: impl FnOnce(u16) -> u16) {
        let share = self.share(client);
        if let Some(waiting) = self.shares.get_mut(share) {
            *waiting = count(*waiting);
        }
    }

    /// How many queries wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Puts a query and its octets into the table, at the first stage. None when there is no room.
    pub(crate) fn insert(&mut self, asked: Asked, query: &[u8], now: Instant) -> Option<Index> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.entries.len() < PENDING_MAX => {
                self.entries.push(None);
                Index(u16::try_from(self.entries.len() - 1).ok()?)
            }
            None => return None,
        };
        let Some(room) = self.octets_mut(index).get_mut(..query.len()) else {
            self.free.push(index);
            return None;
        };
        room.copy_from_slice(query);
        self.count_share(asked.to.client(), |waiting| waiting.saturating_add(1));
        if let Some(slot) = self.entries.get_mut(usize::from(index.0)) {
            *slot = Some(Entry {
                asked,
                upstream: UpstreamIndex::default(),
                refused: Refused::default(),
                length: query.len(),
                tries: [None; TRIES_MAX],
                stage: 0,
                deadline: now,
                links: [Links::default(); 2],
            });
        }
        self.waiting += 1;
        self.enter(index, 0, now);
        Some(index)
    }

    /// Takes a query out, with the octets it left behind; they stay until the next one comes in.
    pub(crate) fn remove(&mut self, index: Index) -> Option<(Entry, &mut [u8])> {
        self.leave_place(index);
        self.leave_stage(index);
        let entry = self.entries.get_mut(usize::from(index.0))?.take()?;
        for key in entry.tries() {
            self.keys.remove(&key);
        }
        self.free.push(index);
        self.waiting -= 1;
        self.count_share(entry.asked.to.client(), |waiting| waiting.saturating_sub(1));
        Some((entry, self.octets_mut(index)))
    }

    pub(crate) fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get(usize::from(index.0))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: Index) -> Option<&mut Entry> {
        self.entries.get_mut(usize::from(index.0))?.as_mut()
    }

    /// All of the room for a query's octets, of which the entry's `length` are in use.
    pub(crate) fn octets_mut(&mut self, index: Index) -> &mut [u8] {
        let start = usize::from(index.0) * FORWARD_QUERY_OCTETS_MAX;
        self.octets
            .get_mut(start..start + FORWARD_QUERY_OCTETS_MAX)
            .unwrap_or_default()
    }

    /// The query's octets, with the id of its last try.
    pub(crate) fn query(&self, index: Index) -> &[u8] {
        let start = usize::from(index.0) * FORWARD_QUERY_OCTETS_MAX;
        let length = self.get(index).map_or(0, |entry| entry.length);
        self.octets.get(start..start + length).unwrap_or_default()
    }

    /// Which query a reply with `key` may answer.
    pub(crate) fn find(&self, key: Key) -> Option<Index> {
        self.keys.get(&key).copied()
    }

    /// Makes `key` the one of the query's present stage, and returns the one it replaces.
    pub(crate) fn set_key(&mut self, index: Index, key: Key) -> Option<Key> {
        let replaced = self.clear_key(index);
        let entry = self.get_mut(index)?;
        if let Some(slot) = entry.tries.get_mut(entry.stage) {
            *slot = Some(key);
            self.keys.insert(key, index);
            self.push(Chain::Place(key.place.index()), index);
        }
        replaced
    }

    /// Forgets the key of the query's present stage, and returns it.
    pub(crate) fn clear_key(&mut self, index: Index) -> Option<Key> {
        self.leave_place(index);
        let entry = self.get_mut(index)?;
        let key = entry.tries.get_mut(entry.stage)?.take()?;
        self.keys.remove(&key);
        Some(key)
    }

    /// Moves a query to its next stage. False, and nothing is changed, if it is in the last one.
    pub(crate) fn advance(&mut self, index: Index, now: Instant) -> bool {
        match self.get(index).map(|entry| entry.stage + 1) {
            Some(stage) if stage < TRIES_MAX => {
                self.leave_place(index);
                self.leave_stage(index);
                self.enter(index, stage, now);
                true
            }
            _ => false,
        }
    }

    /// The query whose try has waited to its end first, with that end.
    pub(crate) fn next_due(&self) -> Option<(Index, Instant)> {
        let heads = self.stages.iter().filter_map(|list| list.oldest);
        heads
            .filter_map(|index| Some((index, self.get(index)?.deadline)))
            .min_by_key(|&(_, deadline)| deadline)
    }

    /// The newest query whose last try went through `place`.
    pub(crate) fn newest_in(&self, place: Place) -> Option<Index> {
        self.places.get(place.index())?.newest
    }

    /// Appends a query to the list of `stage`.
    fn enter(&mut self, index: Index, stage: usize, now: Instant) {
        let Some(timeout) = TRY_TIMEOUTS.get(stage) else {
            return;
        };
        if let Some(entry) = self.get_mut(index) {
            (entry.stage, entry.deadline) = (stage, now + *timeout);
        }
        self.push(Chain::Stage(stage), index);
    }

    fn leave_stage(&mut self, index: Index) {
        if let Some(stage) = self.get(index).map(|entry| entry.stage) {
            self.unlink(Chain::Stage(stage), index);
        }
    }

    /// Takes a query out of the list of its last try's place, if it is in one.
    fn leave_place(&mut self, index: Index) {
        if let Some(key) = self.get(index).and_then(Entry::last_try) {
            self.unlink(Chain::Place(key.place.index()), index);
        }
    }

    fn push(&mut self, chain: Chain, index: Index) {
        let Some(list) = self.list_mut(chain) else { return };
        let older = list.newest.replace(index);
        list.oldest.get_or_insert(index);
        if let Some(links) = older.and_then(|older| self.links_mut(chain, older)) {
            links.newer = Some(index);
        }
        if let Some(links) = self.links_mut(chain, index) {
            *links = Links { older, newer: None };
        }
    }

    fn unlink(&mut self, chain: Chain, index: Index) {
        let Some(&mut Links { older, newer }) = self.links_mut(chain, index) else {
            return;
        };
        match older.and_then(|older| self.links_mut(chain, older)) {
            Some(links) => links.newer = newer,
            None => self
                .list_mut(chain)
                .into_iter()
                .for_each(|list| list.oldest = newer),
        }
        match newer.and_then(|newer| self.links_mut(chain, newer)) {
            Some(links) => links.older = older,
            None => self
                .list_mut(chain)
                .into_iter()
                .for_each(|list| list.newest = older),
        }
    }

    fn links_mut(&mut self, chain: Chain, index: Index) -> Option<&mut Links> {
        self.get_mut(index)?.links.get_mut(chain.kind())
    }

    fn list_mut(&mut self, chain: Chain) -> Option<&mut List> {
        match chain {
            Chain::Stage(stage) => self.stages.get_mut(stage),
            Chain::Place(place) => self.places.get_mut(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use dns::Query;
    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng;

    use super::super::config::Config;
    use super::super::upstream::Upstreams;
    use super::*;
    use crate::path::Local;

    const QUERY: &[u8] = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x03com\x00\x00\x01\x00\x01";

    fn asked() -> Asked {
        let to = ReturnPath::Datagram {
            listener: 0,
            peer: "127.0.0.1:9".parse().unwrap(),
            local: Local::Bound,
        };
        let head = Head::from(&Query::parse(QUERY).unwrap());
        Asked {
            to,
            head,
            id: 7,
            question_end: QUERY.len(),
            limit: 512,
        }
    }

    fn places() -> impl FnMut() -> Place {
        let (mut upstreams, mut random) = (Upstreams::new(), ChaCha12Rng::from_seed([1; 32]));
        upstreams.set(&Config::all_to(vec!["127.0.0.1:53".parse().unwrap()]));
        move || upstreams.take(0, &mut random).unwrap().0
    }

    #[test]
    fn deadlines_come_in_order_whichever_stage_they_belong_to() {
        let (mut table, start) = (Pending::new(&[9; 16]), Instant::now());
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let first = table.insert(asked(), QUERY, start).unwrap();
        let second = table.insert(asked(), QUERY, at(10)).unwrap();
        assert_eq!(table.next_due(), Some((first, at(800))));
        assert!(table.advance(first, at(800)));
        assert_eq!(table.next_due(), Some((second, at(810))));
        table.remove(second).unwrap();
        assert_eq!(table.next_due(), Some((first, at(1600))));
        assert!(table.advance(first, at(1600)) && !table.advance(first, at(2500)));
        table.remove(first).unwrap();
        assert_eq!((table.next_due(), table.len()), (None, 0));
    }

    #[test]
    fn a_full_table_takes_no_more_and_never_allocates_again() {
        let (mut table, now, mut place) = (Pending::new(&[9; 16]), Instant::now(), places());
        let place = place();
        let capacity = table.keys.capacity();
        let indices: Vec<_> = (0..PENDING_MAX)
            .map(|_| table.insert(asked(), QUERY, now).unwrap())
            .collect();
        assert_eq!(table.insert(asked(), QUERY, now), None);
        // Many generations of keys, all tries of all queries in use.
        let mut id = 0_u16;
        for _ in 0..20 {
            for &index in &indices {
                id = id.wrapping_add(1);
                table.set_key(index, Key { place, id });
            }
            for &index in &indices {
                table.remove(index).unwrap();
            }
            for _ in &indices {
                table.insert(asked(), QUERY, now).unwrap();
            }
        }
        assert_eq!(
            (table.keys.capacity(), table.entries.capacity()),
            (capacity, PENDING_MAX)
        );
    }

    #[test]
    fn every_try_can_be_answered_until_the_query_leaves() {
        let (mut table, now, mut place) = (Pending::new(&[9; 16]), Instant::now(), places());
        let index = table.insert(asked(), QUERY, now).unwrap();
        let keys: Vec<_> = (0..2).map(|id| Key { place: place(), id }).collect();
        assert_eq!(table.set_key(index, keys[0]), None);
        table.advance(index, now);
        table.set_key(index, keys[1]);
        assert_eq!(
            keys.iter().map(|key| table.find(*key)).collect::<Vec<_>>(),
            [Some(index); 2]
        );
        assert_eq!(table.newest_in(keys[1].place), Some(index));
        assert_eq!(table.newest_in(keys[0].place), None);
        assert_eq!(table.remove(index).unwrap().0.tries().collect::<Vec<_>>(), keys);
        assert_eq!(
            keys.iter().map(|key| table.find(*key)).collect::<Vec<_>>(),
            [None; 2]
        );
    }

    #[test]
    fn one_client_leaves_room_for_others_and_two_leave_some_too() {
        let (mut table, now) = (Pending::new(&[9; 16]), Instant::now());
        let from = |client: &str| {
            let mut asked = asked();
            asked.to = ReturnPath::Datagram {
                listener: 0,
                peer: SocketAddr::new(client.parse().unwrap(), 9),
                local: Local::Bound,
            };
            asked
        };
        let mut fill = |client: &str| {
            let mut taken = Vec::new();
            while !table.has_its_share(client.parse().unwrap()) {
                taken.push(table.insert(from(client), QUERY, now).unwrap());
            }
            (taken, table.len())
        };
        let (first, waiting) = fill("172.17.0.2");
        assert_eq!((first.len(), waiting), (3072, 3072));
        assert!(fill("::ffff:172.17.0.2").0.is_empty());
        let (second, _) = fill("172.17.0.3");
        assert_eq!(second.len(), 768);
        assert!(!table.has_its_share("172.17.0.4".parse().unwrap()));
        // What is answered is free again.
        for index in first {
            table.remove(index).unwrap();
        }
        assert!(!table.has_its_share("172.17.0.2".parse().unwrap()));
        for index in second {
            table.remove(index).unwrap();
        }
        assert!(table.shares.iter().all(|waiting| *waiting == 0));
    }

    #[test]
    fn a_query_too_long_for_its_room_is_not_taken() {
        let (mut table, now) = (Pending::new(&[9; 16]), Instant::now());
        assert_eq!(
            table.insert(asked(), &[0; FORWARD_QUERY_OCTETS_MAX + 1], now),
            None
        );
        assert_eq!(table.len(), 0);
    }
}
