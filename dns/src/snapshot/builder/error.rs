//! Why something cannot be served.

use super::composed::TEXT_OCTETS_MAX;
use crate::name::{LABEL_OCTETS_MAX, Name};
use crate::wire::RType;

/// RRsets of one owner, variants for single networks included: what an entry counts in one octet.
pub(super) const RRSETS_MAX: usize = u8::MAX as usize;

/// RRsets of ports of one owner, variants for single networks included: an entry holds them all, and counts its octets
/// in 32 bits; each may have two times 64 KiB.
pub const PORT_RRSETS_MAX: usize = 1 << 14;

/// Why a record, an endpoint or a zone cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// There is nothing to be authoritative for.
    #[error("no zone is given; name at least one domain")]
    NoZone,
    /// A zone is given twice, or lies in another one: which SOA a name has would be left to chance.
    #[error("zone {inner} lies in zone {outer}; give only one of them")]
    NestedZone {
        /// The one inside.
        inner: Name,
        /// The one around it.
        outer: Name,
    },
    /// The root cannot be a zone: every name would be ours.
    #[error("the root cannot be a zone; name a domain")]
    RootZone,
    /// An RRset without records.
    #[error("{owner} has an RRset without records; leave the RRset out")]
    EmptyRrSet {
        /// Owner name.
        owner: Name,
    },
    /// Records of several types in one RRset, or several RRsets of one type.
    #[error("{owner} has records of type {} in more than one RRset, or mixed with others", rtype.0)]
    MixedRrSet {
        /// Owner name.
        owner: Name,
        /// The type in question.
        rtype: RType,
    },
    /// A CNAME record beside other records (RFC 1034, section 3.6.2).
    #[error("{owner} is an alias and has other records as well; give it either")]
    AliasNotAlone {
        /// Owner name.
        owner: Name,
    },
    /// A text that no message can carry.
    #[error("a text of {owner} has {octets} octets; a record holds at most {TEXT_OCTETS_MAX}")]
    Text {
        /// Owner name.
        owner: Name,
        /// Its length, with the lengths of its strings.
        octets: usize,
    },
    /// More RRsets than an owner can have, or more for its ports.
    #[error(
        "{owner} has {rrsets} RRsets; at most {RRSETS_MAX} fit, and {PORT_RRSETS_MAX} for its ports, so leave out \
         variants for single networks"
    )]
    TooManyRrSets {
        /// Owner name.
        owner: Name,
        /// How many.
        rrsets: usize,
    },
    /// A label that is empty or too long.
    #[error("label {label:?} has {octets} octets; 1 to {LABEL_OCTETS_MAX} fit")]
    Label {
        /// The label, what is not UTF-8 replaced.
        label: String,
        /// Its length.
        octets: usize,
    },
    /// More addresses of one family, or in views, than an endpoint can have.
    #[error("an endpoint has more than 255 addresses of one family, or for single networks")]
    Addresses,
}
