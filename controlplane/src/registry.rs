//! All services known now, by source, and what a change really changes.
//!
//! Sources repeat themselves: an engine that was lost and found tells us everything again. Whatever is said
//! twice ends here, so that nothing after this file has to care.

use std::collections::HashMap;
use std::sync::Arc;

use crate::service::{Change, Service, ServiceId, Source};

/// What became of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// It was not there before.
    Came(Arc<Service>),
    /// It was there, and looks different now. Both have the same id.
    Changed {
        /// As it was.
        old: Arc<Service>,
        /// As it is.
        new: Arc<Service>,
    },
    /// It is no longer there.
    Went(Arc<Service>),
}

impl Delta {
    /// The service as it was before; none if it came.
    #[must_use]
    pub fn before(&self) -> Option<&Arc<Service>> {
        match self {
            Self::Came(_) => None,
            Self::Changed { old, .. } | Self::Went(old) => Some(old),
        }
    }

    /// The service as it is now; none if it went.
    #[must_use]
    pub fn after(&self) -> Option<&Arc<Service>> {
        match self {
            Self::Came(new) | Self::Changed { new, .. } => Some(new),
            Self::Went(_) => None,
        }
    }
}

/// All services known now.
#[derive(Debug, Default)]
pub struct Registry {
    /// By source first: the complete truth of one source is compared with that source's services only.
    sources: HashMap<Source, Services>,
}

/// The services of one source, by their id there.
type Services = HashMap<Arc<str>, Arc<Service>>;

impl Registry {
    /// Takes in `change` and returns what it really changed.
    ///
    /// A [`Change::Put`] of what is known already, and a [`Change::Remove`] of what is not known, change
    /// nothing. A [`Change::Reset`] gives the least set of differences: first what went, then what changed or
    /// came, each ordered by id. If it lists an id twice, the last one counts.
    pub fn apply(&mut self, change: Change) -> Vec<Delta> {
        match change {
            Change::Put(service) => self.put(service).into_iter().collect(),
            Change::Remove(id) => self.remove(&id).into_iter().collect(),
            Change::Reset { source, services } => self.reset(&source, services),
            // Networks are no services: what they change is where answers differ.
            Change::Networks { .. } => Vec::new(),
        }
    }

    /// Services of all sources.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.values().map(HashMap::len).sum()
    }

    /// Whether no source has any service.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put(&mut self, service: Arc<Service>) -> Option<Delta> {
        put(
            self.sources.entry(service.id.source.clone()).or_default(),
            service,
        )
    }

    fn remove(&mut self, id: &ServiceId) -> Option<Delta> {
        let services = self.sources.get_mut(&id.source)?;
        services.remove(&id.id).map(Delta::Went)
    }

    fn reset(&mut self, source: &Source, services: Vec<Arc<Service>>) -> Vec<Delta> {
        let known = self.sources.entry(source.clone()).or_default();
        // A source speaks for itself alone; the map also lets the last of two with one id win.
        let listed: HashMap<Arc<str>, Arc<Service>> = services
            .into_iter()
            .filter(|service| service.id.source == *source)
            .map(|service| (service.id.id.clone(), service))
            .collect();
        let mut went: Vec<_> = known.extract_if(|id, _| !listed.contains_key(id)).collect();
        went.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut listed: Vec<Arc<Service>> = listed.into_values().collect();
        listed.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let put = listed.into_iter().filter_map(|service| put(known, service));
        went.into_iter()
            .map(|(_, service)| Delta::Went(service))
            .chain(put)
            .collect()
    }
}

/// Puts one service among those of its source; none if it is there just so already.
fn put(services: &mut Services, new: Arc<Service>) -> Option<Delta> {
    if services.get(&new.id.id).is_some_and(|known| *known == new) {
        return None;
    }
    Some(match services.insert(new.id.id.clone(), new.clone()) {
        Some(old) => Delta::Changed { old, new },
        None => Delta::Came(new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{id, service, source};

    fn names(deltas: &[Delta]) -> Vec<String> {
        let sign = |delta: &Delta| match delta {
            Delta::Came(new) => format!("+{}", new.instance),
            Delta::Changed { old, new } => format!("{}>{}", old.instance, new.instance),
            Delta::Went(old) => format!("-{}", old.instance),
        };
        deltas.iter().map(sign).collect()
    }

    fn reset(engine: &str, services: Vec<Service>) -> Change {
        Change::Reset {
            source: source(engine),
            services: services.into_iter().map(Arc::new).collect(),
        }
    }

    #[test]
    fn a_put_that_says_nothing_new_is_no_delta() {
        let mut registry = Registry::default();
        assert_eq!(
            names(&registry.apply(Change::Put(service("e", "web1").into()))),
            ["+web1"]
        );
        assert_eq!(registry.apply(Change::Put(service("e", "web1").into())), []);
        let mut renamed = service("e", "web1");
        renamed.instance = "web2".into();
        assert_eq!(names(&registry.apply(Change::Put(renamed.into()))), ["web1>web2"]);
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn a_removal_takes_one_service_once() {
        let mut registry = Registry::default();
        registry.apply(Change::Put(service("e", "web1").into()));
        assert_eq!(registry.apply(Change::Remove(id("other", "web1"))), []);
        assert_eq!(names(&registry.apply(Change::Remove(id("e", "web1")))), ["-web1"]);
        assert_eq!(registry.apply(Change::Remove(id("e", "web1"))), []);
        assert!(registry.is_empty());
    }

    #[test]
    fn a_reset_is_the_least_set_of_differences() {
        let mut registry = Registry::default();
        for name in ["kept", "changed", "went-b", "went-a"] {
            registry.apply(Change::Put(service("e", name).into()));
        }
        let mut changed = service("e", "changed");
        changed.ttl_seconds += 1;
        let listed = vec![service("e", "new"), service("e", "kept"), changed];
        assert_eq!(
            names(&registry.apply(reset("e", listed.clone()))),
            ["-went-a", "-went-b", "changed>changed", "+new"]
        );
        assert_eq!(registry.apply(reset("e", listed)), []);
    }

    #[test]
    fn a_reset_leaves_other_sources_alone() {
        let mut registry = Registry::default();
        registry.apply(Change::Put(service("e", "web1").into()));
        registry.apply(Change::Put(service("f", "web1").into()));
        assert_eq!(names(&registry.apply(reset("e", vec![]))), ["-web1"]);
        assert_eq!(registry.apply(reset("e", vec![service("f", "stranger")])), []);
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn of_two_with_one_id_the_last_counts() {
        let mut registry = Registry::default();
        let (first, mut second) = (service("e", "web1"), service("e", "web1"));
        second.ttl_seconds = 7;
        let deltas = registry.apply(reset("e", vec![first, second.clone()]));
        assert_eq!(deltas, [Delta::Came(Arc::new(second))]);
    }
}
