//! Both engines, end to end over loopback: real sockets, real threads, a scripted upstream.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use dns::{Builder, Name, Publisher, Rcode, RecordData, RrSet, ZoneSettings};

use super::*;

const ENGINES: [Engine; 2] = [Engine::Glommio, Engine::Threads];
const PATIENCE: Duration = Duration::from_secs(5);

/// `name` is in the zone `docker` with one address.
fn builder(name: &str) -> Builder {
    let zone = ZoneSettings::of("docker".parse().unwrap(), 30);
    let mut builder = Builder::new(vec![zone], 7, 1).unwrap();
    publish_name(&mut builder, name);
    builder
}

fn publish_name(builder: &mut Builder, name: &str) {
    let address = RecordData::A(Ipv4Addr::new(172, 17, 0, 2));
    let set = RrSet {
        view: dns::View::EVERYONE,
        ttl_seconds: 30,
        until: None,
        records: vec![address],
        additional: Vec::new(),
    };
    builder.set(&name.parse::<Name>().unwrap(), &[set]).unwrap();
}

struct Server {
    handle: Handle,
    address: SocketAddr,
    publisher: Publisher,
    builder: Builder,
}

/// One worker on `listen` that knows `web.docker`.
fn serve(engine: Engine, listen: &str, upstreams: &[SocketAddr]) -> Server {
    let cores = vec![cores::select(None).unwrap()[0]];
    let bound = bind(listen.parse().unwrap(), 1).unwrap();
    let address = bound.address();
    let mut builder = builder("web.docker");
    let (publisher, reader) = dns::channel(builder.build());
    let allow = access::default_networks().collect();
    let config = Config {
        cores,
        listeners: vec![bound],
        upstreams: forward::Config::all_to(upstreams.to_vec()),
        allow,
        cache: cache::Settings::default(),
        fallthrough: Vec::new(),
        rate_limit: limits::RATE_LIMIT_DEFAULT,
        nsid: Vec::new(),
        forwards_private_reverse: false,
        cookie_secret: [5; 16],
        tls: None,
        engine,
    };
    let handle = spawn(config, reader).unwrap();
    Server {
        handle,
        address,
        publisher,
        builder,
    }
}

fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A query for `name` A with RD.
fn query(id: u16, name: &str) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend(b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00");
    query.extend(name.parse::<Name>().unwrap().octets());
    query.extend(b"\x00\x01\x00\x01");
    query
}

fn ask(client: &UdpSocket, server: SocketAddr, query: &[u8]) -> Vec<u8> {
    client.send_to(query, server).unwrap();
    receive(client, server)
}

fn receive(client: &UdpSocket, server: SocketAddr) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!(from, server, "the reply came from another address than was asked");
    buffer[..length].to_vec()
}

fn rcode(reply: &[u8]) -> u8 {
    reply[3] & 0xf
}

/// An upstream that answers `count` queries with one record, and returns whom they came from.
fn upstream(count: usize) -> (SocketAddr, thread::JoinHandle<Vec<SocketAddr>>) {
    let socket = client();
    let address = socket.local_addr().unwrap();
    let answering = move || {
        let mut peers = Vec::new();
        let mut buffer = [0; 4096];
        while peers.len() < count {
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            // Without the OPT record that ends the question.
            let length = length - 11;
            buffer[2] |= 0x80;
            (buffer[7], buffer[11]) = (1, 0);
            let record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04\xc0\x00\x02\x09";
            buffer[length..length + record.len()].copy_from_slice(record);
            // Something made up comes first: it must not be believed, nor end the wait.
            let mut forged = buffer[..length + record.len()].to_vec();
            forged[0] ^= 1;
            socket.send_to(&forged, peer).unwrap();
            socket.send_to(&buffer[..length + record.len()], peer).unwrap();
            peers.push(peer);
        }
        peers
    };
    (address, thread::spawn(answering))
}

#[test]
fn local_names_are_answered_and_others_forwarded_by_both_engines() {
    for engine in ENGINES {
        let (upstream, answering) = upstream(1);
        let server = serve(engine, "127.0.0.1:0", &[upstream]);
        let client = client();
        let reply = ask(&client, server.address, &query(1, "web.docker"));
        assert_eq!(
            (rcode(&reply), &reply[reply.len() - 4..]),
            (0, [172, 17, 0, 2].as_slice())
        );
        assert_eq!(rcode(&ask(&client, server.address, &query(2, "gone.docker"))), 3);
        let reply = ask(&client, server.address, &query(3, "example.com"));
        assert_eq!(
            (&reply[..2], &reply[reply.len() - 4..]),
            ([0, 3].as_slice(), [192, 0, 2, 9].as_slice())
        );
        client.send_to(b"no query", server.address).unwrap();
        answering.join().unwrap();

        let counters = server.handle.counters();
        server.handle.stop();
        let total = counters.total();
        assert_eq!(
            (total.queries, total.forwards, total.forward_answers),
            (4, 1, 1),
            "{engine:?}"
        );
        assert_eq!(
            (total.dropped_malformed, total.forward_mismatches),
            (1, 1),
            "{engine:?}"
        );
        let replies: Vec<_> = total.replies().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            replies,
            [(Some(Rcode::NO_ERROR), 2), (Some(Rcode::NX_DOMAIN), 1)],
            "{engine:?}"
        );
    }
}

