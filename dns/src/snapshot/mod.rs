//! Every name we answer for, at one moment.
//!
//! ```text
//! Snapshot ─▶ shards: in groups, so that one change copies little          ── exact names
//!          ├▶ chunks: six columns of label numbers                        ── wildcards, long names
//!          ├▶ zones:  apex and SOA                                        ── negative answers
//!          └▶ networks: client address to view                           ── variants of an answer
//! ```
//!
//! A question takes the first way that fits: its exact name, else a port of a name, else a match of its labels if it
//! lies in a zone and has a wildcard or more than three labels, else a wildcard owner that covers it, else a
//! negative answer, else it is not ours.

mod alias;
mod builder;
mod chunks;
mod endpoint;
mod entry;
mod port;
mod shards;
mod table;
mod view;
mod wildcard;
mod zone;

pub use alias::Alias;
pub use builder::{BuildError, Builder, PORT_RRSETS_MAX, Records};
pub use endpoint::{Endpoint, EndpointKey, GRAMMAR_LABELS, SRV_WEIGHT, Tier};
pub use entry::Answer;
pub use port::{Port, PortRrSets, Protocol};
use wildcard::REGION;
pub use wildcard::{Matches, SRV_PRIORITY, Written, is_wildcard, srv_share};
pub use zone::{Denial, Zone, ZoneSettings};

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use foldhash::fast::FixedState;

use crate::name::{Folded, NAME_OCTETS_MAX, NameRef};
use crate::record::View;
use crate::wire::{Question, RType};
use alias::alias_of;
use chunks::Chunks;
use entry::Entry;
use port::{Below, below};
use shards::Shards;
use table::{Hash, LABEL_MARK};
use view::Networks;
use zone::Zones;

/// What a name begins with that stands for others (RFC 4592, section 2.1.1).
const WILDCARD_OCTETS: &[u8] = b"\x01*";
/// Labels of the longest grammar name that is stored rather than matched: instance, service, environment.
const STORED_LABELS_MAX: usize = 3;

/// Every name we answer for, at one moment. Never changes once built.
///
/// Invariants, made by [`Builder::build`], relied on by [`Snapshot::lookup`]:
/// - `apex`: every zone's apex is a stored name, and so is every name between a stored one and its apex.
pub struct Snapshot {
    serial: u32,
    hasher: FixedState,
    shards: Shards,
    chunks: Chunks,
    zones: Zones,
    names: usize,
    wildcards: usize,
    endpoints: usize,
    networks: Networks,
}

