//! What is said of a service on the command line.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// A service to register.
#[derive(Debug, Args)]
pub(super) struct Given {
    /// Service label
    #[arg(long, value_name = "LABEL")]
    service: String,

    #[command(flatten)]
    rest: Change,
}

/// What of a service is to be another.
#[derive(Debug, Args)]
pub(super) struct Changed {
    /// Service label
    #[arg(long, value_name = "LABEL")]
    service: Option<String>,

    #[command(flatten)]
    rest: Change,

    /// What to take away; repeat it, or separate several with commas
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<Field>,
}

/// What a service need not have.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Field {
    Instance,
    Environment,
    Region,
    Ports,
    Priority,
    Weight,
    Texts,
    Names,
    Permanent,
}

/// What may be said of a service.
#[derive(Debug, Args)]
struct Change {
    /// Instance label; nothing: the id
    #[arg(long, value_name = "LABEL")]
    instance: Option<String>,

    /// Environment label; nothing: that of the daemon
    #[arg(long, value_name = "LABEL")]
    environment: Option<String>,

    /// Region label; nothing: that of the daemon
    #[arg(long, value_name = "LABEL")]
    region: Option<String>,

    /// IP address; repeat it, or separate several with commas
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    address: Vec<IpAddr>,

    /// Name that it is another word for, instead of addresses
    #[arg(long, value_name = "NAME", conflicts_with = "address")]
    alias: Option<String>,

    /// Port: 80, 53/udp, http=80 or dns=53/udp; repeat it, the first is the one that SRV announces
    #[arg(long, value_name = "[NAME=]PORT[/PROTOCOL]", value_delimiter = ',')]
    port: Vec<String>,

    /// SRV priority
    #[arg(long, value_name = "NUMBER")]
    priority: Option<u16>,

    /// SRV weight
    #[arg(long, value_name = "NUMBER")]
    weight: Option<u16>,

    /// TXT record; repeat it
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,

    /// Name of its own, in a domain of ours or outside; repeat it
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    name: Vec<String>,

    /// Seconds that it lives without a heartbeat
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,

    /// It lives until it is removed
    #[arg(long)]
    permanent: bool,
}

impl Given {
    /// The body of the request.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`]: a port that is none.
    pub(super) fn body(&self) -> Result<Value, Failure> {
        let mut body = self.rest.fields()?;
        body.insert("service".to_owned(), json!(self.service));
        Ok(Value::Object(body))
    }
}

impl Changed {
    /// The body of the request: what was given, `null` for what is to be taken away, and nothing else.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`]: a port that is none, nothing at all, or something is given and taken away.
    pub(super) fn body(&self) -> Result<Value, Failure> {
        let mut body = self.rest.fields()?;
        let service = self.service.iter();
        body.extend(service.map(|service| ("service".to_owned(), json!(service))));
        for field in &self.clear {
            let field = field.name();
            if body
                .insert(field.to_owned(), Value::Null)
                .is_some_and(|given| !given.is_null())
            {
                let sentence = format!("{field} is given and taken away by --clear; say one of them");
                return Err(Failure::Usage(sentence));
            }
        }
        if body.is_empty() {
            let sentence = "nothing is to change; say what, or use heartbeat to say that it still lives";
            return Err(Failure::Usage(sentence.to_owned()));
        }
        Ok(Value::Object(body))
    }
}

impl Field {
    /// As bodies have it.
    fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Environment => "environment",
            Self::Region => "region",
            Self::Ports => "ports",
            Self::Priority => "priority",
            Self::Weight => "weight",
            Self::Texts => "texts",
            Self::Names => "names",
            Self::Permanent => "permanent",
        }
    }
}

impl Change {
    fn fields(&self) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        let words = [
            ("instance", &self.instance),
            ("environment", &self.environment),
            ("region", &self.region),
            ("alias", &self.alias),
        ];
        for (field, word) in words {
            body.extend(word.as_ref().map(|word| (field.to_owned(), json!(word))));
        }
        let numbers = [
            ("priority", self.priority.map(u32::from)),
            ("weight", self.weight.map(u32::from)),
            ("ttl", self.ttl),
        ];
        for (field, number) in numbers {
            body.extend(number.map(|number| (field.to_owned(), json!(number))));
        }
        if !self.address.is_empty() {
            body.insert("addresses".to_owned(), json!(self.address));
        }
        if !self.port.is_empty() {
            let ports = self
                .port
                .iter()
                .map(|text| port(text))
                .collect::<Result<Vec<_>, _>>()?;
            body.insert("ports".to_owned(), json!(ports));
        }
        if !self.text.is_empty() {
            body.insert("texts".to_owned(), json!(self.text));
        }
        if !self.name.is_empty() {
            body.insert("names".to_owned(), json!(self.name));
        }
        if self.permanent {
            body.insert("permanent".to_owned(), json!(true));
        }
        Ok(body)
    }
}

/// `80`, `53/udp`, `http=80`.
fn port(text: &str) -> Result<Value, Failure> {
    let wrong = || {
        Failure::Usage(format!(
            "--port {text:?}: write 80, 53/udp, http=80 or dns=53/udp"
        ))
    };
    let (name, rest) = match text.split_once('=') {
        Some((name, rest)) => (Some(name), rest),
        None => (None, text),
    };
    let (number, protocol) = rest.split_once('/').unwrap_or((rest, "tcp"));
    let number: u16 = number.parse().map_err(|_| wrong())?;
    if !["tcp", "udp", "sctp"].contains(&protocol) {
        return Err(wrong());
    }
    Ok(match name {
        Some(name) => json!({ "number": number, "protocol": protocol, "name": name }),
        None => json!({ "number": number, "protocol": protocol }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_away_is_null_and_nothing_is_no_change() {
        let none = || Change {
            instance: None,
            environment: None,
            region: None,
            address: vec![],
            alias: None,
            port: vec![],
            priority: None,
            weight: None,
            text: vec![],
            name: vec![],
            ttl: None,
            permanent: false,
        };
        let body = |rest: Change, clear: Vec<Field>| {
            let service = None;
            Changed { service, rest, clear }.body()
        };
        assert_eq!(
            body(none(), vec![Field::Texts, Field::Permanent, Field::Texts]).unwrap(),
            json!({ "texts": null, "permanent": null })
        );
        assert!(body(none(), vec![]).is_err());
        let permanent = Change {
            permanent: true,
            ..none()
        };
        assert!(body(permanent, vec![Field::Permanent]).is_err());
    }

    #[test]
    fn a_port_is_a_number_with_what_is_known_of_it() {
        for (text, expected) in [
            ("80", json!({ "number": 80, "protocol": "tcp" })),
            ("53/udp", json!({ "number": 53, "protocol": "udp" })),
            (
                "http=80",
                json!({ "number": 80, "protocol": "tcp", "name": "http" }),
            ),
            (
                "dns=53/udp",
                json!({ "number": 53, "protocol": "udp", "name": "dns" }),
            ),
        ] {
            assert_eq!(port(text).unwrap(), expected, "{text}");
        }
        for wrong in ["", "http", "80/ip", "70000", "=", "80=http"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }
}
