//! Names that the RFCs give an answer to, whoever asks. They are never asked of others.
//!
//! ```text
//! localhost      127.0.0.1 and ::1          RFC 6761, section 6.3
//! invalid        does not exist             RFC 6761, section 6.4
//! onion          does not exist             RFC 7686, section 2
//! alt            does not exist             RFC 9476, section 2
//! local          does not exist             RFC 6762, section 22.1; multicast DNS answers these
//! 127.in-addr.arpa and the reverse name of ::1:
//!                localhost, and nothing else  RFC 6303, sections 4.2 and 4.3
//! 10.in-addr.arpa, 16.172 to 31.172, 168.192, c.f.ip6.arpa, d.f and 8.e.f to b.e.f; 0, 254.169, 2.0.192, 100.51.198,
//! 113.0.203, 255.255.255.255, the reverse name of ::, 8.b.d.0.1.0.0.2.ip6.arpa:
//!                empty zones                RFC 6303, section 4; unless the user has others asked
//! ```
//!
//! And so is everything below them, but for domains whose upstreams the user named: some networks do use `local`. Only
//! names that are none of ours get here: whoever configures `local` or a name in it as a zone is answered from that zone.

use dns::{NameRef, RType, Rcode};

/// How long answers about these names may be kept, in seconds: what an RFC says does not change, and three hours are
/// the most that a resolver keeps a negative answer for by default (RFC 2308, section 5).
pub const TTL_SECONDS: u32 = 10_800;

/// The same for reverse names of private addresses, in seconds: a network with such addresses may be made the next
/// moment, and then they are ours.
pub const PRIVATE_TTL_SECONDS: u32 = 60;

const SOA_OCTETS: usize = 57;
const T2: u8 = TTL_SECONDS.to_be_bytes()[2];
const T3: u8 = TTL_SECONDS.to_be_bytes()[3];

/// What a negative answer's SOA record holds after its owner (RFC 1035, section 3.3.13).
const SOA_AFTER_OWNER: &[u8; SOA_OCTETS] = &soa_after_owner(TTL_SECONDS);
const PRIVATE_SOA_AFTER_OWNER: &[u8; SOA_OCTETS] = &soa_after_owner(PRIVATE_TTL_SECONDS);

const fn soa_after_owner(ttl_seconds: u32) -> [u8; SOA_OCTETS] {
    let [t0, t1, t2, t3] = ttl_seconds.to_be_bytes();
    [
        0, 6, 0, 1, t0, t1, t2, t3, 0, 47, // SOA, IN, time to live, length
        9, b'l', b'o', b'c', b'a', b'l', b'h', b'o', b's', b't', 0, // primary
        6, b'n', b'o', b'b', b'o', b'd', b'y', 7, b'i', b'n', b'v', b'a', b'l', b'i', b'd',
        0, // mailbox
        0, 0, 0, 1, // serial
        0, 0, 0x0e, 0x10, 0, 0, 0x04, 0xb0, 0, 9, 0x3a, 0x80, // refresh, retry, expire
        t0, t1, t2, t3, // minimum
    ]
}

/// The addresses of `localhost`, as records after their owner.
const LOOPBACK_A: &[u8] = &[0, 1, 0, 1, 0, 0, T2, T3, 0, 4, 127, 0, 0, 1];
const LOOPBACK_AAAA: &[u8] = &[
    0, 28, 0, 1, 0, 0, T2, T3, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
];

/// The name of this host's own addresses, as a record after its owner.
const LOOPBACK_PTR: &[u8] = &[
    0, 12, 0, 1, 0, 0, T2, T3, 0, 11, 9, b'l', b'o', b'c', b'a', b'l', b'h', b'o', b's', b't', 0,
];

/// The labels of 127.0.0.1's reverse name, the last one first.
const LOOPBACK_LABELS: [&[u8]; 6] = [b"arpa", b"in-addr", b"127", b"0", b"0", b"1"];
/// Labels of the reverse name of an IPv6 address.
const IPV6_LABELS: usize = 34;

/// The last labels of names that do not exist.
const ABSENT: [&[u8]; 4] = [b"invalid", b"onion", b"alt", b"local"];

