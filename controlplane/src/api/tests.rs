use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connections::{CONNECTIONS_MAX, HEAD_OCTETS_MAX};
use super::*;
use crate::docker::{Census, EngineCounters, EngineState};
use crate::metrics::{CoreCounts, Metrics, StreamCounts, UpstreamState, WorkerCounts};
use crate::naming::Naming;
use crate::service::{Change, Source};
use crate::status::{EngineStatus, Published};
use crate::store::Rules;

/// A listener on loopback that serves what `status` says, and the way to stop it.
async fn listening(
    status: watch::Receiver<Status>,
) -> (std::net::SocketAddr, CancellationToken, JoinSet<()>) {
    let stop = CancellationToken::new();
    listening_to(shared(status, &stop), stop).await
}

/// A listener on loopback that serves what `shared` has, until `stop`.
async fn listening_to(
    shared: Shared,
    stop: CancellationToken,
) -> (std::net::SocketAddr, CancellationToken, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    let flush: FlushCache =
        Arc::new(|name| assert!(name.is_none_or(|name| name.to_string() == "example.org")));
    serving.spawn(serve(listener, None, router(shared, flush), stop.clone()));
    (address, stop, serving)
}

/// What the routes read, without anybody behind it.
fn shared(status: watch::Receiver<Status>, stop: &CancellationToken) -> Shared {
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
            upstreams: vec![UpstreamState {
                upstream: "192.0.2.1:853#dns.example".to_owned(),
                state: "certificate_expired",
            }],
        }),
    );
    let (changes, _) = mpsc::channel(1);
    let rules = Rules {
        defaults: crate::fixture::defaults(),
        naming: Naming::new(vec![]),
    };
    let (store, ..) = Store::open(None, rules, changes);
    let (looks, _) = mpsc::channel(1);
    Shared::new(
        status,
        exposition,
        store,
        looks,
        Arc::new(|_, _| Rehearsed::Silence),
        Feed::new(),
        Access::default(),
        stop.clone(),
    )
}

fn engine(state: EngineState, is_synced: bool) -> EngineStatus {
    EngineStatus {
        endpoint: "unix:///e".into(),
        state,
        is_synced,
        counters: EngineCounters::default(),
        census: Census::default(),
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
        published,
        ..Status::default()
    }
}

/// Sends `request` on a connection of its own and returns all that comes back.
async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
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

    // It has told everything, and is away now.
    status.send_modify(|status| status.served(&[Source::Engine("unix:///e".into())], Published::default()));
    let reply = exchange(address, "GET /ready").await;
    let away =
        "\r\n\r\nready\nengine unix:///e: nothing is at unix:///e; start it; its last names are served\n";
    assert!(
        reply.starts_with("HTTP/1.1 200 ") && reply.ends_with(away),
        "{reply}"
    );
    status.send_modify(|status| {
        status.engines[0].state = EngineState::Connected {
            version: "Docker 29".into(),
            api: "1.52".into(),
            containers: 0,
        };
    });
    let reply = exchange(address, "GET /ready").await;
    assert!(reply.ends_with("\r\n\r\nready\n"), "{reply}");
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
        "skydock_dns_upstream_state{upstream=\"192.0.2.1:853#dns.example\",state=\"certificate_expired\"} 1",
        "skydock_dns_drops_total{core=\"3\",proto=\"udp\",reason=\"short\"} 1",
        "skydock_engine_connected{engine=\"unix:///e\"} 0",
        "skydock_engine_connected{engine=\"tcp://f:2375\"} 1",
        "skydock_engine_events_total{engine=\"unix:///e\"} 0",
        "skydock_changes_total{source=\"unix:///e\",kind=\"reset\"} 1",
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

/// A connection that has said `octets`.
async fn saying(address: std::net::SocketAddr, octets: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(octets.as_bytes()).await.unwrap();
    stream
}

