//! Any history of names and endpoints: the snapshot agrees with a model too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use dataplane::respond::{Outcome, Transport};
use dns::{Builder, Endpoint, EndpointKey, Name, RecordData, RrSet, Snapshot, ZoneSettings};

use crate::answer::{Said, ask, read};

/// Few, so that histories meet: the same name is set, removed and asked for.
const LABELS: [&str; 6] = ["dev", "web", "a", "b", "any", "*"];
const ZONES: [&str; 3] = ["docker", "lab.example", "example"];
/// The zones that are ours; the last of [`ZONES`] is not.
const OURS: usize = 2;
/// Steps of a history that are looked at; the fuzzer gains nothing from longer ones.
const STEPS_MAX: usize = 200;
const A: u16 = 1;
const TXT: u16 = 16;
const SRV: u16 = 33;

#[derive(Arbitrary, Debug)]
enum Step {
    Set {
        owner: Owner,
        addresses: u8,
    },
    Remove {
        owner: Owner,
    },
    Insert {
        labels: [u8; 6],
        address: u8,
        port: bool,
    },
    RemoveEndpoint {
        which: u8,
    },
    Build,
    Ask {
        owner: Owner,
        qtype: u8,
    },
}

#[derive(Arbitrary, Debug)]
struct Owner {
    labels: [u8; 7],
    count: u8,
    zone: u8,
}

impl Owner {
    /// Labels left to right, the zone's included. Owners that are stored have no wildcard labels, since
    /// naming gives a service none.
    fn labels(&self, stored: bool) -> Vec<&'static str> {
        let choices = if stored { LABELS.len() - 2 } else { LABELS.len() };
        let labels = self.labels.iter().take(usize::from(self.count) % 8);
        let labels = labels.filter_map(|label| LABELS.get(usize::from(*label) % choices).copied());
        let zone = ZONES
            .get(usize::from(self.zone) % ZONES.len())
            .copied()
            .unwrap_or_default();
        labels.chain(zone.split('.')).collect()
    }
}

type Labels = Vec<&'static str>;

/// Everything there is at one moment.
#[derive(Clone, Default)]
struct Model {
    names: BTreeMap<Labels, u8>,
    endpoints: Vec<([&'static str; 6], u8, bool, EndpointKey)>,
}

/// Plays `history` to a builder and to the model, and compares what they say to every question in it.
///
/// # Panics
///
/// When they differ.
pub fn snapshot(history: &[u8]) {
    let mut input = Unstructured::new(history);
    let zones = ZONES
        .iter()
        .take(OURS)
        .map(|zone| ZoneSettings::of(zone.parse().expect("a constant"), 30));
    let mut builder = Builder::new(zones.collect(), 1, 0).expect("zones apart from each other");
    let mut model = Model::default();
    let mut built = (builder.build(), model.clone());
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else {
            break;
        };
        match step {
            Step::Build => built = (builder.build(), model.clone()),
            Step::Ask { owner, qtype } => compare(&built.0, &built.1, &owner.labels(false), qtype),
            change => model.apply(&mut builder, change),
        }
    }
    let last = builder.build();
    assert_eq!(
        last.names(),
        model.names.values().filter(|addresses| **addresses > 0).count()
    );
    assert_eq!(last.endpoints(), model.endpoints.len());
    for owner in model.names.keys() {
        compare(&last, &model, owner, 0);
    }
}

impl Model {
    fn apply(&mut self, builder: &mut Builder, change: Step) {
        match change {
            Step::Set { owner, addresses } => {
                let (owner, addresses) = (owner.labels(true), addresses % 4);
                let records: Vec<RecordData> = (1..=addresses)
                    .map(|last| RecordData::A([10, 0, 0, last].into()))
                    .collect();
                let rrset = RrSet {
                    view: dns::View::EVERYONE,
                    ttl_seconds: 30,
                    records,
                    additional: Vec::new(),
                };
                let rrsets = if addresses == 0 { Vec::new() } else { vec![rrset] };
                builder.set(&name(&owner), &rrsets).expect("records of one type");
                self.names.insert(owner, addresses);
            }
            Step::Remove { owner } => {
                builder.remove(&name(&owner.labels(true)));
                self.names.remove(&owner.labels(true));
            }
            Step::Insert {
                labels,
                address,
                port,
            } => {
                let stored = LABELS.len() - 2;
                let labels = labels.map(|label| {
                    LABELS
                        .get(usize::from(label) % stored)
                        .copied()
                        .unwrap_or_default()
                });
                let endpoint = Endpoint {
                    labels: labels.map(|label| label.as_bytes().into()),
                    ipv4: vec![[10, 1, 0, address].into()],
                    ipv6: Vec::new(),
                    port: port.then_some(80),
                    ttl_seconds: 30,
                    views: Vec::new(),
                };
                // Two endpoints with one address would make a double in the answer, which the model
                // counts; `naming` sees to it that addresses differ.
                if self.endpoints.iter().all(|(_, other, ..)| *other != address) {
                    let key = builder.insert_endpoint(&endpoint).expect("short labels");
                    self.endpoints.push((labels, address, port, key));
                }
            }
            Step::RemoveEndpoint { which } => {
                if let Some(place) = usize::from(which).checked_rem(self.endpoints.len()) {
                    let (.., key) = self.endpoints.swap_remove(place);
                    builder.remove_endpoint(key);
                }
            }
            Step::Build | Step::Ask { .. } => {}
        }
    }

