//! Writes a reply into the buffer that holds the query, after its question.

use crate::name::NameRef;

use super::{
    EDNS_OCTETS, Edns, ExtendedError, Flags, HEADER_OCTETS, Head, Header, OPTION_OCTETS, OptionCode, Rcode,
};

/// Owner of a record whose owner is the question's name: a pointer to the end of the header.
pub const OWNER_IS_QNAME: [u8; 2] = [0xc0, 12];

/// Octets of a record between its owner and its data: type, class, TTL, RDLENGTH.
const FIXED_OCTETS: usize = 10;

/// The sections of a reply after its question, in the order they must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Records that answer the question.
    Answer = 1,
    /// The SOA of a negative answer.
    Authority = 2,
    /// Addresses of the answer's targets.
    Additional = 3,
}

/// A reply under way.
///
/// The question stays where it is, octet for octet, so the client's case is preserved. What does not
/// fit is refused whole by [`Reply::push`] and [`Reply::option`]: a reply never ends inside a record.
///
/// ```text
/// buffer  | header | question | records ──▶        ◀── options | OPT |      until the reply is finished
///                             0         end        limit             what may be sent
/// ```
///
/// Room for our OPT record is set aside from the start, if the query has one. Options wait behind the records until
/// [`Reply::finish`] moves them into it, so that each takes exactly the room it needs and needs no store of its own.
pub struct Reply<'b> {
    buffer: &'b mut [u8],
    head: Head,
    flags: Flags,
    rcode: Rcode,
    udp_size: u16,
    /// Where the records end.
    end: usize,
    /// Where they must end: the options begin there.
    limit: usize,
    /// Length of the options.
    options_octets: u16,
    counts: [u16; 4],
}

impl<'b> Reply<'b> {
    /// Begins a reply in `buffer`, which holds the query that `head` was taken from.
    ///
    /// `limit` is the largest message in octets that may be sent; `udp_size` is the largest that we
    /// take, for our OPT record. RD and the operation code are copied, QR is set.
    pub fn begin(buffer: &'b mut [u8], head: Head, limit: usize, udp_size: u16) -> Self {
        let opt = if head.edns.is_some() { EDNS_OCTETS } else { 0 };
        let limit = limit.min(buffer.len()).saturating_sub(opt);
        let copied = head.flags.masked(Flags::RD).with(head.flags.opcode_bits());
        Self {
            flags: Flags::QR.with(copied),
            rcode: Rcode::NO_ERROR,
            end: head.question_end,
            counts: [head.questions(), 0, 0, 0],
            buffer,
            head,
            udp_size,
            limit,
            options_octets: 0,
        }
    }

    /// Says that others are asked for what is not ours: sets RA, and copies CD, which is meant for whoever
    /// recurses (RFC 4035, section 3.2.2).
    pub fn offer_recursion(&mut self) {
        self.set_flags(Flags::RA.with(self.head.flags.masked(Flags::CD)));
    }

    /// Sets `flags` besides those already set.
    pub fn set_flags(&mut self, flags: Flags) {
        self.flags = self.flags.with(flags);
    }

    /// Sets the response code.
    pub fn set_rcode(&mut self, rcode: Rcode) {
        self.rcode = rcode;
    }

    /// Octets of the question's name before `suffix_octets` at its end: where a pointer to that suffix leads.
    #[must_use]
    pub fn pointer_to_suffix(&self, suffix_octets: usize) -> [u8; 2] {
        let name_end = self.head.question_end.saturating_sub(4);
        let offset = u16::try_from(name_end.saturating_sub(suffix_octets)).unwrap_or(0);
        (0xc000 | offset).to_be_bytes()
    }

