//! Other servers as people write them in flags, and whose certificates are trusted where they are asked over TLS.

use std::path::Path;
use std::sync::Arc;

use dataplane::forward::Upstream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, crypto};

use crate::address::{self, DNS_PORT};
use crate::failure::{self, Failure};

/// The port of DNS over TLS (RFC 7858, section 3.1).
const TLS_PORT: u16 = 853;
/// What a server begins with that is asked over TLS; what is after `#` says so, too.
const TLS_SCHEME: &str = "tls://";

/// Reads `192.0.2.1`, `192.0.2.1:5300` and whatever else is an address; and, asked over TLS, `192.0.2.1#dns.example`,
/// `192.0.2.1:853#dns.example`, `tls://192.0.2.1#dns.example`, and as Unbound has it `192.0.2.1@853#dns.example`.
///
/// # Errors
///
/// What is wrong with it, and the remedy.
pub(crate) fn parse(text: &str) -> Result<Upstream, &'static str> {
    let text = text.trim();
    let (is_tls, rest) = match text.strip_prefix(TLS_SCHEME) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (place, name) = match rest.split_once('#') {
        Some((place, name)) => (place, Some(name)),
        None => (rest, None),
    };
    let port = match name {
        Some(_) => TLS_PORT,
        None => DNS_PORT,
    };
    let address = match place.split_once('@') {
        Some((ip, port)) => port.parse().ok().and_then(|port| address::socket(ip, port)),
        None => address::socket(place, port),
    };
    let address = address.ok_or_else(|| match address::has_bad_port(place) || place.contains('@') {
        true => "its port is no number from 0 to 65535",
        false => "no IP address; write 127.0.0.1, 127.0.0.1:5300, ::1 or [::1]:5300; over TLS 127.0.0.1#dns.example",
    })?;
    if address.port() == 0 {
        return Err(
            "nobody can be asked on port 0; give a port from 1 to 65535, or none for 53, over TLS 853",
        );
    }
    let tls = match (is_tls, name) {
        (false, None) => None,
        (true, None) => {
            return Err(
                "its certificate has to be for a name; write it behind the address: tls://127.0.0.1#dns.example",
            );
        }
        (_, Some(name)) => {
            let name = ServerName::try_from(name.to_owned());
            Some(name.map_err(|_| "what is after # is no name that a certificate can be for")?)
        }
    };
    Ok(Upstream { address, tls })
}

/// What certificates are held against: those in the PEM file at `path`, else those that this host trusts.
///
/// # Errors
///
/// [`Failure::Usage`]: the file gives none. [`Failure::Runtime`]: the host has none.
pub(crate) fn trust(path: Option<&Path>) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    match path {
        Some(path) => {
            let shown = path.display();
            let unusable = |error: &dyn std::fmt::Display| {
                Failure::Usage(format!(
                    "--nameserver-ca {shown}: {error}; give a PEM file of certificates that we may read"
                ))
            };
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unusable(&error))?;
            for certificate in certificates {
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            if roots.is_empty() {
                return Err(unusable(&"has no certificate"));
            }
        }
        None => {
            // What of them cannot be read is no loss while others can.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(Failure::Runtime(
                    "this host trusts no certificates, so no server can be asked over TLS; install ca-certificates, or \
                     give --nameserver-ca"
                        .to_owned(),
                ));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failure::of("TLS does not start", &error))?;
    Ok(Arc::new(
        config.with_root_certificates(roots).with_no_client_auth(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_users_of_others_write_them() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5300", "192.0.2.1:5300"),
            ("192.0.2.1@5300", "192.0.2.1:5300"),
            ("192.0.2.1#dns.example", "192.0.2.1:853#dns.example"),
            ("192.0.2.1@853#dns.example", "192.0.2.1:853#dns.example"),
            ("192.0.2.1:8853#dns.example", "192.0.2.1:8853#dns.example"),
            ("tls://192.0.2.1#dns.example", "192.0.2.1:853#dns.example"),
            (
                "tls://[2001:db8::1]:8853#dns.example",
                "[2001:db8::1]:8853#dns.example",
            ),
            ("2001:db8::1@853#dns.example", "[2001:db8::1]:853#dns.example"),
            ("192.0.2.1#192.0.2.1", "192.0.2.1:853#192.0.2.1"),
        ] {
            assert_eq!(
                parse(text).map(|server| server.to_string()),
                Ok(expected.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_server_is_refused_with_the_remedy() {
        for (text, expected) in [
            ("dns.example", "no IP address; "),
            ("tls://dns.example", "no IP address; "),
            ("192.0.2.1:99999", "its port is no number"),
            ("192.0.2.1@x#dns.example", "its port is no number"),
            ("192.0.2.1:0", "nobody can be asked on port 0"),
            ("tls://192.0.2.1", "its certificate has to be for a name"),
            ("192.0.2.1#", "what is after # is no name"),
            ("192.0.2.1#a b", "what is after # is no name"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_of_no_certificates_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        for text in [
            None,
            Some(""),
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ] {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let error = trust(Some(&file)).unwrap_err().to_string();
            assert!(
                error.starts_with("--nameserver-ca /") && error.contains("ca.pem: "),
                "{error}"
            );
        }
    }
}
