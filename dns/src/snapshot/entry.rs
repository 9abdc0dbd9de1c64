//! What is stored at one name: one flat run of octets, with everything in it at constant offsets.
//!
//! ```text
//! entry     | flags: u8 | key length: u8 | RRsets: u8 | length: u16 |
//!           | its upper half: u16 | value: u32 | ports: u16 |         each where a flag says so
//!           | key | heads | port heads | payload |                                integers little-endian
//! head      | type | view | records | stride | additional records | start | answer octets | additional octets |
//! port head | protocol: u8 | number: u16 | head |               ordered by protocol, number and view
//! payload   | answer records of the first RRset | its additional records | of the second ... |
//! ```
//!
//! The fields of heads have an octet each where all of an entry's fit, as they mostly do; else 16 bits, and a start 32. An
//! entry of one record and nothing else has no head at all: [`FLAG_IS_PLAIN`].
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
/// Its heads have an octet for each field.
const FLAG_IS_SMALL: u8 = 64;
/// It has one RRset, of one record for everybody, which tells its type itself, and no head.
const FLAG_IS_PLAIN: u8 = 128;
/// What tells how its heads are written.
const FLAGS_OF_FORM: u8 = FLAG_IS_SMALL | FLAG_IS_PLAIN;
/// The three before these together, told anew where a value comes or goes.
const FLAGS_OF_FIELDS: u8 = FLAG_IS_LONG | FLAG_HAS_VALUE | FLAG_HAS_PORTS;
/// Octets between these and the key, by the three flags above from the lowest on.
const FIELDS_OCTETS: [u8; 8] = [0, 2, 4, 6, 2, 4, 6, 8];
/// Octets of a moment before an RRset's records.
const UNTIL_OCTETS: usize = 8;
const HEAD_OCTETS: usize = 18;
const SMALL_HEAD_OCTETS: usize = 8;
/// Octets of a port before its head.
const PORT_OCTETS: usize = 3;
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
        let mut payload = Payload {
            has_ends: flags & FLAG_ENDS != 0,
            ..Payload::default()
        };
        let heads: Vec<Head> = rrsets.iter().map(|rrset| payload.add(rrset)).collect();
        let port_heads: Vec<(Port, Head)> = (ports.iter())
            .map(|(port, rrset)| (*port, payload.add(rrset)))
            .collect();
        let mut all = heads.iter().chain(port_heads.iter().map(|(_, head)| head));
        let form = match rrsets {
            [only] if ports.is_empty() && only.is_plain() => FLAG_IS_PLAIN,
            _ if all.all(Head::is_small) => FLAG_IS_SMALL,
            _ => 0,
        };
        let head_octets = head_octets(form);
        let room = heads.len() * head_octets + port_heads.len() * (PORT_OCTETS + head_octets);
        let mut octets = Vec::with_capacity(room);
        for head in &heads {
            head.write(form, &mut octets);
        }
        for (port, head) in &port_heads {
            octets.push(port.protocol.octet());
            octets.extend_from_slice(&port.number.to_le_bytes());
            head.write(form, &mut octets);
        }
        let header = Header {
            flags: flags | form,
            key_octets,
            rrsets: count,
            value,
            ports: port_count,
        };
        header.before(&[key, &octets, &payload.octets])
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

/// What a head says.
struct Head {
    start: u32,
    /// All others, in the order that they are written in.
    fields: [u16; 7],
}

impl Head {
    fn is_small(&self) -> bool {
        let all = self.fields.map(u32::from).into_iter().chain([self.start]);
        all.max().is_some_and(|most| most <= u32::from(u8::MAX))
    }

    /// Appends it, as entries of that form have it.
    fn write(&self, form: u8, to: &mut Vec<u8>) {
        let [before @ .., answer, additional] = &self.fields;
        match form {
            FLAG_IS_PLAIN => {}
            FLAG_IS_SMALL => {
                let low = |field: &u16| *field as u8;
                to.extend(before.iter().map(low));
                to.extend([self.start as u8, low(answer), low(additional)]);
            }
            _ => {
                to.extend(before.iter().flat_map(|field| field.to_le_bytes()));
                to.extend_from_slice(&self.start.to_le_bytes());
                to.extend(
                    [answer, additional]
                        .into_iter()
                        .flat_map(|field| field.to_le_bytes()),
                );
            }
        }
    }
}

