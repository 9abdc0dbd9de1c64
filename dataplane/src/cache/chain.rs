//! The names that a reply's aliases lead through, and what else is read of its records.

use domain::base::iana::Class;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, ParsedName, ParsedRecord, Rtype, ToName};
use domain::rdata::Cname;

use super::sift::Unusable;
use crate::limits::CACHE_LINKS_MAX;

/// A name in a reply, compressed as it came.
pub(super) type ReplyName<'r> = ParsedName<&'r [u8]>;
/// A record of a reply, its data not looked at.
pub(super) type ReplyRecord<'r> = ParsedRecord<'r, [u8]>;

/// The name asked for, and those that one alias after another leads to.
pub(super) struct Chain<'r> {
    names: [Option<ReplyName<'r>>; CACHE_LINKS_MAX + 1],
    length: usize,
    last: ReplyName<'r>,
    /// The last name is an alias too, and what it leads to is not asked of others.
    pub(super) is_cut: bool,
}

impl<'r> Chain<'r> {
    /// Without an alias.
    pub(super) fn new(qname: ReplyName<'r>) -> Self {
        let mut names = [None; CACHE_LINKS_MAX + 1];
        if let Some(first) = names.first_mut() {
            *first = Some(qname);
        }
        Self {
            names,
            length: 1,
            last: qname,
            is_cut: false,
        }
    }

    /// What the answer section says the last name is an alias of.
    pub(super) fn target(&self, message: &'r Message<[u8]>) -> Result<Option<ReplyName<'r>>, Unusable> {
        for record in message.answer()? {
            let record = record?;
            let is_alias = record.rtype() == Rtype::CNAME && record.class() == Class::IN;
            if is_alias && record.owner().name_eq(&self.last) {
                let alias = record.to_record::<Cname<ReplyName<'r>>>()?.ok_or(Unusable)?;
                return Ok(Some(*alias.data().cname()));
            }
        }
        Ok(None)
    }

    /// Adds a link.
    ///
    /// # Errors
    ///
    /// [`Unusable`]: it leads back, or there are more than [`CACHE_LINKS_MAX`].
    pub(super) fn push(&mut self, target: ReplyName<'r>) -> Result<(), Unusable> {
        if self.position(&target).is_some() {
            return Err(Unusable);
        }
        *self.names.get_mut(self.length).ok_or(Unusable)? = Some(target);
        self.length += 1;
        self.last = target;
        Ok(())
    }

    /// The name that is answered.
    pub(super) fn last(&self) -> &ReplyName<'r> {
        &self.last
    }

    /// All its names.
    pub(super) fn names(&self) -> impl Iterator<Item = &ReplyName<'r>> {
        self.names.iter().flatten()
    }

    /// How many links lead to `name`.
    pub(super) fn position(&self, name: &ReplyName<'_>) -> Option<usize> {
        self.names().position(|link| link.name_eq(name))
    }

    /// Whether the name after so many links is an alias.
    pub(super) fn leads_on_from(&self, links: usize) -> bool {
        links + 1 < self.length || self.is_cut
    }

    /// Whether an alias of it lies below the owner of `record`, so that a DNAME there may have made it.
    pub(super) fn has_below(&self, record: &ReplyRecord<'_>) -> bool {
        let owner = record.owner();
        self.names()
            .enumerate()
            .any(|(links, name)| self.leads_on_from(links) && name.ends_with(&owner) && !name.name_eq(&owner))
    }
}

/// The data of a record as it came.
pub(super) fn raw<'r>(record: &ReplyRecord<'r>) -> Result<&'r [u8], Unusable> {
    let record = record
        .to_record::<UnknownRecordData<&'r [u8]>>()?
        .ok_or(Unusable)?;
    Ok(*record.data().data())
}

/// The type that a signature is of; none for what is no signature (RFC 4034, section 3.1.1).
pub(super) fn covered(record: &ReplyRecord<'_>) -> Result<Option<u16>, Unusable> {
    if record.rtype() != Rtype::RRSIG {
        return Ok(None);
    }
    let covered = raw(record)?.first_chunk().ok_or(Unusable)?;
    Ok(Some(u16::from_be_bytes(*covered)))
}
