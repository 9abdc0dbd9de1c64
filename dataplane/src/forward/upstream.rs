//! Which upstream is asked next, and from which of its sockets.
//!
//! ```text
//!  name ─▶ routes, longest domain first ─▶ upstreams of that domain ─▶ well, and not overrun ─▶ Policy ─▶ one
//!                                                                          └─ none: one that is down
//! ```
//!
//! An upstream that hangs keeps what waits for it from everybody else: it may have as many tries waiting as leave room
//! for others, and no more. Each query gets a socket of its own, and so a source port that nobody can know beforehand (RFC 5452, section
//! 9.2), as long as there is a free place for one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dns::{Name, NameRef};
use rand_core::Rng;

use super::config::{Config, Policy, Upstream, is_within, longest_first};
use super::health::Health;
use super::manners::Manners;
use super::place::{PLACES, Place, Set, UpstreamIndex};
use super::trouble::Trouble;
use crate::limits::{
    EXPLORE_ONE_IN, SHARE_OF_FREE, UPSTREAM_SOCKETS_EACH_MAX, UPSTREAM_SOCKETS_MAX, UPSTREAMS_IN_ALL_MAX,
};

/// Why there is nobody to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// No route is for the name.
    NoRoute,
    /// Its route leads nowhere: the user says that it does not exist.
    Nowhere,
    /// Each upstream has as many queries waiting as leave room for others.
    Overrun,
}

/// One upstream.
#[derive(Debug)]
struct Slot {
    server: Upstream,
    health: Health,
    manners: Manners,
    /// What is wrong with it, as was last told.
    trouble: Option<Trouble>,
    /// Places with a socket for datagrams towards it.
    places: Vec<Place>,
    /// Tries that wait for it.
    tries: usize,
}

impl Slot {
    /// Notes what is wrong with it, if anything. Returns whether it was not so before.
    fn turn(&mut self, trouble: Option<Trouble>) -> bool {
        std::mem::replace(&mut self.trouble, trouble) != trouble
    }
}

/// Who uses a place.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// None once the upstream is no longer one of ours.
    upstream: Option<UpstreamIndex>,
    /// How many tries wait there; none: it is free.
    tries: u16,
}

/// The upstreams, and how many tries wait in each of their places.
#[derive(Debug)]
pub(crate) struct Upstreams {
    /// Longest domain first.
    routes: Vec<(Name, Vec<UpstreamIndex>)>,
    policy: Policy,
    slots: Vec<Option<Slot>>,
    held: Box<[Held]>,
    /// The one that has been free longest comes first, so that what is still on its way to it is lost.
    free: VecDeque<Place>,
    /// The same of streams.
    free_streams: VecDeque<Place>,
    /// Counts the queries that take turns.
    turn: usize,
}

impl Upstreams {
    /// None at all.
    pub(crate) fn new() -> Self {
        Self {
            routes: Vec::new(),
            policy: Policy::default(),
            slots: Vec::new(),
            held: vec![Held::default(); PLACES].into_boxed_slice(),
            free: Place::of_datagrams().collect(),
            free_streams: Place::of_streams().collect(),
            turn: 0,
        }
    }

    /// Goes by `config` from now on. What is known of upstreams that stay is kept; tries that wait for others go on
    /// waiting. Returns those that are no longer asked: their numbers may be others' now.
    pub(crate) fn set(&mut self, config: &Config) -> Set {
        let mut wanted = config.upstreams();
        wanted.truncate(UPSTREAMS_IN_ALL_MAX);
        let mut gone = Set::default();
        for (upstream, slot) in (0..).zip(&mut self.slots) {
            if slot.take_if(|slot| !wanted.contains(&slot.server)).is_some() {
                gone.insert(upstream);
            }
        }
        for held in &mut self.held {
            let is_gone = |upstream: &UpstreamIndex| {
                let slot = self.slots.get(usize::from(*upstream));
                slot.is_none_or(Option::is_none)
            };
            held.upstream.take_if(|upstream| is_gone(upstream));
        }
        for server in wanted {
            if self.slots.iter().flatten().any(|slot| slot.server == server) {
                continue;
            }
            let slot = Slot {
                server,
                health: Health::default(),
                manners: Manners::default(),
                trouble: None,
                tries: 0,
                places: Vec::with_capacity(UPSTREAM_SOCKETS_EACH_MAX),
            };
            match self.slots.iter_mut().find(|slot| slot.is_none()) {
                Some(empty) => *empty = Some(slot),
                None => self.slots.push(Some(slot)),
            }
        }
        let index = |server: &Upstream| {
            let mut slots = self.slots.iter();
            let found = slots.position(|slot| slot.as_ref().is_some_and(|slot| slot.server == *server));
            found.and_then(|index| UpstreamIndex::try_from(index).ok())
        };
        self.routes = longest_first(&config.routes)
            .into_iter()
            .map(|route| {
                (
                    route.domain.clone(),
                    route.upstreams.iter().filter_map(index).collect(),
                )
            })
            .collect();
        self.policy = config.policy;
        gone
    }

