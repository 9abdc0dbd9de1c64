//! Which cores answer queries: `--cores`, the affinity mask, the container's CPU quota, and what shares a physical core.

mod quota;
mod topology;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use self::topology::Order;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoreSelection {
    /// This many, whichever are free to us: `4`.
    Count(usize),
    /// These, by the kernel's numbers, ascending, each once: `0-3,6`.
    List(Vec<usize>),
}

/// Why there are no cores to run on. Read by a person at start.
#[derive(Debug, thiserror::Error)]
pub enum CoresError {
    /// Not in either of the two forms.
    #[error(
        "`{0}` is not a choice of cores: give a count such as 4, or a list such as 0-3,6 (0, is core 0 alone)"
    )]
    Syntax(String),
    /// A range from high to low.
    #[error("the range {first}-{last} runs backwards: write {last}-{first}")]
    Reversed {
        /// The number before the hyphen.
        first: usize,
        /// The number after it.
        last: usize,
    },
    /// A count of zero.
    #[error("0 cores cannot answer anything: give at least 1, or `0,` for core number 0")]
    Zero,
    /// More than the affinity mask holds.
    #[error(
        "{wanted} cores were asked for, but this process may use {}; give at most that many, leave --cores out, or widen what \
         it may use (taskset, --cpuset-cpus, CPUAffinity=)", allowed.counted()
    )]
    TooMany {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        allowed: Shown,
    },
    /// More than the container's CPU quota keeps busy.
    #[error(
        "{wanted} cores were asked for, but the CPU quota of this container or service is worth {quota:.2}: workers beyond \
         it would only stop each other; give at most {most}, or raise the quota (docker run --cpus, cpu.max, CPUQuota=)"
    )]
    BeyondQuota {
        /// How many were asked for.
        wanted: usize,
        /// The quota, in cores.
        quota: f64,
        /// As many as it keeps busy.
        most: usize,
    },
    /// A core that the affinity mask leaves out.
    #[error(
        "core {core} is not among those this process may use, {}; give some of these, a count, or widen what it may use \
         (taskset, --cpuset-cpus, CPUAffinity=)", allowed.counted()
    )]
    NotAllowed {
        /// The first such core.
        core: usize,
        /// Those it may use.
        allowed: Shown,
    },
    /// The kernel would not say which cores are ours.
    #[error("the kernel does not say which cores this process may use")]
    Affinity(#[from] nix::Error),
}

/// Cores the way `--cores` writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(Vec<usize>);

/// Reads `text`: a count such as `4`, or a list such as `0-3,6`. A comma or hyphen makes it a list, so `0,`
/// is core 0.
///
/// # Errors
///
/// [`CoresError::Syntax`], [`CoresError::Reversed`] and [`CoresError::Zero`], each as described there.
pub fn parse(text: &str) -> Result<CoreSelection, CoresError> {
    let syntax = || CoresError::Syntax(text.to_owned());
    let number = |digits: &str| match digits.trim().parse::<usize>() {
        Ok(number) if number < CpuSet::count() => Ok(number),
        _ => Err(syntax()),
    };
    if !text.contains([',', '-']) {
        return match number(text)? {
            0 => Err(CoresError::Zero),
            count => Ok(CoreSelection::Count(count)),
        };
    }
    let mut cores = Vec::new();
    // One comma at the end is fine: it is how a single core is told from a count.
    for part in text.trim().strip_suffix(',').unwrap_or(text).split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(CoresError::Reversed { first, last });
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    Ok(CoreSelection::List(cores))
}

/// Chooses the cores to run on from those that the affinity mask allows, ascending.
///
/// Without a selection that is one thread of each physical core, of those of one NUMA node, but no more than the CPU quota of the
/// container keeps busy (`cpu.max` or `cpu.cfs_quota_us`, rounded up). A count takes one thread of each physical core first,
/// and one NUMA node after another.
///
/// A selection beyond the quota is refused, not only warned of. The kernel lets all workers run until the quota is spent,
/// and then stops all of them for the rest of a period of mostly 100 ms: a server that looks idle and answers some
/// queries after 50 ms, of which no log tells. Programs that size themselves (Go since 1.25, the JVM) follow the quota by
/// default; those that are told a number and take it anyway (nginx, Envoy) are known for this trap.
///
/// # Errors
///
/// [`CoresError::TooMany`], [`CoresError::BeyondQuota`], [`CoresError::NotAllowed`] and [`CoresError::Affinity`].
pub fn select(selection: Option<&CoreSelection>) -> Result<Vec<usize>, CoresError> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    choose(selection, &topology::order(&allowed()?, read), quota::quota(read))
}

/// The cores that the affinity mask allows, those that are threads of one physical core together; both in the order in which
/// [`select`] takes them.
///
/// # Errors
///
/// [`CoresError::Affinity`].
pub fn physical() -> Result<Vec<Vec<usize>>, CoresError> {
    Ok(topology::physical(&allowed()?, |path| {
        std::fs::read_to_string(path).ok()
    }))
}

/// The cores that the affinity mask allows, ascending.
///
/// # Errors
///
/// [`CoresError::Affinity`].
pub fn allowed() -> Result<Vec<usize>, CoresError> {
    let mask = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|&core| mask.is_set(core).unwrap_or(false))
        .collect())
}

