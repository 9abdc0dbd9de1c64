//! Our records, and their octets by way of `domain`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::name::Name as DomainName;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Serial, Ttl};
use domain::rdata;

use crate::moment::Moment;
use crate::name::Name;
use crate::wire::{Class, OWNER_IS_QNAME, RType};

/// Largest time to live, in seconds (RFC 2181, section 8).
pub const TTL_SECONDS_MAX: u32 = (1 << 31) - 1;

/// What a record says of its owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Where a service is (RFC 2782).
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share of the queries among equal priorities.
        weight: u16,
        /// Port on `target`.
        port: u16,
        /// Name of the host; its addresses belong into the additional section.
        target: Name,
    },
    /// The name of an address.
    Ptr(Name),
    /// The name that the owner stands for.
    Cname(Name),
    /// A server of the zone.
    Ns(Name),
    /// Text (RFC 1035, section 3.3.14). A string of more than 255 octets goes out as several that follow each other.
    Txt(Vec<Box<[u8]>>),
    /// Nothing: the clients of one network have no record of this type, though everybody else has some. It stands alone
    /// in its RRset, and goes into no message.
    Absent(RType),
}

/// A record with its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Owner name.
    pub owner: Name,
    /// Time to live, in seconds.
    pub ttl_seconds: u32,
    /// Type and data.
    pub data: RecordData,
}

/// For whom an RRset is: clients in one network, or everybody without one of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View(pub u16);

impl View {
    /// Clients in no network that has an RRset of its own.
    pub const EVERYONE: Self = Self(0);
    /// Clients in no network at all, where whoever compiles the records tells them apart. What an endpoint has for them
    /// is all that it has for them.
    pub const OUTSIDE: Self = Self(u16::MAX);
}

/// All records of one owner and type, and what goes into the additional section with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrSet {
    /// Whose clients get it. An owner has one for each type and view.
    pub view: View,
    /// Time to live, in seconds; one for the set (RFC 2181, section 5.2).
    pub ttl_seconds: u32,
    /// When the first of its services ends by itself: nobody is told to remember the set for longer than until then.
    pub until: Option<Moment>,
    /// One or more, of one type, without doubles.
    pub records: Vec<RecordData>,
    /// Addresses of the targets, left out first where there is no room.
    pub additional: Vec<Record>,
}

impl From<IpAddr> for RecordData {
    /// The record of that address.
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::A(address),
            IpAddr::V6(address) => Self::Aaaa(address),
        }
    }
}

impl RecordData {
    /// Type of the record.
    #[must_use]
    pub fn rtype(&self) -> RType {
        match self {
            Self::A(_) => RType::A,
            Self::Aaaa(_) => RType::AAAA,
            Self::Srv { .. } => RType::SRV,
            Self::Ptr(_) => RType::PTR,
            Self::Cname(_) => RType::CNAME,
            Self::Ns(_) => RType::NS,
            Self::Txt(_) => RType::TXT,
            Self::Absent(rtype) => *rtype,
        }
    }

    /// Appends a record with this data whose owner is the question's name.
    ///
    /// Names in it are not compressed, so the record means the same wherever in a message it stands:
    /// it can be rotated, cut off, and shared by all names that have it. For SRV, RFC 2782 asks for that.
    pub fn compose(&self, ttl_seconds: u32, to: &mut Vec<u8>) {
        to.extend_from_slice(&OWNER_IS_QNAME);
        self.compose_after_owner(ttl_seconds, to);
    }

    fn compose_after_owner(&self, ttl_seconds: u32, to: &mut Vec<u8>) {
        match self {
            Self::Absent(_) => {}
            Self::A(address) => {
                compose(self.rtype(), ttl_seconds, &rdata::A::new(*address), to);
            }
            Self::Aaaa(address) => {
                compose(self.rtype(), ttl_seconds, &rdata::Aaaa::new(*address), to);
            }
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => {
                let data = rdata::Srv::new(*priority, *weight, *port, foreign(target));
                compose(self.rtype(), ttl_seconds, &data, to);
            }
            Self::Ptr(target) => {
                compose(self.rtype(), ttl_seconds, &rdata::Ptr::new(foreign(target)), to);
            }
            Self::Cname(target) => {
                compose(self.rtype(), ttl_seconds, &rdata::Cname::new(foreign(target)), to);
            }
            Self::Ns(server) => {
                compose(self.rtype(), ttl_seconds, &rdata::Ns::new(foreign(server)), to);
            }
            Self::Txt(strings) => {
                let text = rdata::Txt::from_octets(character_strings(strings));
                compose(
                    self.rtype(),
                    ttl_seconds,
                    &text.expect("the builder keeps texts within a message"),
                    to,
                );
            }
        }
    }
}

/// Octets of a record before its RDATA when its owner is a pointer: owner, type, class, TTL, RDLENGTH.
pub(crate) const RDATA_AT: usize = 12;

/// RDATA of a TXT record: each string behind its length, one empty string where there is none.
pub(crate) fn character_strings(strings: &[Box<[u8]>]) -> Vec<u8> {
    let mut octets = Vec::new();
    for string in strings {
        let mut parts = string.chunks(usize::from(u8::MAX)).peekable();
        if parts.peek().is_none() {
            octets.push(0);
        }
        for part in parts {
            octets.push(u8::try_from(part.len()).expect("a chunk of at most 255"));
            octets.extend_from_slice(part);
        }
    }
    if octets.is_empty() {
        octets.push(0);
    }
    octets
}

impl Record {
    /// Appends the record, its owner written out.
    pub fn compose(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.owner.octets());
        self.data.compose_after_owner(self.ttl_seconds, to);
    }
}

