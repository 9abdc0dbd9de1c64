//! Where a service stands among those of its source, and finding it there.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::service::Service;

/// A service at its place: ordered by its id there and its number below it.
///
/// The first octets of the id lie beside it. There may be a hundred thousand, and to compare ids that lie elsewhere is to
/// wait for memory at every step of a search.
#[derive(Debug)]
pub(super) struct Placed {
    prefix: u64,
    service: Arc<Service>,
}

/// A place that is looked for.
pub(super) struct Wanted<'w> {
    prefix: u64,
    id: &'w str,
    part: u16,
}

/// What both have, so that the one is found by the other.
pub(super) trait Place {
    /// The first octets of the id, which mostly tell.
    fn prefix(&self) -> u64;
    /// The whole id, and the number below it.
    fn id(&self) -> (&str, u16);
}

impl Placed {
    pub(super) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    pub(super) fn into_service(self) -> Arc<Service> {
        self.service
    }
}

impl From<Arc<Service>> for Placed {
    fn from(service: Arc<Service>) -> Self {
        let prefix = prefix(&service.id.id);
        Self { prefix, service }
    }
}

impl<'w> Wanted<'w> {
    pub(super) fn of(id: &'w str, part: u16) -> Self {
        let prefix = prefix(id);
        Self { prefix, id, part }
    }
}

/// The first eight octets, so that two compare as the texts do, as far as they tell.
fn prefix(id: &str) -> u64 {
    let mut octets = [0; 8];
    for (octet, its) in octets.iter_mut().zip(id.as_bytes()) {
        *octet = *its;
    }
    u64::from_be_bytes(octets)
}

impl Place for Placed {
    fn prefix(&self) -> u64 {
        self.prefix
    }

    fn id(&self) -> (&str, u16) {
        (&self.service.id.id, self.service.id.part)
    }
}

impl Place for Wanted<'_> {
    fn prefix(&self) -> u64 {
        self.prefix
    }

    fn id(&self) -> (&str, u16) {
        (self.id, self.part)
    }
}

fn order(one: &(impl Place + ?Sized), other: &(impl Place + ?Sized)) -> Ordering {
    let by_prefix = one.prefix().cmp(&other.prefix());
    by_prefix.then_with(|| one.id().cmp(&other.id()))
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> Ordering {
        order(self, other)
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Placed {}

impl<'w> Borrow<dyn Place + 'w> for Placed {
    fn borrow(&self) -> &(dyn Place + 'w) {
        self
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        order(self, other)
    }
}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Place + '_ {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{id, service};
    use crate::service::ServiceId;

    #[test]
    fn places_are_ordered_as_ids_are_and_found_by_them() {
        let ids = [
            "",
            "0",
            "01234567",
            "0123456789",
            "012345678a",
            "1",
            "aaaaaaaa\u{0}",
            "ü",
        ];
        let mut all = std::collections::BTreeSet::new();
        for (part, text) in [(1, "1"), (0, "1")].into_iter().chain(ids.map(|text| (0, text))) {
            let id = ServiceId {
                id: text.into(),
                part,
                ..id("e", "web")
            };
            all.insert(Placed::from(Arc::new(Service {
                id,
                ..service("e", text)
            })));
        }
        let found: Vec<_> = all.iter().map(Place::id).collect();
        let mut expected: Vec<_> = ids.map(|text| (text, 0)).to_vec();
        expected.push(("1", 1));
        expected.sort_unstable();
        assert_eq!(found, expected);
        for (text, part) in expected {
            let wanted: &dyn Place = &Wanted::of(text, part);
            assert_eq!(all.get(wanted).map(Place::id), Some((text, part)));
        }
        let unknown: &dyn Place = &Wanted::of("012345", 0);
        assert!(!all.contains(unknown));
    }
}
