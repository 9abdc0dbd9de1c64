//! Scripts of queries and replies.
//!
//! ```text
//! # A comment.
//! zone docker 10.0.0.53
//! network front 10.0.0.0/16
//! service redis1 redis dev 10.0.0.4 6379/tcp ttl=30 region=here uuid=00000000a1
//!
//! == RFC 4343, section 3: names compare without regard to the case of ASCII letters.
//! ? REDIS1.redis.dev.docker A
//! = NOERROR aa rd ra
//! answer REDIS1.redis.dev.docker 30 A 10.0.0.4
//! ```
//!
//! Behind a zone stand the addresses that its server is reached at. A service without address has `-`, and what it asks
//! for is `name=` (several with commas), `alias=`, `text=`, `named=http:80/tcp`, `srv=port:priority:weight`,
//! `publish=always`; `health=starting` is how it is.
//!
//! A query is `?`, a name (with `\DDD` for any octet) and a type, then any of: `class=CH`, `-rd`, `+aa +tc +ra +z +ad +cd`,
//! `opcode=4`, `rcode=3`, `qr`, `edns=4096`, `do`, `version=1`, `option=10:0102`, `qdcount=2`, `ancount=1`, `nscount=1`, `arcount=0`,
//! `tail=0102` (octets after the message), `cut=3` (octets taken off its end), `from=ADDRESS`, `tcp`. Or it is `? hex 0001...`.
//!
//! A reply is `=`, an rcode and all flags but QR, or `= silence`, or `= forward`. Then lines with every record of each
//! section, in any order; `*` stands for any word. `edns 1232 do option=15:0012` is its OPT record, and without that line
//! there must be none; of a cookie only `option=10` is shown. The question comes back octet for octet, or `question none` says that it does not. `octets 12` is its length.

mod query;
mod reply;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use controlplane::compile::Compiler;
use controlplane::naming::Naming;
use controlplane::registry::Registry;
use controlplane::{
    Change, Health, NamedPort, Network, Port, Protocol, Publish, Service, ServiceId, Source, Wishes,
};
use dns::{Builder, Name, Snapshot, ZoneSettings};

use self::query::Asked;
use self::reply::Shown;

/// What a script says there is, and what it asks.
pub(crate) struct Script {
    zones: Vec<ZoneSettings>,
    networks: Vec<Network>,
    services: Vec<Service>,
    cases: Vec<Case>,
}

