//! The five requests we make of an engine, all of them GET: its version, its events, its list, inspect, and its networks.
//!
//! A read-only proxy before the engine's socket needs to pass no more than `/version`, `/events`, `/containers/json`,
//! `/containers/ID/json` and `/networks`. Without the last one answers do not depend on the client's network.
//!
//! The library brings the octets here, over whatever leads to the engine; [`wire`] reads them, for the library would
//! refuse an answer that has one word it does not know.

use std::os::unix::fs::FileTypeExt;
use std::time::{Duration, SystemTime};

use arcstr::ArcStr;
use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, ClientVersion, Docker};
use futures_util::stream::{self, Stream};
use futures_util::{StreamExt, TryStreamExt};

use super::client::client;
use super::endpoint::{Address, Endpoint};
use super::events::{HEARD, News};
use super::failure::Failure;
use super::line::Lines;
use super::listed::Listed;
use super::networks::{self, List};
use super::reading::{Reading, Unreadable};
use super::stream::Lines as EventLines;
use super::wire;

/// The oldest API whose answers we were tried with: Docker 20.10's.
const API_OLDEST_TRIED: (usize, usize) = (1, 41);

/// How long the engine may take to begin its answer to `/events`. A proxy may send nothing, the status line included,
/// before the first event comes, so this is no deadline; the periodic list finds out whether the engine lives.
const EVENTS_ANSWER_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long before a connection events are wanted, too. An engine that stops many containers at once takes seconds from
/// the event of an end until its list shows it.
const HINDSIGHT: Duration = Duration::from_secs(10);

/// Longest answer that is read whole, in octets: one container with labels of megabytes, or all networks. What is longer
/// counts as failed. The list of containers is read line by line.
const ANSWER_OCTETS_MAX: usize = 64 << 20;

/// An engine that can be asked. It has connections as long as there are requests, and a little longer.
#[derive(Clone)]
pub(crate) struct Engine {
    docker: Docker,
    deadline: Duration,
    /// Whether the engine's clock is ours, so that it can be told from when on events are wanted.
    same_clock: bool,
    /// In front of every path: `/v1.41`.
    prefix: String,
    is_podman: bool,
    /// Product and version, for example `Docker 20.10.24`.
    pub(crate) version: String,
    /// Version of the API that both sides know, for example `1.41`.
    pub(crate) api: String,
    /// Whether that is older than what we were tried with.
    pub(crate) is_old: bool,
}

impl Engine {
    /// Asks the engine for its version and agrees on the newest API that it and we know.
    pub(crate) async fn connect(endpoint: &Endpoint, deadline: Duration) -> Result<Self, Failure> {
        let what = "read its version";
        let failed = |error| Failure::Request { what, error };
        if let Address::Unix(path) = &endpoint.address {
            // What it is if it is no socket is worth a remedy of its own.
            let socket = std::fs::metadata(path).map_err(|err| failed(Error::IOError { err }))?;
            if !socket.file_type().is_socket() {
                return Err(Failure::NotASocket);
            }
        }
        // The client's own deadline does not cover the body; ours does, and is the shorter.
        let seconds = deadline.as_secs().saturating_add(1);
        let docker = client(endpoint, seconds).map_err(failed)?;
        let answer = get(&docker, "/version", deadline, what).await?;
        let answer: wire::Version = read(what, wire::read(&answer))?;
        let api = negotiate(&answer).ok_or_else(|| failed(Error::APIVersionParseError {}))?;
        let api_shown = format!("{}.{}", api.0, api.1);
        Ok(Self {
            docker,
            deadline,
            same_clock: matches!(endpoint.address, Address::Unix(_)),
            is_podman: is_podman(&answer),
            version: product(&answer),
            prefix: format!("/v{api_shown}"),
            api: api_shown,
            is_old: api < API_OLDEST_TRIED,
        })
    }

