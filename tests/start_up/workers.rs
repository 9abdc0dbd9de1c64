//! Which cores answer, on what, and before whom.

use std::process::Command;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::engines;
use crate::support::daemon::{self, Daemon, NO_ENGINE, words};
use crate::support::{ports, raw, skip};

#[test]
fn cores_may_be_a_count_or_a_list_and_each_has_its_counters() {
    for cores in ["1", "0,"] {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --cores {cores}"));
        assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
        let text = daemon.get("/metrics").1;
        assert_eq!(
            daemon::samples(&text, "skydock_dns_requests_total", "proto=\"udp\"").len(),
            1,
            "{text}"
        );
    }
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("our own mask");
    let has_two = (0..2).all(|core| allowed.is_set(core).unwrap_or(false));
    if !has_two {
        return skip("cores 0 and 1 are not both allowed here");
    }
    let daemon = Daemon::start(&format!("{NO_ENGINE} --cores 0-1"));
    let text = daemon.get("/metrics").1;
    assert_eq!(
        daemon::samples(&text, "skydock_dns_requests_total", "proto=\"udp\"").len(),
        2,
        "{text}"
    );
}

#[test]
fn with_spread_core_each_client_is_answered_on_the_core_that_it_runs_on() {
    const CLIENTS: u16 = 40;
    let ourselves = Pid::from_raw(0);
    let allowed = sched_getaffinity(ourselves).expect("our own mask");
    if !(0..2).all(|core| allowed.is_set(core).unwrap_or(false)) {
        return skip("cores 0 and 1 are not both allowed here");
    }
    let daemon = Daemon::start(&format!("{NO_ENGINE} --cores 0-1 --spread core"));
    let counted = || {
        let text = daemon.get("/metrics").1;
        [0, 1].map(|core| {
            let labels = format!("core=\"{core}\",proto=\"udp\"");
            daemon::samples(&text, "skydock_dns_requests_total", &labels)[0]
        })
    };
    let mut expected = counted();
    for core in 0..2 {
        // For this thread alone, which is this test's own.
        let mut one = CpuSet::new();
        one.set(core).expect("there is such a core");
        sched_setaffinity(ourselves, &one).expect("it is allowed");
        for id in 0..CLIENTS {
            let client = raw::Asker::of(daemon.dns());
            client.expect_reply(&raw::query(id, "docker", 6));
        }
        expected[core] += f64::from(CLIENTS);
        assert_eq!(counted(), expected);
    }
}

/// What the status file of each thread of a worker says of where it may run.
#[test]
fn each_worker_is_pinned_to_its_core() {
    let daemon = Daemon::start(&format!("{NO_ENGINE} --cores 0,"));
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("our child's threads");
    let pinned = tasks.flatten().filter(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        status.lines().any(|line| {
            line.split_once("Cpus_allowed_list:")
                .is_some_and(|(_, list)| list.trim() == "0")
        })
    });
    assert!(pinned.count() >= 1);
}

#[test]
fn both_engines_answer_alike() {
    for engine in engines() {
        let daemon = Daemon::start(&format!("{NO_ENGINE} --engine {engine}"));
        assert_eq!(daemon.dig("docker SOA").status, "NOERROR", "{engine}");
        assert_eq!(daemon.dig("nobody.docker A").status, "NXDOMAIN", "{engine}");
        daemon.stop();
    }
}

#[test]
fn whoever_answers_goes_before_whoever_watches_engines() {
    let daemon = Daemon::start(NO_ENGINE);
    daemon.await_log("/nonexistent/docker.sock");
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let mut niceness: Vec<(String, i32)> = threads
        .map(|thread| {
            let thread = thread.expect("an entry").path();
            let stat = std::fs::read_to_string(thread.join("stat")).expect("it lives");
            // proc(5): the name stands in brackets, and nice is field 19.
            let (head, tail) = stat.rsplit_once(')').expect("a name");
            let nice = tail.split_whitespace().nth(16).expect("field 19");
            let (_, name) = head.split_once('(').expect("a name");
            (name.to_owned(), nice.parse().expect("a number"))
        })
        .collect();
    niceness.sort();
    let of = |wanted: &str| niceness.iter().find(|(name, _)| name == wanted).expect(wanted).1;
    let workers = niceness.iter().filter(|(name, _)| name.starts_with("skydock-"));
    assert!(workers.clone().count() > 1, "{niceness:?}");
    for (name, nice) in workers {
        assert!(*nice < of("skydock"), "{name}: {niceness:?}");
    }
    daemon.stop();
}

#[test]
fn as_many_files_may_be_open_as_this_host_allows() {
    let (dns, http) = (ports::free(), ports::free());
    let mut command = Command::new("prlimit");
    command.args(["--nofile=64:256", env!("CARGO_BIN_EXE_skydock")]);
    command.args(words(&format!(
        "{NO_ENGINE} --cores 1 --listen {dns} --http {http}"
    )));
    let daemon = Daemon::spawn(command, dns, http);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("our own child");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let line: Vec<_> = line.unwrap_or_default().split_whitespace().skip(3).collect();
    assert_eq!(line, ["256", "256", "files"]);
}