/// Octets of each head of an entry with these flags.
fn head_octets(flags: u8) -> usize {
    match flags & FLAGS_OF_FORM {
        0 => HEAD_OCTETS,
        FLAG_IS_SMALL => SMALL_HEAD_OCTETS,
        _ => 0,
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
    /// The head of `rrset`, whose octets are appended unless they are here already.
    fn add(&mut self, rrset: &Answer<'a>) -> Head {
        let lengths = [rrset.answer.len(), rrset.additional.len()]
            .map(|length| u16::try_from(length).expect("the builder keeps RRsets within a message"));
        let [answer, additional] = lengths;
        Head {
            start: self.start((rrset.answer, rrset.additional, rrset.until)),
            fields: [
                rrset.rtype.0,
                rrset.view.0,
                rrset.records,
                rrset.stride,
                rrset.additional_records,
                answer,
                additional,
            ],
        }
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
            _ => match self.flags & FLAGS_OF_FORM {
                0 => self.chosen::<HEAD_OCTETS>(rtype, view),
                FLAG_IS_SMALL => self.chosen::<SMALL_HEAD_OCTETS>(rtype, view),
                _ => Answer::of_plain(self.payload(), self.ends()).filter(|answer| answer.rtype == rtype),
            },
        }
    }

    /// The same, where heads have so many octets. Those of other types are not read whole.
    fn chosen<const OCTETS: usize>(&self, rtype: RType, view: View) -> Option<Answer<'s>>
    where
        [u8; OCTETS]: WrittenHead,
    {
        let (heads, _) = self.octets.get(self.key_end..)?.as_chunks::<OCTETS>();
        let heads = heads.get(..self.rrsets())?.iter();
        let head = chosen(heads.filter(|head| head.rtype() == rtype), view)?;
        Answer::of(head.read(), self.payload(), self.ends()).filter(|answer| answer.records > 0)
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
        match self.port_heads() {
            PortHeads::Small(heads) => self.chosen_of_port(heads, port, view),
            PortHeads::Large(heads) => self.chosen_of_port(heads, port, view),
        }
    }

    fn chosen_of_port<P: WrittenPortHead>(&self, heads: &[P], port: Port, view: View) -> Option<Answer<'s>> {
        let first = heads.partition_point(|head| head.port() < Some(port));
        let heads = heads.get(first..)?.iter();
        let of_port = heads.take_while(|head| head.port() == Some(port));
        let head = chosen(of_port.map(P::head), view)?;
        Answer::of(head.read(), self.payload(), self.ends()).filter(|answer| answer.records > 0)
    }

    /// Whether there is a name of `port` below this one.
    pub(super) fn has_port(&self, port: Port) -> bool {
        let heads = self.port_heads();
        heads.first_from(|its| its < Some(port)) == Some(port)
    }

    /// Whether there is a name of some port of `protocol` below this one.
    pub(super) fn has_port_of(&self, protocol: Protocol) -> bool {
        let heads = self.port_heads();
        let first = heads.first_from(|its| its.is_some_and(|its| its.protocol < protocol));
        first.is_some_and(|its| its.protocol == protocol)
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
        Answers {
            heads: self.octets.get(self.key_end..).unwrap_or_default(),
            left: self.rrsets,
            form: self.flags & FLAGS_OF_FORM,
            payload: self.payload(),
            ends: self.ends(),
        }
    }

    fn heads_end(&self) -> usize {
        self.key_end + self.rrsets() * head_octets(self.flags)
    }

    fn port_heads(&self) -> PortHeads<'s> {
        let heads = self.octets.get(self.heads_end()..).unwrap_or_default();
        let count = usize::from(self.ports);
        if self.flags & FLAG_IS_SMALL != 0 {
            PortHeads::Small(heads.as_chunks().0.get(..count).unwrap_or_default())
        } else {
            PortHeads::Large(heads.as_chunks().0.get(..count).unwrap_or_default())
        }
    }

    fn payload(&self) -> &'s [u8] {
        let port_octets = PORT_OCTETS + head_octets(self.flags);
        let start = self.heads_end() + usize::from(self.ports) * port_octets;
        self.octets.get(start..).unwrap_or_default()
    }
}

/// The RRsets at a name, one after the other.
struct Answers<'s> {
    /// From the first that is left on.
    heads: &'s [u8],
    left: u8,
    form: u8,
    payload: &'s [u8],
    ends: bool,
}

impl<'s> Iterator for Answers<'s> {
    type Item = Answer<'s>;

    fn next(&mut self) -> Option<Answer<'s>> {
        self.left = self.left.checked_sub(1)?;
        if self.form == FLAG_IS_PLAIN {
            return Answer::of_plain(self.payload, self.ends);
        }
        let head = if self.form == FLAG_IS_SMALL {
            self.next_head::<SMALL_HEAD_OCTETS>()?
        } else {
            self.next_head::<HEAD_OCTETS>()?
        };
        Answer::of(head, self.payload, self.ends)
    }
}

