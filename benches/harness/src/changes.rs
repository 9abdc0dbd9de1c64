//! Queries while containers change: what the changes cost those who ask, and how soon one is seen.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::{Outcome, say};
use crate::cores::Cores;
use crate::engine::Engine;
use crate::field::{Ground, Running};
use crate::generator::Generator;
use crate::load::{Pace, Spec, Transport, pin};
use crate::measure::{Asker, Taker};
use crate::mix::Mix;
use crate::network;
use crate::plan::{IN_FLIGHT, SHARE_OF_PEAK};
use crate::question::Question;
use crate::results::About;
use crate::servers::Kind;
use crate::table::{count, median, table};
use crate::verdict::{Bar, Bound, Found, lines};
use crate::world::World;

/// Changes each second. A container that is replaced is two: one goes, and one with another address comes.
const CHANGES_PER_SECOND: u32 = 1_000;
const REPLACED_PER_SECOND: u32 = CHANGES_PER_SECOND / 2;
/// How long each state is measured, and how often; without changes and with them in turn. Many short rounds: on a machine
/// that others use, a pause of theirs then spoils a round and not the median.
const SECONDS: f64 = 0.5;
const ROUNDS: usize = 12;
/// The engine's list is asked for once more so long after the start: a hundred thousand containers take a second then,
/// which is no matter of changes.
const LISTED_AGAIN: Duration = Duration::from_secs(20);
/// How long changes go on while nobody asks, to see what they alone take.
const ALONE: Duration = Duration::from_secs(3);
/// How long what was told last may take until it is served.
const TAKEN_IN: Duration = Duration::from_millis(500);
/// Changes that are watched until they are seen.
const WATCHED: u32 = 100;
/// How long one may take to be seen.
const SEEN_AFTER_MAX: Duration = Duration::from_secs(5);
const NEVER_PANICS: &str = "replacing containers does not panic";
/// Names of skydock's worker threads, before the number of their core.
const WORKER: &str = "skydock-";

/// What is asked: a name that no change touches, and those that all of them do.
const MIXES: [Mix; 2] = [Mix::Hot, Mix::Replaced];
/// How often the peak without changes is looked for first, to ask at one share of it in both states.
const PEAKS: usize = 3;

/// What one mix came to in one state, round by round.
#[derive(Clone, Default)]
struct State {
    rate: Vec<f64>,
    per_worker_second: Vec<f64>,
    /// Of the core, what threads other than the worker had at the peak, in percent.
    others: Vec<f64>,
    /// Of the queries at the one rate, how many of a hundred were answered.
    answered: Vec<f64>,
    /// At that rate; none of a round with too few answers.
    p99_us: Vec<Option<f64>>,
}

