//! What a plugin gave, read as hostile input into what cannot be wrong.
//!
//! ```text
//!  undefined ─▶ Undecided      null ─▶ Skip      an object, or a list of them ─▶ Services
//! ```
//!
//! Members convert as skydock's did: what is no text becomes one, texts of digits are numbers, fractions are cut off.
//! What skydock would have turned into nonsense (`undefined`, port 0, -1 as port 65535) is an error here, and a member
//! that is missing, null or empty leaves what the container has without a plugin.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use dns::Name;
use dns::name::NAME_OCTETS_MAX;
use rquickjs::{Array, Coerced, Object, Value};

use super::limits::{NAMES_MAX, PORTS_MAX, SERVICES_MAX, TEXTS_MAX};
use super::run::Stop;
use crate::docker::label::value as check;
use crate::service::{NamedPort, Port, TTL_SECONDS_MAX};

/// What `createService` gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Somebody else shall say.
    Undecided,
    /// The container gets no names.
    Skip,
    /// These, at least one.
    Services(Vec<Wanted>),
}

/// What is asked for one service; where nothing is, it is as it would be without a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) service: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) region: Option<String>,
    pub(super) host: Option<Host>,
    pub(super) port: Option<u16>,
    pub(super) ttl_seconds: Option<u32>,
    pub(super) priority: Option<u16>,
    pub(super) weight: Option<u16>,
    pub(super) texts: Option<Vec<String>>,
    pub(super) names: Option<Vec<Name>>,
    /// Its ports, the one that SRV announces first, and those of them that have names.
    pub(super) ports: Option<(Vec<Port>, Vec<NamedPort>)>,
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Address(IpAddr),
    /// Under another name.
    Name(Name),
}

type Read<T> = Result<T, Stop>;

/// Reads what `createService` gave.
pub(super) fn answer(value: &Value<'_>) -> Read<Answer> {
    if value.is_undefined() {
        return Ok(Answer::Undecided);
    }
    if value.is_null() {
        return Ok(Answer::Skip);
    }
    let Some(list) = array(value) else {
        return Ok(Answer::Services(vec![wanted(value)?]));
    };
    let items = items(&list, "services", SERVICES_MAX)?;
    match items.is_empty() {
        true => Ok(Answer::Skip),
        false => items
            .iter()
            .map(wanted)
            .collect::<Read<_>>()
            .map(Answer::Services),
    }
}

/// Reads what `names` gave; none where it leaves them as they are.
pub(super) fn names(value: &Value<'_>) -> Read<Option<Vec<Name>>> {
    match value.is_null() {
        true => Ok(Some(Vec::new())),
        false => own_names("names", value),
    }
}

/// Whether the container shall be left out, as `filterContainer` says. One that forgot to say is not.
pub(super) fn is_filtered(value: &Value<'_>) -> Read<bool> {
    refuse_odd("filterContainer", value)?;
    if value.is_undefined() {
        return Ok(false);
    }
    Ok(!value.get::<Coerced<bool>>()?.0)
}

fn wanted(value: &Value<'_>) -> Read<Wanted> {
    refuse_odd("createService", value)?;
    let Some(object) = value
        .as_object()
        .filter(|_| !value.is_function() && !value.is_array())
    else {
        return Err(wrong(
            "createService",
            value,
            "return an object, a list of objects, or null for no names",
        ));
    };
    let ports = ports(&member(object, "Ports")?)?;
    let port = number("Port", &member(object, "Port")?, 1..=65535)?;
    let first = ports.as_ref().and_then(|(ports, _)| ports.first());
    let port = port.and_then(|port| u16::try_from(port).ok());
    let ttl = number("TTL", &member(object, "TTL")?, 0..=i64::from(u32::MAX))?;
    Ok(Wanted {
        service: word("Service", object)?,
        instance: word("Instance", object)?,
        environment: word("Environment", object)?,
        region: word("Region", object)?,
        host: text("Host", &member(object, "Host")?)?
            .map(|text| host(&text))
            .transpose()?,
        port: port.or(first.map(|port| port.number)),
        // A record for ever was written with a large number; a week is as good.
        ttl_seconds: ttl
            .map(|ttl| u32::try_from(ttl).map_or(TTL_SECONDS_MAX, |ttl| ttl.min(TTL_SECONDS_MAX))),
        priority: small("Priority", object)?,
        weight: small("Weight", object)?,
        texts: texts("Text", "a text", &member(object, "Text")?, TEXTS_MAX)?
            .map(|texts| {
                let checked = texts
                    .into_iter()
                    .map(|text| check::text(&text).map(str::to_owned).map_err(of("Text")));
                checked.collect()
            })
            .transpose()?,
        names: own_names("Names", &member(object, "Names")?)?,
        ports,
    })
}

