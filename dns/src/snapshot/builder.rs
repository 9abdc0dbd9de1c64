//! Records in, snapshots out: only what changed since the last one is built again.

mod burst;
mod composed;
mod error;
mod labels;

pub use burst::Records;
pub use error::{BuildError, PORT_RRSETS_MAX};

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::chunks::Chunks;
use super::endpoint::{Chunk, Endpoint, EndpointKey, GRAMMAR_LABELS, Numbers, RowContent, RowEdit};
use super::entry::{Entry, EntryOctets};
use super::port::{Below, PortRrSets, below};
use super::shards::Shards;
use super::table::Edit;
use super::view::Networks;
use super::zone::{Servers, ZoneSettings, Zones};
use super::{Snapshot, WILDCARD_OCTETS, hash_of};
use crate::name::{LABEL_OCTETS_MAX, Name, NameRef};
use crate::record::{RrSet, View};
use composed::Composed;
use labels::Labels;

/// Changed keys that are kept aside. With one more they go into the shards before the next snapshot is built: kept
/// aside, all names of a large host would take more room than the shards. Each time copies most shards, which is why
/// it is not done more often, and why many names are set by [`Builder::set_all`].
const CHANGED_MAX: usize = 1 << 15;

/// Builds snapshots, each from the one before.
///
/// What is set or removed is kept aside until [`Builder::build`], or until there is much of it; then only the shards and
/// chunks that it touches are copied. Everything else is shared with the snapshots built before.
pub struct Builder {
    hasher: FixedState,
    serial: u32,
    /// Each with its NS record, composed once.
    zones: Vec<(ZoneSettings, Arc<Servers>)>,
    /// Names of the zones' servers that have addresses, each in its zone.
    servers: Vec<Name>,
    shards: Shards,
    /// Keys changed since the last build; none for one that is gone.
    changed: HashMap<Box<[u8]>, Option<EntryOctets>, FixedState>,
    chunks: Chunks,
    /// Rows changed since the last build.
    rows: BTreeMap<EndpointKey, Option<RowContent>>,
    free_keys: Vec<EndpointKey>,
    labels: Labels,
    names: usize,
    /// Names whose first label is `*`, those that exist because of names below them too (RFC 4592, section 2.2.2).
    wildcards: usize,
    endpoints: usize,
    networks: Networks,
}

impl Builder {
    /// Starts with the apexes of `zones` and no records.
    ///
    /// `hash_seed` should be random: who can choose names could otherwise choose colliding ones. The
    /// first snapshot has the serial after `serial`.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoZone`], [`BuildError::RootZone`], [`BuildError::NestedZone`].
    pub fn new(zones: Vec<ZoneSettings>, hash_seed: u64, serial: u32) -> Result<Self, BuildError> {
        let mut builder = Self {
            hasher: FixedState::with_seed(hash_seed),
            serial,
            zones: Vec::with_capacity(zones.len()),
            servers: Vec::new(),
            shards: Shards::empty(),
            changed: HashMap::with_hasher(FixedState::with_seed(hash_seed)),
            chunks: Chunks::default(),
            rows: BTreeMap::new(),
            free_keys: Vec::new(),
            labels: Labels::new(FixedState::with_seed(hash_seed)),
            names: 0,
            wildcards: 0,
            endpoints: 0,
            networks: Networks::default(),
        };
        for zone in zones {
            builder.add_zone(zone)?;
        }
        if builder.zones.is_empty() {
            Err(BuildError::NoZone)
        } else {
            Ok(builder)
        }
    }

    /// Becomes authoritative for one more zone; names in it that are set already become part of it.
    ///
    /// Looks at every name once.
    ///
    /// # Errors
    ///
    /// [`BuildError::RootZone`], [`BuildError::NestedZone`]. Nothing is changed then.
    pub fn add_zone(&mut self, zone: ZoneSettings) -> Result<(), BuildError> {
        if zone.apex == Name::root() {
            return Err(BuildError::RootZone);
        }
        for (other, _) in &self.zones {
            for (inner, outer) in [(&zone.apex, &other.apex), (&other.apex, &zone.apex)] {
                if inner.is_within(outer) {
                    return Err(BuildError::NestedZone {
                        inner: inner.clone(),
                        outer: outer.clone(),
                    });
                }
            }
        }
        let (apex, primary, glue) = (zone.apex.clone(), zone.primary.clone(), zone.glue());
        let names = self.names_within(&apex);
        let servers = Arc::new(Servers::of(&zone));
        let same = self.zones.last().filter(|(_, last)| **last == *servers);
        let servers = same.map_or(servers, |(_, last)| last.clone());
        self.zones.push((zone, servers));
        if self.get(apex.octets()).is_none() {
            self.put(
                apex.octets(),
                Some(EntryOctets::empty_non_terminal(apex.octets(), 0)),
            );
        }
        for name in names.iter().filter(|name| **name != apex) {
            self.add_child_to_parent(name);
        }
        if primary.is_within(&apex) && !glue.is_empty() {
            self.set(&primary, &glue)?;
            self.servers.push(primary);
        }
        Ok(())
    }

