//! Settings of each server: one worker, the same zone, no limits, nothing written to disk, no log of queries.

mod files;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use super::{Kind, Setup};
use crate::world::{TTL_SECONDS, UPSTREAM_ZONE, ZONE, upstream_zone_file, zone_file};

pub(super) fn command(kind: Kind, executable: &Path, setup: &Setup<'_>) -> io::Result<Command> {
    let mut command = Command::new(executable);
    let file = |name: &str| setup.directory.join(name);
    let config = file("config");
    if is_fed_by_zone_file(kind) {
        fs::write(file("zone"), zone_file(setup.world))?;
    }
    let first = setup.cores.first().copied().unwrap_or(0);
    match kind {
        Kind::Skydock | Kind::SkydockThreads => {
            let engine = if kind == Kind::Skydock {
                "glommio"
            } else {
                "threads"
            };
            skydock(&mut command, setup, engine)?;
        }
        Kind::BareGlommio | Kind::BareThreads => {
            let engine = if kind == Kind::BareGlommio {
                "glommio"
            } else {
                "threads"
            };
            command.args(["bare", "--engine", engine, "--core", &first.to_string()]);
            command.args(sockets(setup).iter().map(|address| format!("--listen={address}")));
        }
        Kind::Knot => {
            fs::write(
                &config,
                files::knot(setup.directory, &sockets(setup), &[(ZONE, "zone")]),
            )?;
            command.arg("--config").arg(config);
        }
        Kind::Nsd => {
            fs::write(&config, files::nsd(setup))?;
            command.arg("-d").arg("-c").arg(config);
        }
        Kind::Unbound => {
            fs::write(&config, files::unbound(setup))?;
            command.arg("-d").arg("-c").arg(config);
        }
        Kind::Dnsmasq => {
            fs::write(file("hosts"), files::dnsmasq_hosts(setup.world))?;
            fs::write(&config, files::dnsmasq(setup))?;
            command.arg("--keep-in-foreground").arg("--conf-file").arg(config);
            // `--conf-file` takes its value with an equals sign alone.
            command = joined(&command);
        }
        Kind::Bind => {
            fs::write(&config, files::bind(setup))?;
            command.args(["-f", "-n", "1", "-c"]).arg(config);
        }
        Kind::Powerdns => {
            fs::write(file("named.conf"), files::bind_zone(setup))?;
            fs::write(file("pdns.conf"), files::powerdns(setup))?;
            command.arg(format!("--config-dir={}", setup.directory.display()));
        }
        Kind::Hickory => {
            fs::write(&config, files::hickory(setup))?;
            command
                .arg("--config")
                .arg(config)
                .arg("--zonedir")
                .arg(setup.directory);
            command.args(["--workers", "1", "--quiet"]);
        }
        Kind::Coredns => {
            fs::write(&config, files::coredns(setup))?;
            command.arg("-conf").arg(config).env("GOMAXPROCS", "1");
        }
    }
    Ok(command)
}

/// The command and the settings of a Knot or NSD that forwarders ask.
pub(crate) fn upstream(
    kind: Kind,
    executable: &Path,
    directory: &Path,
    address: SocketAddr,
) -> io::Result<Command> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("zone"), upstream_zone_file())?;
    let (config, mut command) = (directory.join("config"), Command::new(executable));
    if kind == Kind::Knot {
        fs::write(
            &config,
            files::knot(directory, &[address], &[(UPSTREAM_ZONE, "zone")]),
        )?;
        command.arg("--config").arg(config);
    } else {
        fs::write(&config, files::nsd_for(directory, &[address], UPSTREAM_ZONE))?;
        command.arg("-d").arg("-c").arg(config);
    }
    Ok(command)
}

fn is_fed_by_zone_file(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Knot | Kind::Nsd | Kind::Bind | Kind::Powerdns | Kind::Hickory | Kind::Coredns
    )
}

fn sockets(setup: &Setup<'_>) -> Vec<SocketAddr> {
    let to_socket = |address: &Ipv4Addr| SocketAddr::from((*address, setup.port));
    setup.addresses.iter().map(to_socket).collect()
}

