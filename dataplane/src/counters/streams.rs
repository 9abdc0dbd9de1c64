//! What became of TCP connections, counted.

use std::sync::Arc;

use super::Cell;
use crate::io::tcp::Closed;

/// What became of TCP connections.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct StreamBlock {
    /// Connections that were let in.
    pub(crate) accepted: Cell,
    /// Connections that were closed at once, because there were too many.
    pub(crate) refused: Cell,
    closed: [Cell; Closed::ALL.len()],
}

/// Counts of TCP connections since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// Connections that were let in.
    pub accepted: u64,
    /// Connections that were closed at once, because there were too many.
    pub refused: u64,
    closed: [u64; Closed::ALL.len()],
}

impl StreamBlock {
    /// The count of connections that ended so.
    pub(crate) fn closed(&self, why: Closed) -> &Cell {
        self.closed
            .get(why as usize)
            .expect("`Closed::ALL` holds every reason")
    }

    pub(super) fn read(&self) -> Streams {
        // The ends first: a connection that ends meanwhile is then still open, not closed before it began.
        let closed = self.closed.each_ref().map(Cell::get);
        Streams {
            accepted: self.accepted.get(),
            refused: self.refused.get(),
            closed,
        }
    }
}

impl Streams {
    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.accepted.saturating_sub(self.closed.iter().sum())
    }

    /// Connections that ended, by reason.
    pub fn closed(&self) -> impl Iterator<Item = (Closed, u64)> {
        Closed::ALL.into_iter().zip(self.closed)
    }
}

/// The one handle through which the worker of TCP counts connections.
#[derive(Debug)]
pub(crate) struct StreamWriter(pub(super) Arc<StreamBlock>);

impl std::ops::Deref for StreamWriter {
    type Target = StreamBlock;

    fn deref(&self) -> &StreamBlock {
        &self.0
    }
}
