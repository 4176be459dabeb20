//! All SQL on the log. Each function is one or a few statements in a transaction of the caller.
//!
//! Every row carries a checksum over its revision, key (or name) and value. A row of the log that
//! fails it is handed out with an empty value, as [`crate::Store`] has it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{Batch, Change, Error, Event, Key, ListOptions, Page, Record, Revision};

/// The stored bytes are not those that were written.
#[derive(Debug, thiserror::Error)]
#[error("the checksum of the row does not match")]
pub(super) struct Damaged;

/// The file is not what this program made it.
#[derive(Debug, thiserror::Error)]
#[error("the database is not whole: {0}")]
struct Incomplete(String);

/// Where a store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The newest revision ever written.
    pub(super) head: Revision,
    /// The oldest complete state.
    pub(super) compacted: Revision,
}

/// Makes the marks of a new store, which stands at revision 1.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    set_mark(connection, "compacted", Revision::new(1))?;
    set_mark(connection, "swept", Revision::new(1))
}

/// Reads where the store stands. The newest row may have been compacted away, never the mark.
pub(super) fn standing(connection: &Connection) -> Result<Standing, Error> {
    let compacted = compacted(connection)?;
    let newest: Option<i64> =
        connection.query_row("SELECT max(revision) FROM log", [], |row| row.get(0))?;
    Ok(Standing {
        head: compacted.max(newest.map_or(compacted, revision)),
        compacted,
    })
}

/// The oldest complete state.
pub(super) fn compacted(connection: &Connection) -> Result<Revision, Error> {
    mark(connection, "compacted")
}

/// The last write to a key, without its value.
pub(super) struct Newest {
    pub(super) revision: Revision,
    pub(super) deleted: bool,
}

/// The last write to `key`, if any is kept.
pub(super) fn newest(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Newest>> {
    let mut query = connection.prepare_cached(
        "SELECT revision, value IS NULL FROM log WHERE key = ?1 ORDER BY revision DESC LIMIT 1",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Newest {
            revision: revision(row.get(0)?),
            deleted: row.get(1)?,
        })
    };
    query.query_row([key.as_str()], read).optional()
}

/// Appends a write; `None` removes.
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

/// The record at `key` in the state `at`.
pub(super) fn get(
    connection: &Connection,
    key: &Key,
    at: Revision,
) -> Result<Option<Record>, Error> {
    let mut query = connection.prepare_cached(
        "SELECT revision, key, value, checksum FROM log
         WHERE key = ?1 AND revision <= ?2 ORDER BY revision DESC LIMIT 1",
    )?;
    let mut rows = query.query(params![key.as_str(), number(at)])?;
    Ok(rows.next()?.map(read).transpose()?.and_then(into_record))
}

/// A range of keys and how many of them.
pub(super) struct Span {
    from: String,
    below: String,
    limit: usize,
}

impl Span {
    /// The keys that a list asks for.
    pub(super) fn new(prefix: &str, options: &ListOptions) -> Self {
        let from = match &options.after {
            // The next string after a key in byte order.
            Some(after) if after.as_str() >= prefix => format!("{after}\0"),
            _ => prefix.to_owned(),
        };
        let below = format!("{prefix}{}", Key::ABOVE_ALL);
        Self {
            from,
            below,
            limit: options.limit.unwrap_or(usize::MAX),
        }
    }
}

/// The records of `span` in the state `at`.
pub(super) fn list(connection: &Connection, span: &Span, at: Revision) -> Result<Page, Error> {
    let mut query = connection.prepare_cached(
        "SELECT revision, key, value, checksum FROM log AS newest
         WHERE key >= ?1 AND key < ?2 AND value IS NOT NULL AND revision = (
             SELECT revision FROM log WHERE key = newest.key AND revision <= ?3
             ORDER BY revision DESC LIMIT 1)
         ORDER BY key",
    )?;
    let mut rows = query.query(params![span.from, span.below, number(at)])?;
    let mut records = Vec::new();
    let mut more = false;
    while let Some(row) = rows.next()? {
        if records.len() == span.limit {
            more = true;
            break;
        }
        let event = read(row)?;
        report_damage(&event);
        records.extend(into_record(event));
    }
    Ok(Page {
        records,
        revision: at,
        more,
    })
}

