//! Which server this is, asked for as BIND's users do (RFC 4892): TXT of `id.server` in class CH.

use dns::{Class, Question, RType};

use super::Policy;

/// Names that mean this server, in wire form and lower case. What version runs here is nobody's business.
const WHO: [&[u8]; 2] = [b"\x02id\x06server\0", b"\x08hostname\x04bind\0"];

/// Whether `question` asks which server this is, and the user gave it a name to tell.
pub(super) fn asks_who(policy: &Policy, question: &Question<'_>) -> bool {
    let Question { qname, qtype, qclass } = *question;
    qclass == Class::CH
        && matches!(qtype, RType::TXT | RType::ANY)
        && !policy.nsid.is_empty()
        && WHO.iter().any(|who| qname.octets().eq_ignore_ascii_case(who))
}
