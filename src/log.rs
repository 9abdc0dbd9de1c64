//! Log lines: to stderr, readable on a terminal, JSON anywhere else.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged where `RUST_LOG` says nothing: what an operator can act on. glommio warns of buffers that it cannot
/// lock in memory, for files that we do not have.
const DEFAULT_FILTER: &str = "info,glommio=error";

/// Starts logging, with `notes` for the first lines. `RUST_LOG` chooses what is logged, `NO_COLOR` (if set and not
/// empty) turns colours off.
pub(crate) fn start(notes: &[String]) {
    let (filter, complaint) = match std::env::var("RUST_LOG") {
        Ok(text) if !text.trim().is_empty() => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(error) => (
                EnvFilter::new(DEFAULT_FILTER),
                Some(format!(
                    "RUST_LOG {text:?} is not followed: {error}; write a level such as debug"
                )),
            ),
        },
        _ => (EnvFilter::new(DEFAULT_FILTER), None),
    };
    let is_terminal = io::stderr().is_terminal();
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    if is_terminal {
        registry.with(layer.with_ansi(colours).with_target(false)).init();
    } else {
        registry.with(layer.json().flatten_event(true)).init();
    }
    for note in notes.iter().chain(&complaint) {
        tracing::warn!("{note}");
    }
}
