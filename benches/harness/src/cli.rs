//! The command line.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use dataplane::cores::{CoreSelection, select};

use crate::bare;
use crate::changes;
use crate::chart::chart;
use crate::dnsperf;
use crate::engine::Engine;
use crate::events;
use crate::field::{Ground, Running, start_upstream};
use crate::generator::{self, Generator};
use crate::load::pin;
use crate::measure::{Generators, measure};
use crate::mix::Mix;
use crate::network::{Bridge, Path};
use crate::plan::{Extent, points, seconds};
use crate::results::{About, Results, Server};
use crate::scaling;
use crate::servers::Kind;
use crate::world::World;

/// Measures skydock beside other name servers.
#[derive(Debug, Parser)]
#[command(name = "harness", version)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measures all servers in one run, in turn
    Run(Run),
    /// Measures skydock on one core, two, and so on up to all; draws a chart
    Cores(Only),
    /// Measures skydock while containers change, and how soon a change is seen
    Changes(Only),
    /// Has dnsperf ask skydock, dnsmasq and Unbound for names of ours, cached ones, and a mixture
    Dnsperf(Only),
    /// A container engine that is not there, to try a daemon with; runs until its standard input ends
    Engine {
        /// Where it listens
        #[arg(long, value_name = "FILE")]
        socket: PathBuf,
        /// Containers
        #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
        names: u32,
    },
    /// Measures how soon what happens to containers is answered, and what it costs to follow an engine that is at rest
    Events(Events),
    /// The load generator; reads a line of JSON for each measurement (started by the others)
    #[command(hide = true)]
    Load {
        #[arg(long, value_delimiter = ',')]
        cores: Vec<usize>,
        #[arg(long)]
        names: u32,
    },
    /// A responder that knows one answer (started by the others)
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        engine: BareEngine,
        #[arg(long)]
        core: usize,
        #[arg(long)]
        listen: Vec<SocketAddr>,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum BareEngine {
    Glommio,
    Threads,
}

#[derive(Debug, Args)]
struct Run {
    /// Two to three minutes instead of ten
    #[arg(long)]
    quick: bool,
    /// Our binary
    #[arg(long, value_name = "FILE", default_value = "target/release/skydock")]
    skydock: PathBuf,
    /// Servers to measure, separated by commas [default: all]
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    only: Vec<Kind>,
    /// Mixes to measure, separated by commas [default: all]
    #[arg(long, value_name = "MIXES", value_delimiter = ',')]
    mix: Vec<Mix>,
    /// Ways to measure: loopback, bridge [default: both]
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    path: Vec<Path>,
    /// Names in the zone
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    names: u32,
    /// Directory for speed.json and speed.svg
    #[arg(long, value_name = "DIRECTORY", default_value = "target/harness")]
    out: PathBuf,
    /// Write the chart and the medians to benches/results, where the README shows them
    #[arg(long, conflicts_with = "out")]
    record: bool,
}

#[derive(Debug, Args)]
struct Events {
    /// Our binary
    #[arg(long, value_name = "FILE", default_value = "target/release/skydock")]
    skydock: PathBuf,
    /// Containers of the engine that is not there
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    names: u32,
    /// Containers that are truly started, one after another
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    starts: usize,
    /// Containers that run on the true engine while it is away and comes back
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    running: usize,
}

#[derive(Debug, Args)]
struct Only {
    /// Our binary
    #[arg(long, value_name = "FILE", default_value = "target/release/skydock")]
    skydock: PathBuf,
    /// Containers
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    names: u32,
    /// Directory for what is written
    #[arg(long, value_name = "DIRECTORY", default_value = "target/harness")]
    out: PathBuf,
}

/// What went wrong, as a sentence.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Reads the command line and does what it says.
///
/// # Errors
///
/// A sentence for whoever called.
pub fn run() -> Outcome<()> {
    match Command::parse().what {
        What::Run(asked) => run_all(&asked),
        What::Cores(asked) => {
            check(&asked.skydock)?;
            fs::create_dir_all(&asked.out)?;
            tell(&scaling::run(
                &asked.skydock,
                World::new(asked.names),
                &asked.out,
            )?)
        }
        What::Changes(asked) => {
            check(&asked.skydock)?;
            tell(&changes::run(&asked.skydock, World::new(asked.names))?)
        }
        What::Dnsperf(asked) => {
            check(&asked.skydock)?;
            tell(&dnsperf::run(&asked.skydock, World::new(asked.names))?)
        }
        What::Engine { socket, names } => {
            let engine = Engine::start(World::new(names), &socket)?;
            tell(&format!("skydock --docker {}\n", engine.endpoint()))?;
            io::copy(&mut io::stdin().lock(), &mut io::sink())?;
            fs::remove_file(&socket)?;
            Ok(())
        }
        What::Events(asked) => {
            check(&asked.skydock)?;
            let world = World::new(asked.names);
            tell(&events::run(&asked.skydock, world, asked.starts, asked.running)?)
        }
        What::Load { cores, names } => {
            generator::serve(&cores, World::new(names), io::stdin().lock(), io::stdout())?;
            Ok(())
        }
        What::Bare { engine, core, listen } => {
            let engine = match engine {
                BareEngine::Glommio => dataplane::Engine::Glommio,
                BareEngine::Threads => dataplane::Engine::Threads,
            };
            bare::run(engine, core, &listen, World::new(0).hot().address)?;
            Ok(())
        }
    }
}

/// Cores of the servers and of the generator. With one core alone they share it.
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) clients: Vec<usize>,
}

