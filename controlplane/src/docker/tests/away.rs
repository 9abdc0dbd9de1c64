//! An engine whose stream breaks, that goes away, comes back, or cannot be used at all.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn a_stream_cut_at_any_octet_of_an_event_loses_and_wipes_nothing() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    let octets = event("start", "b").into_bytes();
    for cut in 0..=octets.len() {
        engine.short_stream(&octets[..cut]);
    }
    engine.run("b", "10.0.0.2");
    let connections = engine.count("/events");
    engine.cut_events();
    engine.saw("/events", connections + octets.len() + 2).await;
    let all = "a=10.0.0.1,b=10.0.0.2";
    rig.until(all).await;
    engine.subscribed().await;
    engine.run("c", "10.0.0.3");
    engine.event("start", "c");
    rig.until("a=10.0.0.1,b=10.0.0.2,c=10.0.0.3").await;
    for told in &rig.told[1..] {
        assert!(
            told.contains("b=10.0.0.2") || told.contains("c=10.0.0.3"),
            "{told} of {:?}",
            rig.told
        );
    }
}

#[tokio::test]
async fn an_event_that_arrives_in_pieces_is_read() {
    let (engine, mut rig) = rig(&[]).await;
    engine.run("a", "10.0.0.1");
    for octet in event("start", "a").bytes() {
        engine.octets(&[octet]);
        tokio::task::yield_now().await;
    }
    rig.expect(&["+a=10.0.0.1"]).await;
    assert_eq!(rig.counters.events(), 1);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_ends_in_a_resync() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    engine.run("b", "10.0.0.2");
    // A word that is not as we know it is none for us; what is no JSON may have been anything.
    engine.octets(b"{\"Type\":42}\n[]\n");
    rig.expect_quiet().await;
    engine.octets(b"{\"Type\":\n");
    rig.until("a=10.0.0.1,b=10.0.0.2").await;
    assert_eq!(rig.told.last().unwrap(), "=a=10.0.0.1,b=10.0.0.2");
}

#[tokio::test]
async fn an_engine_that_ends_its_stream_is_connected_to_again() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    engine.run("b", "10.0.0.2");
    engine.end_events();
    rig.until("a=10.0.0.1,b=10.0.0.2").await;
    rig.connected(2).await;
    assert_eq!(rig.counters.resyncs(), 2);
}

#[tokio::test]
async fn while_the_engine_is_away_the_last_records_stay_and_its_return_is_one_reset() {
    let (mut engine, mut rig) = rig(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]).await;
    engine.crash().await;
    let why = rig.away().await;
    assert!(why.contains(&engine.socket().display().to_string()), "{why}");
    rig.expect_quiet().await;
    engine.end("a");
    engine.run("c", "10.0.0.3");
    engine.start();
    rig.expect(&["=b=10.0.0.2,c=10.0.0.3"]).await;
    rig.connected(2).await;
}

#[tokio::test]
async fn an_engine_that_appears_at_its_socket_is_connected_to_however_long_the_wait_has_grown() {
    let mut engine = FakeEngine::new();
    let backoff = Bounds {
        first: HOUR,
        last: HOUR,
    };
    let mut rig = Rig::start(
        &engine.socket(),
        Pace {
            backoff,
            look: Duration::from_millis(5),
            ..TEST_PACE
        },
    );
    rig.away().await;
    engine.run("a", "10.0.0.1");
    engine.start();
    rig.expect(&["=a=10.0.0.1"]).await;
}

#[tokio::test]
async fn a_stop_is_heeded_at_once_in_every_state() {
    let (_engine, connected) = rig(&[("a", "10.0.0.1")]).await;
    let absent = Rig::start(Path::new("/nonexistent/docker.sock"), PACE);
    let mut hanging = FakeEngine::new();
    hanging.start();
    hanging.script("/version", Reply::Hang);
    let hung = Rig::start(&hanging.socket(), PACE);
    hanging.saw("/version", 1).await;
    for rig in [connected, absent, hung] {
        rig.stop.cancel();
        tokio::time::timeout(Duration::from_secs(1), rig.task)
            .await
            .unwrap()
            .unwrap();
    }
}