#[test]
fn every_reply_leaves_from_the_address_that_was_asked_forwarded_ones_too() {
    for engine in ENGINES {
        let (upstream, answering) = upstream(1);
        let server = serve(engine, "0.0.0.0:0", &[upstream]);
        let asked = SocketAddr::from(([127, 0, 0, 2], server.address.port()));
        assert_eq!(rcode(&ask(&client(), asked, &query(1, "web.docker"))), 0);
        assert_eq!(rcode(&ask(&client(), asked, &query(2, "example.com"))), 0);
        answering.join().unwrap();
        server.handle.stop();
    }
}

#[test]
fn what_is_published_is_seen_by_the_next_query_even_after_a_long_sleep() {
    for engine in ENGINES {
        let mut server = serve(engine, "127.0.0.1:0", &[]);
        let client = client();
        assert_eq!(rcode(&ask(&client, server.address, &query(1, "new.docker"))), 3);
        thread::sleep(3 * limits::LINGER);
        publish_name(&mut server.builder, "new.docker");
        server.publisher.publish(server.builder.build());
        assert_eq!(rcode(&ask(&client, server.address, &query(2, "new.docker"))), 0);
        server.handle.stop();
    }
}

// RFC 5452, section 9.2: the source port of each question is unpredictable.
#[test]
fn each_forwarded_query_has_a_source_port_of_its_own() {
    for engine in ENGINES {
        let (upstream, answering) = upstream(120);
        let server = serve(engine, "127.0.0.1:0", &[upstream]);
        let client = client();
        for id in 0..120 {
            assert_eq!(rcode(&ask(&client, server.address, &query(id, "example.com"))), 0);
        }
        let mut ports: Vec<_> = answering.join().unwrap().iter().map(SocketAddr::port).collect();
        ports.sort_unstable();
        ports.dedup();
        // Out of some 28 000, one or two pairs may meet by chance.
        assert!(
            ports.len() >= 117,
            "{engine:?}: {} ports for 120 queries",
            ports.len()
        );
        server.handle.stop();
    }
}

#[test]
fn a_closed_upstream_port_is_passed_over_at_once_and_is_servfail_when_it_is_the_last() {
    for engine in ENGINES {
        let closed = client().local_addr().unwrap();
        let (open, answering) = upstream(1);
        let server = serve(engine, "127.0.0.1:0", &[closed, open]);
        let start = Instant::now();
        assert_eq!(
            rcode(&ask(&client(), server.address, &query(1, "example.com"))),
            0
        );
        answering.join().unwrap();
        server.handle.stop();

        let server = serve(engine, "127.0.0.1:0", &[closed]);
        assert_eq!(
            rcode(&ask(&client(), server.address, &query(1, "example.com"))),
            2
        );
        assert!(
            start.elapsed() < limits::TRY_TIMEOUT,
            "{engine:?}: {:?}",
            start.elapsed()
        );
        server.handle.stop();
    }
}

#[test]
fn a_silent_upstream_ends_in_servfail_within_a_stubs_patience_and_local_names_do_not_wait() {
    for engine in ENGINES {
        let silent = client();
        let server = serve(engine, "127.0.0.1:0", &[silent.local_addr().unwrap()]);
        let (waiting, local) = (client(), client());
        let start = Instant::now();
        waiting.send_to(&query(1, "example.com"), server.address).unwrap();
        assert_eq!(rcode(&ask(&local, server.address, &query(2, "web.docker"))), 0);
        // Bounds that a busy machine keeps, too: a stub waits five seconds.
        assert!(start.elapsed() < limits::TRY_TIMEOUT);
        assert_eq!(rcode(&receive(&waiting, server.address)), 2);
        let waited = start.elapsed();
        assert!(
            waited >= limits::FORWARD_TIMEOUT && waited < limits::FORWARD_TIMEOUT + Duration::from_secs(2)
        );
        assert_eq!(server.handle.counters().total().forward_timeouts, 1);
        server.handle.stop();
    }
}

