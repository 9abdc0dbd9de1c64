//! A zone as a list of facts, asked by walking all of them: too simple to be wrong, too slow to serve.

use std::collections::{BTreeMap, BTreeSet};

use dns::EndpointKey;

use crate::answer::Said;

/// Record types that the model knows.
pub(crate) const A: u16 = 1;
pub(crate) const SRV: u16 = 33;
/// Aliases that are followed in one answer.
const CHAIN_MAX: usize = 8;

/// A name's labels, left to right.
pub(crate) type Labels = Vec<&'static str>;

/// What is set at one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// That many addresses for everyone, and for clients inside the network that has a view.
    Addresses { everyone: u8, inside: u8 },
    /// The name stands for another.
    Alias(Labels),
}

/// An endpoint's six labels, its address for everyone and for those inside, whether it has a port, its key.
pub(crate) type Row = ([&'static str; 6], u8, Option<u8>, bool, EndpointKey);

/// Everything there is at one moment.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) zones: Vec<Labels>,
    pub(crate) names: BTreeMap<Labels, Data>,
    pub(crate) endpoints: Vec<Row>,
}

/// A question: whose addresses of which type, and whether the client is inside the network with a view.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a [&'static str],
    pub(crate) qtype: u16,
    pub(crate) inside: bool,
}

impl Data {
    /// Whether it is any record at all.
    pub(crate) fn has_records(&self) -> bool {
        *self
            != Self::Addresses {
                everyone: 0,
                inside: 0,
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
            return Some(denied(0));
        }
        if let Some(said) = self.matches(asked, zone) {
            return Some(said);
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
        let (everyone, inside) = match data {
            Data::Addresses { everyone, inside } => (*everyone, *inside),
            Data::Alias(target) => return self.chain(target, asked),
        };
        let range = |last, count: u8| {
            (1..=count)
                .map(move |n| format!("A 10.{last}.0.{n}"))
                .collect::<Vec<_>>()
        };
        match (asked.qtype, asked.inside && inside > 0) {
            (A, true) => found(range(2, inside)),
            (A, false) if everyone > 0 => found(range(0, everyone)),
            _ => denied(0),
        }
    }

    fn chain(&self, target: &Labels, asked: Asked<'_>) -> Said {
        let mut answers = Vec::new();
        let mut visited = vec![asked.name.to_vec()];
        let mut target = target;
        for _ in 0..CHAIN_MAX {
            answers.push(format!("CNAME {}.", target.join(".")));
            if visited.contains(target) {
                break;
            }
            visited.push(target.clone());
            let next = Asked {
                name: target,
                ..asked
            };
            if let Some(Data::Alias(further)) = self.standing_for(next) {
                target = further;
                continue;
            }
            let Some(mut said) = self.answer(next) else { break };
            said.answers.append(&mut answers);
            said.answers.sort();
            return said;
        }
        found(answers)
    }

    /// What is set at the name asked for, or covers it where it is neither there nor a pattern.
    fn standing_for(&self, asked: Asked<'_>) -> Option<&Data> {
        let zone = self.zone_of(asked.name);
        if let Some(data) = self.names.get(asked.name) {
            return Some(data);
        }
        let is_there =
            zone.is_some_and(|zone| self.exists(asked.name) || self.matches(asked, zone).is_some());
        if is_there {
            None
        } else {
            self.covering(asked.name, zone)
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
            if zone.is_some_and(|zone| encloser.len() <= zone.len() || self.exists(encloser)) {
                return None;
            }
        }
        None
    }

    /// What endpoints say to a name in `zone` that is not stored; none when it is no pattern of theirs.
    fn matches(&self, asked: Asked<'_>, zone: &Labels) -> Option<Said> {
        let labels: Vec<&str> = asked.name.iter().rev().skip(zone.len()).copied().collect();
        let is_wildcard = |label: &&str| matches!(*label, "*" | "any" | "all");
        if labels.len() > 6 || (labels.len() <= 3 && !labels.iter().any(is_wildcard)) {
            return None;
        }
        let matching = |labels: &[&str]| -> BTreeSet<(u8, Option<u8>, bool)> {
            let matches = |of: &[&str; 6]| {
                labels
                    .iter()
                    .zip(of)
                    .all(|(asked, has)| is_wildcard(asked) || asked == has)
            };
            let endpoints = self.endpoints.iter().filter(|(of, ..)| matches(of));
            endpoints
                .map(|(_, address, inside, port, _)| (*address, *inside, *port))
                .collect()
        };
        let here = matching(&labels);
        let mut open = labels.clone();
        if let Some(region) = open.get_mut(3) {
            *region = "*";
        }
        let everywhere = matching(&open);
        if everywhere.is_empty() {
            return None;
        }
        let answers: Vec<String> = match asked.qtype {
            A => here
                .iter()
                .map(|(address, inside, _)| match inside.filter(|_| asked.inside) {
                    Some(inside) => format!("A 10.3.0.{inside}"),
                    None => format!("A 10.1.0.{address}"),
                })
                .collect(),
            SRV => {
                let with_port =
                    |of: &BTreeSet<(u8, Option<u8>, bool)>| of.iter().filter(|(.., port)| *port).count();
                let (near, all) = (with_port(&here), with_port(&everywhere));
                let mut answers = vec![format!("SRV 10 {}", 100 / near.max(1)); near];
                answers.extend(vec![format!("SRV 20 {}", 100 / (all - near).max(1)); all - near]);
                answers
            }
            _ => Vec::new(),
        };
        Some(if answers.is_empty() {
            denied(0)
        } else {
            found(answers)
        })
    }
}

fn found(mut answers: Vec<String>) -> Said {
    answers.sort();
    Said {
        rcode: 0,
        authoritative: true,
        truncated: false,
        answers,
        denied: false,
    }
}

fn denied(rcode: u16) -> Said {
    Said {
        rcode,
        authoritative: true,
        truncated: false,
        answers: Vec::new(),
        denied: true,
    }
}
