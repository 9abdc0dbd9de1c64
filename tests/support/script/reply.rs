//! A reply as a script writes it, and how one that came compares with it.

use domain::base::iana::Rtype;
use domain::base::{Message, ParsedName, ParsedRecord};
use domain::rdata::AllRecordData;

/// The option that is another each second, so scripts see that it is there and no more.
const COOKIE: u16 = 10;

/// A reply as a script writes it: `head` is the line behind `=`, each other line as it is, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) head: String,
    pub(super) lines: Vec<String>,
    pub(super) has_question: bool,
    pub(super) octets: Option<usize>,
}

fn digits(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Shown {
    /// The reply `octets` to `query`.
    ///
    /// # Errors
    ///
    /// What makes it no reply to that query, or no message at all.
    pub(super) fn of(query: &[u8], octets: &[u8]) -> Result<Self, String> {
        let message = Message::from_octets(octets).map_err(|_| "shorter than a header")?;
        let header = message.header();
        if octets.get(..2) != query.get(..2) || !header.qr() {
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
                .map(|option| match option.code().to_int() {
                    COOKIE => format!(" option={COOKIE}"),
                    code => format!(" option={code}:{}", digits(option.as_slice())),
                })
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
            && !query.get(12..).is_some_and(|sent| {
                let length = question_octets(octets);
                sent.get(..length) == octets.get(12..12 + length)
            })
        {
            return Err("its question is not the one that was asked".to_owned());
        }
        Ok(Self {
            head: head.join(" "),
            lines,
            has_question,
            octets: Some(octets.len()),
        })
    }

    /// Whether it is as `expected`, in which `*` stands for any word.
    pub(super) fn is(&self, expected: &Self) -> bool {
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
