//! Which upstream is asked next, and from which of its sockets.
//!
//! The first upstream given is asked until a try of it fails; then the next one is, for all queries that
//! come after. Each query gets a socket of its own, and so a source port that nobody can know beforehand
//! (RFC 5452, section 9.2), as long as there is a free place for one.

use std::net::SocketAddr;

use rand_core::Rng;

use crate::limits::{UPSTREAM_SOCKETS_MAX, UPSTREAMS_MAX};

/// An upstream's position in the list given.
pub(crate) type UpstreamIndex = u8;

/// A place for one socket. The socket is opened when a query needs the free place, and closed once the place is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(u16);

impl Place {
    /// Its number, below `UPSTREAMS_MAX * UPSTREAM_SOCKETS_MAX`.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// A set of upstreams: those that refused a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused(u8);

impl Refused {
    pub(crate) fn insert(&mut self, upstream: UpstreamIndex) {
        self.0 |= 1 << upstream;
    }

    fn contains(self, upstream: UpstreamIndex) -> bool {
        self.0 & 1 << upstream != 0
    }
}

/// The upstreams, and how many tries wait in each of their places.
#[derive(Debug)]
pub(crate) struct Upstreams {
    addresses: Vec<SocketAddr>,
    preferred: UpstreamIndex,
    tries: Vec<u16>,
}

impl Upstreams {
    /// `addresses` in the order of preference; what is past [`UPSTREAMS_MAX`] is not used.
    pub(crate) fn new(addresses: &[SocketAddr]) -> Self {
        let addresses: Vec<_> = addresses.iter().copied().take(UPSTREAMS_MAX).collect();
        Self {
            preferred: 0,
            tries: vec![0; addresses.len() * UPSTREAM_SOCKETS_MAX],
            addresses,
        }
    }

    pub(crate) fn address(&self, upstream: UpstreamIndex) -> Option<SocketAddr> {
        self.addresses.get(usize::from(upstream)).copied()
    }

    /// The upstream for a new query.
    pub(crate) fn first(&self) -> Option<UpstreamIndex> {
        self.circle(self.preferred).next()
    }

    /// The upstream to ask after `last` did not help: the next one round the list that did not refuse, which
    /// may be `last` again. None when all refused.
    pub(crate) fn after(&self, last: UpstreamIndex, refused: Refused) -> Option<UpstreamIndex> {
        self.circle(last + 1)
            .find(|&upstream| !refused.contains(upstream))
    }

    /// A try of `upstream` failed: if it was preferred, the next one is.
    pub(crate) fn failed(&mut self, upstream: UpstreamIndex) {
        if upstream == self.preferred {
            self.preferred = self.circle(upstream + 1).next().unwrap_or_default();
        }
    }

    /// Takes a place towards `upstream` for one try, and says whether it needs a fresh socket.
    ///
    /// A free place if there is one. If not, one of those in use, by `random`.
    pub(crate) fn take(&mut self, upstream: UpstreamIndex, random: &mut impl Rng) -> Option<(Place, bool)> {
        let start = usize::from(upstream) * UPSTREAM_SOCKETS_MAX;
        let tries = self.tries.get_mut(start..start + UPSTREAM_SOCKETS_MAX)?;
        let offset = match tries.iter().position(|&tries| tries == 0) {
            Some(free) => free,
            None => random.next_u32() as usize % UPSTREAM_SOCKETS_MAX,
        };
        let tries = tries.get_mut(offset)?;
        *tries += 1;
        Some((Place(u16::try_from(start + offset).ok()?), *tries == 1))
    }

    /// Gives back one try's hold on `place`.
    pub(crate) fn release(&mut self, place: Place) {
        if let Some(tries) = self.tries.get_mut(place.index()) {
            *tries -= 1;
        }
    }

    /// Whether nothing waits in `place`, so that its socket may be closed.
    pub(crate) fn is_free(&self, place: Place) -> bool {
        self.tries.get(place.index()).is_none_or(|&tries| tries == 0)
    }

    /// Every upstream once, from `start` on.
    fn circle(&self, start: UpstreamIndex) -> impl Iterator<Item = UpstreamIndex> + use<> {
        let count = self.addresses.len();
        (0..count).filter_map(move |step| u8::try_from((usize::from(start) + step) % count).ok())
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn three() -> Upstreams {
        let addresses = [1, 2, 3].map(|host| SocketAddr::from(([192, 0, 2, host], 53)));
        Upstreams::new(&addresses)
    }

    #[test]
    fn a_failed_try_moves_later_queries_to_the_next_upstream() {
        let mut upstreams = three();
        assert_eq!(upstreams.first(), Some(0));
        upstreams.failed(1);
        assert_eq!(upstreams.first(), Some(0));
        upstreams.failed(0);
        assert_eq!(upstreams.first(), Some(1));
        upstreams.failed(1);
        upstreams.failed(2);
        assert_eq!(upstreams.first(), Some(0));
    }

    #[test]
    fn the_next_upstream_is_one_that_did_not_refuse_and_may_be_the_same() {
        let upstreams = three();
        let mut refused = Refused::default();
        assert_eq!(upstreams.after(2, refused), Some(0));
        refused.insert(0);
        assert_eq!(upstreams.after(2, refused), Some(1));
        refused.insert(1);
        assert_eq!(upstreams.after(2, refused), Some(2));
        refused.insert(2);
        assert_eq!(upstreams.after(2, refused), None);
        assert_eq!(Upstreams::new(&[]).first(), None);
    }

    #[test]
    fn each_query_has_a_fresh_socket_until_all_places_are_taken() {
        let (mut upstreams, mut random) = (three(), ChaCha12Rng::from_seed([0; 32]));
        for place in 0..UPSTREAM_SOCKETS_MAX {
            let taken = upstreams.take(1, &mut random).unwrap();
            assert_eq!((taken.0.index(), taken.1), (UPSTREAM_SOCKETS_MAX + place, true));
        }
        let (shared, fresh) = upstreams.take(1, &mut random).unwrap();
        assert!(!fresh && !upstreams.is_free(shared));
        upstreams.release(shared);
        assert!(!upstreams.is_free(shared));
        upstreams.release(shared);
        assert!(upstreams.is_free(shared));
        assert_eq!(upstreams.take(1, &mut random), Some((shared, true)));
    }
}
