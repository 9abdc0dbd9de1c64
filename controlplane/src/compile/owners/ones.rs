//! Names at which one service stands alone: a host has four for each, so every octet counts.
//!
//! ```text
//! part  | one | one | ...     4096 of them, ordered by key and without gaps
//! one   | upper 60 bits of a name's hash | role: 4 bits | service: a pointer |
//! ```
//!
//! Hashes are spread evenly, so where one would stand in its part is known but for a few steps, and a table with free
//! slots, which doubles when it is full, would have taken twice the room. What comes or goes moves half a part, a
//! kilobyte among a hundred thousand services.

use super::Key;
use crate::compile::owner::Member;
use crate::naming::Role;

/// Parts, by as many bits of a hash as are not kept beside those of the key.
const PARTS: usize = 1 << 12;
/// Bits of a key that are its role instead.
const ROLE: u64 = 15;
/// Room that a part has first.
const FIRST_ROOM: usize = 4;
/// Every role, at the place of its number.
const ROLES: [Role; 11] = [
    Role::Environment,
    Role::Service,
    Role::Instance,
    Role::Uuid,
    Role::Wished,
    Role::Container,
    Role::ComposeService,
    Role::ComposeInstance,
    Role::ComposeBare,
    Role::NetworkAlias,
    Role::Reverse,
];

/// Who stands where alone.
pub(super) struct Ones(Box<[Vec<One>]>);

struct One {
    /// Of the name, but for the bits of [`ROLE`].
    key_and_role: u64,
    member: Member,
}

const _: () = assert!(size_of::<One>() == 16, "there are four for each service");
const _: () = assert!(ROLES.len() as u64 <= ROLE + 1, "a role has four bits");

impl Ones {
    pub(super) fn new() -> Self {
        let mut parts = Vec::new();
        parts.resize_with(PARTS, Vec::new);
        Self(parts.into())
    }

    /// Who stands there, and why.
    pub(super) fn get(&self, key: Key) -> Option<(Role, &Member)> {
        let part = self.0.get(part_of(key))?;
        let one = part.get(place(part, key).ok()?)?;
        Some((one.role(), &one.member))
    }

    /// Puts `member` there, in the place of whoever there is.
    pub(super) fn put(&mut self, key: Key, role: Role, member: Member) {
        let Some(part) = self.0.get_mut(part_of(key)) else {
            return;
        };
        let one = One {
            key_and_role: key.high & !ROLE | role as u64,
            member,
        };
        match place(part, key) {
            Ok(place) => {
                if let Some(there) = part.get_mut(place) {
                    *there = one;
                }
            }
            Err(free) => {
                if part.len() == part.capacity() {
                    part.reserve_exact(more_room(part.len()));
                }
                part.insert(free, one);
            }
        }
    }

    /// Takes away whoever stands there.
    pub(super) fn take(&mut self, key: Key) -> Option<(Role, Member)> {
        let part = self.0.get_mut(part_of(key))?;
        let place = place(part, key).ok()?;
        let one = part.remove(place);
        Some((one.role(), one.member))
    }
}

impl One {
    fn role(&self) -> Role {
        let number = self.key_and_role & ROLE;
        *ROLES
            .get(number as usize)
            .expect("`put` wrote the number of a role")
    }
}

/// Which part.
fn part_of(key: Key) -> usize {
    key.low as usize % PARTS
}

/// Where in `part` that key is, or would be.
fn place(part: &[One], key: Key) -> Result<usize, usize> {
    let wanted = key.high & !ROLE;
    let key_at = |place: usize| part.get(place).map(|one| one.key_and_role & !ROLE);
    let mut place = ((u128::from(wanted) * part.len() as u128) >> 64) as usize;
    while key_at(place).is_some_and(|key| key < wanted) {
        place += 1;
    }
    while let Some(before) = place.checked_sub(1)
        && key_at(before).is_some_and(|key| key >= wanted)
    {
        place = before;
    }
    if key_at(place) == Some(wanted) {
        Ok(place)
    } else {
        Err(place)
    }
}

/// For how many more there is to be room beside so many: up to the next quarter of a power of two, which are the sizes that
/// allocators have.
fn more_room(ones: usize) -> usize {
    match ones.checked_ilog2() {
        Some(power) => ((1 << power) / 4).max(1),
        None => FIRST_ROOM,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::fixture::service;

    #[test]
    fn roles_are_read_as_they_were_written() {
        for (number, role) in ROLES.into_iter().enumerate() {
            assert_eq!(role as usize, number);
        }
    }

    #[test]
    fn it_agrees_with_a_map() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let members: Vec<Member> = (0..8)
            .map(|number| Member(Arc::new(service("e", &format!("web{number}")))))
            .collect();
        // Few parts, so that they are long; some keys lie close together, and at both ends.
        let keys: Vec<Key> = (0..4000_u64)
            .map(|number| Key {
                low: number % 3,
                high: match number % 5 {
                    0 => number << 4,
                    1 => u64::MAX - (number << 4),
                    _ => random(),
                },
            })
            .collect();
        let (mut ones, mut model) = (Ones::new(), HashMap::new());
        let told = |found: Option<(Role, &Member)>| found.map(|(role, member)| (role, member.clone()));
        for turn in 0..40_000 {
            let key = keys[random() as usize % keys.len()];
            let model_key = (key.low, key.high & !ROLE);
            let (role, member) = (ROLES[random() as usize % 11], &members[random() as usize % 8]);
            // At first more come than go, and at last all go.
            if random() % 4 < if turn < 20_000 { 3 } else { 1 } {
                ones.put(key, role, member.clone());
                model.insert(model_key, (role, member.clone()));
            } else {
                assert_eq!(ones.take(key), model.remove(&model_key));
            }
            let other = keys[random() as usize % keys.len()];
            let expected = model.get(&(other.low, other.high & !ROLE)).cloned();
            assert_eq!(told(ones.get(other)), expected);
        }
        for key in &keys {
            assert_eq!(ones.take(*key), model.remove(&(key.low, key.high & !ROLE)));
            assert!(ones.get(*key).is_none());
        }
        assert!(ones.0.iter().all(Vec::is_empty) && model.is_empty());
    }
}
