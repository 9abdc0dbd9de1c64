//! `/v1/services/{id}`: one service.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};

use super::shown::Shown;
use super::{JSON, condition, json};
use crate::api::Shared;
use crate::api::body::Octets;
use crate::api::problem::Problem;
use crate::api::view;
use crate::store::{Done, Draft, DraftPort, Entry, Now, Patch, Refusal, Write};

/// What a service is registered with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    service: String,
    #[serde(default)]
    instance: String,
    #[serde(default)]
    environment: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    addresses: Vec<IpAddr>,
    #[serde(default)]
    alias: Option<String>,
    #[serde(default)]
    ports: Vec<GivenPort>,
    #[serde(default)]
    priority: Option<u16>,
    #[serde(default)]
    weight: Option<u16>,
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    ttl: Option<u32>,
    #[serde(default)]
    permanent: bool,
}

/// Changes of a service (RFC 7396): what is not there stays, what is `null` is taken away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default, deserialize_with = "told")]
    service: Option<Option<String>>,
    #[serde(default, deserialize_with = "told")]
    instance: Option<Option<String>>,
    #[serde(default, deserialize_with = "told")]
    environment: Option<Option<String>>,
    #[serde(default, deserialize_with = "told")]
    region: Option<Option<String>>,
    #[serde(default, deserialize_with = "told")]
    addresses: Option<Option<Vec<IpAddr>>>,
    #[serde(default, deserialize_with = "told")]
    alias: Option<Option<String>>,
    #[serde(default, deserialize_with = "told")]
    ports: Option<Option<Vec<GivenPort>>>,
    #[serde(default, deserialize_with = "told")]
    priority: Option<Option<u16>>,
    #[serde(default, deserialize_with = "told")]
    weight: Option<Option<u16>>,
    #[serde(default, deserialize_with = "told")]
    texts: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "told")]
    names: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "told")]
    ttl: Option<Option<u32>>,
    #[serde(default, deserialize_with = "told")]
    permanent: Option<Option<bool>>,
}

/// A port, with nothing that is not known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenPort {
    number: u16,
    #[serde(default)]
    protocol: crate::store::Transport,
    #[serde(default)]
    name: Option<String>,
}

/// What a heartbeat may change.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beat {
    ttl: Option<u32>,
}

/// `null` is something that was told, other than nothing.
fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl From<GivenPort> for DraftPort {
    fn from(
        GivenPort {
            number,
            protocol,
            name,
        }: GivenPort,
    ) -> Self {
        Self {
            number,
            protocol,
            name,
        }
    }
}

impl Given {
    fn draft(self) -> Result<Draft, Problem> {
        let ttl = match (self.ttl, self.permanent) {
            (Some(ttl), _) => ttl,
            (None, true) => 0,
            (None, false) => {
                return Err(Problem::invalid(
                    "ttl",
                    "is missing; give the seconds it lives without a heartbeat, or permanent",
                ));
            }
        };
        Ok(Draft {
            service: self.service,
            instance: self.instance,
            environment: self.environment,
            region: self.region,
            addresses: self.addresses,
            alias: self.alias,
            ports: self.ports.into_iter().map(DraftPort::from).collect(),
            priority: self.priority,
            weight: self.weight,
            texts: self.texts,
            names: self.names,
            ttl,
            permanent: self.permanent,
        })
    }
}

