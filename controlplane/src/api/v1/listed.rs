//! `/v1/services`: all services, a page at a time.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::shown::{self, Shown};
use super::{JSON, json};
use crate::api::Shared;
use crate::api::problem::Problem;
use crate::api::view::{self, Pattern};
use crate::naming::label;
use crate::service::{Service, Source};
use crate::store::{Entry, Now};

/// Services of a page where nobody says how many.
const PAGE: usize = 100;
/// Services of a page at most: some 500 KiB of text.
const PAGE_MAX: usize = 1000;

/// The parameters.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<usize>,
    after: Option<String>,
    query: Option<String>,
    service: Option<String>,
    instance: Option<String>,
    environment: Option<String>,
    region: Option<String>,
    source: Option<String>,
    health: Option<String>,
}

/// One page.
#[derive(Serialize)]
struct Page<'s> {
    services: Vec<Shown<'s>>,
    /// What `after` has to be for the next page; none after the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Where to watch from, so that nothing is missed that this does not show.
    event: String,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::invalid("query", error.body_text()))?;
    let limit = asked.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::invalid("limit", format!("give 1 to {PAGE_MAX}")));
    }
    let after = asked.after.as_deref().map(read_cursor).transpose()?;
    let filter = Filter::of(&asked)?;

    // Before the services, for what comes between the two is then told twice and not missed.
    let event = shared.feed.here().to_string();
    let services = view::all(&shared.looks).await?;
    let now = Now::read();
    let entries: HashMap<Arc<str>, Entry> = shared
        .store
        .all(now)
        .into_iter()
        .map(|entry| (entry.registration.id.clone(), entry))
        .collect();

    let mut found: Vec<_> = services
        .iter()
        .filter(|service| filter.takes(service))
        .filter(|service| after.is_none_or(|after| key(service) > after))
        .collect();
    let has_more = found.len() > limit;
    if has_more {
        // Only the page is put in order: there may be many behind it.
        found.select_nth_unstable_by(limit - 1, |a, b| key(a).cmp(&key(b)));
        found.truncate(limit);
    }
    found.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    let last = found.last().copied().filter(|_| has_more).map(|last| key(last));
    let shown: Vec<_> = found
        .into_iter()
        .filter_map(|service| match service.id.source {
            // What was removed since then is not there.
            Source::Rest => Some(Shown::of(service, Some(entries.get(&service.id.id)?), now)),
            Source::Engine(_) => Some(Shown::of(service, None, now)),
        })
        .collect();
    let next = last.map(|last| {
        let (id, source, part) = last;
        format!("{id} {source} {part}")
    });
    let page = Page {
        services: shown,
        next,
        event,
    };
    Ok(([JSON], json(&page)).into_response())
}

/// What orders a list: the id by which it is asked for, its source, and which it is of those that have the id.
type Key<'s> = (&'s str, &'s str, u16);

fn key(service: &Service) -> Key<'_> {
    match &service.id.source {
        Source::Engine(endpoint) => (&service.uuid, endpoint, service.id.part),
        Source::Rest => (&service.id.id, "rest", 0),
    }
}

fn read_cursor(after: &str) -> Result<Key<'_>, Problem> {
    let invalid = || Problem::invalid("after", "give what `next` of the page before said");
    let mut words = after.split(' ');
    match (
        words.next(),
        words.next(),
        words.next().map(str::parse),
        words.next(),
    ) {
        (Some(id), Some(source), Some(Ok(part)), None) => Ok((id, source, part)),
        _ => Err(invalid()),
    }
}

/// Which services are wanted.
struct Filter<'a> {
    pattern: Pattern,
    words: [Option<&'a str>; 4],
    source: Option<&'a str>,
    health: Option<&'a str>,
}

impl<'a> Filter<'a> {
    fn of(asked: &'a Asked) -> Result<Self, Problem> {
        let query = asked.query.as_deref().unwrap_or_default();
        let pattern = Pattern::read(query).ok_or_else(|| {
            let detail = "give labels as a question has them, without the domain: web.dev";
            Problem::invalid("query", detail)
        })?;
        if let Some(health) = &asked.health
            && !["none", "starting", "healthy", "unhealthy"].contains(&health.as_str())
        {
            return Err(Problem::invalid(
                "health",
                "give none, starting, healthy or unhealthy",
            ));
        }
        Ok(Self {
            pattern,
            words: [
                asked.service.as_deref(),
                asked.instance.as_deref(),
                asked.environment.as_deref(),
                asked.region.as_deref(),
            ],
            source: asked.source.as_deref(),
            health: asked.health.as_deref(),
        })
    }

    fn takes(&self, service: &Service) -> bool {
        let has = [
            &service.service,
            &service.instance,
            &service.environment,
            &service.region,
        ];
        let is_worded = self
            .words
            .iter()
            .zip(has)
            .all(|(wanted, has)| wanted.is_none_or(|wanted| label(wanted) == label(has)));
        let is_source = match self.source {
            None => true,
            Some("engine") => matches!(service.id.source, Source::Engine(_)),
            Some(source) => service.id.source.to_string() == source,
        };
        let is_health = self
            .health
            .is_none_or(|health| shown::health(service.health) == health);
        is_worded && is_source && is_health && self.pattern.matches(service)
    }
}
