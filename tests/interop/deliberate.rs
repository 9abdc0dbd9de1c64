//! The differences that we want, each with its reason.

use std::collections::BTreeSet;

use dns::RType;

use crate::ask::Question;
use crate::seen::{Line, Section, Seen};
use crate::support::trusted::Kind;
use crate::world::{OUTSIDE, World};

/// What two replies differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Rcode,
    Authoritative,
    Truncated,
    Recursion,
    Flags,
    Answer,
    Authority,
    Additional,
    Doubles,
    Edns,
    Options,
    Question,
}

/// Two replies to one question.
pub(crate) struct Pair<'a> {
    pub(crate) world: &'a World,
    pub(crate) question: &'a Question,
    pub(crate) ours: &'a Seen,
    pub(crate) theirs: &'a Seen,
}

impl Pair<'_> {
    /// What the two differ in.
    pub(crate) fn differences(&self) -> Vec<Part> {
        let (ours, theirs) = (self.ours, self.theirs);
        let opt = |seen: &Seen| seen.opt.as_ref().map(|opt| (opt.version, opt.dnssec_ok));
        let options = |seen: &Seen| seen.opt.as_ref().map(|opt| opt.options.clone());
        [
            (Part::Rcode, ours.rcode == theirs.rcode),
            (
                Part::Authoritative,
                ours.is_authoritative == theirs.is_authoritative,
            ),
            (Part::Truncated, ours.is_truncated == theirs.is_truncated),
            (Part::Recursion, ours.offers_recursion == theirs.offers_recursion),
            (Part::Flags, ours.other_flags == theirs.other_flags),
            (Part::Answer, ours.answer == theirs.answer),
            (Part::Authority, ours.authority == theirs.authority),
            (Part::Additional, ours.additional == theirs.additional),
            (Part::Doubles, ours.doubles == theirs.doubles),
            (Part::Edns, opt(ours) == opt(theirs)),
            (Part::Options, options(ours) == options(theirs)),
            (Part::Question, ours.repeats_question == theirs.repeats_question),
        ]
        .into_iter()
        .filter(|(_, equal)| !equal)
        .map(|(part, _)| part)
        .collect()
    }
}

