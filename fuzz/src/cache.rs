//! Any history of replies and questions: the cache tells nothing that no reply said, nothing for too long, and what it
//! tells is whole.

use std::collections::HashMap;

use arbitrary::{Arbitrary, Unstructured};
use dataplane::cache::{Age, Cache, Flush, Key, Rules};
use dns::wire::Head;
use dns::{Name, NameRef, Query, Rcode, Reply};
use domain::base::iana::{Class, Rtype};
use domain::base::message::Section;
use domain::base::message_builder::MessageBuilder;
use domain::base::rdata::{RecordData, UnknownRecordData};
use domain::base::{Message, ParsedName, Record, StaticCompressor, Ttl};
use domain::rdata::{self, AllRecordData};

type AnyData<'a> = AllRecordData<&'a [u8], ParsedName<&'a [u8]>>;
type DomainName = domain::base::Name<Vec<u8>>;

/// Names that lie in each other and lead to each other; the last is ours.
const NAMES: [&str; 8] = [
    "www.example.org",
    "example.org",
    "a.www.example.org",
    "cdn.example.net",
    "example.net",
    "org",
    ".",
    "web.docker",
];
const OURS: &str = "docker";
/// Octets of the cache: so few that entries have to go.
const OCTETS: usize = 256 << 10;
const STEPS_MAX: usize = 64;

#[derive(Debug, Arbitrary)]
struct History {
    stale: bool,
    rebind: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// A reply to a question, as an upstream that means well or ill puts it together.
    Reply(Asked, u8, Vec<Said>),
    /// The same from any octets at all.
    Octets(Asked, Vec<u8>),
    Failed(Asked),
    Ask(Asked),
    Wait(u8),
    Forget(u8),
    ForgetAll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Arbitrary)]
struct Asked {
    name: u8,
    rtype: u8,
    dnssec_ok: bool,
}

#[derive(Debug, Arbitrary)]
struct Said {
    section: u8,
    owner: u8,
    rtype: u8,
    ttl: u16,
    target: u8,
    octets: [u8; 4],
}

/// Plays the history that `octets` stand for.
///
/// # Panics
///
/// When the cache tells what it should not.
pub fn cache(octets: &[u8]) {
    let Ok(history) = History::arbitrary_take_rest(Unstructured::new(octets)) else {
        return;
    };
    let rules = Rules {
        stale_seconds: if history.stale { 1000 } else { 0 },
        rebind_protection: history.rebind,
        ..Rules::default()
    };
    let mut played = Played {
        cache: Cache::new(OCTETS, rules.clone(), 7),
        rules,
        now: 1,
        known: HashMap::new(),
    };
    for step in history.steps.iter().take(STEPS_MAX) {
        played.step(step);
    }
}

/// A cache, and all that it was ever told.
struct Played {
    cache: Cache,
    rules: Rules,
    now: u32,
    /// What was told at once of each reply, and when.
    known: HashMap<Known, Vec<(u32, Told)>>,
}

/// A question: name, type, and whether it is with DNSSEC records.
type Known = (Vec<u8>, u16, bool);

/// What a reply tells.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    rcode: u8,
    /// Section, owner, type and data, and the TTL, sorted.
    records: Vec<(String, u32)>,
}

impl Told {
    fn least_ttl(&self) -> Option<u32> {
        self.records.iter().map(|(_, ttl)| *ttl).min()
    }
}