/// One query and what must come of it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// File, line and heading.
    place: String,
    /// The query's octets.
    pub(crate) query: Vec<u8>,
    /// Who asks; `None`: whoever runs the script.
    pub(crate) from: Option<IpAddr>,
    /// Asked over TCP.
    pub(crate) is_tcp: bool,
    expected: Expected,
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing.
    Silence,
    /// It was for an upstream.
    Forward,
    /// This message.
    Reply(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Expected {
    Silence,
    Forward,
    Reply(Shown),
}

impl Script {
    /// Reads a script.
    ///
    /// # Panics
    ///
    /// With file and line, where it is not as the description above has it.
    pub(crate) fn read(file: &str, text: &str) -> Self {
        let mut script = Self {
            zones: Vec::new(),
            networks: Vec::new(),
            services: Vec::new(),
            cases: Vec::new(),
        };
        let mut heading = "";
        for (index, line) in text.lines().enumerate() {
            let place = format!("{file}:{}: {heading}", index + 1);
            let words: Vec<_> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [comment, ..] if comment.starts_with('#') => {}
                ["==", ..] => heading = line.trim_start_matches("== "),
                ["zone", zone, addresses @ ..] => {
                    let zone = ZoneSettings::of(zone.parse().expect("a zone's name"), 30);
                    let addresses = addresses
                        .iter()
                        .map(|address| address.parse().expect("an address"));
                    script.zones.push(zone.served_at(addresses.collect()));
                }
                ["network", name, subnet] => script.networks.push(Network {
                    name: (*name).into(),
                    subnets: vec![subnet.parse().expect("a subnet")],
                    is_own: true,
                }),
                ["service", words @ ..] => {
                    let number = script.services.len() + 1;
                    script
                        .services
                        .push(service(number, words).unwrap_or_else(|| unreachable!("{place}: {line}")));
                }
                ["?", words @ ..] => {
                    let query = Asked::read(words).unwrap_or_else(|| unreachable!("{place}: {line}"));
                    let (from, is_tcp) = (query.from, query.is_tcp);
                    let query = query.octets();
                    // Whoever forgets what should come of it finds out.
                    script.cases.push(Case {
                        place,
                        query,
                        from,
                        is_tcp,
                        expected: Expected::Silence,
                    });
                }
                ["=", words @ ..] => {
                    script.last(&place).expected = match words {
                        ["silence"] => Expected::Silence,
                        ["forward"] => Expected::Forward,
                        words => Expected::Reply(Shown {
                            head: words.join(" "),
                            has_question: true,
                            ..Shown::default()
                        }),
                    };
                }
                [section, words @ ..] => {
                    let Expected::Reply(shown) = &mut script.last(&place).expected else {
                        unreachable!("{place}: {line}: no reply is described here");
                    };
                    match (*section, words) {
                        ("question", ["none"]) => shown.has_question = false,
                        ("octets", [octets]) => shown.octets = octets.parse().ok(),
                        ("answer" | "authority" | "additional" | "edns", _) => {
                            shown.lines.push(line.to_owned());
                        }
                        _ => unreachable!("{place}: {line}: no such line"),
                    }
                    shown.lines.sort();
                }
            }
        }
        script
    }

    /// All scripts in `tests/scripts`, by file.
    pub(crate) fn all() -> BTreeMap<String, Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
        let entries = std::fs::read_dir(directory)
            .expect("tests/scripts is there")
            .flatten();
        let scripts = entries
            .filter(|entry| entry.path().extension().is_some_and(|it| it == "txt"))
            .map(|entry| {
                let file = entry
                    .file_name()
                    .into_string()
                    .expect("our files have names in UTF-8");
                let text = std::fs::read_to_string(entry.path()).expect("a script is text");
                let script = Self::read(&file, &text);
                (file, script)
            });
        scripts.collect()
    }

    fn last(&mut self, place: &str) -> &mut Case {
        self.cases
            .last_mut()
            .unwrap_or_else(|| unreachable!("{place}: no query stands before this"))
    }

    /// The snapshot that the control plane compiles of its services, as if an engine had told of them.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let builder = Builder::new(self.zones.clone(), 7, 0).expect("a script's zones are well formed");
        let zones = self.zones.iter().map(|zone| zone.apex.clone());
        let mut compiler = Compiler::new(Naming::new(zones.collect()), builder);
        let networks = compiler.networks(&source(), self.networks.clone());
        networks.expect("a script's networks are apart from its zones");
        let reset = Change::Reset {
            source: source(),
            services: self.services.iter().cloned().map(Arc::new).collect(),
        };
        for delta in Registry::default().apply(reset) {
            let applied = compiler.apply(&delta);
            assert!(applied.failed.is_none(), "{:?}", applied.failed);
        }
        let (snapshot, remarks) = compiler.compile();
        assert!(remarks.errors.is_empty(), "{remarks:?}");
        snapshot
    }

    /// Asks every query, and gives what came otherwise than it should, a paragraph each, and the number of queries.
    pub(crate) fn run(&self, mut ask: impl FnMut(&Case) -> Answer) -> (Vec<String>, usize) {
        let wrong = self.cases.iter().filter_map(|case| case.compare(&ask(case)));
        (wrong.collect(), self.cases.len())
    }
}

impl Case {
    /// Whether nothing is to come of it.
    pub(crate) fn expects_silence(&self) -> bool {
        matches!(self.expected, Expected::Silence)
    }

