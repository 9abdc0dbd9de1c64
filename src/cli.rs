//! A command line and its environment, read: which flags stand there, and where each came from.
//!
//! ```text
//!  argv ──spelling::modern──▶ --flag=value ... ──clap──▶ Flags ──settings──▶ Settings
//! ```
//!
//! Values stay text here. `settings` gives them meaning, and has [`Cli::refusal`] name what was written where that makes
//! no sense.

mod flags;

use std::ffi::OsString;
use std::fmt::Display;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use controlplane::Setting;

pub(crate) use self::flags::{Flags, VERSION};
use crate::command::Command;
use crate::failure::Failure;
use crate::spelling;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Run the daemon with these flags.
    Run(Box<Cli>),
    /// Do this instead.
    Command(Box<Command>),
    /// Print this text and end: `--help` or `--version`.
    Print(String),
}

/// The flags, and where each value came from.
#[derive(Debug)]
pub(crate) struct Cli {
    /// The values, as text.
    pub(crate) flags: Flags,
    matches: ArgMatches,
}

impl Cli {
    /// What the user wrote to set `flag`, a long flag's name: `--ttl`, or `SKYDOCK_TTL` from the environment.
    pub(crate) fn origin(&self, flag: &str) -> String {
        match self.matches.value_source(&identifier(flag)) {
            Some(ValueSource::EnvVariable) => variable(flag),
            _ => format!("--{flag}"),
        }
    }

    /// That `value` of `flag` cannot be, by what the user wrote to set it, and what would be right.
    pub(crate) fn refusal(&self, flag: &str, value: &str, remedy: impl Display) -> Failure {
        Failure::Usage(format!("{} {value:?}: {remedy}", self.origin(flag)))
    }

    /// Whether there is room for `values` of `flag`.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`]: there are more than `most`.
    pub(crate) fn at_most(&self, flag: &str, values: &[String], most: usize) -> Result<(), Failure> {
        let Some(value) = values.get(most) else {
            return Ok(());
        };
        let given = values.len();
        let remedy = format!("of {given} that were given there is room for {most}; leave some out");
        Err(self.refusal(flag, value, remedy))
    }

    /// Whether `flag` stands on the command line itself.
    pub(crate) fn is_on_line(&self, flag: &str) -> bool {
        self.matches.value_source(&identifier(flag)) == Some(ValueSource::CommandLine)
    }

    /// What is in force, flag by flag, without secrets; for whoever may see it.
    pub(crate) fn in_force(&self) -> Vec<Setting> {
        let command = Flags::command();
        let shown = command
            .get_arguments()
            .filter(|flag| !flag.is_hide_set() && flag.get_id() != "secret");
        let setting = |flag: &clap::Arg| {
            let id = flag.get_id().as_str();
            let values = self.matches.get_raw(id).into_iter().flatten();
            Some(Setting {
                name: flag.get_long()?.to_owned(),
                values: values.map(|value| value.to_string_lossy().into_owned()).collect(),
                origin: match self.matches.value_source(id) {
                    Some(ValueSource::CommandLine) => "command line",
                    Some(ValueSource::EnvVariable) => "environment",
                    _ => "default",
                },
            })
        };
        shown.filter_map(setting).collect()
    }

    /// Whether the user set `flag`, rather than that its default stands.
    pub(crate) fn is_given(&self, flag: &str) -> bool {
        matches!(
            self.matches.value_source(&identifier(flag)),
            Some(ValueSource::EnvVariable | ValueSource::CommandLine)
        )
    }
}

/// Reads a command line, without the program's name, and the environment.
///
/// # Errors
///
/// [`Failure::Usage`]: an unknown flag, a flag without its value, a flag of the daemon before a subcommand, or a word
/// that is neither flag nor subcommand.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, Failure> {
    let arguments = spelling::modern(&command(), arguments)?;
    let command = with_environment(Flags::command());
    let parsed = command
        .try_get_matches_from(std::iter::once(OsString::from("skydock")).chain(arguments))
        .and_then(|matches| {
            Ok(Cli {
                flags: Flags::from_arg_matches(&matches)?,
                matches,
            })
        });
    match parsed {
        Ok(mut cli) => match cli.flags.command.take() {
            None => Ok(Asked::Run(Box::new(cli))),
            Some(command) => Ok(Asked::Command(Box::new(command))),
        },
        Err(error) if !error.use_stderr() => Ok(Asked::Print(error.to_string())),
        Err(error) => Err(Failure::Usage(sentence(&error))),
    }
}

/// All flags and subcommands, those that a subcommand has from the one around it among them.
pub(crate) fn command() -> clap::Command {
    let mut command = Flags::command();
    command.build();
    command
}

/// `command` without the variables that are set to nothing, and whose help shows the value of none: secrets are among
/// them.
///
/// `SKYDOCK_TTL=` is how Compose files and shells say "not set"; clap alone would read an empty value.
fn with_environment(command: clap::Command) -> clap::Command {
    let is_unset = |flag: &clap::Arg| {
        flag.get_env()
            .is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()))
    };
    let command = command.mut_args(|flag| match is_unset(&flag) {
        true => flag.env(clap::builder::Resettable::Reset),
        false => flag.hide_env_values(true),
    });
    command.mut_subcommands(with_environment)
}

