//! The interface of SkyDNS v1, for programs that were written for it.
//!
//! `docs/rest.md` lists where it differs, and why. Errors are plain text, as there, and replies have the content type
//! that they had there.

use std::collections::BTreeMap;
use std::sync::Arc;

use arcstr::ArcStr;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Shared;
use super::body::Octets;
use super::callbacks::may_be_called;
use super::problem::Problem;
use super::view::{self, Pattern};
use crate::service::{Service, Source};
use crate::store::{
    Callback, Condition, Draft, DraftPort, Now, Refusal, Shown, Transport, Words, Write, word,
};

/// The content type that Go took what SkyDNS sent for.
const TEXT: (HeaderName, &str) = (header::CONTENT_TYPE, "text/plain; charset=utf-8");

/// Its routes.
pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/skydns/services/", get(list))
        .route(
            "/skydns/services/{uuid}",
            get(one).put(register).patch(beat).delete(remove),
        )
        .route("/skydns/regions/", get(regions))
        .route("/skydns/environments/", get(environments))
        .route("/skydns/callbacks/{uuid}", put(call))
}

/// What `/raft` and everything below it says, which SkyDNS never guarded.
pub(super) async fn raft() -> Response {
    let detail = "skydock has no Raft, and no leader: several hosts will share their services through etcd, which it cannot yet";
    Problem::new(StatusCode::GONE, detail).into_text()
}

/// What a handler gives: an error is sent as text.
type Reply<T> = Result<T, Text>;

/// A problem that is told as SkyDNS told it.
struct Text(Problem);

impl<P: Into<Problem>> From<P> for Text {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for Text {
    fn into_response(self) -> Response {
        self.0.into_text()
    }
}

async fn register(
    State(shared): State<Arc<Shared>>,
    Path(uuid): Path<String>,
    body: Result<Octets, Problem>,
) -> Reply<StatusCode> {
    let fields = Fields::read(&body?)?;
    let host = fields.text("Host")?;
    let port = fields.number::<u16>("Port")?.unwrap_or(0);
    if host.is_empty() {
        return Err(Problem::invalid("Host", "Host is empty; give an IP address or a name").into());
    }
    if port == 0 {
        return Err(Problem::invalid("Port", "Port is 0; give 1 to 65535").into());
    }
    let (addresses, alias) = match host.parse() {
        Ok(address) => (vec![address], None),
        Err(_) => (Vec::new(), Some(host)),
    };
    let draft = Draft {
        service: fields.text("Name")?,
        instance: fields.text("Version")?,
        environment: fields.text("Environment")?,
        region: fields.text("Region")?,
        addresses,
        alias,
        ports: vec![DraftPort {
            number: port,
            protocol: Transport::Tcp,
            name: None,
        }],
        ttl: fields.number("TTL")?.unwrap_or(0),
        permanent: fields.flag("NoExpire")?,
        ..Draft::default()
    };
    let id: ArcStr = uuid.into();
    let write = Write::Put {
        id: id.clone(),
        draft,
        condition: Condition::Absent,
    };
    match shared.store.write(write).await {
        Ok(_) => Ok(StatusCode::CREATED),
        Err(Refusal::Condition { .. }) => Err(Refusal::Exists(id).into()),
        Err(refusal) => Err(renamed(refusal).into()),
    }
}

async fn beat(
    State(shared): State<Arc<Shared>>,
    Path(uuid): Path<String>,
    body: Result<Octets, Problem>,
) -> Reply<StatusCode> {
    let fields = Fields::read(&body?)?;
    let ttl = fields
        .number("TTL")?
        .ok_or_else(|| Problem::invalid("TTL", "TTL is missing; give seconds"))?;
    let write = Write::Beat {
        id: uuid.into(),
        ttl: Some(ttl),
        condition: Condition::Always,
    };
    shared.store.write(write).await?;
    Ok(StatusCode::OK)
}

async fn remove(State(shared): State<Arc<Shared>>, Path(uuid): Path<String>) -> Reply<StatusCode> {
    let write = Write::Remove {
        id: uuid.into(),
        condition: Condition::Always,
    };
    shared.store.write(write).await?;
    Ok(StatusCode::OK)
}

async fn one(State(shared): State<Arc<Shared>>, Path(uuid): Path<String>) -> Reply<String> {
    let now = Now::read();
    if let Some(entry) = shared.store.get(&uuid, now) {
        return Ok(format!("{}\n", Shown::of(&entry, now)));
    }
    let found = view::container(&shared.looks, &uuid).await?;
    let is_it = |service: &Arc<Service>| *service.uuid == *uuid;
    let service = found
        .filter(is_it)
        .ok_or_else(|| Refusal::NotFound(uuid.into()))?;
    Ok(format!("{}\n", Shown::of_service(&service, now)))
}

/// The parameters of a list.
#[derive(Deserialize)]
struct Asked {
    query: Option<String>,
}

async fn list(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Reply<Response> {
    let place = shared.lists.begin()?;
    let Query(asked) = asked?;
    let text = asked
        .query
        .as_deref()
        .filter(|query| !query.is_empty())
        .unwrap_or("*");
    let none = || Problem::new(StatusCode::NOT_FOUND, format!("no service is found by {text:?}"));
    let pattern = Pattern::read(text).ok_or_else(none)?;
    let now = Now::read();
    let mut shown = Vec::new();
    for service in view::all(&shared.looks).await? {
        if !pattern.matches(&service) {
            continue;
        }
        match service.id.source {
            Source::Rest => {
                let entry = shared.store.get(&service.id.id, now);
                shown.extend(entry.map(|entry| Shown::of(&entry, now)));
            }
            Source::Engine(_) => shown.push(Shown::of_service(&service, now)),
        }
    }
    if shown.is_empty() {
        return Err(none().into());
    }
    shown.sort_unstable_by(|a, b| a.uuid.cmp(&b.uuid));
    Ok(([TEXT], place.fill(json(&shown))).into_response())
}

async fn regions(State(shared): State<Arc<Shared>>) -> Reply<String> {
    Ok(count(&shared, |service| &service.region).await?)
}

async fn environments(State(shared): State<Arc<Shared>>) -> Reply<String> {
    Ok(count(&shared, |service| &service.environment).await?)
}

async fn count(shared: &Shared, word: fn(&Service) -> &ArcStr) -> Result<String, Problem> {
    let services = view::all(&shared.looks).await?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for service in &services {
        *counts.entry(word(service)).or_default() += 1;
    }
    // Where there was nothing to write, Go's encoder did not write it.
    Ok(match counts.is_empty() {
        true => "{}".to_owned(),
        false => json(&counts),
    })
}

async fn call(
    State(shared): State<Arc<Shared>>,
    Path(uuid): Path<String>,
    body: Result<Octets, Problem>,
) -> Reply<StatusCode> {
    let fields = Fields::read(&body?)?;
    word("uuid", &uuid)?;
    let reply = fields.text("Reply")?;
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | b':');
    if reply.is_empty() || reply.len() > 255 || !reply.bytes().all(is_plain) {
        return Err(Problem::invalid("Reply", "Reply is no host; give an IP address or a name").into());
    }
    if reply.parse().is_ok_and(|address| !may_be_called(address)) {
        let detail = "Reply is an address that no callback may go to; give that of a host on your network";
        return Err(Problem::invalid("Reply", detail).into());
    }
    let port = fields.number::<u16>("Port")?.filter(|port| *port != 0);
    let port = port.ok_or_else(|| Problem::invalid("Port", "Port is 0 or missing; give 1 to 65535"))?;
    let write = Write::Call {
        words: Words {
            service: fields.text("Name")?,
            instance: fields.text("Version")?,
            environment: fields.text("Environment")?,
            region: fields.text("Region")?,
        },
        callback: Callback {
            id: uuid.into(),
            reply: reply.into(),
            port,
        },
    };
    shared.store.write(write).await?;
    Ok(StatusCode::CREATED)
}

/// As Go's encoder wrote it, with a new line behind.
fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).expect("maps of text and numbers are JSON");
    text.push('\n');
    text
}

