//! The builder as its users see it: what it is told, and what snapshots then say.

use super::*;
use crate::record::{Record, RecordData};
use crate::snapshot::Lookup;
use crate::wire::{Class, Question};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn builder() -> Builder {
    let zones = ["docker", "test.example"].map(|apex| ZoneSettings::of(name(apex), 30));
    Builder::new(zones.to_vec(), 42, 0).unwrap()
}

fn a(last: u8) -> RrSet {
    let records = vec![RecordData::A([10, 0, 0, last].into())];
    RrSet {
        view: View::EVERYONE,
        ttl_seconds: 30,
        until: None,
        records,
        additional: Vec::new(),
    }
}

/// What `snapshot` says to a question for `owner`'s addresses, in a word.
fn ask(snapshot: &Snapshot, owner: &str) -> String {
    let owner = name(owner);
    let question = Question {
        qname: owner.as_ref(),
        qtype: RType::A,
        qclass: Class::IN,
    };
    match snapshot.lookup(&question, [10, 0, 0, 1].into()) {
        Lookup::Found(answer) => format!("found {}", answer.answer[answer.answer.len() - 1]),
        Lookup::Matches(_) => "matches".to_owned(),
        Lookup::Soa(_) => "soa".to_owned(),
        Lookup::Alias(_) => "alias".to_owned(),
        Lookup::NoData(_) => "nodata".to_owned(),
        Lookup::NxDomain(_) => "nxdomain".to_owned(),
        Lookup::NotOurs => "not ours".to_owned(),
    }
}

#[test]
fn zones_must_be_given_and_be_apart() {
    let zones = |apexes: &[&str]| {
        let zones = apexes
            .iter()
            .map(|apex| ZoneSettings::of(name(apex), 30))
            .collect();
        Builder::new(zones, 0, 0).err()
    };
    assert_eq!(zones(&[]), Some(BuildError::NoZone));
    assert_eq!(zones(&["."]), Some(BuildError::RootZone));
    assert!(matches!(
        zones(&["docker", "docker"]),
        Some(BuildError::NestedZone { .. })
    ));
    assert!(matches!(
        zones(&["docker", "a.docker"]),
        Some(BuildError::NestedZone { .. })
    ));
    assert_eq!(zones(&["docker", "xdocker"]), None);
}

#[test]
fn a_zone_may_come_and_go_around_names_that_are_there() {
    let mut builder = builder();
    let owner = "4.0.17.172.in-addr.arpa";
    let reverse = builder.zones[0].0.reverse(name("17.172.in-addr.arpa"));
    builder.set(&name(owner), &[a(4)]).unwrap();
    let before = builder.build();
    builder.add_zone(reverse.clone()).unwrap();
    let with = builder.build();
    assert!(matches!(
        builder.add_zone(reverse),
        Err(BuildError::NestedZone { .. })
    ));
    builder.remove_zone(&name("17.172.in-addr.arpa"));
    let after = builder.build();
    let asked = [
        owner,
        "0.17.172.in-addr.arpa",
        "5.0.17.172.in-addr.arpa",
        "*.0.17.172.in-addr.arpa",
    ];
    assert_eq!(
        asked.map(|owner| ask(&with, owner)),
        ["found 4", "nodata", "nxdomain", "nxdomain"]
    );
    for snapshot in [&before, &after] {
        assert_eq!(
            asked.map(|owner| ask(snapshot, owner)),
            ["found 4", "not ours", "not ours", "not ours"]
        );
    }
    builder.remove(&name(owner));
    assert_eq!(builder.build().names(), 0);
}

