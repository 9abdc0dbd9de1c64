//! All services known now, by source, and what a change really changes.
//!
//! Sources repeat themselves: an engine that was lost and found tells us everything again. Whatever is said
//! twice ends here, so that nothing after this file has to care.

mod folded;
mod placed;

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet, btree_set};
use std::ops::Bound;
use std::sync::Arc;

pub use self::folded::folded;
use self::placed::{Place, Placed, Wanted};
use crate::service::{Change, Service, ServiceId, Services, Source};

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

    /// Who told of it.
    #[must_use]
    pub fn source(&self) -> &Source {
        let (Self::Came(service) | Self::Changed { new: service, .. } | Self::Went(service)) = self;
        &service.id.source
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
    sources: HashMap<Source, Known>,
}

/// The services of one source, ordered by their id there and their number below it.
type Known = BTreeSet<Placed>;

impl Registry {
    /// Takes in `change` and returns what it really changed.
    ///
    /// A [`Change::Put`] of what is known already, and a [`Change::Remove`] of what is not known, change
    /// nothing. A put replaces all services of its id, a [`Change::Reset`] all of its source; both give the
    /// least set of differences: first what went, then what changed or came, each ordered by id. If a reset
    /// lists an id and number twice, the last one counts.
    pub fn apply(&mut self, change: Change) -> Vec<Delta> {
        match change {
            Change::Put(services) => self.put(&services),
            Change::Remove(id) => self.remove(&id),
            Change::Reset { source, services } => self.reset(&source, services),
            // Neither is a service: networks change where answers differ, and what is carried which names are ours.
            Change::Networks { .. } | Change::Carried { .. } | Change::Mark(_) => Vec::new(),
        }
    }

    /// Every service, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.sources.values().flatten().map(Placed::service)
    }

    /// Services behind the one with this id, or from the first on, ordered by id, source and part. What lies before them
    /// costs nothing.
    pub fn behind<'r>(&'r self, place: Option<&ServiceId>) -> impl Iterator<Item = &'r Arc<Service>> {
        let from = |source: &Source, known: &'r Known| {
            let Some(place) = place else {
                return range(known, Bound::Unbounded);
            };
            let last = match source.cmp(&place.source) {
                Ordering::Less => u16::MAX,
                Ordering::Equal => place.part,
                Ordering::Greater => return range(known, Bound::Included(&Wanted::of(&place.id, 0))),
            };
            range(known, Bound::Excluded(&Wanted::of(&place.id, last)))
        };
        let sources = self.sources.iter();
        let mut sources: Vec<_> = sources
            .map(|(source, known)| from(source, known).map(Placed::service).peekable())
            .collect();
        // There are a handful of sources, so the least of their next ones is found by looking at each.
        std::iter::from_fn(move || {
            let heads = sources.iter_mut().enumerate();
            let heads = heads.filter_map(|(place, source)| Some((place, *source.peek()?)));
            let (place, _) = heads.min_by_key(|(_, service)| {
                let ServiceId { source, id, part } = &service.id;
                (id, source, *part)
            })?;
            sources.get_mut(place)?.next()
        })
    }

    /// The first service of a container whose id is `id`, or begins with it and makes it the uuid.
    #[must_use]
    pub fn container(&self, id: &str) -> Option<&Arc<Service>> {
        let engines = self.sources.iter().filter(|(source, _)| **source != Source::Rest);
        let found = engines.filter_map(|(_, known)| {
            let first = range(known, Bound::Included(&Wanted::of(id, 0))).next()?;
            Some(first.service())
        });
        found
            .filter(|service| *service.uuid == *id || *service.id.id == *id)
            .min_by(|a, b| a.id.cmp(&b.id))
    }

    /// Services of all sources.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.values().map(BTreeSet::len).sum()
    }

    /// Whether no source has any service.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put(&mut self, services: &Services) -> Vec<Delta> {
        let first = &services.first().id;
        let known = self.sources.entry(first.source.clone()).or_default();
        let listed = services.as_slice().iter();
        let parts: HashSet<u16> = listed.clone().map(|service| service.id.part).collect();
        let mut gone = all_parts(known, &first.id);
        gone.retain(|part| !parts.contains(part));
        let mut deltas = take(known, &first.id, &gone);
        deltas.extend(listed.filter_map(|service| put(known, service.clone().into())));
        deltas
    }

    fn remove(&mut self, id: &ServiceId) -> Vec<Delta> {
        let Some(known) = self.sources.get_mut(&id.source) else {
            return Vec::new();
        };
        let parts = all_parts(known, &id.id);
        take(known, &id.id, &parts)
    }

    fn reset(&mut self, source: &Source, services: Vec<Arc<Service>>) -> Vec<Delta> {
        let known = self.sources.entry(source.clone()).or_default();
        // A source speaks for itself alone; the set also lets the last of two with one id win.
        let listed: Known = services
            .into_iter()
            .filter(|service| service.id.source == *source)
            .map(Placed::from)
            .collect();
        // The first list of a large host: there is nothing to compare it with.
        if known.is_empty() {
            *known = listed;
            return known.iter().map(|it| Delta::Came(it.service().clone())).collect();
        }
        let gone = known.extract_if(.., |it| !listed.contains(it));
        let mut deltas: Vec<_> = gone.map(|it| Delta::Went(it.into_service())).collect();
        deltas.extend(listed.into_iter().filter_map(|it| put(known, it)));
        deltas
    }
}

