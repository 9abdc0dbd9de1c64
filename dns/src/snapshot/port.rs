//! `_port._proto` below a name: where RFC 2782 looks for a service by its number.

use crate::name::NameRef;
use crate::record::RrSet;

/// Transport protocol of a port (RFC 6335, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, `_tcp`; first, because a port of both kinds is announced as TCP.
    Tcp,
    /// UDP, `_udp`.
    Udp,
    /// SCTP, `_sctp`.
    Sctp,
}

/// A port that a service listens on, and whose name is `_number._protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Protocol; compared first, so the least port is the one SRV announces.
    pub protocol: Protocol,
    /// 1 to 65535.
    pub number: u16,
}

/// What there is at the name of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRrSets {
    /// Which port.
    pub port: Port,
    /// Its records, all of type SRV, one RRset for each view; without any its name exists and has no data.
    pub rrsets: Vec<RrSet>,
}

/// What a name that nobody set may be: below which name, and what of it.
pub(super) enum Below<'n> {
    /// `_number._protocol.name`.
    Port(Port, NameRef<'n>),
    /// `_protocol.name`, which exists because of the ports below it.
    Protocol(Protocol, NameRef<'n>),
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Its label, in lower case.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Tcp => "_tcp",
            Self::Udp => "_udp",
            Self::Sctp => "_sctp",
        }
    }

    fn of_label(label: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.label().as_bytes() == label)
    }

    pub(super) fn octet(self) -> u8 {
        self as u8
    }

    pub(super) fn of_octet(octet: u8) -> Option<Self> {
        Self::ALL.get(usize::from(octet)).copied()
    }
}

/// Reads a lower-cased name as that of a port or a protocol; none if it is neither.
pub(super) fn below(name: NameRef<'_>) -> Option<Below<'_>> {
    let mut labels = name.labels();
    let first = labels.next().filter(|label| label.first() == Some(&b'_'))?;
    if let Some(protocol) = Protocol::of_label(first) {
        return Some(Below::Protocol(protocol, name.parent()?));
    }
    let number = number(first.get(1..)?)?;
    let protocol = Protocol::of_label(labels.next()?)?;
    let name = name.parent()?.parent()?;
    Some(Below::Port(Port { protocol, number }, name))
}

/// A port as it is written: 1 to 65535, without leading zeros.
fn number(digits: &[u8]) -> Option<u16> {
    let (first, _) = digits.split_first()?;
    if *first == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn read(text: &str) -> Option<String> {
        let name: Name = text.parse().unwrap();
        below(name.as_ref()).map(|below| match below {
            Below::Port(Port { protocol, number }, name) => {
                format!("{number} {protocol:?} {}", Name::from(name))
            }
            Below::Protocol(protocol, name) => format!("{protocol:?} {}", Name::from(name)),
        })
    }

    #[test]
    fn a_port_is_a_number_and_a_protocol_behind_underscores() {
        assert_eq!(read("_6379._tcp.redis.docker").unwrap(), "6379 Tcp redis.docker");
        assert_eq!(read("_65535._sctp.a").unwrap(), "65535 Sctp a");
        assert_eq!(read("_udp.a").unwrap(), "Udp a");
        assert_eq!(read("_tcp._tcp.a").unwrap(), "Tcp _tcp.a");
        for other in [
            "_065._tcp.a",
            "_0._tcp.a",
            "_65536._tcp.a",
            "_._tcp.a",
            "6379._tcp.a",
            "_80._quic.a",
            "_+80._tcp.a",
            "_http._tcp.a",
            "_80",
            "a",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_protocol_is_found_by_the_octet_it_is_stored_as() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::of_octet(protocol.octet()), Some(protocol));
        }
        assert_eq!(Protocol::of_octet(3), None);
    }
}
