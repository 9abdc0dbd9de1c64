//! Names outside our zones whose services have all gone.

use std::collections::{HashSet, VecDeque};

use dns::Name;

/// Names that are remembered. With one more, the one that was left first is whose it was before, and asked of upstreams.
pub(super) const DEPARTED_MAX: usize = 1024;

/// Names outside our zones that services asked for and have left. They stay ours: what others say of such a name while its
/// container restarts would be remembered by whoever asked, and tells strangers what is asked here.
#[derive(Debug, Default)]
pub(super) struct Departed {
    in_order: VecDeque<Name>,
    /// The same. Most names that somebody stands at were never left.
    all: HashSet<Name>,
}

impl Departed {
    /// Remembers `name`. Returns the one that is forgotten for it.
    pub(super) fn insert(&mut self, name: &Name) -> Option<Name> {
        self.remove(name);
        self.in_order.push_back(name.clone());
        self.all.insert(name.clone());
        if self.in_order.len() <= DEPARTED_MAX {
            return None;
        }
        let first = self.in_order.pop_front()?;
        self.all.remove(&first);
        Some(first)
    }

    /// Somebody stands at `name` again.
    pub(super) fn remove(&mut self, name: &Name) {
        if self.all.remove(name) {
            self.in_order.retain(|departed| departed != name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::name;

    #[test]
    fn of_too_many_the_first_is_forgotten_and_one_that_leaves_again_is_the_last() {
        let mut departed = Departed::default();
        let numbered = |number: usize| name(&format!("n{number}.example.org"));
        for number in 0..DEPARTED_MAX {
            assert_eq!(departed.insert(&numbered(number)), None);
        }
        assert_eq!(departed.insert(&numbered(0)), None);
        assert_eq!(departed.insert(&numbered(DEPARTED_MAX)), Some(numbered(1)));
        departed.remove(&numbered(2));
        assert_eq!(departed.insert(&numbered(1)), None);
    }
}
