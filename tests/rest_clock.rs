//! Clocks that jump: what is registered ends when its TTL is over, whatever the time of day is set to.
//!
//! The daemon runs under libfaketime, which gives it another time of day; the clock that nobody sets goes on as it is.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::daemon::{Daemon, NO_ENGINE, binary, words};
use support::http::{at, request};
use support::{SOON, eventually, expect, ports, skip};

const JSON: &str = "Content-Type: application/json";

/// The library, where distributions put it.
fn library() -> Option<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];
    let files = places
        .iter()
        .map(|place| Path::new(place).join("faketime/libfaketime.so.1"));
    files.into_iter().find(|file| file.exists())
}

/// A time of day that can be set.
struct Clock {
    library: PathBuf,
    directory: tempfile::TempDir,
}

impl Clock {
    fn new() -> Option<Self> {
        let clock = Self {
            library: library()?,
            directory: tempfile::tempdir().expect("a directory"),
        };
        clock.set("+0");
        Some(clock)
    }

    /// Sets it so far from the true one: `+3d`, `-2h`.
    fn set(&self, offset: &str) {
        fs::write(self.file(), offset).expect("a file");
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("offset")
    }

    /// A daemon that reads it.
    fn daemon(&self) -> Daemon {
        let (dns, http) = (ports::free(), ports::free());
        let mut command = binary();
        command.args(words(&format!(
            "{NO_ENGINE} --listen {dns} --http {http} --data-dir {}",
            self.directory.path().join("data").display()
        )));
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Daemon::spawn(command, dns, http)
    }
}

fn register(daemon: &Daemon, id: &str, ttl: u32) {
    let body = format!(r#"{{"service":"web","instance":"{id}","addresses":["10.0.0.7"],"ttl":{ttl}}}"#);
    let reply = request(daemon.http(), &format!("PUT /v1/services/{id}"), &[JSON], &body);
    assert_eq!(reply.status, 201, "{reply:?}");
}

/// Seconds that are left of it; nothing if it is not there.
fn left(daemon: &Daemon, id: &str) -> Option<u64> {
    let reply = request(daemon.http(), &format!("GET /v1/services/{id}"), &[], "");
    (reply.status == 200)
        .then(|| at(&reply.json(), "/remaining").as_u64())
        .flatten()
}

/// The year that the daemon takes it for.
fn year(daemon: &Daemon, id: &str) -> String {
    let reply = request(daemon.http(), &format!("GET /v1/services/{id}"), &[], "").json();
    let expires = at(&reply, "/expires").as_str().expect("a moment");
    expires.split('-').next().expect("a year").to_owned()
}

#[test]
fn while_it_runs_a_jump_of_the_clock_ends_nothing_early_and_keeps_nothing_late() {
    let Some(clock) = Clock::new() else {
        return skip("libfaketime is missing (package faketime)");
    };
    let daemon = clock.daemon();
    register(&daemon, "long", 3600);
    let now = year(&daemon, "long");
    for offset in ["+3650d", "-3650d", "+0"] {
        let began = Instant::now();
        register(&daemon, "short", 3);
        clock.set(offset);
        eventually("another year", SOON, || {
            expect(|year| (*year == now) == (offset == "+0"), year(&daemon, "long"))
        });
        assert_eq!(
            daemon.dig("short.web.dev.docker A").sorted_answers(),
            ["10.0.0.7"],
            "{offset}: not at once"
        );
        daemon.await_status("short.web.dev.docker A", "NXDOMAIN");
        let lived = began.elapsed();
        assert!(
            (Duration::from_millis(2900)..Duration::from_secs(6)).contains(&lived),
            "{offset}: {lived:?}"
        );
        assert!(left(&daemon, "long").is_some_and(|left| left > 3500), "{offset}");
        // What is made after the jump lives for its TTL as well.
        register(&daemon, "after", 600);
        assert!(left(&daemon, "after").is_some_and(|left| left > 590), "{offset}");
        let gone = request(daemon.http(), "DELETE /v1/services/after", &[], "");
        assert_eq!(gone.status, 204);
    }
}

#[test]
fn over_a_restart_a_jump_of_the_clock_ends_nothing_early_and_keeps_nothing_late() {
    let Some(clock) = Clock::new() else {
        return skip("libfaketime is missing (package faketime)");
    };
    for offset in ["+3650d", "-3650d"] {
        clock.set("+0");
        let first = clock.daemon();
        let began = Instant::now();
        register(&first, "long", 3600);
        register(&first, "short", 4);
        first.kill();
        clock.set(offset);
        let second = clock.daemon();
        let kept = left(&second, "long").expect("it is there");
        assert!((3500..=3600).contains(&kept), "{offset}: {kept}");
        second.await_status("short.web.dev.docker A", "NXDOMAIN");
        let lived = began.elapsed();
        assert!(lived < Duration::from_secs(10), "{offset}: {lived:?}");
        let gone = request(second.http(), "DELETE /v1/services/long", &[], "");
        assert_eq!(gone.status, 204);
        second.stop();
    }
}
