//! What stands in the files of each server.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::{Setup, each, sockets};
use crate::world::{Container, TTL_SECONDS, World, ZONE};

pub(super) fn knot(directory: &Path, sockets: &[SocketAddr], zones: &[(&str, &str)]) -> String {
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

pub(super) fn nsd(setup: &Setup<'_>) -> String {
    nsd_for(setup.directory, &sockets(setup), ZONE)
}

pub(super) fn nsd_for(directory: &Path, sockets: &[SocketAddr], zone: &str) -> String {
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

pub(super) fn unbound(setup: &Setup<'_>) -> String {
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

pub(super) fn dnsmasq(setup: &Setup<'_>) -> String {
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

pub(super) fn dnsmasq_hosts(world: World) -> String {
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

pub(super) fn bind(setup: &Setup<'_>) -> String {
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

pub(super) fn bind_zone(setup: &Setup<'_>) -> String {
    let file = setup.directory.join("zone");
    format!(
        "zone \"{ZONE}\" {{ type master; file \"{}\"; }};\n",
        file.display()
    )
}

pub(super) fn powerdns(setup: &Setup<'_>) -> String {
    let listen: Vec<_> = setup.addresses.iter().map(ToString::to_string).collect();
    let directory = setup.directory.display();
    format!(
        "launch=bind\nbind-config={directory}/named.conf\nlocal-address={}\nlocal-port={}\nreceiver-threads=1\n\
         distributor-threads=1\ndaemon=no\nguardian=no\nsocket-dir={directory}\nloglevel=3\nmax-tcp-connections=200\n",
        listen.join(","),
        setup.port
    )
}

pub(super) fn hickory(setup: &Setup<'_>) -> String {
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

pub(super) fn coredns(setup: &Setup<'_>) -> String {
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
