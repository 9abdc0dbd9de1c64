//! An inspected container: all that naming it may go by. The engine's shapes stop here.
//!
//! ```text
//!  wire::Inspect ──from_inspect──▶ Container ──publish──▶ Service
//!  wire::Summary ──listed──────────────▲ where the list tells enough
//! ```

use std::collections::HashMap;

use arcstr::ArcStr;

use super::attachment::{Attachment, attachments};
use super::listed::Fingerprint;
use super::standing::Standing;
use super::stop::Stop;
use super::{port, wire};
use crate::service::{Address, Compose, Health, Port, PublishedPort};

/// Labels that Compose, and Podman's too, gives its containers.
const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_SERVICE: &str = "com.docker.compose.service";
const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
const COMPOSE_ONE_OFF: &str = "com.docker.compose.oneoff";

/// A container as an inspect shows it. Fields that the engine did not tell, or that make no sense, are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    /// Full hex id.
    pub(crate) id: ArcStr,
    /// Without slashes.
    pub(crate) name: String,
    /// As it was given when the container was created; may be an image id.
    pub(crate) image: String,
    /// The image's id, without its algorithm.
    pub(crate) image_id: String,
    /// When it was created, RFC 3339.
    pub(crate) created: String,
    /// What it calls itself, and the domain it believes to be in.
    pub(crate) hostname: String,
    pub(crate) domainname: String,
    /// Its variables, `NAME=value`.
    pub(crate) environment: Vec<String>,
    pub(crate) labels: HashMap<String, String>,
    /// The engine's word for its state: `running`, `paused`, `exited`.
    pub(crate) status: String,
    /// Whether it can be talked to, or why not.
    pub(crate) life: Life,
    /// When it was started last, RFC 3339.
    pub(crate) started: String,
    pub(crate) health: Health,
    /// How it is stopped; none where only the list was seen.
    pub(crate) stop: Option<Stop>,
    pub(crate) network_mode: NetworkMode,
    /// Where it stands, primary network first.
    pub(crate) attachments: Vec<Attachment>,
    /// What it exposes and what is published of it, least first.
    pub(crate) ports: Vec<Port>,
    /// In the order of [`Self::ports`].
    pub(crate) published_ports: Vec<PublishedPort>,
    pub(crate) compose: Option<Compose>,
}

/// Where a container is in its life, as far as names go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    Paused,
    /// It waits to be started again.
    Restarting,
    /// Not started yet, or ended.
    Stopped,
}

/// Whose network a container has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetworkMode {
    /// Its own, on the engine's networks.
    Own,
    /// The host's.
    Host,
    /// None at all.
    None,
    /// That of this container, an id or a name.
    Of(ArcStr),
}

impl Container {
    /// Reads an inspect of the container `id`.
    pub(crate) fn from_inspect(id: ArcStr, inspect: wire::Inspect) -> Self {
        let config = inspect.config;
        let network = inspect.network_settings;
        let (ports, published_ports) = port::inspected(config.exposed_ports.keys(), &network.ports);
        Self {
            id,
            name: without_slashes(&inspect.name),
            image: config.image,
            image_id: without_algorithm(&inspect.image),
            created: inspect.created,
            hostname: config.hostname,
            domainname: config.domainname,
            environment: config.env,
            life: Life::of(&inspect.state),
            status: inspect.state.status,
            started: inspect.state.started_at,
            health: health(&inspect.state.health.status),
            stop: Some(Stop::of(&config.stop_signal, config.stop_timeout)),
            network_mode: NetworkMode::of(&inspect.host_config.network_mode),
            attachments: attachments(network.networks),
            ports,
            published_ports,
            compose: compose(&config.labels),
            labels: config.labels,
        }
    }

    /// Its addresses on the engine's networks, each once.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        // They are kept for as long as it runs, so without room for more.
        let count = self.attachments.iter().flat_map(Attachment::addresses).count();
        let mut addresses: Vec<Address> = Vec::with_capacity(count);
        for place in &self.attachments {
            let network: ArcStr = place.network.as_str().into();
            for ip in place.addresses() {
                if !addresses.iter().any(|known| known.ip == ip) {
                    addresses.push(Address {
                        ip,
                        network: Some(network.clone()),
                        is_hosts: false,
                    });
                }
            }
        }
        addresses
    }

    /// Those that no other container can have at the same time.
    pub(crate) fn own_addresses(&self) -> Vec<Address> {
        match self.network_mode {
            NetworkMode::Own => self.addresses(),
            NetworkMode::Host | NetworkMode::None | NetworkMode::Of(_) => Vec::new(),
        }
    }

    /// What the engine's list would show of it.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.name, &self.attachments, self.health)
    }
}

impl Life {
    /// Engines call a container that waits to be restarted running, and a paused one too.
    fn of(state: &wire::State) -> Self {
        match state {
            state if !state.running || state.dead => Self::Stopped,
            state if state.restarting => Self::Restarting,
            state if state.paused => Self::Paused,
            _ => Self::Running,
        }
    }

    /// The same from the one word that the engine's list has for it. An unknown word counts as running: an inspect
    /// tells.
    pub(crate) fn of_status(status: &str) -> Self {
        match status {
            // The last four are Podman's.
            "created" | "exited" | "dead" | "removing" | "configured" | "initialized" | "stopped"
            | "stopping" => Self::Stopped,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            _ => Self::Running,
        }
    }

    /// Why a container in this state has no names; none for one that runs.
    pub(crate) fn standing(self) -> Option<Standing> {
        match self {
            Self::Running => None,
            Self::Paused => Some(Standing::Paused),
            Self::Restarting => Some(Standing::Restarting),
            Self::Stopped => Some(Standing::Stopped),
        }
    }
}

