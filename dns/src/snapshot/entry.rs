//! What is stored at one name: one flat run of octets, with everything in it at constant offsets.
//!
//! ```text
//! entry     | flags: u8 | key length: u8 | RRsets: u8 | length: u16 |
//!           | its upper half: u16 | value: u32 | ports: u16 |         each where a flag says so
//!           | key | heads | port heads | payload |                                integers little-endian
//! head      | type: u16 | view: u16 | records: u16 | stride: u16 | additional records: u16 |
//!           | start: u32 | answer octets: u16 | additional octets: u16 |
//! port head | protocol: u8 | number: u16 | head |               ordered by protocol, number and view
//! payload   | answer records of the first RRset | its additional records | of the second ... |
//! ```
//!
//! Where [`FLAG_ENDS`] is set, each RRset's records stand behind eight octets: the moment that it ends at, in milliseconds,
//! or 0.
//!
//! A key is a lower-cased wire name, or, behind [`LABEL_MARK`](super::table::LABEL_MARK), a label of the pattern index.
//! `value` counts the names right below a name, or is the number of a label; most names have none below them, and a host has
//! seven entries for each container, so what is 0 is left out. [`FLAG_IS_SET`] tells a name that was set,
//! be it without records, from one that exists because of names below it. `stride` is the length of every answer record
//! where they have one length, else 0.
//!
//! Being one run, a lookup touches the slot and then neighbouring lines, and the same run can later be read from a
//! kernel map. A port head is the RRset at `_number._protocol` below the name: stored with it, since nearly every
//! service has such names, and each by itself would take as much room as the name. RRsets of equal octets share them.

use std::collections::HashMap;

use super::port::{Port, Protocol};
use crate::moment::Moment;
use crate::record::{RDATA_AT, View};
use crate::wire::{RType, Reply};

/// Octets that every entry begins with.
const ENTRY_HEADER_OCTETS: usize = 5;
/// Someone set this name; otherwise it exists because of names below it.
const FLAG_IS_SET: u8 = 1;
/// Some RRset is for the clients of one network, so the client's address is looked at.
const FLAG_HAS_VIEWS: u8 = 2;
/// Some RRset ends by itself, so the time is looked at. Few do, and only their names have room for it.
const FLAG_ENDS: u8 = 4;
/// It is longer than 65 535 octets, and the upper half of its length follows.
const FLAG_IS_LONG: u8 = 8;
/// Its value is not 0, and follows.
const FLAG_HAS_VALUE: u8 = 16;
/// There are names of ports below it, and how many follows.
const FLAG_HAS_PORTS: u8 = 32;
/// The three together, told anew where a value comes or goes.
const FLAGS_OF_FIELDS: u8 = FLAG_IS_LONG | FLAG_HAS_VALUE | FLAG_HAS_PORTS;
/// Octets between these and the key, by the three flags above from the lowest on.
const FIELDS_OCTETS: [u8; 8] = [0, 2, 4, 6, 2, 4, 6, 8];
/// Octets of a moment before an RRset's records.
const UNTIL_OCTETS: usize = 8;
const HEAD_OCTETS: usize = 18;
const PORT_HEAD_OCTETS: usize = 3 + HEAD_OCTETS;
/// Runs of records that are compared with a new one; of more, those behind them are found by their hash. Nearly every name
/// has fewer, and a table for each of them was a tenth of compiling it.
const RUNS_COMPARED_MAX: usize = 8;

/// One name, found.
#[derive(Clone, Copy)]
pub(super) struct Entry<'s> {
    octets: &'s [u8],
    /// Names right below this one, or a label's number.
    pub(super) value: u32,
    flags: u8,
    key_at: usize,
    key_end: usize,
    rrsets: u8,
    ports: u16,
}

/// An RRset as it goes out: whole records that may stand anywhere in a reply to the name's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'s> {
    /// Type of the records.
    pub rtype: RType,
    /// Whose clients get them.
    pub view: View,
    /// Records in `answer`; stored without any, it says that its view has none of the type.
    pub records: u16,
    /// Records in `additional`.
    pub additional_records: u16,
    /// Length of every record in `answer` if they share one, else 0.
    pub stride: u16,
    /// When it ends by itself, if it does: no TTL may be longer than until then.
    pub until: Option<Moment>,
    /// The answer section's octets.
    pub answer: &'s [u8],
    /// The additional section's octets.
    pub additional: &'s [u8],
}

/// The octets of one entry, made before its shard is.
pub(super) struct EntryOctets(Box<[u8]>);

