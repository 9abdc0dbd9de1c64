//! How a container is stopped: the signal that says so, and how long it may then take.
//!
//! `docker stop` sends the container's stop signal, waits, and kills what is left. From its first signal on, a container
//! finishes what it has and wants nothing new, so its names go then, not when it has ended. Any other signal
//! (`docker kill -s HUP`) changes nothing.

use std::num::NonZeroU8;
use std::time::Duration;

/// `SIGKILL`, after which nothing runs on.
pub(super) const KILL: u8 = 9;
/// `SIGTERM`, the stop signal of a container that names none.
const TERM: NonZeroU8 = NonZeroU8::new(15).unwrap();
/// Time between the stop signal and the kill where none is set, in seconds: the engine's own default.
const TIMEOUT_SECONDS: u16 = 10;
/// Longest such time that is believed, in seconds.
const TIMEOUT_SECONDS_MAX: u16 = 600;
/// Time after the kill by which a container is certain to have ended.
const MARGIN: Duration = Duration::from_secs(1);

/// Names of the signals that stop a container in use, without `SIG`; Linux numbers on the machines containers run on.
const NAMES: [(&str, u8); 10] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", KILL),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", TERM.get()),
    ("WINCH", 28),
    ("PWR", 30),
];
/// First and last of the real-time signals.
const REAL_TIME: (u8, u8) = (34, 64);

/// How one container is stopped. There is one for each container, so it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    signal: NonZeroU8,
    timeout_seconds: u16,
}

impl Default for Stop {
    fn default() -> Self {
        Self::of("", None)
    }
}

impl Stop {
    /// Reads `Config.StopSignal` and `Config.StopTimeout`; what is missing or unknown is the engine's default.
    pub(crate) fn of(signal: &str, timeout_seconds: Option<i64>) -> Self {
        let seconds = timeout_seconds.unwrap_or(i64::from(TIMEOUT_SECONDS));
        let timeout_seconds = u16::try_from(seconds.max(0)).unwrap_or(u16::MAX);
        Self {
            signal: number(signal).and_then(NonZeroU8::new).unwrap_or(TERM),
            timeout_seconds: timeout_seconds.min(TIMEOUT_SECONDS_MAX),
        }
    }

    /// Whether `signal` is the beginning of the container's end.
    pub(crate) fn is_begun_by(self, signal: u8) -> bool {
        signal == self.signal.get() || signal == KILL
    }

    /// Who still runs this long after its stop signal goes on running.
    pub(crate) fn grace(self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into()) + MARGIN
    }
}

/// The number of a signal that is given as one (`15`) or by name (`SIGTERM`, `TERM`, `RTMIN+3`).
pub(crate) fn number(signal: &str) -> Option<u8> {
    if let Ok(number) = signal.parse() {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = signal.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = || {
        let offset = |text: &str| {
            if text.is_empty() {
                Some(0)
            } else {
                text.parse::<i16>().ok()
            }
        };
        let (base, offset) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(rest), _) => (REAL_TIME.0, offset(rest)?),
            (None, Some(rest)) => (REAL_TIME.1, offset(rest)?),
            (None, None) => return None,
        };
        u8::try_from(i16::from(base) + offset)
            .ok()
            .filter(|number| (REAL_TIME.0..=REAL_TIME.1).contains(number))
    };
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
        .or_else(real_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_as_numbers_and_as_names() {
        for (text, expected) in [
            ("15", Some(15)),
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("SIGQUIT", Some(3)),
            ("SIGWINCH", Some(28)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("RTMIN", Some(34)),
            ("RTMIN+99", None),
            ("0", None),
            ("65", None),
            ("SIGNAL", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn only_the_containers_own_stop_signal_and_a_kill_begin_its_end() {
        let (plain, nginx) = (Stop::default(), Stop::of("SIGQUIT", Some(30)));
        assert_eq!(
            [1, 2, 3, 9, 15].map(|signal| plain.is_begun_by(signal)),
            [false, false, false, true, true]
        );
        assert_eq!(
            [1, 2, 3, 9, 15].map(|signal| nginx.is_begun_by(signal)),
            [false, false, true, true, false]
        );
        assert_eq!((plain.grace().as_secs(), nginx.grace().as_secs()), (11, 31));
        assert_eq!(Stop::of("", Some(i64::MIN)).grace().as_secs(), 1);
        assert_eq!(Stop::of("", Some(i64::MAX)).grace().as_secs(), 601);
    }
}
