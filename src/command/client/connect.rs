//! A connection to the daemon, encrypted or not.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use hyper::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore, crypto};

use crate::failure::{self, Failure};

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects to the host and port of `uri`; who vouches for an https one is in `ca_cert`, else in the files of this host.
///
/// # Errors
///
/// [`Failure`], with `url` and the remedy: nobody listens there, or it cannot be trusted, or speaks something else.
pub(super) async fn connect(
    uri: &Uri,
    url: &str,
    ca_cert: Option<&Path>,
) -> Result<Box<dyn Stream>, Failure> {
    let is_tls = uri.scheme_str() == Some("https");
    let host = uri.host().unwrap_or_default();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = TcpStream::connect((bare, port)).await.map_err(|error| {
        let reason = failure::chain(&error);
        Failure::Runtime(format!(
            "{url} cannot be reached: {reason}; is skydock running there? --url names another"
        ))
    })?;
    if !is_tls {
        return Ok(Box::new(stream));
    }
    let name = match bare.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(bare.to_owned())
            .map_err(|error| Failure::Usage(format!("--url: {error}")))?,
    };
    let connector = TlsConnector::from(Arc::new(tls(ca_cert)?));
    let connected = connector.connect(name, stream).await.map_err(|error| {
        let remedy = remedy(&error);
        let reason = failure::chain(&error);
        Failure::Runtime(format!("{url}: TLS does not come about ({reason}); {remedy}"))
    });
    Ok(Box::new(connected?))
}

/// What to do about TLS that does not come about.
fn remedy(error: &io::Error) -> &'static str {
    let error = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>());
    match error {
        Some(rustls::Error::InvalidMessage(_)) => "if skydock there has no --http-cert, write http://",
        Some(rustls::Error::InvalidCertificate(wrong)) => match wrong {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "give --ca-cert the file of the certificate that vouches for it"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "ask by a name that its certificate has, or give skydock there a certificate for this one"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew the certificate there; skydock reads its files again by itself"
            }
            _ => "look at the certificate that --http-cert names there, and at --ca-cert here",
        },
        _ => "look at the log of skydock there",
    }
}

fn tls(ca_cert: Option<&Path>) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    match ca_cert {
        Some(path) => {
            let unreadable = |error: &dyn std::fmt::Display| {
                Failure::Usage(format!(
                    "--ca-cert {}: {error}; give a file of certificates in PEM",
                    path.display()
                ))
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failure::of("TLS does not start", &error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
