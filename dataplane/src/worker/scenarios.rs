//! The scenarios of Unbound's portable forwarder tests (`testdata/fwd_*.tdir`), played to a whole worker: its queries, its
//! upstreams and its clock are the script's. Each test stands below the names of those that it is after.

mod answers;
mod batch;
mod flush;
mod late;
mod manners;
mod odd;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use dns::{Builder, RecordData, RrSet, View, ZoneSettings};

use super::{Answer, Outlet, Share, Worker};
use crate::access::{Access, default_networks};
use crate::cache::{Flusher, Rules, Settings};
use crate::counters::{Counters, Writer};
use crate::forward::{Ask, Config, Place, ReturnPath, config};
use crate::limits::{REPLY_OCTETS_MAX, TRY_TIMEOUT};
use crate::path::StreamKey;
use crate::respond::{Outcome, Policy};

const NO_ERROR: u8 = 0;
const FORM_ERR: u8 = 1;
const SERV_FAIL: u8 = 2;
const NX_DOMAIN: u8 = 3;
const NOT_IMP: u8 = 4;

/// A question on its way to an upstream.
#[derive(Clone)]
struct Asked {
    place: Place,
    upstream: SocketAddr,
    octets: Vec<u8>,
}

/// What the worker sends.
#[derive(Default)]
struct Sent {
    asked: VecDeque<Asked>,
    /// Clients, by the number of their connection, and what they are told.
    told: Vec<(u32, Vec<u8>)>,
}

impl Outlet for Sent {
    fn ask(&mut self, ask: &Ask<'_>) {
        self.asked.push_back(Asked {
            place: ask.place,
            upstream: ask.upstream,
            octets: ask.octets.to_vec(),
        });
    }

    fn answer(&mut self, answer: &Answer<'_>, _: &Writer) {
        let ReturnPath::Stream { key, .. } = answer.to else {
            panic!("every client here has a connection")
        };
        self.told.push((key.index, answer.octets.to_vec()));
    }
}

/// A worker between a script's clients and upstreams.
struct Scene {
    worker: Worker,
    now: Instant,
    sent: Sent,
    clients: u32,
    counters: Counters,
    flusher: Flusher,
    _routes: config::Writer,
    _publisher: dns::Publisher,
}

impl Scene {
    /// With so many upstreams, 192.0.2.1 the first.
    fn with(upstreams: u8) -> Self {
        let upstreams = (1..=upstreams).map(|host| SocketAddr::from(([192, 0, 2, host], 53)));
        Self::of(upstreams.collect())
    }

    fn of(upstreams: Vec<SocketAddr>) -> Self {
        Self::keeping(Rules::default(), upstreams)
    }

    /// Whose cache goes by `rules`.
    fn keeping(rules: Rules, upstreams: Vec<SocketAddr>) -> Self {
        let (publisher, reader) = dns::channel(snapshot());
        let (writer, routes) = config::channel(Config::all_to(upstreams));
        let counters = Counters::new(&[0]);
        let flusher = Flusher::default();
        let share = Share {
            settings: Settings {
                octets: 1 << 20,
                rules,
            },
            flushes: flusher.listen(),
        };
        let policy = Policy::new(false, Access::of(default_networks()));
        Self {
            worker: Worker::new(reader, policy, routes, share, [7; 32], counters.writer(0)),
            now: Instant::now(),
            sent: Sent::default(),
            clients: 0,
            counters,
            flusher,
            _routes: writer,
            _publisher: publisher,
        }
    }

    /// A client asks for `name A`. Returns its number; it may have been told already.
    fn ask(&mut self, name: &str) -> u32 {
        self.clients += 1;
        let key = StreamKey {
            index: self.clients,
            generation: 0,
        };
        let query = query(name);
        let mut buffer = vec![0; REPLY_OCTETS_MAX];
        buffer[..query.len()].copy_from_slice(&query);
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let outcome = self
            .worker
            .answer_one(client, key, &mut buffer, query.len(), self.now, &mut self.sent);
        match outcome {
            Outcome::Reply { length, .. } => self.sent.told.push((key.index, buffer[..length].to_vec())),
            outcome => assert_eq!(outcome, Outcome::Forward),
        }
        key.index
    }

