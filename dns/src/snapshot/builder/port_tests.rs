//! Ports kept with their name are the same to whoever asks as names set one by one.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::snapshot::{Lookup, Port, Protocol};
use crate::wire::{Class, Question, RType};
use crate::{Moment, RecordData};

const BASES: [&str; 5] = ["a", "b.a", "*.a", "c", "_99._tcp.c"];
const PORTS: [(Protocol, u16); 3] = [(Protocol::Tcp, 80), (Protocol::Tcp, 8080), (Protocol::Udp, 53)];
const BELOW: [&str; 10] = [
    "",
    "_80._tcp.",
    "_8080._tcp.",
    "_53._udp.",
    "_53._tcp.",
    "_tcp.",
    "_udp.",
    "x._80._tcp.",
    "x._tcp.",
    "_80._TCP.",
];
const INSIDE: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 9);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn builder() -> Builder {
    let mut builder = Builder::new(vec![ZoneSettings::of(name("z"), 30)], 1, 0).unwrap();
    builder.set_networks(&[("172.20.0.0/16".parse().unwrap(), View(1))]);
    builder
}

fn srv(view: View, port: u16, weight: u16) -> RrSet {
    RrSet {
        view,
        ttl_seconds: 30,
        until: None,
        records: vec![RecordData::Srv {
            priority: 10,
            weight,
            port,
            target: name("host.z"),
        }],
        additional: Vec::new(),
    }
}

/// What is said to a question, as text.
fn said(snapshot: &Snapshot, text: &str, qtype: RType, client: IpAddr) -> String {
    let qname = name(text);
    let question = Question {
        qname: qname.as_ref(),
        qtype,
        qclass: Class::IN,
    };
    match snapshot.lookup(&question, client) {
        Lookup::Found(answer) => format!("{:?} {:?}", answer.rtype, answer.answer),
        Lookup::NoData(denial) => format!("nodata {}", denial.owner_octets),
        Lookup::NxDomain(_) => "nxdomain".to_owned(),
        Lookup::NotOurs => "not ours".to_owned(),
        Lookup::Matches(_) | Lookup::Alias(_) | Lookup::Soa(_) => "other".to_owned(),
    }
}

#[test]
fn ports_kept_with_their_name_are_asked_for_as_if_each_were_set() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % bound
    };
    let (mut together, mut apart) = (builder(), builder());
    for _ in 0..400 {
        let base = BASES[below(BASES.len())];
        let owner = name(&format!("{base}.z"));
        let port_names =
            PORTS.map(|(protocol, number)| name(&format!("_{number}.{}.{base}.z", protocol.label())));
        // Beside names of ports that are kept there may be ones that are set.
        let is_port = base.starts_with('_');
        if below(4) == 0 {
            together.remove(&owner);
            apart.remove(&owner);
            port_names.iter().for_each(|port| apart.remove(port));
        } else {
            let own = [srv(View::EVERYONE, 80, 100)];
            let mut ports = Vec::new();
            for ((protocol, number), port_name) in PORTS.into_iter().zip(&port_names) {
                let port = Port { protocol, number };
                if is_port || below(3) == 0 {
                    if !is_port {
                        apart.remove(port_name);
                    }
                    continue;
                }
                let mut rrsets = Vec::new();
                if below(4) > 0 {
                    // One in two has the octets of the name itself, which are kept once.
                    rrsets.push(srv(View::EVERYONE, number, [100, 50][below(2)]));
                    if below(2) == 0 {
                        rrsets.push(srv(View(1), number, 7));
                    }
                }
                apart.set(port_name, &rrsets).unwrap();
                ports.push(PortRrSets { port, rrsets });
            }
            together.set_with_ports(&owner, &own, &ports).unwrap();
            apart.set(&owner, &own).unwrap();
        }
        let (together, apart) = (together.build(), apart.build());
        for base in BASES {
            for below in BELOW {
                for qtype in [RType::SRV, RType::A, RType::ANY] {
                    for client in [IpAddr::V4(INSIDE), IpAddr::V4(Ipv4Addr::LOCALHOST)] {
                        let text = format!("{below}{base}.z");
                        let [one, other] =
                            [&together, &apart].map(|snapshot| said(snapshot, &text, qtype, client));
                        assert_eq!(one, other, "{text} {qtype:?} {client}");
                    }
                }
            }
        }
    }
}

