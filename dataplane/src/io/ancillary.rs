//! What travels beside a datagram: whom it is from, and which of our addresses it was sent to.
//!
//! ```text
//!  sockaddr_in    | family: u16 | port: u16, big-endian | address: 4 octets | zeros: 8 |
//!  sockaddr_in6   | family: u16 | port: u16, big-endian | flow: u32 | address: 16 octets | scope: u32 |
//!  PKTINFO        | length: u64 | level: u32 | type: u32 | in_pktinfo or in6_pktinfo | padding to 8 |
//!  in_pktinfo     | interface: u32 | local address: 4 octets | destination: 4 octets |
//!  in6_pktinfo    | address: 16 octets | interface: u32 |
//! ```
//!
//! Read and written as octets, so that no pointer is followed here. `udp`, which hands them to the kernel, checks
//! the numbers below against the C library's as it is compiled.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::path::Local;

pub(super) const AF_INET: i32 = 2;
pub(super) const AF_INET6: i32 = 10;
pub(super) const IPPROTO_IP: i32 = 0;
pub(super) const IPPROTO_IPV6: i32 = 41;
pub(super) const IP_PKTINFO: i32 = 8;
pub(super) const IPV6_PKTINFO: i32 = 50;
pub(super) const NAME_V4_OCTETS: usize = 16;
/// Length of the longer of the two addresses.
pub(super) const NAME_OCTETS: usize = 28;
pub(super) const CMSG_OCTETS: usize = 16;
pub(super) const PKTINFO_V4_OCTETS: usize = 12;
pub(super) const PKTINFO_V6_OCTETS: usize = 20;
/// Room for one control message of either kind, and some.
pub(super) const CONTROL_OCTETS: usize = 64;

/// A `sockaddr_in` or `sockaddr_in6`.
#[repr(C, align(8))]
pub(super) struct Name(pub(super) [u8; NAME_OCTETS]);

impl Name {
    /// The address, or none when it is of neither family.
    pub(super) fn read(&self, len: u32) -> Option<SocketAddr> {
        let (&[f0, f1, p0, p1], rest) = self.0.split_first_chunk()?;
        let port = u16::from_be_bytes([p0, p1]);
        match i32::from(u16::from_ne_bytes([f0, f1])) {
            AF_INET if len as usize >= NAME_V4_OCTETS => {
                Some((Ipv4Addr::from(*rest.first_chunk::<4>()?), port).into())
            }
            AF_INET6 if len as usize >= NAME_OCTETS => {
                let (&flow, rest) = rest.split_first_chunk::<4>()?;
                let (&address, rest) = rest.split_first_chunk::<16>()?;
                let (flow, scope) = (u32::from_ne_bytes(flow), u32::from_ne_bytes(*rest.first_chunk()?));
                Some(SocketAddrV6::new(address.into(), port, flow, scope).into())
            }
            _ => None,
        }
    }

    /// Writes `address` and returns the length of its structure.
    pub(super) fn write(&mut self, address: SocketAddr) -> u32 {
        let family = if address.is_ipv4() { AF_INET } else { AF_INET6 } as u16;
        let mut octets = family
            .to_ne_bytes()
            .into_iter()
            .chain(address.port().to_be_bytes());
        let mut fill = |rest: &mut dyn Iterator<Item = u8>| {
            for (to, octet) in self.0.iter_mut().zip(octets.by_ref().chain(rest)) {
                *to = octet;
            }
        };
        match address {
            SocketAddr::V4(v4) => {
                fill(&mut v4.ip().octets().into_iter());
                NAME_V4_OCTETS as u32
            }
            SocketAddr::V6(v6) => {
                let flow = v6.flowinfo().to_ne_bytes().into_iter();
                fill(&mut flow.chain(v6.ip().octets()).chain(v6.scope_id().to_ne_bytes()));
                NAME_OCTETS as u32
            }
        }
    }
}

/// Room for one control message: a `cmsghdr` and an `in_pktinfo` or `in6_pktinfo`.
#[repr(C, align(8))]
pub(super) struct Control(pub(super) [u8; CONTROL_OCTETS]);

