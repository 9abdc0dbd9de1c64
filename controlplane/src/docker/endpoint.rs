//! Where the container engine is: what `--docker` and the Docker client's own environment say.
//!
//! ```text
//!  --docker ─given─▶ parse ─▶ Endpoint          parse: /path unix:// tcp:// http:// https:// host:port
//!     └─ not given ─▶ DOCKER_HOST ─set─▶ parse
//!                        └─ not set ─▶ the first socket that exists, else /var/run/docker.sock
//! ```
//!
//! A plain function of the flag, the environment and what exists: it opens nothing.

use std::fmt;
use std::path::{Path, PathBuf};

/// The socket we keep trying when no other is there: where Docker's packages put it.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Port of an engine that is spoken to in the clear, where none is named; the Docker client's default.
const PLAIN_PORT: u16 = 2375;

/// Port of an engine that is spoken to over TLS, where none is named; the Docker client's default.
const TLS_PORT: u16 = 2376;

/// A container engine's address, and how we came by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What to connect to.
    pub address: Address,
    /// What named it.
    pub origin: Origin,
}

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// HTTP in the clear.
    Http {
        /// `host:port`, an IPv6 host in brackets.
        authority: String,
    },
    /// HTTP over TLS, the server's certificate checked.
    Https {
        /// `host:port`, an IPv6 host in brackets.
        authority: String,
        /// Directory of `ca.pem`, `cert.pem` and `key.pem`.
        certificates: PathBuf,
    },
}

/// What named the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--docker`.
    Flag,
    /// The environment variable `DOCKER_HOST`.
    DockerHost,
    /// Nobody: it is a well-known place, and something is there.
    Found,
    /// Nobody, and nothing is at any well-known place yet.
    Default,
}

/// Why an engine's address could not be read. Each names the input and the way out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// A scheme that we cannot speak.
    #[error(
        "{from} is {input:?}: {scheme}:// is not supported; give a socket path, or a unix://, tcp://, http:// \
         or https:// address"
    )]
    Scheme {
        /// The flag or the variable.
        from: &'static str,
        /// What was given.
        input: String,
        /// The part before `://`.
        scheme: String,
    },
    /// No host, a bad port, or something behind the port.
    #[error("{from} is {input:?}: expected tcp://HOST:PORT, for example tcp://192.0.2.7:2376")]
    Authority {
        /// The flag or the variable.
        from: &'static str,
        /// What was given.
        input: String,
    },
    /// A scheme without a path.
    #[error("{from} is {input:?}: expected unix:///PATH, for example unix:///var/run/docker.sock")]
    Path {
        /// The flag or the variable.
        from: &'static str,
        /// What was given.
        input: String,
    },
    /// TLS without any place to look for certificates.
    #[error(
        "{from} is {input:?}, which needs TLS, but neither DOCKER_CERT_PATH nor HOME is set; set \
         DOCKER_CERT_PATH to the directory that holds ca.pem, cert.pem and key.pem"
    )]
    Certificates {
        /// The flag or the variable.
        from: &'static str,
        /// What was given.
        input: String,
    },
}

impl Endpoint {
    /// Finds the engine from `flag` (the value of `--docker`), the environment and what `exists`.
    ///
    /// An empty flag or variable counts as not given, as it does for the Docker client. TLS is used for `https://`,
    /// and for `tcp://` where `DOCKER_TLS_VERIFY` is not empty; certificates are then read from `DOCKER_CERT_PATH`,
    /// else `DOCKER_CONFIG`, else `~/.docker`.
    ///
    /// # Errors
    ///
    /// - [`EndpointError::Scheme`]: `ssh://`, `npipe://`, `fd://` and whatever else we cannot speak.
    /// - [`EndpointError::Authority`]: no host, a port that is none, or a path behind them.
    /// - [`EndpointError::Path`]: `unix://` and no path.
    /// - [`EndpointError::Certificates`]: TLS is asked for and no directory can hold the certificates.
    pub fn find(
        flag: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
        exists: impl Fn(&Path) -> bool,
    ) -> Result<Self, EndpointError> {
        let variable = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        if let Some(input) = flag.filter(|flag| !flag.trim().is_empty()) {
            let address = Address::parse("--docker", input.trim(), &variable)?;
            return Ok(Self {
                address,
                origin: Origin::Flag,
            });
        }
        if let Some(input) = variable("DOCKER_HOST") {
            let address = Address::parse("DOCKER_HOST", input.trim(), &variable)?;
            return Ok(Self {
                address,
                origin: Origin::DockerHost,
            });
        }
        let found = well_known_sockets(&variable)
            .into_iter()
            .find(|path| exists(path));
        let origin = if found.is_some() {
            Origin::Found
        } else {
            Origin::Default
        };
        let path = found.unwrap_or_else(|| PathBuf::from(DOCKER_SOCKET));
        Ok(Self {
            address: Address::Unix(path),
            origin,
        })
    }
}

