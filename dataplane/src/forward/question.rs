//! What an upstream is asked: one question in our own words, whoever wanted to know it.
//!
//! ```text
//!  | id, RD, CD as asked | name, type, class | OPT: 1232 octets, DO as asked |
//! ```
//!
//! Of a client's message nothing else goes along: not its case, its size, its cookie, its subnet.

use dns::name::NAME_OCTETS_MAX;
use dns::wire::{EDNS_OCTETS, HEADER_OCTETS, Header, OPTION_OCTETS, OptionCode};
use dns::{Edns, Flags, NameRef, Query, Question, Rcode};

use super::case::Case;
use crate::limits::UDP_REPLY_OCTETS_MAX;

/// Longest question, in octets: name, type and class.
pub(crate) const QUESTION_OCTETS_MAX: usize = NAME_OCTETS_MAX + 4;
/// Messages over TLS are filled up to a multiple of so many octets, so that their length tells little of the name (RFC
/// 8467, section 4.1).
const PADDED_OCTETS: usize = 128;
/// Longest message for an upstream, in octets.
pub(crate) const ASK_OCTETS_MAX: usize =
    (HEADER_OCTETS + QUESTION_OCTETS_MAX + EDNS_OCTETS + OPTION_OCTETS).next_multiple_of(PADDED_OCTETS);
/// The size of datagram that we take from an upstream.
const UDP_SIZE: u16 = UDP_REPLY_OCTETS_MAX as u16;

/// A question as upstreams are asked it. Clients whose questions are equal here share one answer.
#[derive(Clone)]
pub struct Asked {
    octets: [u8; QUESTION_OCTETS_MAX],
    length: usize,
    /// DNSSEC records are wanted (DO).
    pub dnssec_ok: bool,
    /// What does not validate is wanted, too (CD).
    pub checking_disabled: bool,
}

impl Asked {
    /// What `query` asks, without case.
    #[must_use]
    pub fn of(query: &Query<'_>) -> Self {
        Self::about(query.question.qname, query)
    }

    /// The same as `query` asks, about `name`.
    #[must_use]
    pub fn about(name: NameRef<'_>, query: &Query<'_>) -> Self {
        let Question { qtype, qclass, .. } = query.question;
        let mut asked = Self {
            octets: [0; QUESTION_OCTETS_MAX],
            length: (name.octets().len() + 4).min(QUESTION_OCTETS_MAX),
            dnssec_ok: query.edns.is_some_and(|edns| edns.dnssec_ok),
            checking_disabled: query.flags.contains(Flags::CD),
        };
        let [t0, t1] = qtype.0.to_be_bytes();
        let [c0, c1] = qclass.0.to_be_bytes();
        let name = name.octets().iter().map(u8::to_ascii_lowercase);
        for (to, from) in asked.octets.iter_mut().zip(name.chain([t0, t1, c0, c1])) {
            *to = from;
        }
        asked
    }

    /// Whether anybody is there: the servers of the root, which every resolver knows.
    pub(crate) fn probe() -> Self {
        let mut octets = [0; QUESTION_OCTETS_MAX];
        // The root, NS, IN.
        for (to, from) in octets.iter_mut().zip([0, 0, 2, 0, 1]) {
            *to = from;
        }
        Self {
            octets,
            length: 5,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    /// The question in wire form, its name lower-cased.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// The question, its name lower-cased.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        let (question, _) = Question::split(self.octets()).expect("it was made of one");
        question
    }

    /// The name, lower-cased.
    #[must_use]
    pub fn name(&self) -> NameRef<'_> {
        NameRef::split(self.octets()).map_or(NameRef::ROOT, |(name, _)| name)
    }

    /// Where in a message its records begin, in octets.
    pub(crate) fn question_end(&self) -> usize {
        HEADER_OCTETS + self.length
    }

