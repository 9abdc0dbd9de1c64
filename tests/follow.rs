//! The host's resolv.conf changes while the daemon runs. It sees an `/etc` of its own, in a mount namespace.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use support::daemon::{self, Daemon};
use support::upstream::Upstream;
use support::{eventually, expect, ports, skip};

/// How soon a change must count. The file is looked at twice a second, and a change has to be seen twice.
const FOLLOWED: Duration = Duration::from_secs(3);

/// A daemon that takes `etc` for `/etc`. `None`, and the reason was printed, where namespaces are not for us.
fn start(etc: &Path) -> Option<Daemon> {
    if !nix::unistd::geteuid().is_root() {
        skip("a mount namespace of its own needs root");
        return None;
    }
    let (dns, http) = (ports::free(), ports::free());
    let program = daemon::binary();
    let line = format!(
        "mount --bind {} /etc && exec {} --listen {dns} --http {http} --docker /nonexistent --cores 1",
        etc.display(),
        program.get_program().display()
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", &line]);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Some(Daemon::spawn(command, dns, http))
}

fn name(etc: &Path, file: &str, upstream: &Upstream) {
    let text = format!(
        "search example\nnameserver {}\noptions ndots:2\n",
        upstream.address()
    );
    fs::write(etc.join(file), text).expect("our own directory");
}

#[test]
fn an_upstream_that_is_ourselves_is_refused_with_the_reason() {
    let (dns, http) = (ports::free(), ports::free());
    for flag in [
        format!("--nameserver {dns}"),
        format!("--forward corp.example={dns}"),
    ] {
        let line = format!("--listen {dns} --http {http} --docker /nonexistent {flag}");
        let (code, _, said) = daemon::run(&line);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("{dns}: this is skydock itself")), "{said}");
    }
}

/// A daemon that listens where it is told to.
fn start_at(dns: SocketAddr, upstream: SocketAddr) -> Daemon {
    let http = ports::free();
    let mut command = daemon::binary();
    command.args(daemon::words(&format!(
        "--listen {dns} --http {http} --docker /nonexistent --cores 1 --nameserver {upstream}"
    )));
    Daemon::spawn(command, dns, http)
}

#[test]
fn two_that_ask_each_other_say_servfail_in_time_and_nothing_goes_round() {
    let (one, other) = (ports::free(), ports::free());
    let daemons = [start_at(one, other), start_at(other, one)];
    for number in 0..3 {
        let reply = daemons[0].dig(&format!("n{number}.example.org A +time=5"));
        assert_eq!(reply.status, "SERVFAIL");
    }
    for daemon in &daemons {
        let asked = daemon.metric("skydock_dns_forward_asks_total", "");
        assert!(asked <= 40.0, "{asked} questions for three");
        assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    }
}

#[test]
fn upstreams_follow_resolv_conf_and_stay_while_it_names_none() {
    let etc = tempfile::tempdir_in("/tmp").expect("a directory in /tmp");
    let etc = etc.path();
    let (one, other) = (Upstream::start(), Upstream::start());
    name(etc, "one", &one);
    name(etc, "other", &other);
    symlink("one", etc.join("resolv.conf")).expect("our own directory");
    let Some(daemon) = start(etc) else { return };
    let mut asked = 0;
    // Each name is asked for once, so that no answer to an earlier question will do.
    let mut goes_to = |upstream: &Upstream| {
        eventually("the upstream of the file", FOLLOWED, || {
            let before = upstream.asked();
            asked += 1;
            let reply = daemon.dig(&format!("n{asked}.example.org A"));
            assert_eq!(reply.status, "NOERROR", "a change costs no answer");
            expect(|count| *count > before, upstream.asked())
        });
    };
    goes_to(&one);

    symlink("other", etc.join("next")).expect("our own directory");
    fs::rename(etc.join("next"), etc.join("resolv.conf")).expect("our own directory");
    goes_to(&other);
    // What the first one said may not be what the second one says.
    let before = other.asked();
    assert_eq!(daemon.dig("n1.example.org A").status, "NOERROR");
    assert_eq!(other.asked(), before + 1);
    daemon.await_log(&format!(
        "upstreams are now {}, from /etc/resolv.conf",
        other.address()
    ));

    fs::write(etc.join("other"), "# nobody\n").expect("our own directory");
    daemon.await_log("the upstreams stay as they were: /etc/resolv.conf names no server");
    goes_to(&other);

    name(etc, "other", &one);
    goes_to(&one);
    let log = daemon.log();
    assert_eq!(
        log.matches("upstreams are now").count(),
        2,
        "one line for each change: {log}"
    );
}
