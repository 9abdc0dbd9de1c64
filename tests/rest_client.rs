//! `skydock services`: what it prints, its exit codes, and what it says when it cannot.

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use support::daemon::{Daemon, NO_ENGINE, binary, words};
use support::http::request;
use support::lossy::Lossy;
use support::{SOON, eventually, expect, ports};

const JSON: &str = "Content-Type: application/json";

fn daemon() -> Daemon {
    Daemon::start(NO_ENGINE)
}

fn put(to: SocketAddr, id: &str, address: &str) {
    let body = json!({ "service": "web", "instance": "web1", "addresses": [address], "ports": [{ "number": 80 }], "ttl": 60 });
    request(to, &format!("PUT /v1/services/{id}"), &[JSON], &body.to_string());
}

/// Runs `skydock services` against `daemon`.
fn client(daemon: &Daemon, arguments: &str) -> Output {
    client_of(&format!("http://{}", daemon.http()), arguments)
}

fn client_of(url: &str, arguments: &str) -> Output {
    let mut command = binary();
    command
        .args(words(&format!("services {arguments}")))
        .env("SKYDOCK_URL", url);
    command.output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_client_registers_changes_lists_and_removes() {
    let daemon = daemon();
    let run = |arguments: &str| client(&daemon, arguments);
    let code = |arguments: &str| run(arguments).status.code();
    assert_eq!(said(&run("")), "no services\n");
    let added = run("add db1 --service db --address 10.0.0.7 --port postgres=5432,53/udp --ttl 60");
    assert_eq!(added.status.code(), Some(0), "{added:?}");
    assert_eq!(daemon.dig("db.dev.docker A").sorted_answers(), ["10.0.0.7"]);
    assert_eq!(code("add db1 --service db --address 10.0.0.7 --ttl 60"), Some(4));
    let shown = said(&run("list"));
    let row: Vec<_> = shown.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(
        row[..4],
        ["db1.db.dev", "db1", "10.0.0.7", "postgres=5432,53/udp"],
        "{shown}"
    );
    let list: Value = serde_json::from_str(&said(&run("-json list --service db"))).expect("JSON");
    let revision = list[0]["revision"].to_string();
    assert_eq!(
        code(&format!("update db1 --address 10.0.0.8 --if-revision {revision}")),
        Some(0)
    );
    assert_eq!(
        code(&format!("update db1 --address 10.0.0.9 --if-revision {revision}")),
        Some(4)
    );
    assert_eq!(daemon.dig("db.dev.docker A").sorted_answers(), ["10.0.0.8"]);
    assert_eq!(
        (
            code("update db1"),
            code("update db1 --permanent --clear permanent")
        ),
        (Some(2), Some(2))
    );
    assert_eq!(code("update db1 --permanent --priority 7"), Some(0));
    let cleared = said(&run("update db1 --clear priority,permanent --json"));
    let cleared: Value = serde_json::from_str(&cleared).expect("JSON");
    assert_eq!(
        (&cleared["priority"], &cleared["permanent"]),
        (&Value::Null, &json!(false))
    );
    assert_eq!(code("heartbeat db1 --ttl 90"), Some(0));
    assert!(said(&run("get db1")).contains("ttl        90\n"));
    assert_eq!(
        (code("rm db1"), code("rm db1"), code("get db1")),
        (Some(0), Some(3), Some(3))
    );

    let refused = run("add db1 --service any --address 10.0.0.7 --ttl 60");
    assert_eq!(refused.status.code(), Some(2));
    let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        sentence.starts_with("skydock: service: ") && sentence.lines().count() == 1,
        "{sentence}"
    );
    assert_eq!(code("--url http://127.0.0.1:1 list"), Some(1));
    assert_eq!(code("--url ftp://x list"), Some(2));
}

/// What the client says is wrong, and its exit code.
fn complaint(output: &Output) -> (Option<i32>, String) {
    let sentence = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    (output.status.code(), sentence)
}

#[test]
fn what_is_wrong_is_said_with_the_remedy() {
    let guarded = Daemon::start(&format!("{NO_ENGINE} --secret s3cret"));
    let check = |output: Output, code: i32, part: &str| {
        let (found, sentence) = complaint(&output);
        assert!(
            found == Some(code) && sentence.contains(part),
            "{found:?} {sentence}"
        );
        assert!(!sentence.contains("s3cre"), "{sentence}");
    };
    check(
        client(&guarded, "list"),
        5,
        "wants its secret there; give it by SKYDOCK_SECRET or --secret-file",
    );
    check(client(&guarded, "--secret s3cre list"), 5, "is not the one");
    check(
        client_of("http://127.0.0.1:1", "list"),
        1,
        "is skydock running there? --url names another",
    );
    let of_http = format!("https://{}", guarded.http());
    check(client_of(&of_http, "list"), 1, "write http://");
    for (url, part) in [
        ("ftp://x", "neither http:// nor https://"),
        ("http://x/y", "more than a host"),
    ] {
        check(client_of(url, "list"), 2, part);
    }
    check(
        client(&guarded, "--secret-file /nonexistent list"),
        2,
        "/nonexistent",
    );
    check(client(&guarded, "--secret s3cret get none"), 3, "none");
}

/// A running `skydock services watch`, and the lines that it prints.
struct Watch {
    child: Child,
    lines: Receiver<String>,
    complaints: Receiver<String>,
}