#[test]
fn stop_answers_what_is_queued_and_does_not_keep_clients_of_a_silent_upstream_waiting() {
    for engine in ENGINES {
        let silent = client();
        let server = serve(engine, "127.0.0.1:0", &[silent.local_addr().unwrap()]);
        let (waiting, local) = (client(), client());
        waiting.send_to(&query(1, "example.com"), server.address).unwrap();
        for id in 0..100 {
            local.send_to(&query(id, "web.docker"), server.address).unwrap();
        }
        let start = Instant::now();
        server.handle.stop();
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{engine:?}: {:?}",
            start.elapsed()
        );
        for _ in 0..100 {
            assert_eq!(rcode(&receive(&local, server.address)), 0, "{engine:?}");
        }
        assert_eq!(rcode(&receive(&waiting, server.address)), 2, "{engine:?}");
        // The port is free again.
        bind(server.address, 1).unwrap();
    }
}

#[test]
fn a_handle_dropped_without_stop_leaves_no_worker_behind() {
    for engine in ENGINES {
        let server = serve(engine, "127.0.0.1:0", &[]);
        drop(server.handle);
        let start = Instant::now();
        while bind(server.address, 1).is_err() {
            assert!(start.elapsed() < PATIENCE, "{engine:?}: the port is still held");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Time on a core of the threads of this process called `skydock-…`, in nanoseconds.
fn workers_cpu() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .map(|task| task.path());
    tasks
        .filter(|task| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("skydock-"))
        })
        .filter_map(|task| std::fs::read_to_string(task.join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[test]
fn an_idle_worker_sleeps() {
    for engine in ENGINES {
        let server = serve(engine, "127.0.0.1:0", &[]);
        assert_eq!(rcode(&ask(&client(), server.address, &query(1, "web.docker"))), 0);
        // Workers of tests that run beside this one work too, so one quiet stretch is enough.
        let quiet = (0..20).any(|_| {
            let before = workers_cpu();
            thread::sleep(Duration::from_millis(200));
            workers_cpu().saturating_sub(before) < Duration::from_millis(5).as_nanos() as u64
        });
        assert!(quiet, "{engine:?} never idles");
        server.handle.stop();
    }
}

#[test]
fn what_cannot_work_is_refused_before_a_worker_starts() {
    let told = |cores: &[usize], sockets, upstreams: &[SocketAddr], engine, port: u16| {
        let bound = bind(SocketAddr::from(([127, 0, 0, 1], port)), sockets).unwrap();
        let own = [bound.address()];
        let upstreams = if upstreams.is_empty() {
            own.to_vec()
        } else {
            upstreams.to_vec()
        };
        let (_, reader) = dns::channel(builder("web.docker").build());
        let config = Config {
            cores: cores.to_vec(),
            listeners: vec![bound],
            upstreams: forward::Config::all_to(upstreams),
            allow: Vec::new(),
            cache: cache::Settings::default(),
            fallthrough: Vec::new(),
            rate_limit: 0,
            nsid: Vec::new(),
            forwards_private_reverse: false,
            cookie_secret: [5; 16],
            tls: None,
            engine,
        };
        spawn(config, reader).err().unwrap().to_string()
    };
    let other = [SocketAddr::from(([192, 0, 2, 1], 53))];
    let core = cores::select(None).unwrap()[0];
    assert!(told(&[core], 1, &[], Engine::Threads, 0).contains("is an address that we listen on"));
    assert!(told(&[core], 2, &other, Engine::Threads, 0).contains("2 sockets for 1 cores"));
    assert!(told(&[core], 1, &other.repeat(9), Engine::Threads, 0).contains("9 upstreams were given"));
    for engine in ENGINES {
        assert!(told(&[1000], 1, &other, engine, 0).contains("cannot be pinned to core 1000"));
    }
}

#[test]
fn upstreams_are_replaced_while_workers_run() {
    for engine in ENGINES {
        let (first, answering_first) = upstream(1);
        let (second, answering_second) = upstream(1);
        let server = serve(engine, "127.0.0.1:0", &[]);
        let client = client();
        assert_eq!(rcode(&ask(&client, server.address, &query(1, "a.example"))), 5);
        let route = |domain: &str, upstreams: &[SocketAddr]| forward::Route {
            domain: domain.parse().unwrap(),
            upstreams: upstreams.iter().copied().map(Into::into).collect(),
        };
        let routes = vec![
            route(".", &[first]),
            route("corp.example", &[second]),
            route("gone.corp.example", &[]),
        ];
        let policy = forward::Policy::Sequential;
        server
            .handle
            .set_upstreams(forward::Config { routes, policy })
            .unwrap();
        for (name, expected) in [("a.example", 0), ("a.corp.example", 0), ("gone.corp.example", 3)] {
            assert_eq!(
                rcode(&ask(&client, server.address, &query(2, name))),
                expected,
                "{name}"
            );
        }
        answering_first.join().unwrap();
        answering_second.join().unwrap();
        let ourselves = forward::Config::all_to(vec![server.address]);
        assert_eq!(
            server.handle.set_upstreams(ourselves),
            Err(forward::ConfigError::Loop(server.address))
        );
        server.handle.stop();
    }
}
