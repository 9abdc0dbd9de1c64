//! One RRset, written into a reply record by record: doubles are left out, and what only the whole set can tell is put
//! in at the end.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::{A_OCTETS, SRV_WEIGHT};
use crate::name::NameRef;
use crate::record::RDATA_AT;
use crate::wire::{Class, RType, Reply, Section};

/// Slots for the first records, most often all of them: half of them are used.
const FEW_SLOTS: usize = 256;
/// Slots for the others of the largest message, made when there are others.
const MANY_SLOTS: usize = 8192;
const _: () = assert!(
    MANY_SLOTS.is_power_of_two()
        && FEW_SLOTS.is_power_of_two()
        && (MANY_SLOTS + FEW_SLOTS) / 2 * A_OCTETS >= 65_535,
    "at least half of the slots stay free, so a probe for what is new stops soon"
);
/// Octets of a record between its owner and its data: type, class, TTL, RDLENGTH.
const AFTER_OWNER_OCTETS: usize = 10;
/// SRV priorities that weights are shared out among; the weights of further ones go out as they were asked for.
const PRIORITIES_MAX: usize = 16;

/// An RRset on its way into `reply`. Services may share an address, two engines may show one container, and no record
/// may stand in a reply twice (RFC 2181, section 5).
pub(super) struct Gather<'r, 'b> {
    reply: &'r mut Reply<'b>,
    hasher: &'r FixedState,
    section: Section,
    /// Where each record begins, at the place that its octets choose; 0 for none. Those that came when
    /// `few` was half full are in `many`.
    few: [u16; FEW_SLOTS],
    many: Option<[u16; MANY_SLOTS]>,
    records: usize,
    start: usize,
    /// Time to live that the records were written with, and the least of their endpoints.
    ttl_seconds: Option<(u32, u32)>,
}

impl<'r, 'b> Gather<'r, 'b> {
    pub(super) fn new(reply: &'r mut Reply<'b>, hasher: &'r FixedState, section: Section) -> Self {
        let start = reply.end();
        Self {
            reply,
            hasher,
            section,
            few: [0; FEW_SLOTS],
            many: None,
            records: 0,
            start,
            ttl_seconds: None,
        }
    }

    /// Appends the record of an address whose owner is a pointer, unless it is there already. Returns whether there was
    /// room. `RECORD` is the record's length, that of `address` and [`RDATA_AT`] octets.
    pub(super) fn push_address<const RECORD: usize>(
        &mut self,
        owner: [u8; 2],
        rtype: RType,
        ttl_seconds: u32,
        address: &[u8],
    ) -> bool {
        let written = self.written_ttl(ttl_seconds);
        let mut record = [0; RECORD];
        // All lengths are constant where this is called, so the record is made in registers.
        if let Some(head) = record.first_chunk_mut() {
            *head = head_of(owner, rtype, written, address.len());
        }
        if let Some(rdata) = record
            .get_mut(RDATA_AT..)
            .filter(|rdata| rdata.len() == address.len())
        {
            rdata.copy_from_slice(address);
        }
        let at = self.reply.end();
        if !self.reply.push(self.section, 1, &[&record]) {
            return false;
        }
        self.remember(at, self.hasher.hash_one(address));
        true
    }

    /// Appends an SRV record whose owner is a pointer, in the same way. `numbers`: priority, weight and port; `target`
    /// is a name in two parts, of which the first tells it from others.
    pub(super) fn push_srv(
        &mut self,
        owner: [u8; 2],
        ttl_seconds: u32,
        numbers: [u16; 3],
        target: [&[u8]; 2],
    ) -> bool {
        let written = self.written_ttl(ttl_seconds);
        let [first, second] = target;
        let head = head_of(owner, RType::SRV, written, 6 + first.len() + second.len());
        let [o0, o1, t0, t1, c0, c1, s0, s1, s2, s3, l0, l1] = head;
        let [[p0, p1], [w0, w1], [n0, n1]] = numbers.map(u16::to_be_bytes);
        let fixed = [
            o0, o1, t0, t1, c0, c1, s0, s1, s2, s3, l0, l1, p0, p1, w0, w1, n0, n1,
        ];
        let at = self.reply.end();
        if !self.reply.push(self.section, 1, &[&fixed, first, second]) {
            return false;
        }
        self.remember(at, self.hasher.hash_one((first, numbers)));
        true
    }

    /// Appends the record of an address whose owner is a name in two parts, in the same way.
    pub(super) fn push_target(
        &mut self,
        owner: [&[u8]; 2],
        rtype: RType,
        ttl_seconds: u32,
        address: &[u8],
    ) -> bool {
        let written = self.written_ttl(ttl_seconds);
        let [_, _, fixed @ ..] = head_of([0; 2], rtype, written, address.len());
        let [first, second] = owner;
        let at = self.reply.end();
        if !self
            .reply
            .push(self.section, 1, &[first, second, &fixed, address])
        {
            return false;
        }
        self.remember(at, self.hasher.hash_one((first, address)));
        true
    }

    /// The TTL that records are written with: equal ones must have equal octets until the last one has come.
    fn written_ttl(&mut self, ttl_seconds: u32) -> u32 {
        let (written, least) = self.ttl_seconds.unwrap_or((ttl_seconds, ttl_seconds));
        self.ttl_seconds = Some((written, least.min(ttl_seconds)));
        written
    }

