//! An inspected container, as the engine describes it, made into a [`Service`]. The engine's types stop here.
//!
//! ```text
//!  ContainerInspectResponse ──from_inspect──▶ Container ──into_service──▶ Service
//!  ContainerSummary (a line of the list) ──from_summary──▶ Listed, compared with the Service we hold
//! ```
//!
//! Which address a container has: the default bridge's first, then those of its other networks by name; IPv4 before
//! IPv6 on each. They are read from `NetworkSettings.Networks`, which every engine from 20.10 (API 1.41) fills in for
//! the default bridge too; the fields beside it are gone since API 1.52. A container on the host's network, or in
//! another container's, has no address of its own there, so it gets no names yet.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings,
};

use super::stop::Stop;
use crate::service::{Port, Protocol, Service, ServiceId, Source};

/// Networks a container is on when nobody chose one: Docker's and Podman's.
const DEFAULT_NETWORKS: [&str; 2] = ["bridge", "podman"];

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
    /// Primary first, see the module's text.
    addresses: Vec<IpAddr>,
    /// Least first.
    ports: Vec<Port>,
}

impl Container {
    /// Reads an inspect of the container `id`. Fields that are missing or make no sense count as empty.
    pub(crate) fn from_inspect(id: Arc<str>, inspect: ContainerInspectResponse) -> Self {
        let config = inspect.config.unwrap_or_default();
        let stop = Stop::of(config.stop_signal.as_deref(), config.stop_timeout);
        let (image, exposed) = (config.image, config.exposed_ports);
        let (networks, published) = inspect
            .network_settings
            .map(|settings| (settings.networks, settings.ports))
            .unwrap_or_default();
        let image_id = inspect.image.unwrap_or_default();
        Self {
            id,
            name: without_slashes(&inspect.name.unwrap_or_default()),
            image: image.unwrap_or_default(),
            image_id: image_id.rsplit(':').next().unwrap_or_default().to_owned(),
            running: inspect.state.is_some_and(|state| is_running(&state)),
            stop,
            addresses: addresses(&networks.unwrap_or_default()),
            ports: ports(
                exposed
                    .into_iter()
                    .flatten()
                    .chain(published.into_iter().flatten().map(|(key, _)| key)),
            ),
        }
    }

    /// The service that this container is, whether it runs or not.
    pub(crate) fn into_service(self, source: &Source, settings: &ContainerSettings) -> Service {
        let uuid = self.id.get(..UUID_DIGITS).unwrap_or(&self.id).to_owned();
        let instance = if self.name.is_empty() {
            uuid.clone()
        } else {
            self.name
        };
        let service = image_name(&self.image, &self.image_id).map_or_else(|| instance.clone(), str::to_owned);
        Service {
            environment: settings.environment.clone(),
            service,
            instance,
            region: settings.region.clone(),
            host: self.addresses.first().map(IpAddr::to_string).unwrap_or_default(),
            uuid,
            addresses: self.addresses,
            ports: self.ports,
            ttl_seconds: settings.ttl_seconds,
            id: ServiceId {
                source: source.clone(),
                id: self.id,
            },
        }
    }
}

/// A container as the engine's list shows it: enough to see that what we hold is out of date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Full container id.
    pub(crate) id: Arc<str>,
    running: bool,
    name: String,
    addresses: Vec<IpAddr>,
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
        })
    }

    /// Whether the list and the service that we hold for this container cannot both be right.
    pub(crate) fn differs_from(&self, held: Option<&Service>) -> bool {
        match held {
            Some(service) => {
                !self.running || self.name != service.instance || self.addresses != service.addresses
            }
            None => self.running,
        }
    }

    #[cfg(test)]
    pub(crate) fn running(id: &str, name: &str, addresses: Vec<IpAddr>) -> Self {
        Self {
            id: id.into(),
            running: true,
            name: name.to_owned(),
            addresses,
        }
    }
}

/// Engines call a container that waits to be restarted running, and a paused one too.
fn is_running(state: &ContainerState) -> bool {
    let [running, paused, restarting, dead] =
        [state.running, state.paused, state.restarting, state.dead].map(|flag| flag == Some(true));
    running && !paused && !restarting && !dead
}

