//! Scripts of queries and replies.
//!
//! ```text
//! # A comment.
//! zone docker
//! service redis1 redis dev 10.0.0.4 6379/tcp ttl=30 region=here uuid=00000000a1
//!
//! == RFC 4343, section 3: names compare without regard to the case of ASCII letters.
//! ? REDIS1.redis.dev.docker A
//! = NOERROR aa rd ra
//! answer REDIS1.redis.dev.docker 30 A 10.0.0.4
//! ```
//!
//! A query is `?`, a name (with `\DDD` for any octet) and a type, then any of: `class=CH`, `-rd`, `+aa +tc +ra +z +ad +cd`,
//! `opcode=4`, `rcode=3`, `qr`, `edns=4096`, `do`, `version=1`, `option=10:0102`, `qdcount=2`, `ancount=1`, `arcount=0`,
//! `tail=0102` (octets after the message), `cut=3` (octets taken off its end), `from=ADDRESS`, `tcp`. Or it is `? hex 0001...`.
//!
//! A reply is `=`, an rcode and all flags but QR, or `= silence`, or `= forward`. Then lines with every record of each
//! section, in any order; `*` stands for any word. `edns 1232 do` is its OPT record, and without that line there must be
//! none. The question comes back octet for octet, or `question none` says that it does not. `octets 12` is its length.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use controlplane::compile::Compiler;
use controlplane::naming::Naming;
use controlplane::registry::Registry;
use controlplane::{Change, Port, Protocol, Service, ServiceId, Source};
use dns::{Builder, Name, Snapshot, ZoneSettings};
use domain::base::iana::Rtype;
use domain::base::{Message, ParsedName, ParsedRecord};
use domain::rdata::AllRecordData;