/// What clap found, as one sentence with the remedy.
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let sentence = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    let nearest = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(names)) => names.first(),
        _ => None,
    };
    match nearest {
        Some(nearest) => {
            format!("{sentence}; the nearest is `{nearest}`, and `skydock --help` lists every one")
        }
        None => format!("{sentence}; `skydock --help` lists every flag"),
    }
}

/// What clap calls a long flag: its field.
fn identifier(flag: &str) -> String {
    flag.replace('-', "_")
}

/// The environment variable of a long flag.
fn variable(flag: &str) -> String {
    format!("SKYDOCK_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Flags {
        match read(line.split_whitespace().map(OsString::from)) {
            Ok(Asked::Run(cli)) => cli.flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_flags_are_a_well_formed_command() {
        Flags::command().debug_assert();
    }

    #[test]
    fn no_flags_give_the_documented_defaults() {
        let flags = flags("");
        assert_eq!(flags.domain, ["docker"]);
        assert_eq!((flags.environment.as_str(), flags.ttl.as_str()), ("dev", "30"));
        assert_eq!(
            (flags.http.as_str(), flags.engine.as_str()),
            ("127.0.0.1:8053", "auto")
        );
        assert!(flags.listen.is_empty() && flags.nameserver.is_empty() && flags.docker.is_empty());
    }

    #[test]
    fn an_old_command_line_means_what_it_meant() {
        let flags = flags("-ttl 30 -environment prod -s /docker.sock -domain docker -plugins /p.js");
        assert_eq!((flags.ttl.as_str(), flags.environment.as_str()), ("30", "prod"));
        assert_eq!(flags.docker, ["/docker.sock"]);
        assert_eq!(flags.plugins, ["/p.js"]);
    }

    #[test]
    fn lists_may_be_repeated_or_separated_by_commas() {
        let flags = flags("--domain a,b --domain c --listen 127.0.0.1,[::1]:53");
        assert_eq!(flags.domain, ["a", "b", "c"]);
        assert_eq!(flags.listen, ["127.0.0.1", "[::1]:53"]);
    }

    #[test]
    fn of_a_single_value_given_twice_the_last_stands() {
        assert_eq!(flags("-ttl 30 --ttl 5").ttl, "5");
    }

    #[test]
    fn every_flag_with_a_place_in_help_has_its_variable() {
        let command = Flags::command();
        for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
            let long = flag.get_long().unwrap();
            assert_eq!(flag.get_env(), Some(variable(long).as_ref()), "--{long}");
        }
    }

    #[test]
    fn every_flag_with_a_place_in_help_stands_in_the_readme() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        for flag in Flags::command()
            .get_arguments()
            .filter(|flag| !flag.is_hide_set())
        {
            let long = flag.get_long().unwrap();
            assert!(readme.contains(&format!("`--{long}`")), "--{long}");
        }
    }

    #[test]
    fn version_and_help_are_printed_and_end() {
        for (line, expected) in [
            ("--version", env!("CARGO_PKG_VERSION")),
            ("-help", "--nameserver"),
            ("-h", "-ttl 30"),
        ] {
            match read(line.split_whitespace().map(OsString::from)) {
                Ok(Asked::Print(text)) => assert!(text.contains(expected), "{line}: {text}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    /// Whoever reads --help in a terminal has 80 columns at least.
    #[test]
    fn help_fits_80_columns_and_names_every_kind_of_endpoint() {
        let help = Flags::command().term_width(80).render_long_help().to_string();
        let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:#?}");
        for part in [
            "https://",
            "every IPv6 one and no IPv4",
            "addresses that its interfaces",
        ] {
            let words: Vec<_> = help.split_whitespace().collect();
            assert!(words.join(" ").contains(part), "{part}");
        }
    }

    /// The sentence that `line` is refused with.
    fn refusal(line: &str) -> String {
        match read(line.split_whitespace().map(OsString::from)) {
            Err(Failure::Usage(sentence)) => sentence,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_word_that_is_no_subcommand_is_refused_with_the_nearest() {
        assert_eq!(
            refusal("servces list"),
            "unrecognized subcommand 'servces'; the nearest is `services`, and `skydock --help` lists every one"
        );
        let sentence = refusal("frobnicate");
        assert!(
            sentence.contains("'frobnicate'") && !sentence.contains("nearest"),
            "{sentence}"
        );
    }

    #[test]
    fn a_flag_of_the_daemon_before_a_subcommand_is_refused() {
        let sentence = refusal("-rate-limit 5 services list");
        assert!(
            sentence.starts_with("--rate-limit before `services` is the daemon's; "),
            "{sentence}"
        );
    }

    #[test]
    fn what_follows_a_double_dash_is_left_alone_and_refused() {
        match read(["--", "-ttl"].map(OsString::from)) {
            Err(Failure::Usage(sentence)) => assert!(sentence.contains("'-ttl'"), "{sentence}"),
            other => panic!("{other:?}"),
        }
    }
}
