//! What of a query its reply goes by.

use super::{Edns, Envelope, Flags, HEADER_OCTETS, Opcode, Query};

/// What a reply keeps of its query once the query's octets may be overwritten.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub(super) id: u16,
    pub(super) flags: Flags,
    pub(super) question_end: usize,
    pub(super) edns: Option<Edns>,
}

impl Head {
    /// The client's number for the message: as good as random, it also chooses which record comes first.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Whether the client asks which server answers.
    #[must_use]
    pub fn asks_nsid(&self) -> bool {
        self.edns.is_some_and(|edns| edns.asks_nsid)
    }

    /// Whether the client wants to know how long its connection may be idle.
    #[must_use]
    pub fn asks_keepalive(&self) -> bool {
        self.edns.is_some_and(|edns| edns.asks_keepalive)
    }

    /// Questions that the reply repeats.
    pub(super) fn questions(&self) -> u16 {
        u16::from(self.question_end > HEADER_OCTETS)
    }
}

impl From<&Query<'_>> for Head {
    fn from(query: &Query<'_>) -> Self {
        Self {
            id: query.id,
            flags: query.flags,
            question_end: query.question_end(),
            edns: query.edns,
        }
    }
}

impl From<&Envelope<'_>> for Head {
    /// The questions are not repeated, nor, for an operation that is not known, any flag (RFC 8906, section 3.1.4).
    fn from(envelope: &Envelope<'_>) -> Self {
        let flags = match envelope.flags.opcode() {
            Opcode::QUERY => envelope.flags,
            _ => envelope.flags.opcode_bits(),
        };
        Self {
            id: envelope.id,
            flags,
            question_end: HEADER_OCTETS,
            edns: envelope.edns,
        }
    }
}
