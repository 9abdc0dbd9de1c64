//! What is found out of a reply's records while they are picked: the least TTL, private addresses, and which may be rotated.

use super::chain::ReplyRecord;
use super::entry::Rotation;
use super::rules::Rules;

/// What is found out of the records on the way.
pub(super) struct Picked<'a> {
    pub(super) rules: &'a Rules,
    /// The least TTL.
    pub(super) ttl: u32,
    /// One of the addresses lies in a private network.
    pub(super) is_private: bool,
    run: Rotation,
    run_ttl: u32,
    is_scattered: bool,
}

impl<'a> Picked<'a> {
    pub(super) fn new(rules: &'a Rules) -> Self {
        Self {
            rules,
            ttl: u32::MAX,
            is_private: false,
            run: Rotation::default(),
            run_ttl: 0,
            is_scattered: false,
        }
    }

    /// The TTL that a record of the answer is kept with.
    pub(super) fn ttl_of(&mut self, record: &ReplyRecord<'_>) -> u32 {
        let ttl = self.rules.bounded(seconds(record));
        self.ttl = self.ttl.min(ttl);
        ttl
    }

    /// Adds an address record, from `start` to `end` of the records, to those that may be rotated.
    pub(super) fn rotate(&mut self, start: usize, end: usize, ttl: u32) {
        let (stride, run) = ((end - start) as u16, &mut self.run);
        if run.count == 0 {
            *run = Rotation {
                start: start as u16,
                stride,
                count: 1,
            };
            self.run_ttl = ttl;
        } else if usize::from(run.start) + usize::from(run.stride) * usize::from(run.count) == start
            && run.stride == stride
            && self.run_ttl == ttl
        {
            run.count += 1;
        } else {
            self.is_scattered = true;
        }
    }

    pub(super) fn rotation(&self) -> Rotation {
        if self.is_scattered {
            Rotation::default()
        } else {
            self.run
        }
    }
}

/// A record's TTL in seconds; one with the highest bit set counts as 0 (RFC 2181, section 8).
pub(super) fn seconds(record: &ReplyRecord<'_>) -> u32 {
    let seconds = record.ttl().as_secs();
    if seconds > i32::MAX as u32 { 0 } else { seconds }
}