impl Cores {
    /// The generator has all but one, and no more than it needs.
    pub(crate) fn choose() -> Outcome<Self> {
        /// Cores with which the generator asks more than any server here answers from one.
        const CLIENTS_MAX: usize = 3;
        let all = (1..=CLIENTS_MAX + 1).rev();
        let cores = all
            .map(|count| select(Some(&CoreSelection::Count(count))))
            .find_map(Result::ok);
        let cores = cores.ok_or("no core may be used")?;
        let (server, clients) = cores.split_last().ok_or("no core may be used")?;
        let clients = if clients.is_empty() {
            vec![*server]
        } else {
            clients.to_vec()
        };
        Ok(Self {
            server: *server,
            clients,
        })
    }
}

fn run_all(asked: &Run) -> Outcome<()> {
    check(&asked.skydock)?;
    let cores = Cores::choose()?;
    // The engine and we ourselves stay out of the servers' way.
    pin(*cores.clients.first().unwrap_or(&cores.server))?;
    let world = World::new(asked.names);
    let extent = if asked.quick { Extent::Quick } else { Extent::Full };
    let mut plan = points(extent);
    plan.retain(|point| {
        (asked.mix.is_empty() || asked.mix.contains(&point.mix))
            && (asked.path.is_empty() || asked.path.contains(&point.path))
    });
    let directory = tempfile::tempdir()?;
    let mut missing = Vec::new();
    let mut left_out = Vec::new();

    let mut addresses = vec![Ipv4Addr::LOCALHOST];
    let needs_bridge = plan.iter().any(|point| point.path == Path::Bridge);
    let bridge = if needs_bridge { Some(Bridge::make()) } else { None };
    let bridge = match bridge {
        Some(Ok(bridge)) => {
            addresses.push(Path::Bridge.address());
            Some(bridge)
        }
        Some(Err(why)) => {
            left_out.push(format!("everything through a bridge: {why}"));
            plan.retain(|point| point.path != Path::Bridge);
            None
        }
        None => None,
    };

    let engine = Engine::start(world, &directory.path().join("docker.sock"))?.endpoint();
    let client = *cores.clients.first().unwrap_or(&cores.server);
    let upstream = match start_upstream(directory.path(), client) {
        Ok(upstream) => Some(upstream),
        Err(why) => {
            left_out.push(format!("forwarding: {why}"));
            plan.retain(|point| !point.mix.is_forwarded());
            None
        }
    };
    let ground = Ground {
        world,
        directory: directory.path(),
        addresses: &addresses,
        upstream: upstream.as_ref().map(|(_, address)| *address),
        cores: &[cores.server],
        affinity: &[cores.server],
        skydock: &asked.skydock,
        engines: &[&engine],
    };
    let mut servers = Vec::new();
    for kind in Kind::ALL {
        if !asked.only.is_empty() && !asked.only.contains(&kind) {
            continue;
        }
        say(&format!("starting {}", kind.word()));
        match Running::start(kind, &ground) {
            Ok(running) => servers.push(running),
            Err(why) => {
                say(&format!("  {why}"));
                missing.push((kind, why));
            }
        }
    }

    if let Some((upstream, _)) = &upstream {
        upstream.confine()?;
    }
    let mut generators: Generators = HashMap::new();
    generators.insert(Path::Loopback, Generator::start(&cores.clients, world, None)?);
    if let Some(bridge) = &bridge {
        let generator = Generator::start(&cores.clients, world, Some(bridge.namespace()))?;
        generators.insert(Path::Bridge, generator);
    }
    let minutes = seconds(&plan, servers.len()) / 60.0;
    say(&format!(
        "{} points, {} servers: at most {minutes:.1} minutes",
        plan.len(),
        servers.len()
    ));
    let tell = |place: usize| {
        if let Some(point) = plan.get(place) {
            let edns = if point.edns { "with" } else { "without" };
            let (mix, path, load) = (point.mix, point.path, point.load.word());
            let transport = format!("{:?}", point.transport);
            say(&format!(
                "{}/{}: {mix}, {transport}, {path}, {edns} EDNS, {load}",
                place + 1,
                plan.len()
            ));
        }
    };
    let mut measured = measure(&plan, &servers, &mut generators, cores.server, tell)?;
    left_out.append(&mut measured.left_out);
    measured.left_out = left_out;

    let results = Results {
        about: About::here(),
        names: asked.names,
        plan,
        servers: servers.iter().map(Server::of).collect(),
        missing,
        measured,
    };
    let out = if asked.record {
        PathBuf::from("benches/results")
    } else {
        asked.out.clone()
    };
    fs::create_dir_all(&out)?;
    fs::write(
        out.join("speed.json"),
        format!("{}\n", results.json(!asked.record)),
    )?;
    fs::write(out.join("speed.svg"), chart(&results))?;
    let mut text = io::stdout().lock();
    writeln!(text, "{}", results.text())?;
    writeln!(text, "written: {0}/speed.json and {0}/speed.svg", out.display())?;
    Ok(())
}

/// Whether `skydock` is there.
fn check(skydock: &std::path::Path) -> Outcome<()> {
    if skydock.is_file() {
        return Ok(());
    }
    let file = skydock.display();
    Err(format!("there is no {file}: build it (cargo build --release), or use benches/run").into())
}

/// Prints results.
fn tell(text: &str) -> Outcome<()> {
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

/// Tells how far we are; results go to standard output alone.
pub(crate) fn say(line: &str) {
    // Nobody may be listening.
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use dataplane::cores::allowed;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Command::command().debug_assert();
    }

    #[test]
    fn servers_and_the_generator_have_cores_of_their_own_where_there_are_two() {
        let cores = Cores::choose().unwrap();
        let count = allowed().unwrap().len();
        assert!(count == 1 || !cores.clients.contains(&cores.server));
        assert!(!cores.clients.is_empty());
    }
}
