//! The exchanges with upstreams that are under way, each found by its question and by what its replies must show.
//!
//! ```text
//!  question ──▶ questions ─┐
//!  (place, id) ──▶ keys ───┼──▶ exchanges[i] ─▶ the line of those who wait for it
//!  deadline ──▶ deadlines ─┤        as many as PENDING_MAX, made at start
//!  place ──▶ chains ───────┘
//! ```

use std::collections::HashMap;
use std::time::Instant;

use siphasher::sip::SipHasher13;

use super::Failure;
use super::case::Case;
use super::chains::Chains;
use super::deadlines::Deadlines;
use super::place::{PLACES, Place, Set, UpstreamIndex};
use super::question::Asked;
use super::waiters::Line;
use crate::limits::{FORWARD_TIMEOUT, PENDING_MAX, TRIES_MAX};

/// What a reply from upstream must show to be looked at: the socket it came in on, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) id: u16,
}

/// An exchange's position in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index(u16);

/// One asking of one upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    pub(crate) key: Key,
    pub(crate) sent: Instant,
    /// The name was spelled at random, and must come back so.
    pub(crate) is_spelled: bool,
    /// It had an OPT record.
    pub(crate) with_edns: bool,
}

/// One of an exchange's tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TryIndex {
    pub(crate) exchange: Index,
    slot: u8,
}

impl TryIndex {
    /// One number for each try that there can be.
    fn number(self) -> u16 {
        self.exchange.0 * TRIES_MAX as u16 + u16::from(self.slot)
    }

    fn of(number: u16) -> Self {
        Self {
            exchange: Index(number / TRIES_MAX as u16),
            slot: (number % TRIES_MAX as u16) as u8,
        }
    }
}

/// One question on its way to an answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) asked: Asked,
    /// Those who wait for it. Nobody waits for a probe, nor for what a cache refreshes.
    pub(crate) line: Line,
    /// It is asked to find out whether an upstream is back.
    pub(crate) is_probe: bool,
    /// How the name is spelled.
    pub(crate) case: Case,
    /// Upstreams that did not keep the spelling, so that it is not asked for any more.
    pub(crate) plain: Set,
    /// Upstreams that would not answer with EDNS.
    pub(crate) without_edns: Set,
    /// Upstreams that will not be asked again.
    pub(crate) refused: Set,
    /// The upstream whose connection has ended in the midst of it: it is asked first, by a new one.
    pub(crate) again: Option<UpstreamIndex>,
    /// The upstream asked last.
    pub(crate) last: Option<UpstreamIndex>,
    /// What the last upstream said that would not answer.
    pub(crate) error: Option<Failure>,
    /// How often upstreams were asked.
    pub(crate) asks: u32,
    /// When it is given up.
    pub(crate) end: Instant,
    /// When its newest try is given up.
    retry_at: Instant,
    /// When those who wait for it are told what is past its time; none if there is nothing.
    late_at: Option<Instant>,
    index: Index,
    hash: u64,
    tries: [Option<Try>; TRIES_MAX],
    newest: u8,
}

impl Exchange {
    /// The tries that may still be answered.
    pub(crate) fn tries(&self) -> impl Iterator<Item = Try> {
        self.tries.iter().flatten().copied()
    }

    /// When it began, if it is no probe.
    pub(crate) fn began(&self) -> Instant {
        self.end.checked_sub(FORWARD_TIMEOUT).unwrap_or(self.end)
    }

    /// Forgets what it knows of these upstreams, as their numbers may be others' from now on.
    fn part_with(&mut self, gone: Set) {
        for set in [&mut self.plain, &mut self.without_edns, &mut self.refused] {
            set.remove_all(gone);
        }
        for upstream in [&mut self.again, &mut self.last] {
            upstream.take_if(|upstream| gone.contains(*upstream));
        }
    }

