//! The builder as its users see it: what it is told, and what snapshots then say.

use super::*;
use crate::record::{Record, RecordData};
use crate::snapshot::Lookup;
use crate::wire::{Class, Question, RType};

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn builder() -> Builder {
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
        builder.labels.numbers(),
        1 + 600 * 2 + 4,
        "numbers are given out again"
    );
}

#[test]
fn an_endpoint_in_the_place_of_another_takes_its_row_and_only_the_labels_that_are_new() {
    use crate::snapshot::Tier;
    let mut builder = builder();
    let (one, other) = (
        endpoint_of(1, "here", Tier::Ready),
        endpoint_of(2, "here", Tier::Ready),
    );
    let key = builder.insert_endpoint(&one).unwrap();
    builder.insert_endpoint(&other).unwrap();
    let before = builder.build();
    let numbers = builder.labels.numbers();

    let moved = endpoint_of(3, "there", Tier::Withheld);
    builder.replace_endpoint(key, &one.labels, &moved).unwrap();
    // Again before it is built, with the labels that it has by now.
    let again = Endpoint {
        port: Some(9),
        ..endpoint_of(3, "there", Tier::Ready)
    };
    builder.replace_endpoint(key, &moved.labels, &again).unwrap();
    let snapshot = builder.build();
    assert_eq!(snapshot.endpoints(), 2);
    assert_eq!(ask(&snapshot, "*.i1.web.dev.docker"), "nxdomain");
    assert_eq!(told(&snapshot, "*.i3.web.dev.docker", RType::A), [(3, 0)]);
    assert_eq!(told(&snapshot, "there.*.web.dev.docker", RType::A), [(3, 0)]);
    assert_eq!(told(&snapshot, "here.*.web.dev.docker", RType::A), [(2, 0)]);
    assert_eq!(told(&before, "here.*.web.dev.docker", RType::A), [(1, 0), (2, 0)]);

    let long = Endpoint {
        labels: again.labels.clone().map(|_| [b'x'; 64].into()),
        ..again.clone()
    };
    let refused = builder.replace_endpoint(key, &again.labels, &long);
    assert!(matches!(refused, Err(BuildError::Label { octets: 64, .. })));
    assert_eq!(told(&builder.build(), "*.i3.web.dev.docker", RType::A), [(3, 0)]);

    builder.remove_endpoint(key, &again.labels);
    let gone = builder.build();
    assert_eq!(told(&gone, "*.web.dev.docker", RType::A), [(2, 0)]);
    // Nothing is there any more to be replaced.
    builder.replace_endpoint(key, &again.labels, &one).unwrap();
    assert_eq!(builder.build().endpoints(), 1);
    assert!(
        builder.labels.numbers() <= numbers + 4,
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

/// What the endpoints that `owner` matches say: the last octet of each A record, or priority and port of each SRV record.
fn told(snapshot: &Snapshot, owner: &str, rtype: RType) -> Vec<(u16, u16)> {
    use crate::moment::Moment;
    use crate::wire::{Head, Query, Reply};
    let owner = name(owner);
    let header = [0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let packet = [&header[..], owner.octets(), &rtype.0.to_be_bytes(), &[0, 1]].concat();
    let question = Question {
        qname: owner.as_ref(),
        qtype: rtype,
        qclass: Class::IN,
    };
    let Lookup::Matches(matches) = snapshot.lookup(&question, [10, 0, 0, 1].into()) else {
        panic!("{owner} is not matched");
    };
    let mut buffer = packet.clone();
    buffer.resize(65_535, 0);
    let head = Head::from(&Query::parse(&packet).unwrap());
    let mut reply = Reply::begin(&mut buffer, head, 65_535, 1232);
    matches.write(rtype, 0, Moment::of_milliseconds(0), &mut reply);
    let _ = reply.finish();
    let u16_at = |at: usize| u16::from_be_bytes([buffer[at], buffer[at + 1]]);
    let mut at = packet.len();
    let mut all = Vec::new();
    for _ in 0..u16_at(6) {
        let data = at + 12;
        all.push(match u16_at(at + 2) {
            1 => (u16_at(data + 2), 0),
            _ => (u16_at(data), u16_at(data + 4)),
        });
        at = data + usize::from(u16_at(at + 10));
    }
    all.sort_unstable();
    all
}

fn endpoint_of(number: u16, region: &str, tier: crate::snapshot::Tier) -> Endpoint {
    let (instance, uuid) = (format!("i{number}"), format!("u{number}"));
    let labels = ["dev", "web", &instance, region, "h", &uuid].map(|label| label.as_bytes().into());
    let [high, low] = number.to_be_bytes();
    Endpoint {
        ipv4: vec![[10, 0, high, low].into()],
        port: Some(number + 1),
        tier,
        ..Endpoint::new(labels, 30)
    }
}

#[test]
fn those_who_are_ready_answer_in_whatever_chunk_they_stand_and_starting_ones_where_there_are_none() {
    use crate::snapshot::Tier;
    let mut builder = builder();
    let insert = |builder: &mut Builder, number: u16, region: &str, tier: Tier| {
        let endpoint = endpoint_of(number, region, tier);
        (builder.insert_endpoint(&endpoint).unwrap(), endpoint.labels)
    };
    // A whole chunk that starts here, and one behind it that is ready elsewhere.
    let here: Vec<_> = (0..256)
        .map(|number| insert(&mut builder, number, "here", Tier::Starting))
        .collect();
    let (there, there_labels) = insert(&mut builder, 256, "there", Tier::Ready);
    let snapshot = builder.build();
    let all: Vec<(u16, u16)> = (0..256).map(|number| (number, 0)).collect();
    let srv = |priority: u16| -> Vec<(u16, u16)> { (1..=256).map(|port| (priority, port)).collect() };
    for rtype in [RType::A, RType::ANY] {
        assert_eq!(told(&snapshot, "*.web.dev.docker", rtype), [(256, 0)]);
        assert_eq!(told(&snapshot, "here.*.web.dev.docker", rtype), all);
        assert_eq!(told(&snapshot, "there.*.web.dev.docker", rtype), [(256, 0)]);
    }
    // Health is asked of all that can answer.
    assert_eq!(told(&snapshot, "here.*.web.dev.docker", RType::SRV), [(20, 257)]);
    assert_eq!(told(&snapshot, "there.*.web.dev.docker", RType::SRV), [(10, 257)]);
    assert_eq!(
        told(&snapshot, "nowhere.*.web.dev.docker", RType::SRV),
        [(20, 257)]
    );
    // Nobody is in that region: it has no addresses, and SRV goes before them.
    assert_eq!(
        told(&snapshot, "nowhere.*.web.dev.docker", RType::ANY),
        [(20, 257)]
    );
    assert_eq!(told(&snapshot, "*.i3.web.dev.docker", RType::A), [(3, 0)]);

    // The same row, in the same burst, for one that does not answer.
    builder.remove_endpoint(there, &there_labels);
    let (again, withheld_labels) = insert(&mut builder, 257, "there", Tier::Withheld);
    assert_eq!(again, there);
    let snapshot = builder.build();
    assert_eq!(told(&snapshot, "*.web.dev.docker", RType::A), all);
    assert_eq!(told(&snapshot, "there.*.web.dev.docker", RType::A), []);
    assert_eq!(told(&snapshot, "there.*.web.dev.docker", RType::SRV), srv(20));
    assert_eq!(told(&snapshot, "here.*.web.dev.docker", RType::SRV), srv(10));
    // Who means one gets it.
    for owner in ["*.i257.web.dev.docker", "u257.*.*.*.*.*.docker"] {
        assert_eq!(told(&snapshot, owner, RType::A), [(257, 0)], "{owner}");
        assert_eq!(told(&snapshot, owner, RType::SRV), [(10, 258)], "{owner}");
    }

    // Rows that are free again are of no tier.
    here.iter()
        .for_each(|(key, labels)| builder.remove_endpoint(*key, labels));
    let snapshot = builder.build();
    for owner in [
        "*.web.dev.docker",
        "here.*.web.dev.docker",
        "there.*.web.dev.docker",
    ] {
        for rtype in [RType::A, RType::AAAA, RType::SRV, RType::ANY] {
            assert_eq!(told(&snapshot, owner, rtype), [], "{owner}");
        }
    }
    builder.remove_endpoint(again, &withheld_labels);
    assert_eq!(ask(&builder.build(), "*.web.dev.docker"), "nxdomain");
}

#[test]
fn an_alias_that_does_not_answer_is_one_only_for_who_means_it() {
    use crate::snapshot::Tier;
    let mut builder = builder();
    let aliased = |number: u16, tier: Tier| Endpoint {
        ipv4: Vec::new(),
        port: None,
        alias: Some(name("elsewhere.example")),
        ..endpoint_of(number, "r", tier)
    };
    builder.insert_endpoint(&aliased(1, Tier::Withheld)).unwrap();
    let snapshot = builder.build();
    assert_eq!(ask(&snapshot, "*.web.dev.docker"), "matches");
    assert_eq!(ask(&snapshot, "*.i1.web.dev.docker"), "alias");
    builder.insert_endpoint(&aliased(2, Tier::Starting)).unwrap();
    assert_eq!(ask(&builder.build(), "*.web.dev.docker"), "alias");
    builder.insert_endpoint(&aliased(3, Tier::Starting)).unwrap();
    assert_eq!(ask(&builder.build(), "*.web.dev.docker"), "matches");
    builder.insert_endpoint(&aliased(4, Tier::Ready)).unwrap();
    assert_eq!(ask(&builder.build(), "*.web.dev.docker"), "alias");
}

#[test]
fn a_parent_that_went_and_came_in_one_burst_counts_its_children_anew() {
    let mut builder = builder();
    let [one, two, three] = ["a.b.docker", "c.b.docker", "d.b.docker"].map(name);
    builder.set(&one, &[a(1)]).unwrap();
    builder.set(&two, &[a(2)]).unwrap();
    builder.build();
    builder.remove(&one);
    builder.remove(&two);
    builder.set(&three, &[a(3)]).unwrap();
    builder.set(&one, &[a(1)]).unwrap();
    builder.remove(&one);
    assert_eq!(ask(&builder.build(), "b.docker"), "nodata");
    builder.remove(&three);
    assert_eq!(ask(&builder.build(), "b.docker"), "nxdomain");
    assert_eq!(ask(&builder.build(), "docker"), "nodata");
    // A name whose entry is kept aside is told of its child where it lies, and keeps its records.
    builder.set(&name("b.docker"), &[a(9)]).unwrap();
    builder.set(&one, &[a(1)]).unwrap();
    let both = builder.build();
    assert_eq!(
        ["b.docker", "a.b.docker"].map(|owner| ask(&both, owner)),
        ["found 9", "found 1"]
    );
    builder.remove(&name("b.docker"));
    assert_eq!(ask(&builder.build(), "b.docker"), "nodata");
}

#[test]
fn a_label_keeps_its_number_while_one_row_has_it_in_whatever_column() {
    use crate::snapshot::Tier;
    let mut builder = builder();
    let of = |service: &str, region: &str, last: u8| {
        let uuid = format!("u{last}");
        let labels = ["dev", service, "web", region, "web", &uuid].map(|label| label.as_bytes().into());
        Endpoint {
            ipv4: vec![[10, 0, 0, last].into()],
            tier: Tier::Ready,
            ..Endpoint::new(labels, 30)
        }
    };
    let (one, two) = (of("web", "web", 1), of("db", "east", 2));
    let [first, second] = [&one, &two].map(|endpoint| builder.insert_endpoint(endpoint).unwrap());
    builder.build();
    // In one burst `web` loses four of six uses, and the numbers that are free go to other labels.
    builder.remove_endpoint(first, &one.labels);
    let three = of("app", "west", 3);
    builder.insert_endpoint(&three).unwrap();
    let snapshot = builder.build();
    for (owner, last) in [
        ("*.*.web.db.dev.docker", 2),
        ("web.*.*.db.dev.docker", 2),
        ("east.*.*.dev.docker", 2),
        ("west.*.*.dev.docker", 3),
    ] {
        assert_eq!(told(&snapshot, owner, RType::A), [(last, 0)], "{owner}");
    }
    assert_eq!(ask(&snapshot, "*.*.web.dev.docker"), "nxdomain");
    // Its number is `app`'s now.
    assert_eq!(ask(&snapshot, "*.u1.dev.docker"), "nxdomain");
    builder.remove_endpoint(second, &two.labels);
    let snapshot = builder.build();
    assert_eq!(ask(&snapshot, "*.*.db.dev.docker"), "nxdomain");
    assert_eq!(told(&snapshot, "*.*.web.*.dev.docker", RType::A), [(3, 0)]);
}
