//! What each worker did, counted.
//!
//! Every core owns one block, the worker of TCP one more, and each is its only writer, so an increment is a plain load and
//! store without a locked instruction, and blocks lie far enough apart that cores never share a cache line. Readers
//! add the blocks up whenever they like; a sum may be some increments behind, never torn.

mod streams;

use std::iter::Sum;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dns::Rcode;

use self::streams::StreamBlock;
pub(crate) use self::streams::StreamWriter;
pub use self::streams::Streams;

/// A reader of all workers' counters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Counters {
    /// One for each core, then one for TCP.
    blocks: Arc<[Block]>,
    cores: Arc<[usize]>,
    streams: Arc<StreamBlock>,
}

impl Counters {
    /// Blocks of zeros, one for each of `cores` and one for TCP.
    pub(crate) fn new(cores: &[usize]) -> Self {
        Self {
            blocks: (0..=cores.len()).map(|_| Block::default()).collect(),
            cores: cores.into(),
            streams: Arc::default(),
        }
    }

    /// The block that the worker at `index` in the list of cores writes.
    ///
    /// # Panics
    ///
    /// When there is no such worker.
    pub(crate) fn writer(&self, index: usize) -> Writer {
        assert!(index < self.blocks.len(), "one block was made for each core");
        Writer {
            blocks: Arc::clone(&self.blocks),
            index,
        }
    }

    /// The blocks that the worker of TCP writes.
    pub(crate) fn tcp_writers(&self) -> (Writer, StreamWriter) {
        (
            self.writer(self.cores.len()),
            StreamWriter(Arc::clone(&self.streams)),
        )
    }

    /// Each core's number and its totals since start, of what came in datagrams.
    pub fn per_core(&self) -> impl Iterator<Item = (usize, Totals)> {
        self.cores
            .iter()
            .copied()
            .zip(self.blocks.iter().map(Block::read))
    }

    /// The totals since start of what came over TCP.
    #[must_use]
    pub fn tcp(&self) -> Totals {
        self.blocks.last().map(Block::read).unwrap_or_default()
    }

    /// What became of TCP connections since start.
    #[must_use]
    pub fn streams(&self) -> Streams {
        self.streams.read()
    }

    /// The totals of all workers since start.
    #[must_use]
    pub fn total(&self) -> Totals {
        self.blocks.iter().map(Block::read).sum()
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One worker's counters: two cache lines' alignment, because adjacent lines are fetched in pairs.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct Block {
            $(pub(crate) $name: Cell,)*
            replies: [Cell; RCODES],
        }

        /// Counts since start, of one worker or of all.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
            replies: [u64; RCODES],
        }

        impl Block {
            fn read(&self) -> Totals {
                Totals { $($name: self.$name.get(),)* replies: self.replies.each_ref().map(Cell::get) }
            }
        }

        impl Add for Totals {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                let mut replies = self.replies;
                for (sum, more) in replies.iter_mut().zip(other.replies) {
                    *sum += more;
                }
                Self { $($name: self.$name + other.$name,)* replies }
            }
        }
    };
}

counters! {
    /// Messages taken from clients, whatever became of them.
    queries,
    /// Replies that said "ask again over TCP" (TC).
    truncated,
    /// Queries of a network that had had its share of replies, answered by a bid to come by TCP or with a cookie.
    rate_slips,
    /// Queries of such a network that were answered all the same, as a cookie proved who asked.
    rate_proven,
    /// Queries that waited for an upstream; a retry does not count again.
    forwards,
    /// Of these, queries whose question an upstream was being asked already.
    forward_joins,
    /// Questions sent to upstreams, retries and probes among them.
    forward_asks,
    /// Of these, questions over TCP, because a reply was cut.
    forward_streams,
    /// Of all questions to upstreams, those over TLS.
    forward_tls,
    /// Connections over TLS that could not be made or broke before the first reply: nobody there, or a certificate that is
    /// not for the name, not from who is trusted, or over.
    forward_tls_failures,
    /// Connections over TLS that ended with questions waiting or none, after they had served.
    forward_tls_ends,
    /// Forwarded queries whose answer from upstream went to the client.
    forward_answers,
    /// Forwarded queries answered SERVFAIL because no upstream answered in time.
    forward_timeouts,
    /// Forwarded queries answered SERVFAIL because nobody is at any upstream, or because we stop.
    forward_failures,
    /// Forwarded queries answered with what was past its time because upstreams took too long.
    forward_late,
    /// Queries answered SERVFAIL because their client had its share of queries waiting for an upstream.
    forward_shares,
    /// Queries answered SERVFAIL because each upstream had its share of queries waiting for it.
    forward_overruns,
    /// Queries answered SERVFAIL because too many waited for the answer to the same question.
    forward_crowds,
    /// Queries answered SERVFAIL because there was no room for one more to wait.
    forward_full,
    /// Cut replies that were not asked for over TCP, because there were too many connections.
    forward_stream_bounds,
    /// Packets from an upstream that answer nothing we asked. Many of them mean that someone guesses.
    forward_mismatches,
    /// Queries answered with records that were kept.
    cache_hits,
    /// Queries answered with what was kept of there being nothing.
    cache_denials,
    /// Queries answered SERVFAIL, or as it may be, because upstreams had failed a moment before.
    cache_failures,
    /// Queries answered with what was past its time, as upstreams failed.
    cache_stale,
    /// Queries that nothing was kept for.
    cache_misses,
    /// Questions asked again before their answer was over, because many ask them.
    cache_refreshes,
    /// Answers and failures of upstreams that were kept.
    cache_inserts,
    /// Entries that made room for others.
    cache_evictions,
    /// Orders to forget that were carried out.
    cache_flushes,
    /// Answers kept back because they lead into private networks, also those that were kept.
    cache_blocked,
    /// Entries there are now.
    cache_entries,
    /// Octets that they take now.
    cache_octets,
    /// Dropped: not a query, so nothing that may be answered.
    dropped_malformed,
    /// Dropped: longer than the receive buffer.
    dropped_oversize,
    /// Dropped: from port 0 or a family we do not know, so there is nowhere to answer to.
    dropped_unanswerable,
    /// Dropped: from a network that had had its share of replies.
    dropped_rate,
    /// Dropped: the kernel would not take the reply.
    dropped_send,
    /// Batches of datagrams received; `queries` over `batches` is the average width.
    batches,
    /// Times the executor went to sleep for want of work.
    parks,
}