    /// The zones that we are authoritative for, in the order that they were added.
    pub fn zones(&self) -> impl Iterator<Item = &ZoneSettings> {
        self.zones.iter().map(|(zone, _)| zone)
    }

    /// How many of our own servers have addresses at their names.
    fn server_names(&self) -> usize {
        let has_records = |name: &&Name| self.get(name.octets()).is_some_and(|entry| entry.rrsets() > 0);
        self.servers.iter().filter(has_records).count()
    }

    /// Gives up a zone. Names that were set in it are served as names outside every zone. The last zone stays.
    ///
    /// Looks at every name once.
    pub fn remove_zone(&mut self, apex: &Name) {
        let Some(place) = self.zones().position(|zone| zone.apex == *apex) else {
            return;
        };
        if self.zones.len() == 1 {
            return;
        }
        let all = std::mem::take(&mut self.servers).into_iter();
        let (gone, kept): (Vec<_>, Vec<_>) = all.partition(|server| server.is_within(apex));
        self.servers = kept;
        for server in gone {
            self.remove(&server);
        }
        for name in self.names_within(apex) {
            let Some(entry) = self.get(name.octets()) else {
                continue;
            };
            if entry.is_set() {
                self.put_value(name.octets(), 0);
            } else {
                self.put(name.octets(), None);
            }
        }
        self.zones.remove(place);
    }

    /// Replaces everything at `owner` by `rrsets`; without any the name exists and has no data.
    ///
    /// Names between `owner` and its zone's apex exist from then on, too (RFC 8020, section 2). An
    /// owner outside every zone is served all the same, and no name around it. An RRset that would not
    /// fit into one TCP message loses its last records.
    ///
    /// # Errors
    ///
    /// [`BuildError::EmptyRrSet`], [`BuildError::MixedRrSet`], [`BuildError::AliasNotAlone`],
    /// [`BuildError::Text`], [`BuildError::TooManyRrSets`]. Nothing is changed then.
    pub fn set(&mut self, owner: &Name, rrsets: &[RrSet]) -> Result<(), BuildError> {
        self.set_with_ports(owner, rrsets, &[])
    }

    /// As [`Builder::set`], and `_number._protocol` below `owner` exists for each of `ports`, with these records.
    ///
    /// A name that is set by itself goes before one of these. They are not counted by [`Snapshot::names`].
    ///
    /// # Errors
    ///
    /// As [`Builder::set`]; [`BuildError::MixedRrSet`] also for a port's RRset of another type than SRV.
    pub fn set_with_ports(
        &mut self,
        owner: &Name,
        rrsets: &[RrSet],
        ports: &[PortRrSets],
    ) -> Result<(), BuildError> {
        let composed = Composed::of(owner, rrsets, ports)?;
        let before = self
            .get(owner.octets())
            .map(|entry| (entry.value, entry.rrsets()));
        let (children, rrsets_before) = before.unwrap_or((0, 0));
        self.put(owner.octets(), Some(composed.entry(owner, children)));
        self.names = self.names + usize::from(!rrsets.is_empty()) - usize::from(rrsets_before > 0);
        if before.is_none() {
            self.add_child_to_parent(owner);
        }
        Ok(())
    }

    /// Gives the clients in each of `networks` its view; a client in several has that of the longest prefix.
    pub fn set_networks(&mut self, networks: &[(IpNet, View)]) {
        self.networks = Networks::of(networks);
    }

    /// Removes everything at `owner`; it goes on existing as long as there are names below it.
    pub fn remove(&mut self, owner: &Name) {
        let Some((children, rrsets)) = self
            .get(owner.octets())
            .map(|entry| (entry.value, entry.rrsets()))
        else {
            return;
        };
        self.names -= usize::from(rrsets > 0);
        if children > 0 || self.is_apex(owner) {
            self.put(
                owner.octets(),
                Some(EntryOctets::empty_non_terminal(owner.octets(), children)),
            );
        } else {
            self.put(owner.octets(), None);
            self.remove_child_from_parent(owner);
        }
    }