/// `quota`: in cores, if there is one.
fn choose(
    selection: Option<&CoreSelection>,
    order: &Order,
    quota: Option<f64>,
) -> Result<Vec<usize>, CoresError> {
    let allowed = order.cores.as_slice();
    let ascending = |cores: &[usize]| {
        let mut cores = cores.to_vec();
        cores.sort_unstable();
        cores
    };
    // A quota of a tenth of a core keeps one worker busy, now and then. `as` saturates.
    let most = quota.map_or(usize::MAX, |quota| (quota.ceil() as usize).max(1));
    let within_quota = |wanted: usize| match quota {
        Some(quota) if wanted > most => Err(CoresError::BeyondQuota { wanted, quota, most }),
        _ => Ok(wanted),
    };
    let count = match selection {
        None => most.min(order.apart),
        Some(&CoreSelection::Count(wanted)) if wanted > allowed.len() => {
            return Err(CoresError::TooMany {
                wanted,
                allowed: Shown(ascending(allowed)),
            });
        }
        Some(&CoreSelection::Count(wanted)) => within_quota(wanted)?,
        Some(CoreSelection::List(cores)) => {
            if let Some(&core) = cores.iter().find(|core| !allowed.contains(core)) {
                return Err(CoresError::NotAllowed {
                    core,
                    allowed: Shown(ascending(allowed)),
                });
            }
            within_quota(cores.len())?;
            return Ok(cores.clone());
        }
    };
    Ok(ascending(allowed.get(..count).unwrap_or(allowed)))
}

impl FromStr for CoreSelection {
    type Err = CoresError;

    fn from_str(text: &str) -> Result<Self, CoresError> {
        parse(text)
    }
}

impl Shown {
    /// Shows `cores`, which ascend.
    #[must_use]
    pub fn of(cores: &[usize]) -> Self {
        Self(cores.to_vec())
    }

    /// How many, and which: `4 (0-3)`.
    fn counted(&self) -> String {
        format!("{} ({self})", self.0.len())
    }
}

impl fmt::Display for Shown {
    /// Runs as ranges: `0-3,6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|before, after| before + 1 == *after);
        for (place, run) in runs.enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match run {
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [only] => write!(f, "{comma}{only}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_count_and_anything_with_a_comma_or_hyphen_a_list() {
        for (text, expected) in [
            ("4", CoreSelection::Count(4)),
            ("0-3,6", CoreSelection::List(vec![0, 1, 2, 3, 6])),
            ("0,", CoreSelection::List(vec![0])),
            ("2-2", CoreSelection::List(vec![2])),
            ("6, 1-2, 2", CoreSelection::List(vec![1, 2, 6])),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn each_wrong_choice_is_told_with_its_remedy() {
        for (text, part) in [
            ("", "`` is not a choice of cores"),
            ("four", "give a count such as 4"),
            ("1,,2", "`1,,2` is not a choice"),
            ("-3", "`-3` is not a choice"),
            ("0-", "`0-` is not a choice"),
            ("99999999", "`99999999` is not a choice"),
            ("0-99999999", "is not a choice"),
            ("3-1", "the range 3-1 runs backwards: write 1-3"),
            ("0", "give at least 1"),
        ] {
            let told = parse(text).unwrap_err().to_string();
            assert!(told.contains(part), "{text}: {told}");
        }
    }

    #[test]
    fn cores_come_from_the_affinity_mask_only() {
        // The first two are threads of different physical cores.
        let allowed = [1, 6, 2, 3];
        let list = |cores: &[usize]| CoreSelection::List(cores.to_vec());
        let order = Order {
            cores: allowed.to_vec(),
            apart: 2,
        };
        let chosen = |selection| choose(Some(&selection), &order, None);
        assert_eq!(
            choose(None, &order, None).unwrap(),
            [1, 6],
            "of one node, and apart"
        );
        let told = |selection| chosen(selection).unwrap_err().to_string();
        assert_eq!(chosen(CoreSelection::Count(2)).unwrap(), [1, 6]);
        assert_eq!(chosen(CoreSelection::Count(4)).unwrap(), [1, 2, 3, 6]);
        assert_eq!(chosen(list(&[3, 6])).unwrap(), [3, 6]);
        assert_eq!(
            told(list(&[1, 4])),
            "core 4 is not among those this process may use, 4 (1-3,6); give some of these, a count, or widen what it may use \
             (taskset, --cpuset-cpus, CPUAffinity=)"
        );
        assert_eq!(
            told(CoreSelection::Count(5)),
            "5 cores were asked for, but this process may use 4 (1-3,6); give at most that many, leave --cores out, or widen \
             what it may use (taskset, --cpuset-cpus, CPUAffinity=)"
        );
    }

    #[test]
    fn without_a_choice_a_quota_lowers_the_count_but_never_to_nothing() {
        let order = Order {
            cores: vec![0, 2, 1],
            apart: 3,
        };
        let chosen = |quota| choose(None, &order, quota).unwrap();
        assert_eq!(chosen(Some(2.0)), [0, 2]);
        assert_eq!(chosen(Some(1.5)), [0, 2]);
        assert_eq!(chosen(Some(0.1)), [0]);
        assert_eq!(chosen(Some(1e18)), [0, 1, 2]);
        assert_eq!(chosen(None), [0, 1, 2]);
        assert!(!select(None).unwrap().is_empty());
    }

    #[test]
    fn more_cores_than_the_quota_keeps_busy_are_refused_with_both_remedies() {
        let order = Order {
            cores: vec![0, 1, 2, 3],
            apart: 4,
        };
        let chosen = |selection| choose(Some(&selection), &order, Some(1.5));
        assert_eq!(chosen(CoreSelection::Count(2)).unwrap(), [0, 1]);
        assert_eq!(chosen(CoreSelection::List(vec![2, 3])).unwrap(), [2, 3]);
        for selection in [CoreSelection::Count(3), CoreSelection::List(vec![0, 1, 2])] {
            let told = chosen(selection).unwrap_err().to_string();
            for part in ["3 cores were asked for", "worth 1.50", "give at most 2", "--cpus"] {
                assert!(told.contains(part), "{told}");
            }
        }
    }
}
