//! One request to a running skydock, and its reply.

mod connect;

use std::fmt;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
pub(super) use hyper::{Method, StatusCode};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::timeout;

use self::connect::connect;
use crate::failure::{self, Failure};
use crate::output::plain;
use crate::rest;

/// Time to connect, and for the head of a reply: longer than the daemon gives a write.
const REPLY_TIME_MAX: Duration = Duration::from_secs(15);
/// Octets of a reply's body: a page of services has half a mebibyte.
const BODY_OCTETS_MAX: usize = 16 << 20;

/// Where to ask, and what to say to be heard.
#[derive(Clone, Debug, Args)]
pub(super) struct Target {
    /// Where its HTTP interface is
    #[arg(
        long,
        env = "SKYDOCK_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8053",
        global = true,
        help_heading = "Daemon"
    )]
    url: String,

    /// Its secret; others can see it on the command line, so prefer SKYDOCK_SECRET or the file
    #[arg(
        long,
        env = "SKYDOCK_SECRET",
        value_name = "TEXT",
        global = true,
        help_heading = "Daemon"
    )]
    secret: Option<String>,

    /// File with its secret in the first line
    #[arg(
        long,
        env = "SKYDOCK_SECRET_FILE",
        value_name = "PATH",
        global = true,
        help_heading = "Daemon"
    )]
    secret_file: Option<PathBuf>,

    /// File with the certificates (PEM) that may vouch for an https URL [default: those of this host]
    #[arg(
        long,
        env = "SKYDOCK_CA_CERT",
        value_name = "PATH",
        global = true,
        help_heading = "Daemon"
    )]
    ca_cert: Option<PathBuf>,
}

/// What to ask.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    /// More headers.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Body, JSON.
    pub(super) body: Option<String>,
}

/// Why there is no good answer; with the exit code of the process.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It was not asked, or did not answer.
    Failure(Failure),
    /// It said no.
    Refused(StatusCode, String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure(failure) => failure.fmt(f),
            Self::Refused(_, sentence) => f.write_str(sentence),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Ask {
    pub(super) fn of(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: None,
        }
    }
}

impl Target {
    /// Asks, and gives the whole reply.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Bytes, Trouble> {
        let mut reply = self.open(ask).await?;
        whole(&mut reply).await.map_err(Trouble::from)
    }

    /// Asks, and gives a reply whose body is still to come.
    pub(super) async fn open(&self, ask: Ask) -> Result<Response<Incoming>, Trouble> {
        let uri = self.uri()?;
        let request = self.request(&uri, ask)?;
        let asking = async {
            let stream = connect(&uri, &self.url, self.ca_cert.as_deref()).await?;
            let unreached = |error: &hyper::Error| {
                let (url, reason) = (&self.url, failure::chain(error));
                let remedy = match uri.scheme_str() {
                    Some("http") => "if skydock there has a certificate, write https://",
                    _ => "look at the log of skydock there",
                };
                Failure::Runtime(format!("{url} gives no answer in HTTP: {reason}; {remedy}"))
            };
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| unreached(&error))?;
            // It carries the body, too, and ends with the process.
            tokio::spawn(connection);
            sender
                .send_request(request)
                .await
                .map_err(|error| unreached(&error))
        };
        let mut reply = timeout(REPLY_TIME_MAX, asking).await.map_err(|_| {
            let url = &self.url;
            Failure::Runtime(format!(
                "{url} does not answer within {REPLY_TIME_MAX:?}; look at the log of skydock there"
            ))
        })??;
        let status = reply.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(reply);
        }
        let body = whole(&mut reply).await?;
        let mut sentence = sentence(status, &body);
        if status == StatusCode::UNAUTHORIZED {
            sentence = match self.secret.is_some() || self.secret_file.is_some() {
                true => "the secret is not the one that skydock has there; SKYDOCK_SECRET or --secret-file gives it",
                false => "skydock wants its secret there; give it by SKYDOCK_SECRET or --secret-file",
            }
            .to_owned();
        }
        Err(Trouble::Refused(status, sentence))
    }

    fn uri(&self) -> Result<Uri, Failure> {
        // First, for every other sentence shows all of it.
        if self.url.contains('@') {
            return Err(Failure::Usage(
                "--url holds a user; give the secret by SKYDOCK_SECRET".to_owned(),
            ));
        }
        let wrong = |why: &str| {
            Failure::Usage(format!(
                "--url {:?}: {why}; write http://127.0.0.1:8053",
                self.url
            ))
        };
        let uri: Uri = self.url.parse().map_err(|_| wrong("no URL"))?;
        match uri.scheme_str() {
            Some("http" | "https") if uri.host().is_some() => {}
            _ => return Err(wrong("neither http:// nor https://")),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("has more than a host and a port"));
        }
        Ok(uri)
    }

    fn request(&self, uri: &Uri, ask: Ask) -> Result<Request<Full<Bytes>>, Failure> {
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(ask.method)
            .uri(&ask.path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("skydock/", env!("CARGO_PKG_VERSION")));
        let secret = match (&self.secret, &self.secret_file) {
            (Some(secret), None) => Some(secret.clone()),
            (None, Some(path)) => Some(rest::read(path)?),
            (Some(_), Some(_)) => {
                let sentence = "the secret is given twice, by --secret or SKYDOCK_SECRET and by --secret-file or \
                                SKYDOCK_SECRET_FILE; give one of them";
                return Err(Failure::Usage(sentence.to_owned()));
            }
            (None, None) => None,
        };
        if let Some(secret) = secret {
            let mut value = HeaderValue::from_str(&secret)
                .map_err(|_| Failure::Usage("the secret cannot be sent in a header".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if ask.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::from(ask.body.unwrap_or_default()))
            .map_err(|error| Failure::Usage(format!("this cannot be asked for ({error})")))
    }
}

/// The rest of a reply.
async fn whole(reply: &mut Response<Incoming>) -> Result<Bytes, Failure> {
    let mut octets = Vec::new();
    let broken = |error: &hyper::Error| failure::of("the reply broke off", error);
    let reading = async {
        while let Some(frame) = reply.body_mut().frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            if let Ok(data) = frame.into_data() {
                octets.extend_from_slice(&data);
            }
            if octets.len() > BODY_OCTETS_MAX {
                return Err(Failure::Runtime(format!(
                    "the reply has more than {BODY_OCTETS_MAX} octets"
                )));
            }
        }
        Ok(())
    };
    let slow = |_| Failure::Runtime(format!("the reply is not whole within {REPLY_TIME_MAX:?}"));
    timeout(REPLY_TIME_MAX, reading).await.map_err(slow)??;
    Ok(octets.into())
}

