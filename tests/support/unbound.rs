//! Unbound as an upstream that is killed and started again.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use super::skip;

/// The part of Unbound that these tests need: one zone, told to whoever asks.
pub(crate) struct Unbound {
    child: Child,
    directory: tempfile::TempDir,
}

/// A free port that no kernel hands out by itself: while Unbound is away, one of the daemon's many sockets would take it.
pub(crate) fn fixed_port() -> SocketAddr {
    // Several tests of one process may look at once.
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 15_000) as u16;
    let is_free = |address: &SocketAddr| {
        std::net::UdpSocket::bind(address).is_ok() && std::net::TcpListener::bind(address).is_ok()
    };
    let mut addresses = std::iter::repeat_with(|| {
        let port = first + GIVEN.fetch_add(1, Ordering::Relaxed);
        SocketAddr::from(([127, 0, 0, 1], port))
    });
    addresses.find(is_free).expect("one of thousands")
}

impl Unbound {
    /// One at `address`, with more lines for its `server:` clause. None, and the reason was printed, where there is no
    /// Unbound.
    pub(crate) fn start(address: SocketAddr, more: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory for its settings");
        let settings = format!(
            "server:\n directory: \"\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n \
             do-daemonize: no\n num-threads: 1\n interface: {ip}\n port: {port}\n access-control: 127.0.0.0/8 allow\n \
             local-zone: \"example.org.\" static\n local-zone: \"many.example.org.\" redirect\n \
             local-data: \"example.org. 60 SOA ns.example.org. host.example.org. 1 60 60 60 30\"\n \
             local-data: \"www.example.org. 60 A 192.0.2.1\"\n local-data: \"www.example.org. 60 A 192.0.2.2\"\n \
             local-data: \"inside.example.org. 60 A 10.1.2.3\"\n local-data: \"many.example.org. 60 A 192.0.2.9\"\n\
             {more}remote-control:\n control-enable: no\n",
            ip = address.ip(),
            port = address.port()
        );
        std::fs::write(directory.path().join("settings"), settings).expect("our own directory");
        let child = Self::spawn(&directory)?;
        Some(Self { child, directory })
    }

    fn spawn(directory: &tempfile::TempDir) -> Option<Child> {
        let program = ["/usr/sbin/unbound", "/usr/local/sbin/unbound"];
        let Some(program) = program
            .iter()
            .find(|program| std::fs::exists(program).unwrap_or(false))
        else {
            skip("there is no unbound");
            return None;
        };
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program, "-d", "-c"]);
        command.arg(directory.path().join("settings"));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        Some(child.expect("setpriv, which util-linux has"))
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it where it was.
    pub(crate) fn start_again(&mut self) {
        self.child = Self::spawn(&self.directory).expect("it was there before");
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        self.kill();
    }
}
