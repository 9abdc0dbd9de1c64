use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use super::*;
use crate::mix::Mix;
use crate::world::World;

/// What a scripted server does with a query.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reaction {
    /// Answers at once.
    Answer,
    /// Answers with what nobody asked for.
    AnswerWrongly,
    /// Answers so long after it was asked, or never.
    After(Duration),
    /// Breaks its connection, with what is on it.
    Break,
}

const NEVER: Duration = Duration::from_secs(3_600);

/// What all lanes of one server saw.
#[derive(Debug, Default)]
struct Seen {
    queries: Vec<Vec<u8>>,
    under_way: usize,
    under_way_most: usize,
    lanes: HashSet<usize>,
    mended: usize,
}

/// A lane without a socket.
struct Scripted {
    number: usize,
    /// By the query's number among all.
    react: fn(usize) -> Reaction,
    /// Queries of a call that leave at most.
    room: usize,
    seen: Rc<RefCell<Seen>>,
    waiting: VecDeque<(Instant, Vec<u8>)>,
    is_broken: bool,
}

impl Lane for Scripted {
    fn send(&mut self, queries: &[Vec<u8>]) -> io::Result<usize> {
        let mut seen = self.seen.borrow_mut();
        let left = queries.len().min(self.room);
        for query in queries.iter().take(left) {
            let reaction = (self.react)(seen.queries.len());
            seen.queries.push(query.clone());
            seen.lanes.insert(self.number);
            seen.under_way += 1;
            seen.under_way_most = seen.under_way_most.max(seen.under_way);
            let mut reply = query.clone();
            reply[2] |= 0x80;
            let after = match reaction {
                Reaction::Answer => Duration::ZERO,
                Reaction::AnswerWrongly => {
                    reply[3] = 2;
                    Duration::ZERO
                }
                Reaction::After(after) => after,
                Reaction::Break => {
                    self.is_broken = true;
                    NEVER
                }
            };
            // Names that do not exist are asked for.
            reply[3] |= if reaction == Reaction::AnswerWrongly { 0 } else { 3 };
            self.waiting.push_back((Instant::now() + after, reply));
        }
        Ok(left)
    }

    fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        if self.is_broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let now = Instant::now();
        let mut late = VecDeque::new();
        for (due, reply) in self.waiting.drain(..) {
            if due <= now {
                self.seen.borrow_mut().under_way -= 1;
                each(&reply);
            } else {
                late.push_back((due, reply));
            }
        }
        self.waiting = late;
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        self.is_broken = false;
        let mut seen = self.seen.borrow_mut();
        seen.under_way -= self.waiting.len();
        seen.mended += 1;
        self.waiting.clear();
        Ok(())
    }
}

/// A script of absent names, which any answer with the right code answers.
fn script() -> Script {
    Mix::Misses.script(World::new(1_000))
}

fn begin(script: &Script) -> Order<'_> {
    Order {
        script,
        turn: 0,
        place: 0,
        threads: 1,
    }
}

/// Asks four lanes of one server that reacts so.
fn ask(
    order: &mut Order<'_>,
    pace: Pace,
    milliseconds: u64,
    room: usize,
    react: fn(usize) -> Reaction,
) -> (Outcome, Rc<RefCell<Seen>>) {
    let seen = Rc::new(RefCell::new(Seen::default()));
    let lane = |number| Scripted {
        number,
        react,
        room,
        seen: Rc::clone(&seen),
        waiting: VecDeque::new(),
        is_broken: false,
    };
    let mut lanes: Vec<_> = (0..4).map(lane).collect();
    let seconds = Duration::from_millis(milliseconds);
    let tally = drive(&mut lanes, order, true, pace, seconds).unwrap();
    (tally.outcome(seconds.as_secs_f64()), seen)
}

/// The part of a query that says what is asked.
fn question(query: &[u8]) -> &[u8] {
    &query[12..]
}

#[test]
fn a_query_leaves_when_it_is_due_and_not_when_the_next_one_is() {
    assert_eq!(due_by(Duration::ZERO, 1_000.0), 1);
    assert_eq!(due_by(Duration::from_micros(999), 1_000.0), 1);
    assert_eq!(due_by(Duration::from_micros(1_001), 1_000.0), 2);
}

#[test]
fn a_query_without_an_answer_is_no_quick_one() {
    let mut tally = Tally::default();
    tally.latencies.record(Duration::from_micros(1), 980);
    tally.lose(20);
    let outcome = tally.outcome(1.0);
    assert_eq!(outcome.lost, 20);
    assert_eq!(outcome.latencies.quantile_us(0.5).unwrap().round(), 1.0);
    assert!(outcome.latencies.quantile_us(0.99).unwrap() >= 1e6);
}

#[test]
fn a_closed_loop_keeps_as_many_under_way_as_it_was_told_and_over_all_lanes() {
    let script = script();
    let (outcome, seen) = ask(&mut begin(&script), Pace::InFlight(10), 50, BATCH, |_| {
        Reaction::After(Duration::from_micros(200))
    });
    let seen = seen.borrow();
    assert_eq!(seen.under_way_most, 10);
    assert_eq!(seen.lanes.len(), 4);
    assert_eq!((outcome.lost, outcome.wrong), (0, 0));
    assert_eq!(outcome.sent, outcome.answered);
    assert_eq!(outcome.sent as usize, seen.queries.len());
    assert_eq!(outcome.latencies.count(), outcome.answered);
}

