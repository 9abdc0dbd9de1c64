//! What the data plane would answer, in the words of the control plane, which does not know that plane.

use std::sync::{Arc, Mutex, PoisonError};

use controlplane::{Others, Rehearse, Rehearsed};
use dataplane::Rehearsal;

/// A closure that asks `rehearsal`, for whoever explains answers.
pub(crate) fn of(rehearsal: Rehearsal) -> Rehearse {
    // It looks at the newest snapshot, and so changes a little with each question.
    let rehearsal = Mutex::new(rehearsal);
    Arc::new(move |client, query| {
        let mut rehearsal = rehearsal.lock().unwrap_or_else(PoisonError::into_inner);
        match rehearsal.ask(client, query) {
            dataplane::Rehearsed::Reply(octets) => Rehearsed::Reply(octets),
            dataplane::Rehearsed::Forward(others) => Rehearsed::Forward(of_others(others)),
            dataplane::Rehearsed::Follow(octets, others) => Rehearsed::Follow(octets, of_others(others)),
            dataplane::Rehearsed::Silence => Rehearsed::Silence,
        }
    })
}

fn of_others(dataplane::Others { upstreams, domain }: dataplane::Others) -> Others {
    Others { upstreams, domain }
}