/// Each of `addresses` by `write`, one after another.
fn each(setup: &Setup<'_>, write: impl Fn(&Ipv4Addr) -> String) -> String {
    setup.addresses.iter().map(write).collect()
}

fn skydock(command: &mut Command, setup: &Setup<'_>, engine: &str) -> io::Result<()> {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SKYDOCK_") {
            command.env_remove(name);
        }
    }
    // A line is logged for each name; the files of others do not grow either.
    command.env("RUST_LOG", "warn");
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, super::free_port(&[Ipv4Addr::LOCALHOST])?));
    command.args(["--engine", engine, "--domain", ZONE]);
    command.args(
        setup
            .engines
            .iter()
            .map(|endpoint| format!("--docker={endpoint}")),
    );
    command.args([format!("--http={http}"), format!("--ttl={TTL_SECONDS}")]);
    // Two of ours run at once, and neither shall leave anything behind.
    command.arg("--ephemeral");
    // A comma makes it a list: the core of this number, not so many.
    let cores: Vec<_> = setup.cores.iter().map(ToString::to_string).collect();
    command.arg(format!("--cores={},", cores.join(",")));
    command.args(sockets(setup).iter().map(|address| format!("--listen={address}")));
    // Without one it would take those of this host.
    let upstream = setup
        .upstream
        .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    command.arg(format!("--nameserver={upstream}"));
    Ok(())
}

/// `command` with each flag that takes a value joined to it.
fn joined(command: &Command) -> Command {
    let mut arguments: Vec<String> = Vec::new();
    for word in command.get_args() {
        let word = word.to_string_lossy().into_owned();
        match arguments.last_mut() {
            Some(flag) if flag == "--conf-file" => *flag += &format!("={word}"),
            _ => arguments.push(word),
        }
    }
    let mut joined = Command::new(command.get_program());
    joined.args(arguments);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    /// Everything that a server was given: its settings and its arguments.
    fn given(kind: Kind) -> String {
        let directory = tempfile::tempdir().unwrap();
        let setup = Setup {
            world: World::new(2),
            directory: directory.path(),
            addresses: &[Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 213, 77, 1)],
            port: 5399,
            upstream: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 5398))),
            cores: &[1],
            engines: &["unix:///run/fake.sock"],
        };
        let command = kind.command(Path::new("/bin/server"), &setup).unwrap();
        let files = fs::read_dir(directory.path()).unwrap();
        let mut given: String = files
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        for argument in command.get_args() {
            given += &format!("{} ", argument.to_string_lossy());
        }
        given
    }

    #[test]
    fn every_server_listens_on_all_addresses_and_knows_every_name() {
        for kind in Kind::ALL {
            let given = given(kind);
            assert!(
                given.contains("127.0.0.1") && given.contains("10.213.77.1"),
                "{kind:?}: {given}"
            );
            assert!(given.contains("5399"), "{kind:?}: {given}");
            if kind.is_ours() {
                continue;
            }
            for name in [
                "hot.web.dev.docker",
                "n1.app0.dev.docker",
                "wild.dev.docker",
                "000000000a.docker",
            ] {
                assert!(given.contains(name), "{kind:?} lacks {name}: {given}");
            }
            let addresses = given.matches("eight.dev.docker").count();
            assert!(
                addresses >= 16,
                "{kind:?} has eight addresses of one name beside each one's own: {given}"
            );
        }
    }

    #[test]
    fn those_that_forward_know_the_upstream_and_the_others_are_not_asked_to() {
        for kind in Kind::ALL {
            let is_told = given(kind).contains("5398");
            assert_eq!(
                is_told,
                kind.takes(crate::mix::Mix::Forward, crate::load::Transport::Udp),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn below_a_redirect_unbound_has_no_other_names() {
        let given = given(Kind::Unbound);
        assert!(given.contains("local-zone: \"wild.dev.docker.\" redirect"));
        assert!(!given.contains("wild0.wild.dev.docker"));
    }
}
