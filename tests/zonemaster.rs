//! What Zonemaster, the tests that registries have for the zones below them, finds in a zone of ours: nothing that we do
//! not mean.

mod support;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use support::daemon::{Daemon, binary, words};
use support::network::enter_network;
use support::skip;

/// Where the zone is served; Zonemaster knows no port but 53.
const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 51, 100, 53), Ipv4Addr::new(203, 0, 113, 53)];

/// Every complaint, by its tag, that we cause on purpose.
const DELIBERATE: [(&str, &str); 10] = [
    (
        "IS_A_RECURSOR",
        "who may ask for containers is answered for all other names as well: we are their only server",
    ),
    (
        "SOA_DEFAULT_TTL_MAXIMUM_VALUE_LOWER",
        "a container may start the moment after it was asked for, so that is denied for five seconds",
    ),
    ("Z09_MISSING_MAIL_TARGET", "no mail is sent to containers"),
    (
        "RNAME_MAIL_DOMAIN_INVALID",
        "so the zone's mailbox is one in name only",
    ),
    (
        "NOT_ENOUGH_NS_DEL",
        "one daemon is one server, by whichever of its addresses it is reached",
    ),
    ("NOT_ENOUGH_NS_CHILD", "the same"),
    ("NOT_ENOUGH_IPV4_NS_CHILD", "the same"),
    ("NOT_ENOUGH_IPV4_NS_DEL", "the same"),
    ("NO_IPV6_NS_CHILD", "this test has no IPv6 address"),
    ("NO_IPV6_NS_DEL", "the same"),
];

/// The tags of all that is told as a notice or worse.
fn complaints() -> BTreeSet<String> {
    let mut command = Command::new("zonemaster-cli");
    command.args(["--raw", "--level", "NOTICE", "--no-ipv6"]);
    for module in ["nameserver", "zone", "delegation", "consistency", "syntax"] {
        command.args(["--test", module]);
    }
    for server in SERVERS {
        command.args(["--ns", &format!("ns.dns.zone.example/{server}")]);
    }
    let output = command
        .arg("zone.example")
        .output()
        .expect("zonemaster-cli starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Seconds, level, tag, what it is about.
    let tags = said.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (_, level, tag) = (words.next()?, words.next()?, words.next()?);
        ["NOTICE", "WARNING", "ERROR", "CRITICAL"]
            .contains(&level)
            .then(|| tag.to_owned())
    });
    tags.collect()
}

#[test]
fn zonemaster_finds_nothing_that_we_do_not_mean() {
    if Command::new("zonemaster-cli").arg("--version").output().is_err() {
        return skip("there is no zonemaster-cli (package zonemaster-cli)");
    }
    if !enter_network(&SERVERS) {
        return;
    }
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, 8053));
    let mut command = binary();
    command.args(words(&format!(
        "--domain zone.example --http {http} --docker /nonexistent --allow 0.0.0.0/0 --nameserver 127.0.0.9"
    )));
    for server in SERVERS {
        command.args(["--listen", &format!("{server}:53")]);
    }
    let daemon = Daemon::spawn(command, SocketAddr::from((SERVERS[0], 53)), http);
    daemon.await_status("nobody.zone.example A", "NXDOMAIN");
    let found = complaints();
    let is_meant = |found: &String| DELIBERATE.iter().any(|(tag, _)| tag == found);
    let unexplained: Vec<_> = found.iter().filter(|tag| !is_meant(tag)).collect();
    assert!(unexplained.is_empty(), "{unexplained:?} of {found:?}");
    // Else it looked at nothing.
    assert!(found.contains("IS_A_RECURSOR"), "{found:?}");
}
