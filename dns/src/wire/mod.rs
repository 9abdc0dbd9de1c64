//! A query's octets, read where they lie; a reply's octets, written where the query lay.
//!
//! ```text
//! message  | header: 12 octets | question | answer | authority | additional, with OPT |
//! ```
//!
//! Readers borrow, return [`ParseError`] and cannot panic: every access goes through a checked slice.

mod code;
mod cookie;
mod edns;
mod head;
mod header;
mod query;
mod question;
mod reply;

pub use code::{Class, Opcode, RType, Rcode};
pub use cookie::{CLIENT_COOKIE_OCTETS, COOKIE_OCTETS, Cookie, CookieJar, SERVER_COOKIE_OCTETS, Standing};
pub use edns::{EDNS_OCTETS, Edns, ExtendedError, OPTION_OCTETS, OptionCode};
pub use head::Head;
pub use header::{Flags, HEADER_OCTETS, Header};
pub use query::{Envelope, Query};
pub use question::Question;
pub use reply::{OWNER_IS_QNAME, Reply, Section};

use crate::name::SplitError;

/// Why a packet could not be read. `Copy` and one octet: it is made on the query path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Fewer octets than a header has.
    ShortHeader,
    /// A reply. Answering one could bounce between two servers for ever (CVE-2024-2169).
    IsResponse,
    /// An operation other than QUERY.
    Opcode,
    /// Not exactly one question (RFC 9619).
    QuestionCount,
    /// The octets end before what the header counts.
    Truncated,
    /// A name that is too long, or holds a pointer or a reserved label type where none may be.
    Name,
    /// An OPT record in the wrong place, doubled, or with options that do not add up (RFC 6891, section 6.1.1);
    /// or a cookie of no cookie's length (RFC 7873, section 5.2.2).
    Edns,
    /// A signature. We hold no keys, and an answer without one would be thrown away (RFC 8945, section 5.4).
    Signed,
}

impl From<SplitError> for ParseError {
    fn from(error: SplitError) -> Self {
        match error {
            SplitError::Truncated => Self::Truncated,
            SplitError::LabelType | SplitError::TooLong => Self::Name,
        }
    }
}
