//! What is registered survives: kill -9 at any moment, a full disk, a file that is not what it was.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness::engine::Engine;
use harness::world::World;
use nix::sys::signal::Signal;
use support::daemon::{Daemon, NO_ENGINE, binary, words};
use support::http::{Reply, at, request, try_request};
use support::{SOON, eventually, expect, ports, skip};

const JSON: &str = "Content-Type: application/json";
/// Times that the daemon is killed while it writes, unless `SKYDOCK_TEST_KILLS` says another number.
const KILLS: usize = 12;
const WRITERS: usize = 4;

fn daemon(directory: &Path) -> Daemon {
    Daemon::start(&format!("{NO_ENGINE} --data-dir {}", directory.display()))
}

fn body(address: &str) -> String {
    format!(r#"{{"service":"web","addresses":["{address}"],"ports":[{{"number":80}}],"ttl":3600}}"#)
}

fn put(to: SocketAddr, id: &str, address: &str) -> std::io::Result<u16> {
    let reply = try_request(to, &format!("PUT /v1/services/{id}"), &[JSON], &body(address))?;
    Ok(reply.status)
}

/// Everything that is registered: the address of each.
fn registered(to: SocketAddr) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = request(to, &format!("GET /v1/services?limit=1000{after}"), &[], "").json();
        for service in at(&page, "/services").as_array().expect("a list") {
            let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
            found.insert(text(at(service, "/id")), text(at(service, "/addresses/0")));
        }
        match at(&page, "/next").as_str() {
            Some(next) => after = format!("&after={}", next.replace(' ', "%20")),
            None => return found,
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_every_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    // What each id was last acknowledged to have, and what was sent since, which may be there or not.
    type Known = BTreeMap<String, (Option<String>, Vec<Option<String>>)>;
    let known: Arc<Mutex<Known>> = Arc::default();
    let kills = std::env::var("SKYDOCK_TEST_KILLS").map_or(KILLS, |kills| {
        kills.parse().expect("SKYDOCK_TEST_KILLS is a number")
    });
    for round in 0..kills {
        let daemon = daemon(directory.path());
        let http = daemon.http();
        let found = {
            let found = registered(http);
            let known = known.lock().expect("no writer failed");
            let wrong: Vec<_> = known
                .iter()
                .filter(|(id, (acknowledged, sent))| {
                    let has = found.get(*id).cloned();
                    has != *acknowledged && !sent.contains(&has)
                })
                .map(|(id, known)| (id.clone(), known.clone(), found.get(id).cloned()))
                .collect();
            assert_eq!(wrong, [], "round {round}: {found:?}");
            found
        };
        for (id, (acknowledged, sent)) in known.lock().expect("no writer failed").iter_mut() {
            *acknowledged = found.get(id).cloned();
            sent.clear();
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (known, is_over) = (known.clone(), is_over.clone());
                thread::spawn(move || {
                    for number in 0.. {
                        if is_over.load(Ordering::Relaxed) {
                            return;
                        }
                        let id = format!("w{writer}-{}", number % 7);
                        let is_removal = number % 5 == 4;
                        let address = format!("10.{}.{writer}.{}", round % 250, number % 250 + 1);
                        let wanted = (!is_removal).then(|| address.clone());
                        let mut all = known.lock().expect("no writer failed");
                        all.entry(id.clone()).or_default().1.push(wanted.clone());
                        drop(all);
                        let status = match is_removal {
                            true => try_request(http, &format!("DELETE /v1/services/{id}"), &[], "")
                                .map(|it| it.status),
                            false => put(http, &id, &address),
                        };
                        // It was killed, before this one or while it was under way.
                        let Ok(status) = status else { return };
                        assert!(matches!(status, 200 | 201 | 204 | 404), "{status}");
                        let mut all = known.lock().expect("no writer failed");
                        all.insert(id, (wanted, vec![]));
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_micros(40_000 + 13_457 * (round as u64 % 23)));
        daemon.kill();
        is_over.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().expect("a writer does not fail");
        }
    }
    assert!(known.lock().expect("no writer failed").len() > WRITERS);
}

#[test]
fn a_stop_keeps_what_is_registered_and_time_goes_on_meanwhile() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = daemon(directory.path());
    assert_eq!(put(first.http(), "w1", "10.0.0.7").expect("a reply"), 201);
    let short = body("10.0.0.8").replace("3600", "1");
    assert_eq!(
        request(first.http(), "PUT /v1/services/w2", &[JSON], &short).status,
        201
    );
    first.stop_by(Signal::SIGTERM);
    thread::sleep(Duration::from_millis(1200));
    let second = daemon(directory.path());
    second.await_answers("w1.web.dev.docker A", &["10.0.0.7"]);
    second.await_status("w2.web.dev.docker A", "NXDOMAIN");
    second.await_log("kept in ");
    // Nobody could be told that it lived meanwhile, and it has ended all the same.
    let beat = |id: &str| {
        request(
            second.http(),
            &format!("POST /v1/services/{id}/heartbeat"),
            &[],
            "",
        )
        .status
    };
    assert_eq!((beat("w1"), beat("w2")), (200, 404));
    assert_eq!(put(second.http(), "w2", "10.0.0.8").expect("a reply"), 201);
    second.await_answers("w2.web.dev.docker A", &["10.0.0.8"]);
}

#[test]
fn a_file_that_is_broken_is_kept_aside_and_named_and_containers_are_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = daemon(directory.path());
    for number in 0..50 {
        let id = format!("w{number}");
        assert_eq!(put(first.http(), &id, "10.0.0.7").expect("a reply"), 201);
    }
    first.stop();
    let file = directory.path().join("services.redb");
    let whole = fs::read(&file).expect("the file");
    let world = World::new(3);
    let socket = directory.path().join("engine.sock");
    let engine = Engine::start(world, &socket).expect("an engine");
    let hot = world.hot();
    let own = format!("{}.{}.dev.docker A", hot.instance, hot.image);

    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 7] = [
        ("cut in half", |octets| octets.truncate(octets.len() / 2)),
        ("cut in its head", |octets| octets.truncate(100)),
        ("empty", Vec::clear),
        ("another first octet", |octets| octets[0] ^= 0xff),
        ("nothing but zeros", |octets| octets.fill(0)),
        ("noise in its head", |octets| octets[9..400].fill(0x5a)),
        ("noise in its middle", |octets| {
            let middle = octets.len() / 2;
            octets[4096..middle].fill(0x5a);
        }),
    ];
    for (what, damage) in damages {
        let mut octets = whole.clone();
        damage(&mut octets);
        fs::write(&file, &octets).expect("the file");
        let second = Daemon::start(&format!(
            "--docker {} --data-dir {}",
            engine.endpoint(),
            directory.path().display()
        ));
        second.await_log("services.redb.corrupt-");
        second.await_answers(&own, &[&hot.address.to_string()]);
        let settings = request(second.http(), "GET /v1/settings", &[], "").json();
        let aside = settings["store"]["quarantined"].as_str().expect(what).to_owned();
        assert_eq!(fs::read(&aside).expect("it is kept"), octets, "{what}");
        assert_eq!(
            put(second.http(), "w2", "10.0.0.8").expect("a reply"),
            201,
            "{what}"
        );
        assert_eq!(second.dig("w2.web.dev.docker A").sorted_answers(), ["10.0.0.8"]);
        fs::remove_file(aside).expect("what was kept");
    }
}