#[test]
fn equal_records_of_a_name_and_its_port_are_kept_once() {
    let port = Port {
        protocol: Protocol::Tcp,
        number: 80,
    };
    let octets = |weight| {
        let mut builder = builder();
        let rrset = srv(View::EVERYONE, 80, weight);
        let rrsets = vec![rrset];
        let ports = [PortRrSets { port, rrsets }];
        builder
            .set_with_ports(&name("a.z"), &[srv(View::EVERYONE, 80, 100)], &ports)
            .unwrap();
        builder.build().octets()
    };
    let record = srv(View::EVERYONE, 80, 100).records[0].clone();
    let mut composed = Vec::new();
    record.compose(30, &mut composed);
    assert_eq!(octets(50) - octets(100), composed.len());
}

#[test]
fn what_ports_cannot_be_is_refused_and_changes_nothing() {
    let mut builder = builder();
    let port = Port {
        protocol: Protocol::Udp,
        number: 53,
    };
    let of = |rrset| PortRrSets {
        port,
        rrsets: vec![rrset],
    };
    let double = [of(srv(View::EVERYONE, 53, 1)), of(srv(View::EVERYONE, 53, 2))];
    let address = [of(RrSet {
        records: vec![RecordData::A(INSIDE)],
        ..srv(View::EVERYONE, 53, 1)
    })];
    for ports in [&double[..], &address] {
        let refused = builder.set_with_ports(&name("a.z"), &[], ports);
        assert!(
            matches!(
                refused,
                Err(BuildError::MixedRrSet {
                    rtype: RType::SRV,
                    ..
                })
            ),
            "{refused:?}"
        );
    }
    let many: Vec<_> = (0..=PORT_RRSETS_MAX)
        .map(|number| PortRrSets {
            port: Port {
                protocol: Protocol::Tcp,
                number: u16::try_from(number).unwrap(),
            },
            rrsets: vec![srv(View::EVERYONE, 53, 1)],
        })
        .collect();
    let refused = builder.set_with_ports(&name("a.z"), &[], &many);
    assert!(
        matches!(refused, Err(BuildError::TooManyRrSets { .. })),
        "{refused:?}"
    );
    assert_eq!(
        said(&builder.build(), "a.z", RType::A, IpAddr::V4(INSIDE)),
        "nxdomain"
    );
    builder.set_with_ports(&name("a.z"), &[], &many[1..]).unwrap();
    let last = format!("_{PORT_RRSETS_MAX}._tcp.a.z");
    assert!(
        said(&builder.build(), &last, RType::SRV, IpAddr::V4(INSIDE)).starts_with("RType(33)"),
        "the last one is found"
    );
}

#[test]
fn the_records_of_a_port_end_when_they_are_said_to_whenever_those_of_their_name_do() {
    let port = Port {
        protocol: Protocol::Tcp,
        number: 80,
    };
    let ends = |snapshot: &Snapshot, text: &str| {
        let qname = name(text);
        let question = Question {
            qname: qname.as_ref(),
            qtype: RType::SRV,
            qclass: Class::IN,
        };
        match snapshot.lookup(&question, IpAddr::V4(INSIDE)) {
            Lookup::Found(answer) => answer.until,
            _ => panic!("{text} is there"),
        }
    };
    let moments = [None, Some(7), Some(9)].map(|end| end.map(Moment::of_milliseconds));
    for own in moments {
        for of_port in moments {
            // The same octets otherwise, which are kept once where they end together.
            let set = |until| RrSet {
                until,
                ..srv(View::EVERYONE, 80, 100)
            };
            let mut builder = builder();
            let ports = [PortRrSets {
                port,
                rrsets: vec![set(of_port)],
            }];
            builder.set_with_ports(&name("a.z"), &[set(own)], &ports).unwrap();
            let snapshot = builder.build();
            let found = [ends(&snapshot, "a.z"), ends(&snapshot, "_80._tcp.a.z")];
            assert_eq!(found, [own, of_port]);
        }
    }
}
