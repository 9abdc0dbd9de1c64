//! Podman's service for tests.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::engine::{Engine, is_installed};
use super::{SOON, eventually, skip};

/// A service of its own, and an engine that is it.
pub(crate) struct Podman {
    /// First, so that containers are gone before their service.
    pub(crate) engine: Arc<Engine>,
    service: Child,
    /// Removed when all else is gone.
    _directory: tempfile::TempDir,
}

impl Podman {
    /// Starts it; `None` where there can be none: the test is skipped, and the reason was printed.
    pub(crate) fn start() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skip("Podman in namespaces of its own needs root");
            return None;
        }
        for (program, package) in [
            ("podman", "podman"),
            ("docker", "docker.io"),
            ("busybox", "busybox-static"),
        ] {
            if !is_installed(program) {
                skip(&format!("{program} is missing (package {package})"));
                return None;
            }
        }
        let directory = tempfile::Builder::new()
            .prefix("skd.")
            .tempdir_in("/tmp")
            .expect("a directory in /tmp");
        let service = serve(directory.path());
        let host = format!("unix://{}/p.sock", directory.path().display());
        Some(Self {
            engine: Arc::new(Engine::existing(host)),
            service,
            _directory: directory,
        })
    }
}

/// Starts the service and waits until it takes connections.
fn serve(directory: &Path) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/podman.sh");
    let log = std::fs::File::create(directory.join("podman.log")).expect("a file");
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "unshare",
        "--net",
        "--pid",
        "--mount",
        "--mount-proc",
    ]);
    command
        .args(["--fork", "--kill-child", "bash"])
        .arg(script)
        .arg(directory);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file"))
        .stderr(log);
    let service = command.spawn().expect("unshare starts");
    eventually("Podman's socket", SOON, || {
        let socket = directory.join("p.sock");
        std::os::unix::net::UnixStream::connect(socket)
            .map(drop)
            .map_err(|error| {
                let log = std::fs::read_to_string(directory.join("podman.log")).unwrap_or_default();
                format!("{error}; it says {log:?}")
            })
    });
    service
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Containers that a test left are in its PID namespace, and end with it.
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}
