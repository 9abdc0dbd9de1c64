//! The scenarios of Unbound's portable forwarder tests (`testdata/fwd_*.tdir`), played to a whole worker: its queries, its
//! upstreams and its clock are the script's. Each test stands below the names of those that it is after.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use dns::{Builder, ZoneSettings};

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
        let zone = ZoneSettings::of("docker".parse().unwrap(), 30);
        let (publisher, reader) = dns::channel(Builder::new(vec![zone], 7, 1).unwrap().build());
        let (writer, routes) = config::channel(Config::all_to(upstreams));
        let counters = Counters::new(&[0]);
        let share = Share {
            settings: Settings {
                octets: 1 << 20,
                rules: Rules::default(),
            },
            flushes: Flusher::default().listen(),
        };
        let policy = Policy::new(false, Access::of(default_networks()));
        Self {
            worker: Worker::new(reader, policy, routes, share, [7; 32], counters.writer(0)),
            now: Instant::now(),
            sent: Sent::default(),
            clients: 0,
            counters,
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

// fwd_udp; fwd_tcp, for this client has a connection.
#[test]
fn a_question_goes_out_and_its_answer_comes_back_to_who_asked() {
    let mut scene = Scene::with(1);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    assert_eq!(asked.upstream, SocketAddr::from(([192, 0, 2, 1], 53)));
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    assert_eq!(scene.counters.total().forward_answers, 1);
}

// fwd_three, fwd_three_service.
#[test]
fn three_questions_at_once_have_an_answer_each_in_whatever_order_they_come() {
    let mut scene = Scene::with(1);
    let names = ["www1.example.com", "www2.example.com", "www3.example.com"];
    let clients = names.map(|name| scene.ask(name));
    let asked = names.map(|_| scene.asked());
    for (asked, address) in asked.iter().zip([40, 50, 60]).rev() {
        scene.say(asked, &reply(asked, NO_ERROR, &[address]));
    }
    for (client, address) in clients.into_iter().zip([40, 50, 60]) {
        assert_eq!(scene.told(client), (NO_ERROR, vec![address]));
    }
}

// fwd_waitudp, fwd_oneport: more questions than there are sockets.
#[test]
fn questions_that_share_a_socket_are_told_apart() {
    let mut scene = Scene::with(1);
    let count = crate::limits::UPSTREAM_SOCKETS_EACH_MAX + 50;
    let clients: Vec<_> = (0..count)
        .map(|number| scene.ask(&format!("www{number}.example.com")))
        .collect();
    let asked: Vec<_> = (0..count).map(|_| scene.asked()).collect();
    let shared = asked.iter().filter(|other| other.place == asked[count - 1].place);
    assert!(shared.count() > 1);
    for (number, asked) in asked.iter().enumerate() {
        scene.say(asked, &reply(asked, NO_ERROR, &[number as u8]));
    }
    for (number, client) in clients.into_iter().enumerate() {
        assert_eq!(scene.told(client), (NO_ERROR, vec![number as u8]));
    }
}

// fwd_udptmout: every answer takes two seconds.
#[test]
fn an_answer_that_takes_longer_than_a_try_counts_while_its_client_waits() {
    let mut scene = Scene::with(1);
    let clients: Vec<_> = (1..=6)
        .map(|number| scene.ask(&format!("www{number}.example.com")))
        .collect();
    let first: Vec<_> = clients.iter().map(|_| scene.asked()).collect();
    scene.later(TRY_TIMEOUT);
    scene.later(TRY_TIMEOUT);
    assert_eq!(scene.sent.asked.len(), 12, "each is tried twice more");
    scene.later(Duration::from_millis(400));
    for (asked, client) in first.iter().zip(clients) {
        scene.say(asked, &reply(asked, NO_ERROR, &[40]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    }
}

// fwd_ttlexpire.
#[test]
fn an_answer_is_told_again_until_it_is_over_and_then_asked_for_again() {
    let mut scene = Scene::with(1);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply_with_ttl(&asked, NO_ERROR, &[40], 2));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    scene.later(Duration::from_secs(1));
    let client = scene.ask("www.example.com");
    let (_, kept) = scene.take(client);
    assert_eq!(records(&kept).next().unwrap()[6..10], [0, 0, 0, 1]);
    assert!(scene.nothing_is_asked());
    scene.later(Duration::from_secs(3));
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[41]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![41]));
}

