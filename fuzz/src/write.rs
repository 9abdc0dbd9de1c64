//! Any RRset at a name: the reply that we write says what the message says that the `domain` crate builds of it, section
//! by section.

use arbitrary::{Arbitrary, Unstructured};
use dataplane::respond::{Outcome, Transport};
use dns::record::TTL_SECONDS_MAX;
use dns::{Builder, Name, RType, Record, RecordData, RrSet, View, ZoneSettings};
use domain::base::iana::Rtype;
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder};
use domain::base::{Message, MessageBuilder, Name as Foreign, Ttl};
use domain::rdata::{A, Aaaa, AllRecordData, Cname, Ns, Ptr, Srv, Txt};

use crate::answer::ask;

/// Records of one RRset that are looked at: fewer than fill a message.
const RECORDS_MAX: usize = 20;

/// An RRset, its owner, and what goes along with it.
#[derive(Arbitrary, Debug)]
struct Case {
    owner: Vec<Vec<u8>>,
    rtype: u8,
    id: u16,
    ttl_seconds: u32,
    records: Vec<Data>,
    additional: Vec<(Vec<Vec<u8>>, u32, Data)>,
}

/// What the data of a record is made of, whatever its type.
#[derive(Arbitrary, Debug)]
struct Data {
    number: u128,
    numbers: [u16; 3],
    name: Vec<Vec<u8>>,
    text: Vec<u8>,
}

/// What a record says: owner, TTL, type, data.
type Line = (String, u32, u16, String);

impl Data {
    fn record(&self, rtype: u8) -> Option<RecordData> {
        let [priority, weight, port] = self.numbers;
        let target = name(&self.name);
        Some(match rtype % 7 {
            0 => RecordData::A((self.number as u32).into()),
            1 => RecordData::Aaaa(self.number.into()),
            2 => RecordData::Srv {
                priority,
                weight,
                port,
                target: target?,
            },
            3 => RecordData::Ptr(target?),
            4 => RecordData::Ns(target?),
            5 => RecordData::Cname(target?),
            _ => RecordData::Txt(vec![self.text.as_slice().into()]),
        })
    }
}

/// Has us answer with what `input` describes, and compares.
///
/// # Panics
///
/// When the two messages say different things.
pub fn write(input: &[u8]) {
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(input)) else {
        return;
    };
    let Some(owner) = name(&case.owner) else { return };
    let rtype = case.rtype;
    let records = case.records.iter().take(RECORDS_MAX);
    let mut records: Vec<RecordData> = records.filter_map(|data| data.record(rtype)).collect();
    // A name has one alias.
    records.truncate(if rtype % 7 == 5 { 1 } else { RECORDS_MAX });
    let additional = case.additional.iter().take(RECORDS_MAX);
    let additional = additional.filter_map(|(owner, ttl_seconds, data)| {
        Some(Record {
            owner: name(owner)?,
            ttl_seconds: *ttl_seconds,
            data: data.record((data.number % 2) as u8)?,
        })
    });
    let rrset = RrSet {
        view: View::EVERYONE,
        ttl_seconds: case.ttl_seconds,
        until: None,
        records,
        additional: additional.collect(),
    };
    let Some(qtype) = rrset.records.first().map(RecordData::rtype) else {
        return;
    };
    let zone = ZoneSettings::of("docker".parse().expect("a constant"), 30);
    let mut builder = Builder::new(vec![zone], 1, 0).expect("one zone");
    builder
        .set(&owner, std::slice::from_ref(&rrset))
        .expect("records of one type, and few");
    let [i0, i1] = case.id.to_be_bytes();
    let head = [i0, i1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let packet = [&head, owner.octets(), &qtype.0.to_be_bytes(), &[0, 1]].concat();
    let client = std::net::Ipv4Addr::LOCALHOST.into();
    let (outcome, buffer) = ask(&builder.build(), &packet, client, Transport::Tcp, 65_535);
    let Outcome::Reply { length, .. } = outcome else {
        return assert!(
            matches!(outcome, Outcome::Reply { .. }),
            "a name that is set is answered"
        );
    };
    let ours = buffer.get(..length).expect("a reply is as long as it says");
    let theirs = built(&owner, qtype, &rrset);
    assert_eq!(
        ours.get(12..packet.len()),
        theirs.get(12..packet.len()),
        "the question"
    );
    assert_eq!(said(ours), said(&theirs));
}

