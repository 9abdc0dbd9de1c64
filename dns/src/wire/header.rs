//! The first twelve octets (RFC 1035, section 4.1.1).

use super::{Opcode, ParseError, Rcode};

/// Length of a header, in octets.
pub const HEADER_OCTETS: usize = 12;

/// The second pair of octets of a header.
///
/// ```text
/// | QR | OPCODE: 4 | AA | TC | RD | RA | Z | AD | CD | RCODE: 4 |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// Set in a reply.
    pub const QR: Self = Self(1 << 15);
    /// The answer is authoritative.
    pub const AA: Self = Self(1 << 10);
    /// The answer was cut; ask again over TCP.
    pub const TC: Self = Self(1 << 9);
    /// The client wants us to ask others.
    pub const RD: Self = Self(1 << 8);
    /// We do ask others.
    pub const RA: Self = Self(1 << 7);
    /// The client checks DNSSEC itself (RFC 4035, section 3.2.2).
    pub const CD: Self = Self(1 << 4);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both, as one.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Only the bits that `mask` has too.
    #[must_use]
    pub const fn masked(self, mask: Self) -> Self {
        Self(self.0 & mask.0)
    }

    /// The operation code.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        Opcode(((self.0 >> 11) & 0xf) as u8)
    }

    /// The four bits of the operation code, in place.
    #[must_use]
    pub const fn opcode_bits(self) -> Self {
        Self(self.0 & 0x7800)
    }

    /// The header's four bits of the response code.
    #[must_use]
    pub const fn rcode(self) -> Rcode {
        Rcode(self.0 & 0xf)
    }

    /// The low four bits of `rcode` put in place; the others belong into an OPT record.
    #[must_use]
    pub const fn with_rcode(self, rcode: Rcode) -> Self {
        Self((self.0 & !0xf) | (rcode.0 & 0xf))
    }
}

/// A header, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The client's number for this message.
    pub id: u16,
    /// The flags, whole.
    pub flags: Flags,
    /// Records counted: question, answer, authority, additional.
    pub counts: [u16; 4],
}

impl Header {
    /// Splits a header off the front of a message, and returns the octets after it as well.
    ///
    /// # Errors
    ///
    /// [`ParseError::ShortHeader`]: fewer than [`HEADER_OCTETS`] octets.
    pub fn split(message: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let (&[i0, i1, f0, f1, q0, q1, a0, a1, n0, n1, r0, r1], body) = message
            .split_first_chunk::<HEADER_OCTETS>()
            .ok_or(ParseError::ShortHeader)?;
        let header = Self {
            id: u16::from_be_bytes([i0, i1]),
            flags: Flags(u16::from_be_bytes([f0, f1])),
            counts: [[q0, q1], [a0, a1], [n0, n1], [r0, r1]].map(u16::from_be_bytes),
        };
        Ok((header, body))
    }

    /// The twelve octets.
    #[must_use]
    pub fn octets(&self) -> [u8; HEADER_OCTETS] {
        let [i0, i1] = self.id.to_be_bytes();
        let [f0, f1] = self.flags.0.to_be_bytes();
        let [[q0, q1], [a0, a1], [n0, n1], [r0, r1]] = self.counts.map(u16::to_be_bytes);
        [i0, i1, f0, f1, q0, q1, a0, a1, n0, n1, r0, r1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let header = Header {
            id: 0xbeef,
            flags: Flags::QR.with(Flags::RD),
            counts: [1, 2, 3, 4],
        };
        let octets = header.octets();
        assert_eq!(Header::split(&octets), Ok((header, [].as_slice())));
        assert_eq!(Header::split(&octets[..11]), Err(ParseError::ShortHeader));
    }

    #[test]
    fn an_extended_rcode_leaves_only_its_low_bits_in_the_header() {
        assert_eq!(Flags(0x8005).with_rcode(Rcode::BAD_VERS), Flags(0x8000));
        assert_eq!(Flags(0x7800).opcode(), Opcode(15));
    }
}
