//! An RRset made into octets, within what a message can carry.

use super::BuildError;
use crate::moment::Moment;
use crate::name::{NAME_OCTETS_MAX, Name};
use crate::record::{RecordData, RrSet, View, character_strings};
use crate::snapshot::entry::Answer;
use crate::wire::{EDNS_OCTETS, HEADER_OCTETS, RType};

/// Octets that the records of one RRset and its additional ones may take: what the largest TCP message
/// leaves beside its header, the longest question and OPT. Records that do not fit are left out, last first.
const RRSET_OCTETS_MAX: usize = 65_535 - HEADER_OCTETS - (NAME_OCTETS_MAX + 4) - EDNS_OCTETS;
/// Octets of a TXT record's data: what RDLENGTH can count.
pub(super) const TEXT_OCTETS_MAX: usize = u16::MAX as usize;
/// An RRset's octets, before they go into an entry.
pub(super) struct ComposedRrSet {
    pub(super) rtype: RType,
    pub(super) view: View,
    pub(super) records: u16,
    additional_records: u16,
    stride: u16,
    until: Option<Moment>,
    answer: Vec<u8>,
    additional: Vec<u8>,
}

impl ComposedRrSet {
    pub(super) fn of(owner: &Name, rrset: &RrSet) -> Result<Self, BuildError> {
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
    pub(super) fn empty(rtype: RType) -> Self {
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

    pub(super) fn answer(&self) -> Answer<'_> {
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
