//! The admin listener: health and metrics, whatever others do to it.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::daemon::{self, Daemon, NO_ENGINE};
use crate::support::{self, SOON, eventually};

#[test]
fn however_many_idle_connections_the_admin_listener_has_health_is_told_at_once() {
    let daemon = Daemon::start(NO_ENGINE);
    let _idle: Vec<_> = (0..70)
        .map(|_| TcpStream::connect(daemon.http()).expect("the admin listener"))
        .collect();
    let started = Instant::now();
    assert_eq!(daemon.get("/health").0, 200);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn metrics_count_queries_and_replies_by_rcode() {
    let daemon = Daemon::start(NO_ENGINE);
    for _ in 0..3 {
        assert_eq!(daemon.dig("nobody.docker A").status, "NXDOMAIN");
    }
    assert_eq!(daemon.dig("docker SOA").status, "NOERROR");
    assert_eq!(daemon.dig("docker SOA CH").status, "REFUSED");
    let counted = |rcode: &str| daemon.metric("skydock_dns_responses_total", &format!("rcode=\"{rcode}\""));
    // Counters are flushed by the workers themselves, maybe a moment after the reply.
    eventually("counters", SOON, || {
        let seen = [
            counted("NXDOMAIN"),
            counted("NOERROR"),
            counted("REFUSED"),
            daemon.metric("skydock_dns_requests_total", ""),
        ];
        support::expect(|seen| *seen == [3.0, 1.0, 1.0, 5.0], seen)
    });
    let text = daemon.get("/metrics").1;
    for name in [
        "skydock_snapshot_serial",
        "skydock_snapshot_names",
        "skydock_engine_connected",
    ] {
        assert_eq!(daemon::samples(&text, name, "").len(), 1, "{name} in:\n{text}");
    }
    assert!(text.trim_end().ends_with("# EOF"), "{text}");
}

#[test]
fn an_unknown_path_of_the_admin_listener_lists_those_there_are() {
    let daemon = Daemon::start(NO_ENGINE);
    let (status, body) = daemon.get("/nothing");
    assert!(status == 404 && body.contains("/metrics"), "{status} {body}");
}
