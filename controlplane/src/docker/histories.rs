//! Histories of an engine, random ones and a recorded one, told badly, through everything from its socket to the zone.
//!
//! ```text
//!  Dice ─▶ FakeEngine: what is true ──▶ events: lost, doubled, late, swapped, cut ──▶ run ──▶ Pipeline ──▶ Snapshot
//!                 └───────────────────────────── the same in the end? ◀───────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use dns::Reader;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::DropGuard;

use super::fake_engine::{FakeEngine, event, id, on_network, signalled};
use super::*;
use crate::compile::Compiler;
use crate::feed::Feed;
use crate::fixture::{Dice, addresses, builder, name};
use crate::metrics::Metrics;
use crate::naming::Naming;
use crate::pipeline::{CHANGES_QUEUED_MAX, Pipeline};
use crate::status::Status;

mod burst;
mod recorded;

/// Histories that are tried, all at once: each spends its time waiting.
const HISTORIES: u64 = 96;
/// What happens in one of them.
const STEPS: usize = 80;
/// Long ones among them, and what happens in one: 2000 events and more.
const LONG_HISTORIES: u64 = 2;
const LONG_STEPS: usize = 1300;
const LONG_EVENTS_MIN: usize = 2000;
/// Containers, fewer than what happens to them, so that ids come again.
const CONTAINERS: usize = 6;
/// Addresses, hardly more than containers, so that one that is given back is soon another's.
const ADDRESSES: u8 = 7;

const PACE_OF_HISTORIES: Pace = Pace {
    deadline: Bounds {
        first: Duration::from_secs(20),
        last: Duration::from_secs(20),
    },
    backoff: Bounds {
        first: Duration::from_millis(1),
        last: Duration::from_millis(8),
    },
    look: Duration::from_millis(10),
    relist_first: Duration::from_millis(100),
    relist: Duration::from_millis(400),
};

/// With nothing but events to go by.
const PACE_WITHOUT_LISTS: Pace = Pace {
    relist_first: Duration::from_hours(1),
    relist: Duration::from_hours(1),
    ..PACE_OF_HISTORIES
};

/// A container as it truly is.
#[derive(Clone, Debug)]
struct Truth {
    instance: String,
    address: Ipv4Addr,
    health: Option<&'static str>,
    is_paused: bool,
}

