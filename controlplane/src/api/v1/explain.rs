//! `/v1/explain`: why a question is answered as it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dns::{Name, RType};
use domain::base::iana::Rtype;
use domain::base::opt::ExtendedError;
use domain::base::{Message, MessageBuilder, Name as DomainName};
use domain::rdata::AllRecordData;
use serde::{Deserialize, Serialize};

use super::shown::health;
use super::{JSON, json};
use crate::api::Shared;
use crate::api::problem::Problem;
use crate::api::view;
use crate::compile::{Candidate, Explanation, Verdict, Way};
use crate::docker::Sighting;
use crate::docker::Standing;
use crate::naming::{Role, label};
use crate::service::Health;

/// Containers without names that are shown; of more the first by name.
const UNPUBLISHED_MAX: usize = 20;

/// What the workers would do with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    /// Send this reply.
    Reply(Vec<u8>),
    /// Ask others.
    Forward(Others),
    /// Send this reply, and behind it what others say of the name that our alias leads to.
    Follow(Vec<u8>, Others),
    /// Send nothing.
    Silence,
}

/// Who is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// One of these, in the order of preference.
    pub upstreams: Vec<SocketAddr>,
    /// The domain that they are for, the root where it is all the rest.
    pub domain: Option<Name>,
}

/// Asks the workers what they would do if that client sent that query.
pub type Rehearse = Arc<dyn Fn(IpAddr, &[u8]) -> Rehearsed + Send + Sync>;

/// The parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    name: String,
    r#type: Option<String>,
    from: Option<String>,
}

#[derive(Serialize)]
struct Shown<'e> {
    name: String,
    r#type: String,
    from: IpAddr,
    /// The network of an engine's that the client is in.
    network: Option<Network<'e>>,
    zone: Option<String>,
    /// `name`, `port`, `pattern`, `wildcard`, `server`, `held` or `nobody`.
    way: &'static str,
    /// The name that a port is of, the wildcard owner, or the name that is held.
    of: Option<String>,
    reply: Reply,
    candidates: Vec<ShownCandidate<'e>>,
    candidates_in_all: usize,
    /// Containers without names that the question could mean.
    unpublished: Vec<Unpublished<'e>>,
}

#[derive(Serialize)]
struct Network<'e> {
    source: String,
    name: &'e str,
}

/// What is answered.
#[derive(Default, Serialize)]
struct Reply {
    /// `NOERROR`, `NXDOMAIN`, ...; none where others are asked, and not about what an alias of ours leads to.
    rcode: Option<String>,
    /// In presentation format.
    answers: Vec<String>,
    /// The reasons that the reply itself gives (RFC 8914).
    reasons: Vec<String>,
    /// Who is asked.
    forwarded_to: Vec<SocketAddr>,
    /// The domain that they are for; `.`: they are for all that has no others.
    forwarded_for: Option<String>,
}

#[derive(Serialize)]
struct ShownCandidate<'e> {
    id: &'e str,
    source: String,
    service: &'e str,
    instance: &'e str,
    environment: &'e str,
    addresses: &'e [IpAddr],
    health: &'static str,
    /// Why it stands at the name.
    role: &'static str,
    answers: bool,
    /// Why it does not answer.
    why: Option<String>,
}

#[derive(Serialize)]
struct Unpublished<'e> {
    id: &'e str,
    container: &'e str,
    image: &'e str,
    standing: &'static str,
    why: String,
    /// Labels of it that were left aside.
    complaints: Vec<String>,
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked?;
    let name: Name = asked
        .name
        .parse()
        .map_err(|error: dns::NameError| Problem::invalid("name", error.to_string()))?;
    let rtype = asked.r#type.as_deref().unwrap_or("A");
    let rtype: Rtype = rtype
        .to_ascii_uppercase()
        .parse()
        .map_err(|_| Problem::invalid("type", "give a record type: A, AAAA, SRV, PTR or another"))?;
    let from = asked
        .from
        .as_deref()
        .map_or(Ok(Ipv4Addr::LOCALHOST.into()), str::parse);
    let from: IpAddr = from.map_err(|_| Problem::invalid("from", "give the client's IP address"))?;

    let query = query(&name, rtype).ok_or_else(|| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the question does not fit into a message",
        )
    })?;
    let reply = read((shared.rehearse)(from, &query));
    let explanation = view::explain(&shared.looks, name.clone(), RType(rtype.to_int()), from).await?;
    let sightings = shared.sightings();
    let shown = Shown {
        name: format!("{name}."),
        r#type: rtype.to_string(),
        from,
        network: explanation.network.as_ref().map(|(source, name)| Network {
            source: source.to_string(),
            name,
        }),
        zone: explanation.zone.as_ref().map(|zone| format!("{zone}.")),
        way: match explanation.way {
            Way::Name => "name",
            Way::Port(_) => "port",
            Way::Pattern => "pattern",
            Way::Wildcard(_) => "wildcard",
            Way::Server => "server",
            Way::Held(_) => "held",
            Way::Nobody => "nobody",
        },
        of: match &explanation.way {
            Way::Port(owner) | Way::Wildcard(owner) | Way::Held(owner) => Some(format!("{owner}.")),
            Way::Name | Way::Pattern | Way::Server | Way::Nobody => None,
        },
        reply,
        candidates: explanation.candidates.iter().map(ShownCandidate::of).collect(),
        candidates_in_all: explanation.candidates_in_all,
        unpublished: unpublished(&name, &explanation, &sightings),
    };
    Ok(([JSON], json(&shown)).into_response())
}