    /// Adds an endpoint to what wildcards and long names can match.
    ///
    /// # Errors
    ///
    /// [`BuildError::Label`], [`BuildError::Addresses`]. Nothing is changed then.
    pub fn insert_endpoint(&mut self, endpoint: &Endpoint) -> Result<EndpointKey, BuildError> {
        let octets = checked(endpoint)?;
        let labels = endpoint.labels.each_ref();
        let numbers = labels.map(|label| self.labels.take(label, &self.shards));
        let key = self.free_keys.pop().unwrap_or_else(|| {
            // A key that was never given out: all below it are in use or, had they been free, popped first.
            EndpointKey(u32::try_from(self.endpoints).expect("memory ends before 2^32 endpoints"))
        });
        self.rows.insert(key, Some((numbers, octets)));
        self.endpoints += 1;
        Ok(key)
    }

    /// Puts another endpoint in the place of the one that `key` was returned for, and which had these labels.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::insert_endpoint`]. Nothing is changed then.
    pub fn replace_endpoint(
        &mut self,
        key: EndpointKey,
        labels: &[Box<[u8]>; GRAMMAR_LABELS],
        endpoint: &Endpoint,
    ) -> Result<(), BuildError> {
        let octets = checked(endpoint)?;
        let Some(mut numbers) = self.numbers(key) else {
            return Ok(());
        };
        let changes = labels.iter().zip(&endpoint.labels).zip(&mut numbers);
        for ((old, new), number) in changes.filter(|((old, new), _)| old != new) {
            let taken = self.labels.take(new, &self.shards);
            let before = std::mem::replace(number, taken);
            self.labels.give_back(before, old, &self.shards);
        }
        self.rows.insert(key, Some((numbers, octets)));
        Ok(())
    }

    /// Removes the endpoint that `key` was returned for, and which had these labels: a number for each is all that is kept.
    pub fn remove_endpoint(&mut self, key: EndpointKey, labels: &[Box<[u8]>; GRAMMAR_LABELS]) {
        let Some(numbers) = self.numbers(key) else {
            return;
        };
        for (number, label) in numbers.into_iter().zip(labels) {
            self.labels.give_back(number, label, &self.shards);
        }
        self.rows.insert(key, None);
        self.free_keys.push(key);
        self.endpoints -= 1;
    }

    /// The numbers of the labels of the endpoint at `key`, if there is one.
    fn numbers(&self, key: EndpointKey) -> Option<Numbers> {
        let numbers = match self.rows.get(&key) {
            Some(row) => row.as_ref().map(|(numbers, _)| *numbers),
            None => self.chunks.get(key.chunk()).map(|chunk| chunk.numbers(key)),
        };
        numbers.filter(|[first, ..]| *first != 0)
    }

    /// The snapshot of everything set so far, with the next serial.
    pub fn build(&mut self) -> Snapshot {
        self.serial = self.serial.wrapping_add(1);
        self.apply_names();
        self.apply_rows();
        Snapshot {
            serial: self.serial,
            hasher: self.hasher.clone(),
            shards: self.shards.clone(),
            chunks: self.chunks.clone(),
            zones: Zones::of(&self.zones, self.serial),
            names: self.names - self.server_names(),
            wildcards: self.wildcards,
            endpoints: self.endpoints,
            networks: self.networks.clone(),
        }
    }

    fn apply_names(&mut self) {
        let hasher = self.hasher.clone();
        let hash = |key: &[u8]| hash_of(&hasher, key);
        let none = HashMap::with_hasher(self.changed.hasher().clone());
        let changed = std::mem::replace(&mut self.changed, none);
        let labels = self.labels.take_changed();
        let entries: Vec<_> = (0..labels.len()).map(|place| labels.entry(place)).collect();
        let of_names = changed
            .iter()
            .map(|(key, entry)| -> Edit<'_> { (key, hash(key), entry.as_ref()) });
        let of_labels = entries.iter().enumerate().map(|(place, entry)| -> Edit<'_> {
            let (key, hash) = labels.key(place);
            (key, hash, entry.as_ref())
        });
        self.shards.edit(of_names.chain(of_labels).collect(), hash);
    }

    fn apply_rows(&mut self) {
        let mut by_chunk: BTreeMap<usize, Vec<RowEdit>> = BTreeMap::new();
        for (key, content) in std::mem::take(&mut self.rows) {
            by_chunk.entry(key.chunk()).or_default().push((key, content));
        }
        for (place, edits) in by_chunk {
            let edited = match self.chunks.get(place) {
                Some(chunk) => chunk.edited(&edits),
                None => Chunk::empty().edited(&edits),
            };
            self.chunks.set(place, edited);
        }
    }

    /// Whether the next build has a name of these octets, with or without records: what ends the search for a wildcard
    /// owner above it (RFC 4592, section 3.3.1).
    #[must_use]
    pub fn exists(&self, name: &Name) -> bool {
        let stored = |name: NameRef<'_>| self.get(name.octets());
        stored(name.as_ref()).is_some()
            || below(name.as_ref()).is_some_and(|below| match below {
                Below::Port(port, name) => stored(name).is_some_and(|entry| entry.has_port(port)),
                Below::Protocol(protocol, name) => {
                    stored(name).is_some_and(|entry| entry.has_port_of(protocol))
                }
            })
    }