/// What a script says there is, and what it asks.
pub(crate) struct Script {
    zones: Vec<Name>,
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

/// A reply as a script writes it: `head` is the line behind `=`, each other line as it is, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    head: String,
    lines: Vec<String>,
    has_question: bool,
    octets: Option<usize>,
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
                ["zone", zone] => script.zones.push(zone.parse().expect("a zone's name")),
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
        let zones: Vec<_> = self
            .zones
            .iter()
            .map(|zone| ZoneSettings::of(zone.clone(), 30))
            .collect();
        let builder = Builder::new(zones, 7, 0).expect("a script's zones are well formed");
        let mut compiler = Compiler::new(Naming::new(self.zones.clone()), builder);
        let reset = Change::Reset {
            source: source(),
            services: self.services.clone(),
        };
        for delta in Registry::default().apply(reset) {
            let applied = compiler.apply(&delta);
            assert!(applied.failed.is_none(), "{:?}", applied.failed);
        }
        let (snapshot, errors) = compiler.compile();
        assert!(errors.is_empty(), "{errors:?}");
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
            (Expected::Reply(expected), Answer::Reply(octets)) => match self.show(octets) {
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

    fn show(&self, octets: &[u8]) -> Result<Shown, String> {
        let message = Message::from_octets(octets).map_err(|_| "shorter than a header")?;
        let header = message.header();
        if octets.get(..2) != self.query.get(..2) || !header.qr() {
            return Err("its id is another, or QR is not set".to_owned());
        }
        let opt = message.opt();
        let rcode = opt
            .as_ref()
            .map_or(header.rcode().into(), |opt| opt.rcode(header));
        let mut head = vec![rcode.to_string()];
        let flags = [
            ("aa", header.aa()),
            ("tc", header.tc()),
            ("rd", header.rd()),
            ("ra", header.ra()),
            ("z", header.z()),
            ("ad", header.ad()),
            ("cd", header.cd()),
        ];
        head.extend(
            flags
                .iter()
                .filter(|(_, set)| *set)
                .map(|(flag, _)| (*flag).to_owned()),
        );
        let opcode = header.opcode().to_int();
        head.extend((opcode != 0).then(|| format!("opcode={opcode}")));

        let mut lines = Vec::new();
        if let Some(opt) = &opt {
            let dnssec = if opt.dnssec_ok() { " do" } else { "" };
            let version = if opt.version() == 0 {
                String::new()
            } else {
                format!(" version={}", opt.version())
            };
            let options = opt.opt().iter::<domain::base::opt::UnknownOptData<_>>().flatten();
            let options: String = options
                .map(|option| format!(" option={}", option.code().to_int()))
                .collect();
            lines.push(format!(
                "edns {}{dnssec}{version}{options}",
                opt.udp_payload_size()
            ));
        }
        let sections = [
            ("answer", message.answer()),
            ("authority", message.authority()),
            ("additional", message.additional()),
        ];
        for (name, section) in sections {
            for record in section.map_err(|error| format!("{name}: {error}"))? {
                let record = record.map_err(|error| format!("{name}: {error}"))?;
                if record.rtype() != Rtype::OPT {
                    lines.push(format!("{name} {}", line(&record)?));
                }
            }
        }
        lines.sort();
        let counts = message.header_counts();
        let end = end_of(&message).ok_or("it ends in a record")?;
        if end != octets.len() {
            return Err(format!("{} octets follow its last record", octets.len() - end));
        }
        let has_question = counts.qdcount() > 0;
        if has_question
            && !self.query.get(12..).is_some_and(|sent| {
                let length = question_octets(octets);
                sent.get(..length) == octets.get(12..12 + length)
            })
        {
            return Err("its question is not the one that was asked".to_owned());
        }
        Ok(Shown {
            head: head.join(" "),
            lines,
            has_question,
            octets: Some(octets.len()),
        })
    }
}

impl Shown {
    fn is(&self, expected: &Self) -> bool {
        let fits = |seen: &str, expected: &str| {
            let (seen, expected): (Vec<_>, Vec<_>) = (
                seen.split_whitespace().collect(),
                expected.split_whitespace().collect(),
            );
            seen.len() == expected.len()
                && seen
                    .iter()
                    .zip(&expected)
                    .all(|(seen, word)| *word == "*" || seen == word)
        };
        let lines = self.lines.len() == expected.lines.len()
            && self
                .lines
                .iter()
                .zip(&expected.lines)
                .all(|(seen, expected)| fits(seen, expected));
        let octets = expected.octets.is_none() || self.octets == expected.octets;
        fits(&self.head, &expected.head) && lines && octets && self.has_question == expected.has_question
    }
}

/// `redis1.redis.dev.docker 30 A 10.0.0.4`, names without their last dot.
fn line(record: &ParsedRecord<'_, &[u8]>) -> Result<String, String> {
    let data = record
        .to_record::<AllRecordData<_, ParsedName<_>>>()
        .map_err(|error| error.to_string())?;
    let data = data.ok_or("data of an unknown type")?;
    let owner = record.owner();
    let text = format!(
        "{owner} {} {} {}",
        record.ttl().as_secs(),
        record.rtype(),
        data.data()
    );
    let words = text.split_whitespace().map(|word| {
        if word.len() > 1 {
            word.trim_end_matches('.')
        } else {
            word
        }
    });
    Ok(words.collect::<Vec<_>>().join(" "))
}

/// Where the last record ends.
fn end_of(message: &Message<&[u8]>) -> Option<usize> {
    let mut end = 12
        + if message.header_counts().qdcount() > 0 {
            question_octets(message.as_slice())
        } else {
            0
        };
    let counts = message.header_counts();
    let records =
        usize::from(counts.ancount()) + usize::from(counts.nscount()) + usize::from(counts.arcount());
    let octets = message.as_slice();
    for _ in 0..records {
        while *octets.get(end)? != 0 && *octets.get(end)? < 0xc0 {
            end += 1 + usize::from(*octets.get(end)?);
        }
        end += if *octets.get(end)? == 0 { 1 } else { 2 };
        end += 10 + usize::from(u16::from_be_bytes([*octets.get(end + 8)?, *octets.get(end + 9)?]));
    }
    Some(end)
}

/// Octets of the first question, whose name is not compressed.
fn question_octets(message: &[u8]) -> usize {
    let mut end = 12;
    while let Some(&length) = message.get(end).filter(|length| **length != 0) {
        end += 1 + usize::from(length);
    }
    end + 1 + 4 - 12
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
        .filter(|word| word.contains('/'))
        .flat_map(|ports| ports.split(','));
    let ports: Option<Vec<_>> = ports.map(port).collect();
    let mut ports = ports?;
    ports.sort();
    let addresses: Result<Vec<IpAddr>, _> = addresses.split(',').map(str::parse).collect();
    let addresses = addresses.ok()?;
    let uuid = option("uuid").map_or_else(|| format!("{number:010x}"), str::to_owned);
    Some(Service {
        id: ServiceId {
            source: source(),
            id: Arc::from(uuid.as_str()),
        },
        environment: (*environment).to_owned(),
        service: (*service).to_owned(),
        instance: (*instance).to_owned(),
        region: option("region").unwrap_or("here").to_owned(),
        host: addresses.first()?.to_string(),
        uuid,
        addresses,
        ports,
        ttl_seconds: option("ttl").map_or(Some(30), |ttl| ttl.parse().ok())?,
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

/// A query as a script writes it.
struct Asked {
    /// The header is in the digits of `hex`.
    is_raw: bool,
    flags: u16,
    questions: u16,
    answers: u16,
    additionals: Option<u16>,
    question: Vec<u8>,
    opt: Option<[u8; 9]>,
    options: Vec<u8>,
    tail: Vec<u8>,
    cut: usize,
    from: Option<IpAddr>,
    is_tcp: bool,
}

/// The id of every query.
const ID: u16 = 0x5157;

/// Types that scripts call by their name.
const TYPES: [(&str, u16); 16] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("OPT", 41),
    ("DS", 43),
    ("TKEY", 249),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("MAILB", 253),
    ("ANY", 255),
];

/// Classes that scripts call by their name.
const CLASSES: [(&str, u16); 5] = [("IN", 1), ("CH", 3), ("HS", 4), ("NONE", 254), ("ANY", 255)];

impl Asked {
    fn read(words: &[&str]) -> Option<Self> {
        let mut asked = Self {
            is_raw: false,
            flags: 0x0100,
            questions: 1,
            answers: 0,
            additionals: None,
            question: Vec::new(),
            opt: None,
            options: Vec::new(),
            tail: Vec::new(),
            cut: 0,
            from: None,
            is_tcp: false,
        };
        if let ["hex", digits @ ..] = words {
            asked.tail = hex(&digits.concat())?;
            asked.is_raw = true;
            return Some(asked);
        }
        let [name, rtype, rest @ ..] = words else {
            return None;
        };
        asked.question = wire_name(name)?;
        asked.question.extend(code(rtype, &TYPES)?.to_be_bytes());
        let mut class = 1;
        for word in rest {
            asked.modify(word, &mut class)?;
        }
        asked.question.extend(class.to_be_bytes());
        Some(asked)
    }

    fn modify(&mut self, word: &str, class: &mut u16) -> Option<()> {
        let flags = &mut self.flags;
        match word.split_once('=').unwrap_or((word, "")) {
            ("-rd", _) => *flags &= !0x0100,
            ("qr", _) => *flags |= 0x8000,
            ("+aa", _) => *flags |= 0x0400,
            ("+tc", _) => *flags |= 0x0200,
            ("+ra", _) => *flags |= 0x0080,
            ("+z", _) => *flags |= 0x0040,
            ("+ad", _) => *flags |= 0x0020,
            ("+cd", _) => *flags |= 0x0010,
            ("opcode", value) => *flags |= value.parse::<u16>().ok()? << 11,
            ("rcode", value) => *flags |= value.parse::<u16>().ok()?,
            ("class", value) => *class = code(value, &CLASSES)?,
            ("edns", value) => self.opt()[3..5].copy_from_slice(&value.parse::<u16>().ok()?.to_be_bytes()),
            ("do", _) => self.opt()[7] |= 0x80,
            ("version", value) => self.opt()[6] = value.parse().ok()?,
            ("option", value) => {
                let (code, data) = value.split_once(':')?;
                let data = hex(data)?;
                self.opt();
                self.options.extend(code.parse::<u16>().ok()?.to_be_bytes());
                self.options.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
                self.options.extend(data);
            }
            ("qdcount", value) => self.questions = value.parse().ok()?,
            ("ancount", value) => self.answers = value.parse().ok()?,
            ("arcount", value) => self.additionals = Some(value.parse().ok()?),
            ("tail", value) => self.tail = hex(value)?,
            ("cut", value) => self.cut = value.parse().ok()?,
            ("from", value) => self.from = Some(value.parse().ok()?),
            ("tcp", _) => self.is_tcp = true,
            _ => return None,
        }
        Some(())
    }

    /// Root, type OPT, size 1232, rcode, version, flags.
    fn opt(&mut self) -> &mut [u8; 9] {
        self.opt.get_or_insert([0, 0, 41, 4, 208, 0, 0, 0, 0])
    }

    fn octets(self) -> Vec<u8> {
        if self.is_raw {
            return self.tail;
        }
        let additionals = self.additionals.unwrap_or(u16::from(self.opt.is_some()));
        let head = [ID, self.flags, self.questions, self.answers, 0, additionals];
        let mut octets: Vec<u8> = head.iter().flat_map(|word| word.to_be_bytes()).collect();
        octets.extend(self.question);
        if let Some(opt) = self.opt {
            octets.extend(opt);
            octets.extend(
                u16::try_from(self.options.len())
                    .expect("a script's options are few")
                    .to_be_bytes(),
            );
            octets.extend(self.options);
        }
        octets.extend(self.tail);
        octets.truncate(octets.len() - self.cut);
        octets
    }
}

/// A name in presentation format, `\DDD` for any octet and `x*63` for a label of 63 letters x.
fn wire_name(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        let label = match label.split_once('*') {
            Some((letter, count)) if !letter.is_empty() && !count.is_empty() => {
                letter.repeat(count.parse().ok()?).into_bytes()
            }
            _ => {
                let mut parts = label.split('\\');
                let mut octets = parts.next()?.as_bytes().to_vec();
                for part in parts {
                    octets.push(part.get(..3)?.parse().ok()?);
                    octets.extend(part.get(3..)?.as_bytes());
                }
                octets
            }
        };
        octets.push(u8::try_from(label.len()).ok()?);
        octets.extend(label);
    }
    octets.push(0);
    Some(octets)
}

/// A code by name, or by number as `TYPE666`, `CLASS42` or `666`.
fn code(text: &str, known: &[(&str, u16)]) -> Option<u16> {
    let by_name = known
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, code)| *code);
    by_name.or_else(|| text.trim_start_matches(char::is_alphabetic).parse().ok())
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    pairs.collect()
}
