//! What misses cost everybody else, through real sockets: a scan of a million names through the cache, and ten thousand
//! names that hang.
//!
//! ```text
//!  scan: hot names asked for now and again ─┬─ a million others, each once      memory at the bound, hot names kept
//!  hang: a local name, over and over ───────┴─ ten thousand that no upstream answers      latencies as before
//! ```

mod fixture;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use dataplane::access::default_networks;
use dataplane::cache::{Rules, Settings};
use dataplane::forward::{Config, Policy, Route, Upstream};
use dataplane::{Counters, Engine, Handle};
use dns::Name;

const A: u16 = 1;
/// Octets that the cache is given, for one core and TCP alike.
const CACHE_OCTETS: usize = 32 << 20;
const SCANNED: u32 = 1_000_000;
const HOT: u32 = 1_000;
const HANGING: u32 = 10_000;
/// Local names asked for before, and while others hang.
const LOCAL: usize = 20_000;
/// Queries under way at once.
const WINDOW: u32 = 64;

fn main() {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}\n{}", scan(), hang());
}

/// A data plane on one core, with what `upstreams` says.
fn serve(upstreams: Config, cache: usize) -> (Handle, SocketAddr) {
    let cores = dataplane::cores::select(None).expect("a core to run on");
    let bound = dataplane::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 1).expect("a free port");
    let address = bound.address();
    let (_, reader) = dns::channel(fixture::zone(1_000).build());
    let config = dataplane::Config {
        cores: cores.into_iter().take(1).collect(),
        listeners: vec![bound],
        upstreams,
        cache: Settings {
            octets: cache,
            rules: Rules::default(),
        },
        fallthrough: Vec::new(),
        forwards_private_reverse: false,
        allow: default_networks().collect(),
        rate_limit: 0,
        nsid: Vec::new(),
        cookie_secret: [7; 16],
        tls: None,
        engine: match dataplane::probe(Engine::Glommio) {
            Ok(()) => Engine::Glommio,
            Err(_) => Engine::Threads,
        },
    };
    (dataplane::spawn(config, reader).expect("workers start"), address)
}

/// An upstream that gives every name one address for an hour; or, if it `is_dead`, no answer at all.
fn upstream(is_dead: bool) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("its address");
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut question) {
            let Some(packet) = question.get(..length).filter(|_| !is_dead) else {
                continue;
            };
            let _ = socket.send_to(&fixture::reply(packet, 1), client);
        }
    });
    address
}

fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.connect(server).expect("loopback");
    socket
        .set_read_timeout(Some(Duration::from_secs(3)))
        .expect("a timeout above zero");
    socket
}

/// Asks for all of `names`, some at once, and waits for each.
fn ask(client: &UdpSocket, names: impl Iterator<Item = String>) {
    let mut buffer = [0; 512];
    let mut under_way = 0;
    for name in names {
        client.send(&fixture::query(&name, A)).expect("loopback takes it");
        under_way += 1;
        if under_way >= WINDOW {
            let _ = client.recv(&mut buffer);
            under_way -= 1;
        }
    }
    for _ in 0..under_way {
        let _ = client.recv(&mut buffer);
    }
}

/// Resident memory of this process, in octets.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}

fn scan() -> String {
    let (handle, address) = serve(Config::all_to(vec![upstream(false)]), CACHE_OCTETS);
    let (client, counters) = (client(address), handle.counters());
    let hot = || (0..HOT).map(|number| format!("hot{number}.example.org"));
    let scanned = |numbers: std::ops::Range<u32>| numbers.map(|number| format!("scan{number}.example.org"));
    for _ in 0..4 {
        ask(&client, hot());
    }
    // Once through, so that every page that will ever be touched has been.
    let warm = SCANNED / 4;
    ask(&client, scanned(SCANNED..SCANNED + warm));
    ask(&client, hot());
    let (before, mut lost) = (resident(), 0);
    let start = Instant::now();
    for part in 0..20 {
        let step = SCANNED / 20;
        ask(&client, scanned(part * step..(part + 1) * step));
        let misses = misses(&counters);
        ask(&client, hot());
        lost += self::misses(&counters) - misses;
    }
    let (after, octets) = (resident(), counters.total().cache_octets as usize);
    handle.stop();
    assert!(octets <= CACHE_OCTETS, "{octets} octets in the cache");
    let grown = after.saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} octets more after the scan");
    assert!(
        lost * 50 < u64::from(20 * HOT),
        "{lost} of {} hot questions were misses",
        20 * HOT
    );
    format!(
        "scan: {SCANNED} names in {:.1?}; cache {:.1} of {} MiB, process {:+.1} MiB; {lost} of {} hot questions missed",
        start.elapsed(),
        octets as f64 / 1_048_576.0,
        CACHE_OCTETS >> 20,
        (after as f64 - before as f64) / 1_048_576.0,
        20 * HOT
    )
}

fn misses(counters: &Counters) -> u64 {
    counters.total().cache_misses
}

fn hang() -> String {
    let route = |domain: Name, upstream: SocketAddr| Route {
        domain,
        upstreams: vec![Upstream::from(upstream)],
    };
    let upstreams = Config {
        routes: vec![
            route(Name::root(), upstream(true)),
            route(fixture::name("good.example"), upstream(false)),
        ],
        policy: Policy::Sequential,
    };
    let (handle, address) = serve(upstreams, 0);
    let asker = client(address);
    let before = local(&asker);
    let hanging = client(address);
    let start = Instant::now();
    for number in 0..HANGING {
        let query = fixture::query(&format!("hang{number}.example.org"), A);
        hanging.send(&query).expect("loopback takes it");
        // Its queue holds some thousands.
        if number.is_multiple_of(256) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let mut during = Vec::new();
    // For as long as all of them wait.
    while start.elapsed() < Duration::from_millis(2300) && during.len() < LOCAL {
        during.push(one(&asker, "instance77.image7.dev.docker"));
    }
    let waited = handle.counters().total().forwards;
    let good = one(&asker, "www.good.example");
    during.sort_unstable();
    handle.stop();
    let shown = |sorted: &[Duration]| {
        let at = |share: usize| {
            sorted
                .get(sorted.len() * share / 1000)
                .copied()
                .unwrap_or_default()
        };
        format!(
            "median {:.1?}, p99 {:.1?}, p99.9 {:.1?}",
            at(500),
            at(990),
            at(999)
        )
    };
    format!(
        "hang: a local name {} before;\n      {} while {waited} names hang, {} times; a good foreign name {good:.1?}",
        shown(&before),
        shown(&during),
        during.len()
    )
}

/// How long a local name takes, over and over, sorted.
fn local(asker: &UdpSocket) -> Vec<Duration> {
    let mut took: Vec<_> = (0..LOCAL)
        .map(|_| one(asker, "instance77.image7.dev.docker"))
        .collect();
    took.sort_unstable();
    took
}

/// How long the answer to one question takes.
fn one(asker: &UdpSocket, name: &str) -> Duration {
    let (query, mut reply) = (fixture::query(name, A), [0; 512]);
    let start = Instant::now();
    asker.send(&query).expect("loopback takes it");
    let length = asker.recv(&mut reply).expect("an answer");
    assert!(length > query.len() && reply.get(3).is_some_and(|flags| flags & 0xf == 0));
    start.elapsed()
}