    /// The next question that an upstream gets.
    #[track_caller]
    fn asked(&mut self) -> Asked {
        self.sent.asked.pop_front().expect("a question for an upstream")
    }

    fn nothing_is_asked(&self) -> bool {
        self.sent.asked.is_empty()
    }

    /// An upstream says `octets` to a question.
    fn say(&mut self, asked: &Asked, octets: &[u8]) {
        self.worker
            .on_reply(asked.place, octets, self.now, &mut self.sent);
    }

    /// What client `number` was told: the response code, and the last octet of each address, in order.
    #[track_caller]
    fn told(&mut self, number: u32) -> (u8, Vec<u8>) {
        let (_, reply) = self.take(number);
        let mut addresses: Vec<u8> = records(&reply).map(|record| record[15]).collect();
        addresses.sort_unstable();
        (reply[3] & 0xf, addresses)
    }

    #[track_caller]
    fn take(&mut self, number: u32) -> (u32, Vec<u8>) {
        let place = self.sent.told.iter().position(|(client, _)| *client == number);
        self.sent.told.remove(place.expect("the client was told"))
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.worker.on_timeout(self.now, &mut self.sent);
    }
}

/// `web.docker` has an address, and `db.docker` is an alias of a name elsewhere.
fn snapshot() -> dns::Snapshot {
    let zone = ZoneSettings::of("docker".parse().unwrap(), 30);
    let mut builder = Builder::new(vec![zone], 7, 1).unwrap();
    for (owner, record) in [
        ("web.docker", RecordData::A(Ipv4Addr::new(10, 0, 0, 1))),
        ("db.docker", RecordData::Cname("db.example.com".parse().unwrap())),
    ] {
        let set = RrSet {
            view: View::EVERYONE,
            ttl_seconds: 30,
            until: None,
            records: vec![record],
            additional: Vec::new(),
        };
        builder.set(&owner.parse().unwrap(), &[set]).unwrap();
    }
    builder.build()
}

/// A query for `name A` with RD, as from a client without EDNS.
fn query(name: &str) -> Vec<u8> {
    let name: dns::Name = name.parse().unwrap();
    let header = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    [header.as_slice(), name.octets(), b"\x00\x01\x00\x01"].concat()
}

fn question_end(message: &[u8]) -> usize {
    12 + message[12..].iter().position(|&octet| octet == 0).unwrap() + 1 + 4
}

/// The records of a reply whose owners are pointers and whose data are addresses.
fn records(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    let count = usize::from(u16::from_be_bytes([reply[6], reply[7]]));
    reply[question_end(reply)..].chunks(16).take(count)
}

/// The reply to a question: `rcode`, and 10.20.30.x for each of `addresses`, kept for an hour.
fn reply(asked: &Asked, rcode: u8, addresses: &[u8]) -> Vec<u8> {
    reply_with_ttl(asked, rcode, addresses, 3600)
}

fn reply_with_ttl(asked: &Asked, rcode: u8, addresses: &[u8], ttl: u32) -> Vec<u8> {
    let mut reply = asked.octets[..question_end(&asked.octets)].to_vec();
    let counts = [0, 1, 0, addresses.len() as u8, 0, 0, 0, 0];
    reply.splice(2..12, [0x85, 0x80 | rcode].into_iter().chain(counts));
    for last in addresses {
        reply.extend([0xc0, 12, 0, 1, 0, 1]);
        reply.extend(ttl.to_be_bytes());
        reply.extend([0, 4, 10, 20, 30, *last]);
    }
    reply
}

fn with_edns(asked: &Asked) -> bool {
    asked.octets[11] == 1
}
