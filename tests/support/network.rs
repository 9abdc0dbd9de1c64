//! A network of one thread's own.

use std::net::Ipv4Addr;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::skip;

/// Puts this thread, and all that it starts from now on, into a network of its own where it has these addresses. False, and
/// the reason was printed, where namespaces are not for us.
pub(crate) fn enter_network(addresses: &[Ipv4Addr]) -> bool {
    if !nix::unistd::geteuid().is_root() || unshare(CloneFlags::CLONE_NEWNET).is_err() {
        skip("a network namespace of its own needs root");
        return false;
    }
    ip("link set lo up");
    for address in addresses {
        ip(&format!("address add {address}/32 dev lo"));
    }
    true
}

/// Runs `ip` with these words.
pub(crate) fn ip(line: &str) {
    let status = Command::new("ip").args(line.split(' ')).status();
    let status = status.expect("ip starts (package iproute2)");
    assert!(status.success(), "ip {line}");
}
