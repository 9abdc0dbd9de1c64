//! The records that both servers serve: for us as a snapshot, for the other one as zone files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use dns::snapshot::{Builder, Endpoint, ZoneSettings};
use dns::{Name, RType, Record, RecordData, RrSet, Snapshot, View};

use crate::support::trusted::ZoneFile;

/// The zones. The last of them is none of ours: we own that one name in it.
const APEXES: [&str; 4] = ["docker", "17.172.in-addr.arpa", "0.0.d.f.ip6.arpa", OUTSIDE];
/// A name that a container has outside our zones.
pub(crate) const OUTSIDE: &str = "www.example.org";
/// Serial and other times of every SOA record.
const SOA_TIMES: &str = "1 28800 7200 604800";
/// Time that an absence may be remembered, in seconds.
const NEGATIVE_TTL_SECONDS: u32 = 5;

/// Environment, service, instance, region, host and uuid of the container.
const CONTAINER: [&str; 6] = ["dev", "web", "one", "region", "host", "0123456789"];

/// Owner, TTL, type, data.
const RECORDS: &str = r#"
# An apex with its servers and their glue.
docker 30 NS ns.dns.docker
docker 30 NS ns2.dns.docker
docker 30 TXT "the apex"
ns.dns.docker 30 A 172.17.0.53
ns.dns.docker 60 AAAA fd00::53
ns2.dns.docker 30 A 172.17.0.54
17.172.in-addr.arpa 30 NS ns.dns.docker

# Services, as they are compiled from containers.
dev.docker 30 A 172.17.0.2
dev.docker 30 A 172.17.0.3
dev.docker 30 SRV 10 50 80 0123456789.docker
dev.docker 30 SRV 10 50 8080 abcdef0123.docker
web.dev.docker 30 A 172.17.0.2
web.dev.docker 30 A 172.17.0.3
web.dev.docker 30 AAAA fd00::2
web.dev.docker 30 SRV 10 50 80 0123456789.docker
web.dev.docker 30 SRV 10 50 8080 abcdef0123.docker
one.web.dev.docker 30 A 172.17.0.2
one.web.dev.docker 30 AAAA fd00::2
one.web.dev.docker 30 TXT "version=1"
_http._tcp.web.dev.docker 30 SRV 10 100 80 0123456789.docker
0123456789.docker 30 A 172.17.0.2
0123456789.docker 30 AAAA fd00::2
abcdef0123.docker 30 A 172.17.0.3
2.0.17.172.in-addr.arpa 30 PTR one.web.dev.docker
3.0.17.172.in-addr.arpa 30 PTR two.web.dev.docker
3.0.17.172.in-addr.arpa 30 PTR three.web.dev.docker
2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa 30 PTR one.web.dev.docker
www.example.org 30 A 172.17.0.2

# SRV: targets that fit into a reply without their addresses, a target outside, one that is an alias, one that a wildcard owner makes, and none at all.
eight.docker 30 SRV 10 12 80 target0.services.docker
eight.docker 30 SRV 10 12 80 target1.services.docker
eight.docker 30 SRV 10 12 80 target2.services.docker
eight.docker 30 SRV 10 12 80 target3.services.docker
eight.docker 30 SRV 10 12 80 target4.services.docker
eight.docker 30 SRV 10 12 80 target5.services.docker
eight.docker 30 SRV 10 12 80 target6.services.docker
eight.docker 30 SRV 10 12 80 target7.services.docker
far.docker 30 SRV 10 50 80 host.example.com
indirect.docker 30 SRV 10 50 80 alias.docker
synthesised.docker 30 SRV 10 50 80 any-host.wild.docker
nowhere.docker 30 SRV 0 0 0 .

# Times to live.
now.docker 0 A 172.17.0.9
ever.docker 2147483647 A 172.17.0.9

# Texts.
text.docker 30 TXT "" "a b" "Quote \" and \\ backslash" "\000\009\200\255"
text.docker 30 TXT "second"
empty.docker 30 TXT ""

# Aliases: within the zone, in a chain, out of it, to nothing, in circles.
alias.docker 30 CNAME web.dev.docker
first.docker 30 CNAME second.docker
second.docker 60 CNAME third.docker
third.docker 30 CNAME web.dev.docker
out.docker 30 CNAME host.example.com
two-steps-out.docker 30 CNAME out.docker
dangling.docker 30 CNAME absent.docker
to-text.docker 30 CNAME text.docker
to-branch.docker 30 CNAME dns.docker
to-wild.docker 30 CNAME x.wild.docker
to-crowd.docker 30 CNAME crowd.docker
to-apex.docker 30 CNAME docker
across.docker 30 CNAME 2.0.17.172.in-addr.arpa
across-to-nothing.docker 30 CNAME 9.9.17.172.in-addr.arpa
to-pattern.docker 30 CNAME region.one.web.dev.docker
self.docker 30 CNAME self.docker
tick.docker 30 CNAME tock.docker
tock.docker 30 CNAME tick.docker

