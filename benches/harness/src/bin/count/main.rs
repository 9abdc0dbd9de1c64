//! Counts instructions, and holds them against a budget: a guard that no busy machine can set off.
//!
//! ```text
//!  count ──▶ valgrind count KIND TIMES ──▶ instructions inside `measured` ──▶ over benches/budget.txt? then exit 1
//!            for each kind of question, one change, one whole compile
//! ```
//!
//! The budget is for the toolchain that it names; another one's code may take some percent more or less.

mod work;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use self::work::{KINDS, work};

/// As skydock has it: a publish allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a figure may be above its budget before that is a failure, in percent: more than a toolchain's patch release or
/// another seed of a hash map makes of it, less than anyone's mistake.
const TOLERANCE_PERCENT: u64 = 3;
fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let told = match words.as_slice() {
        [] => guard(false),
        [accept] if accept == "--accept" => guard(true),
        // What valgrind runs.
        [kind] if KINDS.iter().any(|(name, ..)| name == kind) => work(kind),
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

/// Instructions inside `measured` in a run of this kind.
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
    if !output.status.success() {
        return Err(format!("{name} did not run to its end; it said:\n{said}"));
    }
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
        let text = include_str!("../../../../budget.txt");
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
}