/// A difference that we want.
pub(crate) struct Deliberate {
    /// What we do otherwise.
    pub(crate) what: &'static str,
    /// Why.
    pub(crate) why: &'static str,
    /// Compared with whom.
    pub(crate) with: &'static [Kind],
    /// The parts that it may change.
    pub(crate) parts: &'static [Part],
    /// Whether it is at work.
    pub(crate) is: fn(&Pair<'_>) -> bool,
}

const BOTH: &[Kind] = &[Kind::Knot, Kind::Nsd];
const RECORDS: &[Part] = &[Part::Answer, Part::Authority, Part::Additional];
const RCODE_AND_RECORDS: &[Part] = &[Part::Rcode, Part::Answer, Part::Authority, Part::Additional];

/// All of them.
pub(crate) const DELIBERATE: &[Deliberate] = &[
    Deliberate {
        what: "labels *, any and all of a query, and names of four to six labels, match containers",
        why: "it is SkyDNS's grammar, which users of it write; to others they are names that do not exist",
        with: BOTH,
        parts: RCODE_AND_RECORDS,
        is: |pair| pair.world.is_pattern(&pair.question.name) && pair.theirs.rcode == "NXDOMAIN",
    },
    Deliberate {
        what: "localhost has the loopback addresses; invalid, onion, alt and local do not exist",
        why: "RFC 6761, 7686, 9476 and 6762 ask it of what resolves names for others, as we do",
        with: BOTH,
        parts: &[
            Part::Rcode,
            Part::Authoritative,
            Part::Answer,
            Part::Authority,
            Part::Options,
        ],
        is: |pair| {
            let name = pair.question.name.to_string();
            let last = name.rsplit('.').next();
            let is_special = matches!(last, Some("localhost" | "invalid" | "onion" | "alt" | "local"));
            is_special && pair.theirs.rcode == "REFUSED"
        },
    },
    Deliberate {
        what: "reverse names of private addresses lie in empty zones",
        why: "RFC 6303 asks it of what resolves names for others: nobody outside knows them",
        with: BOTH,
        parts: &[Part::Rcode, Part::Authoritative, Part::Authority, Part::Options],
        is: |pair| {
            let name = pair.question.name.to_string();
            name.ends_with(".arpa") && pair.theirs.rcode == "REFUSED"
        },
    },
    Deliberate {
        what: "a reply that does not fit is empty but for TC",
        why: "nobody may use a part of an RRset (RFC 2181, section 9), and a small reply is of no use to who forges \
              addresses; others send the whole RRsets before the one that does not fit",
        with: BOTH,
        parts: RECORDS,
        is: |pair| pair.ours.is_truncated && pair.theirs.is_truncated && is_empty(pair.ours),
    },
    Deliberate {
        what: "a reply is cut that would fit if the names in its data were compressed",
        why: "records are composed once and mean the same wherever they stand in a message, so they hold no pointers",
        with: BOTH,
        parts: &[Part::Truncated, Part::Answer, Part::Authority, Part::Additional],
        is: |pair| {
            let written = octets(&pair.theirs.answer) + octets(&pair.theirs.authority);
            pair.ours.is_truncated
                && !pair.theirs.is_truncated
                && is_empty(pair.ours)
                && pair.is_too_much(written)
        },
    },
    Deliberate {
        what: "additional records are left out all or none",
        why: "they are a courtesy, and were composed as one run of octets",
        with: BOTH,
        parts: &[Part::Additional],
        is: |pair| {
            let owner = &pair.question.name;
            let mut types = pair.ours.answer.iter().map(|line| RType(line.rtype));
            let additional = types
                .next()
                .map_or(0, |rtype| pair.world.additional_octets(owner, rtype));
            let fits = !pair.is_too_much(octets(&pair.ours.answer));
            pair.ours.additional.is_empty()
                && fits
                && pair.is_too_much(octets(&pair.ours.answer) + additional)
        },
    },
    Deliberate {
        what: "eight aliases are followed in one answer",
        why: "every server has its own limit: Knot's is lower, NSD's higher; the client sees where to go on",
        with: BOTH,
        parts: &[Part::Truncated, Part::Answer, Part::Authority, Part::Additional],
        is: |pair| {
            let (ours, theirs) = (aliases(pair.ours), aliases(pair.theirs));
            (ours == 8 && ours == pair.ours.answer.len() && theirs > ours)
                || (theirs == 5 && theirs == pair.theirs.answer.len() && ours > theirs)
        },
    },
    Deliberate {
        what: "an alias of one zone of ours is followed into another one",
        why: "we are authoritative for both, and the client would ask us next (RFC 1034, section 4.3.2, step 3a)",
        with: &[Kind::Knot],
        parts: RCODE_AND_RECORDS,
        is: |pair| {
            let zone = pair.world.zone_of(&pair.question.name);
            let mut targets = pair.theirs.answer.iter().filter(|line| line.rtype == CNAME);
            targets.any(|line| {
                let target = line.data.parse().expect("an alias is for a name");
                let zone_of_target = pair.world.zone_of(&target);
                zone_of_target.is_some() && zone_of_target != zone
            })
        },
    },
    Deliberate {
        what: "an RRset that no message can hold is answered with what one can hold of it",
        why: "some addresses of a service are better than none, and there is no larger message to ask for; Knot says \
              SERVFAIL, and NSD sets TC over TCP",
        with: BOTH,
        parts: &[Part::Rcode, Part::Authoritative, Part::Truncated, Part::Answer],
        is: |pair| {
            let count = pair.ours.answer.len();
            let whole =
                pair.ours.answer.first().is_some_and(|line| {
                    pair.world.rrset_len(&pair.question.name, RType(line.rtype)) == count
                });
            pair.question.manner.is_tcp && pair.ours.octets > 65_000 && !whole
        },
    },
    Deliberate {
        what: "of a zone that is none of ours we own one name, and refuse the names below it",
        why: "a container may have a name in somebody else's zone; the rest of it is theirs to answer",
        with: BOTH,
        parts: &[Part::Rcode, Part::Authoritative, Part::Authority, Part::Options],
        is: |pair| {
            let outside = OUTSIDE.parse().expect("a name");
            let name = &pair.question.name;
            *name != outside && name.is_within(&outside) && pair.ours.rcode == "REFUSED"
        },
    },
    Deliberate {
        what: "the addresses of servers in another zone of ours are additional records, too",
        why: "we know them, and the client needs them next",
        with: BOTH,
        parts: &[Part::Additional],
        is: |pair| {
            let mut more = pair.ours.additional.difference(&pair.theirs.additional);
            let zone = pair.world.zone_of(&pair.question.name);
            pair.ours.additional.is_superset(&pair.theirs.additional)
                && more.all(|line| {
                    let owner = line.owner.parse().expect("an owner is a name");
                    pair.world
                        .zone_of(&owner)
                        .is_some_and(|other| Some(other) != zone)
                })
        },
    },
    Deliberate {
        what: "no addresses that a wildcard owner stands for are additional records",
        why: "additional records are composed when a name is, from names that are stored; containers have such names",
        with: BOTH,
        parts: &[Part::Additional],
        is: |pair| {
            let more: Vec<_> = pair.extra_additional().collect();
            let is_stored = |line: &&Line| {
                let owner = line.owner.parse().expect("an owner is a name");
                pair.world.rrset_len(&owner, RType(line.rtype)) > 0
            };
            !more.is_empty() && !more.iter().any(is_stored)
        },
    },
    Deliberate {
        what: "the authority section of an answer is empty",
        why: "replies are small that say no more than was asked for; who asks an authoritative server for a name \
              has found the zone's servers already",
        with: &[Kind::Nsd],
        parts: &[Part::Authority],
        is: |pair| {
            let theirs = &pair.theirs.authority;
            let is_ns = theirs.iter().all(|line| line.rtype == NS);
            pair.ours.authority.is_empty() && !theirs.is_empty() && is_ns
        },
    },
    Deliberate {
        what: "and so the addresses of the zone's servers are not with it",
        why: "as above",
        with: &[Kind::Nsd],
        parts: &[Part::Additional],
        is: |pair| {
            let is_less = pair.ours.additional.is_subset(&pair.theirs.additional);
            is_less && pair.extra_additional().next().is_none()
        },
    },
    Deliberate {
        what: "ANY is answered with another RRset of the name",
        why: "any one will do (RFC 8482, section 4.1): ours is the first by number, NSD's the first of the zone file",
        with: &[Kind::Nsd],
        parts: RECORDS,
        is: |pair| {
            let types: BTreeSet<_> = pair.ours.answer.iter().map(|line| line.rtype).collect();
            pair.question.rtype == RType::ANY && types.len() == 1
        },
    },
    Deliberate {
        what: "an alias for a name that matches containers is followed to their addresses",
        why: "asked for itself, that name has them; the others do not know such names",
        with: BOTH,
        parts: &[Part::Rcode, Part::Answer, Part::Authority, Part::Additional],
        is: |pair| {
            let mut targets = pair.ours.answer.iter().filter(|line| line.rtype == CNAME);
            targets.any(|line| {
                line.data
                    .parse()
                    .is_ok_and(|target| pair.world.is_pattern(&target))
            })
        },
    },
];

const NS: u16 = RType::NS.0;
const CNAME: u16 = RType::CNAME.0;

impl Pair<'_> {
    /// Their additional records that we do not have, but for the addresses of servers that their authority names.
    fn extra_additional(&self) -> impl Iterator<Item = &Line> {
        let more = self.theirs.additional.difference(&self.ours.additional);
        more.filter(|line| !self.is_server(line))
    }

    /// Whether their authority names the owner of `line` as a server.
    fn is_server(&self, line: &Line) -> bool {
        let mut servers = self.theirs.authority.iter().filter(|line| line.rtype == NS);
        servers.any(|server| server.data == format!("{}.", line.owner))
    }

    /// Whether `records` octets of records do not fit into our reply.
    fn is_too_much(&self, records: usize) -> bool {
        let most = match self.question.manner.is_tcp {
            true => self.question.octets_max(),
            false => self
                .question
                .octets_max()
                .min(dataplane::limits::UDP_REPLY_OCTETS_MAX),
        };
        self.question.octets_min() + records > most
    }
}

fn is_empty(seen: &Seen) -> bool {
    [&seen.answer, &seen.authority, &seen.additional]
        .iter()
        .all(|section| section.is_empty())
}

fn octets(section: &Section) -> usize {
    section.iter().map(|line| line.octets).sum()
}

fn aliases(seen: &Seen) -> usize {
    seen.answer.iter().filter(|line| line.rtype == CNAME).count()
}
