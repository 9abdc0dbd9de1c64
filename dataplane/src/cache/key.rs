//! What an answer is kept under.

use std::hash::{BuildHasher, Hasher};

use dns::name::NAME_OCTETS_MAX;
use dns::{Flags, Query, Question};
use foldhash::quality::FixedState;

/// Octets before the name: type, class, and whether DNSSEC records are wanted (DO) and checked by the client (CD).
const HEAD_OCTETS: usize = 5;
/// The longest key, in octets.
const KEY_OCTETS_MAX: usize = HEAD_OCTETS + NAME_OCTETS_MAX;
const DNSSEC_OK: u8 = 1;
const CHECKING_DISABLED: u8 = 2;

/// A question as the cache tells them apart, and its hash.
///
/// ```text
/// | type: u16 | class: u16 | DO, CD: u8 | name: lower-cased wire form |
/// ```
///
/// DO and CD belong to it: with DO an answer has signatures that others did not ask for, and with CD it may be one that
/// an upstream which validates would keep from everybody else. The type does also where the name does not exist (RFC 2308,
/// section 5, would have one entry for all types then): servers that say so of one type, and know another, are many (RFC
/// 4074, section 4.2), and one name of theirs would be lost to all.
#[derive(Clone)]
pub struct Key {
    octets: [u8; KEY_OCTETS_MAX],
    length: usize,
    hash: u32,
}

/// Hashes keys by a secret: who may choose names must not be able to choose colliding ones.
pub(super) struct Hash(FixedState);

impl Hash {
    pub(super) fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    fn of(&self, octets: &[u8]) -> u32 {
        let mut hasher = self.0.build_hasher();
        hasher.write(octets);
        // Its halves are equally good; one is enough to choose a place and to tell most others from it.
        (hasher.finish() >> 32) as u32
    }
}

impl Key {
    /// Of what `query` asks.
    pub(super) fn of(hash: &Hash, query: &Query<'_>) -> Self {
        let dnssec_ok = query.edns.is_some_and(|edns| edns.dnssec_ok);
        Self::new(hash, &query.question, dnssec_ok, query.flags.contains(Flags::CD))
    }

    /// Of a question, whether DNSSEC records are wanted, and what does not validate, too.
    pub(super) fn new(
        hash: &Hash,
        question: &Question<'_>,
        dnssec_ok: bool,
        checking_disabled: bool,
    ) -> Self {
        let mut octets = [0; KEY_OCTETS_MAX];
        let name = question.qname.octets();
        let length = HEAD_OCTETS + name.len();
        let [t0, t1] = question.qtype.0.to_be_bytes();
        let [c0, c1] = question.qclass.0.to_be_bytes();
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = flag(dnssec_ok, DNSSEC_OK) | flag(checking_disabled, CHECKING_DISABLED);
        let (head, tail) = octets.split_at_mut(HEAD_OCTETS);
        head.copy_from_slice(&[t0, t1, c0, c1, flags]);
        for (to, from) in tail.iter_mut().zip(name) {
            // A length octet is at most 63 and 'A' is 65, so the whole wire form can be folded at once.
            *to = from.to_ascii_lowercase();
        }
        let hash = hash.of(octets.get(..length).unwrap_or_default());
        Self { octets, length, hash }
    }

    /// What is compared, whole, before anything is believed to be the answer.
    pub(super) fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    pub(super) fn hash(&self) -> u32 {
        self.hash
    }

    pub(super) fn qtype(&self) -> u16 {
        let [t0, t1, ..] = self.octets;
        u16::from_be_bytes([t0, t1])
    }

    pub(super) fn dnssec_ok(&self) -> bool {
        let [_, _, _, _, flags, ..] = self.octets;
        flags & DNSSEC_OK != 0
    }

    /// Octets of header and question in a message, where records begin.
    pub(super) fn question_end(&self) -> usize {
        dns::wire::HEADER_OCTETS + self.length - HEAD_OCTETS + 4
    }
}

/// The lower-cased name of a key's octets.
pub(super) fn name_of(key: &[u8]) -> &[u8] {
    key.get(HEAD_OCTETS..).unwrap_or_default()
}
