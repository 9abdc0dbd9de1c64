//! Differences in, snapshot out: only the names that a difference touches are compiled again.
//!
//! ```text
//!  Delta ──naming──▶ Names ──enter · leave──▶ owners: name ──▶ who stands there
//!                                                │ names marked as touched
//!                                                ▼
//!                              records: A AAAA SRV PTR ──▶ Builder::set · remove ──▶ Snapshot
//!                                                ▲ views
//!  Change::Networks ──▶ networks ────────────────┴─▶ Builder::set_networks, zones of reverse names
//!  Change::Carried ──▶ held: names outside our zones that stay ours when nobody stands there
//! ```
//!
//! A service that is not ready stands at all of its names; `owner` decides which of them lead to it, and the snapshot
//! does so by the same tiers for query wildcards and names of four and more labels.
//!
//! [`Compiler::apply`] is called for each difference of a burst and [`Compiler::compile`] once after it, so a
//! name that a thousand services of the burst share is compiled once. `burst` does both for many on all cores.

mod audience;
mod burst;
mod explain;
mod held;
mod networks;
mod owner;
mod owners;
mod published;
mod records;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::fast::RandomState;

use dns::{BuildError, Builder, Endpoint, EndpointKey, Name, Snapshot, Tier};

use self::burst::{BURST_MIN, Named};
pub use self::explain::{CANDIDATES_MAX, Candidate, Explanation, Way};
use self::held::Held;
pub use self::held::Holder;
use self::networks::Networks;
use self::owner::{Member, Owner};
pub use self::owner::{Trouble, Verdict};
use self::owners::{Owners, Touched};
pub use self::published::PublishedAt;
use crate::naming::{Mapping, Names, Naming, NamingError, is_port_name};
use crate::registry::Delta;
use crate::service::{Health, Network, Service, Source};

/// Keeps what the next snapshot needs to know of the services that are in the last one.
pub struct Compiler {
    naming: Naming,
    builder: Builder,
    /// Who stands at each name; a name without anybody is not here.
    owners: Owners,
    /// Services that have names. One that could not be named is not here, though the registry knows it.
    named: HashMap<Member, EndpointKey, RandomState>,
    /// Names whose records may have changed since the last snapshot.
    touched: Touched,
    networks: Networks,
    /// Names outside our zones that are ours though nobody stands there.
    held: Held,
    /// Names of our own servers, as the builder has them.
    servers: Vec<Name>,
    /// Who is told not to have the name of one of them.
    told_of_servers: HashMap<Name, Vec<String>>,
    /// Zones of reverse names that we were given up to now.
    reverse_zones: BTreeSet<Name>,
    /// [`BURST_MIN`], and who has a burst compiled.
    burst_min: usize,
    run: fn(&(dyn Fn() + Sync)),
}

/// What a snapshot does not say, though one could expect it; ordered by name.
#[derive(Debug, Default)]
pub struct Remarks {
    /// Names that the builder does not take; they keep the records they had.
    pub errors: Vec<BuildError>,
    /// Names that are not what somebody could expect; each is told once, until its trouble is another.
    pub troubles: Vec<(Name, Trouble)>,
}

/// What a difference did to the names, for whoever tells people of it. [`Compiler::announcement`] has the words.
///
/// A host's first list makes one for each container, so it is small.
#[derive(Debug, Default)]
pub struct Applied {
    /// Whose name went.
    pub went: Option<Arc<Service>>,
    /// Whose name came.
    pub came: Option<Arc<Service>>,
    /// Whose name stayed, and leads to a service of another health now.
    pub turned: Option<Arc<Service>>,
    /// Words that had to be changed to become labels.
    pub mapped: Vec<Mapping>,
    /// Why the service has no names now. All others keep theirs.
    pub failed: Option<Box<ServiceError>>,
}

/// A service that has names, and what there is of it.
struct Standing {
    member: Member,
    key: EndpointKey,
    names: Names,
}

/// A service's own name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// `instance.service.env` of the first zone.
    pub name: Name,
    /// Its addresses, primary first.
    pub addresses: Vec<IpAddr>,
    /// The name that it stands for, where it has no address.
    pub alias: Option<Name>,
    /// Names that it asked for itself.
    pub wished: Vec<Name>,
    /// What its checks say.
    pub health: Health,
    /// Whether the names that it shares with others lead to it.
    pub tier: Tier,
}