fn without_slashes(name: &str) -> String {
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

/// The addresses on all networks, primary first; no unspecified and no double ones.
fn addresses(networks: &HashMap<String, EndpointSettings>) -> Vec<IpAddr> {
    let mut networks: Vec<_> = networks.iter().collect();
    networks.sort_by_key(|(name, _)| (!DEFAULT_NETWORKS.contains(&name.as_str()), *name));
    let mut addresses = Vec::new();
    for (_, endpoint) in networks {
        let ipv4 = endpoint
            .ip_address
            .as_deref()
            .and_then(parse_address::<Ipv4Addr>)
            .map(IpAddr::V4);
        let ipv6 = endpoint
            .global_ipv6_address
            .as_deref()
            .and_then(parse_address::<Ipv6Addr>)
            .map(IpAddr::V6);
        for address in ipv4.into_iter().chain(ipv6) {
            if !address.is_unspecified() && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

/// Reads an address, a prefix length behind it ignored.
fn parse_address<A: std::str::FromStr>(text: &str) -> Option<A> {
    text.split('/').next()?.trim().parse().ok()
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

    fn with_networks(networks: &str) -> Vec<IpAddr> {
        inspect(&format!(r#"{{"NetworkSettings":{{"Networks":{networks}}}}}"#)).addresses
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn redis(addresses: &[&str]) -> Service {
        Service {
            id: ServiceId {
                source: source(),
                id: ID.into(),
            },
            environment: "dev".to_owned(),
            service: "redis".to_owned(),
            instance: "redis1".to_owned(),
            region: "host1".to_owned(),
            host: "172.17.0.2".to_owned(),
            uuid: "4a21a3b716".to_owned(),
            addresses: ips(addresses),
            ports: vec![
                Port {
                    protocol: Protocol::Tcp,
                    number: 6379,
                },
                Port {
                    protocol: Protocol::Udp,
                    number: 53,
                },
            ],
            ttl_seconds: 30,
        }
    }

    #[test]
    fn a_recorded_inspect_of_api_1_41_becomes_a_service() {
        let container = inspect(include_str!("fixtures/inspect-1.41.json"));
        assert!(container.running);
        assert_eq!(
            container.into_service(&source(), &settings()),
            redis(&["172.17.0.2", "172.18.0.2"])
        );
    }

    #[test]
    fn an_inspect_shaped_as_api_1_52_without_top_level_addresses_becomes_a_service() {
        let container = inspect(include_str!("fixtures/inspect-1.52.json"));
        assert!(container.running);
        let expected = redis(&["172.17.0.2", "172.18.0.2", "fd00:18::2"]);
        assert_eq!(container.into_service(&source(), &settings()), expected);
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
        assert_eq!(container.into_service(&source(), &settings()).service, "web1");
    }

    #[test]
    fn a_container_without_a_name_is_known_by_its_uuid() {
        let service = inspect("{}").into_service(&source(), &settings());
        assert_eq!(
            (service.instance.as_str(), service.service.as_str()),
            ("4a21a3b716", "4a21a3b716")
        );
        let short = Container::from_inspect("ab".into(), ContainerInspectResponse::default());
        assert_eq!(short.into_service(&source(), &settings()).uuid, "ab");
    }

    #[test]
    fn slashes_leave_the_name() {
        assert_eq!(inspect(r#"{"Name":"/a/b"}"#).name, "ab");
    }

    #[test]
    fn the_default_bridge_is_primary_and_the_others_follow_by_name() {
        let networks = r#"{
            "zeta": {"IPAddress": "10.3.0.2", "GlobalIPv6Address": "fd00:3::2"},
            "alpha": {"IPAddress": "10.1.0.2"},
            "bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": "fd00::2"}
        }"#;
        let expected = ips(&["172.17.0.2", "fd00::2", "10.1.0.2", "10.3.0.2", "fd00:3::2"]);
        assert_eq!(with_networks(networks), expected);
    }

    #[test]
    fn without_the_default_bridge_the_first_network_by_name_is_primary() {
        let networks = r#"{"b": {"IPAddress": "10.2.0.2"}, "a": {"IPAddress": "10.1.0.2"}}"#;
        assert_eq!(with_networks(networks), ips(&["10.1.0.2", "10.2.0.2"]));
        let podman = r#"{"a": {"IPAddress": "10.1.0.2"}, "podman": {"IPAddress": "10.88.0.2"}}"#;
        assert_eq!(with_networks(podman), ips(&["10.88.0.2", "10.1.0.2"]));
    }

    #[test]
    fn an_empty_unspecified_or_broken_address_is_none() {
        for networks in [
            "{}",
            "null",
            r#"{"host": {"IPAddress": "", "GlobalIPv6Address": ""}}"#,
            r#"{"none": {}}"#,
            r#"{"x": {"IPAddress": "0.0.0.0", "GlobalIPv6Address": "::"}}"#,
            r#"{"x": {"IPAddress": "invalid IP"}}"#,
        ] {
            assert_eq!(with_networks(networks), ips(&[]), "{networks}");
        }
        let networks = r#"{"x": {"IPAddress": "", "GlobalIPv6Address": "fd00::2/64"}}"#;
        assert_eq!(with_networks(networks), ips(&["fd00::2"]));
        assert_eq!(inspect("{}").into_service(&source(), &settings()).host, "");
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
    fn a_line_of_the_list_tells_whether_the_service_held_is_out_of_date() {
        let held = redis(&["172.17.0.2", "172.18.0.2"]);
        let listed = |state: &str, names: &str, second: &str| {
            let json = format!(
                r#"{{"Id":"{ID}","Names":{names},"State":"{state}","NetworkSettings":{{"Networks":{{
                    "backend":{{"IPAddress":"{second}"}},"bridge":{{"IPAddress":"172.17.0.2"}}}}}}}}"#
            );
            Listed::from_summary(serde_json::from_str(&json).unwrap()).unwrap()
        };
        let same = listed("running", r#"["/web/db","/redis1"]"#, "172.18.0.2");
        assert!(!same.differs_from(Some(&held)));
        assert!(same.differs_from(None));
        assert!(listed("paused", r#"["/redis1"]"#, "172.18.0.2").differs_from(Some(&held)));
        assert!(!listed("paused", r#"["/redis1"]"#, "172.18.0.2").differs_from(None));
        assert!(listed("running", r#"["/redis2"]"#, "172.18.0.2").differs_from(Some(&held)));
        assert!(listed("running", r#"["/redis1"]"#, "172.18.0.9").differs_from(Some(&held)));
        assert_eq!(Listed::from_summary(ContainerSummary::default()), None);
    }
}
