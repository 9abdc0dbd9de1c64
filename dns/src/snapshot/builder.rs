//! Records in, snapshots out: only what changed since the last one is built again.

mod composed;
mod error;

pub use error::{BuildError, PORT_RRSETS_MAX};

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::chunks::Chunks;
use super::endpoint::{Chunk, Endpoint, EndpointKey, GRAMMAR_LABELS, RowContent, RowEdit};
use super::entry::{Answer, Entry, EntryOctets};
use super::port::{Below, Port, PortRrSets, below};
use super::shards::Shards;
use super::table::{Edit, LABEL_MARK};
use super::view::Networks;
use super::zone::{Servers, ZoneSettings, Zones};
use super::{Snapshot, WILDCARD_OCTETS, hash_of};
use crate::name::{LABEL_OCTETS_MAX, Name, NameRef};
use crate::record::{RrSet, View};
use crate::wire::RType;
use composed::ComposedRrSet;
use error::RRSETS_MAX;

/// Changed keys that are kept aside. With one more they go into the shards before the next snapshot is built: kept
/// aside, all names of a large host would take more room than the shards. Each time copies most shards, which is why
/// it is not done more often.
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
    /// How many rows have the label of each number. Number 0 is no label.
    labels: Vec<u32>,
    /// Numbers that no row has; they are given out again, so 32 bits last for ever.
    free_numbers: Vec<u32>,
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
            labels: vec![0],
            free_numbers: Vec::new(),
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
        let mut composed: Vec<ComposedRrSet> = Vec::with_capacity(rrsets.len());
        for rrset in rrsets {
            let rrset = ComposedRrSet::of(owner, rrset)?;
            if composed
                .iter()
                .any(|other| (other.rtype, other.view) == (rrset.rtype, rrset.view))
            {
                return Err(BuildError::MixedRrSet {
                    owner: owner.clone(),
                    rtype: rrset.rtype,
                });
            }
            composed.push(rrset);
        }
        let is_alias = composed.iter().any(|rrset| rrset.rtype == RType::CNAME);
        if is_alias && (composed.len() > 1 || composed.iter().any(|rrset| rrset.records > 1)) {
            return Err(BuildError::AliasNotAlone { owner: owner.clone() });
        }
        if composed.len() > RRSETS_MAX {
            return Err(BuildError::TooManyRrSets {
                owner: owner.clone(),
                rrsets: composed.len(),
            });
        }
        let composed_ports = compose_ports(owner, ports)?;
        let answers: Vec<Answer<'_>> = composed.iter().map(ComposedRrSet::answer).collect();
        let port_answers: Vec<(Port, Answer<'_>)> = composed_ports
            .iter()
            .map(|(port, rrset)| (*port, rrset.answer()))
            .collect();
        let before = self
            .get(owner.octets())
            .map(|entry| (entry.value, entry.rrsets()));
        let (children, rrsets_before) = before.unwrap_or((0, 0));
        self.put(
            owner.octets(),
            Some(EntryOctets::new(
                owner.octets(),
                children,
                &answers,
                &port_answers,
            )),
        );
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
        if let Some(label) = endpoint
            .labels
            .iter()
            .find(|label| !(1..=LABEL_OCTETS_MAX).contains(&label.len()))
        {
            let text = String::from_utf8_lossy(label).into_owned();
            return Err(BuildError::Label {
                label: text,
                octets: label.len(),
            });
        }
        let octets = endpoint.row_octets().ok_or(BuildError::Addresses)?;
        let numbers = endpoint.labels.each_ref().map(|label| self.take_number(label));
        let key = self.free_keys.pop().unwrap_or_else(|| {
            // A key that was never given out: all below it are in use or, had they been free, popped first.
            EndpointKey(u32::try_from(self.endpoints).expect("memory ends before 2^32 endpoints"))
        });
        self.rows.insert(key, Some((numbers, octets)));
        self.endpoints += 1;
        Ok(key)
    }

    /// Removes the endpoint that `key` was returned for, and which had these labels: a number for each is all that is kept.
    pub fn remove_endpoint(&mut self, key: EndpointKey, labels: &[Box<[u8]>; GRAMMAR_LABELS]) {
        let numbers = match self.rows.get(&key) {
            Some(row) => row.as_ref().map(|(numbers, _)| *numbers),
            None => self.chunks.get(key.chunk()).map(|chunk| chunk.numbers(key)),
        };
        let Some(numbers) = numbers.filter(|[first, ..]| *first != 0) else {
            return;
        };
        for (number, label) in numbers.into_iter().zip(labels) {
            self.give_number_back(number, label);
        }
        self.rows.insert(key, None);
        self.free_keys.push(key);
        self.endpoints -= 1;
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
        let edits = changed
            .iter()
            .map(|(key, entry)| -> Edit<'_> { (key, hash(key), entry.as_ref()) });
        self.shards.edit(edits.collect(), hash);
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
    fn parent_in_zone(&self, owner: &Name) -> Option<Name> {
        let zone = self.zones().find(|zone| owner.is_within(&zone.apex))?;
        if zone.apex == *owner { None } else { owner.parent() }
    }

    fn add_child_to_parent(&mut self, owner: &Name) {
        let Some(parent) = self.parent_in_zone(owner) else {
            return;
        };
        if let Some(children) = self.get(parent.octets()).map(|entry| entry.value) {
            self.put_value(parent.octets(), children + 1);
        } else {
            self.put(
                parent.octets(),
                Some(EntryOctets::empty_non_terminal(parent.octets(), 1)),
            );
            self.add_child_to_parent(&parent);
        }
    }

    fn remove_child_from_parent(&mut self, owner: &Name) {
        let Some(parent) = self.parent_in_zone(owner) else {
            return;
        };
        let Some(entry) = self.get(parent.octets()) else {
            return;
        };
        let children = entry.value.saturating_sub(1);
        if children == 0 && !entry.is_set() && !self.is_apex(&parent) {
            self.put(parent.octets(), None);
            self.remove_child_from_parent(&parent);
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

    /// The number of `label`, which one more row has.
    fn take_number(&mut self, label: &[u8]) -> u32 {
        let key = label_key(label);
        let known = self.get(&key).map(|entry| entry.value);
        let number = known.unwrap_or_else(|| {
            let number = self.free_numbers.pop().unwrap_or_else(|| {
                self.labels.push(0);
                u32::try_from(self.labels.len() - 1).expect("memory ends before 2^32 labels")
            });
            self.put(&key, Some(EntryOctets::new(&key, number, &[], &[])));
            number
        });
        if let Some(rows) = self.labels.get_mut(number as usize) {
            *rows += 1;
        }
        number
    }

    /// One row less has `label`, whose number this is.
    fn give_number_back(&mut self, number: u32, label: &[u8]) {
        let Some(rows) = self.labels.get_mut(number as usize) else {
            return;
        };
        *rows = rows.saturating_sub(1);
        if *rows == 0 {
            let key = label_key(label);
            // Otherwise the label would lead to whoever gets its number next.
            debug_assert_eq!(
                self.get(&key).map(|entry| entry.value),
                Some(number),
                "the labels it was inserted with"
            );
            self.put(&key, None);
            self.free_numbers.push(number);
        }
    }
}

/// The RRsets of the ports of `owner`, in the order that an entry keeps them in; a port without any has an empty one.
fn compose_ports(owner: &Name, ports: &[PortRrSets]) -> Result<Vec<(Port, ComposedRrSet)>, BuildError> {
    let rrsets = ports.iter().map(|port| port.rrsets.len().max(1)).sum();
    if rrsets > PORT_RRSETS_MAX {
        return Err(BuildError::TooManyRrSets {
            owner: owner.clone(),
            rrsets,
        });
    }
    let mut composed = Vec::with_capacity(rrsets);
    for PortRrSets { port, rrsets } in ports {
        if rrsets.is_empty() {
            composed.push((*port, ComposedRrSet::empty(RType::SRV)));
        }
        for rrset in rrsets {
            composed.push((*port, ComposedRrSet::of(owner, rrset)?));
        }
    }
    composed.sort_unstable_by_key(|(port, rrset)| (*port, rrset.view));
    let is_double = |pair: &[(Port, ComposedRrSet)]| match pair {
        [(port, rrset), (next, after)] => (port, rrset.view) == (next, after.view),
        _ => false,
    };
    let is_other = composed.iter().any(|(_, rrset)| rrset.rtype != RType::SRV);
    if is_other || composed.windows(2).any(is_double) {
        return Err(BuildError::MixedRrSet {
            owner: owner.clone(),
            rtype: RType::SRV,
        });
    }
    Ok(composed)
}

fn label_key(label: &[u8]) -> Box<[u8]> {
    [&[LABEL_MARK], label].concat().into_boxed_slice()
}

#[cfg(test)]
mod port_tests;
#[cfg(test)]
mod tests;