/// Why one service gets no names. Read by a person.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It cannot be named.
    #[error(transparent)]
    Naming(#[from] NamingError),
    /// It can be named, but not be held.
    #[error("{instance:?} ({id}) gets no names: {reason}")]
    Endpoint {
        /// The source's id of the service.
        id: ArcStr,
        /// Its instance word.
        instance: ArcStr,
        /// What the builder found.
        reason: BuildError,
    },
}

impl Compiler {
    /// Compiles into `builder`, whose zones are those of `naming`.
    #[must_use]
    pub fn new(naming: Naming, builder: Builder) -> Self {
        let with_addresses = builder.zones().filter(|zone| !zone.addresses.is_empty());
        let servers = with_addresses.map(|zone| zone.primary.clone()).collect();
        Self {
            naming,
            builder,
            servers,
            told_of_servers: HashMap::new(),
            owners: Owners::new(),
            named: HashMap::default(),
            touched: HashSet::default(),
            networks: Networks::default(),
            held: Held::default(),
            reverse_zones: BTreeSet::new(),
            burst_min: BURST_MIN,
            run: burst::on_all_cores,
        }
    }

    /// Leads clients that are in none of the networks to published ports. Before any service comes.
    #[must_use]
    pub fn published_at(mut self, published: PublishedAt) -> Self {
        self.networks.set_published(published);
        self.builder.set_networks(&self.networks.prefixes());
        self
    }

    /// Takes in one difference; the snapshots built before do not change.
    ///
    /// A service that cannot be named loses the names it had: they belong to what it was.
    pub fn apply(&mut self, delta: &Delta) -> Applied {
        let named = delta.after().map(|service| self.naming.names(service));
        self.apply_named(delta, named)
    }

    /// The same, and what is there after it is called so.
    fn apply_named(&mut self, delta: &Delta, named: Option<Named>) -> Applied {
        let was = delta.before().and_then(|old| self.standing(old));
        let old = delta.before().filter(|_| was.is_some());
        let outcome = match (was, delta.after().zip(named)) {
            (Some(was), Some((new, Ok(Some(names))))) => Some((new, self.turn(was, new, names))),
            (was, after) => {
                if let Some(was) = was {
                    self.leave(was);
                }
                after.map(|(new, named)| (new, self.enter(new, named)))
            }
        };
        let (mut applied, came) = match outcome {
            None => (Applied::default(), None),
            Some((new, outcome)) => match outcome {
                Ok(None) => (Applied::default(), None),
                Ok(Some(mapped)) => (
                    Applied {
                        mapped,
                        ..Applied::default()
                    },
                    Some(new),
                ),
                Err(failed) => (
                    Applied {
                        failed: Some(failed.into()),
                        ..Applied::default()
                    },
                    None,
                ),
            },
        };
        // Only what a dig would show is worth a line.
        match old.zip(came) {
            None => (applied.went, applied.came) = (old.cloned(), came.cloned()),
            Some((old, new)) => match [old, new].map(|service| self.announcement(service)) {
                [went, came] if went == came => {}
                [Some(went), Some(came)] if went.leads_where(&came) => applied.turned = Some(new.clone()),
                _ => (applied.went, applied.came) = (Some(old.clone()), Some(new.clone())),
            },
        }
        applied
    }

    /// The own name of `service` and what it stands for; none if it cannot be named.
    #[must_use]
    pub fn announcement(&self, service: &Service) -> Option<Announcement> {
        Some(Announcement {
            name: self.naming.canonical(service)?,
            addresses: service.addresses.iter().map(|address| address.ip).collect(),
            alias: service.alias().cloned(),
            wished: service
                .wishes
                .as_ref()
                .map_or_else(Vec::new, |wishes| wishes.names.clone()),
            health: service.health,
            tier: service.tier(),
        })
    }

    /// Takes in all networks of one source, and becomes authoritative for the reverse names of their addresses.
    ///
    /// None if nothing changes; else how many zones of reverse names are left out, because there are too many.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: a zone that the builder does not take. The others are served.
    pub fn networks(&mut self, source: &Source, networks: Vec<Network>) -> Result<Option<usize>, BuildError> {
        if !self.networks.set(source, networks) {
            return Ok(None);
        }
        self.builder.set_networks(&self.networks.prefixes());
        let (zones, left_out) = self.networks.reverse_zones(&self.naming);
        // Those that go first: one that comes may lie in one of them, or around it.
        for zone in self.reverse_zones.difference(&zones) {
            self.builder.remove_zone(zone);
        }
        let mut outcome = Ok(Some(left_out));
        let server = self.builder.zones().next().cloned();
        if let Some(server) = server {
            for zone in zones.difference(&self.reverse_zones) {
                if let Err(error) = self.builder.add_zone(server.reverse(zone.clone())) {
                    outcome = Err(error);
                }
            }
        }
        self.reverse_zones = zones;
        outcome
    }