// RFC 8020, section 2: a name with names below it exists.
#[test]
fn names_between_an_owner_and_its_apex_exist_exactly_as_long_as_it_does() {
    let mut builder = builder();
    builder.set(&name("a.b.c.docker"), &[a(1)]).unwrap();
    builder.set(&name("b.c.docker"), &[a(2)]).unwrap();
    builder.set(&name("x.c.docker"), &[a(3)]).unwrap();
    let both = builder.build();
    builder.remove(&name("b.c.docker"));
    let without_middle = builder.build();
    builder.remove(&name("a.b.c.docker"));
    let without_leaf = builder.build();
    builder.remove(&name("x.c.docker"));
    let empty = builder.build();

    for (snapshot, answers) in [
        (&both, ["found 1", "found 2", "nodata", "nodata"]),
        (&without_middle, ["found 1", "nodata", "nodata", "nodata"]),
        (&without_leaf, ["nxdomain", "nxdomain", "nodata", "nodata"]),
        (&empty, ["nxdomain", "nxdomain", "nxdomain", "nodata"]),
    ] {
        let owners = ["a.b.c.docker", "b.c.docker", "c.docker", "docker"];
        assert_eq!(owners.map(|owner| ask(snapshot, owner)), answers);
    }
    assert_eq!(
        [&both, &without_middle, &without_leaf, &empty].map(Snapshot::names),
        [3, 2, 1, 0]
    );
    assert_eq!([both.serial(), empty.serial()], [1, 4]);
}

#[test]
fn an_owner_outside_every_zone_is_served_and_nothing_around_it() {
    let mut builder = builder();
    builder.set(&name("www.example.org"), &[a(1)]).unwrap();
    let snapshot = builder.build();
    let owners = ["www.example.org", "example.org", "a.www.example.org", "xdocker"];
    assert_eq!(
        owners.map(|owner| ask(&snapshot, owner)),
        ["found 1", "not ours", "not ours", "not ours"]
    );
}

#[test]
fn ten_thousand_names_are_found_after_any_order_of_changes() {
    let mut builder = builder();
    let owner = |number: usize| name(&format!("n{number}.dev.docker"));
    for number in 0..10_000 {
        builder.set(&owner(number), &[a((number % 251) as u8)]).unwrap();
        if number % 977 == 0 {
            builder.build();
        }
    }
    for number in (0..10_000).step_by(3) {
        builder.remove(&owner(number));
    }
    let snapshot = builder.build();
    for number in 0..10_000 {
        let expected = if number % 3 == 0 {
            "nxdomain".to_owned()
        } else {
            format!("found {}", number % 251)
        };
        assert_eq!(
            ask(&snapshot, &format!("n{number}.dev.docker")),
            expected,
            "{number}"
        );
    }
    assert_eq!(snapshot.names(), 6_666);
}

#[test]
fn a_set_too_large_for_a_message_keeps_what_fits() {
    let mut builder = builder();
    let records: Vec<RecordData> = (0..5_000_u32).map(|n| RecordData::A(n.into())).collect();
    let additional = vec![Record {
        owner: name("t.docker"),
        ttl_seconds: 1,
        data: records[0].clone(),
    }];
    builder
        .set(
            &name("dev.docker"),
            &[RrSet {
                view: View::EVERYONE,
                ttl_seconds: 1,
                until: None,
                records,
                additional,
            }],
        )
        .unwrap();
    let snapshot = builder.build();
    let dev = name("dev.docker");
    let question = Question {
        qname: dev.as_ref(),
        qtype: RType::A,
        qclass: Class::IN,
    };
    let Lookup::Found(answer) = snapshot.lookup(&question, [10, 0, 0, 1].into()) else {
        panic!("stored")
    };
    assert_eq!(
        (answer.records, answer.stride, answer.answer.len()),
        (4_078, 16, 4_078 * 16)
    );
    assert_eq!((answer.additional_records, answer.additional.len()), (0, 0));
}

#[test]
fn a_name_set_without_records_outlives_the_names_below_it() {
    let mut builder = builder();
    builder.set(&name("b.docker"), &[]).unwrap();
    builder.set(&name("a.b.docker"), &[a(1)]).unwrap();
    builder.remove(&name("a.b.docker"));
    assert_eq!(ask(&builder.build(), "b.docker"), "nodata");
    builder.remove(&name("b.docker"));
    assert_eq!(ask(&builder.build(), "b.docker"), "nxdomain");
}

#[test]
fn a_refused_change_changes_nothing() {
    let mut builder = builder();
    let empty = RrSet {
        view: View::EVERYONE,
        ttl_seconds: 1,
        until: None,
        records: Vec::new(),
        additional: Vec::new(),
    };
    let owner = name("a.docker");
    assert_eq!(
        builder.set(&owner, &[empty]),
        Err(BuildError::EmptyRrSet { owner: owner.clone() })
    );
    assert!(matches!(
        builder.set(&owner, &[a(1), a(2)]),
        Err(BuildError::MixedRrSet { .. })
    ));
    let variants: Vec<RrSet> = (0..256)
        .map(|view| RrSet {
            view: View(view),
            ..a(1)
        })
        .collect();
    assert!(matches!(
        builder.set(&owner, &variants),
        Err(BuildError::TooManyRrSets { rrsets: 256, .. })
    ));
    assert_eq!(ask(&builder.build(), "a.docker"), "nxdomain");
    assert_eq!(builder.set(&owner, &variants[1..]), Ok(()));
}