impl Answers<'_> {
    fn next_head<const OCTETS: usize>(&mut self) -> Option<Head>
    where
        [u8; OCTETS]: WrittenHead,
    {
        let (head, rest) = self.heads.split_first_chunk()?;
        self.heads = rest;
        Some(head.read())
    }
}

/// The RRsets of ports, by their place.
#[derive(Clone, Copy)]
enum PortHeads<'s> {
    Small(&'s [SmallPortHead]),
    Large(&'s [LargePortHead]),
}

type SmallPortHead = [u8; PORT_OCTETS + SMALL_HEAD_OCTETS];
type LargePortHead = [u8; PORT_OCTETS + HEAD_OCTETS];

impl PortHeads<'_> {
    /// The first port that is not before what is looked for.
    fn first_from(self, is_before: impl Fn(Option<Port>) -> bool) -> Option<Port> {
        match self {
            Self::Small(heads) => first_from(heads, is_before),
            Self::Large(heads) => first_from(heads, is_before),
        }
    }
}

fn first_from<P: WrittenPortHead>(heads: &[P], is_before: impl Fn(Option<Port>) -> bool) -> Option<Port> {
    heads
        .get(heads.partition_point(|head| is_before(head.port())))?
        .port()
}

/// A head as it is written.
trait WrittenHead {
    fn rtype(&self) -> RType;
    fn view(&self) -> View;
    fn read(&self) -> Head;
}

/// The same behind a port.
trait WrittenPortHead {
    type Head: WrittenHead;
    fn port(&self) -> Option<Port>;
    fn head(&self) -> &Self::Head;
}

impl WrittenHead for [u8; SMALL_HEAD_OCTETS] {
    fn rtype(&self) -> RType {
        let [rtype, ..] = *self;
        RType(rtype.into())
    }

    fn view(&self) -> View {
        let [_, view, ..] = *self;
        View(view.into())
    }

    fn read(&self) -> Head {
        let [t, v, r, s, x, start, a, b] = *self;
        Head {
            start: start.into(),
            fields: [t, v, r, s, x, a, b].map(u16::from),
        }
    }
}

impl WrittenHead for [u8; HEAD_OCTETS] {
    fn rtype(&self) -> RType {
        let [t0, t1, ..] = *self;
        RType(u16::from_le_bytes([t0, t1]))
    }

    fn view(&self) -> View {
        let [_, _, v0, v1, ..] = *self;
        View(u16::from_le_bytes([v0, v1]))
    }

    fn read(&self) -> Head {
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
        ] = *self;
        let fields = [
            [t0, t1],
            [v0, v1],
            [r0, r1],
            [s0, s1],
            [x0, x1],
            [a0, a1],
            [b0, b1],
        ];
        Head {
            start: u32::from_le_bytes([o0, o1, o2, o3]),
            fields: fields.map(u16::from_le_bytes),
        }
    }
}

impl WrittenPortHead for SmallPortHead {
    type Head = [u8; SMALL_HEAD_OCTETS];

    fn port(&self) -> Option<Port> {
        port_of(self)
    }

    fn head(&self) -> &Self::Head {
        let [_, _, _, head @ ..] = self;
        head
    }
}

impl WrittenPortHead for LargePortHead {
    type Head = [u8; HEAD_OCTETS];

    fn port(&self) -> Option<Port> {
        port_of(self)
    }

    fn head(&self) -> &Self::Head {
        let [_, _, _, head @ ..] = self;
        head
    }
}

/// The port before a head.
fn port_of(octets: &[u8]) -> Option<Port> {
    let &[protocol, n0, n1] = octets.first_chunk()?;
    Some(Port {
        protocol: Protocol::of_octet(protocol)?,
        number: u16::from_le_bytes([n0, n1]),
    })
}

