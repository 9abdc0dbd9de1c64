//! Callbacks of SkyDNS v1: who asked for it is told that a service went.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use support::daemon::{Daemon, NO_ENGINE};
use support::http::request;
use support::predecessor::{put, web};
use support::{SOON, eventually, expect};

fn daemon() -> Daemon {
    Daemon::start(NO_ENGINE)
}

/// A listener, and its port.
fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

/// Asks that `port` is told when services of this instance go.
fn call(to: SocketAddr, callback: &str, instance: &str, port: u16) -> u16 {
    let body = format!(
        r#"{{"Name":"web","Version":"{instance}","Environment":"dev","Region":"","Host":"","Reply":"127.0.0.1","Port":{port}}}"#
    );
    request(to, &format!("PUT /skydns/callbacks/{callback}"), &[], &body).status
}

/// Waits until so many callbacks had this result.
fn await_result(daemon: &Daemon, result: &str, count: f64) {
    eventually(result, SOON, || {
        expect(
            |found: &f64| *found == count,
            daemon.metric("skydock_callbacks_total", &format!("result=\"{result}\"")),
        )
    });
}

/// The next request that comes to `listener`, whole.
fn heard(listener: &TcpListener) -> String {
    answered(listener, "200 OK")
}

/// As [`heard`], answered with `status`.
fn answered(listener: &TcpListener, status: &str) -> String {
    let (mut stream, _) = listener.accept().expect("a callback");
    let mut request = Vec::new();
    let mut octets = [0; 4096];
    loop {
        let count = stream.read(&mut octets).expect("its octets");
        request.extend_from_slice(octets.get(..count).unwrap_or_default());
        let text = String::from_utf8_lossy(&request);
        if count == 0 || text.contains('}') {
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
            return text.into_owned();
        }
    }
}

#[test]
fn who_asked_for_it_is_told_of_removal_and_of_expiry() {
    let daemon = daemon();
    let http = daemon.http();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let call = |instance: &str| {
        let body = format!(
            r#"{{"Name":"web","Version":"{instance}","Environment":"dev","Region":"","Host":"","Reply":"127.0.0.1","Port":{port}}}"#
        );
        request(
            http,
            &format!("PUT /skydns/callbacks/call-{instance}"),
            &[],
            &body,
        )
        .status
    };
    assert_eq!(call("web1"), 404);
    put(http, "1001", &web("web1", "10.0.0.7", 60));
    put(http, "1002", &web("web2", "10.0.0.8", 2));
    assert_eq!((call("web1"), call("web2")), (201, 201));
    request(http, "DELETE /skydns/services/1001", &[], "");
    for (callback, uuid) in [("call-web1", "1001"), ("call-web2", "1002")] {
        let request = heard(&listener);
        assert!(
            request.starts_with(&format!("DELETE /skydns/callbacks/{callback} HTTP/1.1")),
            "{request}"
        );
        assert!(request.contains(&format!("{{\"UUID\":\"{uuid}\"")), "{request}");
    }
}

#[test]
fn callbacks_go_to_no_address_where_secrets_are() {
    let daemon = daemon();
    put(daemon.http(), "1001", &web("web1", "10.0.0.7", 60));
    for reply in [
        "169.254.169.254",
        "0.0.0.0",
        "fe80::1",
        "::ffff:169.254.169.254",
        "a/b",
        "u@h",
        "a b",
        "",
        "224.0.0.1",
    ] {
        let body = format!(r#"{{"Name":"web","Reply":"{reply}","Port":80}}"#);
        let status = request(daemon.http(), "PUT /skydns/callbacks/c1", &[], &body).status;
        assert_eq!(status, 400, "{reply}");
    }
}

#[test]
fn who_cannot_be_told_now_is_told_later_and_whoever_removes_does_not_wait() {
    let daemon = daemon();
    let http = daemon.http();
    let (listener, port) = listener();
    // One that accepts and never answers, for as long as the test runs.
    let (silent, silent_port) = self::listener();
    put(http, "1001", &web("web1", "10.0.0.7", 60));
    assert_eq!(call(http, "silent", "web1", silent_port), 201);
    assert_eq!(call(http, "busy", "web1", port), 201);
    let began = Instant::now();
    assert_eq!(request(http, "DELETE /skydns/services/1001", &[], "").status, 200);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "a removal waits for no callback"
    );
    for _ in 0..2 {
        let asked = answered(&listener, "503 Service Unavailable");
        assert!(asked.starts_with("DELETE /skydns/callbacks/busy "), "{asked}");
    }
    let asked = heard(&listener);
    assert!(asked.contains("{\"UUID\":\"1001\""), "{asked}");
    await_result(&daemon, "sent", 1.0);
    drop(silent);
}

