//! Why the daemon does not run, as one sentence for the person who started it.

use std::process::ExitCode;

/// Why the daemon does not run. Each text is a whole sentence that names what is wrong and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line or the environment asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is fine, but this host does not allow it now.
    #[error("{0}")]
    Runtime(String),
}

impl Failure {
    /// 2 for a mistake in what was asked, as most tools have it, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Runtime(_) => ExitCode::from(1),
        }
    }
}
