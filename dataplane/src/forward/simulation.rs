//! A forwarder in a network that loses, delays, doubles, spoils and forges, under a seed.
//!
//! One seed fixes everything that happens. A run that breaks a rule names its seed; `replay(seed)` in a
//! test repeats it step by step.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::{Action, Answer, Ask, Cause, Config, Forwarder, Place, ReturnPath};
use crate::limits::FORWARD_TIMEOUT;
use crate::path::Local;

const SEEDS: u64 = 3000;
/// How late the simulated core may come to look at its clock.
const SLACK: Duration = Duration::from_millis(50);

/// What happens at a moment.
enum Event {
    /// A client asks, for the name with this number.
    Query(u32),
    /// A packet reaches the socket of a place, of this generation.
    Packet {
        place: Place,
        generation: u32,
        octets: Vec<u8>,
    },
    /// An ICMP error reaches it.
    Refusal { place: Place, generation: u32 },
    /// The core looks at its clock.
    Tick,
}

struct Network {
    seed: u64,
    random: ChaCha8Rng,
    forwarder: Forwarder,
    start: Instant,
    /// In microseconds since start, and a number that keeps equal moments apart.
    events: BTreeMap<(u64, u32), Event>,
    scheduled: u32,
    now: u64,
    /// How often each place was given a new socket: what comes for an older one is lost.
    generations: HashMap<Place, u32>,
    /// When each client asked; gone once it is answered.
    open: HashMap<u32, u64>,
    /// Upstreams where nobody listens.
    closed: u8,
}

#[test]
fn every_query_gets_one_true_answer_in_time_whatever_the_network_does() {
    for seed in 0..SEEDS {
        replay(seed);
    }
}

fn replay(seed: u64) {
    let mut network = Network::new(seed);
    let queries = 1 + network.below(60);
    for number in 0..queries {
        let at = network.below(2_000_000);
        network.schedule(at, Event::Query(number));
    }
    network.run();
    let Network {
        forwarder,
        open,
        generations,
        ..
    } = &network;
    assert!(
        open.is_empty(),
        "seed {seed}: clients without an answer: {open:?}"
    );
    assert_eq!(
        (forwarder.waiting(), forwarder.next_deadline()),
        (0, None),
        "seed {seed}: the table is not empty"
    );
    assert!(
        generations.keys().all(|&place| forwarder.is_free(place)),
        "seed {seed}: a place was not given back"
    );
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let upstreams: Vec<_> = (0..1 + random.next_u32() as u8 % 3)
            .map(|host| SocketAddr::from(([192, 0, 2, host], 53)))
            .collect();
        let mut forwarder = Forwarder::new([seed as u8; 32]);
        forwarder.set_config(&Config::all_to(upstreams));
        Self {
            seed,
            closed: random.next_u32() as u8 & random.next_u32() as u8,
            forwarder,
            random,
            start: Instant::now(),
            events: BTreeMap::new(),
            scheduled: 0,
            now: 0,
            generations: HashMap::new(),
            open: HashMap::new(),
        }
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random.next_u32() % bound
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// `delay` in microseconds from now.
    fn schedule(&mut self, delay: u32, event: Event) {
        self.scheduled += 1;
        self.events
            .insert((self.now + u64::from(delay), self.scheduled), event);
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    fn run(&mut self) {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            match event {
                Event::Query(number) => self.ask(number),
                Event::Packet {
                    place,
                    generation,
                    mut octets,
                } => {
                    if self.generations.get(&place) == Some(&generation) && !self.forwarder.is_free(place) {
                        let length = octets.len();
                        octets.resize(4096, 0);
                        if let Some(answer) = self.forwarder.on_reply(place, &mut octets, length) {
                            let taken = Taken::of(&answer);
                            self.answered(&taken);
                        }
                    }
                }
                Event::Refusal { place, generation } => {
                    if self.generations.get(&place) == Some(&generation) && !self.forwarder.is_free(place) {
                        let now = self.instant();
                        while let Some(step) = self.forwarder.on_error(place, now).map(Step::of) {
                            self.perform(step);
                        }
                    }
                }
                Event::Tick => {
                    let now = self.instant();
                    while let Some(step) = self.forwarder.on_timeout(now).map(Step::of) {
                        self.perform(step);
                    }
                }
            }
            // The core looks at its clock at the deadline or somewhat later.
            if let Some(deadline) = self.forwarder.next_deadline() {
                let due =
                    u32::try_from(deadline.saturating_duration_since(self.instant()).as_micros()).unwrap();
                let late = self.below(SLACK.as_micros() as u32 / 4);
                self.schedule(due + late, Event::Tick);
                // One is enough, and this one is the earliest that counts.
                let ticks: Vec<_> = self
                    .events
                    .iter()
                    .filter(|(_, event)| matches!(event, Event::Tick))
                    .map(|(at, _)| *at)
                    .collect();
                for late in ticks.into_iter().skip(1) {
                    self.events.remove(&late);
                }
            }
        }
    }

    fn ask(&mut self, number: u32) {
        let now = self.instant();
        let peer = SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 5353));
        let to = ReturnPath::Datagram {
            listener: 0,
            peer,
            local: Local::Bound,
        };
        self.open.insert(number, self.now);
        let step = self
            .forwarder
            .submit(now, &query(number), to)
            .map(|ask| Step::of(Action::Ask(ask)));
        self.perform(step.expect("the table is not full"));
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Answer(taken) => self.answered(&taken),
            Step::Ask {
                place,
                fresh,
                upstream,
                octets,
            } => {
                let generation = self.generations.entry(place).or_default();
                *generation += u32::from(fresh);
                let generation = *generation;
                if self.closed >> upstream & 1 == 1 {
                    if self.chance(90) {
                        let delay = self.below(20_000);
                        self.schedule(delay, Event::Refusal { place, generation });
                    }
                    return;
                }
                self.deliver(place, generation, &octets);
            }
        }
    }

    /// Everything that a question may bring back: the true reply, or none, or several, and what others make up.
    fn deliver(&mut self, place: Place, generation: u32, question: &[u8]) {
        if self.chance(30) {
            for _ in 0..self.below(6) {
                let forged = self.forge(question);
                let delay = self.below(1_000_000);
                self.schedule(
                    delay,
                    Event::Packet {
                        place,
                        generation,
                        octets: forged,
                    },
                );
            }
        }
        while self.chance(70) {
            let octets = reply(question, true);
            // Now and then later than any client waits.
            let delay = if self.chance(80) {
                self.below(100_000)
            } else {
                self.below(4_000_000)
            };
            self.schedule(
                delay,
                Event::Packet {
                    place,
                    generation,
                    octets,
                },
            );
        }
    }

    /// A reply that says something untrue and does not know all of the question.
    fn forge(&mut self, question: &[u8]) -> Vec<u8> {
        let mut forged = reply(question, false);
        match self.below(6) {
            0 => forged[self.random.next_u32() as usize % 2] ^= 1 << (self.random.next_u32() % 8),
            1 => forged[2] &= 0x7f,
            2 => forged[5] = self.random.next_u32() as u8 & 0xfe,
            // Another name's, or the same in another case, or another type.
            3 => forged[13 + self.random.next_u32() as usize % 4] ^= 1 << (self.random.next_u32() % 8),
            4 => forged[22] ^= 0x10,
            _ => forged.truncate(self.random.next_u32() as usize % 25),
        }
        forged
    }

    fn answered(&mut self, taken: &Taken) {
        let seed = self.seed;
        let asked = self.open.remove(&taken.number).unwrap_or_else(|| {
            panic!(
                "seed {seed}: client {} was answered twice, or never asked",
                taken.number
            );
        });
        let waited = Duration::from_micros(self.now - asked);
        assert!(
            waited <= FORWARD_TIMEOUT + SLACK,
            "seed {seed}: client {} waited {waited:?}",
            taken.number
        );
        let query = query(taken.number);
        assert_eq!(taken.octets[..2], query[..2], "seed {seed}: not the client's id");
        assert_eq!(
            taken.octets[12..25],
            query[12..25],
            "seed {seed}: not the client's question"
        );
        let told = taken.octets.get(25..);
        match taken.cause {
            Cause::Answered => assert_eq!(told, Some(TRUTH), "seed {seed}: a forged answer was delivered"),
            Cause::TimedOut | Cause::Failed => {
                assert_eq!(taken.octets[3] & 0xf, 2, "seed {seed}: not SERVFAIL");
            }
        }
    }
}