impl Played {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Reply(asked, rcode, said) => {
                let reply = compose(&asked.query(), *rcode, said);
                self.take_in(*asked, &reply);
            }
            Step::Octets(asked, octets) => self.take_in(*asked, octets),
            Step::Failed(asked) => {
                let (query, key) = self.key(*asked);
                let answer = self.cache.insert_failure(&key, Rcode::SERV_FAIL, None, self.now);
                let told = read(&answer, &query);
                match told.rcode {
                    2 => assert!(told.records.is_empty()),
                    _ => self.check_known(*asked, &told, self.rules.stale_seconds > 0),
                }
            }
            Step::Ask(asked) => self.ask(*asked),
            Step::Wait(seconds) => self.now += u32::from(*seconds),
            Step::Forget(name) => {
                let name: Name = text(*name).parse().expect("a constant");
                self.cache.flush(&Flush::Below(name.clone()));
                self.known.retain(|(owner, ..), _| {
                    let (owner, _) = NameRef::split(owner).expect("written by us");
                    owner.start_of(&name).is_none()
                });
            }
            Step::ForgetAll => {
                self.cache.flush(&Flush::All);
                self.known.clear();
                assert_eq!((self.cache.entries(), self.cache.used()), (0, 0));
            }
        }
        assert!(self.cache.used() <= OCTETS);
    }

    fn key(&self, asked: Asked) -> (Vec<u8>, Key) {
        let query = asked.query();
        let key = self.cache.key(&Query::parse(&query).expect("a query of ours"));
        (query, key)
    }

    fn take_in(&mut self, asked: Asked, reply: &[u8]) {
        let (query, key) = self.key(asked);
        let ours: Name = OURS.parse().expect("a constant");
        let is_ours = |name: NameRef<'_>| name.start_of(&ours).is_some();
        let answer = self.cache.insert(&key, reply, self.now, is_ours);
        let (age, told) = (answer.age, read(&answer, &query));
        // A reply that makes no sense is a failure, and then what was known before may be told.
        if age != Age::New {
            return self.check_known(asked, &told, self.rules.stale_seconds > 0);
        }
        if told.rcode == 2 {
            return assert!(told.records.is_empty());
        }
        check_said(asked, reply, &told);
        if told.rcode == 0 || told.rcode == 3 {
            self.known
                .entry(asked.known())
                .or_default()
                .push((self.now, told));
        }
    }

    /// What is told later is what was told at once, its TTLs counted down; and nothing once one of them is over.
    fn ask(&mut self, asked: Asked) {
        let (query, key) = self.key(asked);
        let Some(hit) = self.cache.lookup(&key, self.now) else {
            return;
        };
        let told = read(&hit.answer, &query);
        match told.rcode {
            0 | 3 => self.check_known(asked, &told, self.rules.stale_seconds > 0),
            _ => assert!(told.records.is_empty(), "a failure has no records"),
        }
    }

    fn check_known(&self, asked: Asked, told: &Told, may_be_stale: bool) {
        let known = self
            .known
            .get(&asked.known())
            .map(Vec::as_slice)
            .unwrap_or_default();
        let is_it = |(since, known): &(u32, Told)| {
            let age = self.now - since;
            let least = known.least_ttl().unwrap_or(u32::MAX);
            let is_stale = age >= least;
            let is_over =
                is_stale && (!may_be_stale || age >= least.saturating_add(self.rules.stale_seconds));
            let expected = known.records.iter().map(|(record, ttl)| {
                let ttl = if is_stale { 30 } else { ttl - age };
                (record.clone(), ttl)
            });
            !is_over && told.rcode == known.rcode && told.records == expected.collect::<Vec<_>>()
        };
        assert!(
            known.iter().any(is_it),
            "{told:#?} at {}, of {known:#?}",
            self.now
        );
    }
}

