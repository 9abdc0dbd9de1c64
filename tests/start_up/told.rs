//! What it says when it has started, and what command lines mean that it was given.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, NO_ENGINE, binary, run, words};
use crate::support::upstream::Upstream;
use crate::support::{dig, ports};

#[test]
fn without_an_engine_it_starts_answers_and_says_what_is_missing() {
    let daemon = Daemon::start(NO_ENGINE);
    assert_eq!(daemon.get("/health").0, 200);
    let (status, body) = daemon.get("/ready");
    assert_eq!(status, 503);
    assert!(body.contains("/nonexistent/docker.sock"), "{body}");

    let reply = daemon.dig("redis1.redis.dev.docker A");
    assert_eq!(reply.status, "NXDOMAIN", "{reply:?}");
    assert!(reply.has("aa") && reply.soa().is_some(), "{reply:?}");
    let apex = daemon.dig("docker SOA");
    assert_eq!(
        (apex.status.as_str(), apex.answer.len()),
        ("NOERROR", 1),
        "{apex:?}"
    );

    daemon.await_log("/nonexistent/docker.sock");
    daemon.stop();
}

#[test]
fn the_report_names_zone_listener_upstream_and_engine_and_gives_a_dig_line() {
    let upstream = Upstream::start();
    let daemon = Daemon::start(&format!(
        "{NO_ENGINE} --domain corp.test --nameserver {}",
        upstream.address()
    ));
    daemon.await_log("  use ");
    let log = daemon.log();
    let (dns, upstream) = (daemon.dns().to_string(), upstream.address().to_string());
    for part in [
        "corp.test",
        &dns,
        &upstream,
        "/nonexistent/docker.sock",
        "dig @127.0.0.1 -p",
    ] {
        assert!(log.contains(part), "{part:?} is missing in:\n{log}");
    }
}

/// What `the_report_...` promises is more than words.
#[test]
fn the_dig_line_of_the_report_works_as_it_stands() {
    let daemon = Daemon::start(NO_ENGINE);
    daemon.await_log("  use ");
    let log = daemon.log();
    let line = log
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("try "))
        .expect("a line to try");
    let line = line
        .split('#')
        .next()
        .unwrap_or_default()
        .trim()
        .trim_start_matches("dig ");
    let line = line.replace("+short", "+noall +comments +time=2 +tries=1");
    let reply = dig::read(Command::new("dig").args(words(&line)));
    assert_eq!(reply.status, "NXDOMAIN", "{line}");
}

#[test]
fn a_missing_socket_is_one_sentence_with_the_remedy_however_often_it_is_tried() {
    let daemon = Daemon::start(NO_ENGINE);
    daemon.await_log("/nonexistent/docker.sock");
    // Long enough for several tries.
    std::thread::sleep(Duration::from_secs(2));
    let log = daemon.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("/nonexistent/docker.sock"))
        .count();
    assert_eq!(lines, 1, "in the report, and nowhere else: {log}");
}

#[test]
fn it_starts_within_two_seconds() {
    let started = Instant::now();
    let daemon = Daemon::start(NO_ENGINE);
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn help_and_version_end_well() {
    let (code, out, _) = run("--help");
    assert!(code == Some(0) && out.contains("--nameserver"), "{out}");
    let (code, out, _) = run("--version");
    assert!(
        code == Some(0) && out.contains(env!("CARGO_PKG_VERSION")),
        "{out}"
    );
}

#[test]
fn an_old_command_line_works() {
    let (dns, http) = (ports::free(), ports::free());
    let mut command = binary();
    let line = format!(
        "-ttl 30 -environment dev -s /nonexistent/docker.sock -domain docker -listen {dns} -http={http}"
    );
    command.args(words(&line));
    let daemon = Daemon::spawn(command, dns, http);
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    assert!(daemon.get("/ready").1.contains("/nonexistent/docker.sock"));
}

#[test]
fn flags_of_old_command_lines_that_do_nothing_now_are_said_to() {
    let daemon = Daemon::start(&format!(
        "{NO_ENGINE} -workers 3 -beat 20 -skydns http://127.0.0.1:8080"
    ));
    for flag in ["-workers", "-beat", "-skydns"] {
        daemon.await_log(flag);
    }
}

#[test]
fn settings_come_from_the_environment_and_flags_win() {
    let (dns, http) = (ports::free(), ports::free());
    let mut command = binary();
    command
        .env("SKYDOCK_DOMAIN", "fromenv.test")
        .env("SKYDOCK_LISTEN", "127.0.0.1:1")
        .env("SKYDOCK_HTTP", http.to_string());
    command.args(words(&format!("{NO_ENGINE} --listen {dns}")));
    let daemon = Daemon::spawn(command, dns, http);
    assert_eq!(daemon.dig("fromenv.test SOA").status, "NOERROR");
}