/// Those of `known` from a place on.
fn range<'k>(known: &'k Known, from: Bound<&Wanted<'_>>) -> btree_set::Range<'k, Placed> {
    let from = from.map(|wanted| wanted as &dyn Place);
    known.range::<dyn Place, _>((from, Bound::Unbounded))
}

/// The numbers below one id.
fn all_parts(known: &Known, id: &str) -> Vec<u16> {
    let all = range(known, Bound::Included(&Wanted::of(id, 0))).map(Placed::service);
    all.take_while(|service| service.id.id == id)
        .map(|service| service.id.part)
        .collect()
}

/// Takes services out that are of one id.
fn take(known: &mut Known, id: &str, parts: &[u16]) -> Vec<Delta> {
    let gone = parts.iter().filter_map(|part| {
        let place: &dyn Place = &Wanted::of(id, *part);
        known.take(place)
    });
    gone.map(|it| Delta::Went(it.into_service())).collect()
}

/// Puts one service among those of its source; none if it is there just so already.
fn put(known: &mut Known, new: Placed) -> Option<Delta> {
    if known
        .get(&new)
        .is_some_and(|known| known.service() == new.service())
    {
        return None;
    }
    let service = new.service().clone();
    Some(match known.replace(new) {
        Some(old) => Delta::Changed {
            old: old.into_service(),
            new: service,
        },
        None => Delta::Came(service),
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

    /// Several services of the id of `web`.
    fn several(instances: &[&str]) -> Services {
        let services = instances.iter().map(|instance| Service {
            id: id("e", "web"),
            ..service("e", instance)
        });
        Services::of(services.collect()).unwrap()
    }

    #[test]
    fn a_list_can_be_read_on_from_any_place() {
        let mut registry = Registry::default();
        for engine in ["a", "b"] {
            for id in ["1", "2", "3"] {
                let part = |part| Service {
                    id: ServiceId {
                        source: source(engine),
                        id: id.into(),
                        part,
                    },
                    ..service(engine, id)
                };
                let services = Services::of(vec![part(0), part(1)]).unwrap();
                registry.apply(Change::Put(services));
            }
        }
        let rest = Service {
            id: ServiceId {
                source: Source::Rest,
                id: "2".into(),
                part: 0,
            },
            ..service("r", "2")
        };
        registry.apply(Change::Put(rest.into()));
        let told = |place: Option<&ServiceId>| -> Vec<ServiceId> {
            registry.behind(place).map(|service| service.id.clone()).collect()
        };
        let all = told(None);
        let words: Vec<_> = all
            .iter()
            .map(|id| format!("{}{}{}", id.id, id.source, id.part))
            .collect();
        let expected = "1a0 1a1 1b0 1b1 2a0 2a1 2b0 2b1 2rest0 3a0 3a1 3b0 3b1";
        assert_eq!(words.join(" "), expected);
        for (place, id) in all.iter().enumerate() {
            assert_eq!(told(Some(id)), all[place + 1..], "{id:?}");
        }
        // Of what went meanwhile.
        let gone = ServiceId {
            part: 7,
            ..all[5].clone()
        };
        assert_eq!(told(Some(&gone)), all[6..]);
    }

    #[test]
    fn a_container_is_found_by_its_id_and_by_its_uuid() {
        let mut registry = Registry::default();
        for id in ["0123456789abcdef", "0123456789ffffff", "aaaaaaaaaaaaaaaa"] {
            let container = Service {
                id: ServiceId {
                    source: source("e"),
                    id: id.into(),
                    part: 0,
                },
                uuid: id.split_at(10).0.into(),
                ..service("e", id)
            };
            registry.apply(Change::Put(container.into()));
        }
        let found = |id: &str| registry.container(id).map(|service| service.id.id.to_string());
        assert_eq!(found("0123456789").as_deref(), Some("0123456789abcdef"));
        assert_eq!(found("0123456789ffffff").as_deref(), Some("0123456789ffffff"));
        assert_eq!(found("aaaaaaaaaa").as_deref(), Some("aaaaaaaaaaaaaaaa"));
        for unknown in ["012345678", "0123456789a", "", "b"] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn all_services_of_an_id_are_replaced_and_removed_together() {
        let mut registry = Registry::default();
        registry.apply(Change::Put(service("e", "other").into()));
        let put = |registry: &mut Registry, instances: &[&str]| {
            names(&registry.apply(Change::Put(several(instances))))
        };
        assert_eq!(put(&mut registry, &["a", "b", "c"]), ["+a", "+b", "+c"]);
        assert_eq!(put(&mut registry, &["a", "b", "c"]), [""; 0]);
        assert_eq!(put(&mut registry, &["a", "x"]), ["-c", "b>x"]);
        assert_eq!(
            names(&registry.apply(Change::Remove(id("e", "web")))),
            ["-a", "-x"]
        );
        assert_eq!(registry.len(), 1);

        put(&mut registry, &["a", "b"]);
        let listed = several(&["a"]).as_slice().to_vec();
        let change = Change::Reset {
            source: source("e"),
            services: listed,
        };
        assert_eq!(names(&registry.apply(change)), ["-other", "-b"]);
    }
}
