//! A zone as a list of facts, asked by walking all of them: too simple to be wrong, too slow to serve.

use std::collections::{BTreeMap, BTreeSet};

use dns::EndpointKey;

use crate::answer::Said;

/// Record types that the model knows.
pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
pub(crate) const ANY: u16 = 255;
/// Aliases that are followed in one answer.
const CHAIN_MAX: usize = 8;

/// A name's labels, left to right.
pub(crate) type Labels = Vec<&'static str>;

/// What is set at one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// RRsets, in order.
    Sets(Vec<Set>),
    /// The name stands for another.
    Alias(Labels),
}

/// One RRset: for everyone, or for clients inside the network that has a view. Without lines nothing of the type is
/// there for those inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) inside: bool,
    pub(crate) rtype: u16,
    pub(crate) lines: Vec<String>,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) labels: [&'static str; 6],
    /// Its addresses for everyone, `10.1.0.n` and `fd00::n`.
    pub(crate) ipv4: Option<u8>,
    pub(crate) ipv6: Option<u8>,
    /// Its IPv4 address for those inside, `10.3.0.n`.
    pub(crate) inside: Option<u8>,
    pub(crate) alias: Option<Labels>,
    pub(crate) port: Option<u16>,
    /// Its port for those inside; 0 for none.
    pub(crate) inside_port: Option<u16>,
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) ttl_seconds: u32,
    /// 0: ready, 1: starting, 2: withheld.
    pub(crate) tier: u8,
    /// Where it stands in the builder, once it does.
    pub(crate) key: Option<EndpointKey>,
}

/// Everything there is at one moment.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) zones: Vec<Labels>,
    pub(crate) names: BTreeMap<Labels, Data>,
    pub(crate) endpoints: Vec<Row>,
}

/// A question: whose records of which type, and whether the client is inside the network with a view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a [&'static str],
    pub(crate) qtype: u16,
    pub(crate) inside: bool,
}

impl Data {
    /// Whether it is any record at all.
    pub(crate) fn has_records(&self) -> bool {
        match self {
            Self::Sets(sets) => !sets.is_empty(),
            Self::Alias(_) => true,
        }
    }
}

impl Row {
    /// The addresses of a type that a client gets, as text.
    fn addresses(&self, rtype: u16, inside: bool) -> Option<String> {
        match (rtype, self.inside.filter(|_| inside)) {
            (A, Some(inside)) => Some(format!("10.3.0.{inside}")),
            (A, None) => self.ipv4.map(|last| format!("10.1.0.{last}")),
            (AAAA, _) => self.ipv6.map(|last| {
                std::net::Ipv6Addr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)]).to_string()
            }),
            _ => None,
        }
    }

    fn port(&self, inside: bool) -> Option<u16> {
        let port = self.inside_port.filter(|_| inside).or(self.port);
        port.filter(|port| *port != 0)
    }

    fn target(&self, zone: &Labels) -> String {
        let [.., uuid] = self.labels;
        match &self.alias {
            Some(alias) => alias.join("."),
            None => format!("{uuid}.{}", zone.join(".")),
        }
    }
}

impl Model {
    /// What the question ought to be answered; none when it ought to be forwarded.
    pub(crate) fn answer(&self, asked: Asked<'_>) -> Option<Said> {
        let zone = self.zone_of(asked.name);
        if let Some(data) = self.names.get(asked.name) {
            return Some(self.data(data, asked));
        }
        let Some(zone) = zone else {
            return self.covering(asked.name, None).map(|data| self.data(data, asked));
        };
        if self.exists(asked.name) {
            return Some(self.data(&Data::Sets(Vec::new()), asked));
        }
        if let Some(pattern) = self.pattern(asked, zone) {
            return Some(match pattern.alias(asked) {
                Some(alias) => self.chain(alias, pattern.ttl_seconds(), asked),
                None => pattern.said(asked, zone),
            });
        }
        match self.covering(asked.name, Some(zone)) {
            Some(data) => Some(self.data(data, asked)),
            None => Some(denied(3)),
        }
    }

