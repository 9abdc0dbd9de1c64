//! Differences in, snapshot out: only the names that a difference touches are compiled again.
//!
//! ```text
//!  Delta ──naming──▶ Names ──enter · leave──▶ owners: name ──▶ who stands there
//!                                                │ names marked as touched
//!                                                ▼
//!                              records: A AAAA SRV PTR ──▶ Builder::set · remove ──▶ Snapshot
//! ```
//!
//! [`Compiler::apply`] is called for each difference of a burst and [`Compiler::compile`] once after it, so a
//! name that a thousand services of the burst share is compiled once.

mod owner;
mod records;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use dns::{BuildError, Builder, EndpointKey, Name, Snapshot};

use self::owner::{Left, Member, Owner, Role};
use crate::naming::{Mapping, Names, Naming, NamingError};
use crate::registry::Delta;
use crate::service::Service;

/// Keeps what the next snapshot needs to know of the services that are in the last one.
pub struct Compiler {
    naming: Naming,
    builder: Builder,
    /// Who stands at each name; a name without anybody is not here.
    owners: HashMap<Name, Owner>,
    /// Services that have names. One that could not be named is not here, though the registry knows it.
    named: HashMap<Member, EndpointKey>,
    /// Names whose records may have changed since the last snapshot.
    touched: HashSet<Name>,
}

/// What a difference did to the names, for whoever tells people of it.
#[derive(Debug, Default)]
pub struct Applied {
    /// The name that went.
    pub went: Option<Announcement>,
    /// The name that came.
    pub came: Option<Announcement>,
    /// Words that had to be changed to become labels.
    pub mapped: Vec<Mapping>,
    /// Why the service has no names now. All others keep theirs.
    pub failed: Option<ServiceError>,
}

/// A service's own name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// `instance.service.env` of the first zone.
    pub name: Name,
    /// Its addresses, primary first.
    pub addresses: Vec<IpAddr>,
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
        id: Arc<str>,
        /// Its instance word.
        instance: String,
        /// What the builder found.
        reason: BuildError,
    },
}

impl Compiler {
    /// Compiles into `builder`, whose zones are those of `naming`.
    #[must_use]
    pub fn new(naming: Naming, builder: Builder) -> Self {
        let (owners, named, touched) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self {
            naming,
            builder,
            owners,
            named,
            touched,
        }
    }

    /// Takes in one difference; the snapshots built before do not change.
    ///
    /// A service that cannot be named loses the names it had: they belong to what it was.
    pub fn apply(&mut self, delta: &Delta) -> Applied {
        let went = delta.before().and_then(|old| self.leave(old));
        match delta.after().map(|new| self.enter(new)) {
            None | Some(Ok(None)) => Applied {
                went,
                ..Applied::default()
            },
            Some(Err(failed)) => Applied {
                went,
                failed: Some(failed),
                ..Applied::default()
            },
            Some(Ok(Some((came, mapped)))) => {
                // Only what a dig would show is worth a line.
                let (went, came) = if went.as_ref() == Some(&came) {
                    (None, None)
                } else {
                    (went, Some(came))
                };
                Applied {
                    went,
                    came,
                    mapped,
                    failed: None,
                }
            }
        }
    }

    /// Compiles the names touched since the last call and builds the snapshot.
    ///
    /// # Errors
    ///
    /// A name that the builder does not take keeps the records it had; those errors come beside the snapshot.
    pub fn compile(&mut self) -> (Snapshot, Vec<BuildError>) {
        let mut errors = Vec::new();
        // Taken, not drained: the first burst of a large host would leave its room behind for ever.
        for name in std::mem::take(&mut self.touched) {
            let Some(owner) = self.owners.get_mut(&name) else {
                self.builder.remove(&name);
                continue;
            };
            let chosen = owner.choose();
            let mut rrsets = match self.naming.zone_of(&name) {
                Some(zone) => records::forward(&chosen.forward, zone),
                None => Vec::new(),
            };
            rrsets.extend(records::reverse(&chosen.reverse, &self.naming));
            errors.extend(self.builder.set(&name, &rrsets).err());
        }
        (self.builder.build(), errors)
    }

    /// The own name of some service that has names.
    #[must_use]
    pub fn sample(&self) -> Option<Name> {
        let Member(service) = self.named.keys().next()?;
        self.naming.canonical(service)
    }

    /// Gives a service its names; none if it has no address, and so no use for one.
    fn enter(
        &mut self,
        service: &Arc<Service>,
    ) -> Result<Option<(Announcement, Vec<Mapping>)>, ServiceError> {
        let Some(names) = self.naming.names(service)? else {
            return Ok(None);
        };
        let key = self
            .builder
            .insert_endpoint(&names.endpoint)
            .map_err(|reason| ServiceError::Endpoint {
                id: service.id.id.clone(),
                instance: service.instance.clone(),
                reason,
            })?;
        let member = Member(service.clone());
        self.named.insert(member.clone(), key);
        let announcement = Announcement::of(&names, service);
        let mapped = names.mapped.clone();
        for (name, role) in places(names) {
            match self.owners.entry(name) {
                Entry::Vacant(free) => {
                    self.touched.insert(free.key().clone());
                    free.insert(Owner::One(role, member.clone()));
                }
                Entry::Occupied(mut taken) => {
                    if taken.get_mut().insert(role, member.clone()) {
                        self.touched.insert(taken.key().clone());
                    }
                }
            }
        }
        Ok(Some((announcement, mapped)))
    }

    /// Takes a service's names; none if it had none.
    fn leave(&mut self, service: &Arc<Service>) -> Option<Announcement> {
        let member = Member(service.clone());
        self.builder.remove_endpoint(self.named.remove(&member)?);
        // Naming is a plain function: the names are those that it gave when the service came.
        let names = self.naming.names(service).ok().flatten()?;
        let announcement = Announcement::of(&names, service);
        for (name, role) in places(names) {
            let Entry::Occupied(mut taken) = self.owners.entry(name) else {
                continue;
            };
            match taken.get_mut().remove(role, &member) {
                Left::OthersUnchanged => {}
                Left::Others => {
                    self.touched.insert(taken.key().clone());
                }
                Left::Nobody => {
                    let (name, _) = taken.remove_entry();
                    self.touched.insert(name);
                }
            }
        }
        Some(announcement)
    }
}

impl Announcement {
    fn of(names: &Names, service: &Service) -> Self {
        Self {
            name: names.canonical.clone(),
            addresses: service.addresses.clone(),
        }
    }
}

/// All places that names give, each with the reason for it.
fn places(names: Names) -> impl Iterator<Item = (Name, Role)> {
    let grammar = names.grammar.into_iter().map(|name| (name, Role::Grammar));
    let short = names.short.into_iter().map(|name| (name, Role::Short));
    grammar
        .chain(short)
        .chain(names.reverse.into_iter().map(|name| (name, Role::Reverse)))
}

#[cfg(test)]
mod tests;
