//! What a real engine told while containers were made, started, checked, renamed, connected, paused, restarted, killed and
//! destroyed: told as it was, and told badly again and again, so that ids and addresses come again.
//!
//! The fixture is every event of Docker 20.10 while a script used it, those that we do not ask for among them.

use serde_json::Value;

use super::*;

const STREAM: &str = include_str!("../fixtures/stream-docker-20.10.ndjson");
/// How often the same is lived through; each time with the same ids, and without an end of those that still ran.
const LIVES: usize = 20;
/// How many tell of it badly at once, each in another way.
const TELLERS: u64 = 8;
/// More than ever run at once.
const ADDRESSES: u8 = 9;

impl World {
    /// Makes true what the event says that happened.
    fn happen(&mut self, event: &Value) {
        let id = event["Actor"]["ID"].as_str().unwrap().to_owned();
        let name = event["Actor"]["Attributes"]["name"].as_str().unwrap_or_default();
        if event["Type"] != "container" {
            return;
        }
        match event["Action"].as_str().unwrap() {
            "create" => {
                self.run(&id, name, ADDRESSES);
                self.end(&id, "created");
            }
            "start" => self.run(&id, name, ADDRESSES),
            "die" => self.end(&id, "exited"),
            "destroy" => {
                self.running.remove(&id);
                self.engine.end(&id);
            }
            "rename" => self.rename(&id, name),
            "pause" => self.pause(&id, true),
            "unpause" => self.pause(&id, false),
            "health_status: healthy" => self.check(&id, "healthy"),
            "health_status: unhealthy" => self.check(&id, "unhealthy"),
            _ => {}
        }
    }

    /// Makes it true that the container is there and does not run.
    fn end(&mut self, id: &str, status: &str) {
        self.running.remove(id);
        self.engine
            .change(id, |it| it["State"] = json!({"Status": status, "Running": false}));
    }
}

/// Without their times, so that they are told as if they had just happened.
fn events() -> impl Iterator<Item = (String, Value)> {
    STREAM.lines().map(|line| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event.as_object_mut().unwrap().remove("timeNano");
        (format!("{event}\n"), event)
    })
}

#[tokio::test]
async fn what_a_real_engine_told_is_followed_without_any_list() {
    let mut world = World::new(0);
    world.engine.start();
    let mut line = Line::of(&world.engine, PACE_WITHOUT_LISTS);
    world.engine.subscribed().await;
    let mut kinds = BTreeSet::new();
    for (line, event) in events() {
        world.happen(&event);
        world.engine.octets(line.as_bytes());
        kinds.insert(
            event["Action"]
                .as_str()
                .unwrap()
                .split(':')
                .next()
                .unwrap()
                .to_owned(),
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for kind in [
        "create",
        "start",
        "restart",
        "die",
        "stop",
        "kill",
        "destroy",
        "rename",
        "update",
        "pause",
        "unpause",
        "health_status",
        "connect",
        "disconnect",
        "exec_create",
        "exec_start",
        "exec_die",
        "attach",
    ] {
        assert!(kinds.contains(kind), "the recording has no {kind}");
    }
    if let Err(seen) = line.settle(&world).await {
        panic!("{seen:#?}\nthe truth: {:#?}", world.running);
    }
    assert_eq!(
        world.engine.count("/containers/json"),
        1,
        "one list, at the start"
    );
    let shown = |standing| {
        let census = line.census.counts();
        census.iter().find(|(it, _)| *it == standing).unwrap().1
    };
    assert_eq!(shown(Standing::Published), world.running.len());
    // One was made and never started, and one was stopped; nobody had listed either.
    assert_eq!(shown(Standing::Stopped), 2);
}

async fn tell(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    world.engine.start();
    let mut line = Line::of(&world.engine, PACE_OF_HISTORIES);
    for _ in 0..LIVES {
        for (line, event) in events() {
            world.happen(&event);
            world.tell_badly(line);
            if world.dice.roll(4) == 0 && !world.late.is_empty() {
                let place = world.dice.roll(world.late.len());
                let event = world.late.swap_remove(place);
                world.engine.octets(event.as_bytes());
            }
            if world.dice.roll(8) == 0 {
                tokio::time::sleep(Duration::from_millis(world.dice.roll(8) as u64)).await;
            }
        }
        if world.dice.roll(3) == 0 {
            world.engine.cut_events();
        }
    }
    for event in std::mem::take(&mut world.late) {
        world.engine.octets(event.as_bytes());
    }
    let settled = line.settle(&world).await;
    settled.map_err(|seen| format!("seed {seed}: {seen:#?}\nthe truth: {:#?}", world.running))
}

#[tokio::test]
async fn what_a_real_engine_told_ends_in_the_truth_however_badly_it_is_told() {
    assert!(LIVES * events().count() > 2000);
    all_right((0..TELLERS).map(tell).collect()).await;
}