    /// The innermost zone around `name`.
    fn zone_of(&self, name: &[&'static str]) -> Option<&Labels> {
        let around = self.zones.iter().filter(|zone| name.ends_with(zone));
        around.max_by_key(|zone| zone.len())
    }

    fn exists(&self, name: &[&'static str]) -> bool {
        self.zones.iter().any(|zone| zone == name) || self.names.keys().any(|owner| owner.ends_with(name))
    }

    /// What `data`, at the name asked for or covering it, says.
    fn data(&self, data: &Data, asked: Asked<'_>) -> Said {
        let sets = match data {
            Data::Sets(sets) => sets,
            Data::Alias(target) => return self.chain(target, 30, asked),
        };
        let is_apex = self.zones.iter().any(|zone| zone == asked.name);
        let is_absent = |rtype| {
            let mut absent = sets.iter().filter(|set| set.inside && set.lines.is_empty());
            asked.inside && absent.any(|set| set.rtype == rtype)
        };
        let of_type = |set: &&Set| set.rtype == asked.qtype || asked.qtype == ANY;
        let mut there = sets.iter().filter(of_type).filter(|set| !is_absent(set.rtype));
        let own = there.clone().find(|set| set.inside && asked.inside);
        let found = own.or_else(|| there.find(|set| !set.inside));
        match found {
            Some(set) if !set.lines.is_empty() => answered(set.lines.clone()),
            // The SOA of an apex, or of a name outside every zone, is the one type there is.
            _ if asked.qtype == ANY && (is_apex || self.zone_of(asked.name).is_none()) => {
                answered(vec!["SOA".to_owned()])
            }
            _ => denied(0),
        }
    }

    fn chain(&self, target: &Labels, ttl_seconds: u32, asked: Asked<'_>) -> Said {
        let mut target = target;
        let mut ttl_seconds = ttl_seconds;
        if matches!(asked.qtype, CNAME | ANY) {
            return answered(vec![format!("{ttl_seconds} CNAME {}.", target.join("."))]);
        }
        let mut answers = Vec::new();
        let mut visited = vec![asked.name.to_vec()];
        for _ in 0..CHAIN_MAX {
            answers.push(format!("{ttl_seconds} CNAME {}.", target.join(".")));
            if visited.contains(target) {
                break;
            }
            visited.push(target.clone());
            let next = Asked {
                name: target,
                ..asked
            };
            if let Some((further, ttl)) = self.standing_for(next) {
                (target, ttl_seconds) = (further, ttl);
                continue;
            }
            let Some(mut said) = self.answer(next) else { break };
            said.answers.append(&mut answers);
            said.answers.sort();
            return said;
        }
        answered(answers)
    }

    /// The alias that the name asked for is, by itself, as a pattern, or covered by a wildcard owner.
    fn standing_for(&self, asked: Asked<'_>) -> Option<(&Labels, u32)> {
        let zone = self.zone_of(asked.name);
        let data = match (self.names.get(asked.name), zone) {
            (Some(data), _) => Some(data),
            (None, Some(_)) if self.exists(asked.name) => None,
            (None, Some(zone)) => match self.pattern(asked, zone) {
                Some(pattern) => return pattern.alias(asked).map(|target| (target, pattern.ttl_seconds())),
                None => self.covering(asked.name, Some(zone)),
            },
            (None, None) => self.covering(asked.name, None),
        };
        match data {
            Some(Data::Alias(target)) => Some((target, 30)),
            _ => None,
        }
    }

    /// What the wildcard owner that covers `name`, which is not there, has (RFC 4592, section 3.3.1).
    fn covering(&self, name: &[&'static str], zone: Option<&Labels>) -> Option<&Data> {
        for start in 1..=name.len() {
            let encloser = name.get(start..)?;
            let owner: Labels = std::iter::once("*").chain(encloser.iter().copied()).collect();
            if let Some(data) = self.names.get(&owner) {
                return Some(data);
            }
            // Outside our zones only what was asked for is there, and nothing because of names below it.
            let is_closest = match zone {
                Some(zone) => encloser.len() <= zone.len() || self.exists(encloser),
                None => self.names.contains_key(encloser),
            };
            if is_closest {
                return None;
            }
        }
        None
    }

    /// The endpoints that a name in `zone` which is not stored means; none when it is no pattern of theirs.
    fn pattern(&self, asked: Asked<'_>, zone: &Labels) -> Option<Pattern<'_>> {
        let labels: Vec<&str> = asked.name.iter().rev().skip(zone.len()).copied().collect();
        let is_wildcard = |label: &str| matches!(label, "*" | "any" | "all");
        if labels.len() > 6 || (labels.len() <= 3 && !labels.iter().any(|label| is_wildcard(label))) {
            return None;
        }
        let mut open = labels.clone();
        if let Some(region) = open.get_mut(3) {
            *region = "*";
        }
        let matching = |asked: &[&str]| -> Vec<&Row> {
            let is_one = |row: &&Row| {
                let mut pairs = asked.iter().zip(row.labels);
                pairs.all(|(asked, has)| is_wildcard(asked) || *asked == has)
            };
            self.endpoints.iter().filter(is_one).collect()
        };
        let (mut here, mut anywhere) = (matching(&labels), matching(&open));
        if anywhere.is_empty() {
            return None;
        }
        let names_one = [2, 5]
            .iter()
            .any(|place| labels.get(*place).is_some_and(|label| !is_wildcard(label)));
        if !names_one {
            for rows in [&mut here, &mut anywhere] {
                let best = rows.iter().map(|row| row.tier).min().unwrap_or(2);
                rows.retain(|row| row.tier == best && best < 2);
            }
        }
        Some(Pattern {
            here,
            all_here: matching(&labels),
            anywhere,
        })
    }
}

/// What a pattern means.
struct Pattern<'m> {
    /// Those that answer.
    here: Vec<&'m Row>,
    /// Those in the region, whether they answer or not.
    all_here: Vec<&'m Row>,
    /// Those that answer, of whatever region.
    anywhere: Vec<&'m Row>,
}

impl<'m> Pattern<'m> {
    /// What the only endpoint that answers stands for.
    fn alias(&self, asked: Asked<'_>) -> Option<&'m Labels> {
        match self.here.as_slice() {
            [only] if only.port(asked.inside).is_none() => only.alias.as_ref(),
            _ => None,
        }
    }

    fn ttl_seconds(&self) -> u32 {
        self.here.first().map_or(30, |only| only.ttl_seconds)
    }

    fn said(&self, asked: Asked<'_>, zone: &Labels) -> Said {
        let of = |rtype| self.records(rtype, asked.inside, zone);
        let (records, additional) = match asked.qtype {
            A | AAAA | SRV => of(asked.qtype),
            ANY => {
                let first = [A, AAAA, SRV].into_iter().map(of);
                let mut there = first.filter(|(records, _)| !records.is_empty());
                there.next().unwrap_or_default()
            }
            _ => Default::default(),
        };
        if records.is_empty() {
            return denied(0);
        }
        Said {
            additional,
            ..answered(records)
        }
    }

    /// Records of one type, and their additional ones.
    fn records(&self, rtype: u16, inside: bool, zone: &Labels) -> (Vec<String>, Vec<String>) {
        if rtype == SRV {
            return self.services(inside, zone);
        }
        let with_address = self.here.iter().filter_map(|row| {
            let address = row.addresses(rtype, inside)?;
            Some((address, row.ttl_seconds))
        });
        let addresses: BTreeSet<(String, u32)> = with_address.collect();
        let ttl = addresses.iter().map(|(_, ttl)| *ttl).min().unwrap_or(0);
        let addresses: BTreeSet<&String> = addresses.iter().map(|(address, _)| address).collect();
        let word = if rtype == A { "A" } else { "AAAA" };
        let lines = addresses.iter().map(|address| format!("{ttl} {word} {address}"));
        (lines.collect(), Vec::new())
    }

    fn services(&self, inside: bool, zone: &Labels) -> (Vec<String>, Vec<String>) {
        let is_here = |row: &Row| self.all_here.iter().any(|here| here.key == row.key);
        let (mut services, mut additional) = (BTreeSet::new(), BTreeSet::new());
        let mut ttl = u32::MAX;
        for row in &self.anywhere {
            let Some(port) = row.port(inside) else { continue };
            let priority = row.priority + if is_here(row) { 0 } else { 10 };
            let target = row.target(zone);
            ttl = ttl.min(row.ttl_seconds);
            for (rtype, word) in [(A, "A"), (AAAA, "AAAA")] {
                if let Some(address) = row.addresses(rtype, inside) {
                    additional.insert(format!("{target} {word} {address}"));
                }
            }
            services.insert((priority, row.weight, port, target));
        }
        let sum = |priority| -> u32 {
            let same = services.iter().filter(|(its, ..)| *its == priority);
            same.map(|(_, weight, ..)| u32::from(*weight)).sum()
        };
        let lines = services.iter().map(|(priority, weight, port, target)| {
            let weight = u32::from(*weight);
            let share = (weight * 100)
                .checked_div(sum(*priority))
                .unwrap_or(0)
                .max(weight.min(1));
            format!("{ttl} SRV {priority} {share} {port} {target}")
        });
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        (lines, additional.into_iter().collect())
    }
}

fn answered(mut answers: Vec<String>) -> Said {
    answers.sort();
    Said {
        rcode: 0,
        authoritative: true,
        truncated: false,
        answers,
        additional: Vec::new(),
        denied: false,
    }
}

fn denied(rcode: u16) -> Said {
    Said {
        rcode,
        authoritative: true,
        truncated: false,
        answers: Vec::new(),
        additional: Vec::new(),
        denied: true,
    }
}
