//! The store beside a map too simple to be wrong, and what must hold between its parts after every step.

use super::*;

/// What a map knows of a name: the octets that were kept last, and until when they are of use to somebody.
struct Known {
    records: Vec<u8>,
    until: u32,
}

/// A store, and all that it was told.
struct Played {
    store: Store,
    draft: Draft,
    hash: Hash,
    known: HashMap<u32, Known>,
    random: u64,
    now: u32,
}

/// Seconds that entries are kept longer than they are fresh.
const GRACE: u32 = 40;
/// So few octets that entries always have to go, and so few slots that some have to go for want of those.
const SHARE: usize = 24 << 10;
const NAMES: u32 = 400;

impl Played {
    fn new(seed: u64) -> Self {
        Self {
            store: Store::new(SHARE, GRACE),
            draft: Draft::new(),
            hash: Hash::new(seed),
            known: HashMap::new(),
            random: seed,
            now: 1,
        }
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as u32 % bound
    }

    /// Names with even numbers lie below `even.example`, and every third is an alias of one below `other.example`.
    fn owner(number: u32) -> String {
        let parent = if number.is_multiple_of(2) { "even" } else { "odd" };
        format!("n{number}.{parent}.example")
    }

    fn key(&self, number: u32) -> Key {
        let query = query(&format!("{} A", Self::owner(number)), PLAIN, 0);
        Key::of(&self.hash, &Query::parse(&query).unwrap())
    }

    fn step(&mut self) {
        // Few names are asked for often, and many seldom.
        let few = self.below(2) == 0;
        let number = self.below(if few { 12 } else { NAMES });
        let key = self.key(number);
        match self.below(100) {
            0..45 => self.insert(number, &key),
            45..90 => {
                if let Some(position) = self.store.find(&key) {
                    let meta = self.store.meta(position).unwrap();
                    self.store.hit(position, &meta);
                }
            }
            90..95 => {
                self.store.remove(&key);
                self.known.remove(&number);
            }
            95..98 => self.now += self.below(20),
            98 => self.flush(),
            _ if self.below(20) == 0 => {
                self.store.flush_all();
                self.known.clear();
            }
            _ => {}
        }
    }

    fn insert(&mut self, number: u32, key: &Key) {
        let owner = Self::owner(number);
        let (count, ttl) = (1 + self.below(12), 1 + self.below(60));
        let mark = self.below(256);
        let mut records = Vec::new();
        let mut last = owner.clone();
        if number.is_multiple_of(3) {
            last = format!("n{number}.other.example");
            records.push(format!("answer {owner} {ttl} CNAME {last}"));
        }
        records.extend((0..count).map(|place| format!("answer {last} {ttl} A 192.0.{mark}.{place}")));
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        // Now and then it fails, and now and then it is too long to be kept.
        let (rcode, records) = match self.below(40) {
            0 => (2, vec![]),
            1 => (0, (0..80).map(|_| *records.last().unwrap()).collect()),
            _ => (0, records),
        };
        let reply = reply(&format!("{owner} A"), rcode, &records);
        self.draft
            .sift(key, &reply, &Rules::default(), |_| false)
            .unwrap();
        if !self.store.insert(key, &self.draft, self.now) {
            assert!(
                records.len() >= 80 || number.is_multiple_of(3),
                "there is room for {records:?}"
            );
            self.known.remove(&number);
            return;
        }
        let grace = if rcode == 2 { 0 } else { GRACE };
        let known = Known {
            records: self.draft.records().to_vec(),
            until: self.now + self.draft.ttl + grace,
        };
        self.known.insert(number, known);
    }

    fn flush(&mut self) {
        let apex = ["even.example", "other.example", "n7.odd.example"][self.below(3) as usize];
        self.store.flush(&name(apex));
        self.known.retain(|&number, known| {
            let is_alias = number.is_multiple_of(3) && !known.records.is_empty();
            let is_within = match apex {
                "even.example" => number.is_multiple_of(2),
                "other.example" => is_alias,
                _ => number == 7,
            };
            !is_within
        });
    }

    /// The store knows nothing else than the map, and its parts agree. Returns how much of what is of use it knows, and how
    /// much there is.
    fn check(&self) -> (u32, u32) {
        let (mut kept, mut useful) = (0, 0);
        for number in 0..NAMES {
            let key = self.key(number);
            let known = self.known.get(&number);
            let found = self.store.find(&key);
            if let Some(position) = found {
                let meta = self.store.meta(position).unwrap();
                let parts = self.store.parts(position, &meta).unwrap();
                let known = known.expect("the store knows what nobody told it");
                assert_eq!(parts.records, known.records, "{number}");
            }
            if known.is_some_and(|known| known.until > self.now) {
                useful += 1;
                kept += u32::from(found.is_some());
            }
        }
        self.store.check();
        assert!(self.store.taken() <= SHARE);
        (kept, useful)
    }
}

#[test]
fn the_store_knows_what_a_map_knows_as_far_as_there_is_room_and_its_parts_agree() {
    for seed in 1..30 {
        let mut played = Played::new(seed);
        let (mut kept, mut useful) = (0, 0);
        for step in 0..2000 {
            played.step();
            if step % 20 == 0 {
                let (some, all) = played.check();
                (kept, useful) = (kept + some, useful + all);
            }
        }
        assert!(kept * 100 >= useful * 50, "seed {seed}: {kept} of {useful}");
    }
}
