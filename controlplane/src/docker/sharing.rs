//! Who has the network of another: of a container, or of the host. Where that changes, they are looked at anew.

use std::collections::HashMap;

use arcstr::ArcStr;

/// Whose network it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Host,
    /// The container of this id.
    Of(ArcStr),
}

/// Containers without a network of their own; few, so they are looked through one by one. Never more than are known.
#[derive(Debug, Default)]
pub(super) struct Sharing(HashMap<ArcStr, Whose>);

impl Sharing {
    /// Takes note of whose network `container` has; none for its own. Tells whether that is new.
    pub(super) fn note(&mut self, container: &ArcStr, whose: Option<Whose>) -> bool {
        match whose {
            Some(whose) => self.0.insert(container.clone(), whose.clone()) != Some(whose),
            // Nearly nobody has another's, and each line of a list comes by here.
            None => !self.0.is_empty() && self.0.remove(container).is_some(),
        }
    }

    /// Those that have the network of `whose`.
    pub(super) fn with(&self, whose: &Whose) -> Vec<ArcStr> {
        let sharers = self.0.iter().filter(|(_, of)| *of == whose);
        sharers.map(|(container, _)| container.clone()).collect()
    }

    /// Whether nobody has another's network, which is how it is nearly everywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
