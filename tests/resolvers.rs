//! The clients people really have: dig on the host, busybox and glibc inside containers; and what is not ours.

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use support::container::Container;
use support::daemon::Daemon;
use support::engine::{self, Engine, GLIBC, lock};
use support::upstream::{self, Upstream};
use support::{SOON, eventually, raw, unique};

const NO_ENGINE: &str = "--docker /nonexistent/docker.sock";

/// A daemon that containers can use as their resolver: on port 53 of the bridge, which only one can have.
struct World {
    daemon: Daemon,
    upstream: Upstream,
    engine: Arc<Engine>,
    /// Last, so that all else is gone when the next may start.
    _turn: MutexGuard<'static, ()>,
}

fn world() -> Option<World> {
    static TURN: Mutex<()> = Mutex::new(());
    // Before its turn, so that the engine stays for who comes next.
    let engine = engine::shared()?;
    let turn = lock(&TURN);
    let upstream = Upstream::start();
    let arguments = format!(
        "--listen {}:53 --nameserver {}",
        engine.gateway(),
        upstream.address()
    );
    let daemon = Daemon::for_engine(&engine, &arguments);
    Some(World {
        daemon,
        upstream,
        engine,
        _turn: turn,
    })
}

impl World {
    /// A container of `image` that asks skydock.
    fn client(&self, image: &str, arguments: &[&str]) -> Container {
        let gateway = self.engine.gateway().to_string();
        let arguments: Vec<_> = ["--dns", gateway.as_str()]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        Container::run_image(&self.engine, &unique("client"), image, &arguments)
    }

    /// A container that is answered: its name and address.
    fn server(&self) -> (Container, String, String) {
        let server = Container::run(&self.engine, "server");
        let (name, address) = (
            format!("{}.redis.dev.docker", server.name()),
            server.address().to_string(),
        );
        self.daemon.await_answers(&format!("{name} A"), &[&address]);
        (server, name, address)
    }
}

#[test]
fn busybox_in_a_container_finds_its_neighbour() {
    let Some(world) = world() else { return };
    let (_server, name, address) = world.server();
    let client = world.client(engine::BUSYBOX, &[]);
    let (found, output) = client.exec(&["nslookup", &name]);
    assert!(found && output.contains(&address), "{output}");
    let (found, output) = client.exec(&["nslookup", "nobody.redis.dev.docker"]);
    assert!(!found && output.contains("NXDOMAIN"), "{output}");
}

/// Whether the packets reach it depends on this host's packet filter; to whom they go does not.
#[test]
fn ping_goes_to_the_neighbours_address() {
    let Some(world) = world() else { return };
    let (_server, name, address) = world.server();
    let client = world.client(engine::BUSYBOX, &[]);
    let (_, output) = client.exec(&["ping", "-c", "1", "-W", "1", &name]);
    assert!(
        output.starts_with(&format!("PING {name} ({address})")),
        "{output}"
    );
}

/// glibc asks for A and AAAA at once on one socket, and fails as a whole where AAAA is NXDOMAIN.
#[test]
fn glibc_in_a_container_finds_its_neighbour() {
    let Some(world) = world() else { return };
    if !engine::is_installed("getent") {
        return support::skip("getent is missing (package libc-bin)");
    }
    world.engine.make_glibc_image();
    let (_server, name, address) = world.server();
    let client = world.client(GLIBC, &[]);
    let (found, output) = client.exec(&["getent", "ahosts", &name]);
    assert!(found && output.contains(&address), "{output}");
    let (found, output) = client.exec(&["getent", "hosts", &address]);
    assert!(found && output.contains(&name), "{output}");
    let (found, output) = client.exec(&["getent", "ahosts", "nobody.redis.dev.docker"]);
    assert!(!found, "{output}");
}

