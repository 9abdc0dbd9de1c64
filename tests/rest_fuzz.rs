//! The HTTP interface under a fuzzer that makes requests from its description: whatever is asked, the answer is one that
//! the description has, and never a 5xx but the one of `/ready` that is there to be asked for.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use harness::engine::Engine;
use harness::world::World;
use support::daemon::{Daemon, NO_ENGINE};
use support::{SOON, skip};

/// Requests of each kind.
const EXAMPLES: &str = "50";
/// What every answer is held against.
const CHECKS: &str = "status_code_conformance,content_type_conformance,response_schema_conformance";

/// Schemathesis, where `tests/run` puts it, or on the path.
fn schemathesis() -> Option<PathBuf> {
    let ours = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/schemathesis/bin/schemathesis"
    );
    let candidates = [PathBuf::from(ours), PathBuf::from("schemathesis")];
    let found = candidates.into_iter().find(|program| {
        let mut asked = Command::new(program);
        asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    });
    if found.is_none() {
        skip("schemathesis is not there; tests/run installs it from PyPI");
    }
    found
}

/// Has `program` ask `to` for what `arguments` say, and look at the answers by `checks`.
fn fuzz(program: &Path, to: SocketAddr, arguments: &[&str], checks: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let output = Command::new(program)
        .arg("run")
        .arg(format!("http://{to}/v1/openapi.json"))
        .arg("--url")
        .arg(format!("http://{to}"))
        .args(arguments)
        .args(["--seed", "1", "-n", EXAMPLES, "--checks", checks])
        .current_dir(directory.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn whatever_is_asked_the_answer_is_one_of_the_description() {
    let Some(program) = schemathesis() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::start(World::new(3), &directory.path().join("engine.sock")).expect("an engine");
    let daemon = Daemon::start(&format!(
        "--docker {} --data-dir {}",
        engine.endpoint(),
        directory.path().display()
    ));
    daemon.await_ready();
    // A stream of events has no end that it could wait for: it has a test of its own.
    let all = ["--exclude-path", "/v1/events"];
    fuzz(
        &program,
        daemon.http(),
        &all,
        &format!("not_a_server_error,{CHECKS}"),
    );
    assert_eq!(daemon.get("/health").0, 200);
}

#[test]
fn who_is_not_ready_says_so_as_described() {
    let Some(program) = schemathesis() else { return };
    let daemon = Daemon::start(NO_ENGINE);
    assert_eq!(daemon.get("/ready").0, 503);
    fuzz(&program, daemon.http(), &["--include-path", "/ready"], CHECKS);
}

#[test]
fn whoever_wants_to_watch_is_answered_as_described() {
    let Some(program) = schemathesis() else { return };
    let daemon = Daemon::start(NO_ENGINE);
    let brief = brief(daemon.http());
    let checks = format!("not_a_server_error,{CHECKS}");
    fuzz(&program, brief, &["--include-path", "/v1/events"], &checks);
    assert_eq!(daemon.get("/health").0, 200);
}

/// A way to `to` on which streams of events end behind their head, as if there were none: whoever asks through it gets
/// whole replies. It lasts as long as the process.
fn brief(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // Whoever hangs up meanwhile asks no more.
            thread::spawn(move || pass(client, to));
        }
    });
    address
}

/// One request and its reply, then the end of the connection.
fn pass(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    client.set_read_timeout(Some(SOON))?;
    let mut server = TcpStream::connect(to)?;
    server.set_read_timeout(Some(SOON))?;
    let head = read_until(&mut client, b"\r\n\r\n")?;
    for line in head.split_inclusive(|octet| *octet == b'\n') {
        let is_about_more = line.to_ascii_lowercase().starts_with(b"connection:");
        match line {
            b"\r\n" => server.write_all(b"Connection: close\r\n\r\n")?,
            line if !is_about_more => server.write_all(line)?,
            _ => {}
        }
    }
    let reply = read_until(&mut server, b"\r\n\r\n")?;
    client.write_all(&reply)?;
    if String::from_utf8_lossy(&reply).contains("text/event-stream") {
        // Its first chunk, and the one that says that there are no more.
        client.write_all(&read_until(&mut server, b"\n\n\r\n")?)?;
        return client.write_all(b"0\r\n\r\n");
    }
    std::io::copy(&mut server, &mut client).map(drop)
}

/// What comes, up to and with `end`.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> std::io::Result<Vec<u8>> {
    let (mut read, mut octet) = (Vec::new(), [0]);
    while !read.ends_with(end) {
        stream.read_exact(&mut octet)?;
        read.extend_from_slice(&octet);
    }
    Ok(read)
}
