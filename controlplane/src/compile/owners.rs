//! Who stands at which name.
//!
//! A name is kept as 120 bits of SipHash under a key of this process, not as its octets: a host has four names for each
//! service, and whoever asks has the octets anyway. Two names that meet are less likely than a memory that forgets:
//! among a million names, one in 10^24.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use dns::Name;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::owner::{Crowd, Member, Noted, Owner, Trouble};
use crate::naming::Role;

/// A name's hash.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key([u8; KEY_OCTETS]);

/// Octets of a hash that are kept: with the role of whoever stands there alone they are sixteen.
const KEY_OCTETS: usize = 15;

/// Who stands at a name alone. There are four for each service, so each octet counts.
struct One {
    key: Key,
    role: Role,
    member: Member,
}

const _: () = assert!(size_of::<One>() == 24, "there are four for each service");

/// Takes half of a key for its hash: it is one.
#[derive(Default)]
struct HalfOfKey(u64);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [half @ .., _, _, _, _, _, _, _] = self.0;
        state.write_u64(u64::from_ne_bytes(half));
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

impl Borrow<Key> for One {
    fn borrow(&self) -> &Key {
        &self.key
    }
}

impl Hash for One {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl PartialEq for One {
    /// Whether it is the same name.
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for One {}

/// All names at which somebody stands.
pub(super) struct Owners {
    hasher: SipHasher13,
    /// Names at which one stands alone.
    ones: HashSet<One, BuildHasherDefault<HalfOfKey>>,
    /// All others.
    crowds: HashMap<Key, Box<Crowd>, BuildHasherDefault<HalfOfKey>>,
}

impl Owners {
    pub(super) fn new() -> Self {
        // Who can choose names must not be able to choose two that meet.
        let [first, second] = [0, 1].map(|number| RandomState::new().hash_one(number));
        Self {
            hasher: SipHasher13::new_with_keys(first, second),
            ones: HashSet::default(),
            crowds: HashMap::default(),
        }
    }

    /// Who stands at `name`.
    pub(super) fn get(&self, name: &Name) -> Option<Owner<'_>> {
        let key = self.key(name);
        match self.ones.get(&key) {
            Some(one) => Some(Owner::One(one.role, &one.member)),
            None => self.crowds.get(&key).map(|crowd| Owner::Many(crowd)),
        }
    }

    /// Remembers what was chosen of those who stand at `name`. What is wrong with the name, unless it was already when it
    /// was last compiled.
    pub(super) fn chose(&mut self, name: &Name, noted: Noted) -> Option<Trouble> {
        let key = self.key(name);
        self.crowds.get_mut(&key)?.chose(noted)
    }

    /// Puts `member` at `name`, in the place of the service that it was before. Whether the records there change.
    pub(super) fn insert(&mut self, name: &Name, role: Role, member: Member) -> bool {
        let key = self.key(name);
        match self.ones.take(&key) {
            Some(one) if (one.role, &one.member) != (role, &member) => {
                let mut crowd = Box::<Crowd>::default();
                crowd.insert(one.role, one.member);
                crowd.insert(role, member);
                self.crowds.insert(key, crowd);
                true
            }
            None if let Some(crowd) = self.crowds.get_mut(&key) => crowd.insert(role, member),
            None | Some(_) => self.ones.insert(One { key, role, member }),
        }
    }

    /// Takes `member` from `name`. Whether the records there change.
    pub(super) fn remove(&mut self, name: &Name, role: Role, member: &Member) -> bool {
        let key = self.key(name);
        if let Some(one) = self.ones.get(&key) {
            return (one.role, &one.member) == (role, member) && self.ones.remove(&key);
        }
        let Some(crowd) = self.crowds.get_mut(&key) else {
            return false;
        };
        let is_changed = crowd.remove(role, member);
        if let Some((role, member)) = crowd.only() {
            self.crowds.remove(&key);
            self.ones.insert(One { key, role, member });
        }
        is_changed
    }

    fn key(&self, name: &Name) -> Key {
        let mut hasher = self.hasher;
        hasher.write(name.octets());
        let [key @ .., _] = hasher.finish128().as_u128().to_ne_bytes();
        Key(key)
    }
}
