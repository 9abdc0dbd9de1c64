//! What of an upstream's reply is kept, and for how long.
//!
//! ```text
//!  question ─▶ CNAME ─▶ CNAME ─▶ … ─▶ records of the type asked for      kept, with their signatures if wanted
//!                                └──▶ none ─▶ SOA of a zone that the last name lies in
//!  everything else                                                      left out
//! ```
//!
//! An upstream, or whoever speaks for it, may put any record into a reply. Only those that answer the question are taken
//! (bailiwick): no other owner's, no servers of zones, no additional ones (CVE-2021-25220, CVE-2025-40778). A chain that
//! leads into a zone of ours ends there: what is ours is never learnt from others.
//!
//! Records are written anew and lie as they will in every reply to the question: names whole, so that each record
//! stands for itself, and owners as pointers into the question or into the alias that led to them.

use dns::name::NAME_OCTETS_MAX;
use dns::wire::{HEADER_OCTETS, OWNER_IS_QNAME};
use dns::{NameRef, RType, Rcode};
use domain::base::iana::Class;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Message, ToName};
use domain::rdata::{AllRecordData, Soa};

use super::chain::{Chain, ReplyName, ReplyRecord, covered, raw};
use super::entry::{Kind, Rotation};
use super::key::Key;
use super::picked::{Picked, seconds};
use super::rules::{Rules, is_private};
use crate::limits::{CACHE_FAILURE_TTL, CACHE_LINKS_MAX, REPLY_OCTETS_MAX};

/// What was kept of a reply. Used again for the next one, so that sifting allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Draft {
    records: Vec<u8>,
    /// Where among the records each TTL is: pairs of octets, little end first.
    offsets: Vec<u8>,
    pub(super) answers: u16,
    pub(super) authorities: u16,
    pub(super) rotation: Rotation,
    pub(super) rcode: u8,
    pub(super) kind: Kind,
    /// Seconds that all of it is good for; 0: for the question that it answers, and no other.
    pub(super) ttl: u32,
    /// A name, while it is looked at.
    name: Vec<u8>,
}

/// Why a reply is no answer: it cannot be read, its aliases go round in circles, or there are too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusable;

impl From<domain::base::wire::ParseError> for Unusable {
    fn from(_: domain::base::wire::ParseError) -> Self {
        Self
    }
}

/// Types whose data may have compressed names in it (RFC 3597, section 4), MINFO's and mailboxes' among them. Data of
/// all others is copied as it is.
const WITH_NAMES: [u16; 14] = [2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 33, 35, 39];
const DNAME: u16 = 39;
const NSEC: u16 = 47;
const NSEC3: u16 = 50;
/// The shortest record: the root, type, class, TTL and the length of no data.
const RECORD_OCTETS_MIN: usize = 11;
/// What a record may need more than its data has: an owner and its fixed part, and two names written whole.
const RECORD_GROWTH_MAX: usize = 3 * NAME_OCTETS_MAX + 10;
/// The longest reach of a compression pointer, in octets (RFC 1035, section 4.1.4).
pub(super) const POINTER_MAX: usize = 0x3fff;

