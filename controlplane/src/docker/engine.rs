//! The five requests we make of an engine, all of them GET: its version, its events, its list, inspect, and its networks.
//!
//! A read-only proxy before the engine's socket needs to pass no more than `/version`, `/events`, `/containers/json`,
//! `/containers/ID/json` and `/networks`. Without the last one answers do not depend on the client's network.

use std::collections::HashMap;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, EventMessage, SystemVersion};
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, ListContainersOptions, ListNetworksOptions,
};
use bollard::{API_DEFAULT_VERSION, BollardRequest, ClientVersion, Docker};
use futures_util::Stream;

use super::endpoint::{Address, Endpoint};
use super::failure::Failure;
use super::listed::Listed;
use super::networks;
use crate::service::Network;

/// The oldest API whose answers we were tried with: Docker 20.10's.
const API_OLDEST_TRIED: (usize, usize) = (1, 41);

/// How long the engine may take to begin its answer to `/events`. A proxy may send nothing, the status line included,
/// before the first event comes, so this is no deadline; the periodic list finds out whether the engine lives.
const EVENTS_ANSWER_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A connection to an engine. Each request opens its own socket, so it is a plan to connect rather than a connection.
#[derive(Clone)]
pub(crate) struct Engine {
    docker: Docker,
    deadline: Duration,
    /// Whether the engine's clock is ours, so that it can be told from when on events are wanted.
    same_clock: bool,
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
        if let Address::Unix(path) = &endpoint.address {
            // The library calls a socket missing that it may not see; the system tells the two apart.
            let socket = std::fs::metadata(path).map_err(|err| Failure::Request {
                what,
                error: Error::IOError { err },
            })?;
            if !socket.file_type().is_socket() {
                return Err(Failure::NotASocket);
            }
        }
        let docker = client(endpoint, deadline).map_err(|error| Failure::Request { what, error })?;
        let answer = within(deadline, what, docker.version()).await?;
        let api = negotiate(&answer).ok_or(Failure::Request {
            what,
            error: Error::APIVersionParseError {},
        })?;
        Ok(Self {
            docker: docker.with_request_modifier(move |request| versioned(request, api)),
            deadline,
            same_clock: matches!(endpoint.address, Address::Unix(_)),
            version: product(&answer),
            api: format!("{}.{}", api.0, api.1),
            is_old: api < API_OLDEST_TRIED,
        })
    }

    /// The engine's events about containers and networks, from now on.
    ///
    /// Nothing shows when the engine has taken the subscription in. So it is told from when on we want events, and
    /// sends what happened in between from memory: whatever a list misses that is asked for after this call is in the
    /// events. An engine on another host has another clock and is not told; what might be lost there the list shows
    /// that follows soon after the first.
    pub(crate) fn events(&self) -> impl Stream<Item = Result<EventMessage, Error>> + use<> {
        let filters = HashMap::from([("type", vec!["container", "network"])]);
        let mut options = EventsOptionsBuilder::new().filters(&filters);
        if self.same_clock
            && let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)
        {
            options = options.since(&format!("{}.{:09}", now.as_secs(), now.subsec_nanos()));
        }
        self.docker
            .clone()
            .with_timeout(EVENTS_ANSWER_DEADLINE)
            .events(Some(options.build()))
    }

    /// All containers that the engine calls running; paused ones and those between two restarts are among them.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>, Failure> {
        let request = self.docker.list_containers(None::<ListContainersOptions>);
        let containers = within(self.deadline, "list containers", request).await?;
        Ok(containers.into_iter().filter_map(Listed::from_summary).collect())
    }

    /// All networks that have addresses to give.
    pub(crate) async fn networks(&self) -> Result<Vec<Network>, Failure> {
        let request = self.docker.list_networks(None::<ListNetworksOptions>);
        let answer = within(self.deadline, "list networks", request).await?;
        Ok(networks::read(answer))
    }

    /// One container; `None` if there is none of that id.
    pub(crate) async fn inspect(&self, id: &Arc<str>) -> Result<Option<ContainerInspectResponse>, Failure> {
        let request = self.docker.inspect_container(id, None::<InspectContainerOptions>);
        match within(self.deadline, "inspect a container", request).await {
            Ok(container) => Ok(Some(container)),
            Err(Failure::Request {
                error: Error::DockerResponseServerError { status_code: 404, .. },
                ..
            }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

fn client(endpoint: &Endpoint, deadline: Duration) -> Result<Docker, Error> {
    // The library's own deadline does not cover the body; ours does, and is the shorter.
    let seconds = deadline.as_secs().saturating_add(1);
    match &endpoint.address {
        Address::Unix(path) => {
            Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)
        }
        Address::Http { authority } => Docker::connect_with_http(authority, seconds, API_DEFAULT_VERSION),
        Address::Https {
            authority,
            certificates,
        } => Docker::connect_with_ssl(
            authority,
            &certificates.join("key.pem"),
            &certificates.join("cert.pem"),
            &certificates.join("ca.pem"),
            seconds,
            API_DEFAULT_VERSION,
        ),
    }
}

async fn within<T>(
    deadline: Duration,
    what: &'static str,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(deadline, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Failure::Request { what, error }),
        Err(_) => Err(Failure::Deadline {
            what,
            seconds: deadline.as_secs_f32(),
        }),
    }
}

/// The newest API version that both know; where the engine has dropped all that we know, its oldest.
fn negotiate(engine: &SystemVersion) -> Option<(usize, usize)> {
    let ClientVersion {
        major_version,
        minor_version,
    } = *API_DEFAULT_VERSION;
    let newest = parse_version(engine.api_version.as_deref()?)?;
    let oldest = engine
        .min_api_version
        .as_deref()
        .and_then(parse_version)
        .unwrap_or((0, 0));
    Some(newest.min((major_version, minor_version)).max(oldest))
}

fn parse_version(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Puts the API version in front of the path. The library leaves it out, and an engine answers such a request in the
/// newest form it knows, which may be newer than we do.
fn versioned(mut request: BollardRequest, (major, minor): (usize, usize)) -> BollardRequest {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
        && let Ok(versioned) = format!("{scheme}://{authority}/v{major}.{minor}{path}").parse()
    {
        *request.uri_mut() = versioned;
    }
    request
}

fn product(engine: &SystemVersion) -> String {
    let component = engine
        .components
        .as_ref()
        .and_then(|components| components.first());
    let name = match component {
        Some(component) if component.name.contains("Podman") => "Podman",
        _ => "Docker",
    };
    format!(
        "{name} {}",
        engine.version.as_deref().unwrap_or("of unknown version")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(newest: &str, oldest: Option<&str>) -> Option<(usize, usize)> {
        negotiate(&SystemVersion {
            api_version: Some(newest.to_owned()),
            min_api_version: oldest.map(str::to_owned),
            ..SystemVersion::default()
        })
    }

    #[test]
    fn the_newest_api_that_both_know_is_spoken() {
        assert_eq!(agreed("1.41", Some("1.12")), Some((1, 41)));
        assert_eq!(agreed("1.41", None), Some((1, 41)));
        assert_eq!(agreed("1.99", Some("1.44")), Some((1, 53)));
        assert_eq!(agreed("1.99", Some("1.60")), Some((1, 60)));
        assert_eq!(agreed("9", None), None);
        assert_eq!(negotiate(&SystemVersion::default()), None);
    }
}
