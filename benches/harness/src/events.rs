//! How soon what happens to containers is answered, and what it costs to follow an engine at rest.
//!
//! ```text
//!   fake engine: a thousand names ──┐
//!                                   ├─▶ skydock ─▶ answers, asked for until they are right
//!   dockerd ─▶ relay: when it said ─┘
//! ```

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cli::{Outcome, say};
use crate::cores::Cores;
use crate::dockerd::Dockerd;
use crate::engine::Engine;
use crate::field::{Ground, Running};
use crate::measure::Taker;
use crate::network;
use crate::question::Question;
use crate::relay::Relay;
use crate::servers::Kind;
use crate::table::table;
use crate::world::{World, ZONE};
use rest::{CHECKED, at_rest};

mod rest;

/// How long one answer may take to become right.
const SEEN_AFTER_MAX: Duration = Duration::from_secs(20);
/// Between two questions for an answer that is awaited: a share of a millisecond, and most of the CPU left to others.
const BETWEEN_QUESTIONS: Duration = Duration::from_micros(200);
/// Times that an engine goes and comes back, or has its connection cut.
const ROUNDS: usize = 3;
/// Time that an engine stays away: more than one try to reach it.
const AWAY: Duration = Duration::from_millis(700);
/// Time that it stays before it leaves: after less, skydock takes longer and longer to come back to it, as to one that
/// breaks off again and again.
const STAY: Duration = Duration::from_millis(5_500);
/// How long all of it may take. One step more may be under way then, which has its own bound.
const WHOLE_MAX: Duration = Duration::from_secs(180);

/// What is done, told on the way; no step begins once it has been too long.
pub(super) struct Steps(Instant);

impl Steps {
    /// # Errors
    ///
    /// There is no time for it any more.
    fn begin(&self, step: &str) -> Outcome<()> {
        let elapsed = self.0.elapsed();
        if elapsed > WHOLE_MAX {
            return Err(format!("not done after {}, and still to do: {step}", shown(elapsed)).into());
        }
        say(&format!("{:>6} {step}", shown(elapsed)));
        Ok(())
    }
}

fn shown(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

/// Measures `skydock` beside the containers of `world`, and gives tables.
///
/// # Errors
///
/// A sentence for whoever called.
pub(crate) fn run(skydock: &Path, world: World, starts: usize, running: usize) -> Outcome<String> {
    let cores = Cores::choose()?;
    let everywhere = cores.all();
    let directory = tempfile::tempdir()?;
    let fake = Engine::start(world, &directory.path().join("docker.sock"))?;
    let steps = Steps(Instant::now());
    steps.begin("starting an engine")?;
    let dockerd = Dockerd::start()?;
    let relay = Relay::start(&directory.path().join("relay.sock"), &dockerd.socket())?;
    let (first, second) = (fake.endpoint(), relay.endpoint());
    let start = |engines: &[&str], world: World| {
        let ours = [cores.server];
        let ground = Ground {
            affinity: &everywhere,
            ..Ground::of(world, directory.path(), skydock, engines, &ours)
        };
        Running::start(Kind::Skydock, &ground)
    };
    steps.begin("starting skydock")?;
    let server = start(&[&first, &second], world)?;
    let mut text = format!("{} names beside\n\n", world.many());
    text += &start_many(&server, &dockerd, &relay, starts, &steps)?;
    text += &return_of_fake(&server, &fake, world, &steps)?;
    text += &return_of_true(&server, &dockerd, &relay, running, &steps)?;
    drop(server);

    let world = World::new(CHECKED);
    let fake = Engine::start(world, &directory.path().join("rest.sock"))?;
    let server = start(&[&fake.endpoint()], world)?;
    text += &at_rest(&server, &fake, world, &steps)?;
    Ok(text)
}

/// Asks `server` for addresses.
struct Asker {
    socket: UdpSocket,
}

impl Asker {
    fn of(server: &Running) -> Outcome<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server.address(network::Path::Loopback))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self { socket })
    }

    /// Asks until one address is the answer, and gives it with the time.
    fn await_any(&self, name: &str) -> Outcome<(Ipv4Addr, SystemTime)> {
        let mut query = Vec::new();
        Question::absent(name).write(1, false, &mut query);
        self.until(name, &query, |reply| {
            let last: [u8; 4] = *reply.last_chunk()?;
            (reply.get(6..8)? == [0, 1]).then(|| Ipv4Addr::from(last))
        })
    }

    /// Asks until this is the answer, and gives the time.
    fn await_right(&self, name: &str, address: Ipv4Addr) -> Outcome<SystemTime> {
        let question = Question::addresses(name, [address]);
        let mut query = Vec::new();
        question.write(1, true, &mut query);
        let ((), seen) = self.until(name, &query, |reply| question.check(reply).ok())?;
        Ok(seen)
    }

    fn until<T>(
        &self,
        name: &str,
        query: &[u8],
        is_right: impl Fn(&[u8]) -> Option<T>,
    ) -> Outcome<(T, SystemTime)> {
        let (began, mut reply) = (Instant::now(), [0; 512]);
        while began.elapsed() < SEEN_AFTER_MAX {
            self.socket.send(query)?;
            // What is lost is asked for again.
            let length = self.socket.recv(&mut reply).unwrap_or(0);
            if let Some(found) = is_right(&reply[..length]) {
                return Ok((found, SystemTime::now()));
            }
            thread::sleep(BETWEEN_QUESTIONS);
        }
        Err(format!("{name} did not get its answer in {SEEN_AFTER_MAX:?}").into())
    }
}

