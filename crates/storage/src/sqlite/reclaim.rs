//! Giving the space of removed records back to the file system.

use rusqlite::Connection;

/// The free bytes in a file from which rewriting it is worth the time.
const WORTHWHILE_BYTES: i64 = 16 << 20;

/// Rewrites the file without its free pages where they are more than half of it. Takes time by what stays,
/// and as much space; where that fails, such as on a full disk, the file stays as it was. Nothing else may use
/// the store yet.
pub(super) fn reclaim(connection: &Connection) {
    match try_reclaim(connection) {
        Ok(0) => {}
        Ok(bytes) => tracing::info!(bytes, "space of removed records was given back"),
        Err(error) => {
            tracing::warn!(%error, "the space of removed records cannot be given back now");
        }
    }
}

/// The bytes that were given back.
fn try_reclaim(connection: &Connection) -> rusqlite::Result<i64> {
    let value = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let page = value("page_size")?;
    let free = value("freelist_count")?;
    if free * page < WORTHWHILE_BYTES || free <= value("page_count")? / 2 {
        return Ok(0);
    }
    connection.execute_batch("VACUUM")?;
    // Cuts the file, which the rewritten pages reach through the write-ahead log.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok((free - value("freelist_count")?) * page)
}
