//! HTTP over TLS, for a listener that others than this host can reach.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, crypto};

use crate::look::Look;

/// A certificate and its key, with which connections are accepted. Clones are the same ones, also after
/// [`Tls::read_again`].
#[derive(Clone)]
pub struct Tls {
    acceptor: Arc<RwLock<TlsAcceptor>>,
    certificates: Arc<Path>,
    key: Arc<Path>,
    /// What the files looked like before they were read first.
    seen: Look,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of this kind.
    #[error("{path} gives no {kind} ({reason}); give a PEM file that we may read")]
    Unreadable {
        /// The file.
        path: String,
        /// `certificate` or `private key`.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The two do not fit.
    #[error("the certificate and the key cannot be used together ({0})")]
    Unfit(#[from] rustls::Error),
}

impl Tls {
    /// Reads a chain of certificates, the server's first, and the server's key, both as PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`], as its variants have it.
    pub fn load(certificates: &Path, key: &Path) -> Result<Self, TlsError> {
        let seen = Look::at(&[certificates.to_path_buf(), key.to_path_buf()]);
        let acceptor = acceptor(certificates, key)?;
        Ok(Self {
            seen,
            acceptor: Arc::new(RwLock::new(acceptor)),
            certificates: certificates.into(),
            key: key.into(),
        })
    }

    /// Reads both files again: connections that come from now on are accepted with what they hold.
    ///
    /// # Errors
    ///
    /// As [`Tls::load`]; what was in use stays so.
    pub(super) fn read_again(&self) -> Result<(), TlsError> {
        let acceptor = acceptor(&self.certificates, &self.key)?;
        *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
        Ok(())
    }

    /// The files.
    pub(super) fn files(&self) -> [PathBuf; 2] {
        [self.certificates.to_path_buf(), self.key.to_path_buf()]
    }

    /// What they looked like before they were read first.
    pub(super) fn seen(&self) -> &Look {
        &self.seen
    }

    /// What accepts a connection now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner);
        acceptor.clone()
    }
}

fn acceptor(certificates: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let unreadable = |path: &Path, kind, error: &pem::Error| TlsError::Unreadable {
        path: path.display().to_string(),
        kind,
        reason: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificates, "certificate", &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, "private key", &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}
