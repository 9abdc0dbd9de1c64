//! Old spellings of flags, rewritten before clap sees them.
//!
//! The predecessor was a Go program: `-ttl 30`, `-ttl=30`, `--ttl 30` and `--ttl=30` all meant the same. clap would
//! read `-ttl` as the short flags `-t -t -l`. So each flag becomes `--flag=value` here, and a flag that we do not
//! know ends here with one sentence, whichever way it was spelled.

use std::ffi::OsString;

use clap::Command;

use crate::failure::Failure;

/// Rewrites each flag of `arguments` (without the program's name) to `--flag=value`, or `--flag` where it takes
/// none.
///
/// Flags behind a subcommand are the subcommand's; before one there are none. What follows `--` is left
/// alone, and so are words that are no flags: clap judges those.
///
/// # Errors
///
/// [`Failure::Usage`]: a flag that the command where it stands does not have, one whose value is missing, one with
/// a value that takes none, or a flag before a subcommand.
pub(crate) fn modern(
    command: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, Failure> {
    let mut modern = Vec::new();
    let mut command = Here::at(command);
    let mut rest = arguments.into_iter().peekable();
    while let Some(argument) = rest.next() {
        // A flag is ASCII; what is not UTF-8 can only be a stray word.
        let Some(text) = argument.to_str() else {
            modern.push(argument);
            continue;
        };
        if text == "--" {
            modern.push(argument);
            modern.extend(rest);
            break;
        }
        match Flag::of(&command, text)? {
            // clap shows a summary for the short one, and everything for the long one.
            _ if matches!(text, "-h" | "-V") => modern.push(argument),
            None => {
                let is_root = command.is_root();
                command.descend(text);
                if let Some(before) = modern.first().filter(|_| is_root && !command.is_root()) {
                    return Err(misplaced(before, text));
                }
                modern.push(argument);
            }
            Some(Flag {
                takes_value: false,
                value: Some(_),
                ..
            }) => {
                let written = text.split('=').next().unwrap_or(text);
                return Err(Failure::Usage(format!(
                    "{written} takes no value; leave out what follows it, or the flag"
                )));
            }
            Some(Flag {
                long,
                takes_value: false,
                ..
            }) => modern.push(format!("--{long}").into()),
            Some(Flag {
                long,
                value: Some(value),
                ..
            }) => modern.push(format!("--{long}={value}").into()),
            Some(Flag {
                long, value: None, ..
            }) => {
                // Not a flag of ours, so a value, even when it begins with a dash: `-ttl -5` is a bad ttl.
                let is_value = |next: &OsString| next.to_str().is_none_or(|next| !is_known(&command, next));
                let Some(value) = rest.next_if(is_value) else {
                    return Err(Failure::Usage(format!(
                        "{text} needs a value; `{} --help` shows which",
                        command.path
                    )));
                };
                let mut joined = OsString::from(format!("--{long}="));
                joined.push(value);
                modern.push(joined);
            }
        }
    }
    Ok(modern)
}

/// The sentence about a flag in front of a subcommand.
fn misplaced(flag: &OsString, subcommand: &str) -> Failure {
    let flag = flag.to_string_lossy();
    let flag = flag.split('=').next().unwrap_or_default();
    Failure::Usage(format!(
        "{flag} before `{subcommand}` is the daemon's; write flags of `{subcommand}` behind it, and \
         `skydock {subcommand} --help` lists them"
    ))
}

/// The command whose flags may stand here.
struct Here<'a> {
    command: &'a Command,
    /// Its words, from `skydock` on.
    path: String,
}

impl<'a> Here<'a> {
    fn at(command: &'a Command) -> Self {
        let path = "skydock".to_owned();
        Self { command, path }
    }

    /// Whether it is the daemon itself.
    fn is_root(&self) -> bool {
        self.path == "skydock"
    }

    /// Takes in a word that is no flag: if it is a subcommand's, that one's flags follow.
    fn descend(&mut self, word: &str) {
        if let Some(subcommand) = self.command.find_subcommand(word) {
            self.command = subcommand;
            self.path = format!("{} {word}", self.path);
        }
    }
}

/// A flag as it was spelled.
struct Flag<'a> {
    long: &'a str,
    takes_value: bool,
    value: Option<&'a str>,
}

impl<'a> Flag<'a> {
    /// `None` for a word that is no flag: `-` alone, or one that begins with no dash.
    fn of(here: &Here<'a>, text: &'a str) -> Result<Option<Self>, Failure> {
        let dashless = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
        let Some(spelled) = dashless.filter(|spelled| !spelled.is_empty()) else {
            return Ok(None);
        };
        let (name, value) = match spelled.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (spelled, None),
        };
        if let Some((long, takes_value)) = find(here.command, name) {
            return Ok(Some(Self {
                long,
                takes_value,
                value,
            }));
        }
        // `-s/docker.sock`, a short flag with its value behind it. What does not look like an endpoint is more
        // likely a mistyped flag that happens to begin with an s.
        let attached = text
            .strip_prefix("-s")
            .filter(|value| value.starts_with(['/', '.']) || value.contains("://"));
        if let (Some(value), Some((long, true))) = (attached, find(here.command, "s")) {
            return Ok(Some(Self {
                long,
                takes_value: true,
                value: Some(value),
            }));
        }
        Err(Failure::Usage(unknown(
            here,
            text.split('=').next().unwrap_or(text),
            name,
        )))
    }
}

