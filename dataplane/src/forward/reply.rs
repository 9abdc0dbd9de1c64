//! A reply of an upstream, read before it is believed.
//!
//! Nothing is taken for granted: a reply may come from anybody who guessed a port and an id, and upstreams have their
//! faults as well. One that does not hold together is none, and the wait goes on (CVE-2023-28452).

use dns::name::NAME_OCTETS_MAX;
use dns::wire::{ExtendedError, HEADER_OCTETS, Header, OptionCode};
use dns::{Flags, Opcode, ParseError, RType, Rcode};

/// A whole reply, of the shape that a reply must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign<'a> {
    /// All of its octets.
    pub octets: &'a [u8],
    /// Its header.
    pub header: Header,
    /// Its response code, with EDNS's upper bits.
    pub rcode: Rcode,
    /// The records of the answer section.
    pub answers: &'a [u8],
    /// The records of the authority section.
    pub authorities: &'a [u8],
    /// It has an OPT record.
    pub has_edns: bool,
    /// Why it is no answer, if it says so.
    pub why: Option<ExtendedError>,
}

impl<'a> Foreign<'a> {
    /// Reads `octets`, whose question, if it has one, ends at `question_end`; the caller compares that.
    ///
    /// None if it is no reply to a query, or its records are not what its header counts, or an owner's name leads
    /// nowhere or in a circle. Of a reply that was cut (TC) records are not looked at: it may end anywhere.
    #[must_use]
    pub fn read(octets: &'a [u8], question_end: usize) -> Option<Self> {
        let (header, _) = Header::split(octets).ok()?;
        let is_reply = header.flags.contains(Flags::QR) && header.flags.opcode() == Opcode::QUERY;
        if !is_reply {
            return None;
        }
        let [questions, answers, authorities, additionals] = header.counts;
        let begin = match questions {
            0 => HEADER_OCTETS,
            1 => question_end,
            _ => return None,
        };
        let mut read = Self {
            octets,
            header,
            rcode: header.flags.rcode(),
            answers: &[],
            authorities: &[],
            has_edns: false,
            why: None,
        };
        octets.get(begin..)?;
        if header.flags.contains(Flags::TC) {
            return Some(read);
        }
        let mut at = begin;
        read.answers = section(octets, &mut at, answers)?;
        read.authorities = section(octets, &mut at, authorities)?;
        for _ in 0..additionals {
            let record = Record::read(octets, at)?;
            at = record.end;
            if record.rtype == RType::OPT && !read.has_edns {
                read.take_opt(&record);
            }
        }
        Some(read)
    }

    fn take_opt(&mut self, record: &Record<'_>) {
        self.has_edns = true;
        let [extended, ..] = record.ttl;
        self.rcode = Rcode(u16::from(extended) << 4 | self.rcode.0);
        let mut rest = record.data;
        while let Some((&[c0, c1, l0, l1], after)) = rest.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let Some((data, after)) = after.split_at_checked(length) else {
                return;
            };
            let code = OptionCode(u16::from_be_bytes([c0, c1]));
            if code == OptionCode::EXTENDED_ERROR
                && let Some(&why) = data.first_chunk()
            {
                self.why = Some(ExtendedError(u16::from_be_bytes(why)));
                return;
            }
            rest = after;
        }
    }
}

/// The next `count` records of `message`, from `at` on, which is moved to their end.
fn section<'a>(message: &'a [u8], at: &mut usize, count: u16) -> Option<&'a [u8]> {
    let start = *at;
    for _ in 0..count {
        let record = Record::read(message, *at)?;
        // A pseudo-record that stands for no data would be taken for some.
        if record.rtype == RType::OPT {
            return None;
        }
        *at = record.end;
    }
    message.get(start..*at)
}

struct Record<'a> {
    rtype: RType,
    ttl: [u8; 4],
    data: &'a [u8],
    /// Where in the message it ends.
    end: usize,
}

impl<'a> Record<'a> {
    fn read(message: &'a [u8], at: usize) -> Option<Self> {
        let fixed = name_end(message, at).ok()?;
        let rest = message.get(fixed..)?;
        let (&[t0, t1, _, _, l0, l1, l2, l3, r0, r1], rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([r0, r1]));
        Some(Self {
            rtype: RType(u16::from_be_bytes([t0, t1])),
            ttl: [l0, l1, l2, l3],
            data: rest.get(..length)?,
            end: fixed + 10 + length,
        })
    }
}