/// A file system of some hundred KiB; gone with this value.
struct Tiny {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Tiny {
    /// Leaves no room in it. Gives the file that takes it.
    fn fill(&self) -> PathBuf {
        let filler = self.path.join("filler");
        let _ = Command::new("dd")
            .args(["if=/dev/zero", "bs=4096"])
            .arg(format!("of={}", filler.display()))
            .output();
        filler
    }

    /// None where we may not mount one.
    fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tiny");
        fs::create_dir(&path).expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "skydock-test"])
            .arg(&path)
            .output();
        mounted
            .is_ok_and(|mounted| mounted.status.success())
            .then_some(Self {
                path,
                _directory: directory,
            })
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}

/// Registers large services until one is refused, and gives that reply.
fn fill(http: SocketAddr) -> Reply {
    let large = |number: u32| {
        let text = "x".repeat(1000);
        let texts: Vec<_> = (0..16).map(|place| format!("\"{place}{text}\"")).collect();
        let body = body("10.0.0.9").replace("\"ttl\"", &format!("\"texts\":[{}],\"ttl\"", texts.join(",")));
        request(http, &format!("PUT /v1/services/big{number}"), &[JSON], &body)
    };
    let mut replies = (0..2000).map(large);
    replies
        .find(|reply| reply.status != 201)
        .expect("it is full some time")
}

