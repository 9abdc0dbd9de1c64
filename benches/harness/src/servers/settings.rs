//! Settings of each server: one worker, the same zone, no limits, nothing written to disk, no log of queries.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use super::{Kind, Setup};
use crate::world::{Container, TTL_SECONDS, UPSTREAM_ZONE, World, ZONE, upstream_zone_file, zone_file};

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
            fs::write(&config, knot(setup.directory, &sockets(setup), &[(ZONE, "zone")]))?;
            command.arg("--config").arg(config);
        }
        Kind::Nsd => {
            fs::write(&config, nsd(setup))?;
            command.arg("-d").arg("-c").arg(config);
        }
        Kind::Unbound => {
            fs::write(&config, unbound(setup))?;
            command.arg("-d").arg("-c").arg(config);
        }
        Kind::Dnsmasq => {
            fs::write(file("hosts"), dnsmasq_hosts(setup.world))?;
            fs::write(&config, dnsmasq(setup))?;
            command.arg("--keep-in-foreground").arg("--conf-file").arg(config);
            // `--conf-file` takes its value with an equals sign alone.
            command = joined(&command);
        }
        Kind::Bind => {
            fs::write(&config, bind(setup))?;
            command.args(["-f", "-n", "1", "-c"]).arg(config);
        }
        Kind::Powerdns => {
            fs::write(file("named.conf"), bind_zone(setup))?;
            fs::write(file("pdns.conf"), powerdns(setup))?;
            command.arg(format!("--config-dir={}", setup.directory.display()));
        }
        Kind::Hickory => {
            fs::write(&config, hickory(setup))?;
            command
                .arg("--config")
                .arg(config)
                .arg("--zonedir")
                .arg(setup.directory);
            command.args(["--workers", "1", "--quiet"]);
        }
        Kind::Coredns => {
            fs::write(&config, coredns(setup))?;
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
        fs::write(&config, knot(directory, &[address], &[(UPSTREAM_ZONE, "zone")]))?;
        command.arg("--config").arg(config);
    } else {
        fs::write(&config, nsd_for(directory, &[address], UPSTREAM_ZONE))?;
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

fn knot(directory: &Path, sockets: &[SocketAddr], zones: &[(&str, &str)]) -> String {
    let listen: Vec<_> = sockets
        .iter()
        .map(|it| format!("{}@{}", it.ip(), it.port()))
        .collect();
    let (listen, directory) = (listen.join(", "), directory.display());
    let mut text = format!(
        "server:\n    rundir: {directory}\n    listen: [ {listen} ]\n    udp-workers: 1\n    tcp-workers: 1\n    \
         background-workers: 1\nlog:\n  - target: stderr\n    any: warning\ndatabase:\n    storage: \
         {directory}\ntemplate:\n  - id: default\n    storage: {directory}\n    zonefile-load: whole\n    \
         zonefile-sync: -1\n    journal-content: none\nzone:\n"
    );
    for (zone, file) in zones {
        let _ = writeln!(text, "  - domain: {zone}\n    file: {file}");
    }
    text
}

fn nsd(setup: &Setup<'_>) -> String {
    nsd_for(setup.directory, &sockets(setup), ZONE)
}

fn nsd_for(directory: &Path, sockets: &[SocketAddr], zone: &str) -> String {
    let listen: String = sockets
        .iter()
        .map(|it| format!("    ip-address: {}@{}\n", it.ip(), it.port()))
        .collect();
    let directory = directory.display();
    format!(
        "server:\n{listen}    server-count: 1\n    username: \"\"\n    zonesdir: \"{directory}\"\n    database: \"\"\n    \
         pidfile: \"{directory}/pid\"\n    xfrdfile: \"{directory}/xfrd\"\n    zonelistfile: \"{directory}/list\"\n    \
         xfrdir: \"{directory}\"\n    rrl-ratelimit: 0\n    tcp-count: 200\n    tcp-query-count: 0\n\
         remote-control:\n    control-enable: no\nzone:\n    name: {zone}\n    zonefile: zone\n"
    )
}

fn unbound(setup: &Setup<'_>) -> String {
    let listen = each(setup, |address| {
        format!("    interface: {address}@{}\n", setup.port)
    });
    let mut text = format!(
        "server:\n{listen}    num-threads: 1\n    do-daemonize: no\n    use-syslog: no\n    verbosity: 0\n    chroot: \"\"\n    \
         username: \"\"\n    directory: \"{}\"\n    pidfile: \"\"\n    access-control: 0.0.0.0/0 allow\n    \
         module-config: \"iterator\"\n    do-not-query-localhost: no\n    incoming-num-tcp: 200\n    \
         local-zone: \"{ZONE}.\" static\n    local-data: \"{ZONE}. SOA ns.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 30\"\n",
        setup.directory.display()
    );
    let ttl = TTL_SECONDS;
    for it in setup.world.containers() {
        let _ = writeln!(text, "    local-data: \"{}. {ttl} A {}\"", it.name(), it.address);
        if it.image == "eight" {
            let _ = writeln!(
                text,
                "    local-data: \"{}. {ttl} A {}\"",
                it.image_name(),
                it.address
            );
        }
        if it.image == "wild" {
            let _ = write!(
                text,
                "    local-zone: \"{0}.\" redirect\n    local-data: \"{0}. {ttl} A {1}\"\n",
                it.image_name(),
                it.address
            );
        }
        if let Some(port) = it.port {
            let (image, target) = (it.image_name(), it.target());
            let _ = write!(
                text,
                "    local-data: \"{image}. {ttl} SRV 10 33 {port} {target}.\"\n    local-data: \"{target}. {ttl} A {}\"\n",
                it.address
            );
        }
    }
    // A zone of its own for the redirect may hold no other names.
    let text = without_names_below_redirect(&text, setup.world);
    let forward = setup.upstream.map(|upstream| {
        format!(
            "forward-zone:\n    name: \".\"\n    forward-addr: {}@{}\n",
            upstream.ip(),
            upstream.port()
        )
    });
    format!(
        "{text}remote-control:\n    control-enable: no\n{}",
        forward.unwrap_or_default()
    )
}

/// Takes the containers of the wildcard's image from `text`: below a redirect every name is answered the same.
fn without_names_below_redirect(text: &str, world: World) -> String {
    let below: Vec<_> = world
        .of_image("wild")
        .map(|it| format!("\"{}. ", it.name()))
        .collect();
    let kept = text
        .lines()
        .filter(|line| !below.iter().any(|name| line.contains(name)));
    kept.fold(String::with_capacity(text.len()), |text, line| text + line + "\n")
}

fn dnsmasq(setup: &Setup<'_>) -> String {
    let listen = each(setup, |address| format!("listen-address={address}\n"));
    let mut text = format!(
        "{listen}port={}\nbind-interfaces\nno-resolv\nno-hosts\nno-poll\nuser=root\npid-file=\nlocal-ttl={TTL_SECONDS}\n\
         local=/{ZONE}/\ncache-size=10000\ndns-forward-max=1000\naddn-hosts={}\n",
        setup.port,
        setup.directory.join("hosts").display()
    );
    for it in setup.world.of_image("wild") {
        let _ = writeln!(text, "address=/{}/{}", it.image_name(), it.address);
    }
    for (it, port) in setup
        .world
        .of_image("queue")
        .filter_map(|it| Some((it.port?, it)))
        .map(|(p, it)| (it, p))
    {
        let _ = writeln!(text, "srv-host={},{},{port},10,33", it.image_name(), it.target());
    }
    if let Some(upstream) = setup.upstream {
        let _ = writeln!(text, "server={}#{}", upstream.ip(), upstream.port());
    }
    text
}

fn dnsmasq_hosts(world: World) -> String {
    let mut text = String::new();
    let mut line = |it: &Container, name: String| {
        let _ = writeln!(text, "{} {name}", it.address);
    };
    for it in world.containers().filter(|it| it.image != "wild") {
        line(&it, it.name());
        if it.image == "eight" {
            line(&it, it.image_name());
        }
        if it.port.is_some() {
            line(&it, it.target());
        }
    }
    text
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

fn bind(setup: &Setup<'_>) -> String {
    let listen = each(setup, |address| format!("{address}; "));
    let forward = setup.upstream.map(|upstream| {
        format!(
            "    forward only;\n    forwarders {{ {} port {}; }};\n",
            upstream.ip(),
            upstream.port()
        )
    });
    format!(
        "options {{\n    directory \"{}\";\n    listen-on port {} {{ {listen}}};\n    listen-on-v6 {{ none; }};\n    pid-file none;\n    \
         session-keyfile none;\n    allow-query {{ any; }};\n    recursion yes;\n    allow-recursion {{ any; }};\n    \
         dnssec-validation no;\n    empty-zones-enable no;\n    tcp-clients 200;\n    notify no;\n{}}};\ncontrols {{ }};\n\
         logging {{ category default {{ null; }}; }};\n{}",
        setup.directory.display(),
        setup.port,
        forward.unwrap_or_default(),
        bind_zone(setup)
    )
}

fn bind_zone(setup: &Setup<'_>) -> String {
    let file = setup.directory.join("zone");
    format!(
        "zone \"{ZONE}\" {{ type master; file \"{}\"; }};\n",
        file.display()
    )
}

fn powerdns(setup: &Setup<'_>) -> String {
    let listen: Vec<_> = setup.addresses.iter().map(ToString::to_string).collect();
    let directory = setup.directory.display();
    format!(
        "launch=bind\nbind-config={directory}/named.conf\nlocal-address={}\nlocal-port={}\nreceiver-threads=1\n\
         distributor-threads=1\ndaemon=no\nguardian=no\nsocket-dir={directory}\nloglevel=3\nmax-tcp-connections=200\n",
        listen.join(","),
        setup.port
    )
}

fn hickory(setup: &Setup<'_>) -> String {
    let listen: Vec<_> = setup
        .addresses
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    let forward = setup.upstream.map(|upstream| {
        format!(
            "\n[[zones]]\nzone = \".\"\nzone_type = \"External\"\n[zones.stores]\ntype = \"forward\"\n\
             [[zones.stores.name_servers]]\nip = \"{}\"\nconnections = [{{ port = {}, protocol = {{ type = \"udp\" }} }}]\n",
            upstream.ip(),
            upstream.port()
        )
    });
    // Started by root it becomes `nobody`, of a group that Debian does not have.
    format!(
        "user = \"root\"\ngroup = \"root\"\nlisten_addrs_ipv4 = [{}]\nlisten_port = {}\nallow_networks = [\"0.0.0.0/0\"]\n\n[[zones]]\nzone = \"{ZONE}\"\nzone_type = \
         \"Primary\"\n[zones.stores]\ntype = \"file\"\nzone_path = \"zone\"\n{}",
        listen.join(", "),
        setup.port,
        forward.unwrap_or_default()
    )
}

fn coredns(setup: &Setup<'_>) -> String {
    let listen = each(setup, |address| format!(" {address}"));
    let forward = setup.upstream.map(|upstream| {
        format!(
            ".:{} {{\n    bind{listen}\n    cache\n    forward . {upstream}\n}}\n",
            setup.port
        )
    });
    format!(
        "{ZONE}:{} {{\n    bind{listen}\n    file {}\n}}\n{}",
        setup.port,
        setup.directory.join("zone").display(),
        forward.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
