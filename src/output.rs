//! Standard output: reports, help, and what subcommands have to say.

use std::io::{self, Write};

use serde_json::Value;

use crate::failure::Failure;

/// Prints to standard output. Where nobody reads it, there is nobody to tell either.
pub(crate) fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Prints what somebody asked for, and gives whether anybody reads on: who has had enough of it has closed the pipe.
///
/// # Errors
///
/// [`Failure::Runtime`]: it cannot be written.
pub(crate) fn deliver(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Runtime(format!(
            "standard output cannot be written: {error}; what was to be done is done all the same"
        ))),
    }
}

/// Prints what was asked for; that nobody reads it is no mistake.
///
/// # Errors
///
/// [`Failure::Runtime`]: it cannot be written.
pub(crate) fn show(text: &str) -> Result<(), Failure> {
    deliver(text).map(drop)
}

/// JSON for people.
pub(crate) fn pretty(value: &Value) -> String {
    harmless(&serde_json::to_string_pretty(value).expect("a value is JSON"))
}

/// JSON in one line.
pub(crate) fn compact(value: &Value) -> String {
    harmless(&value.to_string())
}

/// JSON that means the same and has none of the control characters that may stand in its texts (RFC 8259, section 7).
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => text += &format!("\\u{:04x}", u32::from(c)),
            _ => text.push(c),
        }
    }
    text
}

/// `text` without what would command the terminal, or have it show another order than there is: whoever registers a
/// service or starts a container chooses its words.
pub(crate) fn plain(text: &str) -> String {
    let is_order = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let each = text.chars();
    each.map(|c| if c.is_control() || is_order(c) { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_without_control_characters() {
        let value = serde_json::json!({ "texts": ["\u{1b}[2J\u{7f}\u{9b}\u{fc}\\"] });
        for json in [pretty(&value), compact(&value)] {
            assert!(json.chars().all(|c| !c.is_control() || c == '\n'), "{json:?}");
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        }
    }
}
