//! That what breaks a rule is found, and nothing else.

use crate::support::source::Source;
use crate::{check, show};

#[test]
fn a_planted_violation_is_found_and_named() {
    for (file, text, found) in [
        (
            "dns/src/wire/edns.rs",
            "\nuse std::{net::{IpAddr, UdpSocket}};",
            "dns/src/wire/edns.rs:2: std::net::UdpSocket: dns does no I/O",
        ),
        (
            "dns/src/publish.rs",
            "fn f() -> std::time::Instant { g() }",
            "std::time::Instant: dns does no I/O",
        ),
        (
            "dns/src/lib.rs",
            "pub use controlplane::Service;",
            "dns imports neither plane",
        ),
        ("dns/src/name.rs", "use crate::wire::RType;", "name < wire"),
        ("dns/src/name.rs", "use super::wire::RType;", "name < wire"),
        (
            "dns/src/wire/reply.rs",
            "use crate::{name::Name, record::Record};",
            "wire/reply.rs:1: crate::record::Record: inside dns",
        ),
        ("dns/src/wire/mod.rs", "use super::record::Record;", "inside dns"),
        (
            "dns/src/snapshot/table.rs",
            "use super::super::publish::Reader;",
            "inside dns",
        ),
        (
            "dataplane/src/worker.rs",
            "use controlplane::service::Service;",
            "does not import the control plane",
        ),
        (
            "controlplane/src/naming.rs",
            "fn f() { dataplane::spawn() }",
            "does not import the data plane",
        ),
        (
            "dataplane/src/respond.rs",
            "use crate::io::udp;",
            "respond sees no socket",
        ),
        (
            "dataplane/src/respond.rs",
            "fn f() { std::time::Instant::now(); }",
            "respond sees no socket",
        ),
        (
            "controlplane/src/registry.rs",
            "use dns::{Name, Publisher};",
            "only the pipeline publishes",
        ),
        (
            "controlplane/src/naming.rs",
            "use bollard::Docker;",
            "stop at docker/",
        ),
        (
            "controlplane/src/docker/mod.rs",
            "use axum::Router;",
            "stop at api/",
        ),
        (
            "src/main.rs",
            "fn f() { unsafe { g() } }",
            "src/main.rs:1: unsafe: unsafe code",
        ),
        (
            "dataplane/src/io/mod.rs",
            "use libc::c_int;",
            "unsafe code and libc",
        ),
    ] {
        let violations = check(&[Source::read(file, text)]);
        assert!(
            show(&violations).contains(found),
            "{file}: {text}: {}",
            show(&violations)
        );
    }
}

#[test]
fn what_the_rules_allow_is_not_found() {
    for (file, text) in [
        (
            "dns/src/wire/mod.rs",
            "use crate::name::Name; use super::name::NameRef; use std::net::IpAddr;",
        ),
        (
            "dns/src/snapshot/mod.rs",
            "use super::record::Record; use self::table::Table; mod publisher;",
        ),
        (
            "dns/src/lib.rs",
            "pub use publish::{Publisher, Reader}; pub use crate::name::Name;",
        ),
        (
            "dns/src/name.rs",
            "/// See [`crate::wire`].\nfn f() { g(\"std::fs\") }\n#[cfg(test)]\nmod tests { use std::fs; }",
        ),
        ("controlplane/src/pipeline.rs", "use dns::Publisher;"),
        (
            "controlplane/src/docker/events.rs",
            "use bollard::Docker; use std::time::Instant;",
        ),
        (
            "dataplane/src/io/udp.rs",
            "use libc::recvmmsg; fn f() { unsafe { g() } }",
        ),
    ] {
        let violations = check(&[Source::read(file, text)]);
        assert!(violations.is_empty(), "{file}: {text}: {}", show(&violations));
    }
}
