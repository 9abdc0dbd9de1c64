//! [`run`] against a scripted engine: what the pipeline is told when the engine fails in every way we know of.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::fake_engine::{FakeEngine, Reply, event, id, inspect_path};
use super::*;
use crate::service::Network;

const HOUR: Duration = Duration::from_secs(3600);

/// Fast where a test would wait, and without lists that would cover up for a lost event.
const TEST_PACE: Pace = Pace {
    deadline: Duration::from_millis(300),
    backoff: Bounds {
        first: Duration::from_millis(1),
        last: Duration::from_millis(8),
    },
    look: HOUR,
    relist_first: HOUR,
    relist: HOUR,
};

/// `run`, and a pipeline that remembers what it was told.
struct Rig {
    changes: mpsc::Receiver<Change>,
    state: watch::Receiver<EngineState>,
    counters: EngineCounters,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Name and first address of what the pipeline holds, `web1=10.0.0.1`.
    held: BTreeMap<String, String>,
    /// The networks that it was told of.
    networks: Vec<Network>,
    /// `+name=address`, `-name`, `=name=address,...` for each change.
    told: Vec<String>,
}

impl Rig {
    fn start(socket: &Path, pace: Pace) -> Self {
        let endpoint = Endpoint {
            address: Address::Unix(socket.to_owned()),
            origin: Origin::Flag,
        };
        let settings = ContainerSettings::new("dev", "here", 30);
        let watch = Watch {
            pace,
            ..Watch::new(endpoint, settings)
        };
        let counters = watch.counters.clone();
        // A small one, so that it is full at times.
        let (sender, changes) = mpsc::channel(2);
        let (state_sender, state) = watch::channel(EngineState::Connecting);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(watch, sender, state_sender, stop.clone()));
        Self {
            changes,
            state,
            counters,
            stop,
            task,
            held: BTreeMap::new(),
            networks: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Takes the next change in; panics if none comes for long.
    async fn take(&mut self) {
        while !self.take_one().await {}
    }

    /// Takes the next change in, whether it is about containers.
    async fn take_one(&mut self) -> bool {
        let change = tokio::time::timeout(Duration::from_secs(5), self.changes.recv()).await;
        let Ok(Some(change)) = change else {
            panic!(
                "no change came; state {:?}, told {:?}",
                *self.state.borrow(),
                self.told
            )
        };
        let short = |id: &str| id.trim_end_matches('0').to_owned();
        match change {
            Change::Put(services) => {
                let service = services.first();
                self.told.push(format!("+{}={}", service.instance, service.host));
                self.held.insert(short(&service.id.id), service.host.to_string());
            }
            Change::Remove(service) => {
                self.told.push(format!("-{}", short(&service.id)));
                self.held.remove(&short(&service.id));
            }
            Change::Reset { services, .. } => {
                self.held = services
                    .into_iter()
                    .map(|service| (short(&service.id.id), service.host.to_string()))
                    .collect();
                self.told.push(format!("={}", self.holds()));
            }
            Change::Networks { networks, .. } => {
                self.networks = networks;
                return false;
            }
            Change::Mark(_) => return false,
        }
        true
    }

    fn holds(&self) -> String {
        self.held
            .iter()
            .map(|(name, address)| format!("{name}={address}"))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Takes changes in until the pipeline holds this.
    async fn until(&mut self, expected: &str) {
        while self.told.is_empty() || self.holds() != expected {
            self.take().await;
        }
    }

    /// Takes the next changes in, which must be these and, for a while, no others.
    async fn expect(&mut self, told: &[&str]) {
        self.told.clear();
        for _ in told {
            self.take().await;
        }
        assert_eq!(self.told, told);
        self.expect_quiet().await;
    }

    async fn expect_quiet(&mut self) {
        let change = tokio::time::timeout(Duration::from_millis(40), self.changes.recv()).await;
        assert!(change.is_err(), "no change was expected: {change:?}");
    }

    async fn away(&mut self) -> String {
        let away = |state: &EngineState| matches!(state, EngineState::Away { .. });
        let state = tokio::time::timeout(Duration::from_secs(5), self.state.wait_for(away))
            .await
            .unwrap()
            .unwrap();
        match &*state {
            EngineState::Away { reason, remedy, .. } => format!("{reason}; {remedy}"),
            state => panic!("{state:?}"),
        }
    }

    async fn connected(&mut self, containers: usize) {
        let connected = EngineState::Connected {
            version: "Docker 20.10.24".to_owned(),
            api: "1.41".to_owned(),
            containers,
        };
        let reached = self.state.wait_for(|state| *state == connected);
        if tokio::time::timeout(Duration::from_secs(5), reached)
            .await
            .is_err()
        {
            panic!("state is {:?}", *self.state.borrow());
        }
    }
}

/// An engine in which these run, and `run` that has told of them.
async fn rig(running: &[(&str, &str)]) -> (FakeEngine, Rig) {
    rig_at(running, TEST_PACE).await
}

async fn rig_at(running: &[(&str, &str)], pace: Pace) -> (FakeEngine, Rig) {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.network("bridge", &["10.0.0.0/24"]);
    for (name, address) in running {
        engine.run(name, address);
    }
    let mut rig = Rig::start(&engine.socket(), pace);
    rig.take().await;
    let expected: Vec<String> = running
        .iter()
        .map(|(name, address)| format!("{name}={address}"))
        .collect();
    assert_eq!(rig.told, [format!("={}", expected.join(","))]);
    rig.connected(running.len()).await;
    engine.subscribed().await;
    (engine, rig)
}

#[tokio::test]
async fn what_runs_is_told_at_once_and_paused_containers_are_not_part_of_it() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    engine.run("p", "10.0.0.2");
    engine.pause("p");
    engine.run("b", "10.0.0.3");
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    rig.expect(&["=a=10.0.0.1,b=10.0.0.3"]).await;
    rig.connected(2).await;
    assert_eq!(rig.counters.resyncs(), 1);
}

#[tokio::test]
async fn containers_come_change_and_go_with_their_events() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    engine.run("b", "10.0.0.2");
    engine.event("create", "b");
    engine.event("start", "b");
    rig.expect(&["+b=10.0.0.2"]).await;
    engine.run("b", "10.0.0.9");
    engine.octets(
        format!(
            "{{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{{\"ID\":\"n\",\"Attributes\":{{\"container\":\"{}\"}}}}}}\n",
            id("b")
        )
        .as_bytes(),
    );
    rig.expect(&["+b=10.0.0.9"]).await;
    engine.pause("a");
    engine.event("pause", "a");
    rig.expect(&["-a"]).await;
    engine.run("a", "10.0.0.1");
    engine.event("unpause", "a");
    rig.expect(&["+a=10.0.0.1"]).await;
    engine.end("b");
    for action in ["kill", "die", "stop", "destroy"] {
        engine.event(action, "b");
    }
    rig.expect(&["-b"]).await;
    rig.connected(1).await;
    assert_eq!((rig.counters.events(), rig.counters.inspect_failures()), (9, 0));
}

