//! Services for people.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::command::client::field as said;
use crate::output::plain;

/// A table of `services`, as wide as the terminal if it is for one.
pub(super) fn of(services: &[Value], is_terminal: bool) -> String {
    let mut table = Table::new();
    table.set_content_arrangement(match is_terminal {
        true => ContentArrangement::Dynamic,
        // Whoever reads it by line wants one for each.
        false => ContentArrangement::Disabled,
    });
    filled(table, services)
}

fn filled(mut table: Table, services: &[Value]) -> String {
    if services.is_empty() {
        return "no services\n".to_owned();
    }
    table.load_style(presets::NOTHING);
    table.set_header([
        "NAME",
        "ID",
        "ADDRESSES",
        "PORTS",
        "HEALTH",
        "NETWORKS",
        "LEFT",
        "SOURCE",
    ]);
    for service in services {
        table.add_row([
            name(service),
            text(service, "id"),
            addresses(service),
            ports(service),
            health(service),
            networks(service),
            left(service),
            text(service, "source"),
        ]);
    }
    let lines = table.lines().map(|line| line.trim().to_owned() + "\n");
    lines.collect()
}

/// One service, a line for each thing there is to say.
pub(super) fn of_one(service: &Value) -> String {
    let rows = [
        ("name", name(service)),
        ("id", text(service, "id")),
        ("source", text(service, "source")),
        ("region", text(service, "region")),
        ("addresses", addresses(service)),
        ("ports", ports(service)),
        ("health", health(service)),
        ("networks", networks(service)),
        ("names", list(said(service, "names"))),
        ("texts", list(said(service, "texts"))),
        ("priority", number(service, "priority")),
        ("weight", number(service, "weight")),
        ("ttl", number(service, "ttl")),
        ("left", left(service)),
        ("revision", number(service, "revision")),
    ];
    let said = rows
        .iter()
        .filter(|(_, value)| !matches!(value.as_str(), "" | "-"));
    said.map(|(field, value)| format!("{field:<10} {value}\n"))
        .collect()
}

/// `+ web1.web.dev  10.0.0.7  8080`.
pub(super) fn event(what: &str, service: &Value) -> String {
    let sign = match what {
        "added" => '+',
        "removed" => '-',
        "changed" => '=',
        _ => return format!("! {}: changes were missed; list all services anew\n", plain(what)),
    };
    format!(
        "{sign} {}  {}  {}\n",
        name(service),
        addresses(service),
        ports(service)
    )
}

/// What it is called, without the domain.
fn name(service: &Value) -> String {
    let words = ["instance", "service", "environment"].map(|word| text(service, word));
    words.join(".")
}

fn addresses(service: &Value) -> String {
    match said(service, "alias").as_str() {
        Some(alias) => plain(alias),
        None => list(said(service, "addresses")),
    }
}

fn ports(service: &Value) -> String {
    let ports = said(service, "ports").as_array().into_iter().flatten();
    let shown = ports.map(|port| {
        let number = number(port, "number");
        let name = said(port, "name")
            .as_str()
            .map(|name| plain(name) + "=")
            .unwrap_or_default();
        match said(port, "protocol").as_str() {
            None | Some("tcp") => format!("{name}{number}"),
            Some(other) => format!("{name}{number}/{}", plain(other)),
        }
    });
    or_dash(shown.collect::<Vec<_>>().join(","))
}

fn networks(service: &Value) -> String {
    let networks = said(service, "networks").as_array().into_iter().flatten();
    let mut names: Vec<_> = networks.map(|member| text(member, "network")).collect();
    names.dedup();
    or_dash(names.join(","))
}

fn health(service: &Value) -> String {
    match said(service, "health").as_str() {
        None | Some("none") => "-".to_owned(),
        Some(health) => plain(health),
    }
}

/// Seconds until it ends.
fn left(service: &Value) -> String {
    match said(service, "remaining").as_u64() {
        Some(seconds) => format!("{seconds}s"),
        None => "-".to_owned(),
    }
}

fn list(values: &Value) -> String {
    let values = values.as_array().into_iter().flatten();
    let values: Vec<_> = values.filter_map(Value::as_str).map(plain).collect();
    or_dash(values.join(","))
}

fn text(service: &Value, field: &str) -> String {
    plain(said(service, field).as_str().unwrap_or("-"))
}

fn number(service: &Value, field: &str) -> String {
    said(service, field)
        .as_u64()
        .map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn web() -> Value {
        json!({
            "id": "1001", "source": "rest", "service": "web", "instance": "web1", "environment": "dev",
            "addresses": ["10.0.0.7"], "ports": [{ "number": 80, "protocol": "tcp", "name": "http" }],
            "remaining": 42, "ttl": 60, "revision": 7
        })
    }

    #[test]
    fn a_table_has_a_line_for_each_service() {
        let expected = "\
NAME          ID    ADDRESSES  PORTS    HEALTH  NETWORKS  LEFT  SOURCE
web1.web.dev  1001  10.0.0.7   http=80  -       -         42s   rest
";
        assert_eq!(of(&[web()], false), expected);
        assert_eq!(of(&[], true), "no services\n");
    }

    #[test]
    fn on_a_narrow_terminal_cells_are_broken_and_nothing_is_left_out() {
        let mut service = web();
        service["addresses"] = json!(["10.0.0.7", "10.0.0.8", "fd00:1234::7"]);
        for width in [1, 8, 40, 60, 80, 200] {
            let mut table = Table::new();
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
            let shown = filled(table, &[service.clone(), service.clone()]);
            let widest = shown.lines().map(str::len).max().unwrap();
            assert!(widest <= usize::from(width).max(40), "{width}: {widest}\n{shown}");
            let letters = |text: &str| text.chars().filter(char::is_ascii_digit).count();
            let whole = of(&[service.clone(), service.clone()], false);
            assert_eq!(letters(&shown), letters(&whole), "{width}\n{shown}");
        }
    }

    #[test]
    fn one_service_is_shown_with_what_there_is_to_say() {
        let shown = of_one(&web());
        assert!(
            shown.contains("left       42s\n") && !shown.contains("networks"),
            "{shown}"
        );
    }

    #[test]
    fn nothing_commands_the_terminal() {
        let mut service = web();
        service["instance"] = json!("web\u{1b}[2J\n");
        let shown = of(&[service.clone()], false) + &of_one(&service) + &event("added", &service);
        assert!(!shown.contains('\u{1b}') && shown.contains("web?[2J?"), "{shown}");
    }
}
