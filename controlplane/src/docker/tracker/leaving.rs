//! Containers that were sent a signal: which of them are about to end.

use std::time::Instant;

use super::{Entry, Stop};
use crate::docker::stop::KILL;

/// What a signal means for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// How it is stopped is not known yet, so neither whether this signal, sent then, is the beginning of its end: the
    /// inspect tells.
    Signalled(u8, Instant),
    /// It was told to stop: until this time it may still run, and is withdrawn all the same.
    Until(Instant),
}

/// What is to be done for a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Nothing.
    Nothing,
    /// Inspect it.
    Ask,
    /// Withdraw it, and look at it then.
    Withdraw(Instant),
}

impl Entry {
    /// Takes in a signal that it was sent.
    pub(super) fn signalled(&mut self, signal: u8, now: Instant) -> Signal {
        match self.stop {
            None if signal != KILL => {
                // That of a stop comes first; what a container is killed with when it does not heed that is known.
                self.leaving
                    .get_or_insert_with(|| Box::new(Leaving::Signalled(signal, now)));
                Signal::Ask
            }
            stop => {
                let stop = stop.unwrap_or_default();
                if !stop.is_begun_by(signal) {
                    return Signal::Nothing;
                }
                // The kill that ends the wait for a stop does not make it longer.
                let until = self.stopping_until().unwrap_or(now + stop.grace());
                self.leaving = Some(Box::new(Leaving::Until(until)));
                Signal::Withdraw(until)
            }
        }
    }

    /// Takes in how it is stopped, as an inspect found that it runs; gives until when it is withdrawn all the same.
    pub(super) fn stops(&mut self, stop: Option<Stop>, now: Instant) -> Option<Instant> {
        self.stop = stop.or(self.stop);
        if let (Some(stop), Some(Leaving::Signalled(signal, at))) = (self.stop, self.leaving.as_deref()) {
            let until = Leaving::Until(*at + stop.grace());
            self.leaving = stop.is_begun_by(*signal).then(|| Box::new(until));
        }
        let until = self.stopping_until().filter(|until| now < *until);
        if until.is_none() {
            self.leaving = None;
        }
        until
    }
}
