//! A service as it was registered over REST: what it may say, and what it becomes.
//!
//! ```text
//!  body ──▶ Draft ──check──▶ Registration ──service──▶ Service ──▶ pipeline
//!                                 └─ serde ──▶ a row of the store
//! ```

use std::net::IpAddr;

use arcstr::ArcStr;
use dns::Moment;
use serde::{Deserialize, Serialize};

use super::clock::{Ends, Uptime};
use crate::service::{Health, NamedPort, Port, Protocol, Service, ServiceId, Source, Wishes};

/// Longest TTL that a record carries, in seconds: a week, as for `--ttl`. A registration may live longer.
pub(crate) const RECORD_TTL_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

/// Octets that each registration takes besides its text: its fields, its places in the tables that find it.
const ENTRY_OCTETS: usize = 512;
/// Octets that each address, port, text, name and callback of it takes besides its own text.
const PART_OCTETS: usize = 32;

/// A service as it was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    /// The registrant's own name for it, unique among registrations; the uuid label.
    pub(crate) id: ArcStr,
    /// What was registered.
    pub(crate) draft: Draft,
    /// When it ends, in milliseconds since 1970; nothing for one that does not.
    pub(crate) expires_unix_ms: Option<u64>,
    /// The same by the clock that nobody sets, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_uptime: Option<Uptime>,
    /// Changes with everything but heartbeats; greater each time.
    pub(crate) revision: u64,
    /// Whom to tell when it goes.
    #[serde(default)]
    pub(crate) callbacks: Vec<Callback>,
}

/// What a registrant says of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draft {
    /// Service label.
    pub(crate) service: String,
    /// Instance label; empty: the id.
    #[serde(default)]
    pub(crate) instance: String,
    /// Environment label; empty: that of the daemon.
    #[serde(default)]
    pub(crate) environment: String,
    /// Region label; empty: that of the daemon.
    #[serde(default)]
    pub(crate) region: String,
    /// Its addresses; none if it has an alias.
    #[serde(default)]
    pub(crate) addresses: Vec<IpAddr>,
    /// The name that it is another word for.
    #[serde(default)]
    pub(crate) alias: Option<String>,
    /// Where it listens; the first is the one that SRV announces.
    #[serde(default)]
    pub(crate) ports: Vec<DraftPort>,
    /// SRV priority.
    #[serde(default)]
    pub(crate) priority: Option<u16>,
    /// SRV weight.
    #[serde(default)]
    pub(crate) weight: Option<u16>,
    /// TXT records.
    #[serde(default)]
    pub(crate) texts: Vec<String>,
    /// Names besides those of the grammar.
    #[serde(default)]
    pub(crate) names: Vec<String>,
    /// Seconds that it lives from its last heartbeat on, unless it is permanent.
    pub(crate) ttl: u32,
    /// Whether it stays until it is removed.
    #[serde(default)]
    pub(crate) permanent: bool,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DraftPort {
    /// 1 to 65535.
    pub(crate) number: u16,
    /// Its protocol.
    #[serde(default)]
    pub(crate) protocol: Transport,
    /// Its name in `_name._proto`, without the underscore.
    #[serde(default)]
    pub(crate) name: Option<String>,
}

/// Protocol of a port, as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Somebody who wants to be told when a service goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Callback {
    /// Its own name for this.
    pub(crate) id: ArcStr,
    /// Its host: a name or an address.
    pub(crate) reply: ArcStr,
    /// Its port.
    pub(crate) port: u16,
}

/// What a registration has that does not say so itself.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Environment label.
    pub environment: ArcStr,
    /// Region label.
    pub region: ArcStr,
    /// Time to live of the records of a permanent one without a TTL of its own, in seconds.
    pub ttl_seconds: u32,
}

impl Registration {
    /// When it ends; nothing for one that does not.
    pub(super) fn ends(&self) -> Option<Ends> {
        Some(Ends {
            unix_ms: self.expires_unix_ms?,
            uptime: self.expires_uptime,
        })
    }

    /// Has it end then.
    pub(super) fn set_ends(&mut self, ends: Option<Ends>) {
        self.expires_unix_ms = ends.map(|ends| ends.unix_ms);
        self.expires_uptime = ends.and_then(|ends| ends.uptime);
    }

    /// Octets that it takes in memory: its text, and a share for everything that each has. It bounds, and need not be exact.
    pub(super) fn octets(&self) -> usize {
        let draft = &self.draft;
        let words = [&draft.service, &draft.instance, &draft.environment, &draft.region];
        let text = |text: &str| text.len() + PART_OCTETS;
        ENTRY_OCTETS
            + self.id.len()
            + words.map(String::len).into_iter().sum::<usize>()
            + draft.alias.as_deref().map_or(0, str::len)
            + draft.addresses.len() * PART_OCTETS
            + draft.texts.iter().map(|it| text(it)).sum::<usize>()
            + draft.names.iter().map(|it| text(it)).sum::<usize>()
            + draft
                .ports
                .iter()
                .map(|port| text(port.name.as_deref().unwrap_or_default()))
                .sum::<usize>()
            + self
                .callbacks
                .iter()
                .map(|it| text(&it.id) + text(&it.reply))
                .sum::<usize>()
    }