#[test]
fn on_a_full_disk_nothing_changes_and_with_room_it_goes_on() {
    let Some(tiny) = Tiny::mount("6m") else {
        skip("no file system can be mounted");
        return;
    };
    let first = daemon(&tiny.path);
    let http = first.http();
    assert_eq!(put(http, "w1", "10.0.0.7").expect("a reply"), 201);
    let filler = tiny.fill();
    let full = fill(http);
    assert_eq!(full.status, 507, "{full:?}");
    assert_eq!(full.header("content-type"), Some("application/problem+json"));
    assert!(full.body.contains("make room"), "{full:?}");
    let before = registered(http);
    assert_eq!(put(http, "w2", "10.0.0.8").expect("a reply"), 507);
    assert_eq!(registered(http), before, "nothing has changed");
    assert_eq!(
        first.dig("w1.web.dev.docker A").sorted_answers(),
        ["10.0.0.7"],
        "and all is served"
    );
    first.kill();

    // It starts on the full disk, too, and has all that was acknowledged.
    let second = daemon(&tiny.path);
    eventually("what was kept", SOON, || {
        expect(|found| *found == before, registered(second.http()))
    });
    fs::remove_file(&filler).expect("the filler");
    eventually("a write", SOON, || {
        let status = put(second.http(), "w2", "10.0.0.8").map_err(|error| error.to_string())?;
        expect(|status| matches!(status, 200 | 201), status)
    });
    let after = registered(second.http());
    second.kill();
    let third = daemon(&tiny.path);
    eventually("what was kept", SOON, || {
        expect(|found| *found == after, registered(third.http()))
    });
}

#[test]
fn heartbeats_keep_a_service_that_a_full_disk_cannot_note() {
    let Some(tiny) = Tiny::mount("6m") else {
        skip("no file system can be mounted");
        return;
    };
    let daemon = daemon(&tiny.path);
    let http = daemon.http();
    let brief = r#"{"service":"web","addresses":["10.0.0.9"],"ttl":10}"#;
    let reply = request(http, "PUT /v1/services/brief", &[JSON], brief);
    assert_eq!(reply.status, 201, "{reply:?}");
    tiny.fill();
    assert_eq!(fill(http).status, 507);
    let until = Instant::now() + Duration::from_secs(13);
    while Instant::now() < until {
        let beat = request(http, "POST /v1/services/brief/heartbeat", &[], "");
        assert_eq!(beat.status, 507, "{beat:?}");
        let reply = daemon.dig("brief.web.dev.docker A");
        assert_eq!(reply.sorted_answers(), ["10.0.0.9"], "{reply:?}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// As `ulimit -f` has it: a file may not grow, though the disk has room.
#[test]
fn a_file_that_may_not_grow_is_told_and_ends_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (dns, http) = (ports::free(), ports::free());
    let mut command = Command::new("prlimit");
    command.arg("--fsize=3145728").arg(binary().get_program());
    command.args(words(&format!(
        "{NO_ENGINE} --listen {dns} --http {http} --data-dir {}",
        directory.path().display()
    )));
    let first = Daemon::spawn(command, dns, http);
    assert_eq!(put(http, "w1", "10.0.0.7").expect("a reply"), 201);
    let full = fill(http);
    assert_eq!(full.status, 507, "{full:?}");
    assert!(full.body.contains("make room"), "{full:?}");
    let before = registered(http);
    assert_eq!(
        first.dig("w1.web.dev.docker A").sorted_answers(),
        ["10.0.0.7"],
        "and all is served"
    );
    first.kill();
    let second = daemon(directory.path());
    eventually("what was kept", SOON, || {
        expect(|found| *found == before, registered(second.http()))
    });
    assert_eq!(put(second.http(), "w2", "10.0.0.8").expect("a reply"), 201);
}

#[test]
fn two_daemons_do_not_share_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = daemon(directory.path());
    assert_eq!(put(first.http(), "w1", "10.0.0.7").expect("a reply"), 201);
    let second = daemon(directory.path());
    second.await_log("another skydock has it");
    assert_eq!(put(second.http(), "w2", "10.0.0.8").expect("a reply"), 503);
    assert_eq!(put(first.http(), "w2", "10.0.0.8").expect("a reply"), 201);
}
