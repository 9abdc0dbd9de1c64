//! The OPT pseudo-record (RFC 6891, section 6.1).
//!
//! ```text
//! | 0: root | 41: u16 | UDP size: u16 | extended rcode: u8 | version: u8 | DO, Z: u16 | RDLENGTH: u16 | options |
//! option    | code: u16 | length: u16 | length octets |
//! ```

use super::{ParseError, RType, Rcode};

/// Length of an OPT record without options, in octets: all that our replies carry.
pub const EDNS_OCTETS: usize = 11;

/// What a query's OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Largest UDP reply that the client takes, in octets, as it said it; below 512 means 512.
    pub udp_size: u16,
    /// 0 is the only version there is.
    pub version: u8,
    /// The client wants DNSSEC records (DO).
    pub dnssec_ok: bool,
}

impl Edns {
    /// Reads the fields of an OPT record: `class` and `ttl` hold what an ordinary record's do not, and
    /// `options` is its RDATA. Options are checked for their lengths and otherwise ignored (section 6.1.2).
    ///
    /// # Errors
    ///
    /// [`ParseError::Edns`]: an option ends past the RDATA.
    pub fn read(class: u16, ttl: u32, options: &[u8]) -> Result<Self, ParseError> {
        let mut rest = options;
        while !rest.is_empty() {
            let (&[_, _, l0, l1], after) = rest.split_first_chunk().ok_or(ParseError::Edns)?;
            rest = after
                .get(usize::from(u16::from_be_bytes([l0, l1]))..)
                .ok_or(ParseError::Edns)?;
        }
        let [_, version, flags, _] = ttl.to_be_bytes();
        Ok(Self {
            udp_size: class,
            version,
            dnssec_ok: flags & 0x80 != 0,
        })
    }

    /// Our own OPT record for a reply to this one: version 0, DO copied, Z clear, no options.
    ///
    /// `udp_size` is the largest message that we take; `rcode` gives its upper eight bits.
    #[must_use]
    pub fn reply(self, udp_size: u16, rcode: Rcode) -> [u8; EDNS_OCTETS] {
        let [t0, t1] = RType::OPT.0.to_be_bytes();
        let [s0, s1] = udp_size.to_be_bytes();
        let extended = rcode.0.to_be_bytes()[0] << 4 | rcode.0.to_be_bytes()[1] >> 4;
        let flags = if self.dnssec_ok { 0x80 } else { 0 };
        [0, t0, t1, s0, s1, extended, 0, flags, 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_must_add_up_and_are_otherwise_ignored() {
        assert!(Edns::read(1232, 0, &[0, 10, 0, 2, 1, 2, 0, 3, 0, 0]).is_ok());
        assert_eq!(Edns::read(1232, 0, &[0, 10, 0, 2, 1]), Err(ParseError::Edns));
        assert_eq!(Edns::read(1232, 0, &[0, 10, 0]), Err(ParseError::Edns));
    }

    #[test]
    fn a_reply_keeps_do_and_splits_the_rcode() {
        let edns = Edns::read(4096, 0x0000_ffff, &[]).unwrap();
        assert!(edns.dnssec_ok);
        assert_eq!(
            edns.reply(1232, Rcode::BAD_VERS),
            [0, 0, 41, 0x04, 0xd0, 1, 0, 0x80, 0, 0, 0]
        );
        assert_eq!(
            Edns::read(512, 0, &[]).unwrap().reply(1232, Rcode::NO_ERROR)[5..9],
            [0, 0, 0, 0]
        );
    }
}
