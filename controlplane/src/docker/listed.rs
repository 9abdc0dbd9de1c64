//! A container as the engine's list shows it: enough to see that what we hold is out of date, and of most containers
//! enough to name them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;

use arcstr::ArcStr;
use dns::Name;

use super::attachment::{Attachment, attachments};
use super::container::{Container, Life, NetworkMode, compose, health, without_algorithm, without_slashes};
use super::image::image_name;
use super::label::Complaint;
use super::publish::{Context, Owner, publish};
use super::standing::Standing;
use super::tracker::Running;
use super::words::Words;
use super::{port, wire};
use crate::service::Health;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Full container id.
    pub(crate) id: ArcStr,
    pub(crate) name: ArcStr,
    pub(crate) image: ArcStr,
    pub(crate) life: Life,
    pub(crate) fingerprint: Fingerprint,
    /// Names that it carries by its labels, as far as its line counts for that.
    pub(crate) names: Box<[Name]>,
    /// What it is held as until it is inspected; none where the list does not tell enough.
    pub(crate) told: Option<Box<Told>>,
}

/// What a container that runs is held as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) running: Running,
    pub(crate) standing: Standing,
    pub(crate) complaints: Vec<Complaint>,
}

impl Told {
    /// What a container that runs is held as, whoever told of it; `owner` is whose network it shares, where it shares one.
    pub(crate) fn of(
        container: Container,
        owner: Option<Owner>,
        context: Context<'_>,
        words: &mut Words,
    ) -> Self {
        let (seen, stop, health) = (container.fingerprint(), container.stop, container.health);
        let claims = container.own_addresses();
        let publication = publish(container, owner, context, words);
        Self {
            running: Running {
                services: publication.services,
                seen,
                health,
                stop,
                claims,
            },
            standing: publication.standing,
            complaints: publication.complaints,
        }
    }
}

/// All that the list and an inspect both show of a container and that may change: two that are equal show the same.
///
/// Eight octets instead of the words themselves, for there is one for each container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(NonZeroU64);

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
        Self(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
    }
}

