//! Upstreams that give no answers, and why: a line of the log for each that turns, and the same for metrics.
//!
//! ```text
//!  workers ─▶ Conditions ─▶ every second: is one no longer as was told? ─▶ one line
//!                   └─────▶ whenever metrics are read
//! ```
//!
//! That an upstream is silent is left to metrics: whoever asks for names that are never answered can make it look so, and
//! what anybody can cause with a packet is not logged.

use std::time::Duration;

use controlplane::UpstreamState;
use dataplane::forward::{Conditions, Trouble, Upstream};
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked at how they are, and so how many lines a second there are at most for one of them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Logs each change, for ever.
pub(crate) async fn tell(conditions: Conditions) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    loop {
        ticks.tick().await;
        for (upstream, trouble) in told.turn(conditions.read()) {
            match trouble {
                Some(trouble) => tracing::warn!("upstream {upstream} gives no answers: {trouble}"),
                None => tracing::info!("upstream {upstream} answers again"),
            }
        }
    }
}

/// The same for metrics.
pub(crate) fn states(conditions: &Conditions) -> Vec<UpstreamState> {
    let conditions = conditions.read().into_iter();
    conditions
        .map(|(upstream, trouble)| UpstreamState {
            upstream: upstream.to_string(),
            state: trouble.map_or("ok", Trouble::label),
        })
        .collect()
}

/// Upstreams that were told of, and what was wrong with them.
#[derive(Default)]
struct Told(Vec<(Upstream, Trouble)>);

impl Told {
    /// What is to be told, now that upstreams are as `conditions` says. None: nothing is wrong any more.
    fn turn(&mut self, conditions: Vec<(Upstream, Option<Trouble>)>) -> Vec<(Upstream, Option<Trouble>)> {
        self.0
            .retain(|(upstream, _)| conditions.iter().any(|(other, _)| other == upstream));
        let mut turned = Vec::new();
        for (upstream, trouble) in conditions {
            let known = self.0.iter().position(|(other, _)| *other == upstream);
            match (known, trouble) {
                (_, Some(Trouble::Silent)) | (None, None) => continue,
                (Some(known), None) => {
                    self.0.swap_remove(known);
                }
                (known, Some(trouble)) => {
                    let new = (upstream.clone(), trouble);
                    match known.and_then(|known| self.0.get_mut(known)) {
                        Some((_, known)) if *known == trouble => continue,
                        Some(known) => *known = new,
                        None => self.0.push(new),
                    }
                }
            }
            turned.push((upstream, trouble));
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn upstream(host: u8) -> Upstream {
        SocketAddr::from(([192, 0, 2, host], 53)).into()
    }

    #[test]
    fn each_change_is_told_once_and_silence_never() {
        let mut told = Told::default();
        for (trouble, is_told) in [
            (None, false),
            (Some(Trouble::Expired), true),
            (Some(Trouble::Expired), false),
            (Some(Trouble::Silent), false),
            (Some(Trouble::Expired), false),
            (Some(Trouble::Unreachable), true),
            (None, true),
            (None, false),
            (Some(Trouble::Silent), false),
            (None, false),
        ] {
            let turned = told.turn(vec![(upstream(1), None), (upstream(2), trouble)]);
            let expected = Vec::from_iter(is_told.then(|| (upstream(2), trouble)));
            assert_eq!(turned, expected, "{trouble:?}");
        }
    }

    #[test]
    fn nothing_is_told_of_an_upstream_that_is_no_longer_one() {
        let mut told = Told::default();
        told.turn(vec![(upstream(1), Some(Trouble::Closed))]);
        assert_eq!(told.turn(vec![(upstream(2), None)]), []);
        assert_eq!(told.turn(vec![(upstream(1), None)]), []);
    }
}
