//! An inspected container, as the engine describes it, made into a [`Service`]. The engine's types stop here.
//!
//! ```text
//!  ContainerInspectResponse ──from_inspect──▶ Container ──into_service──▶ Service
//! ```
//!
//! Compose says in labels what a container is for it; nothing else is read from labels yet.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::models::{ContainerInspectResponse, ContainerState, HealthStatusEnum};

use super::addresses::addresses;
use super::stop::Stop;
use super::words::Words;
use crate::service::{Address, Compose, Health, Port, Protocol, Service, ServiceId, Source};

/// Labels that Compose, and Podman's too, gives its containers.
const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_SERVICE: &str = "com.docker.compose.service";
const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
const COMPOSE_ONE_OFF: &str = "com.docker.compose.oneoff";

/// Hex digits of the container id that make the uuid label. Docker's own short id has 12; SkyDNS names have 10.
const UUID_DIGITS: usize = 10;

/// What a container's records get that the container itself does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSettings {
    /// The environment label, `--environment`.
    pub environment: String,
    /// The region label, `--region`.
    pub region: String,
    /// Time to live of the records, in seconds, `--ttl`.
    pub ttl_seconds: u32,
}

/// What we use of an inspected container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    id: Arc<str>,
    /// Without slashes; empty when the engine gave none.
    name: String,
    /// As it was given when the container was created; may be an image id.
    image: String,
    /// The image's id, without its algorithm.
    image_id: String,
    /// Whether it can be talked to: running, and neither paused nor waiting to be restarted.
    pub(crate) running: bool,
    /// How it is stopped.
    pub(crate) stop: Stop,
    /// Primary first.
    addresses: Vec<Address>,
    /// Least first.
    ports: Vec<Port>,
    health: Health,
    compose: Option<Compose>,
}

impl Container {
    /// Reads an inspect of the container `id`. Fields that are missing or make no sense count as empty.
    pub(crate) fn from_inspect(id: Arc<str>, inspect: ContainerInspectResponse) -> Self {
        let config = inspect.config.unwrap_or_default();
        let (networks, published) = inspect
            .network_settings
            .map(|settings| (settings.networks, settings.ports))
            .unwrap_or_default();
        let image_id = inspect.image.unwrap_or_default();
        let state = inspect.state.unwrap_or_default();
        let exposed = config.exposed_ports.into_iter().flatten();
        Self {
            id,
            name: without_slashes(&inspect.name.unwrap_or_default()),
            image: config.image.unwrap_or_default(),
            image_id: image_id.rsplit(':').next().unwrap_or_default().to_owned(),
            running: is_running(&state),
            stop: Stop::of(config.stop_signal.as_deref(), config.stop_timeout),
            addresses: addresses(&networks.unwrap_or_default()),
            ports: ports(exposed.chain(published.into_iter().flatten().map(|(key, _)| key))),
            health: health(&state),
            compose: compose(&config.labels.unwrap_or_default()),
        }
    }

    /// The service that this container is, whether it runs or not. Words that others have too are shared with them.
    pub(crate) fn into_service(
        self,
        source: &Source,
        settings: &ContainerSettings,
        words: &mut Words,
    ) -> Service {
        let uuid: Arc<str> = self.id.get(..UUID_DIGITS).unwrap_or(&self.id).into();
        let instance: Arc<str> = if self.name.is_empty() {
            uuid.clone()
        } else {
            self.name.into()
        };
        let compose = self.compose.map(|compose| Compose {
            project: words.shared(&compose.project),
            service: words.shared(&compose.service),
            number: compose.number,
        });
        let service = match (&compose, image_name(&self.image, &self.image_id)) {
            (Some(compose), _) => compose.service.clone(),
            (None, Some(image)) => words.shared(image),
            (None, None) => instance.clone(),
        };
        let host = self.addresses.first().map(|address| address.ip.to_string());
        let mut addresses = self.addresses;
        for network in addresses
            .iter_mut()
            .filter_map(|address| address.network.as_mut())
        {
            *network = words.shared(network);
        }
        Service {
            environment: words.shared(&settings.environment),
            service,
            instance,
            region: words.shared(&settings.region),
            host: host.unwrap_or_default().into(),
            uuid,
            compose,
            addresses,
            ports: self.ports,
            health: self.health,
            ttl_seconds: settings.ttl_seconds,
            wishes: None,
            id: ServiceId {
                source: source.clone(),
                id: self.id,
                part: 0,
            },
        }
    }
}