/// Checks that `told` holds nothing but what `reply` says, of the chain from the question on.
fn check_said(asked: Asked, reply: &[u8], told: &Told) {
    let message = Message::from_octets(reply).expect("it was read");
    let mut said: HashMap<String, u32> = HashMap::new();
    let mut aliases: HashMap<String, String> = HashMap::new();
    for record in &message {
        // What cannot be read cannot be told either; it may stand where nobody looks.
        let Ok((record, section)) = record else { break };
        if record.class() != Class::IN {
            continue;
        }
        let ttl = record.ttl().as_secs();
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl.min(86_400) };
        let owner = lower(&record.owner());
        let Ok(record) = record.into_any_record::<AnyData<'_>>() else {
            continue;
        };
        if let (Section::Answer, AllRecordData::Cname(alias)) = (section, record.data()) {
            aliases
                .entry(owner.clone())
                .or_insert_with(|| lower(alias.cname()));
        }
        let most = said.entry(shown(section, &owner, record.data())).or_default();
        *most = ttl.max(*most);
    }
    let is_below =
        |name: &str, apex: &str| name == apex || apex.is_empty() || name.ends_with(&format!(".{apex}"));
    let mut chain = vec![text(asked.name).trim_end_matches('.').to_owned()];
    while let Some(next) = chain.last().and_then(|last| aliases.get(last))
        && !chain.contains(next)
        && !is_below(next, OURS)
    {
        chain.push(next.clone());
    }
    for (record, ttl) in &told.records {
        let most = said.get(record);
        assert!(
            most.is_some_and(|most| ttl <= most),
            "nobody said {record} {ttl}: {said:#?}"
        );
        let words: Vec<&str> = record.split(' ').collect();
        let [section, owner, rtype, ..] = words[..] else {
            unreachable!("{record} was shown otherwise")
        };
        if section == "Answer" {
            let is_renamer =
                ["DNAME", "RRSIG"].contains(&rtype) && chain.iter().any(|name| is_below(name, owner));
            let is_of_the_chain = chain.iter().any(|name| name == owner);
            assert!(
                is_of_the_chain || is_renamer,
                "{record} is not of the chain {chain:?}"
            );
        } else {
            let is_proof = asked.dnssec_ok && ["NSEC", "NSEC3", "RRSIG"].contains(&rtype);
            assert!(section == "Authority" && (rtype == "SOA" || is_proof), "{record}");
        }
    }
}

/// What `answer` tells in reply to `query`, read by `domain` alone.
fn read(answer: &dataplane::cache::Answer<'_>, query: &[u8]) -> Told {
    let head = Head::from(&Query::parse(query).expect("a query of ours"));
    let mut buffer = query.to_vec();
    buffer.resize(1232, 0xee);
    for limit in [512, 1232] {
        let (length, truncated) = answer.write(Reply::begin(&mut buffer, head, limit, 1232), 5);
        assert!(length <= limit, "{length} octets where {limit} are allowed");
        assert!(!truncated || length < 512, "what is cut is cut whole");
    }
    buffer.resize(65_535, 0xee);
    let (length, truncated) = answer.write(Reply::begin(&mut buffer, head, 65_535, 1232), 5);
    assert!(!truncated, "everything that is kept fits into a message");
    let message = Message::from_octets(buffer.get(..length).expect("what was written")).expect("a header");
    let mut records = Vec::new();
    let mut count = 0;
    for record in &message {
        let (record, section) = record.expect("every record of a reply can be read");
        count += 1;
        if record.rtype() == Rtype::OPT {
            continue;
        }
        let ttl = record.ttl().as_secs();
        let owner = lower(&record.owner());
        let record = record.into_any_record::<AnyData<'_>>();
        let record = record.expect("the data of every record can be read");
        records.push((shown(section, &owner, record.data()), ttl));
    }
    let counts = message.header_counts();
    assert_eq!(count, counts.ancount() + counts.nscount() + counts.arcount());
    records.sort();
    Told {
        rcode: message.header().rcode().to_int(),
        records,
    }
}

/// A record without its TTL.
fn shown(section: Section, owner: &str, data: &AnyData<'_>) -> String {
    format!(
        "{section:?} {owner} {} {}",
        data.rtype(),
        data.to_string().to_ascii_lowercase()
    )
}

/// A name without case and last dot.
fn lower(name: &impl std::fmt::Display) -> String {
    name.to_string().trim_end_matches('.').to_ascii_lowercase()
}

fn text(name: u8) -> &'static str {
    NAMES
        .get(usize::from(name) % NAMES.len())
        .expect("it was made to be one")
}