/// Starts containers one after another, each asked for until it is answered.
fn start_many(
    server: &Running,
    dockerd: &Dockerd,
    relay: &Relay,
    starts: usize,
    steps: &Steps,
) -> Outcome<String> {
    steps.begin(&format!("making {starts} containers"))?;
    let names: Vec<_> = (0..starts).map(|number| format!("start{number}")).collect();
    names.iter().try_for_each(|name| dockerd.create(name))?;
    let asker = Asker::of(server)?;
    let (mut all, mut told, mut asked, mut engine, mut ours) = (vec![], vec![], vec![], vec![], vec![]);
    let mut inspects_in_all = 0;
    for name in &names {
        steps.begin(&format!("starting {name} of {starts}"))?;
        let (address, seen) = thread::scope(|scope| -> Outcome<_> {
            let start = scope.spawn(|| {
                dockerd
                    .docker(&["start", name])
                    .map(drop)
                    .map_err(|it| it.to_string())
            });
            let answered = asker.await_any(&format!("{name}.{ZONE}"));
            start.join().map_err(|_| "the client panicked")??;
            answered
        })?;
        let format = "{{.Id}} {{.NetworkSettings.IPAddress}}";
        let inspected = dockerd.docker(&["inspect", "--format", format, name])?;
        let (id, expected) = inspected.split_once(' ').ok_or("an inspect says both")?;
        if address != expected.parse::<Ipv4Addr>()? {
            return Err(format!("{name} is answered with {address}, and has {expected}").into());
        }
        let happened = started(dockerd, name)?;
        let heard = relay.started(id).ok_or("no start came by")?;
        let inspects = relay.inspects(id);
        let last = inspects
            .iter()
            .rfind(|it| it.answered <= seen)
            .ok_or("no inspect came by")?;
        all.push(milliseconds(happened, seen));
        told.push(milliseconds(happened, heard));
        asked.push(milliseconds(heard, last.asked));
        inspects_in_all += inspects.len();
        // One that began before the event is waited for from the event on.
        engine.push(milliseconds(last.asked.max(heard), last.answered));
        ours.push(milliseconds(heard, seen) - milliseconds(last.asked.max(heard), last.answered));
    }
    let rows = [
        ["ms from a start's event to its answer", "p50", "p99", "longest"]
            .map(str::to_owned)
            .to_vec(),
        row("all", all),
        row("the engine's, until it had told", told),
        row("ours, until we asked", asked),
        row("the engine's, until it had answered", engine),
        row("all of ours", ours),
    ];
    let each = inspects_in_all as f64 / starts.max(1) as f64;
    Ok(format!(
        "{starts} containers started by dockerd, {each:.1} inspects each\n\n{}\n",
        table(&rows)
    ))
}

