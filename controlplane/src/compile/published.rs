//! Where clients that are in none of the networks reach services: at published ports of this host.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::service::{Port, PublishedPort, Service};

/// The addresses of this host that clients outside are led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedAt {
    /// Where published ports are reached; without any, clients outside get what everybody gets.
    pub addresses: Vec<IpAddr>,
    /// Whose clients reach the addresses of containers themselves, besides those in the networks: this host's own.
    /// Loopback is always among them.
    pub here: Vec<IpNet>,
}

impl PublishedAt {
    /// Whether clients outside are led anywhere.
    pub(super) fn is_on(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Whether clients outside reach `service` at a published port.
    pub(super) fn reaches(&self, service: &Service) -> bool {
        self.ports(service).next().is_some()
    }

    /// Where clients outside reach `service`, in order; nowhere if it has no port that they reach.
    pub(super) fn addresses(&self, service: &Service) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = self.ports(service).flat_map(|port| self.hosts(port)).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// The number that clients outside reach `port` of `service` at: its own if none of its ports is published, and
    /// none if others are.
    pub(super) fn port(&self, service: &Service, port: Port) -> Option<u16> {
        if !self.reaches(service) {
            return Some(port.number);
        }
        let bound = self.ports(service).filter(|bound| bound.port == port);
        bound.map(|bound| bound.host_number).min()
    }

    /// The ports of `service` that clients outside reach: not those that are bound to loopback.
    fn ports<'s>(&'s self, service: &'s Service) -> impl Iterator<Item = &'s PublishedPort> {
        let wishes = service.wishes.iter().filter(|_| self.is_on());
        let ports = wishes.flat_map(|wishes| &wishes.published_ports);
        ports.filter(|port| !port.host_ip.is_loopback() && self.hosts(port).next().is_some())
    }

    /// The addresses that a port is reached at: that which it is bound to, or all of the family.
    fn hosts(&self, port: &PublishedPort) -> impl Iterator<Item = IpAddr> {
        let (bound, is_ipv4) = (port.host_ip, port.host_ip.is_ipv4());
        let all = self.addresses.iter().copied();
        let all = all.filter(move |address| bound.is_unspecified() && address.is_ipv4() == is_ipv4);
        all.chain((!bound.is_unspecified()).then_some(bound))
    }
}