    /// The question's name, as the client sent it.
    #[must_use]
    pub fn qname(&self) -> NameRef<'_> {
        let question = self.buffer.get(HEADER_OCTETS..).unwrap_or_default();
        NameRef::split(question).map_or(NameRef::ROOT, |(name, _)| name)
    }

    /// The client's number for the message.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.head.id
    }

    /// Octets written so far: where in the message the next record will begin.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
    }

    /// Octets that are left for records.
    #[must_use]
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.end)
    }

    /// Appends `parts`, which together are `records` whole records, to `section`.
    ///
    /// Returns whether they fitted; if not, nothing is written.
    #[must_use]
    pub fn push(&mut self, section: Section, records: u16, parts: &[&[u8]]) -> bool {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let Some(mut room) = self
            .buffer
            .get_mut(self.end..self.limit)
            .filter(|room| room.len() >= length)
        else {
            return false;
        };
        for part in parts {
            let Some((to, rest)) = room.split_at_mut_checked(part.len()) else {
                return false;
            };
            to.copy_from_slice(part);
            room = rest;
        }
        self.end += length;
        let count = self.count(section);
        *count = count.saturating_add(records);
        true
    }

    fn count(&mut self, section: Section) -> &mut u16 {
        let [_, answers, authorities, additionals] = &mut self.counts;
        match section {
            Section::Answer => answers,
            Section::Authority => authorities,
            Section::Additional => additionals,
        }
    }

    /// What was written from `from` on, an end that [`Reply::end`] gave.
    #[must_use]
    pub fn written(&self, from: usize) -> &[u8] {
        self.buffer.get(from..self.end).unwrap_or_default()
    }

    /// The same, to be changed in place.
    pub fn written_mut(&mut self, from: usize) -> &mut [u8] {
        self.buffer.get_mut(from..self.end).unwrap_or_default()
    }

    /// Has no record that was written from `from` on remembered for longer than `most` seconds.
    pub fn cap_ttls(&mut self, from: usize, most: u32) {
        let mut rest = self.written_mut(from);
        while let Some(owner) = owner_octets(rest) {
            let Some((_, after)) = std::mem::take(&mut rest).split_at_mut_checked(owner) else {
                return;
            };
            let Some((&mut [_, _, _, _, ref mut ttl @ .., l0, l1], after)) =
                after.split_first_chunk_mut::<FIXED_OCTETS>()
            else {
                return;
            };
            *ttl = u32::from_be_bytes(*ttl).min(most).to_be_bytes();
            let rdata = usize::from(u16::from_be_bytes([l0, l1]));
            rest = after.get_mut(rdata..).unwrap_or_default();
        }
    }

    /// Takes back the `records` of `section` that were written from `from` on.
    pub fn take_back(&mut self, section: Section, from: usize, records: u16) {
        self.end = self.end.min(from);
        let count = self.count(section);
        *count = count.saturating_sub(records);
    }

    /// Puts an option into our OPT record: `code`, and `parts` as its data.
    ///
    /// Returns whether there was room; if not, or if the query has no OPT record, nothing is written. What must not
    /// be missing is to be put there before the records.
    pub fn option(&mut self, code: OptionCode, parts: &[&[u8]]) -> bool {
        let data: usize = parts.iter().map(|part| part.len()).sum();
        let (Ok(data), Some(start)) = (u16::try_from(data), self.limit.checked_sub(OPTION_OCTETS + data))
        else {
            return false;
        };
        if self.head.edns.is_none() || start < self.end {
            return false;
        }
        let Some(mut room) = self.buffer.get_mut(start..self.limit) else {
            return false;
        };
        for part in [&code.0.to_be_bytes()[..], &data.to_be_bytes()]
            .iter()
            .chain(parts)
        {
            let Some((to, rest)) = room.split_at_mut_checked(part.len()) else {
                return false;
            };
            to.copy_from_slice(part);
            room = rest;
        }
        self.options_octets += (self.limit - start) as u16;
        self.limit = start;
        true
    }

    /// Says more closely why this is no answer, if the client speaks EDNS and there is room (RFC 8914).
    pub fn explain(&mut self, error: ExtendedError) {
        let _ = self.option(OptionCode::EXTENDED_ERROR, &[&error.0.to_be_bytes()]);
    }

    /// Empties all sections and sets TC: the client asks again over TCP (RFC 2181, section 9).
    pub fn truncate(&mut self) {
        self.set_flags(Flags::TC);
        self.end = self.head.question_end;
        self.counts = [self.head.questions(), 0, 0, 0];
    }

    /// Writes OPT and header, and returns the length of the whole reply in octets.
    #[must_use]
    pub fn finish(mut self) -> usize {
        if let Some(edns) = self.head.edns {
            self.finish_opt(edns);
        }
        let flags = self.flags.with_rcode(self.rcode);
        write_header(
            self.buffer,
            &Header {
                id: self.head.id,
                flags,
                counts: self.counts,
            },
        );
        self.end
    }

    fn finish_opt(&mut self, edns: Edns) {
        let options = usize::from(self.options_octets);
        let start = self.end + EDNS_OCTETS;
        if options > 0 {
            self.buffer.copy_within(self.limit..self.limit + options, start);
        }
        // `begin` and `option` took these octets off the limit, so they are free.
        if let Some(room) = self.buffer.get_mut(self.end..start) {
            room.copy_from_slice(&edns.reply(self.udp_size, self.rcode, self.options_octets));
            self.end = start + options;
            self.counts[3] = self.counts[3].saturating_add(1);
        }
    }

    /// Turns the query in `buffer` into a bare header with `rcode`, for what could not be read as a query.
    ///
    /// Nothing of the query is echoed but its id and operation code: what was not understood may not be
    /// repeated. Returns the length in octets, or none when `buffer` holds no header.
    #[must_use]
    pub fn bare(buffer: &mut [u8], rcode: Rcode) -> Option<usize> {
        let (query, _) = Header::split(buffer).ok()?;
        let flags = Flags::QR.with(query.flags.opcode_bits()).with_rcode(rcode);
        write_header(
            buffer,
            &Header {
                id: query.id,
                flags,
                counts: [0; 4],
            },
        );
        Some(HEADER_OCTETS)
    }
}