impl Control {
    /// The local address in the first `len` octets. PKTINFO is the only message that the sockets ask for.
    pub(super) fn local(&self, len: usize) -> Local {
        self.pktinfo(len).unwrap_or(Local::Bound)
    }

    fn pktinfo(&self, len: usize) -> Option<Local> {
        let (header, data) = self.0.get(..len)?.split_first_chunk::<CMSG_OCTETS>()?;
        let &[_, _, _, _, _, _, _, _, l0, l1, l2, l3, t0, t1, t2, t3] = header;
        match (
            i32::from_ne_bytes([l0, l1, l2, l3]),
            i32::from_ne_bytes([t0, t1, t2, t3]),
        ) {
            (IPPROTO_IP, IP_PKTINFO) => {
                // `ipi_spec_dst`, not `ipi_addr`: for a broadcast only the former can be replied from.
                let (_interface, rest) = data.split_first_chunk::<4>()?;
                Some(Local::V4(Ipv4Addr::from(*rest.first_chunk::<4>()?)))
            }
            (IPPROTO_IPV6, IPV6_PKTINFO) => {
                let (&address, rest) = data.split_first_chunk::<16>()?;
                let address = Ipv6Addr::from(address);
                // Naming the interface bypasses the routing table, so only where the address means nothing without.
                let interface = if address.is_unicast_link_local() {
                    u32::from_ne_bytes(*rest.first_chunk()?)
                } else {
                    0
                };
                Some(Local::V6(address, interface))
            }
            _ => None,
        }
    }

    /// Writes the message that makes a datagram leave from `local`, and returns its length with padding.
    pub(super) fn write(&mut self, local: Local) -> usize {
        let mut data = [0; PKTINFO_V6_OCTETS];
        let (level, kind, len) = match local {
            Local::Bound => return 0,
            Local::V4(address) => {
                copy(&mut data, 4, &address.octets());
                (IPPROTO_IP, IP_PKTINFO, PKTINFO_V4_OCTETS)
            }
            Local::V6(address, interface) => {
                copy(&mut data, 0, &address.octets());
                copy(&mut data, 16, &interface.to_ne_bytes());
                (IPPROTO_IPV6, IPV6_PKTINFO, PKTINFO_V6_OCTETS)
            }
        };
        copy(&mut self.0, 0, &(CMSG_OCTETS + len).to_ne_bytes());
        copy(&mut self.0, 8, &level.to_ne_bytes());
        copy(&mut self.0, 12, &kind.to_ne_bytes());
        copy(&mut self.0, CMSG_OCTETS, &data);
        CMSG_OCTETS + len.next_multiple_of(8)
    }
}

fn copy(to: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(to) = to.get_mut(at..at + octets.len()) {
        to.copy_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_were_written() {
        for address in ["192.0.2.1:53", "[2001:db8::1]:5353", "[fe80::1%7]:9"] {
            let address: SocketAddr = address.parse().unwrap();
            let mut name = Name([0xff; NAME_OCTETS]);
            let len = name.write(address);
            assert_eq!(name.read(len), Some(address));
            assert_eq!(name.read(len - 1), None);
        }
        for local in [
            Local::Bound,
            Local::V4(Ipv4Addr::new(127, 0, 0, 2)),
            Local::V6(Ipv6Addr::LOCALHOST, 0),
            Local::V6("fe80::1".parse().unwrap(), 3),
        ] {
            let mut control = Control([0xff; CONTROL_OCTETS]);
            let len = control.write(local);
            assert_eq!(control.local(len), local);
        }
    }

    #[test]
    fn an_unknown_family_or_a_foreign_control_message_is_not_misread() {
        assert_eq!(Name([0; NAME_OCTETS]).read(NAME_OCTETS as u32), None);
        let mut control = Control([0; CONTROL_OCTETS]);
        control.write(Local::V4(Ipv4Addr::LOCALHOST));
        control.0[12] = 99;
        assert_eq!(control.local(32), Local::Bound);
        assert_eq!(control.local(5), Local::Bound);
    }
}
