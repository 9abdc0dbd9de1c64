//! The OPT pseudo-record (RFC 6891, section 6.1).
//!
//! ```text
//! | 0: root | 41: u16 | UDP size: u16 | extended rcode: u8 | version: u8 | DO, Z: u16 | RDLENGTH: u16 | options |
//! option    | code: u16 | length: u16 | length octets |
//! ```

use super::{Cookie, ParseError, RType, Rcode};

/// Length of an OPT record without options, in octets.
pub const EDNS_OCTETS: usize = 11;
/// Length of an option without its data, in octets.
pub const OPTION_OCTETS: usize = 4;

/// An option's code. Unknown ones are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionCode(pub u16);

impl OptionCode {
    /// Which server answers (RFC 5001).
    pub const NSID: Self = Self(3);
    /// A cookie (RFC 7873).
    pub const COOKIE: Self = Self(10);
    /// How long a connection may be idle (RFC 7828).
    pub const TCP_KEEPALIVE: Self = Self(11);
    /// Octets that mean nothing (RFC 7830).
    pub const PADDING: Self = Self(12);
    /// Why a reply is no answer (RFC 8914).
    pub const EXTENDED_ERROR: Self = Self(15);
}

/// Why a reply is no answer, more closely than its rcode says (RFC 8914, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedError(pub u16);

impl ExtendedError {
    /// The answer is past its time, and there is no newer one.
    pub const STALE_ANSWER: Self = Self(3);
    /// The failure happened before, and is remembered.
    pub const CACHED_ERROR: Self = Self(13);
    /// There is an answer, and the operator keeps it back.
    pub const BLOCKED: Self = Self(15);
    /// That there is no such name is past its time, and there is nothing newer.
    pub const STALE_NXDOMAIN_ANSWER: Self = Self(19);
    /// The client may not ask.
    pub const PROHIBITED: Self = Self(18);
    /// The name is not ours, and others are not asked for it.
    pub const NOT_AUTHORITATIVE: Self = Self(20);
    /// An upstream's answer makes no sense.
    pub const INVALID_DATA: Self = Self(24);
    /// No upstream gave an answer.
    pub const NO_REACHABLE_AUTHORITY: Self = Self(22);
    /// Nobody is there, or there is no way.
    pub const NETWORK_ERROR: Self = Self(23);
}

/// What a query's OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Largest UDP reply that the client takes, in octets, as it said it; below 512 means 512.
    pub udp_size: u16,
    /// 0 is the only version there is.
    pub version: u8,
    /// The client wants DNSSEC records (DO).
    pub dnssec_ok: bool,
    /// The client wants to know which server answers.
    pub asks_nsid: bool,
    /// The client wants to know how long its connection may be idle; only streams have one.
    pub asks_keepalive: bool,
    /// The client sent a cookie.
    pub has_cookie: bool,
}

impl Edns {
    /// Reads the fields of an OPT record: `class` and `ttl` hold what an ordinary record's do not, and
    /// `options` is its RDATA. Unknown options are checked for their lengths alone (section 6.1.2), as are all
    /// of another version: what they mean there is not known.
    ///
    /// # Errors
    ///
    /// [`ParseError::Edns`]: an option ends past the RDATA, or the first cookie has no cookie's length.
    pub fn read(class: u16, ttl: u32, options: &[u8]) -> Result<Self, ParseError> {
        let [_, version, flags, _] = ttl.to_be_bytes();
        let mut edns = Self {
            udp_size: class,
            version,
            dnssec_ok: flags & 0x80 != 0,
            asks_nsid: false,
            asks_keepalive: false,
            has_cookie: false,
        };
        let mut rest = options;
        while !rest.is_empty() {
            let (code, data, after) = split_option(rest).ok_or(ParseError::Edns)?;
            rest = after;
            if version != 0 {
                continue;
            }
            if code == OptionCode::NSID {
                edns.asks_nsid = true;
            } else if code == OptionCode::TCP_KEEPALIVE && data.is_empty() {
                // With a time in it, it is a server's (RFC 7828, section 3.2.1), and means nothing here.
                edns.asks_keepalive = true;
            } else if code == OptionCode::COOKIE && !edns.has_cookie {
                Cookie::read(data)?;
                edns.has_cookie = true;
            }
        }
        Ok(edns)
    }

    /// The fixed part of our own OPT record in a reply to this one: version 0, DO copied, Z clear.
    ///
    /// `udp_size` is the largest message that we take; `rcode` gives its upper eight bits; `options_octets`
    /// octets of options follow.
    #[must_use]
    pub fn reply(self, udp_size: u16, rcode: Rcode, options_octets: u16) -> [u8; EDNS_OCTETS] {
        let [t0, t1] = RType::OPT.0.to_be_bytes();
        let [s0, s1] = udp_size.to_be_bytes();
        let [o0, o1] = options_octets.to_be_bytes();
        let extended = rcode.0.to_be_bytes()[0] << 4 | rcode.0.to_be_bytes()[1] >> 4;
        let flags = if self.dnssec_ok { 0x80 } else { 0 };
        [0, t0, t1, s0, s1, extended, 0, flags, 0, o0, o1]
    }
}

/// Splits an option off the front of an OPT record's data; none if it ends too soon.
pub(super) fn split_option(options: &[u8]) -> Option<(OptionCode, &[u8], &[u8])> {
    let (&[c0, c1, l0, l1], after) = options.split_first_chunk()?;
    let (data, rest) = after.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
    Some((OptionCode(u16::from_be_bytes([c0, c1])), data, rest))
}

/// The first cookie among `options`, which [`Edns::read`] has checked.
pub(super) fn cookie_in(options: &[u8]) -> Option<Cookie<'_>> {
    let mut rest = options;
    loop {
        let (code, data, after) = split_option(rest)?;
        if code == OptionCode::COOKIE {
            return Cookie::read(data).ok();
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_must_add_up_and_unknown_ones_are_otherwise_ignored() {
        assert!(Edns::read(1232, 0, &[0, 77, 0, 2, 1, 2, 0, 3, 0, 0]).is_ok());
        assert_eq!(Edns::read(1232, 0, &[0, 77, 0, 2, 1]), Err(ParseError::Edns));
        assert_eq!(Edns::read(1232, 0, &[0, 77, 0]), Err(ParseError::Edns));
    }

    #[test]
    fn the_first_cookie_counts_and_must_be_one_unless_the_version_is_another() {
        let good = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        let bad = [0, 10, 0, 3, 1, 2, 3];
        let first_good = [&good[..], &bad].concat();
        assert!(Edns::read(1232, 0, &first_good).unwrap().has_cookie);
        assert_eq!(cookie_in(&first_good).unwrap().client, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            Edns::read(1232, 0, &[&bad[..], &good].concat()),
            Err(ParseError::Edns)
        );
        let other = Edns::read(1232, 0x0001_0000, &bad).unwrap();
        assert_eq!((other.version, other.has_cookie), (1, false));
    }

    #[test]
    fn a_reply_keeps_do_and_splits_the_rcode() {
        let edns = Edns::read(4096, 0x0000_ffff, &[]).unwrap();
        assert!(edns.dnssec_ok);
        assert_eq!(
            edns.reply(1232, Rcode::BAD_VERS, 0x0102),
            [0, 0, 41, 0x04, 0xd0, 1, 0, 0x80, 0, 1, 2]
        );
        assert_eq!(
            Edns::read(512, 0, &[]).unwrap().reply(1232, Rcode::NO_ERROR, 0)[5..9],
            [0, 0, 0, 0]
        );
    }
}