impl Listed {
    /// Reads one line of the list, or gives `None` when it has no id. With it comes the container, if it runs and the line
    /// shows all of it that an inspect would, but for how it is stopped and what only plugins want to know.
    ///
    /// That is so of containers on the engine's own networks, from Docker. It is not where the line does not say whose
    /// network a container has (Podman), where that is another's or the host's, where it has no address yet, and where its
    /// image is called otherwise by now, so that the line has the image's id. Whether a line without ports is all there is
    /// to know depends on the network: see [`List::shows_ports`](super::networks::List).
    pub(crate) fn from_summary(summary: wire::Summary) -> Option<(Self, Option<Container>)> {
        // A container that others link to is listed under the link's names, `/web/db`, as well as its own.
        let own_name = |name: &&String| name.rfind('/').is_none_or(|slash| slash == 0);
        let name = summary.names.iter().find(own_name);
        let name = name.map(|name| without_slashes(name)).unwrap_or_default();
        let attachments = attachments(summary.network_settings.networks);
        let health = match summary.health.status.as_str() {
            "" => health_in(&summary.status),
            status => Some(health(status)),
        };
        let listed = Self {
            id: (!summary.id.is_empty()).then(|| summary.id.into())?,
            image: summary.image.as_str().into(),
            life: Life::of_status(&summary.state.to_ascii_lowercase()),
            fingerprint: Fingerprint::of(&name, &attachments, health.unwrap_or_default()),
            name: name.as_str().into(),
            names: Box::default(),
            told: None,
        };
        let image_id = without_algorithm(&summary.image_id);
        let mode = &summary.host_config.network_mode;
        let is_whole = summary.state.eq_ignore_ascii_case("running")
            && !name.is_empty()
            && !mode.is_empty()
            && NetworkMode::of(mode) == NetworkMode::Own
            && attachments.iter().any(|it| it.addresses().next().is_some())
            && image_name(&summary.image, &image_id).is_some();
        let container = health.filter(|_| is_whole).map(|health| {
            let (ports, published_ports) = port::listed(&summary.ports);
            Container {
                id: listed.id.clone(),
                name,
                image: summary.image,
                image_id,
                created: String::new(),
                hostname: String::new(),
                domainname: String::new(),
                environment: Vec::new(),
                compose: compose(&summary.labels),
                labels: summary.labels,
                status: summary.state,
                life: Life::Running,
                started: String::new(),
                health,
                stop: None,
                network_mode: NetworkMode::Own,
                attachments,
                ports,
                published_ports,
            }
        });
        Some((listed, container))
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

/// Reads health where engines of all versions write it in the list: `Up 2 minutes (healthy)`. None for a word that may
/// mean anything.
fn health_in(status: &str) -> Option<Health> {
    let Some((_, word)) = status.rsplit_once('(') else {
        return Some(Health::None);
    };
    match word.strip_suffix(')')? {
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        // Docker's word, and Podman's.
        "health: starting" | "starting" => Some(Health::Starting),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::container::tests::inspect;

    fn read(change: impl FnOnce(&mut serde_json::Value)) -> (Listed, Option<Container>) {
        let mut line = serde_json::json!({
            "Id": "id-of-redis1", "Names": ["/web/db", "/redis1"], "State": "running", "Status": "Up 5 seconds",
            "Image": "redis", "ImageID": "sha256:72297848456d5d37", "HostConfig": {"NetworkMode": "default"},
            "Ports": [{"PrivatePort": 6379, "Type": "tcp"}], "NetworkSettings": {"Networks": {
                "backend": {"IPAddress": "172.18.0.2"}, "bridge": {"IPAddress": "172.17.0.2"},
            }},
        });
        change(&mut line);
        Listed::from_summary(wire::read(line.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn listed(change: impl FnOnce(&mut serde_json::Value)) -> Listed {
        read(change).0
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
            ("Up 2 minutes (healthy)", Some(Health::Healthy)),
            ("Up 2 minutes (unhealthy)", Some(Health::Unhealthy)),
            ("Up Less than a second (health: starting)", Some(Health::Starting)),
            ("Up 3 seconds (starting)", Some(Health::Starting)),
            ("Up 3 seconds", Some(Health::None)),
            ("Up 3 seconds (Paused)", None),
            ("", Some(Health::None)),
        ] {
            assert_eq!(health_in(status), expected, "{status}");
        }
    }

    #[test]
    fn a_line_tells_what_a_container_is_if_it_shows_all_that_an_inspect_would() {
        let told = read(|_| {}).1.unwrap();
        assert_eq!(
            (told.name.as_str(), told.ports.len(), told.stop),
            ("redis1", 1, None)
        );
        assert_eq!(told.addresses().len(), 2);
        assert!(
            read(|line| line["Status"] = "Up 5 seconds (unhealthy)".into())
                .1
                .is_some()
        );
        // API 1.52 says it by itself.
        let health = serde_json::json!({"Status": "starting", "FailingStreak": 0});
        assert_eq!(
            read(|line| line["Health"] = health).1.unwrap().health,
            Health::Starting
        );
        for (place, value) in [
            ("/State", "paused"),
            ("/State", "a new word"),
            ("/Status", "Up 5 seconds (of a new kind)"),
            ("/Image", "sha256:72297848456d5d37"),
            ("/Image", "72297848456d5d37"),
            ("/HostConfig/NetworkMode", ""),
            ("/HostConfig/NetworkMode", "host"),
            ("/HostConfig/NetworkMode", "none"),
            ("/HostConfig/NetworkMode", "container:ab12"),
            ("/Names/1", "/"),
            ("/NetworkSettings/Networks", "none"),
        ] {
            let (_, told) = read(|line| *line.pointer_mut(place).unwrap() = value.into());
            assert_eq!(told, None, "{place} {value}");
        }
    }
}
