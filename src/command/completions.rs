//! `skydock completions`: what shells complete command lines by.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use crate::cli;
use crate::output::print;

/// Flags of `skydock completions`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  skydock completions bash > /etc/bash_completion.d/skydock")]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints them.
    pub(crate) fn run(self) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli::command(), "skydock", &mut script);
        print(&String::from_utf8_lossy(&script));
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_told_of_flags_and_subcommands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut cli::command(), "skydock", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["services", "heartbeat", "secret-file", "if-revision"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
