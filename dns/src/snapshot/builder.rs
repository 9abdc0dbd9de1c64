//! Records in, snapshots out: only what changed since the last one is built again.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use super::table::{Answer, Edit, Entry, EntryOctets, LABEL_MARK, Shard};
use super::view::Networks;
use super::wildcard::{Chunk, Endpoint, EndpointKey, RowContent, RowEdit};
use super::zone::Zones;
use super::{Snapshot, hash_of};
use crate::name::{LABEL_OCTETS_MAX, Name, NameRef};
use crate::record::{RecordData, RrSet, View, character_strings};
use crate::wire::{EDNS_OCTETS, HEADER_OCTETS, RType};

/// Entries a shard holds on average before there are four times as many shards. A change copies its
/// shard, about 20 KiB at this size, and the list of shards, eight octets each.
const SHARD_ENTRIES_MAX: usize = 192;
/// Octets that the records of one RRset and its additional ones may take: what the largest TCP message
/// leaves beside its header, the longest question and OPT. Records that do not fit are left out, last first.
const RRSET_OCTETS_MAX: usize = 65_535 - HEADER_OCTETS - (crate::name::NAME_OCTETS_MAX + 4) - EDNS_OCTETS;
/// Octets of a TXT record's data: what RDLENGTH can count.
const TEXT_OCTETS_MAX: usize = u16::MAX as usize;
/// Seconds that a name's absence may be remembered: a container may be started the next moment.
const NEGATIVE_TTL_SECONDS: u32 = 5;

/// A zone to be authoritative for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSettings {
    /// The zone's name.
    pub apex: Name,
    /// MNAME of the SOA.
    pub primary: Name,
    /// RNAME of the SOA.
    pub mailbox: Name,
    /// Time that a name's absence may be remembered, in seconds: TTL and MINIMUM of the SOA.
    pub negative_ttl_seconds: u32,
    /// Names in the zone that are not stored are matched with endpoints, by SkyDNS's grammar.
    pub matches_endpoints: bool,
}

/// Why a record, an endpoint or a zone cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// There is nothing to be authoritative for.
    #[error("no zone is given; name at least one domain")]
    NoZone,
    /// A zone is given twice, or lies in another one: which SOA a name has would be left to chance.
    #[error("zone {inner} lies in zone {outer}; give only one of them")]
    NestedZone {
        /// The one inside.
        inner: Name,
        /// The one around it.
        outer: Name,
    },
    /// The root cannot be a zone: every name would be ours.
    #[error("the root cannot be a zone; name a domain")]
    RootZone,
    /// An RRset without records.
    #[error("{owner} has an RRset without records; leave the RRset out")]
    EmptyRrSet {
        /// Owner name.
        owner: Name,
    },
    /// Records of several types in one RRset, or several RRsets of one type.
    #[error("{owner} has records of type {} in more than one RRset, or mixed with others", rtype.0)]
    MixedRrSet {
        /// Owner name.
        owner: Name,
        /// The type in question.
        rtype: RType,
    },
    /// A CNAME record beside other records (RFC 1034, section 3.6.2).
    #[error("{owner} is an alias and has other records as well; give it either")]
    AliasNotAlone {
        /// Owner name.
        owner: Name,
    },
    /// A text that no message can carry.
    #[error("a text of {owner} has {octets} octets; a record holds at most {TEXT_OCTETS_MAX}")]
    Text {
        /// Owner name.
        owner: Name,
        /// Its length, with the lengths of its strings.
        octets: usize,
    },
    /// A label that is empty or too long.
    #[error("label {label:?} has {octets} octets; 1 to {LABEL_OCTETS_MAX} fit")]
    Label {
        /// The label, what is not UTF-8 replaced.
        label: String,
        /// Its length.
        octets: usize,
    },
    /// More addresses of one family than an endpoint can have.
    #[error("an endpoint has more than 255 addresses of one family")]
    Addresses,
}

