//! What is counted: questions answered, changes published, zones compiled.

#[path = "../../../../fixture/mod.rs"]
mod fixture;

use std::hint::black_box;
use std::net::IpAddr;
use std::thread;

use dataplane::cache::{Cache, Rules};
use dataplane::respond::{Client, Message, Outcome, Transport, respond};
use dns::wire::Head;
use dns::{Query, Rcode, Reply, Snapshot};

use self::fixture::containers::{Plane, list};

/// Times that each question is answered, so that the first one's page faults and branches do not count.
const QUESTIONS: u32 = 2_000;
/// Services in the zone that is asked.
const SERVICES: u32 = 1_000;

const A: u16 = 1;
const SRV: u16 = 33;
const AAAA: u16 = 28;
const ANY: u16 = 255;

/// The response code of a reply, how many answers it has, and whether it was cut; none where no reply is made.
type Said = Option<(Rcode, u16, bool)>;

/// None of its answers found room.
const CUT: Said = Some((Rcode::NO_ERROR, 0, true));

/// So many answers.
const fn found(answers: u16) -> Said {
    Some((Rcode::NO_ERROR, answers, false))
}

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Answering a question about this name and type, which is to say that.
    Query(&'static str, u16, Said),
    /// The same by two workers at once, who share a snapshot: whether one more costs the other instructions. Not what they
    /// wait for each other, which is not counted.
    Workers(&'static str, u16, Said),
    /// Answering one of the same kind over TCP, where a wildcard's hundred matches find room.
    Crowd(&'static str, u16, Said),
    /// Answering one that matches ten times as many services, none of them healthy.
    Unwell(&'static str, u16, Said),
    /// The same, from an upstream's reply that is kept.
    Kept(&'static str, u16, Said),
    /// Publishing one change among so many services.
    Change(u32),
    /// Replacing some containers among so many services, and publishing that.
    Containers(u32),
    /// Compiling so many services from nothing.
    Compile(u32),
}

pub(crate) const KINDS: [(&str, Kind, u32); 18] = [
    (
        "one_a",
        Kind::Query("instance77.image7.dev.docker", A, found(1)),
        QUESTIONS,
    ),
    (
        "one_a_two_workers",
        Kind::Workers("instance77.image7.dev.docker", A, found(1)),
        QUESTIONS,
    ),
    ("ten_a", Kind::Query("image7.dev.docker", A, found(10)), QUESTIONS),
    (
        "ten_srv",
        Kind::Query("image7.dev.docker", SRV, found(10)),
        QUESTIONS,
    ),
    (
        "nodata",
        Kind::Query("instance77.image7.dev.docker", AAAA, found(0)),
        QUESTIONS,
    ),
    (
        "nxdomain",
        Kind::Query("absent.image7.dev.docker", A, Some((Rcode::NX_DOMAIN, 0, false))),
        QUESTIONS,
    ),
    (
        "wildcard_of_one",
        Kind::Query("instance77.*.dev.docker", A, found(1)),
        QUESTIONS,
    ),
    (
        "wildcard_of_ten",
        Kind::Query("*.image7.*.docker", A, found(10)),
        QUESTIONS,
    ),
    ("wildcard_of_all", Kind::Query("*.docker", A, CUT), QUESTIONS),
    (
        "wildcard_of_100_a",
        Kind::Crowd("*.crowd.dev.docker", A, found(100)),
        QUESTIONS,
    ),
    (
        "wildcard_of_100_srv",
        Kind::Crowd("*.crowd.dev.docker", SRV, found(100)),
        QUESTIONS,
    ),
    (
        "wildcard_of_unwell",
        Kind::Unwell("*.docker", ANY, found(0)),
        QUESTIONS,
    ),
    (
        "long_name_of_one",
        Kind::Query("region.instance77.image7.dev.docker", A, found(1)),
        QUESTIONS,
    ),
    ("forward", Kind::Query("example.org", A, None), QUESTIONS),
    ("cached", Kind::Kept("example.org", A, found(1)), QUESTIONS),
    ("publish_change_10k", Kind::Change(10_000), 50),
    ("publish_containers_10k", Kind::Containers(10_000), 50),
    ("publish_all_1k", Kind::Compile(1_000), 2),
];

/// Runs the kind of this name; valgrind counts what happens inside [`measured`].
///
/// # Errors
///
/// A sentence: it does not do what is to be counted.
pub(crate) fn work(name: &str) -> Result<(), String> {
    let kinds = KINDS.iter().filter(|(it, ..)| *it == name);
    for &(_, kind, times) in kinds {
        let (wanted, said) = match kind {
            Kind::Query(owner, qtype, wanted) => {
                let zone = fixture::zone(SERVICES).build();
                (wanted, answer(&zone, owner, qtype, Transport::Udp, times))
            }
            Kind::Workers(owner, qtype, wanted) => (wanted, by_two(owner, qtype, times)),
            Kind::Crowd(owner, qtype, wanted) => {
                let zone = fixture::crowd(SERVICES).build();
                (wanted, answer(&zone, owner, qtype, Transport::Tcp, times))
            }
            Kind::Unwell(owner, qtype, wanted) => {
                let zone = fixture::unwell(10 * SERVICES).build();
                (wanted, answer(&zone, owner, qtype, Transport::Udp, times))
            }
            Kind::Kept(owner, qtype, wanted) => (wanted, recall(owner, qtype, times)),
            Kind::Change(services) => (None, change(services, times)),
            Kind::Containers(services) => (None, containers(services, times)),
            Kind::Compile(services) => (None, compile(services, times)),
        };
        if said != wanted {
            return Err(format!("{name} says {said:?}, and is to say {wanted:?}"));
        }
    }
    Ok(())
}

/// Does `step` so many times. Never inlined: valgrind counts from its first instruction to its last.
#[inline(never)]
fn measured(times: u32, mut step: impl FnMut(u32)) {
    for time in 0..times {
        step(time);
    }
}

fn answer(snapshot: &Snapshot, owner: &str, qtype: u16, transport: Transport, times: u32) -> Said {
    let policy = fixture::policy();
    let client = Client {
        address: IpAddr::from([172, 17, 0, 2]),
        transport,
    };
    let packet = fixture::query(owner, qtype);
    let mut buffer = vec![0; 65_535];
    let mut last = Outcome::Drop;
    measured(times, |_| {
        // A reply overwrites its query: what a worker's receive call puts there is put back.
        let room = buffer.get_mut(..packet.len()).expect("larger than any query");
        room.copy_from_slice(&packet);
        let mut message = Message::new(&mut buffer, packet.len());
        last = black_box(respond(snapshot, &policy, client, &mut message));
    });
    match last {
        Outcome::Reply { rcode, truncated, .. } => Some((rcode, answers(&buffer), truncated)),
        _ => None,
    }
}

/// Two workers at once; what they say, if both say the same.
fn by_two(owner: &'static str, qtype: u16, times: u32) -> Said {
    let (publisher, _) = dns::channel(fixture::zone(SERVICES).build());
    thread::scope(|scope| {
        let both = [publisher.reader(), publisher.reader()].map(|mut reader| {
            scope.spawn(move || answer(reader.load(), owner, qtype, Transport::Udp, times / 2))
        });
        let [one, other] = both.map(|worker| worker.join().ok().flatten());
        one.filter(|_| one == other)
    })
}

/// What a worker does after `respond` has said that the name is not ours, too.
fn recall(owner: &str, qtype: u16, times: u32) -> Said {
    let packet = fixture::query(owner, qtype);
    let mut buffer = vec![0; 4096];
    let mut cache = Cache::new(1 << 20, Rules::default(), 7);
    let key = cache.key(&Query::parse(&packet).expect("a query of our own"));
    cache.insert(&key, &fixture::reply(&packet, 1), 0, |_| false);
    measured(times, |_| {
        let room = buffer.get_mut(..packet.len()).expect("larger than any query");
        room.copy_from_slice(&packet);
        let query = Query::parse(&packet).expect("a query of our own");
        let (head, key) = (Head::from(&query), cache.key(&query));
        let hit = cache.lookup(&key, 1).expect("it was kept");
        let reply = Reply::begin(&mut buffer, head, 1232, 1232);
        black_box(hit.answer.write(reply, head.id()));
    });
    // Nothing but the reply that was kept can have come of it.
    found(answers(&buffer))
}

/// The answer count of a message's header (RFC 1035, section 4.1.1).
fn answers(message: &[u8]) -> u16 {
    let count = message.get(6..).and_then(|rest| rest.first_chunk());
    count.map_or(0, |count| u16::from_be_bytes(*count))
}

fn change(services: u32, times: u32) -> Said {
    let mut builder = fixture::zone(services);
    let (mut publisher, mut reader) = dns::channel(builder.build());
    measured(times, |time| {
        fixture::replace(&mut builder, (time + 1) * 7_919 % services);
        publisher.publish(builder.build());
        black_box(reader.load().serial());
    });
    None
}

fn containers(services: u32, times: u32) -> Said {
    let (mut plane, first) = Plane::of(list(services));
    let (mut publisher, mut reader) = dns::channel(first);
    measured(times, |time| {
        publisher.publish(plane.replace(time));
        black_box(reader.load().serial());
    });
    None
}

fn compile(services: u32, times: u32) -> Said {
    measured(times, |_| {
        black_box(fixture::zone(services).build());
    });
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_does_what_it_says() {
        for (name, kind, _) in KINDS {
            if !matches!(kind, Kind::Change(_) | Kind::Containers(_)) {
                assert_eq!(work(name), Ok(()));
            }
        }
    }
}
