//! Any history of names, endpoints and zones: the snapshot agrees with the [`crate::model`].

use std::collections::BTreeSet;
use std::net::IpAddr;

use arbitrary::{Arbitrary, Unstructured};
use dataplane::respond::{Outcome, Transport};
use dns::{Builder, Endpoint, Moment, Name, RType, RecordData, RrSet, Snapshot, Tier, View, ZoneSettings};

use crate::answer::{NOW, Said, ask, read};
use crate::model::{A, AAAA, ANY, Asked, CNAME, Data, Labels, Model, Row, SRV, Set, TXT};

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
/// RRsets of one name that are looked at.
const SETS_MAX: usize = 6;
/// One more than the records of an RRset: some are too many for the smallest datagram.
const RECORDS_MAX: u8 = 48;

#[derive(Arbitrary, Debug)]
enum Step {
    Set {
        owner: Owner,
        wildcard: bool,
        sets: Vec<Records>,
    },
    SetAlias {
        owner: Owner,
        target: Owner,
    },
    Remove {
        owner: Owner,
        wildcard: bool,
    },
    Insert(Box<Service>),
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
        edns: u16,
    },
    /// Another endpoint in the place of one.
    Replace {
        which: u8,
        with: Box<Service>,
    },
}

/// That many records of one type, for everyone or for clients inside the network that has a view.
#[derive(Arbitrary, Debug)]
struct Records {
    inside: bool,
    rtype: u8,
    count: u8,
}

