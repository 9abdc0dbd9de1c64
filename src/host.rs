//! What this host has and lets us have.

use if_addrs::Interface;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::failure::{self, Failure, RAISE_OPEN_FILES};

/// Open files without which not even the runtime starts: it panics where it gets none. Forwarding takes many more.
const OPEN_FILES_MIN: u64 = 32;

/// Raises the soft limit of open files to the hard one: forwarding takes up to
/// [`dataplane::limits::UPSTREAM_SOCKETS_MAX`] descriptors for each upstream and core, and the usual 1024 are meant for
/// programs that use `select`. A limit that cannot be raised stays as it is.
///
/// # Errors
///
/// [`Failure::Runtime`]: the limit is below [`OPEN_FILES_MIN`].
pub(crate) fn raise_open_files() -> Result<(), Failure> {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(());
    };
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    if hard < OPEN_FILES_MIN {
        return Err(Failure::Runtime(format!(
            "{hard} open files are too few, {OPEN_FILES_MIN} are the least to start with: {RAISE_OPEN_FILES}"
        )));
    }
    Ok(())
}

/// How much the thread that watches the engines stands back behind those that answer, in steps of nice(2): on a core that it
/// shares with a worker it gets a quarter where both want all of it. A thousand changes a second took half of the
/// answers before.
const GIVE_WAY: i32 = 5;

/// Has this thread, and those that it starts from now on, stand back behind the workers, which are there already. Where it
/// cannot be, all are equal.
pub(crate) fn give_way() {
    // Linux has a priority for each thread, and takes that of whoever calls.
    let lowered = rustix::process::getpriority_process(None)
        .and_then(|now| rustix::process::setpriority_process(None, now + GIVE_WAY));
    if let Err(error) = lowered {
        tracing::debug!("no priority is given to answers: {error}");
    }
}

/// The addresses of all interfaces as they are now; none where the kernel does not tell, which some sandboxes have so.
///
/// # Errors
///
/// [`Failure::Runtime`]: no descriptor is left to ask with.
pub(crate) fn interfaces() -> Result<Vec<Interface>, Failure> {
    if_addrs::get_if_addrs().or_else(|error| match failure::shortage(&error) {
        Some(_) => Err(failure::of("the addresses of this host cannot be read", &error)),
        None => Ok(Vec::new()),
    })
}

/// What this host calls itself: its name, and that up to the first dot.
pub(crate) fn names() -> Vec<String> {
    let whole = nix::unistd::gethostname().unwrap_or_default();
    let whole = whole.to_string_lossy().into_owned();
    let first = whole.split('.').next().unwrap_or_default().to_owned();
    let mut names = vec![whole, first];
    names.dedup();
    names.retain(|name| !name.is_empty());
    names
}
