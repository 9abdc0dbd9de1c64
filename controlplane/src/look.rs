//! Whether files have changed.
//!
//! A change is seen by looking at each file's metadata once a second. The notifications that systems offer instead miss
//! what comes through bind mounts from another kernel, over a network, or by the swap of a symbolic link above the file,
//! and these are how files get into containers; a handful of system calls a second costs nothing by comparison.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// Between two looks. A look is one system call a file.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What files look like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look(Vec<Option<Stamp>>);

/// Device, inode, length, and when contents and inode last changed, in seconds and nanoseconds.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Look {
    /// Looks at `files`.
    pub(crate) fn at(files: &[PathBuf]) -> Self {
        let stamp = |file: &PathBuf| {
            let it = std::fs::metadata(file).ok()?;
            let changed = ((it.mtime(), it.mtime_nsec()), (it.ctime(), it.ctime_nsec()));
            Some((it.dev(), it.ino(), it.len(), changed.0, changed.1))
        };
        Self(files.iter().map(stamp).collect())
    }

    /// This, and behind it `other`.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }
}

/// Finds the moment at which a change is over: when two looks in a row are the same and are not what was read. A file
/// that is just being written is left to be finished.
#[derive(Debug)]
pub(crate) struct Changes {
    read: Look,
    last: Look,
}

impl Changes {
    /// Of files that were read when they looked like this.
    pub(crate) fn since(read: Look) -> Self {
        Self {
            last: read.clone(),
            read,
        }
    }

    /// Takes in a look; whether the files are to be read again. They count as read then.
    pub(crate) fn are_over(&mut self, look: Look) -> bool {
        let is_steady = look == self.last;
        self.last = look;
        if !is_steady || self.last == self.read {
            return false;
        }
        self.read = self.last.clone();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_over_when_the_file_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let files = [directory.path().join("p.js")];
        let write = |text: &str| std::fs::write(&files[0], text).unwrap();
        write("a");
        let mut changes = Changes::since(Look::at(&files));
        let mut look = || changes.are_over(Look::at(&files));
        assert!(!look() && !look());
        write("ab");
        assert!(!look(), "it may still be written");
        write("abc");
        assert!(!look());
        assert!(look());
        assert!(!look(), "it was read");
        // As editors do: another file is put in its place.
        let other = directory.path().join("other");
        std::fs::write(&other, "abd").unwrap();
        std::fs::rename(&other, &files[0]).unwrap();
        assert!(!look() && look());
        std::fs::remove_file(&files[0]).unwrap();
        assert!(!look() && look() && !look());
    }
}
