//! The tracker beside an engine that is simple enough to be right, in every order of what may happen.

use super::bench::{Bench, listed, running, told};
use super::*;
use crate::fixture::Dice;
use std::collections::{BTreeMap, BTreeSet};

use arcstr::ArcStr;

const EFFECTS: [Effect; 5] = [
    Effect::Inspect,
    Effect::Hint,
    Effect::Withdraw,
    Effect::Forget,
    Effect::Signal(15),
];

/// Runs until nothing is left to do, every inspect finding the truth.
fn quiesce(bench: &mut Bench, truth: &BTreeMap<String, u8>) {
    for _ in 0..1000 {
        bench.pass(Duration::ZERO);
        bench.begin();
        let Some(id) = bench.open.first().cloned() else {
            match bench.tracker.wake_at() {
                Some(at) => {
                    bench.now = at.max(bench.now);
                    bench.tracker.tick(bench.now);
                    continue;
                }
                None => {
                    bench.drain();
                    return;
                }
            }
        };
        let outcome = truth.get(&*id).map_or(Inspection::Absent, |v| running(&id, *v));
        bench.end(&id, outcome);
        bench.drain();
    }
    panic!("it never comes to rest");
}

// Every order of four events of one container, inspects begun and ended between any two of them: what is held at the
// end is the truth, whichever event came last.
#[test]
fn events_in_any_order_end_in_the_truth() {
    let mut orders = vec![Vec::new()];
    for _ in 0..4 {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..EFFECTS.len()).map(|effect| order.iter().copied().chain([effect]).collect())
            })
            .collect();
    }
    for order in &orders {
        // Two bits for each event: begin inspects after it, end them after it (with what was true before).
        for interleaving in 0..1_u32 << (2 * order.len()) {
            for (known, truth) in [(None, Some(2)), (Some(1), Some(2)), (Some(1), None), (None, None)] {
                let known: Vec<(&str, u8)> = known.map(|v| ("a", v)).into_iter().collect();
                let truth: BTreeMap<String, u8> = truth.map(|v| ("a".to_owned(), v)).into_iter().collect();
                let mut bench = Bench::synced(&known);
                for (step, &effect) in order.iter().enumerate() {
                    bench.event("a", EFFECTS[effect]);
                    if interleaving >> (2 * step) & 1 == 1 {
                        bench.begin();
                    }
                    if interleaving >> (2 * step + 1) & 1 == 1
                        && step + 1 < order.len()
                        && !bench.open.is_empty()
                    {
                        // Not the last word: another event follows.
                        bench.end("a", running("a", 1));
                    }
                    bench.drain();
                }
                // A stray death of a container that we never heard of says nothing, and a destroyed one does not
                // come back: only the list could tell otherwise.
                let heard = order.iter().any(|effect| *effect < 2) || !known.is_empty();
                let destroyed = order.contains(&3);
                quiesce(&mut bench, &truth);
                if heard && !destroyed {
                    assert_eq!(bench.held, truth, "{order:?} {interleaving:b}");
                }
                let listing: Vec<(&str, u8)> = truth.iter().map(|(id, v)| (id.as_str(), *v)).collect();
                bench.list(&listing);
                quiesce(&mut bench, &truth);
                assert_eq!(bench.held, truth, "{order:?} {interleaving:b} after a list");
            }
        }
    }
}

/// An engine that runs beside the tracker: what is true, and the events that are on their way.
#[derive(Default)]
struct World {
    truth: BTreeMap<String, u8>,
    events: VecDeque<(String, Effect)>,
    version: u8,
}

impl World {
    fn step(&mut self, dice: &mut Dice) {
        let id = format!("c{}", dice.roll(6));
        if self.truth.contains_key(&id) {
            match dice.roll(5) {
                // A stop signal that it does not heed, or not yet.
                4 => self.events.push_back((id, Effect::Signal(15))),
                0 => {
                    self.version = self.version.wrapping_add(1);
                    self.truth.insert(id.clone(), self.version);
                    self.events.push_back((id, Effect::Inspect));
                }
                1 => {
                    self.truth.remove(&id);
                    self.events.push_back((id.clone(), Effect::Withdraw));
                    self.events.push_back((id, Effect::Forget));
                }
                _ => {
                    self.truth.remove(&id);
                    // Its networks go after it.
                    self.events.push_back((id.clone(), Effect::Withdraw));
                    self.events.push_back((id, Effect::Hint));
                }
            }
        } else {
            self.version = self.version.wrapping_add(1);
            if dice.roll(2) == 0 {
                self.events.push_back((id.clone(), Effect::Hint));
            }
            self.truth.insert(id.clone(), self.version);
            self.events.push_back((id, Effect::Inspect));
        }
    }

