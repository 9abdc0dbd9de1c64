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

use crate::cli::{Cores, Outcome, say};
use crate::dockerd::Dockerd;
use crate::engine::{Engine, now};
use crate::field::{Ground, Running};
use crate::network;
use crate::question::Question;
use crate::relay::Relay;
use crate::servers::Kind;
use crate::table::table;
use crate::world::{World, ZONE};

/// How long one answer may take to become right.
const SEEN_AFTER_MAX: Duration = Duration::from_secs(30);
/// Between two questions for an answer that is awaited: a share of a millisecond, and most of the CPU left to others.
const BETWEEN_QUESTIONS: Duration = Duration::from_micros(200);
/// Times that an engine goes and comes back, or has its connection cut.
const ROUNDS: usize = 5;
/// Time that an engine stays away: more than one try to reach it.
const AWAY: Duration = Duration::from_millis(700);
/// Time that it stays before it leaves: after less, skydock takes longer and longer to come back to it, as to one that
/// breaks off again and again.
const STAY: Duration = Duration::from_millis(5_500);
/// Containers with a health check, and the time between two of its checks.
const CHECKED: u32 = 300;
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How long an engine at rest is watched.
const REST: Duration = Duration::from_secs(20);
/// Names of skydock's worker threads, before the number of their core; all else is the control plane.
const WORKER: &str = "skydock-";

