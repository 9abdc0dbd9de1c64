//! One address is one container's. Who is seen to have an address that we hold for another shows that the other has lost
//! it, though we have not heard: it goes first, and is looked at again.

use std::time::Instant;

use arcstr::ArcStr;

use super::{Entry, Tracker};
use crate::service::{Address, Services};

/// Addresses remembered beyond those in use before the rest is forgotten.
const SWEEP_AT_LEAST: usize = 64;

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
            self.holders.retain(|_, holder| entries.contains_key(holder));
        }
    }
}
