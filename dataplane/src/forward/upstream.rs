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
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dns::{Name, NameRef};
use rand_core::Rng;

use super::config::{Config, Policy, is_within, longest_first};
use super::health::Health;
use super::manners::Manners;
use crate::limits::{
    EXPLORE_ONE_IN, SHARE_OF_FREE, UPSTREAM_SOCKETS_EACH_MAX, UPSTREAM_SOCKETS_MAX, UPSTREAM_STREAMS_MAX,
    UPSTREAMS_IN_ALL_MAX,
};

/// Places there are: those of datagrams, and behind them those of streams.
pub(crate) const PLACES: usize = UPSTREAM_SOCKETS_MAX + UPSTREAM_STREAMS_MAX;

/// An upstream's position among all there are.
pub(crate) type UpstreamIndex = u8;

/// A place for one socket. The socket is opened when a query needs the free place, and closed once the place is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(u16);

impl Place {
    /// Its number, below `UPSTREAM_SOCKETS_MAX + UPSTREAM_STREAMS_MAX`.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Whether it is for a stream: one question and its reply over TCP, each with its length in front.
    #[must_use]
    pub fn is_stream(self) -> bool {
        self.index() >= UPSTREAM_SOCKETS_MAX
    }
}

/// A set of upstreams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set(u32);

impl Set {
    pub(crate) fn insert(&mut self, upstream: UpstreamIndex) {
        self.0 |= 1 << upstream;
    }

    pub(crate) fn contains(self, upstream: UpstreamIndex) -> bool {
        self.0 & 1 << upstream != 0
    }
}

