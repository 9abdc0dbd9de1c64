//! What we read of an engine's answers, and nothing else of them.
//!
//! Engines differ: fields come and go with API versions, Podman leaves some out, and an enumeration of one release has a
//! new word in the next. So every field is read by itself, and one that is missing, null or of another type than we
//! know counts as empty. Only an answer that is no JSON object at all is an error.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::MapAccess;
use serde::de::value::MapAccessDeserializer;

use super::lenient::{Field, Nothing, Perhaps, lenient};

/// `GET /version`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Version {
    #[serde(deserialize_with = "lenient")]
    pub(super) version: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) api_version: String,
    #[serde(rename = "MinAPIVersion", deserialize_with = "lenient")]
    pub(super) min_api_version: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) components: Vec<Component>,
}

/// A part of the engine; the first one is the engine itself.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Component {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
}

/// `GET /containers/ID/json`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Inspect {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) created: String,
    /// The image's id.
    #[serde(deserialize_with = "lenient")]
    pub(super) image: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) state: State,
    #[serde(deserialize_with = "lenient")]
    pub(super) config: Config,
    #[serde(deserialize_with = "lenient")]
    pub(super) host_config: HostConfig,
    #[serde(deserialize_with = "lenient")]
    pub(super) network_settings: NetworkSettings,
}

/// Where a container is in its life.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct State {
    #[serde(deserialize_with = "lenient")]
    pub(super) status: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) running: bool,
    #[serde(deserialize_with = "lenient")]
    pub(super) paused: bool,
    #[serde(deserialize_with = "lenient")]
    pub(super) restarting: bool,
    #[serde(deserialize_with = "lenient")]
    pub(super) dead: bool,
    /// RFC 3339, in UTC as far as engines go.
    #[serde(deserialize_with = "lenient")]
    pub(super) started_at: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) health: Health,
}

/// What the health check says, where there is one.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Health {
    #[serde(deserialize_with = "lenient")]
    pub(super) status: String,
}

/// What a container was made from.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Config {
    #[serde(deserialize_with = "lenient")]
    pub(super) hostname: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) domainname: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) env: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) image: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) labels: HashMap<String, String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) exposed_ports: HashMap<String, Nothing>,
    #[serde(deserialize_with = "lenient")]
    pub(super) stop_signal: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) stop_timeout: Option<i64>,
}

/// What a container was given of its host.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct HostConfig {
    /// `default`, `bridge`, `host`, `none`, `container:ID`, or a network's name.
    #[serde(deserialize_with = "lenient")]
    pub(super) network_mode: String,
}

/// Where a container is reached.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    #[serde(deserialize_with = "lenient")]
    pub(super) networks: HashMap<String, Endpoint>,
    /// By `80/tcp`; an exposed port that is published nowhere has none.
    #[serde(deserialize_with = "lenient")]
    pub(super) ports: HashMap<String, Vec<Binding>>,
}

/// A container's place on one network.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Endpoint {
    #[serde(rename = "IPAddress", deserialize_with = "lenient")]
    pub(super) ip_address: String,
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "lenient")]
    pub(super) global_ipv6_address: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) gateway: String,
    #[serde(rename = "IPv6Gateway", deserialize_with = "lenient")]
    pub(super) ipv6_gateway: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) mac_address: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) aliases: Vec<String>,
}

/// A port of the host that leads to one of the container's.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Binding {
    #[serde(deserialize_with = "lenient")]
    pub(super) host_ip: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) host_port: String,
}

/// One line of `GET /containers/json`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Summary {
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) names: Vec<String>,
    /// As it was given when the container was created; the image's id once that name is another image's.
    #[serde(deserialize_with = "lenient")]
    pub(super) image: String,
    #[serde(rename = "ImageID", deserialize_with = "lenient")]
    pub(super) image_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) labels: HashMap<String, String>,
    #[serde(deserialize_with = "lenient")]
    pub(super) ports: Vec<ListedPort>,
    #[serde(deserialize_with = "lenient")]
    pub(super) state: String,
    /// A sentence: `Up 2 minutes (healthy)`.
    #[serde(deserialize_with = "lenient")]
    pub(super) status: String,
    /// Since API 1.52.
    #[serde(deserialize_with = "lenient")]
    pub(super) health: Health,
    #[serde(deserialize_with = "lenient")]
    pub(super) host_config: HostConfig,
    #[serde(deserialize_with = "lenient")]
    pub(super) network_settings: NetworkSettings,
}

/// A port in the list: one that is exposed, or where one is published.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ListedPort {
    #[serde(rename = "IP", deserialize_with = "lenient")]
    pub(super) ip: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) private_port: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) public_port: Option<i64>,
    /// `tcp`.
    #[serde(rename = "Type", deserialize_with = "lenient")]
    pub(super) protocol: String,
}

/// One line of `GET /networks`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Network {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) driver: String,
    /// Whether its containers reach nobody outside.
    #[serde(deserialize_with = "lenient")]
    pub(super) internal: bool,
    #[serde(rename = "IPAM", deserialize_with = "lenient")]
    pub(super) ipam: Ipam,
    #[serde(deserialize_with = "lenient")]
    pub(super) options: HashMap<String, String>,
}

/// How a network gives out addresses.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Ipam {
    #[serde(deserialize_with = "lenient")]
    pub(super) config: Vec<Pool>,
}

