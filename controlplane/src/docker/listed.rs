//! A container as the engine's list shows it: enough to see that what we hold is out of date.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::attachment::{Attachment, attachments};
use super::container::{Life, without_slashes};
use super::wire;
use crate::service::Health;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Full container id.
    pub(crate) id: Arc<str>,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) life: Life,
    pub(crate) fingerprint: Fingerprint,
}

/// All that the list and an inspect both show of a container and that may change: two that are equal show the same.
///
/// Eight octets instead of the words themselves, for there is one for each container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of(name: &str, attachments: &[Attachment], health: Health) -> Self {
        let mut hasher = DefaultHasher::new();
        (name, health).hash(&mut hasher);
        for place in attachments {
            // Podman's list has an address for the host's network where an inspect has no network at all.
            if place.addresses().next().is_some() {
                (&place.network, place.ipv4, place.ipv6).hash(&mut hasher);
            }
        }
        Self(hasher.finish())
    }
}

impl Listed {
    /// Reads one line of the list, or gives `None` when it has no id.
    pub(crate) fn from_summary(summary: wire::Summary) -> Option<Self> {
        // A container that others link to is listed under the link's names, `/web/db`, as well as its own.
        let own_name = |name: &&String| name.rfind('/').is_none_or(|slash| slash == 0);
        let name = summary.names.iter().find(own_name);
        let name = name.map(|name| without_slashes(name)).unwrap_or_default();
        let attachments = attachments(summary.network_settings.networks);
        Some(Self {
            id: (!summary.id.is_empty()).then(|| summary.id.into())?,
            image: summary.image,
            life: Life::of_status(&summary.state.to_ascii_lowercase()),
            fingerprint: Fingerprint::of(&name, &attachments, health(&summary.status)),
            name,
        })
    }

    /// Whether there is anything in it to inspect: what has ended is known from the list alone.
    pub(crate) fn is_alive(&self) -> bool {
        self.life != Life::Stopped
    }

    /// Whether the list and what an inspect last showed of this container cannot both be right; `seen` is none if that
    /// was no running container.
    pub(crate) fn differs_from(&self, seen: Option<Fingerprint>) -> bool {
        match seen {
            Some(seen) => self.life != Life::Running || self.fingerprint != seen,
            None => self.life == Life::Running,
        }
    }
}

/// Reads health where engines of all versions write it in the list: `Up 2 minutes (healthy)`.
fn health(status: &str) -> Health {
    let word = status
        .rsplit_once('(')
        .and_then(|(_, word)| word.strip_suffix(')'))
        .unwrap_or_default();
    match word {
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        // Docker's word, and Podman's.
        "health: starting" | "starting" => Health::Starting,
        _ => Health::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::container::tests::inspect;

    fn listed(change: impl FnOnce(&mut serde_json::Value)) -> Listed {
        let mut line = serde_json::json!({
            "Id": "id-of-redis1", "Names": ["/web/db", "/redis1"], "State": "running", "Status": "Up 5 seconds",
            "Image": "redis", "NetworkSettings": {"Networks": {
                "backend": {"IPAddress": "172.18.0.2"}, "bridge": {"IPAddress": "172.17.0.2"},
            }},
        });
        change(&mut line);
        Listed::from_summary(wire::read(line.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_line_of_the_list_tells_whether_what_an_inspect_showed_is_out_of_date() {
        let seen = inspect(
            r#"{"Name": "/redis1", "State": {"Running": true}, "NetworkSettings": {"Networks": {
                "bridge": {"IPAddress": "172.17.0.2"}, "backend": {"IPAddress": "172.18.0.2"}, "host": {}}}}"#,
        )
        .fingerprint();
        let same = listed(|_| {});
        assert!(!same.differs_from(Some(seen)));
        assert!(same.differs_from(None));
        let paused = listed(|line| line["State"] = "paused".into());
        assert!(paused.differs_from(Some(seen)) && !paused.differs_from(None) && paused.is_alive());
        assert!(!listed(|line| line["State"] = "exited".into()).is_alive());
        assert!(listed(|line| line["State"] = "a new word".into()).is_alive());
        for (place, value) in [
            ("/Names/1", "/redis2"),
            ("/NetworkSettings/Networks/backend/IPAddress", "172.18.0.9"),
            ("/Status", "Up 5 seconds (unhealthy)"),
        ] {
            let other = listed(|line| *line.pointer_mut(place).unwrap() = value.into());
            assert!(other.differs_from(Some(seen)), "{place}");
        }
        assert_eq!(Listed::from_summary(wire::Summary::default()), None);
    }

    #[test]
    fn health_is_read_from_the_status_of_every_engine() {
        for (status, expected) in [
            ("Up 2 minutes (healthy)", Health::Healthy),
            ("Up 2 minutes (unhealthy)", Health::Unhealthy),
            ("Up Less than a second (health: starting)", Health::Starting),
            ("Up 3 seconds (starting)", Health::Starting),
            ("Up 3 seconds", Health::None),
            ("Up 3 seconds (Paused)", Health::None),
            ("", Health::None),
        ] {
            assert_eq!(health(status), expected, "{status}");
        }
    }
}
