//! What whoever reaches the HTTP interface can do at most: bounds of size, number and time, and what is never told.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use support::daemon::{Daemon, NO_ENGINE, binary, words};
use support::http::{check_problem, exchange, request, try_request};
use support::ports;

const JSON: &str = "Content-Type: application/json";

fn daemon() -> Daemon {
    Daemon::start(NO_ENGINE)
}

#[test]
fn hostile_requests_are_answered_within_bounds() {
    let daemon = daemon();
    let http = daemon.http();
    let large = format!("{{\"service\":\"{}\"}}", "x".repeat(200_000));
    check_problem(&request(http, "PUT /v1/services/w1", &[JSON], &large), 413, None);
    // A length that is told, and a body that never comes.
    let head = "PUT /v1/services/w1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n";
    assert_eq!(exchange(http, head.as_bytes()).expect("a reply").status, 413);
    // The same without a length, and one that is no body at all.
    let chunked = head.replace("Content-Length: 1000000000", "Transfer-Encoding: chunked");
    let long = format!("{chunked}20000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x20000));
    let refused = exchange(http, long.as_bytes()).expect("a reply");
    check_problem(&refused, 413, None);
    let broken = exchange(http, format!("{chunked}zz\r\n").as_bytes()).expect("a reply");
    check_problem(&broken, 400, Some("body"));
    let slow = head.replace("1000000000", "10");
    assert_eq!(exchange(http, slow.as_bytes()).expect("a reply").status, 408);
    let many: Vec<_> = (0..10_000).map(|number| format!("X-{number}: 1")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    // It may hang up before all of them are sent.
    if let Ok(reply) = try_request(http, "GET /v1/services", &many, "") {
        assert_eq!(reply.status, 431);
    }
    let rebound = request(http, "GET /v1/services", &["Host: evil.example:8053"], "");
    check_problem(&rebound, 421, Some("Host"));
    let plain = request(http, "GET /v1/services", &[], "");
    assert_eq!(
        (plain.status, plain.header("access-control-allow-origin")),
        (200, None)
    );
    let preflight = request(
        http,
        "OPTIONS /v1/services/w1",
        &["Origin: http://evil.example"],
        "",
    );
    assert!(preflight.status >= 400 && preflight.header("access-control-allow-origin").is_none());
}

#[test]
fn a_body_that_comes_drop_by_drop_is_given_up_in_time() {
    let daemon = daemon();
    let mut stream = TcpStream::connect(daemon.http()).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a socket");
    let head = "PUT /v1/services/w1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it is sent");
    let (began, mut reply) = (Instant::now(), [0; 64]);
    let heard = loop {
        let _ = stream.write_all(b" ");
        match stream.read(&mut reply) {
            Ok(octets) => {
                break String::from_utf8_lossy(reply.get(..octets).unwrap_or_default()).into_owned();
            }
            Err(_) => assert!(began.elapsed() < Duration::from_secs(15), "it waits for ever"),
        }
    };
    assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    assert!(
        began.elapsed() >= Duration::from_secs(4),
        "a slow client has some seconds"
    );
}

/// Sends `count` requests at once on one connection, and counts how many are answered with 429.
fn refused_of(to: SocketAddr, count: usize) -> usize {
    let mut stream = TcpStream::connect(to).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket");
    let one = "GET /v1/services/none HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /v1/services/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut writer = stream.try_clone().expect("a socket");
    let all = one.repeat(count - 1) + last;
    let writing = std::thread::spawn(move || writer.write_all(all.as_bytes()));
    let mut replies = String::new();
    stream.read_to_string(&mut replies).expect("replies");
    writing.join().expect("no panic").expect("it is sent");
    replies.matches("HTTP/1.1 429 ").count()
}

#[test]
fn who_asks_too_often_is_told_to_wait_and_can_go_on() {
    let daemon = daemon();
    let http = daemon.http();
    // More than this build could answer within the bound; all of them at once is more than any bucket holds.
    let refused: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(move || refused_of(http, 4000)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client does not fail"))
            .sum()
    });
    let counted = daemon.metric("skydock_http_requests_total", "status=\"429\"");
    assert_eq!(counted, refused as f64);
    // A slow machine may answer all of them within the bound; then there was nothing to refuse.
    if refused > 0 {
        let reply = request(http, "GET /v1/services/none", &[], "");
        assert!(matches!(reply.status, 404 | 429), "{reply:?}");
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(request(http, "GET /v1/services/none", &[], "").status, 404);
    assert_eq!(daemon.get("/health").0, 200, "which no rate bounds");
}

#[test]
fn whoever_invents_paths_and_methods_makes_no_new_metrics() {
    let daemon = daemon();
    for number in 0..50 {
        request(daemon.http(), &format!("BREW{number} /made/up/{number}"), &[], "");
        request(
            daemon.http(),
            &format!("BREW{number} /v1/services/{number}"),
            &[],
            "",
        );
    }
    let series = daemon.get("/metrics").1;
    let series: Vec<_> = series
        .lines()
        .filter(|line| line.starts_with("skydock_http_requests_total"))
        .collect();
    assert!(series.len() < 6, "{series:?}");
    assert_eq!(
        daemon.metric("skydock_http_requests_total", "route=\"none\""),
        50.0
    );
}

#[test]
fn a_listener_that_others_can_reach_needs_a_secret() {
    let refused = binary()
        .args(words(&format!("{NO_ENGINE} --http 0.0.0.0:18053")))
        .output()
        .expect("it runs");
    assert_eq!(refused.status.code(), Some(2));
    let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        sentence.contains("--insecure-http") && sentence.contains("SKYDOCK_SECRET"),
        "{sentence}"
    );
}

#[test]
fn a_secret_is_in_no_log_however_much_is_logged() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("secret");
    std::fs::write(&file, "s3cret-word\n").expect("a file");
    for given in [
        "--secret s3cret-word".to_owned(),
        format!("--secret-file {}", file.display()),
    ] {
        let (dns, http) = (ports::free(), ports::free());
        let mut command = binary();
        command.args(words(&format!(
            "{NO_ENGINE} --listen {dns} --http {http} {given}"
        )));
        command.env("RUST_LOG", "trace");
        let daemon = Daemon::spawn(command, dns, http);
        for header in [
            "Authorization: s3cret-word",
            "Authorization: Bearer s3cret-word",
            "Authorization: s3cret-word-and-more",
        ] {
            let body = r#"{"service":"web","addresses":["10.0.0.7"],"ttl":1}"#;
            for line in [
                "PUT /v1/services/w1",
                "GET /v1/services",
                "GET /v1/settings",
                "GET /skydns/services/",
                "POST /v1/services/w1/heartbeat",
                "PUT /skydns/services/w1",
                "GET /none",
            ] {
                let reply = request(http, line, &[header, JSON], body);
                assert!(!reply.body.contains("s3cret"), "{reply:?}");
            }
        }
        let log = daemon.log();
        assert!(log.contains("TRACE"), "it is logged at that level");
        assert!(!log.contains("s3cret-word"), "{log}");
    }
}

#[test]
fn no_help_shows_what_is_in_the_environment() {
    for arguments in [
        "--help",
        "services --help",
        "services add --help",
        "explain --help",
    ] {
        let mut command = binary();
        command
            .args(words(arguments))
            .env("SKYDOCK_SECRET", "s3cret-word");
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("Usage"), "{output:?}");
        assert!(!text.contains("s3cret-word"), "{text}");
    }
}
