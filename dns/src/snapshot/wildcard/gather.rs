//! One RRset, written into a reply record by record: doubles are left out, and what only the whole set can tell is put
//! in at the end.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::SRV_WEIGHT;
use crate::record::RDATA_AT;
use crate::wire::{Class, RType, Reply, Section};

/// Octets of the shortest record, that of an IPv4 address behind a pointer.
pub(super) const RECORD_OCTETS_MIN: usize = 16;
/// Slots that are enough for a reply with this much room, twice as many as it has records.
pub(super) const SLOTS_SMALL: usize = 256;
/// Room that [`SLOTS_SMALL`] are enough for, in octets: more than a datagram has.
pub(super) const ROOM_SMALL: usize = SLOTS_SMALL / 2 * RECORD_OCTETS_MIN;
/// Slots for the largest message.
pub(super) const SLOTS: usize = 8192;
const _: () = assert!(
    SLOTS.is_power_of_two() && SLOTS_SMALL.is_power_of_two() && SLOTS / 2 * RECORD_OCTETS_MIN >= 65_535,
    "at least half of the slots stay free, so a probe for what is new stops soon"
);
/// SRV priorities that weights are shared out among; the weights of further ones go out as they were asked for.
const PRIORITIES_MAX: usize = 16;

/// An RRset on its way into `reply`. Services may share an address, two engines may show one container, and no record
/// may stand in a reply twice (RFC 2181, section 5).
pub(super) struct Gather<'r, 'b, const SLOTS: usize> {
    reply: &'r mut Reply<'b>,
    hasher: &'r FixedState,
    section: Section,
    /// Where each record begins, at the place that its octets choose; 0 for none.
    slots: [u16; SLOTS],
    start: usize,
    /// Time to live that the records were written with, and the least of their endpoints.
    ttl_seconds: Option<(u32, u32)>,
}

impl<'r, 'b, const SLOTS: usize> Gather<'r, 'b, SLOTS> {
    pub(super) fn new(reply: &'r mut Reply<'b>, hasher: &'r FixedState, section: Section) -> Self {
        let start = reply.end();
        Self {
            reply,
            hasher,
            section,
            slots: [0; SLOTS],
            start,
            ttl_seconds: None,
        }
    }

    /// Appends a record unless it is there already. Returns whether there was room.
    pub(super) fn push(
        &mut self,
        owner: &[&[u8]; 2],
        rtype: RType,
        ttl_seconds: u32,
        rdata: &[&[u8]; 3],
    ) -> bool {
        // Equal records must have equal octets until the last one has come.
        let (written, least) = self.ttl_seconds.unwrap_or((ttl_seconds, ttl_seconds));
        self.ttl_seconds = Some((written, least.min(ttl_seconds)));
        let length: usize = rdata.iter().map(|part| part.len()).sum();
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        let ([t0, t1], [c0, c1], [l0, l1]) = (
            rtype.0.to_be_bytes(),
            Class::IN.0.to_be_bytes(),
            length.to_be_bytes(),
        );
        let [s0, s1, s2, s3] = written.to_be_bytes();
        let fixed = [t0, t1, c0, c1, s0, s1, s2, s3, l0, l1];
        let ([first, second], [one, two, three]) = (owner, rdata);
        let at = self.reply.end();
        if !self
            .reply
            .push(self.section, 1, &[first, second, &fixed, one, two, three])
        {
            return false;
        }
        if self.is_double(at) {
            self.reply.take_back(self.section, at);
        }
        true
    }

    /// Whether the record that was written last, from `at` on, stands before itself as well; remembers it if not.
    fn is_double(&mut self, at: usize) -> bool {
        let written = self.reply.written(self.start);
        let place = |at: usize| at.saturating_sub(self.start);
        let record = written.get(place(at)..).unwrap_or_default();
        let mut slot = self.hasher.hash_one(record) as usize % SLOTS;
        while let Some(taken) = self.slots.get_mut(slot) {
            if *taken == 0 {
                // A message is no longer than 16 bits can count.
                *taken = u16::try_from(at).unwrap_or(0);
                return false;
            }
            let other = written.get(place(usize::from(*taken))..).unwrap_or_default();
            if other.starts_with(record) {
                return true;
            }
            slot = (slot + 1) % SLOTS;
        }
        false
    }

    /// Where the next record will begin.
    pub(super) fn end(&self) -> usize {
        self.reply.end()
    }

    /// Whether it has no record.
    pub(super) fn is_empty(&self) -> bool {
        self.end() == self.start
    }

