//! A reply as it is compared: what a client can tell of it, in a form where equal things are equal.

use std::collections::BTreeSet;

use domain::base::iana::Rtype;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Message, ParsedName, ParsedRecord};
use domain::rdata::AllRecordData;

/// Octets of a header.
const HEADER_OCTETS: usize = 12;
/// Octets of a record around its data: a pointer, type, class, TTL, and the length of the data.
const RECORD_OCTETS: usize = 12;

/// A record. Names of its data are in small letters, as all servers may compress them into the question's capitals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) owner: String,
    pub(crate) rtype: u16,
    pub(crate) ttl_seconds: u32,
    pub(crate) data: String,
    /// What it takes where its owner is a pointer and no name of its data is.
    pub(crate) octets: usize,
}

/// The records of one section; their order means nothing.
pub(crate) type Section = BTreeSet<Line>;

/// What is in an OPT record, but for the size that the server takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opt {
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    /// Codes of its options.
    pub(crate) options: Vec<u16>,
}

/// A reply.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) octets: usize,
    pub(crate) rcode: String,
    pub(crate) is_authoritative: bool,
    pub(crate) is_truncated: bool,
    pub(crate) offers_recursion: bool,
    /// RD, Z, AD and CD.
    pub(crate) other_flags: [bool; 4],
    pub(crate) answer: Section,
    pub(crate) authority: Section,
    pub(crate) additional: Section,
    /// Records that say what another one in their section says, too.
    pub(crate) doubles: usize,
    pub(crate) opt: Option<Opt>,
    /// It repeats the question, octet for octet.
    pub(crate) repeats_question: bool,
}

impl Seen {
    /// Reads `reply` to `query`, whose question ends before `question_end`.
    ///
    /// # Errors
    ///
    /// What makes it no reply to `query`, or no message.
    pub(crate) fn of(query: &[u8], question_end: usize, reply: &[u8]) -> Result<Self, String> {
        let message = Message::from_octets(reply).map_err(|_| "shorter than a header")?;
        let header = message.header();
        if reply.get(..2) != query.get(..2) || !header.qr() || header.opcode().to_int() != 0 {
            return Err("no reply to it".to_owned());
        }
        let opt = message.opt();
        let rcode = opt
            .as_ref()
            .map_or(header.rcode().into(), |opt| opt.rcode(header));
        let opt = opt.map(|opt| Opt {
            version: opt.version(),
            dnssec_ok: opt.dnssec_ok(),
            options: opt
                .opt()
                .iter::<domain::base::opt::UnknownOptData<_>>()
                .flatten()
                .map(|option| option.code().to_int())
                .collect(),
        });
        let mut doubles = 0;
        let mut sections = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
        let parsed = [message.answer(), message.authority(), message.additional()];
        for (section, records) in sections.iter_mut().zip(parsed) {
            for record in records.map_err(|error| error.to_string())? {
                let record = record.map_err(|error| error.to_string())?;
                if record.rtype() != Rtype::OPT {
                    doubles += usize::from(!section.insert(Line::of(&record)?));
                }
            }
        }
        let [answer, authority, additional] = sections;
        let question = HEADER_OCTETS..question_end;
        Ok(Self {
            octets: reply.len(),
            rcode: rcode.to_string(),
            is_authoritative: header.aa(),
            is_truncated: header.tc(),
            offers_recursion: header.ra(),
            other_flags: [header.rd(), header.z(), header.ad(), header.cd()],
            answer,
            authority,
            additional,
            doubles,
            opt,
            repeats_question: message.header_counts().qdcount() == 1
                && reply.get(question.clone()) == query.get(question),
        })
    }

    /// In a few lines, for people.
    pub(crate) fn show(&self) -> String {
        let mut text = format!("{}, {} octets", self.rcode, self.octets);
        for (flag, set) in [
            (" aa", self.is_authoritative),
            (" tc", self.is_truncated),
            (" ra", self.offers_recursion),
        ] {
            text.push_str(if set { flag } else { "" });
        }
        if self.doubles > 0 {
            text.push_str(&format!(", {} doubles", self.doubles));
        }
        if let Some(opt) = &self.opt {
            text.push_str(&format!(", {opt:?}"));
        }
        for (title, section) in [
            ("answer", &self.answer),
            ("authority", &self.authority),
            ("additional", &self.additional),
        ] {
            for line in section.iter().take(SHOWN_MAX) {
                let Line {
                    owner,
                    rtype,
                    ttl_seconds,
                    data,
                    ..
                } = line;
                let (rtype, data) = (
                    Rtype::from_int(*rtype),
                    data.chars().take(100).collect::<String>(),
                );
                text.push_str(&format!("\n      {title} {owner} {ttl_seconds} {rtype} {data}"));
            }
            if section.len() > SHOWN_MAX {
                text.push_str(&format!("\n      {title} has {} records", section.len()));
            }
        }
        text
    }
}

/// Records of a section that are shown.
const SHOWN_MAX: usize = 12;

impl Line {
    fn of(record: &ParsedRecord<'_, &[u8]>) -> Result<Self, String> {
        let data = record
            .to_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>()
            .map_err(|error| error.to_string())?;
        let mut octets = Vec::new();
        let Ok(()) = data.data().compose_rdata(&mut octets);
        let mut text = data.data().to_string();
        // The letters of a text stand for themselves.
        if record.rtype() != Rtype::TXT {
            text.make_ascii_lowercase();
        }
        Ok(Self {
            owner: record.owner().to_string().to_ascii_lowercase(),
            rtype: record.rtype().to_int(),
            ttl_seconds: record.ttl().as_secs(),
            data: text,
            octets: RECORD_OCTETS + octets.len(),
        })
    }
}
