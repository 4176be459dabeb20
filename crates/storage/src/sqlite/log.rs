//! All SQL on the log. Each function is one or a few statements in a transaction of the caller.
//!
//! Every row has a checksum over its revision, key (or name) and value. A row of the log that fails
//! it is returned with an empty value, as [`crate::Store`] specifies.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::index::{Index, Removed, Rows, Write, Writes};
use crate::{Batch, Change, Error, Event, Key, Page, Record, Revision};

/// A mismatch between stored bytes and their checksum.
#[derive(Debug, thiserror::Error)]
#[error("the checksum of the row does not match")]
pub(super) struct Damaged;

/// A file that differs from what this program wrote.
#[derive(Debug, thiserror::Error)]
#[error("the database is damaged or incomplete: {0}")]
struct Incomplete(String);

/// The current and the compacted revision of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The newest revision ever written.
    pub(super) head: Revision,
    /// The oldest complete state.
    pub(super) compacted: Revision,
}

/// The revision of a new store.
pub(super) const BEGINNING: Revision = Revision::new(1);

/// Writes the marks of a new store.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    set_mark(connection, "compacted", BEGINNING)?;
    set_mark(connection, "swept", BEGINNING)
}

/// Reads the standing of the store. The newest row may have been compacted away, but the mark
/// remains.
pub(super) fn standing(connection: &Connection) -> Result<Standing, Error> {
    let compacted = compacted(connection)?;
    let newest: Option<i64> =
        connection.query_row("SELECT max(revision) FROM log", [], |row| row.get(0))?;
    Ok(Standing {
        head: compacted.max(newest.map_or(compacted, revision)),
        compacted,
    })
}

/// Returns the revision of the oldest complete state.
pub(super) fn compacted(connection: &Connection) -> Result<Revision, Error> {
    mark(connection, "compacted")
}

/// Makes the store begin after `revision`: the stored records become the state at it, and the
/// history before it is discarded.
pub(super) fn begin_after(connection: &Connection, revision: Revision) -> rusqlite::Result<()> {
    set_mark(connection, "compacted", revision)
}

/// Writes a mark without meaning, to find out whether the file can be written.
pub(super) fn touch(connection: &Connection, head: Revision) -> rusqlite::Result<()> {
    set_mark(connection, "touched", head)
}

/// Returns the size of the value of the write at `revision`, in bytes.
pub(super) fn value_bytes(connection: &Connection, revision: Revision) -> Result<usize, Error> {
    let mut query =
        connection.prepare_cached("SELECT length(value) FROM log WHERE revision = ?1")?;
    let bytes: Option<i64> = query.query_row([number(revision)], |row| row.get(0))?;
    Ok(usize::try_from(bytes.unwrap_or_default()).unwrap_or(usize::MAX))
}

/// Reads all writes, without their values.
pub(super) fn writes(connection: &Connection) -> Result<Writes, Error> {
    let mut writes = Writes::new(compacted(connection)?);
    let mut query =
        connection.prepare("SELECT revision, key, value IS NULL FROM log ORDER BY revision")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let write = Write {
            revision: revision(row.get(0)?),
            deleted: row.get(2)?,
        };
        writes.add(key(row)?, write);
    }
    Ok(writes)
}

/// Appends a write; the value `None` is a removal.
pub(super) fn append(
    connection: &Connection,
    at: Revision,
    key: &Key,
    value: Option<&Bytes>,
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO log VALUES (?1, ?2, ?3, ?4)")?;
    let value = value.map(Bytes::as_ref);
    let checksum = checksum(at, key.as_str(), value);
    insert
        .execute(params![number(at), key.as_str(), value, checksum])
        .map(drop)
}

const RECORD: &str = "SELECT revision, key, value, checksum FROM log WHERE revision = ?1";

/// Reads the record of the write at `revision`, which the index has found.
pub(super) fn record(connection: &Connection, revision: Revision) -> Result<Record, Error> {
    let mut query = connection.prepare_cached(RECORD)?;
    read_record(&mut query, revision)
}