    fn inspect(&self, id: &str) -> Inspection {
        self.truth.get(id).map_or(Inspection::Absent, |v| running(id, *v))
    }
}

// Engine, events, inspects, lists, a slow pipeline, failures and lost connections, in an order that a seed decides.
// Once all is quiet the pipeline holds what the engine runs; no list is needed for that unless events were lost.
#[test]
fn whatever_happens_in_whatever_order_the_pipeline_ends_up_with_the_truth() {
    for seed in 0..3000 {
        let mut dice = Dice(seed);
        let mut world = World::default();
        let mut bench = Bench::new();
        let mut answers: BTreeMap<ArcStr, Inspection> = BTreeMap::new();
        let mut listing: Option<(ListTicket, Option<BTreeMap<String, u8>>)> = None;
        let mut connected = false;
        for _ in 0..150 {
            if !connected {
                // Subscribed first: what happens from here on is in the events.
                world.events.clear();
                listing = Some((bench.tracker.list_began(), None));
                connected = true;
            }
            match dice.roll(12) {
                0..=2 => world.step(&mut dice),
                3..=4 => {
                    if let Some((id, effect)) = world.events.pop_front() {
                        bench.event(&id, effect);
                    }
                }
                5 => {
                    bench.begin();
                }
                // The engine looks at the container at any moment while the inspect is under way.
                6 => {
                    for id in &bench.open {
                        answers.entry(id.clone()).or_insert_with(|| world.inspect(id));
                    }
                }
                7..=8 => {
                    if let Some((id, answer)) = answers.pop_first() {
                        let failed = dice.roll(6) == 0;
                        bench.end(&id, if failed { Inspection::Failed } else { answer });
                    }
                }
                9 => {
                    bench.take();
                }
                10 => match &mut listing {
                    Some((_, containers @ None)) => {
                        *containers = Some(world.truth.clone());
                    }
                    Some((asked, Some(containers))) => {
                        let mut line = |id: &str, v: u8| [listed, told][dice.roll(2)](id, v);
                        let lines: Vec<_> = containers.iter().map(|(id, v)| line(id, *v)).collect();
                        bench.take_list(*asked, lines.into_iter());
                        listing = None;
                    }
                    None if dice.roll(3) == 0 => listing = Some((bench.tracker.list_began(), None)),
                    None => {}
                },
                _ if dice.roll(8) == 0 => bench.tracker.renew(bench.now),
                _ if dice.roll(12) == 0 => {
                    bench.tracker.disconnected();
                    bench.open.clear();
                    answers.clear();
                    connected = false;
                }
                _ => {
                    bench.pass(Duration::from_millis(dice.roll(400) as u64));
                }
            }
            let known = bench.tracker.entries.len();
            assert!(
                bench.tracker.planned.len() + bench.tracker.under_way <= known,
                "`once-queued`, seed {seed}"
            );
            assert!(bench.tracker.outbox.len() <= known, "`once-queued`, seed {seed}");
            let later: BTreeSet<_> = bench.tracker.later.iter().collect();
            assert_eq!(
                later.len(),
                bench.tracker.later.len(),
                "`once-queued`, seed {seed}"
            );
            assert_eq!(bench.tracker.under_way, bench.open.len(), "seed {seed}");
            let services = bench
                .tracker
                .entries
                .values()
                .filter(|entry| entry.services.is_some())
                .count();
            assert_eq!(bench.tracker.services(), services, "seed {seed}");
        }
        while let Some((id, effect)) = world.events.pop_front() {
            bench.event(&id, effect);
        }
        for (id, answer) in answers {
            bench.end(&id, answer);
        }
        if !bench.tracker.is_synced() {
            let asked = bench.tracker.list_began();
            bench.take_list(asked, world.truth.iter().map(|(id, v)| told(id, *v)));
        }
        quiesce(&mut bench, &world.truth);
        assert_eq!(bench.held, world.truth, "seed {seed}");
        assert_eq!(
            bench.tracker.entries.len(),
            world.truth.len(),
            "nothing else is remembered, seed {seed}"
        );
    }
}