# Wildcard owners: the zone of RFC 4592, section 2.2.1, below a name of ours.
*.wild.docker 3600 TXT "this is a wildcard"
*.wild.docker 3600 A 172.17.0.7
sub.*.wild.docker 3600 TXT "this is not a wildcard"
host1.wild.docker 3600 A 172.17.0.8
_ssh._tcp.host1.wild.docker 3600 SRV 0 0 22 host1.wild.docker
_ssh._tcp.host2.wild.docker 3600 SRV 0 0 22 host1.wild.docker

# Deeper: one below another, one that an empty name hides, one of aliases, one with servers to look up.
*.outer.docker 30 A 172.17.1.1
*.inner.outer.docker 30 A 172.17.1.2
leaf.of.branch.outer.docker 30 A 172.17.1.3
*.aliases.docker 30 CNAME web.dev.docker
*.turning.docker 30 CNAME again.turning.docker
*.served.docker 30 SRV 10 100 80 0123456789.docker
*.*.stars.docker 30 A 172.17.1.4

# Labels of odd octets: NUL, dot, backslash, quote, blank, high ones, and the neighbours of letters.
\000.odd.docker 30 A 172.17.2.1
a\.b.odd.docker 30 A 172.17.2.2
b.odd.docker 30 A 172.17.2.3
\\\"\032.odd.docker 30 A 172.17.2.4
\192\224\255.odd.docker 30 A 172.17.2.5
\@\[\`\{.odd.docker 30 A 172.17.2.6
\064\091.odd.docker 30 TXT "upper neighbours"
\096\123.odd.docker 30 TXT "lower neighbours"
under_score.-dash-.odd.docker 30 A 172.17.2.7
\006docker.odd.docker 30 A 172.17.2.8
"#;

/// All records, and what we make of them besides.
pub(crate) struct World {
    zones: Vec<ZoneSettings>,
    records: Vec<Record>,
}

fn name(text: &str) -> Name {
    text.parse()
        .unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

impl World {
    /// The records above, and those that are too long to be written there.
    pub(crate) fn new() -> Self {
        let zones = APEXES.map(|apex| ZoneSettings {
            apex: name(apex),
            primary: name("ns.dns.docker"),
            mailbox: name("hostmaster.docker"),
            addresses: Vec::new(),
            ttl_seconds: 30,
            negative_ttl_seconds: NEGATIVE_TTL_SECONDS,
            matches_endpoints: !apex.ends_with("arpa"),
        });
        let lines = RECORDS
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("# "));
        let mut records: Vec<Record> = lines.map(record).collect();
        records.extend(generated());
        let zones = zones.to_vec();
        Self { zones, records }
    }

    /// Every name that has records.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &Name> {
        self.rrsets().into_keys()
    }

    /// Whether `name` is none that is stored, and matches the container: by a label that stands for any, or by more
    /// labels than are stored. A region is passed over, as SRV does.
    pub(crate) fn is_pattern(&self, name: &Name) -> bool {
        let Some(labels) = name.to_string().strip_suffix(".docker").map(str::to_owned) else {
            return false;
        };
        let labels: Vec<_> = labels.split('.').collect();
        let is_any = |label: &str| matches!(label, "*" | "any" | "all");
        let mut wanted = labels.iter().rev().zip(CONTAINER);
        (labels.len() > 3 || labels.iter().any(|label| is_any(label)))
            && labels.len() <= CONTAINER.len()
            && !self.records.iter().any(|record| record.owner.is_within(name))
            && wanted.all(|(label, own)| is_any(label) || own == "region" || *label == own)
    }

    /// The zone around `name`, be it ours or that of the name outside.
    pub(crate) fn zone_of(&self, name: &Name) -> Option<&Name> {
        let mut apexes = self.zones.iter().map(|zone| &zone.apex);
        apexes.find(|apex| name.is_within(apex))
    }

    /// How many records of `rtype` `owner` has.
    pub(crate) fn rrset_len(&self, owner: &Name, rtype: RType) -> usize {
        let is_one = |record: &&Record| record.owner == *owner && record.data.rtype() == rtype;
        self.records.iter().filter(is_one).count()
    }

    /// What the additional records of an RRset take.
    pub(crate) fn additional_octets(&self, owner: &Name, rtype: RType) -> usize {
        let is_one = |record: &&Record| record.owner == *owner && record.data.rtype() == rtype;
        let records: Vec<_> = self.records.iter().filter(is_one).collect();
        let mut octets = Vec::new();
        for record in self.additional(&records) {
            record.compose(&mut octets);
        }
        octets.len()
    }

    fn our_zones(&self) -> impl Iterator<Item = &ZoneSettings> {
        self.zones.iter().filter(|zone| zone.apex != name(OUTSIDE))
    }

    fn rrsets(&self) -> BTreeMap<&Name, BTreeMap<RType, Vec<&Record>>> {
        let mut rrsets: BTreeMap<_, BTreeMap<_, Vec<_>>> = BTreeMap::new();
        for record in &self.records {
            let types = rrsets.entry(&record.owner).or_default();
            types.entry(record.data.rtype()).or_default().push(record);
        }
        rrsets
    }

    /// The addresses of the names that `records` lead to.
    fn additional(&self, records: &[&Record]) -> Vec<Record> {
        let targets = records.iter().filter_map(|record| match &record.data {
            RecordData::Srv { target, .. } | RecordData::Ns(target) => Some(target),
            _ => None,
        });
        let addresses = targets.flat_map(|target| self.records.iter().filter(move |it| it.owner == *target));
        addresses
            .filter(|record| matches!(record.data, RecordData::A(_) | RecordData::Aaaa(_)))
            .cloned()
            .collect()
    }

    /// All of it as we serve it; and one container, whose names stand among the records above, for patterns to match.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut builder =
            Builder::new(self.our_zones().cloned().collect(), 7, 0).expect("the zones are apart");
        for (owner, types) in self.rrsets() {
            let rrsets: Vec<_> = types
                .values()
                .map(|records| RrSet {
                    view: View::EVERYONE,
                    ttl_seconds: records.first().map_or(0, |record| record.ttl_seconds),
                    until: None,
                    records: records.iter().map(|record| record.data.clone()).collect(),
                    additional: self.additional(records),
                })
                .collect();
            builder.set(owner, &rrsets).expect("RRsets are well formed");
        }
        let endpoint = Endpoint {
            ipv4: vec![Ipv4Addr::new(172, 17, 0, 2)],
            ipv6: vec!["fd00::2".parse().expect("an address")],
            port: Some(80),
            ..Endpoint::new(CONTAINER.map(|label| label.as_bytes().into()), 30)
        };
        builder.insert_endpoint(&endpoint).expect("its labels are short");
        builder.build()
    }

    /// All of it as other servers read it.
    pub(crate) fn zone_files(&self) -> Vec<ZoneFile> {
        let files = self.zones.iter().map(|zone| {
            let ZoneSettings {
                apex,
                primary,
                mailbox,
                negative_ttl_seconds: ttl,
                ..
            } = zone;
            let mut text = format!("$ORIGIN .\n{apex} {ttl} SOA {primary} {mailbox} {SOA_TIMES} {ttl}\n");
            for record in self.records.iter().filter(|it| it.owner.is_within(apex)) {
                let Record {
                    owner,
                    ttl_seconds,
                    data,
                } = record;
                writeln!(text, "{} {ttl_seconds} {}", written(owner), Written(data))
                    .expect("a String takes all");
            }
            ZoneFile {
                apex: apex.to_string(),
                text,
            }
        });
        files.collect()
    }
}

/// What would be too long to read above.
fn generated() -> Vec<Record> {
    let record = |owner: Name, data| Record {
        owner,
        ttl_seconds: 30,
        data,
    };
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        RecordData::A(Ipv4Addr::new(172, 18, high, low))
    };
    let mut records = Vec::new();
    // Sets for the sizes that are asked for: above 512 octets, above 1232, above 4096, and above every message.
    for (owner, count) in [
        ("many.docker", 40),
        ("crowd.docker", 100),
        ("mass.docker", 300),
        ("all-too-many.docker", 5000),
    ] {
        records.extend((0..count).map(|number| record(name(owner), address(number))));
    }
    let targets = (0..30).map(|number| name(&format!("target{number}.services.docker")));
    for (number, target) in (0..).zip(targets) {
        records.push(record(target.clone(), address(number)));
        let data = RecordData::Srv {
            priority: 10,
            weight: 3,
            port: 80 + number,
            target,
        };
        records.push(record(name("services.docker"), data));
    }
    // Texts around the length of a string, one as long as a datagram may be, and one as long as RDLENGTH goes here.
    for length in [254, 255, 256, 510, 511, 1300, 60_000] {
        let text = (b'a'..=b'z').cycle().take(length).collect::<Vec<_>>();
        let data = RecordData::Txt(vec![text.into()]);
        records.push(record(name(&format!("text{length}.docker")), data));
    }
    // A chain longer than anyone follows.
    for number in 0..24 {
        let data = RecordData::Cname(name(&format!("link{}.docker", number + 1)));
        records.push(record(name(&format!("link{number}.docker")), data));
    }
    records.push(record(name("link24.docker"), address(24)));
    // 255 octets, by the longest labels and by the most; one octet less; a wildcard whose names can be that long.
    let label = |length| "n".repeat(length);
    let apex_octets = name("docker").octets().len();
    let filled = |first: usize| {
        format!(
            "{}.{}.{}.{}.docker",
            label(first),
            label(63),
            label(63),
            label(63)
        )
    };
    let longest = 255 - apex_octets - 3 * 64 - 1;
    let most: Vec<_> = std::iter::repeat_n("m", 123).collect();
    for owner in [
        filled(longest),
        filled(longest - 1),
        format!("{}.docker", most.join(".")),
    ] {
        records.push(record(name(&owner), address(255)));
        records.push(record(name(&owner), RecordData::Aaaa(Ipv6Addr::LOCALHOST)));
    }
    let long_parent = format!("{}.{}.{}.docker", label(62), label(63), label(63));
    let star = name(&format!("*.{long_parent}"));
    records.push(record(star, RecordData::Cname(name(&filled(longest)))));
    records
}

/// Reads one of the lines above.
fn record(line: &str) -> Record {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_else(|| unreachable!("{line}: too short"));
    let (owner, ttl, rtype, data) = (word(), word(), word(), word());
    let number = |text: &str| text.parse().unwrap_or_else(|_| unreachable!("{line}: {text}"));
    let data = match (rtype, data.split(' ').collect::<Vec<_>>().as_slice()) {
        ("A", [address]) => RecordData::A(address.parse().expect("an IPv4 address")),
        ("AAAA", [address]) => RecordData::Aaaa(address.parse().expect("an IPv6 address")),
        ("NS", [server]) => RecordData::Ns(name(server)),
        ("PTR", [target]) => RecordData::Ptr(name(target)),
        ("CNAME", [target]) => RecordData::Cname(name(target)),
        ("SRV", [priority, weight, port, target]) => RecordData::Srv {
            priority: number(priority),
            weight: number(weight),
            port: number(port),
            target: name(target),
        },
        ("TXT", _) => RecordData::Txt(strings(data)),
        _ => unreachable!("{line}: no record"),
    };
    Record {
        owner: name(owner),
        ttl_seconds: ttl.parse().expect("a number of seconds"),
        data,
    }
}

/// Reads quoted strings (RFC 1035, section 5.1).
fn strings(text: &str) -> Vec<Box<[u8]>> {
    let mut strings: Vec<Vec<u8>> = Vec::new();
    let mut is_inside = false;
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let octet = match (octet, is_inside) {
            (b'"', _) => {
                is_inside = !is_inside;
                if is_inside {
                    strings.push(Vec::new());
                }
                continue;
            }
            (_, false) => continue,
            (b'\\', true) => match octets.next() {
                Some(digit @ b'0'..=b'9') => {
                    let rest = [octets.next(), octets.next()].map(|it| it.expect("three digits"));
                    let digits = [digit].into_iter().chain(rest);
                    digits.fold(0_u8, |value, digit| value * 10 + (digit - b'0'))
                }
                escaped => escaped.expect("something to escape"),
            },
            (octet, true) => octet,
        };
        strings.last_mut().expect("inside of one").push(octet);
    }
    strings.into_iter().map(Vec::into_boxed_slice).collect()
}

/// A name as a zone file has it, every octet that is not plain as its number: for all readers the same.
fn written(name: &Name) -> String {
    let labels: Vec<String> = name
        .labels()
        .map(|label| label.iter().map(|octet| escaped(*octet)).collect())
        .collect();
    format!("{}.", labels.join("."))
}

fn escaped(octet: u8) -> String {
    match octet {
        b'0'..=b'9' | b'a'..=b'z' | b'-' | b'_' | b'*' => char::from(octet).to_string(),
        _ => format!("\\{octet:03}"),
    }
}

/// Type and data as a zone file has them.
struct Written<'r>(&'r RecordData);

impl std::fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            RecordData::A(address) => write!(f, "A {address}"),
            RecordData::Aaaa(address) => write!(f, "AAAA {address}"),
            RecordData::Ns(server) => write!(f, "NS {}", written(server)),
            RecordData::Ptr(target) => write!(f, "PTR {}", written(target)),
            RecordData::Cname(target) => write!(f, "CNAME {}", written(target)),
            RecordData::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "SRV {priority} {weight} {port} {}", written(target)),
            RecordData::Absent(_) => Ok(()),
            RecordData::Txt(strings) => {
                write!(f, "TXT")?;
                for string in strings {
                    // A string of a record of ours may be longer than one of a message.
                    let mut parts: Vec<_> = string.chunks(255).collect();
                    if parts.is_empty() {
                        parts.push(&[]);
                    }
                    for part in parts {
                        let text: String = part.iter().map(|octet| escaped(*octet)).collect();
                        write!(f, " \"{text}\"")?;
                    }
                }
                Ok(())
            }
        }
    }
}
