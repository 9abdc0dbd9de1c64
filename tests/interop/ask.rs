//! The questions, and a client that asks all of them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

use dns::{Name, RType};
use domain::base::iana::Rtype;

use crate::seen::Seen;
use crate::support::raw::Asker;
use crate::support::stream::Stream;
use crate::world::World;

/// Datagrams that loopback may lose, for want of room in a buffer, before it counts as silence.
const TRIES_MAX: usize = 20;
/// Types that are asked for at every name: all that we hold, some that we do not, and one that nobody knows.
const TYPES: [Rtype; 13] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::SRV,
    Rtype::PTR,
    Rtype::TXT,
    Rtype::CNAME,
    Rtype::NS,
    Rtype::SOA,
    Rtype::MX,
    Rtype::HTTPS,
    Rtype::ANY,
    Rtype::DS,
    Rtype::from_int(65_280),
];
/// Names around the zones, names that RFCs reserve, and patterns of SkyDNS that match what is in the world.
const OTHER_NAMES: [&str; 22] = [
    ".",
    "xdocker",
    "docker.docker",
    "arpa",
    "in-addr.arpa",
    "172.in-addr.arpa",
    "1.16.172.in-addr.arpa",
    "com",
    "host.example.com",
    "example.org",
    "other.example.org",
    "localhost",
    "any.localhost",
    "invalid",
    "any.onion",
    "*.docker",
    "*.*.dev.docker",
    "any.dev.docker",
    "one.all.dev.docker",
    "region.one.web.dev.docker",
    "host.region.one.web.dev.docker",
    "0123456789.host.region.one.web.dev.docker",
];

/// How a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) is_tcp: bool,
    pub(crate) recursion_desired: bool,
    /// Size of datagrams, and whether DNSSEC records are welcome (DO).
    pub(crate) edns: Option<(u16, bool)>,
}

/// Each value of each part at least twice, each pair of parts at least once.
const MANNERS: [Manner; 8] = [
    manner(false, false, None),
    manner(false, true, None),
    manner(false, true, Some((512, true))),
    manner(false, false, Some((1232, false))),
    manner(false, true, Some((1232, true))),
    manner(false, false, Some((4096, true))),
    manner(true, true, None),
    manner(true, false, Some((4096, true))),
];

const fn manner(is_tcp: bool, recursion_desired: bool, edns: Option<(u16, bool)>) -> Manner {
    Manner {
        is_tcp,
        recursion_desired,
        edns,
    }
}

/// One question.
pub(crate) struct Question {
    /// The name, lower-cased.
    pub(crate) name: Name,
    pub(crate) rtype: RType,
    pub(crate) manner: Manner,
    /// Wire form of the name as it is asked for.
    qname: Vec<u8>,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let case = if self.qname == self.name.octets() {
            ""
        } else {
            " in capitals"
        };
        let transport = if self.manner.is_tcp { "TCP" } else { "UDP" };
        write!(
            f,
            "{}{case} {} over {transport}",
            self.name,
            Rtype::from_int(self.rtype.0)
        )?;
        if self.manner.recursion_desired {
            f.write_str(" rd")?;
        }
        match self.manner.edns {
            Some((size, dnssec)) => write!(f, " edns={size}{}", if dnssec { " do" } else { "" }),
            None => Ok(()),
        }
    }
}

/// Every owner, what is above, beside and below it, and other names; each in small letters and in capitals; for every
/// type; in every manner.
pub(crate) fn questions(world: &World) -> Vec<Question> {
    let mut names: BTreeSet<Name> = OTHER_NAMES
        .iter()
        .map(|name| name.parse().expect("a name"))
        .collect();
    for owner in world.owners() {
        let parent = owner.parent().expect("the root owns nothing here");
        // A name of the greatest length has neither.
        names.extend(owner.child(b"child"));
        names.extend(parent.child(b"sibling"));
        names.extend(
            parent
                .child(b"sibling")
                .and_then(|sibling| sibling.child(b"below")),
        );
        names.extend([parent, owner.clone()]);
    }
    let mut questions = Vec::new();
    for name in names {
        let lower = name.octets().to_vec();
        let mut forms = vec![lower.to_ascii_uppercase(), lower];
        forms.dedup();
        for (qname, rtype) in forms.iter().flat_map(|qname| TYPES.map(|rtype| (qname, rtype))) {
            questions.extend(MANNERS.map(|manner| Question {
                name: name.clone(),
                rtype: RType(rtype.to_int()),
                manner,
                qname: qname.clone(),
            }));
        }
    }
    questions
}

impl Question {
    fn octets(&self, id: u16) -> Vec<u8> {
        let additional = u8::from(self.manner.edns.is_some());
        let flags = u8::from(self.manner.recursion_desired);
        let mut packet = id.to_be_bytes().to_vec();
        packet.extend([flags, 0, 0, 1, 0, 0, 0, 0, 0, additional]);
        packet.extend(&self.qname);
        packet.extend(self.rtype.0.to_be_bytes());
        packet.extend([0, 1]);
        if let Some((size, dnssec)) = self.manner.edns {
            packet.extend([0, 0, 41]);
            packet.extend(size.to_be_bytes());
            packet.extend([0, 0, if dnssec { 0x80 } else { 0 }, 0, 0, 0]);
        }
        packet
    }

    /// Octets of a reply that says nothing.
    pub(crate) fn octets_min(&self) -> usize {
        12 + self.qname.len() + 4 + if self.manner.edns.is_some() { 11 } else { 0 }
    }

    /// The octets that a reply may have.
    pub(crate) fn octets_max(&self) -> usize {
        match (self.manner.is_tcp, self.manner.edns) {
            (true, _) => 65_535,
            (false, None) => 512,
            (false, Some((size, _))) => usize::from(size),
        }
    }
}

/// Asks a server every question, one after the other, and gives what it says.
///
/// # Panics
///
/// When it does not answer one, or answers with what is no message.
pub(crate) fn ask_all(server: SocketAddr, questions: &[Question]) -> Vec<Seen> {
    let datagrams = Asker::of(server);
    let mut stream = Stream::to(server);
    let mut id = 0_u16;
    let mut ask = |question: &Question| {
        for _ in 0..TRIES_MAX {
            id = id.wrapping_add(1);
            let query = question.octets(id);
            let mut reply = if question.manner.is_tcp {
                let reply = stream.ask(&query);
                if reply.is_none() {
                    // It had enough of this connection.
                    stream = Stream::to(server);
                }
                reply
            } else {
                datagrams.ask(&query)
            };
            // The late answer to an earlier try.
            while reply
                .as_ref()
                .is_some_and(|reply| reply.get(..2) != query.get(..2))
            {
                reply = datagrams.receive();
            }
            if let Some(reply) = reply {
                return Seen::of(&query, 12 + question.qname.len() + 4, &reply)
                    .unwrap_or_else(|error| unreachable!("{question}: {error}"));
            }
        }
        unreachable!("{server} is silent to {question}");
    };
    questions.iter().map(&mut ask).collect()
}
