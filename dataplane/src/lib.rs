//! The data plane: answers DNS queries from a snapshot, one worker per core, without locks.
//!
//! ```text
//!            core 0                                             core 1, 2, …: the same
//!  ┌──────────────────────────────────────────────────────┐
//!  │ listening socket (one of a SO_REUSEPORT group)       │
//!  │    │ recvmmsg: up to 32 queries                      │
//!  │    ▼                                                 │
//!  │ worker ── snapshot, loaded once a batch ◀────────────┼──── dns::Publisher, in the control plane
//!  │    │                                                 │
//!  │    ├─▶ respond ─┬─ Drop                              │
//!  │    │            ├─ Reply ──────────────▶ sendmmsg ───┼──▶ clients
//!  │    │            └─ Forward ─▶ forward ─▶ upstream    │
//!  │    │                            ▲            │       │
//!  │    │                            └── reply ◀──┘       │
//!  │    ▼                               │                 │
//!  │ counters ──────────────────────────┼─────────────────┼──▶ whoever reads them
//!  └────────────────────────────────────┼─────────────────┘
//!                                       └──▶ client, by the socket and from the address that it asked
//! ```
//!
//! Beside the cores one more thread, [`io::tcp`], serves the listening sockets of streams by the same worker and
//! forwarder of its own, so that no client of TCP can hold up a datagram.
//!
//! A query is taken, answered in the buffer it arrived in, and sent from there. Once the workers run, the
//! path of datagrams allocates nothing, takes no lock, and reads a coarse clock once a batch, an exact one only when
//! something is forwarded. What decides ([`respond`], [`forward`]) has no socket and no clock; what has them ([`io`])
//! decides nothing.

pub mod limits;

pub mod cores;

pub mod access;
pub mod ratelimit;
pub mod respond;
pub mod special;

mod path;

pub mod cache;
pub mod forward;

mod pass_on;

pub mod counters;
mod worker;

mod rehearsal;

pub mod io;

use std::net::SocketAddr;
use std::sync::Arc;

use dns::wire::CookieJar;
use dns::{Name, Reader};
use ipnet::IpNet;
use rustls::ClientConfig;

use self::access::Access;
pub use self::counters::{Counters, Streams, Totals};
use self::io::shell::Setup;
pub use self::io::{BindError, BoundAddress, Protocol, bind};
use self::io::{Crew, glommio, tcp, threads};
use self::limits::{LISTENERS_MAX, NSID_OCTETS_MAX};
pub use self::rehearsal::{Others, Rehearsal, Rehearsed};
use self::respond::Policy;

/// What the workers are to do, and where.
#[derive(Debug)]
pub struct Config {
    /// One worker is pinned to each of these, as [`cores::select`] chose them.
    pub cores: Vec<usize>,
    /// Where to listen, each with one socket per core and one for TCP, as [`bind`] opened them.
    pub listeners: Vec<BoundAddress>,
    /// Whom to ask what is not ours, until [`Handle::set_upstreams`] says otherwise.
    pub upstreams: forward::Config,
    /// What is kept of upstreams' answers.
    pub cache: cache::Settings,
    /// Domains in zones of ours whose names upstreams are asked about where we know none.
    pub fallthrough: Vec<Name>,
    /// Others are asked about reverse names of private addresses that are not ours; otherwise those do not exist.
    pub forwards_private_reverse: bool,
    /// Networks whose clients get answers; [`access::default_networks`] if the user named none.
    pub allow: Vec<IpNet>,
    /// Replies a second that each public network gets from each core over UDP, [`limits::RATE_LIMIT_DEFAULT`] if the
    /// user named no number; 0: as many as it asks for.
    pub rate_limit: u32,
    /// What clients are told that ask which server this is (NSID), at most [`limits::NSID_OCTETS_MAX`] octets; none:
    /// nothing.
    pub nsid: Vec<u8>,
    /// What cookies are made from. Unpredictable, and new at each start: clients then take new ones.
    pub cookie_secret: [u8; 16],
    /// What certificates of upstreams that are asked over TLS are held against; none: such upstreams are refused.
    pub tls: Option<Arc<ClientConfig>>,
    /// What waits for the sockets.
    pub engine: Engine,
}

/// What waits for the sockets. Everything else is the same for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Glommio executors on io_uring.
    Glommio,
    /// Plain threads and `ppoll`, for where io_uring is forbidden.
    Threads,
}

