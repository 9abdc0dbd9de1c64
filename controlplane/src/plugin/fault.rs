//! Why a plugin gave no answer, for the person who wrote it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::limits::{CPU_MAX, MEMORY_OCTETS_MAX, STACK_OCTETS_MAX};

/// Octets of a script's own words that an error shows.
const SHOWN_OCTETS_MAX: usize = 300;

/// What went wrong in a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The script threw, or is no JavaScript; the text of what it threw.
    #[error("{0}")]
    Threw(String),
    /// It ran for too long.
    #[error("it ran longer than {} ms", CPU_MAX.as_millis())]
    Time,
    /// It used too much memory.
    #[error("it used more than {} MiB of memory", MEMORY_OCTETS_MAX >> 20)]
    Memory,
    /// Its calls went too deep.
    #[error("its calls nested deeper than {} KiB of stack", STACK_OCTETS_MAX >> 10)]
    Stack,
    /// What it gave is no service; what it gave and what would be right.
    #[error("{0}")]
    Answer(String),
    /// It neither ended nor could be stopped, and is not asked any more.
    #[error("it could not be stopped; it is left out until its file changes, or until SIGHUP")]
    Stuck,
    /// The file cannot be read.
    #[error("{0}")]
    File(String),
}

/// A plugin's failure: which file, where in it, for which container, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginError {
    /// The file, as it was given.
    pub file: Arc<str>,
    /// Line and column, where JavaScript tells them, from 1 on.
    pub place: Option<(u32, u32)>,
    /// Name and short id of the container that it was asked for; none when the file was read.
    pub container: Option<Arc<str>>,
    /// Why.
    pub fault: Fault,
}

/// Why plugins cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// One of the files is no plugin.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The same file twice.
    #[error("{} was given twice; give each plugin once", .0.display())]
    Twice(PathBuf),
    /// More files than there is room for.
    #[error("of {given} plugins that were given there is room for {most}; leave some out")]
    TooMany {
        /// How many.
        given: usize,
        /// How many there may be.
        most: usize,
    },
    /// The thread that runs them does not start.
    #[error("the thread of the plugins does not start: {0}")]
    Thread(#[source] std::io::Error),
}

impl Fault {
    /// Whether it ran into a limit: such a call costs much more than one that answers.
    pub(super) fn is_limit(&self) -> bool {
        matches!(self, Self::Time | Self::Memory | Self::Stack)
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {}", self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(container) = &self.container {
            write!(f, ", container {container}")?;
        }
        write!(f, ": {}", self.fault)
    }
}

impl std::error::Error for PluginError {}

/// What a script said, fit for one line of a log: control characters escaped, cut where it is long.
pub(super) fn shown(text: &str) -> String {
    shortened(text, SHOWN_OCTETS_MAX)
}

/// As [`shown`], with at most `most` octets of `text`.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most);
    let mut shown: String = text
        .get(..end)
        .unwrap_or(text)
        .chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if end < text.len() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_file_place_container_and_cause() {
        let mut error = PluginError {
            file: "/etc/p.js".into(),
            place: Some((3, 9)),
            container: Some("web1 (4a21a3b716b5)".into()),
            fault: Fault::Threw("TypeError: x is not a function".to_owned()),
        };
        assert_eq!(
            error.to_string(),
            "plugin /etc/p.js:3:9, container web1 (4a21a3b716b5): TypeError: x is not a function"
        );
        (error.place, error.container, error.fault) = (None, None, Fault::Time);
        assert_eq!(error.to_string(), "plugin /etc/p.js: it ran longer than 50 ms");
    }

    #[test]
    fn what_a_script_says_stays_on_one_line_and_is_cut() {
        assert_eq!(shown("a\nb\u{1b}[31m \u{fc}"), "a\\nb\\u{1b}[31m \u{fc}");
        let long = shown(&"\u{fc}".repeat(1000));
        assert_eq!((long.chars().count(), long.ends_with("...")), (153, true));
    }
}
