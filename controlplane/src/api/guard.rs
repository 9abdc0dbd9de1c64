//! Who may ask, before anything is done.
//!
//! Whoever can reach the listener may be a program on this host, a container, or a web page in a browser on this host:
//!
//! - A page of another site cannot read our replies, since we never allow it to (no CORS), and not send what a plain
//!   form could not, but its own name can be made to lead here (DNS rebinding). So a name in `Host` has to be ours,
//!   unless a secret, which no page has, guards everything anyway.
//! - What a form can send is not taken where anything is changed: a browser says where it comes from.
//! - Nobody gets more than a share of the one thread that the control plane has. Whoever is let in has a share of their
//!   own, so that nobody who knows no secret can use it up.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::problem::Problem;
use super::secret::Secret;

/// Requests a second, of all clients together: of those that are let in, and again of all others. One more is refused with
/// 429: at some 20 us for each they would take a fifth of the thread that also follows the engine.
const REQUESTS_PER_SECOND_MAX: f64 = 10_000.0;
/// Requests that may come at once.
const REQUESTS_AT_ONCE_MAX: f64 = 2_000.0;

/// What a request is judged by.
#[derive(Debug)]
pub(super) struct Guard {
    secret: Option<Secret>,
    /// Names, in lower case, by which this host is called.
    names: Vec<String>,
    /// Whether any name is taken.
    is_open: bool,
    /// Of those that are let in.
    known: Bucket,
    /// Of all others: who has no secret, and who asks for what needs none.
    others: Bucket,
}

/// Requests that may come now.
#[derive(Debug)]
struct Bucket(Mutex<Level>);

#[derive(Debug)]
struct Level {
    left: f64,
    since: Instant,
}

impl Guard {
    /// A guard that takes `names` besides `localhost`; any name, where there is a secret or `is_open` says so.
    pub(super) fn new(secret: Option<Secret>, names: &[String], is_open: bool) -> Self {
        Self {
            is_open: is_open || secret.is_some(),
            secret,
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            known: Bucket::full(),
            others: Bucket::full(),
        }
    }

    /// Whether `Host` is a name of ours, or an address, which no other site can pretend to have.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        if self.is_open {
            return Ok(());
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        let (host, is_single) = (hosts.next(), hosts.next().is_none());
        let host = match (uri.host(), host) {
            (Some(host), _) => Some(host),
            (None, Some(host)) => host.to_str().ok().map(without_port),
            // HTTP/1.0 has none, and no browser speaks it.
            (None, None) => return Ok(()),
        };
        let is_ours = is_single && host.is_some_and(|host| self.is_ours(host));
        if is_ours {
            return Ok(());
        }
        let detail = "the Host header names another host; ask by an IP address, by localhost or by this host's name, \
                      or start skydock with a secret";
        Err(Problem {
            field: Some("Host".to_owned()),
            ..Problem::new(StatusCode::MISDIRECTED_REQUEST, detail)
        })
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        bare.unwrap_or(&host).parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.names.contains(&host)
    }

    /// Whether one more may come that is let in, or that is not.
    fn check_secret(&self, headers: &HeaderMap, now: Instant) -> Result<(), Problem> {
        match &self.secret {
            Some(secret) if !secret.is_known(headers) => {
                self.others.take(now)?;
                Err(Problem::new(StatusCode::UNAUTHORIZED, "Unauthorized"))
            }
            _ => self.known.take(now),
        }
    }
}

impl Bucket {
    fn full() -> Self {
        Self(Mutex::new(Level {
            left: REQUESTS_AT_ONCE_MAX,
            since: Instant::now(),
        }))
    }

    fn take(&self, now: Instant) -> Result<(), Problem> {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(level.since).as_secs_f64();
        level.left = (level.left + passed * REQUESTS_PER_SECOND_MAX).min(REQUESTS_AT_ONCE_MAX);
        level.since = level.since.max(now);
        if level.left < 1.0 {
            let detail =
                format!("more than {REQUESTS_PER_SECOND_MAX} requests a second; try again in a second");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail));
        }
        level.left -= 1.0;
        Ok(())
    }
}