/// When the engine's event says that it was started.
fn started(dockerd: &Dockerd, name: &str) -> Outcome<SystemTime> {
    // To the nanosecond: a second that is not over yet would be waited for.
    let until = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let until = format!("{}.{:09}", until.as_secs(), until.subsec_nanos());
    let container = format!("container={name}");
    let words = [
        "events",
        "--since",
        "1",
        "--until",
        &until,
        "--format",
        "{{.TimeNano}}",
    ];
    let filters = ["--filter", "event=start", "--filter", &container];
    let event = dockerd.docker(&[&words[..], &filters].concat())?;
    Ok(UNIX_EPOCH + Duration::from_nanos(event.parse()?))
}

/// The engine that is not there leaves, has every container replaced and comes back; or is cut off and found at once.
fn return_of_fake(server: &Running, fake: &Engine, world: World, steps: &Steps) -> Outcome<String> {
    let asker = Asker::of(server)?;
    let mut took = Vec::new();
    for round in 1..=ROUNDS {
        steps.begin(&format!(
            "the fake engine leaves and comes back, {round} of {ROUNDS}"
        ))?;
        thread::sleep(STAY);
        fake.leave()?;
        thread::sleep(AWAY);
        let mut expected = Vec::new();
        for it in world.containers() {
            let address = fake
                .replace_unsaid(it.number)
                .ok_or("there is no such container")?;
            expected.push((it.name(), address));
        }
        let back = SystemTime::now();
        fake.come_back()?;
        let mut last = back;
        for (name, address) in &expected {
            last = last.max(asker.await_right(name, *address)?);
        }
        took.push(milliseconds(back, last));
    }
    let count = world.containers().count();
    let head = format!("ms from an engine's return until all of {count} names are right");
    let rows = [
        vec![head, "p50".to_owned(), "p99".to_owned(), "longest".to_owned()],
        row("fake engine", took),
    ];
    Ok(format!("{}\n", table(&rows)))
}

/// The same with containers that run; one is renamed meanwhile, and its new name tells.
fn return_of_true(
    server: &Running,
    dockerd: &Dockerd,
    relay: &Relay,
    running: usize,
    steps: &Steps,
) -> Outcome<String> {
    let stopped = dockerd.docker(&["ps", "--quiet"])?;
    for name in (stopped.lines().count()..running).map(|number| format!("run{number}")) {
        steps.begin(&format!("starting {name} of {running}"))?;
        dockerd.create(&name)?;
        dockerd.docker(&["start", &name])?;
    }
    dockerd.docker(&[
        "run",
        "--detach",
        "--name",
        "back0",
        "--stop-signal",
        "KILL",
        "bench",
    ])?;
    let asker = Asker::of(server)?;
    let (address, _) = asker.await_any(&format!("back0.{ZONE}"))?;
    let mut took = Vec::new();
    for round in 1..=ROUNDS {
        steps.begin(&format!(
            "the true engine leaves and comes back, {round} of {ROUNDS}"
        ))?;
        thread::sleep(STAY);
        relay.leave()?;
        let (old, new) = (format!("back{}", round - 1), format!("back{round}"));
        dockerd.docker(&["rename", &old, &new])?;
        thread::sleep(AWAY);
        let back = SystemTime::now();
        relay.come_back()?;
        took.push(milliseconds(
            back,
            asker.await_right(&format!("{new}.{ZONE}"), address)?,
        ));
    }
    let head = format!(
        "ms from dockerd's return until {} containers are known",
        running.max(1)
    );
    let rows = [
        vec![head, "p50".to_owned(), "p99".to_owned(), "longest".to_owned()],
        row("dockerd", took),
    ];
    Ok(format!("{}\n", table(&rows)))
}

fn milliseconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64() * 1e3
}

/// A line of a table: what it is, and the middle, the 99th hundredth and the greatest of its values.
fn row(what: &str, mut values: Vec<f64>) -> Vec<String> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |share: f64| {
        values
            .get((last as f64 * share).round() as usize)
            .copied()
            .unwrap_or(0.0)
    };
    let cells = [at(0.5), at(0.99), at(1.0)].map(|value| format!("{value:.2}"));
    std::iter::once(what.to_owned()).chain(cells).collect()
}