#[test]
fn a_search_domain_makes_one_label_enough() {
    let Some(world) = world() else { return };
    let (_server, name, address) = world.server();
    let (label, rest) = name.split_once('.').expect("several labels");
    let client = world.client(engine::BUSYBOX, &["--dns-search", rest]);
    let (_, output) = client.exec(&["ping", "-c", "1", "-W", "1", label]);
    assert!(
        output.starts_with(&format!("PING {label} ({address})")),
        "{output}"
    );
}

#[test]
fn a_container_is_answered_for_names_outside_the_zone() {
    let Some(world) = world() else { return };
    let client = world.client(engine::BUSYBOX, &[]);
    let (found, output) = client.exec(&["nslookup", "-type=a", "example.com"]);
    assert!(
        found && output.contains(&upstream::ANSWER.to_string()),
        "{output}"
    );
    assert!(world.upstream.asked() > 0);
}

#[test]
fn a_name_outside_the_zone_goes_to_the_upstream_and_comes_back() {
    let upstream = Upstream::start();
    let daemon = Daemon::start(&format!("{NO_ENGINE} --nameserver {}", upstream.address()));
    let reply = daemon.dig("example.com A");
    assert_eq!(
        reply.sorted_answers(),
        [upstream::ANSWER.to_string()],
        "{reply:?}"
    );
    assert!(
        reply
            .answer
            .iter()
            .all(|record| record.ttl == upstream::ANSWER_TTL),
        "{reply:?}"
    );
    assert!(!reply.has("aa") && reply.has("ra"), "{reply:?}");
    assert_eq!(upstream.asked(), 1);
    eventually("forwards are counted", SOON, || {
        support::expect(
            |seen| *seen == 1.0,
            daemon.metric("skydock_dns_forward_replies_total", ""),
        )
    });
}

#[test]
fn a_name_in_the_zone_is_never_asked_of_an_upstream() {
    let upstream = Upstream::start();
    let daemon = Daemon::start(&format!("{NO_ENGINE} --nameserver {}", upstream.address()));
    for name in [
        "nobody.docker",
        "docker",
        "a.b.c.d.e.f.g.docker",
        "DOCKER",
        "nobody.Docker",
    ] {
        daemon.dig(&format!("{name} A"));
        daemon.dig(&format!("{name} TXT"));
    }
    assert_eq!(upstream.asked(), 0);
    // The label's boundary is the zone's: this one only ends in the same letters.
    assert_eq!(
        daemon.dig("mydocker A").sorted_answers(),
        [upstream::ANSWER.to_string()]
    );
    assert_eq!(upstream.asked(), 1);
}

// RFC 5452, section 9.2: an unpredictable query id, and a source port as unpredictable.
#[test]
fn each_forwarded_query_has_an_id_of_its_own() {
    let upstream = Upstream::start();
    let daemon = Daemon::start(&format!("{NO_ENGINE} --nameserver {}", upstream.address()));
    let asker = raw::Asker::of(daemon.dns());
    let mut ids = std::collections::HashSet::new();
    for number in 0..40 {
        let reply = asker.expect_reply(&raw::query(0x1234, &format!("host{number}.example"), 1));
        assert_eq!(
            reply.get(..2),
            Some(&[0x12, 0x34][..]),
            "the client's own id comes back"
        );
        ids.insert(upstream.last().get(..2).expect("a header").to_vec());
    }
    assert!(ids.len() > 36, "{} of 40 ids differ", ids.len());
}

#[test]
fn the_letters_case_of_a_question_comes_back_as_it_was() {
    let upstream = Upstream::start();
    let daemon = Daemon::start(&format!("{NO_ENGINE} --nameserver {}", upstream.address()));
    let asker = raw::Asker::of(daemon.dns());
    for name in ["ExAmPlE.CoM", "NoBoDy.DoCkEr"] {
        let query = raw::query(5, name, 1);
        let reply = asker.expect_reply(&query);
        assert_eq!(reply.get(12..query.len()), query.get(12..), "{name}");
    }
}

#[test]
fn a_question_without_rd_is_not_forwarded() {
    let upstream = Upstream::start();
    let daemon = Daemon::start(&format!("{NO_ENGINE} --nameserver {}", upstream.address()));
    assert_eq!(daemon.dig("example.com A +norecurse").status, "REFUSED");
    assert_eq!(upstream.asked(), 0);
}