const _: () = assert!(UPSTREAMS_IN_ALL_MAX <= 32, "`Set` has one bit for each");

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
    address: SocketAddr,
    health: Health,
    manners: Manners,
    /// Places with a socket for datagrams towards it.
    places: Vec<Place>,
    /// Tries that wait for it.
    tries: usize,
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
        let places = |range: std::ops::Range<usize>| {
            let numbers = range.filter_map(|place| u16::try_from(place).ok());
            numbers.map(Place).collect()
        };
        Self {
            routes: Vec::new(),
            policy: Policy::default(),
            slots: Vec::new(),
            held: vec![Held::default(); PLACES].into_boxed_slice(),
            free: places(0..UPSTREAM_SOCKETS_MAX),
            free_streams: places(UPSTREAM_SOCKETS_MAX..PLACES),
            turn: 0,
        }
    }

    /// Goes by `config` from now on. What is known of upstreams that stay is kept; tries that wait for others go on
    /// waiting.
    pub(crate) fn set(&mut self, config: &Config) {
        let mut wanted = config.upstreams();
        wanted.truncate(UPSTREAMS_IN_ALL_MAX);
        for slot in &mut self.slots {
            slot.take_if(|slot| !wanted.contains(&slot.address));
        }
        for held in &mut self.held {
            let is_gone = |upstream: &UpstreamIndex| {
                let slot = self.slots.get(usize::from(*upstream));
                slot.is_none_or(Option::is_none)
            };
            held.upstream.take_if(|upstream| is_gone(upstream));
        }
        for address in wanted {
            if self.slots.iter().flatten().any(|slot| slot.address == address) {
                continue;
            }
            let slot = Slot {
                address,
                health: Health::default(),
                manners: Manners::default(),
                tries: 0,
                places: Vec::with_capacity(UPSTREAM_SOCKETS_EACH_MAX),
            };
            match self.slots.iter_mut().find(|slot| slot.is_none()) {
                Some(empty) => *empty = Some(slot),
                None => self.slots.push(Some(slot)),
            }
        }
        let index = |address: &SocketAddr| {
            let mut slots = self.slots.iter();
            let found = slots.position(|slot| slot.as_ref().is_some_and(|slot| slot.address == *address));
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
    }

    pub(crate) fn address(&self, upstream: UpstreamIndex) -> Option<SocketAddr> {
        self.slot(upstream).map(|slot| slot.address)
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

    /// A reply came from `upstream`, after `waited` if that is known.
    pub(crate) fn succeeded(&mut self, upstream: UpstreamIndex, waited: Option<Duration>) {
        if let Some(slot) = self.slot_mut(upstream) {
            slot.health.succeeded(waited);
        }
    }

    /// A try of `upstream` was not answered in time.
    pub(crate) fn timed_out(&mut self, upstream: UpstreamIndex, now: Instant) {
        if let Some(slot) = self.slot_mut(upstream) {
            slot.health.timed_out(now);
        }
    }

    /// Nobody is at `upstream`, or there is no way to it.
    pub(crate) fn refused(&mut self, upstream: UpstreamIndex, now: Instant) {
        if let Some(slot) = self.slot_mut(upstream) {
            slot.health.refused(now);
        }
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
            match place.is_stream() {
                true => self.free_streams.push_back(place),
                false => self.free.push_back(place),
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
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng;

    use super::super::config::Route;
    use super::*;

    fn address(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], 53))
    }

    fn upstreams(routes: &[(&str, &[u8])], policy: Policy) -> Upstreams {
        let mut upstreams = Upstreams::new();
        upstreams.set(&config(routes, policy));
        upstreams
    }

    fn config(routes: &[(&str, &[u8])], policy: Policy) -> Config {
        let route = |(domain, hosts): &(&str, &[u8])| Route {
            domain: domain.parse().unwrap(),
            upstreams: hosts.iter().copied().map(address).collect(),
        };
        Config {
            routes: routes.iter().map(route).collect(),
            policy,
        }
    }

    fn random() -> ChaCha12Rng {
        ChaCha12Rng::from_seed([0; 32])
    }

    /// The hosts asked first for `count` queries about `name`.
    fn firsts(upstreams: &mut Upstreams, name: &str, count: usize) -> Vec<u8> {
        let (name, mut random): (Name, _) = (name.parse().unwrap(), random());
        (0..count)
            .map(|_| {
                let first = upstreams.first(name.as_ref(), 9, &mut random);
                host(upstreams, first.unwrap())
            })
            .collect()
    }

    fn host(upstreams: &Upstreams, index: UpstreamIndex) -> u8 {
        let Some(SocketAddr::V4(address)) = upstreams.address(index) else {
            panic!("{index} is no upstream");
        };
        address.ip().octets()[3]
    }

    #[test]
    fn the_longest_domain_that_a_name_lies_in_decides() {
        let routes: [(&str, &[u8]); 4] = [
            (".", &[1]),
            ("example", &[2]),
            ("corp.Example", &[3]),
            ("gone.corp.example", &[]),
        ];
        let mut upstreams = upstreams(&routes, Policy::Sequential);
        for (name, host) in [
            ("example.org", 1),
            ("notexample", 1),
            ("EXAMPLE", 2),
            ("a.corp.example", 3),
            ("xcorp.example", 2),
        ] {
            assert_eq!(firsts(&mut upstreams, name, 1), [host], "{name}");
        }
        let gone: Name = "a.gone.corp.example".parse().unwrap();
        assert_eq!(
            upstreams.first(gone.as_ref(), 9, &mut random()),
            Err(Nobody::Nowhere)
        );
        upstreams.set(&config(&[("example", &[2])], Policy::Sequential));
        let other: Name = "example.org".parse().unwrap();
        assert_eq!(
            upstreams.first(other.as_ref(), 9, &mut random()),
            Err(Nobody::NoRoute)
        );
    }

    #[test]
    fn in_sequence_the_first_that_is_well_is_asked() {
        let (mut upstreams, now) = (
            upstreams(&[(".", &[1, 2, 3])], Policy::Sequential),
            Instant::now(),
        );
        assert_eq!(firsts(&mut upstreams, "a", 3), [1, 1, 1]);
        upstreams.refused(0, now);
        assert_eq!(firsts(&mut upstreams, "a", 3), [2, 2, 2]);
        upstreams.refused(1, now);
        upstreams.refused(2, now);
        let mut all = firsts(&mut upstreams, "a", 3);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3], "all are down, and each is tried");
        upstreams.succeeded(0, None);
        assert_eq!(firsts(&mut upstreams, "a", 3), [1, 1, 1]);
    }

    #[test]
    fn in_turn_each_that_is_well_is_asked_equally_often() {
        let (mut upstreams, now) = (
            upstreams(&[(".", &[1, 2, 3])], Policy::RoundRobin),
            Instant::now(),
        );
        upstreams.refused(1, now);
        let asked = firsts(&mut upstreams, "a", 100);
        let count = |host| asked.iter().filter(|&&it| it == host).count();
        assert_eq!((count(1), count(2), count(3)), (50, 0, 50));
    }

    #[test]
    fn the_fastest_is_asked_and_now_and_then_another() {
        let mut upstreams = upstreams(&[(".", &[1, 2, 3])], Policy::Fastest);
        for (upstream, milliseconds) in [(0, 20), (1, 2), (2, 30)] {
            upstreams.succeeded(upstream, Some(Duration::from_millis(milliseconds)));
        }
        let asked = firsts(&mut upstreams, "a", 1000);
        let count = |host| asked.iter().filter(|&&it| it == host).count();
        assert!(count(2) > 900 && count(1) > 5 && count(3) > 5, "{}", count(2));
    }

    #[test]
    fn the_next_upstream_is_one_that_did_not_refuse_and_may_be_the_same() {
        let (mut upstreams, now) = (
            upstreams(&[(".", &[1, 2, 3])], Policy::Sequential),
            Instant::now(),
        );
        let after = |upstreams: &Upstreams, last, refused| upstreams.after(NameRef::ROOT, last, refused, 9);
        let mut refused = Set::default();
        assert_eq!(after(&upstreams, Some(2), refused), Some(0));
        refused.insert(0);
        assert_eq!(after(&upstreams, Some(2), refused), Some(1));
        refused.insert(1);
        assert_eq!(after(&upstreams, Some(2), refused), Some(2));
        refused.insert(2);
        assert_eq!(after(&upstreams, Some(2), refused), None);
        upstreams.refused(1, now);
        assert_eq!(after(&upstreams, Some(0), Set::default()), Some(2), "one is down");
        refused = Set::default();
        refused.insert(0);
        refused.insert(2);
        assert_eq!(after(&upstreams, Some(0), refused), Some(1), "and the only one");
    }

    #[test]
    fn an_upstream_that_hangs_leaves_room_for_others() {
        let routes: [(&str, &[u8]); 2] = [(".", &[1]), ("good", &[2])];
        let (mut upstreams, mut random) = (upstreams(&routes, Policy::Sequential), random());
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut waiting = 0;
        while upstreams
            .first(name("a").as_ref(), 1000 - waiting, &mut random)
            .is_ok()
        {
            upstreams.take(0, &mut random).unwrap();
            waiting += 1;
        }
        assert_eq!(waiting, 750);
        assert_eq!(
            upstreams.first(name("a").as_ref(), 250, &mut random),
            Err(Nobody::Overrun)
        );
        assert_eq!(
            upstreams.after(name("a").as_ref(), None, Set::default(), 250),
            None
        );
        assert_eq!(upstreams.first(name("a.good").as_ref(), 250, &mut random), Ok(1));
    }

    #[test]
    fn streams_are_few_and_never_shared() {
        let mut upstreams = upstreams(&[(".", &[1, 2])], Policy::Sequential);
        let places: Vec<_> = (0..UPSTREAM_STREAMS_MAX)
            .map(|number| upstreams.take_stream(number as u8 % 2).unwrap())
            .collect();
        assert!(places.iter().all(|place| place.is_stream()));
        assert_eq!(upstreams.take_stream(0), None);
        upstreams.release(places[5]);
        assert!(upstreams.is_free(places[5]));
        assert_eq!(upstreams.take_stream(0), Some(places[5]));
    }

    #[test]
    fn each_query_has_a_fresh_socket_until_all_places_are_taken() {
        let (mut upstreams, mut random) = (upstreams(&[(".", &[1, 2, 3])], Policy::Sequential), random());
        for _ in 0..UPSTREAM_SOCKETS_EACH_MAX {
            assert!(upstreams.take(1, &mut random).unwrap().1);
        }
        let (shared, fresh) = upstreams.take(1, &mut random).unwrap();
        assert!(!fresh && !upstreams.is_free(shared));
        upstreams.release(shared);
        assert!(!upstreams.is_free(shared));
        upstreams.release(shared);
        assert!(upstreams.is_free(shared));
        assert!(upstreams.take(1, &mut random).unwrap().1);
        assert!(upstreams.take(0, &mut random).unwrap().1, "others have theirs");
    }

    #[test]
    fn every_upstream_gets_a_socket_however_many_there_are() {
        let hosts: Vec<u8> = (0..UPSTREAMS_IN_ALL_MAX as u8).collect();
        let routes: Vec<(String, &[u8])> = hosts
            .chunks(8)
            .enumerate()
            .map(|(number, hosts)| (format!("d{number}"), hosts))
            .collect();
        let routes: Vec<(&str, &[u8])> = routes
            .iter()
            .map(|(domain, hosts)| (domain.as_str(), *hosts))
            .collect();
        let (mut upstreams, mut random) = (upstreams(&routes, Policy::Sequential), random());
        for _ in 0..UPSTREAM_SOCKETS_MAX {
            for upstream in 0..hosts.len() as u8 {
                assert!(upstreams.take(upstream, &mut random).is_some());
            }
        }
    }

    #[test]
    fn a_new_configuration_keeps_what_is_known_of_those_that_stay() {
        let (mut upstreams, now, mut random) = (
            upstreams(&[(".", &[1, 2])], Policy::Sequential),
            Instant::now(),
            random(),
        );
        upstreams.refused(0, now);
        let (of_first, _) = upstreams.take(0, &mut random).unwrap();
        let (of_second, _) = upstreams.take(1, &mut random).unwrap();
        upstreams.set(&config(&[("corp", &[3]), (".", &[1])], Policy::Sequential));
        assert_eq!(firsts(&mut upstreams, "a", 2), [1, 1]);
        assert!(!upstreams.is_well(0), "still down, though there is no other");
        assert_eq!(firsts(&mut upstreams, "a.corp", 1), [3]);
        assert_eq!(
            (upstreams.owner(of_first), upstreams.owner(of_second)),
            (Some(0), None)
        );
        assert!(
            !upstreams.is_free(of_second),
            "what waits there may still be answered"
        );
        upstreams.release(of_second);
        assert!(upstreams.is_free(of_second));
        let (of_third, fresh) = upstreams.take(1, &mut random).unwrap();
        assert!(fresh, "no socket of a former upstream is shared");
        assert_eq!(upstreams.owner(of_third), Some(1));
    }
}
