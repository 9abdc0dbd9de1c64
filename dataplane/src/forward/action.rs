//! What goes into a forwarder and what comes out of it.

use std::net::SocketAddr;
use std::time::Instant;

use dns::Rcode;
use dns::wire::ExtendedError;
use rustls::pki_types::ServerName;

use super::config::Upstream;
use super::place::Place;
use super::question::Asked;
use super::reply::Foreign;
use super::trouble::Trouble;
use super::upstream::Nobody;
use super::waiters::{Served, Standing};

/// What is to be done.
#[derive(Debug)]
pub enum Action<'a> {
    /// Ask an upstream.
    Ask(Ask<'a>),
    /// Tell those who wait. An exchange ends once.
    Ended(Ended<'a>),
    /// Tell those who wait what is past its time, if that is still there. The exchange goes on.
    Late(Late<'a>),
    /// An upstream is no longer as it was.
    Turned(Turned<'a>),
    /// A reply was cut, and every connection there may be is taken: it is not asked for over TCP.
    NoStream,
}

/// A question for an upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The place whose socket it leaves by.
    pub place: Place,
    /// The place needs a new socket, connected to the upstream from a random port. The one there before, if any,
    /// is done with. Always so for a stream. Of a connection that is kept it says that nothing else waits there.
    pub fresh: bool,
    /// Where to.
    pub upstream: SocketAddr,
    /// The name that the upstream's certificate must be for; none: it is not asked over TLS.
    pub tls: Option<&'a ServerName<'static>>,
    /// The message.
    pub octets: &'a [u8],
}

/// An upstream that is no longer as it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Turned<'a> {
    /// Which.
    pub upstream: &'a Upstream,
    /// What is wrong with it; none: it has answered.
    pub trouble: Option<Trouble>,
}

/// The end of an exchange.
pub struct Ended<'a> {
    /// What was asked.
    pub asked: &'a Asked,
    /// What an upstream answered, or why there is no answer.
    pub result: Result<Foreign<'a>, Failure>,
    /// How it came about.
    pub cause: Cause,
    /// When it began.
    pub began: Instant,
    /// Those who wait for it. There may be none: a cache is refreshed for nobody.
    pub served: Served<'a>,
}

/// An exchange that takes longer than those who wait for it are to wait.
pub struct Late<'a> {
    /// What was asked.
    pub asked: &'a Asked,
    /// Those who wait. Whoever is taken out is to be told; the others go on waiting.
    pub standing: Standing<'a>,
}

impl std::fmt::Debug for Late<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Late")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Ended<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ended")
            .field("asked", &self.asked)
            .field("result", &self.result)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What clients are told.
    pub rcode: Rcode,
    /// And why, if they speak EDNS.
    pub why: ExtendedError,
}

/// Why an exchange ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An upstream answered.
    Answered,
    /// None did in time.
    TimedOut,
    /// None will: each refused, or we are stopping.
    Failed,
}

/// What became of a query that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// An upstream is asked.
    Asked,
    /// One is asked the same already.
    Joined,
}

/// Why a query is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is nobody to ask.
    Nobody(Nobody),
    /// Its client has as many queries waiting as one client may.
    Share,
    /// As many as may wait for the answer to its question.
    Crowd,
    /// There is no room for it.
    Full,
}

impl Refusal {
    /// What the client is told.
    #[must_use]
    pub fn rcode(self) -> Rcode {
        match self {
            Self::Nobody(Nobody::NoRoute) => Rcode::REFUSED,
            Self::Nobody(Nobody::Nowhere) => Rcode::NX_DOMAIN,
            Self::Nobody(Nobody::Overrun) | Self::Share | Self::Crowd | Self::Full => Rcode::SERV_FAIL,
        }
    }
}

/// Whether a packet was of any use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A reply to something that was asked.
    Reply,
    /// Nothing that was asked for: somebody's mistake, or somebody guesses.
    Stray,
}

impl Failure {
    /// Nobody answered in time, or there is nobody that could be asked.
    pub(super) fn unreachable() -> Self {
        Self {
            rcode: Rcode::SERV_FAIL,
            why: ExtendedError::NO_REACHABLE_AUTHORITY,
        }
    }

    /// Nobody is there, or there is no way.
    pub(super) fn network() -> Self {
        Self {
            rcode: Rcode::SERV_FAIL,
            why: ExtendedError::NETWORK_ERROR,
        }
    }

    /// What an upstream said. A query of ours that it could not read is no fault of the client's.
    pub(super) fn of(reply: &Foreign<'_>) -> Self {
        let rcode = match reply.rcode {
            Rcode::FORM_ERR => Rcode::SERV_FAIL,
            rcode if rcode.0 > 0xf => Rcode::SERV_FAIL,
            rcode => rcode,
        };
        Self {
            rcode,
            why: reply.why.unwrap_or(ExtendedError::NO_REACHABLE_AUTHORITY),
        }
    }
}
