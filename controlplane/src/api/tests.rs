use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::docker::{EngineCounters, EngineState};
use crate::metrics::{CoreCounts, Metrics, StreamCounts, WorkerCounts};
use crate::service::{Change, Source};
use crate::status::{EngineStatus, Published};

/// A listener on loopback that serves what `status` says, and the way to stop it.
async fn listening(
    status: watch::Receiver<Status>,
) -> (std::net::SocketAddr, CancellationToken, JoinSet<()>) {
    let metrics = Metrics::new();
    metrics.received(&Change::Reset {
        source: Source::Engine("unix:///e".into()),
        services: vec![],
    });
    metrics.published(Duration::from_micros(100));
    let core = CoreCounts {
        core: "3".into(),
        transport: "udp",
        queries: 7,
        responses: vec![("NOERROR".into(), 5), ("NXDOMAIN".into(), 1)],
        forwards: 2,
        drops: vec![("short", 1)],
        ..CoreCounts::default()
    };
    let exposition = Exposition::new(
        metrics,
        status.clone(),
        Arc::new(move || WorkerCounts {
            cores: vec![core.clone()],
            streams: StreamCounts {
                accepted: 9,
                open: 2,
                closed: vec![("idle", 7)],
                ..StreamCounts::default()
            },
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener, router(status, exposition), stop.clone()));
    (address, stop, serving)
}

fn engine(state: EngineState, is_synced: bool) -> EngineStatus {
    EngineStatus {
        endpoint: "unix:///e".into(),
        state,
        is_synced,
        counters: EngineCounters::default(),
    }
}

fn status() -> Status {
    let reason = "nothing is at unix:///e".to_owned();
    let away = EngineState::Away {
        since: std::time::Instant::now(),
        reason,
        remedy: "start it".to_owned(),
    };
    let published = Published {
        serial: 42,
        names: 6,
        services: 1,
        sample: None,
    };
    Status {
        engines: vec![engine(away, false)],
        is_complete: false,
        published,
    }
}

/// Sends `request` on a connection of its own and returns all that comes back.
async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: skydock\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn health_is_200_whatever_is_missing() {
    let (_status, watched) = watch::channel(status());
    let (address, _stop, _serving) = listening(watched).await;
    let reply = exchange(address, "GET /health").await;
    assert!(
        reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("\r\n\r\nalive\n"),
        "{reply}"
    );
}

#[tokio::test]
async fn ready_names_what_is_missing_and_turns_200() {
    let (status, watched) = watch::channel(status());
    let (address, _stop, _serving) = listening(watched).await;
    let reply = exchange(address, "GET /ready").await;
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    assert!(
        reply.ends_with("not ready\nengine unix:///e: nothing is at unix:///e; start it\n"),
        "{reply}"
    );

    status.send_modify(|status| status.served(&[Source::Engine("unix:///e".into())], Published::default()));
    let reply = exchange(address, "GET /ready").await;
    assert!(
        reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("ready\n"),
        "{reply}"
    );
}

#[tokio::test]
async fn metrics_show_both_planes_in_the_shapes_of_coredns() {
    let mut shown = status();
    let connected = EngineState::Connected {
        version: "Docker 29".into(),
        api: "1.52".into(),
        containers: 1,
    };
    shown.engines.push(EngineStatus {
        endpoint: "tcp://f:2375".into(),
        ..engine(connected, true)
    });
    let (_status, watched) = watch::channel(shown);
    let (address, _stop, _serving) = listening(watched).await;
    let reply = exchange(address, "GET /metrics").await;
    assert!(
        reply.contains(&format!("content-type: {}\r\n", crate::metrics::CONTENT_TYPE)),
        "{reply}"
    );
    for line in [
        concat!(
            "skydock_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "skydock_dns_requests_total{core=\"3\",proto=\"udp\"} 7",
        "skydock_dns_responses_total{core=\"3\",proto=\"udp\",rcode=\"NXDOMAIN\"} 1",
        "skydock_dns_forwards_total{core=\"3\",proto=\"udp\"} 2",
        "skydock_tcp_connections_accepted_total 9",
        "skydock_tcp_connections_open 2",
        "skydock_tcp_connections_closed_total{reason=\"idle\"} 7",
        "skydock_dns_drops_total{core=\"3\",proto=\"udp\",reason=\"short\"} 1",
        "skydock_engine_connected{engine=\"unix:///e\"} 0",
        "skydock_engine_connected{engine=\"tcp://f:2375\"} 1",
        "skydock_engine_events_total{engine=\"unix:///e\"} 0",
        "skydock_engine_changes_total{engine=\"unix:///e\",kind=\"reset\"} 1",
        "skydock_snapshot_serial 42",
        "skydock_snapshot_names 6",
        "skydock_snapshot_publishes_total 1",
        "skydock_snapshot_publish_duration_seconds_count 1",
        "skydock_snapshot_publish_duration_seconds_bucket{le=\"0.00016\"} 1",
        "skydock_ready 0",
    ] {
        assert!(
            reply.lines().any(|found| found == line),
            "{line}\nis not in\n{reply}"
        );
    }
    assert!(reply.ends_with("# EOF\n"), "{reply}");
}

#[tokio::test]
async fn head_has_the_head_alone() {
    let (_status, watched) = watch::channel(status());
    let (address, _stop, _serving) = listening(watched).await;
    for path in ["/health", "/metrics"] {
        let reply = exchange(address, &format!("HEAD {path}")).await;
        assert!(
            reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("\r\n\r\n"),
            "{reply}"
        );
        assert!(reply.contains("content-length: "), "{reply}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_told_the_known_ones_and_a_wrong_method_the_right_one() {
    let (_status, watched) = watch::channel(status());
    let (address, _stop, _serving) = listening(watched).await;
    let reply = exchange(address, "GET /").await;
    assert!(
        reply.starts_with("HTTP/1.1 404 ") && reply.ends_with(ROUTES),
        "{reply}"
    );
    let reply = exchange(address, "POST /ready").await;
    assert!(
        reply.starts_with("HTTP/1.1 405 ") && reply.contains("allow: GET,HEAD\r\n"),
        "{reply}"
    );
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let (_status, watched) = watch::channel(status());
    let (address, _stop, _serving) = listening(watched).await;
    let reply = exchange(address, &format!("GET /{}", "a".repeat(2 * HEAD_OCTETS_MAX))).await;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_hung_up_on_and_makes_room() {
    let (_status, watched) = watch::channel(status());
    let (address, _stop, _serving) = listening(watched).await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
        silent.push(stream);
    }
    // One more is not served before a place is free.
    let reply = exchange(address, "GET /health").await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    let mut rest = Vec::new();
    let _ = silent[0].read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn it_stops_at_once_though_connections_are_idle() {
    let (_status, watched) = watch::channel(status());
    let (address, stop, mut serving) = listening(watched).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: skydock\r\n\r\n")
        .await
        .unwrap();
    let mut octets = [0; 12];
    idle.read_exact(&mut octets).await.unwrap();
    stop.cancel();
    timeout(Duration::from_millis(500), serving.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the port is free again"
    );
}
