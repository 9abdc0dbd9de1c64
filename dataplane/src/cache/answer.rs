//! An answer that was kept, and how it is written into a reply.

use dns::wire::{ExtendedError, Section};
use dns::{NameRef, Rcode, Reply};

use super::entry::{Kind, Rotation};
use super::sift::POINTER_MAX;

/// TTL of records that are told past their time, in seconds (RFC 8767, section 4).
const STALE_TTL: u32 = 30;

/// Records, as they lie in every reply to their question.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub(super) records: &'a [u8],
    /// Where among the records each TTL is: pairs of octets, little end first.
    pub(super) offsets: &'a [u8],
    pub(super) answers: u16,
    pub(super) authorities: u16,
    pub(super) rotation: Rotation,
    pub(super) rcode: u8,
    /// What it is.
    pub kind: Kind,
    /// How old it is.
    pub age: Age,
    /// Why it is none, where that is known.
    pub(super) why: Option<ExtendedError>,
}

/// How old an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It has just come.
    New,
    /// It was kept so many seconds, and is still good.
    Kept(u32),
    /// It is past its time, and told for want of a newer one.
    Stale,
}

impl Answer<'_> {
    /// No records, and the reason.
    pub(crate) fn none(rcode: Rcode, why: Option<ExtendedError>) -> Self {
        Self {
            records: &[],
            offsets: &[],
            answers: 0,
            authorities: 0,
            rotation: Rotation::default(),
            rcode: (rcode.0 & 0xf) as u8,
            kind: Kind::Failure,
            age: Age::New,
            why,
        }
    }

    /// Its response code.
    #[must_use]
    pub fn rcode(&self) -> Rcode {
        Rcode(self.rcode.into())
    }

    /// Writes it after the question of `reply`, whose name must have the length of the one it was kept under. `rotation`
    /// chooses which address comes first. Returns the reply's length in octets, and whether it was cut.
    pub fn write(&self, mut reply: Reply<'_>, rotation: u16) -> (usize, bool) {
        let base = reply.end();
        let is_whole = self.push(&mut reply, rotation);
        if is_whole {
            self.count_down(reply.written_mut(base));
        } else {
            reply.truncate();
        }
        (reply.finish(), !is_whole)
    }

    /// The same behind aliases that lead to the question it was kept under, which ends at `question_end` in a message of
    /// its own, and whose name stands at `name_at` in `reply`.
    pub fn write_behind(
        &self,
        mut reply: Reply<'_>,
        rotation: u16,
        name_at: usize,
        question_end: usize,
    ) -> (usize, bool) {
        let base = reply.end();
        let moved = Moved {
            name_at,
            question_end,
            base,
        };
        let is_whole = self.push(&mut reply, rotation) && moved.repoint(reply.written_mut(base)).is_some();
        if is_whole {
            self.count_down(reply.written_mut(base));
        } else {
            reply.truncate();
        }
        (reply.finish(), !is_whole)
    }

    /// Appends the records as they lie, and says why they are none. Returns whether they fitted.
    fn push(&self, reply: &mut Reply<'_>, rotation: u16) -> bool {
        reply.set_rcode(self.rcode());
        if let Some(why) = self.why() {
            reply.explain(why);
        }
        let [before, late, early, after] = self.turned(rotation);
        reply.push(Section::Answer, self.answers, &[before, early, late, after])
            && reply.push(Section::Authority, self.authorities, &[])
    }

    /// Why this is not quite an answer, for clients with EDNS (RFC 8914).
    fn why(&self) -> Option<ExtendedError> {
        match (self.kind, self.age) {
            (Kind::Blocked, _) => Some(ExtendedError::BLOCKED),
            (Kind::Failure, Age::New) => self.why,
            (Kind::Failure, _) => Some(ExtendedError::CACHED_ERROR),
            (_, Age::Stale) if self.rcode() == Rcode::NX_DOMAIN => Some(ExtendedError::STALE_NXDOMAIN_ANSWER),
            (_, Age::Stale) => Some(ExtendedError::STALE_ANSWER),
            _ => None,
        }
    }

    /// The records in four parts: those before the addresses, the addresses cut in two, and the rest.
    fn turned(&self, rotation: u16) -> [&[u8]; 4] {
        let Rotation { start, stride, count } = self.rotation;
        let (start, stride) = (usize::from(start), usize::from(stride));
        let first = usize::from(rotation.checked_rem(count).unwrap_or(0));
        let parts = self.records.split_at_checked(start).and_then(|(before, rest)| {
            let (addresses, after) = rest.split_at_checked(stride * usize::from(count))?;
            let (late, early) = addresses.split_at_checked(stride * first)?;
            Some([before, late, early, after])
        });
        parts.unwrap_or([self.records, &[], &[], &[]])
    }

    /// Takes the seconds that have passed off each TTL of `records`, which were copied from these.
    fn count_down(&self, records: &mut [u8]) {
        let told: fn(u32, u32) -> u32 = match self.age {
            Age::New => return,
            Age::Kept(_) => u32::saturating_sub,
            Age::Stale => |_, stale| stale,
        };
        let by = match self.age {
            Age::Kept(seconds) => seconds,
            Age::New | Age::Stale => STALE_TTL,
        };
        for pair in self.offsets.as_chunks().0 {
            let offset = usize::from(u16::from_le_bytes(*pair));
            if let Some(ttl) = records.get_mut(offset..).and_then(<[u8]>::first_chunk_mut) {
                *ttl = told(u32::from_be_bytes(*ttl), by).to_be_bytes();
            }
        }
    }
}

/// Where records stand that were kept behind a question of their own.
struct Moved {
    /// The name of that question, in the message that they stand in now.
    name_at: usize,
    /// Where they began in a message of their own.
    question_end: usize,
    /// Where they begin now.
    base: usize,
}

impl Moved {
    /// Has the owners of `records` point to where they lead now. None if that is out of a pointer's reach.
    fn repoint(&self, records: &mut [u8]) -> Option<()> {
        let mut rest = records;
        while let Some(&first) = rest.first() {
            if first >= 0xc0 {
                let (pointer, after) = rest.split_first_chunk_mut()?;
                *pointer = self.moved(*pointer)?;
                rest = after;
            } else {
                let (_, after) = NameRef::split(rest).ok()?;
                let owner = rest.len() - after.len();
                rest = rest.get_mut(owner..)?;
            }
            let (&mut [.., l0, l1], after) = rest.split_first_chunk_mut::<10>()?;
            rest = after.get_mut(usize::from(u16::from_be_bytes([l0, l1]))..)?;
        }
        Some(())
    }

    fn moved(&self, pointer: [u8; 2]) -> Option<[u8; 2]> {
        let to = usize::from(u16::from_be_bytes(pointer)) & POINTER_MAX;
        let to = match to.checked_sub(self.question_end) {
            Some(offset) => self.base + offset,
            // The one name in front of the records is the question's.
            None => self.name_at,
        };
        let to = u16::try_from(to)
            .ok()
            .filter(|&to| usize::from(to) <= POINTER_MAX)?;
        Some((0xc000 | to).to_be_bytes())
    }
}
