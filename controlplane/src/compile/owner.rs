//! Who stands at one name, and whom of them its records speak for.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arcstr::ArcStr;
use dns::Tier;

use crate::naming::Role;
use crate::service::{Port, Service, Source};

/// Members of a name whose records can be of use: as many A records of 16 octets as one TCP message of 65 535
/// octets holds. Of more, the first by id are taken; the others are found under their longer names.
pub(super) const MEMBERS_MAX: usize = 65_535 / 16;

/// Members that make a name a crowd's: one lookup in memory that is cold for each of them, so that compiling all of 4 095 takes a
/// millisecond.
pub(super) const CROWD_MIN: usize = 128;

/// Services, or projects, that a trouble names; of more, the first by id, or by name.
const TOLD_MAX: usize = 8;

/// A service, told from others by its id alone, so that the one that was there can be found by the one that
/// comes.
#[derive(Clone, Debug)]
pub(super) struct Member(pub(super) Arc<Service>);

/// Everybody at one name; at least one. Most names belong to one service.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner<'o> {
    One(Role, &'o Member),
    Many(&'o Crowd),
}

/// Several at one name.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// In the order of roles, of which few meet at one name. No set is empty.
    members: Vec<(Role, BTreeSet<Member>)>,
    /// The Compose projects that want the name each for itself, and how many members each has there. A name has one role
    /// at most that can be contested: `service.env` and `service` lie at different depths below their zone.
    projects: BTreeMap<ArcStr, usize>,
    /// The last one that the records spoke for when they were compiled, if there were more behind it. Who
    /// comes or goes behind it with the same role changes no record.
    horizon: Option<(Role, Member)>,
    /// What was wrong with it when it was compiled.
    trouble: Option<Trouble>,
}

/// Why a name is not what somebody could expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is nobody's: several Compose projects, two at least, have a service of that name, and did not ask to share it.
    Rivals(Vec<String>),
    /// These services asked for it, and it means something with a better claim.
    Overruled(Vec<String>),
    /// It is our own server's, and none of these services that are called so gets it.
    OurServer(Vec<String>),
    /// These services stand for names elsewhere, and no alias can stand beside others' records (RFC 1034, section
    /// 3.6.2).
    Aliases(Vec<String>),
}

/// Whether a service that stands at a name answers for it; those that do come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It does.
    Answers,
    /// It would, but more stand there than one answer can hold.
    BeyondRoom,
    /// It has not been healthy yet, and others are.
    Starting,
    /// It is not healthy.
    Unhealthy,
    /// Several Compose projects have a service of that name, so it is nobody's.
    Contested,
    /// The name is an alias on networks that the client is not in.
    OtherNetwork,
    /// Those who stand there for that reason go before it.
    Outranked(Role),
    /// It is in another region than the one that was asked for, which counts for SRV alone.
    OtherRegion,
    /// The name is our own server's.
    OurServer,
}

/// What a choice among several leaves behind.
#[derive(Debug)]
pub(super) struct Noted {
    horizon: Option<(Role, Member)>,
    trouble: Option<Trouble>,
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
    /// Why those of `forward` have the name; none for a reverse name alone, or one that nobody gets.
    pub(super) role: Option<Role>,
    /// What is to be remembered of the choice by [`Crowd::chose`], where several stand at the name.
    pub(super) noted: Option<Noted>,
    /// Whether nobody gets the name.
    pub(super) is_contested: bool,
}

impl<'o> Owner<'o> {
    /// Whether so many stand here that their records are much work.
    pub(super) fn is_crowd(self) -> bool {
        match self {
            Self::One(..) => false,
            Self::Many(crowd) => {
                let all = crowd.members.iter().map(|(_, members)| members.len());
                all.sum::<usize>() >= CROWD_MIN
            }
        }
    }

    /// Some of those who stand here, for whoever is told that they do not have the name.
    pub(super) fn instances(self) -> Vec<String> {
        let all = self.verdicts().into_iter().take(TOLD_MAX);
        all.map(|(service, ..)| service.instance.to_string()).collect()
    }

    /// Everybody, why they stand here, and whether they answer.
    pub(super) fn verdicts(self) -> Vec<(&'o Arc<Service>, Role, Verdict)> {
        let crowd = match self {
            Self::One(role, one) => return vec![(&one.0, role, verdict(role, one.0.tier(), false))],
            Self::Many(crowd) => crowd,
        };
        let first = crowd.first().map(|(role, _)| *role);
        let mut verdicts = Vec::new();
        for &(role, ref members) in &crowd.members {
            let is_contested = crowd.is_contested(role);
            let some_ready = members.iter().any(|member| member.0.tier() == Tier::Ready);
            let mut answering = 0;
            for Member(service) in members {
                let verdict = match first {
                    Some(first) if role != first && role != Role::Reverse => Verdict::Outranked(first),
                    _ if is_contested => Verdict::Contested,
                    _ => match verdict(role, service.tier(), some_ready) {
                        Verdict::Answers if answering == MEMBERS_MAX => Verdict::BeyondRoom,
                        Verdict::Answers => {
                            answering += 1;
                            Verdict::Answers
                        }
                        other => other,
                    },
                };
                verdicts.push((service, role, verdict));
            }
        }
        verdicts
    }