    /// Gives the set its one TTL, the least (RFC 2181, section 5.2), and returns it. Owners are pointers.
    pub(super) fn level_ttl(&mut self) -> u32 {
        let (written, least) = self.ttl_seconds.unwrap_or_default();
        if written == least {
            return least;
        }
        each_record(self.reply.written_mut(self.start), |record| {
            if let Some(ttl) = record.get_mut(6..10) {
                ttl.copy_from_slice(&least.to_be_bytes());
            }
        });
        least
    }

    /// Shares a hundred out among the SRV records of each priority, as their weights have it (SkyDNS).
    pub(super) fn share_weights(&mut self) {
        let mut sums = [(0_u16, 0_u32); PRIORITIES_MAX];
        let mut known = 0;
        let records = self.reply.written_mut(self.start);
        each_record(records, |record| {
            let Some((priority, weight)) = priority_and_weight(record) else {
                return;
            };
            let place = sums.iter().take(known).position(|(its, _)| *its == priority);
            let place = place.unwrap_or_else(|| {
                known += 1;
                known - 1
            });
            if let Some(sum) = sums.get_mut(place) {
                *sum = (priority, sum.1 + u32::from(weight));
            }
        });
        each_record(records, |record| {
            let Some((priority, weight)) = priority_and_weight(record) else {
                return;
            };
            let sum = sums.iter().take(known).find(|(its, _)| *its == priority);
            if let (Some((_, sum)), Some(to)) = (sum, record.get_mut(RDATA_AT + 2..RDATA_AT + 4)) {
                to.copy_from_slice(&srv_share(weight, *sum).to_be_bytes());
            }
        });
    }

    /// Puts the record that `rotation` chooses first, of those in `range`, which are all of the message's octets there.
    pub(super) fn rotate(&mut self, range: std::ops::Range<usize>, rotation: u16) {
        let records = self.reply.written_mut(range.start);
        let records = records.get_mut(..range.len()).unwrap_or_default();
        let mut count = 0_usize;
        each_record(records, |_| count += 1);
        let Some(first @ 1..) = usize::from(rotation).checked_rem(count) else {
            return;
        };
        let (mut seen, mut octets) = (0, 0);
        each_record(records, |record| {
            octets += if seen < first { record.len() } else { 0 };
            seen += 1;
        });
        records.rotate_left(octets.min(records.len()));
    }
}

/// Calls `visit` with each of `records`, whose owners are pointers.
fn each_record(mut records: &mut [u8], mut visit: impl FnMut(&mut [u8])) {
    while let Some(&[.., l0, l1]) = records.first_chunk::<RDATA_AT>() {
        let length = RDATA_AT + usize::from(u16::from_be_bytes([l0, l1]));
        let Some((record, rest)) = std::mem::take(&mut records).split_at_mut_checked(length) else {
            return;
        };
        visit(record);
        records = rest;
    }
}

fn priority_and_weight(record: &[u8]) -> Option<(u16, u16)> {
    let &[p0, p1, w0, w1] = record.get(RDATA_AT..)?.first_chunk()?;
    Some((u16::from_be_bytes([p0, p1]), u16::from_be_bytes([w0, w1])))
}

/// What an SRV record whose endpoint asks for `weight` gets of a hundred, where all of its priority ask for `sum`
/// together. Never 0, which RFC 2782 all but excludes from use, unless that was asked for.
///
/// Where everyone asks for [`SRV_WEIGHT`], as everyone does who asks for nothing, it is SkyDNS's 100 / n.
#[must_use]
pub fn srv_share(weight: u16, sum: u32) -> u16 {
    let share = (u32::from(weight) * u32::from(SRV_WEIGHT)).checked_div(sum);
    let least = weight.min(1);
    u16::try_from(share.unwrap_or(0)).unwrap_or(u16::MAX).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    // SkyDNS gave 100 / n, which is 0 from the 101st service on.
    #[test]
    fn weights_share_a_hundred_and_are_never_zero_unless_that_was_asked_for() {
        let even = |n: u32| srv_share(SRV_WEIGHT, n * u32::from(SRV_WEIGHT));
        assert_eq!([1, 3, 100, 101, 5000].map(even), [100, 33, 1, 1, 1]);
        assert_eq!([200, 100, 0].map(|weight| srv_share(weight, 300)), [66, 33, 0]);
        assert_eq!((srv_share(0, 0), srv_share(u16::MAX, u32::MAX)), (0, 1));
        assert_eq!(srv_share(u16::MAX, u32::from(u16::MAX)), 100);
    }
}
