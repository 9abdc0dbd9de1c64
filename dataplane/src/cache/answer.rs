//! An answer that was kept, and how it is written into a reply.

use dns::wire::{ExtendedError, Section};
use dns::{Rcode, Reply};

use super::entry::{Kind, Rotation};

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
    /// Its response code.
    #[must_use]
    pub fn rcode(&self) -> Rcode {
        Rcode(self.rcode.into())
    }

    /// Writes it after the question of `reply`, whose name must have the length of the one it was kept under. `rotation`
    /// chooses which address comes first. Returns the reply's length in octets, and whether it was cut.
    pub fn write(&self, mut reply: Reply<'_>, rotation: u16) -> (usize, bool) {
        reply.set_rcode(self.rcode());
        if let Some(why) = self.why() {
            reply.explain(why);
        }
        let [before, late, early, after] = self.turned(rotation);
        let is_whole = reply.push(Section::Answer, self.answers, &[before, early, late, after])
            && reply.push(Section::Authority, self.authorities, &[]);
        if is_whole {
            self.count_down(&mut reply);
        } else {
            reply.truncate();
        }
        (reply.finish(), !is_whole)
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

    /// Takes the seconds that have passed off each TTL.
    fn count_down(&self, reply: &mut Reply<'_>) {
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
            if let Some(ttl) = self.records.get(offset..).and_then(<[u8]>::first_chunk) {
                reply.set_ttl(offset, told(u32::from_be_bytes(*ttl), by));
            }
        }
    }
}
