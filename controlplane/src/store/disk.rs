//! The file that registrations survive a crash in.
//!
//! ```text
//!  none yet ──first write──▶ open ──commit──▶ open
//!                              │ an error of the disk
//!                              ▼
//!                           failing ──a write, a second later──▶ open, and everything is written again
//! ```
//!
//! A commit is atomic and synced before it returns. After an error nobody knows which half of a commit the disk has,
//! so the next one replaces all rows by what is known here. What was stored and cannot be read is kept aside.

mod error;
mod rows;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, StorageBackend};
use tracing::{error, warn};

pub(crate) use self::error::Failure;
use self::error::{Error, failure};
pub(crate) use self::rows::{All, CallRow, Row};
use self::rows::{Anew, Stored, check_schema, load, write};
use super::callbacks::Call;
use super::registration::Registration;

/// Its name in the data directory.
const FILE: &str = "services.redb";
/// Memory that the store may keep pages in, in octets: reads happen at the start alone.
const CACHE_OCTETS: usize = 8 << 20;
/// Largest file that is read into memory where it cannot be opened for writing, in octets.
const MEMORY_OCTETS_MAX: u64 = 512 << 20;
/// How long after a failure the disk is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where registrations are kept.
#[derive(Debug)]
pub(crate) enum Disk {
    /// Nowhere: they end with the process.
    Ephemeral,
    /// In a file.
    File(StoreFile),
}

/// The file, open or not.
#[derive(Debug)]
pub(crate) struct StoreFile {
    path: PathBuf,
    state: State,
    /// Whether all that the file has is known, so that it may be written anew. Not so where it could not be read at the
    /// start: another skydock had it open, or its directory came later. Then what it has stays in it.
    is_known: bool,
}

#[derive(Debug)]
enum State {
    /// There was none; the first commit makes it.
    Absent,
    Open(Database),
    Failing {
        failure: Failure,
        since: Instant,
    },
}

/// What opening found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What was stored.
    pub(crate) registrations: Vec<Registration>,
    /// Callbacks that are owed, in the order of their keys.
    pub(crate) calls: Vec<Call>,
    /// Where a file that could not be read is kept now.
    pub(crate) quarantined: Option<PathBuf>,
    /// Why it cannot be written.
    pub(crate) failure: Option<Failure>,
    /// Whether all that was stored could be read, though it cannot be written.
    is_read: bool,
}

impl Found {
    fn take(&mut self, Stored { registrations, calls }: Stored) {
        (self.registrations, self.calls) = (registrations, calls);
    }
}

impl Disk {
    /// Opens what is in `directory`, which need not exist; nothing: keeps nothing.
    ///
    /// Never fails: what cannot be read is put aside, and what cannot be written is told with each write.
    pub(crate) fn open(directory: Option<&Path>) -> (Self, Found) {
        let Some(directory) = directory else {
            return (Self::Ephemeral, Found::default());
        };
        let path = directory.join(FILE);
        let mut found = Found::default();
        let mut is_known = true;
        let state = match open_and_load(&path, &mut found) {
            Ok(Some(database)) => State::Open(database),
            Ok(None) => State::Absent,
            Err(failure) => {
                is_known = found.is_read;
                found.failure = Some(failure.clone());
                let since = Instant::now();
                State::Failing { failure, since }
            }
        };
        let file = StoreFile {
            path,
            state,
            is_known,
        };
        (Self::File(file), found)
    }