/// What an SOA record says (RFC 1035, section 3.3.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa<'a> {
    /// MNAME, the primary server.
    pub primary: &'a Name,
    /// RNAME, the mailbox of who is responsible.
    pub mailbox: &'a Name,
    /// Version of the zone.
    pub serial: u32,
    /// Time that a name's absence may be remembered, in seconds (RFC 2308, section 4).
    pub negative_ttl_seconds: u32,
}

/// Seconds that a secondary waits, SkyDNS's own; no secondary reads them, since we transfer no zone.
const SOA_REFRESH_SECONDS: u32 = 28_800;
const SOA_RETRY_SECONDS: u32 = 7_200;
const SOA_EXPIRE_SECONDS: u32 = 604_800;

impl Soa<'_> {
    /// Appends type, class, TTL, RDLENGTH and RDATA: the record but for its owner.
    ///
    /// The TTL is the negative one, as a negative answer wants it (RFC 2308, section 3).
    pub fn compose_after_owner(&self, to: &mut Vec<u8>) {
        let data = rdata::Soa::new(
            foreign(self.primary),
            foreign(self.mailbox),
            Serial(self.serial),
            Ttl::from_secs(SOA_REFRESH_SECONDS),
            Ttl::from_secs(SOA_RETRY_SECONDS),
            Ttl::from_secs(SOA_EXPIRE_SECONDS),
            Ttl::from_secs(self.negative_ttl_seconds),
        );
        compose(RType::SOA, self.negative_ttl_seconds, &data, to);
    }
}

fn compose<D: ComposeRecordData>(rtype: RType, ttl_seconds: u32, data: &D, to: &mut Vec<u8>) {
    to.extend_from_slice(&rtype.0.to_be_bytes());
    to.extend_from_slice(&Class::IN.0.to_be_bytes());
    to.extend_from_slice(&ttl_seconds.min(TTL_SECONDS_MAX).to_be_bytes());
    let length_at = to.len();
    to.extend_from_slice(&[0, 0]);
    let Ok(()) = data.compose_rdata(to);
    let length = u16::try_from(to.len() - length_at - 2).expect("addresses and two names are below 64 KiB");
    if let Some(at) = to.get_mut(length_at..length_at + 2) {
        at.copy_from_slice(&length.to_be_bytes());
    }
}

fn foreign(name: &Name) -> DomainName<&[u8]> {
    DomainName::from_octets(name.octets()).expect("a Name holds the wire form of a name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::{Message, MessageBuilder};
    use std::str::FromStr;

    /// Reads composed records back with `domain`, behind a header and the question `q.docker`.
    fn read_back(records: &[u8], count: u16) -> Vec<String> {
        let mut builder = MessageBuilder::new_vec().question();
        builder
            .push((
                DomainName::<Vec<u8>>::from_str("q.docker").unwrap(),
                domain::base::Rtype::A,
            ))
            .unwrap();
        let mut message = builder.finish();
        message[6..8].copy_from_slice(&count.to_be_bytes());
        message.extend_from_slice(records);
        let message = Message::from_octets(message).unwrap();
        let records = message.answer().unwrap().map(|record| {
            let record = record
                .unwrap()
                .into_record::<rdata::AllRecordData<_, _>>()
                .unwrap()
                .unwrap();
            format!(
                "{} {} {} {}",
                record.owner(),
                record.ttl().as_secs(),
                record.rtype(),
                record.data()
            )
        });
        records.collect()
    }

    #[test]
    fn composed_records_read_back_with_the_domain_crate() {
        let target: Name = "0123456789.docker".parse().unwrap();
        let mut octets = Vec::new();
        RecordData::A(Ipv4Addr::new(10, 0, 0, 4)).compose(30, &mut octets);
        RecordData::Aaaa(Ipv6Addr::LOCALHOST).compose(30, &mut octets);
        let srv = RecordData::Srv {
            priority: 10,
            weight: 33,
            port: 6379,
            target: target.clone(),
        };
        srv.compose(u32::MAX, &mut octets);
        RecordData::Ptr(target.clone()).compose(1, &mut octets);
        RecordData::Cname(target.clone()).compose(2, &mut octets);
        RecordData::Ns(target.clone()).compose(3, &mut octets);
        let long: Box<[u8]> = [b'x'; 256].into();
        RecordData::Txt(vec![b"a b".as_slice().into(), Box::default(), long]).compose(4, &mut octets);
        RecordData::Txt(Vec::new()).compose(4, &mut octets);
        let owned = Record {
            owner: target.clone(),
            ttl_seconds: 0,
            data: RecordData::A(Ipv4Addr::LOCALHOST),
        };
        owned.compose(&mut octets);
        octets.extend_from_slice(target.octets());
        Soa {
            primary: &target,
            mailbox: &target,
            serial: 9,
            negative_ttl_seconds: 5,
        }
        .compose_after_owner(&mut octets);
        assert_eq!(
            read_back(&octets, 10),
            [
                "q.docker 30 A 10.0.0.4",
                "q.docker 30 AAAA ::1",
                "q.docker 2147483647 SRV 10 33 6379 0123456789.docker",
                "q.docker 1 PTR 0123456789.docker.",
                "q.docker 2 CNAME 0123456789.docker.",
                "q.docker 3 NS 0123456789.docker.",
                &format!("q.docker 4 TXT \"a b\" \"\" \"{}\" \"x\"", "x".repeat(255)),
                "q.docker 4 TXT \"\"",
                "0123456789.docker 0 A 127.0.0.1",
                "0123456789.docker 5 SOA 0123456789.docker. 0123456789.docker. 9 28800 7200 604800 5",
            ]
        );
    }
}