#[test]
fn an_open_loop_asks_at_its_rate_whatever_comes_back() {
    let script = script();
    let (outcome, seen) = ask(&mut begin(&script), Pace::Rate(10_000.0), 200, BATCH, |number| {
        if number.is_multiple_of(2) {
            Reaction::Answer
        } else {
            Reaction::After(NEVER)
        }
    });
    assert!((1_000..=2_001).contains(&outcome.sent), "{}", outcome.sent);
    assert_eq!(outcome.answered, outcome.sent.div_ceil(2));
    assert_eq!(outcome.lost, outcome.sent / 2);
    assert_eq!(seen.borrow().lanes.len(), 4);
    assert!(
        outcome.latencies.quantile_us(0.6).unwrap() >= 1e6,
        "who is lost took a second"
    );
}

#[test]
fn latency_counts_from_when_a_query_was_due_and_not_from_when_it_could_leave() {
    let script = script();
    // Nothing leaves at first, for the lane takes nothing.
    struct Late {
        lane: Scripted,
        opens: Instant,
    }
    impl Lane for Late {
        fn send(&mut self, queries: &[Vec<u8>]) -> io::Result<usize> {
            if Instant::now() < self.opens {
                return Ok(0);
            }
            self.lane.send(queries)
        }
        fn receive(&mut self, each: impl FnMut(&[u8])) -> io::Result<()> {
            self.lane.receive(each)
        }
        fn mend(&mut self) -> io::Result<()> {
            self.lane.mend()
        }
    }
    let seen = Rc::new(RefCell::new(Seen::default()));
    let lane = Scripted {
        number: 0,
        react: |_| Reaction::Answer,
        room: BATCH,
        seen,
        waiting: VecDeque::new(),
        is_broken: false,
    };
    let opens = Instant::now() + Duration::from_millis(100);
    let seconds = Duration::from_millis(200);
    let mut lanes = [Late { lane, opens }];
    let tally = drive(
        &mut lanes,
        &mut begin(&script),
        true,
        Pace::Rate(5_000.0),
        seconds,
    );
    let outcome = tally.unwrap().outcome(0.2);
    assert!(
        outcome.latencies.longest_us() >= 90_000.0,
        "{}",
        outcome.latencies.longest_us()
    );
    assert!(
        outcome.latencies.quantile_us(0.6).unwrap() >= 10_000.0,
        "those that came due meanwhile waited, too"
    );
}

#[test]
fn what_could_not_leave_is_asked_next_and_nothing_twice() {
    let script = script();
    let mut order = begin(&script);
    let (outcome, seen) = ask(&mut order, Pace::InFlight(12), 20, 1, |_| Reaction::Answer);
    let seen = seen.borrow();
    assert_eq!(order.turn, seen.queries.len());
    assert_eq!(outcome.sent as usize, seen.queries.len());
    let first: HashSet<_> = seen
        .queries
        .iter()
        .take(1_000)
        .map(|query| question(query))
        .collect();
    assert_eq!(first.len(), seen.queries.len().min(1_000));
}

#[test]
fn two_runs_ask_different_names_and_all_of_them_are_asked_before_any_comes_again() {
    let script = script();
    let mut order = begin(&script);
    let mut asked = Vec::new();
    let mut runs = 0;
    while asked.len() < script.turns() {
        let before = asked.len();
        // A hundred a second: a few of the thousand names in each run.
        let (_, seen) = ask(&mut order, Pace::Rate(20_000.0), 5, BATCH, |_| Reaction::Answer);
        asked.append(&mut seen.borrow_mut().queries);
        assert!(asked.len() > before);
        runs += 1;
    }
    assert!(runs > 1);
    asked.truncate(script.turns());
    let names: HashSet<_> = asked.iter().map(|query| question(query)).collect();
    assert_eq!(names.len(), script.turns());
}

#[test]
fn threads_share_the_names_among_them() {
    let script = script();
    for threads in 1..=3 {
        let places = (0..threads).flat_map(|place| {
            let order = Order {
                script: &script,
                turn: 0,
                place,
                threads,
            };
            // A last thread may have one turn more than its share.
            let turns = script.turns().div_ceil(threads);
            (0..turns)
                .map(move |turn| order.question(turn).0)
                .collect::<Vec<_>>()
        });
        assert_eq!(places.collect::<HashSet<_>>().len(), script.turns(), "{threads}");
    }
}

#[test]
fn wrong_answers_are_counted_apart_and_the_first_is_told() {
    let script = script();
    let (outcome, _) = ask(&mut begin(&script), Pace::InFlight(4), 10, BATCH, |number| {
        if number == 2 {
            Reaction::AnswerWrongly
        } else {
            Reaction::Answer
        }
    });
    assert_eq!(outcome.wrong, 1);
    assert_eq!(outcome.answered + 1, outcome.sent);
    assert_eq!(outcome.complaint.as_deref(), Some("Rcode(2)"));
}

#[test]
fn a_lane_that_breaks_is_made_anew_and_what_was_on_it_is_lost_at_most() {
    let script = script();
    let (outcome, seen) = ask(&mut begin(&script), Pace::InFlight(8), 20, BATCH, |number| {
        if number == 5 {
            Reaction::Break
        } else {
            Reaction::Answer
        }
    });
    assert_eq!(seen.borrow().mended, 1);
    assert!(outcome.answered > 8 && outcome.wrong == 0);
}