impl Watch {
    fn of(daemon: SocketAddr, arguments: &str) -> Self {
        let mut command = binary();
        command
            .args(words(&format!("services watch {arguments}")))
            .env("SKYDOCK_URL", format!("http://{daemon}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = told(child.stdout.take().expect("it is piped"));
        let complaints = told(child.stderr.take().expect("it is piped"));
        Self {
            child,
            lines,
            complaints,
        }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(SOON).expect("a line")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn told(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody listens any more at the end of the test.
            let _ = to.send(line);
        }
    });
    lines
}

/// Waits until so many watch.
fn await_watchers(daemon: &Daemon, count: f64) {
    eventually("a watcher", SOON, || {
        expect(
            |watchers: &f64| *watchers == count,
            daemon.metric("skydock_http_watchers", ""),
        )
    });
}

#[test]
fn watching_goes_on_where_it_was_after_the_connection_is_lost() {
    let daemon = daemon();
    let http = daemon.http();
    let gate = Lossy::before(http);
    let watch = Watch::of(gate.address(), "--json");
    await_watchers(&daemon, 1.0);
    put(http, "w1", "10.0.0.7");
    assert!(watch.next().contains("\"added\""));
    gate.cut();
    await_watchers(&daemon, 0.0);
    put(http, "w1", "10.0.0.8");
    put(http, "w2", "10.0.0.9");
    gate.mend();
    let (first, second) = (watch.next(), watch.next());
    assert!(
        first.contains("\"changed\"") && first.contains("10.0.0.8"),
        "{first}"
    );
    assert!(
        second.contains("\"added\"") && second.contains("10.0.0.9"),
        "{second}"
    );
}

#[test]
fn watching_bears_a_restart_and_says_that_changes_were_missed() {
    let (dns, http) = (ports::free(), ports::free());
    let start = || {
        let mut command = binary();
        command.args(words(&format!("{NO_ENGINE} --listen {dns} --http {http}")));
        Daemon::spawn(command, dns, http)
    };
    let first = start();
    let watch = Watch::of(http, "");
    await_watchers(&first, 1.0);
    put(http, "w1", "10.0.0.7");
    let line = watch.next();
    assert!(line.starts_with("+ web1.web.dev  10.0.0.7"), "{line}");
    first.stop();
    let complaint = watch.complaints.recv_timeout(SOON).expect("a complaint");
    assert!(complaint.contains("trying again"), "{complaint}");
    let second = start();
    await_watchers(&second, 1.0);
    assert!(watch.next().starts_with("! reset: changes were missed"));
    put(http, "w2", "10.0.0.8");
    assert!(watch.next().starts_with("+ web1.web.dev  10.0.0.8"));
}

#[test]
fn watching_what_is_not_there_ends_at_once() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", nobody.local_addr().expect("it is bound"));
    drop(nobody);
    let (code, sentence) = complaint(&client_of(&url, "watch"));
    assert!(
        code == Some(1) && sentence.contains("is skydock running there?"),
        "{sentence}"
    );
}

#[test]
fn watching_ends_when_nobody_reads_any_more() {
    let daemon = daemon();
    let http = daemon.http();
    let mut command = binary();
    command
        .args(words("services watch"))
        .env("SKYDOCK_URL", format!("http://{http}"));
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    await_watchers(&daemon, 1.0);
    put(http, "w1", "10.0.0.7");
    assert!(lines.next().is_some());
    // As `head -1` does.
    drop(lines);
    put(http, "w1", "10.0.0.8");
    let ended = eventually("its end", SOON, || {
        let ended = child.try_wait().expect("a child can be asked");
        ended.ok_or_else(|| "it watches on".to_owned())
    });
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn what_cannot_be_printed_is_no_success() {
    let daemon = daemon();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("the device");
    let mut command = binary();
    command
        .args(words("services list"))
        .env("SKYDOCK_URL", format!("http://{}", daemon.http()))
        .stdout(full);
    let (code, sentence) = complaint(&command.output().expect("it runs"));
    assert!(
        code == Some(1) && sentence.contains("standard output cannot be written"),
        "{sentence}"
    );
}

#[test]
fn a_proxy_of_the_environment_is_not_asked() {
    let daemon = daemon();
    let nobody = "http://127.0.0.1:1";
    let mut command = binary();
    command.args(words("services list"));
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env(name, nobody);
    }
    command.env("SKYDOCK_URL", format!("http://{}", daemon.http()));
    assert_eq!(said(&command.output().expect("it runs")), "no services\n");
}

#[test]
fn nothing_that_was_registered_commands_the_terminal_of_who_looks() {
    let daemon = daemon();
    let body = json!({ "service": "web", "addresses": ["10.0.0.7"], "texts": ["\u{1b}[2J\u{9b}31m\u{202e}"], "ttl": 60 });
    request(daemon.http(), "PUT /v1/services/w1", &[JSON], &body.to_string());
    for arguments in ["list", "list --json", "get w1", "get w1 --json"] {
        let shown = said(&client(&daemon, arguments));
        let is_harmless = |c: char| !c.is_control() || c == '\n';
        assert!(
            shown.contains("w1") && shown.chars().all(is_harmless),
            "{arguments}: {shown:?}"
        );
    }
}
