//! `dnsperf`, for whoever trusts no generator of ours: the same files of questions to us, dnsmasq and Unbound, in one run.
//!
//! ```text
//!  own:     names of our zone                                    each file is asked of each server in turn,
//!  cached:  names of an upstream's that have been asked before   round after round, all on one core
//!  mixed:   both, and one in a hundred that no cache may keep
//! ```
//!
//! It looks at response codes alone. The harness's own generator, which `benches/run` uses, checks every record.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::{Outcome, say};
use crate::cores::Cores;
use crate::engine::Engine;
use crate::field::{Ground, Running, start_upstream};
use crate::load::pin;
use crate::measure::Taker;
use crate::mix::{Mix, Script, local_and_foreign};
use crate::network;
use crate::plan::IN_FLIGHT;
use crate::process::on_cores;
use crate::results::About;
use crate::servers::Kind;
use crate::table::{count, median, table};
use crate::verdict::{Bar, Bound, Found, lines};
use crate::world::World;

/// Who is asked.
const SERVERS: [Kind; 3] = [Kind::Skydock, Kind::Dnsmasq, Kind::Unbound];
/// How often, and how long each time, in seconds: `dnsperf` takes whole ones.
const ROUNDS: usize = 5;
const SECONDS: u32 = 2;
/// Sockets that it asks by, as the load generator's are.
const SOCKETS: u32 = 8;
/// The part of all queries that may have no reply: its first ones meet a cold cache.
const LOST_MAX: f64 = 0.001;