fn rtype(number: u8) -> Rtype {
    const RTYPES: [Rtype; 13] = [
        Rtype::A,
        Rtype::AAAA,
        Rtype::CNAME,
        Rtype::SOA,
        Rtype::NS,
        Rtype::MX,
        Rtype::DNAME,
        Rtype::SRV,
        Rtype::TXT,
        Rtype::RRSIG,
        Rtype::NSEC,
        Rtype::PTR,
        Rtype::ANY,
    ];
    *RTYPES
        .get(usize::from(number) % RTYPES.len())
        .expect("it was made to be one")
}

impl Asked {
    fn known(self) -> Known {
        let name: Name = text(self.name).parse().expect("a constant");
        (name.octets().to_vec(), rtype(self.rtype).to_int(), self.dnssec_ok)
    }

    fn query(self) -> Vec<u8> {
        let (name, rtype, dnssec_ok) = self.known();
        let header = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        let opt = [0, 0, 41, 4, 0xd0, 0, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0];
        [&header, name.as_slice(), &rtype.to_be_bytes(), &[0, 1], &opt].concat()
    }
}

/// A reply to `query`, its names compressed as far as it goes.
fn compose(query: &[u8], rcode: u8, said: &[Said]) -> Vec<u8> {
    let query = Message::from_octets(query).expect("a query of ours");
    let builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).expect("a new vector");
    let rcode = domain::base::iana::Rcode::masked_from_int(if rcode.is_multiple_of(4) {
        rcode
    } else {
        rcode % 2 * 3
    });
    let mut answer = builder.start_answer(&query, rcode).expect("it grows");
    for record in said.iter().filter(|it| it.section % 3 == 0) {
        answer.push(record.record()).expect("it grows");
    }
    let mut authority = answer.authority();
    for record in said.iter().filter(|it| it.section % 3 == 1) {
        authority.push(record.record()).expect("it grows");
    }
    let mut additional = authority.additional();
    for record in said.iter().filter(|it| it.section % 3 == 2) {
        additional.push(record.record()).expect("it grows");
    }
    additional.finish().into_target()
}

impl Said {
    fn record(&self) -> Record<DomainName, AllRecordData<Vec<u8>, DomainName>> {
        let name = |number: u8| -> DomainName { text(number).parse().expect("a constant") };
        let target = name(self.target);
        let [o0, o1, o2, o3] = self.octets;
        let number = u32::from_be_bytes(self.octets);
        let data = match rtype(self.rtype) {
            Rtype::A => rdata::A::from_octets(o0, o1, o2, o3).into(),
            Rtype::AAAA => {
                rdata::Aaaa::new([o0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, o1, o2, o3].into()).into()
            }
            Rtype::CNAME => rdata::Cname::new(target).into(),
            Rtype::SOA => {
                let (ttl, minimum) = (Ttl::from_secs(1), Ttl::from_secs(number));
                rdata::Soa::new(target.clone(), target, number.into(), ttl, ttl, ttl, minimum).into()
            }
            Rtype::NS => rdata::Ns::new(target).into(),
            Rtype::MX => rdata::Mx::new(10, target).into(),
            Rtype::DNAME => rdata::Dname::new(target).into(),
            Rtype::SRV => rdata::Srv::new(0, 0, 53, target).into(),
            Rtype::PTR => rdata::Ptr::new(target).into(),
            other => {
                // RRSIG's first two octets say what it signs; of NSEC and TXT these are hardly ever good data.
                let data = match other {
                    Rtype::RRSIG => [&rtype(o0).to_int().to_be_bytes()[..], &[8; 16], &[0], &[1; 8]].concat(),
                    Rtype::NSEC => [target.as_slice(), &[0, 1, 0x40]].concat(),
                    _ => vec![3, o0, o1, o2],
                };
                let other = if other == Rtype::ANY { Rtype::TXT } else { other };
                let data = UnknownRecordData::from_octets(other, data).expect("some octets");
                AllRecordData::Unknown(data)
            }
        };
        let ttl = if self.ttl == u16::MAX {
            u32::MAX
        } else {
            self.ttl.into()
        };
        Record::new(name(self.owner), Class::IN, Ttl::from_secs(ttl), data)
    }
}