impl NetworkMode {
    pub(super) fn of(mode: &str) -> Self {
        match mode.split_once(':') {
            Some(("container", other)) if !other.is_empty() => Self::Of(other.into()),
            _ if mode == "host" => Self::Host,
            _ if mode == "none" => Self::None,
            _ => Self::Own,
        }
    }
}

/// `sha256:ab12` as `ab12`.
pub(super) fn without_algorithm(id: &str) -> String {
    id.rsplit(':').next().unwrap_or_default().to_owned()
}

pub(crate) fn without_slashes(name: &str) -> String {
    name.replace('/', "")
}

/// What a health check says; an engine leaves it out, or says `none`, where there is no check.
pub(crate) fn health(status: &str) -> Health {
    match status {
        "starting" => Health::Starting,
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        _ => Health::None,
    }
}

/// What the container is for Compose. What `docker compose run` starts is nobody's replica, so it is nothing.
pub(super) fn compose(labels: &HashMap<String, String>) -> Option<Compose> {
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::service::Protocol;

    pub(in crate::docker) const ID: &str = "4a21a3b716b565ecfeebf669c15c26ac62a2ff259e8cd175e87810a8229633dd";

    pub(in crate::docker) fn inspect(json: &str) -> Container {
        Container::from_inspect(ID.into(), wire::read(json.as_bytes()).unwrap())
    }

    fn port(protocol: Protocol, number: u16) -> Port {
        Port { protocol, number }
    }

    #[test]
    fn slashes_leave_the_name() {
        assert_eq!(inspect(r#"{"Name":"/a/b"}"#).name, "ab");
    }

    #[test]
    fn ports_come_from_what_is_exposed_and_what_is_published_each_once() {
        let container = inspect(
            r#"{"Config": {"ExposedPorts": {"53/udp": {}, "8080/tcp": {}, "80/tcp": {}, "80-90/tcp": {}}},
                "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9"}], "7/sctp": null}}}"#,
        );
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
    fn published_ports_are_read_with_the_hosts_address() {
        let container = inspect(
            r#"{"NetworkSettings": {"Ports": {
                "80/tcp": [{"HostIp": "::", "HostPort": "8080"}, {"HostIp": "0.0.0.0", "HostPort": "8080"}],
                "53/udp": [{"HostIp": "", "HostPort": "5353"}, {"HostIp": "?", "HostPort": "1"},
                           {"HostIp": "", "HostPort": ""}],
                "90/tcp": null}}}"#,
        );
        let published = container.published_ports.iter();
        let published: Vec<_> = published
            .map(|it| (it.host_ip.to_string(), it.host_number, it.port))
            .collect();
        let (http, dns) = (port(Protocol::Tcp, 80), port(Protocol::Udp, 53));
        assert_eq!(
            published,
            [
                ("0.0.0.0".to_owned(), 8080, http),
                ("::".to_owned(), 8080, http),
                ("0.0.0.0".to_owned(), 5353, dns)
            ]
        );
    }

    #[test]
    fn paused_restarting_and_dead_containers_do_not_run_whatever_running_says() {
        let life = |flags: &str| inspect(&format!(r#"{{"State":{{{flags}}}}}"#)).life;
        for (flags, expected) in [
            (
                r#""Running":true,"Paused":false,"Restarting":false,"Dead":false"#,
                Life::Running,
            ),
            (r#""Running":true"#, Life::Running),
            ("", Life::Stopped),
            (r#""Running":false"#, Life::Stopped),
            (r#""Running":true,"Paused":true"#, Life::Paused),
            (
                r#""Running":true,"Restarting":true,"Status":"restarting""#,
                Life::Restarting,
            ),
            (r#""Running":true,"Dead":true"#, Life::Stopped),
        ] {
            assert_eq!(life(flags), expected, "{flags}");
        }
    }

    #[test]
    fn whose_network_it_has_is_read_from_its_mode() {
        for (mode, expected) in [
            ("default", NetworkMode::Own),
            ("shop", NetworkMode::Own),
            ("host", NetworkMode::Host),
            ("none", NetworkMode::None),
            ("container:ab12", NetworkMode::Of("ab12".into())),
            ("container:", NetworkMode::Own),
            ("", NetworkMode::Own),
        ] {
            let json = format!(r#"{{"HostConfig":{{"NetworkMode":"{mode}"}}}}"#);
            assert_eq!(inspect(&json).network_mode, expected, "{mode}");
        }
    }

    #[test]
    fn what_a_plugin_may_want_is_there() {
        let container = inspect(include_str!("fixtures/inspect-1.41.json"));
        let words = [
            &container.status,
            &container.hostname,
            &container.created,
            &container.started,
        ];
        let expected = [
            "running",
            "4a21a3b716b5",
            "2026-11-23T04:59:41.535730262Z",
            "2026-11-23T04:59:42.706012272Z",
        ];
        assert_eq!(words.map(String::as_str), expected);
        let places = container.attachments.iter();
        let places: Vec<_> = places
            .map(|it| (it.mac_address.as_str(), it.gateway.as_str()))
            .collect();
        assert_eq!(
            places,
            [
                ("02:42:ac:11:00:02", "172.17.0.1"),
                ("02:42:ac:12:00:02", "172.18.0.1")
            ]
        );
        assert_eq!(container.attachments[1].aliases, ["4a21a3b716b5"]);
        let json = r#"{"Config": {"Env": ["A=b=c"], "Domainname": "corp"}}"#;
        let container = inspect(json);
        assert_eq!(
            (container.environment, container.domainname.as_str()),
            (vec!["A=b=c".to_owned()], "corp")
        );
    }
}
