//! Any history of names, endpoints and zones: the snapshot agrees with the [`crate::model`].

use std::net::IpAddr;

use arbitrary::{Arbitrary, Unstructured};
use dataplane::respond::{Outcome, Transport};
use dns::{Builder, Endpoint, Name, RecordData, RrSet, Snapshot, View, ZoneSettings};

use crate::answer::{ask, read};
use crate::model::{A, Asked, Data, Labels, Model, SRV};

/// Few, so that histories meet: the same name is set, removed and asked for.
const LABELS: [&str; 6] = ["dev", "web", "a", "b", "any", "*"];
/// The labels that services have; the others stand for any label in a query.
const PLAIN: usize = 4;
/// The first two are our zones, the third never is, the last comes and goes.
const ZONES: [&str; 4] = ["docker", "lab.example", "example", "late"];
const OURS: usize = 2;
/// The network whose clients have a view of their own, and a client inside and outside of it.
const NETWORK: &str = "172.20.0.0/16";
const INSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 20, 0, 9));
const OUTSIDE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// Steps of a history that are looked at; the fuzzer gains nothing from longer ones.
const STEPS_MAX: usize = 200;
const TXT: u16 = 16;

#[derive(Arbitrary, Debug)]
enum Step {
    Set {
        owner: Owner,
        wildcard: bool,
        everyone: u8,
        inside: u8,
    },
    SetAlias {
        owner: Owner,
        target: Owner,
    },
    Remove {
        owner: Owner,
        wildcard: bool,
    },
    Insert {
        labels: [u8; 6],
        address: u8,
        inside: Option<u8>,
        port: bool,
    },
    RemoveEndpoint {
        which: u8,
    },
    Zone {
        there: bool,
    },
    Build,
    Ask {
        owner: Owner,
        qtype: u8,
        inside: bool,
    },
}

#[derive(Arbitrary, Debug)]
struct Owner {
    labels: [u8; 7],
    count: u8,
    zone: u8,
}

impl Owner {
    /// Labels as a question may have them, left to right, the zone's included.
    fn asked(&self) -> Labels {
        self.labels_of(LABELS.len())
    }

    /// Labels as a service has them, none of which stands for others; behind `*` for a wildcard owner.
    fn stored(&self, wildcard: bool) -> Labels {
        let star = wildcard.then_some("*");
        star.into_iter().chain(self.labels_of(PLAIN)).collect()
    }

    fn labels_of(&self, choices: usize) -> Labels {
        let labels = self.labels.iter().take(usize::from(self.count) % 8);
        let labels = labels.filter_map(|label| LABELS.get(usize::from(*label) % choices).copied());
        let zone = ZONES
            .get(usize::from(self.zone) % ZONES.len())
            .copied()
            .unwrap_or_default();
        labels.chain(zone.split('.')).collect()
    }
}

/// Plays `history` to a builder and to the model, and compares what they say to every question in it.
///
/// # Panics
///
/// When they differ.
pub fn snapshot(history: &[u8]) {
    let mut input = Unstructured::new(history);
    let zones = ZONES.iter().take(OURS).map(|apex| zone(apex));
    let mut builder = Builder::new(zones.collect(), 1, 0).expect("zones apart from each other");
    builder.set_networks(&[(NETWORK.parse().expect("a constant"), View(1))]);
    let zones = ZONES.iter().take(OURS).map(|zone| zone.split('.').collect());
    let mut model = Model {
        zones: zones.collect(),
        ..Model::default()
    };
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
            Step::Ask { owner, qtype, inside } => {
                let qtype = [A, SRV, TXT].get(usize::from(qtype) % 3).copied().unwrap_or(A);
                compare(
                    &built.0,
                    &built.1,
                    Asked {
                        name: &owner.asked(),
                        qtype,
                        inside,
                    },
                );
            }
            change => apply(change, &mut builder, &mut model),
        }
    }
    let last = builder.build();
    assert_eq!(
        last.names(),
        model.names.values().filter(|data| data.has_records()).count()
    );
    assert_eq!(last.endpoints(), model.endpoints.len());
    for owner in model.names.keys() {
        for inside in [false, true] {
            compare(
                &last,
                &model,
                Asked {
                    name: owner,
                    qtype: A,
                    inside,
                },
            );
        }
    }
}