impl EntryOctets {
    /// Lays out the entry of a key that someone set. `ports` are ordered as port heads are.
    pub(super) fn new(key: &[u8], value: u32, rrsets: &[Answer<'_>], ports: &[(Port, Answer<'_>)]) -> Self {
        let all = rrsets.iter().chain(ports.iter().map(|(_, rrset)| rrset));
        let flags = all.fold(FLAG_IS_SET, |flags, rrset| {
            let has_views = if rrset.view == View::EVERYONE {
                0
            } else {
                FLAG_HAS_VIEWS
            };
            flags | has_views | rrset.until.map_or(0, |_| FLAG_ENDS)
        });
        Self::laid_out(key, value, flags, rrsets, ports)
    }

    /// The entry of a name that exists because of `children` names below it.
    pub(super) fn empty_non_terminal(key: &[u8], children: u32) -> Self {
        Self::laid_out(key, children, 0, &[], &[])
    }

    fn laid_out(
        key: &[u8],
        value: u32,
        flags: u8,
        rrsets: &[Answer<'_>],
        ports: &[(Port, Answer<'_>)],
    ) -> Self {
        let key_octets = u8::try_from(key.len()).expect("a wire name has at most 255 octets, a label 64");
        let count = u8::try_from(rrsets.len()).expect("the builder refuses more than 255 RRsets");
        let port_count = u16::try_from(ports.len()).expect("the builder refuses more than 65 535 of ports");
        let mut heads = Vec::with_capacity(rrsets.len() * HEAD_OCTETS + ports.len() * PORT_HEAD_OCTETS);
        let mut payload = Payload {
            has_ends: flags & FLAG_ENDS != 0,
            ..Payload::default()
        };
        for rrset in rrsets {
            payload.add(rrset, &mut heads);
        }
        for (port, rrset) in ports {
            heads.push(port.protocol.octet());
            heads.extend_from_slice(&port.number.to_le_bytes());
            payload.add(rrset, &mut heads);
        }
        let header = Header {
            flags,
            key_octets,
            rrsets: count,
            value,
            ports: port_count,
        };
        header.before(&[key, &heads, &payload.octets])
    }

    /// A copy of an entry that is stored.
    pub(super) fn copied(entry: Entry<'_>) -> Self {
        Self(entry.octets.into())
    }

    /// Gives it another `value`.
    pub(super) fn set_value(&mut self, value: u32) {
        let entry = self.entry();
        if (entry.value == 0) != (value == 0) {
            let header = Header {
                flags: entry.flags & !FLAGS_OF_FIELDS,
                key_octets: u8::try_from(entry.key().len()).expect("its length was read from an octet"),
                rrsets: entry.rrsets,
                value,
                ports: entry.ports,
            };
            *self = header.before(&[entry.octets.get(entry.key_at..).unwrap_or_default()]);
        } else if value != 0 {
            let is_long = entry.flags & FLAG_IS_LONG != 0;
            let at = ENTRY_HEADER_OCTETS + if is_long { 2 } else { 0 };
            if let Some(at) = self.0.get_mut(at..at + 4) {
                at.copy_from_slice(&value.to_le_bytes());
            }
        }
    }

    pub(super) fn entry(&self) -> Entry<'_> {
        Entry::at(&self.0, 0).expect("`laid_out` wrote the length that `at` reads")
    }
}

/// What stands before the key of an entry.
struct Header {
    flags: u8,
    key_octets: u8,
    rrsets: u8,
    value: u32,
    ports: u16,
}

impl Header {
    /// The entry that begins so and goes on with `parts`.
    fn before(&self, parts: &[&[u8]]) -> EntryOctets {
        let mut flags = self.flags;
        let mut length = ENTRY_HEADER_OCTETS + parts.iter().map(|part| part.len()).sum::<usize>();
        for (is_there, flag, octets) in [
            (self.value != 0, FLAG_HAS_VALUE, 4),
            (self.ports != 0, FLAG_HAS_PORTS, 2),
        ] {
            if is_there {
                flags |= flag;
                length += octets;
            }
        }
        if length > usize::from(u16::MAX) {
            flags |= FLAG_IS_LONG;
            length += 2;
        }
        let number = u32::try_from(length).expect("the builder keeps an entry below 4 GiB");
        let [l0, l1, upper @ ..] = number.to_le_bytes();
        let mut octets = Vec::with_capacity(length);
        octets.extend_from_slice(&[flags, self.key_octets, self.rrsets, l0, l1]);
        if flags & FLAG_IS_LONG != 0 {
            octets.extend_from_slice(&upper);
        }
        if flags & FLAG_HAS_VALUE != 0 {
            octets.extend_from_slice(&self.value.to_le_bytes());
        }
        if flags & FLAG_HAS_PORTS != 0 {
            octets.extend_from_slice(&self.ports.to_le_bytes());
        }
        for part in parts {
            octets.extend_from_slice(part);
        }
        EntryOctets(octets.into_boxed_slice())
    }
}

/// Answer records, additional ones, and when they end: what stands together in a payload.
type Run<'a> = (&'a [u8], &'a [u8], Option<Moment>);

/// The records of an entry, each run of octets once.
#[derive(Default)]
struct Payload<'a> {
    octets: Vec<u8>,
    /// The first [`RUNS_COMPARED_MAX`], each with where it begins.
    first: Vec<(Run<'a>, u32)>,
    /// Those behind them.
    others: HashMap<Run<'a>, u32>,
    /// Records stand behind the moment that they end at.
    has_ends: bool,
}

impl<'a> Payload<'a> {
    /// Appends the head of `rrset` to `heads`, and its octets here unless they are here already.
    fn add(&mut self, rrset: &Answer<'a>, heads: &mut Vec<u8>) {
        let lengths = [rrset.answer.len(), rrset.additional.len()]
            .map(|length| u16::try_from(length).expect("the builder keeps RRsets within a message"));
        let [answer, additional] = lengths;
        let start = self.start((rrset.answer, rrset.additional, rrset.until));
        for field in [
            rrset.rtype.0,
            rrset.view.0,
            rrset.records,
            rrset.stride,
            rrset.additional_records,
        ] {
            heads.extend_from_slice(&field.to_le_bytes());
        }
        heads.extend_from_slice(&start.to_le_bytes());
        heads.extend_from_slice(&answer.to_le_bytes());
        heads.extend_from_slice(&additional.to_le_bytes());
    }

    /// Where `run` begins, which is appended unless it is there already.
    fn start(&mut self, run: Run<'a>) -> u32 {
        let first = self.first.iter().find(|(known, _)| *known == run);
        if let Some(start) = first.map(|(_, start)| start).or_else(|| self.others.get(&run)) {
            return *start;
        }
        let (answer, additional, until) = run;
        if self.has_ends {
            let until = until.map_or(0, Moment::milliseconds);
            self.octets.extend_from_slice(&until.to_le_bytes());
        }
        let start = u32::try_from(self.octets.len()).expect("the builder keeps an entry below 4 GiB");
        self.octets.extend_from_slice(answer);
        self.octets.extend_from_slice(additional);
        if self.first.len() < RUNS_COMPARED_MAX {
            self.first.push((run, start));
        } else {
            self.others.insert(run, start);
        }
        start
    }
}

impl<'s> Entry<'s> {
    pub(super) fn at(arena: &'s [u8], offset: usize) -> Option<Self> {
        let from = arena.get(offset..)?;
        let (&[flags, key_octets, rrsets, l0, l1], fields) =
            from.split_first_chunk::<ENTRY_HEADER_OCTETS>()?;
        let mut length = usize::from(u16::from_le_bytes([l0, l1]));
        if flags & FLAG_IS_LONG != 0 {
            length |= usize::from(u16::from_le_bytes(*fields.first_chunk()?)) << 16;
        }
        let fields_octets = FIELDS_OCTETS.get(usize::from(flags / FLAG_IS_LONG % 8))?;
        let key_at = ENTRY_HEADER_OCTETS + usize::from(*fields_octets);
        // Those that are there, from the key backwards.
        let mut before_key = from.get(..key_at)?;
        let (mut value, mut ports) = (0, 0);
        if flags & FLAG_HAS_PORTS != 0 {
            let (before, count) = before_key.split_last_chunk()?;
            (ports, before_key) = (u16::from_le_bytes(*count), before);
        }
        if flags & FLAG_HAS_VALUE != 0 {
            value = u32::from_le_bytes(*before_key.last_chunk()?);
        }
        Some(Self {
            octets: from.get(..length)?,
            value,
            flags,
            key_at,
            key_end: key_at + usize::from(key_octets),
            rrsets,
            ports,
        })
    }

    /// The key, whole.
    pub(super) fn key(&self) -> &'s [u8] {
        self.octets.get(self.key_at..self.key_end).unwrap_or_default()
    }

    /// The whole entry.
    pub(super) fn octets(&self) -> &'s [u8] {
        self.octets
    }

    /// Someone set this name; otherwise it exists because of names below it.
    pub(super) fn is_set(&self) -> bool {
        self.flags & FLAG_IS_SET != 0
    }

    /// Number of RRsets at the name itself; 0 for an empty non-terminal.
    pub(super) fn rrsets(&self) -> usize {
        usize::from(self.rrsets)
    }

    /// The RRset of `rtype` for `view`, else for everyone; any one type for ANY (RFC 8482, section 4.1).
    pub(super) fn rrset(&self, rtype: RType, view: View) -> Option<Answer<'s>> {
        match rtype {
            RType::ANY => self.any_rrset(view),
            _ => chosen(self.answers().filter(|answer| answer.rtype == rtype), view),
        }
    }

    fn any_rrset(&self, view: View) -> Option<Answer<'s>> {
        let mut own = self
            .answers()
            .filter(|answer| answer.view == view && answer.records > 0);
        own.next().or_else(|| {
            let mut everyones = self.answers().filter(|answer| answer.view == View::EVERYONE);
            everyones.find_map(|answer| self.rrset(answer.rtype, view))
        })
    }

    /// The RRset at the name of `port` for `view`, else for everyone; none where there is no record.
    pub(super) fn port_rrset(&self, port: Port, view: View) -> Option<Answer<'s>> {
        let heads = self.port_heads();
        let first = heads.partition_point(|head| port_of(head) < Some(port));
        let heads = heads.get(first..)?.iter();
        let of_port = heads.take_while(|head| port_of(head) == Some(port));
        let payload = self.payload();
        let answers = of_port.filter_map(|[_, _, _, head @ ..]| Answer::of(head, payload, self.ends()));
        chosen(answers, view)
    }

    /// Whether there is a name of `port` below this one.
    pub(super) fn has_port(&self, port: Port) -> bool {
        self.port_heads()
            .binary_search_by(|head| port_of(head).cmp(&Some(port)))
            .is_ok()
    }

    /// Whether there is a name of some port of `protocol` below this one.
    pub(super) fn has_port_of(&self, protocol: Protocol) -> bool {
        let heads = self.port_heads();
        let first = heads.partition_point(|[its, ..]| *its < protocol.octet());
        heads.get(first).is_some_and(|[its, ..]| *its == protocol.octet())
    }

    /// Whether some RRset is for the clients of one network.
    pub(super) fn has_views(&self) -> bool {
        self.flags & FLAG_HAS_VIEWS != 0
    }

    /// Whether some RRset ends by itself.
    fn ends(&self) -> bool {
        self.flags & FLAG_ENDS != 0
    }

    /// All RRsets at the name itself.
    pub(super) fn answers(&self) -> impl Iterator<Item = Answer<'s>> {
        let heads = self
            .octets
            .get(self.key_end..self.heads_end())
            .unwrap_or_default();
        let (heads, _) = heads.as_chunks::<HEAD_OCTETS>();
        let (payload, ends) = (self.payload(), self.ends());
        heads
            .iter()
            .filter_map(move |head| Answer::of(head, payload, ends))
    }

    fn heads_end(&self) -> usize {
        self.key_end + self.rrsets() * HEAD_OCTETS
    }

    fn port_heads(&self) -> &'s [[u8; PORT_HEAD_OCTETS]] {
        let from = self.octets.get(self.heads_end()..).unwrap_or_default();
        let (heads, _) = from.as_chunks::<PORT_HEAD_OCTETS>();
        heads.get(..usize::from(self.ports)).unwrap_or_default()
    }

    fn payload(&self) -> &'s [u8] {
        let start = self.heads_end() + usize::from(self.ports) * PORT_HEAD_OCTETS;
        self.octets.get(start..).unwrap_or_default()
    }
}

