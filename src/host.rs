//! What this host has and lets us have.

use if_addrs::Interface;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::failure::{self, Failure};

/// Raises the soft limit of open files to the hard one: forwarding takes up to
/// [`dataplane::limits::UPSTREAM_SOCKETS_MAX`] descriptors for each upstream and core, and the usual 1024 are meant for
/// programs that use `select`. A limit that cannot be raised stays as it is.
pub(crate) fn raise_open_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
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
