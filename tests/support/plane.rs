//! A data plane alone, in this process: real sockets, a few names of its own, and upstreams that a test scripts.

use std::net::{Ipv4Addr, SocketAddr};

use dataplane::forward::Config;
use dataplane::{Engine, Totals};
use dns::{Builder, Name, RecordData, RrSet, ZoneSettings};

use super::raw;
use super::resolver::{Resolver, question_end};

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
    handle: Option<dataplane::Handle>,
    pub(crate) address: SocketAddr,
}

impl World {
    /// Without a cache.
    pub(crate) fn start(engine: Engine, upstreams: Config) -> Self {
        Self::keeping(engine, upstreams, dataplane::cache::Settings::default())
    }

    /// With what `cache` says.
    pub(crate) fn keeping(engine: Engine, upstreams: Config, cache: dataplane::cache::Settings) -> Self {
        let zone = ZoneSettings::of("docker".parse().expect("a name"), 30);
        let mut builder = Builder::new(vec![zone], 7, 1).expect("one zone");
        let mut publish = |owner: &str, record: RecordData| {
            let set = RrSet {
                view: dns::View::EVERYONE,
                ttl_seconds: 30,
                records: vec![record],
                additional: Vec::new(),
            };
            builder.set(&name(owner), &[set]).expect("it fits");
        };
        publish("web.docker", RecordData::A(Ipv4Addr::new(10, 0, 0, 1)));
        for (owner, target) in ALIASES {
            publish(owner, RecordData::Cname(name(target)));
        }
        let (_, reader) = dns::channel(builder.build());
        let cores = dataplane::cores::select(None).expect("a core");
        let bound = dataplane::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).expect("a free port");
        let address = bound.address();
        let config = dataplane::Config {
            cores: cores.into_iter().take(1).collect(),
            listeners: vec![bound],
            upstreams,
            allow: vec!["127.0.0.0/8".parse().expect("a network")],
            cache,
            fallthrough: Vec::new(),
            rate_limit: 0,
            nsid: Vec::new(),
            forwards_private_reverse: false,
            cookie_secret: [0; 16],
            engine,
        };
        let handle = Some(dataplane::spawn(config, reader).expect("workers start"));
        Self { handle, address }
    }

    /// Asks for `name` over UDP, without EDNS, and waits.
    pub(crate) fn ask(&self, name: &str) -> Reply {
        self.ask_with(&raw::query(7, name, A))
    }

    pub(crate) fn ask_with(&self, packet: &[u8]) -> Reply {
        Reply(raw::Asker::of(self.address).expect_reply(packet))
    }

    pub(crate) fn totals(&self) -> Totals {
        self.handle.as_ref().expect("it runs").counters().total()
    }

    pub(crate) fn assert_local_names_work(&self) {
        assert_eq!(self.ask("web.docker").addresses(), 1);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
        }
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

/// Runs `check` on each engine, side by side: most of it is waiting.
pub(crate) fn on_each_engine(check: impl Fn(Engine) + Sync) {
    std::thread::scope(|scope| {
        for engine in [Engine::Glommio, Engine::Threads] {
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
