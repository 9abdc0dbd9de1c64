//! What may import what.
//!
//! ```text
//!                src/             puts the planes together
//!               /    \
//!      dataplane      controlplane      neither imports the other
//!               \    /
//!                dns                    no I/O, no clock, no runtime, no log; name < wire < record < snapshot < publish
//! ```
//!
//! Dependencies come from `cargo metadata`, paths from the sources. Tests inside the crates may do as they like.

mod support;

use std::fmt;
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};
use support::source::{Mention, Source};

/// A file that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    /// `file:line`, or the manifest.
    place: String,
    /// What it mentions.
    mention: String,
    /// The rule, as a sentence.
    rule: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.mention, self.rule)
    }
}

/// A crate, and those it must not depend on, whether or not a source mentions them.
const DEPENDENCIES: [(&str, &[&str], &str); 4] = [
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
struct Rule {
    sentence: &'static str,
    /// Files it holds for: those whose path starts so.
    within: &'static [&'static str],
    /// Files it does not hold for, of these.
    except: &'static [&'static str],
    forbidden: fn(&Mention) -> bool,
}

const RULES: [Rule; 11] = [
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
        forbidden: |it| {
            is_outside_world(it)
                || [
                    "glommio",
                    "libc",
                    "socket2",
                    "nix",
                    "futures_util",
                    "crate::io",
                    "crate::worker",
                    "super::io",
                ]
                .iter()
                .any(|path| it.is_within(path))
        },
    },
    Rule {
        sentence: "the cache has no socket and no clock: octets and a time in, octets out",
        within: &["dataplane/src/cache/"],
        except: &[],
        forbidden: |it| {
            is_outside_world(it)
                || ["glommio", "libc", "socket2", "nix", "crate::io", "crate::worker"]
                    .iter()
                    .any(|path| it.is_within(path))
        },
    },
    Rule {
        sentence: "the forwarder decides without sockets: octets, addresses and a time in, what to send out",
        within: &["dataplane/src/forward/", "dataplane/src/path.rs"],
        except: &[],
        forbidden: |it| {
            [
                "glommio",
                "libc",
                "socket2",
                "nix",
                "std::net::UdpSocket",
                "crate::io",
                "crate::worker",
                "super::io",
            ]
            .iter()
            .any(|path| it.is_within(path))
        },
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
const DNS_ORDER: [&str; 6] = ["name", "moment", "wire", "record", "snapshot", "publish"];

/// Every rule that these sources break.
fn check(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        let is_in = |places: &[&str]| places.iter().any(|place| source.file.starts_with(place));
        let mut add = |mention: &Mention, rule| {
            let (place, mention) = (
                format!("{}:{}", source.file, mention.line),
                mention.path.join("::"),
            );
            violations.push(Violation { place, mention, rule });
        };
        for rule in RULES
            .iter()
            .filter(|rule| is_in(rule.within) && !is_in(rule.except))
        {
            for mention in source.mentions.iter().filter(|mention| (rule.forbidden)(mention)) {
                add(mention, rule.sentence);
            }
        }
        let Some(own) = dns_module(&source.file) else {
            continue;
        };
        for mention in &source.mentions {
            let seen = resolve(&source.file, mention).and_then(|module| place_in_order(&module));
            if seen.is_some_and(|seen| seen > own) {
                add(mention, "inside dns, name < wire < record < snapshot < publish");
            }
        }
    }
    violations
}

fn place_in_order(module: &str) -> Option<usize> {
    DNS_ORDER.iter().position(|known| *known == module)
}

/// The place in [`DNS_ORDER`] of a file's module.
fn dns_module(file: &str) -> Option<usize> {
    let inside = file.strip_prefix("dns/src/")?.trim_end_matches(".rs");
    place_in_order(inside.split('/').next()?)
}

/// The module below the crate's root that a path of `file` leads to: `crate::wire::RType` and, in `dns/src/name.rs`,
/// `super::wire::RType` to `wire`.
fn resolve(file: &str, mention: &Mention) -> Option<String> {
    // The modules from the root to the one that `self` is.
    let inside = file
        .strip_prefix("dns/src/")?
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    let mut at: Vec<&str> = inside.split('/').collect();
    let mut path = mention.path.iter().map(String::as_str).peekable();
    match path.next()? {
        "crate" => at.clear(),
        "super" => {
            at.pop();
        }
        _ => return None,
    }
    while path.next_if_eq(&"super").is_some() {
        at.pop();
    }
    match at.first() {
        Some(first) => Some((*first).to_owned()),
        None => path.next().map(str::to_owned),
    }
}

fn all_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directories = [
        "src",
        "dns/src",
        "dataplane/src",
        "controlplane/src",
        "fuzz",
        "benches",
        "tests",
    ];
    let sources: Vec<_> = directories
        .iter()
        .flat_map(|directory| Source::below(root, directory))
        .collect();
    // Generated by the fuzzer's tool and by nobody of us.
    sources
        .into_iter()
        .filter(|source| !source.file.starts_with("fuzz/target/"))
        .collect()
}

fn show(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(|violation| format!("\n  {violation}"))
        .collect()
}

#[test]
fn sources_keep_the_rules_of_import() {
    let sources = all_sources();
    for crate_root in [
        "src/main.rs",
        "dns/src/lib.rs",
        "dataplane/src/lib.rs",
        "controlplane/src/lib.rs",
    ] {
        assert!(
            sources.iter().any(|source| source.file == crate_root),
            "{crate_root} was not read"
        );
    }
    let violations = check(&sources);
    assert!(violations.is_empty(), "{}", show(&violations));
}

#[test]
fn crates_keep_the_rules_of_import() {
    let metadata = MetadataCommand::new()
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec();
    let metadata = metadata.expect("cargo metadata reads the workspace");
    let mut violations = Vec::new();
    for (name, forbidden, rule) in DEPENDENCIES {
        let package = metadata
            .packages
            .iter()
            .find(|package| package.name.as_str() == name);
        let package = package.unwrap_or_else(|| unreachable!("the workspace has {name}"));
        // Tests of a crate may use what it must not.
        let shipped = package
            .dependencies
            .iter()
            .filter(|it| it.kind != DependencyKind::Development);
        for dependency in shipped.filter(|dependency| forbidden.contains(&dependency.name.as_str())) {
            let (place, mention) = (package.manifest_path.to_string(), dependency.name.clone());
            violations.push(Violation { place, mention, rule });
        }
    }
    assert!(violations.is_empty(), "{}", show(&violations));
}

/// Neither `#[path]` nor `include!` takes a private module of another crate into benches, tests or fuzz targets.
#[test]
fn benches_tests_and_fuzz_use_public_items_only() {
    let sources = all_sources();
    let outside = ["benches/", "tests/", "fuzz/"];
    let outside = sources
        .iter()
        .filter(|source| outside.iter().any(|directory| source.file.starts_with(directory)));
    for source in outside.filter(|source| source.file != "tests/import_rules.rs") {
        let taken = source.mentions.iter().find(|mention| mention.path == ["include"]);
        assert_eq!(taken, None, "{} includes another file", source.file);
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&source.file));
        let text = text.expect("it was read before");
        // They may share what is theirs; what is private to a crate lies in its `src`.
        let mut paths = text.lines().filter(|line| line.contains("#[path"));
        assert_eq!(
            paths.find(|path| path.contains("src/")),
            None,
            "{} takes a private module",
            source.file
        );
    }
}

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
