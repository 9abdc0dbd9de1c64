//! Many names set at once are as if each had been set by itself, however often somebody comes for the work.

use std::collections::BTreeSet;

use super::tests::{builder, name};
use super::*;
use crate::record::RecordData;
use crate::snapshot::port::{Port, Protocol};
use crate::wire::RType;

fn rrset(data: RecordData) -> RrSet {
    RrSet {
        view: View::EVERYONE,
        ttl_seconds: 30,
        until: None,
        records: vec![data],
        additional: Vec::new(),
    }
}

/// All that is in each entry, in order; the same may be laid out in two ways.
fn entries(snapshot: &Snapshot) -> Vec<String> {
    let mut entries: Vec<_> = snapshot.shards.entries().map(|entry| said(&entry)).collect();
    entries.sort_unstable();
    entries
}

fn said(entry: &Entry<'_>) -> String {
    let answers: Vec<_> = entry.answers().collect();
    let of_port = (entry.has_port(PORT), entry.port_rrset(PORT, View::EVERYONE));
    let (key, value, is_set) = (entry.key(), entry.value, entry.is_set());
    format!("{key:?} {value} {is_set} {answers:?} {of_port:?}")
}

const PORT: Port = Port {
    protocol: Protocol::Tcp,
    number: 80,
};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % below
    }

    /// A name out of few, of one to four labels below a zone, or outside.
    fn name(&mut self) -> Name {
        let above = ["docker", "test.example", "example.net"][self.roll(3)];
        let mut text = String::new();
        for place in 0..self.roll(5) {
            let labels = if place == 0 {
                ["*", "a", "b", "c"]
            } else {
                ["a", "b", "c", "d"]
            };
            text += labels[self.roll(4)];
            text += ".";
        }
        name(&(text + above))
    }

    fn records(&mut self) -> Option<Records> {
        let address = rrset(RecordData::A([10, 0, 0, self.roll(9) as u8].into()));
        let port = PortRrSets {
            port: PORT,
            rrsets: Vec::new(),
        };
        match self.roll(6) {
            0 | 1 => None,
            2 => Some((vec![], vec![])),
            3 => Some((vec![address], vec![port])),
            4 => Some((vec![address], vec![])),
            // Refused: an alias stands alone.
            _ => Some((vec![address, rrset(RecordData::Cname(name("a.docker")))], vec![])),
        }
    }

    fn endpoint(&mut self) -> Endpoint {
        let mut label = |labels: &[&str]| -> Box<[u8]> { labels[self.roll(labels.len())].as_bytes().into() };
        let few = ["a", "b", "c", "d", "e", "f"];
        Endpoint::new([(); GRAMMAR_LABELS].map(|()| label(&few)), 30)
    }
}

/// Calls for the work so often, or never. That threads may is tried where there are some, in `controlplane`.
fn called(times: usize) -> impl FnOnce(&(dyn Fn() + Sync)) {
    move |work| (0..times).for_each(|_| work())
}

#[test]
fn many_names_at_once_are_as_each_by_itself() {
    for seed in 1..=60 {
        let mut dice = Dice(seed);
        let (mut at_once, mut one_by_one) = (builder(), builder());
        let mut rows: Vec<(EndpointKey, Endpoint)> = Vec::new();
        for round in 0..12 {
            for _ in 0..dice.roll(4) {
                let endpoint = dice.endpoint();
                let key = at_once.insert_endpoint(&endpoint).unwrap();
                assert_eq!(one_by_one.insert_endpoint(&endpoint).unwrap(), key);
                rows.push((key, endpoint));
            }
            if round % 3 == 2 && !rows.is_empty() {
                let (key, endpoint) = rows.swap_remove(dice.roll(rows.len()));
                at_once.remove_endpoint(key, &endpoint.labels);
                one_by_one.remove_endpoint(key, &endpoint.labels);
            }
            // One that is changed by itself before, and may be among the many, too.
            let (own, records) = (dice.name(), [rrset(RecordData::A([10, 0, 0, 1].into()))]);
            at_once.set(&own, &records).unwrap();
            one_by_one.set(&own, &records).unwrap();
            let names: BTreeSet<Name> = (0..dice.roll(80)).map(|_| dice.name()).collect();
            let names: Vec<Name> = names.into_iter().collect();
            let said: HashMap<Name, Option<Records>> =
                names.iter().map(|name| (name.clone(), dice.records())).collect();
            let errors = at_once.set_all(&names, |name| said[name].clone(), called(dice.roll(4)));
            let mut expected = Vec::new();
            for name in &names {
                match &said[name] {
                    Some((rrsets, ports)) => {
                        expected.extend(one_by_one.set_with_ports(name, rrsets, ports).err());
                    }
                    None => one_by_one.remove(name),
                }
            }
            assert_eq!(errors, expected);
            if dice.roll(3) > 0 {
                let [at_once, one_by_one] = [&mut at_once, &mut one_by_one].map(Builder::build);
                let counts = |it: &Snapshot| (it.names, it.wildcards, it.endpoints, it.shards.len());
                assert_eq!(
                    counts(&at_once),
                    counts(&one_by_one),
                    "seed {seed}, round {round}"
                );
                assert_eq!(
                    entries(&at_once),
                    entries(&one_by_one),
                    "seed {seed}, round {round}"
                );
            }
        }
    }
}

/// More than the first shards have room for.
#[test]
fn a_whole_zone_at_once_is_found() {
    let mut builder = builder();
    let names: Vec<Name> = (0..20_000)
        .map(|number| name(&format!("n{number}.e{}.docker", number % 7)))
        .collect();
    let label = |text: String| -> Box<[u8]> { text.into_bytes().into() };
    for number in 0..2_000 {
        let labels = [0, 1, 2, 3, 4, 5].map(|column| label(format!("l{column}-{number}")));
        builder.insert_endpoint(&Endpoint::new(labels, 30)).unwrap();
    }
    let before = builder.build();
    let records = |owner: &Name| Some((vec![rrset(RecordData::Ptr(owner.clone()))], Vec::new()));
    assert_eq!(builder.set_all(&names, records, called(3)), []);
    let snapshot = builder.build();
    assert_eq!((before.names(), snapshot.names()), (0, 20_000));
    for owner in &names {
        let entry = snapshot.entry(owner.octets()).unwrap();
        assert!(entry.rrset(RType::PTR, View::EVERYONE).is_some());
        assert!(before.entry(owner.octets()).is_none());
    }
    assert!((0..2_000).all(|number| snapshot.label_number(format!("l5-{number}").as_bytes()).is_some()));
    let children = |owner: &str| snapshot.entry(name(owner).octets()).map(|entry| entry.value);
    assert_eq!(
        (children("docker"), children("e0.docker")),
        (Some(7), Some(2_858))
    );
    assert_eq!(builder.set_all(&names, |_| None, |work| work()), []);
    let gone = builder.build();
    assert_eq!((gone.names(), entries(&gone).len()), (0, 2 + 12_000));
}
