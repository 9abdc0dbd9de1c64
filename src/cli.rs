//! Flags, their environment variables, and what `--help` says.
//!
//! ```text
//!  argv ──spelling::modern──▶ --flag=value ... ──clap──▶ Flags ──settings──▶ Settings
//! ```
//!
//! Values stay text here. `settings` gives them meaning, and needs to know where each came from to name it in
//! an error: [`Cli::origin`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use controlplane::Setting;

use crate::caching;
use crate::command::Command;
use crate::failure::Failure;
use crate::spelling;

/// Version, and the commit where whoever built this binary named it in `SKYDOCK_COMMIT`.
pub(crate) static VERSION: LazyLock<String> = LazyLock::new(|| match option_env!("SKYDOCK_COMMIT") {
    Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
    None => env!("CARGO_PKG_VERSION").to_owned(),
});

const EXAMPLES: &str = "\
Examples:
  skydock
      No flags, no root: watch Docker, answer <container>.<image>.dev.docker.
  skydock --domain corp --environment prod --ttl 10
  skydock --listen 127.0.0.1:5353 --nameserver 9.9.9.9,1.1.1.1
  skydock --forward corp.example=10.0.0.2,10.0.0.3
      One domain is asked of servers of its own.
  skydock --listen 0.0.0.0 --cores 0-3
      Port 53 of every IPv4 address, a worker on each of four cores.
  SKYDOCK_TTL=5 skydock -s tcp://10.0.0.5:2375

Each flag may also be set as SKYDOCK_<NAME> in the environment, lists separated
by commas; the flag wins. RUST_LOG sets what is logged to stderr (default:
info), NO_COLOR turns its colours off.

Old command lines:
  skydock -ttl 30 -environment dev -s /docker.sock -domain docker
      One dash works like two, and -plugins of then run unchanged. -skydns, -name,
      -workers and -beat are accepted, and a line at the start says why each does
      nothing.";

const ABOUT: &str = "Watches a container engine and answers DNS for what runs there";
const LONG_ABOUT: &str = "\
Watches a container engine and answers DNS for what runs there.

Start a container, then ask for <container>.<image>.<environment>.<domain>, or
for any part of it read from the right. Everything outside the domain is
forwarded.";

