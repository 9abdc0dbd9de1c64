//! Why an upstream gives no answers, for whoever can do something about it.
//!
//! ```text
//!  Health turns ─▶ Action::Turned ─▶ a cell for each upstream, which all workers share ─▶ Conditions ─▶ log, metrics
//! ```
//!
//! A worker tells of a change, never of a packet, and writes one octet then: no lock, no line of a log.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustls::{CertificateError, Error as TlsError};

/// Why an upstream gives no answers, as it was last found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody listens there, or there is no way to it.
    Unreachable,
    /// It says nothing. Whoever asks for names that are never answered can make any upstream look so for a while.
    Silent,
    /// It ends connections before it has answered.
    Closed,
    /// Its certificate is over.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate is for another name.
    WrongName,
    /// Its certificate is from nobody who is trusted.
    UnknownIssuer,
    /// Its certificate is wrong in another way.
    BadCertificate,
    /// It does not speak TLS as we do.
    NoTls,
}

impl Trouble {
    /// Each once.
    const ALL: [Self; 9] = [
        Self::Unreachable,
        Self::Silent,
        Self::Closed,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongName,
        Self::UnknownIssuer,
        Self::BadCertificate,
        Self::NoTls,
    ];

    /// What an error of a socket says, or of the TLS above it.
    pub(crate) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match (inner, error.kind()) {
            (Some(TlsError::InvalidCertificate(error)), _) => Self::of_certificate(error),
            (Some(_), _) => Self::NoTls,
            (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => Self::Closed,
            (None, io::ErrorKind::TimedOut) => Self::Silent,
            (None, _) => Self::Unreachable,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            // Whose name is that of one who is trusted, and whose key is not.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            _ => Self::BadCertificate,
        }
    }

    /// One word, for labels of metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::Expired => "certificate_expired",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::WrongName => "certificate_for_another_name",
            Self::UnknownIssuer => "certificate_of_unknown_issuer",
            Self::BadCertificate => "certificate_invalid",
            Self::NoTls => "no_tls",
        }
    }

    /// What stands for it in a cell; 0 stands for none.
    fn code(self) -> u8 {
        let place = Self::ALL.iter().position(|other| *other == self);
        place.map_or(0, |place| place as u8 + 1)
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code.checked_sub(1)?)).copied()
    }
}

impl fmt::Display for Trouble {
    /// What is wrong, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "nobody listens there, or there is no way to it",
            Self::Silent => "it says nothing",
            Self::Closed => "it ends connections before it has answered",
            Self::Expired => "its certificate has expired: renew it there, unless this host's clock is wrong",
            Self::NotYetValid => "its certificate is not valid yet: look at this host's clock",
            Self::WrongName => {
                "its certificate is for another name: give that name behind the #, if it is the right server"
            }
            Self::UnknownIssuer => {
                "its certificate is from nobody who is trusted: give its issuer's by --nameserver-ca, if you trust it"
            }
            Self::BadCertificate => "its certificate is not valid",
            Self::NoTls => "it does not speak TLS as we do: give the port where it does, usually 853",
        })
    }
}

/// Where all workers note how one upstream is. The newest news count: they differ for as long as a probe takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell(Arc<AtomicU8>);

impl Cell {
    /// Notes what is wrong; none: nothing.
    pub(crate) fn note(&self, trouble: Option<Trouble>) {
        self.0.store(trouble.map_or(0, Trouble::code), Ordering::Relaxed);
    }

    /// What was noted last.
    pub(crate) fn read(&self) -> Option<Trouble> {
        Trouble::of_code(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_gives_back_what_was_noted() {
        let cell = Cell::default();
        assert_eq!(cell.read(), None);
        for trouble in Trouble::ALL {
            cell.clone().note(Some(trouble));
            assert_eq!(cell.read(), Some(trouble));
        }
        cell.note(None);
        assert_eq!(cell.read(), None);
    }

    #[test]
    fn each_error_is_told_by_its_cause() {
        let tls = |error: TlsError| io::Error::new(io::ErrorKind::InvalidData, error);
        for (error, trouble) in [
            (io::ErrorKind::ConnectionRefused.into(), Trouble::Unreachable),
            (io::ErrorKind::UnexpectedEof.into(), Trouble::Closed),
            (io::ErrorKind::TimedOut.into(), Trouble::Silent),
            (tls(CertificateError::Expired.into()), Trouble::Expired),
            (tls(CertificateError::NotValidYet.into()), Trouble::NotYetValid),
            (tls(CertificateError::NotValidForName.into()), Trouble::WrongName),
            (
                tls(CertificateError::UnknownIssuer.into()),
                Trouble::UnknownIssuer,
            ),
            (tls(CertificateError::Revoked.into()), Trouble::BadCertificate),
            (tls(CertificateError::BadSignature.into()), Trouble::UnknownIssuer),
            (tls(TlsError::DecryptError), Trouble::NoTls),
        ] {
            assert_eq!(Trouble::of(&error), trouble, "{error}");
        }
    }
}