/// Why the engine there cannot be reached at the first try.
async fn away_from(socket: &Path) -> String {
    let mut rig = Rig::start(socket, TEST_PACE);
    let why = rig.away().await;
    rig.stop.cancel();
    rig.task.await.unwrap();
    why
}

#[tokio::test]
async fn an_engine_that_cannot_be_used_is_named_with_the_remedy() {
    let mut engine = FakeEngine::new();
    let socket = engine.socket();
    let at = format!("unix://{}", socket.display());

    let why = away_from(&socket).await;
    assert_eq!(
        why,
        format!(
            "there is no engine socket at {at}; check the path given by --docker, or start the engine that makes it"
        )
    );

    std::fs::write(&socket, "").unwrap();
    let why = away_from(&socket).await;
    assert_eq!(
        why,
        format!("{at} is not a socket; name the engine's socket with --docker")
    );

    engine.start();
    engine.crash().await;
    let why = away_from(&socket).await;
    assert!(
        why.starts_with(&format!("nothing accepts connections at {at}; start the engine")),
        "{why}"
    );

    engine.start();
    for (reply, expected) in [
        (
            Reply::Raw(b"220 smtp\r\n\r\n"),
            "does not speak a container engine's API",
        ),
        (
            Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            "does not speak a container engine's API",
        ),
        (
            Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            "does not speak a container engine's API",
        ),
        (Reply::Status(404), "is not a container engine"),
        (Reply::Status(403), "pass GET /version, /events"),
        (Reply::Hang, "did not answer within 0.3 s"),
    ] {
        engine.script("/version", reply);
        let why = away_from(&socket).await;
        assert!(why.contains(expected) && why.contains(&at), "{why}");
    }
}

/// Counts the lines an operator would see.
struct LogLines(Arc<AtomicUsize>);

impl tracing::Subscriber for LogLines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn an_engine_that_goes_is_logged_once_and_its_return_once_but_not_what_the_first_try_finds() {
    let lines = Arc::new(AtomicUsize::new(0));
    // With one subscriber alone, a line that another thread, which has none, comes by first is taken for one that nobody
    // wants.
    let _second = tracing::Dispatch::new(LogLines(Arc::default()));
    let _guard = tracing::subscriber::set_default(LogLines(lines.clone()));
    let mut engine = FakeEngine::new();
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    rig.away().await;
    let since = rig.state.borrow_and_update().clone();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        !rig.state.has_changed().unwrap(),
        "{since:?}, then {:?}",
        *rig.state.borrow()
    );
    // That is in the report of whoever started us.
    assert_eq!(lines.load(Ordering::Relaxed), 0);
    engine.start();
    rig.take().await;
    rig.connected(0).await;
    assert_eq!(lines.load(Ordering::Relaxed), 1);
    engine.crash().await;
    rig.away().await;
    // Once that its words ended, and once that it is not there: the reason is another. Then nothing more.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let said = lines.load(Ordering::Relaxed);
    assert!((2..=3).contains(&said), "{said}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(lines.load(Ordering::Relaxed), said);
}

#[tokio::test]
async fn an_engine_that_needs_long_to_list_is_given_more_time_with_each_try() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    for _ in 0..64 {
        engine.script("/containers/json", Reply::After(Duration::from_millis(700)));
    }
    let pace = Pace {
        deadline: Bounds {
            first: Duration::from_millis(50),
            last: Duration::from_secs(20),
        },
        ..TEST_PACE
    };
    let mut rig = Rig::start(&engine.socket(), pace);
    rig.until("a=10.0.0.1").await;
    // 50, 100, 200 and 400 ms are too short.
    assert!(engine.count("/containers/json") >= 5);
}
