//! Why an engine is away, in words for the person who can mend it.

use std::fmt;
use std::io;

use bollard::errors::Error;

use super::endpoint::{Address, Endpoint, Origin};

/// Why a connection could not be made, or ended.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A request failed.
    Request {
        /// What it was for, for example `list containers`.
        what: &'static str,
        error: Error,
    },
    /// A request took longer than its deadline.
    Deadline { what: &'static str, seconds: f32 },
    /// The engine said more than is read at once.
    TooLong { what: &'static str },
    /// What is at the socket's path is none.
    NotASocket,
    /// The engine ended its stream of events, as it does when it shuts down.
    EventsEnded,
    /// Its stream of events broke.
    EventsBroke(Error),
}

/// A reason and what to do about it, both sentences without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) reason: String,
    pub(crate) remedy: String,
}

impl Failure {
    /// Whether nothing took our connection: no engine runs there, so nothing is asked too much of by looking often.
    pub(crate) fn is_unreachable(&self) -> bool {
        let kind = match self {
            Self::Request { error, .. } => io_kind(error),
            Self::Deadline { .. }
            | Self::TooLong { .. }
            | Self::NotASocket
            | Self::EventsEnded
            | Self::EventsBroke(_) => None,
        };
        matches!(
            kind,
            Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
        )
    }

    /// Whether the engine did not answer in time.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self, Self::Deadline { .. })
    }

    /// Puts it in words.
    pub(crate) fn explain(&self, endpoint: &Endpoint) -> Trouble {
        let trouble = |reason: String, remedy: &str| Trouble {
            reason,
            remedy: remedy.to_owned(),
        };
        match self {
            Self::NotASocket => trouble(
                format!("{endpoint} is not a socket"),
                "name the engine's socket with --docker",
            ),
            Self::TooLong { what } => trouble(
                format!("the engine at {endpoint} said too much (to {what})"),
                "see which container has labels of megabytes: `docker inspect`",
            ),
            Self::EventsEnded => trouble(
                format!("the engine at {endpoint} closed its event stream"),
                "it was stopped or is restarting; reconnecting by itself once it is back",
            ),
            Self::EventsBroke(error) => trouble(
                format!(
                    "the event stream of the engine at {endpoint} broke: {}",
                    chain(error)
                ),
                "reconnecting by itself; if this repeats, see the engine's own log",
            ),
            Self::Deadline { what, seconds } => trouble(
                format!("the engine at {endpoint} did not answer within {seconds} s (to {what})"),
                "see whether the engine hangs: `docker ps` should answer at once",
            ),
            Self::Request { what, error } => explain_request(what, error, endpoint),
        }
    }
}

fn explain_request(what: &str, error: &Error, endpoint: &Endpoint) -> Trouble {
    let trouble = |reason: String, remedy: String| Trouble { reason, remedy };
    if let Error::DockerResponseServerError { status_code, message } = error {
        let message = message.trim();
        let remedy = match status_code {
            400 if message.contains("HTTPS") => {
                "it wants TLS: give https:// in its address, or set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH"
            }
            401 | 403 => {
                "let whatever guards the engine's API pass GET /version, /events, /containers/json, \
                 /containers/ID/json and /networks"
            }
            404 => "what listens there is not a container engine; name the engine's socket with --docker",
            _ => "see the engine's own log",
        };
        return trouble(
            format!("the engine at {endpoint} refused to {what}: {status_code} {message}"),
            remedy.to_owned(),
        );
    }
    match io_kind(error) {
        Some(io::ErrorKind::PermissionDenied) => trouble(
            format!("permission denied at {endpoint}"),
            "run skydock as root or as a member of the group that owns the socket (usually docker: `sudo usermod -aG \
             docker USER`, then log in again)"
                .to_owned(),
        ),
        Some(io::ErrorKind::NotFound) if matches!(endpoint.address, Address::Unix(_)) => {
            trouble(format!("there is no engine socket at {endpoint}"), missing_remedy(endpoint))
        }
        Some(io::ErrorKind::ConnectionRefused) => trouble(
            format!("nothing accepts connections at {endpoint}"),
            "start the engine (`sudo systemctl start docker`), or name another with --docker".to_owned(),
        ),
        _ if is_foreign_answer(error) => trouble(
            format!("what answers at {endpoint} does not speak a container engine's API: {}", chain(error)),
            "name the engine's socket with --docker".to_owned(),
        ),
        _ => trouble(
            format!("cannot {what} at {endpoint}: {}", chain(error)),
            match endpoint.address {
                Address::Https { ref certificates, .. } => format!(
                    "check that {} holds ca.pem, cert.pem and key.pem that the engine accepts, and that it is reachable",
                    certificates.display()
                ),
                Address::Http { .. } => "check the address, and that the engine is reachable from here".to_owned(),
                Address::Unix(_) => "see the engine's own log".to_owned(),
            },
        ),
    }
}