/// One subnet of a network.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Pool {
    #[serde(deserialize_with = "lenient")]
    pub(super) subnet: String,
    #[serde(deserialize_with = "lenient")]
    pub(super) gateway: String,
}

/// One line of `GET /events`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Event {
    #[serde(rename = "Type", deserialize_with = "lenient")]
    pub(super) kind: String,
    #[serde(rename = "Action", deserialize_with = "lenient")]
    pub(super) action: String,
    #[serde(rename = "Actor", deserialize_with = "lenient")]
    pub(super) actor: Actor,
    /// Podman's word for it, where Docker has it in the action.
    #[serde(rename = "HealthStatus", deserialize_with = "lenient")]
    pub(super) health_status: String,
    /// When it happened, in nanoseconds since 1970 by the engine's clock.
    #[serde(rename = "timeNano", deserialize_with = "lenient")]
    pub(super) time_nano: Option<i64>,
}

/// What an event is about.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Actor {
    #[serde(rename = "ID", deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(rename = "Attributes", deserialize_with = "lenient")]
    pub(super) attributes: HashMap<String, String>,
}

/// Reads an answer.
///
/// # Errors
///
/// What is not JSON, or not of the outermost shape.
pub(super) fn read<'de, T: Deserialize<'de>>(octets: &'de [u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(octets)
}

/// Reads one entry of a list; none for one that is no object.
///
/// # Errors
///
/// What is not JSON.
pub(super) fn read_entry<T: Field>(octets: &[u8]) -> Result<Option<T>, serde_json::Error> {
    read(octets).map(|Perhaps(entry)| entry)
}

/// Reads an answer that is a list; entries that are no objects are left out.
///
/// # Errors
///
/// What is not JSON, or no list.
pub(super) fn read_list<T: Field>(octets: &[u8]) -> Result<Vec<T>, serde_json::Error> {
    let list: Option<Vec<Perhaps<T>>> = serde_json::from_slice(octets)?;
    // Podman gives null for a list without entries.
    let entries = list.unwrap_or_default().into_iter();
    Ok(entries.filter_map(|Perhaps(entry)| entry).collect())
}

/// Has objects of a field's type read as that type.
macro_rules! objects {
    ($($shape:ty),* $(,)?) => {
        $(impl Field for $shape {
            fn of_object<'de, A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
                Self::deserialize(MapAccessDeserializer::new(object)).map(Some)
            }
        })*
    };
}

objects!(
    Component,
    Inspect,
    State,
    Health,
    Config,
    HostConfig,
    NetworkSettings,
    Endpoint,
    Binding,
    Summary,
    ListedPort,
    Network,
    Ipam,
    Pool,
    Actor,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect(json: &str) -> Inspect {
        read(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_field_that_is_missing_null_or_of_another_type_costs_nothing_but_itself() {
        let whole = inspect(
            r#"{"Id": 7, "Name": "/web", "Mounts": [{"Type": "hologram"}], "State": {"Running": true, "Status": null,
                "Health": "fine"}, "Config": {"Labels": {"a": "b", "c": 3}, "Env": ["X=1", null, 2], "StopTimeout": "x",
                "ExposedPorts": {"80/tcp": {}, "81/tcp": 5}}, "HostConfig": [],
                "NetworkSettings": {"Networks": {"x": {"IPAddress": "10.0.0.1", "Aliases": null}, "y": "?"},
                                    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": 80}], "81/tcp": null}}}"#,
        );
        assert_eq!((whole.id.as_str(), whole.name.as_str()), ("", "/web"));
        assert!(whole.state.running && whole.state.health.status.is_empty());
        assert_eq!(
            (
                whole.config.labels["a"].as_str(),
                whole.config.labels["c"].as_str()
            ),
            ("b", "")
        );
        assert_eq!(
            (whole.config.env, whole.config.exposed_ports.len()),
            (vec!["X=1".to_owned()], 2)
        );
        assert_eq!(whole.network_settings.networks["x"].ip_address, "10.0.0.1");
        assert!(whole.network_settings.networks["y"].ip_address.is_empty());
        assert_eq!(whole.network_settings.ports["80/tcp"][0].host_ip, "0.0.0.0");
        assert!(whole.network_settings.ports["81/tcp"].is_empty());
        assert_eq!(inspect("{}").config.stop_timeout, None);
    }

    #[test]
    fn only_what_is_no_json_object_is_an_error() {
        for octets in ["", "{", "nonsense", "\"text\"", "{\"Name\": \u{0}}"] {
            assert!(read::<Inspect>(octets.as_bytes()).is_err(), "{octets}");
        }
    }

    #[test]
    fn a_list_leaves_out_what_is_no_line_of_it() {
        let lines = |json: &str| {
            read_list::<Summary>(json.as_bytes())
                .map(|lines| lines.into_iter().map(|line| line.id).collect::<Vec<_>>())
        };
        assert_eq!(
            lines(r#"[{"Id": "a"}, 5, {"Id": "b", "State": 3}]"#).unwrap(),
            ["a", "b"]
        );
        assert!(lines("null").unwrap().is_empty() && lines("[]").unwrap().is_empty());
        assert!(lines("{}").is_err() && lines("").is_err());
    }
}