/// Every flag, as text.
#[derive(Debug, Parser)]
#[command(name = "skydock", version = VERSION.as_str(), about = ABOUT, long_about = LONG_ABOUT, after_help = EXAMPLES, args_override_self = true)]
pub(crate) struct Flags {
    /// Domain that we answer for; repeat it, or separate several with commas
    #[arg(
        long,
        env = "SKYDOCK_DOMAIN",
        value_name = "NAME",
        default_value = "docker",
        value_delimiter = ',',
        help_heading = "Names"
    )]
    pub(crate) domain: Vec<String>,

    /// Environment label of the containers on this host
    #[arg(
        long,
        env = "SKYDOCK_ENVIRONMENT",
        value_name = "LABEL",
        default_value = "dev",
        help_heading = "Names"
    )]
    pub(crate) environment: String,

    /// Region label of the containers on this host [default: its host name]
    #[arg(long, env = "SKYDOCK_REGION", value_name = "LABEL", help_heading = "Names")]
    pub(crate) region: Option<String>,

    /// Time to live of every record
    #[arg(
        long,
        env = "SKYDOCK_TTL",
        value_name = "SECONDS",
        default_value = "30",
        help_heading = "Names"
    )]
    pub(crate) ttl: String,

    /// JavaScript file that says what containers are called; repeat it, or separate several with commas: the first that
    /// has something to say decides. Read again when it changes, and on SIGHUP
    #[arg(
        long,
        env = "SKYDOCK_PLUGINS",
        value_name = "FILE",
        value_delimiter = ',',
        help_heading = "Names"
    )]
    pub(crate) plugins: Vec<String>,

    /// Container engine: a socket's path, unix://PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT; with
    /// REGION= in front its containers get that region. Repeat it, or separate several with commas [default:
    /// DOCKER_HOST, else the Docker context in use, else the first socket found]
    #[arg(
        short = 's',
        long,
        env = "SKYDOCK_DOCKER",
        value_name = "[REGION=]ENDPOINT",
        value_delimiter = ',',
        help_heading = "Engine"
    )]
    pub(crate) docker: Vec<String>,

    /// Publish only containers with the label skydock.enable=true
    #[arg(
        long,
        env = "SKYDOCK_OPT_IN",
        value_parser = clap::builder::BoolishValueParser::new(),
        help_heading = "Engine"
    )]
    pub(crate) opt_in: bool,

    /// Publish only containers with this label, of any value or of this one; repeat it, or separate several with commas,
    /// for containers with all of them
    #[arg(
        long,
        env = "SKYDOCK_ONLY",
        value_name = "LABEL[=VALUE]",
        value_delimiter = ',',
        help_heading = "Engine"
    )]
    pub(crate) only: Vec<String>,

    /// What the labels begin with by which containers say how to name them
    #[arg(
        long,
        env = "SKYDOCK_LABEL_PREFIX",
        value_name = "PREFIX",
        default_value = "skydock.",
        help_heading = "Engine"
    )]
    pub(crate) label_prefix: String,

    /// Address of this host for clients outside its networks: they are told this one, with the published ports, instead
    /// of containers' own; one of IPv4 and one of IPv6, repeated or separated by a comma
    #[arg(
        long,
        env = "SKYDOCK_PUBLISHED_ADDRESS",
        value_name = "ADDRESS",
        value_delimiter = ',',
        help_heading = "Engine"
    )]
    pub(crate) published_address: Vec<String>,

    /// Address to answer on, port 53 if none is given; repeat it, or separate several with commas. 0.0.0.0 is every IPv4
    /// address, `[::]` every IPv6 one and no IPv4 [default: port 53 of 127.0.0.1 and of the bridge docker0, else
    /// 127.0.0.1:5300]
    #[arg(
        long,
        env = "SKYDOCK_LISTEN",
        value_name = "ADDRESS[:PORT]",
        value_delimiter = ',',
        help_heading = "Serving"
    )]
    pub(crate) listen: Vec<String>,

    /// Where questions outside the domain go, port 53 if none is given; with the name that its certificate must be for it is
    /// asked over TLS, port 853: 192.0.2.1#dns.example. Repeat it, or separate several with commas [default: those of
    /// /etc/resolv.conf]
    #[arg(
        long,
        env = "SKYDOCK_NAMESERVER",
        value_name = "ADDRESS[:PORT][#NAME]",
        value_delimiter = ',',
        help_heading = "Serving"
    )]
    pub(crate) nameserver: Vec<String>,

    /// Certificates, as PEM, that servers asked over TLS are held against [default: those that this host trusts]
    #[arg(
        long,
        env = "SKYDOCK_NAMESERVER_CA",
        value_name = "FILE",
        help_heading = "Serving"
    )]
    pub(crate) nameserver_ca: Option<PathBuf>,

    /// Where questions about one domain go: `DOMAIN=ADDRESS[:PORT]`, several addresses separated by commas, each over TLS with
    /// `#NAME` behind it, or DOMAIN=none for names that do not exist; repeat it. Of several domains that a name lies in the longest counts
    #[arg(
        long,
        env = "SKYDOCK_FORWARD",
        value_name = "DOMAIN=ADDRESS[:PORT]",
        help_heading = "Serving"
    )]
    pub(crate) forward: Vec<String>,

    /// Which of several servers is asked first: the first that is well (sequential), each in its turn (round-robin) or the
    /// fastest of late (fastest). Another is asked when that one fails
    #[arg(
        long,
        env = "SKYDOCK_POLICY",
        value_name = "sequential|round-robin|fastest",
        default_value = "sequential",
        help_heading = "Serving"
    )]
    pub(crate) policy: String,

    /// What is kept of other servers' answers.
    #[command(flatten)]
    pub(crate) caching: caching::CacheFlags,

    /// Networks that may ask, besides this host: its loopback, and the addresses that its interfaces have at the start;
    /// repeat it, or separate several with commas. They take the place of the default ones, among which 100.64.0.0/10
    /// (carriers, Tailscale) is not [default: private and link-local networks]
    #[arg(
        long,
        env = "SKYDOCK_ALLOW",
        value_name = "NETWORK",
        value_delimiter = ',',
        help_heading = "Serving"
    )]
    pub(crate) allow: Vec<String>,

    /// Replies a second that a public network (/24, IPv6 /56) gets from each core over UDP; 0 for no limit. Private
    /// networks have none
    #[arg(
        long,
        env = "SKYDOCK_RATE_LIMIT",
        value_name = "REPLIES",
        default_value = "200",
        help_heading = "Serving"
    )]
    pub(crate) rate_limit: String,

    /// Name of this server, told to whoever asks for it with NSID [default: none, and nothing is told]
    #[arg(long, env = "SKYDOCK_NSID", value_name = "TEXT", help_heading = "Serving")]
    pub(crate) nsid: Option<String>,

    /// What becomes of reverse names of private addresses (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7,
    /// fe80::/10) that are not ours: answer (they do not exist) or forward
    #[arg(
        long,
        env = "SKYDOCK_PRIVATE_REVERSE",
        value_name = "answer|forward",
        default_value = "answer",
        help_heading = "Serving"
    )]
    pub(crate) private_reverse: String,

    /// Cores that answer, one worker pinned to each: a count (4) or a list (0-3,6) [default: all that
    /// affinity and CPU quota leave us]
    #[arg(
        long,
        env = "SKYDOCK_CORES",
        value_name = "COUNT|LIST",
        help_heading = "Serving"
    )]
    pub(crate) cores: Option<String>,

    /// Which worker a packet goes to: hash, one by the client's address and port, or core, the one on the core where it
    /// arrives, which wakes nobody elsewhere when containers of this host ask
    #[arg(
        long,
        env = "SKYDOCK_SPREAD",
        value_name = "hash|core",
        default_value = "hash",
        help_heading = "Serving"
    )]
    pub(crate) spread: String,

    /// How workers wait for packets: glommio (io_uring), threads, or auto: glommio where the kernel allows io_uring
    #[arg(
        long,
        env = "SKYDOCK_ENGINE",
        value_name = "auto|glommio|threads",
        default_value = "auto",
        help_heading = "Serving"
    )]
    pub(crate) engine: String,

    /// Address of the HTTP interface: services, events, health, metrics. One that others can reach needs a secret
    #[arg(
        long,
        env = "SKYDOCK_HTTP",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8053",
        help_heading = "HTTP"
    )]
    pub(crate) http: String,

    /// What a request for services has to say in its Authorization header. Other users of this host can see it on the
    /// command line: prefer the variable or the file
    #[arg(long, env = "SKYDOCK_SECRET", value_name = "TEXT", help_heading = "HTTP")]
    pub(crate) secret: Option<String>,

    /// File with the secret in its first line
    #[arg(long, env = "SKYDOCK_SECRET_FILE", value_name = "PATH", help_heading = "HTTP")]
    pub(crate) secret_file: Option<PathBuf>,

    /// Serve HTTPS with the certificates in this file (PEM), the server's first
    #[arg(
        long,
        env = "SKYDOCK_HTTP_CERT",
        value_name = "PATH",
        requires = "http_key",
        help_heading = "HTTP"
    )]
    pub(crate) http_cert: Option<PathBuf>,

    /// The key (PEM) of that certificate
    #[arg(
        long,
        env = "SKYDOCK_HTTP_KEY",
        value_name = "PATH",
        requires = "http_cert",
        help_heading = "HTTP"
    )]
    pub(crate) http_key: Option<PathBuf>,

    /// Serve HTTP to others than this host without a secret: everybody who can reach it may change names
    #[arg(
        long,
        env = "SKYDOCK_INSECURE_HTTP",
        value_parser = BoolishValueParser::new(),
        help_heading = "HTTP"
    )]
    pub(crate) insecure_http: bool,

    /// Where services that are registered over HTTP are kept [default: /var/lib/skydock for root, else skydock in
    /// XDG_STATE_HOME, else ~/.local/state/skydock]
    #[arg(long, env = "SKYDOCK_DATA_DIR", value_name = "PATH", help_heading = "HTTP")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Keep services that are registered over HTTP in memory alone: they end with skydock
    #[arg(
        long,
        env = "SKYDOCK_EPHEMERAL",
        value_parser = BoolishValueParser::new(),
        help_heading = "HTTP"
    )]
    pub(crate) ephemeral: bool,

    // From old command lines alone, so they have no variable and no place in --help; `settings` says why each
    // does nothing.
    #[arg(long, hide = true)]
    pub(crate) skydns: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) name: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) workers: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) beat: Option<String>,

    /// What to do instead of running the daemon.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

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