/// Reads the records of these rows.
pub(super) fn records(connection: &Connection, rows: &Rows, at: Revision) -> Result<Page, Error> {
    let mut query = connection.prepare_cached(RECORD)?;
    let mut records = Vec::with_capacity(rows.revisions.len());
    for revision in &rows.revisions {
        let record = read_record(&mut query, *revision)?;
        report_damage(&record.key, *revision, &record.value);
        records.push(record);
    }
    Ok(Page {
        records,
        revision: at,
        more: rows.more,
    })
}

fn read_record(query: &mut Statement<'_>, revision: Revision) -> Result<Record, Error> {
    let mut rows = query.query([number(revision)])?;
    let event = rows.next()?.map(read).transpose()?;
    event.and_then(into_record).ok_or_else(is_missing)
}

/// Reads the next writes after `after`, at most `limit` of them, none beyond `through`. The batch's
/// revision is that of the last one. Revisions after the compacted one have no gaps: a gap is
/// damage.
pub(super) fn events(
    connection: &Connection,
    after: Revision,
    through: Revision,
    limit: usize,
) -> Result<Batch, Error> {
    let mut query = connection.prepare_cached(
        "SELECT revision, key, value, checksum FROM log
         WHERE revision > ?1 AND revision <= ?2 ORDER BY revision LIMIT ?3",
    )?;
    let limit_number = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = query.query(params![number(after), number(through), limit_number])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let event = read(row)?;
        if let Change::Put(value) = &event.change {
            report_damage(&event.key, event.revision, value);
        }
        events.push(event);
    }
    let revision = events.last().map_or(after, |event| event.revision);
    let complete = revision == through || events.len() == limit;
    let gapless = revision.get() - after.get() == events.len() as u64;
    if !complete || !gapless {
        return Err(is_missing());
    }
    Ok(Batch { events, revision })
}

/// Verifies everything: the structure of the file, the checksum of each row, and that no row is
/// missing.
pub(super) fn verify(connection: &Connection) -> Result<(), Error> {
    let report: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if report != "ok" {
        return Err(Error::corrupt(None, Incomplete(report)));
    }
    mark(connection, "swept")?;
    let compacted = compacted(connection)?;
    let mut next = compacted.get() + 1;
    let mut query =
        connection.prepare("SELECT revision, key, value, checksum FROM log ORDER BY revision")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let event = read(row)?;
        if matches!(&event.change, Change::Put(value) if value.is_empty()) {
            return Err(Error::corrupt(Some(event.key), Damaged));
        }
        if event.revision > compacted {
            if event.revision.get() != next {
                return Err(is_missing());
            }
            next += 1;
        }
    }
    Ok(())
}

/// The result of one step of a compaction.
pub(super) struct Compaction {
    /// The revision of the oldest complete state after the step.
    pub(super) compacted: Revision,
    /// The revision through which rows have been removed.
    pub(super) swept: Revision,
    /// The removed rows.
    pub(super) removed: Vec<Removed>,
}

/// Discards states before `through` (or before an earlier, greater mark) for readers, then removes
/// the superfluous rows of the next `steps` writes.
///
/// Only a write makes rows superfluous: all older ones of its key, and itself if it is a removal.
/// So this reads only the writes since the last compaction, not the whole log.
pub(super) fn compact(
    connection: &Connection,
    index: &Index,
    through: Revision,
    steps: usize,
) -> Result<Compaction, Error> {
    let compacted = compacted(connection)?.max(through);
    set_mark(connection, "compacted", compacted)?;
    let swept = mark(connection, "swept")?;

    let steps_number = i64::try_from(steps).unwrap_or(i64::MAX);
    let mut writes = connection.prepare_cached(
        "SELECT revision, key, value IS NULL FROM log
         WHERE revision > ?1 AND revision <= ?2 ORDER BY revision LIMIT ?3",
    )?;
    let mut writes = writes.query(params![number(swept), number(compacted), steps_number])?;
    let (mut removed, mut last) = (Vec::new(), swept);
    while let Some(row) = writes.next()? {
        last = revision(row.get(0)?);
        // A removal is removed together with the writes before it.
        let below = last.get() + u64::from(row.get::<_, bool>(2)?);
        removed.push((key(row)?, Revision::new(below)));
    }
    let mut remove = connection.prepare_cached("DELETE FROM log WHERE revision = ?1")?;
    for (key, below) in &removed {
        for older in index.before(key, *below) {
            remove.execute([number(older)])?;
        }
    }
    let swept = match removed.len() == steps {
        true => last,
        false => compacted,
    };
    set_mark(connection, "swept", swept)?;
    Ok(Compaction {
        compacted,
        swept,
        removed,
    })
}

