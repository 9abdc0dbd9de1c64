//! The secret that guards what can be changed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::look::Look;

/// Octets of a file that holds a secret.
const FILE_OCTETS_MAX: u64 = 4096;

/// What `Authorization` has to say. Never shown, in whatever way it is printed. Clones are the same one, also after
/// [`Secret::read_again`].
#[derive(Clone)]
pub struct Secret {
    text: Arc<RwLock<Arc<str>>>,
    /// Where it is from, if it is from a file, and what that looked like before it was read first.
    file: Option<(Arc<Path>, Look)>,
}

/// Why there is none. No sentence holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret cannot be read from {path} ({source}); give a file that we may read")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is empty, or no header can carry it.
    #[error(
        "{origin} gives no secret that a header can carry; give letters, digits and punctuation, without spaces"
    )]
    Unfit {
        /// The file, or what else it is from.
        origin: String,
    },
}

impl Secret {
    /// `text` as a secret; none if it is empty, or if no header can carry it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_plain = !text.is_empty() && text.bytes().all(|octet| (0x21..=0x7e).contains(&octet));
        is_plain.then(|| Self {
            text: Arc::new(RwLock::new(text.into())),
            file: None,
        })
    }

    /// The one in a file, which [`Secret::read_again`] reads again.
    ///
    /// # Errors
    ///
    /// [`SecretError`], as its variants have it.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let seen = Look::at(&[path.to_path_buf()]);
        let secret = Self::new(&Self::text_of(path)?).ok_or_else(|| SecretError::Unfit {
            origin: path.display().to_string(),
        })?;
        Ok(Self {
            file: Some((path.into(), seen)),
            ..secret
        })
    }

    /// What a file says that the secret is: its first line.
    ///
    /// # Errors
    ///
    /// [`SecretError::Unreadable`].
    pub fn text_of(path: &Path) -> Result<String, SecretError> {
        let read = || -> io::Result<String> {
            let mut text = String::new();
            File::open(path)?
                .take(FILE_OCTETS_MAX)
                .read_to_string(&mut text)?;
            Ok(text.lines().next().unwrap_or_default().trim().to_owned())
        };
        read().map_err(|source| SecretError::Unreadable {
            path: path.display().to_string(),
            source,
        })
    }

    /// Reads it again, if it is from a file.
    ///
    /// # Errors
    ///
    /// As [`Secret::from_file`]; the one that was in force stays.
    pub(super) fn read_again(&self) -> Result<(), SecretError> {
        let Some((path, _)) = &self.file else {
            return Ok(());
        };
        let other = Self::from_file(path)?.now();
        *self.text.write().unwrap_or_else(PoisonError::into_inner) = other;
        Ok(())
    }

    /// The file that it is from, and what that looked like before it was read first.
    pub(super) fn file(&self) -> Option<(PathBuf, &Look)> {
        let (path, seen) = self.file.as_ref()?;
        Some((path.to_path_buf(), seen))
    }

    fn now(&self) -> Arc<str> {
        self.text.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a request knows it: as it is, as SkyDNS had it, or behind the word `Bearer` (RFC 6750, section 2.1).
    ///
    /// How long that takes tells nothing but the length of what was sent.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return false;
        };
        let given = given.as_bytes();
        let is_bearer = given
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer "));
        let bare = if is_bearer {
            given.get(7..).unwrap_or_default()
        } else {
            given
        };
        // Both are compared, for the secret itself may begin so.
        let secret = self.now();
        let is_it = |given: &[u8]| given.ct_eq(secret.as_bytes());
        (is_it(given) | is_it(bare)).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_known(secret: &str, given: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, given.parse().unwrap());
        Secret::new(secret).unwrap().is_known(&headers)
    }

    #[test]
    fn it_is_taken_as_it_is_and_as_a_bearer_token() {
        assert!(is_known("s3cret", "s3cret") && is_known("s3cret", "bearer s3cret"));
        for wrong in [
            "s3cre",
            "s3crets",
            "S3CRET",
            "Basic s3cret",
            "Bearer",
            "Bearer  s3cret",
            "",
        ] {
            assert!(!is_known("s3cret", wrong), "{wrong}");
        }
        assert!(!Secret::new("s").unwrap().is_known(&HeaderMap::new()));
    }

    #[test]
    fn one_that_no_header_can_carry_is_none() {
        for text in ["", "a b", "a\n", "\u{fc}"] {
            assert!(Secret::new(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "Some(Secret)");
    }

    #[test]
    fn a_file_is_read_again_and_one_that_holds_none_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "first\nand a comment\n").unwrap();
        let secret = Secret::from_file(&file).unwrap();
        let clone = secret.clone();
        let knows = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            clone.is_known(&headers)
        };
        assert!(knows("first"));
        std::fs::write(&file, "second").unwrap();
        secret.read_again().unwrap();
        assert!(knows("second") && !knows("first"));
        for text in ["", "\n", "two words"] {
            std::fs::write(&file, text).unwrap();
            let sentence = secret.read_again().unwrap_err().to_string();
            assert!(!sentence.contains("two"), "{sentence}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(secret.read_again().is_err() && knows("second"));
    }
}
