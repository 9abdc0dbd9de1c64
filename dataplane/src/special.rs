//! Names that the RFCs give an answer to, whoever asks. They are never asked of others.
//!
//! ```text
//! localhost      127.0.0.1 and ::1          RFC 6761, section 6.3
//! invalid        does not exist             RFC 6761, section 6.4
//! onion          does not exist             RFC 7686, section 2
//! alt            does not exist             RFC 9476, section 2
//! local          does not exist             RFC 6762, section 22.1; multicast DNS answers these
//! ```
//!
//! And so is everything below them, but for domains whose upstreams the user named: some networks do use `local`. Only
//! names that are none of ours get here: whoever configures `local` or a name in it as a zone is answered from that zone.

use dns::{NameRef, RType, Rcode};

/// How long answers about these names may be kept, in seconds: what an RFC says does not change, and three hours are
/// the most that a resolver keeps a negative answer for by default (RFC 2308, section 5).
pub const TTL_SECONDS: u32 = 10_800;

const T2: u8 = TTL_SECONDS.to_be_bytes()[2];
const T3: u8 = TTL_SECONDS.to_be_bytes()[3];

/// What a negative answer's SOA record holds after its owner (RFC 1035, section 3.3.13).
pub const SOA_AFTER_OWNER: &[u8] = &[
    0, 6, 0, 1, 0, 0, T2, T3, 0, 47, // SOA, IN, time to live, length
    9, b'l', b'o', b'c', b'a', b'l', b'h', b'o', b's', b't', 0, // primary
    6, b'n', b'o', b'b', b'o', b'd', b'y', 7, b'i', b'n', b'v', b'a', b'l', b'i', b'd', 0, // mailbox
    0, 0, 0, 1, // serial
    0, 0, 0x0e, 0x10, 0, 0, 0x04, 0xb0, 0, 9, 0x3a, 0x80, // refresh, retry, expire
    0, 0, T2, T3, // minimum
];

/// The addresses of `localhost`, as records after their owner.
const LOOPBACK_A: &[u8] = &[0, 1, 0, 1, 0, 0, T2, T3, 0, 4, 127, 0, 0, 1];
const LOOPBACK_AAAA: &[u8] = &[
    0, 28, 0, 1, 0, 0, T2, T3, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
];

/// The last labels of names that do not exist.
const ABSENT: [&[u8]; 4] = [b"invalid", b"onion", b"alt", b"local"];

/// What is said about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    is_loopback: bool,
    /// Octets of the special name itself, which ends the question's name; it owns the SOA.
    pub suffix_octets: usize,
}

/// What the RFCs say about `name`, if they do.
#[must_use]
pub fn of(name: NameRef<'_>) -> Option<Special> {
    let last = name.labels().last()?;
    let is_loopback = last.eq_ignore_ascii_case(b"localhost");
    let is_special = is_loopback || ABSENT.iter().any(|absent| last.eq_ignore_ascii_case(absent));
    is_special.then_some(Special {
        is_loopback,
        suffix_octets: 1 + last.len() + 1,
    })
}

impl Special {
    /// Whether the user may have others asked about it: everything but what means this host.
    #[must_use]
    pub fn may_be_forwarded(&self) -> bool {
        !self.is_loopback
    }

    /// The record that answers a question of `qtype`, but for its owner; none if there is none.
    #[must_use]
    pub fn record(&self, qtype: RType) -> Option<&'static [u8]> {
        match qtype {
            // ANY gets one RRset (RFC 8482, section 4.1).
            RType::A | RType::ANY if self.is_loopback => Some(LOOPBACK_A),
            RType::AAAA if self.is_loopback => Some(LOOPBACK_AAAA),
            _ => None,
        }
    }

    /// How a question without such a record is denied.
    #[must_use]
    pub fn denial(&self) -> Rcode {
        if self.is_loopback {
            Rcode::NO_ERROR
        } else {
            Rcode::NX_DOMAIN
        }
    }
}

#[cfg(test)]
mod tests {
    use dns::Name;

    use super::*;

    fn special(name: &str) -> Option<Special> {
        of(name.parse::<Name>().unwrap().as_ref())
    }

    #[test]
    fn the_last_label_decides_in_any_case() {
        for name in ["localhost", "a.b.localhost", "LocalHost"] {
            let special = special(name).unwrap();
            assert!(special.is_loopback && special.suffix_octets == 11, "{name}");
        }
        for name in ["invalid", "x.onion", "y.z.alt", "printer.local"] {
            assert_eq!(special(name).unwrap().denial(), Rcode::NX_DOMAIN, "{name}");
        }
        for name in [
            ".",
            "docker",
            "xlocalhost",
            "localhost.example",
            "local.docker",
            "locals",
            "test",
        ] {
            assert_eq!(special(name), None, "{name}");
        }
    }

    #[test]
    fn the_soa_is_as_long_as_it_says() {
        assert_eq!(usize::from(SOA_AFTER_OWNER[9]), SOA_AFTER_OWNER.len() - 10);
    }
}
