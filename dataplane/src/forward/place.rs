//! Places for sockets towards upstreams, by number; and sets of upstreams.
//!
//! ```text
//!  0 ─ datagrams ─ UPSTREAM_SOCKETS_MAX ─ streams, of one question each ─ … ─ kept connections, one for each upstream ─ PLACES
//! ```

use crate::limits::{UPSTREAM_SOCKETS_MAX, UPSTREAM_STREAMS_MAX, UPSTREAMS_IN_ALL_MAX};

/// Places there are: those of datagrams, behind them those of streams, and behind those the ones that are kept.
pub(crate) const PLACES: usize = KEPT + UPSTREAMS_IN_ALL_MAX;
/// The first place of a connection that is kept.
const KEPT: usize = UPSTREAM_SOCKETS_MAX + UPSTREAM_STREAMS_MAX;

/// An upstream's position among all there are.
pub(crate) type UpstreamIndex = u8;

/// A place for one socket. The socket is opened when a query needs the free place, and closed once the place is free; a
/// connection that is kept stays open for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(u16);

impl Place {
    /// The places of datagrams, in order.
    pub(super) fn of_datagrams() -> impl Iterator<Item = Self> {
        (0..UPSTREAM_SOCKETS_MAX).filter_map(Self::at)
    }

    /// Those of streams.
    pub(super) fn of_streams() -> impl Iterator<Item = Self> {
        (UPSTREAM_SOCKETS_MAX..KEPT).filter_map(Self::at)
    }

    /// That of the connection to `upstream` that is kept.
    pub(super) fn kept_for(upstream: UpstreamIndex) -> Option<Self> {
        Self::at(KEPT + usize::from(upstream)).filter(|place| place.index() < PLACES)
    }

    fn at(index: usize) -> Option<Self> {
        u16::try_from(index).ok().map(Self)
    }

    /// Its number, below the number of all places.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Whether it is for a stream: one question and its reply over TCP, each with its length in front.
    #[must_use]
    pub fn is_stream(self) -> bool {
        (UPSTREAM_SOCKETS_MAX..KEPT).contains(&self.index())
    }

    /// Whether it is for a connection over TLS, which is kept for one question after another.
    #[must_use]
    pub fn is_kept(self) -> bool {
        self.index() >= KEPT
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

    /// Those in it.
    pub(crate) fn iter(self) -> impl Iterator<Item = UpstreamIndex> {
        (0..u32::BITS as UpstreamIndex).filter(move |&upstream| self.contains(upstream))
    }

    /// Takes out all that are in `others`.
    pub(crate) fn remove_all(&mut self, others: Self) {
        self.0 &= !others.0;
    }
}

const _: () = assert!(UPSTREAMS_IN_ALL_MAX <= 32, "`Set` has one bit for each");