    /// What differs, or nothing.
    fn compare(&self, answer: &Answer) -> Option<String> {
        let seen = match (&self.expected, answer) {
            (Expected::Silence, Answer::Silence) | (Expected::Forward, Answer::Forward) => return None,
            (Expected::Reply(expected), Answer::Reply(octets)) => match Shown::of(&self.query, octets) {
                Ok(shown) if shown.is(expected) => return None,
                Ok(shown) => format!("{shown:#?}"),
                Err(reason) => format!("{reason}: {octets:02x?}"),
            },
            (_, answer) => format!("{answer:02x?}"),
        };
        Some(format!(
            "{}\nexpected {:#?}\nseen {seen}\n",
            self.place, self.expected
        ))
    }
}

fn source() -> Source {
    Source::Engine("unix:///script".into())
}

/// `redis1 redis dev 10.0.0.4,fd00::4 6379/tcp,53/udp ttl=30 region=here uuid=00000000a1`
fn service(number: usize, words: &[&str]) -> Option<Service> {
    let [instance, service, environment, addresses, rest @ ..] = words else {
        return None;
    };
    let option = |name: &str| {
        rest.iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let ports = rest
        .iter()
        .filter(|word| word.contains('/') && !word.contains('='))
        .flat_map(|ports| ports.split(','));
    let ports: Option<Vec<_>> = ports.map(port).collect();
    let mut ports = ports?;
    ports.sort();
    let addresses = addresses.split(',').filter(|address| *address != "-");
    let addresses: Result<Vec<IpAddr>, _> = addresses.map(str::parse).collect();
    let addresses = addresses.ok()?;
    let wishes = wishes(option)?;
    let uuid = option("uuid").map_or_else(|| format!("{number:010x}"), str::to_owned);
    Some(Service {
        id: ServiceId {
            source: source(),
            id: uuid.as_str().into(),
            part: 0,
        },
        environment: (*environment).into(),
        service: (*service).into(),
        is_service_asked: false,
        instance: (*instance).into(),
        region: option("region").unwrap_or("here").into(),
        uuid: uuid.into(),
        compose: None,
        addresses: addresses.into_iter().map(Into::into).collect(),
        ports: ports.into(),
        health: match option("health") {
            None => Health::None,
            Some("starting") => Health::Starting,
            Some("healthy") => Health::Healthy,
            Some("unhealthy") => Health::Unhealthy,
            Some(_) => return None,
        },
        ttl_seconds: option("ttl").map_or(Some(30), |ttl| ttl.parse().ok())?,
        until: None,
        wishes: (wishes != Wishes::default()).then(|| Box::new(wishes)),
    })
}

fn wishes<'w>(option: impl Fn(&str) -> Option<&'w str>) -> Option<Wishes> {
    let names = option("name").into_iter().flat_map(|names| names.split(','));
    let names: Result<Vec<Name>, _> = names.map(str::parse).collect();
    let named = option("named").map(|named| {
        let (name, number) = named.split_once(':')?;
        let port = port(number)?;
        Some(NamedPort {
            name: name.into(),
            port,
        })
    });
    let srv = option("srv").map(|srv| {
        let numbers: Result<Vec<u16>, _> = srv.split(':').map(str::parse).collect();
        <[u16; 3]>::try_from(numbers.ok()?).ok()
    });
    let [port, priority, weight] = match srv {
        None => [None; 3],
        Some(numbers) => numbers?.map(Some),
    };
    Some(Wishes {
        names: names.ok()?,
        alias: option("alias").map(str::parse).transpose().ok()?,
        port,
        priority,
        weight,
        named_ports: named.into_iter().collect::<Option<_>>()?,
        texts: option("text").into_iter().map(Into::into).collect(),
        publish: match option("publish") {
            None => Publish::Healthy,
            Some("starting") => Publish::Starting,
            Some("always") => Publish::Always,
            Some(_) => return None,
        },
        published_ports: Vec::new(),
        network_aliases: Vec::new(),
    })
}

fn port(text: &str) -> Option<Port> {
    let (number, protocol) = text.split_once('/')?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    Some(Port {
        protocol,
        number: number.parse().ok()?,
    })
}