/// The next writes after `after`, `limit` of them, none beyond `through`. The batch's revision says
/// how far it got. Revisions after the compacted one have no gaps: one that is found is damage.
pub(super) fn events(
    connection: &Connection,
    (after, through): (Revision, Revision),
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
        report_damage(&event);
        events.push(event);
    }
    let revision = events.last().map_or(after, |event| event.revision);
    let complete = revision == through || events.len() == limit;
    let gapless = revision.get() - after.get() == events.len() as u64;
    if !complete || !gapless {
        let missing = Incomplete("a write is missing in the log".into());
        return Err(Error::corrupt(None, missing));
    }
    Ok(Batch { events, revision })
}

/// Reads everything: the structure of the file, the index, the checksum of each row.
pub(super) fn verify(connection: &Connection) -> Result<(), Error> {
    let report: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if report != "ok" {
        return Err(Error::corrupt(None, Incomplete(report)));
    }
    mark(connection, "swept")?;
    let mut query = connection.prepare("SELECT revision, key, value, checksum FROM log")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let event = read(row)?;
        if is_damaged(&event) {
            return Err(Error::corrupt(Some(event.key), Damaged));
        }
    }
    Ok(())
}

/// Forgets states before `through` (or before an earlier, greater mark) for readers, then removes
/// the superfluous rows of the next `steps` writes. Returns how far the removal has got.
///
/// Only a write makes rows superfluous: all older ones of its key, and itself if it is a removal.
/// So this looks at the writes since the last compaction, not at the whole log.
pub(super) fn compact(
    connection: &Connection,
    through: Revision,
    steps: usize,
) -> Result<Revision, Error> {
    let compacted = compacted(connection)?.max(through);
    set_mark(connection, "compacted", compacted)?;
    let swept = mark(connection, "swept")?;

    let steps_number = i64::try_from(steps).unwrap_or(i64::MAX);
    let mut writes = connection.prepare_cached(
        "SELECT revision, key, value IS NULL FROM log
         WHERE revision > ?1 AND revision <= ?2 ORDER BY revision LIMIT ?3",
    )?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let writes: Vec<(i64, String, bool)> = writes
        .query_map(
            params![number(swept), number(compacted), steps_number],
            read,
        )?
        .collect::<Result<_, _>>()?;
    // `deleted` counts as 1: a removal goes with what it removed.
    let mut older =
        connection.prepare_cached("DELETE FROM log WHERE key = ?1 AND revision < ?2 + ?3")?;
    for (at, key, deleted) in &writes {
        older.execute(params![key, at, deleted])?;
    }
    let last = writes.last().filter(|_| writes.len() == steps);
    let swept = last.map_or(compacted, |(at, ..)| revision(*at));
    set_mark(connection, "swept", swept)?;
    Ok(swept)
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

/// Reads the columns `revision, key, value, checksum`.
fn read(row: &Row<'_>) -> Result<Event, Error> {
    let at = revision(row.get(0)?);
    let text = row
        .get_ref(1)?
        .as_str()
        .map_err(|error| Error::corrupt(None, error))?;
    let value = row
        .get_ref(2)?
        .as_blob_or_null()
        .map_err(|error| Error::corrupt(None, error))?;
    let expected = i64::from(checksum(at, text, value));
    let intact = row.get::<_, i64>(3).is_ok_and(|stored| stored == expected);
    let key = Key::parse(text).map_err(|error| Error::corrupt(None, error))?;
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

/// For those who get the other records all the same.
fn report_damage(event: &Event) {
    if is_damaged(event) {
        tracing::error!(key = %event.key, revision = %event.revision, "a record is damaged");
    }
}

fn is_damaged(event: &Event) -> bool {
    matches!(&event.change, Change::Put(value) if value.is_empty())
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

/// CRC-32 finds every error of up to 32 neighbouring bits.
fn checksum(at: Revision, key: &str, value: Option<&[u8]>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.get().to_le_bytes());
    hasher.update(key.as_bytes());
    // No key holds a control character, so the three parts cannot run into each other.
    hasher.update(if value.is_some() { b"\x01" } else { b"\x00" });
    hasher.update(value.unwrap_or_default());
    hasher.finalize()
}

/// SQLite's integers are signed. Revisions start at 1 and a store writes less than 2^63 of them.
fn number(revision: Revision) -> i64 {
    revision.get().cast_signed()
}

fn revision(number: i64) -> Revision {
    Revision::new(number.cast_unsigned())
}