fn mark(connection: &Connection, name: &str) -> Result<Revision, Error> {
    let mut query =
        connection.prepare_cached("SELECT revision, checksum FROM mark WHERE name = ?1")?;
    let read = |row: &Row<'_>| Ok((revision(row.get(0)?), row.get(1)?));
    let found: Option<(Revision, i64)> = query.query_row([name], read).optional()?;
    let intact = found.filter(|(at, stored)| *stored == i64::from(checksum(*at, name, None)));
    intact
        .map(|(at, _)| at)
        .ok_or_else(|| Error::corrupt(None, Damaged))
}

fn set_mark(connection: &Connection, name: &str, to: Revision) -> rusqlite::Result<()> {
    let mut update =
        connection.prepare_cached("INSERT OR REPLACE INTO mark VALUES (?1, ?2, ?3)")?;
    update
        .execute(params![name, number(to), checksum(to, name, None)])
        .map(drop)
}

/// Reads an event from the columns `revision, key, value, checksum`.
fn read(row: &Row<'_>) -> Result<Event, Error> {
    let at = revision(row.get(0)?);
    let key = key(row)?;
    let value = row
        .get_ref(2)?
        .as_blob_or_null()
        .map_err(|error| Error::corrupt(None, error))?;
    let expected = i64::from(checksum(at, key.as_str(), value));
    let intact = row.get::<_, i64>(3).is_ok_and(|stored| stored == expected);
    let change = match value {
        _ if !intact => Change::Put(Bytes::new()),
        Some(value) => Change::Put(Bytes::copy_from_slice(value)),
        None => Change::Deleted,
    };
    Ok(Event {
        key,
        revision: at,
        change,
    })
}

/// Reads the key from the second column.
fn key(row: &Row<'_>) -> Result<Key, Error> {
    let text = row.get_ref(1)?.as_str();
    let text = text.map_err(|error| Error::corrupt(None, error))?;
    Key::parse(text).map_err(|error| Error::corrupt(None, error))
}

fn is_missing() -> Error {
    let missing = Incomplete("a write is missing in the log".into());
    Error::corrupt(None, missing)
}

/// Logs damage where the other records are returned regardless.
fn report_damage(key: &Key, revision: Revision, value: &Bytes) {
    if value.is_empty() {
        tracing::error!(%key, %revision, "a record is damaged");
    }
}

fn into_record(event: Event) -> Option<Record> {
    match event.change {
        Change::Put(value) => Some(Record {
            key: event.key,
            value,
            revision: event.revision,
        }),
        Change::Deleted => None,
    }
}

/// Computes the checksum of a row. CRC-32 detects every error of up to 32 neighbouring bits.
fn checksum(at: Revision, key: &str, value: Option<&[u8]>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.get().to_le_bytes());
    hasher.update(key.as_bytes());
    // Keys contain no control characters, so the three parts are unambiguous.
    hasher.update(if value.is_some() { b"\x01" } else { b"\x00" });
    hasher.update(value.unwrap_or_default());
    hasher.finalize()
}

/// Converts a revision to SQLite's signed integer. Revisions start at 1 and a store writes fewer
/// than 2^63 of them.
fn number(revision: Revision) -> i64 {
    revision.get().cast_signed()
}

fn revision(number: i64) -> Revision {
    Revision::new(number.cast_unsigned())
}
