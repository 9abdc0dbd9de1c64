//! Starting and stopping: what it says, with what it ends, and what it does without what it would like to have.
//!
//! ```text
//! told       what it says when it has started, and what command lines mean
//! refused    what it does not start with
//! alone      where it answers without being told
//! workers    which cores answer, and on what
//! admin      health and metrics
//! end        signals, and how it ends
//! ```

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod alone;
mod end;
mod refused;
mod told;
mod workers;

use support::skip;

/// The engines that work here; the absence of io_uring is said aloud.
fn engines() -> Vec<&'static str> {
    match dataplane::probe(dataplane::Engine::Glommio) {
        Ok(()) => vec!["glommio", "threads"],
        Err(reason) => {
            skip(&format!("glommio is left out: {reason}"));
            vec!["threads"]
        }
    }
}