    /// Writes the message that asks it into `message`, and returns its length in octets. `is_padded`: it is filled up,
    /// if it speaks EDNS.
    pub(crate) fn write(
        &self,
        id: u16,
        case: Option<&Case>,
        with_edns: bool,
        is_padded: bool,
        message: &mut [u8; ASK_OCTETS_MAX],
    ) -> usize {
        let checking = if self.checking_disabled {
            Flags::CD
        } else {
            Flags(0)
        };
        let header = Header {
            id,
            flags: Flags::RD.with(checking),
            counts: [1, 0, 0, u16::from(with_edns)],
        };
        let edns = Edns {
            udp_size: UDP_SIZE,
            version: 0,
            dnssec_ok: self.dnssec_ok,
            asks_nsid: false,
            asks_keepalive: false,
            has_cookie: false,
        };
        let mut padding = [0; OPTION_OCTETS + PADDED_OCTETS];
        let padding = if with_edns && is_padded {
            let end = self.question_end() + EDNS_OCTETS + OPTION_OCTETS;
            let filling = end.next_multiple_of(PADDED_OCTETS) - end;
            let [code, length] = [OptionCode::PADDING.0, filling as u16].map(u16::to_be_bytes);
            for (to, from) in padding.iter_mut().zip(code.into_iter().chain(length)) {
                *to = from;
            }
            padding.get(..OPTION_OCTETS + filling).unwrap_or_default()
        } else {
            &[]
        };
        let opt = edns.reply(UDP_SIZE, Rcode::NO_ERROR, padding.len() as u16);
        let opt = if with_edns { opt.as_slice() } else { &[] };
        let header = header.octets();
        let octets = header.iter().chain(self.octets()).chain(opt).chain(padding);
        for (to, from) in message.iter_mut().zip(octets) {
            *to = *from;
        }
        if let Some(case) = case {
            let name = message.get_mut(HEADER_OCTETS..self.question_end().saturating_sub(4));
            case.apply(name.unwrap_or_default());
        }
        self.question_end() + opt.len() + padding.len()
    }
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        self.octets() == other.octets()
            && self.dnssec_ok == other.dnssec_ok
            && self.checking_disabled == other.checking_disabled
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("name", &self.name())
            .field("dnssec_ok", &self.dnssec_ok)
            .field("checking_disabled", &self.checking_disabled)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ExAmple.com A` with `flags`, and with options that are the client's own business.
    fn query(flags: u8, opt: &[u8]) -> Vec<u8> {
        let counts = [0, 1, 0, 0, 0, 0, 0, u8::from(!opt.is_empty())];
        let question = b"\x07ExAmple\x03com\x00\x00\x01\x00\x01";
        [&[0, 7, 1, flags], counts.as_slice(), question, opt].concat()
    }

    #[test]
    fn nothing_of_the_clients_message_goes_along_but_its_question_cd_and_do() {
        let cookie = [
            0, 0, 41, 0xff, 0xff, 0, 0, 0x80, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8,
        ];
        for (query, flags, opt_flags) in [
            (query(0x70, &cookie), [1, 0x10], 0x80),
            (query(0x20, &[]), [1, 0], 0),
        ] {
            let asked = Asked::of(&Query::parse(&query).unwrap());
            let mut message = [0xee; ASK_OCTETS_MAX];
            let length = asked.write(0x1234, None, true, false, &mut message);
            let expected = [
                &[0x12, 0x34, flags[0], flags[1], 0, 1, 0, 0, 0, 0, 0, 1],
                b"\x07example\x03com\x00\x00\x01\x00\x01".as_slice(),
                &[0, 0, 41, 4, 0xd0, 0, 0, opt_flags, 0, 0, 0],
            ]
            .concat();
            assert_eq!(message[..length], expected);
            let length = asked.write(0x1234, None, false, true, &mut message);
            assert_eq!((length, message[11]), (29, 0));
        }
    }

    // RFC 8467, section 4.1.
    #[test]
    fn over_tls_every_message_is_a_multiple_of_128_octets_long() {
        for labels in 1..=4 {
            let name = [&b"\x3e".repeat(63).repeat(labels)[..], &[0]].concat();
            let name = name.get(name.len().saturating_sub(253)..).unwrap();
            let name = if labels == 4 { &b"\x01a\x00"[..] } else { name };
            let packet = [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name, &[0, 1, 0, 1]].concat();
            let Ok(query) = Query::parse(&packet) else {
                continue;
            };
            let mut message = [0xee; ASK_OCTETS_MAX];
            let length = Asked::of(&query).write(7, None, true, true, &mut message);
            assert!(length.is_multiple_of(128), "{length}");
            let asked = Query::parse(&message[..length]).unwrap();
            assert_eq!(asked.edns.unwrap().udp_size, 1232);
        }
    }

    #[test]
    fn the_spelling_changes_letters_of_the_name_alone() {
        let query = query(0, &[]);
        let asked = Asked::of(&Query::parse(&query).unwrap());
        let mut message = [0; ASK_OCTETS_MAX];
        let case = Case::of(&[b'A'; 255]);
        let length = asked.write(7, Some(&case), false, false, &mut message);
        assert_eq!(message[12..length], *b"\x07EXAMPLE\x03COM\x00\x00\x01\x00\x01");
    }

    #[test]
    fn questions_are_equal_without_case_and_id_and_with_the_same_flags() {
        let asked = |packet: &[u8]| Asked::of(&Query::parse(packet).unwrap());
        let mut other = query(0, &[]);
        other[13..20].make_ascii_uppercase();
        other[1] = 99;
        assert_eq!(asked(&query(0, &[])), asked(&other));
        assert_ne!(asked(&query(0, &[])), asked(&query(0x10, &[])));
        let mut other_type = query(0, &[]);
        other_type[26] = 28;
        assert_ne!(asked(&query(0, &[])), asked(&other_type));
        let with_do = [0, 0, 41, 4, 0, 0, 0, 0x80, 0, 0, 0];
        assert_ne!(asked(&query(0, &[])), asked(&query(0, &with_do)));
        let without_do = [0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(asked(&query(0, &[])), asked(&query(0, &without_do)));
    }
}
