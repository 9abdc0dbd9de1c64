//! The settings that answers go by.

use dns::wire::{COOKIE_OCTETS, Cookie, CookieJar, Standing};
use dns::{Alias, Moment, Name, NameRef, Question};

use super::Client;
use crate::access::Access;
use crate::forward;
#[cfg(doc)]
use crate::limits::NSID_OCTETS_MAX;
use crate::special::{self, Special};

/// What holds for every query alike.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Names that are not ours are asked of others; without it they are refused.
    pub recursion: bool,
    /// Who may ask.
    pub access: Access,
    /// Makes and checks cookies, and knows the time for it; without it cookies are passed over.
    pub cookies: Option<CookieJar>,
    /// Which server this is, told to who asks for it (NSID); at most [`NSID_OCTETS_MAX`] octets, and none: not told.
    pub nsid: Box<[u8]>,
    /// Replies a second that each public network gets over UDP; 0: as many as it asks for.
    pub rate_limit: u32,
    /// Domains that others are asked about although the RFCs decide about them, as `local` where a network uses it.
    pub forwarded_specials: Box<[Name]>,
    /// Others are asked about reverse names of private addresses that are not ours (RFC 6303).
    pub forwards_private_reverse: bool,
    /// Domains in zones of ours whose names others are asked about where we know none.
    pub fallthrough: Box<[Name]>,
    /// The time, for records that end by themselves.
    pub now: Moment,
}

impl Policy {
    /// Without cookies, NSID and limit.
    #[must_use]
    pub fn new(recursion: bool, access: Access) -> Self {
        Self {
            recursion,
            access,
            cookies: None,
            nsid: Box::default(),
            rate_limit: 0,
            forwarded_specials: Box::default(),
            forwards_private_reverse: false,
            fallthrough: Box::default(),
            now: Moment::of_milliseconds(0),
        }
    }

    /// Goes by `config`: whether others are asked at all, and which of the names that the RFCs keep from them are asked
    /// about all the same, because the user named a domain that they lie in.
    pub fn forward_as(&mut self, config: &forward::Config) {
        self.recursion = config.forwards();
        let domains = config.routes.iter().map(|route| &route.domain);
        self.forwarded_specials = domains
            .filter(|domain| may_hold_specials(domain))
            .cloned()
            .collect();
    }

    /// Tells the time: what cookies are stamped with and checked by, in seconds since 1970 modulo 2^32, and what it is
    /// for records that end.
    pub fn set_time(&mut self, now_seconds: u32, now: Moment) {
        if let Some(cookies) = &mut self.cookies {
            cookies.set_time(now_seconds);
        }
        self.now = now;
    }

    /// Whether others are asked about `name`, which lies in a zone of ours and does not exist.
    #[must_use]
    pub fn falls_through(&self, name: NameRef<'_>) -> bool {
        let mut domains = self.fallthrough.iter();
        domains.any(|domain| name.start_of(domain).is_some())
    }

    /// Whether others are asked about `name`, which the RFCs decide about.
    pub(super) fn forwards_special(&self, special: &Special, name: NameRef<'_>) -> bool {
        if special.is_private_reverse() && self.forwards_private_reverse {
            return true;
        }
        let mut domains = self.forwarded_specials.iter();
        domains.any(|domain| name.start_of(domain).is_some())
    }

    /// The name that `alias`, the answer to `question`, leads to, if others are to be asked about it.
    pub(crate) fn follows<'s>(&self, alias: &Alias<'s>, question: &Question<'_>) -> Option<NameRef<'s>> {
        let Question { qname, qtype, .. } = *question;
        let target = alias.leads_out(qname, qtype, |name| self.falls_through(name))?;
        let is_asked = special::of(target).is_none_or(|special| self.forwards_special(&special, target));
        is_asked.then_some(target)
    }

    /// What `cookie` proves of `client`, and what it is answered.
    pub(crate) fn answer_cookie(
        &self,
        cookie: Option<Cookie<'_>>,
        client: Client,
    ) -> Option<(Standing, [u8; COOKIE_OCTETS])> {
        let (cookies, cookie) = (self.cookies.as_ref()?, cookie?);
        Some(cookies.answer(&cookie, client.address))
    }
}

/// Whether names that the RFCs decide about lie in `domain`, and others may be asked about them. All reverse names may.
fn may_hold_specials(domain: &Name) -> bool {
    let is_special = special::of(domain.as_ref()).is_some_and(|special| special.may_be_forwarded());
    is_special || domain.labels().last() == Some(b"arpa")
}
