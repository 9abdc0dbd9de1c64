//! Labels by which a container says how it wants to be named: `skydock.service=cache`.
//!
//! ```text
//!  labels of a container ──those with our prefix──▶ one by one, by kind ──▶ Asked
//!                                                         └─ cannot be ──▶ Complaint: label, value, remedy
//! ```
//!
//! A label that cannot be read is left aside and complained of; it costs the container none of the others. What each
//! means is in `docs/labels.md`.

pub(crate) mod value;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use arcstr::ArcStr;
use dns::Name;

use crate::service::{NamedPort, Publish};

/// What a label starts with where nothing else is set.
pub const PREFIX_DEFAULT: &str = "skydock.";

/// Every label, without the prefix; a `<` begins what the user chooses.
const KNOWN: [&str; 16] = [
    "enable",
    "service",
    "instance",
    "environment",
    "region",
    "name",
    "network",
    "ip",
    "port",
    "srv.<name>",
    "priority",
    "weight",
    "ttl",
    "txt",
    "txt.<any>",
    "publish",
];

/// Names that one container may ask for; a label that has more counts up to here.
const NAMES_MAX: usize = 32;
/// Ports that one container may give a name.
const NAMED_PORTS_MAX: usize = 32;
/// Texts that one container may ask for.
const TEXTS_MAX: usize = 16;
/// Complaints about one container; what else is wrong with it shows when these are mended.
const COMPLAINTS_MAX: usize = 8;

/// What a container's labels ask for. Nothing is asked where a field is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) enable: Option<bool>,
    pub(crate) service: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) names: Vec<Name>,
    /// The network whose addresses come first.
    pub(crate) network: Option<String>,
    /// Addresses instead of those that the engine tells.
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) port: Option<u16>,
    pub(crate) named_ports: Vec<NamedPort>,
    pub(crate) priority: Option<u16>,
    pub(crate) weight: Option<u16>,
    pub(crate) ttl_seconds: Option<u32>,
    pub(crate) texts: Vec<ArcStr>,
    pub(crate) publish: Publish,
}

/// A label that was left aside: what it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Complaint {
    /// The whole label, prefix included.
    pub label: String,
    /// Its value, cut where it is long.
    pub value: String,
    /// What is wrong and what would be right, without a full stop.
    pub remedy: String,
}

/// Octets of a value that a complaint shows.
const SHOWN_MAX: usize = 80;

impl Complaint {
    /// About `value` of `label`.
    pub(crate) fn new(label: String, value: &str, remedy: String) -> Self {
        let end = value.floor_char_boundary(SHOWN_MAX);
        let value = value.get(..end).unwrap_or(value).to_owned();
        Self { label, value, remedy }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, value, remedy } = self;
        write!(f, "label {label}={value:?} is left aside: {remedy}")
    }
}

/// Reads those of `labels` that start with `prefix`, in the order of their names. Not every name outside `zones` may be
/// asked for.
pub(crate) fn read(
    labels: &HashMap<String, String>,
    prefix: &str,
    zones: &[Name],
) -> (Asked, Vec<Complaint>) {
    let mut asked = Asked::default();
    let mut complaints = Vec::new();
    let mut ours: Vec<(&str, &String, &str)> = labels
        .iter()
        .filter_map(|(label, value)| Some((label.strip_prefix(prefix)?, label, value.trim())))
        .collect();
    ours.sort_unstable();
    for (short, label, value) in ours {
        if let Err(remedy) = asked.take(short, value, zones)
            && complaints.len() < COMPLAINTS_MAX
        {
            complaints.push(Complaint::new(label.clone(), value, remedy));
        }
    }
    (asked, complaints)
}

