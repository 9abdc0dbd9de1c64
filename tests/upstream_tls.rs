//! Upstreams that are asked over TLS: Unbound behind a certificate that holds, or does not, and connections that end.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use support::daemon::Daemon;
use support::dig::Reply;
use support::unbound::{Unbound, fixed_port};
use support::upstream::Upstream;
use support::{SOON, eventually, expect, ports};

const NAME: &str = "dns.example";

/// Makes a CA, `ca.pem`, and a certificate for `name` until `year`, `cert.pem` and `key.pem`, in `directory`.
fn make_certificates(directory: &Path, name: &str, year: i32) {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("a CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = key();
    let ca = params.self_signed(&ca_key).expect("a CA").pem();
    let issuer = Issuer::new(params, ca_key);
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a certificate");
    params.not_after = date_time_ymd(year, 1, 1);
    let key = key();
    let certificate = params.signed_by(&key, &issuer).expect("a signature").pem();
    for (file, text) in [
        ("ca.pem", &ca),
        ("cert.pem", &certificate),
        ("key.pem", &key.serialize_pem()),
    ] {
        std::fs::write(directory.join(file), text).expect("a file");
    }
}

/// Between the daemon and its upstream: it counts connections, breaks them off, and hears whether anything comes in the
/// clear.
struct Middle {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    datagrams: UdpSocket,
}

impl Middle {
    fn before(upstream: SocketAddr) -> Self {
        let address = fixed_port();
        let listener = TcpListener::bind(address).expect("a port that was free");
        let datagrams = UdpSocket::bind(address).expect("a port that was free");
        datagrams.set_nonblocking(true).expect("it can be");
        let (connections, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, kept) = (Arc::clone(&connections), Arc::clone(&open));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                count.fetch_add(1, Ordering::SeqCst);
                // Nobody there: the client's connection ends.
                let Ok(server) = TcpStream::connect(upstream) else {
                    continue;
                };
                let copy = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                support::engine::lock(&kept).push(copy(&client));
                for (from, to) in [(copy(&client), copy(&server)), (server, client)] {
                    std::thread::spawn(move || forward(from, to));
                }
            }
        });
        Self {
            address,
            connections,
            open,
            datagrams,
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends all connections without a word.
    fn break_off(&self) {
        for stream in support::engine::lock(&self.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn assert_nothing_in_the_clear(&self) {
        assert!(
            self.datagrams.recv(&mut [0; 512]).is_err(),
            "a question in the clear"
        );
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    let mut octets = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut octets) {
        if to.write_all(octets.get(..length).unwrap_or_default()).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Unbound behind a certificate for `name` until `year`, and what stands before it.
struct World {
    directory: tempfile::TempDir,
    unbound: Unbound,
    middle: Middle,
}

impl World {
    fn start(name: &str, year: i32) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        make_certificates(directory.path(), name, year);
        let address = fixed_port();
        let port = address.port();
        let file = |name: &str| directory.path().join(name).display().to_string();
        let more = format!(
            " tls-port: {port}\n tls-service-key: \"{}\"\n tls-service-pem: \"{}\"\n",
            file("key.pem"),
            file("cert.pem")
        );
        let unbound = Unbound::start(address, &more)?;
        eventually("Unbound", 6 * SOON, || {
            TcpStream::connect(address)
                .map(drop)
                .map_err(|error| error.to_string())
        });
        let middle = Middle::before(address);
        Some(Self {
            directory,
            unbound,
            middle,
        })
    }

    /// A daemon on one core that asks it, and then `others`, with more `arguments`.
    fn daemon(&self, others: &str, arguments: &str) -> Daemon {
        let (server, ca) = (self.middle.address, self.directory.path().join("ca.pem"));
        Daemon::start(&format!(
            "--docker /nonexistent --cores 1 --cache-size 0 --nameserver {server}#{NAME}{others} \
             --nameserver-ca {} {arguments}",
            ca.display()
        ))
    }
}

fn is_answered(daemon: &Daemon, question: &str) -> Result<Reply, String> {
    let reply = daemon.dig(&format!("{question} +time=5"));
    expect(|reply: &Reply| reply.answer.len() == 2, reply)
}

#[test]
fn everything_is_asked_by_one_connection_that_is_kept_and_nothing_in_the_clear() {
    let Some(world) = World::start(NAME, 4000) else {
        return;
    };
    let daemon = world.daemon("", "");
    for _ in 0..20 {
        is_answered(&daemon, "www.example.org A").expect("an answer");
    }
    assert_eq!(world.middle.connections(), 1);
    // Many at once are in flight together, and those that come by TCP have a worker and a connection of their own.
    std::thread::scope(|scope| {
        for number in 0..16 {
            let daemon = &daemon;
            scope.spawn(move || {
                let reply = daemon.dig(&format!("n{number}.many.example.org A +time=5"));
                assert_eq!(reply.answer.len(), 1, "{reply:?}");
            });
        }
    });
    is_answered(&daemon, "www.example.org A +tcp").expect("an answer");
    assert_eq!(world.middle.connections(), 2);
    assert_eq!(daemon.dig("gone.example.org A").status, "NXDOMAIN");
    world.middle.assert_nothing_in_the_clear();
    assert!(daemon.metric("skydock_dns_forward_tls_total", "") >= 38.0);
    assert_eq!(daemon.metric("skydock_dns_forward_tls_failures_total", ""), 0.0);
}

// RFC 8310, section 5: with the strict profile there is no service rather than one that nobody vouches for.
#[test]
fn a_certificate_for_another_name_or_over_or_of_a_stranger_is_refused_at_once() {
    for (name, year, is_trusted) in [
        ("other.example", 4000, true),
        (NAME, 2020, true),
        (NAME, 4000, false),
    ] {
        let Some(world) = World::start(name, year) else {
            return;
        };
        if !is_trusted {
            // Another CA is trusted than the one that signed.
            let stranger = tempfile::tempdir().expect("a directory");
            make_certificates(stranger.path(), name, year);
            std::fs::copy(
                stranger.path().join("ca.pem"),
                world.directory.path().join("ca.pem"),
            )
            .expect("a file");
        }
        let daemon = world.daemon("", "");
        let start = Instant::now();
        let reply = daemon.dig("www.example.org A +time=5");
        assert_eq!(reply.status, "SERVFAIL", "{name} {year}");
        assert!(
            start.elapsed() < Duration::from_millis(2400),
            "{:?}",
            start.elapsed()
        );
        assert!(daemon.metric("skydock_dns_forward_tls_failures_total", "") >= 1.0);
        world.middle.assert_nothing_in_the_clear();
        // Another server steps in.
        let upstream = Upstream::start();
        let daemon = world.daemon(&format!(",{}", upstream.address()), "");
        assert_eq!(daemon.dig("www.example.org A +time=5").status, "NOERROR");
        assert_eq!(upstream.asked(), 1);
    }
}

#[test]
fn a_connection_that_ends_is_made_anew_and_a_server_that_comes_back_is_found() {
    let Some(mut world) = World::start(NAME, 4000) else {
        return;
    };
    let daemon = world.daemon("", "");
    is_answered(&daemon, "www.example.org A").expect("an answer");
    for _ in 0..5 {
        world.middle.break_off();
        is_answered(&daemon, "www.example.org A").expect("an answer by a new connection");
    }
    assert_eq!(world.middle.connections(), 6);
    assert!(daemon.metric("skydock_dns_forward_tls_ends_total", "") >= 5.0);
    world.unbound.kill();
    assert_eq!(daemon.dig("www.example.org A +time=5").status, "SERVFAIL");
    world.unbound.start_again();
    eventually("Unbound again", 6 * SOON, || {
        is_answered(&daemon, "www.example.org A")
    });
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_gives_way_to_the_next() {
    let Some(world) = World::start(NAME, 4000) else {
        return;
    };
    // It accepts by its backlog, and never reads.
    let silent = TcpListener::bind(ports::free()).expect("a port that was free");
    let address = silent.local_addr().expect("its address");
    let (server, ca) = (world.middle.address, world.directory.path().join("ca.pem"));
    let daemon = Daemon::start(&format!(
        "--docker /nonexistent --cores 1 --cache-size 0 --nameserver {address}#{NAME},{server}#{NAME} \
         --nameserver-ca {}",
        ca.display()
    ));
    is_answered(&daemon, "www.example.org A").expect("the second one's answer");
    eventually("the first to be passed over", SOON, || {
        let start = Instant::now();
        is_answered(&daemon, "www.example.org A")?;
        expect(|waited| *waited < Duration::from_millis(700), start.elapsed())
    });
}