#[test]
fn an_upstream_that_says_nothing_becomes_servfail_within_a_resolvers_patience() {
    let upstream = Upstream::start();
    upstream.set_silent(true);
    let daemon = Daemon::start(&format!("{NO_ENGINE} --nameserver {}", upstream.address()));
    // Resolvers ask again after five seconds.
    let reply = daemon.dig("example.com A +time=5");
    assert_eq!(reply.status, "SERVFAIL", "{reply:?}");
    // Local names do not wait for it.
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    upstream.set_silent(false);
    assert_eq!(daemon.dig("example.org A").status, "NOERROR");
}

#[test]
fn a_second_upstream_answers_for_a_first_that_is_not_there() {
    let nobody = support::ports::free();
    let upstream = Upstream::start();
    let daemon = Daemon::start(&format!(
        "{NO_ENGINE} --nameserver {nobody},{}",
        upstream.address()
    ));
    let reply = daemon.dig("example.com A +time=5");
    assert_eq!(
        reply.sorted_answers(),
        [upstream::ANSWER.to_string()],
        "{reply:?}"
    );
}

#[test]
fn other_replies_than_the_upstreams_are_not_believed() {
    /// When a query of ours has been given up, or may have been: what comes back then is no answer of anyone's.
    const TOO_LATE: Duration = Duration::from_millis(2000);
    let upstream = Upstream::start();
    upstream.set_silent(true);
    let daemon = Daemon::start(&format!("{NO_ENGINE} --nameserver {}", upstream.address()));
    eventually("an attempt that this machine had the time for", 3 * SOON, || {
        let (asker, asked_before, started) = (raw::Asker::of(daemon.dns()), upstream.asked(), Instant::now());
        asker.send(&raw::query(9, "example.com", 1));
        eventually("the upstream was asked", SOON, || {
            support::expect(|asked| *asked > asked_before, upstream.asked())
        });
        let (asked, client) = upstream.last_asked().expect("it was asked");
        let wrong_id = upstream.answer_with(&asked, |reply| reply[0] ^= 0xff);
        let wrong_question = upstream.answer_with(&raw::query(0, "example.org", 1), |reply| {
            reply[..2].copy_from_slice(&asked[..2]);
        });
        upstream.send_to(client, &wrong_id);
        upstream.send_to(client, &wrong_question);
        let believed = asker.receive();
        if started.elapsed() > TOO_LATE {
            return Err("it took too long to forge".to_owned());
        }
        assert_eq!(
            believed, None,
            "neither a wrong id nor a wrong question is passed on"
        );

        // It may have been asked again meanwhile, and then the newest id is the one that counts.
        let reply = eventually("the true reply", SOON, || {
            let (asked, client) = upstream.last_asked().expect("it was asked");
            upstream.send_to(client, &upstream.answer_with(&asked, |_| ()));
            asker.receive().ok_or_else(|| "silence".to_owned())
        });
        if started.elapsed() > TOO_LATE {
            return Err("it took too long to answer".to_owned());
        }
        assert_eq!((reply[0], reply[1], raw::answers(&reply)), (0, 9, 1));
        Ok(())
    });
}

/// RFC 2181, section 4: a reply leaves from the address that the query came to.
#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let port = support::ports::free().port();
    let http = support::ports::free();
    let mut command = support::daemon::binary();
    command.args([
        "--listen",
        &format!("0.0.0.0:{port}"),
        "--http",
        &http.to_string(),
    ]);
    command.args(NO_ENGINE.split(' '));
    let daemon = Daemon::spawn(command, SocketAddr::from(([127, 0, 0, 1], port)), http);
    for address in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 9, 8, 7]] {
        // A connected socket hears its peer alone.
        let asker = raw::Asker::of(SocketAddr::from((address, port)));
        asker.expect_reply(&raw::query(3, "docker", 6));
    }
    daemon.stop();
}