/// Engines call a container that waits to be restarted running, and a paused one too.
fn is_running(state: &ContainerState) -> bool {
    let [running, paused, restarting, dead] =
        [state.running, state.paused, state.restarting, state.dead].map(|flag| flag == Some(true));
    running && !paused && !restarting && !dead
}

pub(crate) fn without_slashes(name: &str) -> String {
    name.replace('/', "")
}

/// Image name without registry, repository, tag and digest, in the case it was given; `None` when nothing is left
/// or when the reference is an image id. `image_id` is the full hex id: a reference that starts it is an id too.
fn image_name<'a>(reference: &'a str, image_id: &str) -> Option<&'a str> {
    let tagged = reference.split('@').next()?;
    let last = tagged.rsplit('/').next()?;
    let name = last.split(':').next()?;
    let is_digest = tagged.starts_with("sha256:");
    // Docker takes any unambiguous start of an id; one that is shorter than its short id is more likely a name.
    let is_id_prefix = name.len() >= 12 && image_id.starts_with(name);
    (!name.is_empty() && !is_digest && !is_id_prefix).then_some(name)
}

/// What the container's health check says; an engine leaves it out, or says `none`, where there is no check.
fn health(state: &ContainerState) -> Health {
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE) | None => Health::None,
    }
}

/// What the container is for Compose. What `docker compose run` starts is nobody's replica, so it is nothing.
fn compose(labels: &HashMap<String, String>) -> Option<Compose> {
    let label = |name: &str| {
        labels
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    };
    let is_one_off = label(COMPOSE_ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let (project, service) = (label(COMPOSE_PROJECT)?, label(COMPOSE_SERVICE)?);
    (!is_one_off).then(|| Compose {
        project: project.into(),
        service: service.into(),
        number: label(COMPOSE_NUMBER).and_then(|number| number.parse().ok()),
    })
}

/// Reads keys such as `80/tcp`; what is no port is left out.
fn ports(keys: impl Iterator<Item = String>) -> Vec<Port> {
    let mut ports: Vec<Port> = keys.filter_map(|key| parse_port(&key)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn parse_port(key: &str) -> Option<Port> {
    let (number, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    let number = number.parse().ok().filter(|&number| number != 0)?;
    Some(Port { protocol, number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::on;

    const ID: &str = "4a21a3b716b565ecfeebf669c15c26ac62a2ff259e8cd175e87810a8229633dd";

    fn settings() -> ContainerSettings {
        ContainerSettings {
            environment: "dev".to_owned(),
            region: "host1".to_owned(),
            ttl_seconds: 30,
        }
    }

    fn source() -> Source {
        Source::Engine("unix:///var/run/docker.sock".into())
    }

    fn inspect(json: &str) -> Container {
        Container::from_inspect(ID.into(), serde_json::from_str(json).unwrap())
    }

    fn to_service(container: Container) -> Service {
        container.into_service(&source(), &settings(), &mut Words::default())
    }

    fn redis(addresses: &[(&str, &str)]) -> Service {
        let port = |protocol, number| Port { protocol, number };
        Service {
            id: ServiceId {
                source: source(),
                id: ID.into(),
                part: 0,
            },
            environment: "dev".into(),
            service: "redis".into(),
            instance: "redis1".into(),
            region: "host1".into(),
            host: "172.17.0.2".into(),
            uuid: "4a21a3b716".into(),
            compose: None,
            addresses: addresses.iter().map(|(network, ip)| on(network, ip)).collect(),
            ports: vec![port(Protocol::Tcp, 6379), port(Protocol::Udp, 53)],
            health: Health::None,
            ttl_seconds: 30,
            wishes: None,
        }
    }

    #[test]
    fn a_recorded_inspect_of_api_1_41_becomes_a_service() {
        let container = inspect(include_str!("fixtures/inspect-1.41.json"));
        assert!(container.running);
        assert_eq!(
            to_service(container),
            redis(&[("bridge", "172.17.0.2"), ("backend", "172.18.0.2")])
        );
    }

    #[test]
    fn an_inspect_shaped_as_api_1_52_without_top_level_addresses_becomes_a_service() {
        let container = inspect(include_str!("fixtures/inspect-1.52.json"));
        assert!(container.running);
        let expected = redis(&[
            ("bridge", "172.17.0.2"),
            ("backend", "172.18.0.2"),
            ("backend", "fd00:18::2"),
        ]);
        assert_eq!(to_service(container), expected);
    }

    #[test]
    fn an_image_is_known_by_its_last_path_segment_without_tag_and_digest() {
        let id = "72297848456d5d37d1262630108ab308d3e9ec7ed1c3286a32fe09856619a782";
        let full = format!("sha256:{id}");
        for (reference, expected) in [
            ("redis", Some("redis")),
            ("redis:latest", Some("redis")),
            ("crosbymichael/redis:latest", Some("redis")),
            ("registry:5000/crosbymichael/redis", Some("redis")),
            ("registry:5000/crosbymichael/redis:2.8", Some("redis")),
            ("ghcr.io/o/team/App:1", Some("App")),
            ("redis@sha256:ab12", Some("redis")),
            ("repo/redis:7@sha256:ab12", Some("redis")),
            ("registry:5000/repo/redis:7@sha256:ab12", Some("redis")),
            ("my.app:1", Some("my.app")),
            ("sha256:ab12", None),
            (&full, None),
            (id, None),
            ("72297848456d", None),
            ("7229", Some("7229")),
            ("a/b/", None),
            ("", None),
            (":tag", None),
            ("@", None),
        ] {
            assert_eq!(image_name(reference, id), expected, "{reference}");
        }
    }

    #[test]
    fn a_container_run_by_image_id_is_a_service_of_its_own_name() {
        let container = inspect(r#"{"Name":"/web1","Config":{"Image":"sha256:ab12"}}"#);
        assert_eq!(&*to_service(container).service, "web1");
    }

    #[test]
    fn a_container_without_a_name_is_known_by_its_uuid() {
        let service = to_service(inspect("{}"));
        assert_eq!(
            (&*service.instance, &*service.service),
            ("4a21a3b716", "4a21a3b716")
        );
        let short = Container::from_inspect("ab".into(), ContainerInspectResponse::default());
        assert_eq!(&*to_service(short).uuid, "ab");
    }

    #[test]
    fn slashes_leave_the_name() {
        assert_eq!(inspect(r#"{"Name":"/a/b"}"#).name, "ab");
    }

    #[test]
    fn ports_come_from_what_is_exposed_and_what_is_published_each_once() {
        let container = inspect(
            r#"{"Config": {"ExposedPorts": {"53/udp": {}, "8080/tcp": {}, "80/tcp": {}}},
                "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9"}], "7/sctp": null}}}"#,
        );
        let port = |protocol, number| Port { protocol, number };
        let expected = [
            (Protocol::Tcp, 80),
            (Protocol::Tcp, 8080),
            (Protocol::Udp, 53),
            (Protocol::Sctp, 7),
        ];
        assert_eq!(
            container.ports,
            expected.map(|(protocol, number)| port(protocol, number))
        );
    }

    #[test]
    fn what_is_no_port_is_left_out() {
        let keys = [
            "",
            "/tcp",
            "0/tcp",
            "65536/tcp",
            "80/ipx",
            "a/udp",
            "-1/tcp",
            "80-90/tcp",
            "81",
            "82/TCP",
        ];
        let numbers: Vec<u16> = ports(keys.map(str::to_owned).into_iter())
            .iter()
            .map(|port| port.number)
            .collect();
        assert_eq!(numbers, [81, 82]);
    }

    #[test]
    fn paused_restarting_and_dead_containers_do_not_run_whatever_running_says() {
        let running = |flags: &str| inspect(&format!(r#"{{"State":{{{flags}}}}}"#)).running;
        assert!(running(
            r#""Running":true,"Paused":false,"Restarting":false,"Dead":false"#
        ));
        assert!(running(r#""Running":true"#));
        for flags in [
            "",
            r#""Running":false"#,
            r#""Running":true,"Paused":true"#,
            r#""Running":true,"Restarting":true,"Status":"restarting""#,
            r#""Running":true,"Dead":true"#,
        ] {
            assert!(!running(flags), "{flags}");
        }
    }

    #[test]
    fn a_container_of_compose_is_one_of_its_service_and_knows_its_project_and_number() {
        let labelled = |labels: &str| {
            let json =
                format!(r#"{{"Name":"/shop-web-2","Config":{{"Image":"shop-web","Labels":{{{labels}}}}}}}"#);
            let service = to_service(inspect(&json));
            let compose = service
                .compose
                .map(|it| (it.project.to_string(), it.service.to_string(), it.number));
            (service.service.to_string(), compose)
        };
        let project = r#""com.docker.compose.project":"shop""#;
        let service = r#""com.docker.compose.service":"web""#;
        let number = r#""com.docker.compose.container-number":"2""#;
        let compose = |number| Some(("shop".to_owned(), "web".to_owned(), number));
        let all = format!("{project},{service},{number}");
        assert_eq!(labelled(&all), ("web".to_owned(), compose(Some(2))));
        assert_eq!(labelled(&format!("{project},{service}")).1, compose(None));
        let no_number = r#""com.docker.compose.container-number":"-""#;
        assert_eq!(
            labelled(&format!("{project},{service},{no_number}")).1,
            compose(None)
        );
        let image = ("shop-web".to_owned(), None);
        for labels in [
            "",
            project,
            service,
            r#""com.docker.compose.project":"","com.docker.compose.service":"web""#,
            &format!(r#"{all},"com.docker.compose.oneoff":"True""#),
        ] {
            assert_eq!(labelled(labels), image, "{labels}");
        }
    }

    #[test]
    fn health_is_what_the_check_says_and_none_without_a_check() {
        for (state, expected) in [
            (
                r#"{"Health":{"Status":"starting","FailingStreak":0,"Log":[]}}"#,
                Health::Starting,
            ),
            (r#"{"Health":{"Status":"healthy"}}"#, Health::Healthy),
            (
                r#"{"Health":{"Status":"unhealthy","FailingStreak":3}}"#,
                Health::Unhealthy,
            ),
            (r#"{"Health":{"Status":"none"}}"#, Health::None),
            (r#"{"Health":{"Status":""}}"#, Health::None),
            (r#"{"Health":{}}"#, Health::None),
            (r#"{"Health":null}"#, Health::None),
            ("{}", Health::None),
        ] {
            let container = inspect(&format!(r#"{{"State":{state}}}"#));
            assert_eq!(to_service(container).health, expected, "{state}");
        }
    }

    #[test]
    fn an_inspect_with_health_two_networks_ipv6_and_compose_labels_becomes_a_service() {
        let service = to_service(inspect(include_str!("fixtures/inspect-compose.json")));
        assert_eq!((&*service.service, service.health), ("web", Health::Healthy));
        let compose = service.compose.unwrap();
        assert_eq!((&*compose.project, compose.number), ("shop", Some(2)));
        let networks: Vec<_> = service
            .addresses
            .iter()
            .map(|address| format!("{} on {}", address.ip, address.network.as_deref().unwrap()))
            .collect();
        let expected = [
            "172.19.0.3 on shop_back",
            "fd00:19::3 on shop_back",
            "172.20.0.3 on shop_front",
        ];
        assert_eq!(networks, expected);
    }
}
