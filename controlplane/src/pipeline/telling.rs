//! What the operator is told, a line each: names that come, go and turn, and those that are not served as one could expect.

use std::collections::VecDeque;
use std::sync::Arc;

use dns::{Name, Tier};
use tracing::{error, info, warn};

use super::Pipeline;
use crate::compile::{Announcement, Applied, Remarks, Trouble};
use crate::service::{Health, Service};

/// Changed words that are remembered as told. Past them all are forgotten, and told once more.
const MAPPINGS_TOLD_MAX: usize = 1024;

/// Log lines that are written at once. The hundred thousand of a large host's first list would keep everybody waiting who
/// asks over HTTP.
pub(super) const TOLD_AT_ONCE: usize = 256;

/// Something to tell the operator of.
pub(super) enum News {
    Applied(Applied),
    /// A name at which nobody stands became ours, or is no more.
    Carried(Name),
    Remarks(Remarks),
}

impl Pipeline {
    /// Tells the operator, after publication, so that no answer waits for a terminal, and in pieces, so that nobody else does.
    pub(super) fn tell_some(&mut self) {
        for _ in 0..TOLD_AT_ONCE {
            match self.untold.pop_front() {
                Some(News::Applied(applied)) => self.tell(applied),
                Some(News::Carried(name)) => self.tell_of_carried(&name),
                Some(News::Remarks(remarks)) => Self::remark(&remarks),
                None => break,
            }
        }
        if self.untold.is_empty() {
            // A first list would leave its room behind for ever.
            self.untold = VecDeque::new();
        }
    }

    fn tell_of_carried(&self, name: &Name) {
        // At a name that somebody came to meanwhile nothing is odd, and that was told.
        match (self.compiler.is_owned(name), self.compiler.is_held(name)) {
            (true, _) => {}
            (false, true) => info!("+ {name}, without an address: none of its containers runs"),
            (false, false) => info!("- {name}, which is no longer ours: its containers are gone"),
        }
    }

    fn tell(&mut self, applied: Applied) {
        let Applied {
            went,
            came,
            turned,
            mapped,
            failed,
        } = applied;
        let announcement = |service: Option<Arc<Service>>| self.compiler.announcement(&*service?);
        if let Some(Announcement { name, wished, .. }) = announcement(went) {
            info!("- {name}");
            wished.iter().for_each(|wished| info!("- {wished} ({name})"));
        }
        if let Some(Announcement {
            name,
            addresses,
            alias,
            wished,
            health,
            tier,
        }) = announcement(came)
        {
            let addresses = addresses.iter().map(ToString::to_string);
            let leads: Vec<_> = addresses.chain(alias.iter().map(ToString::to_string)).collect();
            let leads = leads.join(", ");
            info!("+ {name} -> {leads}{}", remark_on(health, tier));
            wished
                .iter()
                .for_each(|wished| info!("+ {wished} -> {leads} ({name})"));
        }
        if let Some(Announcement {
            name, health, tier, ..
        }) = announcement(turned)
        {
            info!("= {name}{}", remark_on(health, tier));
        }
        for mapping in mapped {
            if self.told.len() >= MAPPINGS_TOLD_MAX {
                self.told.clear();
            }
            if !self.told.contains(&mapping) {
                info!("{mapping}");
                self.told.insert(mapping);
            }
        }
        if let Some(failed) = failed {
            self.metrics.skipped();
            warn!("{failed}");
        }
    }

    /// Tells of names that are not served as one could expect.
    fn remark(remarks: &Remarks) {
        for error in &remarks.errors {
            error!("a name keeps its last records: {error}");
        }
        for (name, trouble) in &remarks.troubles {
            match trouble {
                Trouble::Rivals(projects) => warn!(
                    "{name} is nobody's: Compose projects {} each have such a service; ask for <service>.<project>",
                    projects.join(", ")
                ),
                Trouble::Overruled(instances) => warn!(
                    "{name} does not lead to {}, as asked: it is the name of something else; ask for another",
                    instances.join(", ")
                ),
                Trouble::OurServer(instances) => warn!(
                    "{name} does not lead to {}: it is our own server's name; call it otherwise",
                    instances.join(", ")
                ),
                Trouble::Aliases(instances) => warn!(
                    "{name} is shared, and {} cannot be an alias there beside the others; give it a name of its own",
                    instances.join(", ")
                ),
            }
        }
    }
}

/// What health does to the names of a service, where that is not what everybody expects.
fn remark_on(health: Health, tier: Tier) -> &'static str {
    match (health, tier) {
        (Health::None, _) => "",
        (Health::Healthy, _) => ", healthy",
        (Health::Starting, Tier::Ready) => ", starting: it is published all the same",
        (Health::Starting, _) => ", starting: shared names lead to it only while nobody else is healthy",
        (Health::Unhealthy, Tier::Ready) => ", unhealthy: it is published all the same",
        (Health::Unhealthy, _) => ", unhealthy: only its own names lead to it",
    }
}