/// The one for `view`, else the first for everyone. One without records says that there are none.
fn chosen<'h, H: WrittenHead + 'h>(heads: impl Iterator<Item = &'h H>, view: View) -> Option<&'h H> {
    let mut found = None;
    for head in heads {
        let its = head.view();
        if its == view {
            return Some(head);
        }
        if its == View::EVERYONE {
            found = found.or(Some(head));
        }
    }
    found
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

    /// Whether it says nothing that its records do not say themselves.
    fn is_plain(&self) -> bool {
        let itself = Self::of_record(self.answer, self.until);
        itself.is_some_and(|itself| itself == *self)
    }

    /// The RRset of one record, for everybody.
    fn of_record(record: &'s [u8], until: Option<Moment>) -> Option<Self> {
        let &[_, _, t0, t1, ..] = record.first_chunk::<RDATA_AT>()?;
        Some(Self {
            rtype: RType(u16::from_be_bytes([t0, t1])),
            view: View::EVERYONE,
            records: 1,
            additional_records: 0,
            stride: u16::try_from(record.len()).ok()?,
            until,
            answer: record,
            additional: &[],
        })
    }

    /// That of a plain entry.
    fn of_plain(payload: &'s [u8], ends: bool) -> Option<Self> {
        if ends {
            let (before, record) = payload.split_at_checked(UNTIL_OCTETS)?;
            Self::of_record(record, until(before))
        } else {
            Self::of_record(payload, None)
        }
    }

    /// `ends`: its records stand behind a moment.
    fn of(head: Head, payload: &'s [u8], ends: bool) -> Option<Self> {
        let [
            rtype,
            view,
            records,
            stride,
            additional_records,
            answer,
            additional,
        ] = head.fields;
        let start = head.start as usize;
        let answer_end = start + usize::from(answer);
        let additional_end = answer_end + usize::from(additional);
        Some(Self {
            rtype: RType(rtype),
            view: View(view),
            records,
            stride,
            additional_records,
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

    /// A whole A record, and what a plain entry makes of it.
    const RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 0, 0, 1];

    fn record() -> Answer<'static> {
        Answer {
            stride: 16,
            ..answer(&RECORD)
        }
    }

    #[test]
    fn heads_take_as_much_room_as_they_need_and_are_read_as_they_were() {
        let octets = [7; 300];
        let of = |octets| Answer {
            additional_records: 1,
            additional: octets,
            ..record()
        };
        let until = Some(Moment::of_milliseconds(77));
        let port = Port {
            protocol: Protocol::Tcp,
            number: 80,
        };
        let (none, one) = ([].as_slice(), [(port, record())]);
        for (rrset, ports, heads) in [
            (record(), none, 0),
            (Answer { until, ..record() }, none, UNTIL_OCTETS),
            (record(), &one[..], 8 + 3 + 8),
            (of(&octets[..1]), none, 8 + 1),
            (of(&octets[..255]), none, 8 + 255),
            (of(&octets[..256]), none, 18 + 256),
            (answer(&RECORD), none, 8),
            (
                Answer {
                    view: View(1),
                    ..record()
                },
                none,
                8,
            ),
            (
                Answer {
                    view: View::OUTSIDE,
                    ..record()
                },
                none,
                18,
            ),
            (
                Answer {
                    records: 256,
                    ..record()
                },
                none,
                18,
            ),
            (
                Answer {
                    rtype: RType::AAAA,
                    ..record()
                },
                none,
                8,
            ),
        ] {
            let entry = EntryOctets::new(b"key", 0, &[rrset], ports);
            let entry = entry.entry();
            let fields = if ports.is_empty() { 0 } else { 2 };
            assert_eq!(
                entry.octets().len(),
                5 + fields + 3 + heads + RECORD.len(),
                "{rrset:?}"
            );
            assert_eq!(entry.answers().collect::<Vec<_>>(), [rrset]);
            assert_eq!(
                entry.port_rrset(port, View::EVERYONE),
                ports.first().map(|(_, it)| *it)
            );
        }
        // What begins behind 255 octets.
        let two = [
            of(&octets[..240]),
            Answer {
                rtype: RType::SRV,
                ..of(&octets[..1])
            },
        ];
        let entry = EntryOctets::new(b"key", 0, &two, &one);
        assert_eq!(entry.entry().answers().collect::<Vec<_>>(), two);
        assert_eq!(entry.entry().port_rrset(port, View::EVERYONE), Some(record()));
    }

    #[test]
    fn ports_are_found_by_number_and_protocol_in_heads_of_both_sizes() {
        let port = |protocol, number| Port { protocol, number };
        for additional in [&[][..], &[7; 300]] {
            let answer = Answer {
                additional,
                ..record()
            };
            let ports: Vec<_> = (1..40)
                .map(|number| (port(Protocol::Tcp, number * 2), answer))
                .collect();
            let entry = EntryOctets::new(b"key", 0, &[], &ports);
            let entry = entry.entry();
            for number in 0..100 {
                let is_there = number % 2 == 0 && (2..80).contains(&number);
                assert_eq!(entry.has_port(port(Protocol::Tcp, number)), is_there);
                assert!(!entry.has_port(port(Protocol::Udp, number)));
                let found = entry.port_rrset(port(Protocol::Tcp, number), View::EVERYONE);
                assert_eq!(found, is_there.then_some(answer));
            }
            assert!(entry.has_port_of(Protocol::Tcp) && !entry.has_port_of(Protocol::Udp));
        }
    }
}