/// An engine, what is true of it, and the events that are still to be told.
struct World {
    engine: FakeEngine,
    dice: Dice,
    /// By the word that the id is made from.
    running: BTreeMap<String, Truth>,
    /// Every instance that there ever was.
    instances: BTreeSet<String>,
    late: Vec<String>,
    /// Events that happened, told or not.
    happened: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            engine: FakeEngine::new(),
            dice: Dice(seed),
            running: BTreeMap::new(),
            instances: BTreeSet::new(),
            late: Vec::new(),
            happened: 0,
        }
    }

    /// One thing happens.
    async fn step(&mut self) {
        let word = format!("c{}x", self.dice.roll(CONTAINERS));
        match (self.running.contains_key(&word), self.dice.roll(13)) {
            (false, 0) => {
                self.engine.end(&word);
                self.tell(&["destroy"], &word);
            }
            (false, _) => self.start(&word),
            (true, 0..=2) => {
                self.running.remove(&word);
                self.engine.change(&word, |it| {
                    it["State"] = json!({"Status": "exited", "Running": false});
                });
                self.tell_badly(signalled(15, &word));
                self.tell(&["die", "stop"], &word);
            }
            (true, 3) => {
                self.running.remove(&word);
                self.engine.end(&word);
                self.tell(&["die", "destroy"], &word);
            }
            (true, 4) => {
                self.start(&word);
                self.tell(&["die", "start", "restart"], &word);
            }
            // It does not heed its stop signal, and runs on.
            (true, 5) => self.tell_badly(signalled(15, &word)),
            (true, 6) => self.tell_badly(signalled(1, &word)),
            (true, 7) => {
                self.join_another(&word);
                self.tell_badly(on_network("disconnect", "left", &word));
                self.tell_badly(on_network("connect", "joined", &word));
            }
            (true, kind) => self.change(&word, kind),
        }
        match self.dice.roll(40) {
            0 => self.engine.cut_events(),
            1 => self.engine.end_events(),
            2 => {
                let half = event("start", &word);
                self.engine.octets(&half.as_bytes()[..half.len() / 2]);
                self.engine.cut_events();
            }
            3 => {
                self.engine.crash().await;
                self.engine.start();
            }
            _ => {}
        }
        if self.dice.roll(3) == 0 && !self.late.is_empty() {
            let place = self.dice.roll(self.late.len());
            let event = self.late.swap_remove(place);
            self.engine.octets(event.as_bytes());
        }
        if self.dice.roll(2) == 0 {
            tokio::time::sleep(Duration::from_millis(self.dice.roll(30) as u64)).await;
        }
    }

    /// Starts a container under an id that may have been another's, at an address that nobody has.
    fn start(&mut self, word: &str) {
        let instance = format!("web{}", self.instances.len());
        self.run(word, &instance, ADDRESSES);
        self.tell(&["create", "start"], word);
    }

    /// Makes it true that a container runs, at one of so many addresses.
    fn run(&mut self, word: &str, instance: &str, addresses: u8) {
        self.running.remove(word);
        let address = self.free_address(addresses);
        self.instances.insert(instance.to_owned());
        self.engine.run(word, &address.to_string());
        self.engine.change(word, |it| {
            it["Name"] = json!(format!("/{instance}"));
            // Who runs on after its stop signal is put back as soon as can be.
            it["Config"]["StopTimeout"] = json!(0);
        });
        if self.dice.roll(3) == 0 {
            self.engine.list_little_of(word);
        }
        let truth = Truth {
            instance: instance.to_owned(),
            address,
            health: None,
            is_paused: false,
        };
        self.running.insert(word.to_owned(), truth);
    }

    /// One of so many that nobody has.
    fn free_address(&mut self, addresses: u8) -> Ipv4Addr {
        let taken: BTreeSet<Ipv4Addr> = self.running.values().map(|it| it.address).collect();
        let all = (1..=addresses).map(|last| Ipv4Addr::new(10, 0, 0, last));
        let free: Vec<_> = all.filter(|it| !taken.contains(it)).collect();
        free[self.dice.roll(free.len())]
    }

    /// Makes it true that a container has left its network for another, where it has another address.
    fn join_another(&mut self, word: &str) {
        let address = self.free_address(ADDRESSES);
        let network = ["bridge", "shop", "blog"][self.dice.roll(3)];
        self.engine.change(word, |it| {
            it["NetworkSettings"]["Networks"] = json!({network: {"IPAddress": address.to_string()}});
        });
        if let Some(truth) = self.running.get_mut(word) {
            truth.address = address;
        }
    }

    /// Something about a container that runs becomes other than it was.
    fn change(&mut self, word: &str, kind: usize) {
        match kind {
            8 => {
                let instance = format!("web{}", self.instances.len());
                self.rename(word, &instance);
                self.tell(&["rename"], word);
            }
            9 | 10 => {
                let healths = ["starting", "healthy", "unhealthy"];
                let health = healths[self.dice.roll(healths.len())];
                self.check(word, health);
                self.tell(&[&format!("health_status: {health}")], word);
            }
            _ => {
                let pause = self.running.get(word).is_some_and(|truth| !truth.is_paused);
                self.pause(word, pause);
                self.tell(&[if pause { "pause" } else { "unpause" }], word);
            }
        }
    }

    fn rename(&mut self, word: &str, instance: &str) {
        self.instances.insert(instance.to_owned());
        let renamed = format!("/{instance}");
        self.engine.change(word, |it| it["Name"] = json!(renamed));
        if let Some(truth) = self.running.get_mut(word) {
            instance.clone_into(&mut truth.instance);
        }
    }

    fn check(&mut self, word: &str, health: &'static str) {
        self.engine.health(word, health);
        if let Some(truth) = self.running.get_mut(word) {
            truth.health = Some(health);
        }
    }

    fn pause(&mut self, word: &str, pause: bool) {
        let status = if pause { "paused" } else { "running" };
        self.engine.change(word, |it| {
            it["State"]["Paused"] = json!(pause);
            it["State"]["Status"] = json!(status);
        });
        if let Some(truth) = self.running.get_mut(word) {
            truth.is_paused = pause;
        }
    }

    /// Tells of what happened, as badly as can be.
    fn tell(&mut self, actions: &[&str], word: &str) {
        for action in actions {
            self.tell_badly(event(action, word));
        }
    }

    fn tell_badly(&mut self, event: String) {
        self.happened += 1;
        match self.dice.roll(8) {
            0 => {}
            1 => self.late.push(event),
            2 => {
                self.engine.octets(event.as_bytes());
                self.engine.octets(event.as_bytes());
            }
            _ => self.engine.octets(event.as_bytes()),
        }
    }

    /// What every name must be answered with, by name.
    fn answers(&self) -> BTreeMap<String, String> {
        let visible: Vec<(&String, &Truth)> = self.running.iter().filter(|(_, it)| !it.is_paused).collect();
        let nobody = |instance: &String| (format!("{instance}.docker"), "nxdomain".to_owned());
        let mut answers: BTreeMap<String, String> = self.instances.iter().map(nobody).collect();
        for (word, truth) in &visible {
            answers.insert(format!("{}.docker", truth.instance), truth.address.to_string());
            answers.insert(format!("{:.10}.docker", id(word)), truth.address.to_string());
        }
        let with = |health: fn(Option<&str>) -> bool| {
            let ready = visible.iter().filter(|(_, it)| health(it.health));
            ready.map(|(_, it)| it.address).collect::<BTreeSet<_>>()
        };
        let ready = with(|health| matches!(health, None | Some("healthy")));
        let shared = if ready.is_empty() {
            with(|health| health == Some("starting"))
        } else {
            ready
        };
        let shared = match (visible.is_empty(), shared.is_empty()) {
            (true, _) => "nxdomain".to_owned(),
            (false, true) => "nodata".to_owned(),
            (false, false) => shared
                .iter()
                .map(Ipv4Addr::to_string)
                .collect::<Vec<_>>()
                .join(" "),
        };
        answers.insert("web.dev.docker".to_owned(), shared);
        answers
    }
}

