//! A forwarder in a network that loses, delays, doubles, reorders, spoils and forges, among upstreams of every
//! character, under a seed.
//!
//! ```text
//!  0 s                              4 s                       6 s                    9 s
//!  │ queries, every fault there is   │ one upstream is well    │ queries: an answer    │ nothing is left
//! ```
//!
//! One seed fixes everything that happens. A run that breaks a rule tells the line that repeats it.

mod clients;
mod memory;
mod upstream;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dns::NameRef;
use dns::wire::HEADER_OCTETS;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use self::clients::{client, is_forgotten};
use self::memory::Memory;
use self::upstream::Character;
use super::config::{is_within, longest_first};
use super::{
    Action, Asked, Cause, Config, Failure, Forwarder, Place, Policy, ReturnPath, Route, Submitted, Trouble,
    Upstream, Waiter,
};

const SEEDS: u64 = 20_000;
/// How late the simulated core may come to look at its clock.
const SLACK: Duration = Duration::from_millis(50);
/// Names that clients ask for, few enough that they often ask the same.
const NAMES: u32 = 12;
/// In microseconds: when faults end, and when clients ask again to find that out.
const FAULTS_END: u64 = 4_000_000;
const CALM: u64 = 6_000_000;

/// What happens at a moment.
enum Event {
    /// A client asks, for the name with this number.
    Query { client: u32, name: u32 },
    /// A packet reaches the socket of a place, of this generation.
    Packet {
        place: Place,
        generation: u32,
        octets: Vec<u8>,
    },
    /// An error reaches it, or the end of a connection that is kept.
    Refusal { place: Place, generation: u32 },
    /// Other upstreams are to be asked.
    Reconfigure,
    /// The core looks at its clock.
    Tick,
}

/// A client that has asked and was not answered.
struct Open {
    at: u64,
    name: u32,
}

struct Network {
    random: ChaCha8Rng,
    forwarder: Forwarder,
    start: Instant,
    /// In microseconds since start, and a number that keeps equal moments apart.
    events: BTreeMap<(u64, u32), Event>,
    scheduled: u32,
    ticking: Option<u64>,
    now: u64,
    /// How often each place was given a new socket: what comes for an older one is lost.
    generations: HashMap<Place, u32>,
    /// Connections that are kept and brought a reply.
    served: HashSet<(Place, u32)>,
    open: HashMap<u32, Open>,
    /// Names that upstreams are being asked about.
    under_way: HashSet<u32>,
    upstreams: Vec<Character>,
    /// The one that is well in the end.
    survivor: usize,
    /// What the forwarder was told last.
    config: Config,
    answered_in_calm: u32,
    /// Half of the cores keep what they hear.
    memory: Option<Memory>,
}

/// What the forwarder wanted done, borrowing nothing.
enum Step {
    Ask {
        place: Place,
        fresh: bool,
        upstream: usize,
        octets: Vec<u8>,
    },
    Ended {
        question: Vec<u8>,
        clients: Vec<(u32, Vec<u8>)>,
        /// The records, or an error.
        told: Option<Vec<u8>>,
        /// The whole of it.
        result: Result<Vec<u8>, Failure>,
        cause: Cause,
    },
    /// Clients are told what is past its time.
    Late { clients: Vec<(u32, Vec<u8>)> },
}

#[test]
fn every_query_gets_one_true_answer_in_time_whatever_the_network_does() {
    if let Ok(seed) = std::env::var("SIMULATION_SEED") {
        return replay(seed.parse().unwrap());
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (thread..SEEDS).step_by(threads as usize).for_each(replay));
        }
    });
}

