//! Certificates, signed by an authority that lives as long as a test.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// A CA of a test's own.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("a CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a CA").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Puts a certificate with `params` into `directory`, as the Docker client names the files: `ca.pem`, `cert.pem` and
    /// `key.pem`.
    pub(crate) fn sign(&self, params: &CertificateParams, directory: &Path) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a signature");
        for (file, text) in [
            ("ca.pem", &self.pem),
            ("cert.pem", &certificate.pem()),
            ("key.pem", &key.serialize_pem()),
        ] {
            std::fs::write(directory.join(file), text).expect("a file");
        }
    }
}