    /// The entry of `key` as the next build will have it.
    fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref().map(EntryOctets::entry),
            None => self.shards.find(hash_of(&self.hasher, key), key),
        }
    }

    /// Has the next build keep `entry` for `key`, or nothing.
    fn put(&mut self, key: &[u8], entry: Option<EntryOctets>) {
        if key.starts_with(WILDCARD_OCTETS) {
            self.wildcards -= usize::from(self.get(key).is_some());
            self.wildcards += usize::from(entry.is_some());
        }
        self.changed.insert(key.into(), entry);
        if self.changed.len() >= CHANGED_MAX {
            self.apply_names();
        }
    }

    /// Every name at and below `apex` as the next build will have it, empty non-terminals too.
    fn names_within(&self, apex: &Name) -> Vec<Name> {
        let unchanged = self
            .shards
            .entries()
            .map(|entry| entry.key())
            .filter(|key| !self.changed.contains_key(*key));
        let changed = self
            .changed
            .iter()
            .filter(|(_, entry)| entry.is_some())
            .map(|(key, _)| key.as_ref());
        let names = unchanged
            .chain(changed)
            .filter_map(|key| NameRef::split(key).ok());
        names
            .filter(|(name, _)| name.start_of(apex).is_some())
            .map(|(name, _)| name.into())
            .collect()
    }

    fn is_apex(&self, owner: &Name) -> bool {
        self.zones().any(|zone| zone.apex == *owner)
    }

    /// The name above `owner`, unless `owner` is an apex or in no zone.
    fn parent_in_zone<'n>(&self, owner: &'n Name) -> Option<NameRef<'n>> {
        parent_in_zone(&self.zones, owner.as_ref())
    }

    fn add_child_to_parent(&mut self, owner: &Name) {
        if let Some(parent) = self.parent_in_zone(owner) {
            self.add_children(&parent.into(), 1);
        }
    }

    /// Notes that there are so many more names right below `parent`, which is in a zone.
    fn add_children(&mut self, parent: &Name, more: u32) {
        if let Some(children) = self.get(parent.octets()).map(|entry| entry.value) {
            self.put_value(parent.octets(), children + more);
        } else {
            self.put(
                parent.octets(),
                Some(EntryOctets::empty_non_terminal(parent.octets(), more)),
            );
            self.add_child_to_parent(parent);
        }
    }

    fn remove_child_from_parent(&mut self, owner: &Name) {
        if let Some(parent) = self.parent_in_zone(owner) {
            self.remove_children(&parent.into(), 1);
        }
    }

    /// Notes that there are so many fewer names right below `parent`, which is in a zone.
    fn remove_children(&mut self, parent: &Name, fewer: u32) {
        let Some(entry) = self.get(parent.octets()) else {
            return;
        };
        let children = entry.value.saturating_sub(fewer);
        if children == 0 && !entry.is_set() && !self.is_apex(parent) {
            self.put(parent.octets(), None);
            self.remove_child_from_parent(parent);
        } else {
            self.put_value(parent.octets(), children);
        }
    }

    /// Has the next build keep what is at `key`, with another value. The name of an environment has an entry of many
    /// kilobytes, and a child for each service that comes: what is kept aside already is changed where it lies.
    fn put_value(&mut self, key: &[u8], value: u32) {
        if let Some(Some(entry)) = self.changed.get_mut(key) {
            entry.set_value(value);
        } else if let Some(entry) = self.get(key) {
            let mut entry = EntryOctets::copied(entry);
            entry.set_value(value);
            self.put(key, Some(entry));
        }
    }
}

/// What a row has of `endpoint` beside its labels.
fn checked(endpoint: &Endpoint) -> Result<Box<[u8]>, BuildError> {
    let mut labels = endpoint.labels.iter();
    if let Some(label) = labels.find(|label| !(1..=LABEL_OCTETS_MAX).contains(&label.len())) {
        return Err(BuildError::Label {
            label: String::from_utf8_lossy(label).into_owned(),
            octets: label.len(),
        });
    }
    endpoint.row_octets().ok_or(BuildError::Addresses)
}

/// The name above `owner`, unless `owner` is an apex or in none of `zones`.
fn parent_in_zone<'n>(zones: &[(ZoneSettings, Arc<Servers>)], owner: NameRef<'n>) -> Option<NameRef<'n>> {
    let mut starts = zones.iter().filter_map(|(zone, _)| owner.start_of(&zone.apex));
    if starts.next()? == 0 { None } else { owner.parent() }
}

#[cfg(test)]
mod burst_tests;
#[cfg(test)]
mod port_tests;
#[cfg(test)]
mod tests;
