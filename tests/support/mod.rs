//! What the tests of the running daemon stand on: a container engine, the daemon, and clients that ask it.
//!
//! ```text
//!  Engine ──▶ Container       Daemon ──▶ log, HTTP        dig, raw datagrams, resolvers inside containers
//!  (private dockerd)          (the binary itself)         (the questions)
//! ```
//!
//! Each of them goes away with the value that stands for it, also when a test panics; `engine.sh` sees to the
//! engine even when the test process is killed.

// Every file of tests is a crate of its own with this module in it, and uses its own part.
#![allow(dead_code, reason = "each file of tests uses its own part of the harness")]

pub(crate) mod authority;
pub(crate) mod container;
pub(crate) mod daemon;
pub(crate) mod dig;
pub(crate) mod engine;
pub(crate) mod gate;
pub(crate) mod go;
pub(crate) mod http;
pub(crate) mod lossy;
pub(crate) mod network;
pub(crate) mod over_tls;
pub(crate) mod plane;
pub(crate) mod podman;
pub(crate) mod ports;
pub(crate) mod predecessor;
pub(crate) mod raw;
pub(crate) mod resolver;
pub(crate) mod script;
pub(crate) mod served;
pub(crate) mod source;
pub(crate) mod stream;
pub(crate) mod threads;
pub(crate) mod trusted;
pub(crate) mod unbound;
pub(crate) mod upstream;

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long to wait for what takes milliseconds, on a machine that also does other work.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Asks `probe` again and again until it is content, and gives what it says.
///
/// # Panics
///
/// When `within` has passed, with what `what` last looked like.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) => assert!(
                started.elapsed() < within,
                "{what}: not within {within:?}, last seen: {last}"
            ),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `Ok` when `holds`, else `seen` as it is printed: for the probes of [`eventually`].
pub(crate) fn expect<T: std::fmt::Debug>(holds: impl FnOnce(&T) -> bool, seen: T) -> Result<T, String> {
    if holds(&seen) {
        Ok(seen)
    } else {
        Err(format!("{seen:?}"))
    }
}

/// A word that no other call in any test process gives: for names of containers and images.
pub(crate) fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!(
        "{stem}-{:x}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Whether a missing part fails the test: in CI, and where somebody says so.
fn is_required() -> bool {
    ["CI", "SKYDOCK_TEST_REQUIRE"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false")))
}

/// Says that this test does not run, and why, in a line that starts with `SKIPPED:` for `tests/run` to count.
///
/// # Panics
///
/// Where everything is required to run: `CI=true` or `SKYDOCK_TEST_REQUIRE=1`.
pub(crate) fn skip(reason: &str) {
    assert!(!is_required(), "this test has to run here, but {reason}");
    skip_here(reason);
}

/// As [`skip`], for what nobody can install: something that this kernel does not have. Counted, and never a failure.
pub(crate) fn skip_here(reason: &str) {
    static SKIPPED: AtomicU32 = AtomicU32::new(0);
    let number = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not eprintln!, which the test runner keeps to itself while a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {test}: {reason} (skip {number} of this file)"
    );
}
