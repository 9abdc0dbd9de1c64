//! What is answered to whom, with no socket in between.

mod clients;
mod names;
mod others;

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use dns::wire::{CookieJar, Header};
use dns::{Builder, Endpoint, Moment, Name, Record, RecordData, RrSet, View, ZoneSettings};

use super::*;
use crate::access::{Access, default_networks};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Two replicas of redis in `docker`, one in another region, and a name outside the zone.
fn snapshot() -> Snapshot {
    let mut builder = empty();
    let redis = [("redis1", "east", "u1", 4), ("redis2", "west", "u2", 5)];
    for (instance, region, uuid, last) in redis {
        let labels = ["dev", "redis", instance, region, "h", uuid].map(|label| label.as_bytes().into());
        let ipv4 = vec![Ipv4Addr::new(10, 0, 0, last)];
        let endpoint = Endpoint {
            ipv4,
            port: Some(6379),
            ..Endpoint::new(labels, 30)
        };
        builder.insert_endpoint(&endpoint).unwrap();
        let owner = name(&format!("{instance}.redis.dev.docker"));
        builder.set(&owner, &[addresses(&[last])]).unwrap();
    }
    let targets = [("u1.docker", 4), ("u2.docker", 5)];
    let srv = |(target, _): &(&str, u8)| RecordData::Srv {
        priority: 10,
        weight: 50,
        port: 6379,
        target: name(target),
    };
    let glue = |(target, last): &(&str, u8)| Record {
        owner: name(target),
        ttl_seconds: 30,
        data: RecordData::A([10, 0, 0, *last].into()),
    };
    let srv = RrSet {
        view: View::EVERYONE,
        ttl_seconds: 30,
        until: None,
        records: targets.iter().map(srv).collect(),
        additional: targets.iter().map(glue).collect(),
    };
    builder
        .set(&name("redis.dev.docker"), &[addresses(&[4, 5]), srv])
        .unwrap();
    builder
        .set(
            &name("big.dev.docker"),
            &[addresses(&(1..=100).collect::<Vec<_>>())],
        )
        .unwrap();
    builder.set(&name("www.example.org"), &[addresses(&[9])]).unwrap();
    for (owner, target) in [
        ("alias.docker", "further.docker"),
        ("further.docker", "redis1.redis.dev.docker"),
        ("away.docker", "www.example.net"),
        ("lost.docker", "nobody.dev.docker"),
        ("loop.docker", "pool.docker"),
        ("pool.docker", "loop.docker"),
    ] {
        builder.set(&name(owner), &[cname(target)]).unwrap();
    }
    builder.set_networks(&[("10.9.0.0/16".parse().unwrap(), View(1))]);
    let inside = RrSet {
        view: View(1),
        ..addresses(&[77])
    };
    builder
        .set(&name("two.dev.docker"), &[addresses(&[7]), inside])
        .unwrap();
    for owner in ["*.wild.dev.docker", "*.example.com"] {
        builder.set(&name(owner), &[addresses(&[8])]).unwrap();
    }
    builder
        .set(&name("there.wild.dev.docker"), &[addresses(&[6])])
        .unwrap();
    builder.build()
}

fn cname(target: &str) -> RrSet {
    RrSet {
        records: vec![RecordData::Cname(name(target))],
        ..addresses(&[])
    }
}

fn addresses(last: &[u8]) -> RrSet {
    let records = last
        .iter()
        .map(|last| RecordData::A([10, 0, 0, *last].into()))
        .collect();
    RrSet {
        view: View::EVERYONE,
        ttl_seconds: 30,
        until: None,
        records,
        additional: Vec::new(),
    }
}

/// A query's octets: `text` is a name and a type's number; `id` chooses the rotation; `opt` follows.
fn query(owner: &str, qtype: u16, id: u16, opt: &[u8]) -> Vec<u8> {
    let additionals = u16::from(!opt.is_empty());
    let header = Header {
        id,
        flags: Flags::RD,
        counts: [1, 0, 0, additionals],
    };
    [
        &header.octets()[..],
        name(owner).octets(),
        &qtype.to_be_bytes(),
        &[0, 1],
        opt,
    ]
    .concat()
}

const OPT: [u8; 11] = [0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0];

fn client(address: &str, transport: Transport) -> Client {
    Client {
        address: address.parse().unwrap(),
        transport,
    }
}

