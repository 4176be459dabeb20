//! Opens connections, defines the tables, and classifies SQLite's errors.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};

use super::{OpenError, log};
use crate::Error;

/// The format of the file, stored in its `user_version`. Must be raised with every change of
/// `TABLES`.
const FORMAT: i64 = 2;

/// The size to which the write-ahead log is truncated when it restarts, in bytes.
const LOG_BYTES: i64 = 32 << 20;

/// * `log`: every write. `value` is NULL for a removal. The mapping from keys to rows is kept in
///   memory.
/// * `mark`: `compacted`, the oldest revision whose state is complete; `swept`, the revision
///   through which rows made superfluous have been removed; and `touched`, the head when a check
///   last tried to write the file.
const TABLES: &str = "
    CREATE TABLE log (
        revision INTEGER PRIMARY KEY,
        key      TEXT NOT NULL,
        value    BLOB,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE mark (
        name     TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Removes the index that only format 1 had.
const REMOVE_FORMAT_1: &str = "DROP INDEX log_by_key";

/// Opens a connection that can write. Creates the tables in a new file if `may_create` is set.
///
/// # Errors
/// Also returns `Missing` if there are no tables and none may be created.
pub(super) fn open_writer(file: &Path, may_create: bool) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags)?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > FORMAT {
        return Err(OpenError::NewerFormat {
            found,
            known: FORMAT,
        });
    }
    if found == 0 && !may_create {
        return Err(OpenError::Missing(file.to_owned()));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    configure(&connection)?;
    if found < FORMAT {
        let tables = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match found {
            0 => {
                tables.execute_batch(TABLES)?;
                log::begin(&tables)?;
            }
            _ => tables.execute_batch(REMOVE_FORMAT_1)?,
        }
        tables.pragma_update(None, "user_version", FORMAT)?;
        tables.commit()?;
    }
    Ok(connection)
}

/// Opens a read-only connection.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    configure(&connection)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    // Statements are planned once, instead of again for each row that is looked up.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cell_size_check", "ON")
}

/// Maps a failure of SQLite to a store error.
pub(super) fn classify(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::corrupt(None, error),
        _ => Error::unavailable(error),
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        classify(error)
    }
}