/// Why the workers could not be started. Read by a person.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A seccomp profile or a sysctl forbids it.
    #[error(
        "io_uring is forbidden here (EPERM): allow io_uring_setup, io_uring_enter and io_uring_register in the \
         container's seccomp profile, set sysctl kernel.io_uring_disabled=0, or run with --engine threads"
    )]
    IoUringForbidden,
    /// An old kernel, or a sandbox.
    #[error(
        "this kernel has no io_uring (ENOSYS): Linux 5.8 is the oldest that will do, or run with --engine threads"
    )]
    IoUringAbsent,
    /// Rings count against RLIMIT_MEMLOCK.
    #[error(
        "io_uring gets no memory: raise the limit of locked memory to 512 KiB or more per core (ulimit -l, \
         LimitMEMLOCK=, --ulimit memlock), or run with --engine threads"
    )]
    MemoryLock,
    /// It failed in another way.
    #[error("io_uring does not work here: run with --engine threads")]
    IoUring(#[source] std::io::Error),
    /// A worker cannot be kept on its core.
    #[error("a worker cannot be pinned to core {core}: choose others with --cores")]
    Pin {
        /// The core.
        core: usize,
        /// What the kernel said.
        source: nix::Error,
    },
    /// No thread, or no descriptor for it.
    #[error("a worker cannot be started")]
    Thread(#[source] std::io::Error),
    /// A defect of ours.
    #[error("a worker ended in a panic as it started")]
    Panicked,
    /// No randomness to draw message ids from.
    #[error("the kernel gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// A listener was bound for another number of cores.
    #[error("{address} was bound by {sockets} sockets for {cores} cores")]
    Sockets {
        /// The listener's address.
        address: SocketAddr,
        /// Its sockets.
        sockets: usize,
        /// The cores there are.
        cores: usize,
    },
    /// More listening addresses than a worker has room for.
    #[error("{0} listening addresses were given; there is room for {LISTENERS_MAX}")]
    Listeners(usize),
    /// The upstreams cannot be used.
    #[error(transparent)]
    Upstreams(forward::ConfigError),
}

/// The running workers. Dropped without [`Handle::stop`] they stop too, but nobody waits for them.
pub struct Handle {
    counters: Counters,
    crew: Crew,
    routes: forward::config::Writer,
    flusher: cache::Flusher,
    rehearsal: Rehearsal,
    listeners: Vec<SocketAddr>,
    has_tls: bool,
    /// Tells the workers to stop when it is dropped.
    bell: Box<dyn Send>,
}

/// Finds out whether `engine` works here, without starting anything that stays.
///
/// # Errors
///
/// [`SpawnError::IoUringForbidden`], [`SpawnError::IoUringAbsent`], [`SpawnError::MemoryLock`] or
/// [`SpawnError::IoUring`], each with its remedy in the text. Threads always work.
pub fn probe(engine: Engine) -> Result<(), SpawnError> {
    match engine {
        Engine::Glommio => glommio::probe(),
        Engine::Threads => Ok(()),
    }
}

/// Starts one worker on each core and one for TCP, and returns once all of them answer.
///
/// Best called before the process has other threads, as is [`probe`]: where it has some, registering for memory
/// barriers takes up to 80 ms, once.
///
/// # Errors
///
/// As the variants of [`SpawnError`] say. No worker is left running then.
pub fn spawn(config: Config, reader: Reader) -> Result<Handle, SpawnError> {
    let Config {
        cores,
        listeners,
        upstreams,
        cache,
        fallthrough,
        forwards_private_reverse,
        allow,
        rate_limit,
        nsid,
        cookie_secret,
        tls,
        engine,
    } = config;
    check(&cores, &listeners)?;
    let addresses: Vec<_> = listeners.iter().map(BoundAddress::address).collect();
    upstreams
        .check(&addresses, tls.is_some())
        .map_err(SpawnError::Upstreams)?;
    let (routes, upstreams) = forward::config::channel(upstreams);
    let counters = Counters::new(&cores);
    let mut nsid = nsid;
    nsid.truncate(NSID_OCTETS_MAX);
    let policy = Policy {
        cookies: Some(CookieJar::new(cookie_secret)),
        nsid: nsid.into_boxed_slice(),
        rate_limit,
        fallthrough: fallthrough.into_boxed_slice(),
        forwards_private_reverse,
        ..Policy::new(false, Access::of(allow))
    };
    let rehearsal = Rehearsal::new(reader.clone(), policy.clone(), upstreams.clone());
    let (mut sockets, streams): (Vec<_>, Vec<_>) = listeners
        .into_iter()
        .map(BoundAddress::into_parts)
        .map(|(datagrams, streams)| (datagrams.into_iter(), streams))
        .unzip();
    let flusher = cache::Flusher::default();
    // One for each core, and one for TCP.
    let octets = cache.octets / (cores.len() + 1);
    let share = || worker::Share {
        settings: cache::Settings {
            octets,
            rules: cache.rules.clone(),
        },
        flushes: flusher.listen(),
    };
    let (tcp_counters, tcp_streams) = counters.tcp_writers();
    let streams = tcp::Setup {
        cores: cores.clone(),
        listeners: streams,
        reader: reader.clone(),
        policy: policy.clone(),
        routes: upstreams.clone(),
        cache: share(),
        seed: seed()?,
        tls: tls.clone(),
        counters: tcp_counters,
        streams: tcp_streams,
    };
    let mut setups = Vec::with_capacity(cores.len());
    for (index, core) in cores.into_iter().enumerate() {
        setups.push(Setup {
            core,
            listeners: sockets.iter_mut().filter_map(Iterator::next).collect(),
            reader: reader.clone(),
            policy: policy.clone(),
            routes: upstreams.clone(),
            cache: share(),
            seed: seed()?,
            tls: tls.clone(),
            counters: counters.writer(index),
        });
    }
    let (crew, bell): (_, Box<dyn Send>) = match engine {
        Engine::Glommio => glommio::spawn(setups, streams).map(|(crew, bell)| (crew, Box::new(bell) as _))?,
        Engine::Threads => threads::spawn(setups, streams).map(|(crew, bell)| (crew, Box::new(bell) as _))?,
    };
    Ok(Handle {
        counters,
        crew,
        routes,
        flusher,
        rehearsal,
        listeners: addresses,
        has_tls: tls.is_some(),
        bell,
    })
}

impl Handle {
    /// A reader of all cores' counters, which outlives the workers.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Has all workers forget what they keep, each before its next batch. It does nothing once they have stopped.
    #[must_use]
    pub fn flusher(&self) -> cache::Flusher {
        self.flusher.clone()
    }

    /// Tells what the workers would answer, to whoever wants to know why. What it shows stays as it was once they have
    /// stopped.
    #[must_use]
    pub fn rehearsal(&self) -> Rehearsal {
        self.rehearsal.clone()
    }

    /// How the upstreams are. What it shows stays as it was once the workers have stopped.
    #[must_use]
    pub fn conditions(&self) -> forward::Conditions {
        self.routes.conditions()
    }

    /// Has `upstreams` asked from now on. Each worker looks once a batch; queries that wait go on waiting, and what is
    /// known of upstreams that stay is kept. What others said is forgotten: servers of another network know other names.
    ///
    /// # Errors
    ///
    /// As the variants of [`forward::ConfigError`] say; the upstreams stay as they were then.
    pub fn set_upstreams(&self, upstreams: forward::Config) -> Result<(), forward::ConfigError> {
        upstreams.check(&self.listeners, self.has_tls)?;
        self.routes.set(upstreams);
        self.flusher.flush(&cache::Flush::All);
        Ok(())
    }

    /// Stops the workers: what is queued is answered, queries that wait for an upstream get up to
    /// [`limits::DRAIN_MAX`] for their answer and SERVFAIL after it, and connections are closed once nothing is owed.
    /// Returns when all threads have ended.
    pub fn stop(self) {
        drop(self.bell);
        self.crew.join();
    }
}

/// What nobody can guess, for the ids and ports of one forwarder.
fn seed() -> Result<[u8; 32], SpawnError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(SpawnError::Random)?;
    Ok(seed)
}

fn check(cores: &[usize], listeners: &[BoundAddress]) -> Result<(), SpawnError> {
    if listeners.len() > LISTENERS_MAX {
        return Err(SpawnError::Listeners(listeners.len()));
    }
    for listener in listeners {
        let (address, sockets) = (listener.address(), listener.sockets());
        if sockets != cores.len() {
            return Err(SpawnError::Sockets {
                address,
                sockets,
                cores: cores.len(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
