//! dig, and what it prints, taken apart.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

/// A reply as dig shows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// `NOERROR`, `NXDOMAIN`; `silence` when nothing came.
    pub(crate) status: String,
    /// In dig's order: `qr aa rd ra`.
    pub(crate) flags: Vec<String>,
    /// The UDP size of its OPT record, where there is one.
    pub(crate) edns: Option<u16>,
    /// Answer section.
    pub(crate) answer: Vec<Record>,
    /// Authority section.
    pub(crate) authority: Vec<Record>,
    /// Additional section, without the OPT record.
    pub(crate) additional: Vec<Record>,
}

/// A record as dig prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Owner name, as it came, without the last dot.
    pub(crate) owner: String,
    /// Seconds.
    pub(crate) ttl: u32,
    /// `A`, `SRV`.
    pub(crate) rtype: String,
    /// The rest of the line.
    pub(crate) data: String,
}

/// Asks `server`: a name, a type, and more words of dig, for example `redis1.docker AAAA +noedns`.
pub(crate) fn dig(server: SocketAddr, question: &str) -> Reply {
    let mut command = Command::new("dig");
    command.args(arguments(server, question));
    loop {
        let reply = read(&mut command);
        // dig takes a port that others have who share it (SO_REUSEPORT), and so do our listeners. Where the kernel draws
        // the server's own, dig hears nobody but itself.
        let is_own_question = !reply.flags.is_empty() && !reply.flags.iter().any(|flag| flag == "qr");
        if !is_own_question {
            return reply;
        }
    }
}

/// The arguments of dig that [`dig`] uses, for a dig that runs elsewhere.
pub(crate) fn arguments(server: SocketAddr, question: &str) -> Vec<String> {
    let options = "+time=2 +tries=1 +nocookie +noall +comments +answer +authority +additional";
    let place = format!("-r @{} -p {}", server.ip(), server.port());
    [place.as_str(), options, question]
        .join(" ")
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Runs a dig and reads what it prints.
pub(crate) fn read(command: &mut Command) -> Reply {
    let output = command.output().expect("dig starts (package bind9-dnsutils)");
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Reply {
    let mut reply = Reply {
        status: "silence".to_owned(),
        ..Reply::default()
    };
    let mut section = "";
    for line in text.lines() {
        if let Some((_, status)) = line.split_once("status: ") {
            reply.status = until(status, ',').to_owned();
        } else if let Some(flags) = line.strip_prefix(";; flags: ") {
            reply.flags = until(flags, ';').split_whitespace().map(str::to_owned).collect();
        } else if let Some((_, size)) = line.split_once("; udp: ") {
            reply.edns = size.trim().parse().ok();
        } else if let Some(name) = line
            .strip_prefix(";; ")
            .and_then(|rest| rest.strip_suffix(" SECTION:"))
        {
            section = name;
        } else if let Some(record) = record(line) {
            match section {
                "ANSWER" => reply.answer.push(record),
                "AUTHORITY" => reply.authority.push(record),
                "ADDITIONAL" => reply.additional.push(record),
                _ => {}
            }
        }
    }
    reply
}

/// `redis1.docker.  30  IN  A  10.0.0.4`
fn record(line: &str) -> Option<Record> {
    if line.starts_with(';') {
        return None;
    }
    let mut words = line.split_whitespace();
    let (owner, ttl, _class, rtype) = (
        words.next()?,
        words.next()?.parse().ok()?,
        words.next()?,
        words.next()?,
    );
    let owner = owner.strip_suffix('.').unwrap_or(owner).to_owned();
    Some(Record {
        owner,
        ttl,
        rtype: rtype.to_owned(),
        data: words.collect::<Vec<_>>().join(" "),
    })
}

fn until(text: &str, end: char) -> &str {
    text.split(end).next().unwrap_or_default()
}

impl Reply {
    /// The data of the answers, sorted.
    pub(crate) fn sorted_answers(&self) -> Vec<String> {
        let mut answers: Vec<_> = self.answer.iter().map(|record| record.data.clone()).collect();
        answers.sort();
        answers
    }

    /// The addresses in the answers, in the order they came.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.answer
            .iter()
            .filter_map(|record| record.data.parse().ok())
            .collect()
    }

    /// Whether a flag is set.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|set| set == flag)
    }

    /// The one SOA in the authority section.
    pub(crate) fn soa(&self) -> Option<&Record> {
        match self.authority.as_slice() {
            [record] if record.rtype == "SOA" => Some(record),
            _ => None,
        }
    }
}

#[test]
fn what_dig_prints_is_taken_apart() {
    let text = "
;; Got answer:
;; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 1
;; flags: qr aa rd ra; QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 1

;; OPT PSEUDOSECTION:
; EDNS: version: 0, flags:; udp: 1232
;; AUTHORITY SECTION:
docker.\t\t30\tIN\tSOA\tns.docker. hostmaster.docker. 7 60 60 60 30
";
    let reply = parse(text);
    assert_eq!((reply.status.as_str(), reply.edns), ("NXDOMAIN", Some(1232)));
    assert!(reply.has("aa") && reply.has("ra") && !reply.has("tc"));
    let data = "ns.docker. hostmaster.docker. 7 60 60 60 30".to_owned();
    assert_eq!(
        reply.soa(),
        Some(&Record {
            owner: "docker".to_owned(),
            ttl: 30,
            rtype: "SOA".to_owned(),
            data
        })
    );
    assert_eq!(
        parse(";; connection timed out; no servers could be reached").status,
        "silence"
    );
}