/// Length of the owner of the record that `records` begins with, which is a pointer, or is written out; none behind the last
/// record.
fn owner_octets(records: &[u8]) -> Option<usize> {
    let mut octets = 0;
    loop {
        match *records.get(octets)? {
            0 => return Some(octets + 1),
            0xc0.. => return Some(octets + 2),
            label => octets += 1 + usize::from(label),
        }
    }
}

fn write_header(buffer: &mut [u8], header: &Header) {
    if let Some(to) = buffer.first_chunk_mut() {
        *to = header.octets();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Query;

    const QUERY: &[u8] =
        b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x06docker\x00\x00\x01\x00\x01";

    /// A buffer of 512 octets that holds [`QUERY`], and its head.
    fn query() -> (Vec<u8>, Head) {
        let head = Head::from(&Query::parse(QUERY).unwrap());
        ([QUERY, &[0xee; 512][..512 - QUERY.len()]].concat(), head)
    }

    #[test]
    fn records_are_appended_whole_or_not_at_all() {
        let (mut buffer, head) = query();
        let mut reply = Reply::begin(&mut buffer, head, QUERY.len() + 20, 1232);
        assert!(reply.push(Section::Answer, 1, &[&[1; 8], &[2; 8]]));
        assert!(!reply.push(Section::Additional, 1, &[&[3; 5]]));
        let length = reply.finish();
        assert_eq!(length, QUERY.len() + 16);
        let (header, _) = Header::split(&buffer).unwrap();
        assert_eq!(
            (header.counts, header.flags),
            ([1, 1, 0, 0], Flags::QR.with(Flags::RD))
        );
        assert_eq!(buffer[length], 0xee);
    }

    /// [`QUERY`] with an OPT record, in a buffer of 512 octets.
    fn query_with_opt() -> (Vec<u8>, Head) {
        let opt = [0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 0];
        let mut packet = [QUERY, &opt].concat();
        packet[11] = 1;
        let head = Head::from(&Query::parse(&packet).unwrap());
        packet.resize(512, 0xee);
        (packet, head)
    }

    #[test]
    fn options_stand_inside_opt_behind_all_records() {
        let (mut buffer, head) = query_with_opt();
        let mut reply = Reply::begin(&mut buffer, head, 512, 1232);
        assert!(reply.option(OptionCode::NSID, &[b"na", b"me"]));
        assert!(reply.push(Section::Answer, 1, &[&[1; 16]]));
        reply.explain(ExtendedError::PROHIBITED);
        let length = reply.finish();
        assert_eq!(buffer[QUERY.len()..QUERY.len() + 16], [1; 16]);
        assert_eq!(
            buffer[QUERY.len() + 16..length],
            [
                &[0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 14][..],
                &[0, 15, 0, 2, 0, 18, 0, 3, 0, 4],
                b"name"
            ]
            .concat()
        );
        assert_eq!(Header::split(&buffer).unwrap().0.counts, [1, 1, 0, 1]);
    }

    #[test]
    fn without_opt_in_the_query_there_is_no_option() {
        let (mut buffer, head) = query();
        let mut reply = Reply::begin(&mut buffer, head, 512, 1232);
        assert!(!reply.option(OptionCode::NSID, &[b"name"]));
        assert_eq!(reply.finish(), QUERY.len());
    }

    #[test]
    fn no_limit_is_exceeded_whatever_options_and_records_there_are() {
        for limit in QUERY.len() + EDNS_OCTETS..QUERY.len() + 100 {
            for (options, records) in [(0, 9), (1, 0), (1, 3), (3, 3), (9, 0), (9, 9)] {
                let (mut buffer, head) = query_with_opt();
                let mut reply = Reply::begin(&mut buffer, head, limit, 1232);
                let mut expected = QUERY.len() + EDNS_OCTETS;
                for number in 0..options {
                    let data = &[7; 9][..number];
                    let fits = reply.option(OptionCode::COOKIE, &[data]);
                    expected += if fits { OPTION_OCTETS + number } else { 0 };
                }
                for number in 0..records {
                    let fits = reply.push(Section::Answer, 1, &[&[1; 20][..number]]);
                    expected += if fits { number } else { 0 };
                }
                let length = reply.finish();
                assert_eq!(length, expected);
                assert!(length <= limit, "{length} octets where {limit} are allowed");
                assert_eq!(buffer[limit.max(length)..], [0xee; 512][limit.max(length)..]);
            }
        }
    }

    #[test]
    fn only_who_recurses_copies_cd() {
        let (mut buffer, mut head) = query();
        head.flags = Flags::RD.with(Flags::CD);
        let _ = Reply::begin(&mut buffer, head, 512, 1232).finish();
        assert_eq!(buffer[2..4], [0x81, 0]);
        let mut reply = Reply::begin(&mut buffer, head, 512, 1232);
        reply.offer_recursion();
        let _ = reply.finish();
        assert_eq!(buffer[2..4], [0x81, 0x90]);
    }

    #[test]
    fn a_pointer_to_the_apex_counts_from_the_message_start() {
        let (mut buffer, head) = query();
        let reply = Reply::begin(&mut buffer, head, 512, 1232);
        assert_eq!(reply.pointer_to_suffix(b"\x06docker\x00".len()), [0xc0, 14]);
        assert_eq!(reply.pointer_to_suffix(b"\x01a\x06docker\x00".len()), [0xc0, 12]);
    }

    #[test]
    fn truncation_leaves_the_question_alone() {
        let (mut buffer, head) = query();
        let mut reply = Reply::begin(&mut buffer, head, 512, 1232);
        assert!(reply.push(Section::Answer, 1, &[&[1; 16]]));
        reply.truncate();
        assert_eq!(reply.finish(), QUERY.len());
        let (header, _) = Header::split(&buffer).unwrap();
        assert_eq!(
            (header.counts, header.flags.contains(Flags::TC)),
            ([1, 0, 0, 0], true)
        );
    }

    #[test]
    fn what_ends_soon_is_not_told_to_last_whatever_its_owner_looks_like() {
        let record = |owner: &[u8], ttl: u32| {
            let fixed = [&[0, 1, 0, 1], &ttl.to_be_bytes()[..], &[0, 4, 10, 0, 0, 4]].concat();
            [owner, &fixed].concat()
        };
        let owners: [&[u8]; 4] = [&[0xc0, 12], b"\x01b\x06docker\x00", b"\x01c\xc0\x0c", b"\x00"];
        for (most, told) in [(9, [9, 7, 9]), (1, [1, 1, 1]), (31, [30, 7, 31])] {
            let (mut buffer, head) = query();
            let mut reply = Reply::begin(&mut buffer, head, 512, 1232);
            assert!(reply.push(Section::Answer, 1, &[&record(owners[0], 99)]));
            let from = reply.end();
            for owner in owners {
                for ttl in [30, 7, u32::MAX] {
                    assert!(reply.push(Section::Additional, 1, &[&record(owner, ttl)]));
                }
            }
            reply.cap_ttls(from, most);
            let expected = owners
                .map(|owner| told.map(|ttl| record(owner, ttl)).concat())
                .concat();
            assert_eq!(reply.written(from), expected);
            assert_eq!(reply.written(QUERY.len())[..16], record(owners[0], 99));
        }
    }

    #[test]
    fn a_bare_reply_keeps_id_and_opcode_only() {
        let mut buffer = [0xab, 0xcd, 0x29, 0x30, 9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3];
        assert_eq!(Reply::bare(&mut buffer, Rcode::NOT_IMP), Some(12));
        assert_eq!(buffer[..12], [0xab, 0xcd, 0xa8, 0x04, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Reply::bare(&mut buffer[..5], Rcode::FORM_ERR), None);
    }
}
