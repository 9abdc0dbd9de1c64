//! DNS over TCP, row by row: RFC 7766, and what hostile clients of other servers have done.

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use dataplane::{Engine, Streams};
use dns::{Builder, Name, RecordData, RrSet, ZoneSettings};
use support::daemon::{Daemon, binary, run_command, words};
use support::stream::{Stream, framed};
use support::upstream::Upstream;
use support::{SOON, eventually, expect, ports, raw};

/// No engine listens here.
const NO_ENGINE: &str = "--docker /nonexistent/docker.sock";
/// Records of `big.docker`, whose answer is just below 64 KiB: 16 octets each.
const BIG_RECORDS: usize = 4000;
/// While a client does what it should not, others are answered within this.
const AT_ONCE: Duration = Duration::from_millis(500);

/// A data plane that knows `web.docker` and `big.docker`.
struct Served {
    handle: Option<dataplane::Handle>,
    address: SocketAddr,
    upstream: Upstream,
    engine: Engine,
}

impl Served {
    fn start(engine: Engine) -> Self {
        let zone = ZoneSettings::of("docker".parse().expect("a name"), 30);
        let mut builder = Builder::new(vec![zone], 7, 1).expect("one zone");
        for (name, records) in [("web.docker", 1), ("big.docker", BIG_RECORDS)] {
            let address = |number: usize| Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).expect("few"));
            let set = RrSet {
                view: dns::View::EVERYONE,
                ttl_seconds: 30,
                records: (0..records)
                    .map(|number| RecordData::A(address(number)))
                    .collect(),
                additional: Vec::new(),
            };
            let name: Name = name.parse().expect("a name");
            builder.set(&name, &[set]).expect("it fits into a message");
        }
        let (_, reader) = dns::channel(builder.build());
        let upstream = Upstream::start();
        let cores = dataplane::cores::select(None).expect("a core");
        let cores: Vec<_> = cores.into_iter().take(1).collect();
        let bound = dataplane::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).expect("a free port");
        let address = bound.address();
        let config = dataplane::Config {
            cores,
            listeners: vec![bound],
            upstreams: dataplane::forward::Config::all_to(vec![upstream.address()]),
            // So that other addresses of loopback are strangers.
            allow: vec!["127.0.0.1/32".parse().expect("a network")],
            cache: dataplane::cache::Settings::default(),
            fallthrough: Vec::new(),
            rate_limit: 0,
            nsid: Vec::new(),
            forwards_private_reverse: false,
            cookie_secret: [0; 16],
            engine,
        };
        let handle = Some(dataplane::spawn(config, reader).expect("workers start"));
        Self {
            handle,
            address,
            upstream,
            engine,
        }
    }

    fn client(&self) -> Stream {
        Stream::to(self.address)
    }

    fn streams(&self) -> Streams {
        self.handle.as_ref().expect("it runs").counters().streams()
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
        let reply = raw::Asker::of(self.address).ask(&web(7));
        assert_eq!(
            reply.as_deref().and_then(raw::rcode),
            Some(0),
            "{:?}",
            self.engine
        );
        let reply = self.client().ask(&web(8));
        assert_eq!(
            reply.as_deref().and_then(raw::rcode),
            Some(0),
            "{:?}",
            self.engine
        );
        assert!(
            start.elapsed() < AT_ONCE,
            "{:?}: {:?}",
            self.engine,
            start.elapsed()
        );
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop();
        }
    }
}