/// Where engines put their sockets: Docker, rootless Docker, rootless Podman, Podman.
fn well_known_sockets(variable: &impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from(DOCKER_SOCKET)];
    if let Some(runtime) = variable("XDG_RUNTIME_DIR").map(PathBuf::from) {
        paths.push(runtime.join("docker.sock"));
        paths.push(runtime.join("podman/podman.sock"));
    }
    paths.push(PathBuf::from("/run/podman/podman.sock"));
    paths
}

impl Address {
    fn parse(
        from: &'static str,
        input: &str,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Self, EndpointError> {
        let bad_authority = || EndpointError::Authority {
            from,
            input: input.to_owned(),
        };
        let (scheme, rest) = match input.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            // The Docker client takes `host:port` for TCP; everything else without a scheme is a path.
            None if !input.starts_with(['/', '.'])
                && authority(input, PLAIN_PORT).is_some_and(|a| a == input) =>
            {
                ("tcp".to_owned(), input)
            }
            None => return Ok(Self::Unix(PathBuf::from(input))),
        };
        let tls = match scheme.as_str() {
            "unix" if rest.is_empty() => {
                return Err(EndpointError::Path {
                    from,
                    input: input.to_owned(),
                });
            }
            "unix" => return Ok(Self::Unix(PathBuf::from(rest))),
            "https" => true,
            "tcp" | "http" => scheme == "tcp" && variable("DOCKER_TLS_VERIFY").is_some(),
            _ => {
                return Err(EndpointError::Scheme {
                    from,
                    input: input.to_owned(),
                    scheme,
                });
            }
        };
        if !tls {
            return Ok(Self::Http {
                authority: authority(rest, PLAIN_PORT).ok_or_else(bad_authority)?,
            });
        }
        let certificates = ["DOCKER_CERT_PATH", "DOCKER_CONFIG"]
            .into_iter()
            .find_map(variable)
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")))
            .ok_or_else(|| EndpointError::Certificates {
                from,
                input: input.to_owned(),
            })?;
        Ok(Self::Https {
            authority: authority(rest, TLS_PORT).ok_or_else(bad_authority)?,
            certificates,
        })
    }
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`, a closing slash allowed, and fills in the port.
fn authority(text: &str, default_port: u16) -> Option<String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (v6, rest) = inner.split_once(']')?;
            v6.parse::<std::net::Ipv6Addr>().ok()?;
            (
                format!("[{v6}]"),
                rest.strip_prefix(':').or_else(|| rest.is_empty().then_some(""))?,
            )
        }
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            (!host.is_empty() && host.chars().all(plain)).then_some(())?;
            (host.to_owned(), port)
        }
    };
    let port = if port.is_empty() {
        default_port
    } else {
        port.parse().ok().filter(|&port| port != 0)?
    };
    Some(format!("{host}:{port}"))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Http { authority } => write!(f, "tcp://{authority}"),
            Address::Https { authority, .. } => write!(f, "https://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `environment` is `NAME=value` words, `present` the paths that exist; the result is the endpoint's text and
    /// origin, with the certificates behind an `https` one, or the error's text.
    fn find(flag: Option<&str>, environment: &str, present: &[&str]) -> String {
        let lookup = |name: &str| {
            environment
                .split_whitespace()
                .filter_map(|word| word.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        };
        match Endpoint::find(flag, lookup, |path| present.iter().any(|p| Path::new(p) == path)) {
            Ok(endpoint) => match &endpoint.address {
                Address::Https { certificates, .. } => {
                    format!("{endpoint} {:?} {}", endpoint.origin, certificates.display())
                }
                Address::Unix(_) | Address::Http { .. } => format!("{endpoint} {:?}", endpoint.origin),
            },
            Err(error) => error.to_string(),
        }
    }

    #[track_caller]
    fn check(flag: Option<&str>, environment: &str, present: &[&str], expected: &str) {
        assert_eq!(find(flag, environment, present), expected);
    }

    #[test]
    fn the_flag_takes_a_path_and_every_scheme() {
        for (flag, expected) in [
            ("/docker.sock", "unix:///docker.sock Flag"),
            ("docker.sock", "unix://docker.sock Flag"),
            ("./docker.sock", "unix://./docker.sock Flag"),
            ("unix:///run/docker.sock", "unix:///run/docker.sock Flag"),
            ("tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375 Flag"),
            ("tcp://10.0.0.1:2375/", "tcp://10.0.0.1:2375 Flag"),
            ("tcp://engine", "tcp://engine:2375 Flag"),
            ("TCP://engine", "tcp://engine:2375 Flag"),
            ("tcp://[::1]", "tcp://[::1]:2375 Flag"),
            ("tcp://[fd00::7]:99", "tcp://[fd00::7]:99 Flag"),
            ("http://engine:80", "tcp://engine:80 Flag"),
            ("127.0.0.1:2375", "tcp://127.0.0.1:2375 Flag"),
            ("https://engine", "https://engine:2376 Flag /root/.docker"),
        ] {
            check(Some(flag), "HOME=/root", &[], expected);
        }
    }

    #[test]
    fn tcp_is_tls_where_docker_tls_verify_says_so() {
        check(
            Some("tcp://engine"),
            "DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/certs HOME=/root",
            &[],
            "https://engine:2376 Flag /certs",
        );
        check(
            None,
            "DOCKER_HOST=tcp://e DOCKER_TLS_VERIFY=1 HOME=/h",
            &[],
            "https://e:2376 DockerHost /h/.docker",
        );
        check(
            None,
            "DOCKER_HOST=tcp://e DOCKER_TLS_VERIFY= HOME=/h",
            &[],
            "tcp://e:2375 DockerHost",
        );
        check(
            None,
            "DOCKER_HOST=tcp://e DOCKER_CERT_PATH=/certs",
            &[],
            "tcp://e:2375 DockerHost",
        );
        check(
            None,
            "DOCKER_HOST=unix:///s DOCKER_TLS_VERIFY=1",
            &[],
            "unix:///s DockerHost",
        );
    }

    #[test]
    fn the_flag_beats_docker_host_and_docker_host_beats_what_exists() {
        check(
            Some("/a"),
            "DOCKER_HOST=unix:///b",
            &[DOCKER_SOCKET],
            "unix:///a Flag",
        );
        check(
            None,
            "DOCKER_HOST=unix:///b",
            &[DOCKER_SOCKET],
            "unix:///b DockerHost",
        );
        check(
            Some(""),
            "DOCKER_HOST=",
            &[DOCKER_SOCKET],
            "unix:///var/run/docker.sock Found",
        );
    }

    #[test]
    fn the_first_well_known_socket_that_exists_is_taken() {
        let all = [
            DOCKER_SOCKET,
            "/run/user/7/docker.sock",
            "/run/user/7/podman/podman.sock",
            "/run/podman/podman.sock",
        ];
        let environment = "XDG_RUNTIME_DIR=/run/user/7";
        for first in 0..all.len() {
            check(
                None,
                environment,
                &all[first..],
                &format!("unix://{} Found", all[first]),
            );
        }
        check(None, environment, &[], "unix:///var/run/docker.sock Default");
        check(None, "", &all[1..3], "unix:///var/run/docker.sock Default");
    }

    #[test]
    fn an_error_names_the_input_and_the_remedy() {
        check(
            Some("ssh://me@host"),
            "",
            &[],
            "--docker is \"ssh://me@host\": ssh:// is not supported; give a socket path, or a unix://, tcp://, \
             http:// or https:// address",
        );
        let authority = "expected tcp://HOST:PORT, for example tcp://192.0.2.7:2376";
        for input in [
            "tcp://",
            "tcp://:1",
            "tcp://h:0",
            "tcp://h:70000",
            "tcp://h:1/x",
            "tcp://[z]",
            "tcp://a b",
        ] {
            check(
                Some(input),
                "",
                &[],
                &format!("--docker is {input:?}: {authority}"),
            );
        }
        check(
            None,
            "DOCKER_HOST=unix://",
            &[],
            "DOCKER_HOST is \"unix://\": expected unix:///PATH, for example unix:///var/run/docker.sock",
        );
        check(
            Some("https://h"),
            "",
            &[],
            "--docker is \"https://h\", which needs TLS, but neither DOCKER_CERT_PATH nor HOME is set; set \
             DOCKER_CERT_PATH to the directory that holds ca.pem, cert.pem and key.pem",
        );
    }
}