fn apply(change: Step, builder: &mut Builder, model: &mut Model) {
    match change {
        Step::Set {
            owner,
            wildcard,
            everyone,
            inside,
        } => {
            let (owner, everyone, inside) = (owner.stored(wildcard), everyone % 4, inside % 3);
            let rrsets = [(View::EVERYONE, 0, everyone), (View(1), 2, inside)];
            let rrsets = rrsets.into_iter().filter(|(.., count)| *count > 0);
            let rrsets: Vec<RrSet> = rrsets
                .map(|(view, second, count)| {
                    let records = (1..=count)
                        .map(|last| RecordData::A([10, second, 0, last].into()))
                        .collect();
                    RrSet {
                        view,
                        ttl_seconds: 30,
                        records,
                        additional: Vec::new(),
                    }
                })
                .collect();
            builder.set(&name(&owner), &rrsets).expect("records of one type");
            model.names.insert(owner, Data::Addresses { everyone, inside });
        }
        Step::SetAlias { owner, target } => {
            let (owner, target) = (owner.stored(false), target.stored(false));
            let records = vec![RecordData::Cname(name(&target))];
            let rrset = RrSet {
                view: View::EVERYONE,
                ttl_seconds: 30,
                records,
                additional: Vec::new(),
            };
            builder.set(&name(&owner), &[rrset]).expect("an alias alone");
            model.names.insert(owner, Data::Alias(target));
        }
        Step::Remove { owner, wildcard } => {
            builder.remove(&name(&owner.stored(wildcard)));
            model.names.remove(&owner.stored(wildcard));
        }
        Step::Insert {
            labels,
            address,
            inside,
            port,
        } => insert(labels, address, inside, port, builder, model),
        Step::RemoveEndpoint { which } => {
            if let Some(place) = usize::from(which).checked_rem(model.endpoints.len()) {
                let (.., key) = model.endpoints.swap_remove(place);
                builder.remove_endpoint(key);
            }
        }
        Step::Zone { there } => {
            let [.., late] = ZONES;
            model.zones.retain(|zone| *zone != [late]);
            if there {
                // Refused when it is there already, which changes nothing.
                let _ = builder.add_zone(zone(late));
                model.zones.push(vec![late]);
            } else {
                builder.remove_zone(&name(&[late]));
            }
        }
        Step::Build | Step::Ask { .. } => {}
    }
}

fn insert(
    labels: [u8; 6],
    address: u8,
    inside: Option<u8>,
    port: bool,
    builder: &mut Builder,
    model: &mut Model,
) {
    // Two endpoints with one address would make a double in the answer, which the model does not have;
    // no two containers of an engine share one.
    let is_taken = model.endpoints.iter().any(|(_, other, other_inside, ..)| {
        *other == address || (inside.is_some() && *other_inside == inside)
    });
    if is_taken {
        return;
    }
    let labels = labels.map(|label| {
        LABELS
            .get(usize::from(label) % PLAIN)
            .copied()
            .unwrap_or_default()
    });
    let endpoint = Endpoint {
        labels: labels.map(|label| label.as_bytes().into()),
        ipv4: vec![[10, 1, 0, address].into()],
        ipv6: Vec::new(),
        port: port.then_some(80),
        ttl_seconds: 30,
        views: inside
            .map(|last| (View(1), IpAddr::from([10, 3, 0, last])))
            .into_iter()
            .collect(),
    };
    let key = builder.insert_endpoint(&endpoint).expect("short labels");
    model.endpoints.push((labels, address, inside, port, key));
}

fn compare(snapshot: &Snapshot, model: &Model, asked: Asked<'_>) {
    let header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let packet = [
        &header,
        name(asked.name).octets(),
        &asked.qtype.to_be_bytes(),
        &[0, 1],
    ]
    .concat();
    let client = if asked.inside { INSIDE } else { OUTSIDE };
    let (outcome, buffer) = ask(snapshot, &packet, client, Transport::Tcp, 65_535);
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
    let Asked { name, qtype, inside } = asked;
    assert_eq!(
        said,
        model.answer(asked),
        "{name:?} type {qtype}, inside {inside}"
    );
}

#[expect(clippy::panic, reason = "a fuzz target reports by panicking")]
fn panic_dropped(packet: &[u8]) -> ! {
    panic!("a query was met with silence: {packet:?}")
}

fn name(labels: &[&'static str]) -> Name {
    Name::from_labels(labels).expect("a few short labels")
}

fn zone(apex: &str) -> ZoneSettings {
    ZoneSettings::of(apex.parse().expect("a constant"), 30)
}
