//! One address is one container's. Who is seen to have an address that we hold for another shows that the other has lost
//! it, though we have not heard: it goes first, and is looked at again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use arcstr::ArcStr;
use foldhash::fast::RandomState;

use super::{Entry, Tracker};
use crate::service::{Address, Services};

/// Addresses remembered beyond those in use before the rest is forgotten.
const SWEEP_AT_LEAST: usize = 64;

/// Who was last seen to have an address. By families, for there may be a hundred thousand, nearly all of the shorter one.
#[derive(Default)]
pub(super) struct Holders {
    ipv4: HashMap<Ipv4Addr, ArcStr, RandomState>,
    ipv6: HashMap<Ipv6Addr, ArcStr, RandomState>,
}

impl Holders {
    /// Notes who has it; who had it before.
    fn insert(&mut self, address: IpAddr, id: ArcStr) -> Option<ArcStr> {
        match address {
            IpAddr::V4(address) => self.ipv4.insert(address, id),
            IpAddr::V6(address) => self.ipv6.insert(address, id),
        }
    }

    fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// Forgets all others.
    fn retain(&mut self, is_known: impl Fn(&ArcStr) -> bool) {
        self.ipv4.retain(|_, holder| is_known(holder));
        self.ipv6.retain(|_, holder| is_known(holder));
    }
}

impl Tracker {
    /// Notes that an inspect saw the container at these addresses, and withdraws whoever is held to be there.
    ///
    /// One that was withdrawn for that and is there all the same withdraws nobody: the engine says so of both.
    pub(super) fn claim(&mut self, id: &ArcStr, claims: &[Address], now: Instant) {
        let was_doubted = self
            .entries
            .get_mut(id)
            .is_some_and(|entry| std::mem::take(&mut entry.is_doubted));
        for claim in claims {
            let holder = self.holders.insert(claim.ip, id.clone());
            let Some(other) = holder.filter(|other| other != id && !was_doubted) else {
                continue;
            };
            let is_there = |entry: &&mut Entry| {
                let services = entry.services.iter().flat_map(Services::as_slice);
                services
                    .into_iter()
                    .any(|service| service.addresses.contains(claim))
            };
            if let Some(entry) = self.entries.get_mut(&other).filter(is_there) {
                entry.is_doubted = true;
                self.hold(&other, None, None);
                self.plan(&other, now);
            }
        }
        if self.holders.len() > 2 * self.entries.len() + SWEEP_AT_LEAST {
            let entries = &self.entries;
            self.holders.retain(|holder| entries.contains_key(holder));
        }
    }
}
