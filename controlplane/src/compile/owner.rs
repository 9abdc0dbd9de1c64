//! Who stands at one name, and whom of them its records speak for.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::naming::Role;
use crate::service::{Health, Port, Service};

/// Members of a name whose records can be of use: as many A records of 16 octets as one TCP message of 65 535
/// octets holds. Of more, the first by id are taken; the others are found under their longer names.
pub(super) const MEMBERS_MAX: usize = 65_535 / 16;

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
    /// No set is empty.
    members: BTreeMap<Role, BTreeSet<Member>>,
    /// The last one that the records spoke for when they were compiled, if there were more behind it. Who
    /// comes or goes behind it with the same role changes no record.
    horizon: Option<(Role, Member)>,
    /// Ports that may have names below this one since it was compiled, besides those of members who left.
    ports: Vec<Port>,
    /// Whether it was given to nobody when it was compiled, because several projects claim it.
    is_contested: bool,
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
    /// Ports with names below this one, in order: those of all members that `forward` was chosen from, so that the
    /// name of a port goes on existing while those who listen there are not healthy.
    pub(super) ports: Vec<Port>,
    /// Ports that may have names below this one and are not among `ports`.
    pub(super) stale_ports: Vec<Port>,
    /// Projects that claim the name, of which none gets it: two of them at least.
    pub(super) rivals: Vec<&'o str>,
    /// Whether they were rivals already when the name was last compiled.
    pub(super) rivals_are_known: bool,
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
                let mut crowd = Crowd {
                    members: BTreeMap::new(),
                    horizon: None,
                    ports: ports(*one_role, &one.0).to_vec(),
                    is_contested: false,
                };
                crowd.insert(*one_role, one.clone());
                crowd.insert(role, member);
                *self = Self::Many(Box::new(crowd));
                true
            }
            Self::Many(crowd) => {
                let is_seen = crowd.is_seen(role, &member);
                crowd.insert(role, member);
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
                if !crowd.remove(role, member) || !crowd.is_seen(role, member) {
                    return Left::OthersUnchanged;
                }
                if let Some((role, last)) = crowd.only() {
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
            Self::One(role, one) => Chosen {
                forward: ready(*role, std::iter::once(&*one))
                    .map(|member| &*member.0)
                    .collect(),
                ports: ports(*role, &one.0).to_vec(),
                ..Chosen::default()
            },
            Self::Many(crowd) => crowd.choose(),
        }
    }
}

/// The ports of a service that have names below a name at which it stands for that reason.
pub(super) fn ports(role: Role, service: &Service) -> &[Port] {
    if role.has_ports() { &service.ports } else { &[] }
}

/// Those of `members` that a name of that kind leads to: healthy ones and those without a health check; where there
/// are none, starting ones, so that peers can meet before they are healthy; never unhealthy ones.
fn ready<'m>(
    role: Role,
    members: impl Iterator<Item = &'m Member> + Clone,
) -> impl Iterator<Item = &'m Member> {
    let is_gated = role.is_gated();
    let some_ready = is_gated && members.clone().any(|member| member.0.health.is_ready());
    members.filter(move |member| match member.0.health {
        _ if !is_gated => true,
        Health::None | Health::Healthy => true,
        Health::Starting => !some_ready,
        Health::Unhealthy => false,
    })
}

impl Crowd {
    fn insert(&mut self, role: Role, member: Member) {
        self.members.entry(role).or_default().replace(member);
    }

    fn remove(&mut self, role: Role, member: &Member) -> bool {
        let Some(members) = self.members.get_mut(&role) else {
            return false;
        };
        let was_there = members.remove(member);
        if members.is_empty() {
            self.members.remove(&role);
        }
        was_there
    }

    /// The last one, if the others are gone.
    fn only(&self) -> Option<(Role, Member)> {
        let mut members = self
            .members
            .iter()
            .flat_map(|(role, members)| members.iter().map(|member| (*role, member)));
        let (role, member) = members.next()?;
        members.next().is_none().then(|| (role, member.clone()))
    }

    fn is_seen(&self, role: Role, member: &Member) -> bool {
        self.horizon
            .as_ref()
            .is_none_or(|(last_role, last)| role != *last_role || member <= last)
    }

