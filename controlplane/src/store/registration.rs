//! A service as it was registered over REST: what it may say, and what it becomes.
//!
//! ```text
//!  body ──▶ Draft ──check──▶ Registration ──service──▶ Service ──▶ pipeline
//!                                 └─ serde ──▶ a row of the store
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use dns::Name;
use dns::name::LABEL_OCTETS_MAX;
use dns::snapshot::is_wildcard;
use serde::{Deserialize, Serialize};

use crate::naming::{Naming, label};
use crate::service::{Health, NamedPort, Port, Protocol, Service, ServiceId, Source, Wishes};

/// Addresses of one service: hosts have a handful, and each becomes a record of every name.
const ADDRESSES_MAX: usize = 16;
/// Ports of one service, each of which can become a name of its own.
const PORTS_MAX: usize = 32;
/// Names of its own that one service may have.
const NAMES_MAX: usize = 32;
/// Texts of one service; each becomes a TXT record.
const TEXTS_MAX: usize = 16;
/// Octets of one text: four strings of a TXT record.
const TEXT_OCTETS_MAX: usize = 1024;
/// Octets of a port's name (RFC 6335, section 5.1).
const PORT_NAME_OCTETS_MAX: usize = 15;
/// Longest TTL that a record carries, in seconds: a week, as for `--ttl`. A registration may live longer.
pub(crate) const RECORD_TTL_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

/// A service as it was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registration {
    /// The registrant's own name for it, unique among registrations; the uuid label.
    pub(crate) id: Arc<str>,
    /// What was registered.
    pub(crate) draft: Draft,
    /// When it ends, in milliseconds since 1970; nothing for one that does not.
    pub(crate) expires_unix_ms: Option<u64>,
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
    pub(crate) id: Arc<str>,
    /// Its host: a name or an address.
    pub(crate) reply: Arc<str>,
    /// Its port.
    pub(crate) port: u16,
}

/// What is wrong with a body: which field, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub(crate) struct Invalid {
    /// The field, as it is called in our own bodies: `ports[1].name`.
    pub(crate) field: String,
    /// What it should be.
    pub(crate) reason: String,
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        let (field, reason) = (field.into(), reason.into());
        Self { field, reason }
    }
}

/// What a registration has that does not say so itself.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Environment label.
    pub environment: Arc<str>,
    /// Region label.
    pub region: Arc<str>,
    /// Time to live of the records of a permanent one without a TTL of its own, in seconds.
    pub ttl_seconds: u32,
}

impl Registration {
    /// The service that the pipeline is told of, with records that may be kept for `ttl_seconds`.
    pub(crate) fn service(&self, defaults: &Defaults, ttl_seconds: u32) -> Service {
        self.draft.service(&self.id, defaults, ttl_seconds)
    }

    /// What SkyDNS calls its host: its first address, or the name that it is another word for.
    pub(crate) fn host(&self) -> String {
        self.draft.host()
    }
}

impl Draft {
    /// Whether this can be served under `id`, by `naming`.
    ///
    /// # Errors
    ///
    /// [`Invalid`]: the first field that cannot.
    pub(crate) fn check(&self, id: &str, defaults: &Defaults, naming: &Naming) -> Result<(), Invalid> {
        word("id", id)?;
        word("service", &self.service)?;
        for (field, value) in [
            ("instance", &self.instance),
            ("environment", &self.environment),
            ("region", &self.region),
        ] {
            if !value.is_empty() {
                word(field, value)?;
            }
        }
        self.check_host()?;
        self.check_ports()?;
        bounded("texts", self.texts.len(), TEXTS_MAX)?;
        for (place, text) in self.texts.iter().enumerate() {
            if text.is_empty() || text.len() > TEXT_OCTETS_MAX {
                let reason = format!("give 1 to {TEXT_OCTETS_MAX} octets");
                return Err(Invalid::new(format!("texts[{place}]"), reason));
            }
        }
        bounded("names", self.names.len(), NAMES_MAX)?;
        for (place, name) in self.names.iter().enumerate() {
            let field = format!("names[{place}]");
            domain_name(&field, name.strip_prefix("*.").unwrap_or(name))?;
        }
        let service = self.service(&id.into(), defaults, 0);
        match naming.names(&service) {
            Ok(_) => Ok(()),
            Err(error) => Err(Invalid::new("service", error.to_string())),
        }
    }

