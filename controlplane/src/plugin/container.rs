//! The container that plugins are shown.
//!
//! ```text
//!  Id  Image  Name  Config.{Hostname, Image, Env}  NetworkSettings.{IpAddress, Ports}      as skydock gave them
//!  State  NetworkSettings.{IPAddress, GlobalIPv6Address, Networks}  Config.Labels
//!  Hostname  Env  Labels  Networks  Health  Compose                                        what is new
//! ```
//!
//! `docs/plugins.md` and `plugins/skydock.d.ts` describe every member for those who write plugins.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::service::{Address, Compose, Health};

/// Digits of an id by which people know a container: as many as Docker shows.
const SHORT_ID_DIGITS: usize = 12;

/// What the engine told of a container, in our words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) id: String,
    /// With its leading slash.
    pub(crate) name: String,
    /// As it was given when the container was created.
    pub(crate) image: String,
    pub(crate) hostname: String,
    /// `KEY=value` each.
    pub(crate) env: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// By name, the primary one first.
    pub(crate) networks: Vec<(String, Attached)>,
    /// By `80/tcp`, least first: where the host publishes each.
    pub(crate) ports: Vec<(String, Vec<Binding>)>,
    pub(crate) state: State,
    pub(crate) health: Health,
    pub(crate) compose: Option<Compose>,
}

/// A container's place on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) ipv4: Option<IpAddr>,
    pub(crate) ipv6: Option<IpAddr>,
    pub(crate) gateway: String,
    pub(crate) mac_address: String,
    pub(crate) aliases: Vec<String>,
}

/// Where the host leads to a port of the container. Both are texts, as Docker has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Binding {
    pub(crate) host_ip: String,
    pub(crate) host_port: String,
}

/// Where the container is in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct State {
    pub(crate) status: String,
    pub(crate) running: bool,
    pub(crate) paused: bool,
    pub(crate) restarting: bool,
    pub(crate) started_at: String,
}

/// A container as it goes to the plugins' thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The object, as JSON.
    pub(super) json: Arc<str>,
    /// Its name and short id, for errors.
    pub(super) called: Arc<str>,
}