/// What is said about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    kind: Kind,
    /// Octets of the special name itself, which ends the question's name; it owns the SOA.
    pub suffix_octets: usize,
    /// Whether the special name is the question's.
    is_apex: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Loopback,
    Absent,
    PrivateReverse,
    /// A reverse name of this host's own addresses: of the one that is called `localhost`, of others, or between them and
    /// their zone.
    LoopbackReverse(Place),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Host,
    Between,
    Elsewhere,
}

/// What the RFCs say about `name`, if they do.
#[must_use]
pub fn of(name: NameRef<'_>) -> Option<Special> {
    let last = name.labels().last()?;
    let (kind, suffix_octets) = if last.eq_ignore_ascii_case(b"localhost") {
        (Kind::Loopback, 1 + last.len() + 1)
    } else if ABSENT.iter().any(|absent| last.eq_ignore_ascii_case(absent)) {
        (Kind::Absent, 1 + last.len() + 1)
    } else if last.eq_ignore_ascii_case(b"arpa") {
        reverse(name)?
    } else {
        return None;
    };
    Some(Special {
        kind,
        suffix_octets,
        is_apex: name.octets().len() == suffix_octets,
    })
}

/// What the reverse name `name` is, and octets of the zone that it lies in, if that is one of these.
fn reverse(name: NameRef<'_>) -> Option<(Kind, usize)> {
    // The longest zone that is no single address has ten labels.
    let mut tail: [&[u8]; 10] = [b""; 10];
    let mut count = 0;
    for label in name.labels() {
        tail.rotate_left(1);
        tail[9] = label;
        count += 1;
    }
    let (kind, labels) = match tail {
        [.., tree, _] if tree.eq_ignore_ascii_case(b"in-addr") => of_ipv4(&tail, count)?,
        [.., tree, _] if tree.eq_ignore_ascii_case(b"ip6") => of_ipv6(name, &tail, count)?,
        _ => return None,
    };
    let octets: usize = name
        .labels()
        .skip(count - labels)
        .map(|label| 1 + label.len())
        .sum();
    Some((kind, octets + 1))
}

/// What a name of `count` labels, the last ones in `tail`, is in `in-addr.arpa`, and of how many labels its zone.
fn of_ipv4(tail: &[&[u8]; 10], count: usize) -> Option<(Kind, usize)> {
    let [.., host, third, second, first, _, _] = tail;
    let labels = match (*first, *second, *third, *host) {
        (b"127", ..) => {
            let is_at =
                |label: &[u8], place: usize| LOOPBACK_LABELS.get(place).is_some_and(|its| *its == label);
            let mut placed = tail.iter().rev().take(count).zip(0..).skip(2);
            let place = match placed.all(|(label, place)| is_at(label, place)) {
                true if count == LOOPBACK_LABELS.len() => Place::Host,
                true => Place::Between,
                false => Place::Elsewhere,
            };
            return Some((Kind::LoopbackReverse(place), 3));
        }
        (b"0" | b"10", ..) => 3,
        (b"192", b"168", ..) | (b"169", b"254", ..) => 4,
        (b"172", [b'1', b'6'..=b'9'] | [b'2', b'0'..=b'9'] | [b'3', b'0' | b'1'], ..) => 4,
        (b"192", b"0", b"2", _) | (b"198", b"51", b"100", _) | (b"203", b"0", b"113", _) => 5,
        (b"255", b"255", b"255", b"255") => 6,
        _ => return None,
    };
    Some((Kind::PrivateReverse, labels))
}

/// The same in `ip6.arpa`.
fn of_ipv6(name: NameRef<'_>, tail: &[&[u8]; 10], count: usize) -> Option<(Kind, usize)> {
    let nibble = |label: &[u8]| match label {
        [digit] => char::from(*digit).to_digit(16),
        _ => None,
    };
    let [rest @ .., _, _] = tail;
    let mut digits = [None; 8];
    for (digit, label) in digits.iter_mut().zip(rest.iter().rev()) {
        *digit = nibble(label);
    }
    let labels = match digits {
        [Some(0xf), Some(0xc | 0xd), ..] => 4,
        [Some(0xf), Some(0xe), Some(0x8..=0xb), ..] => 5,
        [
            Some(2),
            Some(0),
            Some(0),
            Some(1),
            Some(0),
            Some(0xd),
            Some(0xb),
            Some(8),
        ] => 10,
        [Some(0), ..] => {
            // Below ::1 and :: there may be more labels, which are in their zones.
            let mut labels = name.labels().skip(count.checked_sub(IPV6_LABELS)?);
            let last = nibble(labels.next()?)?;
            let is_zero = labels.take(IPV6_LABELS - 3).all(|label| nibble(label) == Some(0));
            let place = if count == IPV6_LABELS {
                Place::Host
            } else {
                Place::Elsewhere
            };
            return match (is_zero, last) {
                (true, 0) => Some((Kind::PrivateReverse, IPV6_LABELS)),
                (true, 1) => Some((Kind::LoopbackReverse(place), IPV6_LABELS)),
                _ => None,
            };
        }
        _ => return None,
    };
    Some((Kind::PrivateReverse, labels))
}

