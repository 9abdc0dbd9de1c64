//! A data plane without a control plane: one core, real sockets of loopback, a snapshot that the test made.

use std::net::{Ipv4Addr, SocketAddr};

use dataplane::access::default_networks;
use dataplane::{Config, Counters, Engine};
use dns::{Builder, RecordData, RrSet, Snapshot, View, ZoneSettings};

/// One that runs. Dropping it stops it.
pub(crate) struct Served {
    handle: Option<dataplane::Handle>,
    address: SocketAddr,
    engine: Engine,
}

impl Served {
    /// Starts one for `snapshot` that forwards nothing, limits nothing and answers loopback and private networks; `change`
    /// makes something else of that.
    pub(crate) fn start(engine: Engine, snapshot: Snapshot, change: impl FnOnce(&mut Config)) -> Self {
        let (_, reader) = dns::channel(snapshot);
        let cores = dataplane::cores::select(None).expect("a core to run on");
        let bound = dataplane::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 1).expect("a free port");
        let address = bound.address();
        let mut config = Config {
            cores: cores.into_iter().take(1).collect(),
            listeners: vec![bound],
            upstreams: dataplane::forward::Config::default(),
            allow: default_networks().collect(),
            cache: dataplane::cache::Settings::default(),
            fallthrough: Vec::new(),
            rate_limit: 0,
            nsid: Vec::new(),
            forwards_private_reverse: false,
            cookie_secret: [0; 16],
            tls: None,
            engine,
        };
        change(&mut config);
        Self {
            handle: Some(dataplane::spawn(config, reader).expect("workers start")),
            address,
            engine,
        }
    }

    /// Where it answers, over UDP and TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it waits for packets with.
    pub(crate) fn engine(&self) -> Engine {
        self.engine
    }

    /// What it has counted so far.
    pub(crate) fn counters(&self) -> Counters {
        self.handle
            .as_ref()
            .expect("it runs until it is dropped")
            .counters()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
        }
    }
}

/// The zone `docker` with these names, each with so many addresses from 10.0.0.0 on.
pub(crate) fn zone(names: &[(&str, u32)]) -> Builder {
    let zone = ZoneSettings::of("docker".parse().expect("a name"), 30);
    let mut builder = Builder::new(vec![zone], 7, 1).expect("one zone");
    for (name, records) in names {
        let address = |number| RecordData::A(Ipv4Addr::from(0x0a00_0000 + number));
        let set = RrSet {
            view: View::EVERYONE,
            ttl_seconds: 30,
            until: None,
            records: (0..*records).map(address).collect(),
            additional: Vec::new(),
        };
        let name = name.parse().expect("a name");
        builder.set(&name, &[set]).expect("it fits into a message");
    }
    builder
}

/// The engines that work here.
pub(crate) fn engines() -> impl Iterator<Item = Engine> {
    let all = [Engine::Glommio, Engine::Threads].into_iter();
    all.filter(|&engine| dataplane::probe(engine).is_ok())
}