#[test]
fn a_callback_outlives_a_restart_between_the_asking_and_the_removal() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = || Daemon::start(&format!("{NO_ENGINE} --data-dir {}", directory.path().display()));
    let first = start();
    let (listener, port) = listener();
    put(first.http(), "1001", &web("web1", "10.0.0.7", 60));
    assert_eq!(call(first.http(), "again", "web1", port), 201);
    first.kill();
    let second = start();
    assert_eq!(
        request(second.http(), "DELETE /skydns/services/1001", &[], "").status,
        200
    );
    let asked = heard(&listener);
    assert!(asked.starts_with("DELETE /skydns/callbacks/again "), "{asked}");
}

#[test]
fn what_is_owed_at_a_kill_is_made_after_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = || Daemon::start(&format!("{NO_ENGINE} --data-dir {}", directory.path().display()));
    let first = start();
    let http = first.http();
    // Who accepts, and has not answered when the daemon is killed, was not told.
    let (listener, port) = listener();
    for (uuid, instance, ttl) in [("1001", "web1", 60), ("1002", "web2", 60), ("1003", "web3", 2)] {
        put(http, uuid, &web(instance, "10.0.0.7", ttl));
        assert_eq!(call(http, &format!("call-{instance}"), instance, port), 201);
    }
    for uuid in ["1001", "1002"] {
        assert_eq!(
            request(http, &format!("DELETE /skydns/services/{uuid}"), &[], "").status,
            200
        );
    }
    eventually("the last one's end", SOON, || {
        let reply = request(http, "GET /skydns/services/1003", &[], "");
        expect(|status| *status == 404, reply.status)
    });
    // Those that were begun, of which nobody reads a word.
    let begun: Vec<_> = (0..3).map(|_| listener.accept().expect("a callback")).collect();
    first.kill();
    // With what it may have tried anew meanwhile.
    listener.set_nonblocking(true).expect("a socket");
    let more = std::iter::from_fn(|| listener.accept().ok());
    drop((begun, more.collect::<Vec<_>>()));
    listener.set_nonblocking(false).expect("a socket");

    let second = start();
    let mut told: Vec<_> = (0..3).map(|_| heard(&listener)).collect();
    told.sort();
    for (asked, instance) in told.iter().zip(["web1", "web2", "web3"]) {
        assert!(
            asked.starts_with(&format!("DELETE /skydns/callbacks/call-{instance} HTTP/1.1")),
            "{asked}"
        );
    }
    await_result(&second, "sent", 3.0);
    second.stop();

    // Who was told is not told again: the next one that is heard is another's.
    let third = start();
    put(third.http(), "1004", &web("web4", "10.0.0.7", 60));
    assert_eq!(call(third.http(), "call-web4", "web4", port), 201);
    assert_eq!(
        request(third.http(), "DELETE /skydns/services/1004", &[], "").status,
        200
    );
    let asked = heard(&listener);
    assert!(
        asked.starts_with("DELETE /skydns/callbacks/call-web4 "),
        "{asked}"
    );
    await_result(&third, "sent", 1.0);
}
