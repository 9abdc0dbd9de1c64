//! How a snapshot reaches the workers: one writer, one swap, readers that never wait.
//!
//! A [`Reader`] looks once a batch: one relaxed load and a comparison while nothing changed
//! (`arc_swap::Cache`). Whoever drops the last reference to a snapshot pays for freeing it, which for
//! a large one takes long; so the [`Publisher`] keeps the old ones and frees each only when it is the
//! last to hold it. A worker never frees a snapshot. One that rests holds none: else an old zone would lie beside the new one
//! for as long as nobody asks.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::snapshot::Snapshot;

/// The writing end; there is one.
pub struct Publisher {
    current: Arc<ArcSwap<Snapshot>>,
    /// Replaced snapshots that a reader may still hold: it has one at a time, and none while it rests.
    retired: Vec<Arc<Snapshot>>,
}

/// A reading end; each worker has its own.
#[derive(Clone)]
pub struct Reader {
    current: Arc<ArcSwap<Snapshot>>,
    /// None while it rests.
    cache: Option<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
}

/// Connects a publisher with its first reader; `first` is what is read until something is published.
#[must_use]
pub fn channel(first: Snapshot) -> (Publisher, Reader) {
    let current = Arc::new(ArcSwap::from_pointee(first));
    let publisher = Publisher {
        current,
        retired: Vec::new(),
    };
    let reader = publisher.reader();
    (publisher, reader)
}

impl Publisher {
    /// Makes `snapshot` what every reader sees at its next load, and frees those that nobody holds. Returns how
    /// many replaced ones are still held.
    pub fn publish(&mut self, snapshot: Snapshot) -> usize {
        self.retired.push(self.current.swap(Arc::new(snapshot)));
        self.collect()
    }

    /// Frees replaced snapshots that no reader holds, and returns how many are still held.
    pub fn collect(&mut self) -> usize {
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        self.retired.len()
    }

    /// One more reader.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader {
            current: Arc::clone(&self.current),
            cache: None,
        }
    }
}

impl Reader {
    /// The newest snapshot. Call it once a batch, and also after a wait: what it gave last is not freed until then.
    pub fn load(&mut self) -> &Snapshot {
        let new = || Cache::new(Arc::clone(&self.current));
        self.cache.get_or_insert_with(new).load()
    }

    /// Lets go of the snapshot, until the next load. Call it before a wait that may be long.
    pub fn rest(&mut self) {
        self.cache = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Builder, ZoneSettings};

    fn builder() -> Builder {
        Builder::new(vec![ZoneSettings::of("docker".parse().unwrap(), 30)], 1, 0).unwrap()
    }

    #[test]
    fn readers_see_what_was_published_last() {
        let mut builder = builder();
        let (mut publisher, mut early) = channel(builder.build());
        publisher.publish(builder.build());
        publisher.publish(builder.build());
        let mut late = publisher.reader();
        assert_eq!((early.load().serial(), late.load().serial()), (3, 3));
    }

    #[test]
    fn a_replaced_snapshot_is_freed_by_the_publisher_once_no_reader_holds_it() {
        let mut builder = builder();
        let (mut publisher, mut idle) = channel(builder.build());
        idle.load();
        for _ in 0..100 {
            publisher.publish(builder.build());
        }
        assert_eq!(
            publisher.collect(),
            1,
            "the idle reader holds the first and nobody any other"
        );
        idle.load();
        assert_eq!(publisher.collect(), 0);
        assert_eq!(publisher.publish(builder.build()), 1);
        idle.rest();
        assert_eq!(publisher.collect(), 0, "who rests holds nothing");
        assert_eq!(idle.load().serial(), 102);
    }
}
