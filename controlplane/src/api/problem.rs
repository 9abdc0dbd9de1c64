//! What is wrong with a request, as RFC 9457 has it.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::store::{Invalid, Refusal};

/// Content type of a problem (RFC 9457, section 3).
pub(super) const CONTENT_TYPE: &str = "application/problem+json";
/// When to try again what was refused for want of room in a queue, in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Status of the reply.
    pub(super) status: StatusCode,
    /// What is wrong and how to mend it, in one sentence.
    pub(super) detail: String,
    /// The field of the body, the header or the parameter that is wrong.
    pub(super) field: Option<String>,
}

/// As it is sent; `type` is `about:blank`, so `title` is the status in words.
#[derive(Serialize)]
struct Shown<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            field: None,
        }
    }

    /// 400, for `field`.
    pub(super) fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(StatusCode::BAD_REQUEST, detail)
        }
    }

    /// As SkyDNS said what is wrong: one line of plain text.
    pub(super) fn into_text(self) -> Response {
        let text = match &self.field {
            Some(field) if !self.detail.starts_with(field.as_str()) => format!("{field}: {}\n", self.detail),
            _ => format!("{}\n", self.detail),
        };
        self.with_headers((self.status, text).into_response())
    }

    fn with_headers(&self, mut reply: Response) -> Response {
        let headers = reply.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            }
            // SkyDNS wants the secret as it is, so there is no scheme to name but this one.
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        reply
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let shown = Shown {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
        };
        let json = serde_json::to_string(&shown).expect("text and numbers are JSON");
        let reply = (self.status, [(header::CONTENT_TYPE, CONTENT_TYPE)], json);
        self.with_headers(reply.into_response())
    }
}

impl From<QueryRejection> for Problem {
    /// 400, for the parameter that is wrong.
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let detail = text
            .rsplit_once(" query string: ")
            .map_or(&*text, |(_, detail)| detail);
        let field = named_in(detail).or_else(|| Some(detail.split_once(": ")?.0));
        Self::invalid(field.unwrap_or("query"), detail)
    }
}

impl From<PathRejection> for Problem {
    /// 400: what stands in the path is no text.
    fn from(rejection: PathRejection) -> Self {
        Self::invalid("path", rejection.body_text())
    }
}

/// The field in a sentence of serde's, where it stands between backticks first.
pub(super) fn named_in(detail: &str) -> Option<&str> {
    let is_of_field = ["missing field", "unknown field", "duplicate field"]
        .iter()
        .any(|start| detail.contains(start));
    detail.split('`').nth(1).filter(|_| is_of_field)
}

impl From<Invalid> for Problem {
    fn from(Invalid { field, reason }: Invalid) -> Self {
        Self::invalid(field, reason)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Invalid(invalid) => return invalid.into(),
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::Exists(_) => StatusCode::CONFLICT,
            Refusal::Condition { .. } => StatusCode::PRECONDITION_FAILED,
            Refusal::TooMany | Refusal::TooLarge | Refusal::Storage { is_full: true, .. } => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Refusal::Busy | Refusal::Slow | Refusal::Stopping | Refusal::Storage { is_full: false, .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, refusal.to_string())
    }
}
