//! Many names at once: each shard is made once, and by whichever thread comes for it.
//!
//! ```text
//!  names, labels ──by their shard──▶ branch ─┐
//!                                    branch ─┼─▶ any thread: what its names say, composed ─▶ its shards
//!                                    ...    ─┘                                         └──▶ names above them, counted
//! ```
//!
//! No thread is started here: whoever calls has as many as it likes do the work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;

use super::composed::Composed;
use super::labels::ChangedLabels;
use super::{BuildError, Builder, PortRrSets, parent_in_zone};
use crate::name::{Name, NameRef};
use crate::record::RrSet;
use crate::snapshot::entry::EntryOctets;
use crate::snapshot::shards::{BRANCH_SHARDS, Branch, shard};
use crate::snapshot::table::{Edit, Hash, Shard};
use crate::snapshot::zone::{Servers, ZoneSettings};
use crate::snapshot::{WILDCARD_OCTETS, hash_of};

/// What a name says, as [`Builder::set_with_ports`] takes it.
pub type Records = (Vec<RrSet>, Vec<PortRrSets>);

/// A name or a label and the shard that it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    shard: u32,
    /// Which of the names; behind all of them, which of the labels.
    item: u32,
}

/// What all threads read.
struct Burst<'b, 'n, S> {
    names: &'n [Name],
    labels: &'b ChangedLabels,
    hasher: &'b FixedState,
    zones: &'b [(ZoneSettings, Arc<Servers>)],
    says: S,
}

/// What one of them did, and then all.
struct Outcome<'n> {
    /// With the place of its name.
    errors: Vec<(u32, BuildError)>,
    entries: isize,
    names: isize,
    wildcards: isize,
    /// How many names more there are right below each, or fewer.
    children: HashMap<&'n [u8], i32, FixedState>,
}

impl Builder {
    /// As [`Builder::set_with_ports`] for each of `names` with what it `says`, and [`Builder::remove`] for one that says
    /// nothing. Each name stands among them once.
    ///
    /// `run` has the work done: it calls what it is given, on as many threads as it likes, and returns when all calls
    /// have. Nothing that comes of it depends on their number.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::set_with_ports`], in the order of the names. Nothing is changed at their names.
    pub fn set_all(
        &mut self,
        names: &[Name],
        says: impl Fn(&Name) -> Option<Records> + Sync,
        run: impl FnOnce(&(dyn Fn() + Sync)),
    ) -> Vec<BuildError> {
        // What was set one by one before is in the shards from here on, so that one place tells what there is.
        if !self.changed.is_empty() {
            self.apply_names();
        }
        let labels = self.labels.take_changed();
        let hasher = self.hasher.clone();
        self.shards
            .make_room(names.len() + labels.len(), |key| hash_of(&hasher, key));
        let places = places(names, &labels, &hasher, self.shards.count());
        let burst = Burst {
            names,
            labels: &labels,
            hasher: &hasher,
            zones: &self.zones,
            says,
        };
        let whole = Mutex::new(Outcome::new(&hasher));
        let branches = Mutex::new(self.shards.branches().iter_mut().zip(0_u32..));
        let work = || {
            let mut outcome = Outcome::new(&hasher);
            while let Some((branch, number)) = next(&branches) {
                burst.edit(branch, number, &places, &mut outcome);
            }
            locked(&whole).add(outcome);
        };
        run(&work);
        // Whatever `run` left undone: nothing, if it called once.
        work();
        let mut whole = whole.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.shards.changed(whole.entries);
        self.names = self.names.saturating_add_signed(whole.names);
        self.wildcards = self.wildcards.saturating_add_signed(whole.wildcards);
        self.count_children(&whole.children);
        whole.errors.sort_unstable_by_key(|(name, _)| *name);
        whole.errors.into_iter().map(|(_, error)| error).collect()
    }

    /// Those that get more come first: a name must not go that is about to have others below it.
    fn count_children(&mut self, children: &HashMap<&[u8], i32, FixedState>) {
        let parents = || {
            let parents = children.iter();
            parents.filter_map(|(key, more)| Some((Name::from(NameRef::split(key).ok()?.0), *more)))
        };
        for (parent, more) in parents().filter(|(_, more)| *more > 0) {
            self.add_children(&parent, more.unsigned_abs());
        }
        for (parent, fewer) in parents().filter(|(_, more)| *more < 0) {
            self.remove_children(&parent, fewer.unsigned_abs());
        }
    }
}

