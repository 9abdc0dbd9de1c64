//! Who stands at which name.
//!
//! A name is kept as 128 bits of SipHash under a key of this process, not as its octets: a host has four names for each
//! service, and whoever asks has the octets anyway. Two names that meet are less likely than a memory that forgets:
//! among a million names, one in 10^26.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use dns::Name;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::owner::{Left, Member, Owner};
use crate::naming::Role;

/// A name's hash.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u128);

/// Takes half of a key for its hash: it is one.
#[derive(Default)]
struct HalfOfKey(u64);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64);
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
    by_name: HashMap<Key, Owner, BuildHasherDefault<HalfOfKey>>,
}

impl Owners {
    pub(super) fn new() -> Self {
        // Who can choose names must not be able to choose two that meet.
        let [first, second] = [0, 1].map(|number| RandomState::new().hash_one(number));
        Self {
            hasher: SipHasher13::new_with_keys(first, second),
            by_name: HashMap::default(),
        }
    }

    /// Who stands at `name`.
    pub(super) fn get(&self, name: &Name) -> Option<&Owner> {
        self.by_name.get(&self.key(name))
    }

    /// The same, to choose whom the records speak for.
    pub(super) fn get_mut(&mut self, name: &Name) -> Option<&mut Owner> {
        let key = self.key(name);
        self.by_name.get_mut(&key)
    }

    /// Puts `member` at `name`. Whether the records there change.
    pub(super) fn insert(&mut self, name: &Name, role: Role, member: Member) -> bool {
        match self.by_name.entry(self.key(name)) {
            Entry::Vacant(free) => {
                free.insert(Owner::One(role, member));
                true
            }
            Entry::Occupied(mut taken) => taken.get_mut().insert(role, member),
        }
    }

    /// Takes `member` from `name`. Whether the records there change.
    pub(super) fn remove(&mut self, name: &Name, role: Role, member: &Member) -> bool {
        let Entry::Occupied(mut taken) = self.by_name.entry(self.key(name)) else {
            return false;
        };
        match taken.get_mut().remove(role, member) {
            Left::OthersUnchanged => false,
            Left::Others => true,
            Left::Nobody => {
                taken.remove();
                true
            }
        }
    }

    fn key(&self, name: &Name) -> Key {
        let mut hasher = self.hasher;
        hasher.write(name.octets());
        Key(hasher.finish128().as_u128())
    }
}