/// What the daemon said is wrong, in one line.
fn sentence(status: StatusCode, body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let (detail, wrong) = (
        field(&problem, "detail").as_str(),
        field(&problem, "field").as_str(),
    );
    match (detail, wrong) {
        (Some(detail), Some(wrong)) if !detail.contains(wrong) => plain(&format!("{wrong}: {detail}")),
        (Some(detail), _) => plain(detail),
        (None, _) => {
            let text = String::from_utf8_lossy(body);
            format!("{status}: {}", plain(text.lines().next().unwrap_or_default()))
        }
    }
}

/// A field of what the daemon said; `null` where it did not say it.
pub(super) fn field<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// Does what asks the daemon, and gives the exit code of the process. What the daemon refuses is printed here.
///
/// # Errors
///
/// [`Failure`]: it cannot be asked, or does not answer.
pub(super) fn run(asking: impl Future<Output = Result<(), Trouble>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failure::of("the runtime does not start", &error))?;
    match runtime.block_on(asking) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Trouble::Failure(failure)) => Err(failure),
        Err(Trouble::Refused(status, sentence)) => {
            failure::tell(&sentence);
            Ok(ExitCode::from(code(status)))
        }
    }
}

/// The exit code for what the daemon refused.
fn code(status: StatusCode) -> u8 {
    match status {
        StatusCode::NOT_FOUND => 3,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => 4,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => 5,
        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => 2,
        _ => 1,
    }
}

/// `text` as a part of a URL (RFC 3986, section 2.1).
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(octet));
            }
            _ => escaped += &format!("%{octet:02X}"),
        }
    }
    escaped
}

/// A reply as JSON.
pub(super) fn read(reply: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(reply).map_err(|error| {
        Failure::Runtime(format!(
            "the reply is no JSON ({error}); is it skydock that --url names?"
        ))
    })
}

/// Whether standard output is a terminal, where people read.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target {
            url: url.to_owned(),
            secret: None,
            secret_file: None,
            ca_cert: None,
        }
    }

    #[test]
    fn what_the_daemon_says_commands_no_terminal() {
        let refused = StatusCode::BAD_REQUEST;
        let text = sentence(refused, b"a\x1b[2Jb\xc2\x9bc\r\nd");
        assert_eq!(text, "400 Bad Request: a?[2Jb?c");
        let problem = serde_json::json!({ "field": "x\u{1b}", "detail": "no\nd\u{202e}e" }).to_string();
        assert_eq!(sentence(refused, problem.as_bytes()), "x?: no?d?e");
    }

    #[test]
    fn whoever_writes_a_password_into_the_url_is_not_shown_it() {
        for url in [
            "http://u:s3cret@host/path",
            "u:s3cret@host",
            "http://u:s3 cret@host",
        ] {
            let sentence = target(url).uri().unwrap_err().to_string();
            assert!(!sentence.contains("s3"), "{sentence}");
        }
    }

    #[test]
    fn a_secret_that_is_given_twice_is_not_guessed_at() {
        let twice = Target {
            secret: Some("a".to_owned()),
            secret_file: Some("/nonexistent".into()),
            ..target("http://127.0.0.1:1")
        };
        let uri = twice.uri().unwrap();
        let refused = twice.request(&uri, Ask::of(Method::GET, "/")).unwrap_err();
        assert!(refused.to_string().contains("given twice"), "{refused}");
    }

    #[test]
    fn exit_codes_are_as_the_help_has_them() {
        for (status, expected) in [
            (404, 3),
            (409, 4),
            (412, 4),
            (401, 5),
            (400, 2),
            (415, 2),
            (429, 1),
            (507, 1),
            (503, 1),
        ] {
            assert_eq!(code(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
