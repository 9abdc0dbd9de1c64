//! `skydock explain`: why a name is answered as it is.

use std::fmt::Write;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{self, Ask, Method, Target, escaped, read};
use crate::failure::Failure;
use crate::output::{plain, pretty, show};

const CODES: &str = "\
Exit codes:
  0  explained, whatever the answer is
  1  the daemon cannot be reached, or cannot tell now
  2  a mistake in what was asked
  5  the secret is missing or wrong

Examples:
  skydock explain web.dev.docker
  skydock explain web.dev.docker SRV --from 172.18.0.5";

/// Flags of `skydock explain`.
#[derive(Debug, Args)]
#[command(after_help = CODES)]
pub(crate) struct Explain {
    /// The name
    name: String,

    /// The record type: A, AAAA, SRV, PTR or another
    #[arg(default_value = "A", value_name = "TYPE")]
    rtype: String,

    /// The client that asks: its network decides which address it is told
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: IpAddr,

    /// Print JSON, as the daemon gives it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Explain {
    /// Asks the daemon, and prints what it says.
    ///
    /// # Errors
    ///
    /// [`Failure`]: it cannot be asked, or does not answer. What it refuses is printed here, and is in the exit code.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        client::run(async {
            let Self {
                name,
                rtype,
                from,
                json,
                target,
            } = self;
            let path = format!(
                "/v1/explain?name={}&type={}&from={}",
                escaped(&name),
                escaped(&rtype),
                escaped(&from.to_string())
            );
            let explained = read(&target.ask(Ask::of(Method::GET, path)).await?)?;
            let text = match json {
                true => pretty(&explained) + "\n",
                false => text(&explained),
            };
            Ok(show(&text)?)
        })
    }
}

/// What the daemon says, for people.
fn text(explained: &Value) -> String {
    let mut text = String::new();
    let word = |value: &Value| plain(value.as_str().unwrap_or_default());
    let network = match &explained["network"] {
        Value::Null => "on no network of an engine".to_owned(),
        network => format!(
            "on network {} of {}",
            word(&network["name"]),
            word(&network["source"])
        ),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} {}, asked by {} ({network})",
        word(&explained["name"]),
        word(&explained["type"]),
        word(&explained["from"]),
    );
    reply(&explained["reply"], &mut text);

    let zone = match &explained["zone"] {
        Value::Null => "it is in no zone of ours".to_owned(),
        zone => format!("in zone {}", word(zone)),
    };
    let of = word(&explained["of"]);
    let way = match explained["way"].as_str().unwrap_or_default() {
        "name" => "services stand at this name:".to_owned(),
        "port" => format!("a port of {of}, where services stand:"),
        "pattern" => "it is compared with every service:".to_owned(),
        "wildcard" => format!("covered by {of}, where services stand:"),
        "server" => "it is our own server's name".to_owned(),
        "held" => format!("{of} is ours while containers that do not run ask for it"),
        _ => "no service stands there".to_owned(),
    };
    let _ = writeln!(text, "{zone}; {way}");
    let candidates = list(&explained["candidates"]);
    for candidate in candidates {
        let addresses: Vec<_> = list(&candidate["addresses"]).iter().map(&word).collect();
        let verdict = match candidate["why"].as_str() {
            Some(_) => format!("does not answer: {}", word(&candidate["why"])),
            None => "answers".to_owned(),
        };
        let _ = writeln!(
            text,
            "  {}  {}  {verdict}\n    {}; {}, id {}",
            word(&candidate["instance"]),
            addresses.join(" "),
            word(&candidate["role"]),
            word(&candidate["source"]),
            word(&candidate["id"]),
        );
    }
    let in_all = explained["candidates_in_all"].as_u64().unwrap_or_default();
    let untold = in_all.saturating_sub(candidates.len() as u64);
    if untold > 0 {
        let _ = writeln!(text, "  and {untold} more");
    }
    let unpublished = list(&explained["unpublished"]);
    if !unpublished.is_empty() {
        text += "containers that could be meant:\n";
    }
    for container in unpublished {
        let _ = writeln!(
            text,
            "  {} ({})  {}: {}",
            word(&container["container"]),
            word(&container["image"]),
            word(&container["standing"]),
            word(&container["why"]),
        );
        for complaint in list(&container["complaints"]) {
            let _ = writeln!(text, "    {}", word(complaint));
        }
    }
    text
}

