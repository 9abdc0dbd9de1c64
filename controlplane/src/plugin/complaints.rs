//! Failures of plugins, told without flooding the log: each plugin's first at once, then how many there were, once a
//! minute.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::fault::PluginError;
use super::limits::REPORT_EVERY;

/// What was told of each plugin, by its file.
#[derive(Debug, Default)]
pub(super) struct Complaints(HashMap<Arc<str>, Told>);

#[derive(Debug)]
struct Told {
    at: Instant,
    /// Failures since then, and the last of them.
    untold: Option<(u64, PluginError)>,
}

impl Complaints {
    /// Takes in a failure; gives the line to log, unless one was logged of this plugin less than a minute ago.
    pub(super) fn line(&mut self, error: PluginError, now: Instant) -> Option<String> {
        let Some(told) = self.0.get_mut(&error.file) else {
            let line = format!("{error}; the container gets the names it has without this plugin");
            let (at, untold) = (now, None);
            self.0.insert(error.file, Told { at, untold });
            return Some(line);
        };
        let count = told.untold.take().map_or(0, |(count, _)| count);
        told.untold = Some((count.saturating_add(1), error));
        told.line(now)
    }

    /// The lines that are due, and when to ask again at the latest.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let lines = self.0.values_mut().filter_map(|told| told.line(now)).collect();
        // One that has been quiet for a minute begins anew.
        self.0
            .retain(|_, told| told.untold.is_some() || now.duration_since(told.at) < REPORT_EVERY);
        lines
    }
}

impl Told {
    fn line(&mut self, now: Instant) -> Option<String> {
        if now.duration_since(self.at) < REPORT_EVERY {
            return None;
        }
        let (count, last) = self.untold.take()?;
        self.at = now;
        Some(match count {
            1 => last.to_string(),
            _ => format!("{last}; this plugin failed {count} times in the last minute"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plugin::Fault;

    fn error(file: &str, container: &str) -> PluginError {
        PluginError {
            file: file.into(),
            place: None,
            container: Some(container.into()),
            fault: Fault::Time,
        }
    }

    #[test]
    fn a_plugin_that_fails_again_and_again_is_told_of_once_a_minute_with_a_count() {
        let (mut complaints, start) = (Complaints::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let first = complaints.line(error("/a.js", "c0"), start).unwrap();
        assert!(
            first.starts_with("plugin /a.js, container c0: it ran longer"),
            "{first}"
        );
        for n in 1..=999 {
            assert_eq!(complaints.line(error("/a.js", &format!("c{n}")), after(1)), None);
        }
        assert!(
            complaints.line(error("/b.js", "c"), after(1)).is_some(),
            "another plugin"
        );
        assert_eq!(complaints.due(after(59)), [""; 0]);
        let [line] = &complaints.due(after(60))[..] else {
            panic!()
        };
        assert!(
            line.contains("container c999") && line.ends_with("failed 999 times in the last minute"),
            "{line}"
        );
        assert_eq!(complaints.line(error("/a.js", "c"), after(61)), None);
        let line = complaints.line(error("/a.js", "d"), after(120)).unwrap();
        assert!(line.ends_with("2 times in the last minute"), "{line}");
    }

    #[test]
    fn one_that_was_quiet_is_told_of_at_once_again() {
        let (mut complaints, start) = (Complaints::default(), Instant::now());
        complaints.line(error("/a.js", "c"), start);
        complaints.due(start + REPORT_EVERY);
        assert!(complaints.0.is_empty());
        assert!(
            complaints
                .line(error("/a.js", "c"), start + REPORT_EVERY)
                .is_some()
        );
    }
}