fn replay(seed: u64) {
    let run = std::panic::catch_unwind(|| Network::new(seed).run());
    assert!(
        run.is_ok(),
        "SIMULATION_SEED={seed} cargo test -p dataplane --lib simulation"
    );
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = 1 + random.next_u32() as usize % 3;
        let survivor = random.next_u32() as usize % count;
        let mut network = Self {
            forwarder: Forwarder::new([seed as u8; 32]),
            start: Instant::now(),
            events: BTreeMap::new(),
            scheduled: 0,
            ticking: None,
            now: 0,
            generations: HashMap::new(),
            served: HashSet::new(),
            open: HashMap::new(),
            under_way: HashSet::new(),
            upstreams: Vec::new(),
            survivor,
            config: Config::default(),
            answered_in_calm: 0,
            memory: (seed % 2 == 1).then(|| Memory::new(seed)),
            random,
        };
        for upstream in 0..count {
            let character = network.character(upstream == survivor);
            network.upstreams.push(character);
        }
        network
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random.next_u32() % bound
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn is_calm(&self) -> bool {
        self.now >= FAULTS_END
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
        self.reconfigure();
        let mut client = 0;
        for calm in [false, true] {
            for _ in 0..1 + self.below(if calm { 4 } else { 16 }) {
                let (from, span) = if calm {
                    (CALM as u32, 500_000)
                } else {
                    (0, 3_000_000)
                };
                let at = from + self.below(span);
                // Others than before, so that nothing of them is under way.
                let name = self.below(NAMES) + if calm { NAMES } else { 0 };
                self.schedule(at, Event::Query { client, name });
                client += 1;
            }
        }
        if self.chance(30) {
            for _ in 0..=self.below(2) {
                let at = self.below(FAULTS_END as u32);
                self.schedule(at, Event::Reconfigure);
            }
        }
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.happen(event);
            self.tick();
        }
        assert!(self.open.is_empty(), "{} clients have no answer", self.open.len());
        let forwarder = &self.forwarder;
        assert_eq!(
            (
                forwarder.under_way(),
                forwarder.waiting(),
                forwarder.next_deadline()
            ),
            (0, 0, None),
            "the table is not empty"
        );
        assert!(
            self.generations.keys().all(|&place| forwarder.is_free(place)),
            "a place was not given back"
        );
        assert!(
            self.answered_in_calm > 0,
            "an upstream is well, and nobody was answered"
        );
    }

    /// The core looks at its clock at the next deadline, or somewhat later.
    fn tick(&mut self) {
        let Some(deadline) = self.forwarder.next_deadline() else {
            return;
        };
        let due = deadline.saturating_duration_since(self.start).as_micros() as u64;
        if self.ticking.is_some_and(|ticking| ticking <= due.max(self.now)) {
            return;
        }
        let delay = due.saturating_sub(self.now) as u32 + self.below(SLACK.as_micros() as u32 / 4);
        self.ticking = Some(self.now + u64::from(delay));
        self.schedule(delay, Event::Tick);
    }

    fn happen(&mut self, event: Event) {
        let now = self.instant();
        let mut steps = Vec::new();
        match event {
            Event::Query { client, name } => self.query(client, name, &mut steps),
            Event::Packet {
                place,
                generation,
                octets,
            } => {
                if self.is_heard(place, generation) {
                    self.served.insert((place, generation));
                    let _ = self
                        .forwarder
                        .on_reply(place, &octets, now, &mut note(&mut steps));
                }
            }
            Event::Refusal { place, generation } => {
                if place.is_kept() && self.generations.get(&place) == Some(&generation) {
                    // What is still on its way by that connection is lost, and the next question makes another one.
                    self.generations.insert(place, generation + 1);
                    match self.served.contains(&(place, generation)) {
                        true => self.forwarder.on_end(place, now, &mut note(&mut steps)),
                        false => self
                            .forwarder
                            .on_error(place, Trouble::Closed, now, &mut note(&mut steps)),
                    }
                } else if !place.is_kept() && self.is_heard(place, generation) {
                    self.forwarder
                        .on_error(place, Trouble::Unreachable, now, &mut note(&mut steps));
                }
            }
            Event::Reconfigure => self.reconfigure(),
            Event::Tick => {
                self.ticking = None;
                self.forwarder.on_timeout(now, &mut note(&mut steps));
            }
        }
        for step in steps {
            match step {
                Step::Ask {
                    place,
                    fresh,
                    upstream,
                    octets,
                } => self.deliver(place, fresh, upstream, &octets),
                Step::Ended {
                    question,
                    clients,
                    told,
                    result,
                    cause,
                } => {
                    let name = number(&question);
                    assert!(self.under_way.remove(&name), "an exchange ends once");
                    if let Some(memory) = &mut self.memory {
                        memory.take_in(&question, &result, self.now);
                    }
                    self.ended(&clients, told.as_deref(), cause);
                }
                Step::Late { clients } => self.late(&clients),
            }
        }
    }

    /// Whether there is still the socket that a packet was sent to.
    fn is_heard(&self, place: Place, generation: u32) -> bool {
        self.generations.get(&place) == Some(&generation) && !self.forwarder.is_free(place)
    }

    /// Has some of the upstreams asked, and about one name others perhaps.
    fn reconfigure(&mut self) {
        let policy = match self.below(3) {
            0 => Policy::Sequential,
            1 => Policy::RoundRobin,
            _ => Policy::Fastest,
        };
        let domain = if self.chance(50) { "." } else { "tt" };
        let mut domains = vec![domain.to_owned()];
        if self.chance(30) {
            let letter = char::from(b'a' + self.below(NAMES) as u8);
            domains.push(format!("{letter}axy.tt"));
        }
        let routes = domains.into_iter().map(|domain| Route {
            domain: domain.parse().unwrap(),
            upstreams: self.some_upstreams(),
        });
        let routes = routes.collect();
        self.config = Config { routes, policy };
        self.forwarder.set_config(&self.config);
    }

    /// Some of the upstreams, in some order; the one that stays well is among them.
    fn some_upstreams(&mut self) -> Vec<Upstream> {
        let mut order: Vec<usize> = (0..self.upstreams.len()).collect();
        for at in 0..order.len() {
            let other = self.below(order.len() as u32) as usize;
            order.swap(at, other);
        }
        let dropped = self.below(order.len() as u32 + 1) as usize;
        let kept = order
            .into_iter()
            .enumerate()
            .filter(|&(at, upstream)| at >= dropped || upstream == self.survivor);
        kept.map(|(_, upstream)| self.server(upstream)).collect()
    }

    /// Whether `upstream` is one of those that `question` is to be asked of now.
    fn is_routed(&self, upstream: usize, question: &[u8]) -> bool {
        let (name, _) = NameRef::split(&question[HEADER_OCTETS..]).unwrap();
        let mut routes = longest_first(&self.config.routes).into_iter();
        let route = routes.find(|route| is_within(name, &route.domain));
        route.is_some_and(|route| route.upstreams.contains(&self.server(upstream)))
    }
}

