//! The command line.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bare;
use crate::changes;
use crate::comparison;
use crate::dnsperf;
use crate::engine::Engine;
use crate::events;
use crate::generator;
use crate::mix::Mix;
use crate::network::Path;
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
    Cores(Scaling),
    /// Measures skydock while containers change, and how soon a change is seen
    Changes(Ours),
    /// Has dnsperf ask skydock, dnsmasq and Unbound for names of ours, cached ones, and a mixture
    Dnsperf(Ours),
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
pub(crate) struct Run {
    /// Some five minutes instead of twenty: fewer points, in shorter rounds
    #[arg(long)]
    pub(crate) quick: bool,
    /// Seconds of each round, at every point [default: 0.3 to 1.7, longest where tails are told]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Option<f64>,
    /// Rounds of each point; of fewer than five no interval is sure [default: 5 to 9]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: Option<u16>,
    /// Our binary
    #[arg(long, value_name = "FILE", default_value = "target/release/skydock")]
    pub(crate) skydock: PathBuf,
    /// Servers to measure, separated by commas [default: all]
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    pub(crate) only: Vec<Kind>,
    /// Mixes to measure, separated by commas [default: all]
    #[arg(long, value_name = "MIXES", value_delimiter = ',')]
    pub(crate) mix: Vec<Mix>,
    /// Ways to measure [default: both]
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    pub(crate) path: Vec<Path>,
    /// Names in the zone
    #[arg(long, value_name = "COUNT", default_value_t = NAMES)]
    pub(crate) names: u32,
    /// Directory for speed.json and speed.svg
    #[arg(long, value_name = "DIRECTORY", default_value = "target/harness")]
    pub(crate) out: PathBuf,
    /// Write them to benches/results, where the README shows them: a full run alone
    #[arg(long, conflicts_with = "out")]
    pub(crate) record: bool,
    /// The speed.json of an older run, to print what is now as multiples of
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Fail when a bar is missed; one that is too close to tell, or was not measured, is not
    #[arg(long)]
    pub(crate) check: bool,
}

/// Names in the zone, as the bars have them.
const NAMES: u32 = 100_000;

/// A length of time that can be measured.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give seconds, 0.01 to 600".to_owned()),
    }
}

impl Run {
    /// Refuses to put into the README what is only a part of the whole.
    fn check_record(&self) -> Outcome<()> {
        let parts = [
            ("--quick", self.quick),
            ("--only", !self.only.is_empty()),
            ("--mix", !self.mix.is_empty()),
            ("--path", !self.path.is_empty()),
            ("--seconds", self.seconds.is_some()),
            ("--rounds", self.rounds.is_some()),
            ("--names", self.names != NAMES),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(flag, _)| *flag)
            .collect();
        if !self.record || parts.is_empty() {
            return Ok(());
        }
        let parts = parts.join(", ");
        Err(format!(
            "--record puts a whole run into benches/results, and {parts} makes it a part: leave {parts} out, or write \
             elsewhere with --out DIRECTORY"
        )
        .into())
    }
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
struct Ours {
    /// Our binary
    #[arg(long, value_name = "FILE", default_value = "target/release/skydock")]
    skydock: PathBuf,
    /// Containers
    #[arg(long, value_name = "COUNT", default_value_t = NAMES)]
    names: u32,
}

#[derive(Debug, Args)]
struct Scaling {
    #[command(flatten)]
    ours: Ours,
    /// Directory for cores.json and cores.svg
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
        What::Run(asked) => {
            asked.check_record()?;
            check(&asked.skydock)?;
            comparison::run(&asked)
        }
        What::Cores(Scaling { ours, out }) => {
            check(&ours.skydock)?;
            fs::create_dir_all(&out)?;
            tell(&scaling::run(&ours.skydock, World::new(ours.names), &out)?)
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

/// Whether `skydock` is there.
fn check(skydock: &std::path::Path) -> Outcome<()> {
    if skydock.is_file() {
        return Ok(());
    }
    let file = skydock.display();
    Err(format!("there is no {file}: build it (cargo build --release), or use benches/run").into())
}

/// Prints results.
pub(crate) fn tell(text: &str) -> Outcome<()> {
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

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Command::command().debug_assert();
    }

    #[test]
    fn the_help_lists_servers_mixes_and_ways() {
        let mut command = Command::command();
        let run = command.find_subcommand_mut("run").unwrap();
        let help = run.render_long_help().to_string();
        for word in Kind::ALL.map(Kind::word) {
            assert!(help.contains(word), "{word}: {help}");
        }
        for word in Mix::ALL.map(Mix::word) {
            assert!(help.contains(word), "{word}: {help}");
        }
        assert!(help.contains("loopback, bridge"), "{help}");
    }

    #[test]
    fn a_part_of_a_run_is_not_recorded_and_the_remedy_is_told() {
        let checked = |line: &str| {
            let words = ["harness", "run"].into_iter().chain(line.split_whitespace());
            let What::Run(asked) = Command::try_parse_from(words).unwrap().what else {
                panic!("{line}");
            };
            asked.check_record().map_err(|why| why.to_string())
        };
        for part in [
            "--quick",
            "--only knot",
            "--mix hot",
            "--path loopback",
            "--rounds 9",
            "--seconds 2",
        ] {
            let flag = part.split(' ').next().unwrap();
            let told = checked(&format!("--record {part}")).unwrap_err();
            assert!(
                told.contains(&format!("leave {flag} out")) && told.contains("--out"),
                "{told}"
            );
            assert_eq!(checked(part), Ok(()));
        }
        assert_eq!(checked("--record"), Ok(()));
    }

    #[test]
    fn flags_that_do_nothing_are_not_taken() {
        for line in [
            "changes --out x",
            "dnsperf --out x",
            "run --rounds 0",
            "run --seconds 0",
            "run --mix cold",
        ] {
            let words = std::iter::once("harness").chain(line.split_whitespace());
            assert!(Command::try_parse_from(words).is_err(), "{line}");
        }
    }
}
