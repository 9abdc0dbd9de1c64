//! `skydock services`: what a running skydock knows, from its HTTP interface.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::failure::Failure;

/// Flags of `skydock services`.
#[derive(Debug, Args)]
pub(crate) struct Services {
    /// Where its HTTP interface is
    #[arg(
        long,
        env = "SKYDOCK_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8053",
        hide_env_values = true,
        global = true
    )]
    url: String,

    /// Print JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    action: Option<Action>,
}

/// What to do with the services.
#[derive(Debug, Subcommand)]
enum Action {
    /// List all of them
    List,
}

impl Services {
    /// Asks the daemon.
    ///
    /// # Errors
    ///
    /// [`Failure::Runtime`]: always, until the daemon serves what this asks for.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Self { url, json, action } = self;
        let Action::List = action.unwrap_or(Action::List);
        let shape = if json { "JSON" } else { "a table" };
        Err(Failure::Runtime(format!(
            "{url} serves no list of services yet that could be shown as {shape}; /metrics has their number"
        )))
    }
}
