//! A data plane alone, in this process: real sockets, a few names of its own, and upstreams that a test scripts.

use std::net::SocketAddr;

use dataplane::forward::Config;
use dataplane::{Engine, Totals};
use dns::{Name, RecordData, RrSet};

use super::raw;
use super::resolver::{Resolver, question_end};
use super::served::{self, Served};

const A: u16 = 1;

/// Names of ours that stand for others. The first leads out of our names, the second to the first, the others come back.
const ALIASES: [(&str, &str); 4] = [
    ("db.docker", "db.example.com"),
    ("near.docker", "db.docker"),
    ("round.docker", "round.example.com"),
    ("into.docker", "into.example.com"),
];

/// A data plane on one core that knows `web.docker` and [`ALIASES`].
pub(crate) struct World {
    served: Served,
    pub(crate) address: SocketAddr,
}

impl World {
    /// Without a cache.
    pub(crate) fn start(engine: Engine, upstreams: Config) -> Self {
        Self::keeping(engine, upstreams, dataplane::cache::Settings::default())
    }

    /// With what `cache` says.
    pub(crate) fn keeping(engine: Engine, upstreams: Config, cache: dataplane::cache::Settings) -> Self {
        let mut builder = served::zone(&[("web.docker", 1)]);
        for (owner, target) in ALIASES {
            let set = RrSet {
                view: dns::View::EVERYONE,
                ttl_seconds: 30,
                until: None,
                records: vec![RecordData::Cname(name(target))],
                additional: Vec::new(),
            };
            builder.set(&name(owner), &[set]).expect("it fits");
        }
        let served = Served::start(engine, builder.build(), |config| {
            config.upstreams = upstreams;
            config.cache = cache;
        });
        let address = served.address();
        Self { served, address }
    }

    /// Asks for `name` over UDP, without EDNS, and waits.
    pub(crate) fn ask(&self, name: &str) -> Reply {
        self.ask_with(&raw::query(7, name, A))
    }

    pub(crate) fn ask_with(&self, packet: &[u8]) -> Reply {
        Reply(raw::Asker::of(self.address).expect_reply(packet))
    }

    pub(crate) fn totals(&self) -> Totals {
        self.served.counters().total()
    }

    pub(crate) fn assert_local_names_work(&self) {
        assert_eq!(self.ask("web.docker").addresses(), 1);
    }
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Reply(pub(crate) Vec<u8>);

impl Reply {
    pub(crate) fn rcode(&self) -> u8 {
        raw::rcode(&self.0).expect("a header")
    }

    pub(crate) fn addresses(&self) -> u16 {
        let &[high, low] = self.0.get(6..8).and_then(<[u8]>::as_array).expect("a header");
        u16::from_be_bytes([high, low])
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.0.get(2).is_some_and(|flags| flags & 2 != 0)
    }

    /// What comes after the question, where it has no records.
    pub(crate) fn opt(&self) -> &[u8] {
        self.0.get(question_end(&self.0)..).unwrap_or_default()
    }
}

/// Runs `check` on each engine that works here, side by side: most of it is waiting.
pub(crate) fn on_each_engine(check: impl Fn(Engine) + Sync) {
    std::thread::scope(|scope| {
        for engine in served::engines() {
            let check = &check;
            scope.spawn(move || check(engine));
        }
    });
}

/// Everything is asked of `resolvers`.
pub(crate) fn all_to(resolvers: &[&Resolver]) -> Config {
    Config::all_to(resolvers.iter().map(|resolver| resolver.address()).collect())
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}