/// Builds snapshots, each from the one before.
///
/// What is set or removed is kept aside until [`Builder::build`], which copies only the shards and
/// chunks that it touches; everything else is shared with the snapshots built before.
pub struct Builder {
    hasher: FixedState,
    serial: u32,
    zones: Vec<ZoneSettings>,
    shards: Vec<Arc<Shard>>,
    /// Keys changed since the last build; none for one that is gone.
    changed: HashMap<Box<[u8]>, Option<EntryOctets>>,
    chunks: Vec<Arc<Chunk>>,
    /// Rows changed since the last build.
    rows: BTreeMap<EndpointKey, Option<RowContent>>,
    free_keys: Vec<EndpointKey>,
    /// The label of each number, and how many rows have it. Number 0 is no label.
    labels: Vec<LabelUse>,
    /// Numbers that no row has; they are given out again, so 32 bits last for ever.
    free_numbers: Vec<u32>,
    names: usize,
    /// Owners among them whose first label is `*`.
    wildcard_owners: usize,
    endpoints: usize,
    networks: Networks,
}

impl ZoneSettings {
    /// The zone `apex` as SkyDNS and CoreDNS describe theirs: primary server `ns.dns.<apex>`, mailbox
    /// `hostmaster.<apex>`, absence remembered for five seconds or `ttl_seconds`, whichever is less.
    #[must_use]
    pub fn of(apex: Name, ttl_seconds: u32) -> Self {
        // An apex too long to have these names below it describes itself.
        let primary = apex.prefixed(&["ns", "dns"]).unwrap_or_else(|_| apex.clone());
        let mailbox = apex.prefixed(&["hostmaster"]).unwrap_or_else(|_| apex.clone());
        let negative_ttl_seconds = ttl_seconds.min(NEGATIVE_TTL_SECONDS);
        Self {
            apex,
            primary,
            mailbox,
            negative_ttl_seconds,
            matches_endpoints: true,
        }
    }

