//! What the user said about what is kept: for how long, and whether private addresses may come from outside.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use dns::{Name, NameRef, RType};
use domain::base::ToName;

use super::chain::Chain;
use super::entry::{Kind, Meta};
#[cfg(doc)]
use crate::limits::FORWARD_TIMEOUT;
use crate::limits::{CACHE_NEGATIVE_TTL_MAX, CACHE_TTL_MAX, STALE_PATIENCE_DEFAULT};

/// How long answers are kept, and which are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Least seconds that an answer is kept and told for, if it may be kept at all; those with a TTL of 0 among them.
    pub min_ttl: u32,
    /// Most seconds that an answer is kept and told for.
    pub max_ttl: u32,
    /// Seconds past its time that an answer is still told when no upstream has a newer one (RFC 8767); 0: never.
    pub stale_seconds: u32,
    /// How long a client waits for upstreams before it is told an answer past its time (RFC 8767, section 5: the client
    /// response timer); nothing: not at all. From [`FORWARD_TIMEOUT`] on, it is told once they have failed.
    pub stale_patience: Duration,
    /// Addresses of private networks are not believed of names outside.
    pub rebind_protection: bool,
    /// Domains whose names may have such addresses all the same.
    pub rebind_allow: Vec<Name>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            min_ttl: 0,
            max_ttl: CACHE_TTL_MAX,
            stale_seconds: 0,
            stale_patience: STALE_PATIENCE_DEFAULT,
            rebind_protection: false,
            rebind_allow: Vec::new(),
        }
    }
}

impl Rules {
    /// The TTL that a record with `ttl` is kept with. One of 0 is for one question alone, unless there is a least one.
    pub(super) fn bounded(&self, ttl: u32) -> u32 {
        ttl.max(self.min_ttl).min(self.max_ttl)
    }

    /// The same for what says that there is nothing.
    pub(super) fn bounded_negative(&self, ttl: u32) -> u32 {
        self.bounded(ttl).min(CACHE_NEGATIVE_TTL_MAX)
    }

    /// Whether an entry is what upstreams said, not that they failed, and good still or told for want of a newer one.
    pub(super) fn may_be_told(&self, meta: &Meta, now: u32) -> bool {
        meta.kind != Kind::Failure && !meta.is_over(now, self.stale_seconds)
    }

    /// Whether names of `chain` may have private addresses. `scratch` is room for a name.
    pub(super) fn may_be_private(&self, chain: &Chain<'_>, scratch: &mut Vec<u8>) -> bool {
        !self.rebind_protection
            || chain.names().any(|name| {
                scratch.clear();
                let composed = name.compose(scratch).ok();
                let name = composed.and_then(|()| NameRef::split(scratch).ok());
                name.is_some_and(|(name, _)| {
                    self.rebind_allow
                        .iter()
                        .any(|domain| name.start_of(domain).is_some())
                })
            })
    }
}

/// Whether the data of an address record lies in a network that the Internet cannot reach. None: it is no address.
pub(super) fn is_private(rtype: u16, data: &[u8]) -> Option<bool> {
    if rtype == RType::A.0 {
        let address = Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?);
        return Some(is_private_v4(address));
    }
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?);
    let is_inside = address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local();
    Some(is_inside || address.to_ipv4_mapped().is_some_and(is_private_v4))
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    // All of 0.0.0.0/8 is this host to Linux's connect(2), as the unspecified address is.
    let [first, ..] = address.octets();
    first == 0 || address.is_private() || address.is_loopback() || address.is_link_local()
}