    fn choose(&mut self) -> Chosen<'_> {
        // Reverse names stand apart from all others, unless a zone is one.
        let first = self.members.iter().find(|(role, _)| **role != Role::Reverse);
        let mut chosen = Chosen {
            reverse: self
                .members
                .get(&Role::Reverse)
                .into_iter()
                .flatten()
                .take(MEMBERS_MAX)
                .map(|member| &*member.0)
                .collect(),
            rivals_are_known: self.is_contested,
            ..Chosen::default()
        };
        self.horizon = None;
        if let Some((&role, members)) = first {
            if role == Role::ComposeBare {
                chosen.rivals = rivals(members);
            }
            if chosen.rivals.is_empty() {
                let forward: Vec<&Member> = ready(role, members.iter()).take(MEMBERS_MAX).collect();
                let listening = members.iter().take(MEMBERS_MAX).chain(forward.iter().copied());
                let listening: BTreeSet<Port> = listening
                    .flat_map(|member| ports(role, &member.0))
                    .copied()
                    .collect();
                chosen.ports = listening.into_iter().collect();
                self.horizon = horizon(role, members, &forward);
                chosen.forward = forward.into_iter().map(|member| &*member.0).collect();
            }
        }
        self.is_contested = !chosen.rivals.is_empty();
        chosen.stale_ports = std::mem::replace(&mut self.ports, chosen.ports.clone());
        chosen.stale_ports.retain(|port| !chosen.ports.contains(port));
        chosen
    }
}

/// Who of `members` is the last that counts, if as many were chosen as can be and there are more.
///
/// Only where no member behind it, whatever its health and its project, could change the choice.
fn horizon(role: Role, members: &BTreeSet<Member>, chosen: &[&Member]) -> Option<(Role, Member)> {
    let last = *chosen.last().filter(|_| chosen.len() == MEMBERS_MAX)?;
    let is_last_word = role != Role::ComposeBare && (!role.is_gated() || last.0.health.is_ready());
    (is_last_word && members.last() != Some(last)).then(|| (role, last.clone()))
}