// RFC 8020 would have it that there is nothing below; without DNSSEC nobody proves it.
#[test]
fn a_name_below_one_that_does_not_exist_is_asked_for_all_the_same() {
    let mut scene = Scene::with(1);
    let client = scene.ask("example.com");
    let asked = scene.asked();
    let mut gone = reply(&asked, NX_DOMAIN, &[]);
    gone[9] = 1;
    gone.extend(b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x0e\x10\x00\x16\x00\x00");
    gone.extend([0, 0, 0x0e, 0x10].repeat(5));
    scene.say(&asked, &gone);
    assert_eq!(scene.told(client), (NX_DOMAIN, vec![]));
    let again = scene.ask("example.com");
    assert_eq!(scene.told(again), (NX_DOMAIN, vec![]), "it is kept");
    assert!(scene.nothing_is_asked());
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
}

// fwd_compress_c00c: what is sent is as small as it can be, its owner the two octets c0 0c.
#[test]
fn the_owner_of_an_answer_is_a_pointer_to_the_question_however_it_came() {
    let mut scene = Scene::with(1);
    let client = scene.ask("overeinder.net");
    let asked = scene.asked();
    let end = question_end(&asked.octets);
    let mut whole = reply(&asked, NO_ERROR, &[40]);
    // The owner written out, a record of the authority section, and one of the additional section.
    let name = asked.octets[12..end - 4].to_vec();
    whole.splice(end..end + 2, name.iter().copied());
    (whole[9], whole[11]) = (1, 1);
    whole.extend(
        name.iter()
            .chain(b"\x00\x02\x00\x01\x00\x01\x51\x80\x00\x04\x01a\xc0\x0c"),
    );
    whole.extend(
        name.iter()
            .chain(b"\x00\x01\x00\x01\x00\x01\x51\x80\x00\x04\x06\x06\x06\x06"),
    );
    scene.say(&asked, &whole);
    let (_, told) = scene.take(client);
    assert_eq!(told.len(), end + 16, "and nobody is told what was not asked for");
    assert_eq!(told[end..end + 2], [0xc0, 12]);
}

// fwd_zero.
#[test]
fn a_reply_of_no_octets_is_nothing_and_the_one_behind_it_counts() {
    let mut scene = Scene::with(1);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &[]);
    assert!(scene.sent.told.is_empty() && scene.nothing_is_asked());
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
}

// fwd_malformed: replies that say nothing, or that break off, and a server that has no others.
#[test]
fn malformed_replies_end_in_servfail_and_the_next_question_is_answered() {
    let mut scene = Scene::with(1);
    let client = scene.ask("bad.example.com");
    for _ in 0..3 {
        let asked = scene.asked();
        let whole = reply(&asked, NO_ERROR, &[40]);
        for length in 0..whole.len() {
            scene.say(&asked, &whole[..length]);
        }
        assert!(scene.sent.told.is_empty());
        scene.later(TRY_TIMEOUT);
    }
    scene.later(TRY_TIMEOUT);
    assert_eq!(scene.told(client), (SERV_FAIL, vec![]));
    let client = scene.ask("good.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[41]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![41]));
}

// fwd_no_edns.
#[test]
fn a_server_without_edns_is_asked_without_it() {
    for rcode in [FORM_ERR, NOT_IMP] {
        let mut scene = Scene::with(1);
        let client = scene.ask("www.example.com");
        let asked = scene.asked();
        assert!(with_edns(&asked));
        scene.say(&asked, &reply(&asked, rcode, &[]));
        let asked = scene.asked();
        assert!(!with_edns(&asked));
        scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
    }
}

// fwd_edns_probe, fwd_edns_bksec: one name that gets FORMERR either way does not cost the server its EDNS; one that is
// answered without EDNS does.
#[test]
fn a_name_that_is_refused_with_and_without_edns_says_nothing_of_its_server() {
    let mut scene = Scene::with(1);
    let client = scene.ask("nasty.example.com");
    for is_with in [true, false] {
        let asked = scene.asked();
        assert_eq!(with_edns(&asked), is_with);
        scene.say(&asked, &reply(&asked, FORM_ERR, &[]));
    }
    assert_eq!(scene.told(client), (SERV_FAIL, vec![]));
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    assert!(with_edns(&asked), "the next question is asked with EDNS");
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40, 41, 42]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40, 41, 42]));
}