/// Runs `check` on each engine that works here, side by side: most of it is waiting.
fn on_each_engine(check: impl Fn(Served) + Sync) {
    let engines = [Engine::Glommio, Engine::Threads];
    std::thread::scope(|scope| {
        for engine in engines
            .into_iter()
            .filter(|&engine| dataplane::probe(engine).is_ok())
        {
            let served = Served::start(engine);
            let check = &check;
            scope.spawn(move || check(served));
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

#[test]
fn dig_is_answered_over_tcp_as_over_udp() {
    let upstream = Upstream::start();
    for engine in ["auto", "threads"] {
        let arguments = format!(
            "{NO_ENGINE} --engine {engine} --nameserver {}",
            upstream.address()
        );
        let daemon = Daemon::start(&arguments);
        for question in [
            "docker SOA",
            "nobody.docker A",
            "docker A +dnssec",
            "docker SOA CH",
        ] {
            let over_udp = daemon.dig(question);
            assert_ne!(over_udp.status, "silence");
            assert_eq!(daemon.dig(&format!("{question} +tcp")), over_udp, "{question}");
        }
        let forwarded = daemon.dig("example.com A +tcp");
        assert_eq!(
            (forwarded.status.as_str(), forwarded.answer.len()),
            ("NOERROR", 1),
            "{forwarded:?}"
        );
        assert_eq!(daemon.metric("skydock_dns_requests_total", "proto=\"tcp\""), 5.0);
        assert_eq!(daemon.metric("skydock_dns_requests_total", "proto=\"udp\""), 4.0);
        assert_eq!(daemon.metric("skydock_tcp_connections_accepted_total", ""), 5.0);
        eventually("all closed", SOON, || {
            let finished = daemon.metric("skydock_tcp_connections_closed_total", "reason=\"finished\"");
            expect(
                |counts| *counts == (5.0, 0.0),
                (finished, daemon.metric("skydock_tcp_connections_open", "")),
            )
        });
        daemon.await_log("UDP and TCP");
    }
}

// RFC 7766, section 6.2.1: "clients SHOULD pipeline their queries"; section 8: "a single segment".
#[test]
fn queries_in_one_segment_are_all_answered() {
    on_each_engine(|served| {
        let mut client = served.client();
        client.send(&[framed(&web(1)), framed(&web(2))].concat());
        assert_eq!(ids(&mut client, 2), [1, 2]);
        let all: Vec<u8> = (0..200).flat_map(|id| framed(&web(id))).collect();
        client.send(&all);
        assert_eq!(ids(&mut client, 200), (0..200).collect::<Vec<_>>());
    });
}

#[test]
fn a_query_that_comes_octet_by_octet_is_answered() {
    on_each_engine(|served| {
        let mut client = served.client();
        for octet in framed(&web(5)) {
            client.send(&[octet]);
            std::thread::sleep(Duration::from_millis(3));
        }
        assert_eq!(ids(&mut client, 1), [5]);
    });
}

#[test]
fn two_hundred_forwarded_queries_are_all_answered_though_few_wait_at_once() {
    on_each_engine(|served| {
        let mut client = served.client();
        let all: Vec<u8> = (0..200)
            .flat_map(|id| framed(&raw::query(id, "example.com", 1)))
            .collect();
        client.send(&all);
        assert_eq!(ids(&mut client, 200), (0..200).collect::<Vec<_>>());
    });
}

// RFC 7766, section 6.2.1.1: "a server MAY send responses out of order".
#[test]
fn a_fast_answer_does_not_wait_for_a_slow_one() {
    on_each_engine(|served| {
        served.upstream.set_silent(true);
        let mut client = served.client();
        client.send(&[framed(&raw::query(1, "example.com", 1)), framed(&web(2))].concat());
        assert_eq!(ids(&mut client, 1), [2]);
        eventually("the upstream was asked", SOON, || {
            expect(|asked| *asked > 0, served.upstream.asked())
        });
        let question = served.upstream.last();
        served
            .upstream
            .send_to_last(&served.upstream.answer_with(&question, |_| ()));
        assert_eq!(ids(&mut client, 1), [1]);
    });
}

// RFC 7766, section 8: "the two-octet length field and the message ... at the same time (e.g., in a single write)".
#[test]
fn length_and_message_leave_in_one_write() {
    on_each_engine(|served| {
        let mut client = served.client();
        for id in 0..50 {
            client.send(&framed(&web(id)));
            let octets = client.read_once();
            let length = u16::from_be_bytes([octets[0], octets[1]]);
            assert_eq!(octets.len(), usize::from(length) + 2);
        }
    });
}

#[test]
fn an_answer_of_almost_64_kib_comes_whole() {
    on_each_engine(|served| {
        let mut client = served.client();
        client.send(&framed(&big(1)).repeat(10));
        for _ in 0..10 {
            let reply = client.receive().expect("a reply");
            assert_eq!(usize::from(raw::answers(&reply)), BIG_RECORDS);
            assert!(reply.len() > 64_000, "{}", reply.len());
        }
        // A query may be as large.
        let mut padded = web(2);
        padded.resize(65_535, 0);
        assert_eq!(client.ask(&padded).map(|reply| id(&reply)), Some(2));
    });
}

#[test]
fn what_is_no_query_ends_the_connection_after_the_answers_before_it() {
    on_each_engine(|served| {
        let mut response = web(9);
        response[2] |= 0x80;
        let short = (0..12).map(|length| vec![0; length]);
        for (number, message) in short.chain([response]).enumerate() {
            let mut client = served.client();
            client.send(&[framed(&web(1)), framed(&message), framed(&web(2))].concat());
            assert_eq!(ids(&mut client, 1), [1], "{message:?}");
            assert!(client.time_to_end() < AT_ONCE, "{message:?}");
            served.await_closed("malformed", number as u64 + 1);
        }
        // An ill-formed query is still a query.
        let mut client = served.client();
        let header_alone = &web(3)[..12];
        assert_eq!(client.ask(header_alone).as_deref().and_then(raw::rcode), Some(1));
        assert_eq!(client.ask(&web(4)).map(|reply| id(&reply)), Some(4));
    });
}

// RFC 7766, section 6.2.4: a server answers what came before the client's half was closed.
#[test]
fn a_client_that_has_closed_its_half_is_answered_and_let_go() {
    on_each_engine(|served| {
        let mut client = served.client();
        client.send(&[framed(&web(1)), framed(&raw::query(2, "example.com", 1))].concat());
        client.end();
        assert_eq!(ids(&mut client, 2), [1, 2]);
        assert!(client.time_to_end() < AT_ONCE);
        served.await_closed("finished", 1);

        let mut client = served.client();
        client.send(&framed(&web(1))[..9]);
        client.end();
        assert!(client.time_to_end() < AT_ONCE);
    });
}

// RFC 7766, section 6.2.3, and slowloris.
#[test]
fn clients_that_do_nothing_or_drip_are_closed_in_time() {
    on_each_engine(|served| {
        let (mut silent, mut asked, mut dripping) = (served.client(), served.client(), served.client());
        assert!(asked.ask(&web(1)).is_some());
        let start = Instant::now();
        for octet in framed(&web(2)).into_iter().take(8) {
            if !dripping.send(&[octet]) || dripping.has_ended() {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        dripping.time_to_end();
        let waited = start.elapsed();
        assert!(
            waited > Duration::from_millis(4500) && waited < Duration::from_secs(7),
            "{waited:?}"
        );
        served.await_closed("slow_query", 1);
        assert!(!silent.has_ended() && !asked.has_ended());
        silent.time_to_end();
        asked.time_to_end();
        let waited = start.elapsed();
        assert!(
            waited > Duration::from_millis(9500) && waited < Duration::from_secs(12),
            "{waited:?}"
        );
        served.await_closed("idle", 2);
    });
}

// CVE-2024-8418: one client that held a connection stopped aardvark-dns for all.
#[test]
fn a_client_with_400_idle_connections_keeps_a_few_and_nobody_out() {
    on_each_engine(|served| {
        let mut held: Vec<_> = (0..400).map(|_| served.client()).collect();
        served.assert_others_are_served();
        eventually("the oldest were closed", SOON, || {
            expect(|open| *open <= 32, served.streams().open())
        });
        assert!(held[..300].iter().all(Stream::has_ended));
        let last = held.last_mut().expect("400 of them");
        assert!(last.ask(&web(1)).is_some(), "the newest stay");
        assert_eq!(served.streams().refused, 0);
    });
}

#[test]
fn clients_of_many_addresses_hold_all_places_and_a_newcomer_gets_in() {
    let daemon = Daemon::start(NO_ENGINE);
    let held: Vec<_> = (0..560)
        .map(|number: u16| {
            let [_, host] = (number % 20 + 10).to_be_bytes();
            Stream::from(Ipv4Addr::new(127, 0, 0, host), daemon.dns())
        })
        .collect();
    eventually("all are taken", SOON, || {
        let accepted = daemon.metric("skydock_tcp_connections_accepted_total", "");
        expect(|accepted| *accepted >= 560.0, accepted)
    });
    assert_eq!(daemon.metric("skydock_tcp_connections_open", ""), 512.0);
    let start = Instant::now();
    assert_eq!(daemon.dig("docker SOA +tcp").status, "NOERROR");
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    assert!(start.elapsed() < 2 * AT_ONCE);
    let ended = held.iter().take(49).filter(|client| client.has_ended()).count();
    assert!(ended >= 48, "the oldest gave way: {ended}");
}

#[test]
fn a_client_that_never_reads_is_bounded_and_closed_and_delays_nobody() {
    on_each_engine(|served| {
        let mut greedy = served.client();
        // 640 MB of answers, if they were all made.
        greedy.send(&framed(&big(1)).repeat(400));
        for _ in 0..5 {
            served.assert_others_are_served();
        }
        let before = replies(&served);
        std::thread::sleep(Duration::from_millis(300));
        // What there is for it: two replies with us, and what both kernels hold.
        assert!(replies(&served) - before < 5, "no more is made than fits");
        assert!(replies(&served) < 200, "{}", replies(&served));
        served.await_closed("slow_reader", 1);
    });
}

fn replies(served: &Served) -> u64 {
    let counters = served.handle.as_ref().expect("it runs").counters();
    counters.tcp().replies().map(|(_, count)| count).sum()
}

#[test]
fn a_client_that_takes_a_little_now_and_then_is_closed_too() {
    on_each_engine(|served| {
        let mut slow = served.client();
        slow.send(&framed(&big(1)).repeat(400));
        let start = Instant::now();
        while served.streams().open() > 0 && start.elapsed() < SOON {
            slow.await_something();
            std::thread::sleep(Duration::from_millis(250));
        }
        served.await_closed("slow_reader", 1);
    });
}

// CVE-2026-35406: such frames and a reset left aardvark-dns at 100 % CPU for ever.
#[test]
fn truncated_frames_and_resets_leave_no_descriptor_and_no_cpu_time_behind() {
    for engine in ["auto", "threads"] {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --engine {engine}"));
        assert_eq!(daemon.dig("docker SOA +tcp").status, "NOERROR");
        let before = descriptors(&daemon);
        for number in 0..100_usize {
            let mut client = Stream::to(daemon.dns());
            let query = framed(&raw::query(1, "docker", 6));
            client.send(&query);
            client.await_something();
            client.send(&query[..number % query.len()]);
            // A reply left unread makes this a reset.
            drop(client);
        }
        // A daemon this young may still open one or two for itself; a hundred clients would leave a hundred.
        eventually("descriptors", SOON, || {
            expect(|open| *open <= before + 5, descriptors(&daemon))
        });
        assert_idle(&daemon);
        assert_eq!(daemon.metric("skydock_tcp_connections_open", ""), 0.0);
        assert_eq!(daemon.dig("docker SOA +tcp").status, "NOERROR");
    }
}

// CVE-2022-0396 (BIND): connections stayed in CLOSE_WAIT for ever.
#[test]
fn clients_that_go_away_in_mid_answer_leave_nothing_behind() {
    on_each_engine(|served| {
        for number in 0..40 {
            let mut client = served.client();
            client.send(&framed(&big(1)).repeat(30));
            client.await_something();
            if number % 2 == 0 {
                client.end();
            }
            drop(client);
        }
        eventually("no connection is left", SOON, || {
            let open = served.streams().open();
            expect(
                |left| *left == (0, 0),
                (open, sockets_of(served.address, CLOSE_WAIT)),
            )
        });
        served.assert_others_are_served();
    });
}

#[test]
fn without_descriptors_accepting_pauses_without_spinning_and_goes_on_after() {
    for engine in ["auto", "threads"] {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --engine {engine}"));
        assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
        let asker = raw::Asker::of(daemon.dns());
        let limit = descriptors(&daemon) + 6;
        set_descriptors_max(&daemon, limit);
        // All busy with a query, so none can give way; only half of them find a descriptor.
        let mut held: Vec<_> = (0..12).map(|_| Stream::to(daemon.dns())).collect();
        for client in &mut held {
            client.send(&framed(&raw::query(1, "docker", 6))[..10]);
        }
        std::thread::sleep(Duration::from_millis(300));
        assert_idle(&daemon);
        let reply = asker.ask(&raw::query(2, "docker", 6));
        assert_eq!(reply.as_deref().and_then(raw::rcode), Some(0), "UDP goes on");
        drop(held);
        eventually("it accepts again", SOON, || {
            expect(
                |reply: &support::dig::Reply| reply.status == "NOERROR",
                daemon.dig("docker SOA +tcp"),
            )
        });
    }
}

#[test]
fn a_stop_answers_what_was_asked_and_ends_every_connection() {
    on_each_engine(|mut served| {
        served.upstream.set_silent(true);
        let (mut idle, mut waiting, mut asking) = (served.client(), served.client(), served.client());
        assert!(idle.ask(&web(1)).is_some());
        waiting.send(&framed(&raw::query(2, "example.com", 1)));
        eventually("the upstream was asked", SOON, || {
            expect(|asked| *asked > 0, served.upstream.asked())
        });
        let mut greedy = served.client();
        greedy.send(&framed(&big(3)).repeat(50));
        asking.send(&(0..100).flat_map(|id| framed(&web(id))).collect::<Vec<_>>());
        let start = Instant::now();
        served.handle.take().expect("it runs").stop();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(ids(&mut asking, 100), (0..100).collect::<Vec<_>>());
        assert_eq!(asking.receive(), None);
        assert_eq!(idle.receive(), None);
        assert_eq!(
            waiting.receive().as_deref().and_then(raw::rcode),
            Some(2),
            "SERVFAIL"
        );
        assert_eq!(waiting.receive(), None);
        drop(greedy);
        // The port is free again, whatever lingers.
        dataplane::bind(served.address, 1).expect("the same address");
    });
}

#[test]
fn a_daemon_with_connections_in_every_state_stops_in_time_and_well() {
    for engine in ["auto", "threads"] {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --engine {engine}"));
        let (idle, mut partial, mut gone) = (
            Stream::to(daemon.dns()),
            Stream::to(daemon.dns()),
            Stream::to(daemon.dns()),
        );
        partial.send(&[0, 30, 1]);
        gone.send(&framed(&raw::query(1, "docker", 6)).repeat(100));
        drop(gone);
        daemon.stop();
        assert!(idle.has_ended());
    }
}

#[test]
fn who_may_ask_is_the_same_as_over_udp() {
    on_each_engine(|served| {
        let mut stranger = Stream::from(Ipv4Addr::new(127, 0, 0, 2), served.address);
        let refused = stranger.ask(&web(1));
        assert_eq!(refused.as_deref().and_then(raw::rcode), Some(5));
    });
}

#[test]
fn an_address_held_for_tcp_alone_is_not_taken_and_its_holder_is_named() {
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = holder.local_addr().expect("its address");
    let line = format!("--listen {address} --http {} {NO_ENGINE}", ports::free());
    let (exit, _, error) = run_command(binary().args(words(&line)));
    assert_eq!(exit, Some(1));
    for part in [
        format!("{address} (TCP) is held by"),
        format!("pid {}", std::process::id()),
    ] {
        assert!(error.contains(&part), "{part:?} is missing in: {error}");
    }
}

fn descriptors(daemon: &Daemon) -> usize {
    let directory = PathBuf::from(format!("/proc/{}/fd", daemon.pid()));
    directory.read_dir().expect("our child's descriptors").count()
}

fn set_descriptors_max(daemon: &Daemon, limit: usize) {
    let status = Command::new("prlimit")
        .args([
            format!("--pid={}", daemon.pid()),
            format!("--nofile={limit}:{limit}"),
        ])
        .status();
    assert!(status.expect("prlimit starts (package util-linux)").success());
}

/// The daemon uses next to no CPU time for half a second.
fn assert_idle(daemon: &Daemon) {
    let cpu = || {
        let tasks = PathBuf::from(format!("/proc/{}/task", daemon.pid()));
        let tasks = tasks.read_dir().expect("our child's threads").flatten();
        let times = tasks.filter_map(|task| {
            let line = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            line.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(times.sum())
    };
    eventually("it is idle", SOON, || {
        let before = cpu();
        std::thread::sleep(Duration::from_millis(500));
        expect(
            |used| *used < Duration::from_millis(25),
            cpu().saturating_sub(before),
        )
    });
}

/// As /proc/net/tcp has it.
const CLOSE_WAIT: &str = "08";

/// How many sockets of loopback with this port and state there are.
fn sockets_of(local: SocketAddr, state: &str) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let place = format!("0100007F:{:04X}", local.port());
    let lines = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|words| words.get(1) == Some(&place.as_str()) && words.get(3) == Some(&state))
        .count()
}
