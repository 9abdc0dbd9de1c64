//! Who stands at which name.
//!
//! A name is kept as its SipHash under a key of this process, not as its octets: a host has four names for each service, and
//! whoever asks has the octets anyway. Where several stand, all 128 bits are kept; where one stands alone, 72 of them
//! tell it from the others. Two that meet among a million names: one in 10^10; beside them, in a year of a thousand
//! changes a second: one in 10^4.

mod ones;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use dns::Name;
use siphasher::sip128::{Hasher128, SipHasher13};

use self::ones::Ones;
use super::owner::{Crowd, Member, Noted, Owner, Trouble};
use crate::naming::Role;

/// Names whose records may have changed since they were compiled.
pub(super) type Touched = HashSet<Name, foldhash::fast::RandomState>;

/// A name's hash.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    low: u64,
    high: u64,
}

/// Takes half of a key for its hash: it is one.
#[derive(Default)]
struct HalfOfKey(u64);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.high);
    }
}

impl Hasher for HalfOfKey {
    fn write(&mut self, octets: &[u8]) {
        // Not reached: a key is written as one number.
        self.0 = octets
            .iter()
            .fold(self.0, |sum, octet| sum << 8 | u64::from(*octet));
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// All names at which somebody stands.
pub(super) struct Owners {
    hasher: SipHasher13,
    /// Names at which one stands alone.
    ones: Ones,
    /// All others.
    crowds: HashMap<Key, Box<Crowd>, BuildHasherDefault<HalfOfKey>>,
}

impl Owners {
    pub(super) fn new() -> Self {
        // Who can choose names must not be able to choose two that meet.
        let [first, second] = [0, 1].map(|number| RandomState::new().hash_one(number));
        Self {
            hasher: SipHasher13::new_with_keys(first, second),
            ones: Ones::new(),
            crowds: HashMap::default(),
        }
    }

    /// Who stands at `name`.
    pub(super) fn get(&self, name: &Name) -> Option<Owner<'_>> {
        let key = self.key(name);
        match self.ones.get(key) {
            Some((role, member)) => Some(Owner::One(role, member)),
            None => self.crowds.get(&key).map(|crowd| Owner::Many(crowd)),
        }
    }

    /// Remembers what was chosen of those who stand at `name`. What is wrong with the name, unless it was already when it
    /// was last compiled.
    pub(super) fn chose(&mut self, name: &Name, noted: Noted) -> Option<Trouble> {
        let key = self.key(name);
        self.crowds.get_mut(&key)?.chose(noted)
    }

    /// Puts `member` at all of these, and notes in `touched` where the records change for it.
    pub(super) fn enter(&mut self, places: Vec<(Name, Role)>, member: &Member, touched: &mut Touched) {
        for (name, role) in places {
            if self.insert(&name, role, member.clone()) {
                touched.insert(name);
            }
        }
    }

    /// Takes `member` from all of these, and notes in `touched` where the records change for it.
    pub(super) fn withdraw(&mut self, places: Vec<(Name, Role)>, member: &Member, touched: &mut Touched) {
        for (name, role) in places {
            if self.remove(&name, role, member) {
                touched.insert(name);
            }
        }
    }

    /// Puts `member` at `name`, in the place of the service that it was before. Whether the records there change.
    pub(super) fn insert(&mut self, name: &Name, role: Role, member: Member) -> bool {
        let key = self.key(name);
        match self.ones.get(key) {
            Some(one) if one == (role, &member) => self.ones.put(key, role, member),
            None if let Some(crowd) = self.crowds.get_mut(&key) => return crowd.insert(role, member),
            None => self.ones.put(key, role, member),
            Some(_) => {
                let mut crowd = Box::<Crowd>::default();
                if let Some((role, one)) = self.ones.take(key) {
                    crowd.insert(role, one);
                }
                crowd.insert(role, member);
                self.crowds.insert(key, crowd);
            }
        }
        true
    }

    /// Takes `member` from `name`. Whether the records there change.
    pub(super) fn remove(&mut self, name: &Name, role: Role, member: &Member) -> bool {
        let key = self.key(name);
        if let Some(one) = self.ones.get(key) {
            return one == (role, member) && self.ones.take(key).is_some();
        }
        let Some(crowd) = self.crowds.get_mut(&key) else {
            return false;
        };
        let is_changed = crowd.remove(role, member);
        if let Some((role, member)) = crowd.only() {
            self.crowds.remove(&key);
            self.ones.put(key, role, member);
        }
        is_changed
    }

    fn key(&self, name: &Name) -> Key {
        let mut hasher = self.hasher;
        hasher.write(name.octets());
        let hash = hasher.finish128();
        Key {
            low: hash.h1,
            high: hash.h2,
        }
    }
}
