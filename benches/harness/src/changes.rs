//! Queries while containers change: what the changes cost those who ask, and how soon one is seen.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::{Cores, Outcome, say};
use crate::engine::Engine;
use crate::field::{Ground, Running};
use crate::generator::Generator;
use crate::load::{Pace, Spec, Transport, pin};
use crate::mix::Mix;
use crate::network;
use crate::plan::{IN_FLIGHT, SHARE_OF_PEAK};
use crate::question::Question;
use crate::results::bars::{Bound, verdict};
use crate::servers::Kind;
use crate::table::{count, median, table};
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

/// What one state came to.
#[derive(Default)]
struct State {
    rate: Vec<f64>,
    per_worker_second: Vec<f64>,
    /// Of the core, what threads other than the worker had at the peak, in percent.
    others: Vec<f64>,
    /// Of the queries at a share of the peak, how many of a hundred were answered.
    answered: Vec<f64>,
    p99_us: Vec<f64>,
    /// Changes each second, as many as the engine came to make.
    changes: Vec<f64>,
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
    pin(*cores.clients.first().unwrap_or(&cores.server))?;
    let directory = tempfile::tempdir()?;
    let engine = Engine::start(world, &directory.path().join("docker.sock"))?;
    let endpoint = engine.endpoint();
    say("starting skydock");
    let ground = Ground {
        world,
        directory: directory.path(),
        addresses: &[Ipv4Addr::LOCALHOST],
        upstream: None,
        cores: &[cores.server],
        affinity: &[cores.server],
        skydock,
        engines: &[&endpoint],
    };
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
    let mut states = [State::default(), State::default()];
    for round in 0..ROUNDS {
        for (state, is_changing) in states.iter_mut().zip([false, true]) {
            let with = if is_changing { "with" } else { "without" };
            say(&format!("round {} of {ROUNDS}, {with} changes", round + 1));
            let (is_over, began) = (AtomicBool::new(false), Instant::now());
            let replaced = thread::scope(|scope| -> Outcome<u32> {
                let changing = is_changing.then(|| scope.spawn(|| change(&engine, world, &is_over)));
                let measured = measure(&server, &mut generator, state);
                is_over.store(true, Ordering::Relaxed);
                let replaced = changing.map(|changing| changing.join().expect(NEVER_PANICS));
                measured.map(|()| replaced.unwrap_or(0))
            })?;
            state
                .changes
                .push(f64::from(replaced * 2) / began.elapsed().as_secs_f64());
        }
    }
    let row = |what: &str, value: fn(&State) -> &Vec<f64>| {
        let [without, with] = states.each_ref().map(|state| median(value(state)).unwrap_or(0.0));
        let times = format!("{:.3}", with / without.max(1e-9));
        vec![what.to_owned(), count(without), count(with), times]
    };
    let times = |value: fn(&State) -> &Vec<f64>| {
        let [without, with] = states.each_ref().map(|state| median(value(state)).unwrap_or(0.0));
        with / without.max(1e-9)
    };
    let bars = [
        verdict(
            "times as many answers at the peak",
            times(|state| &state.rate),
            Bound::Least(0.95),
        ),
        verdict(
            "times as many for each CPU-second of the worker",
            times(|state| &state.per_worker_second),
            Bound::Least(0.95),
        ),
        verdict(
            "times the p99 at 70 % of the peak",
            times(|state| &state.p99_us),
            Bound::Most(1.2),
        ),
    ];
    let [_, with] = &states;
    let came = median(&with.changes).unwrap_or(0.0);
    let rows = [
        ["", "without", "with", "times"].map(str::to_owned).to_vec(),
        row("answers a second", |state| &state.rate),
        row("answers per CPU-second of the worker", |state| {
            &state.per_worker_second
        }),
        row("all else at the peak, % of the core", |state| &state.others),
        row("answered at 70 % of the peak, %", |state| &state.answered),
        row("p99 us at 70 % of the peak", |state| &state.p99_us),
    ];
    let at = |share: f64| {
        seen_ms
            .get((seen_ms.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    let (median, ninety, longest) = (at(0.5), at(0.9), seen_ms.last().copied().unwrap_or(0.0));
    Ok(format!(
        "{} containers; of {CHANGES_PER_SECOND} changes a second {} came\n\n{}\nCPU of a change while nobody asks, us: {alone:.1}\nfrom the engine's event to the right answer, ms: median \
         {median:.2}, p90 {ninety:.2}, longest {longest:.2}\n\n{}",
        world.many(),
        count(came),
        table(&rows),
        bars.join("\n"),
    ))
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

/// The hot name, which no change touches: at the peak, then at a share of it.
fn measure(server: &Running, generator: &mut Generator, state: &mut State) -> Outcome<()> {
    let mut spec = Spec {
        to: server.address(network::Path::Loopback),
        transport: Transport::Udp,
        edns: true,
        pace: Pace::InFlight(IN_FLIGHT),
        seconds: SECONDS,
    };
    let taken = || {
        (
            server.process.thread_seconds(WORKER),
            server.process.cpu_seconds(),
        )
    };
    let (worker, all) = taken();
    let began = Instant::now();
    let outcome = generator.run(Mix::Hot, &spec)?;
    let seconds = began.elapsed().as_secs_f64();
    let (worker_then, all_then) = taken();
    let (worker, all) = (worker_then - worker, all_then - all);
    if outcome.wrong > 0 {
        return Err(format!("{} wrong answers", outcome.wrong).into());
    }
    state.rate.push(outcome.rate);
    state
        .per_worker_second
        .push(outcome.answered as f64 / worker.max(1e-9));
    state.others.push((all - worker) / seconds * 100.0);
    spec.pace = Pace::Rate(outcome.rate * SHARE_OF_PEAK);
    let outcome = generator.run(Mix::Hot, &spec)?;
    state
        .answered
        .push(outcome.answered as f64 / outcome.sent.max(1) as f64 * 100.0);
    state.p99_us.push(outcome.latency_us[1]);
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