/// The port that a port head is of.
fn port_of(&[protocol, n0, n1, ..]: &[u8; PORT_HEAD_OCTETS]) -> Option<Port> {
    Some(Port {
        protocol: Protocol::of_octet(protocol)?,
        number: u16::from_le_bytes([n0, n1]),
    })
}

/// The one for `view`, else the first for everyone. One without records says that there are none.
fn chosen<'s>(answers: impl Iterator<Item = Answer<'s>>, view: View) -> Option<Answer<'s>> {
    let mut found = None;
    for answer in answers {
        if answer.view == view {
            found = Some(answer);
            break;
        }
        if answer.view == View::EVERYONE {
            found = found.or(Some(answer));
        }
    }
    found.filter(|answer| answer.records > 0)
}

impl<'s> Answer<'s> {
    /// Has nobody remember these records, which `reply` has from `from` on, for longer than they last after `now`.
    pub fn cap_ttls(&self, reply: &mut Reply<'_>, from: usize, now: Moment) {
        if let Some(until) = self.until {
            reply.cap_ttls(from, until.ttl_seconds(now));
        }
    }

    /// The answer section's octets in two parts, the first of which begins with the record that `rotation` chooses.
    #[must_use]
    pub fn rotated(&self, rotation: u16) -> [&'s [u8]; 2] {
        let first = rotation.checked_rem(self.records).unwrap_or(0);
        let at = match (first, self.stride) {
            (0, _) => 0,
            (first, 0) => nth_record(self.answer, first),
            (first, stride) => usize::from(first) * usize::from(stride),
        };
        let (late, early) = self.answer.split_at(at.min(self.answer.len()));
        [early, late]
    }

