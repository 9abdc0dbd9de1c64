//! A container in the words of plugins.

use std::net::IpAddr;

use super::container::{Container, Life};
use crate::plugin::{Attached, Binding, Described, State};
use crate::service::{Port, Protocol};

impl From<&Container> for Described {
    fn from(container: &Container) -> Self {
        let networks = container.attachments.iter().map(|place| {
            let attached = Attached {
                ipv4: place.ipv4.map(IpAddr::V4),
                ipv6: place.ipv6.map(IpAddr::V6),
                gateway: place.gateway.clone(),
                mac_address: place.mac_address.clone(),
                aliases: place.aliases.clone(),
            };
            (place.network.clone(), attached)
        });
        let bindings = |port: &Port| {
            let published = container.published_ports.iter().filter(|it| it.port == *port);
            published
                .map(|it| Binding {
                    host_ip: it.host_ip.to_string(),
                    host_port: it.host_number.to_string(),
                })
                .collect()
        };
        let ports = container.ports.iter().map(|port| (shown(*port), bindings(port)));
        Self {
            id: container.id.to_string(),
            name: match container.name.as_str() {
                "" => String::new(),
                name => format!("/{name}"),
            },
            image: container.image.clone(),
            hostname: container.hostname.clone(),
            env: container.environment.clone(),
            labels: container.labels.clone().into_iter().collect(),
            networks: networks.collect(),
            ports: ports.collect(),
            state: State {
                status: container.status.clone(),
                // As Docker has it: one that is paused or restarted is running, too.
                running: container.life != Life::Stopped,
                paused: container.life == Life::Paused,
                restarting: container.life == Life::Restarting,
                started_at: container.started.clone(),
            },
            health: container.health,
            compose: container.compose.clone(),
        }
    }
}

/// `80/tcp`.
fn shown(port: Port) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    format!("{}/{protocol}", port.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::container::tests::inspect;

    #[test]
    fn a_recorded_inspect_is_described_as_plugins_know_it() {
        let described = Described::from(&inspect(include_str!("fixtures/inspect-1.41.json")));
        assert_eq!(
            (described.name.as_str(), described.state.running),
            ("/redis1", true)
        );
        assert_eq!(described.env, [""; 0]);
        let ports: Vec<_> = described.ports.iter().map(|(port, _)| port.as_str()).collect();
        assert_eq!(ports, ["6379/tcp", "53/udp"]);
        let networks: Vec<_> = described
            .networks
            .iter()
            .map(|(network, _)| network.as_str())
            .collect();
        assert_eq!(networks, ["bridge", "backend"]);
    }

    #[test]
    fn a_published_port_has_its_bindings_and_an_exposed_one_none() {
        let container = inspect(
            r#"{"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/tcp": null}}}"#,
        );
        let described = Described::from(&container);
        let binding = Binding {
            host_ip: "0.0.0.0".into(),
            host_port: "8080".into(),
        };
        let expected = [
            ("80/tcp".to_owned(), vec![binding]),
            ("90/tcp".to_owned(), vec![]),
        ];
        assert_eq!(described.ports, expected);
        assert_eq!((described.name.as_str(), described.networks.len()), ("", 0));
    }
}
