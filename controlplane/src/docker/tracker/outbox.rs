//! What the pipeline has yet to be told.

use std::sync::Arc;

use super::{Fingerprint, Sync, Tracker};
use crate::service::{Change, ServiceId, Services};

impl Tracker {
    /// Whether [`Tracker::next_change`] may give one.
    pub(crate) fn has_change(&self) -> bool {
        match self.sync {
            Sync::Unlisted => false,
            Sync::Known => true,
            // Until the first complete state it is empty.
            Sync::Inspecting { .. } | Sync::Sent => !self.outbox.is_empty(),
        }
    }

    /// What the pipeline must be told next. It counts as told.
    pub(crate) fn next_change(&mut self) -> Option<Change> {
        match self.sync {
            Sync::Unlisted => None,
            Sync::Known => Some(self.reset()),
            Sync::Inspecting { .. } | Sync::Sent => self.next_in_outbox(),
        }
    }

    /// Whether the pipeline was told of a complete state of this connection.
    pub(super) fn is_told(&self) -> bool {
        matches!(self.sync, Sync::Sent | Sync::Inspecting { renewing: true, .. })
    }

    /// Takes everything but withdrawals out of the outbox: a complete state will tell of the rest.
    pub(super) fn keep_withdrawals(&mut self) {
        let entries = &mut self.entries;
        self.outbox.retain(|id| {
            let entry = entries.get_mut(id).filter(|entry| entry.services.is_some());
            entry.map(|entry| entry.unsent = false).is_none()
        });
    }

    fn reset(&mut self) -> Change {
        self.sync = Sync::Sent;
        self.outbox.clear();
        let mut services = Vec::with_capacity(self.services);
        for entry in self.entries.values_mut() {
            entry.announced = entry.services.is_some();
            entry.unsent = false;
            services.extend(entry.services.iter().flat_map(|it| it.as_slice().iter().cloned()));
        }
        services.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        self.entries.retain(|_, entry| !entry.is_spent());
        Change::Reset {
            source: self.source.clone(),
            services,
        }
    }

    fn next_in_outbox(&mut self) -> Option<Change> {
        while let Some(id) = self.outbox.pop_front() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            entry.unsent = false;
            // Started again before it was told of: the complete state that is to come has it.
            if entry.services.is_some() && !matches!(self.sync, Sync::Sent) {
                continue;
            }
            let was_announced = std::mem::replace(&mut entry.announced, entry.services.is_some());
            let change = match &entry.services {
                Some(services) => Some(Change::Put(services.clone())),
                None => was_announced.then(|| {
                    Change::Remove(ServiceId {
                        source: self.source.clone(),
                        id: id.clone(),
                        part: 0,
                    })
                }),
            };
            self.tidy(&id);
            if change.is_some() {
                return change;
            }
        }
        None
    }

    /// Sets what the pipeline shall hold for it, and what an inspect saw of it if it runs.
    pub(super) fn hold(&mut self, id: &Arc<str>, services: Option<Services>, seen: Option<Fingerprint>) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        entry.seen = seen;
        if entry.services == services {
            return;
        }
        self.services += usize::from(services.is_some());
        self.services -= usize::from(entry.services.is_some());
        entry.services = services;
        let is_told_of = match self.sync {
            Sync::Sent => true,
            Sync::Inspecting { renewing, .. } => renewing && entry.services.is_none(),
            Sync::Unlisted | Sync::Known => false,
        };
        if is_told_of && !entry.unsent {
            entry.unsent = true;
            // Who leaves goes first: the engine may have given its address to another already.
            if entry.services.is_none() {
                self.outbox.push_front(id.clone());
            } else {
                self.outbox.push_back(id.clone());
            }
        }
    }
}
