//! Who stands at one name, and whom of them its records speak for.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::service::Service;

/// Members of a name whose records can be of use: as many A records of 16 octets as one TCP message of 65 535
/// octets holds. Of more, the first by id are taken; the others are found under their longer names.
pub(super) const MEMBERS_MAX: usize = 65_535 / 16;

/// Why a service stands at a name. Of those that share one, the first kind there is gets the name's
/// addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// By the grammar: the name is its environment's, its service's or its own.
    Grammar,
    /// By its uuid or its instance directly below the zone, as long as that is not an environment's name.
    Short,
    /// It has the address that the name is the reverse of.
    Reverse,
}

/// A service, told from others by its id alone, so that the one that was there can be found by the one that
/// comes.
#[derive(Clone, Debug)]
pub(super) struct Member(pub(super) Arc<Service>);

/// Everybody at one name; at least one.
///
/// Most names belong to one service: a set for each would cost more than all else that we keep.
#[derive(Debug)]
pub(super) enum Owner {
    One(Role, Member),
    Many(Box<Crowd>),
}

/// Several at one name.
#[derive(Debug)]
pub(super) struct Crowd {
    members: BTreeSet<(Role, Member)>,
    /// The last one that the records spoke for when they were compiled, if there were more behind it. Who
    /// comes or goes behind it with the same role changes no record.
    horizon: Option<(Role, Member)>,
}

/// What a removal left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nobody: the name goes.
    Nobody,
    /// Others, and the records change.
    Others,
    /// Others, and the records stay as they are.
    OthersUnchanged,
}

/// Whom the records of a name speak for, in order.
#[derive(Debug, Default)]
pub(super) struct Chosen<'o> {
    /// Whose addresses and ports the name has.
    pub(super) forward: Vec<&'o Service>,
    /// Whose names the name, a reverse one, points to.
    pub(super) reverse: Vec<&'o Service>,
}

impl Owner {
    /// Adds a member, or puts the newer service in its place. Whether the records change.
    pub(super) fn insert(&mut self, role: Role, member: Member) -> bool {
        match self {
            Self::One(one_role, one) if (*one_role, &*one) == (role, &member) => {
                *one = member;
                true
            }
            Self::One(one_role, one) => {
                let members = BTreeSet::from([(*one_role, one.clone()), (role, member)]);
                *self = Self::Many(Box::new(Crowd {
                    members,
                    horizon: None,
                }));
                true
            }
            Self::Many(crowd) => {
                let is_seen = crowd.is_seen(role, &member);
                crowd.members.replace((role, member));
                is_seen
            }
        }
    }

    /// Removes a member. After [`Left::Nobody`] the owner is as it was, and is to be dropped.
    pub(super) fn remove(&mut self, role: Role, member: &Member) -> Left {
        match self {
            Self::One(one_role, one) if (*one_role, &*one) == (role, member) => Left::Nobody,
            Self::One(..) => Left::OthersUnchanged,
            Self::Many(crowd) => {
                if !crowd.members.remove(&(role, member.clone())) || !crowd.is_seen(role, member) {
                    return Left::OthersUnchanged;
                }
                if crowd.members.len() == 1 {
                    let (role, last) = crowd.members.pop_first().expect("there is one");
                    *self = Self::One(role, last);
                }
                Left::Others
            }
        }
    }

    /// Whom the records are to speak for: at most [`MEMBERS_MAX`] of each direction.
    pub(super) fn choose(&mut self) -> Chosen<'_> {
        match self {
            Self::One(Role::Reverse, one) => Chosen {
                reverse: vec![&one.0],
                ..Chosen::default()
            },
            Self::One(_, one) => Chosen {
                forward: vec![&one.0],
                ..Chosen::default()
            },
            Self::Many(crowd) => crowd.choose(),
        }
    }
}

impl Crowd {
    fn is_seen(&self, role: Role, member: &Member) -> bool {
        self.horizon
            .as_ref()
            .is_none_or(|(last_role, last)| role != *last_role || member <= last)
    }

