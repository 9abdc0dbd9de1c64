//! What stands in the file, and how it is read and written.

use std::collections::HashMap;
use std::io;

use arcstr::ArcStr;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use tracing::error;

use super::error::Error;
use crate::store::callbacks::Call;
use crate::store::registration::Registration;

/// Rows: a registration as JSON, by its id.
const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("registrations");
/// Callbacks that are owed, as JSON, by their keys. Made with the first; a skydock that knows no such table leaves it.
const CALLS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("callbacks");
/// What the file says of itself.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// The key of [`SCHEMA`].
pub(super) const SCHEMA_KEY: &str = "schema";
/// What rows look like. A file with a greater one was written by a later skydock, and is left alone.
pub(super) const SCHEMA: u64 = 1;

/// What to change: a registration to store, or none to remove what has this id.
pub(crate) type Row<'r> = (&'r str, Option<&'r Registration>);
/// What to change: a callback to store, or none to remove what has this key.
pub(crate) type CallRow<'c> = (u64, Option<&'c Call>);

/// Everything that was stored before, as we know it.
#[derive(Debug, Default)]
pub(crate) struct All<'r> {
    pub(crate) registrations: HashMap<ArcStr, &'r Registration>,
    pub(crate) calls: Vec<&'r Call>,
}

/// A file that is new to us.
pub(super) struct Anew<'r> {
    pub(super) all: All<'r>,
    /// Whether nothing else may stay in it.
    pub(super) clears: bool,
}

/// What a file has.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) registrations: Vec<Registration>,
    /// In the order of their keys.
    pub(super) calls: Vec<Call>,
}

/// Everything that is stored. A row that cannot be read is left out, with an error in the log.
pub(super) fn load(database: &Database) -> Result<Stored, Error> {
    let mut stored = Stored::default();
    let transaction = database.begin_read()?;
    match transaction.open_table(ROWS) {
        Ok(rows) => {
            for row in rows.iter()? {
                let (id, value) = row?;
                stored
                    .registrations
                    .extend(registration(id.value(), value.value()));
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    match transaction.open_table(CALLS) {
        Ok(rows) => {
            for row in rows.iter()? {
                let (key, value) = row?;
                stored.calls.extend(call(key.value(), value.value()));
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(stored)
}

fn registration(id: &str, value: &[u8]) -> Option<Registration> {
    match serde_json::from_slice::<Registration>(value) {
        Ok(registration) if *registration.id == *id => return Some(registration),
        Ok(_) => error!("stored service {id:?} says that it is another; it is left out"),
        Err(error) => error!("stored service {id:?} cannot be read ({error}); it is left out"),
    }
    None
}

fn call(key: u64, value: &[u8]) -> Option<Call> {
    match serde_json::from_slice::<Call>(value) {
        Ok(mut call) => {
            call.key = key;
            Some(call)
        }
        Err(error) => {
            error!("stored callback {key} cannot be read ({error}); it is left out");
            None
        }
    }
}

pub(super) fn check_schema(database: &Database) -> Result<(), Error> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match meta.get(SCHEMA_KEY)? {
        Some(schema) if schema.value() > SCHEMA => Err(Error::Later(schema.value())),
        _ => Ok(()),
    }
}

/// One transaction: `rows` and `calls`, behind what a file that is new to us is to have.
pub(super) fn write(
    database: &Database,
    rows: &[Row<'_>],
    calls: &[CallRow<'_>],
    anew: Option<&Anew<'_>>,
) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    if let Some(anew) = anew {
        transaction.open_table(META)?.insert(SCHEMA_KEY, SCHEMA)?;
        if anew.clears {
            transaction.delete_table(ROWS)?;
            transaction.delete_table(CALLS)?;
        }
    }
    {
        let mut table = transaction.open_table(ROWS)?;
        let all = anew.into_iter().flat_map(|anew| &anew.all.registrations);
        let all = all.map(|(id, registration)| (&**id, Some(*registration)));
        for (id, registration) in all.chain(rows.iter().copied()) {
            match registration {
                Some(registration) => {
                    let value = serde_json::to_vec(registration).map_err(io::Error::from)?;
                    table.insert(id, value.as_slice())?;
                }
                None => {
                    table.remove(id)?;
                }
            }
        }
    }
    let all = anew.into_iter().flat_map(|anew| &anew.all.calls);
    let all = all.map(|call| (call.key, Some(*call)));
    let mut calls = all.chain(calls.iter().copied()).peekable();
    // Most transactions have nothing to do with them.
    if calls.peek().is_some() {
        let mut table = transaction.open_table(CALLS)?;
        for (key, call) in calls {
            match call {
                Some(call) => {
                    let value = serde_json::to_vec(call).map_err(io::Error::from)?;
                    table.insert(key, value.as_slice())?;
                }
                None => {
                    table.remove(key)?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}