/// Measures `skydock` with the containers of `world`, and gives a table.
///
/// All of skydock has the one core that answers, the hardest there is: whatever changes cost is taken from the answers. The
/// engine that is not there shares a core with the generator, which goes before it: what the generator does not
/// ask cannot be answered.
///
/// # Errors
///
/// A sentence for whoever called.
pub(crate) fn run(skydock: &Path, world: World) -> Outcome<String> {
    let cores = Cores::choose()?;
    pin(cores.client())?;
    let directory = tempfile::tempdir()?;
    let engine = Engine::start(world, &directory.path().join("docker.sock"))?;
    let endpoint = engine.endpoint();
    say("starting skydock");
    let (ours, engines) = ([cores.server], [endpoint.as_str()]);
    let ground = Ground::of(world, directory.path(), skydock, &engines, &ours);
    let server = Running::start(Kind::Skydock, &ground)?;
    thread::sleep(LISTED_AGAIN);

    say("watching changes until they are seen");
    let mut seen_ms = Vec::new();
    for number in 0..WATCHED {
        seen_ms.push(watch(&server, &engine, world, number * 7_919)?.as_secs_f64() * 1e3);
    }
    seen_ms.sort_unstable_by(f64::total_cmp);

    say("changing containers while nobody asks");
    let alone = alone(&server, &engine, world)?;

    let mut generator = Generator::start(&cores.clients, world, None)?;
    generator.goes_first();
    say("looking for the peak without changes");
    let mut paces = Vec::new();
    for mix in MIXES {
        let mut rates = Vec::new();
        for _ in 0..PEAKS {
            rates.push(ask(&server, &mut generator, mix, Pace::InFlight(IN_FLIGHT))?.rate);
        }
        let peak = median(&rates).unwrap_or(0.0);
        paces.push((mix, Pace::Rate(peak * SHARE_OF_PEAK)));
    }
    let mut found = vec![[State::default(), State::default()]; MIXES.len()];
    let mut came = Vec::new();
    for round in 0..ROUNDS {
        for is_changing in [false, true] {
            let with = if is_changing { "with" } else { "without" };
            say(&format!("round {} of {ROUNDS}, {with} changes", round + 1));
            let (is_over, began) = (AtomicBool::new(false), Instant::now());
            let replaced = thread::scope(|scope| -> Outcome<u32> {
                let changing = is_changing.then(|| scope.spawn(|| change(&engine, world, &is_over)));
                let mut all = paces.iter().zip(&mut found);
                let measured = all.try_for_each(|((mix, pace), states)| {
                    measure(
                        &server,
                        &mut generator,
                        *mix,
                        *pace,
                        &mut states[usize::from(is_changing)],
                    )
                });
                is_over.store(true, Ordering::Relaxed);
                let replaced = changing.map(|changing| changing.join().expect(NEVER_PANICS));
                measured.map(|()| replaced.unwrap_or(0))
            })?;
            if is_changing {
                came.push(f64::from(replaced * 2) / began.elapsed().as_secs_f64());
            }
        }
    }
    let came = median(&came).unwrap_or(0.0);
    let (mut tables, mut bars) = (String::new(), Vec::new());
    for (mix, states) in MIXES.iter().zip(&found) {
        tables += &format!("{}\n{}\n", mix.title(world.many()), rows(states));
        bars.extend(promises(*mix, states));
    }
    let at = |share: f64| {
        seen_ms
            .get((seen_ms.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    let (median, ninety, longest) = (at(0.5), at(0.9), seen_ms.last().copied().unwrap_or(0.0));
    Ok(format!(
        "{}\n{} containers; of {CHANGES_PER_SECOND} changes a second {} came\n\n{tables}CPU of a change while nobody asks, us: \
         {alone:.1}\nfrom the engine's event to the right answer, ms: median {median:.2}, p90 {ninety:.2}, longest \
         {longest:.2}\n\n{}",
        About::here(),
        world.many(),
        count(came),
        lines(&bars),
    ))
}

/// Both states beside each other, and the median ratio of their rounds.
fn rows(states: &[State; 2]) -> String {
    let mut rows = vec![["", "without", "with", "times"].map(str::to_owned).to_vec()];
    let mut row = |what: &str, [without, with]: [Vec<Option<f64>>; 2]| {
        let middle = |rounds: &[Option<f64>]| {
            let known: Vec<_> = rounds.iter().copied().flatten().collect();
            median(&known).map_or("-".to_owned(), count)
        };
        let times = times(&without, &with).map_or("-".to_owned(), |times| format!("{:.3}", times.middle));
        rows.push(vec![what.to_owned(), middle(&without), middle(&with), times]);
    };
    let of = |value: fn(&State) -> &Vec<f64>| states.each_ref().map(|state| known(value(state)));
    row("answers a second", of(|state| &state.rate));
    row(
        "answers per CPU-second of the worker",
        of(|state| &state.per_worker_second),
    );
    row("all else at the peak, % of the core", of(|state| &state.others));
    row(
        "answered at 70 % of the peak without changes, %",
        of(|state| &state.answered),
    );
    row(
        "p99 us at that rate",
        states.each_ref().map(|state| state.p99_us.clone()),
    );
    table(&rows)
}

/// What is promised of `mix`.
fn promises(mix: Mix, states: &[State; 2]) -> [Bar; 3] {
    let [without, with] = states;
    let bar = |what: &str, found: Option<Found>, bound| Bar {
        what: format!("times {what}, {mix}"),
        found: found.ok_or_else(|| "too few answers in each round".to_owned()),
        bound,
    };
    let of = |value: fn(&State) -> &Vec<f64>| times(&known(value(without)), &known(value(with)));
    [
        bar(
            "as many answers at the peak",
            of(|state| &state.rate),
            Bound::Least(0.95),
        ),
        bar(
            "as many for each CPU-second of the worker",
            of(|state| &state.per_worker_second),
            Bound::Least(0.95),
        ),
        bar(
            "the p99 at 70 % of the peak without changes",
            times(&without.p99_us, &with.p99_us),
            Bound::Most(1.2),
        ),
    ]
}

fn known(rounds: &[f64]) -> Vec<Option<f64>> {
    rounds.iter().copied().map(Some).collect()
}

/// What `with` is of `without`, round by round.
fn times(without: &[Option<f64>], with: &[Option<f64>]) -> Option<Found> {
    let pairs = with
        .iter()
        .zip(without)
        .filter_map(|(with, without)| Some((*with)? / (*without)?.max(1e-9)));
    Found::of(&pairs.collect::<Vec<_>>())
}

/// Replaces containers, one after another and evenly, until it is over. How many.
fn change(engine: &Engine, world: World, is_over: &AtomicBool) -> u32 {
    let started = Instant::now();
    for turn in 0_u32.. {
        let due = Duration::from_secs(1) / REPLACED_PER_SECOND * turn;
        thread::sleep(due.saturating_sub(started.elapsed()));
        if is_over.load(Ordering::Relaxed) {
            return turn;
        }
        engine.replace(world.one_of_many(turn.wrapping_mul(7_919)).number);
    }
    unreachable!("numbers end later than any measurement")
}

/// Microseconds of CPU that one change takes while nobody asks.
fn alone(server: &Running, engine: &Engine, world: World) -> Outcome<f64> {
    let is_over = AtomicBool::new(false);
    let before = server.process.cpu_seconds();
    let changed = thread::scope(|scope| {
        let changing = scope.spawn(|| change(engine, world, &is_over));
        thread::sleep(ALONE);
        is_over.store(true, Ordering::Relaxed);
        changing.join().expect(NEVER_PANICS)
    });
    // What is not taken in yet comes soon, and whoever asked for it would be counted.
    thread::sleep(TAKEN_IN);
    Ok((server.process.cpu_seconds() - before) * 1e6 / f64::from(changed.max(1) * 2))
}

/// Asks for `mix` once, and refuses wrong answers.
fn ask(server: &Running, generator: &mut Generator, mix: Mix, pace: Pace) -> Outcome<crate::load::Outcome> {
    let spec = Spec {
        to: server.address(network::Path::Loopback),
        transport: Transport::Udp,
        edns: true,
        pace,
        seconds: SECONDS,
    };
    let outcome = generator.ask(mix, &spec)?;
    match outcome.wrong {
        0 => Ok(outcome),
        wrong => Err(format!("{wrong} wrong answers: {:?}", outcome.complaint).into()),
    }
}

/// `mix` at the peak, then at the rate of `pace`, the same in both states: at a share of each state's own peak less would be
/// asked of the one that answers less.
fn measure(
    server: &Running,
    generator: &mut Generator,
    mix: Mix,
    pace: Pace,
    state: &mut State,
) -> Outcome<()> {
    let taken = || {
        (
            server.process.thread_seconds(WORKER),
            server.process.cpu_seconds(),
        )
    };
    let (worker, all) = taken();
    let began = Instant::now();
    let outcome = ask(server, generator, mix, Pace::InFlight(IN_FLIGHT))?;
    let seconds = began.elapsed().as_secs_f64();
    let (worker_then, all_then) = taken();
    let (worker, all) = (worker_then - worker, all_then - all);
    state.rate.push(outcome.rate);
    state
        .per_worker_second
        .push(outcome.answered as f64 / worker.max(1e-9));
    state.others.push((all - worker) / seconds * 100.0);
    let outcome = ask(server, generator, mix, pace)?;
    state
        .answered
        .push(outcome.answered as f64 / outcome.sent.max(1) as f64 * 100.0);
    state.p99_us.push(outcome.latencies.quantile_us(0.99));
    Ok(())
}

/// Replaces one container and asks for it until its new address comes.
fn watch(server: &Running, engine: &Engine, world: World, place: u32) -> Outcome<Duration> {
    let it = world.one_of_many(place);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server.address(network::Path::Loopback))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let changed = Instant::now();
    let address = engine.replace(it.number).ok_or("there is no such container")?;
    let question = Question::addresses(&it.name(), [address]);
    let (mut query, mut reply) = (Vec::new(), [0; 512]);
    question.write(1, true, &mut query);
    while changed.elapsed() < SEEN_AFTER_MAX {
        socket.send(&query)?;
        // What is lost is asked for again.
        let length = socket.recv(&mut reply).unwrap_or(0);
        if question.check(&reply[..length]).is_ok() {
            return Ok(changed.elapsed());
        }
    }
    Err(format!("{} did not get its new address in {SEEN_AFTER_MAX:?}", it.name()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(rate: f64, p99_us: Option<f64>) -> State {
        State {
            rate: vec![rate; 5],
            per_worker_second: vec![rate; 5],
            others: vec![1.0; 5],
            answered: vec![100.0; 5],
            p99_us: vec![p99_us; 5],
        }
    }

    #[test]
    fn states_are_held_against_each_other_round_by_round() {
        let mut states = [state(100_000.0, Some(200.0)), state(90_000.0, Some(220.0))];
        // A loud neighbour in one round of both is nobody's fault.
        for state in &mut states {
            state.rate[2] /= 3.0;
        }
        let told = promises(Mix::Replaced, &states).map(|bar| bar.line());
        assert_eq!(
            told,
            [
                "MISSED  times as many answers at the peak, replaced: 0.90 (0.90 to 0.90) >= 0.95",
                "MISSED  times as many for each CPU-second of the worker, replaced: 0.90 (0.90 to 0.90) >= 0.95",
                "met     times the p99 at 70 % of the peak without changes, replaced: 1.10 (1.10 to 1.10) <= 1.20",
            ]
        );
        assert!(rows(&states).contains("100k"));
    }

    #[test]
    fn too_few_answers_are_no_result() {
        let states = [state(1.0, None), state(1.0, Some(3.0))];
        let [.., p99] = promises(Mix::Hot, &states);
        assert!(p99.line().starts_with("none"), "{}", p99.line());
        assert!(rows(&states).contains('-'));
    }
}
