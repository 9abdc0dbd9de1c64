//! The servers: where each is found, how it is set up for the same zone, and what it cannot do.

mod settings;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::load::Transport;
use crate::mix::Mix;
use crate::world::World;

pub(crate) use settings::upstream;

/// A server under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Ours, with io_uring.
    Skydock,
    /// Ours, with plain threads.
    SkydockThreads,
    /// Sends the same answer to everyone, waiting as our glommio engine does: the speed of light there.
    BareGlommio,
    /// Sends the same answer to everyone, waiting as our threads do.
    BareThreads,
    /// Knot DNS.
    Knot,
    /// NSD.
    Nsd,
    /// Unbound, from its local data.
    Unbound,
    /// dnsmasq, from a file of hosts.
    Dnsmasq,
    /// BIND.
    Bind,
    /// PowerDNS with its BIND backend.
    Powerdns,
    /// hickory-dns.
    Hickory,
    /// CoreDNS.
    Coredns,
}

/// Where everything is that a server needs.
#[derive(Debug)]
pub struct Setup<'s> {
    /// The zone.
    pub world: World,
    /// A directory of its own.
    pub directory: &'s Path,
    /// Addresses to listen on, loopback first.
    pub addresses: &'s [Ipv4Addr],
    /// The port on each of them.
    pub port: u16,
    /// Whom to ask what is not in the zone.
    pub upstream: Option<SocketAddr>,
    /// The cores to run on; at least one. Others than ours use the first alone.
    pub cores: &'s [usize],
    /// What `--docker` takes, for each engine.
    pub engines: &'s [&'s str],
}

impl Kind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 12] = [
        Self::Skydock,
        Self::SkydockThreads,
        Self::Knot,
        Self::Nsd,
        Self::Unbound,
        Self::Dnsmasq,
        Self::Bind,
        Self::Powerdns,
        Self::Hickory,
        Self::Coredns,
        Self::BareGlommio,
        Self::BareThreads,
    ];

    /// How the command line and the results call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Skydock => "skydock",
            Self::SkydockThreads => "skydock-threads",
            Self::BareGlommio => "bare-glommio",
            Self::BareThreads => "bare-threads",
            Self::Knot => "knot",
            Self::Nsd => "nsd",
            Self::Unbound => "unbound",
            Self::Dnsmasq => "dnsmasq",
            Self::Bind => "bind",
            Self::Powerdns => "powerdns",
            Self::Hickory => "hickory",
            Self::Coredns => "coredns",
        }
    }

    /// Whether it is ours, or a yardstick of ours: built, not installed.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Skydock | Self::SkydockThreads | Self::BareGlommio | Self::BareThreads
        )
    }

    /// Its program, and the packages of Debian that have it.
    #[must_use]
    pub fn program(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Skydock | Self::SkydockThreads => ("skydock", &[]),
            Self::BareGlommio | Self::BareThreads => ("harness", &[]),
            Self::Knot => ("knotd", &["knot"]),
            Self::Nsd => ("nsd", &["nsd"]),
            Self::Unbound => ("unbound", &["unbound"]),
            Self::Dnsmasq => ("dnsmasq", &["dnsmasq-base"]),
            Self::Bind => ("named", &["bind9"]),
            Self::Powerdns => ("pdns_server", &["pdns-server", "pdns-backend-bind"]),
            Self::Hickory => ("hickory-dns", &[]),
            Self::Coredns => ("coredns", &[]),
        }
    }

    /// Why there is no such server here, for the report.
    #[must_use]
    pub fn remedy(self) -> String {
        match (self, self.program()) {
            (Self::Hickory, _) => "cargo install hickory-dns".to_owned(),
            (Self::Coredns, _) => "put coredns on the PATH".to_owned(),
            (_, (_, packages)) => format!("apt-get install {}", packages.join(" ")),
        }
    }

    /// Its executable, looked for on the PATH, where Debian keeps servers, and where cargo installs.
    #[must_use]
    pub fn executable(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let cargo = std::env::home_dir().map(|home| home.join(".cargo/bin"));
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
            .chain(cargo)
            .map(|directory| directory.join(self.program().0))
            .find(|file| file.is_file())
    }

    /// What it says when asked for its version, up to the end of the line that has a number in it.
    #[must_use]
    pub fn version(self, executable: &Path) -> String {
        let flag = match self {
            Self::Nsd | Self::Dnsmasq | Self::Bind => "-v",
            Self::Unbound => "-V",
            Self::Coredns => "-version",
            _ => "--version",
        };
        let Ok(output) = Command::new(executable).arg(flag).output() else {
            return "unknown".to_owned();
        };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        said.split_whitespace()
            .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
            .map_or_else(|| "unknown".to_owned(), str::to_owned)
    }

    /// Whether it can be asked this at all.
    #[must_use]
    pub fn takes(self, mix: Mix, transport: Transport) -> bool {
        match self {
            Self::BareGlommio | Self::BareThreads => mix == Mix::Hot && transport == Transport::Udp,
            Self::Knot | Self::Nsd | Self::Powerdns => !mix.is_forwarded(),
            _ => true,
        }
    }

    /// Writes its settings, and gives the command that starts it.
    ///
    /// # Errors
    ///
    /// Its directory cannot be written.
    pub fn command(self, executable: &Path, setup: &Setup<'_>) -> io::Result<Command> {
        fs::create_dir_all(setup.directory)?;
        settings::command(self, executable, setup)
    }
}

/// A port that is free for both UDP and TCP on each of `addresses`. Somebody could take it before its server does;
/// the kernel hands such ports out at random.
///
/// # Errors
///
/// There is none to be had.
pub fn free_port(addresses: &[Ipv4Addr]) -> io::Result<u16> {
    let mut last = None;
    for _ in 0..32 {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let is_free = |address: &Ipv4Addr| {
            let address = SocketAddr::new(IpAddr::V4(*address), port);
            UdpSocket::bind(address)
                .and_then(|_| TcpListener::bind(address))
                .map(drop)
        };
        match addresses.iter().try_for_each(is_free) {
            Ok(()) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

impl ValueEnum for Kind {
    fn value_variants<'v>() -> &'v [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.word()))
    }
}
