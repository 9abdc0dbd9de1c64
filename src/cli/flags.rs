//! Every flag, as text: what it is called, its variable, its default, and what `--help` says of it.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::Parser;
use clap::builder::BoolishValueParser;

use crate::caching;
use crate::command::Command;

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
        value_parser = BoolishValueParser::new(),
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

    /// Cores that answer, one worker pinned to each: a count (4) or a list (0-3,6) [default: the
    /// physical cores of one NUMA node that affinity and CPU quota leave us]
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