/// The message that `domain` builds.
fn built(owner: &Name, qtype: RType, rrset: &RrSet) -> Vec<u8> {
    let mut question = MessageBuilder::new_vec().question();
    question
        .push((foreign(owner), Rtype::from_int(qtype.0)))
        .expect("a vector grows");
    let mut answer = question.answer();
    for data in &rrset.records {
        push_answer(&mut answer, owner, rrset.ttl_seconds, data);
    }
    let mut additional = answer.additional();
    for record in &rrset.additional {
        push_additional(&mut additional, record);
    }
    additional.finish()
}

fn push_answer(to: &mut AnswerBuilder<Vec<u8>>, owner: &Name, ttl_seconds: u32, data: &RecordData) {
    let head = (foreign(owner), Ttl::from_secs(ttl_seconds.min(TTL_SECONDS_MAX)));
    let (owner, ttl) = head;
    match data {
        RecordData::A(address) => to.push((owner, ttl, A::new(*address))),
        RecordData::Aaaa(address) => to.push((owner, ttl, Aaaa::new(*address))),
        RecordData::Srv {
            priority,
            weight,
            port,
            target,
        } => to.push((owner, ttl, Srv::new(*priority, *weight, *port, foreign(target)))),
        RecordData::Ptr(target) => to.push((owner, ttl, Ptr::new(foreign(target)))),
        RecordData::Ns(server) => to.push((owner, ttl, Ns::new(foreign(server)))),
        RecordData::Cname(target) => to.push((owner, ttl, Cname::new(foreign(target)))),
        RecordData::Txt(texts) => {
            let text = texts.concat();
            to.push((
                owner,
                ttl,
                Txt::<Vec<u8>>::build_from_slice(&text).expect("a short text"),
            ))
        }
        RecordData::Absent(_) => Ok(()),
    }
    .expect("a vector grows");
}

fn push_additional(to: &mut AdditionalBuilder<Vec<u8>>, record: &Record) {
    let ttl = Ttl::from_secs(record.ttl_seconds.min(TTL_SECONDS_MAX));
    let owner = foreign(&record.owner);
    match record.data {
        RecordData::A(address) => to.push((owner, ttl, A::new(address))),
        RecordData::Aaaa(address) => to.push((owner, ttl, Aaaa::new(address))),
        _ => Ok(()),
    }
    .expect("a vector grows");
}

/// What each section says, in an order that does not depend on rotation.
fn said(message: &[u8]) -> [Vec<Line>; 3] {
    let message = Message::from_octets(message).expect("a message has a header");
    let mut sections: [Vec<Line>; 3] = Default::default();
    for record in &message {
        let (record, section) = record.expect("every record can be read");
        let record = record
            .into_record::<AllRecordData<_, _>>()
            .expect("the data of every record can be read")
            .expect("all types are asked for");
        let line = (
            record.owner().to_string(),
            record.ttl().as_secs(),
            record.rtype().to_int(),
            record.data().to_string(),
        );
        let [answers, authorities, others] = &mut sections;
        match section {
            domain::base::message::Section::Answer => answers.push(line),
            domain::base::message::Section::Authority => authorities.push(line),
            domain::base::message::Section::Additional => others.push(line),
        }
    }
    sections.iter_mut().for_each(|section| section.sort());
    sections
}

/// A lower-cased name below our zone of any labels; none where they do not fit.
fn name(labels: &[Vec<u8>]) -> Option<Name> {
    let labels = labels.iter().map(Vec::as_slice).chain([b"docker".as_slice()]);
    Name::from_labels(labels).ok()
}

fn foreign(name: &Name) -> Foreign<Vec<u8>> {
    Foreign::from_octets(name.octets().to_vec()).expect("a name is one")
}
