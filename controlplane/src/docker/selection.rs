//! Which containers are published: all, those that say so, or those that carry a label.

use std::collections::HashMap;
use std::str::FromStr;

use dns::Name;

use super::label::PREFIX_DEFAULT;
use super::standing::Standing;

/// Which containers are published, and which labels are ours to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// What our labels start with, its last dot included.
    pub label_prefix: String,
    /// Only those with `enable=true`.
    pub opt_in: bool,
    /// Only those that fit all of these.
    pub only: Vec<Constraint>,
    /// Our zones, in which any name may be asked for; not every one outside.
    pub zones: Vec<Name>,
}

/// A label that a container must have: `team` with any value, or `team=web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    label: String,
    value: Option<String>,
}

/// There is no label to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("names no label; write team or team=web")]
pub struct ConstraintError;

impl FromStr for Constraint {
    type Err = ConstraintError;

    fn from_str(text: &str) -> Result<Self, ConstraintError> {
        let (label, value) = match text.split_once('=') {
            Some((label, value)) => (label, Some(value.to_owned())),
            None => (text, None),
        };
        let label = label.trim().to_owned();
        (!label.is_empty())
            .then_some(Self { label, value })
            .ok_or(ConstraintError)
    }
}

impl Default for Selection {
    /// All of them.
    fn default() -> Self {
        Self {
            label_prefix: PREFIX_DEFAULT.to_owned(),
            opt_in: false,
            only: Vec::new(),
            zones: Vec::new(),
        }
    }
}

impl Selection {
    /// Why a container with these labels is not published; none for one that is. `enable` is what its label says.
    pub(super) fn refuses(&self, labels: &HashMap<String, String>, enable: Option<bool>) -> Option<Standing> {
        let fits = |it: &Constraint| {
            let found = labels.get(&it.label);
            found.is_some_and(|found| it.value.as_ref().is_none_or(|value| value == found))
        };
        match enable {
            Some(false) => Some(Standing::Disabled),
            None if self.opt_in => Some(Standing::NotOptedIn),
            _ if !self.only.iter().all(fits) => Some(Standing::NotSelected),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(opt_in: bool, only: &[&str], labels: &str, enable: Option<bool>, expected: Option<Standing>) {
        let selection = Selection {
            opt_in,
            only: only.iter().map(|text| text.parse().unwrap()).collect(),
            ..Selection::default()
        };
        let labels = labels.split_whitespace().filter_map(|word| word.split_once('='));
        let labels = labels
            .map(|(label, value)| (label.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(
            selection.refuses(&labels, enable),
            expected,
            "{only:?} {labels:?}"
        );
    }

    #[test]
    fn all_are_published_but_those_that_say_no() {
        check(false, &[], "", None, None);
        check(false, &[], "", Some(true), None);
        check(false, &[], "", Some(false), Some(Standing::Disabled));
    }

    #[test]
    fn with_opt_in_only_those_that_say_yes() {
        check(true, &[], "", None, Some(Standing::NotOptedIn));
        check(true, &[], "", Some(true), None);
        check(true, &[], "", Some(false), Some(Standing::Disabled));
    }

    #[test]
    fn every_constraint_must_fit() {
        let selected = |labels, expected| check(false, &["team", "tier=web=1"], labels, None, expected);
        selected("team=x tier=web=1", None);
        selected("team= tier=web=1", None);
        selected("team=x", Some(Standing::NotSelected));
        selected("team=x tier=web", Some(Standing::NotSelected));
        selected("tier=web=1", Some(Standing::NotSelected));
        assert_eq!("=x".parse::<Constraint>(), Err(ConstraintError));
        assert_eq!("".parse::<Constraint>(), Err(ConstraintError));
    }
}