fn note(steps: &mut Vec<Step>) -> impl FnMut(Action<'_>) {
    |action| {
        steps.push(match action {
            Action::Ask(ask) => Step::Ask {
                place: ask.place,
                fresh: ask.fresh,
                upstream: match ask.upstream {
                    SocketAddr::V4(upstream) => upstream.ip().octets()[3].into(),
                    SocketAddr::V6(upstream) => panic!("{upstream} is none of ours"),
                },
                octets: ask.octets.to_vec(),
            },
            Action::Ended(ended) => {
                let question = ended.asked.octets().to_vec();
                let told = ended.result.as_ref().ok().map(|reply| reply.answers.to_vec());
                Step::Ended {
                    cause: ended.cause,
                    result: ended.result.map(|reply| reply.octets.to_vec()),
                    clients: ended
                        .served
                        .map(|waiter| (client(&waiter), question.clone()))
                        .collect(),
                    told,
                    question,
                }
            }
            Action::Late(late) => {
                let question = late.asked.octets().to_vec();
                let told = match is_forgotten(number(&question)) {
                    true => 0,
                    false => usize::MAX,
                };
                Step::Late {
                    clients: late
                        .standing
                        .take(told)
                        .map(|waiter| (client(&waiter), question.clone()))
                        .collect(),
                }
            }
            Action::Turned(_) => return,
            Action::NoStream => panic!("there are not so many questions"),
        });
    }
}

/// The number of the name that is asked for, as [`query`] writes it.
fn number(question: &[u8]) -> u32 {
    u32::from(question[1] - b'a') | u32::from(question[2] - b'a') << 4
}

fn address(upstream: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, upstream as u8], 53))
}