    /// Takes the record that was written last, from `at` on, back if it stands before itself as well; else remembers it.
    fn remember(&mut self, at: usize, hash: u64) {
        let written = self.reply.written(self.start);
        let is_few = self.records < FEW_SLOTS / 2;
        let known = place_of(&mut self.few, written, self.start, at, hash, is_few)
            || (!is_few && {
                let many = self.many.get_or_insert([0; MANY_SLOTS]);
                place_of(many, written, self.start, at, hash, true)
            });
        if known {
            self.reply.take_back(self.section, at, 1);
        } else {
            self.records += 1;
        }
    }

    /// Takes the records of type `rtype` back whose owner is this name in two parts, of those whose owners are written out.
    /// It is the end: what they were remembered by stays.
    pub(super) fn withdraw(&mut self, owner: [&[u8]; 2], rtype: RType) {
        let [first, second] = owner;
        let written = self.reply.written_mut(self.start);
        let (mut read, mut kept, mut withdrawn) = (0, 0, 0);
        while let Ok((name, after)) = NameRef::split(written.get(read..).unwrap_or_default()) {
            let Some(&[t0, t1, .., l0, l1]) = after.first_chunk::<AFTER_OWNER_OCTETS>() else {
                break;
            };
            let length = name.octets().len() + AFTER_OWNER_OCTETS + usize::from(u16::from_be_bytes([l0, l1]));
            let is_owners = name.octets().strip_prefix(first) == Some(second);
            if is_owners && u16::from_be_bytes([t0, t1]) == rtype.0 {
                withdrawn += 1;
            } else {
                // Both ends lie within what is written, where the record was read from.
                written.copy_within(read..read + length, kept);
                kept += length;
            }
            read += length;
        }
        self.reply.take_back(self.section, self.start + kept, withdrawn);
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

    /// The same for records of one length, in octets.
    pub(super) fn rotate_equals(&mut self, range: std::ops::Range<usize>, rotation: u16, length: usize) {
        let records = self.reply.written_mut(range.start);
        let records = records.get_mut(..range.len()).unwrap_or_default();
        let count = records.len().checked_div(length).unwrap_or(0);
        let first = usize::from(rotation).checked_rem(count).unwrap_or(0);
        records.rotate_left((first * length).min(records.len()));
    }
}

/// Whether a record that equals the last one is at the place in `slots` that `hash` chooses. If not, and if there is room
/// for it (`is_open`), the last one, which begins at `at` in the message and ends with `written`, is put there.
fn place_of(slots: &mut [u16], written: &[u8], start: usize, at: usize, hash: u64, is_open: bool) -> bool {
    let from = |at: usize| written.get(at.saturating_sub(start)..).unwrap_or_default();
    let (record, mask) = (from(at), slots.len().saturating_sub(1));
    let mut slot = hash as usize & mask;
    while let Some(taken) = slots.get_mut(slot) {
        if *taken == 0 {
            if is_open {
                // A message is no longer than 16 bits can count.
                *taken = u16::try_from(at).unwrap_or(0);
            }
            return false;
        }
        if from(usize::from(*taken)).starts_with(record) {
            return true;
        }
        slot = (slot + 1) & mask;
    }
    false
}

/// What stands before a record's data, its owner a pointer.
fn head_of(owner: [u8; 2], rtype: RType, ttl_seconds: u32, rdata_octets: usize) -> [u8; RDATA_AT] {
    let length = u16::try_from(rdata_octets).unwrap_or(u16::MAX);
    let ([o0, o1], [t0, t1], [c0, c1], [l0, l1]) = (
        owner,
        rtype.0.to_be_bytes(),
        Class::IN.0.to_be_bytes(),
        length.to_be_bytes(),
    );
    let [s0, s1, s2, s3] = ttl_seconds.to_be_bytes();
    [o0, o1, t0, t1, c0, c1, s0, s1, s2, s3, l0, l1]
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
    use crate::wire::{Head, Query};

    /// More records than the first slots are for: whatever place one was remembered in, it is not written again.
    #[test]
    fn no_record_stands_twice_however_many_there_are() {
        let packet = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
        let head = Head::from(&Query::parse(packet).unwrap());
        let mut buffer = packet.to_vec();
        buffer.resize(65_535, 0);
        let mut reply = Reply::begin(&mut buffer, head, 65_535, 1232);
        let hasher = FixedState::with_seed(7);
        let mut gather = Gather::new(&mut reply, &hasher, Section::Answer);
        for _ in 0..2 {
            for number in (0..1000_u32).chain(0..10) {
                let address = number.to_be_bytes();
                assert!(gather.push_address::<A_OCTETS>([0xc0, 12], RType::A, 30, &address));
                let target: [&[u8]; 2] = [&address, b"\x06docker\x00"];
                assert!(gather.push_srv([0xc0, 12], 30, [10, 100, 80], target));
            }
        }
        let length = gather.end();
        assert_eq!(length, packet.len() + 1000 * (A_OCTETS + RDATA_AT + 6 + 4 + 8));
        let _ = reply.finish();
        assert_eq!(buffer[6..8], 2000_u16.to_be_bytes());
    }

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
