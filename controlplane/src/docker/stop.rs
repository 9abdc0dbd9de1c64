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
/// Longest such time that is believed, in seconds; also where the engine is told to wait for ever.
const TIMEOUT_SECONDS_MAX: u16 = 600;
/// Time after the kill by which a container is certain to have ended.
const MARGIN: Duration = Duration::from_secs(1);

/// Names of all signals but the real-time ones, without `SIG`, as engines take them: Linux numbers on the machines
/// containers run on, all but MIPS.
const NAMES: [(&str, u8); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", KILL),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", TERM.get()),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
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
        // Below zero the engine waits for as long as it takes.
        let timeout_seconds = u16::try_from(seconds).unwrap_or(TIMEOUT_SECONDS_MAX);
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
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known
        .map(|(_, number)| *number)
        .or_else(|| real_time_number(name))
}

/// The number of `RTMIN`, `RTMIN+n`, `RTMAX` or `RTMAX-n`. Docker knows half of the range by each, Podman as well; all of
/// it by both is as good.
fn real_time_number(name: &str) -> Option<u8> {
    let offset = |text: &str, sign: char| match text {
        "" => Some(0),
        text => {
            let digits = text.strip_prefix(sign)?;
            let is_plain = digits.bytes().all(|octet| octet.is_ascii_digit());
            digits.parse::<u8>().ok().filter(|_| is_plain)
        }
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => REAL_TIME.0.checked_add(offset(rest, '+')?),
        (None, Some(rest)) => REAL_TIME.1.checked_sub(offset(rest, '-')?),
        (None, None) => None,
    };
    number.filter(|number| (REAL_TIME.0..=REAL_TIME.1).contains(number))
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
            ("SIGALRM", Some(14)),
            ("SIGIOT", Some(6)),
            ("SIGCLD", Some(17)),
            ("POLL", Some(29)),
            ("SIGSYS", Some(31)),
            ("SIGWINCH", Some(28)),
            ("SIGRTMIN+3", Some(37)),
            ("sigrtmin+15", Some(49)),
            ("RTMAX-14", Some(50)),
            ("RTMAX-1", Some(63)),
            ("RTMIN", Some(34)),
            ("RTMAX", Some(64)),
            ("RTMIN+99", None),
            ("RTMIN+255", None),
            ("RTMAX-64", None),
            ("RTMIN-1", None),
            ("RTMAX+0", None),
            ("RTMIN3", None),
            ("RTMIN++3", None),
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
    }

    #[test]
    fn a_container_that_may_take_for_ever_has_the_longest_time_there_is() {
        for (seconds, expected) in [
            (0, 1),
            (1, 2),
            (-1, 601),
            (600, 601),
            (601, 601),
            (100_000, 601),
            (i64::MIN, 601),
            (i64::MAX, 601),
        ] {
            let grace = Stop::of("", Some(seconds)).grace();
            assert_eq!(grace.as_secs(), expected, "{seconds}");
        }
    }

    #[test]
    fn every_signal_has_one_number_and_a_stop_signal_that_is_seldom_is_not_read_as_term() {
        let mut numbers: Vec<u8> = NAMES.iter().map(|(_, number)| *number).collect();
        numbers.dedup();
        let all: Vec<u8> = (1..=31).collect();
        assert_eq!(numbers, all, "in order, and none is left out");
        let alarm = Stop::of("SIGALRM", None);
        assert!(alarm.is_begun_by(14) && !alarm.is_begun_by(15));
    }
}