    /// What the engine's events about containers and networks mean, from now on; none for those that mean nothing to us.
    ///
    /// Nothing shows when the engine has taken the subscription in. So it is told from when on we want events, and
    /// sends what happened in between from memory: whatever a list misses that is asked for after this call is in the
    /// events. An engine on another host has another clock and is not told; what might be lost there the list shows
    /// that follows soon after the first.
    ///
    /// What happened in the last seconds before is told, too, and in hindsight: an engine lists a container as running for a
    /// while after it has told of its end.
    ///
    /// Only what changes names is asked for: health checks alone would make the engine tell of hundreds of processes
    /// that come and go.
    pub(crate) fn events(&self) -> impl Stream<Item = Result<Option<News>, Failure>> + use<> {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| format!("\"{word}\""))
                .collect::<Vec<_>>()
                .join(",")
        };
        let filters = format!(
            "{{\"type\":[{}],\"event\":[{}]}}",
            words(&["container", "network"]),
            words(&HEARD)
        );
        let mut path = format!("{}/events?filters={}", self.prefix, escaped(&filters));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
        let now = now.filter(|_| self.same_clock);
        if let Some(now) = now {
            let since = now.saturating_sub(HINDSIGHT);
            path += &format!("&since={}.{:09}", since.as_secs(), since.subsec_nanos());
        }
        // What is older than was asked for is no past event: the engine's clock stands behind ours.
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).ok();
        let past = now.and_then(|now| Some(nanoseconds(now.saturating_sub(HINDSIGHT))?..nanoseconds(now)?));
        let docker = self.docker.clone().with_timeout(EVENTS_ANSWER_DEADLINE);
        EventLines::new(octets(&docker, &path)).map(move |line| {
            let event: wire::Event =
                wire::read(&line?).map_err(|error| Failure::EventsBroke(error.into()))?;
            let past = past.as_ref().zip(event.time_nano);
            let is_past = past.is_some_and(|(past, at)| past.contains(&at));
            let news = News::of(event);
            Ok(if is_past {
                news.map(News::in_hindsight)
            } else {
                news
            })
        })
    }

    /// All containers, as many at once as come together: those that run, paused ones, those between two restarts, and
    /// those that have ended. Each is what `lines` makes of it.
    pub(super) fn list(&self, lines: Lines) -> impl Stream<Item = Result<Vec<Listed>, Failure>> + use<> {
        let (what, deadline) = ("list containers", self.deadline);
        let octets = octets(&self.docker, &format!("{}/containers/json?all=1", self.prefix));
        let octets = stream::unfold(octets, move |mut octets| async move {
            let chunk = tokio::time::timeout(deadline, octets.next()).await;
            let chunk = match chunk {
                Ok(chunk) => chunk?.map_err(|error| Failure::Request { what, error }),
                Err(_) => Err(late(what, deadline)),
            };
            Some((chunk, octets))
        });
        let list = (Box::pin(octets), Reading::begin(lines));
        stream::try_unfold(list, move |(mut octets, mut reading)| async move {
            let failed = |unreadable| match unreadable {
                Unreadable::TooLong => Failure::TooLong { what },
                Unreadable::Json(error) => Failure::Request {
                    what,
                    error: error.into(),
                },
            };
            let lines = reading.next(&mut octets, failed).await?;
            Ok(lines.map(|lines| (lines, (octets, reading))))
        })
    }

    /// All networks that have addresses to give.
    pub(crate) async fn networks(&self) -> Result<List, Failure> {
        let what = "list networks";
        let answer = self.get("/networks", what).await?;
        let mut networks: Vec<wire::Network> = read(what, wire::read_list(&answer))?;
        // Podman calls its default network by Docker's name here, and nowhere else.
        let default = networks
            .iter_mut()
            .filter(|network| self.is_podman && network.name == "bridge");
        default.for_each(|network| "podman".clone_into(&mut network.name));
        Ok(networks::read(networks))
    }

    /// One container, by its id or name; `None` if there is none.
    pub(crate) async fn inspect(&self, id: &ArcStr) -> Result<Option<wire::Inspect>, Failure> {
        let what = "inspect a container";
        match self.get(&format!("/containers/{}/json", escaped(id)), what).await {
            Ok(answer) => Ok(Some(read(what, wire::read(&answer))?)),
            Err(Failure::Request {
                error: Error::DockerResponseServerError { status_code: 404, .. },
                ..
            }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn get(&self, path: &str, what: &'static str) -> Result<Vec<u8>, Failure> {
        get(
            &self.docker,
            &format!("{}{path}", self.prefix),
            self.deadline,
            what,
        )
        .await
    }
}

/// The whole answer to GET `path`.
async fn get(
    docker: &Docker,
    path: &str,
    deadline: Duration,
    what: &'static str,
) -> Result<Vec<u8>, Failure> {
    let whole = async {
        let mut octets = octets(docker, path);
        let mut answer = Vec::new();
        while let Some(chunk) = octets.next().await {
            let chunk = chunk.map_err(|error| Failure::Request { what, error })?;
            if answer.len() + chunk.len() > ANSWER_OCTETS_MAX {
                return Err(Failure::TooLong { what });
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    };
    let whole = tokio::time::timeout(deadline, whole).await;
    whole.map_err(|_| late(what, deadline))?
}

fn late(what: &'static str, deadline: Duration) -> Failure {
    Failure::Deadline {
        what,
        seconds: deadline.as_secs_f32(),
    }
}

/// The answer to GET `path`, as it comes.
///
/// Of all that the library offers, only the export of an image hands octets on as they are; so that is what we ask it
/// for, and send it elsewhere.
fn octets(docker: &Docker, path: &str) -> impl Stream<Item = Result<Vec<u8>, Error>> + Unpin + use<> {
    let path: ArcStr = path.into();
    let docker = docker
        .clone()
        .with_request_modifier(move |request| sent_to(request, &path));
    Box::pin(docker.export_image("").map_ok(Vec::from))
}

fn sent_to(mut request: BollardRequest, path: &str) -> BollardRequest {
    let uri = request.uri();
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
        && let Ok(elsewhere) = format!("{scheme}://{authority}{path}").parse()
    {
        *request.uri_mut() = elsewhere;
    }
    request
}

fn read<T>(what: &'static str, answer: Result<T, serde_json::Error>) -> Result<T, Failure> {
    answer.map_err(|error| Failure::Request {
        what,
        error: error.into(),
    })
}

/// Puts `%XX` for all that may not stand in a path or query by itself (RFC 3986, section 2.3).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
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

/// The newest API version that both know; where the engine has dropped all that we know, its oldest.
fn negotiate(engine: &wire::Version) -> Option<(usize, usize)> {
    let ClientVersion {
        major_version,
        minor_version,
    } = *API_DEFAULT_VERSION;
    let newest = parse_version(&engine.api_version)?;
    let oldest = parse_version(&engine.min_api_version).unwrap_or((0, 0));
    Some(newest.min((major_version, minor_version)).max(oldest))
}

fn parse_version(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn is_podman(engine: &wire::Version) -> bool {
    engine
        .components
        .first()
        .is_some_and(|component| component.name.contains("Podman"))
}

fn product(engine: &wire::Version) -> String {
    let name = if is_podman(engine) { "Podman" } else { "Docker" };
    let version = match engine.version.as_str() {
        "" => "of unknown version",
        version => version,
    };
    format!("{name} {version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(newest: &str, oldest: &str) -> Option<(usize, usize)> {
        negotiate(&wire::Version {
            api_version: newest.to_owned(),
            min_api_version: oldest.to_owned(),
            ..wire::Version::default()
        })
    }

    #[test]
    fn the_newest_api_that_both_know_is_spoken() {
        assert_eq!(agreed("1.41", "1.12"), Some((1, 41)));
        assert_eq!(agreed("1.41", ""), Some((1, 41)));
        assert_eq!(agreed("1.99", "1.44"), Some((1, 53)));
        assert_eq!(agreed("1.99", "1.60"), Some((1, 60)));
        assert_eq!(agreed("9", ""), None);
        assert_eq!(negotiate(&wire::Version::default()), None);
    }

    #[test]
    fn what_has_a_meaning_in_a_path_is_escaped() {
        assert_eq!(escaped("a-b_c.d~1"), "a-b_c.d~1");
        assert_eq!(escaped("a/b?c d%\u{fc}"), "a%2Fb%3Fc%20d%25%C3%BC");
    }
}
