//! All servers at once, each on a port of its own and all on one core: whoever is not measured sleeps.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::host;
use crate::load::Transport;
use crate::measure::Taker;
use crate::mix::Mix;
use crate::network;
use crate::process::{self, Process};
use crate::servers::{self, Kind, Setup, free_port};
use crate::world::World;

/// How long a server may take from its start to the first right answer about the last name.
const START_TIME_MAX: Duration = Duration::from_secs(120);
/// How long it may go on after that with what need not be done before it answers.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(60);
/// Part of a core that it takes at most when it is at rest, and how long that is looked at.
const REST_SHARE_MAX: f64 = 0.02;
const REST_TIME: Duration = Duration::from_millis(500);
/// The same between two turns. Whoever polls for a while before it sleeps does so for longer.
const CALM_SHARE_MAX: f64 = 0.3;
const CALM_TIME: Duration = Duration::from_millis(10);
/// How long one try at that takes.
const TRY_TIME: Duration = Duration::from_millis(5);

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    /// Which.
    pub kind: Kind,
    /// What it says it is.
    pub version: String,
    /// Its port on every address.
    pub port: u16,
    /// It.
    pub process: Process,
    /// From its start to its first right answer about the last of the names, in seconds.
    pub start_seconds: f64,
    /// What it took when it was at rest then, in octets.
    pub memory_octets: u64,
}

/// What all servers have in common.
#[derive(Debug)]
pub struct Ground<'g> {
    /// The zone.
    pub world: World,
    /// Where each gets a directory.
    pub directory: &'g Path,
    /// Addresses to listen on.
    pub addresses: &'g [Ipv4Addr],
    /// Whom forwarders ask.
    pub upstream: Option<SocketAddr>,
    /// Their cores: where workers run.
    pub cores: &'g [usize],
    /// Where everything of theirs may run: the same, but for a measurement of what else they do.
    pub affinity: &'g [usize],
    /// Our binary.
    pub skydock: &'g Path,
    /// What `--docker` takes, for each engine.
    pub engines: &'g [&'g str],
}

impl<'g> Ground<'g> {
    /// A ground with nothing but what every measurement has: loopback, nobody to forward to, and all of a server's threads on
    /// `cores`.
    #[must_use]
    pub fn of(
        world: World,
        directory: &'g Path,
        skydock: &'g Path,
        engines: &'g [&'g str],
        cores: &'g [usize],
    ) -> Self {
        Self {
            world,
            directory,
            addresses: &[Ipv4Addr::LOCALHOST],
            upstream: None,
            cores,
            affinity: cores,
            skydock,
            engines,
        }
    }
}

impl Taker for Running {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn address(&self, path: network::Path) -> SocketAddr {
        SocketAddr::from((path.address(), self.port))
    }

    fn cpu_seconds(&self) -> f64 {
        self.process.cpu_seconds()
    }

    fn calm_down(&self) -> Result<(), String> {
        self.settles(CALM_TIME, CALM_SHARE_MAX).map_err(|share| {
            format!("still took {share:.2} of a core {SETTLE_TIME_MAX:?} after it was asked, from whoever came next")
        })
    }
}

impl Running {
    /// Starts the server and waits until it knows every name and is at rest: what it does besides would be counted with
    /// its answers, and taken from everybody else's core.
    ///
    /// # Errors
    ///
    /// There is none here, or it does not come to answer; a sentence for the report.
    pub fn start(kind: Kind, ground: &Ground<'_>) -> Result<Self, String> {
        let executable = match kind {
            Kind::Skydock | Kind::SkydockThreads => ground.skydock.to_owned(),
            Kind::BareGlommio | Kind::BareThreads => {
                std::env::current_exe().map_err(|error| error.to_string())?
            }
            _ => kind
                .executable()
                .ok_or_else(|| format!("not installed; {}", kind.remedy()))?,
        };
        let explain = |error: std::io::Error| format!("cannot be set up ({error})");
        let port = free_port(ground.addresses).map_err(explain)?;
        let directory = ground.directory.join(kind.word());
        let setup = Setup {
            world: ground.world,
            directory: &directory,
            addresses: ground.addresses,
            port,
            upstream: ground.upstream,
            cores: ground.cores,
            engines: ground.engines,
        };
        let command = kind.command(&executable, &setup).map_err(explain)?;
        let started = Instant::now();
        let process = process::start(&command, ground.affinity, &directory.join("log")).map_err(explain)?;
        let mut running = Self {
            kind,
            version: kind.version(&executable),
            port,
            process,
            start_seconds: 0.0,
            memory_octets: 0,
        };
        let mix = if kind.takes(Mix::Uniform, Transport::Udp) {
            Mix::Uniform
        } else {
            Mix::Hot
        };
        running.await_last_name(ground.world, mix, started)?;
        running.start_seconds = started.elapsed().as_secs_f64();
        running.process.confine().map_err(explain)?;
        running.await_rest()?;
        running.memory_octets = running.process.memory_octets();
        Ok(running)
    }

