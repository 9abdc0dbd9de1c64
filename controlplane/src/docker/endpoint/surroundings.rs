//! What an engine's address is found from, besides what was given.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest file of the Docker client that is read, in octets; of a longer one the rest is left out, and it is no JSON.
/// Credentials of many registries stand in its `config.json`.
const FILE_OCTETS_MAX: u64 = 1 << 20;

/// Files in one directory that are looked at, so that no directory can hold up the start. There is one for each context.
const FILES_MAX: usize = 1024;

/// The environment and the files that decide; this host's, but for tests.
pub trait Surroundings {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// Whether something is there.
    fn exists(&self, path: &Path) -> bool;
    /// Whether we may write to it, as one must to connect to a socket.
    fn may_write(&self, path: &Path) -> bool;
    /// A file's text; none if it cannot be read.
    fn read(&self, path: &Path) -> Option<String>;
    /// What is in a directory; nothing if it cannot be read.
    fn list(&self, path: &Path) -> Vec<PathBuf>;
}

/// The environment and the files of this process.
#[derive(Clone, Copy, Debug)]
pub struct ThisHost;

impl Surroundings for ThisHost {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn may_write(&self, path: &Path) -> bool {
        rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
    }

    fn read(&self, path: &Path) -> Option<String> {
        let mut text = String::new();
        let file = fs::File::open(path).ok()?;
        file.take(FILE_OCTETS_MAX).read_to_string(&mut text).ok()?;
        Some(text)
    }

    fn list(&self, path: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.take(FILES_MAX).map(|entry| entry.path()).collect();
        paths.sort_unstable();
        paths
    }
}