impl Draft {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::with_capacity(REPLY_OCTETS_MAX + RECORD_GROWTH_MAX),
            offsets: Vec::with_capacity(2 * REPLY_OCTETS_MAX / RECORD_OCTETS_MIN),
            name: Vec::with_capacity(NAME_OCTETS_MAX),
            ..Self::default()
        }
    }

    /// Octets it takes.
    pub(super) fn taken(&self) -> usize {
        self.records.capacity() + self.offsets.capacity() + self.name.capacity()
    }

    pub(super) fn records(&self) -> &[u8] {
        &self.records
    }

    pub(super) fn offsets(&self) -> &[u8] {
        &self.offsets
    }

    /// Holds what answers `key`'s question in `reply`, whose question is the same but for case.
    ///
    /// # Errors
    ///
    /// [`Unusable`]: nothing that a client should see. Nothing is held then.
    pub(super) fn sift(
        &mut self,
        key: &Key,
        reply: &[u8],
        rules: &Rules,
        is_ours: impl Fn(NameRef<'_>) -> bool,
    ) -> Result<(), Unusable> {
        self.clear();
        let sifted = self.try_sift(key, reply, rules, is_ours);
        if sifted.is_err() {
            self.clear();
        }
        sifted
    }

    /// Holds that upstreams failed with `rcode`.
    pub(super) fn fail(&mut self, rcode: Rcode) {
        self.clear();
        self.kind = Kind::Failure;
        self.rcode = (rcode.0 & 0xf) as u8;
        self.ttl = CACHE_FAILURE_TTL;
    }

    fn clear(&mut self) {
        self.records.clear();
        self.offsets.clear();
        (self.answers, self.authorities) = (0, 0);
        self.rotation = Rotation::default();
        self.rcode = 0;
        self.kind = Kind::Positive;
        self.ttl = 0;
    }

    fn try_sift(
        &mut self,
        key: &Key,
        reply: &[u8],
        rules: &Rules,
        is_ours: impl Fn(NameRef<'_>) -> bool,
    ) -> Result<(), Unusable> {
        let message = Message::from_slice(reply).map_err(|_| Unusable)?;
        let rcode = Rcode(message.header().rcode().to_int().into());
        if rcode != Rcode::NO_ERROR && rcode != Rcode::NX_DOMAIN {
            self.fail(rcode);
            return Ok(());
        }
        self.rcode = (rcode.0 & 0xf) as u8;
        let question = message.first_question().ok_or(Unusable)?;
        let chain = self.chain(key, message, *question.qname(), is_ours)?;
        let read = Reading { key, message, chain };
        let mut picked = Picked::new(rules);
        let found = self.take_answers(&read, &mut picked)?;
        let chain = &read.chain;
        if chain.is_cut {
            // The code is about the last name (RFC 2308, section 2.1), and that one is ours to tell of.
            self.rcode = 0;
        }
        if picked.is_private && !rules.may_be_private(chain, &mut self.name) {
            let ttl = picked.ttl;
            self.clear();
            (self.kind, self.ttl) = (Kind::Blocked, ttl);
            return Ok(());
        }
        self.kind = match found || chain.is_cut {
            true => Kind::Positive,
            false => Kind::Negative,
        };
        let denied = self.take_authorities(&read, &mut picked)?;
        // Without the SOA nobody said for how long there is nothing (RFC 2308, section 5). Of ANY everybody may answer
        // with another part, so it is nothing to tell others.
        let is_kept = (self.kind == Kind::Positive || denied) && key.qtype() != RType::ANY.0;
        self.ttl = if is_kept { picked.ttl } else { 0 };
        Ok(())
    }

    /// The names that lead from the one asked for to the one that is answered.
    fn chain<'r>(
        &mut self,
        key: &Key,
        message: &'r Message<[u8]>,
        qname: ReplyName<'r>,
        is_ours: impl Fn(NameRef<'_>) -> bool,
    ) -> Result<Chain<'r>, Unusable> {
        let mut chain = Chain::new(qname);
        if [RType::CNAME.0, RType::ANY.0].contains(&key.qtype()) {
            return Ok(chain);
        }
        while let Some(target) = chain.target(message)? {
            self.name.clear();
            target.compose(&mut self.name).map_err(|_| Unusable)?;
            let (name, _) = NameRef::split(&self.name).map_err(|_| Unusable)?;
            if is_ours(name) {
                chain.is_cut = true;
                return Ok(chain);
            }
            chain.push(target)?;
        }
        Ok(chain)
    }

    /// Takes what belongs to the chain from the answer section. Returns whether the question is answered.
    fn take_answers(&mut self, read: &Reading<'_>, picked: &mut Picked<'_>) -> Result<bool, Unusable> {
        let Reading { key, message, chain } = read;
        let is_any = key.qtype() == RType::ANY.0;
        let mut targets = [None; CACHE_LINKS_MAX];
        let mut found = false;
        for record in message.answer()? {
            let record = record?;
            if record.class() != Class::IN {
                continue;
            }
            let rtype = record.rtype().to_int();
            if rtype == DNAME && chain.has_below(&record) {
                self.push(&Owner::Whole(record.owner()), &record, picked.ttl_of(&record))?;
                self.answers += 1;
                continue;
            }
            let Some(link) = chain.position(&record.owner()) else {
                let covers_dname = key.dnssec_ok() && covered(&record)? == Some(DNAME);
                if covers_dname && chain.has_below(&record) {
                    self.push(&Owner::Whole(record.owner()), &record, picked.ttl_of(&record))?;
                    self.answers += 1;
                }
                continue;
            };
            let is_alias = chain.leads_on_from(link);
            let answers = |rtype: u16| match is_alias {
                true => rtype == RType::CNAME.0,
                false => rtype == key.qtype() || is_any,
            };
            let is_signature = key.dnssec_ok() && covered(&record)?.is_some_and(answers);
            if !answers(rtype) && !is_signature {
                continue;
            }
            if is_alias && rtype == RType::CNAME.0 && targets.get(link).copied().flatten().is_some() {
                // A second alias of one name: the first is the one that was followed.
                continue;
            }
            let owner = match link.checked_sub(1) {
                None => Owner::Question,
                Some(before) => match targets.get(before).copied().flatten() {
                    Some(offset) if key.question_end() + offset <= POINTER_MAX => {
                        Owner::Pointer((key.question_end() + offset) as u16)
                    }
                    _ => Owner::Whole(record.owner()),
                },
            };
            let start = self.records.len();
            let ttl = picked.ttl_of(&record);
            let data = self.push(&owner, &record, ttl)?;
            self.answers += 1;
            if is_alias && rtype == RType::CNAME.0 {
                if let Some(target) = targets.get_mut(link) {
                    *target = Some(data);
                }
            } else if !is_signature {
                found = true;
            }
            if rtype == RType::A.0 || rtype == RType::AAAA.0 {
                let address = self.records.get(data..).unwrap_or_default();
                picked.is_private |= is_private(rtype, address).ok_or(Unusable)?;
                picked.rotate(start, self.records.len(), ttl);
            }
        }
        self.rotation = picked.rotation();
        Ok(found)
    }

    /// Takes the SOA of a negative answer, and with DNSSEC the proofs of any. Returns whether the SOA was there.
    fn take_authorities(&mut self, read: &Reading<'_>, picked: &mut Picked<'_>) -> Result<bool, Unusable> {
        let Reading { key, message, chain } = read;
        let is_negative = self.kind == Kind::Negative;
        let mut denied = false;
        for record in message.authority()? {
            let record = record?;
            if record.class() != Class::IN {
                continue;
            }
            let rtype = record.rtype().to_int();
            let covered = covered(&record)?;
            let is_soa = |rtype: u16| rtype == RType::SOA.0 && is_negative;
            let is_proof = |rtype: u16| rtype == NSEC || rtype == NSEC3;
            let is_wanted = is_soa(rtype) && !denied
                || key.dnssec_ok()
                    && (is_proof(rtype) || covered.is_some_and(|it| is_proof(it) || is_soa(it)));
            // An SOA speaks for the names of its zone alone.
            let is_of_the_zone = is_proof(rtype) || chain.last().ends_with(&record.owner());
            if !is_wanted || !is_of_the_zone && !covered.is_some_and(is_proof) {
                continue;
            }
            let mut ttl = picked.rules.bounded_negative(seconds(&record));
            if rtype == RType::SOA.0 {
                let soa = record.to_record::<Soa<ReplyName<'_>>>()?.ok_or(Unusable)?;
                let minimum = soa.data().minimum().as_secs();
                // RFC 2308, section 5: and so it is told, for whoever keeps it next.
                ttl = ttl.min(picked.rules.bounded_negative(minimum));
                denied = true;
            }
            picked.ttl = picked.ttl.min(ttl);
            self.push(&Owner::Whole(record.owner()), &record, ttl)?;
            self.authorities += 1;
        }
        Ok(denied)
    }

    /// Appends a record, and returns where its data begins.
    fn push(&mut self, owner: &Owner<'_>, record: &ReplyRecord<'_>, ttl: u32) -> Result<usize, Unusable> {
        // Names may grow as they are written whole; what would no longer fit into a message is of no use.
        let room = usize::from(record.rdlen()) + RECORD_GROWTH_MAX;
        if self.records.len() + room > self.records.capacity() {
            return Err(Unusable);
        }
        match owner {
            Owner::Question => self.records.extend_from_slice(&OWNER_IS_QNAME),
            Owner::Pointer(offset) => self.records.extend_from_slice(&(0xc000 | offset).to_be_bytes()),
            Owner::Whole(name) => name.compose(&mut self.records).map_err(|_| Unusable)?,
        }
        self.records
            .extend_from_slice(&record.rtype().to_int().to_be_bytes());
        self.records
            .extend_from_slice(&record.class().to_int().to_be_bytes());
        let offset = self.records.len() as u16;
        self.offsets.extend_from_slice(&offset.to_le_bytes());
        self.records.extend_from_slice(&ttl.to_be_bytes());
        self.records.extend_from_slice(&[0; 2]);
        let data = self.records.len();
        if WITH_NAMES.contains(&record.rtype().to_int()) {
            let record = record.to_any_record::<AllRecordData<&[u8], ReplyName<'_>>>()?;
            record
                .data()
                .compose_rdata(&mut self.records)
                .map_err(|_| Unusable)?;
        } else {
            self.records.extend_from_slice(raw(record)?);
        }
        let length = u16::try_from(self.records.len() - data).map_err(|_| Unusable)?;
        if let Some(room) = self.records.get_mut(data - 2..data) {
            room.copy_from_slice(&length.to_be_bytes());
        }
        // The longest question leaves room for this much in a message.
        let is_too_long = self.records.len() > REPLY_OCTETS_MAX - HEADER_OCTETS - NAME_OCTETS_MAX - 4;
        if is_too_long { Err(Unusable) } else { Ok(data) }
    }
}

/// A reply, what it is to, and the names that lead through it.
struct Reading<'r> {
    key: &'r Key,
    message: &'r Message<[u8]>,
    chain: Chain<'r>,
}

/// How a record's owner is written.
enum Owner<'r> {
    /// As a pointer to the question's name.
    Question,
    /// As a pointer to this octet of the message.
    Pointer(u16),
    /// As it is, whole.
    Whole(ReplyName<'r>),
}