    /// Whom the records are to speak for: at most [`MEMBERS_MAX`] of each direction.
    pub(super) fn choose(self) -> Chosen<'o> {
        match self {
            Self::One(Role::Reverse, one) => Chosen {
                reverse: vec![&one.0],
                ..Chosen::default()
            },
            Self::One(role, one) => Chosen {
                forward: ready(role, std::iter::once(one))
                    .map(|member| &*member.0)
                    .collect(),
                ports: ports(role, &one.0).to_vec(),
                role: Some(role),
                ..Chosen::default()
            },
            Self::Many(crowd) => crowd.choose(),
        }
    }
}

/// The ports of a service that have names below a name at which it stands for that reason.
fn ports(role: Role, service: &Service) -> &[Port] {
    if role.has_ports() { &service.ports } else { &[] }
}

/// Those of `members` that a name of that kind leads to: the ready ones; where there are none, starting ones, so that
/// peers can meet before they are healthy. Endpoints are chosen alike, by [`Tier`].
fn ready<'m>(
    role: Role,
    members: impl Iterator<Item = &'m Member> + Clone,
) -> impl Iterator<Item = &'m Member> {
    let some_ready = role.is_gated() && members.clone().any(|member| member.0.tier() == Tier::Ready);
    members.filter(move |member| verdict(role, member.0.tier(), some_ready) == Verdict::Answers)
}

/// Whether one of that tier answers at a name of that kind.
pub(super) fn verdict(role: Role, tier: Tier, some_ready: bool) -> Verdict {
    if role.is_gated() {
        of_several(tier, some_ready)
    } else {
        Verdict::Answers
    }
}

/// Whether one of that tier answers for a name that means all of a kind.
pub(super) fn of_several(tier: Tier, some_ready: bool) -> Verdict {
    match tier {
        Tier::Ready => Verdict::Answers,
        Tier::Starting if some_ready => Verdict::Starting,
        Tier::Starting => Verdict::Answers,
        Tier::Withheld => Verdict::Unhealthy,
    }
}

impl Crowd {
    /// Adds a member, or puts the newer service in its place. Whether the records change.
    pub(super) fn insert(&mut self, role: Role, member: Member) -> bool {
        let is_seen = self.is_seen(role, &member);
        self.add(role, member);
        is_seen || self.is_contested(role)
    }

    /// Removes a member. Whether the records change.
    pub(super) fn remove(&mut self, role: Role, member: &Member) -> bool {
        self.drop_member(role, member) && self.is_seen(role, member)
    }

    /// The last one, if the others are gone.
    pub(super) fn only(&self) -> Option<(Role, Member)> {
        let mut members = self
            .members
            .iter()
            .flat_map(|(role, members)| members.iter().map(|member| (*role, member)));
        let (role, member) = members.next()?;
        members.next().is_none().then(|| (role, member.clone()))
    }

    /// Remembers what was chosen. What is wrong with the name, unless it was already when it was last compiled.
    pub(super) fn chose(&mut self, noted: Noted) -> Option<Trouble> {
        self.horizon = noted.horizon;
        if self.trouble == noted.trouble {
            return None;
        }
        self.trouble.clone_from(&noted.trouble);
        noted.trouble
    }

    fn add(&mut self, role: Role, member: Member) {
        if let Some(project) = project(role, &member.0) {
            *self.projects.entry(project.clone()).or_default() += 1;
        }
        let place = self.place(role).unwrap_or_else(|free| {
            self.members.reserve_exact(1);
            self.members.insert(free, (role, BTreeSet::new()));
            free
        });
        let members = self.members.get_mut(place);
        let replaced = members.and_then(|(_, members)| members.replace(member));
        if let Some(replaced) = replaced {
            self.forget_project(role, &replaced);
        }
    }

    fn drop_member(&mut self, role: Role, member: &Member) -> bool {
        let Ok(place) = self.place(role) else {
            return false;
        };
        let Some((_, members)) = self.members.get_mut(place) else {
            return false;
        };
        let Some(removed) = members.take(member) else {
            return false;
        };
        if members.is_empty() {
            self.members.remove(place);
        }
        self.forget_project(role, &removed);
        true
    }

    /// Where in `members` those of that role are, or would be.
    fn place(&self, role: Role) -> Result<usize, usize> {
        self.members.binary_search_by_key(&role, |(role, _)| *role)
    }

    /// Those who stand here for that reason.
    fn of(&self, role: Role) -> Option<&BTreeSet<Member>> {
        let (_, members) = self.members.get(self.place(role).ok()?)?;
        Some(members)
    }

