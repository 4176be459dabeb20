//! How a connection is opened, what the tables are, and what SQLite's failures mean.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};

use super::{OpenError, log};
use crate::Error;

/// The format of the file, in its `user_version`. Raise it with every change of `TABLES`.
const FORMAT: i64 = 2;

/// The size to which the write-ahead log is cut when it starts over.
const LOG_BYTES: i64 = 32 << 20;

/// * `log`: every write. `value` is NULL for a removal. Which rows are of which key is kept in memory.
/// * `mark`: `compacted`, the oldest revision whose state is complete; `swept`, through which
///   the rows that it made superfluous have been removed; and `touched`, the head when it was last
///   tried whether the file can be written.
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

/// What format 1 had beside it.
const REMOVE_FORMAT_1: &str = "DROP INDEX log_by_key";

/// A connection that can write; makes the tables in a new file if it may.
///
/// # Errors
/// Also `Missing`, where there are no tables and none may be made.
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

/// A connection that cannot write.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    configure(&connection)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    // Statements are planned once, not anew for each row that is looked up.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cell_size_check", "ON")
}

/// What a failure of SQLite means to the caller of the store.
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