#[tokio::test]
async fn events_that_change_nothing_ask_the_engine_nothing() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    let before = engine.requests().len();
    for action in [
        "kill",
        "exec_create: sh",
        "exec_start: sh",
        "exec_die",
        "top",
        "attach",
        "resize",
        "oom",
    ] {
        engine.event(action, "a");
    }
    rig.expect_quiet().await;
    assert_eq!(engine.requests().len(), before);
    assert_eq!(rig.counters.events(), 8);
}

#[tokio::test]
async fn only_get_requests_for_five_paths_are_made_in_the_agreed_version() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    engine.event("start", "a");
    engine.saw(&inspect_path("a"), 2).await;
    rig.expect_quiet().await;
    let requests = engine.requests();
    assert_eq!(requests[0], "GET /version");
    for request in &requests[1..] {
        let path = request
            .strip_prefix("GET /v1.41")
            .unwrap_or_else(|| panic!("{request}"));
        let inspect = inspect_path("a");
        assert!(
            ["/events", "/containers/json", "/networks", &inspect].contains(&path.split('?').next().unwrap()),
            "{request}"
        );
    }
    let events = requests
        .iter()
        .find(|request| request.contains("/events"))
        .unwrap();
    assert!(
        events.contains("since=") && events.contains("container") && events.contains("network"),
        "{events}"
    );
}

