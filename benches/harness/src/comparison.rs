//! The run of all servers: they are started, measured in turn, and told of.

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path as File, PathBuf};

use crate::chart::chart;
use crate::cli::{Outcome, Run, say, tell};
use crate::cores::Cores;
use crate::engine::Engine;
use crate::field::{Ground, Running, start_upstream};
use crate::generator::Generator;
use crate::load::pin;
use crate::measure::{Taker, Watched, measure};
use crate::network::{Bridge, Path};
use crate::plan::{Extent, Point, points, seconds};
use crate::process::Process;
use crate::results::{About, Baseline, Results, Server};
use crate::servers::Kind;
use crate::verdict::Verdict;
use crate::world::World;

/// Where results lie that the README shows.
const RECORDED: &str = "benches/results";

/// Measures what was `asked` for, and writes and tells what came of it.
///
/// # Errors
///
/// A sentence for whoever called: nothing could be measured or written, or a bar was missed and that was to be checked.
pub(crate) fn run(asked: &Run) -> Outcome<()> {
    let baseline = asked.baseline.as_deref().map(Baseline::read).transpose()?;
    let cores = Cores::choose()?;
    // The engine and we ourselves stay out of the servers' way.
    pin(cores.client())?;
    let world = World::new(asked.names);
    let mut plan = plan(asked);
    let mut notes = Vec::new();
    let directory = tempfile::tempdir()?;

    let bridge = bridge(&mut plan, &mut notes);
    let mut addresses = vec![Ipv4Addr::LOCALHOST];
    addresses.extend(bridge.as_ref().map(|_| Path::Bridge.address()));
    let engine = Engine::start(world, &directory.path().join("docker.sock"))?.endpoint();
    let upstream = upstream(&mut plan, &mut notes, directory.path(), cores.client());
    let (ours, engines) = ([cores.server], [engine.as_str()]);
    let ground = Ground {
        addresses: &addresses,
        upstream: upstream.as_ref().map(|(_, address)| *address),
        ..Ground::of(world, directory.path(), &asked.skydock, &engines, &ours)
    };
    let (servers, missing) = start(asked, &ground);
    if let Some((upstream, _)) = &upstream {
        upstream.confine()?;
    }
    let mut generators = HashMap::new();
    generators.insert(Path::Loopback, Generator::start(&cores.clients, world, None)?);
    if let Some(bridge) = &bridge {
        let generator = Generator::start(&cores.clients, world, Some(bridge.namespace()))?;
        generators.insert(Path::Bridge, generator);
    }
    let kinds: Vec<_> = servers.iter().map(Taker::kind).collect();
    let minutes = seconds(&plan, &kinds) / 60.0;
    say(&format!(
        "{} points, {} servers: some {minutes:.1} minutes",
        plan.len(),
        servers.len()
    ));
    let tell_point = |place: usize| {
        if let Some(point) = plan.get(place) {
            let edns = if point.edns { "with" } else { "without" };
            let (mix, path, load) = (point.mix, point.path, point.load.word());
            let transport = format!("{:?}", point.transport);
            let (number, all) = (place + 1, plan.len());
            say(&format!(
                "{number}/{all}: {mix}, {transport}, {path}, {edns} EDNS, {load}"
            ));
        }
    };
    let watched = Watched {
        server: cores.server,
        all: cores.all(),
    };
    let mut measured = measure(&plan, &servers, &mut generators, &watched, tell_point)?;
    notes.append(&mut measured.notes);
    measured.notes = notes;

    let results = Results {
        about: About::here(),
        names: asked.names,
        plan,
        servers: servers.iter().map(Server::of).collect(),
        missing,
        measured,
    };
    let out = if asked.record {
        PathBuf::from(RECORDED)
    } else {
        asked.out.clone()
    };
    fs::create_dir_all(&out)?;
    fs::write(out.join("speed.json"), format!("{}\n", results.json()))?;
    fs::write(out.join("speed.svg"), chart(&results))?;
    tell(&results.text())?;
    if let Some(baseline) = &baseline {
        tell(&results.beside(baseline))?;
    }
    tell(&format!(
        "written: {0}/speed.json and {0}/speed.svg",
        out.display()
    ))?;
    let bars = results.bars();
    let missed = bars.iter().filter(|bar| bar.verdict() == Verdict::Missed).count();
    match missed {
        0 => Ok(()),
        _ if !asked.check => Ok(()),
        missed => Err(format!("{missed} of {} bars were missed", bars.len()).into()),
    }
}

/// What is to be measured of everything.
fn plan(asked: &Run) -> Vec<Point> {
    let extent = if asked.quick { Extent::Quick } else { Extent::Full };
    let mut plan = points(extent);
    plan.retain(|point| {
        (asked.mix.is_empty() || asked.mix.contains(&point.mix))
            && (asked.path.is_empty() || asked.path.contains(&point.path))
    });
    for point in &mut plan {
        point.seconds = asked.seconds.unwrap_or(point.seconds);
        point.rounds = asked.rounds.map_or(point.rounds, usize::from);
    }
    plan
}

/// The bridge, if something goes through it.
fn bridge(plan: &mut Vec<Point>, notes: &mut Vec<String>) -> Option<Bridge> {
    if !plan.iter().any(|point| point.path == Path::Bridge) {
        return None;
    }
    match Bridge::make() {
        Ok(bridge) => Some(bridge),
        Err(why) => {
            notes.push(format!("everything through a bridge: {why}"));
            plan.retain(|point| point.path != Path::Bridge);
            None
        }
    }
}

/// Whom forwarders ask, if something is forwarded.
fn upstream(
    plan: &mut Vec<Point>,
    notes: &mut Vec<String>,
    directory: &File,
    core: usize,
) -> Option<(Process, std::net::SocketAddr)> {
    if !plan.iter().any(|point| point.mix.is_forwarded()) {
        return None;
    }
    match start_upstream(directory, core) {
        Ok(upstream) => Some(upstream),
        Err(why) => {
            notes.push(format!("forwarding: {why}"));
            plan.retain(|point| !point.mix.is_forwarded());
            None
        }
    }
}

/// All servers that were asked for: those that run, and why the others do not.
fn start(asked: &Run, ground: &Ground<'_>) -> (Vec<Running>, Vec<(Kind, String)>) {
    let (mut servers, mut missing) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        if !asked.only.is_empty() && !asked.only.contains(&kind) {
            continue;
        }
        say(&format!("starting {}", kind.word()));
        match Running::start(kind, ground) {
            Ok(running) => servers.push(running),
            Err(why) => {
                say(&format!("  {why}"));
                missing.push((kind, why));
            }
        }
    }
    (servers, missing)
}