impl Changes {
    /// What is to be changed.
    ///
    /// # Errors
    ///
    /// 400: something is taken away that every service has.
    fn patch(self) -> Result<Patch, Problem> {
        let changes = self;
        let kept =
            |field: &str| Problem::invalid(field, "every service has one; give another, or leave it out");
        // Addresses or an alias: who gives one means it instead of the other.
        let host = match (changes.addresses, changes.alias) {
            (None, None) => None,
            (addresses, alias) => Some((addresses.flatten().unwrap_or_default(), alias.flatten())),
        };
        Ok(Patch {
            service: match changes.service {
                Some(service) => Some(service.ok_or_else(|| kept("service"))?),
                None => None,
            },
            instance: changes.instance.map(Option::unwrap_or_default),
            environment: changes.environment.map(Option::unwrap_or_default),
            region: changes.region.map(Option::unwrap_or_default),
            host,
            ports: changes.ports.map(|ports| {
                ports
                    .unwrap_or_default()
                    .into_iter()
                    .map(DraftPort::from)
                    .collect()
            }),
            priority: changes.priority,
            weight: changes.weight,
            texts: changes.texts.map(Option::unwrap_or_default),
            names: changes.names.map(Option::unwrap_or_default),
            ttl: match changes.ttl {
                Some(ttl) => Some(ttl.ok_or_else(|| kept("ttl"))?),
                None => None,
            },
            permanent: changes.permanent.map(Option::unwrap_or_default),
        })
    }
}

pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    let now = Now::read();
    if let Some(entry) = shared.store.get(&id, now) {
        let revision = entry.registration.revision;
        if condition::is_known(&headers, Some(revision))? {
            let tag = [(header::ETAG, condition::tag(revision))];
            return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
        }
        return Ok(shown(&shared, &entry, now));
    }
    match view::container(&shared.looks, &id).await? {
        // It has no tag, and so it can be known only as there.
        Some(_) if condition::is_known(&headers, None)? => Ok(StatusCode::NOT_MODIFIED.into_response()),
        Some(service) => Ok(([JSON], json(&Shown::of(&service, None, now))).into_response()),
        None => Err(Refusal::NotFound(id.into()).into()),
    }
}

pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Octets,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    check_type(&headers, &["application/json"])?;
    let write = Write::Put {
        id: id.into(),
        draft: body.json::<Given>()?.draft()?,
        condition: condition::read(&headers)?,
    };
    Ok(changed(&shared, shared.store.write(write).await?))
}

pub(super) async fn patch(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Octets,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    check_type(&headers, &["application/merge-patch+json", "application/json"])?;
    let write = Write::Patch {
        id: id.into(),
        patch: Box::new(body.json::<Changes>()?.patch()?),
        condition: condition::read(&headers)?,
    };
    Ok(changed(&shared, shared.store.write(write).await?))
}

pub(super) async fn beat(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Octets,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    let beat = match body.0.is_empty() {
        true => Beat::default(),
        false => body.json()?,
    };
    let write = Write::Beat {
        id: id.into(),
        ttl: beat.ttl,
        condition: condition::read(&headers)?,
    };
    Ok(changed(&shared, shared.store.write(write).await?))
}

pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    let write = Write::Remove {
        id: id.into(),
        condition: condition::read(&headers)?,
    };
    shared.store.write(write).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn changed(shared: &Shared, done: Done) -> Response {
    let status = if done.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    match done.entry {
        Some(entry) => (status, shown(shared, &entry, Now::read())).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

fn shown(shared: &Shared, entry: &Entry, now: Now) -> Response {
    let service = entry.registration.service(shared.store.defaults(), None);
    let tag = (header::ETAG, condition::tag(entry.registration.revision));
    let body = json(&Shown::of(&service, Some(entry), now));
    ([tag, (JSON.0, JSON.1.to_owned())], body).into_response()
}

/// Whether the body is said to be one of `types`.
fn check_type(headers: &HeaderMap, types: &[&str]) -> Result<(), Problem> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|given| given.to_str().ok());
    let bare = given.and_then(|given| given.split(';').next()).map(str::trim);
    if bare.is_some_and(|bare| types.iter().any(|known| known.eq_ignore_ascii_case(bare))) {
        return Ok(());
    }
    let detail = format!(
        "the body has to be {}; say so in Content-Type",
        types.join(" or ")
    );
    Err(Problem {
        field: Some("Content-Type".to_owned()),
        ..Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    })
}
