//! DNS over TCP, row by row: RFC 7766, and what hostile clients of other servers have done.
//!
//! ```text
//! messages   what comes in and goes out on one connection
//! clients    those that are idle, slow, greedy, gone, or too many
//! end        descriptors that are not there, and how a server stops
//! ```

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod end;
mod messages;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dataplane::{Engine, Streams};
use support::served::{self, Served};
use support::stream::Stream;
use support::upstream::Upstream;
use support::{SOON, eventually, expect, raw};

/// No engine listens here.
const NO_ENGINE: &str = "--docker /nonexistent/docker.sock";
/// Records of `big.docker`, whose answer is just below 64 KiB: 16 octets each.
const BIG_RECORDS: u32 = 4000;
/// While a client does what it should not, others are answered within this.
const AT_ONCE: Duration = Duration::from_millis(500);

/// A data plane that knows `web.docker` and `big.docker`.
struct World {
    served: Served,
    upstream: Upstream,
}

impl World {
    fn start(engine: Engine) -> Self {
        let upstream = Upstream::start();
        let snapshot = served::zone(&[("web.docker", 1), ("big.docker", BIG_RECORDS)]).build();
        let served = Served::start(engine, snapshot, |config| {
            config.upstreams = dataplane::forward::Config::all_to(vec![upstream.address()]);
            // So that other addresses of loopback are strangers.
            config.allow = vec!["127.0.0.1/32".parse().expect("a network")];
        });
        Self { served, upstream }
    }

    fn address(&self) -> SocketAddr {
        self.served.address()
    }

    fn client(&self) -> Stream {
        Stream::to(self.address())
    }

    fn streams(&self) -> Streams {
        self.served.counters().streams()
    }

    /// Waits until `count` connections have ended for a reason.
    fn await_closed(&self, why: &str, count: u64) {
        eventually(why, SOON, || {
            let closed = self.streams().closed().find(|(reason, _)| reason.label() == why);
            expect(|closed| *closed == Some(count), closed.map(|(_, count)| count)).map(drop)
        });
    }

    /// Somebody else is answered at once, over both.
    fn assert_others_are_served(&self) {
        let start = Instant::now();
        let reply = raw::Asker::of(self.address()).ask(&web(7));
        assert_eq!(
            reply.as_deref().and_then(raw::rcode),
            Some(0),
            "{:?}",
            self.served.engine()
        );
        let reply = self.client().ask(&web(8));
        assert_eq!(
            reply.as_deref().and_then(raw::rcode),
            Some(0),
            "{:?}",
            self.served.engine()
        );
        assert!(
            start.elapsed() < AT_ONCE,
            "{:?}: {:?}",
            self.served.engine(),
            start.elapsed()
        );
    }
}

/// Runs `check` on each engine that works here, side by side: most of it is waiting.
fn on_each_engine(check: impl Fn(World) + Sync) {
    std::thread::scope(|scope| {
        for engine in served::engines() {
            let world = World::start(engine);
            let check = &check;
            scope.spawn(move || check(world));
        }
    });
}

fn web(id: u16) -> Vec<u8> {
    raw::query(id, "web.docker", 1)
}

fn big(id: u16) -> Vec<u8> {
    raw::query(id, "big.docker", 1)
}

fn id(reply: &[u8]) -> u16 {
    u16::from_be_bytes(*reply.first_chunk().expect("a message has an id"))
}

/// The ids of the next `count` replies, sorted.
fn ids(client: &mut Stream, count: usize) -> Vec<u16> {
    let mut ids: Vec<_> = (0..count)
        .map(|_| id(&client.receive().expect("a reply")))
        .collect();
    ids.sort_unstable();
    ids
}