    /// Compiles the names touched since the last call and builds the snapshot.
    pub fn compile(&mut self) -> (Snapshot, Remarks) {
        let mut remarks = Remarks::default();
        // Taken, not drained: the first burst of a large host would leave its room behind for ever.
        let touched = std::mem::take(&mut self.touched);
        if touched.len() < self.burst_min {
            for name in touched {
                self.compile_name(&name, &mut remarks);
            }
        } else {
            self.compile_all(touched.into_iter().collect(), &mut remarks);
        }
        remarks.sort();
        (self.builder.build(), remarks)
    }

    /// The same, but names that very many services share keep the records they have, until they are compiled next: while
    /// much changes, that would be done again and again for each of those who come and go.
    pub fn compile_but_crowds(&mut self) -> (Snapshot, Remarks) {
        let is_crowds = |name: &Name| self.owners.get(name).is_some_and(Owner::is_crowd);
        let (crowds, others) = std::mem::take(&mut self.touched).into_iter().partition(is_crowds);
        self.touched = others;
        let compiled = self.compile();
        self.touched = crowds;
        compiled
    }

    /// Whether names that changed are not compiled yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Compiles one name and those of the ports below it.
    fn compile_name(&mut self, name: &Name, remarks: &mut Remarks) {
        if self.servers.contains(name) {
            Self::tell_of_server(&mut self.told_of_servers, &self.owners, name, remarks);
            return;
        }
        match self.owners.get(name) {
            None => {
                self.builder.remove(name);
                if self.is_held(name) {
                    let kept = self.builder.set(name, &[]);
                    remarks.errors.extend(kept.err());
                }
            }
            Some(owner) => {
                let mut chosen = owner.choose();
                let noted = chosen.noted.take();
                let (rrsets, ports) = records::at(name, &chosen, &self.naming, &self.networks);
                if chosen.is_contested && rrsets.is_empty() {
                    self.builder.remove(name);
                } else {
                    let set = self.builder.set_with_ports(name, &rrsets, &ports);
                    remarks.errors.extend(set.err());
                }
                remarks.tell(name, noted.and_then(|noted| self.owners.chose(name, noted)));
            }
        }
    }

    /// Tells of whoever is called like our own server: the zone's NS record leads to us.
    fn tell_of_server(
        told: &mut HashMap<Name, Vec<String>>,
        owners: &Owners,
        name: &Name,
        remarks: &mut Remarks,
    ) {
        let losing = owners.get(name).map(Owner::instances).unwrap_or_default();
        let told = told.insert(name.clone(), losing.clone());
        if !losing.is_empty() && told.as_ref() != Some(&losing) {
            remarks.troubles.push((name.clone(), Trouble::OurServer(losing)));
        }
    }

    /// Takes in which names things of `source` carry, whether they run or not. Of what lies in our zones we say that it is
    /// not there anyway. Which names at which nobody stands became ours, or are no more: their answers change.
    pub fn carried(&mut self, source: &Source, carriers: Vec<(ArcStr, Arc<[Name]>)>) -> Vec<Name> {
        let mut changed = Vec::new();
        for (id, mut names) in carriers {
            if names.iter().any(|name| self.naming.zone_of(name).is_some()) {
                let outside = names.iter().filter(|name| self.naming.zone_of(name).is_none());
                names = outside.cloned().collect();
            }
            changed.extend(self.held.set(&(source.clone(), id), names));
        }
        changed.retain(|name| self.owners.get(name).is_none());
        self.touched.extend(changed.iter().cloned());
        changed
    }

    /// Whether `name`, at which nobody may stand, is ours because somebody carries it.
    pub(crate) fn is_held(&self, name: &Name) -> bool {
        self.held.is_held(name)
    }

    /// Whether somebody stands at `name`.
    pub(crate) fn is_owned(&self, name: &Name) -> bool {
        self.owners.get(name).is_some()
    }

    /// Services that have names.
    #[must_use]
    pub fn services(&self) -> usize {
        self.named.len()
    }

    /// The own name of some service that has names.
    #[must_use]
    pub fn sample(&self) -> Option<Name> {
        let Member(service) = self.named.keys().next()?;
        self.naming.canonical(service)
    }