    fn check_host(&self) -> Result<(), Invalid> {
        bounded("addresses", self.addresses.len(), ADDRESSES_MAX)?;
        for (place, address) in self.addresses.iter().enumerate() {
            let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
            if address.is_unspecified() || address.is_multicast() || is_broadcast {
                let reason =
                    format!("{address} is no address of one host; give one that clients can connect to");
                return Err(Invalid::new(format!("addresses[{place}]"), reason));
            }
        }
        match (&self.alias, self.addresses.is_empty()) {
            (Some(alias), true) => {
                domain_name("alias", alias)?;
                let last = alias.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
                if last.bytes().all(|octet| octet.is_ascii_digit()) {
                    let reason = format!(
                        "{alias:?} is neither an IP address nor a name; write 10.0.0.7 or db.example"
                    );
                    return Err(Invalid::new("alias", reason));
                }
                Ok(())
            }
            (None, false) => Ok(()),
            (Some(_), false) => Err(Invalid::new(
                "alias",
                "a service has addresses or is an alias; give one of them",
            )),
            (None, true) => Err(Invalid::new(
                "addresses",
                "give at least one, or an alias instead",
            )),
        }
    }

    fn check_ports(&self) -> Result<(), Invalid> {
        bounded("ports", self.ports.len(), PORTS_MAX)?;
        for (place, port) in self.ports.iter().enumerate() {
            let invalid =
                |field: &str, reason: &str| Err(Invalid::new(format!("ports[{place}]{field}"), reason));
            if port.number == 0 {
                return invalid(".number", "give 1 to 65535");
            }
            if let Some(name) = &port.name {
                let is_plain = name
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
                if name.is_empty() || name.len() > PORT_NAME_OCTETS_MAX || !is_plain {
                    return invalid(
                        ".name",
                        "give 1 to 15 letters, digits and hyphens (RFC 6335, section 5.1)",
                    );
                }
            }
            let before = self.ports.get(..place).unwrap_or_default();
            if before.iter().any(|other| {
                (other.number, other.protocol) == (port.number, port.protocol) && other.name == port.name
            }) {
                return invalid("", "is listed twice; give it once");
            }
        }
        Ok(())
    }

    fn host(&self) -> String {
        match (self.addresses.first(), &self.alias) {
            (Some(address), _) => address.to_string(),
            (None, alias) => alias.clone().unwrap_or_default(),
        }
    }

