//! What is asked.

use super::{Class, ParseError, RType};
use crate::name::NameRef;

/// A question, borrowed from the packet that carried it (RFC 1035, section 4.1.2).
///
/// ```text
/// | qname: 1..=255 octets | qtype: u16 | qclass: u16 |   integers are big-endian
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'p> {
    /// Owner name asked for, case as it was sent.
    pub qname: NameRef<'p>,
    /// Type asked for.
    pub qtype: RType,
    /// Class asked for.
    pub qclass: Class,
}

impl<'p> Question<'p> {
    /// Splits a question off the front of `body`, the octets that follow the 12-octet header.
    ///
    /// Returns the question and the octets after it, which it does not look at.
    ///
    /// # Errors
    ///
    /// - [`ParseError::Truncated`]: `body` ends inside the question.
    /// - [`ParseError::Name`]: the name exceeds 255 octets, or holds a compression pointer.
    ///   No name comes before the first question, so there is nothing valid to point at.
    pub fn split(body: &'p [u8]) -> Result<(Self, &'p [u8]), ParseError> {
        let (qname, rest) = NameRef::split(body)?;
        let (&[t0, t1, c0, c1], rest) = rest.split_first_chunk().ok_or(ParseError::Truncated)?;
        let (qtype, qclass) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([c0, c1]));
        Ok((
            Self {
                qname,
                qtype: RType(qtype),
                qclass: Class(qclass),
            },
            rest,
        ))
    }

    /// Octets of the question in the packet.
    #[must_use]
    pub fn length(&self) -> usize {
        self.qname.octets().len() + 4
    }
}