fn member<'js>(object: &Object<'js>, name: &str) -> Read<Value<'js>> {
    Ok(object.get(name)?)
}

/// A label of the name.
fn word(what: &str, object: &Object<'_>) -> Read<Option<String>> {
    let word = text(what, &member(object, what)?)?;
    let Some(word) = word.as_deref().map(str::trim).filter(|word| !word.is_empty()) else {
        return Ok(None);
    };
    check::word(word)
        .map(Some)
        .map_err(|remedy| answer_of(what, &quoted(word), &remedy))
}

fn host(text: &str) -> Read<Host> {
    let text = text.trim();
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            Err(answer_of("Host", text, "give an address that clients can reach"))
        }
        Ok(address) => Ok(Host::Address(address)),
        Err(_) => name("Host", text).map(Host::Name),
    }
}

/// Names of a service's own: a list, or a text with commas between them.
fn own_names(what: &str, value: &Value<'_>) -> Read<Option<Vec<Name>>> {
    let Some(texts) = texts(what, "a name", value, NAMES_MAX)? else {
        return Ok(None);
    };
    let parts = texts.iter().flat_map(|text| text.split(',').map(str::trim));
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    at_most(parts.len(), what, NAMES_MAX)?;
    parts
        .into_iter()
        .map(|part| name(what, part))
        .collect::<Read<_>>()
        .map(Some)
}

fn name(what: &str, text: &str) -> Read<Name> {
    // Whatever is that long is none; the reader of names would repeat all of it.
    if text.len() > 4 * NAME_OCTETS_MAX {
        let remedy = format!("a name has at most {NAME_OCTETS_MAX} octets");
        return Err(answer_of(what, &quoted(text), &remedy));
    }
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.*".contains(&octet);
    if !text.bytes().all(is_plain) {
        let remedy = "write names with letters, digits, hyphens, underscores and dots";
        return Err(answer_of(what, &quoted(text), remedy));
    }
    check::name(text).map_err(|remedy| answer_of(what, &quoted(text), &remedy))
}

fn small(what: &str, object: &Object<'_>) -> Read<Option<u16>> {
    let number = number(what, &member(object, what)?, 0..=65535)?;
    Ok(number.and_then(|number| u16::try_from(number).ok()))
}

/// A text; what is none becomes one as JavaScript has it. None where it is missing or empty.
fn text(what: &str, value: &Value<'_>) -> Read<Option<String>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    refuse_odd(what, value)?;
    if value.is_function() || array(value).is_some() {
        return Err(wrong(what, value, "give a text"));
    }
    let text = value.get::<Coerced<String>>()?.0;
    if value.is_object() && text.starts_with("[object ") {
        return Err(wrong(what, value, "give a text"));
    }
    Ok((!text.is_empty()).then_some(text))
}

/// A whole number in `range`; texts of digits are numbers. None where it is missing.
fn number(what: &str, value: &Value<'_>, range: RangeInclusive<i64>) -> Read<Option<i64>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    refuse_odd(what, value)?;
    let given = value.get::<Coerced<f64>>()?.0;
    // A float is cut to the nearest integer there is; what lies outside the range stays there.
    let whole = given.trunc() as i64;
    if given.is_nan() || !range.contains(&whole) {
        let shown = match value.as_string() {
            Some(text) => quoted(&text.to_string()?),
            None => given.to_string(),
        };
        let remedy = format!("give a number from {} to {}", range.start(), range.end());
        return Err(answer_of(what, &shown, &remedy));
    }
    Ok(Some(whole))
}

/// Several texts: a list of them, or one alone.
fn texts(what: &str, each: &str, value: &Value<'_>, most: usize) -> Read<Option<Vec<String>>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    refuse_odd(what, value)?;
    let values = match array(value) {
        Some(list) => items(&list, what, most)?,
        None if value.is_object() => return Err(wrong(what, value, &format!("give {each} or a list"))),
        None => vec![value.clone()],
    };
    let read = values.iter().map(|value| text(what, value));
    let read: Vec<String> = read.filter_map(Result::transpose).collect::<Read<_>>()?;
    Ok(Some(read))
}

/// A list of ports, or an object by ports, such as the container has.
fn ports(value: &Value<'_>) -> Read<Option<(Vec<Port>, Vec<NamedPort>)>> {
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    refuse_odd("Ports", value)?;
    let (mut ports, mut named): (Vec<Port>, Vec<NamedPort>) = Default::default();
    if let Some(list) = array(value) {
        for item in items(&list, "Ports", PORTS_MAX)? {
            let (port, name) = port(&item)?;
            named.extend(name.map(|name| NamedPort {
                name: name.into(),
                port,
            }));
            ports.push(port);
        }
    } else if let Some(object) = value.as_object().filter(|_| !value.is_function()) {
        for key in object.keys::<String>().take(PORTS_MAX + 1) {
            ports.push(parse_port(&key?)?);
        }
        at_most(ports.len(), "Ports", PORTS_MAX)?;
    } else {
        return Err(wrong("Ports", value, "give a list such as [80, \"53/udp\"]"));
    }
    Ok(Some((ports, named)))
}