    fn service(&self, id: &Arc<str>, defaults: &Defaults, ttl_seconds: u32) -> Service {
        let or = |word: &str, default: &Arc<str>| match word {
            "" => default.clone(),
            word => Arc::from(word),
        };
        let mut ports: Vec<_> = self.ports.iter().map(DraftPort::port).collect();
        ports.sort_unstable();
        ports.dedup();
        Service {
            id: ServiceId {
                source: Source::Rest,
                id: id.clone(),
                part: 0,
            },
            environment: or(&self.environment, &defaults.environment),
            service: self.service.as_str().into(),
            instance: or(&self.instance, id),
            region: or(&self.region, &defaults.region),
            host: self.host().into(),
            uuid: id.clone(),
            compose: None,
            addresses: self.addresses.iter().map(|address| (*address).into()).collect(),
            ports,
            health: Health::None,
            ttl_seconds,
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

/// Whether `value` is a word that a label can be made of without cutting it or changing what it means.
///
/// # Errors
///
/// [`Invalid`], with `field` and what a label is.
pub(crate) fn word(field: &str, value: &str) -> Result<(), Invalid> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    let reason = match value {
        "" => "is empty, and DNS has no empty labels; give 1 to 63 letters, digits and hyphens".to_owned(),
        _ if value.len() > LABEL_OCTETS_MAX => {
            format!("has {} octets, and a DNS label at most {LABEL_OCTETS_MAX}", value.len())
        }
        _ if !value.bytes().all(is_plain) => {
            "holds a character that host names do not have; give letters, digits, hyphens, underscores and dots, \
             which become hyphens"
                .to_owned()
        }
        _ if is_wildcard(value.to_ascii_lowercase().as_bytes())
            || label(value).is_none_or(|label| label.len() != value.len()) =>
        {
            format!("{value:?} means something else in a question; give another word")
        }
        _ => return Ok(()),
    };
    Err(Invalid::new(field, reason))
}

/// Whether `value` is a domain name of plain labels.
fn domain_name(field: &str, value: &str) -> Result<(), Invalid> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    if value.is_empty() || !value.bytes().all(is_plain) {
        let reason =
            "is no domain name; give labels of letters, digits, hyphens and underscores, with dots between";
        return Err(Invalid::new(field, reason));
    }
    match value.parse::<Name>() {
        Ok(name) if name == Name::root() => Err(Invalid::new(field, "is the root; give a name below it")),
        Ok(_) => Ok(()),
        Err(error) => Err(Invalid::new(field, error.to_string())),
    }
}

fn bounded(field: &str, count: usize, most: usize) -> Result<(), Invalid> {
    if count > most {
        return Err(Invalid::new(
            field,
            format!("has {count} of them; give at most {most}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{defaults, name};

    fn web() -> Draft {
        Draft {
            service: "web".to_owned(),
            addresses: vec!["10.0.0.7".parse().unwrap()],
            ports: vec![DraftPort {
                number: 80,
                protocol: Transport::Tcp,
                name: None,
            }],
            ttl: 30,
            ..Draft::default()
        }
    }

    /// The field that is refused; nothing if it is taken.
    fn refused(id: &str, draft: &Draft) -> String {
        let naming = Naming::new(vec![name("docker")]);
        match draft.check(id, &defaults(), &naming) {
            Ok(()) => String::new(),
            Err(invalid) => invalid.field,
        }
    }

    #[test]
    fn what_dns_cannot_carry_is_refused_with_its_field() {
        let check = |expected: &str, change: &dyn Fn(&mut Draft)| {
            let mut draft = web();
            change(&mut draft);
            assert_eq!(refused("1001", &draft), expected, "{draft:?}");
        };
        check("", &|_| {});
        check("service", &|it| it.service = String::new());
        check("service", &|it| it.service = "a b".to_owned());
        check("service", &|it| it.service = "any".to_owned());
        check("service", &|it| it.service = "_tcp".to_owned());
        check("service", &|it| it.service = "b\u{fc}cher".to_owned());
        check("instance", &|it| it.instance = "x".repeat(64));
        check("", &|it| it.instance = "1.0.0".to_owned());
        check("environment", &|it| it.environment = "*".to_owned());
        check("region", &|it| it.region = "a/b".to_owned());
        check("addresses", &|it| it.addresses = vec![]);
        check("addresses[0]", &|it| {
            it.addresses = vec!["0.0.0.0".parse().unwrap()];
        });
        check("addresses[0]", &|it| {
            it.addresses = vec!["ff02::1".parse().unwrap()];
        });
        check("alias", &|it| it.alias = Some("db.example".to_owned()));
        check("ports[0].number", &|it| it.ports[0].number = 0);
        check("ports[0].name", &|it| it.ports[0].name = Some("_http".to_owned()));
        check("ports[1]", &|it| it.ports.push(it.ports[0].clone()));
        check("texts[0]", &|it| it.texts = vec![String::new()]);
        check("names[0]", &|it| it.names = vec!["a..b".to_owned()]);
        check("", &|it| it.names = vec!["*.app.example".to_owned()]);
        check("names", &|it| {
            it.names = vec!["a.example".to_owned(); NAMES_MAX + 1];
        });
    }

    #[test]
    fn an_alias_is_a_name_and_no_mistyped_address() {
        let alias = |alias: &str| Draft {
            addresses: vec![],
            alias: Some(alias.to_owned()),
            ..web()
        };
        assert_eq!(refused("1001", &alias("db.example")), "");
        assert_eq!(refused("1001", &alias("db.example.")), "");
        for wrong in ["300.1.2.3", "fe80::1%eth0", "", ".", "a b", &"x".repeat(64)] {
            assert_eq!(refused("1001", &alias(wrong)), "alias", "{wrong}");
        }
    }

    #[test]
    fn labels_and_domain_together_have_to_fit_a_name() {
        let long = "x".repeat(63);
        let draft = Draft {
            service: long.clone(),
            instance: long.clone(),
            environment: long.clone(),
            ..web()
        };
        assert_eq!(refused("1001", &draft), "");
        let naming = Naming::new(vec![name(&format!("{long}.example"))]);
        let refused = draft.check("1001", &defaults(), &naming).unwrap_err();
        assert_eq!(refused.field, "service");
    }

    #[test]
    fn what_is_left_out_is_that_of_the_daemon() {
        let registration = Registration {
            id: "1001".into(),
            draft: web(),
            expires_unix_ms: None,
            revision: 1,
            callbacks: vec![],
        };
        let service = registration.service(&defaults(), 30);
        let words = [
            &service.environment,
            &service.region,
            &service.instance,
            &service.host,
        ];
        assert_eq!(words.map(|word| &**word), ["dev", "here", "1001", "10.0.0.7"]);
        assert_eq!(service.wishes, None);
    }

    #[test]
    fn the_first_port_is_the_one_to_announce() {
        let mut draft = web();
        draft.ports.insert(
            0,
            DraftPort {
                number: 8080,
                protocol: Transport::Tcp,
                name: Some("http".to_owned()),
            },
        );
        let service = draft.service(&"1001".into(), &defaults(), 30);
        let wishes = service.wishes.unwrap();
        assert_eq!(wishes.port, Some(8080));
        assert_eq!(&*wishes.named_ports[0].name, "http");
        assert_eq!(service.ports[0].number, 80);
    }
}
