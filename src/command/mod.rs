//! What the program does besides being the daemon: a file for each subcommand.
//!
//! Each has its flags, and a `run` that ends with the exit code of the process. Results go to standard output through
//! [`crate::output`]; what is wrong is a [`Failure`], which `main` prints to standard error.

mod client;
mod completions;
mod explain;
mod plugin;
mod services;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

/// What to do instead of running the daemon.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell why a running skydock answers a name as it does
    Explain(explain::Explain),
    /// Try plugins on containers, without a daemon
    Plugin(plugin::Plugin),
    /// List and change the services of a running skydock
    Services(services::Services),
    /// Print what a shell completes command lines by
    Completions(completions::Completions),
}

impl Command {
    /// Does it, and gives the exit code of the process.
    ///
    /// # Errors
    ///
    /// [`Failure`], as the subcommand has it.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Explain(explain) => explain.run(),
            Self::Plugin(plugin) => plugin.run(),
            Self::Services(services) => services.run(),
            Self::Completions(completions) => Ok(completions.run()),
        }
    }
}
