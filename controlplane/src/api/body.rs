//! The octets of a request's body, within bounds of size and time.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Problem, named_in};

/// Octets of a body: many times what a service with all it may have takes.
pub(super) const BODY_OCTETS_MAX: usize = 64 * 1024;
/// Time for a body, from its head on.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);

/// A body that has come whole.
pub(super) struct Octets(pub(super) axum::body::Bytes);

impl<S: Sync> FromRequest<S> for Octets {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let too_large = || {
            let detail = format!("the body has more than {BODY_OCTETS_MAX} octets");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        };
        let told = request.headers().get(header::CONTENT_LENGTH);
        let told = told.and_then(|told| told.to_str().ok()?.parse::<usize>().ok());
        if told.is_some_and(|told| told > BODY_OCTETS_MAX) {
            return Err(too_large());
        }
        match timeout(BODY_TIME_MAX, to_bytes(request.into_body(), BODY_OCTETS_MAX)).await {
            Ok(Ok(octets)) => Ok(Self(octets)),
            Ok(Err(error)) if is_too_long(&error) => Err(too_large()),
            // Whoever hangs up reads no reply; who sends chunks that are none does.
            Ok(Err(error)) => Err(Problem::invalid(
                "body",
                format!("the body is not whole: {error}"),
            )),
            Err(_) => {
                let detail = format!("the body did not come within {BODY_TIME_MAX:?}");
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
            }
        }
    }
}

/// Whether a body was cut because it is longer than it may be.
fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>)
}

impl Octets {
    /// Reads it as JSON: each field once, none that is not known, every number in its range.
    ///
    /// # Errors
    ///
    /// 400, with the field that is wrong.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let mut reader = serde_json::Deserializer::from_slice(&self.0);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let field = error.path().to_string();
            let detail = error.inner().to_string();
            match field.as_str() {
                // What is missing or unknown is named in the sentence itself.
                "." | "?" => Problem::invalid(named_in(&detail).unwrap_or("body"), detail.clone()),
                _ => Problem::invalid(field, detail),
            }
        })?;
        match reader.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(Problem::invalid("body", error.to_string())),
        }
    }
}
