//! Returning the space of removed records to the file system.

use rusqlite::Connection;

/// Free bytes in a file from which on rewriting it is worth the time.
const WORTHWHILE_BYTES: i64 = 16 << 20;

/// Rewrites the file without its free pages if they are more than half of it. The time and the
/// temporary space depend on the remaining data. If it fails, for example on a full disk, the file
/// is unchanged. The store must not be in use.
pub(super) fn reclaim(connection: &Connection) {
    match try_reclaim(connection) {
        Ok(0) => {}
        Ok(bytes) => tracing::info!(bytes, "the space of removed records was reclaimed"),
        Err(error) => {
            tracing::warn!(%error, "the space of removed records cannot be reclaimed at the moment");
        }
    }
}

/// Rewrites the file if that is worth it, and returns the number of reclaimed bytes.
fn try_reclaim(connection: &Connection) -> rusqlite::Result<i64> {
    let value = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let page = value("page_size")?;
    let free = value("freelist_count")?;
    if free * page < WORTHWHILE_BYTES || free <= value("page_count")? / 2 {
        return Ok(0);
    }
    connection.execute_batch("VACUUM")?;
    // Truncates the file, because the rewritten pages reach it through the write-ahead log.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok((free - value("freelist_count")?) * page)
}