impl Described {
    /// What plugins are shown of it. `addresses` are those that it has without a plugin, primary first: they may be those
    /// of its host, or of a container whose network it shares.
    pub(crate) fn seen(&self, addresses: &[Address]) -> Seen {
        let name = self.name.replace('/', "");
        let short = self.id.get(..SHORT_ID_DIGITS).unwrap_or(&self.id);
        let called = match name.is_empty() {
            true => short.to_owned(),
            false => format!("{name} ({short})"),
        };
        let object = Object::of(self, addresses);
        let json = serde_json::to_string(&object).expect("texts, numbers and maps by text always are JSON");
        Seen {
            json: json.into(),
            called: called.into(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Object<'d> {
    id: &'d str,
    name: &'d str,
    image: &'d str,
    config: Config<'d>,
    network_settings: NetworkSettings<'d>,
    state: &'d State,
    hostname: &'d str,
    env: BTreeMap<&'d str, &'d str>,
    labels: &'d BTreeMap<String, String>,
    networks: InOrder<'d, Attached>,
    health: &'static str,
    compose: Option<Project<'d>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Config<'d> {
    hostname: &'d str,
    image: &'d str,
    env: &'d [String],
    labels: &'d BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings<'d> {
    /// As skydock spelled it.
    ip_address: String,
    /// As Docker does.
    #[serde(rename = "IPAddress")]
    docker_ip_address: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    ports: InOrder<'d, Vec<Binding>>,
    networks: InOrder<'d, Attached>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Project<'d> {
    project: &'d str,
    service: &'d str,
    number: Option<u32>,
}

impl<'d> Object<'d> {
    fn of(of: &'d Described, addresses: &[Address]) -> Self {
        let family = |is_ipv6: bool| {
            let first = addresses.iter().find(|address| address.ip.is_ipv6() == is_ipv6);
            first.map(|address| address.ip.to_string()).unwrap_or_default()
        };
        let ipv4 = family(false);
        let networks = InOrder(&of.networks);
        Self {
            id: &of.id,
            name: &of.name,
            image: &of.image,
            config: Config {
                hostname: &of.hostname,
                image: &of.image,
                env: &of.env,
                labels: &of.labels,
            },
            network_settings: NetworkSettings {
                ip_address: ipv4.clone(),
                docker_ip_address: ipv4,
                global_ipv6_address: family(true),
                ports: InOrder(&of.ports),
                networks,
            },
            state: &of.state,
            hostname: &of.hostname,
            env: of
                .env
                .iter()
                .map(|variable| variable.split_once('=').unwrap_or((variable, "")))
                .collect(),
            labels: &of.labels,
            networks,
            health: match of.health {
                Health::None => "none",
                Health::Starting => "starting",
                Health::Healthy => "healthy",
                Health::Unhealthy => "unhealthy",
            },
            compose: of.compose.as_ref().map(|compose| Project {
                project: &compose.project,
                service: &compose.service,
                number: compose.number,
            }),
        }
    }
}

/// An object whose members stand in this order.
struct InOrder<'d, V>(&'d [(String, V)]);

impl<V> Clone for InOrder<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for InOrder<'_, V> {}

impl<V: Serialize> Serialize for InOrder<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Attached {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View<'a> {
            #[serde(rename = "IpAddress")]
            ip: &'a str,
            #[serde(rename = "IPAddress")]
            docker_ip: &'a str,
            #[serde(rename = "GlobalIPv6Address")]
            ipv6: &'a str,
            #[serde(rename = "Gateway")]
            gateway: &'a str,
            #[serde(rename = "MacAddress")]
            mac_address: &'a str,
            #[serde(rename = "Aliases")]
            aliases: &'a [String],
        }
        let [ip, ipv6] =
            [self.ipv4, self.ipv6].map(|address| address.map(|it| it.to_string()).unwrap_or_default());
        let view = View {
            ip: &ip,
            docker_ip: &ip,
            ipv6: &ipv6,
            gateway: &self.gateway,
            mac_address: &self.mac_address,
            aliases: &self.aliases,
        };
        view.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::on;

    fn object(described: &Described) -> Value {
        serde_json::from_str(
            &described
                .seen(&[on("zebra", "172.17.0.4"), on("back", "fd00::2")])
                .json,
        )
        .unwrap()
    }

    fn redis() -> Described {
        let attached = |ip: &str| Attached {
            ipv4: Some(ip.parse().unwrap()),
            ..Attached::default()
        };
        Described {
            id: "4a21a3b716b565ecfeeb".into(),
            name: "/redis1".into(),
            image: "crosbymichael/redis:latest".into(),
            hostname: "4a21a3b716b5".into(),
            env: vec!["A=b=c".into(), "EMPTY=".into(), "BARE".into()],
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            networks: vec![
                ("zebra".into(), attached("172.17.0.4")),
                ("back".into(), attached("10.0.0.2")),
            ],
            ports: vec![
                (
                    "80/tcp".into(),
                    vec![Binding {
                        host_ip: "0.0.0.0".into(),
                        host_port: "8080".into(),
                    }],
                ),
                ("6379/tcp".into(), vec![]),
            ],
            ..Described::default()
        }
    }

    #[test]
    fn skydocks_members_are_there_with_both_spellings_of_the_address() {
        let object = object(&redis());
        assert_eq!(object["Id"], "4a21a3b716b565ecfeeb");
        assert_eq!(object["Name"], "/redis1");
        assert_eq!(object["Image"], "crosbymichael/redis:latest");
        assert_eq!(object["Config"]["Image"], object["Image"]);
        assert_eq!(object["Config"]["Hostname"], "4a21a3b716b5");
        assert_eq!(object["Config"]["Env"], json!(["A=b=c", "EMPTY=", "BARE"]));
        let settings = &object["NetworkSettings"];
        assert_eq!(settings["IpAddress"], "172.17.0.4");
        assert_eq!(settings["IPAddress"], "172.17.0.4");
        assert_eq!(settings["GlobalIPv6Address"], "fd00::2");
        let published = json!([{"HostIp": "0.0.0.0", "HostPort": "8080"}]);
        assert_eq!(settings["Ports"], json!({"80/tcp": published, "6379/tcp": []}));
        assert_eq!(object["State"]["Running"], false);
    }

    #[test]
    fn a_container_of_nothing_has_every_member_and_ports_are_an_object() {
        let object = object(&Described::default());
        assert_eq!(object["NetworkSettings"]["Ports"], json!({}));
        assert_eq!((&object["Labels"], &object["Networks"]), (&json!({}), &json!({})));
        assert_eq!(
            (&object["Health"], &object["Compose"]),
            (&json!("none"), &Value::Null)
        );
    }

    #[test]
    fn what_is_new_is_there_in_order() {
        let mut described = redis();
        described.health = Health::Starting;
        described.compose = Some(Compose {
            project: "shop".into(),
            service: "web".into(),
            number: Some(2),
        });
        let json = described.seen(&[]).json;
        let object: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object["Env"], json!({"A": "b=c", "EMPTY": "", "BARE": ""}));
        assert_eq!(
            (&object["Labels"], &object["Config"]["Labels"]),
            (&json!({"a": "b"}), &json!({"a": "b"}))
        );
        assert_eq!(
            object["Compose"],
            json!({"Project": "shop", "Service": "web", "Number": 2})
        );
        assert_eq!(object["Health"], "starting");
        assert_eq!(object["Networks"]["back"]["IPAddress"], "10.0.0.2");
        assert_eq!(object["Networks"], object["NetworkSettings"]["Networks"]);
        assert!(
            json.find("\"zebra\"") < json.find("\"back\""),
            "the primary network is first: {json}"
        );
        assert!(
            json.find("\"80/tcp\"") < json.find("\"6379/tcp\""),
            "the least port is first: {json}"
        );
    }

    #[test]
    fn people_know_a_container_by_name_and_short_id() {
        assert_eq!(&*redis().seen(&[]).called, "redis1 (4a21a3b716b5)");
        assert_eq!(&*Described::default().seen(&[]).called, "");
    }
}