#[test]
fn endpoints_come_and_go_under_reused_keys_and_numbers() {
    let mut builder = builder();
    let endpoint = |number: usize| {
        let (instance, uuid) = (format!("i{number}"), format!("u{number}"));
        let labels = ["dev", "web", &instance, "r", "h", &uuid].map(|label| label.as_bytes().into());
        Endpoint {
            ipv4: vec![[10, 0, 0, 1].into()],
            ..Endpoint::new(labels, 1)
        }
    };
    for round in 0..5 {
        let keys: Vec<EndpointKey> = (0..600)
            .map(|number| builder.insert_endpoint(&endpoint(round * 1000 + number)).unwrap())
            .collect();
        let full = builder.build();
        let instance = |number: usize| format!("i{}.*.dev.docker", round * 1000 + number);
        assert_eq!(
            [0, 300, 599, 600].map(|n| ask(&full, &instance(n))),
            ["matches", "matches", "matches", "nxdomain"]
        );
        assert_eq!(full.endpoints(), 600);
        assert!(full.chunks.get(2).is_some() && full.chunks.get(3).is_none());
        let labels = |number: usize| endpoint(round * 1000 + number).labels;
        let each = keys.iter().enumerate();
        each.for_each(|(number, key)| builder.remove_endpoint(*key, &labels(number)));
        builder.remove_endpoint(keys[0], &labels(0));
        let empty = builder.build();
        assert_eq!(
            (empty.endpoints(), ask(&empty, "*.dev.docker")),
            (0, "nxdomain".to_owned())
        );
    }
    assert_eq!(
        builder.labels.len(),
        1 + 600 * 2 + 4,
        "numbers are given out again"
    );
}

// RFC 4592, section 2.2.2: an empty non-terminal may be a wildcard, and covers what it stands for, without data.
#[test]
fn a_wildcard_that_is_there_because_of_a_name_below_it_covers_without_data() {
    let mut builder = builder();
    builder.remove(&name("*.web.docker"));
    builder.set(&name("a.*.web.docker"), &[a(1)]).unwrap();
    assert_eq!(ask(&builder.build(), "x.web.docker"), "nodata");
    builder.set(&name("*.web.docker"), &[a(2)]).unwrap();
    assert_eq!(ask(&builder.build(), "x.web.docker"), "found 2");
    builder.remove(&name("*.web.docker"));
    assert_eq!(ask(&builder.build(), "x.web.docker"), "nodata");
    builder.remove(&name("a.*.web.docker"));
    assert_eq!(ask(&builder.build(), "x.web.docker"), "nxdomain");
}

#[test]
fn more_names_than_are_kept_aside_are_there_after_one_build() {
    let mut builder = builder();
    let first = builder.build();
    let owner = |number: usize| name(&format!("n{number}.d{}.docker", number % 7));
    let count = CHANGED_MAX + CHANGED_MAX / 2;
    for number in 0..count {
        builder.set(&owner(number), &[a((number % 250) as u8)]).unwrap();
    }
    for number in (0..count).step_by(3) {
        builder.remove(&owner(number));
    }
    let snapshot = builder.build();
    assert_eq!(snapshot.names(), count - count.div_ceil(3));
    for number in [0, 1, 2, CHANGED_MAX, CHANGED_MAX + 1, count - 2, count - 1] {
        let expected = if number % 3 == 0 {
            "nxdomain".to_owned()
        } else {
            format!("found {}", number % 250)
        };
        let text = format!("n{number}.d{}.docker", number % 7);
        assert_eq!(ask(&snapshot, &text), expected, "{text}");
    }
    assert_eq!(ask(&snapshot, "d3.docker"), "nodata");
    assert_eq!(
        ask(&first, "d3.docker"),
        "nxdomain",
        "what was built before has not changed"
    );
}
