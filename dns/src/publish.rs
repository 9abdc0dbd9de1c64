//! How a snapshot reaches the workers: one writer, one swap, readers that never wait.
//!
//! A [`Reader`] looks once a batch: one relaxed load and a comparison while nothing changed
//! (`arc_swap::Cache`). Whoever drops the last reference to a snapshot pays for freeing it, which for
//! a large one takes long; so the [`Publisher`] keeps the old ones and frees each only when it is the
//! last to hold it. A worker never frees a snapshot.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::snapshot::Snapshot;

/// The writing end; there is one.
pub struct Publisher {
    current: Arc<ArcSwap<Snapshot>>,
    /// Replaced snapshots that a reader may still hold. A reader holds one at a time, so beyond those
    /// replaced since it last looked there are at most as many as there are readers.
    retired: Vec<Arc<Snapshot>>,
}

/// A reading end; each worker has its own.
#[derive(Clone)]
pub struct Reader {
    cache: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
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
            cache: Cache::new(Arc::clone(&self.current)),
        }
    }
}

impl Reader {
    /// The newest snapshot. Call it once a batch, and also after a wait: an idle reader keeps the
    /// snapshot it saw last from being freed.
    pub fn load(&mut self) -> &Snapshot {
        self.cache.load()
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
    }
}