// fwd_capsid.
#[test]
fn the_spelling_of_a_question_comes_back_from_a_server_that_keeps_it() {
    let mut scene = Scene::with(1);
    let mut spellings = std::collections::HashSet::new();
    for number in 0..8 {
        let client = scene.ask(&format!("wwwabcdefghijklmnopqrstuvwxyz{number}.example.com"));
        let asked = scene.asked();
        spellings.insert(asked.octets[13..42].to_vec());
        scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
        assert!(scene.nothing_is_asked());
    }
    assert_eq!(spellings.len(), 8, "each is spelled in its own way");
}

// fwd_capsid_fallback, fwd_capsid_white: a server with a spelling of its own.
#[test]
fn a_server_that_spells_in_its_own_way_is_believed_when_it_says_so_to_another_port_and_id() {
    let mut scene = Scene::with(1);
    let client = scene.ask("wwwabcdefghijklmnopqrstuvwxyzwww.example.com");
    let weird = |asked: &Asked| {
        let mut reply = reply(asked, NO_ERROR, &[40]);
        reply[13..45].copy_from_slice(b"WwWabcdefghijklmnopqrstuvwxyzWwW");
        reply
    };
    let first = scene.asked();
    scene.say(&first, &weird(&first));
    assert!(scene.sent.told.is_empty(), "it may be a forger's");
    let second = scene.asked();
    assert_ne!(
        (first.place, &first.octets[..2]),
        (second.place, &second.octets[..2])
    );
    scene.say(&second, &weird(&second));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
}

// fwd_capsid_strip: two servers, whose spellings, authorities and additional records differ.
#[test]
fn what_servers_add_to_an_answer_is_no_part_of_it() {
    let mut scene = Scene::with(2);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    let mut whole = reply(&asked, NO_ERROR, &[40]);
    whole[12..29].make_ascii_lowercase();
    (whole[9], whole[11]) = (1, 1);
    whole.extend(b"\xc0\x10\x00\x02\x00\x01\x00\x00\x0e\x10\x00\x06\x03ns1\xc0\x10");
    whole.extend(b"\x03ns1\xc0\x10\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\x01\x02\x03\x04");
    scene.say(&asked, &whole);
    let again = scene.asked();
    whole[..2].copy_from_slice(&again.octets[..2]);
    scene.say(&again, &whole);
    let (_, told) = scene.take(client);
    assert_eq!(told[6..12], [0, 1, 0, 0, 0, 0], "one answer, and nothing besides");
    assert_eq!(told.len(), question_end(&told) + 16);
}

// fwd_tcp_tc, fwd_tcp_tc6.
#[test]
fn a_cut_reply_is_asked_for_over_tcp_whatever_the_family_of_its_server() {
    for upstream in ["192.0.2.1:53", "[2001:db8::1]:53"] {
        let mut scene = Scene::of(vec![upstream.parse().unwrap()]);
        let client = scene.ask("www.example.com");
        let asked = scene.asked();
        let mut cut = reply(&asked, NO_ERROR, &[]);
        cut[2] |= 2;
        scene.say(&asked, &cut);
        let asked = scene.asked();
        assert!(asked.place.is_stream() && asked.upstream == upstream.parse().unwrap());
        scene.say(&asked, &reply(&asked, NO_ERROR, &[40, 41, 42]));
        assert_eq!(scene.told(client), (NO_ERROR, vec![40, 41, 42]));
    }
}

// fwd_bogus: what a server said wrongly is not remembered for the hour that it claims. We do not validate, so what is
// wrong here is what anybody can see.
#[test]
fn an_answer_that_is_none_is_forgotten_after_seconds_not_after_the_time_that_it_claims() {
    let mut scene = Scene::with(1);
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    // An alias of itself, good for an hour.
    let mut circle = reply(&asked, NO_ERROR, &[]);
    circle[7] = 1;
    circle.extend(b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x0e\x10\x00\x02\xc0\x0c");
    scene.say(&asked, &circle);
    assert_eq!(scene.told(client), (SERV_FAIL, vec![]));
    scene.later(Duration::from_secs(6));
    let client = scene.ask("www.example.com");
    let asked = scene.asked();
    scene.say(&asked, &reply(&asked, NO_ERROR, &[40]));
    assert_eq!(scene.told(client), (NO_ERROR, vec![40]));
}