    /// Where `upstream` is, and how it is asked.
    pub(crate) fn server(&self, upstream: UpstreamIndex) -> Option<&Upstream> {
        self.slot(upstream).map(|slot| &slot.server)
    }

    /// The upstream for a new query about `name`, while there is room for `free` more.
    pub(crate) fn first(
        &mut self,
        name: NameRef<'_>,
        free: usize,
        random: &mut impl Rng,
    ) -> Result<UpstreamIndex, Nobody> {
        let turn = self.turn;
        self.turn = turn.wrapping_add(1);
        let route = self.route(name).ok_or(Nobody::NoRoute)?;
        if route.is_empty() {
            return Err(Nobody::Nowhere);
        }
        let with_room = || route.iter().copied().filter(|&it| self.has_room(it, free));
        let well = || with_room().filter(|&it| self.is_well(it));
        let one_well = |number: usize| well().nth(number.checked_rem(well().count())?);
        let chosen = match self.policy {
            // All are down: each gets its turn, so the one that comes back first is soon found.
            _ if well().next().is_none() => {
                let number = turn.checked_rem(with_room().count());
                number.and_then(|number| with_room().nth(number))
            }
            Policy::Sequential => one_well(0),
            Policy::RoundRobin => one_well(turn),
            Policy::Fastest if random.next_u32().is_multiple_of(EXPLORE_ONE_IN) => {
                one_well(random.next_u32() as usize)
            }
            Policy::Fastest => well().min_by_key(|&it| self.round_trip(it)),
        };
        chosen.ok_or(Nobody::Overrun)
    }

    /// The upstream to ask about `name` after `last` did not help: one that is well, or else the next one round the
    /// list, which may be `last` again. Those in `not` are left out, and those that have no room while there is room for
    /// `free` more.
    pub(crate) fn after(
        &self,
        name: NameRef<'_>,
        last: Option<UpstreamIndex>,
        not: Set,
        free: usize,
    ) -> Option<UpstreamIndex> {
        let route = self.route(name)?;
        let last = route.iter().position(|&upstream| Some(upstream) == last);
        let (to_last, others) = route.split_at_checked(last.map_or(0, |last| last + 1))?;
        let circle = || {
            let circle = others.iter().chain(to_last).copied();
            circle.filter(|&upstream| !not.contains(upstream) && self.has_room(upstream, free))
        };
        let well = circle().find(|&it| self.is_well(it));
        well.or_else(|| circle().next())
    }

    /// Whether `upstream` is one to ask about `name`.
    pub(crate) fn is_for(&self, upstream: UpstreamIndex, name: NameRef<'_>) -> bool {
        self.route(name).is_some_and(|route| route.contains(&upstream))
    }

    /// An upstream that is down and due to be probed.
    pub(crate) fn take_probe(&mut self, now: Instant) -> Option<UpstreamIndex> {
        let mut slots = self.slots.iter_mut();
        let due = slots.position(|slot| slot.as_mut().is_some_and(|slot| slot.health.take_probe(now)))?;
        UpstreamIndex::try_from(due).ok()
    }

    /// The upstream that the socket of `place` leads to, if it is still one of ours.
    pub(crate) fn owner(&self, place: Place) -> Option<UpstreamIndex> {
        self.held.get(place.index())?.upstream
    }

    /// A reply came from `upstream`, after `waited` if that is known. Returns whether it is news that it answers.
    pub(crate) fn succeeded(&mut self, upstream: UpstreamIndex, waited: Option<Duration>) -> bool {
        self.slot_mut(upstream).is_some_and(|slot| {
            slot.health.succeeded(waited);
            slot.turn(None)
        })
    }

    /// A try of `upstream` was not answered in time. Returns whether it is news that it does not answer.
    pub(crate) fn timed_out(&mut self, upstream: UpstreamIndex, now: Instant) -> bool {
        self.slot_mut(upstream).is_some_and(|slot| {
            slot.health.timed_out(now);
            // What was wrong before may be why.
            !slot.health.is_well() && slot.trouble.is_none() && slot.turn(Some(Trouble::Silent))
        })
    }

    /// `upstream` cannot be asked, because of `trouble`. Returns whether that is news.
    pub(crate) fn refused(&mut self, upstream: UpstreamIndex, trouble: Trouble, now: Instant) -> bool {
        self.slot_mut(upstream).is_some_and(|slot| {
            slot.health.refused(now);
            slot.turn(Some(trouble))
        })
    }

    /// What is wrong with `upstream`.
    pub(crate) fn trouble(&self, upstream: UpstreamIndex) -> Option<Trouble> {
        self.slot(upstream)?.trouble
    }

    /// How `upstream` wants to be asked.
    pub(crate) fn manners(&self, upstream: UpstreamIndex) -> Manners {
        self.slot(upstream).map(|slot| slot.manners).unwrap_or_default()
    }

