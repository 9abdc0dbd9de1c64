//! `/v1/services`: all services, a page at a time, which costs what the page does and not what all of them would.

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
use crate::pipeline::PageAsked;
use crate::service::{Service, ServiceId, Source};
use crate::store::Now;

/// Services of a page where nobody says how many.
const PAGE: usize = 100;
/// Services of a page at most: some 500 KiB of text.
const PAGE_MAX: usize = 1000;
/// Octets of them ([`Service::octets`]), since a page is held until its reader has it: what as many usual ones take. Of
/// larger ones a page has fewer, and one at least.
const PAGE_OCTETS_MAX: usize = 1 << 20;

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
    let Query(asked) = asked?;
    let limit = asked.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::invalid("limit", format!("give 1 to {PAGE_MAX}")));
    }
    let after = asked.after.as_deref().map(read_cursor).transpose()?;
    let filter = Filter::of(asked)?;

    // Before the services, for what comes between the two is then told twice and not missed.
    let event = shared.feed.here().to_string();
    let asked = PageAsked {
        after,
        limit,
        takes: Box::new(move |service| filter.takes(service)),
    };
    let mut found = view::page(&shared.looks, asked).await?;
    if let Some(last) = cut(&mut found.services) {
        found.next = Some(last);
    }
    let now = Now::read();
    let shown = found
        .services
        .iter()
        .filter_map(|service| match service.id.source {
            // What was removed since then is not there.
            Source::Rest => {
                let entry = shared.store.get(&service.id.id, now)?;
                Some(Shown::of(service, Some(&entry), now))
            }
            Source::Engine(_) => Some(Shown::of(service, None, now)),
        })
        .collect();
    let next = found
        .next
        .map(|ServiceId { source, id, part }| format!("{id} {source} {part}"));
    let page = Page {
        services: shown,
        next,
        event,
    };
    Ok(([JSON], json(&page)).into_response())
}

/// Leaves out what is more than a page may hold; gives the last one that it holds then.
fn cut(services: &mut Vec<Arc<Service>>) -> Option<ServiceId> {
    let mut octets = 0;
    let beyond = services.iter().position(|service| {
        octets += service.octets();
        octets > PAGE_OCTETS_MAX
    });
    let kept = beyond?.max(1);
    if kept == services.len() {
        return None;
    }
    services.truncate(kept);
    services.last().map(|last| last.id.clone())
}

/// Where a list goes on: the id, the source, which may hold spaces, and the part of the last service before.
fn read_cursor(after: &str) -> Result<ServiceId, Problem> {
    let invalid = || Problem::invalid("after", "give what `next` of the page before said");
    let (id, rest) = after.split_once(' ').ok_or_else(invalid)?;
    let (source, part) = rest.rsplit_once(' ').ok_or_else(invalid)?;
    Ok(ServiceId {
        source: match source {
            "rest" => Source::Rest,
            endpoint => Source::Engine(endpoint.into()),
        },
        id: id.into(),
        part: part.parse().map_err(|_| invalid())?,
    })
}

/// Which services are wanted.
struct Filter {
    pattern: Pattern,
    words: [Option<String>; 4],
    source: Option<String>,
    health: Option<String>,
}

impl Filter {
    fn of(asked: Asked) -> Result<Self, Problem> {
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
            words: [asked.service, asked.instance, asked.environment, asked.region],
            source: asked.source,
            health: asked.health,
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
            .all(|(wanted, has)| wanted.as_deref().is_none_or(|wanted| label(wanted) == label(has)));
        let is_source = match self.source.as_deref() {
            None => true,
            Some("engine") => matches!(service.id.source, Source::Engine(_)),
            Some("rest") => service.id.source == Source::Rest,
            Some(endpoint) => service.id.source.endpoint().is_some_and(|its| **its == *endpoint),
        };
        let is_health = self
            .health
            .as_deref()
            .is_none_or(|health| shown::health(service.health) == health);
        is_source && is_health && is_worded && self.pattern.matches(service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::service;
    use crate::service::Wishes;

    #[test]
    fn a_page_of_large_services_is_short_and_says_where_to_go_on() {
        let sized = |text: usize, number: usize| {
            let texts = vec!["x".repeat(text).as_str().into()];
            Arc::new(Service {
                wishes: Some(Box::new(Wishes {
                    texts,
                    ..Wishes::default()
                })),
                ..service("e", &format!("w{number}"))
            })
        };
        let page = |text: usize, count: usize| {
            let mut services: Vec<_> = (0..count).map(|number| sized(text, number)).collect();
            let next = cut(&mut services);
            assert!(next.is_none() || next == services.last().map(|last| last.id.clone()));
            (services.len(), next.is_some())
        };
        assert_eq!(page(100, PAGE_MAX), (PAGE_MAX, false));
        let (count, is_cut) = page(16 << 10, PAGE_MAX);
        assert!((50..64).contains(&count) && is_cut, "{count}");
        assert_eq!(page(2 << 20, 3), (1, true));
        assert_eq!(page(2 << 20, 1), (1, false));
        assert_eq!(page(0, 0), (0, false));
    }

    #[test]
    fn a_cursor_reads_back_also_where_a_socket_has_a_space_in_its_path() {
        for source in [
            Source::Rest,
            Source::Engine("unix:///run/my engine/docker.sock".into()),
        ] {
            let id = ServiceId {
                source,
                id: "w1".into(),
                part: 3,
            };
            let text = format!("{} {} {}", id.id, id.source, id.part);
            assert_eq!(read_cursor(&text), Ok(id));
        }
        for wrong in ["", "w1", "w1 rest", "w1 rest x", "w1 rest 65536", "w1 rest -1"] {
            assert!(read_cursor(wrong).is_err(), "{wrong}");
        }
    }
}