/// What a snapshot says to a question.
pub enum Lookup<'s> {
    /// The name has records of the type.
    Found(Answer<'s>),
    /// Endpoints match the name's labels; they may have no record of the type.
    Matches(Matches<'s>),
    /// The name stands for another one, and the type is not the alias itself.
    Alias(Alias<'s>),
    /// The SOA of a zone was asked for, at its apex.
    Soa(Denial<'s>),
    /// The name exists, the type does not (RFC 2308, section 2.2).
    NoData(Denial<'s>),
    /// The name is in our zone and does not exist (RFC 2308, section 2.1).
    NxDomain(Denial<'s>),
    /// The name is none of ours.
    NotOurs,
}

impl Snapshot {
    /// Version of the data, as the SOA has it: one more with each build (RFC 1982 arithmetic).
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Names with records, besides those of the zones' own servers.
    #[must_use]
    pub fn names(&self) -> usize {
        self.names
    }

    /// Endpoints that wildcards can match.
    #[must_use]
    pub fn endpoints(&self) -> usize {
        self.endpoints
    }

    /// The zones we are authoritative for.
    #[must_use]
    pub fn zones(&self) -> &[Zone] {
        self.zones.as_slice()
    }

    /// Octets held by names and their records; what it shares with other snapshots included.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.shards.octets()
    }

    /// What we say to `question`, whose class the caller has checked, when `client` asks it.
    ///
    /// Allocates nothing, and compares only octets of names.
    #[must_use]
    pub fn lookup(&self, question: &Question<'_>, client: IpAddr) -> Lookup<'_> {
        let folded = Folded::new(question.qname);
        match self.entry(folded.octets()) {
            Some(entry) => self.lookup_type(entry, folded.as_ref(), question.qtype, client),
            None => match self.port(folded.as_ref()) {
                Some((entry, port)) => self.lookup_port(entry, port, folded.as_ref(), question.qtype, client),
                None => self.lookup_labels(folded.as_ref(), question.qtype, client),
            },
        }
    }

    /// The entry that `name`, which is not stored, is a port of; without the port where it is that of a protocol.
    fn port(&self, name: NameRef<'_>) -> Option<(Entry<'_>, Option<Port>)> {
        match below(name)? {
            Below::Port(port, name) => {
                let entry = self.entry(name.octets())?;
                entry.has_port(port).then_some((entry, Some(port)))
            }
            Below::Protocol(protocol, name) => {
                let entry = self.entry(name.octets())?;
                entry.has_port_of(protocol).then_some((entry, None))
            }
        }
    }

    /// The name of a port, which is in the entry of the name above: its SRV records, or none of another type.
    fn lookup_port<'s>(
        &'s self,
        entry: Entry<'s>,
        port: Option<Port>,
        name: NameRef<'_>,
        qtype: RType,
        client: IpAddr,
    ) -> Lookup<'s> {
        let wants_srv = matches!(qtype, RType::SRV | RType::ANY);
        let found = port
            .filter(|_| wants_srv)
            .and_then(|port| entry.port_rrset(port, self.view(entry, client)));
        found.map_or_else(|| self.no_data(name, qtype), Lookup::Found)
    }

    /// A name that is stored: its records of the type, those of its alias, or none.
    fn lookup_type<'s>(
        &'s self,
        entry: Entry<'s>,
        name: NameRef<'_>,
        qtype: RType,
        client: IpAddr,
    ) -> Lookup<'s> {
        let view = self.view(entry, client);
        if let Some(answer) = entry.rrset(qtype, view) {
            return Lookup::Found(answer);
        }
        if let Some(cname) = alias_of(&entry, qtype, view) {
            return Lookup::Alias(Alias {
                snapshot: self,
                cname,
                client,
            });
        }
        self.no_data(name, qtype)
    }

    /// Which variant of what is in `entry` the client gets.
    fn view(&self, entry: Entry<'_>, client: IpAddr) -> View {
        if entry.has_views() {
            self.networks.view_of(client)
        } else {
            View::EVERYONE
        }
    }

    /// What there is at a name that exists and has no record of the type in its entry.
    fn no_data(&self, name: NameRef<'_>, qtype: RType) -> Lookup<'_> {
        let is_soa = matches!(qtype, RType::SOA | RType::ANY);
        match self.zones.around(name) {
            Some((zone, 0)) if is_soa => Lookup::Soa(zone.denial()),
            Some((zone, 0)) if qtype == RType::NS => Lookup::Found(zone.servers()),
            Some((zone, _)) => Lookup::NoData(zone.denial()),
            // A name of ours outside our zones is a zone of its own: we own that name and no other.
            None => match self.zones.denial_outside(name) {
                Some(soa) if is_soa => Lookup::Soa(soa),
                Some(denial) => Lookup::NoData(denial),
                None => Lookup::NotOurs,
            },
        }
    }

    /// A name that is not stored: matched by its labels, covered by a wildcard owner, absent, or not ours.
    fn lookup_labels(&self, name: NameRef<'_>, qtype: RType, client: IpAddr) -> Lookup<'_> {
        let around = self.zones.around(name);
        if let Some(matches) = around.and_then(|(zone, start)| self.matches(zone, name, start, client)) {
            return match matches.alias() {
                None => Lookup::Matches(matches),
                Some(cname) if matches!(qtype, RType::CNAME | RType::ANY) => Lookup::Found(cname),
                Some(cname) => Lookup::Alias(Alias {
                    snapshot: self,
                    cname,
                    client,
                }),
            };
        }
        if let Some(owner) = self.wildcard_owner(name, around.map(|(_, start)| start)) {
            return self.lookup_type(owner, name, qtype, client);
        }
        around.map_or(Lookup::NotOurs, |(zone, _)| Lookup::NxDomain(zone.denial()))
    }

    /// The endpoints that a name in `zone`, whose apex begins at `start`, matches by SkyDNS's grammar.
    fn matches<'s>(
        &'s self,
        zone: &'s Zone,
        name: NameRef<'_>,
        start: usize,
        client: IpAddr,
    ) -> Option<Matches<'s>> {
        if !zone.matches_endpoints {
            return None;
        }
        let mut labels = [b"".as_slice(); GRAMMAR_LABELS];
        let mut count = 0;
        let mut rest = name.octets().get(..start)?;
        while let Some((&length, after)) = rest.split_first() {
            let (label, after) = after.split_at_checked(usize::from(length))?;
            *labels.get_mut(count)? = label;
            count += 1;
            rest = after;
        }
        let labels = labels.get(..count)?;
        if count <= STORED_LABELS_MAX && !labels.iter().any(|label| is_wildcard(label)) {
            return None;
        }
        // What begins with an underscore is a port or a protocol that is not there, and no unknown region.
        let region = labels.iter().rev().nth(REGION);
        if region.is_some_and(|label| label.starts_with(b"_") && self.label_number(label).is_none()) {
            return None;
        }
        let mut wanted = [None; GRAMMAR_LABELS];
        for (want, label) in wanted.iter_mut().zip(labels.iter().rev()) {
            *want = (!is_wildcard(label)).then(|| self.label_number(label));
        }
        let view = self.networks.view_of(client);
        Matches::find(&self.chunks, &self.hasher, zone, wanted, view)
    }

    /// The wildcard owner that covers `name`, which is not stored: `*` below its closest encloser (RFC 4592,
    /// section 3.3.1). Outside our zones we own no encloser but names that were asked for.
    fn wildcard_owner(&self, name: NameRef<'_>, apex_start: Option<usize>) -> Option<Entry<'_>> {
        if self.wildcards == 0 {
            return None;
        }
        let mut owner = [0; NAME_OCTETS_MAX + 2];
        let mut start = 0;
        for label in name.labels() {
            start += 1 + label.len();
            let encloser = name.octets().get(start..)?;
            let key = owner.get_mut(..2 + encloser.len())?;
            key.get_mut(..2)?.copy_from_slice(WILDCARD_OCTETS);
            key.get_mut(2..)?.copy_from_slice(encloser);
            if let Some(entry) = self.entry(key) {
                return Some(entry);
            }
            let is_closest = apex_start.is_some_and(|apex| start >= apex);
            if is_closest || self.exists(encloser) {
                return None;
            }
        }
        None
    }

    /// Whether there is a name of these octets.
    fn exists(&self, name: &[u8]) -> bool {
        self.entry(name).is_some() || NameRef::split(name).is_ok_and(|(name, _)| self.port(name).is_some())
    }

    fn entry(&self, key: &[u8]) -> Option<Entry<'_>> {
        self.shards.find(hash_of(&self.hasher, key), key)
    }

    fn label_number(&self, label: &[u8]) -> Option<u32> {
        let mut key = [LABEL_MARK; 1 + crate::name::LABEL_OCTETS_MAX];
        let key = key.get_mut(..=label.len())?;
        key.get_mut(1..)?.copy_from_slice(label);
        Some(self.entry(key)?.value)
    }
}

/// Hash of a key under the seed that `hasher` was made with.
fn hash_of(hasher: &FixedState, key: &[u8]) -> Hash {
    let mut state = hasher.build_hasher();
    state.write(key);
    Hash(state.finish())
}
