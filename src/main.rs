//! The daemon: reads what it is told, puts the two planes together, serves, and stops when it is asked to.
//!
//! ```text
//!  argv, environment ─ cli ─▶ settings ─┬─▶ listen, upstreams ─▶ dataplane::spawn     queries, one worker per core
//!                                       │                            ▲ Reader
//!                                       │                            ║ snapshots
//!                                       │                            ║ Publisher
//!                                       └─▶ admin ─────────────▶ controlplane::run    engine, registry, admin
//!                                                                    │ Status
//!                                                                    └─▶ report        then a signal, drain, end
//! ```

mod address;
mod admin;
mod caching;
mod cli;
mod command;
mod conditions;
mod counts;
mod engines;
mod failure;
mod follow;
mod holder;
mod host;
mod listen;
mod log;
mod output;
mod planes;
mod rehearsal;
mod report;
mod rest;
mod servers;
mod settings;
mod signals;
mod spelling;
mod upstreams;

use std::process::ExitCode;

use cli::Asked;
use failure::Failure;
use output::print;
use planes::Planes;
use settings::Settings;
use signals::Signals;

/// Snapshots are many mid-sized blocks, made by one thread and read by others.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(failure) => {
            failure::tell(&failure.to_string());
            failure.exit_code()
        }
    }
}

fn start() -> Result<ExitCode, Failure> {
    let cli = match cli::read(std::env::args_os().skip(1))? {
        Asked::Run(cli) => cli,
        Asked::Command(command) => return command.run(),
        Asked::Print(text) => {
            print(&text);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let settings = settings::from(&cli)?;
    host::raise_open_files()?;
    log::start(&settings.notes);

    // One thread is plenty: what is busy is in the data plane.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failure::of("the runtime does not start", &error))?;
    let ended = runtime.block_on(serve(settings));
    // What has not ended by now was given up by `serve`, so the end of the process must not wait for it.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

/// Serves until SIGTERM or SIGINT.
async fn serve(settings: Settings) -> Result<(), Failure> {
    // First, for as process 1 a signal that nobody waits for is lost.
    let mut signals = Signals::listen()?;
    let mut planes = Planes::start(settings).await?;
    signals.reload(planes.readable());

    let asked_to_stop = tokio::select! {
        report = planes.report() => {
            print(&report.to_string());
            tokio::select! {
                signal = signals.next() => Ok(signal),
                failure = planes.failed() => Err(failure),
            }
        }
        signal = signals.next() => Ok(signal),
    };
    tracing::info!("{}: answering what is queued, then stopping", asked_to_stop?);

    tokio::select! {
        () = planes.stop() => Ok(()),
        signal = signals.next() => Err(Failure::Runtime(format!("{signal} came again, so it did not wait any longer"))),
    }
}