    /// The service that the pipeline is told of, which ends at `until`.
    pub(crate) fn service(&self, defaults: &Defaults, until: Option<Moment>) -> Service {
        self.draft.service(&self.id, defaults, until)
    }

    /// What SkyDNS calls its host: its first address, or the name that it is another word for.
    pub(crate) fn host(&self) -> String {
        self.draft.host()
    }
}

impl Draft {
    fn host(&self) -> String {
        match (self.addresses.first(), &self.alias) {
            (Some(address), _) => address.to_string(),
            (None, alias) => alias.clone().unwrap_or_default(),
        }
    }

    /// As [`Registration::service`], for what is not registered yet.
    pub(super) fn service(&self, id: &ArcStr, defaults: &Defaults, until: Option<Moment>) -> Service {
        let or = |word: &str, default: &ArcStr| match word {
            "" => default.clone(),
            word => ArcStr::from(word),
        };
        let mut ports: Vec<_> = self.ports.iter().map(DraftPort::port).collect();
        ports.sort_unstable();
        ports.dedup();
        let ttl_seconds = match self.ttl {
            0 if self.permanent => defaults.ttl_seconds,
            // A record of no seconds would be asked for again at once, by everybody.
            ttl => ttl.clamp(1, RECORD_TTL_SECONDS_MAX),
        };
        Service {
            id: ServiceId {
                source: Source::Rest,
                id: id.clone(),
                part: 0,
            },
            environment: or(&self.environment, &defaults.environment),
            service: self.service.as_str().into(),
            is_service_asked: true,
            instance: or(&self.instance, id),
            region: or(&self.region, &defaults.region),
            uuid: id.as_str().into(),
            compose: None,
            addresses: self.addresses.iter().map(|address| (*address).into()).collect(),
            ports: ports.into(),
            health: Health::None,
            ttl_seconds,
            until,
            wishes: self.wishes().map(Box::new),
        }
    }

    fn wishes(&self) -> Option<Wishes> {
        let named = |port: &DraftPort| {
            Some(NamedPort {
                name: port.name.as_deref()?.into(),
                port: port.port(),
            })
        };
        let wishes = Wishes {
            names: self.names.iter().filter_map(|name| name.parse().ok()).collect(),
            alias: self.alias.as_deref().and_then(|alias| alias.parse().ok()),
            // The first is the registrant's choice; by itself a service announces its least one.
            port: match self.ports.as_slice() {
                [first, _, ..] => Some(first.number),
                _ => None,
            },
            named_ports: self.ports.iter().filter_map(named).collect(),
            priority: self.priority,
            weight: self.weight,
            texts: self.texts.iter().map(|text| text.as_str().into()).collect(),
            ..Wishes::default()
        };
        (wishes != Wishes::default()).then_some(wishes)
    }
}

impl DraftPort {
    fn port(&self) -> Port {
        let protocol = match self.protocol {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
            Transport::Sctp => Protocol::Sctp,
        };
        Port {
            protocol,
            number: self.number,
        }
    }
}

impl From<Protocol> for Transport {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
            Protocol::Sctp => Self::Sctp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{defaults, draft};

    #[test]
    fn what_is_left_out_is_that_of_the_daemon() {
        let registration = Registration {
            id: "1001".into(),
            draft: draft(30),
            expires_unix_ms: None,
            expires_uptime: None,
            revision: 1,
            callbacks: vec![],
        };
        let service = registration.service(&defaults(), None);
        let words = [&service.environment, &service.region, &service.instance];
        assert_eq!(words.map(|word| &**word), ["dev", "here", "1001"]);
        assert_eq!(service.host(), "10.0.0.7");
        assert_eq!(service.wishes, None);
    }

    #[test]
    fn the_first_port_is_the_one_to_announce() {
        let mut draft = draft(30);
        draft.ports.insert(
            0,
            DraftPort {
                number: 8080,
                protocol: Transport::Tcp,
                name: Some("http".to_owned()),
            },
        );
        let service = draft.service(&"1001".into(), &defaults(), None);
        let wishes = service.wishes.unwrap();
        assert_eq!(wishes.port, Some(8080));
        assert_eq!(&*wishes.named_ports[0].name, "http");
        assert_eq!(service.ports[0].number, 80);
    }
}