fn reply(reply: &Value, text: &mut String) {
    let words = |field: &str| -> Vec<_> {
        let each = list(&reply[field]).iter().filter_map(Value::as_str);
        each.map(plain).collect()
    };
    let upstreams = words("forwarded_to");
    let domain = match reply["forwarded_for"].as_str() {
        Some(".") | None => String::new(),
        Some(domain) => format!(", as is all in {}", plain(domain)),
    };
    let asked = format!("asked of {}{domain}", upstreams.join(", "));
    let line = match (reply["rcode"].as_str(), upstreams.as_slice()) {
        (Some(rcode), []) => plain(rcode),
        (Some(rcode), _) => format!("{}; what the alias leads to is {asked}", plain(rcode)),
        (None, []) => "no reply".to_owned(),
        (None, _) => format!("not ours; {asked}"),
    };
    *text += &line;
    for reason in words("reasons") {
        *text += "; ";
        *text += &reason;
    }
    *text += "\n";
    for answer in words("answers") {
        *text += "  ";
        *text += &answer;
        *text += "\n";
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_explanation_reads_from_the_answer_to_its_reasons() {
        let explained = json!({
            "name": "web.dev.docker.", "type": "A", "from": "172.18.0.5",
            "network": { "source": "unix:///run/docker.sock", "name": "front" },
            "zone": "docker.", "way": "name", "of": null,
            "reply": { "rcode": "NOERROR", "answers": ["web.dev.docker. 30 IN A 172.18.0.2"], "reasons": [], "forwarded_to": [] },
            "candidates": [
                { "id": "4a21", "source": "unix:///run/docker.sock", "instance": "web1", "addresses": ["172.18.0.2"],
                  "role": "it is one of that service", "answers": true, "why": null },
                { "id": "5b32", "source": "unix:///run/docker.sock", "instance": "web2", "addresses": ["172.18.0.3"],
                  "role": "it is one of that service", "answers": false, "why": "its health check says unhealthy" },
            ],
            "candidates_in_all": 3,
            "unpublished": [{ "container": "web3", "image": "web", "standing": "stopped", "why": "it does not run", "complaints": [] }],
        });
        let expected = "\
web.dev.docker. A, asked by 172.18.0.5 (on network front of unix:///run/docker.sock)
NOERROR
  web.dev.docker. 30 IN A 172.18.0.2
in zone docker.; services stand at this name:
  web1  172.18.0.2  answers
    it is one of that service; unix:///run/docker.sock, id 4a21
  web2  172.18.0.3  does not answer: its health check says unhealthy
    it is one of that service; unix:///run/docker.sock, id 5b32
  and 1 more
containers that could be meant:
  web3 (web)  stopped: it does not run
";
        assert_eq!(text(&explained), expected);
    }

    #[test]
    fn no_word_of_a_container_commands_the_terminal() {
        let evil = "x\u{1b}]0;y\u{7}\n\u{9b}";
        let explained = json!({
            "name": evil, "type": evil, "from": evil, "network": { "source": evil, "name": evil }, "zone": evil,
            "way": "wildcard", "of": evil,
            "reply": { "rcode": evil, "answers": [evil], "reasons": [evil], "forwarded_to": [evil], "forwarded_for": evil },
            "candidates": [{ "id": evil, "source": evil, "instance": evil, "addresses": [evil], "role": evil, "why": evil }],
            "unpublished": [{ "container": evil, "image": evil, "standing": evil, "why": evil, "complaints": [evil] }],
        });
        let shown = text(&explained);
        assert!(shown.chars().all(|c| !c.is_control() || c == '\n'), "{shown:?}");
        assert_eq!(shown.lines().count(), 9, "{shown}");
    }

    #[test]
    fn a_name_that_is_asked_of_others_and_a_refusal_are_told_in_a_line() {
        let text_of = |told: Value| {
            let mut text = String::new();
            reply(&told, &mut text);
            text
        };
        let forwarded = json!({ "rcode": null, "forwarded_to": ["192.0.2.1:53"] });
        assert_eq!(text_of(forwarded), "not ours; asked of 192.0.2.1:53\n");
        let routed = json!({
            "rcode": "NOERROR", "forwarded_to": ["192.0.2.1:53", "192.0.2.2:53"], "forwarded_for": "corp.example.",
        });
        let expected = "NOERROR; what the alias leads to is asked of 192.0.2.1:53, 192.0.2.2:53, as is all in corp.example.\n";
        assert_eq!(text_of(routed), expected);
        let refused = json!({ "rcode": "REFUSED", "reasons": ["Prohibited"], "answers": [] });
        assert_eq!(text_of(refused), "REFUSED; Prohibited\n");
        assert_eq!(text_of(json!({})), "no reply\n");
    }
}