    fn await_rest(&self) -> Result<(), String> {
        self.settles(REST_TIME, REST_SHARE_MAX)
            .map_err(|share| format!("was not at rest after {SETTLE_TIME_MAX:?}: {share:.2} of a core"))
    }

    /// Waits until it takes less than `most` of a core for so long; what it takes if it does not come to that.
    fn settles(&self, time: Duration, most: f64) -> Result<(), f64> {
        let began = Instant::now();
        loop {
            match self.rests(time, most) {
                Err(_) if began.elapsed() <= SETTLE_TIME_MAX => {}
                rests => return rests,
            }
        }
    }

    /// Whether it takes less than `most` of a core for so long; else what it takes.
    fn rests(&self, time: Duration, most: f64) -> Result<(), f64> {
        let (before, since) = (self.process.cpu_seconds(), Instant::now());
        std::thread::sleep(time);
        let share = (self.process.cpu_seconds() - before) / since.elapsed().as_secs_f64();
        if share <= most { Ok(()) } else { Err(share) }
    }

    /// Octets that its socket for datagrams queues, if that can be seen.
    #[must_use]
    pub fn queue_octets(&self) -> Option<u64> {
        host::queue_octets(self.port)
    }

    fn await_last_name(&mut self, world: World, mix: Mix, started: Instant) -> Result<(), String> {
        let question = mix.last_name(world);
        let (mut query, mut reply) = (Vec::new(), [0; 512]);
        question.write(1, true, &mut query);
        let to = self.address(network::Path::Loopback);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|socket| socket.connect(to).map(|()| socket))
            .and_then(|socket| socket.set_read_timeout(Some(TRY_TIME)).map(|()| socket))
            .map_err(|error| error.to_string())?;
        loop {
            self.process.check()?;
            let asked = Instant::now();
            // An error is one of the server's absence, and nothing has come then either.
            let length = socket
                .send(&query)
                .and_then(|_| socket.recv(&mut reply))
                .unwrap_or(0);
            let checked = question.check(&reply[..length]);
            if checked.is_ok() {
                return Ok(());
            }
            if started.elapsed() > START_TIME_MAX {
                return Err(format!(
                    "did not know every name after {START_TIME_MAX:?}: {checked:?}"
                ));
            }
            std::thread::sleep(TRY_TIME.saturating_sub(asked.elapsed()));
        }
    }
}

/// Starts a name server that forwarders ask, on `core`.
///
/// # Errors
///
/// Neither Knot nor NSD is here, or it does not start.
pub fn start_upstream(directory: &Path, core: usize) -> Result<(Process, SocketAddr), String> {
    let found = [Kind::Knot, Kind::Nsd]
        .into_iter()
        .find_map(|kind| Some((kind, kind.executable()?)));
    let (kind, executable) = found.ok_or("neither knot nor nsd is installed to be asked by forwarders")?;
    let explain = |error: std::io::Error| format!("no upstream ({error})");
    let address = SocketAddr::from((
        Ipv4Addr::LOCALHOST,
        free_port(&[Ipv4Addr::LOCALHOST]).map_err(explain)?,
    ));
    let directory = directory.join("upstream");
    let command: Command = servers::upstream(kind, &executable, &directory, address).map_err(explain)?;
    let process = process::start(&command, &[core], &directory.join("log")).map_err(explain)?;
    Ok((process, address))
}
