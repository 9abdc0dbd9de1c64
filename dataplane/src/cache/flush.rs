//! How an order to forget reaches every core.
//!
//! A list of the last orders, each with its number, is swapped in whole; a core looks at the newest number once a batch,
//! which is one load, and takes the list only when there is something new in it. Nobody waits for anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dns::Name;

use crate::limits::FLUSHES_MAX;

/// What is to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Everything.
    All,
    /// A name, all names below it, and answers in which an alias leads to one of them.
    Below(Name),
}

/// Gives orders. Cheap to clone; each clone speaks to the same cores.
#[derive(Clone, Debug, Default)]
pub struct Flusher(Arc<Orders>);

/// One core's ear for orders.
#[derive(Debug)]
pub struct Flushes {
    orders: Arc<Orders>,
    seen: u64,
}

#[derive(Debug, Default)]
struct Orders {
    /// How many there were. Written after the list, so that whoever sees the number sees the order.
    count: AtomicU64,
    /// The last of them, the oldest first.
    last: ArcSwap<Vec<(u64, Flush)>>,
}

impl Flusher {
    /// Has every core forget. It is done before a core's next batch is answered.
    pub fn flush(&self, flush: &Flush) {
        let mut number = 0;
        self.0.last.rcu(|last| {
            number = last.last().map_or(0, |(number, _)| *number) + 1;
            let kept = last.len().saturating_sub(FLUSHES_MAX - 1);
            let mut orders: Vec<_> = last.iter().skip(kept).cloned().collect();
            orders.push((number, flush.clone()));
            orders
        });
        self.0.count.fetch_max(number, Ordering::Release);
    }

    /// An ear that hears what is ordered from now on.
    #[must_use]
    pub fn listen(&self) -> Flushes {
        Flushes {
            seen: self.0.count.load(Ordering::Acquire),
            orders: Arc::clone(&self.0),
        }
    }
}

impl Flushes {
    /// Calls `forget` with each order since the last call; with [`Flush::All`] where some were missed.
    #[inline]
    pub fn hear(&mut self, forget: impl FnMut(&Flush)) {
        let count = self.orders.count.load(Ordering::Acquire);
        if count != self.seen {
            self.catch_up(forget);
        }
    }

    #[cold]
    fn catch_up(&mut self, mut forget: impl FnMut(&Flush)) {
        let last = self.orders.last.load();
        let first = last.first().map_or(0, |(number, _)| *number);
        if first > self.seen + 1 {
            forget(&Flush::All);
        }
        for (number, flush) in last.iter() {
            if *number > self.seen {
                forget(flush);
                self.seen = *number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(flushes: &mut Flushes) -> Vec<Flush> {
        let mut heard = Vec::new();
        flushes.hear(|flush| heard.push(flush.clone()));
        heard
    }

    #[test]
    fn every_core_hears_every_order_once_and_forgets_all_when_it_missed_some() {
        let flusher = Flusher::default();
        let (mut one, mut other) = (flusher.listen(), flusher.listen());
        assert_eq!(heard(&mut one), []);
        let below = Flush::Below("example.org".parse().unwrap());
        flusher.flush(&below);
        assert_eq!(heard(&mut one), std::slice::from_ref(&below));
        flusher.flush(&Flush::All);
        assert_eq!(heard(&mut one), [Flush::All]);
        assert_eq!(heard(&mut one), []);
        assert_eq!(heard(&mut other), [below.clone(), Flush::All]);
        assert_eq!(heard(&mut flusher.listen()), []);
        for _ in 0..=FLUSHES_MAX {
            flusher.flush(&below);
        }
        assert_eq!(heard(&mut one)[..2], [Flush::All, below]);
    }
}