/// Asks each server each file. Gives a table, and what is promised of it.
///
/// # Errors
///
/// A sentence for whoever called: there is no `dnsperf`, or no upstream, or we do not answer.
pub(crate) fn run(skydock: &Path, world: World) -> Outcome<String> {
    if Command::new("dnsperf").arg("-h").output().is_err() {
        // Counted like a test that cannot run here.
        say("SKIPPED: there is no dnsperf: apt-get install dnsperf");
        return Ok(String::new());
    }
    let cores = Cores::choose()?;
    let client = cores.client();
    pin(client)?;
    let directory = tempfile::tempdir()?;
    let engine = Engine::start(world, &directory.path().join("docker.sock"))?.endpoint();
    let (upstream, address) = start_upstream(directory.path(), client)?;
    let (ours, engines) = ([cores.server], [engine.as_str()]);
    let ground = Ground {
        upstream: Some(address),
        ..Ground::of(world, directory.path(), skydock, &engines, &ours)
    };
    let (mut servers, mut notes) = (Vec::new(), String::new());
    for kind in SERVERS {
        say(&format!("starting {}", kind.word()));
        match Running::start(kind, &ground) {
            Ok(running) => servers.push(running),
            Err(why) => notes += &format!("{}: {why}\n", kind.word()),
        }
    }
    upstream.confine()?;
    let files = write_files(world, directory.path())?;
    let mut found = vec![[const { Vec::new() }; 3]; servers.len()];
    for (place, (name, file)) in files.iter().enumerate() {
        for round in 0..=ROUNDS {
            say(&format!("{name}, round {round} of {ROUNDS}"));
            for turn in 0..servers.len() {
                let at = (round + turn) % servers.len();
                let Some((server, found)) = servers.get(at).zip(found.get_mut(at)) else {
                    continue;
                };
                let cpu = server.process.cpu_seconds();
                let report = ask(server, file, &cores.clients)?;
                let cpu = server.process.cpu_seconds() - cpu;
                // The first one fills caches.
                if let (Some(found), 1..) = (found.get_mut(place), round) {
                    let report = report
                        .check()
                        .map_err(|why| format!("{}: {why}", server.kind.word()))?;
                    found.push((
                        report.completed / f64::from(SECONDS),
                        report.completed / cpu.max(1e-9),
                    ));
                }
            }
        }
    }
    let about = About::here();
    let median_of = |samples: &[(f64, f64)], part: fn(&(f64, f64)) -> f64| {
        median(&samples.iter().map(part).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let mut rows = vec![
        [
            "server",
            "own/s",
            "per CPU-s",
            "cached/s",
            "per CPU-s",
            "mixed/s",
            "per CPU-s",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut per_cpu = Vec::new();
    for (server, found) in servers.iter().zip(&found) {
        let figures = found
            .iter()
            .flat_map(|samples| [median_of(samples, |it| it.0), median_of(samples, |it| it.1)]);
        rows.push(
            std::iter::once(server.kind.word().to_owned())
                .chain(figures.map(count))
                .collect(),
        );
        per_cpu.push((
            server.kind,
            found.each_ref().map(|samples| median_of(samples, |it| it.1)),
        ));
    }
    Ok(format!(
        "{about}\n\n{}{notes}\n{}",
        table(&rows),
        lines(&bars(&per_cpu))
    ))
}

/// What is promised: of own names, those that are cached, and mixed ones, as many answers per CPU-second.
fn bars(per_cpu: &[(Kind, [f64; 3])]) -> Vec<Bar> {
    let of = |kind| {
        per_cpu
            .iter()
            .find(|(other, _)| *other == kind)
            .map(|(_, found)| *found)
    };
    let Some([own, cached, mixed]) = of(Kind::Skydock) else {
        return Vec::new();
    };
    let mut bars = vec![("of our own names' answers, cached".to_owned(), cached / own, 0.8)];
    if let Some([_, theirs, their_mixed]) = of(Kind::Dnsmasq) {
        bars.push(("times dnsmasq, cached".to_owned(), cached / theirs, 1.3));
        bars.push(("times dnsmasq, mixed".to_owned(), mixed / their_mixed, 1.0));
    }
    if let Some([_, theirs, their_mixed]) = of(Kind::Unbound) {
        bars.push(("times Unbound, cached".to_owned(), cached / theirs, 1.0));
        bars.push(("times Unbound, mixed".to_owned(), mixed / their_mixed, 1.0));
    }
    let bar = |(what, found, bound)| Bar {
        what: format!("{what}, per CPU-second"),
        found: Ok(Found::exactly(found)),
        bound: Bound::Least(bound),
    };
    bars.into_iter().map(bar).collect()
}

/// Writes the files into `directory`: what each is called, and where it is.
fn write_files(world: World, directory: &Path) -> Outcome<[(&'static str, PathBuf); 3]> {
    let (own, _) = local_and_foreign(world);
    let lines = |script: &Script| {
        (0..script.turns())
            .map(|turn| script.question(turn).1.line())
            .collect()
    };
    let [own, cached, mixed]: [Vec<String>; 3] = [
        own.iter().map(crate::question::Question::line).collect(),
        lines(&Mix::Forward.script(world)),
        lines(&Mix::Mixed.script(world)),
    ];
    let write = |name: &'static str, lines: &[String]| -> Outcome<_> {
        let file = directory.join(name);
        fs::write(&file, lines.join("\n") + "\n")?;
        Ok((name, file))
    };
    Ok([
        write("own", &own)?,
        write("cached", &cached)?,
        write("mixed", &mixed)?,
    ])
}

/// Asks `server` what `file` says, as fast as it answers.
fn ask(server: &Running, file: &Path, cores: &[usize]) -> Outcome<Report> {
    let to = server.address(network::Path::Loopback);
    let mut command = Command::new("dnsperf");
    command
        .args([
            "-s",
            &to.ip().to_string(),
            "-p",
            &to.port().to_string(),
            "-e",
            "-d",
        ])
        .arg(file)
        .args(["-l", &SECONDS.to_string(), "-c", &SOCKETS.to_string()])
        .args(["-q", &IN_FLIGHT.to_string()]);
    let output = on_cores(&command, cores).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Report::read(&text).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        format!(
            "dnsperf says nothing of {}: {text}{complaint}",
            server.kind.word()
        )
        .into()
    })
}

/// What `dnsperf` has to say in the end.
#[derive(Debug, PartialEq)]
struct Report {
    completed: f64,
    lost: f64,
    /// Those of NOERROR.
    right: f64,
}

impl Report {
    fn read(text: &str) -> Option<Self> {
        let behind = |what: &str| text.lines().find_map(|line| line.trim().strip_prefix(what));
        let number = |text: &str| text.split_whitespace().next()?.trim_end_matches(',').parse().ok();
        let codes = behind("Response codes:").unwrap_or_default();
        let right = codes.split_once("NOERROR").and_then(|(_, rest)| number(rest));
        Some(Self {
            completed: behind("Queries completed:").and_then(number)?,
            lost: behind("Queries lost:").and_then(number)?,
            right: right.unwrap_or(0.0),
        })
    }

    /// Itself, if it is worth telling.
    fn check(self) -> Result<Self, String> {
        if self.completed == 0.0 || self.lost > LOST_MAX * self.completed {
            return Err(format!(
                "{} queries of {} have no reply",
                self.lost,
                self.lost + self.completed
            ));
        }
        if self.right < self.completed {
            return Err(format!(
                "{} replies of {} are errors",
                self.completed - self.right,
                self.completed
            ));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dnsperf_says_is_read_and_errors_and_losses_are_no_result() {
        let text = "Statistics:\n\n  Queries sent:         1200\n  Queries completed:    1199 (99.92%)\n  \
                    Queries lost:         1 (0.08%)\n\n  Response codes:       NOERROR 1199 (100.00%)\n";
        let report = Report::read(text).unwrap();
        assert_eq!(
            (report.completed, report.lost, report.right),
            (1199.0, 1.0, 1199.0)
        );
        assert!(report.check().is_ok());
        let lossy = Report::read(&text.replace("         1 (", "         9 (")).unwrap();
        assert!(lossy.check().unwrap_err().contains("9 queries"));
        let failing = text.replace("NOERROR 1199", "NOERROR 1100 (91%), SERVFAIL 99");
        assert!(
            Report::read(&failing)
                .unwrap()
                .check()
                .unwrap_err()
                .contains("99 replies")
        );
        assert_eq!(Report::read("Warning: it could not be reached"), None);
    }

    #[test]
    fn what_is_promised_is_held_against_what_was_found() {
        let found = [
            (Kind::Skydock, [100.0, 85.0, 70.0]),
            (Kind::Dnsmasq, [50.0, 70.0, 60.0]),
        ];
        let bars: Vec<_> = bars(&found).iter().map(Bar::line).collect();
        assert_eq!(
            bars,
            [
                "met     of our own names' answers, cached, per CPU-second: 0.85 >= 0.80",
                "MISSED  times dnsmasq, cached, per CPU-second: 1.21 >= 1.30",
                "met     times dnsmasq, mixed, per CPU-second: 1.17 >= 1.00",
            ]
        );
    }

    #[test]
    fn files_have_a_line_for_each_question() {
        let directory = tempfile::tempdir().unwrap();
        for (name, file) in write_files(World::new(20), directory.path()).unwrap() {
            let text = fs::read_to_string(file).unwrap();
            assert!(
                text.lines().count() >= 20 && text.lines().all(|line| line.ends_with(" A")),
                "{name}"
            );
        }
    }
}
