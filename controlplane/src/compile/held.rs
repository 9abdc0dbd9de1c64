//! Names outside our zones that are ours for as long as somebody carries them, whether anybody stands there or not.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arcstr::ArcStr;
use dns::Name;

use crate::service::Source;

/// Who carries a name: the source that knows it, and its id there.
pub type Holder = (Source, ArcStr);

/// Such names, by who carries them. What others say of such a name while its container restarts would be remembered by
/// whoever asked, and asking them would tell strangers what is asked here.
///
/// It has no bound of its own: each source bounds what it tells of ([`Change::Carried`](crate::Change)).
#[derive(Debug, Default)]
pub(super) struct Held {
    names: HashMap<Holder, Arc<[Name]>>,
    /// The same the other way round; nobody's name is not here.
    holders: HashMap<Name, BTreeSet<Holder>>,
}

impl Held {
    /// Takes in all names that `holder` carries from now on. Which have their first holder with it, or no more any.
    pub(super) fn set(&mut self, holder: &Holder, names: Arc<[Name]>) -> Vec<Name> {
        let before = if names.is_empty() {
            self.names.remove(holder)
        } else {
            self.names.insert(holder.clone(), names.clone())
        };
        let mut changed = Vec::new();
        let gone = before.iter().flat_map(|before| before.iter());
        for name in gone.filter(|name| !names.contains(name)) {
            if let Entry::Occupied(mut held) = self.holders.entry(name.clone()) {
                held.get_mut().remove(holder);
                if held.get().is_empty() {
                    held.remove();
                    changed.push(name.clone());
                }
            }
        }
        for name in names.iter() {
            let holders = self.holders.entry(name.clone()).or_default();
            if holders.is_empty() {
                changed.push(name.clone());
            }
            holders.insert(holder.clone());
        }
        changed
    }

    /// Whether anybody carries `name`.
    pub(super) fn is_held(&self, name: &Name) -> bool {
        self.holders.contains_key(name)
    }

    /// Who carries `name`, in order.
    pub(super) fn holders(&self, name: &Name) -> impl Iterator<Item = &Holder> {
        self.holders.get(name).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{name, source};

    fn set(held: &mut Held, id: &str, names: &[&str]) -> String {
        let names: Vec<Name> = names.iter().copied().map(name).collect();
        let changed = held.set(&(source("e"), id.into()), names.into());
        let changed: Vec<_> = changed.iter().map(ToString::to_string).collect();
        changed.join(" ")
    }

    #[test]
    fn a_name_is_held_from_its_first_holder_to_its_last() {
        let mut held = Held::default();
        assert_eq!(
            set(&mut held, "a", &["x.example", "y.example"]),
            "x.example y.example"
        );
        assert_eq!(set(&mut held, "b", &["x.example", "x.example"]), "");
        assert_eq!(
            set(&mut held, "a", &["x.example", "z.example"]),
            "y.example z.example"
        );
        assert_eq!(set(&mut held, "a", &[]), "z.example");
        let holders: Vec<_> = held.holders(&name("x.example")).cloned().collect();
        assert_eq!(holders, [(source("e"), "b".into())]);
        assert_eq!(set(&mut held, "b", &[]), "x.example");
        assert_eq!(set(&mut held, "nobody", &[]), "");
        assert!(held.holders.is_empty() && held.names.is_empty());
    }
}