    /// `ends`: its records stand behind a moment.
    fn of(head: &[u8; HEAD_OCTETS], payload: &'s [u8], ends: bool) -> Option<Self> {
        let [
            t0,
            t1,
            v0,
            v1,
            r0,
            r1,
            s0,
            s1,
            x0,
            x1,
            o0,
            o1,
            o2,
            o3,
            a0,
            a1,
            b0,
            b1,
        ] = *head;
        let start = u32::from_le_bytes([o0, o1, o2, o3]) as usize;
        let answer_end = start + usize::from(u16::from_le_bytes([a0, a1]));
        let additional_end = answer_end + usize::from(u16::from_le_bytes([b0, b1]));
        Some(Self {
            rtype: RType(u16::from_le_bytes([t0, t1])),
            view: View(u16::from_le_bytes([v0, v1])),
            records: u16::from_le_bytes([r0, r1]),
            stride: u16::from_le_bytes([s0, s1]),
            additional_records: u16::from_le_bytes([x0, x1]),
            until: if ends { until(payload.get(..start)?) } else { None },
            answer: payload.get(start..answer_end)?,
            additional: payload.get(answer_end..additional_end)?,
        })
    }
}

/// Where the record after `records` records begins. Owners are pointers.
fn nth_record(answer: &[u8], records: u16) -> usize {
    let mut start = 0;
    for _ in 0..records {
        let Some(&[.., l0, l1]) = answer.get(start..).and_then(<[u8]>::first_chunk::<RDATA_AT>) else {
            return 0;
        };
        start += RDATA_AT + usize::from(u16::from_be_bytes([l0, l1]));
    }
    start
}