    fn choose(&mut self) -> Chosen<'_> {
        let first = self.members.first().map_or(Role::Grammar, |(role, _)| *role);
        self.horizon = (self.members.len() > MEMBERS_MAX)
            .then(|| {
                let mut seen = self.members.iter().take_while(|(role, _)| *role == first);
                let last = seen.nth(MEMBERS_MAX - 1)?.clone();
                seen.next().map(|_| last)
            })
            .flatten();
        let of = |wanted: Role| {
            let members = self.members.iter().skip_while(move |(role, _)| *role < wanted);
            members
                .take_while(move |(role, _)| *role == wanted)
                .take(MEMBERS_MAX)
                .map(|(_, member)| &*member.0)
        };
        let forward = if first == Role::Reverse {
            Vec::new()
        } else {
            of(first).collect()
        };
        // Reverse names stand apart from all others, unless a zone is one: only then are the others passed
        // over.
        let has_reverse = self
            .members
            .last()
            .is_some_and(|(role, _)| *role == Role::Reverse);
        let reverse = if has_reverse {
            of(Role::Reverse).collect()
        } else {
            Vec::new()
        };
        Chosen { forward, reverse }
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Member {}

impl Hash for Member {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::service;

    fn member(instance: &str) -> Member {
        Member(Arc::new(service("e", instance)))
    }

    fn instances(services: &[&Service]) -> Vec<String> {
        services.iter().map(|service| service.instance.clone()).collect()
    }

    #[test]
    fn members_are_in_order_whatever_order_they_came_in() {
        let mut owner = Owner::One(Role::Grammar, member("c"));
        for instance in ["a", "d", "b"] {
            assert!(owner.insert(Role::Grammar, member(instance)));
        }
        assert_eq!(instances(&owner.choose().forward), ["a", "b", "c", "d"]);
    }

    #[test]
    fn the_newer_of_two_with_one_id_stays() {
        let mut newer = service("e", "a");
        newer.ttl_seconds = 7;
        let mut owner = Owner::One(Role::Grammar, member("a"));
        for _ in 0..2 {
            assert!(owner.insert(Role::Grammar, Member(Arc::new(newer.clone()))));
            assert_eq!(owner.choose().forward, [&newer]);
            owner.insert(Role::Grammar, member("b"));
            owner.insert(Role::Grammar, member("a"));
            assert_eq!(owner.choose().forward.len(), 2);
            assert_eq!(owner.remove(Role::Grammar, &member("b")), Left::Others);
        }
    }

    #[test]
    fn the_grammar_goes_before_short_names_and_reverse_stands_apart() {
        let mut owner = Owner::One(Role::Short, member("s"));
        owner.insert(Role::Reverse, member("r"));
        assert_eq!(instances(&owner.choose().forward), ["s"]);
        owner.insert(Role::Grammar, member("g"));
        assert_eq!(instances(&owner.choose().forward), ["g"]);
        assert_eq!(instances(&owner.choose().reverse), ["r"]);
        owner.remove(Role::Grammar, &member("g"));
        assert_eq!(instances(&owner.choose().forward), ["s"]);
    }

    #[test]
    fn who_is_not_there_cannot_leave_and_the_last_one_ends_the_name() {
        let mut owner = Owner::One(Role::Grammar, member("a"));
        assert_eq!(owner.remove(Role::Grammar, &member("b")), Left::OthersUnchanged);
        assert_eq!(owner.remove(Role::Short, &member("a")), Left::OthersUnchanged);
        owner.insert(Role::Grammar, member("b"));
        assert_eq!(owner.remove(Role::Short, &member("a")), Left::OthersUnchanged);
        assert_eq!(owner.remove(Role::Grammar, &member("a")), Left::Others);
        assert_eq!(owner.remove(Role::Grammar, &member("b")), Left::Nobody);
    }

    #[test]
    fn behind_the_horizon_nothing_changes_a_record() {
        let name = |number: usize| format!("{number:05}");
        let mut owner = Owner::One(Role::Grammar, member(&name(0)));
        for number in 1..MEMBERS_MAX + 10 {
            assert!(
                owner.insert(Role::Grammar, member(&name(number))),
                "nothing was compiled yet"
            );
        }
        let last = name(MEMBERS_MAX - 1);
        let chosen = instances(&owner.choose().forward);
        assert_eq!((chosen.len(), chosen.last()), (MEMBERS_MAX, Some(&last)));

        assert!(!owner.insert(Role::Grammar, member("90000")));
        assert_eq!(
            owner.remove(Role::Grammar, &member("90000")),
            Left::OthersUnchanged
        );
        assert_eq!(owner.remove(Role::Grammar, &member(&last)), Left::Others);
        assert!(owner.insert(Role::Grammar, member("00000-and-a-half")));
        assert_eq!(instances(&owner.choose().forward).len(), MEMBERS_MAX);
    }
}