impl Rig {
    /// Takes changes in, none of them about containers, until the pipeline knows of these networks.
    async fn until_networks(&mut self, expected: &[&str]) {
        let names = |rig: &Self| {
            rig.networks
                .iter()
                .map(|it| it.name.to_string())
                .collect::<Vec<_>>()
        };
        while names(self) != expected {
            assert!(!self.take_one().await, "told {:?}", self.told);
        }
    }
}

fn network_event(action: &str) -> String {
    format!("{{\"Type\":\"network\",\"Action\":\"{action}\",\"Actor\":{{\"ID\":\"n1\"}}}}\n")
}

#[tokio::test]
async fn networks_are_told_before_the_containers_on_them_and_when_one_comes() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.network("bridge", &["10.0.0.0/24"]);
    engine.run("a", "10.0.0.1");
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    assert!(!rig.take_one().await, "containers came first");
    rig.until_networks(&["bridge"]).await;
    rig.until("a=10.0.0.1").await;
    engine.subscribed().await;
    engine.network("shop", &["10.1.0.0/24", "fd00:1::/64"]);
    engine.octets(network_event("create").as_bytes());
    rig.until_networks(&["bridge", "shop"]).await;
    // An event after which everything is as it was tells nothing.
    engine.octets(network_event("destroy").as_bytes());
    engine.saw("/networks", 3).await;
    rig.expect_quiet().await;
}

#[tokio::test]
async fn an_engine_that_does_not_list_its_networks_costs_no_container_its_names() {
    for reply in [Reply::Status(403), Reply::Hang] {
        let mut engine = FakeEngine::new();
        engine.start();
        engine.run("a", "10.0.0.1");
        engine.script("/networks", reply);
        let mut rig = Rig::start(&engine.socket(), TEST_PACE);
        rig.until("a=10.0.0.1").await;
        rig.connected(1).await;
        engine.subscribed().await;
        engine.network("shop", &["10.1.0.0/24"]);
        engine.octets(network_event("create").as_bytes());
        rig.until_networks(&["shop"]).await;
    }
}

#[tokio::test]
async fn a_network_that_no_event_told_of_is_asked_for_once_a_container_is_on_it() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.network("bridge", &["10.0.0.0/24"]);
    engine.run("a", "10.0.0.1");
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    rig.until_networks(&["bridge"]).await;
    rig.until("a=10.0.0.1").await;
    engine.subscribed().await;
    engine.network("shop", &["10.1.0.0/24"]);
    engine.run("b", "10.1.0.2");
    engine.change("b", |it| {
        it["NetworkSettings"]["Networks"] = serde_json::json!({"shop": {"IPAddress": "10.1.0.2"}});
    });
    engine.event("start", "b");
    while rig.networks.len() < 2 {
        rig.take_one().await;
    }
    let lists = engine.count("/networks");
    engine.event("update", "b");
    engine.saw(&inspect_path("b"), 2).await;
    rig.expect_quiet().await;
    assert_eq!(engine.count("/networks"), lists, "it is known now");
}

#[tokio::test]
async fn a_health_event_tells_the_container_anew() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    engine.health("a", "unhealthy");
    engine.event("health_status: unhealthy", "a");
    rig.expect(&["+a=10.0.0.1"]).await;
    engine.event("health_status: unhealthy", "a");
    rig.expect_quiet().await;
}

#[tokio::test]
async fn a_container_that_starts_while_the_list_is_under_way_is_part_of_the_first_state() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    let gate = Arc::new(Notify::new());
    engine.script("/containers/json", Reply::Gate(gate.clone()));
    let mut rig = Rig::start(&engine.socket(), TEST_PACE);
    engine.saw("/containers/json", 1).await;
    engine.subscribed().await;
    engine.run("b", "10.0.0.2");
    engine.event("start", "b");
    engine.saw(&inspect_path("b"), 1).await;
    gate.notify_one();
    rig.until("a=10.0.0.1,b=10.0.0.2").await;
    assert!(rig.told[0].starts_with('='), "{:?}", rig.told);
}