/// What is wrong, with the field as it is called here.
fn renamed(refusal: Refusal) -> Problem {
    let mut problem = Problem::from(refusal);
    let called = match problem.field.as_deref() {
        Some("id") => "UUID",
        Some("service") => "Name",
        Some("instance") => "Version",
        Some("environment") => "Environment",
        Some("region") => "Region",
        Some("alias" | "addresses" | "addresses[0]") => "Host",
        Some("ports[0].number") => "Port",
        _ => return problem,
    };
    problem.field = Some(called.to_owned());
    problem
}

/// A JSON object as Go read it into a struct: the case of a name does not matter, of two the last counts, what is not
/// known is passed over, and `null` is nothing.
struct Fields(Map<String, Value>);

impl Fields {
    fn read(body: &Octets) -> Result<Self, Problem> {
        // Go's decoder reads one value and leaves alone what follows.
        let mut values = serde_json::Deserializer::from_slice(&body.0).into_iter();
        match values.next() {
            Some(Ok(fields)) => Ok(Self(fields)),
            None => Err(Problem::invalid("body", "the body is empty; give a JSON object")),
            Some(Err(error)) => Err(Problem::invalid(
                "body",
                format!("the body is no JSON object: {error}"),
            )),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.get(name).or_else(|| {
            let mut fields = self.0.iter();
            fields.find_map(|(other, value)| other.eq_ignore_ascii_case(name).then_some(value))
        });
        found.filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<String, Problem> {
        match self.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(Problem::invalid(name, format!("{name} is no text"))),
        }
    }

    fn number<N: TryFrom<u64>>(&self, name: &str) -> Result<Option<N>, Problem> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| N::try_from(number).ok());
        number.map(Some).ok_or_else(|| {
            let bits = 8 * size_of::<N>();
            // Anything else may be as long as the body.
            let is = match value {
                Value::Number(number) => number.to_string(),
                _ => "no number".to_owned(),
            };
            Problem::invalid(
                name,
                format!("{name} is {is}; give a whole number below 2^{bits}"),
            )
        })
    }

    fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Problem::invalid(
                name,
                format!("{name} is neither true nor false"),
            )),
        }
    }
}