/// One port: 80, "53/udp", or {Port: 80, Protocol: "tcp", Name: "http"}.
fn port(value: &Value<'_>) -> Read<(Port, Option<String>)> {
    refuse_odd("Ports", value)?;
    let Some(object) = value
        .as_object()
        .filter(|_| !value.is_function() && array(value).is_none())
    else {
        let text = text("Ports", value)?.unwrap_or_default();
        return Ok((parse_port(&text)?, None));
    };
    let number = text("Ports[].Port", &member(object, "Port")?)?.unwrap_or_default();
    let protocol = text("Ports[].Protocol", &member(object, "Protocol")?)?;
    let port = parse_port(&match protocol {
        Some(protocol) => format!("{number}/{protocol}"),
        None => number,
    })?;
    let name = text("Ports[].Name", &member(object, "Name")?)?;
    let name = name.map(|name| {
        check::port_name(&name).map_err(|remedy| answer_of("Ports[].Name", &quoted(&name), &remedy))
    });
    Ok((port, name.transpose()?))
}

fn parse_port(text: &str) -> Read<Port> {
    check::transport(text.trim()).map_err(|_| {
        answer_of(
            "Ports",
            &quoted(text),
            "write ports from 1 to 65535, such as 80, \"80/tcp\" or \"53/udp\"",
        )
    })
}

/// The array that `value` is; a proxy of one is none.
fn array<'js>(value: &Value<'js>) -> Option<Array<'js>> {
    match value.is_proxy() {
        true => None,
        false => value.clone().into_array(),
    }
}

/// The members of a list that is not too long.
fn items<'js>(list: &Array<'js>, what: &str, most: usize) -> Read<Vec<Value<'js>>> {
    // `Array::len` takes no length above 2^31. That of an array is a number, and no script can make it anything else.
    let length: f64 = list.as_object().get("length")?;
    let length = if length > most as f64 {
        most + 1
    } else {
        length as usize
    };
    at_most(length, what, most)?;
    Ok((0..length)
        .map(|place| list.get(place))
        .collect::<rquickjs::Result<_>>()?)
}

fn at_most(given: usize, what: &str, most: usize) -> Read<()> {
    match given > most {
        true => Err(Stop::Answer(format!(
            "it gave a list of {what} that is longer than {most}; leave some out"
        ))),
        false => Ok(()),
    }
}

/// Refuses what could only be waited for, and what could change while it is read.
fn refuse_odd(what: &str, value: &Value<'_>) -> Read<()> {
    if value.is_promise() {
        return Err(wrong(
            what,
            value,
            "answer at once: nothing can be waited for, so async functions are of no use here",
        ));
    }
    if value.is_proxy() {
        return Err(wrong(what, value, "give a plain value"));
    }
    Ok(())
}

fn wrong(what: &str, value: &Value<'_>, remedy: &str) -> Stop {
    let kind = match value {
        _ if value.is_promise() => "a Promise".to_owned(),
        _ if value.is_proxy() => "a Proxy".to_owned(),
        _ if value.is_array() => "a list".to_owned(),
        _ if value.is_function() => "a function".to_owned(),
        _ if value.is_object() => "an object".to_owned(),
        _ => match (value.as_string(), value.as_number(), value.as_bool()) {
            (Some(text), ..) => text
                .to_string()
                .map_or_else(|_| "a text".to_owned(), |text| quoted(&text)),
            (_, Some(number), _) => number.to_string(),
            (.., Some(flag)) => flag.to_string(),
            _ => value.type_name().to_owned(),
        },
    };
    answer_of(what, &kind, remedy)
}

fn of<'w>(what: &'w str) -> impl Fn(String) -> Stop + 'w {
    move |remedy| Stop::Answer(format!("it gave a {what} that cannot be: {remedy}"))
}

fn answer_of(what: &str, given: &str, remedy: &str) -> Stop {
    match what {
        "createService" | "filterContainer" | "names" => {
            Stop::Answer(format!("{what} gave {given}; {remedy}"))
        }
        _ => Stop::Answer(format!("it gave {what} {given}: {remedy}")),
    }
}

/// A text as it is shown in an error.
fn quoted(text: &str) -> String {
    format!("\"{}\"", super::fault::shortened(text, 80))
}
