//! Reading an engine's address.

use std::path::PathBuf;

use super::{Address, EndpointError};

/// Port of an engine that is spoken to in the clear, where none is named; the Docker client's default.
const PLAIN_PORT: u16 = 2375;

/// Port of an engine that is spoken to over TLS, where none is named; the Docker client's default.
const TLS_PORT: u16 = 2376;

/// What `tcp://` means, and where the certificates are.
pub(super) struct Tls {
    pub(super) is_wanted: bool,
    pub(super) certificates: Option<PathBuf>,
}

impl Address {
    /// Reads what `from` says.
    pub(super) fn parse(from: &str, input: &str, tls: Tls) -> Result<Self, EndpointError> {
        let (from, input) = (from.to_owned(), input.trim());
        let bad_authority = || EndpointError::Authority {
            from: from.clone(),
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
        let is_tls = match scheme.as_str() {
            "unix" if rest.is_empty() => {
                return Err(EndpointError::Path {
                    from,
                    input: input.to_owned(),
                });
            }
            "unix" => return Ok(Self::Unix(PathBuf::from(rest))),
            "https" => true,
            "tcp" | "http" => scheme == "tcp" && tls.is_wanted,
            _ => {
                return Err(EndpointError::Scheme {
                    from,
                    input: input.to_owned(),
                    scheme,
                });
            }
        };
        if !is_tls {
            return Ok(Self::Http {
                authority: authority(rest, PLAIN_PORT).ok_or_else(bad_authority)?,
            });
        }
        let certificates = tls.certificates.ok_or_else(|| EndpointError::Certificates {
            from: from.clone(),
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