/// The moment in the last octets of `before`.
fn until(before: &[u8]) -> Option<Moment> {
    let milliseconds = u64::from_le_bytes(*before.last_chunk::<UNTIL_OCTETS>()?);
    (milliseconds != 0).then(|| Moment::of_milliseconds(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An RRset of so many octets.
    fn answer(octets: &[u8]) -> Answer<'_> {
        Answer {
            rtype: RType::A,
            view: View::EVERYONE,
            records: 1,
            additional_records: 0,
            stride: 0,
            until: None,
            answer: octets,
            additional: &[],
        }
    }

    #[test]
    fn an_entry_of_any_length_takes_any_value() {
        let port = Port {
            protocol: Protocol::Udp,
            number: 53,
        };
        for (rrset, port_rrset) in [
            (0, 0),
            (16, 0),
            (16, 20),
            (40_000, 25_000),
            (65_000, 65_000),
            (65_465, 0),
        ] {
            let (own, of_port) = (vec![1; rrset], vec![2; port_rrset]);
            let (rrsets, ports) = ([answer(&own)], [(port, answer(&of_port))]);
            let rrsets = if rrset == 0 { &[][..] } else { &rrsets };
            let ports = if port_rrset == 0 { &[][..] } else { &ports };
            for before in [0, 7] {
                let mut octets = EntryOctets::new(b"key", before, rrsets, ports);
                for value in [before, 0, 1 << 20, 5, 0] {
                    octets.set_value(value);
                    let arena = [octets.entry().octets(), b"the next one"].concat();
                    let entry = Entry::at(&arena, 0).unwrap();
                    assert_eq!(
                        (entry.key(), entry.value, entry.is_set()),
                        (&b"key"[..], value, true)
                    );
                    assert_eq!(arena.len() - entry.octets().len(), 12);
                    let made_so = EntryOctets::new(b"key", value, rrsets, ports);
                    assert_eq!(entry.octets(), made_so.entry().octets(), "one value, one form");
                    assert_eq!(entry.rrset(RType::A, View::EVERYONE), rrsets.first().copied());
                    let of_port = ports.first().map(|(_, rrset)| *rrset);
                    assert_eq!(entry.port_rrset(port, View::EVERYONE), of_port);
                }
            }
        }
    }
}
