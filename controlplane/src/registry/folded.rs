//! What several changes come to.

use super::Delta;
use crate::service::ServiceId;

fn id(delta: &Delta) -> &ServiceId {
    let (Delta::Came(service) | Delta::Changed { new: service, .. } | Delta::Went(service)) = delta;
    &service.id
}

/// What `deltas` come to, which followed one another: one difference at most for each service, in the order that
/// services first changed in. A container that ends and starts again between two snapshots is one that looks different, or none.
#[must_use]
pub fn folded(deltas: Vec<Delta>) -> Vec<Delta> {
    let mut order: Vec<(usize, &Delta)> = deltas.iter().enumerate().collect();
    order.sort_by(|(_, one), (_, other)| id(one).cmp(id(other)));
    let of_one = |pair: &[(usize, &Delta)]| matches!(pair, [(_, one), (_, other)] if id(one) == id(other));
    if !order.windows(2).any(of_one) {
        return deltas;
    }
    let services = order.chunk_by(|(_, one), (_, other)| id(one) == id(other));
    let mut all: Vec<(usize, Delta)> = services.filter_map(whole).collect();
    all.sort_unstable_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, delta)| delta).collect()
}

/// All that became of one service, at the place of its first difference; none if it is as it was.
fn whole(of_service: &[(usize, &Delta)]) -> Option<(usize, Delta)> {
    let ((place, first), (_, last)) = (of_service.first()?, of_service.last()?);
    let whole = match (first.before(), last.after()) {
        (None, None) => return None,
        (None, Some(new)) => Delta::Came(new.clone()),
        (Some(old), None) => Delta::Went(old.clone()),
        (Some(old), Some(new)) if old == new => return None,
        (Some(old), Some(new)) => Delta::Changed {
            old: old.clone(),
            new: new.clone(),
        },
    };
    Some((*place, whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{id, service};
    use crate::registry::Registry;
    use crate::service::{Change, Service};

    fn told(deltas: &[Delta]) -> Vec<String> {
        let sign = |delta: &Delta| match delta {
            Delta::Came(new) => format!("+{}", new.ttl_seconds),
            Delta::Changed { old, new } => format!("{}>{}", old.ttl_seconds, new.ttl_seconds),
            Delta::Went(old) => format!("-{}", old.ttl_seconds),
        };
        deltas.iter().map(sign).collect()
    }

    /// What one service comes to whose TTL is, or is again, as said; 0 for none. It had the first of these.
    fn came_to(ttls: &[u32]) -> Vec<String> {
        let change = |ttl: u32| match ttl {
            0 => Change::Remove(id("e", "web")),
            ttl_seconds => Change::Put(
                Service {
                    ttl_seconds,
                    ..service("e", "web")
                }
                .into(),
            ),
        };
        let mut registry = Registry::default();
        let mut all = ttls.iter().map(|ttl| registry.apply(change(*ttl)));
        all.next();
        let deltas = all.flatten().collect();
        told(&folded(deltas))
    }

    #[test]
    fn of_a_service_only_what_it_was_and_what_it_is_counts() {
        assert_eq!(came_to(&[1, 0]), ["-1"]);
        assert_eq!(came_to(&[1, 0, 2]), ["1>2"]);
        assert_eq!(came_to(&[1, 0, 1]), [""; 0]);
        assert_eq!(came_to(&[1, 2, 3]), ["1>3"]);
        assert_eq!(came_to(&[1, 2, 0]), ["-1"]);
        assert_eq!(came_to(&[0, 1, 2]), ["+2"]);
        assert_eq!(came_to(&[0, 1, 0]), [""; 0]);
        assert_eq!(came_to(&[0, 1, 0, 2]), ["+2"]);
    }

    #[test]
    fn services_stay_in_the_order_in_which_they_first_changed() {
        let mut registry = Registry::default();
        let mut deltas = Vec::new();
        for change in ["b", "a", "c", "-a", "b2", "a3"] {
            let (name, ttl_seconds) = (change.trim_start_matches('-'), change.len() as u32);
            let name = name.get(..1).unwrap_or_default();
            let change = if change.starts_with('-') {
                Change::Remove(id("e", name))
            } else {
                Change::Put(
                    Service {
                        ttl_seconds,
                        ..service("e", name)
                    }
                    .into(),
                )
            };
            deltas.extend(registry.apply(change));
        }
        let names = |deltas: &[Delta]| -> Vec<String> {
            let all = deltas.iter().filter_map(Delta::after);
            all.map(|it| format!("{}{}", it.instance, it.ttl_seconds))
                .collect()
        };
        assert_eq!(names(&folded(deltas)), ["b2", "a2", "c1"]);
    }
}