impl Asked {
    /// Takes in one label; else says what would be right.
    fn take(&mut self, short: &str, value: &str, zones: &[Name]) -> Result<(), String> {
        match short {
            "enable" => self.enable = Some(value::truth(value)?),
            "service" => self.service = Some(value::word(value)?),
            "instance" => self.instance = Some(value::word(value)?),
            "environment" => self.environment = Some(value::word(value)?),
            "region" => self.region = Some(value::word(value)?),
            "name" => self.names = value::list(value, NAMES_MAX, |name| value::own_name(name, zones))?,
            "network" => self.network = Some(value::filled(value, "a network's name")?),
            "ip" => self.ips = value::list(value, value::ADDRESSES_MAX, value::address)?,
            "port" => self.port = Some(value::port_number(value)?),
            "priority" => self.priority = Some(value::number(value)?),
            "weight" => self.weight = Some(value::number(value)?),
            "ttl" => self.ttl_seconds = Some(value::ttl(value)?),
            "publish" => self.publish = value::publish(value)?,
            "txt" => self.text(value)?,
            _ => match short.split_once('.') {
                Some(("srv", name)) => self.named_ports(name, value)?,
                Some(("txt", _)) => self.text(value)?,
                _ => return Err(unknown(short)),
            },
        }
        Ok(())
    }

    fn text(&mut self, value: &str) -> Result<(), String> {
        if self.texts.len() >= TEXTS_MAX {
            return Err(format!(
                "a container has at most {TEXTS_MAX} texts; leave some out"
            ));
        }
        self.texts.push(value::text(value)?.into());
        Ok(())
    }

    fn named_ports(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name: ArcStr = value::port_name(name)?.into();
        let ports = value::list(value, NAMED_PORTS_MAX, value::transport)?;
        if self.named_ports.len() + ports.len() > NAMED_PORTS_MAX {
            return Err(format!(
                "a container names at most {NAMED_PORTS_MAX} ports; leave some out"
            ));
        }
        let named = ports.into_iter().map(|port| NamedPort {
            name: name.clone(),
            port,
        });
        self.named_ports.extend(named);
        Ok(())
    }
}