/// The long name of the flag that `name`, long or short, stands for, and whether it takes a value.
fn find<'a>(command: &'a Command, name: &str) -> Option<(&'a str, bool)> {
    let flag = command.get_arguments().find(|flag| {
        flag.get_long() == Some(name) || flag.get_short().is_some_and(|short| name.chars().eq([short]))
    })?;
    Some((flag.get_long()?, flag.get_action().takes_values()))
}

fn is_known(here: &Here<'_>, text: &str) -> bool {
    text.starts_with('-') && matches!(Flag::of(here, text), Ok(Some(_)))
}

/// Least similarity, from 0 to 1, at which a flag is likely what was meant. Below it a suggestion only puzzles.
const SIMILARITY_MIN: f64 = 0.75;

/// The sentence about `written`, a flag that is not ours; `name` is it without dashes.
fn unknown(here: &Here<'_>, written: &str, name: &str) -> String {
    let path = &here.path;
    let nearest = here
        .command
        .get_arguments()
        .filter_map(|flag| flag.get_long())
        .map(|flag| (strsim::jaro_winkler(flag, name), flag))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN);
    match nearest {
        Some((_, nearest)) => {
            format!(
                "unknown flag {written}; the nearest is --{nearest}, and `{path} --help` lists every flag"
            )
        }
        None => format!("unknown flag {written}; `{path} --help` lists every flag"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn check(line: &str, expected: &str) {
        let arguments = line.split_whitespace().map(OsString::from);
        let modern =
            modern(&cli::command(), arguments).unwrap_or_else(|failure| vec![failure.to_string().into()]);
        let modern: Vec<_> = modern.iter().map(|argument| argument.to_string_lossy()).collect();
        assert_eq!(modern.join(" "), expected, "{line}");
    }

    #[test]
    fn one_dash_works_like_two_with_and_without_an_equals_sign() {
        for line in ["-ttl 30", "-ttl=30", "--ttl 30", "--ttl=30"] {
            check(line, "--ttl=30");
        }
        check(
            "-environment dev -domain docker",
            "--environment=dev --domain=docker",
        );
        check(
            "-skydns http://10.0.0.1:8080 -name skydns -workers 3 -secret x -beat 20 -plugins /p.js",
            "--skydns=http://10.0.0.1:8080 --name=skydns --workers=3 --secret=x --beat=20 --plugins=/p.js",
        );
    }

    #[test]
    fn short_flags_stay_short_flags() {
        for line in [
            "-s /docker.sock",
            "-s=/docker.sock",
            "-s/docker.sock",
            "--docker /docker.sock",
        ] {
            check(line, "--docker=/docker.sock");
        }
        check("-stcp://10.0.0.5:2375", "--docker=tcp://10.0.0.5:2375");
        check("-h -V -help -version --help", "-h -V --help --version --help");
    }

    #[test]
    fn what_follows_a_double_dash_is_untouched() {
        check("-ttl 30 -- -ttl 30 -foo", "--ttl=30 -- -ttl 30 -foo");
    }

    #[test]
    fn words_that_are_no_flags_are_left_to_clap() {
        check("check - -ttl 5", "check - --ttl=5");
    }

    #[test]
    fn a_value_may_begin_with_a_dash_but_not_be_one_of_our_flags() {
        check("-ttl -5", "--ttl=-5");
        check(
            "-environment -ttl 30",
            "-environment needs a value; `skydock --help` shows which",
        );
        check("--ttl", "--ttl needs a value; `skydock --help` shows which");
    }

    #[test]
    fn flags_behind_a_subcommand_are_the_subcommands() {
        check("services -json list", "services --json list");
        check("services list --json", "services list --json");
        check(
            "services -ttl 30",
            "unknown flag -ttl; `skydock services --help` lists every flag",
        );
        check(
            "services --url",
            "--url needs a value; `skydock services --help` shows which",
        );
    }

    #[test]
    fn a_flag_that_is_only_there_or_not_takes_no_value() {
        check(
            "services --json=false",
            "--json takes no value; leave out what follows it, or the flag",
        );
    }

    #[test]
    fn a_value_keeps_its_own_equals_signs() {
        check("-skydns=http://u:p=1@h", "--skydns=http://u:p=1@h");
    }

    #[test]
    fn an_unknown_flag_is_named_with_its_nearest() {
        let sentence = |flag, nearest| {
            format!("unknown flag {flag}; the nearest is --{nearest}, and `skydock --help` lists every flag")
        };
        check("-nameservers 9.9.9.9", &sentence("-nameservers", "nameserver"));
        check("--domian=x", &sentence("--domian", "domain"));
        check("-sokcet", &sentence("-sokcet", "secret"));
    }

    #[test]
    fn an_unknown_flag_that_is_like_none_gets_no_suggestion() {
        for flag in ["--bogus", "-x", "--please", "--zzz"] {
            check(
                flag,
                &format!("unknown flag {flag}; `skydock --help` lists every flag"),
            );
        }
    }
}
