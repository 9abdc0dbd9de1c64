//! The harness as a program; `harness --help` lists what it does.

use std::io::Write;
use std::process::ExitCode;

/// As skydock has it: the workers in here shall find the same allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match harness::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening.
            let _ = writeln!(std::io::stderr(), "harness: {error}");
            ExitCode::FAILURE
        }
    }
}
