//! A whole query, read once and borrowed.

use super::edns::cookie_in;
use super::{Cookie, Edns, Flags, HEADER_OCTETS, Header, Opcode, ParseError, Question, RType};

/// A query that we can answer: one question, and the client's EDNS if it speaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'p> {
    /// The client's number for this message.
    pub id: u16,
    /// The query's flags, whole; a reply copies only RD, CD and the operation code.
    pub flags: Flags,
    /// What is asked.
    pub question: Question<'p>,
    /// The client's OPT record, if it sent one.
    pub edns: Option<Edns>,
    /// The data of that record.
    options: &'p [u8],
}

impl<'p> Query<'p> {
    /// Reads `packet`, one whole message.
    ///
    /// Records of the answer and authority sections and additional ones other than OPT are stepped over;
    /// so are octets after the message, which its counts do not cover. The work is bounded by the length
    /// of the packet, whatever its counts say.
    ///
    /// # Errors
    ///
    /// Every variant of [`ParseError`], each as it is described there.
    pub fn parse(packet: &'p [u8]) -> Result<Self, ParseError> {
        let (header, body) = Header::split(packet)?;
        if header.flags.contains(Flags::QR) {
            return Err(ParseError::IsResponse);
        }
        if header.flags.opcode() != Opcode::QUERY {
            return Err(ParseError::Opcode);
        }
        let [1, ..] = header.counts else {
            return Err(ParseError::QuestionCount);
        };
        let (question, rest) = Question::split(body)?;
        let (edns, options) = opt(&header, rest)?;
        Ok(Self {
            id: header.id,
            flags: header.flags,
            question,
            edns,
            options,
        })
    }

    /// Where the question ends in the packet, in octets: a reply's records begin there.
    #[must_use]
    pub fn question_end(&self) -> usize {
        HEADER_OCTETS + self.question.length()
    }

    /// The client's cookie, if it sent one.
    #[must_use]
    pub fn cookie(&self) -> Option<Cookie<'p>> {
        self.edns.filter(|edns| edns.has_cookie)?;
        cookie_in(self.options)
    }
}

/// A message that is no [`Query`]: its questions stepped over, and its OPT record found.
///
/// Enough to say in EDNS that an operation is not known, and to answer a query that asks for a cookie alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'p> {
    /// The client's number for this message.
    pub id: u16,
    /// The message's flags, whole.
    pub flags: Flags,
    /// Questions in it.
    pub questions: u16,
    /// Its OPT record, if it has one.
    pub edns: Option<Edns>,
    options: &'p [u8],
}

impl<'p> Envelope<'p> {
    /// Reads `packet`, one whole message of any operation, with any number of questions.
    ///
    /// # Errors
    ///
    /// As [`Query::parse`], but for [`ParseError::Opcode`] and [`ParseError::QuestionCount`].
    pub fn parse(packet: &'p [u8]) -> Result<Self, ParseError> {
        let (header, mut rest) = Header::split(packet)?;
        if header.flags.contains(Flags::QR) {
            return Err(ParseError::IsResponse);
        }
        let [questions, ..] = header.counts;
        for _ in 0..questions {
            (_, rest) = Question::split(rest)?;
        }
        let (edns, options) = opt(&header, rest)?;
        Ok(Self {
            id: header.id,
            flags: header.flags,
            questions,
            edns,
            options,
        })
    }

    /// The client's cookie, if it sent one.
    #[must_use]
    pub fn cookie(&self) -> Option<Cookie<'p>> {
        self.edns.filter(|edns| edns.has_cookie)?;
        cookie_in(self.options)
    }
}

/// The OPT record among the records that `header` counts after the questions, and its data.
fn opt<'p>(header: &Header, mut rest: &'p [u8]) -> Result<(Option<Edns>, &'p [u8]), ParseError> {
    let [_, answers, authorities, additionals] = header.counts;
    for _ in 0..u32::from(answers) + u32::from(authorities) {
        let (record, after) = RawRecord::split(rest)?;
        if record.rtype == RType::OPT {
            return Err(ParseError::Edns);
        }
        rest = after;
    }
    let (mut edns, mut options) = (None, [].as_slice());
    for _ in 0..additionals {
        let (record, after) = RawRecord::split(rest)?;
        rest = after;
        if record.rtype == RType::OPT {
            if edns.is_some() || !record.owner_is_root {
                return Err(ParseError::Edns);
            }
            edns = Some(Edns::read(record.class, record.ttl, record.rdata)?);
            options = record.rdata;
        } else if record.rtype == RType::TSIG {
            return Err(ParseError::Signed);
        }
    }
    Ok((edns, options))
}

/// A record after the question, of which only OPT is looked at.
struct RawRecord<'p> {
    owner_is_root: bool,
    rtype: RType,
    class: u16,
    ttl: u32,
    rdata: &'p [u8],
}

impl<'p> RawRecord<'p> {
    fn split(octets: &'p [u8]) -> Result<(Self, &'p [u8]), ParseError> {
        let owner_is_root = octets.first() == Some(&0);
        let rest = skip_owner(octets)?;
        let (&[t0, t1, c0, c1, l0, l1, l2, l3, r0, r1], rest) =
            rest.split_first_chunk().ok_or(ParseError::Truncated)?;
        let length = usize::from(u16::from_be_bytes([r0, r1]));
        let (rdata, rest) = rest.split_at_checked(length).ok_or(ParseError::Truncated)?;
        let record = Self {
            owner_is_root,
            rtype: RType(u16::from_be_bytes([t0, t1])),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([l0, l1, l2, l3]),
            rdata,
        };
        Ok((record, rest))
    }
}

