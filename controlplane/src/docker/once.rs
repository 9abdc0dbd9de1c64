//! Containers looked at once, for somebody at a terminal: those of an engine, or what `docker inspect` wrote to a file.

use arcstr::ArcStr;
use futures_util::TryStreamExt;

use super::container::{Container, NetworkMode};
use super::engine::Engine;
use super::failure::Failure;
use super::line::Lines;
use super::publish::{ContainerSettings, Context, Owner, publish};
use super::words::{SharedWords, Words};
use super::{Endpoint, PACE, Standing, wire};
use crate::plugin::{Described, Seen};
use crate::service::{Service, Source};

/// A container, and what it would be without plugins.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name, without slashes.
    pub name: String,
    /// Full hex id.
    pub id: ArcStr,
    /// As plugins are shown it.
    pub seen: Seen,
    /// Its service; else why it has none, and why plugins are not asked about it either.
    pub built_in: Result<Service, Standing>,
}

/// Why an engine was not looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It does not answer as it should.
    #[error("{reason}; {remedy}")]
    Engine {
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// It has no such container.
    #[error("the engine at {endpoint} has no container {container:?}; `docker ps -a` lists all it has")]
    NoContainer {
        /// The engine.
        endpoint: String,
        /// What was asked for.
        container: String,
    },
}

/// Reads what `docker inspect` prints: a list of containers, or one.
///
/// # Errors
///
/// It is no JSON, or JSON of another shape.
pub fn read(json: &[u8], settings: &ContainerSettings) -> Result<Vec<Found>, serde_json::Error> {
    let inspects: Vec<wire::Inspect> = match json.trim_ascii_start().first() {
        Some(b'[') => wire::read_list(json)?,
        _ => vec![wire::read(json)?],
    };
    let source = Source::Engine("file".into());
    let all: Vec<_> = inspects.into_iter().map(container).collect();
    Ok(all
        .iter()
        .map(|container| {
            let owner = match &container.network_mode {
                NetworkMode::Of(named) => all.iter().find(|it| *it.id == **named || *it.name == **named),
                NetworkMode::Own | NetworkMode::Host | NetworkMode::None => None,
            };
            found(container.clone(), owner.cloned(), &source, settings, &[])
        })
        .collect())
}

/// Asks the engine at `endpoint` for the container of this name or id; without one, for all that run.
///
/// # Errors
///
/// [`LookError`]: the engine is away or refuses, or there is no such container.
pub async fn look(
    endpoint: &Endpoint,
    named: Option<&str>,
    settings: &ContainerSettings,
) -> Result<Vec<Found>, LookError> {
    let explained = |failure: Failure| {
        let trouble = failure.explain(endpoint);
        LookError::Engine {
            reason: trouble.reason,
            remedy: trouble.remedy,
        }
    };
    let source = Source::Engine(endpoint.to_string().into());
    let engine = Engine::connect(endpoint, PACE.deadline.first)
        .await
        .map_err(explained)?;
    let host = engine.networks().await.map_err(explained)?.host;
    let ids: Vec<ArcStr> = match named {
        Some(named) => vec![named.into()],
        None => {
            let lines = Lines {
                source: source.clone(),
                settings: settings.clone(),
                has_plugins: false,
                is_first: false,
                words: SharedWords::default(),
            };
            let listed: Vec<_> = engine.list(lines).try_collect().await.map_err(explained)?;
            let running = listed
                .into_iter()
                .flatten()
                .filter(|it| it.life.standing().is_none());
            running.map(|it| it.id).collect()
        }
    };
    let mut all = Vec::new();
    for id in &ids {
        let Some(inspect) = engine.inspect(id).await.map_err(explained)? else {
            // One of a list may have gone since.
            if let Some(container) = named {
                let endpoint = endpoint.to_string();
                let container = container.to_owned();
                return Err(LookError::NoContainer { endpoint, container });
            }
            continue;
        };
        let container = container(inspect);
        let owner = match &container.network_mode {
            NetworkMode::Of(owner) => engine
                .inspect(owner)
                .await
                .map_err(explained)?
                .map(self::container),
            NetworkMode::Own | NetworkMode::Host | NetworkMode::None => None,
        };
        all.push(found(container, owner, &source, settings, &host));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn container(inspect: wire::Inspect) -> Container {
    Container::from_inspect(inspect.id.as_str().into(), inspect)
}

fn found(
    container: Container,
    owner: Option<Container>,
    source: &Source,
    settings: &ContainerSettings,
    host: &[crate::service::Address],
) -> Found {
    let described = Described::from(&container);
    let (name, id) = (container.name.clone(), container.id.clone());
    let context = Context {
        source,
        settings,
        host,
    };
    let built_in = match container.life.standing() {
        Some(standing) => Err(standing),
        None => {
            let owner = owner.map(|owner| match owner.life.standing() {
                None => Owner::Running(Box::new(owner)),
                Some(_) => Owner::Away,
            });
            let publication = publish(container, owner, context, &mut Words::default());
            let service = publication
                .services
                .map(|services| Service::clone(services.first()));
            service.ok_or(publication.standing)
        }
    };
    let addresses = built_in.as_ref().map(|service| &*service.addresses);
    Found {
        name,
        id,
        seen: described.seen(addresses.unwrap_or_default()),
        built_in,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDIS: &str = r#"{"Id": "ab12", "Name": "/redis1", "State": {"Running": true},
        "Config": {"Image": "redis:7"}, "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.4"}}}}"#;

    fn read_text(json: &str) -> Vec<(String, Result<String, Standing>)> {
        let found = read(json.as_bytes(), &ContainerSettings::new("dev", "here", 30)).unwrap();
        let shown = |found: Found| {
            let host = found
                .built_in
                .map(|service| format!("{} {}", service.service, service.host()));
            (found.name, host)
        };
        found.into_iter().map(shown).collect()
    }

    #[test]
    fn one_container_and_a_list_of_them_are_read() {
        let redis = || ("redis1".to_owned(), Ok("redis 172.17.0.4".to_owned()));
        assert_eq!(read_text(REDIS), [redis()]);
        assert_eq!(read_text(&format!("\n [{REDIS},{REDIS}]")), [redis(), redis()]);
        assert_eq!(read_text("[]"), []);
        assert!(read(b"not JSON", &ContainerSettings::new("dev", "here", 30)).is_err());
        assert!(read(b"", &ContainerSettings::new("dev", "here", 30)).is_err());
    }

    #[test]
    fn one_without_names_is_told_with_the_reason() {
        let stopped = REDIS.replace("true", "false");
        assert_eq!(
            read_text(&stopped),
            [("redis1".to_owned(), Err(Standing::Stopped))]
        );
    }

    #[test]
    fn the_owner_of_a_shared_network_is_looked_for_in_the_same_file() {
        let side = r#"{"Id": "cd34", "Name": "/side", "State": {"Running": true}, "Config": {"Image": "side"},
            "HostConfig": {"NetworkMode": "container:ab12"}}"#;
        assert_eq!(
            read_text(&format!("[{side},{REDIS}]"))[0],
            ("side".to_owned(), Ok("side 172.17.0.4".to_owned()))
        );
        assert_eq!(read_text(side), [("side".to_owned(), Err(Standing::OwnerAway))]);
    }
}
