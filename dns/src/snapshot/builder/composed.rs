//! RRsets made into octets, within what a message can carry.

use super::error::RRSETS_MAX;
use super::{BuildError, PORT_RRSETS_MAX};
use crate::moment::Moment;
use crate::name::{NAME_OCTETS_MAX, Name};
use crate::record::{RecordData, RrSet, View, character_strings};
use crate::snapshot::entry::{Answer, EntryOctets};
use crate::snapshot::port::{Port, PortRrSets};
use crate::wire::{EDNS_OCTETS, HEADER_OCTETS, RType};

/// Octets that the records of one RRset and its additional ones may take: what the largest TCP message
/// leaves beside its header, the longest question and OPT. Records that do not fit are left out, last first.
const RRSET_OCTETS_MAX: usize = 65_535 - HEADER_OCTETS - (NAME_OCTETS_MAX + 4) - EDNS_OCTETS;
/// Octets of a TXT record's data: what RDLENGTH can count.
pub(super) const TEXT_OCTETS_MAX: usize = u16::MAX as usize;

/// All that a name is set to, in octets.
pub(super) struct Composed {
    rrsets: Vec<ComposedRrSet>,
    /// Those of its ports, in the order that an entry keeps them in; a port without any has an empty one.
    ports: Vec<(Port, ComposedRrSet)>,
}

impl Composed {
    /// What [`Builder::set_with_ports`](super::Builder::set_with_ports) takes, checked as it says.
    pub(super) fn of(owner: &Name, rrsets: &[RrSet], ports: &[PortRrSets]) -> Result<Self, BuildError> {
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
        Ok(Self {
            rrsets: composed,
            ports: compose_ports(owner, ports)?,
        })
    }

    /// The entry of `owner`, which has so many names right below it.
    pub(super) fn entry(&self, owner: &Name, children: u32) -> EntryOctets {
        let rrsets: Vec<Answer<'_>> = self.rrsets.iter().map(ComposedRrSet::answer).collect();
        let ports = self.ports.iter().map(|(port, rrset)| (*port, rrset.answer()));
        let ports: Vec<(Port, Answer<'_>)> = ports.collect();
        EntryOctets::new(owner.octets(), children, &rrsets, &ports)
    }
}

/// The RRsets of the ports of `owner`.
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

/// An RRset's octets, before they go into an entry.
struct ComposedRrSet {
    rtype: RType,
    view: View,
    records: u16,
    additional_records: u16,
    stride: u16,
    until: Option<Moment>,
    answer: Vec<u8>,
    additional: Vec<u8>,
}

impl ComposedRrSet {
    fn of(owner: &Name, rrset: &RrSet) -> Result<Self, BuildError> {
        let rtype = match rrset.records.first() {
            Some(first) => first.rtype(),
            None => return Err(BuildError::EmptyRrSet { owner: owner.clone() }),
        };
        let is_absent = matches!(rrset.records.as_slice(), [RecordData::Absent(_)]);
        if is_absent && rrset.view == View::EVERYONE {
            return Err(BuildError::EmptyRrSet { owner: owner.clone() });
        }
        let is_mixed = |record: &RecordData| {
            record.rtype() != rtype || (matches!(record, RecordData::Absent(_)) && !is_absent)
        };
        if rrset.records.iter().any(is_mixed) {
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
        for record in rrset.records.iter().filter(|_| !is_absent) {
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
            until: rrset.until,
            answer,
            additional,
        })
    }

    /// No record at all, for everybody.
    fn empty(rtype: RType) -> Self {
        Self {
            rtype,
            view: View::EVERYONE,
            records: 0,
            additional_records: 0,
            stride: 0,
            until: None,
            answer: Vec::new(),
            additional: Vec::new(),
        }
    }

    fn answer(&self) -> Answer<'_> {
        Answer {
            rtype: self.rtype,
            view: self.view,
            records: self.records,
            additional_records: self.additional_records,
            stride: self.stride,
            until: self.until,
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
