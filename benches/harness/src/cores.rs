//! Who runs on which core: servers, and the generator beside them.

use dataplane::cores::{CoreSelection, CoresError, physical, select};

use crate::cli::Outcome;

/// Cores with which the generator asks more than any server here answers from one.
const CLIENTS_MAX: usize = 3;

/// Cores of the servers and of the generator. With one core alone they share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) clients: Vec<usize>,
}

impl Cores {
    /// The generator has a thread of each physical core but the servers' one, and no more than it needs.
    pub(crate) fn choose() -> Outcome<Self> {
        Ok(Self::of(&physical()?, granted()?.0).ok_or("no core may be used")?)
    }

    /// The same, of the cores `physical`, each with its threads, and `granted` of them in all.
    fn of(physical: &[Vec<usize>], granted: usize) -> Option<Self> {
        let (last, others) = physical.split_last()?;
        let server = *last.first()?;
        // A server whose core's other thread spins would answer half as much.
        let apart = others.iter().filter_map(|threads| threads.first());
        // Better such a thread than the server's own.
        let beside = last.iter().skip(1);
        let count = granted.saturating_sub(1).min(CLIENTS_MAX);
        let clients: Vec<_> = if others.is_empty() {
            beside.take(count).copied().collect()
        } else {
            apart.take(count).copied().collect()
        };
        Some(Self {
            server,
            clients: if clients.is_empty() { vec![server] } else { clients },
        })
    }

    /// A core where nothing is measured, if there is one.
    pub(crate) fn client(&self) -> usize {
        self.clients.first().copied().unwrap_or(self.server)
    }

    /// All of them, each once.
    pub(crate) fn all(&self) -> Vec<usize> {
        let mut all = self.clients.clone();
        all.push(self.server);
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// How many cores may be had at once, and why no more.
pub(crate) fn granted() -> Outcome<(usize, CoresError)> {
    granted_by(|count| select(Some(&CoreSelection::Count(count))).map(drop))
}

fn granted_by(take: impl Fn(usize) -> Result<(), CoresError>) -> Outcome<(usize, CoresError)> {
    let mut granted = 0;
    loop {
        match take(granted + 1) {
            Ok(()) => granted += 1,
            Err(why) if granted > 0 => return Ok((granted, why)),
            Err(why) => return Err(why.into()),
        }
    }
}

/// The cores of a generator that is the same beside one core and beside all: half of the physical ones, the last, one thread of each.
///
/// Also how many physical cores they leave.
pub(crate) fn clients_beside_many(physical: &[Vec<usize>]) -> (Vec<usize>, usize) {
    let left = physical.len().div_ceil(2).min(physical.len().saturating_sub(1));
    let clients = physical.iter().skip(left);
    (
        clients.filter_map(|threads| threads.first().copied()).collect(),
        left,
    )
}

#[cfg(test)]
mod tests {
    use dataplane::cores::allowed;

    use super::*;

    #[test]
    fn servers_and_the_generator_have_cores_of_their_own_where_there_are_two() {
        let cores = Cores::choose().unwrap();
        let (granted, _) = granted().unwrap();
        let count = allowed().unwrap().len().min(granted);
        assert!(count == 1 || !cores.clients.contains(&cores.server));
        assert!(!cores.clients.is_empty());
    }

    #[test]
    fn no_client_is_another_thread_of_the_servers_core_unless_there_is_no_other() {
        let of = |physical: &[&[usize]], granted| {
            let physical: Vec<_> = physical.iter().map(|threads| threads.to_vec()).collect();
            let cores = Cores::of(&physical, granted).unwrap();
            (cores.server, cores.clients)
        };
        assert_eq!(of(&[&[0, 2], &[1, 3]], 4), (1, vec![0]));
        assert_eq!(of(&[&[0], &[1], &[2], &[3], &[4]], 5), (4, vec![0, 1, 2]));
        assert_eq!(
            of(&[&[0], &[1], &[2], &[3]], 2),
            (3, vec![0]),
            "as the quota has it"
        );
        assert_eq!(of(&[&[0, 1]], 2), (0, vec![1]));
        assert_eq!(of(&[&[0, 1]], 1), (0, vec![0]));
        assert_eq!(of(&[&[5]], 1), (5, vec![5]));
        assert_eq!(Cores::of(&[], 1), None);
    }

    #[test]
    fn what_is_granted_is_found_by_asking_for_one_more() {
        let take = |most: usize| {
            move |count: usize| {
                let quota = most as f64;
                if count > most {
                    return Err(CoresError::BeyondQuota {
                        wanted: count,
                        quota,
                        most,
                    });
                }
                Ok(())
            }
        };
        let (granted, why) = granted_by(take(1)).unwrap();
        assert_eq!(granted, 1);
        assert!(why.to_string().contains("2 cores were asked for"), "{why}");
        assert!(granted_by(take(0)).is_err());
    }

    #[test]
    fn a_generator_beside_many_cores_has_half_of_them() {
        let physical = |count: usize| -> Vec<_> { (0..count).map(|core| vec![core, core + count]).collect() };
        assert_eq!(clients_beside_many(&physical(2)), (vec![1], 1));
        assert_eq!(clients_beside_many(&physical(5)), (vec![3, 4], 3));
        assert_eq!(clients_beside_many(&physical(1)), (vec![0], 0));
    }
}
