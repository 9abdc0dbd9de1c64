//! What the pipeline knows, for whoever looks: all services, those of containers and those that were registered, and
//! why a name is answered as it is.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use dns::{Name, RType};
use tokio::sync::{mpsc, oneshot};

use super::problem::Problem;
use crate::compile::Explanation;
use crate::naming::is_meant;
use crate::pipeline::{Look, Page, PageAsked};
use crate::service::Service;

/// Asks the pipeline for every service there is, in no order.
///
/// # Errors
///
/// 503: it has ended.
pub(super) async fn all(looks: &mpsc::Sender<Look>) -> Result<Vec<Arc<Service>>, Problem> {
    look(looks, Look::All).await
}

/// Asks the pipeline for some services.
///
/// # Errors
///
/// 503: it has ended.
pub(super) async fn page(looks: &mpsc::Sender<Look>, asked: PageAsked) -> Result<Page, Problem> {
    look(looks, |to| Look::Page(asked, to)).await
}

/// Asks the pipeline for the service of the container whose id or uuid is `id`.
///
/// # Errors
///
/// 503: it has ended.
pub(super) async fn container(looks: &mpsc::Sender<Look>, id: &str) -> Result<Option<Arc<Service>>, Problem> {
    look(looks, |to| Look::Container(id.to_owned(), to)).await
}

/// Asks the pipeline why `name` is answered as it is when `client` asks.
///
/// # Errors
///
/// 503: it has ended.
pub(super) async fn explain(
    looks: &mpsc::Sender<Look>,
    name: Name,
    qtype: RType,
    client: IpAddr,
) -> Result<Explanation, Problem> {
    look(looks, |to| Look::Explain(name, qtype, client, to)).await
}

async fn look<T>(
    looks: &mpsc::Sender<Look>,
    ask: impl FnOnce(oneshot::Sender<T>) -> Look,
) -> Result<T, Problem> {
    let ended = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "skydock is stopping");
    let (to, seen) = oneshot::channel();
    looks.send(ask(to)).await.map_err(|_| ended())?;
    seen.await.map_err(|_| ended())
}

/// A question in the grammar of names, without its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<String>);

impl Pattern {
    /// Labels of the longest: `uuid.host.region.instance.service.environment`.
    const LABELS_MAX: usize = 6;

    /// Reads `text`; none if it has more labels than a name, or an empty one.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        // Right to left, as names are read.
        let labels: Vec<_> = text.rsplit('.').map(str::to_ascii_lowercase).collect();
        let is_whole = labels.len() <= Self::LABELS_MAX && labels.iter().all(|it| !it.is_empty());
        is_whole.then_some(Self(labels))
    }

    /// Whether a question like this leads to `service`.
    pub(super) fn matches(&self, service: &Service) -> bool {
        is_meant(self.0.iter().map(String::as_bytes), service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::service;

    #[test]
    fn a_question_without_its_domain_finds_what_the_question_would() {
        let web = service("e", "web1");
        let host = web.host().replace('.', "-");
        let whole = format!("{}.{host}.here.web1.web.dev", web.uuid);
        for found in [
            "",
            "*",
            "dev",
            "web.dev",
            "WEB.Dev",
            "web1.web.dev",
            "here.*.any.dev",
            whole.as_str(),
            "all",
        ] {
            assert!(Pattern::read(found).unwrap().matches(&web), "{found}");
        }
        for missed in ["prod", "db.dev", "web2.web.dev", "there.*.*.dev"] {
            assert!(!Pattern::read(missed).unwrap().matches(&web), "{missed}");
        }
    }

    #[test]
    fn what_is_no_question_is_none() {
        for wrong in ["a.b.c.d.e.f.g", "a..b", ".a"] {
            assert_eq!(Pattern::read(wrong), None, "{wrong}");
        }
    }
}
