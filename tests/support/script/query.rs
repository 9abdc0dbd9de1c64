//! A query as a script writes it.

use std::net::IpAddr;

/// A query as a script writes it.
pub(super) struct Asked {
    /// The header is in the digits of `hex`.
    is_raw: bool,
    flags: u16,
    questions: u16,
    answers: u16,
    authorities: u16,
    additionals: Option<u16>,
    question: Vec<u8>,
    opt: Option<[u8; 9]>,
    options: Vec<u8>,
    tail: Vec<u8>,
    cut: usize,
    /// Who asks.
    pub(super) from: Option<IpAddr>,
    /// Whether it is asked over TCP.
    pub(super) is_tcp: bool,
}

/// The id of every query.
const ID: u16 = 0x5157;

/// Types that scripts call by their name.
const TYPES: [(&str, u16); 18] = [
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
    ("SVCB", 64),
    ("HTTPS", 65),
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
    /// Reads the words behind `?`; none where they are not as the head of this module has it.
    pub(super) fn read(words: &[&str]) -> Option<Self> {
        let mut asked = Self {
            is_raw: false,
            flags: 0x0100,
            questions: 1,
            answers: 0,
            authorities: 0,
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
            ("nscount", value) => self.authorities = value.parse().ok()?,
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

    /// The datagram.
    pub(super) fn octets(self) -> Vec<u8> {
        if self.is_raw {
            return self.tail;
        }
        let additionals = self.additionals.unwrap_or(u16::from(self.opt.is_some()));
        let head = [
            ID,
            self.flags,
            self.questions,
            self.answers,
            self.authorities,
            additionals,
        ];
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
