//! Why the daemon does not run, as one sentence for the person who started it.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use nix::errno::Errno;

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

/// Tells what is wrong on standard error, as everything that ends the process is told.
pub(crate) fn tell(sentence: &str) {
    // Nothing is left to tell when nobody reads it.
    let _ = writeln!(io::stderr(), "skydock: {sentence}");
}

/// What helps where this process may open no more files.
pub(crate) const RAISE_OPEN_FILES: &str = "raise the limit of open files (ulimit -n, LimitNOFILE=)";

/// `what` does not work, because of `error`, with all that caused it.
pub(crate) fn of(what: &str, error: &(dyn Error + 'static)) -> Failure {
    Failure::Runtime(format!("{what}: {}", chain(error)))
}

/// The sentence of `error`, and those of its causes in brackets; or that of [`shortage`] alone.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    if let Some(shortage) = shortage(error) {
        return shortage;
    }
    let because: Vec<_> = causes(error).skip(1).map(ToString::to_string).collect();
    match because.is_empty() {
        true => error.to_string(),
        false => format!("{error} ({})", because.join(": ")),
    }
}

/// The sentence with the remedy, where `error` or one of its causes is that no descriptor is left: whatever else the
/// error's text advises then would not help.
pub(crate) fn shortage(error: &(dyn Error + 'static)) -> Option<String> {
    causes(error).find_map(|cause| {
        let errno = match cause.downcast_ref::<io::Error>() {
            Some(error) => Errno::from_raw(error.raw_os_error()?),
            None => *cause.downcast_ref::<Errno>()?,
        };
        match errno {
            Errno::EMFILE => Some(format!("no file descriptor is left: {RAISE_OPEN_FILES}")),
            Errno::ENFILE => Some(
                "this host has no file descriptor left: end what holds so many, or raise sysctl fs.file-max"
                    .to_owned(),
            ),
            _ => None,
        }
    })
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'e (dyn Error + 'static)| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(errno: Errno) -> dataplane::SpawnError {
        dataplane::SpawnError::Thread(errno.into())
    }

    #[test]
    fn an_error_is_shown_with_its_cause() {
        assert_eq!(
            of("it does not start", &thread(Errno::EAGAIN)).to_string(),
            "it does not start: a worker cannot be started (Resource temporarily unavailable (os error 11))"
        );
    }

    #[test]
    fn where_descriptors_ran_out_that_is_the_sentence() {
        for (errno, remedy) in [(Errno::EMFILE, "ulimit -n"), (Errno::ENFILE, "fs.file-max")] {
            let shown = chain(&thread(errno));
            assert!(shown.contains(remedy) && !shown.contains("worker"), "{shown}");
        }
        let io_uring = dataplane::SpawnError::IoUring(Errno::EMFILE.into());
        assert!(chain(&io_uring).contains("ulimit -n"));
    }
}