/// The projects that `members` are of, in order, if there are several.
fn rivals(members: &BTreeSet<Member>) -> Vec<&str> {
    let projects = members.iter().filter_map(|member| member.0.compose.as_ref());
    let projects: BTreeSet<&str> = projects.map(|compose| &*compose.project).collect();
    if projects.len() > 1 {
        projects.into_iter().collect()
    } else {
        Vec::new()
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
    use crate::service::{Compose, Protocol};

    fn member(instance: &str) -> Member {
        Member(Arc::new(service("e", instance)))
    }

    fn instances(services: &[&Service]) -> Vec<String> {
        services
            .iter()
            .map(|service| service.instance.to_string())
            .collect()
    }

    fn with(instance: &str, change: impl FnOnce(&mut Service)) -> Member {
        let mut service = service("e", instance);
        change(&mut service);
        Member(Arc::new(service))
    }

    fn owner(role: Role, members: Vec<Member>) -> Owner {
        let mut members = members.into_iter();
        let mut owner = Owner::One(role, members.next().unwrap());
        for member in members {
            owner.insert(role, member);
        }
        owner
    }

    /// Who of `a`, `b` and so on, of these healths, a name of that role leads to.
    fn check_health(role: Role, healths: &[Health], expected: &[&str]) {
        let of = |(place, health): (usize, &Health)| {
            let name = ["a", "b", "c", "d"][place];
            with(name, |service| service.health = *health)
        };
        let mut owner = owner(role, healths.iter().enumerate().map(of).collect());
        assert_eq!(
            instances(&owner.choose().forward),
            expected,
            "{role:?} {healths:?}"
        );
    }

    #[test]
    fn a_shared_name_leads_to_those_who_can_work_else_to_those_who_start_and_never_to_the_sick() {
        use Health::{Healthy, None, Starting, Unhealthy};
        for role in [
            Role::Environment,
            Role::Service,
            Role::ComposeService,
            Role::ComposeBare,
        ] {
            check_health(role, &[Healthy, Starting, Unhealthy, None], &["a", "d"]);
            check_health(role, &[Unhealthy, Starting, Starting], &["b", "c"]);
            check_health(role, &[Unhealthy, Unhealthy], &[]);
            check_health(role, &[Unhealthy], &[]);
            check_health(role, &[Starting], &["a"]);
        }
    }

    #[test]
    fn a_name_of_one_leads_there_whatever_its_health() {
        use Health::{Healthy, Starting, Unhealthy};
        for role in [Role::Instance, Role::Uuid, Role::Container, Role::ComposeInstance] {
            check_health(role, &[Unhealthy], &["a"]);
            check_health(role, &[Healthy, Starting, Unhealthy], &["a", "b", "c"]);
        }
    }

    #[test]
    fn the_bare_name_of_a_compose_service_is_given_to_one_project_or_to_none() {
        let of = |name: &str, project: &str| {
            let compose = Compose {
                project: project.into(),
                service: "web".into(),
                number: None,
            };
            with(name, |service| service.compose = Some(compose))
        };
        let mut owner = owner(Role::ComposeBare, vec![of("a", "shop"), of("b", "shop")]);
        assert_eq!(instances(&owner.choose().forward), ["a", "b"]);
        owner.insert(Role::ComposeBare, of("c", "blog"));
        let chosen = owner.choose();
        assert_eq!((chosen.forward.len(), chosen.rivals), (0, vec!["blog", "shop"]));
        assert!(!chosen.rivals_are_known);
        assert!(owner.choose().rivals_are_known);
        owner.remove(Role::ComposeBare, &of("c", "blog"));
        assert_eq!(instances(&owner.choose().forward), ["a", "b"]);
    }

    #[test]
    fn ports_of_the_sick_keep_their_names_and_those_of_who_loses_the_name_go() {
        let port = |number| Port {
            protocol: Protocol::Tcp,
            number,
        };
        let sick = with("a", |service| {
            service.health = Health::Unhealthy;
            service.ports = vec![port(1)];
        });
        let well = with("b", |service| service.ports = vec![port(2), port(3)]);
        let mut owner = owner(Role::Container, vec![sick.clone(), well.clone()]);
        assert_eq!(owner.choose().ports, [port(1), port(2), port(3)]);
        owner.insert(Role::Service, sick);
        let chosen = owner.choose();
        assert_eq!(chosen.ports, [port(1)]);
        assert_eq!(chosen.stale_ports, [port(2), port(3)]);
        owner.insert(Role::Environment, well);
        let chosen = owner.choose();
        assert_eq!((chosen.ports, chosen.stale_ports), (vec![], vec![port(1)]));
    }

    #[test]
    fn members_are_in_order_whatever_order_they_came_in() {
        let mut owner = Owner::One(Role::Service, member("c"));
        for instance in ["a", "d", "b"] {
            assert!(owner.insert(Role::Service, member(instance)));
        }
        assert_eq!(instances(&owner.choose().forward), ["a", "b", "c", "d"]);
    }

    #[test]
    fn the_newer_of_two_with_one_id_stays() {
        let mut newer = service("e", "a");
        newer.ttl_seconds = 7;
        let mut owner = Owner::One(Role::Service, member("a"));
        for _ in 0..2 {
            assert!(owner.insert(Role::Service, Member(Arc::new(newer.clone()))));
            assert_eq!(owner.choose().forward, [&newer]);
            owner.insert(Role::Service, member("b"));
            owner.insert(Role::Service, member("a"));
            assert_eq!(owner.choose().forward.len(), 2);
            assert_eq!(owner.remove(Role::Service, &member("b")), Left::Others);
        }
    }

    #[test]
    fn the_grammar_goes_before_short_names_and_reverse_stands_apart() {
        let mut owner = Owner::One(Role::Container, member("s"));
        owner.insert(Role::Reverse, member("r"));
        assert_eq!(instances(&owner.choose().forward), ["s"]);
        owner.insert(Role::Service, member("g"));
        assert_eq!(instances(&owner.choose().forward), ["g"]);
        assert_eq!(instances(&owner.choose().reverse), ["r"]);
        owner.remove(Role::Service, &member("g"));
        assert_eq!(instances(&owner.choose().forward), ["s"]);
    }

    #[test]
    fn who_is_not_there_cannot_leave_and_the_last_one_ends_the_name() {
        let mut owner = Owner::One(Role::Service, member("a"));
        assert_eq!(owner.remove(Role::Service, &member("b")), Left::OthersUnchanged);
        assert_eq!(owner.remove(Role::Container, &member("a")), Left::OthersUnchanged);
        owner.insert(Role::Service, member("b"));
        assert_eq!(owner.remove(Role::Container, &member("a")), Left::OthersUnchanged);
        assert_eq!(owner.remove(Role::Service, &member("a")), Left::Others);
        assert_eq!(owner.remove(Role::Service, &member("b")), Left::Nobody);
    }

    #[test]
    fn behind_the_horizon_nothing_changes_a_record() {
        let name = |number: usize| format!("{number:05}");
        let mut owner = Owner::One(Role::Service, member(&name(0)));
        for number in 1..MEMBERS_MAX + 10 {
            assert!(
                owner.insert(Role::Service, member(&name(number))),
                "nothing was compiled yet"
            );
        }
        let last = name(MEMBERS_MAX - 1);
        let chosen = instances(&owner.choose().forward);
        assert_eq!((chosen.len(), chosen.last()), (MEMBERS_MAX, Some(&last)));

        assert!(!owner.insert(Role::Service, member("90000")));
        assert_eq!(
            owner.remove(Role::Service, &member("90000")),
            Left::OthersUnchanged
        );
        assert_eq!(owner.remove(Role::Service, &member(&last)), Left::Others);
        assert!(owner.insert(Role::Service, member("00000-and-a-half")));
        assert_eq!(instances(&owner.choose().forward).len(), MEMBERS_MAX);
    }
}