/// Measures `skydock` beside the containers of `world`, and gives tables.
///
/// # Errors
///
/// A sentence for whoever called.
pub(crate) fn run(skydock: &Path, world: World, starts: usize, running: usize) -> Outcome<String> {
    let cores = Cores::choose()?;
    let mut everywhere = cores.clients.clone();
    everywhere.push(cores.server);
    let directory = tempfile::tempdir()?;
    let fake = Engine::start(world, &directory.path().join("docker.sock"))?;
    say("starting an engine");
    let dockerd = Dockerd::start()?;
    let relay = Relay::start(&directory.path().join("relay.sock"), &dockerd.socket())?;
    let (first, second) = (fake.endpoint(), relay.endpoint());
    let start = |engines: &[&str], world: World| {
        let ground = Ground {
            world,
            directory: directory.path(),
            addresses: &[Ipv4Addr::LOCALHOST],
            upstream: None,
            cores: &[cores.server],
            affinity: &everywhere,
            skydock,
            engines,
        };
        Running::start(Kind::Skydock, &ground)
    };
    let server = start(&[&first, &second], world)?;
    let mut text = format!("{} names beside\n\n", world.many());
    text += &start_many(&server, &dockerd, &relay, starts)?;
    text += &return_of_fake(&server, &fake, world)?;
    text += &return_of_true(&server, &dockerd, &relay, running)?;
    drop(server);

    let world = World::new(CHECKED);
    let fake = Engine::start(world, &directory.path().join("rest.sock"))?;
    let server = start(&[&fake.endpoint()], world)?;
    text += &at_rest(&server, &fake, world);
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
fn start_many(server: &Running, dockerd: &Dockerd, relay: &Relay, starts: usize) -> Outcome<String> {
    say("making containers");
    let names: Vec<_> = (0..starts).map(|number| format!("start{number}")).collect();
    names.iter().try_for_each(|name| dockerd.create(name))?;
    say("starting them");
    let asker = Asker::of(server)?;
    let (mut all, mut told, mut asked, mut engine, mut ours) = (vec![], vec![], vec![], vec![], vec![]);
    let mut inspects_in_all = 0;
    for name in &names {
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
    let until = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 1;
    let (until, container) = (until.to_string(), format!("container={name}"));
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
fn return_of_fake(server: &Running, fake: &Engine, world: World) -> Outcome<String> {
    say("the fake engine leaves and comes back");
    let asker = Asker::of(server)?;
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
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
fn return_of_true(server: &Running, dockerd: &Dockerd, relay: &Relay, running: usize) -> Outcome<String> {
    say("the true engine leaves and comes back");
    let stopped = dockerd.docker(&["ps", "--quiet"])?;
    for name in (stopped.lines().count()..running).map(|number| format!("run{number}")) {
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

/// What the control plane takes of a core: while nothing is told, while one container in two seconds changes its health,
/// and while an engine that leaves nothing out tells of every check, too.
fn at_rest(server: &Running, fake: &Engine, world: World) -> String {
    say("the engine at rest");
    let containers: Vec<_> = world.containers().collect();
    let changing: Vec<_> = containers.iter().take(2).collect();
    let watch = |what: &str, tell: &dyn Fn(u32)| {
        say(what);
        let control = || server.process.cpu_seconds() - server.process.thread_seconds(WORKER);
        let (before, began) = (control(), Instant::now());
        let ticks = u32::try_from(containers.len()).unwrap_or(1);
        let mut tick = 0;
        while began.elapsed() < REST {
            thread::sleep((CHECK_EVERY / ticks * tick).saturating_sub(began.elapsed()));
            tell(tick);
            tick += 1;
        }
        let share = (control() - before) / began.elapsed().as_secs_f64();
        vec![what.to_owned(), format!("{:.3}", share * 100.0)]
    };
    let turn = |tick: u32| {
        let ticks = u32::try_from(containers.len()).unwrap_or(1);
        if tick.is_multiple_of(ticks)
            && let Some(it) = changing.get((tick / ticks) as usize % 2)
        {
            fake.tell(&health(&it.id(), &it.image, &it.instance));
        }
    };
    let rows = [
        vec![
            format!("control plane, {CHECKED} containers checked every {CHECK_EVERY:?}"),
            "% of a core".to_owned(),
        ],
        watch("nothing is told", &|_| ()),
        watch("what engines tell who ask as we do", &turn),
        watch("the health after every check, as Podman tells", &|tick| {
            if let Some(it) = containers.get(tick as usize % containers.len().max(1)) {
                fake.tell(&podman_health(&it.id(), &it.image, &it.instance));
            }
        }),
        watch("every check is told, though nobody asked", &|tick| {
            turn(tick);
            if let Some(it) = containers.get(tick as usize % containers.len().max(1)) {
                fake.tell(&check(&it.id(), &it.image, &it.instance));
            }
        }),
    ];
    table(&rows)
}

/// The three events of a health check that succeeds, as Docker 20.10 tells them.
fn check(id: &str, image: &str, name: &str) -> String {
    let exec = "ee58e204ed2923dcdefed5b3db4bedc6c3a932724b71165cc10e3669132a8bb5";
    let event = |action: &str, more: &str| {
        format!(
            r#"{{"status":"{action}","id":"{id}","from":"{image}","Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"execID":"{exec}",{more}"image":"{image}","name":"{name}"}}}},"scope":"local",{}}}"#,
            now()
        ) + "\n"
    };
    let created = event("exec_create: /bin/sh -c test -e /well", "");
    created + &event("exec_start: /bin/sh -c test -e /well", "") + &event("exec_die", r#""exitCode":"0","#)
}

fn health(id: &str, image: &str, name: &str) -> String {
    format!(
        r#"{{"status":"health_status: healthy","id":"{id}","from":"{image}","Type":"container","Action":"health_status: healthy","Actor":{{"ID":"{id}","Attributes":{{"image":"{image}","name":"{name}"}}}},"scope":"local",{}}}"#,
        now()
    ) + "\n"
}

/// The event of a health check, changed or not, as Podman 5 tells it.
fn podman_health(id: &str, image: &str, name: &str) -> String {
    format!(
        r#"{{"status":"health_status","id":"{id}","from":"{image}","Type":"container","Action":"health_status","Actor":{{"ID":"{id}","Attributes":{{"image":"{image}","name":"{name}"}}}},"scope":"local",{},"HealthStatus":"healthy"}}"#,
        now()
    ) + "\n"
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