    /// Stores `rows` and `calls` and waits until the disk has them; all of them, or none.
    ///
    /// `all` gives everything that was stored before, for a file that has to be written anew.
    ///
    /// # Errors
    ///
    /// [`Failure`]: nothing is stored, as far as anybody who asks here can tell.
    pub(crate) fn commit<'r>(
        &mut self,
        rows: &[Row<'_>],
        calls: &[CallRow<'_>],
        all: impl FnOnce() -> All<'r>,
    ) -> Result<(), Failure> {
        match self {
            Self::Ephemeral => Ok(()),
            Self::File(file) => file.commit(rows, calls, all),
        }
    }

    /// Octets of the file; 0 if there is none.
    pub(super) fn octets(&self) -> u64 {
        match self {
            Self::Ephemeral => 0,
            Self::File(file) => fs::metadata(&file.path).map_or(0, |metadata| metadata.len()),
        }
    }
}

impl StoreFile {
    fn commit<'r>(
        &mut self,
        rows: &[Row<'_>],
        calls: &[CallRow<'_>],
        all: impl FnOnce() -> All<'r>,
    ) -> Result<(), Failure> {
        let mut is_anew = true;
        let database = match std::mem::replace(&mut self.state, State::Absent) {
            State::Open(database) => {
                is_anew = false;
                Ok(database)
            }
            State::Absent if !self.path.exists() => create(&self.path),
            // It came after the start.
            State::Absent => {
                self.is_known = false;
                reopen(&self.path)
            }
            State::Failing { failure, since } if since.elapsed() < RETRY_AFTER => {
                self.state = State::Failing {
                    failure: failure.clone(),
                    since,
                };
                return Err(failure);
            }
            State::Failing { .. } => reopen(&self.path),
        };
        let written = database.and_then(|database| {
            let anew = is_anew.then(|| Anew {
                all: all(),
                clears: self.is_known,
            });
            match write(&database, rows, calls, anew.as_ref()) {
                Ok(()) => Ok(database),
                Err(error) => {
                    // Before it is dropped, so that the sentence tells of the first error.
                    let failure = failure(&self.path, &error);
                    drop(database);
                    Err(failure)
                }
            }
        });
        match written {
            Ok(database) => {
                if !self.is_known && is_anew {
                    warn!(
                        "{} could not be read at the start; services in it are kept, and served after the next start",
                        self.path.display()
                    );
                }
                self.state = State::Open(database);
                Ok(())
            }
            Err(failure) => {
                self.state = State::Failing {
                    failure: failure.clone(),
                    since: Instant::now(),
                };
                Err(failure)
            }
        }
    }
}

/// Opens the file at `path` and reads it into `found`; nothing if there is no file.
fn open_and_load(path: &Path, found: &mut Found) -> Result<Option<Database>, Failure> {
    match fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure(path, &error.into())),
    }
    let error = match open(path).and_then(|database| Ok((load(&database)?, database))) {
        Ok((stored, database)) => {
            found.take(stored);
            return Ok(Some(database));
        }
        Err(error) => error,
    };
    if error.is_corrupt() {
        let aside = quarantine(path)?;
        error!(
            "{} cannot be read ({error}); it is kept as {}, and services that were registered have to register anew",
            path.display(),
            aside.display()
        );
        found.quarantined = Some(aside);
        return Ok(None);
    }
    if error.is_of_disk() {
        // A full or read-only disk cannot be checked in place; what it has can be served all the same.
        match load_from_memory(path) {
            Ok(stored) => {
                found.take(stored);
                found.is_read = true;
            }
            Err(second) => warn!("{} cannot be read either: {second}", path.display()),
        }
    }
    Err(failure(path, &error))
}

/// Opens the file at `path` and checks every page of it.
fn open(path: &Path) -> Result<Database, Error> {
    let database = builder().open(path)?;
    check_schema(&database)?;
    Ok(database)
}

/// Opens it again after a failure; one that is corrupt by now is put aside.
fn reopen(path: &Path) -> Result<Database, Failure> {
    match open(path) {
        Ok(database) => Ok(database),
        Err(error) if error.is_corrupt() => {
            let aside = quarantine(path)?;
            error!(
                "{} cannot be read any more ({error}); it is kept as {}",
                path.display(),
                aside.display()
            );
            create(path)
        }
        Err(error) if error.is_absent() => create(path),
        Err(error) => Err(failure(path, &error)),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_OCTETS);
    // A plain open trusts the file and may panic over what it holds.
    builder.set_check_integrity_on_open(true);
    builder
}

/// Makes the file, and the directory it is in.
fn create(path: &Path) -> Result<Database, Failure> {
    let make = || -> Result<Database, Error> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let missing: Vec<_> = directory.ancestors().take_while(|it| !it.exists()).collect();
        // Nobody else's business: what is registered, and where.
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let database = builder().create(path)?;
        // A file that its directory does not have after a power cut was never synced, nor one whose directory is lost.
        let parents = missing.into_iter().filter_map(Path::parent);
        for changed in std::iter::once(directory).chain(parents) {
            // Of a relative path the last parent has no name.
            let named = if changed.as_os_str().is_empty() {
                Path::new(".")
            } else {
                changed
            };
            match File::open(named) {
                Ok(changed) => changed.sync_all()?,
                // We may enter and change it, and not read it; the kernel writes it back in its own time.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(database)
    };
    make().map_err(|error| failure(path, &error))
}

/// [`load`] from a copy, which alone is repaired.
fn load_from_memory(path: &Path) -> Result<Stored, Error> {
    let mut octets = Vec::new();
    File::open(path)?
        .take(MEMORY_OCTETS_MAX)
        .read_to_end(&mut octets)?;
    let copy = InMemoryBackend::new();
    copy.set_len(octets.len() as u64)?;
    copy.write(0, &octets)?;
    let database = builder().create_with_backend(copy)?;
    check_schema(&database)?;
    load(&database)
}

/// Renames a file that cannot be read, so that a new one can be made, and gives its new name.
fn quarantine(path: &Path) -> Result<PathBuf, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let aside = path.with_extension(format!("redb.corrupt-{}", since.as_millis()));
    fs::rename(path, &aside).map_err(|error| failure(path, &error.into()))?;
    Ok(aside)
}

#[cfg(test)]
mod power;
#[cfg(test)]
mod tests;