/// A query with EDNS, so that the reply may give its reasons.
fn query(name: &Name, rtype: Rtype) -> Option<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    let name = DomainName::from_octets(name.octets()).ok()?;
    question.push((name, rtype)).ok()?;
    let mut additional = question.additional();
    additional
        .opt(|opt| {
            opt.set_udp_payload_size(1232);
            Ok(())
        })
        .ok()?;
    Some(additional.finish())
}

/// What a reply says, as text; what of it cannot be read is left out.
fn read(rehearsed: Rehearsed) -> Reply {
    let (octets, others) = match rehearsed {
        Rehearsed::Reply(octets) => (octets, Others::default()),
        Rehearsed::Follow(octets, others) => (octets, others),
        Rehearsed::Forward(others) => (Vec::new(), others),
        Rehearsed::Silence => return Reply::default(),
    };
    let forwarded = Reply {
        forwarded_to: others.upstreams,
        forwarded_for: others.domain.map(|domain| match domain == Name::root() {
            true => ".".to_owned(),
            false => format!("{domain}."),
        }),
        ..Reply::default()
    };
    let Ok(message) = Message::from_octets(octets.as_slice()) else {
        return forwarded;
    };
    let records = message.answer().into_iter().flatten().flatten();
    let answers = records.filter_map(|record| {
        let record = record.to_record::<AllRecordData<_, _>>().ok()??;
        Some(record.to_string())
    });
    let reasons = message.opt().map(|opt| {
        let errors = opt.opt().iter::<ExtendedError<_>>().flatten();
        errors.map(|error| error.to_string()).collect()
    });
    Reply {
        rcode: Some(message.header().rcode().to_string()),
        answers: answers.collect(),
        reasons: reasons.unwrap_or_default(),
        ..forwarded
    }
}

impl<'e> ShownCandidate<'e> {
    fn of(candidate: &'e Candidate) -> Self {
        let Candidate {
            service,
            role,
            verdict,
            addresses,
        } = candidate;
        Self {
            id: &service.id.id,
            source: service.id.source.to_string(),
            service: &service.service,
            instance: &service.instance,
            environment: &service.environment,
            addresses,
            health: health(service.health),
            role: role.map_or("it matches the pattern", of_role),
            answers: *verdict == Verdict::Answers,
            why: why(*verdict, service.health),
        }
    }
}

/// Why a service stands at a name, as a sentence.
fn of_role(role: Role) -> &'static str {
    match role {
        Role::Environment => "it is in that environment",
        Role::Service => "it is one of that service",
        Role::Instance => "it is that instance",
        Role::Uuid => "it has that id",
        Role::Wished => "it asks for that name",
        Role::Container => "it is the container of that name",
        Role::ComposeService => "it is one of that service of that Compose project",
        Role::ComposeInstance => "it is that container of that Compose project",
        Role::ComposeBare => "it is one of that service of a Compose project",
        Role::NetworkAlias => "it has that alias on a network",
        Role::Reverse => "it has that address",
    }
}

/// Why it does not answer, as a sentence; none if it does.
fn why(verdict: Verdict, health: Health) -> Option<String> {
    Some(match verdict {
        Verdict::Answers => return None,
        Verdict::BeyondRoom => "more services stand there than a reply can hold".to_owned(),
        Verdict::Starting => "it has not been healthy yet, and others are".to_owned(),
        Verdict::Unhealthy => format!("its health check says {}", self::health(health)),
        Verdict::Contested => {
            "several Compose projects have a service of that name, so it is nobody's: ask for <service>.<project>"
                .to_owned()
        }
        Verdict::OtherNetwork => "clients on its network alone may call it so: ask from there, or by another of its names, or \
             give it this one with the label skydock.name"
            .to_owned(),
        Verdict::OtherRegion => "it is in another region, which SRV alone falls back to".to_owned(),
        Verdict::OurServer => "the name is our own server's".to_owned(),
        Verdict::Outranked(role) => format!("another has the name because {}", of_role(role)),
    })
}

/// Containers without names whose name, id or image is a label of the question, or that carry a name outside our zones.
fn unpublished<'e>(
    name: &Name,
    explanation: &Explanation,
    sightings: &'e [Sighting],
) -> Vec<Unpublished<'e>> {
    let zone_labels = explanation.zone.as_ref().map_or(0, |zone| zone.labels().count());
    let own = name.labels().count().saturating_sub(zone_labels);
    let labels: Vec<&[u8]> = name.labels().take(own).collect();
    let is_meant = |word: &str| label(word).is_some_and(|label| labels.contains(&label.as_bytes()));
    let image = |sighting: &Sighting| {
        let base = sighting.image.rsplit('/').next().unwrap_or_default();
        base.split([':', '@']).next().unwrap_or_default().to_owned()
    };
    let holds = |sighting: &Sighting| explanation.holders.iter().any(|(_, id)| *id == sighting.id);
    sightings
        .iter()
        .filter(|sighting| sighting.standing != Standing::Published || !sighting.complaints.is_empty())
        .filter(|sighting| {
            let short = sighting.id.get(..10).unwrap_or(&sighting.id);
            holds(sighting) || is_meant(&sighting.name) || is_meant(short) || is_meant(&image(sighting))
        })
        .take(UNPUBLISHED_MAX)
        .map(|sighting| Unpublished {
            id: &sighting.id,
            container: &sighting.name,
            image: &sighting.image,
            standing: sighting.standing.word(),
            why: match holds(sighting) {
                true => format!("{}, and asks for that name", sighting.standing),
                false => sighting.standing.to_string(),
            },
            complaints: sighting.complaints.iter().map(ToString::to_string).collect(),
        })
        .collect()
}