impl Special {
    /// Whether the user may have others asked about it: everything but what means this host.
    #[must_use]
    pub fn may_be_forwarded(&self) -> bool {
        !matches!(self.kind, Kind::Loopback | Kind::LoopbackReverse(_))
    }

    /// Whether it is the reverse name of a private or link-local address.
    #[must_use]
    pub fn is_private_reverse(&self) -> bool {
        self.kind == Kind::PrivateReverse
    }

    /// The record that answers a question of `qtype`, but for its owner, the question's name; none if there is none.
    #[must_use]
    pub fn record(&self, qtype: RType) -> Option<&'static [u8]> {
        match (self.kind, qtype) {
            // ANY gets one RRset (RFC 8482, section 4.1).
            (Kind::Loopback, RType::A | RType::ANY) => Some(LOOPBACK_A),
            (Kind::Loopback, RType::AAAA) => Some(LOOPBACK_AAAA),
            (Kind::LoopbackReverse(Place::Host), RType::PTR | RType::ANY) => Some(LOOPBACK_PTR),
            (Kind::LoopbackReverse(_), RType::SOA | RType::ANY) if self.is_apex => {
                Some(self.soa_after_owner())
            }
            (Kind::PrivateReverse, RType::ANY) if self.is_apex => Some(self.soa_after_owner()),
            (Kind::Loopback | Kind::PrivateReverse, RType::SOA) if self.is_apex => {
                Some(self.soa_after_owner())
            }
            _ => None,
        }
    }

    /// The SOA record of a denial, but for its owner.
    #[must_use]
    pub fn soa_after_owner(&self) -> &'static [u8] {
        match self.kind {
            Kind::Loopback | Kind::Absent | Kind::LoopbackReverse(_) => SOA_AFTER_OWNER,
            Kind::PrivateReverse => PRIVATE_SOA_AFTER_OWNER,
        }
    }

    /// How a question without such a record is denied. An empty zone has an apex.
    #[must_use]
    pub fn denial(&self) -> Rcode {
        match self.kind {
            Kind::Loopback | Kind::LoopbackReverse(Place::Host | Place::Between) => Rcode::NO_ERROR,
            Kind::PrivateReverse if self.is_apex => Rcode::NO_ERROR,
            Kind::PrivateReverse | Kind::Absent | Kind::LoopbackReverse(Place::Elsewhere) => Rcode::NX_DOMAIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use dns::Name;

    use super::*;

    fn special(name: &str) -> Option<Special> {
        of(name.parse::<Name>().unwrap().as_ref())
    }

    #[test]
    fn the_last_label_decides_in_any_case() {
        for name in ["localhost", "a.b.localhost", "LocalHost"] {
            let special = special(name).unwrap();
            assert!(
                special.kind == Kind::Loopback && special.suffix_octets == 11,
                "{name}"
            );
        }
        for name in ["invalid", "x.onion", "y.z.alt", "printer.local"] {
            assert_eq!(special(name).unwrap().denial(), Rcode::NX_DOMAIN, "{name}");
        }
        for name in [
            ".",
            "docker",
            "xlocalhost",
            "localhost.example",
            "local.docker",
            "locals",
            "test",
        ] {
            assert_eq!(special(name), None, "{name}");
        }
    }

    // RFC 6303, sections 4.1 and 4.4 to 4.6.
    #[test]
    fn reverse_names_of_private_addresses_lie_in_empty_zones_and_no_others_do() {
        for (name, zone) in [
            ("4.3.2.10.IN-ADDR.arpa", "10.in-addr.arpa"),
            ("10.in-addr.arpa", "10.in-addr.arpa"),
            ("1.0.16.172.in-addr.arpa", "16.172.in-addr.arpa"),
            ("31.172.in-addr.arpa", "31.172.in-addr.arpa"),
            ("x.168.192.in-addr.arpa", "168.192.in-addr.arpa"),
            ("0.0.C.F.ip6.arpa", "c.f.ip6.arpa"),
            ("d.f.ip6.arpa", "d.f.ip6.arpa"),
            ("0.8.e.f.ip6.arpa", "8.e.f.ip6.arpa"),
            ("b.e.f.ip6.arpa", "b.e.f.ip6.arpa"),
            ("1.0.0.0.in-addr.arpa", "0.in-addr.arpa"),
            ("9.9.254.169.in-addr.arpa", "254.169.in-addr.arpa"),
            ("1.2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa"),
            ("100.51.198.in-addr.arpa", "100.51.198.in-addr.arpa"),
            ("113.0.203.in-addr.arpa", "113.0.203.in-addr.arpa"),
            ("255.255.255.255.in-addr.arpa", "255.255.255.255.in-addr.arpa"),
            ("1.8.B.D.0.1.0.0.2.ip6.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"),
        ] {
            let special = special(name).unwrap();
            let apex: Name = zone.parse().unwrap();
            assert_eq!(special.suffix_octets, apex.octets().len(), "{name}");
            let is_apex = name.len() == zone.len();
            let rcode = if is_apex {
                Rcode::NO_ERROR
            } else {
                Rcode::NX_DOMAIN
            };
            assert_eq!(special.denial(), rcode, "{name}");
            assert_eq!(special.record(RType::SOA).is_some(), is_apex, "{name}");
            assert!(special.is_private_reverse() && special.may_be_forwarded());
        }
        for name in [
            "arpa",
            "in-addr.arpa",
            "4.3.2.11.in-addr.arpa",
            "15.172.in-addr.arpa",
            "32.172.in-addr.arpa",
            "172.in-addr.arpa",
            "169.192.in-addr.arpa",
            "10.in-addr.arpa.example",
            "10.ip6.arpa",
            "f.ip6.arpa",
            "e.f.ip6.arpa",
            "c.e.f.ip6.arpa",
            "7.e.f.ip6.arpa",
            "home.arpa",
            "254.255.255.255.in-addr.arpa",
            "255.in-addr.arpa",
            "128.in-addr.arpa",
            "b.d.0.1.0.0.2.ip6.arpa",
            "0.0.ip6.arpa",
        ] {
            assert_eq!(special(name), None, "{name}");
        }
    }

    // RFC 6303, sections 4.2 and 4.3, as Unbound serves them.
    #[test]
    fn of_this_hosts_own_addresses_one_is_called_localhost_and_none_is_asked_upstream() {
        let nibbles = |last: u8| format!("{last}{}.ip6.arpa", ".0".repeat(31));
        for (name, has_ptr, rcode) in [
            ("1.0.0.127.in-addr.arpa".to_owned(), true, Rcode::NO_ERROR),
            (nibbles(1), true, Rcode::NO_ERROR),
            ("0.0.127.IN-ADDR.ARPA".to_owned(), false, Rcode::NO_ERROR),
            ("127.in-addr.arpa".to_owned(), false, Rcode::NO_ERROR),
            ("2.0.0.127.in-addr.arpa".to_owned(), false, Rcode::NX_DOMAIN),
            ("x.1.0.0.127.in-addr.arpa".to_owned(), false, Rcode::NX_DOMAIN),
            (format!("x.{}", nibbles(1)), false, Rcode::NX_DOMAIN),
        ] {
            let special = special(&name).unwrap();
            assert_eq!(special.record(RType::PTR).is_some(), has_ptr, "{name}");
            assert_eq!(special.denial(), rcode, "{name}");
            assert!(
                !special.may_be_forwarded() && !special.is_private_reverse(),
                "{name}"
            );
            let zone = if name.contains("127") {
                "127.in-addr.arpa".to_owned()
            } else {
                nibbles(1)
            };
            let zone: Name = zone.parse().unwrap();
            assert_eq!(special.suffix_octets, zone.octets().len(), "{name}");
        }
        assert!(special(&nibbles(0)).unwrap().is_private_reverse());
        assert_eq!(special(&nibbles(2)), None);
    }

    #[test]
    fn the_soa_is_as_long_as_it_says() {
        assert_eq!(usize::from(SOA_AFTER_OWNER[9]), SOA_AFTER_OWNER.len() - 10);
    }
}