/// Where the name that begins at `at` ends, in octets. Its pointers are followed to the root, each further to the front
/// than the one before (RFC 1035, section 4.1.4: to a prior occurrence), so none leads in a circle.
fn name_end(message: &[u8], at: usize) -> Result<usize, ParseError> {
    let octet = |at: usize| message.get(at).copied().ok_or(ParseError::Truncated);
    let (mut next, mut front, mut end, mut length) = (at, at, None, 0);
    loop {
        match octet(next)? {
            0 => return Ok(end.unwrap_or(next + 1)),
            label @ 1..=63 => {
                length += 1 + usize::from(label);
                next += 1 + usize::from(label);
            }
            high @ 0xc0.. => {
                end = end.or(Some(next + 2));
                next = usize::from(u16::from_be_bytes([high & 0x3f, octet(next + 1)?]));
                if next >= front {
                    return Err(ParseError::Name);
                }
                front = next;
            }
            64..=0xbf => return Err(ParseError::Name),
        }
        if length >= NAME_OCTETS_MAX {
            return Err(ParseError::Name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x01a\x03com\x00\x00\x01\x00\x01";
    const END: usize = 12 + QUESTION.len();
    const RECORD: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 9];
    /// An OPT record with an unknown option, BADVERS's upper bits, and extended error 6 with a text.
    const OPT: &[u8] = &[
        0, 0, 41, 4, 0xd0, 1, 0, 0, 0, 0, 14, 0, 99, 0, 2, 1, 2, 0, 15, 0, 4, 0, 6, b'n', b'o',
    ];

    fn reply(flags: u16, counts: [u16; 4], tail: &[u8]) -> Vec<u8> {
        let header = Header {
            id: 7,
            flags: Flags(flags),
            counts,
        };
        [&header.octets(), QUESTION, tail].concat()
    }

    #[test]
    fn sections_are_told_apart_and_opt_is_read() {
        let tail = [RECORD, RECORD, RECORD, OPT, RECORD, b"stray"].concat();
        let octets = reply(0x8180, [1, 2, 1, 2], &tail);
        let read = Foreign::read(&octets, END).unwrap();
        assert_eq!(read.answers, [RECORD, RECORD].concat());
        assert_eq!(read.authorities, RECORD);
        assert_eq!(
            (read.rcode, read.has_edns, read.why),
            (Rcode::BAD_VERS, true, Some(ExtendedError(6)))
        );
    }

    #[test]
    fn what_does_not_hold_together_is_no_reply() {
        let loops: [&[u8]; 5] = [
            // To itself, to what comes after, to one another, a reserved type, and past the end.
            &[0xc0, 23, 0, 1, 0, 1, 0, 0, 0, 9, 0, 0],
            &[0xc0, 30, 0, 1, 0, 1, 0, 0, 0, 9, 0, 0, 0],
            &[
                0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 36, 0xc0, 34, 0, 1, 0, 1, 0, 0, 0, 9, 0, 0,
            ],
            &[0x40, 0, 1, 0, 1, 0, 0, 0, 9, 0, 0],
            &[0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 9, 0, 0],
        ];
        for octets in loops {
            let count = if octets[0] == 0 { 2 } else { 1 };
            assert_eq!(
                Foreign::read(&reply(0x8180, [1, count, 0, 0], octets), END),
                None,
                "{octets:?}"
            );
        }
        let long = [[63; 64].repeat(3), vec![0xc0, 12]].concat();
        let long = [
            long.as_slice(),
            &RECORD[2..],
            &[62],
            &[1; 62],
            &[0xc0, 23],
            &RECORD[2..],
        ]
        .concat();
        assert_eq!(Foreign::read(&reply(0x8180, [1, 2, 0, 0], &long), END), None);
        for (what, flags, counts, tail) in [
            ("a query", 0x0100, [1, 1, 0, 0], RECORD),
            ("another operation", 0xa980, [1, 1, 0, 0], RECORD),
            ("two questions", 0x8180, [2, 1, 0, 0], RECORD),
            ("more answers than there are", 0x8180, [1, 2, 0, 0], RECORD),
            ("more authorities", 0x8180, [1, 1, 9, 0], RECORD),
            ("more additionals", 0x8180, [1, 1, 0, 65535], RECORD),
            ("OPT among the answers", 0x8180, [1, 1, 0, 0], OPT),
            ("data past the end", 0x8180, [1, 1, 0, 0], &RECORD[..15]),
        ] {
            assert_eq!(Foreign::read(&reply(flags, counts, tail), END), None, "{what}");
        }
        for length in 0..END + RECORD.len() {
            let octets = reply(0x8180, [1, 1, 0, 0], RECORD);
            assert_eq!(Foreign::read(&octets[..length], END), None, "{length} octets");
        }
    }

    #[test]
    fn a_cut_reply_may_end_anywhere_after_its_question() {
        let octets = reply(0x8380, [1, 9, 0, 0], &RECORD[..7]);
        let read = Foreign::read(&octets, END).unwrap();
        assert!(read.header.flags.contains(Flags::TC) && read.answers.is_empty());
        assert_eq!(Foreign::read(&octets[..END - 1], END), None);
    }

    #[test]
    fn an_error_may_come_without_a_question() {
        let header = Header {
            id: 7,
            flags: Flags(0x8181),
            counts: [0; 4],
        };
        let octets = header.octets();
        assert_eq!(Foreign::read(&octets, END).unwrap().rcode, Rcode::FORM_ERR);
    }
}
