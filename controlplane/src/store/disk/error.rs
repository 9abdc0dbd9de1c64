//! What can go wrong with the file, and what whoever runs us is told of it.

use std::io;
use std::path::Path;

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

use super::rows::SCHEMA;

/// Why the file does not take writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Failure {
    /// Whole sentence with the remedy.
    pub(crate) reason: String,
    /// Whether there is no room.
    pub(crate) is_full: bool,
}

/// What can go wrong with it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Transaction(#[from] Box<TransactionError>),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a later skydock wrote it (its rows have shape {0}, we know {SCHEMA})")]
    Later(u64),
}

impl From<TransactionError> for Error {
    /// In a box, for it is far larger than the others.
    fn from(error: TransactionError) -> Self {
        Self::Transaction(Box::new(error))
    }
}

impl Error {
    fn storage(&self) -> Option<&StorageError> {
        match self {
            Self::Database(DatabaseError::Storage(error))
            | Self::Storage(error)
            | Self::Table(TableError::Storage(error))
            | Self::Commit(CommitError::Storage(error)) => Some(error),
            Self::Transaction(error) => match &**error {
                TransactionError::Storage(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    fn io(&self) -> Option<&io::Error> {
        match (self, self.storage()) {
            (Self::Io(error), _) => Some(error),
            (_, Some(StorageError::Io(error))) => Some(error),
            _ => None,
        }
    }

    /// Whether the file is there and is none of ours, or a broken one.
    pub(super) fn is_corrupt(&self) -> bool {
        let by_io = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            )
        };
        matches!(self.storage(), Some(StorageError::Corrupted(_)))
            || matches!(
                self,
                Self::Table(TableError::TableTypeMismatch { .. } | TableError::TableIsMultimap(_))
            )
            || self.io().is_some_and(by_io)
    }

    /// Whether there is no file.
    pub(super) fn is_absent(&self) -> bool {
        self.io()
            .is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the disk, and not the file, is at fault.
    pub(super) fn is_of_disk(&self) -> bool {
        self.io().is_some()
    }
}

/// The sentence that tells whoever runs us why writes fail.
pub(super) fn failure(path: &Path, error: &Error) -> Failure {
    let kind = error.io().map(io::Error::kind);
    let is_full = matches!(
        kind,
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
    );
    let remedy = match kind {
        _ if is_full => "make room there",
        Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            "give --data-dir a directory that skydock may write in, or --ephemeral to keep nothing"
        }
        _ if matches!(error, Error::Database(DatabaseError::DatabaseAlreadyOpen)) => {
            "another skydock has it; give each its own --data-dir"
        }
        _ if matches!(
            error,
            Error::Later(_) | Error::Database(DatabaseError::UpgradeRequired(_))
        ) =>
        {
            "run the skydock that wrote it, or give --data-dir another directory"
        }
        _ => "look at the disk, or give --data-dir another directory",
    };
    Failure {
        reason: format!("{} cannot be written ({error}); {remedy}", path.display()),
        is_full,
    }
}
