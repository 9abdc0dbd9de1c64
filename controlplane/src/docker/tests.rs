//! [`run`] against a scripted engine: what the pipeline is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::fake_engine::{FakeEngine, Reply, event, id, inspect_path};
use super::*;
use crate::plugin::Defaults;
use crate::service::Network;

mod away;
mod carried;
mod inspects;
mod networks;

const HOUR: Duration = Duration::from_secs(3600);
/// For an engine that may take as long as it likes.
const HOURS: Bounds = Bounds {
    first: HOUR,
    last: HOUR,
};

/// Fast where a test would wait, and without lists that would cover up for a lost event.
const TEST_PACE: Pace = Pace {
    deadline: Bounds {
        first: Duration::from_millis(300),
        last: Duration::from_millis(300),
    },
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
    /// `name=name,...` of each container that it was told to carry others.
    carried: Vec<String>,
    /// `+name=address`, `-name`, `=name=address,...` for each change.
    told: Vec<String>,
}

impl Rig {
    fn start(socket: &Path, pace: Pace) -> Self {
        Self::with(socket, pace, None)
    }

    fn with(socket: &Path, pace: Pace, plugins: Option<Plugins>) -> Self {
        let endpoint = Endpoint {
            address: Address::Unix(socket.to_owned()),
            origin: Origin::Flag,
        };
        let settings = ContainerSettings::new("dev", "here", 30);
        let watch = Watch {
            pace,
            plugins,
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
            carried: Vec::new(),
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
                self.told
                    .push(format!("+{}={}", service.instance, service.host()));
                self.held.insert(short(&service.id.id), service.host());
            }
            Change::Remove(service) => {
                self.told.push(format!("-{}", short(&service.id)));
                self.held.remove(&short(&service.id));
            }
            Change::Reset { services, .. } => {
                self.held = services
                    .into_iter()
                    .map(|service| (short(&service.id.id), service.host()))
                    .collect();
                self.told.push(format!("={}", self.holds()));
            }
            Change::Networks { networks, .. } => {
                self.networks = networks;
                return false;
            }
            Change::Carried { carriers, .. } => {
                for (id, names) in carriers {
                    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
                    self.carried.push(format!("{}={}", short(&id), names.join(",")));
                }
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
    engine.saw(&inspect_path("a"), 1).await;
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

/// Peers need not ask a container that has been told to go, whatever plugins are busy with.
#[tokio::test]
async fn a_container_leaves_at_its_stop_signal_while_a_plugin_is_busy_with_many_others() {
    const OTHERS: usize = 60;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.js");
    let quick_for_one = "function createService(c) { if (c.Name === '/a') return {}; for (;;) {} }";
    std::fs::write(&file, quick_for_one).unwrap();
    let defaults = Defaults {
        ttl_seconds: 30,
        environment: "dev".to_owned(),
    };
    let plugins = Plugins::load(vec![file], defaults).unwrap();
    let mut engine = FakeEngine::new();
    engine.start();
    engine.run("a", "10.0.0.1");
    let mut rig = Rig::with(&engine.socket(), TEST_PACE, Some(plugins));
    rig.until("a=10.0.0.1").await;
    engine.subscribed().await;
    for number in 0..OTHERS {
        let name = format!("c{number}x");
        engine.run(&name, "10.0.0.2");
        engine.event("start", &name);
    }
    engine.saw(&inspect_path("c0x"), 1).await;
    let kill = event("kill", "a").replace(r#""name":"a""#, r#""name":"a","signal":"15""#);
    engine.octets(kill.as_bytes());
    while rig.held.contains_key("a") {
        rig.take().await;
    }
    assert!(
        rig.held.len() < OTHERS / 2,
        "the plugin was done with {} of {OTHERS}",
        rig.held.len()
    );
}
