//! The rules themselves.

use crate::support::source::Mention;

/// A crate, and those it must not depend on, whether or not a source mentions them.
pub(crate) const DEPENDENCIES: [(&str, &[&str], &str); 4] = [
    (
        "dns",
        &["dataplane", "controlplane", "skydock"],
        "dns imports neither plane",
    ),
    (
        "dns",
        &["tokio", "glommio", "tracing", "log", "socket2", "libc", "nix"],
        "dns does no I/O and logs nothing",
    ),
    (
        "dataplane",
        &["controlplane", "skydock", "tokio", "bollard", "axum"],
        "the data plane imports no control plane",
    ),
    (
        "controlplane",
        &["dataplane", "skydock", "glommio"],
        "the control plane imports no data plane",
    ),
];

/// A rule about paths in sources.
pub(crate) struct Rule {
    pub(crate) sentence: &'static str,
    /// Files it holds for: those whose path starts so.
    pub(crate) within: &'static [&'static str],
    /// Files it does not hold for, of these.
    pub(crate) except: &'static [&'static str],
    pub(crate) forbidden: fn(&Mention) -> bool,
}

pub(crate) const RULES: [Rule; 11] = [
    Rule {
        sentence: "dns does no I/O, reads no clock, starts no thread and logs nothing",
        within: &["dns/src/"],
        except: &[],
        forbidden: |it| {
            is_outside_world(it)
                || ["tokio", "glommio", "tracing", "log", "libc"]
                    .iter()
                    .any(|it2| it.is_within(it2))
        },
    },
    Rule {
        sentence: "dns imports neither plane",
        within: &["dns/src/"],
        except: &[],
        forbidden: |it| it.is_within("dataplane") || it.is_within("controlplane"),
    },
    Rule {
        sentence: "the data plane does not import the control plane",
        within: &["dataplane/src/"],
        except: &[],
        forbidden: |it| it.is_within("controlplane"),
    },
    Rule {
        sentence: "the control plane does not import the data plane",
        within: &["controlplane/src/"],
        except: &[],
        forbidden: |it| it.is_within("dataplane"),
    },
    Rule {
        sentence: "respond sees no socket, executor or clock, and neither does what it goes by",
        within: &[
            "dataplane/src/respond.rs",
            "dataplane/src/respond/",
            "dataplane/src/access.rs",
            "dataplane/src/ratelimit.rs",
            "dataplane/src/special.rs",
        ],
        except: &[],
        forbidden: |it| is_outside_world(it) || has_sockets(it) || it.is_within("futures_util"),
    },
    Rule {
        sentence: "the cache has no socket and no clock: octets and a time in, octets out",
        within: &["dataplane/src/cache/"],
        except: &[],
        forbidden: |it| is_outside_world(it) || has_sockets(it),
    },
    Rule {
        sentence: "the forwarder decides without sockets: octets, addresses and a time in, what to send out",
        within: &["dataplane/src/forward/", "dataplane/src/path.rs"],
        except: &[],
        forbidden: |it| has_sockets(it) || it.is_within("std::net::UdpSocket"),
    },
    Rule {
        sentence: "only the pipeline publishes; the crate's root hands the publisher on",
        within: &["controlplane/src/"],
        except: &[
            "controlplane/src/pipeline.rs",
            "controlplane/src/pipeline/",
            "controlplane/src/lib.rs",
        ],
        forbidden: |it| it.has("Publisher"),
    },
    Rule {
        sentence: "the engine's types stop at docker/",
        within: &["controlplane/src/", "dataplane/src/", "dns/src/", "src/"],
        except: &["controlplane/src/docker/"],
        forbidden: |it| it.is_within("bollard"),
    },
    Rule {
        sentence: "HTTP's types stop at api/",
        within: &["controlplane/src/", "dataplane/src/", "dns/src/", "src/"],
        except: &[
            "controlplane/src/api/",
            "controlplane/src/docker/client.rs",
            "src/command/client.rs",
            "src/command/client/",
        ],
        forbidden: |it| it.is_within("axum") || it.is_within("hyper"),
    },
    Rule {
        sentence: "unsafe code and libc are for the system calls of batches alone",
        within: &[
            "controlplane/src/",
            "dataplane/src/",
            "dns/src/",
            "src/",
            "fuzz/",
            "benches/",
            "tests/",
        ],
        except: &["dataplane/src/io/udp.rs", "dataplane/src/io/udp/"],
        forbidden: |it| it.path == ["unsafe"] || it.is_within("libc"),
    },
];

/// Sockets and executors of other crates, and what of ours has them.
fn has_sockets(mention: &Mention) -> bool {
    [
        "glommio",
        "libc",
        "socket2",
        "nix",
        "crate::io",
        "crate::worker",
        "super::io",
    ]
    .iter()
    .any(|path| mention.is_within(path))
}

/// Sockets, files, clocks, threads and processes of the standard library.
fn is_outside_world(mention: &Mention) -> bool {
    let sockets = ["UdpSocket", "TcpStream", "TcpListener", "ToSocketAddrs"];
    mention.is_within("std::net") && sockets.iter().any(|socket| mention.has(socket))
        || mention.is_within("std::os")
        || mention.is_within("std::time") && (mention.has("Instant") || mention.has("SystemTime"))
        || ["std::fs", "std::io", "std::env", "std::process", "std::thread"]
            .iter()
            .any(|path| mention.is_within(path))
}

/// The modules of dns, each allowed to see those before it.
pub(crate) const DNS_ORDER: [&str; 6] = ["name", "moment", "wire", "record", "snapshot", "publish"];