/// An [`Action`] that borrows nothing.
enum Step {
    Ask {
        place: Place,
        fresh: bool,
        upstream: u8,
        octets: Vec<u8>,
    },
    Answer(Taken),
}

/// An [`Answer`] that borrows nothing, with the client's number.
struct Taken {
    number: u32,
    cause: Cause,
    octets: Vec<u8>,
}

impl Step {
    fn of(action: Action<'_>) -> Self {
        match action {
            Action::Answer(answer) => Self::Answer(Taken::of(&answer)),
            Action::Ask(Ask {
                place,
                fresh,
                upstream,
                octets,
            }) => {
                let SocketAddr::V4(upstream) = upstream else {
                    panic!("all upstreams are v4 here")
                };
                Self::Ask {
                    place,
                    fresh,
                    upstream: upstream.ip().octets()[3],
                    octets: octets.to_vec(),
                }
            }
        }
    }
}

impl Taken {
    fn of(answer: &Answer<'_>) -> Self {
        let ReturnPath::Datagram {
            peer: SocketAddr::V4(peer),
            ..
        } = answer.to
        else {
            panic!("all clients are v4 here")
        };
        let [_, _, high, low] = peer.ip().octets();
        Self {
            number: u32::from(high) << 8 | u32::from(low),
            cause: answer.cause,
            octets: answer.octets.to_vec(),
        }
    }
}

/// The query of client `number`: its id and its name tell it from all others.
fn query(number: u32) -> Vec<u8> {
    let id = (number as u16).wrapping_mul(257).to_be_bytes();
    let name = format!("{number:04}");
    let header = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    [
        id.as_slice(),
        header,
        b"\x04",
        name.as_bytes(),
        b"\x02Tt\x00\x00\x01\x00\x01",
    ]
    .concat()
}

const TRUTH: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04\xc0\x00\x02\x09";
const LIE: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04\x06\x06\x06\x06";

fn reply(question: &[u8], true_one: bool) -> Vec<u8> {
    let mut reply = [question, if true_one { TRUTH } else { LIE }].concat();
    reply[2] |= 0x80;
    reply[7] = 1;
    reply
}