/// Judges every request by its `Host`.
pub(super) async fn hosts(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    match shared.guard.check_host(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => shown(&request, problem),
    }
}

/// Judges requests to what can be changed by the rest.
pub(super) async fn callers(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let checked = shared
        .guard
        .check_secret(request.headers(), Instant::now())
        .and_then(|()| check_origin(request.method(), request.headers()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => shown(&request, problem),
    }
}

/// Judges requests to what needs no secret.
pub(super) async fn others(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    match shared.guard.others.take(Instant::now()) {
        Ok(()) => next.run(request).await,
        Err(problem) => shown(&request, problem),
    }
}

/// Refuses a change that a web page asks for: a page has nothing to register, and its visitor did not ask.
fn check_origin(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if method.is_safe() || !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let detail = "a web page asks for a change, which none may; leave out the Origin header";
    Err(Problem {
        field: Some("Origin".to_owned()),
        ..Problem::new(StatusCode::FORBIDDEN, detail)
    })
}

fn shown(request: &Request, problem: Problem) -> Response {
    match request.uri().path().starts_with("/v1/") {
        true => problem.into_response(),
        false => problem.into_text(),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address has colons of its own, and then stands in brackets.
        Some((bare, port)) if !port.contains(']') => bare,
        _ => host,
    }
}

#[cfg(test)]
impl Guard {
    /// As if nobody who is not let in might ask for an hour.
    pub(super) fn exhaust_others(&self) {
        let mut level = self.others.0.lock().unwrap();
        level.left = 0.0;
        level.since = Instant::now() + std::time::Duration::from_secs(3600);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misdirected(guard: &Guard, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        guard.check_host(&Uri::from_static("/"), &headers).is_err()
    }

    #[test]
    fn a_name_that_is_not_ours_was_rebound() {
        let guard = Guard::new(None, &["Tower.lan".to_owned()], false);
        for ours in [
            "localhost",
            "LOCALHOST:8053",
            "127.0.0.1:8053",
            "[::1]:8053",
            "[::1]",
            "tower.lan",
            "tower.lan.:80",
            "x.localhost",
            "10.0.0.7",
        ] {
            assert!(!misdirected(&guard, ours), "{ours}");
        }
        for other in [
            "evil.example",
            "evil.example:8053",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(misdirected(&guard, other), "{other}");
        }
    }

    #[test]
    fn whoever_has_a_secret_may_be_called_anything() {
        assert!(!misdirected(
            &Guard::new(Secret::new("s"), &[], false),
            "dns.example"
        ));
        assert!(!misdirected(&Guard::new(None, &[], true), "dns.example"));
    }

    #[test]
    fn two_hosts_are_none() {
        let guard = Guard::new(None, &[], false);
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "localhost".parse().unwrap());
        headers.append(header::HOST, "evil.example".parse().unwrap());
        assert!(guard.check_host(&Uri::from_static("/"), &headers).is_err());
    }

    #[test]
    fn a_burst_is_taken_and_what_follows_is_told_to_wait() {
        let bucket = Bucket::full();
        let now = Instant::now();
        let taken = (0..20_000).take_while(|_| bucket.take(now).is_ok()).count();
        assert_eq!(taken, 2_000);
        assert!(bucket.take(now + std::time::Duration::from_millis(1)).is_ok());
    }

    #[test]
    fn whoever_knows_no_secret_uses_up_nothing_of_who_does() {
        let guard = Guard::new(Secret::new("s"), &[], false);
        let (now, mut headers) = (Instant::now(), HeaderMap::new());
        let status = |headers: &HeaderMap| guard.check_secret(headers, now).err().map(|it| it.status);
        for _ in 0..2_000 {
            assert_eq!(status(&headers), Some(StatusCode::UNAUTHORIZED));
        }
        assert_eq!(status(&headers), Some(StatusCode::TOO_MANY_REQUESTS));
        headers.insert(header::AUTHORIZATION, "s".parse().unwrap());
        assert_eq!(status(&headers), None);
    }
}