fn unknown(short: &str) -> String {
    let known = KNOWN.join(", ");
    match short {
        "srv" => "give the port's name in the label: srv.http=80/tcp".to_owned(),
        _ => format!("there is no such label; there are {known}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Port, Protocol};

    fn of(labels: &[(&str, &str)]) -> (Asked, Vec<Complaint>) {
        let labels = labels
            .iter()
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        read(&labels.collect(), PREFIX_DEFAULT, &[])
    }

    #[test]
    fn every_label_is_read() {
        let named = |name: &str, number, protocol| NamedPort {
            name: name.into(),
            port: Port { protocol, number },
        };
        let (asked, complaints) = of(&[
            ("skydock.enable", "TRUE"),
            ("skydock.service", "cache"),
            ("skydock.instance", "one"),
            ("skydock.environment", "prod"),
            ("skydock.region", "eu"),
            ("skydock.name", "shop.example, *.shop.example"),
            ("skydock.network", "front"),
            ("skydock.ip", "192.0.2.7,2001:db8::7"),
            ("skydock.port", "8080"),
            ("skydock.srv.http", "80/tcp"),
            ("skydock.srv.dns", "53/udp,53/tcp"),
            ("skydock.priority", "5"),
            ("skydock.weight", "0"),
            ("skydock.ttl", "7"),
            ("skydock.txt", "v=1"),
            ("skydock.txt.b", "v=2"),
            ("skydock.publish", "always"),
            ("com.example.port", "none of ours"),
        ]);
        assert_eq!(complaints, []);
        let expected = Asked {
            enable: Some(true),
            service: Some("cache".to_owned()),
            instance: Some("one".to_owned()),
            environment: Some("prod".to_owned()),
            region: Some("eu".to_owned()),
            names: vec!["shop.example".parse().unwrap(), "*.shop.example".parse().unwrap()],
            network: Some("front".to_owned()),
            ips: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            port: Some(8080),
            named_ports: vec![
                named("dns", 53, Protocol::Udp),
                named("dns", 53, Protocol::Tcp),
                named("http", 80, Protocol::Tcp),
            ],
            priority: Some(5),
            weight: Some(0),
            ttl_seconds: Some(7),
            texts: vec!["v=1".into(), "v=2".into()],
            publish: Publish::Always,
        };
        assert_eq!(asked, expected);
    }

    #[test]
    fn a_label_that_cannot_be_is_left_aside_with_a_remedy_and_the_others_stand() {
        for (label, value, remedy) in [
            ("enable", "maybe", "true or false"),
            ("service", "", "empty"),
            ("service", "any", "every one"),
            ("instance", &"x".repeat(64), "63"),
            ("name", "a..b", "empty label"),
            ("name", ".", "root"),
            ("name", "*", "root"),
            ("name", "a.*.b", "first label"),
            ("name", "localhost", "nobody's to take"),
            ("name", "shop.example, x.onion", "nobody's to take"),
            ("name", "*.com", "*.shop.example"),
            ("name", "", "empty"),
            ("network", "", "a network's name"),
            ("ip", "localhost", "no IP address"),
            ("ip", "0.0.0.0", "no host"),
            ("ip", "ff02::1", "no host"),
            ("ip", "1.2.3.4 5", "no IP address"),
            ("port", "0", "1 to 65535"),
            ("port", "80/tcp", "1 to 65535"),
            ("srv", "80", "srv.http=80/tcp"),
            ("srv.", "80", "port's name"),
            ("srv.a_b", "80", "port's name"),
            ("srv.this-name-is-too-long", "80", "15"),
            ("srv.http", "80/ipx", "80/tcp"),
            ("srv.http", "http", "80/tcp"),
            ("priority", "-1", "0 to 65535"),
            ("weight", "65536", "0 to 65535"),
            ("ttl", "1h", "seconds"),
            ("ttl", "604801", "604800"),
            ("txt", &"t".repeat(4097), "4096"),
            ("publish", "never", "healthy, starting or always"),
            ("ennable", "true", "there is no such label; there are enable"),
        ] {
            let whole = format!("skydock.{label}");
            let (asked, complaints) = of(&[
                (&whole, value),
                ("skydock.weight.x", "1"),
                ("skydock.region", "eu"),
            ]);
            let complaint = complaints.iter().find(|complaint| complaint.label == whole);
            let complaint = complaint.unwrap_or_else(|| panic!("{label}={value} was taken: {asked:?}"));
            assert!(complaint.remedy.contains(remedy), "{complaint}");
            assert_eq!(asked.region.as_deref(), Some("eu"));
            let rest = Asked {
                region: asked.region.clone(),
                ..Asked::default()
            };
            assert_eq!(asked, rest, "{label}={value}");
        }
    }

    #[test]
    fn a_complaint_shows_label_value_and_remedy() {
        let (_, complaints) = of(&[("skydock.port", "http")]);
        let text = complaints[0].to_string();
        assert_eq!(
            text,
            "label skydock.port=\"http\" is left aside: no port; give a number from 1 to 65535"
        );
        let long = Complaint::new(String::new(), &"\u{fc}".repeat(1000), String::new());
        assert_eq!(long.value.len(), SHOWN_MAX);
    }

    #[test]
    fn what_one_container_may_ask_for_has_a_bound() {
        let names: Vec<_> = (0..=NAMES_MAX).map(|n| format!("n{n}.example")).collect();
        let (asked, complaints) = of(&[("skydock.name", &names.join(","))]);
        assert_eq!((asked.names.len(), complaints.len()), (0, 1));
        let texts: Vec<_> = (0..=TEXTS_MAX)
            .map(|n| (format!("skydock.txt.{n:02}"), "x".to_owned()))
            .collect();
        let (asked, complaints) = read(&texts.into_iter().collect(), PREFIX_DEFAULT, &[]);
        assert_eq!((asked.texts.len(), complaints.len()), (TEXTS_MAX, 1));
        let bad: Vec<_> = (0..100)
            .map(|n| (format!("skydock.x{n}"), String::new()))
            .collect();
        assert_eq!(
            read(&bad.into_iter().collect(), PREFIX_DEFAULT, &[]).1.len(),
            COMPLAINTS_MAX
        );
    }

    #[test]
    fn another_prefix_makes_other_labels_ours() {
        let labels = HashMap::from([
            ("dns/port".to_owned(), "1".to_owned()),
            ("skydock.port".to_owned(), "2".to_owned()),
        ]);
        assert_eq!(read(&labels, "dns/", &[]).0.port, Some(1));
    }
}
