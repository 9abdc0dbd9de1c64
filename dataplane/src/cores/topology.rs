//! Which cores to take first: those that share the least.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{CoreSelection, parse};

/// Cores in the order in which to take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// All of them.
    pub(super) cores: Vec<usize>,
    /// How many of the first share nothing but their NUMA node: each is another physical core of that one.
    pub(super) apart: usize,
}

/// `cores` in the order in which to take them: first one of each physical core, then the other threads of these; each
/// time one NUMA node after another, the one with most of our physical cores first.
///
/// Two threads of a physical core share what a busy worker needs most, its caches and its execution units: of two
/// workers they make little more than one. So a count smaller than the machine gets physical cores. Nodes come one after
/// another, for workers of one share a cache and a way to memory. `read` gives a file's text, if there is one; where
/// nothing is known, the order is that of the numbers.
pub(super) fn order(cores: &[usize], read: impl Fn(&Path) -> Option<String>) -> Order {
    let nodes = nodes(&read);
    let mut threads: HashMap<Physical, usize> = HashMap::new();
    let mut keyed: Vec<(usize, usize, usize)> = cores
        .iter()
        .map(|&core| {
            let before = physical_of(core, &read).map_or(0, |physical| {
                let taken = threads.entry(physical).or_default();
                *taken += 1;
                *taken - 1
            });
            (before, nodes.get(&core).copied().unwrap_or(0), core)
        })
        .collect();
    let mut physical: HashMap<usize, usize> = HashMap::new();
    for (_, node, _) in keyed.iter().filter(|(before, ..)| *before == 0) {
        *physical.entry(*node).or_default() += 1;
    }
    let most = |node| physical.get(&node).copied().unwrap_or_default();
    keyed.sort_unstable_by_key(|&(before, node, core)| (before, Reverse(most(node)), node, core));
    Order {
        apart: keyed.first().map_or(0, |&(_, node, _)| most(node)),
        cores: keyed.into_iter().map(|(_, _, core)| core).collect(),
    }
}

/// `cores`, those that are threads of one physical core together; both in the order in which to take them.
pub(super) fn physical(cores: &[usize], read: impl Fn(&Path) -> Option<String>) -> Vec<Vec<usize>> {
    let mut found: Vec<(Option<Physical>, Vec<usize>)> = Vec::new();
    for core in order(cores, &read).cores {
        let physical = physical_of(core, &read);
        let known = found
            .iter_mut()
            .find(|(other, _)| physical.is_some() && *other == physical);
        match known {
            Some((_, threads)) => threads.push(core),
            None => found.push((physical, vec![core])),
        }
    }
    found.into_iter().map(|(_, threads)| threads).collect()
}

/// Package, die and core: the same for all threads of a physical core.
type Physical = [Option<usize>; 3];

/// The physical core of a core; `None`: nothing is told, and it is one of its own.
fn physical_of(core: usize, read: impl Fn(&Path) -> Option<String>) -> Option<Physical> {
    let number = |what: &str| {
        let file = format!("/sys/devices/system/cpu/cpu{core}/topology/{what}");
        read(&PathBuf::from(file))?.trim().parse().ok()
    };
    let physical = ["physical_package_id", "die_id", "core_id"].map(number);
    physical.last().copied().flatten().map(|_: usize| physical)
}

/// The NUMA node of each core.
fn nodes(read: impl Fn(&Path) -> Option<String>) -> HashMap<usize, usize> {
    let list = |file: &str| {
        let text = read(Path::new(file)).unwrap_or_default();
        // The kernel's lists are ours; a comma behind makes a single number one, too.
        match parse(&format!("{},", text.trim())) {
            Ok(CoreSelection::List(numbers)) => numbers,
            _ => Vec::new(),
        }
    };
    list("/sys/devices/system/node/online")
        .into_iter()
        .flat_map(|node| {
            let cores = list(&format!("/sys/devices/system/node/node{node}/cpulist"));
            cores.into_iter().map(move |core| (core, node))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of two nodes with two physical cores each; the threads of core n are n and n + 4.
    fn two_nodes(path: &Path) -> Option<String> {
        let path = path.to_str().unwrap();
        let text = match path {
            "/sys/devices/system/node/online" => "0-1".to_owned(),
            "/sys/devices/system/node/node0/cpulist" => "0,2,4,6\n".to_owned(),
            "/sys/devices/system/node/node1/cpulist" => "1,3,5,7\n".to_owned(),
            _ => {
                let (cpu, what) = path
                    .strip_prefix("/sys/devices/system/cpu/cpu")?
                    .split_once("/topology/")?;
                let cpu: usize = cpu.parse().ok()?;
                match what {
                    "physical_package_id" => format!("{}\n", cpu % 2),
                    "core_id" => format!("{}\n", cpu % 4 / 2),
                    _ => return None,
                }
            }
        };
        Some(text)
    }

    #[test]
    fn physical_cores_come_first_and_nodes_one_after_another() {
        let all: Vec<_> = (0..8).collect();
        let order = |cores: &[usize]| {
            let Order { cores, apart } = order(cores, two_nodes);
            (cores, apart)
        };
        assert_eq!(order(&all), (vec![0, 2, 1, 3, 4, 6, 5, 7], 2));
        // A mask may leave out the first thread of a core.
        assert_eq!(order(&[3, 4, 5, 7]), (vec![3, 5, 4, 7], 2));
        // Of the second node there are more.
        assert_eq!(order(&[0, 1, 3]), (vec![1, 3, 0], 2));
        assert_eq!(order(&[0, 1]), (vec![0, 1], 1));
        assert_eq!(order(&[3, 7]), (vec![3, 7], 1));
        assert_eq!(order(&[]), (vec![], 0));
    }

    #[test]
    fn threads_of_one_physical_core_are_together() {
        let all: Vec<_> = (0..8).collect();
        let pairs = [[0, 4], [2, 6], [1, 5], [3, 7]].map(|pair| pair.to_vec());
        assert_eq!(physical(&all, two_nodes), pairs);
        assert_eq!(physical(&[3, 4, 7], two_nodes), [vec![4], vec![3, 7]]);
        assert_eq!(physical(&[1, 2], |_| None), [vec![1], vec![2]]);
    }

    #[test]
    fn where_nothing_is_known_the_numbers_decide() {
        let of = |cores: &[usize]| Order {
            cores: cores.to_vec(),
            apart: cores.len(),
        };
        assert_eq!(order(&[1, 2, 6], |_| None), of(&[1, 2, 6]));
        assert_eq!(order(&[0, 1], |_| Some("nonsense".to_owned())), of(&[0, 1]));
    }
}