/// An endpoint.
#[derive(Arbitrary, Debug)]
struct Service {
    labels: [u8; 6],
    ipv4: Option<u8>,
    ipv6: Option<u8>,
    inside: Option<u8>,
    alias: Option<Owner>,
    port: Option<u8>,
    inside_port: Option<u8>,
    priority: u8,
    weight: u8,
    ttl_seconds: u8,
    tier: u8,
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
            Step::Ask {
                owner,
                qtype,
                inside,
                edns,
            } => {
                let qtype = [A, AAAA, SRV, TXT, ANY, CNAME].get(usize::from(qtype) % 6);
                let asked = Asked {
                    name: &owner.asked(),
                    qtype: qtype.copied().unwrap_or(A),
                    inside,
                };
                compare(&built.0, &built.1, asked);
                compare_sizes(&built.0, asked, edns);
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
            sets,
        } => set(owner.stored(wildcard), &sets, builder, model),
        Step::SetAlias { owner, target } => {
            let (owner, target) = (owner.stored(false), target.stored(false));
            let records = vec![RecordData::Cname(name(&target))];
            let rrset = RrSet {
                view: View::EVERYONE,
                ttl_seconds: 30,
                until: None,
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
        Step::Insert(service) => insert(&service, builder, model),
        Step::Replace { which, with } => {
            let place = usize::from(which).checked_rem(model.endpoints.len());
            if let Some(there) = place.and_then(|place| model.endpoints.get_mut(place))
                && let Some(key) = there.key
            {
                let (row, endpoint) = row(&with);
                let labels = there.labels.map(|label| label.as_bytes().into());
                let replaced = builder.replace_endpoint(key, &labels, &endpoint);
                replaced.expect("labels and addresses that fit");
                *there = Row {
                    key: Some(key),
                    ..row
                };
            }
        }
        Step::RemoveEndpoint { which } => {
            if let Some(place) = usize::from(which).checked_rem(model.endpoints.len()) {
                let gone = model.endpoints.swap_remove(place);
                if let Some(key) = gone.key {
                    let labels = gone.labels.map(|label| label.as_bytes().into());
                    builder.remove_endpoint(key, &labels);
                }
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

fn set(owner: Labels, sets: &[Records], builder: &mut Builder, model: &mut Model) {
    let (mut rrsets, mut lines): (Vec<RrSet>, Vec<Set>) = (Vec::new(), Vec::new());
    for Records { inside, rtype, count } in sets.iter().take(SETS_MAX) {
        let rtype = [A, AAAA, TXT].get(usize::from(*rtype) % 3).copied().unwrap_or(A);
        // Some end by themselves, in 10 or 20 seconds.
        let left = Some(u32::from(count / RECORDS_MAX % 3) * 10).filter(|left| *left > 0);
        let count = count % RECORDS_MAX;
        let is_double = lines
            .iter()
            .any(|set| (set.inside, set.rtype) == (*inside, rtype));
        // Only a view can be told that it has nothing.
        if is_double || (count == 0 && !inside) {
            continue;
        }
        let data = |last: u8| match rtype {
            A => RecordData::A([10, u8::from(*inside) * 2, 0, last].into()),
            AAAA => RecordData::Aaaa([0xfd00, 0, 0, 0, 0, 0, u16::from(*inside), u16::from(last)].into()),
            _ => RecordData::Txt(vec![format!("{inside} {last}").into_bytes().into()]),
        };
        let told = left.unwrap_or(30);
        let line = |last: u8| match data(last) {
            RecordData::A(address) => format!("{told} A {address}"),
            RecordData::Aaaa(address) => format!("{told} AAAA {address}"),
            _ => format!("{told} TXT \"{inside} {last}\""),
        };
        lines.push(Set {
            inside: *inside,
            rtype,
            lines: (1..=count).map(line).collect(),
        });
        let mut records: Vec<_> = (1..=count).map(data).collect();
        if records.is_empty() {
            records.push(RecordData::Absent(RType(rtype)));
        }
        rrsets.push(RrSet {
            view: if *inside { View(1) } else { View::EVERYONE },
            ttl_seconds: 30,
            until: left.map(ends),
            records,
            additional: Vec::new(),
        });
    }
    builder.set(&name(&owner), &rrsets).expect("records of one type");
    model.names.insert(owner, Data::Sets(lines));
}

fn row(service: &Service) -> (Row, Endpoint) {
    let labels = service.labels.map(|label| {
        LABELS
            .get(usize::from(label) % PLAIN)
            .copied()
            .unwrap_or_default()
    });
    // Few of each, so that doubles, sums and ties occur.
    let port = |port: Option<u8>| port.map(|port| 80 + u16::from(port % 3));
    let tiers = [Tier::Ready, Tier::Starting, Tier::Withheld];
    let tier = tiers
        .get(usize::from(service.tier) % 3)
        .copied()
        .unwrap_or(Tier::Ready);
    let alias = service.alias.as_ref().map(|target| target.stored(false));
    let ttl_seconds = u32::from(service.ttl_seconds % 3);
    // Some end by themselves, in one to three seconds.
    let left = Some(u32::from(service.ttl_seconds / 3 % 4)).filter(|left| *left > 0);
    let row = Row {
        labels,
        ipv4: service.ipv4.map(|last| last % 8),
        ipv6: service.ipv6.map(|last| last % 8),
        inside: service.inside.map(|last| last % 8),
        alias,
        port: port(service.port),
        inside_port: service
            .inside_port
            .map(|port| if port < 64 { 0 } else { 80 + u16::from(port % 3) }),
        priority: 10 * (1 + u16::from(service.priority % 3)),
        weight: u16::from(service.weight % 4) * 50,
        ttl_seconds: left.map_or(ttl_seconds, |left| ttl_seconds.min(left)),
        tier: service.tier % 3,
        key: None,
    };
    let endpoint = Endpoint {
        ipv4: row.ipv4.map(|last| [10, 1, 0, last].into()).into_iter().collect(),
        ipv6: row
            .ipv6
            .map(|last| [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)].into())
            .into_iter()
            .collect(),
        alias: row.alias.as_ref().map(|target| name(target)),
        port: row.port,
        priority: row.priority,
        weight: row.weight,
        tier,
        until: left.map(ends),
        views: row
            .inside
            .map(|last| (View(1), IpAddr::from([10, 3, 0, last])))
            .into_iter()
            .collect(),
        view_ports: row.inside_port.map(|port| (View(1), port)).into_iter().collect(),
        ..Endpoint::new(labels.map(|label| label.as_bytes().into()), ttl_seconds)
    };
    (row, endpoint)
}

fn insert(service: &Service, builder: &mut Builder, model: &mut Model) {
    let (mut row, endpoint) = row(service);
    row.key = Some(builder.insert_endpoint(&endpoint).expect("short labels"));
    model.endpoints.push(row);
}

/// What `snapshot` says over TCP, and how many octets that takes; none when the question is to be forwarded.
fn say(
    snapshot: &Snapshot,
    asked: Asked<'_>,
    transport: Transport,
    edns: Option<u16>,
) -> Option<(Said, usize)> {
    let header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    let opt = edns.map(|size| [&[0, 0, 41][..], &size.to_be_bytes(), &[0; 6]].concat());
    let mut packet = [
        &header,
        name(asked.name).octets(),
        &asked.qtype.to_be_bytes(),
        &[0, 1],
        opt.as_deref().unwrap_or_default(),
    ]
    .concat();
    let client = if asked.inside { INSIDE } else { OUTSIDE };
    let (mut outcome, mut buffer) = ask(snapshot, &packet, client, transport, 65_535);
    if outcome == Outcome::Follow {
        // What others say of the name that the alias leads to is not theirs to know here: without RD it is left out.
        *packet.get_mut(2).expect("a header") = 0;
        (outcome, buffer) = ask(snapshot, &packet, client, transport, 65_535);
    }
    match outcome {
        Outcome::Reply { length, .. } => Some((
            read(buffer.get(..length).expect("a reply is as long as it says")),
            length,
        )),
        Outcome::Forward => None,
        Outcome::Follow | Outcome::Drop => panic_dropped(&packet),
    }
}

fn compare(snapshot: &Snapshot, model: &Model, asked: Asked<'_>) {
    let said = say(snapshot, asked, Transport::Tcp, None).map(|(said, _)| said);
    let Asked { name, qtype, inside } = asked;
    assert_eq!(
        said,
        model.answer(asked),
        "{name:?} type {qtype}, inside {inside}"
    );
}

/// A datagram says what a stream does, or that it was cut; only additional records may be missing without that.
fn compare_sizes(snapshot: &Snapshot, asked: Asked<'_>, edns: u16) {
    for edns in [None, Some(edns)] {
        let whole = say(snapshot, asked, Transport::Tcp, edns);
        let (Some((whole, octets)), Some((said, length))) =
            (whole, say(snapshot, asked, Transport::Udp, edns))
        else {
            continue;
        };
        let limit = edns.map_or(512, |size| usize::from(size).clamp(512, 1232));
        assert!(length <= limit, "{length} octets where {limit} are allowed");
        if said.truncated {
            assert!(octets > limit, "what would fit is not cut");
            assert!(
                said.answers.is_empty() && said.additional.is_empty() && !said.denied,
                "{said:?}"
            );
        } else {
            assert!(
                said.additional
                    .iter()
                    .all(|record| whole.additional.contains(record))
            );
            // Of an RRset, all or nothing (RFC 2181, section 9).
            let set = |record: &String| record.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
            let sets: BTreeSet<_> = said.additional.iter().map(set).collect();
            let there = whole
                .additional
                .iter()
                .filter(|record| sets.contains(&set(record)));
            assert_eq!(there.count(), said.additional.len(), "{said:?} of {whole:?}");
            let additional = whole.additional.clone();
            assert_eq!(Said { additional, ..said }, whole, "{asked:?} of {limit} octets");
        }
    }
}

#[expect(clippy::panic, reason = "a fuzz target reports by panicking")]
fn panic_dropped(packet: &[u8]) -> ! {
    panic!("a query was met with silence: {packet:?}")
}

/// So many seconds after the questions are asked.
fn ends(left: u32) -> Moment {
    Moment::of_milliseconds(NOW.milliseconds() + 1000 * u64::from(left))
}

fn name(labels: &[&'static str]) -> Name {
    Name::from_labels(labels).expect("a few short labels")
}

fn zone(apex: &str) -> ZoneSettings {
    ZoneSettings::of(apex.parse().expect("a constant"), 30)
}