    /// The same, to be changed.
    pub(crate) fn manners_mut(&mut self, upstream: UpstreamIndex) -> Option<&mut Manners> {
        self.slot_mut(upstream).map(|slot| &mut slot.manners)
    }

    /// Takes a place for a stream to `upstream`. None if all are taken.
    pub(crate) fn take_stream(&mut self, upstream: UpstreamIndex) -> Option<Place> {
        let slot = self.slots.get_mut(usize::from(upstream))?.as_mut()?;
        let place = self.free_streams.pop_front()?;
        slot.tries += 1;
        *self.held.get_mut(place.index())? = Held {
            upstream: Some(upstream),
            tries: 1,
        };
        Some(place)
    }

    /// Takes the place of the connection to `upstream` that is kept, and says whether nothing else waits there.
    pub(crate) fn take_kept(&mut self, upstream: UpstreamIndex) -> Option<(Place, bool)> {
        let slot = self.slots.get_mut(usize::from(upstream))?.as_mut()?;
        let place = Place::kept_for(upstream)?;
        let held = self.held.get_mut(place.index())?;
        slot.tries += 1;
        held.tries += 1;
        held.upstream = Some(upstream);
        Some((place, held.tries == 1))
    }

    /// Takes a place towards `upstream` for one try, and says whether it needs a fresh socket.
    ///
    /// A free place if it may have one more. If not, one of those it has, by `random`. None if there is neither.
    pub(crate) fn take(&mut self, upstream: UpstreamIndex, random: &mut impl Rng) -> Option<(Place, bool)> {
        let sharers = self.slots.iter().flatten().count().max(1);
        let most = (UPSTREAM_SOCKETS_MAX / sharers).clamp(1, UPSTREAM_SOCKETS_EACH_MAX);
        let slot = self.slots.get_mut(usize::from(upstream))?.as_mut()?;
        if slot.places.len() < most
            && let Some(place) = self.free.pop_front()
        {
            slot.places.push(place);
            slot.tries += 1;
            *self.held.get_mut(place.index())? = Held {
                upstream: Some(upstream),
                tries: 1,
            };
            return Some((place, true));
        }
        let drawn = (random.next_u32() as usize).checked_rem(slot.places.len())?;
        let place = *slot.places.get(drawn)?;
        self.held.get_mut(place.index())?.tries += 1;
        slot.tries += 1;
        Some((place, false))
    }

    /// Keeps `place` from being given to others until it is released once more.
    pub(crate) fn hold(&mut self, place: Place) {
        if let Some(held) = self.held.get_mut(place.index()) {
            held.tries += 1;
            let upstream = held.upstream;
            if let Some(slot) = upstream.and_then(|upstream| self.slot_mut(upstream)) {
                slot.tries += 1;
            }
        }
    }

    /// Gives back one try's hold on `place`.
    pub(crate) fn release(&mut self, place: Place) {
        let Some(held) = self.held.get_mut(place.index()) else {
            return;
        };
        held.tries = held.tries.saturating_sub(1);
        let (upstream, is_free) = (held.upstream, held.tries == 0);
        if is_free {
            held.upstream = None;
            if place.is_stream() {
                self.free_streams.push_back(place);
            } else if !place.is_kept() {
                self.free.push_back(place);
            }
        }
        if let Some(slot) = upstream.and_then(|upstream| self.slot_mut(upstream)) {
            slot.tries = slot.tries.saturating_sub(1);
            if is_free {
                slot.places.retain(|&other| other != place);
            }
        }
    }

    /// Whether nothing waits in `place`, so that its socket may be closed.
    pub(crate) fn is_free(&self, place: Place) -> bool {
        self.held.get(place.index()).is_none_or(|held| held.tries == 0)
    }

    fn route(&self, name: NameRef<'_>) -> Option<&[UpstreamIndex]> {
        let mut routes = self.routes.iter();
        let found = routes.find(|(domain, _)| is_within(name, domain));
        found.map(|(_, upstreams)| upstreams.as_slice())
    }

    fn is_well(&self, upstream: UpstreamIndex) -> bool {
        self.slot(upstream).is_some_and(|slot| slot.health.is_well())
    }

    /// Whether one more may wait for `upstream`, while there is room for `free` more of any.
    fn has_room(&self, upstream: UpstreamIndex, free: usize) -> bool {
        let tries = self.slot(upstream).map_or(usize::MAX, |slot| slot.tries);
        tries < SHARE_OF_FREE * free
    }

    fn round_trip(&self, upstream: UpstreamIndex) -> Duration {
        self.slot(upstream)
            .map_or(Duration::MAX, |slot| slot.health.round_trip())
    }

    fn slot(&self, upstream: UpstreamIndex) -> Option<&Slot> {
        self.slots.get(usize::from(upstream))?.as_ref()
    }

    fn slot_mut(&mut self, upstream: UpstreamIndex) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(upstream))?.as_mut()
    }
}

#[cfg(test)]
mod tests;
