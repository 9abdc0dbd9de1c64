//! Containers that were sent a signal: which of them are about to end.

use std::time::Instant;

use super::{Entry, Stop};
use crate::docker::stop::KILL;

/// What a signal means for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// How it is stopped is not known yet, so neither whether one of these signals, the first of which was sent then, is the
    /// beginning of its end: the inspect tells.
    Signalled(Signals, Instant),
    /// It was told to stop: until this time it may still run, and is withdrawn all the same.
    Until(Instant),
}

/// Some signals, a bit for each from 1 to 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signals(u64);

impl Signals {
    fn with(self, signal: u8) -> Self {
        let bit = 1_u64.checked_shl(u32::from(signal).wrapping_sub(1));
        Self(self.0 | bit.unwrap_or(0))
    }

    fn each(self) -> impl Iterator<Item = u8> {
        (1..=64_u8).filter(move |signal| self.with(*signal) == self)
    }
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
                match self.leaving.as_deref_mut() {
                    Some(Leaving::Signalled(signals, _)) => *signals = signals.with(signal),
                    Some(Leaving::Until(_)) => {}
                    None => {
                        let signals = Signals::default().with(signal);
                        self.leaving = Some(Box::new(Leaving::Signalled(signals, now)));
                    }
                }
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
        if let (Some(stop), Some(Leaving::Signalled(signals, at))) = (self.stop, self.leaving.as_deref()) {
            let until = Leaving::Until(*at + stop.grace());
            let is_begun = signals.each().any(|signal| stop.is_begun_by(signal));
            self.leaving = is_begun.then(|| Box::new(until));
        }
        let until = self.stopping_until().filter(|until| now < *until);
        if until.is_none() {
            self.leaving = None;
        }
        until
    }
}
