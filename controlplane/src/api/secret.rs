//! The secret that guards what can be changed.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

/// What `Authorization` has to say. Never shown, in whatever way it is printed.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// `text` as a secret; none if it is empty, or if no header can carry it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_plain = !text.is_empty() && text.bytes().all(|octet| (0x21..=0x7e).contains(&octet));
        is_plain.then(|| Self(text.into()))
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
        let is_it = |given: &[u8]| given.ct_eq(self.0.as_bytes());
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
}
