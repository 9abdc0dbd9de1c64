//! Name servers that others trust, each a process of its own with the zones of a test in it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::raw::{query, rcode};
use super::{SOON, eventually, expect, ports};

/// How often a port that somebody else took first is tried again, with another one.
const STARTS_MAX: usize = 3;
/// How long to wait for a reply of a server that may not be there yet.
const SILENCE: Duration = Duration::from_millis(50);
/// Type code of the record that every zone has.
const SOA: u16 = 6;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Knot DNS, of CZ.NIC.
    Knot,
    /// NSD, of NLnet Labs.
    Nsd,
}

/// A zone as a file holds it.
pub(crate) struct ZoneFile {
    /// Its name, without the last dot.
    pub(crate) apex: String,
    /// The file.
    pub(crate) text: String,
}

/// A running server. Dropping it stops it.
pub(crate) struct Trusted {
    child: Child,
    address: SocketAddr,
    /// Its settings, its zones and whatever it keeps.
    _directory: TempDir,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Knot => "knotd",
            Self::Nsd => "nsd",
        }
    }

    /// Its executable. Debian keeps both where not everyone looks.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub(crate) fn executable(self) -> Result<PathBuf, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
            .map(|directory| directory.join(self.program()))
            .find(|file| file.is_file())
            .ok_or_else(|| format!("there is no {}", self.program()))
    }

    /// Settings for `zones`, answers in full, limits off, and nothing that leads outside `directory`.
    fn settings(self, address: SocketAddr, directory: &Path, zones: &[ZoneFile]) -> String {
        let (ip, port, directory) = (address.ip(), address.port(), directory.display());
        let mut settings = match self {
            Self::Knot => format!(
                "server:\n    rundir: {directory}\n    listen: {ip}@{port}\n    udp-workers: 1\n    tcp-workers: 1\n    \
                 background-workers: 1\nlog:\n  - target: stderr\n    any: error\ndatabase:\n    storage: \
                 {directory}\ntemplate:\n  - id: default\n    storage: {directory}\n    zonefile-load: whole\n    \
                 journal-content: none\nzone:\n"
            ),
            Self::Nsd => format!(
                "server:\n  ip-address: {ip}@{port}\n  server-count: 1\n  username: \"\"\n  zonesdir: \
                 \"{directory}\"\n  database: \"\"\n  pidfile: \"\"\n  xfrdfile: \"\"\n  xfrdir: \
                 \"{directory}\"\n  zonelistfile: \"{directory}/zone.list\"\n  logfile: \
                 \"{directory}/log\"\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n"
            ),
        };
        for ZoneFile { apex, .. } in zones {
            let zone = match self {
                Self::Knot => writeln!(settings, "  - domain: {apex}.\n    file: {apex}.zone"),
                Self::Nsd => writeln!(settings, "zone:\n  name: {apex}.\n  zonefile: {apex}.zone"),
            };
            zone.expect("a String takes everything");
        }
        settings
    }
}

impl Trusted {
    /// Starts `kind` on a free loopback port with `zones`, and waits until it answers for all of them.
    ///
    /// # Errors
    ///
    /// What is missing, so that it cannot be started here.
    ///
    /// # Panics
    ///
    /// When it does not serve the zones.
    pub(crate) fn start(kind: Kind, zones: &[ZoneFile]) -> Result<Self, String> {
        let executable = kind.executable()?;
        for _ in 0..STARTS_MAX {
            let mut server = Self::spawn(kind, &executable, zones);
            if server.await_zones(zones) {
                return Ok(server);
            }
        }
        unreachable!("{kind:?} ends as soon as it starts; what it said stands above");
    }

    /// Where it listens, by UDP and by TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn spawn(kind: Kind, executable: &Path, zones: &[ZoneFile]) -> Self {
        let directory = TempDir::new().expect("a directory for a server's files");
        let address = ports::free();
        let settings = directory.path().join("settings");
        std::fs::write(&settings, kind.settings(address, directory.path(), zones)).expect("room for a file");
        for ZoneFile { apex, text } in zones {
            std::fs::write(directory.path().join(format!("{apex}.zone")), text).expect("room for a zone");
        }
        // Stopped by the kernel, too, when this thread is killed; by SIGTERM, so that its own children go with it.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM"])
            .arg(executable)
            .args(match kind {
                Kind::Knot => ["-c"].as_slice(),
                Kind::Nsd => &["-d", "-c"],
            });
        let child = command
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self {
            child: child.expect("setpriv, which util-linux has"),
            address,
            _directory: directory,
        }
    }

    /// Whether it came to answer for every zone; false when it ended.
    fn await_zones(&mut self, zones: &[ZoneFile]) -> bool {
        // Not connected, so that a port where nobody listens yet is silent.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        socket
            .set_read_timeout(Some(SILENCE))
            .expect("a timeout above zero");
        let ask = |soa: &[u8]| {
            let mut reply = [0; 512];
            socket.send_to(soa, self.address).ok()?;
            let length = socket.recv(&mut reply).ok()?;
            reply.get(..length).and_then(rcode)
        };
        zones.iter().all(|zone| {
            let soa = query(1, &zone.apex, SOA);
            eventually(&zone.apex, SOON, || {
                if self.child.try_wait().expect("our own child").is_some() {
                    return Ok(false);
                }
                expect(|rcode| *rcode == Some(0), ask(&soa)).map(|_| true)
            })
        })
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let ended = |child: &mut Child| {
            child
                .try_wait()
                .ok()
                .flatten()
                .ok_or_else(|| "running".to_owned())
        };
        if std::thread::panicking() {
            let _ = self.child.wait();
        } else {
            eventually("the server ends", SOON, || ended(&mut self.child));
        }
    }
}
