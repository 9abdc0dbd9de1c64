//! What others may see of the services: questions, and the answers to them.

use std::net::IpAddr;
use std::sync::Arc;

use dns::{Name, RType};
use tokio::sync::oneshot;

use crate::compile::Explanation;
use crate::registry::Registry;
use crate::service::{Service, ServiceId};

/// Questions for all services that wait. One more waits with whoever asks it.
pub(crate) const LOOKS_QUEUED_MAX: usize = 16;

/// Services that are looked at for one page: whoever wants few of very many gets a short page, or an empty one, and asks
/// on from there. So no page keeps changes waiting.
pub(super) const PAGE_LOOKED_AT_MAX: usize = 10_000;

/// Somebody wants to see what is known. Who has hung up by then is told nothing.
pub(crate) enum Look {
    /// Every service there is, in no order.
    All(oneshot::Sender<Vec<Arc<Service>>>),
    /// Some of them.
    Page(PageAsked, oneshot::Sender<Page>),
    /// The service of the container that is called so.
    Container(String, oneshot::Sender<Option<Arc<Service>>>),
    /// Why a question is answered as it is when that client asks.
    Explain(Name, RType, IpAddr, oneshot::Sender<Explanation>),
}

/// Which services somebody wants to see.
pub(crate) struct PageAsked {
    /// Those behind this one; from the first on, if there is none.
    pub(crate) after: Option<ServiceId>,
    /// How many at most.
    pub(crate) limit: usize,
    /// Which of them.
    pub(crate) takes: Box<dyn Fn(&Service) -> bool + Send>,
}

/// Some services, ordered by id, source and part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// They.
    pub(crate) services: Vec<Arc<Service>>,
    /// Where to go on; none if there are no more.
    pub(crate) next: Option<ServiceId>,
}

impl Page {
    /// What `asked` asks `registry` for.
    pub(super) fn of(registry: &Registry, asked: &PageAsked) -> Self {
        let mut services: Vec<Arc<Service>> = Vec::new();
        let mut last = None;
        for (count, service) in registry.behind(asked.after.as_ref()).enumerate() {
            if count == PAGE_LOOKED_AT_MAX {
                return Self { services, next: last };
            }
            if (asked.takes)(service) {
                if services.len() == asked.limit {
                    let next = services.last().map(|last| last.id.clone());
                    return Self { services, next };
                }
                services.push(service.clone());
            }
            last = Some(service.id.clone());
        }
        Self { services, next: None }
    }
}
