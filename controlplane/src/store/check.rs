//! Whether a draft can be served, and if not, why.

use std::net::IpAddr;

use dns::Name;
use dns::name::LABEL_OCTETS_MAX;
use dns::snapshot::is_wildcard;

use super::registration::{Defaults, Draft};
use crate::naming::{Naming, label, refused};

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
            let whole: Result<Name, _> = name.parse();
            if let Some(remedy) = whole.ok().and_then(|name| refused(&name, naming.zones())) {
                return Err(Invalid::new(field, remedy));
            }
        }
        let service = self.service(&id.into(), defaults, None);
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
    use crate::fixture::{defaults, draft, name};

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
            let mut draft = draft(30);
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
        check("", &|it| it.names = vec!["*.docker".to_owned()]);
        check("names[0]", &|it| it.names = vec!["*.com".to_owned()]);
        check("names[0]", &|it| it.names = vec!["localhost".to_owned()]);
        check("names[1]", &|it| {
            it.names = vec!["a.example".to_owned(), "a.alt".to_owned()];
        });
        check("names", &|it| {
            it.names = vec!["a.example".to_owned(); NAMES_MAX + 1];
        });
    }

    #[test]
    fn an_alias_is_a_name_and_no_mistyped_address() {
        let alias = |alias: &str| Draft {
            addresses: vec![],
            alias: Some(alias.to_owned()),
            ..draft(30)
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
            ..draft(30)
        };
        assert_eq!(refused("1001", &draft), "");
        let naming = Naming::new(vec![name(&format!("{long}.example"))]);
        let refused = draft.check("1001", &defaults(), &naming).unwrap_err();
        assert_eq!(refused.field, "service");
    }
}
