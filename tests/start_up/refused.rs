//! What keeps it from starting is told in one sentence, with the remedy.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};

use crate::engines;
use crate::support::daemon::{Daemon, NO_ENGINE, binary, run_command, words};
use crate::support::ports;

/// It ends with `code`, after one sentence on standard error that holds all of `parts`.
fn check_refusal(command: &mut Command, code: i32, parts: &[&str]) {
    let (exit, out, error) = run_command(command);
    assert_eq!(exit, Some(code), "{out}{error}");
    let lines: Vec<_> = error.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "one sentence: {error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing in: {error}");
    }
}

#[test]
fn a_taken_port_ends_it_with_a_sentence_that_names_address_port_and_holder() {
    let holder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = holder.local_addr().expect("its address").to_string();
    let pid = format!("pid {}", std::process::id());
    let line = format!("--listen {address} --http {} {NO_ENGINE}", ports::free());
    check_refusal(binary().args(words(&line)), 1, &[&address, &pid]);
}

#[test]
fn a_second_skydock_on_the_same_port_is_told_who_has_it() {
    let first = Daemon::start(NO_ENGINE);
    let address = first.dns().to_string();
    let line = format!("--listen {address} --http {} {NO_ENGINE}", ports::free());
    check_refusal(
        binary().args(words(&line)),
        1,
        &[&address, "skydock", &format!("pid {}", first.pid())],
    );
}

#[test]
fn a_taken_admin_port_that_was_asked_for_ends_it_with_a_sentence() {
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = holder.local_addr().expect("its address").to_string();
    let line = format!("--listen {} --http {address} {NO_ENGINE}", ports::free());
    check_refusal(
        binary().args(words(&line)),
        1,
        &[&address, &format!("pid {}", std::process::id())],
    );
}

#[test]
fn an_address_of_another_host_ends_it_with_a_sentence() {
    let listen = "--listen 198.51.100.1:5300".to_owned();
    let http = format!(
        "--listen {} --http 198.51.100.1:5300 --insecure-http",
        ports::free()
    );
    for flags in [listen, http] {
        check_refusal(
            binary().args(words(&format!("{flags} {NO_ENGINE}"))),
            1,
            &["198.51.100.1:5300 is not an address of this host"],
        );
    }
}

#[test]
fn a_wrong_flag_or_value_ends_it_with_one_sentence_and_exit_code_2() {
    for (line, part) in [
        ("--domian docker", "--domian"),
        ("--ttl soon", "--ttl"),
        ("-ttl -1", "ttl"),
        ("--listen nowhere", "--listen"),
        ("--cores 0-", "--cores"),
        ("--cores 9999", "--cores"),
        ("--engine steam", "--engine"),
        ("--allow everybody", "--allow"),
        ("--domain a..b", "--domain"),
        ("stray", "stray"),
        (
            "--listen 0.0.0.0:5391,127.0.0.1:5391",
            "0.0.0.0:5391 covers it already",
        ),
        ("--nameserver 8.8.8.8:0", "port 0"),
        (
            "--nameserver 9.0.0.1,9.0.0.2,9.0.0.3,9.0.0.4,9.0.0.5,9.0.0.6,9.0.0.7,9.0.0.8,9.0.0.9",
            "--nameserver",
        ),
    ] {
        check_refusal(binary().args(words(line)), 2, &[part]);
    }
    check_refusal(binary().env("SKYDOCK_TTL", "soon"), 2, &["SKYDOCK_TTL", "soon"]);
}

/// From too few for anything up to the first number that is enough: whatever fails first, that is the sentence.
#[test]
fn where_too_few_files_may_be_open_the_sentence_names_the_limit() {
    for engine in engines() {
        let is_enough = |limit: u32| {
            let (dns, http) = (ports::free(), ports::free());
            let mut command = Command::new("prlimit");
            command.arg(format!("--nofile={limit}:{limit}"));
            command.arg(env!("CARGO_BIN_EXE_skydock"));
            command.args(words(&format!(
                "{NO_ENGINE} --engine {engine} --cores 1 --listen {dns} --http {http}"
            )));
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("prlimit starts");
            let report = BufReader::new(child.stdout.take().expect("it is piped"));
            let runs = report
                .lines()
                .map_while(Result::ok)
                .any(|line| line.starts_with("  use "));
            if runs {
                child.kill().expect("our own child");
            }
            let output = child.wait_with_output().expect("its output");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                runs || output.status.code() == Some(1)
                    && said.lines().count() == 1
                    && said.contains("raise the limit of open files (ulimit -n"),
                "{engine}, {limit}: {:?} {said}",
                output.status
            );
            runs
        };
        let enough = (6..200).find(|limit| is_enough(*limit));
        assert!(enough.is_some_and(|limit| limit > 8), "{engine}: {enough:?}");
    }
}
