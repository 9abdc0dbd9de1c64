//! Standard output: reports, help, and what subcommands have to say.

use std::io::{self, Write};

/// Prints to standard output. Where nobody reads it, there is nobody to tell either.
pub(crate) fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