/// Rcodes counted apart, in this order; everything else is counted in one more place.
const COUNTED: [Rcode; 6] = [
    Rcode::NO_ERROR,
    Rcode::FORM_ERR,
    Rcode::SERV_FAIL,
    Rcode::NX_DOMAIN,
    Rcode::NOT_IMP,
    Rcode::REFUSED,
];
const RCODES: usize = COUNTED.len() + 1;

impl Block {
    /// Counts one reply, by its response code.
    pub(crate) fn reply(&self, rcode: Rcode) {
        let [counted @ .., other] = &self.replies;
        counted.get(usize::from(rcode.0)).unwrap_or(other).increment();
    }
}

impl Totals {
    /// Replies sent to clients by response code, forwarded ones included. `None` stands for all other codes.
    pub fn replies(&self) -> impl Iterator<Item = (Option<Rcode>, u64)> {
        COUNTED.into_iter().map(Some).chain([None]).zip(self.replies)
    }

    /// Queries that the cache answered, by what it had.
    pub fn cache_answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("success", self.cache_hits),
            ("denial", self.cache_denials),
            ("failure", self.cache_failures),
            ("stale", self.cache_stale),
        ]
        .into_iter()
    }

    /// Times that forwarding came to a bound, by which.
    pub fn forward_bounds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("client", self.forward_shares),
            ("upstream", self.forward_overruns),
            ("question", self.forward_crowds),
            ("table", self.forward_full),
            ("streams", self.forward_stream_bounds),
        ]
        .into_iter()
    }

    /// All drops, by reason.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("malformed", self.dropped_malformed),
            ("oversize", self.dropped_oversize),
            ("unanswerable", self.dropped_unanswerable),
            ("rate", self.dropped_rate),
            ("send", self.dropped_send),
        ]
        .into_iter()
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

/// One count, written by one thread and read by any.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    /// Adds one. Only the owning core may call this: two writers would lose counts.
    #[inline]
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    /// Adds `more`. Only the owning core may call this.
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(more),
            Ordering::Relaxed,
        );
    }

    /// Puts `value` in its place. Only the owning core may call this.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The one handle through which a core writes its block.
#[derive(Debug)]
pub(crate) struct Writer {
    blocks: Arc<[Block]>,
    index: usize,
}

impl std::ops::Deref for Writer {
    type Target = Block;

    #[inline]
    fn deref(&self) -> &Block {
        self.blocks
            .get(self.index)
            .expect("`Counters::writer` checked the index")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::tcp::Closed;

    #[test]
    fn totals_are_the_sum_over_cores_and_each_core_stays_visible() {
        let counters = Counters::new(&[2, 5]);
        counters.writer(0).queries.add(3);
        counters.writer(1).queries.increment();
        counters.writer(1).dropped_send.increment();
        assert_eq!(counters.total().queries, 4);
        let per_core: Vec<_> = counters
            .per_core()
            .map(|(core, totals)| (core, totals.queries))
            .collect();
        assert_eq!(per_core, [(2, 3), (5, 1)]);
        assert_eq!(counters.total().drops().map(|(_, count)| count).sum::<u64>(), 1);
    }

    #[test]
    fn tcp_is_counted_apart_from_the_cores_and_in_the_total() {
        let counters = Counters::new(&[2]);
        let (writer, streams) = counters.tcp_writers();
        writer.queries.add(3);
        counters.writer(0).queries.increment();
        assert_eq!((counters.tcp().queries, counters.total().queries), (3, 4));
        assert_eq!(counters.per_core().map(|(_, core)| core.queries).sum::<u64>(), 1);
        streams.accepted.add(5);
        for why in Closed::ALL {
            assert_eq!(Closed::ALL[why as usize], why);
        }
        streams.closed(Closed::Idle).increment();
        streams.closed(Closed::Stopped).add(2);
        let streams = counters.streams();
        assert_eq!(
            (
                streams.open(),
                streams.closed().map(|(_, count)| count).sum::<u64>()
            ),
            (2, 3)
        );
    }

    #[test]
    fn rcodes_without_a_place_of_their_own_are_counted_together() {
        let counters = Counters::new(&[0]);
        let writer = counters.writer(0);
        for rcode in [
            Rcode::NO_ERROR,
            Rcode::REFUSED,
            Rcode::BAD_VERS,
            Rcode(9),
            Rcode(6),
        ] {
            writer.reply(rcode);
        }
        let replies: Vec<_> = counters
            .total()
            .replies()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            replies,
            [(Some(Rcode::NO_ERROR), 1), (Some(Rcode::REFUSED), 1), (None, 3)]
        );
    }

    #[test]
    fn blocks_of_two_cores_never_share_a_cache_line() {
        assert_eq!(size_of::<Block>() % 128, 0);
        assert!(
            COUNTED
                .iter()
                .enumerate()
                .all(|(place, rcode)| usize::from(rcode.0) == place)
        );
    }
}