/// Whether the other side has hung up, with or without a word.
async fn is_hung_up_on(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(Duration::from_millis(100), stream.read_to_end(&mut rest))
        .await
        .is_ok()
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_whole_is_hung_up_on_within_seconds() {
    let (_status, watched) = watch::channel(status());
    let (address, _stop, _serving) = listening(watched).await;
    let mut silent = saying(address, "").await;
    let mut slow = saying(address, "GET /health HTTP/1.1\r\n").await;
    for stream in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(
            ended.is_ok() && !rest.starts_with(b"HTTP/1.1 200"),
            "{ended:?} {rest:?}"
        );
    }
}

#[tokio::test]
async fn a_newcomer_takes_the_place_of_the_one_that_was_idle_longest() {
    let (_status, watched) = watch::channel(status());
    let (address, _stop, _serving) = listening(watched).await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        idle.push(saying(address, "GET /health HTTP/1.1\r\n").await);
    }
    for place in 0..3 {
        let asked = timeout(Duration::from_secs(1), exchange(address, "GET /health")).await;
        assert!(asked.unwrap().starts_with("HTTP/1.1 200 "), "newcomer {place}");
    }
    assert!(is_hung_up_on(idle.first_mut().unwrap()).await);
    assert!(!is_hung_up_on(idle.last_mut().unwrap()).await);
}

#[tokio::test]
async fn a_stop_waits_for_no_head_that_is_not_whole() {
    let (_status, watched) = watch::channel(status());
    let (address, stop, mut serving) = listening(watched).await;
    let _silent = saying(address, "").await;
    let _half = saying(address, "GET /health HTTP/1.1\r\nHo").await;
    // Both are served by now, for this one came later.
    exchange(address, "GET /health").await;
    stop.cancel();
    timeout(Duration::from_millis(100), serving.join_next())
        .await
        .expect("at once")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_stop_waits_a_moment_for_the_rest_of_a_later_head() {
    let (_status, watched) = watch::channel(status());
    let (address, stop, mut serving) = listening(watched).await;
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut second = saying(address, request).await;
    let mut octets = [0; 12];
    second.read_exact(&mut octets).await.unwrap();
    second.write_all(b"GET /health HTTP/1.1\r\nHo").await.unwrap();
    exchange(address, "GET /health").await;
    stop.cancel();
    timeout(Duration::from_millis(800), serving.join_next())
        .await
        .expect("well within a second")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn it_stops_at_once_though_connections_are_idle() {
    let (_status, watched) = watch::channel(status());
    let (address, stop, mut serving) = listening(watched).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
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

#[tokio::test]
async fn what_is_to_be_forgotten_is_a_name_or_everything() {
    let (_status, watched) = watch::channel(status());
    let (address, _stop, _serving) = listening(watched).await;
    for (request, status, words) in [
        ("POST /v1/cache/flush", 204, ""),
        ("POST /v1/cache/flush?name=Example.ORG.", 204, ""),
        ("POST /v1/cache/flush?name=a..b", 400, "is no domain name"),
        ("POST /v1/cache/flush?nome=example.org", 400, "unknown field"),
        ("GET /v1/cache/flush", 405, "has no GET"),
    ] {
        let reply = exchange(address, request).await;
        let begin = format!("HTTP/1.1 {status} ");
        assert!(
            reply.starts_with(&begin) && reply.contains(words),
            "{request}: {reply}"
        );
    }
}

#[tokio::test]
async fn who_floods_what_needs_no_secret_stops_nobody_else() {
    let (_status, watched) = watch::channel(status());
    let stop = CancellationToken::new();
    let shared = shared(watched, &stop);
    shared.guard.exhaust_others();
    let (address, _stop, _serving) = listening_to(shared, stop).await;
    for (line, status) in [
        ("GET /metrics", 429),
        ("POST /raft/join", 429),
        ("GET /nothing", 429),
        ("GET /health", 200),
        ("GET /ready", 503),
        ("GET /v1/settings", 200),
    ] {
        let reply = exchange(address, line).await;
        assert!(
            reply.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line}: {reply}"
        );
    }
}