    /// Those with the best claim. Reverse names stand apart from all others, unless a zone is one.
    fn first(&self) -> Option<&(Role, BTreeSet<Member>)> {
        self.members.iter().find(|(role, _)| *role != Role::Reverse)
    }

    /// Counts one member less of the project of `gone`.
    fn forget_project(&mut self, role: Role, gone: &Member) {
        let Some(project) = project(role, &gone.0) else {
            return;
        };
        if let Some(members) = self.projects.get_mut(project) {
            *members -= 1;
            if *members == 0 {
                self.projects.remove(project);
            }
        }
    }

    /// Whether those who stand here for that reason are of several projects, so that none of them has the name.
    fn is_contested(&self, role: Role) -> bool {
        role.is_contestable() && self.projects.len() > 1
    }

    fn is_seen(&self, role: Role, member: &Member) -> bool {
        self.horizon
            .as_ref()
            .is_none_or(|(last_role, last)| role != *last_role || member <= last)
    }

    fn choose(&self) -> Chosen<'_> {
        let mut chosen = Chosen {
            reverse: self
                .of(Role::Reverse)
                .into_iter()
                .flatten()
                .take(MEMBERS_MAX)
                .map(|member| &*member.0)
                .collect(),
            ..Chosen::default()
        };
        let (mut of_last, mut trouble) = (None, None);
        if let Some(&(role, ref members)) = self.first() {
            if self.is_contested(role) {
                chosen.is_contested = true;
                let rivals = self.projects.keys().map(ToString::to_string);
                trouble = Some(Trouble::Rivals(rivals.take(TOLD_MAX).collect()));
            } else {
                let forward: Vec<&Member> = ready(role, members.iter()).take(MEMBERS_MAX).collect();
                if role.has_ports() {
                    let listening = members.iter().take(MEMBERS_MAX).chain(forward.iter().copied());
                    let listening: BTreeSet<Port> =
                        listening.flat_map(|member| &member.0.ports).copied().collect();
                    chosen.ports = listening.into_iter().collect();
                }
                of_last = horizon(role, members, &forward);
                chosen.forward = forward.into_iter().map(|member| &*member.0).collect();
                chosen.role = Some(role);
                trouble = self.overruled(members).or_else(|| aliases(role, members));
            }
        }
        chosen.noted = Some(Noted {
            horizon: of_last,
            trouble,
        });
        chosen
    }

    /// Who asked for the name and is not among those who have it.
    fn overruled(&self, having: &BTreeSet<Member>) -> Option<Trouble> {
        let wishing = self.of(Role::Wished)?;
        let overruled = wishing.iter().filter(|member| !having.contains(*member));
        let overruled: Vec<String> = overruled.map(instance).take(TOLD_MAX).collect();
        (!overruled.is_empty()).then_some(Trouble::Overruled(overruled))
    }
}

fn instance(Member(service): &Member) -> String {
    service.instance.to_string()
}

/// Who of several at the name of a host stands for a name elsewhere.
fn aliases(role: Role, members: &BTreeSet<Member>) -> Option<Trouble> {
    if !role.is_host() || members.len() < 2 {
        return None;
    }
    let aliases = members.iter().filter(|member| member.0.alias().is_some());
    let aliases: Vec<String> = aliases.map(instance).take(TOLD_MAX).collect();
    (!aliases.is_empty()).then_some(Trouble::Aliases(aliases))
}

/// Who of `members` is the last that counts, if as many were chosen as can be and there are more.
///
/// Only where no member behind it, whatever its health, could change the choice, but by being of another project.
fn horizon(role: Role, members: &BTreeSet<Member>, chosen: &[&Member]) -> Option<(Role, Member)> {
    let last = *chosen.last().filter(|_| chosen.len() == MEMBERS_MAX)?;
    let is_last_word = !role.is_gated() || last.0.tier() == Tier::Ready;
    (is_last_word && members.last() != Some(last)).then(|| (role, last.clone()))
}

/// The Compose project of `service`, if it shares a name of that kind with no other project. Whoever is in no project, or
/// has its service word because it asked for it, shares it with all.
fn project(role: Role, service: &Service) -> Option<&ArcStr> {
    let wants_it_alone = role.is_contestable() && !(role == Role::Service && service.is_service_asked);
    let compose = service.compose.as_ref().filter(|_| wants_it_alone);
    compose.map(|compose| &compose.project)
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, other) = (&self.0.id, &other.0.id);
        // Nearly always it is the same source, and a set of a hundred thousand compares often.
        match (&one.source, &other.source) {
            (Source::Engine(a), Source::Engine(b)) if ArcStr::ptr_eq(a, b) => {
                (&one.id, one.part).cmp(&(&other.id, other.part))
            }
            _ => one.cmp(other),
        }
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
mod tests;
