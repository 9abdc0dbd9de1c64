//! Codes that packets carry. Each is a number with names for the known values, since all values are legal.

use std::fmt;

/// A record type code. Unknown codes pass through unchanged (RFC 3597, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RType(pub u16);

impl RType {
    /// No type: it marks the absence of one (RFC 6895, section 3.1).
    pub const RESERVED: Self = Self(0);
    /// An IPv4 address (RFC 1035, section 3.4.1).
    pub const A: Self = Self(1);
    /// A server of a zone (RFC 1035, section 3.3.11).
    pub const NS: Self = Self(2);
    /// The name that an alias stands for (RFC 1035, section 3.3.1).
    pub const CNAME: Self = Self(5);
    /// The start of a zone of authority (RFC 1035, section 3.3.13).
    pub const SOA: Self = Self(6);
    /// A name for an address (RFC 1035, section 3.3.12).
    pub const PTR: Self = Self(12);
    /// Text (RFC 1035, section 3.3.14).
    pub const TXT: Self = Self(16);
    /// An IPv6 address (RFC 3596, section 2.1).
    pub const AAAA: Self = Self(28);
    /// The location of a service (RFC 2782).
    pub const SRV: Self = Self(33);
    /// The EDNS pseudo-record (RFC 6891, section 6.1.1).
    pub const OPT: Self = Self(41);
    /// A key agreed upon by messages of its own (RFC 2930).
    pub const TKEY: Self = Self(249);
    /// A message's signature (RFC 8945).
    pub const TSIG: Self = Self(250);
    /// Incremental zone transfer (RFC 1995).
    pub const IXFR: Self = Self(251);
    /// Whole zone transfer (RFC 5936).
    pub const AXFR: Self = Self(252);
    /// Any one RRset (RFC 8482).
    pub const ANY: Self = Self(255);
}

/// A class code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(pub u16);

impl Class {
    /// The Internet, the only class with names of ours.
    pub const IN: Self = Self(1);
    /// Chaos, in which servers are asked about themselves (RFC 4892).
    pub const CH: Self = Self(3);
}

/// An operation code, 4 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A standard query.
    pub const QUERY: Self = Self(0);
}

/// A response code: 4 bits in the header, 12 with EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error.
    pub const NO_ERROR: Self = Self(0);
    /// The query could not be read.
    pub const FORM_ERR: Self = Self(1);
    /// The server failed; an upstream, in our case.
    pub const SERV_FAIL: Self = Self(2);
    /// The name does not exist.
    pub const NX_DOMAIN: Self = Self(3);
    /// The operation is not known.
    pub const NOT_IMP: Self = Self(4);
    /// The server will not answer this client or this question.
    pub const REFUSED: Self = Self(5);
    /// An EDNS version we do not speak (RFC 6891, section 9).
    pub const BAD_VERS: Self = Self(16);
    /// A server cookie that is missing, too old or not ours (RFC 7873, section 8).
    pub const BAD_COOKIE: Self = Self(23);
}

impl fmt::Display for Rcode {
    /// The mnemonic, as `dig` prints it; `RCODE` and the number for one without.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mnemonic = match *self {
            Self::NO_ERROR => "NOERROR",
            Self::FORM_ERR => "FORMERR",
            Self::SERV_FAIL => "SERVFAIL",
            Self::NX_DOMAIN => "NXDOMAIN",
            Self::NOT_IMP => "NOTIMP",
            Self::REFUSED => "REFUSED",
            Self::BAD_VERS => "BADVERS",
            Self::BAD_COOKIE => "BADCOOKIE",
            Self(other) => return write!(f, "RCODE{other}"),
        };
        f.write_str(mnemonic)
    }
}
