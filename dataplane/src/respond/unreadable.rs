//! What is said to a message that is no query of ours.

use dns::wire::{Envelope, ExtendedError, HEADER_OCTETS, Head, Standing};
use dns::{ParseError, Rcode, Reply};

use super::answering::{Answering, put_options, sent};
use super::{Client, Message, Outcome, Policy, UDP_SIZE, limit};

/// What is said to a message that is no query of ours.
pub(super) fn unreadable(
    policy: &Policy,
    client: Client,
    message: &mut Message<'_>,
    error: ParseError,
) -> Outcome {
    match error {
        // Replying to a reply could bounce between two servers for ever.
        ParseError::ShortHeader | ParseError::IsResponse => Outcome::Drop,
        ParseError::Opcode => unknown_operation(policy, client, message),
        ParseError::QuestionCount => no_question(policy, client, message),
        ParseError::Truncated | ParseError::Name | ParseError::Edns | ParseError::Signed => {
            bare(message, Rcode::FORM_ERR)
        }
    }
}

/// NOTIMP, in EDNS to who speaks it (RFC 6891, section 7) and with no flag copied (RFC 8906, section 3.1.4).
fn unknown_operation(policy: &Policy, client: Client, message: &mut Message<'_>) -> Outcome {
    let envelope = Envelope::parse(message.octets());
    let Some((envelope, edns)) = envelope
        .ok()
        .and_then(|envelope| Some((envelope, envelope.edns?)))
    else {
        return bare(message, Rcode::NOT_IMP);
    };
    let cookie = policy.answer_cookie(envelope.cookie(), client);
    let rcode = if edns.version == 0 {
        Rcode::NOT_IMP
    } else {
        Rcode::BAD_VERS
    };
    let head = Head::from(&envelope);
    let limit = limit(client.transport, Some(edns));
    let mut reply = Reply::begin(message.buffer, head, limit, UDP_SIZE);
    let cookie = cookie.map(|(_, octets)| octets);
    put_options(&mut reply, policy, head, cookie, client.transport);
    reply.set_rcode(rcode);
    sent(reply, rcode)
}

/// Without a question there is nothing to say, unless it is a cookie that is wanted, or to be confirmed (RFC 7873,
/// section 5.4).
fn no_question(policy: &Policy, client: Client, message: &mut Message<'_>) -> Outcome {
    let envelope = Envelope::parse(message.octets());
    let Some(envelope) = envelope.ok().filter(|envelope| envelope.questions == 0) else {
        return bare(message, Rcode::FORM_ERR);
    };
    let Some((standing, cookie)) = policy.answer_cookie(envelope.cookie(), client) else {
        return bare(message, Rcode::FORM_ERR);
    };
    let mut reply = Answering {
        policy,
        head: Head::from(&envelope),
        limit: limit(client.transport, envelope.edns),
        cookie: Some(cookie),
        transport: client.transport,
        message,
    };
    reply.error(match standing {
        _ if !policy.access.allows(client.address) => (Rcode::REFUSED, Some(ExtendedError::PROHIBITED)),
        Standing::Invalid => (Rcode::BAD_COOKIE, None),
        Standing::New | Standing::Valid => (Rcode::NO_ERROR, None),
    })
}

fn bare(message: &mut Message<'_>, rcode: Rcode) -> Outcome {
    // Not even the length of the query is repeated: the header is all that was understood.
    let header = message
        .buffer
        .get_mut(..message.length.min(HEADER_OCTETS))
        .unwrap_or_default();
    match Reply::bare(header, rcode) {
        Some(length) => Outcome::Reply {
            length,
            rcode,
            truncated: false,
        },
        None => Outcome::Drop,
    }
}
