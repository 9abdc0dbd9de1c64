//! For the unit tests: services made of one word each, and questions to what is made of them.

use std::net::{IpAddr, Ipv4Addr};

use arcstr::ArcStr;
use dns::wire::HEADER_OCTETS;
use dns::{Builder, Class, Lookup, Moment, Name, Query, Question, RType, Reply, Snapshot, ZoneSettings};

use crate::service::{Address, Health, Network, Port, Protocol, Service, ServiceId, Source};
use crate::store::{Defaults, Draft, DraftPort, Transport};

/// An engine by its name.
pub(crate) fn source(engine: &str) -> Source {
    Source::Engine(engine.into())
}

/// The id of [`service`].
pub(crate) fn id(engine: &str, instance: &str) -> ServiceId {
    ServiceId {
        source: source(engine),
        id: format!("id-of-{instance}").into(),
        part: 0,
    }
}

/// A service `<instance>.web.dev` with an address, a uuid and a port that follow from its instance.
pub(crate) fn service(engine: &str, instance: &str) -> Service {
    let digest = instance
        .bytes()
        .fold(5381_u64, |hash, octet| hash.wrapping_mul(33) ^ u64::from(octet));
    let [.., b, c, d] = digest.to_be_bytes();
    Service {
        id: id(engine, instance),
        environment: "dev".into(),
        service: "web".into(),
        is_service_asked: false,
        instance: instance.into(),
        region: "here".into(),
        uuid: format!("{:010x}", digest & 0xff_ffff_ffff).into(),
        compose: None,
        addresses: vec![IpAddr::V4(Ipv4Addr::new(10, b, c, d)).into()].into(),
        ports: vec![Port {
            protocol: Protocol::Tcp,
            number: 80,
        }]
        .into(),
        health: Health::None,
        ttl_seconds: 30,
        until: None,
        wishes: None,
    }
}

/// What registrations have that do not say so.
pub(crate) fn defaults() -> Defaults {
    Defaults {
        environment: "dev".into(),
        region: "here".into(),
        ttl_seconds: 30,
    }
}

/// What a registrant says of a service `web` at one address and one port.
pub(crate) fn draft(ttl: u32) -> Draft {
    Draft {
        service: "web".to_owned(),
        addresses: vec!["10.0.0.7".parse().unwrap()],
        ports: vec![DraftPort {
            number: 80,
            protocol: Transport::Tcp,
            name: None,
        }],
        ttl,
        ..Draft::default()
    }
}

/// An address on a network.
pub(crate) fn on(network: &str, address: &str) -> Address {
    Address {
        ip: address.parse().unwrap(),
        network: Some(ArcStr::from(network)),
        is_hosts: false,
    }
}

/// A network of its engine's own.
pub(crate) fn network(name: &str, subnets: &[&str]) -> Network {
    Network {
        name: name.into(),
        subnets: subnets.iter().map(|subnet| subnet.parse().unwrap()).collect(),
        is_own: true,
    }
}

/// A builder of `zones` that begins at serial 0.
pub(crate) fn builder(zones: &[&str]) -> Builder {
    let zones = zones
        .iter()
        .map(|apex| ZoneSettings::of(name(apex), 30))
        .collect();
    Builder::new(zones, 7, 0).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The addresses that an A question of a client on no network gets, in order, or the word for there being none.
pub(crate) fn addresses(snapshot: &Snapshot, text: &str) -> String {
    addresses_for(snapshot, "127.0.0.1", text)
}

/// The same for the client at that address.
pub(crate) fn addresses_for(snapshot: &Snapshot, client: &str, text: &str) -> String {
    let octets = answer(snapshot, client, &name(text), RType::A);
    let address = |record: &[u8]| {
        record
            .last_chunk::<4>()
            .map(|octets| Ipv4Addr::from(*octets).to_string())
    };
    match octets {
        Ok(octets) => octets
            .chunks(16)
            .filter_map(address)
            .collect::<Vec<_>>()
            .join(" "),
        Err(word) => word.to_owned(),
    }
}

/// The records that answer a question, in an order that does not depend on how the snapshot came to be.
pub(crate) fn answer(
    snapshot: &Snapshot,
    client: &str,
    owner: &Name,
    qtype: RType,
) -> Result<Vec<u8>, &'static str> {
    let question = Question {
        qname: owner.as_ref(),
        qtype,
        qclass: Class::IN,
    };
    match snapshot.lookup(&question, client.parse().unwrap()) {
        Lookup::Found(answer) => Ok([answer.answer, answer.additional].concat()),
        Lookup::Matches(matches) => {
            let mut buffer = [0; 65_535];
            let packet = [
                &[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
                owner.octets(),
                &[0, 1, 0, 1],
            ]
            .concat();
            let end = packet.len();
            buffer[..end].copy_from_slice(&packet);
            let head = (&Query::parse(&packet).unwrap()).into();
            let mut reply = Reply::begin(&mut buffer, head, 65_535, 1232);
            let _ = matches.write(qtype, 0, Moment::of_milliseconds(0), &mut reply);
            let length = reply.finish();
            assert!(
                end > HEADER_OCTETS && qtype == RType::A,
                "only A records have one length"
            );
            let mut records: Vec<_> = buffer[end..length].chunks(16).collect();
            records.sort_unstable();
            Ok(records.concat())
        }
        Lookup::Alias(_) => Err("alias"),
        Lookup::Soa(_) => Err("soa"),
        Lookup::NoData(_) => Err("nodata"),
        Lookup::NxDomain(_) => Err("nxdomain"),
        Lookup::NotOurs => Err("not ours"),
    }
}

/// A generator with a seed, so that a failure can be run again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    /// One of `words`.
    pub(crate) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len())]
    }
}
