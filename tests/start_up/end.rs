//! Signals, and how it ends.

use std::io::Write;
use std::net::TcpStream;

use nix::sys::signal::Signal;

use crate::support::daemon::{Daemon, NO_ENGINE};
use crate::support::upstream::Upstream;
use crate::support::{self, SOON, eventually, raw};

#[test]
fn sigterm_and_sigint_end_it_well_and_within_a_second() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        Daemon::start(NO_ENGINE).stop_by(signal);
    }
}

#[test]
fn what_was_asked_before_sigterm_is_answered() {
    let daemon = Daemon::start(NO_ENGINE);
    let asker = raw::Asker::of(daemon.dns());
    let packet = raw::query(1, "docker", 6);
    // All of it is still in the kernel's queue when the order to end comes.
    daemon.signal(Signal::SIGSTOP);
    for _ in 0..200 {
        asker.send(&packet);
    }
    daemon.signal(Signal::SIGTERM);
    daemon.stop_by(Signal::SIGCONT);
    let answered = std::iter::from_fn(|| asker.receive()).count();
    assert_eq!(answered, 200);
}

#[test]
fn sigterm_ends_it_in_time_also_while_an_upstream_owes_an_answer() {
    let upstream = Upstream::start();
    upstream.set_silent(true);
    let daemon = Daemon::start(&format!("{NO_ENGINE} --nameserver {}", upstream.address()));
    let asker = raw::Asker::of(daemon.dns());
    asker.send(&raw::query(1, "example.com", 1));
    eventually("the upstream was asked", SOON, || {
        support::expect(|asked| *asked > 0, upstream.asked())
    });
    daemon.stop();
}

#[test]
fn half_a_request_to_the_admin_listener_does_not_delay_the_stop() {
    let daemon = Daemon::start(NO_ENGINE);
    let mut half = TcpStream::connect(daemon.http()).expect("the admin listener");
    half.write_all(b"GET /health HTTP/1.1\r\nHo")
        .expect("loopback takes it");
    // It is served by now, for this one came later.
    assert_eq!(daemon.get("/health").0, 200);
    daemon.stop();
}

#[test]
fn sighup_ends_nothing_and_is_answered_in_the_log() {
    let daemon = Daemon::start(NO_ENGINE);
    for _ in 0..2 {
        daemon.signal(Signal::SIGHUP);
    }
    daemon.await_log("nothing to reload");
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    daemon.stop();
}