    /// What a question for `asked` ought to be answered; none when it ought to be forwarded.
    fn answer(&self, asked: &[&'static str], qtype: u16) -> Option<Said> {
        let ours = ZONES
            .iter()
            .take(OURS)
            .map(|zone| zone.split('.').collect::<Vec<_>>());
        let zone = ours.into_iter().find(|zone| asked.ends_with(zone));
        if let Some(addresses) = self
            .names
            .get(asked)
            .filter(|_| qtype == A)
            .filter(|addresses| **addresses > 0)
        {
            return Some(found(
                (1..=*addresses).map(|last| format!("A 10.0.0.{last}")).collect(),
            ));
        }
        let zone = match (zone, self.names.contains_key(asked)) {
            (Some(zone), _) => zone,
            (None, true) => return Some(denied(0)),
            (None, false) => return None,
        };
        let exists = asked == zone || self.names.keys().any(|owner| owner.ends_with(asked));
        if exists {
            return Some(denied(0));
        }
        let labels: Vec<&str> = asked.iter().rev().skip(zone.len()).copied().collect();
        let is_wildcard = |label: &&str| matches!(*label, "*" | "any" | "all");
        if labels.len() > 6 || (labels.len() <= 3 && !labels.iter().any(is_wildcard)) {
            return Some(denied(3));
        }
        let matching = |labels: &[&str]| -> BTreeSet<(u8, bool)> {
            let matches = |of: &[&str; 6]| {
                labels
                    .iter()
                    .zip(of)
                    .all(|(asked, has)| is_wildcard(asked) || asked == has)
            };
            let endpoints = self.endpoints.iter().filter(|(of, ..)| matches(of));
            endpoints.map(|(_, address, port, _)| (*address, *port)).collect()
        };
        let here = matching(&labels);
        let mut open = labels.clone();
        if let Some(region) = open.get_mut(3) {
            *region = "*";
        }
        let everywhere = matching(&open);
        if everywhere.is_empty() {
            return Some(denied(3));
        }
        let answers: Vec<String> = match qtype {
            A => here
                .iter()
                .map(|(address, _)| format!("A 10.1.0.{address}"))
                .collect(),
            SRV => {
                let with_port = |of: &BTreeSet<(u8, bool)>| of.iter().filter(|(_, port)| *port).count();
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

fn compare(snapshot: &Snapshot, model: &Model, asked: &[&'static str], qtype: u8) {
    let qtype = [A, SRV, TXT].get(usize::from(qtype) % 3).copied().unwrap_or(A);
    let header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let packet = [&header, name(asked).octets(), &qtype.to_be_bytes(), &[0, 1]].concat();
    let (outcome, buffer) = ask(snapshot, &packet, Transport::Tcp, 65_535);
    let said = match outcome {
        Outcome::Reply { length, .. } => {
            let mut said = read(buffer.get(..length).expect("a reply is as long as it says"));
            for answer in &mut said.answers {
                // Targets are uuids, which the model does not tell apart: priority and weight are compared.
                if answer.starts_with("SRV") {
                    *answer = answer.split(' ').take(3).collect::<Vec<_>>().join(" ");
                }
            }
            Some(said)
        }
        Outcome::Forward => None,
        Outcome::Drop => panic_dropped(&packet),
    };
    assert_eq!(said, model.answer(asked, qtype), "{asked:?} type {qtype}");
}

#[expect(clippy::panic, reason = "a fuzz target reports by panicking")]
fn panic_dropped(packet: &[u8]) -> ! {
    panic!("a query was met with silence: {packet:?}")
}

fn name(labels: &[&'static str]) -> Name {
    Name::from_labels(labels).expect("a few short labels")
}
