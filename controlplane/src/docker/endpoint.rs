//! Which engine to watch.
//!
//! ```text
//!  --docker ──given──▶ parse ──▶ Endpoint
//!     └─ not given ─▶ DOCKER_HOST ─set─▶ parse
//!                        └─ not set ─▶ DOCKER_CONTEXT, else currentContext in config.json ─named─▶ its meta.json ─▶ parse
//!                                        └─ none ─▶ the first socket that is there for us, else /var/run/docker.sock
//! ```
//!
//! A plain function of the flag and what is around us: it connects to nothing.

mod address;
mod context;
mod surroundings;

use std::fmt;
use std::path::PathBuf;

use address::Tls;
pub use surroundings::{Surroundings, ThisHost};

/// The socket we keep trying when no other is there: where Docker's packages put it.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

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
    /// The Docker client's context.
    Context,
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
        /// The flag, the variable or the context.
        from: String,
        /// What was given.
        input: String,
        /// The part before `://`.
        scheme: String,
    },
    /// No host, a bad port, or something behind the port.
    #[error("{from} is {input:?}: expected tcp://HOST:PORT, for example tcp://192.0.2.7:2376")]
    Authority {
        /// The flag, the variable or the context.
        from: String,
        /// What was given.
        input: String,
    },
    /// A scheme without a path.
    #[error("{from} is {input:?}: expected unix:///PATH, for example unix:///var/run/docker.sock")]
    Path {
        /// The flag, the variable or the context.
        from: String,
        /// What was given.
        input: String,
    },
    /// TLS without any place to look for certificates.
    #[error(
        "{from} is {input:?}, which needs TLS, but neither DOCKER_CERT_PATH nor HOME is set; set \
         DOCKER_CERT_PATH to the directory that holds ca.pem, cert.pem and key.pem"
    )]
    Certificates {
        /// The flag, the variable or the context.
        from: String,
        /// What was given.
        input: String,
    },
    /// A context that is not there.
    #[error(
        "{from} names the Docker context {name:?}, which is not there; `docker context ls` shows those there are, and \
         --docker or DOCKER_HOST name an engine without any"
    )]
    NoContext {
        /// The variable or the file.
        from: String,
        /// The context's name.
        name: String,
    },
    /// A context without which nobody knows whom we speak to.
    #[error(
        "{from} wants TLS without verification, which is not supported; give it the CA's certificate with `docker \
         context update`"
    )]
    Unverified {
        /// The context.
        from: String,
    },
}

impl Endpoint {
    /// Finds the engine from `flag` (the value of `--docker`) and what is around us, as the Docker client does.
    ///
    /// An empty flag or variable counts as not given. TLS is used for `https://`, and for `tcp://` where
    /// `DOCKER_TLS_VERIFY` is not empty; certificates are then read from `DOCKER_CERT_PATH`, else `DOCKER_CONFIG`, else
    /// `~/.docker`. A context has its own certificates, or none, whatever the environment says.
    ///
    /// # Errors
    ///
    /// - [`EndpointError::Scheme`]: `ssh://`, `npipe://`, `fd://` and whatever else we cannot speak.
    /// - [`EndpointError::Authority`]: no host, a port that is none, or a path behind them.
    /// - [`EndpointError::Path`]: `unix://` and no path.
    /// - [`EndpointError::Certificates`]: TLS is asked for and no directory can hold the certificates.
    /// - [`EndpointError::NoContext`]: there is no context of the name that is in use.
    /// - [`EndpointError::Unverified`]: the context wants TLS without looking at certificates.
    pub fn find(flag: Option<&str>, around: &impl Surroundings) -> Result<Self, EndpointError> {
        let variable = |name: &str| around.variable(name).filter(|value| !value.trim().is_empty());
        let tls = || Tls {
            is_wanted: variable("DOCKER_TLS_VERIFY").is_some(),
            certificates: variable("DOCKER_CERT_PATH")
                .map(PathBuf::from)
                .or_else(|| context::configuration(around)),
        };
        let named = [
            (flag.map(str::to_owned), "--docker", Origin::Flag),
            (variable("DOCKER_HOST"), "DOCKER_HOST", Origin::DockerHost),
        ];
        for (input, from, origin) in named {
            if let Some(input) = input.filter(|input| !input.trim().is_empty()) {
                let address = Address::parse(from, &input, tls())?;
                return Ok(Self { address, origin });
            }
        }
        if let Some(context) = context::current(around)? {
            let tls = Tls {
                is_wanted: context.certificates.is_some(),
                certificates: context.certificates,
            };
            let address = Address::parse(&context.called, &context.host, tls)?;
            let origin = Origin::Context;
            return Ok(Self { address, origin });
        }
        let there: Vec<_> = well_known_sockets(&variable)
            .into_iter()
            .filter(|path| around.exists(path))
            .collect();
        // One that is not for us is named all the same: then the reason why is told.
        let found = there.iter().find(|path| around.may_write(path)).or(there.first());
        let (path, origin) = match found {
            Some(path) => (path.clone(), Origin::Found),
            None => (PathBuf::from(DOCKER_SOCKET), Origin::Default),
        };
        Ok(Self {
            address: Address::Unix(path),
            origin,
        })
    }
}

/// Where engines put their sockets: Docker; rootless Docker, which has no runtime directory everywhere; rootless Podman;
/// Docker Desktop; Podman.
fn well_known_sockets(variable: &impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from(DOCKER_SOCKET)];
    if let Some(runtime) = variable("XDG_RUNTIME_DIR").map(PathBuf::from) {
        paths.push(runtime.join("docker.sock"));
        paths.push(runtime.join("podman/podman.sock"));
    }
    if let Some(home) = variable("HOME").map(PathBuf::from) {
        paths.push(home.join(".docker/run/docker.sock"));
        paths.push(home.join(".docker/desktop/docker.sock"));
    }
    paths.push(PathBuf::from("/run/podman/podman.sock"));
    paths
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
mod tests;
