//! A container as the engine's list shows it: enough to see that what we hold is out of date.

use std::sync::Arc;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};

use super::addresses::addresses;
use super::container::without_slashes;
use crate::service::{Address, Health, Service};

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Full container id.
    pub(crate) id: Arc<str>,
    running: bool,
    name: String,
    addresses: Vec<Address>,
    health: Health,
}

impl Listed {
    /// Reads one line of the list, or gives `None` when it has no id.
    pub(crate) fn from_summary(summary: ContainerSummary) -> Option<Self> {
        let networks = summary.network_settings.and_then(|settings| settings.networks);
        // A container that others link to is listed under the link's names, `/web/db`, as well as its own.
        let own_name = |name: &&String| name.rfind('/').is_none_or(|slash| slash == 0);
        let names = summary.names.unwrap_or_default();
        Some(Self {
            id: summary.id.filter(|id| !id.is_empty())?.into(),
            running: summary
                .state
                .is_none_or(|state| state == ContainerSummaryStateEnum::RUNNING),
            name: names
                .iter()
                .find(own_name)
                .map(|name| without_slashes(name))
                .unwrap_or_default(),
            addresses: addresses(&networks.unwrap_or_default()),
            health: health(&summary.status.unwrap_or_default()),
        })
    }

    /// Whether the list and the service that we hold for this container cannot both be right.
    pub(crate) fn differs_from(&self, held: Option<&Service>) -> bool {
        match held {
            Some(service) => {
                !self.running
                    || *self.name != *service.instance
                    || self.addresses != service.addresses
                    || self.health != service.health
            }
            None => self.running,
        }
    }

    #[cfg(test)]
    pub(crate) fn running(id: &str, name: &str, addresses: Vec<Address>) -> Self {
        Self {
            id: id.into(),
            running: true,
            name: name.to_owned(),
            addresses,
            health: Health::None,
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
    use crate::fixture::{on, service};

    fn listed(change: impl FnOnce(&mut serde_json::Value)) -> Listed {
        let mut line = serde_json::json!({
            "Id": "id-of-redis1", "Names": ["/web/db", "/redis1"], "State": "running", "Status": "Up 5 seconds",
            "NetworkSettings": {"Networks": {
                "backend": {"IPAddress": "172.18.0.2"}, "bridge": {"IPAddress": "172.17.0.2"},
            }},
        });
        change(&mut line);
        Listed::from_summary(serde_json::from_value(line).unwrap()).unwrap()
    }

    #[test]
    fn a_line_of_the_list_tells_whether_the_service_held_is_out_of_date() {
        let held = Service {
            addresses: vec![on("bridge", "172.17.0.2"), on("backend", "172.18.0.2")],
            ..service("e", "redis1")
        };
        let same = listed(|_| {});
        assert!(!same.differs_from(Some(&held)));
        assert!(same.differs_from(None));
        let paused = listed(|line| line["State"] = "paused".into());
        assert!(paused.differs_from(Some(&held)) && !paused.differs_from(None));
        for (place, value) in [
            ("/Names/1", "/redis2"),
            ("/NetworkSettings/Networks/backend/IPAddress", "172.18.0.9"),
            ("/Status", "Up 5 seconds (unhealthy)"),
        ] {
            let other = listed(|line| *line.pointer_mut(place).unwrap() = value.into());
            assert!(other.differs_from(Some(&held)), "{place}");
        }
        assert_eq!(Listed::from_summary(ContainerSummary::default()), None);
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