/// What is answered other than it should be.
fn wrong(reader: &mut Reader, answers: &BTreeMap<String, String>) -> Vec<String> {
    let snapshot = reader.load();
    let mut wrong = Vec::new();
    for (owner, expected) in answers {
        let mut found: Vec<String> = addresses(snapshot, owner).split(' ').map(str::to_owned).collect();
        found.sort();
        let found = found.join(" ");
        if found != *expected {
            wrong.push(format!("{owner} is {found}, not {expected}"));
        }
    }
    wrong
}

/// Everything between an engine and the zone, at work until this is dropped.
struct Line {
    reader: Reader,
    census: Census,
    _stopped: DropGuard,
}

impl Line {
    fn of(engine: &FakeEngine, pace: Pace) -> Self {
        let endpoint = Endpoint {
            address: Address::Unix(engine.socket()),
            origin: Origin::Flag,
        };
        let watch = Watch {
            pace,
            ..Watch::new(endpoint, ContainerSettings::new("dev", "here", 30))
        };
        let census = watch.census.clone();
        let mut builder = builder(&["docker"]);
        let (publisher, reader) = dns::channel(builder.build());
        let (status, _) = watch::channel(Status::of(std::slice::from_ref(&watch)));
        let compiler = Compiler::new(Naming::new(vec![name("docker")]), builder);
        let pipeline = Pipeline::new(compiler, publisher, status, Metrics::new(), Feed::new());
        let (changes, queue) = mpsc::channel(CHANGES_QUEUED_MAX);
        let stop = CancellationToken::new();
        tokio::spawn(pipeline.run(queue, mpsc::channel(1).1, stop.clone()));
        let state = watch::channel(EngineState::Connecting).0;
        tokio::spawn(run(watch, changes, state, stop.clone()));
        Self {
            reader,
            census,
            _stopped: stop.drop_guard(),
        }
    }

    /// Waits until the zone is as the world is, and stays so while a list and all that looks again pass; else what is
    /// wrong.
    async fn settle(&mut self, world: &World) -> Result<(), Vec<String>> {
        let answers = world.answers();
        let mut seen = Vec::new();
        let mut right = 0;
        for _ in 0..300 {
            seen = wrong(&mut self.reader, &answers);
            let census = self.census.all();
            let census: BTreeMap<_, _> = census
                .into_iter()
                .map(|it| (it.id.to_string(), it.standing))
                .collect();
            let published = world.running.iter().filter(|(_, it)| !it.is_paused);
            for id in published.map(|(word, _)| id(word)) {
                if census.get(&id) != Some(&Standing::Published) {
                    seen.push(format!("{id:.4} stands {:?}", census.get(&id)));
                }
            }
            right = if seen.is_empty() { right + 1 } else { 0 };
            if right == 30 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(seen)
    }
}

/// Lives through one history, and gives what is wrong in the end.
async fn live(seed: u64, steps: usize) -> Result<(), String> {
    let mut world = World::new(seed);
    world.engine.start();
    let mut line = Line::of(&world.engine, PACE_OF_HISTORIES);
    for _ in 0..steps {
        world.step().await;
    }
    if steps == LONG_STEPS {
        assert!(world.happened >= LONG_EVENTS_MIN, "{} events", world.happened);
    }
    // What is late comes in the end, long after it was true.
    for event in std::mem::take(&mut world.late) {
        world.engine.octets(event.as_bytes());
    }
    let settled = line.settle(&world).await;
    settled.map_err(|seen| format!("seed {seed}: {seen:#?}\nthe truth: {:#?}", world.running))
}

/// Waits for all of them.
async fn all_right(mut histories: JoinSet<Result<(), String>>) {
    let count = histories.len();
    let mut failed = Vec::new();
    while let Some(ended) = histories.join_next().await {
        failed.extend(ended.unwrap().err());
    }
    assert!(
        failed.is_empty(),
        "{} of {count}, among them: {}",
        failed.len(),
        failed[0]
    );
}

#[tokio::test]
async fn however_badly_an_engine_tells_its_history_the_zone_ends_up_with_the_truth() {
    let short = (0..HISTORIES).map(|seed| live(seed, STEPS));
    let mut histories: JoinSet<_> = short.collect();
    for seed in HISTORIES..HISTORIES + LONG_HISTORIES {
        histories.spawn(live(seed, LONG_STEPS));
    }
    all_right(histories).await;
}
