//! Where it answers without being told, on a host where no port is taken.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use crate::support::daemon::NO_ENGINE;
use crate::support::dig::{self, Reply};
use crate::support::{self, SOON, eventually, skip};

/// A skydock without `--listen` in a network namespace of its own, where no port is taken.
struct Alone {
    child: Child,
    log: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl Alone {
    /// `None`, and the reason was printed, where namespaces are not for us. `before`: words in front of the binary.
    fn start(before: &str) -> Option<Self> {
        Self::start_after("true", before)
    }

    /// `set_up`: a command in the new namespace, first of all.
    fn start_after(set_up: &str, before: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            skip("a network namespace of its own needs root");
            return None;
        }
        let directory = tempfile::tempdir_in("/tmp").expect("a directory in /tmp");
        // Another user may not be able to reach the build directory.
        let program = directory.path().join("skydock");
        std::fs::copy(env!("CARGO_BIN_EXE_skydock"), &program).expect("a copy of the binary");
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))
            .expect("our own directory");
        let log = directory.path().join("log");
        let output = std::fs::File::create(&log).expect("a log");
        let line = format!(
            "ip link set lo up && {set_up} && exec {before} {} {NO_ENGINE}",
            program.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", &line]).stdin(Stdio::null());
        let child = command
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output)
            .spawn();
        let alone = Self {
            child: child.expect("unshare starts"),
            log,
            _directory: directory,
        };
        eventually("the report", SOON, || {
            support::expect(|log| log.contains("  use "), alone.log())
        });
        Some(alone)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("our own file")
    }

    fn dig(&self, port: u16, question: &str) -> Reply {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.child.id().to_string(), "dig"]);
        dig::read(command.args(dig::arguments(server, question)))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_flags_root_answers_on_port_53() {
    let Some(alone) = Alone::start("") else { return };
    assert_eq!(alone.dig(53, "docker SOA").status, "NOERROR", "{}", alone.log());
    assert!(
        alone.log().contains("docker0 is not there yet"),
        "{}",
        alone.log()
    );
}

/// Docker's masquerading gives what the host sends to a bridge the host's public address.
#[test]
fn the_host_may_ask_from_each_of_its_own_addresses() {
    let Some(alone) = Alone::start_after("ip address add 198.51.100.7/32 dev lo", "") else {
        return;
    };
    let reply = alone.dig(53, "docker SOA -b 198.51.100.7");
    assert_eq!(reply.status, "NOERROR", "{}", alone.log());
}

#[test]
fn without_flags_and_root_it_answers_on_port_5300_and_says_why() {
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all";
    let Some(alone) = Alone::start(nobody) else { return };
    let log = alone.log();
    assert!(
        log.contains("127.0.0.1:5300") && log.contains("port 53 needs root or CAP_NET_BIND_SERVICE"),
        "{log}"
    );
    assert_eq!(alone.dig(5300, "docker SOA").status, "NOERROR", "{log}");
}