    /// Gives a service its names, of which some words may be mapped; none if it has no address, and so no use for one.
    fn enter(&mut self, service: &Arc<Service>, named: Named) -> Result<Option<Vec<Mapping>>, ServiceError> {
        let Some(mut names) = named? else {
            return Ok(None);
        };
        self.enter_endpoint(service, &mut names.endpoint)?;
        let member = Member(service.clone());
        self.owners.enter(names.places, &member, &mut self.touched);
        Ok(Some(names.mapped))
    }

    /// Takes in all of a service but that it stands at its names.
    fn enter_endpoint(
        &mut self,
        service: &Arc<Service>,
        endpoint: &mut Endpoint,
    ) -> Result<(), ServiceError> {
        self.networks.enter(service);
        self.see(service, endpoint);
        match self.builder.insert_endpoint(endpoint) {
            Ok(key) => {
                self.named.insert(Member(service.clone()), key);
                Ok(())
            }
            Err(reason) => {
                self.networks.leave(service);
                Err(ServiceError::endpoint(service, reason))
            }
        }
    }

    /// What `service` has now; none if it has no names.
    fn standing(&self, service: &Arc<Service>) -> Option<Standing> {
        let member = Member(service.clone());
        let key = *self.named.get(&member)?;
        // Naming is a plain function: the names are those that it gave when the service came.
        let names = self.naming.names(service).ok().flatten()?;
        Some(Standing { member, key, names })
    }

    /// Takes a service's names.
    fn leave(&mut self, was: Standing) {
        self.named.remove(&was.member);
        self.networks.leave(&was.member.0);
        self.builder.remove_endpoint(was.key, &was.names.endpoint.labels);
        self.owners
            .withdraw(was.names.places, &was.member, &mut self.touched);
    }

    /// Puts a service in the place of what it was, which costs half of what leaving and entering do. As for
    /// [`Compiler::enter`], it has none of its names if that fails.
    fn turn(
        &mut self,
        was: Standing,
        service: &Arc<Service>,
        mut names: Names,
    ) -> Result<Option<Vec<Mapping>>, ServiceError> {
        self.networks.enter(service);
        self.see(service, &mut names.endpoint);
        let labels = &was.names.endpoint.labels;
        if let Err(reason) = self.builder.replace_endpoint(was.key, labels, &names.endpoint) {
            self.networks.leave(service);
            self.leave(was);
            return Err(ServiceError::endpoint(service, reason));
        }
        self.networks.leave(&was.member.0);
        let member = Member(service.clone());
        // The map would keep the key that it has, which is the service as it was.
        self.named.remove(&was.member);
        self.named.insert(member.clone(), was.key);
        let mut gone = was.names.places;
        gone.retain(|place| !names.places.contains(place));
        self.owners.enter(names.places, &member, &mut self.touched);
        self.owners.withdraw(gone, &was.member, &mut self.touched);
        Ok(Some(names.mapped))
    }

    /// Notes in the endpoint of `service` what other clients than everybody get.
    fn see(&self, service: &Service, endpoint: &mut Endpoint) {
        endpoint.views = self.networks.views(service);
        endpoint.view_ports = records::view_ports(service, &self.networks);
    }
}

impl ServiceError {
    fn endpoint(service: &Service, reason: BuildError) -> Self {
        Self::Endpoint {
            id: service.id.id.clone(),
            instance: service.instance.clone(),
            reason,
        }
    }
}

impl Announcement {
    /// Whether `other` is the same name and leads to the same place.
    fn leads_where(&self, other: &Self) -> bool {
        fn of(it: &Announcement) -> (&Name, &[IpAddr], Option<&Name>, &[Name]) {
            (&it.name, &it.addresses, it.alias.as_ref(), &it.wished)
        }
        of(self) == of(other)
    }
}

impl Remarks {
    /// Notes what is wrong with `name`. Names of ports stand and fall with the names above them, which are told of.
    fn tell(&mut self, name: &Name, news: Option<Trouble>) {
        if let Some(trouble) = news.filter(|_| !is_port_name(name)) {
            self.troubles.push((name.clone(), trouble));
        }
    }

    fn sort(&mut self) {
        self.troubles
            .sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.errors.sort_by_cached_key(ToString::to_string);
    }
}

#[cfg(test)]
mod defect_tests;
#[cfg(test)]
mod neighbour_tests;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wish_tests;