fn missing_remedy(endpoint: &Endpoint) -> String {
    match endpoint.origin {
        Origin::Flag => "check the path given by --docker, or start the engine that makes it".to_owned(),
        Origin::DockerHost => "check DOCKER_HOST, or start the engine that it names".to_owned(),
        Origin::Context => {
            "start the engine that the Docker context in use names, or choose another (`docker context use`, --docker)"
                .to_owned()
        }
        Origin::Found | Origin::Default => {
            "start the engine, or name its socket with --docker; inside a container, mount it with \
             `-v /var/run/docker.sock:/var/run/docker.sock`"
                .to_owned()
        }
    }
}

/// The kind of the I/O error at the bottom of `error`, if there is one.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    // This variant passes its own cause off as itself, so the walk below would miss it.
    if let Error::IOError { err } = error {
        return Some(err.kind());
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = cause {
        if let Some(io) = this.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = this.source();
    }
    None
}

/// Whether something answered, but not as an engine does.
fn is_foreign_answer(error: &Error) -> bool {
    match error {
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } | Error::APIVersionParseError {} => true,
        // hyper hides which of its errors mean "that was no HTTP" behind the text.
        Error::HyperLegacyError { .. } | Error::HyperResponseError { .. } => {
            chain(error).contains("invalid HTTP")
        }
        _ => false,
    }
}

/// An error with its causes, as `a: b: c`; a cause whose text the one before it already ends with is left out.
pub(crate) fn chain(error: &Error) -> String {
    struct Chain<'e>(&'e (dyn std::error::Error + 'static));
    impl fmt::Display for Chain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let mut last = self.0.to_string();
            write!(f, "{last}")?;
            let mut cause = self.0.source();
            while let Some(this) = cause {
                let text = this.to_string();
                if !last.ends_with(&text) {
                    write!(f, ": {text}")?;
                    last = text;
                }
                cause = this.source();
            }
            Ok(())
        }
    }
    Chain(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(kind: io::ErrorKind, address: Address, origin: Origin) -> Trouble {
        let error = Error::IOError { err: kind.into() };
        Failure::Request {
            what: "read its version",
            error,
        }
        .explain(&Endpoint { address, origin })
    }

    fn socket() -> Address {
        Address::Unix("/var/run/docker.sock".into())
    }

    #[test]
    fn a_forbidden_socket_names_the_group_that_may_use_it() {
        let trouble = explain(io::ErrorKind::PermissionDenied, socket(), Origin::Found);
        assert_eq!(trouble.reason, "permission denied at unix:///var/run/docker.sock");
        assert!(
            trouble.remedy.contains("usermod -aG docker"),
            "{}",
            trouble.remedy
        );
    }

    #[test]
    fn the_remedy_for_a_missing_socket_names_what_named_the_socket() {
        for (origin, expected) in [
            (Origin::Flag, "--docker"),
            (Origin::DockerHost, "DOCKER_HOST"),
            (Origin::Context, "docker context use"),
            (Origin::Default, "-v /var/run/docker.sock:/var/run/docker.sock"),
        ] {
            let trouble = explain(io::ErrorKind::NotFound, socket(), origin);
            assert_eq!(
                trouble.reason,
                "there is no engine socket at unix:///var/run/docker.sock"
            );
            assert!(trouble.remedy.contains(expected), "{}", trouble.remedy);
        }
    }

    #[test]
    fn a_missing_certificate_names_the_directory_and_its_files() {
        let address = Address::Https {
            authority: "e:2376".to_owned(),
            certificates: "/certs".into(),
        };
        let trouble = explain(io::ErrorKind::NotFound, address, Origin::Flag);
        assert!(trouble.reason.contains("https://e:2376"), "{}", trouble.reason);
        assert!(
            trouble
                .remedy
                .contains("/certs holds ca.pem, cert.pem and key.pem"),
            "{}",
            trouble.remedy
        );
    }

    #[test]
    fn an_engine_that_wants_tls_says_so() {
        let message = "Client sent an HTTP request to an HTTPS server.\n".to_owned();
        let error = Error::DockerResponseServerError {
            status_code: 400,
            message,
        };
        let address = Address::Http {
            authority: "e:2376".to_owned(),
        };
        let failure = Failure::Request {
            what: "read its version",
            error,
        };
        let trouble = failure.explain(&Endpoint {
            address,
            origin: Origin::Flag,
        });
        assert!(trouble.remedy.contains("DOCKER_TLS_VERIFY=1"), "{trouble:?}");
    }
}