/// Steps over an owner name, which here may end in a compression pointer; the pointer is not followed.
fn skip_owner(octets: &[u8]) -> Result<&[u8], ParseError> {
    let mut rest = octets;
    loop {
        let (&length, after) = rest.split_first().ok_or(ParseError::Truncated)?;
        match length {
            0 => return Ok(after),
            1..=63 => rest = after.get(usize::from(length)..).ok_or(ParseError::Truncated)?,
            0xc0.. => return after.get(1..).ok_or(ParseError::Truncated),
            64..=0xbf => return Err(ParseError::Name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Class, Rcode};

    /// A query for `a.docker A`, with `counts` in its header and `tail` after its question.
    fn packet(counts: [u16; 4], tail: &[u8]) -> Vec<u8> {
        let header = Header {
            id: 7,
            flags: Flags::RD,
            counts,
        };
        [
            header.octets().as_slice(),
            b"\x01a\x06docker\x00\x00\x01\x00\x01",
            tail,
        ]
        .concat()
    }

    const OPT: [u8; 11] = [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0];
    const SIGNATURE: [u8; 11] = [0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0];
    const RECORD: [u8; 14] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 2, 9, 9];

    #[test]
    fn a_plain_query_is_read_whole() {
        let packet = packet([1, 0, 0, 0], &[]);
        let query = Query::parse(&packet).unwrap();
        assert_eq!((query.id, query.flags, query.edns), (7, Flags::RD, None));
        assert_eq!(query.question.qname.to_string(), "a.docker");
        assert_eq!(
            (query.question.qtype, query.question.qclass),
            (RType::A, Class::IN)
        );
        assert_eq!(query.question_end(), packet.len());
    }

    #[test]
    fn opt_is_found_behind_other_records_and_before_stray_octets() {
        let tail = [RECORD.as_slice(), &RECORD, &RECORD, &OPT, b"stray"].concat();
        let packet = packet([1, 1, 1, 2], &tail);
        let edns = Query::parse(&packet).unwrap().edns.unwrap();
        assert_eq!((edns.udp_size, edns.version, edns.dnssec_ok), (1232, 0, false));
    }

    #[test]
    fn each_malformed_packet_has_its_own_error() {
        let rooted = [b"\x01x".as_slice(), &OPT].concat();
        let broken = [&OPT[..9], &[0, 3, 0, 10, 0]].concat();
        for (packet, error) in [
            (packet([1, 0, 0, 0], &[])[..11].to_vec(), ParseError::ShortHeader),
            (packet([1, 0, 0, 0], &[])[..20].to_vec(), ParseError::Truncated),
            (packet([0, 0, 0, 0], &[]), ParseError::QuestionCount),
            (packet([2, 0, 0, 0], &[]), ParseError::QuestionCount),
            (packet([65535, 0, 0, 0], &[]), ParseError::QuestionCount),
            (packet([1, 65535, 65535, 65535], &RECORD), ParseError::Truncated),
            (packet([1, 0, 0, 1], &[]), ParseError::Truncated),
            (packet([1, 0, 0, 2], &[OPT, OPT].concat()), ParseError::Edns),
            (packet([1, 1, 0, 0], &OPT), ParseError::Edns),
            (packet([1, 0, 1, 0], &OPT), ParseError::Edns),
            (packet([1, 0, 0, 1], &rooted), ParseError::Edns),
            (packet([1, 0, 0, 1], &broken), ParseError::Edns),
            (packet([1, 0, 0, 1], &[0x40, 0, 0]), ParseError::Name),
            (packet([1, 0, 0, 1], &SIGNATURE), ParseError::Signed),
        ] {
            assert_eq!(Query::parse(&packet), Err(error), "{packet:?}");
        }
    }

    #[test]
    fn an_envelope_is_read_whatever_the_operation_and_however_many_questions() {
        let cookie = [
            0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8,
        ];
        let mut update = packet([1, 2, 1, 1], &[&RECORD[..], &RECORD, &RECORD, &cookie].concat());
        update[2] = 0x28;
        let envelope = Envelope::parse(&update).unwrap();
        assert_eq!((envelope.id, envelope.questions), (7, 1));
        assert_eq!(envelope.cookie().unwrap().client, [1, 2, 3, 4, 5, 6, 7, 8]);
        let mut empty = packet([0, 0, 0, 1], &[]);
        empty.truncate(12);
        empty.extend(OPT);
        let envelope = Envelope::parse(&empty).unwrap();
        assert_eq!((envelope.questions, envelope.cookie()), (0, None));
        assert_eq!(envelope.edns.map(|edns| edns.udp_size), Some(1232));
        assert_eq!(
            Envelope::parse(&packet([65535, 0, 0, 0], &[])),
            Err(ParseError::Truncated)
        );
    }

    #[test]
    fn replies_and_other_operations_are_told_apart_from_queries() {
        let mut packet = packet([1, 0, 0, 0], &[]);
        packet[2] = 0x80;
        assert_eq!(Query::parse(&packet), Err(ParseError::IsResponse));
        packet[2] = 0x28;
        assert_eq!(Query::parse(&packet), Err(ParseError::Opcode));
        assert_eq!(Flags(0x0003).rcode(), Rcode::NX_DOMAIN);
    }
}
