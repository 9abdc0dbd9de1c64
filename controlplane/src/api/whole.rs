//! Replies with everything there is, of which there may be few at one time.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// Whole lists that are under way at one time: each is some 200 octets for each service there is, and is kept until its
/// reader has it, however slow that is. One more is refused with 503; the pages of `/v1/services` are there for everybody.
const LISTS_MAX: usize = 4;

/// Places for whole lists. Clones are the same ones.
#[derive(Clone, Debug)]
pub(super) struct Lists(Arc<Semaphore>);

/// One of them, taken.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// A text with the place that it takes up.
struct Held {
    text: String,
    _place: Place,
}

impl Lists {
    /// All of them, free.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(LISTS_MAX)))
    }

    /// Takes one.
    ///
    /// # Errors
    ///
    /// 503: all are taken.
    pub(super) fn begin(&self) -> Result<Place, Problem> {
        let permit = self.0.clone().try_acquire_owned().map_err(|_| {
            let detail = format!(
                "{LISTS_MAX} whole lists are being sent; try again in a second, or read /v1/services, page by page"
            );
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })?;
        Ok(Place { _permit: permit })
    }
}

impl Place {
    /// `text` as it is sent; the place is free when it was, or nobody wants it any more.
    pub(super) fn fill(self, text: String) -> Bytes {
        Bytes::from_owner(Held { text, _place: self })
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_takes_its_place_until_the_last_of_it_was_sent() {
        let lists = Lists::new();
        let bodies: Vec<_> = (0..LISTS_MAX)
            .map(|_| lists.begin().unwrap().fill("[1]".to_owned()))
            .collect();
        let refused = lists.begin().unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        let rest = bodies[0].slice(1..);
        drop(bodies);
        let others: Vec<_> = std::iter::from_fn(|| lists.begin().ok()).collect();
        assert_eq!(others.len(), LISTS_MAX - 1, "one is not sent yet");
        assert_eq!(&rest[..], b"1]");
        drop(rest);
        assert!(lists.begin().is_ok());
    }
}