    /// Whether those who wait for it have waited long enough at `now`.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.late_at.is_some_and(|late_at| late_at <= now)
    }

    /// The newest try, if it may still be answered.
    pub(crate) fn newest(&self) -> Option<(TryIndex, Try)> {
        let made = self.tries.get(usize::from(self.newest)).copied().flatten()?;
        let at = TryIndex {
            exchange: self.index,
            slot: self.newest,
        };
        Some((at, made))
    }
}

/// The table.
pub(crate) struct Table {
    exchanges: Vec<Option<Exchange>>,
    free: Vec<Index>,
    under_way: usize,
    keys: HashMap<Key, TryIndex>,
    /// By a hash of the question. Of two questions with one hash, only the first is found.
    questions: HashMap<u64, Index>,
    deadlines: Deadlines,
    chains: Chains,
    hasher: SipHasher13,
}

impl Table {
    /// Empty. Allocates all that it will ever use; the kernel gives the memory when it is touched. `seed` must be
    /// unpredictable, or a client could choose questions with equal hashes.
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        Self {
            exchanges: Vec::with_capacity(PENDING_MAX),
            free: Vec::with_capacity(PENDING_MAX),
            under_way: 0,
            // Twice what they can hold: half empty, they clean up after removals in place and never grow.
            keys: HashMap::with_capacity(2 * PENDING_MAX * TRIES_MAX),
            questions: HashMap::with_capacity(2 * PENDING_MAX),
            deadlines: Deadlines::new(PENDING_MAX),
            chains: Chains::new(PLACES, PENDING_MAX * TRIES_MAX),
            hasher: SipHasher13::new_with_key(seed),
        }
    }

    /// How many exchanges are under way.
    pub(crate) fn len(&self) -> usize {
        self.under_way
    }

    /// Begins an exchange that is given up at `end`. None when there is no room.
    pub(crate) fn insert(&mut self, asked: Asked, case: Case, end: Instant, is_probe: bool) -> Option<Index> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.exchanges.len() < PENDING_MAX => {
                self.exchanges.push(None);
                Index(u16::try_from(self.exchanges.len() - 1).ok()?)
            }
            None => return None,
        };
        let hash = self.hash(&asked);
        if !is_probe {
            self.questions.entry(hash).or_insert(index);
        }
        *self.exchanges.get_mut(usize::from(index.0))? = Some(Exchange {
            asked,
            line: Line::default(),
            is_probe,
            case,
            plain: Set::default(),
            without_edns: Set::default(),
            refused: Set::default(),
            again: None,
            last: None,
            error: None,
            asks: 0,
            end,
            retry_at: end,
            late_at: None,
            index,
            hash,
            tries: [None; TRIES_MAX],
            newest: 0,
        });
        self.under_way += 1;
        self.deadlines.set(index.0, end);
        Some(index)
    }

    /// Takes an exchange out. Its tries can no longer be answered.
    pub(crate) fn remove(&mut self, index: Index) -> Option<Exchange> {
        let exchange = self.exchanges.get_mut(usize::from(index.0))?.take()?;
        for (slot, made) in (0..).zip(exchange.tries) {
            if let Some(made) = made {
                self.forget(
                    TryIndex {
                        exchange: index,
                        slot,
                    },
                    made.key,
                );
            }
        }
        if self.questions.get(&exchange.hash) == Some(&index) {
            self.questions.remove(&exchange.hash);
        }
        self.deadlines.remove(index.0);
        self.free.push(index);
        self.under_way -= 1;
        Some(exchange)
    }

    /// The exchange that asks the same already.
    pub(crate) fn find(&self, asked: &Asked) -> Option<Index> {
        let index = *self.questions.get(&self.hash(asked))?;
        self.get(index)
            .is_some_and(|exchange| exchange.asked == *asked)
            .then_some(index)
    }

    /// Has no exchange found any more that is under way.
    pub(crate) fn part_questions(&mut self) {
        self.questions.clear();
    }

    pub(crate) fn get(&self, index: Index) -> Option<&Exchange> {
        self.exchanges.get(usize::from(index.0))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: Index) -> Option<&mut Exchange> {
        self.exchanges.get_mut(usize::from(index.0))?.as_mut()
    }

    /// Has every exchange forget what it knows of these upstreams.
    pub(crate) fn part_with(&mut self, gone: Set) {
        let exchanges = self.exchanges.iter_mut().flatten();
        exchanges.for_each(|exchange| exchange.part_with(gone));
    }

    /// Which try a reply with `key` may answer.
    pub(crate) fn find_try(&self, key: Key) -> Option<(TryIndex, Try)> {
        let at = *self.keys.get(&key)?;
        Some((at, self.get_try(at)?))
    }

    /// A try that waits in `place`.
    pub(crate) fn try_in(&self, place: Place) -> Option<(TryIndex, Try)> {
        let at = TryIndex::of(self.chains.first(place.index())?);
        Some((at, self.get_try(at)?))
    }

    /// Adds the newest try. If there is no room it takes the oldest one's place, which is returned.
    pub(crate) fn push_try(&mut self, index: Index, made: Try) -> Option<Try> {
        let exchange = self.get(index)?;
        let slots = (0..).zip(&exchange.tries);
        let slot = slots.min_by_key(|(_, made)| made.as_ref().map(|made| made.sent));
        let (slot, replaced) = slot.map(|(slot, made)| (slot, *made))?;
        let at = TryIndex {
            exchange: index,
            slot,
        };
        if let Some(replaced) = replaced {
            self.forget(at, replaced.key);
        }
        let exchange = self.get_mut(index)?;
        exchange.newest = slot;
        *exchange.tries.get_mut(usize::from(slot))? = Some(made);
        self.keys.insert(made.key, at);
        self.chains.push(made.key.place.index(), at.number());
        replaced
    }

    /// Forgets a try: it can no longer be answered.
    pub(crate) fn remove_try(&mut self, at: TryIndex) -> Option<Try> {
        let exchange = self.get_mut(at.exchange)?;
        let made = exchange.tries.get_mut(usize::from(at.slot))?.take()?;
        self.forget(at, made.key);
        Some(made)
    }

    /// Has an exchange looked at again at `deadline`, or at its end if that is sooner.
    pub(crate) fn set_deadline(&mut self, index: Index, deadline: Instant) {
        self.set_due(index, |exchange| exchange.retry_at = deadline);
    }

    /// Has those who wait for an exchange told what is past its time at `late_at`, if it has not ended by then.
    pub(crate) fn set_late(&mut self, index: Index, late_at: Instant) {
        self.set_due(index, |exchange| exchange.late_at = Some(late_at));
    }

    /// They were told.
    pub(crate) fn clear_late(&mut self, index: Index) {
        self.set_due(index, |exchange| exchange.late_at = None);
    }

    fn set_due(&mut self, index: Index, change: impl FnOnce(&mut Exchange)) {
        let Some(exchange) = self.get_mut(index) else {
            return;
        };
        change(exchange);
        let due = exchange.retry_at.min(exchange.end);
        let due = exchange.late_at.map_or(due, |late_at| late_at.min(due));
        self.deadlines.set(index.0, due);
    }

    /// The exchange that is to be looked at first, and when.
    pub(crate) fn next_due(&self) -> Option<(Instant, Index)> {
        self.deadlines.first().map(|(due, index)| (due, Index(index)))
    }

    fn get_try(&self, at: TryIndex) -> Option<Try> {
        self.get(at.exchange)?.tries.get(usize::from(at.slot)).copied()?
    }

    fn forget(&mut self, at: TryIndex, key: Key) {
        self.keys.remove(&key);
        self.chains.remove(key.place.index(), at.number());
    }

    fn hash(&self, asked: &Asked) -> u64 {
        let flags = [asked.dnssec_ok, asked.checking_disabled].map(u64::from);
        let [dnssec_ok, checking_disabled] = flags;
        // The flags are few bits that a question differs in as well: no hash of their own is needed.
        self.hasher.hash(asked.octets()) ^ dnssec_ok ^ checking_disabled << 1
    }
}

#[cfg(test)]
mod tests;