#[tokio::test]
async fn a_container_that_dies_while_its_inspect_is_under_way_stays_gone() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    let gate = Arc::new(Notify::new());
    engine.script(&inspect_path("a"), Reply::Gate(gate.clone()));
    engine.run("a", "10.0.0.2");
    engine.event("start", "a");
    engine.saw(&inspect_path("a"), 2).await;
    engine.end("a");
    engine.event("die", "a");
    rig.expect(&["-a"]).await;
    gate.notify_one();
    rig.expect_quiet().await;
}

#[tokio::test]
async fn a_container_that_is_gone_at_its_inspect_is_passed_over() {
    let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
    engine.event("start", "ghost");
    engine.script(&inspect_path("a"), Reply::Status(404));
    engine.event("update", "a");
    rig.expect(&["-a"]).await;
    assert_eq!(rig.counters.inspect_failures(), 0);
}

#[tokio::test]
async fn an_inspect_that_fails_or_hangs_is_repeated_and_holds_up_nobody() {
    for fault in [
        Reply::Status(500),
        Reply::Hang,
        Reply::Raw(b"rubbish\r\n\r\n"),
        Reply::Raw(b""),
    ] {
        let (engine, mut rig) = rig(&[("a", "10.0.0.1")]).await;
        engine.script(&inspect_path("bad"), fault);
        engine.run("bad", "10.0.0.2");
        engine.event("start", "bad");
        engine.saw(&inspect_path("bad"), 1).await;
        engine.run("good", "10.0.0.3");
        engine.event("start", "good");
        rig.expect(&["+good=10.0.0.3"]).await;
        rig.until("a=10.0.0.1,bad=10.0.0.2,good=10.0.0.3").await;
        assert_eq!(rig.counters.inspect_failures(), 1);
    }
}

#[tokio::test]
async fn an_inspect_that_hangs_at_the_start_does_not_hold_up_the_others_names() {
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    engine.run("hung", "10.0.0.2");
    engine.script(&inspect_path("hung"), Reply::Hang);
    let mut rig = Rig::start(
        &engine.socket(),
        Pace {
            deadline: HOUR,
            ..TEST_PACE
        },
    );
    rig.expect(&["=a=10.0.0.1"]).await;
    rig.connected(1).await;
}

#[tokio::test]
async fn an_inspect_of_ten_megabytes_is_read() {
    let (engine, mut rig) = rig_at(
        &[],
        Pace {
            deadline: PACE.deadline,
            ..TEST_PACE
        },
    )
    .await;
    engine.run("big", "10.0.0.1");
    engine.bloat("big", 10_000_000);
    engine.event("start", "big");
    rig.until("big=10.0.0.1").await;
}

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
async fn events_that_were_lost_are_made_good_by_a_list() {
    let pace = Pace {
        relist: Duration::from_millis(30),
        relist_first: Duration::from_millis(10),
        ..TEST_PACE
    };
    let (engine, mut rig) = rig_at(&[("a", "10.0.0.1"), ("b", "10.0.0.2")], pace).await;
    engine.end("a");
    engine.run("b", "10.0.0.9");
    engine.run("c", "10.0.0.3");
    rig.until("b=10.0.0.9,c=10.0.0.3").await;
    let inspects = engine.count(&inspect_path("b"));
    engine
        .saw("/containers/json", engine.count("/containers/json") + 2)
        .await;
    assert_eq!(
        engine.count(&inspect_path("b")),
        inspects,
        "what agrees with the list is not inspected"
    );
}

#[tokio::test]
async fn a_storm_of_events_ends_in_the_truth_however_slow_the_pipeline_is() {
    let (engine, mut rig) = rig(&[]).await;
    for n in 0..400 {
        let name = format!("c{n}x");
        engine.run(&name, "10.0.0.1");
        engine.event("start", &name);
        if n % 4 != 0 {
            engine.end(&name);
            engine.event("die", &name);
        }
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let all: BTreeMap<String, String> = (0..400)
        .step_by(4)
        .map(|n| (format!("c{n}x"), "10.0.0.1".to_owned()))
        .collect();
    // All events are read while nobody takes a change.
    for _ in 0..5000 {
        if rig.counters.events() == 700 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(rig.counters.events(), 700);
    while rig.held != all {
        rig.take().await;
    }
    rig.connected(100).await;
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