/// Where names and labels belong, by shard.
fn places(names: &[Name], labels: &ChangedLabels, hasher: &FixedState, shards: usize) -> Vec<Place> {
    let of_names = names.iter().map(|name| hash_of(hasher, name.octets()));
    let of_labels = (0..labels.len()).map(|label| labels.key(label).1);
    let all = of_names.chain(of_labels).zip(0_u32..);
    let mut places: Vec<Place> = all
        .map(|(hash, item)| Place {
            shard: hash.shard(shards) as u32,
            item,
        })
        .collect();
    places.sort_unstable();
    places
}

impl<'b, 'n: 'b, S: Fn(&Name) -> Option<Records>> Burst<'b, 'n, S> {
    /// Edits the shards of one branch.
    fn edit(&self, branch: &mut Arc<Branch>, number: u32, places: &[Place], outcome: &mut Outcome<'n>) {
        let first = number * BRANCH_SHARDS as u32;
        let start = places.partition_point(|place| place.shard < first);
        let from = places.get(start..).unwrap_or_default();
        let end = from.partition_point(|place| place.shard < first + BRANCH_SHARDS as u32);
        let of_branch = from.get(..end).unwrap_or_default();
        for of_shard in of_branch.chunk_by(|one, other| one.shard == other.shard) {
            let place = of_shard.first().map_or(0, |place| (place.shard - first) as usize);
            let Some(shard) = shard(branch, place) else {
                continue;
            };
            let items = of_shard.iter().map(|place| self.item(place.item, shard, outcome));
            let made: Vec<_> = items.collect();
            let edits = made.iter().flatten();
            let edits: Vec<Edit<'_>> = edits
                .map(|(key, hash, entry)| (*key, *hash, entry.as_ref()))
                .collect();
            let edited = shard.edited(&edits);
            outcome.entries += edited.len().cast_signed() - shard.len().cast_signed();
            *shard = edited;
        }
    }

    /// What becomes of a name or label of that shard: its key, its hash, and what is to be stored; none if all stays.
    fn item(
        &self,
        item: u32,
        shard: &Shard,
        outcome: &mut Outcome<'n>,
    ) -> Option<(&'b [u8], Hash, Option<EntryOctets>)> {
        let place = item as usize;
        let Some(name) = self.names.get(place) else {
            let label = place - self.names.len();
            let (key, hash) = self.labels.key(label);
            return Some((key, hash, self.labels.entry(label)));
        };
        let (key, hash) = (name.octets(), hash_of(self.hasher, name.octets()));
        let before = shard.find(hash, key).map(|entry| (entry.value, entry.rrsets()));
        let (children, rrsets_before) = before.unwrap_or_default();
        let (rrsets, entry) = match (self.says)(name) {
            Some((rrsets, ports)) => match Composed::of(name, &rrsets, &ports) {
                Ok(composed) => (rrsets.len(), Some(composed.entry(name, children))),
                Err(error) => {
                    outcome.errors.push((item, error));
                    return None;
                }
            },
            None => {
                before?;
                let stays = children > 0 || self.zones.iter().any(|(zone, _)| zone.apex == *name);
                (0, stays.then(|| EntryOctets::empty_non_terminal(key, children)))
            }
        };
        outcome.names += isize::from(rrsets > 0) - isize::from(rrsets_before > 0);
        let comes = isize::from(entry.is_some()) - isize::from(before.is_some());
        if comes != 0 {
            outcome.wildcards += if key.starts_with(WILDCARD_OCTETS) {
                comes
            } else {
                0
            };
            if let Some(parent) = parent_in_zone(self.zones, name.as_ref()) {
                *outcome.children.entry(parent.octets()).or_default() += if comes > 0 { 1 } else { -1 };
            }
        }
        Some((key, hash, entry))
    }
}

impl<'n> Outcome<'n> {
    fn new(hasher: &FixedState) -> Self {
        Self {
            errors: Vec::new(),
            entries: 0,
            names: 0,
            wildcards: 0,
            children: HashMap::with_hasher(hasher.clone()),
        }
    }

    fn add(&mut self, other: Outcome<'n>) {
        self.errors.extend(other.errors);
        self.entries += other.entries;
        self.names += other.names;
        self.wildcards += other.wildcards;
        if self.children.is_empty() {
            self.children = other.children;
        } else {
            for (parent, more) in other.children {
                *self.children.entry(parent).or_default() += more;
            }
        }
    }
}

/// The next one that nobody has taken.
fn next<T>(from: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    locked(from).next()
}

/// Whoever panicked has taken the process with it, but in tests.
fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
