//! Counts instructions, and holds them against a budget: a guard that no busy machine can set off.
//!
//! ```text
//!  count ──▶ valgrind count KIND TIMES ──▶ instructions inside `measured` ──▶ over benches/budget.txt? then exit 1
//!            for each kind of question, one change, one whole compile
//! ```
//!
//! The budget is for the toolchain that it names; another one's code may take some percent more or less.

#[path = "../../../fixture/mod.rs"]
mod fixture;

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;

use dataplane::cache::{Cache, Rules};
use dataplane::respond::{Client, Message, Transport, respond};

use self::fixture::containers::Plane;
use dns::wire::Head;
use dns::{Query, Reply, Snapshot};

/// As skydock has it: a publish allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a figure may be above its budget before that is a failure, in percent: more than a toolchain's patch release or
/// another seed of a hash map makes of it, less than anyone's mistake.
const TOLERANCE_PERCENT: u64 = 3;
/// Times that each question is answered, so that the first one's page faults and branches do not count.
const QUESTIONS: u32 = 2_000;
/// Services in the zone that is asked.
const SERVICES: u32 = 1_000;

const A: u16 = 1;
const SRV: u16 = 33;
const AAAA: u16 = 28;
const ANY: u16 = 255;

/// What is counted.
#[derive(Clone, Copy)]
enum Kind {
    /// Answering a question about this name and type.
    Query(&'static str, u16),
    /// The same by two workers at once, who share a snapshot: whether one more costs the other instructions. Not what they
    /// wait for each other, which is not counted.
    Workers(&'static str, u16),
    /// Answering one of the same kind over TCP, where a wildcard's hundred matches find room.
    Crowd(&'static str, u16),
    /// Answering one that matches ten times as many services, none of them healthy.
    Unwell(&'static str, u16),
    /// The same, from an upstream's reply that is kept.
    Kept(&'static str, u16),
    /// Publishing one change among so many services.
    Change(u32),
    /// Replacing [`TOGETHER`] containers among so many services, and publishing that.
    Containers(u32),
    /// Compiling so many services from nothing.
    Compile(u32),
}

const KINDS: [(&str, Kind, u32); 18] = [
    ("one_a", Kind::Query("instance77.image7.dev.docker", A), QUESTIONS),
    (
        "one_a_two_workers",
        Kind::Workers("instance77.image7.dev.docker", A),
        QUESTIONS,
    ),
    ("ten_a", Kind::Query("image7.dev.docker", A), QUESTIONS),
    ("ten_srv", Kind::Query("image7.dev.docker", SRV), QUESTIONS),
    (
        "nodata",
        Kind::Query("instance77.image7.dev.docker", AAAA),
        QUESTIONS,
    ),
    ("nxdomain", Kind::Query("absent.image7.dev.docker", A), QUESTIONS),
    (
        "wildcard_of_one",
        Kind::Query("instance77.*.dev.docker", A),
        QUESTIONS,
    ),
    ("wildcard_of_ten", Kind::Query("*.image7.*.docker", A), QUESTIONS),
    ("wildcard_of_all", Kind::Query("*.docker", A), QUESTIONS),
    (
        "wildcard_of_100_a",
        Kind::Crowd("*.crowd.dev.docker", A),
        QUESTIONS,
    ),
    (
        "wildcard_of_100_srv",
        Kind::Crowd("*.crowd.dev.docker", SRV),
        QUESTIONS,
    ),
    ("wildcard_of_unwell", Kind::Unwell("*.docker", ANY), QUESTIONS),
    (
        "long_name_of_one",
        Kind::Query("region.instance77.image7.dev.docker", A),
        QUESTIONS,
    ),
    ("forward", Kind::Query("example.org", A), QUESTIONS),
    ("cached", Kind::Kept("example.org", A), QUESTIONS),
    ("publish_change_10k", Kind::Change(10_000), 50),
    ("publish_containers_10k", Kind::Containers(10_000), 50),
    ("publish_all_1k", Kind::Compile(1_000), 2),
];

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let told = match words.as_slice() {
        [] => guard(false),
        [accept] if accept == "--accept" => guard(true),
        // What valgrind runs.
        [kind] if KINDS.iter().any(|(name, ..)| name == kind) => {
            work(kind);
            Ok(())
        }
        _ => Err("usage: count [--accept]".to_owned()),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            // Nobody may be listening.
            let _ = writeln!(io::stderr(), "{sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the kind of this name; valgrind counts what happens inside [`measured`].
fn work(name: &str) {
    for (_, kind, times) in KINDS.iter().filter(|(it, ..)| *it == name) {
        match *kind {
            Kind::Query(owner, qtype) => {
                answer(
                    &fixture::zone(SERVICES).build(),
                    owner,
                    qtype,
                    Transport::Udp,
                    *times,
                );
            }
            Kind::Workers(owner, qtype) => {
                let (publisher, _) = dns::channel(fixture::zone(SERVICES).build());
                thread::scope(|scope| {
                    for mut reader in [publisher.reader(), publisher.reader()] {
                        scope.spawn(move || answer(reader.load(), owner, qtype, Transport::Udp, times / 2));
                    }
                });
            }
            Kind::Crowd(owner, qtype) => {
                answer(
                    &fixture::crowd(SERVICES).build(),
                    owner,
                    qtype,
                    Transport::Tcp,
                    *times,
                );
            }
            Kind::Unwell(owner, qtype) => {
                let zone = fixture::unwell(10 * SERVICES).build();
                answer(&zone, owner, qtype, Transport::Udp, *times);
            }
            Kind::Kept(owner, qtype) => recall(owner, qtype, *times),
            Kind::Change(services) => change(services, *times),
            Kind::Containers(services) => containers(services, *times),
            Kind::Compile(services) => compile(services, *times),
        }
    }
}

/// Does `step` so many times. Never inlined: valgrind counts from its first instruction to its last.
#[inline(never)]
fn measured(times: u32, mut step: impl FnMut(u32)) {
    for time in 0..times {
        step(time);
    }
}

fn answer(snapshot: &Snapshot, owner: &str, qtype: u16, transport: Transport, times: u32) {
    let policy = fixture::policy();
    let client = Client {
        address: IpAddr::from([172, 17, 0, 2]),
        transport,
    };
    let packet = fixture::query(owner, qtype);
    let mut buffer = vec![0; 65_535];
    measured(times, |_| {
        // A reply overwrites its query: what a worker's receive call puts there is put back.
        let room = buffer.get_mut(..packet.len()).expect("larger than any query");
        room.copy_from_slice(&packet);
        let mut message = Message::new(&mut buffer, packet.len());
        black_box(respond(snapshot, &policy, client, &mut message));
    });
}

/// What a worker does after `respond` has said that the name is not ours, too.
fn recall(owner: &str, qtype: u16, times: u32) {
    let packet = fixture::query(owner, qtype);
    let mut buffer = vec![0; 4096];
    let mut cache = Cache::new(1 << 20, Rules::default(), 7);
    let key = cache.key(&Query::parse(&packet).expect("a query of our own"));
    cache.insert(&key, &fixture::reply(&packet, 1), 0, |_| false);
    measured(times, |_| {
        let room = buffer.get_mut(..packet.len()).expect("larger than any query");
        room.copy_from_slice(&packet);
        let query = Query::parse(&packet).expect("a query of our own");
        let (head, key) = (Head::from(&query), cache.key(&query));
        let hit = cache.lookup(&key, 1).expect("it was kept");
        let reply = Reply::begin(&mut buffer, head, 1232, 1232);
        black_box(hit.answer.write(reply, head.id()));
    });
}

fn change(services: u32, times: u32) {
    let mut builder = fixture::zone(services);
    let (mut publisher, mut reader) = dns::channel(builder.build());
    measured(times, |time| {
        fixture::replace(&mut builder, (time + 1) * 7_919 % services);
        publisher.publish(builder.build());
        black_box(reader.load().serial());
    });
}

fn containers(services: u32, times: u32) {
    let (mut plane, first) = Plane::of(services);
    let (mut publisher, mut reader) = dns::channel(first);
    measured(times, |time| {
        publisher.publish(plane.replace(time));
        black_box(reader.load().serial());
    });
}

fn compile(services: u32, times: u32) {
    measured(times, |_| {
        black_box(fixture::zone(services).build());
    });
}

/// Counts every kind and compares; with `accept`, what was counted becomes the budget.
fn guard(accept: bool) -> Result<(), String> {
    if !cfg!(target_arch = "x86_64") {
        let _ = writeln!(io::stdout(), "SKIPPED: instructions: the budget is for x86_64");
        return Ok(());
    }
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../budget.txt"));
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(_) if accept => String::new(),
        Err(error) => return Err(format!("{}: {error}; `count --accept` makes it", file.display())),
    };
    let toolchain = toolchain();
    let mut accepted = head(&toolchain);
    let mut over = Vec::new();
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{:<20} {:>12} {:>12}", "instructions", "counted", "budget");
    for (name, _, times) in KINDS {
        let counted = instructions(name)? / u64::from(times);
        let _ = writeln!(accepted, "{name} {counted}");
        let budget = budget(&text, name);
        let shown = budget.map_or_else(|| "none".to_owned(), |budget| budget.to_string());
        let verdict = judge(counted, budget);
        let _ = writeln!(out, "{name:<20} {counted:>12} {shown:>12}{}", verdict.note());
        if matches!(verdict, Verdict::Over | Verdict::None) {
            over.push(format!(
                "{name} takes {counted} instructions, its budget is {shown}"
            ));
        }
    }
    if accept {
        fs::write(&file, accepted).map_err(|error| format!("{}: {error}", file.display()))?;
        return Ok(());
    }
    if over.is_empty() {
        return Ok(());
    }
    let counted_with = text
        .lines()
        .find_map(|line| line.strip_prefix("# Toolchain: "))
        .unwrap_or("none");
    Err(format!(
        "over budget by more than {TOLERANCE_PERCENT} %:\n  {}\nThe budget was counted with {counted_with}, this with \
         {toolchain}. If it is worth it, accept it with\n  cargo run --release -p harness --bin count -- --accept\nand say why \
         in the commit.",
        over.join("\n  ")
    ))
}

/// How a figure stands to its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Within,
    /// So much less that the budget guards nothing any more.
    Under,
    Over,
    /// There is no budget.
    None,
}

impl Verdict {
    fn note(self) -> &'static str {
        match self {
            Self::Within => "",
            Self::Under => "  cheaper: accept it, so that it stays so",
            Self::Over => "  OVER",
            Self::None => "  NO BUDGET",
        }
    }
}

fn judge(counted: u64, budget: Option<u64>) -> Verdict {
    let Some(budget) = budget else {
        return Verdict::None;
    };
    let hundredfold = counted * 100;
    if hundredfold > budget * (100 + TOLERANCE_PERCENT) {
        Verdict::Over
    } else if hundredfold < budget * (100 - TOLERANCE_PERCENT) {
        Verdict::Under
    } else {
        Verdict::Within
    }
}

fn head(toolchain: &str) -> String {
    format!(
        "# Instructions that each step may take: a question answered, one change published, a whole zone compiled.\n\
         # Counted and compared by `cargo run --release -p harness --bin count`; with `-- --accept` it writes this file.\n\
         # Toolchain: {toolchain}\n"
    )
}

/// The budget of `name` in `text`: lines of a name and a number, `#` before a comment.
fn budget(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(it, _)| *it == name)?
        .1
        .trim()
        .parse()
        .ok()
}

/// Instructions inside [`measured`] in a run of this kind.
fn instructions(name: &str) -> Result<u64, String> {
    let ourselves = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--collect-atstart=no",
        ])
        .arg("--toggle-collect=*measured*")
        .arg(ourselves)
        .arg(name)
        .output()
        .map_err(|error| format!("valgrind cannot be run ({error}): apt-get install valgrind"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    collected(&said).ok_or_else(|| format!("valgrind counted nothing for {name}; it said:\n{said}"))
}

/// `==123== Collected : 4242`, as callgrind says at its end.
fn collected(said: &str) -> Option<u64> {
    let (_, count) = said.lines().find_map(|line| line.split_once("Collected :"))?;
    count.trim().parse().ok().filter(|count| *count > 0)
}

fn toolchain() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| "an unknown toolchain".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_by_more_than_the_tolerance_is_over() {
        for (counted, verdict) in [
            (1_000, Verdict::Within),
            (1_030, Verdict::Within),
            (1_031, Verdict::Over),
            (970, Verdict::Within),
            (969, Verdict::Under),
        ] {
            assert_eq!(judge(counted, Some(1_000)), verdict, "{counted}");
        }
        assert_eq!(judge(1, None), Verdict::None);
    }

    #[test]
    fn the_budget_has_every_kind_and_is_read_as_it_is_written() {
        let text = include_str!("../../../budget.txt");
        for (name, ..) in KINDS {
            assert!(budget(text, name).is_some(), "{name}");
        }
        assert!(text.starts_with("# Instructions that each step may take"));
        assert_eq!(budget("# one_a 3\none_a 1410\n", "one_a"), Some(1_410));
    }

    #[test]
    fn valgrinds_count_is_found_and_nothing_is_no_count() {
        assert_eq!(
            collected("==7== Events    : Ir\n==7== Collected : 28\n"),
            Some(28)
        );
        assert_eq!(collected("==7== Collected : 0\n"), None);
        assert_eq!(collected("valgrind: command not found"), None);
    }

    #[test]
    fn each_kind_does_what_it_says() {
        for (name, ..) in KINDS
            .iter()
            .filter(|(_, kind, _)| !matches!(kind, Kind::Change(_) | Kind::Containers(_)))
        {
            work(name);
        }
    }
}