    /// The zone `apex` of reverse names, of the same server as `self`.
    #[must_use]
    pub fn reverse(&self, apex: Name) -> Self {
        Self {
            apex,
            matches_endpoints: false,
            ..self.clone()
        }
    }
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
            shards: vec![Arc::default()],
            changed: HashMap::new(),
            chunks: Vec::new(),
            rows: BTreeMap::new(),
            free_keys: Vec::new(),
            labels: vec![LabelUse::default()],
            free_numbers: Vec::new(),
            names: 0,
            wildcard_owners: 0,
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
        for other in &self.zones {
            for (inner, outer) in [(&zone.apex, &other.apex), (&other.apex, &zone.apex)] {
                if inner.is_within(outer) {
                    return Err(BuildError::NestedZone {
                        inner: inner.clone(),
                        outer: outer.clone(),
                    });
                }
            }
        }
        let apex = zone.apex.clone();
        let names = self.names_within(&apex);
        self.zones.push(zone);
        if self.get(apex.octets()).is_none() {
            self.put(apex.octets(), EntryOctets::empty_non_terminal(apex.octets(), 0));
        }
        for name in names.iter().filter(|name| **name != apex) {
            self.add_child_to_parent(name);
        }
        Ok(())
    }

    /// Gives up a zone. Names that were set in it are served as names outside every zone. The last zone stays.
    ///
    /// Looks at every name once.
    pub fn remove_zone(&mut self, apex: &Name) {
        let Some(place) = self.zones.iter().position(|zone| zone.apex == *apex) else {
            return;
        };
        if self.zones.len() == 1 {
            return;
        }
        for name in self.names_within(apex) {
            let Some(entry) = self.get(name.octets()) else {
                continue;
            };
            let entry = entry.is_set().then(|| EntryOctets::with_value(entry, 0));
            self.changed.insert(name.octets().into(), entry);
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
    /// [`BuildError::Text`]. Nothing is changed then.
    pub fn set(&mut self, owner: &Name, rrsets: &[RrSet]) -> Result<(), BuildError> {
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
        let answers: Vec<Answer<'_>> = composed.iter().map(ComposedRrSet::answer).collect();
        let before = self
            .get(owner.octets())
            .map(|entry| (entry.value, entry.rrsets()));
        let (children, rrsets_before) = before.unwrap_or((0, 0));
        self.put(
            owner.octets(),
            EntryOctets::new(owner.octets(), children, &answers),
        );
        self.names = self.names + usize::from(!rrsets.is_empty()) - usize::from(rrsets_before > 0);
        if before.is_none() {
            self.wildcard_owners += usize::from(is_wildcard_owner(owner));
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
        self.wildcard_owners -= usize::from(is_wildcard_owner(owner));
        if children > 0 || self.is_apex(owner) {
            self.put(
                owner.octets(),
                EntryOctets::empty_non_terminal(owner.octets(), children),
            );
        } else {
            self.changed.insert(owner.octets().into(), None);
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

    /// Removes the endpoint that `key` was returned for.
    pub fn remove_endpoint(&mut self, key: EndpointKey) {
        let numbers = match self.rows.get(&key) {
            Some(row) => row.as_ref().map(|(numbers, _)| *numbers),
            None => self.chunks.get(key.chunk()).map(|chunk| chunk.numbers(key)),
        };
        let Some(numbers) = numbers.filter(|[first, ..]| *first != 0) else {
            return;
        };
        for number in numbers {
            self.give_number_back(number);
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
            shards: self.shards.as_slice().into(),
            chunks: self.chunks.as_slice().into(),
            zones: Zones::of(&self.zones, self.serial),
            names: self.names,
            wildcard_owners: self.wildcard_owners,
            endpoints: self.endpoints,
            networks: self.networks.clone(),
        }
    }

    fn apply_names(&mut self) {
        let hasher = self.hasher.clone();
        let hash = |key: &[u8]| hash_of(&hasher, key);
        let changed = std::mem::take(&mut self.changed);
        let stored: usize = self.shards.iter().map(|shard| shard.len()).sum();
        let most = stored + changed.len();
        if most > self.shards.len() * SHARD_ENTRIES_MAX {
            self.shards = split(&self.shards, shards_for(most), hash);
        }
        let mut by_shard: BTreeMap<usize, Vec<Edit<'_>>> = BTreeMap::new();
        for (key, entry) in &changed {
            let hash = hash(key);
            by_shard
                .entry(hash.shard(self.shards.len()))
                .or_default()
                .push((key, hash, entry.as_ref()));
        }
        for (place, edits) in by_shard {
            if let Some(shard) = self.shards.get_mut(place) {
                *shard = Arc::new(shard.edited(&edits, hash));
            }
        }
    }

    fn apply_rows(&mut self) {
        let mut by_chunk: BTreeMap<usize, Vec<RowEdit>> = BTreeMap::new();
        for (key, content) in std::mem::take(&mut self.rows) {
            by_chunk.entry(key.chunk()).or_default().push((key, content));
        }
        for (place, edits) in by_chunk {
            if self.chunks.len() <= place {
                self.chunks.resize_with(place + 1, || Arc::new(Chunk::empty()));
            }
            if let Some(chunk) = self.chunks.get_mut(place) {
                *chunk = Arc::new(chunk.edited(&edits));
            }
        }
    }

    /// The entry of `key` as the next build will have it.
    fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        match self.changed.get(key) {
            Some(changed) => changed.as_ref().map(EntryOctets::entry),
            None => {
                let hash = hash_of(&self.hasher, key);
                self.shards.get(hash.shard(self.shards.len()))?.find(hash, key)
            }
        }
    }

    fn put(&mut self, key: &[u8], entry: EntryOctets) {
        self.changed.insert(key.into(), Some(entry));
    }

    /// Every name at and below `apex` as the next build will have it, empty non-terminals too.
    fn names_within(&self, apex: &Name) -> Vec<Name> {
        let stored = self.shards.iter().flat_map(|shard| shard.entries());
        let unchanged = stored
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
        self.zones.iter().any(|zone| zone.apex == *owner)
    }

    /// The name above `owner`, unless `owner` is an apex or in no zone.
    fn parent_in_zone(&self, owner: &Name) -> Option<Name> {
        let zone = self.zones.iter().find(|zone| owner.is_within(&zone.apex))?;
        if zone.apex == *owner { None } else { owner.parent() }
    }

    fn add_child_to_parent(&mut self, owner: &Name) {
        let Some(parent) = self.parent_in_zone(owner) else {
            return;
        };
        match self.get(parent.octets()) {
            Some(entry) => {
                let entry = EntryOctets::with_value(entry, entry.value + 1);
                self.put(parent.octets(), entry);
            }
            None => {
                self.put(
                    parent.octets(),
                    EntryOctets::empty_non_terminal(parent.octets(), 1),
                );
                self.add_child_to_parent(&parent);
            }
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
            self.changed.insert(parent.octets().into(), None);
            self.remove_child_from_parent(&parent);
        } else {
            let entry = EntryOctets::with_value(entry, children);
            self.put(parent.octets(), entry);
        }
    }

    /// The number of `label`, which one more row has.
    fn take_number(&mut self, label: &[u8]) -> u32 {
        let key = label_key(label);
        let known = self.get(&key).map(|entry| entry.value);
        let number = known.unwrap_or_else(|| {
            let number = self.free_numbers.pop().unwrap_or_else(|| {
                self.labels.push(LabelUse::default());
                u32::try_from(self.labels.len() - 1).expect("memory ends before 2^32 labels")
            });
            self.put(&key, EntryOctets::new(&key, number, &[]));
            number
        });
        if let Some(label) = self.labels.get_mut(number as usize) {
            label.key = key;
            label.rows += 1;
        }
        number
    }

    fn give_number_back(&mut self, number: u32) {
        let Some(label) = self.labels.get_mut(number as usize) else {
            return;
        };
        label.rows = label.rows.saturating_sub(1);
        if label.rows == 0 {
            self.changed.insert(std::mem::take(&mut label.key), None);
            self.free_numbers.push(number);
        }
    }
}

/// Whether `owner` stands for names that are not there (RFC 4592, section 2.1.1).
fn is_wildcard_owner(owner: &Name) -> bool {
    owner.labels().next() == Some(b"*")
}

/// A label of the pattern index, as its number leads to it.
#[derive(Default)]
struct LabelUse {
    key: Box<[u8]>,
    rows: u32,
}

fn label_key(label: &[u8]) -> Box<[u8]> {
    [&[LABEL_MARK], label].concat().into_boxed_slice()
}

/// An RRset's octets, before they go into an entry.
struct ComposedRrSet {
    rtype: RType,
    view: View,
    records: u16,
    additional_records: u16,
    stride: u16,
    answer: Vec<u8>,
    additional: Vec<u8>,
}

impl ComposedRrSet {
    fn of(owner: &Name, rrset: &RrSet) -> Result<Self, BuildError> {
        let rtype = match rrset.records.first() {
            Some(first) => first.rtype(),
            None => return Err(BuildError::EmptyRrSet { owner: owner.clone() }),
        };
        if rrset.records.iter().any(|record| record.rtype() != rtype) {
            return Err(BuildError::MixedRrSet {
                owner: owner.clone(),
                rtype,
            });
        }
        for record in &rrset.records {
            if let RecordData::Txt(strings) = record {
                let octets = character_strings(strings).len();
                if octets > TEXT_OCTETS_MAX {
                    return Err(BuildError::Text {
                        owner: owner.clone(),
                        octets,
                    });
                }
            }
        }
        let mut lengths = Vec::with_capacity(rrset.records.len());
        let mut answer = Vec::new();
        for record in &rrset.records {
            push_whole(&mut answer, &mut lengths, 0, |to| {
                record.compose(rrset.ttl_seconds, to);
            });
        }
        let stride = lengths
            .first()
            .copied()
            .filter(|first| lengths.iter().all(|length| length == first));
        let mut additional_lengths = Vec::with_capacity(rrset.additional.len());
        let mut additional = Vec::new();
        for record in &rrset.additional {
            push_whole(&mut additional, &mut additional_lengths, answer.len(), |to| {
                record.compose(to);
            });
        }
        let fits = |length: usize| u16::try_from(length).expect("at most RRSET_OCTETS_MAX octets");
        Ok(Self {
            rtype,
            view: rrset.view,
            records: fits(lengths.len()),
            additional_records: fits(additional_lengths.len()),
            stride: stride.map_or(0, fits),
            answer,
            additional,
        })
    }

    fn answer(&self) -> Answer<'_> {
        Answer {
            rtype: self.rtype,
            view: self.view,
            records: self.records,
            additional_records: self.additional_records,
            stride: self.stride,
            answer: &self.answer,
            additional: &self.additional,
        }
    }
}

/// Appends what `compose` writes, and its length, unless it no longer fits beside `used` octets.
fn push_whole(to: &mut Vec<u8>, lengths: &mut Vec<usize>, used: usize, compose: impl FnOnce(&mut Vec<u8>)) {
    let before = to.len();
    compose(to);
    if used + to.len() > RRSET_OCTETS_MAX {
        to.truncate(before);
    } else {
        lengths.push(to.len() - before);
    }
}

/// Shards for `entries`: a power of four, so that it seldom changes.
fn shards_for(entries: usize) -> usize {
    let mut shards = 1;
    while entries > shards * SHARD_ENTRIES_MAX {
        shards *= 4;
    }
    shards
}

/// The entries of `shards` dealt out anew to `count` shards.
fn split(
    shards: &[Arc<Shard>],
    count: usize,
    hash: impl Fn(&[u8]) -> super::table::Hash + Copy,
) -> Vec<Arc<Shard>> {
    let mut dealt: Vec<Vec<(u32, Entry<'_>)>> = Vec::new();
    dealt.resize_with(count, Vec::new);
    for entry in shards.iter().flat_map(|shard| shard.entries()) {
        let hash = hash(entry.key());
        if let Some(shard) = dealt.get_mut(hash.shard(count)) {
            shard.push((hash.tag(), entry));
        }
    }
    dealt.iter().map(|entries| Arc::new(Shard::of(entries))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::snapshot::Lookup;
    use crate::wire::{Class, Question};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn builder() -> Builder {
        let zones = ["docker", "test.example"].map(|apex| ZoneSettings::of(name(apex), 30));
        Builder::new(zones.to_vec(), 42, 0).unwrap()
    }

    fn a(last: u8) -> RrSet {
        let records = vec![RecordData::A([10, 0, 0, last].into())];
        RrSet {
            view: View::EVERYONE,
            ttl_seconds: 30,
            records,
            additional: Vec::new(),
        }
    }

    /// What `snapshot` says to a question for `owner`'s addresses, in a word.
    fn ask(snapshot: &Snapshot, owner: &str) -> String {
        let owner = name(owner);
        let question = Question {
            qname: owner.as_ref(),
            qtype: RType::A,
            qclass: Class::IN,
        };
        match snapshot.lookup(&question, [10, 0, 0, 1].into()) {
            Lookup::Found(answer) => format!("found {}", answer.answer[answer.answer.len() - 1]),
            Lookup::Matches(_) => "matches".to_owned(),
            Lookup::Soa(_) => "soa".to_owned(),
            Lookup::Alias(_) => "alias".to_owned(),
            Lookup::NoData(_) => "nodata".to_owned(),
            Lookup::NxDomain(_) => "nxdomain".to_owned(),
            Lookup::NotOurs => "not ours".to_owned(),
        }
    }

    #[test]
    fn zones_must_be_given_and_be_apart() {
        let zones = |apexes: &[&str]| {
            let zones = apexes
                .iter()
                .map(|apex| ZoneSettings::of(name(apex), 30))
                .collect();
            Builder::new(zones, 0, 0).err()
        };
        assert_eq!(zones(&[]), Some(BuildError::NoZone));
        assert_eq!(zones(&["."]), Some(BuildError::RootZone));
        assert!(matches!(
            zones(&["docker", "docker"]),
            Some(BuildError::NestedZone { .. })
        ));
        assert!(matches!(
            zones(&["docker", "a.docker"]),
            Some(BuildError::NestedZone { .. })
        ));
        assert_eq!(zones(&["docker", "xdocker"]), None);
    }

    #[test]
    fn a_zone_may_come_and_go_around_names_that_are_there() {
        let mut builder = builder();
        let owner = "4.0.17.172.in-addr.arpa";
        let reverse = builder.zones[0].reverse(name("17.172.in-addr.arpa"));
        builder.set(&name(owner), &[a(4)]).unwrap();
        let before = builder.build();
        builder.add_zone(reverse.clone()).unwrap();
        let with = builder.build();
        assert!(matches!(
            builder.add_zone(reverse),
            Err(BuildError::NestedZone { .. })
        ));
        builder.remove_zone(&name("17.172.in-addr.arpa"));
        let after = builder.build();
        let asked = [
            owner,
            "0.17.172.in-addr.arpa",
            "5.0.17.172.in-addr.arpa",
            "*.0.17.172.in-addr.arpa",
        ];
        assert_eq!(
            asked.map(|owner| ask(&with, owner)),
            ["found 4", "nodata", "nxdomain", "nxdomain"]
        );
        for snapshot in [&before, &after] {
            assert_eq!(
                asked.map(|owner| ask(snapshot, owner)),
                ["found 4", "not ours", "not ours", "not ours"]
            );
        }
        builder.remove(&name(owner));
        assert_eq!(builder.build().names(), 0);
    }

    // RFC 8020, section 2: a name with names below it exists.
    #[test]
    fn names_between_an_owner_and_its_apex_exist_exactly_as_long_as_it_does() {
        let mut builder = builder();
        builder.set(&name("a.b.c.docker"), &[a(1)]).unwrap();
        builder.set(&name("b.c.docker"), &[a(2)]).unwrap();
        builder.set(&name("x.c.docker"), &[a(3)]).unwrap();
        let both = builder.build();
        builder.remove(&name("b.c.docker"));
        let without_middle = builder.build();
        builder.remove(&name("a.b.c.docker"));
        let without_leaf = builder.build();
        builder.remove(&name("x.c.docker"));
        let empty = builder.build();

        for (snapshot, answers) in [
            (&both, ["found 1", "found 2", "nodata", "nodata"]),
            (&without_middle, ["found 1", "nodata", "nodata", "nodata"]),
            (&without_leaf, ["nxdomain", "nxdomain", "nodata", "nodata"]),
            (&empty, ["nxdomain", "nxdomain", "nxdomain", "nodata"]),
        ] {
            let owners = ["a.b.c.docker", "b.c.docker", "c.docker", "docker"];
            assert_eq!(owners.map(|owner| ask(snapshot, owner)), answers);
        }
        assert_eq!(
            [&both, &without_middle, &without_leaf, &empty].map(Snapshot::names),
            [3, 2, 1, 0]
        );
        assert_eq!([both.serial(), empty.serial()], [1, 4]);
    }

    #[test]
    fn an_owner_outside_every_zone_is_served_and_nothing_around_it() {
        let mut builder = builder();
        builder.set(&name("www.example.org"), &[a(1)]).unwrap();
        let snapshot = builder.build();
        let owners = ["www.example.org", "example.org", "a.www.example.org", "xdocker"];
        assert_eq!(
            owners.map(|owner| ask(&snapshot, owner)),
            ["found 1", "not ours", "not ours", "not ours"]
        );
    }

    #[test]
    fn ten_thousand_names_are_found_after_any_order_of_changes() {
        let mut builder = builder();
        let owner = |number: usize| name(&format!("n{number}.dev.docker"));
        for number in 0..10_000 {
            builder.set(&owner(number), &[a((number % 251) as u8)]).unwrap();
            if number % 977 == 0 {
                builder.build();
            }
        }
        for number in (0..10_000).step_by(3) {
            builder.remove(&owner(number));
        }
        let snapshot = builder.build();
        for number in 0..10_000 {
            let expected = if number % 3 == 0 {
                "nxdomain".to_owned()
            } else {
                format!("found {}", number % 251)
            };
            assert_eq!(
                ask(&snapshot, &format!("n{number}.dev.docker")),
                expected,
                "{number}"
            );
        }
        assert_eq!(snapshot.names(), 6_666);
    }

    #[test]
    fn a_set_too_large_for_a_message_keeps_what_fits() {
        let mut builder = builder();
        let records: Vec<RecordData> = (0..5_000_u32).map(|n| RecordData::A(n.into())).collect();
        let additional = vec![Record {
            owner: name("t.docker"),
            ttl_seconds: 1,
            data: records[0].clone(),
        }];
        builder
            .set(
                &name("dev.docker"),
                &[RrSet {
                    view: View::EVERYONE,
                    ttl_seconds: 1,
                    records,
                    additional,
                }],
            )
            .unwrap();
        let snapshot = builder.build();
        let dev = name("dev.docker");
        let question = Question {
            qname: dev.as_ref(),
            qtype: RType::A,
            qclass: Class::IN,
        };
        let Lookup::Found(answer) = snapshot.lookup(&question, [10, 0, 0, 1].into()) else {
            panic!("stored")
        };
        assert_eq!(
            (answer.records, answer.stride, answer.answer.len()),
            (4_078, 16, 4_078 * 16)
        );
        assert_eq!((answer.additional_records, answer.additional.len()), (0, 0));
    }

    #[test]
    fn a_name_set_without_records_outlives_the_names_below_it() {
        let mut builder = builder();
        builder.set(&name("b.docker"), &[]).unwrap();
        builder.set(&name("a.b.docker"), &[a(1)]).unwrap();
        builder.remove(&name("a.b.docker"));
        assert_eq!(ask(&builder.build(), "b.docker"), "nodata");
        builder.remove(&name("b.docker"));
        assert_eq!(ask(&builder.build(), "b.docker"), "nxdomain");
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let mut builder = builder();
        let empty = RrSet {
            view: View::EVERYONE,
            ttl_seconds: 1,
            records: Vec::new(),
            additional: Vec::new(),
        };
        let owner = name("a.docker");
        assert_eq!(
            builder.set(&owner, &[empty]),
            Err(BuildError::EmptyRrSet { owner: owner.clone() })
        );
        assert!(matches!(
            builder.set(&owner, &[a(1), a(2)]),
            Err(BuildError::MixedRrSet { .. })
        ));
        assert_eq!(ask(&builder.build(), "a.docker"), "nxdomain");
    }

    #[test]
    fn endpoints_come_and_go_under_reused_keys_and_numbers() {
        let mut builder = builder();
        let endpoint = |number: usize| Endpoint {
            labels: [
                "dev",
                "web",
                &format!("i{number}"),
                "r",
                "h",
                &format!("u{number}"),
            ]
            .map(|label| label.as_bytes().into()),
            ipv4: vec![[10, 0, 0, 1].into()],
            ipv6: Vec::new(),
            port: None,
            ttl_seconds: 1,
            views: Vec::new(),
        };
        for round in 0..5 {
            let keys: Vec<EndpointKey> = (0..600)
                .map(|number| builder.insert_endpoint(&endpoint(round * 1000 + number)).unwrap())
                .collect();
            let full = builder.build();
            let instance = |number: usize| format!("i{}.*.dev.docker", round * 1000 + number);
            assert_eq!(
                [0, 300, 599, 600].map(|n| ask(&full, &instance(n))),
                ["matches", "matches", "matches", "nxdomain"]
            );
            assert_eq!((full.endpoints(), full.chunks.len()), (600, 3));
            keys.iter().for_each(|key| builder.remove_endpoint(*key));
            builder.remove_endpoint(keys[0]);
            let empty = builder.build();
            assert_eq!(
                (empty.endpoints(), ask(&empty, "*.dev.docker")),
                (0, "nxdomain".to_owned())
            );
        }
        assert_eq!(
            builder.labels.len(),
            1 + 600 * 2 + 4,
            "numbers are given out again"
        );
    }
}
