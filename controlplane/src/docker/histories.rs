//! Random histories of an engine, told badly, through everything from its socket to the zone.
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

use super::fake_engine::{FakeEngine, event, id};
use super::*;
use crate::compile::Compiler;
use crate::feed::Feed;
use crate::fixture::{addresses, builder, name};
use crate::metrics::Metrics;
use crate::naming::Naming;
use crate::pipeline::{CHANGES_QUEUED_MAX, Pipeline};
use crate::status::Status;

/// Histories that are tried, all at once: each spends its time waiting.
const HISTORIES: u64 = 96;
/// What happens in one of them.
const STEPS: usize = 80;
/// Containers, fewer than what happens to them, so that ids come again.
const CONTAINERS: usize = 6;
/// Addresses, hardly more than containers, so that one that is given back is soon another's.
const ADDRESSES: u8 = 7;

const PACE_OF_HISTORIES: Pace = Pace {
    deadline: Duration::from_secs(20),
    backoff: Bounds {
        first: Duration::from_millis(1),
        last: Duration::from_millis(8),
    },
    look: Duration::from_millis(10),
    relist_first: Duration::from_millis(100),
    relist: Duration::from_millis(400),
};

/// A generator with a seed, so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

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
    /// Those that run, by the word that their id is made of.
    running: BTreeMap<String, Truth>,
    instances: usize,
    late: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            engine: FakeEngine::new(),
            dice: Dice(seed),
            running: BTreeMap::new(),
            instances: 0,
            late: Vec::new(),
        }
    }

    /// One thing happens.
    async fn step(&mut self) {
        let word = format!("c{}x", self.dice.roll(CONTAINERS));
        match (self.running.contains_key(&word), self.dice.roll(10)) {
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
                self.tell(&["kill", "die", "stop"], &word);
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
        self.running.remove(word);
        let taken: BTreeSet<Ipv4Addr> = self.running.values().map(|it| it.address).collect();
        let free: Vec<_> = (1..=ADDRESSES)
            .map(|last| Ipv4Addr::new(10, 0, 0, last))
            .collect();
        let free: Vec<_> = free.into_iter().filter(|it| !taken.contains(it)).collect();
        let address = free[self.dice.roll(free.len())];
        self.instances += 1;
        let instance = format!("web{}", self.instances);
        self.engine.run(word, &address.to_string());
        self.engine
            .change(word, |it| it["Name"] = json!(format!("/{instance}")));
        let truth = Truth {
            instance,
            address,
            health: None,
            is_paused: false,
        };
        self.running.insert(word.to_owned(), truth);
        self.tell(&["create", "start"], word);
    }

    /// Something about a container that runs becomes other than it was.
    fn change(&mut self, word: &str, kind: usize) {
        let Some(truth) = self.running.get_mut(word) else {
            return;
        };
        match kind {
            5 => {
                self.instances += 1;
                truth.instance = format!("web{}", self.instances);
                let renamed = format!("/{}", truth.instance);
                self.engine.change(word, |it| it["Name"] = json!(renamed));
                self.tell(&["rename"], word);
            }
            6 | 7 => {
                let healths = ["starting", "healthy", "unhealthy"];
                let health = healths[self.dice.roll(healths.len())];
                truth.health = Some(health);
                self.engine.health(word, health);
                self.tell(&[&format!("health_status: {health}")], word);
            }
            _ => {
                truth.is_paused = !truth.is_paused;
                let (paused, status, action) = match truth.is_paused {
                    true => (true, "paused", "pause"),
                    false => (false, "running", "unpause"),
                };
                self.engine.change(word, |it| {
                    it["State"]["Paused"] = json!(paused);
                    it["State"]["Status"] = json!(status);
                });
                self.tell(&[action], word);
            }
        }
    }

    /// Tells of what happened, as badly as can be.
    fn tell(&mut self, actions: &[&str], word: &str) {
        for action in actions {
            match self.dice.roll(8) {
                0 => {}
                1 => self.late.push(event(action, word)),
                2 => {
                    self.engine.event(action, word);
                    self.engine.event(action, word);
                }
                _ => self.engine.event(action, word),
            }
        }
    }

    /// What every name must be answered with, by name.
    fn answers(&self) -> BTreeMap<String, String> {
        let visible: Vec<(&String, &Truth)> = self.running.iter().filter(|(_, it)| !it.is_paused).collect();
        let mut answers: BTreeMap<String, String> = (0..=self.instances)
            .map(|number| (format!("web{number}.docker"), "nxdomain".to_owned()))
            .collect();
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

/// Lives through one history, and gives what is wrong in the end.
async fn live(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    world.engine.start();
    let endpoint = Endpoint {
        address: Address::Unix(world.engine.socket()),
        origin: Origin::Flag,
    };
    let watch = Watch {
        pace: PACE_OF_HISTORIES,
        ..Watch::new(endpoint, ContainerSettings::new("dev", "here", 30))
    };
    let census = watch.census.clone();
    let mut builder = builder(&["docker"]);
    let (publisher, mut reader) = dns::channel(builder.build());
    let (status, _) = watch::channel(Status::of(std::slice::from_ref(&watch)));
    let compiler = Compiler::new(Naming::new(vec![name("docker")]), builder);
    let pipeline = Pipeline::new(compiler, publisher, status, Metrics::new(), Feed::new());
    let (changes, queue) = mpsc::channel(CHANGES_QUEUED_MAX);
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    tokio::spawn(pipeline.run(queue, mpsc::channel(1).1, stop.clone()));
    tokio::spawn(run(
        watch,
        changes,
        watch::channel(EngineState::Connecting).0,
        stop,
    ));

    for _ in 0..STEPS {
        world.step().await;
    }
    // What is late comes in the end, long after it was true.
    for event in std::mem::take(&mut world.late) {
        world.engine.octets(event.as_bytes());
    }
    let answers = world.answers();
    let mut seen = Vec::new();
    // Right, and right once more after a list and all that looks again have passed.
    let mut right = 0;
    for _ in 0..300 {
        seen = wrong(&mut reader, &answers);
        let census: BTreeMap<_, _> = census
            .all()
            .into_iter()
            .map(|it| (it.id.to_string(), it.standing))
            .collect();
        let published = world
            .running
            .iter()
            .filter(|(_, it)| !it.is_paused)
            .map(|(word, _)| id(word));
        for id in published {
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
    Err(format!("seed {seed}: {seen:#?}\nthe truth: {:#?}", world.running))
}

#[tokio::test]
async fn however_badly_an_engine_tells_its_history_the_zone_ends_up_with_the_truth() {
    let mut histories: JoinSet<Result<(), String>> = (0..HISTORIES).map(live).collect();
    let mut failed = Vec::new();
    while let Some(ended) = histories.join_next().await {
        failed.extend(ended.unwrap().err());
    }
    let count = failed.len();
    assert!(
        failed.is_empty(),
        "{count} of {HISTORIES}, among them: {}",
        failed[0]
    );
}