fn policy(recursion: bool) -> Policy {
    Policy {
        cookies: Some(CookieJar::new([1; 16])),
        ..Policy::new(recursion, Access::of(default_networks()))
    }
}

fn ask(packet: &[u8], client: Client, recursion: bool) -> (Outcome, Vec<u8>) {
    ask_of(&snapshot(), &policy(recursion), packet, client)
}

/// The same of another snapshot.
fn ask_of(snapshot: &Snapshot, policy: &Policy, packet: &[u8], client: Client) -> (Outcome, Vec<u8>) {
    let mut buffer = vec![0xee; 65_535];
    buffer[..packet.len()].copy_from_slice(packet);
    let mut message = Message::new(&mut buffer, packet.len());
    let outcome = respond(snapshot, policy, client, &mut message);
    if let Outcome::Reply { length, .. } = outcome {
        buffer.truncate(length);
    }
    (outcome, buffer)
}

/// A builder of the zone `docker`, without names.
fn empty() -> Builder {
    Builder::new(vec![ZoneSettings::of(name("docker"), 30)], 7, 0).unwrap()
}

/// What a local UDP client with recursion on gets, read by `domain` and put in one line.
fn answer(owner: &str, qtype: u16, id: u16, opt: &[u8]) -> String {
    let (outcome, reply) = ask(
        &query(owner, qtype, id, opt),
        client("127.0.0.1", Transport::Udp),
        true,
    );
    match outcome {
        Outcome::Forward => "forward".to_owned(),
        Outcome::Follow => "follow".to_owned(),
        Outcome::Drop => "drop".to_owned(),
        Outcome::Reply { .. } => line(&reply),
    }
}

fn line(reply: &[u8]) -> String {
    use domain::base::Message;
    use domain::rdata::AllRecordData;
    let message = Message::from_octets(reply).unwrap();
    let (header, flags) = (message.header(), message.header().flags());
    let mut line = header.rcode().to_string();
    for (set, text) in [
        (flags.aa, " aa"),
        (flags.tc, " tc"),
        (flags.rd, " rd"),
        (flags.ra, " ra"),
    ] {
        line.push_str(if set { text } else { "" });
    }
    for record in &message {
        let (record, section) = record.unwrap();
        if record.rtype() == domain::base::Rtype::OPT {
            write!(line, "; opt {}", record.class().to_int()).unwrap();
            continue;
        }
        let record = record.into_record::<AllRecordData<_, _>>().unwrap().unwrap();
        let owner = record.owner();
        write!(
            line,
            "; {section:?} {owner} {} {}",
            record.ttl().as_secs(),
            record.data()
        )
        .unwrap();
    }
    line
}

const SOA: &str = "Authority docker 5 ns.dns.docker. hostmaster.docker. 1 28800 7200 604800 5";

/// [`OPT`] with `options`, each a code and its data.
fn opt_with(options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut rdata = Vec::new();
    for (code, data) in options {
        rdata.extend(code.to_be_bytes());
        rdata.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        rdata.extend(*data);
    }
    let length = u16::try_from(rdata.len()).unwrap().to_be_bytes();
    [&OPT[..9], &length, &rdata].concat()
}

/// The options in a reply's OPT record.
fn options(reply: &[u8]) -> Vec<(u16, Vec<u8>)> {
    use domain::base::Message;
    use domain::base::opt::UnknownOptData;
    let message = Message::from_octets(reply).unwrap();
    let Some(opt) = message.opt() else {
        return Vec::new();
    };
    let options = opt.opt().iter::<UnknownOptData<_>>();
    options
        .map(|option| option.unwrap())
        .map(|option| (option.code().to_int(), option.as_slice().to_vec()))
        .collect()
}

/// Gives `packet` to `act`, and returns what came of it and the reply.
fn act(
    packet: &[u8],
    act: impl FnOnce(&Policy, Client, &mut Message<'_>) -> Outcome,
    address: &str,
) -> (Outcome, Vec<u8>) {
    let mut buffer = vec![0xee; 4096];
    buffer[..packet.len()].copy_from_slice(packet);
    let mut message = Message::new(&mut buffer, packet.len());
    let outcome = act(&policy(true), client(address, Transport::Udp), &mut message);
    if let Outcome::Reply { length, .. } = outcome {
        buffer.truncate(length);
    }
    (outcome, buffer)
}

const STRANGER: &str = "203.0.113.9";
