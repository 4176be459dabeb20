//! The in-memory index of the log: the writes of each key, as etcd keeps it.
//!
//! An index in the file would put each new key on a page of its own: half of what a commit writes.
//! The keys are in memory anyway, for the watch cache, which shares their text. At the start they
//! are read once from the log.
//!
//! The writer changes the index after a commit and before it publishes. A reader looks up in the
//! index the rows that make up a state, then reads those rows from its own snapshot of the file.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Bound,
};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{Error, Event, Key, ListOptions, Revision};

/// A write, without its key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) revision: Revision,
    pub(super) deleted: bool,
}

/// A key and the revision before which a compaction removed its writes.
pub(super) type Removed = (Key, Revision);

/// The index of one store.
pub(super) struct Index(RwLock<Writes>);

/// The writes of every key, oldest first. Keys without writes are absent.
pub(super) struct Writes {
    of: BTreeMap<Key, Vec<Write>>,
    /// The oldest complete state.
    compacted: Revision,
}

/// The rows that make up a part of a state.
pub(super) struct Rows {
    /// The revisions of the rows, in the order of their keys.
    pub(super) revisions: Vec<Revision>,
    /// True if the limit left rows out.
    pub(super) more: bool,
}

impl Index {
    pub(super) fn new(writes: Writes) -> Self {
        Self(RwLock::new(writes))
    }

    /// Returns the last write to `key`, if one is kept.
    pub(super) fn newest(&self, key: &Key) -> Option<Write> {
        self.read().of.get(key)?.last().copied()
    }

    /// Returns the row of `key` in the state `at`, if the key exists in it.
    ///
    /// # Errors
    /// Returns `Compacted`.
    pub(super) fn row(&self, key: &Key, at: Revision) -> Result<Option<Revision>, Error> {
        let writes = self.read();
        writes.check(at)?;
        Ok(writes.of.get(key).and_then(|writes| state(writes, at)))
    }

    /// Returns the rows of a list in the state `at`.
    ///
    /// # Errors
    /// Returns `Compacted`.
    pub(super) fn rows(
        &self,
        prefix: &str,
        options: &ListOptions,
        at: Revision,
    ) -> Result<Rows, Error> {
        let writes = self.read();
        writes.check(at)?;
        let from = match &options.after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix),
        };
        let of_prefix = writes
            .of
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.as_str().starts_with(prefix));
        let mut rows = of_prefix.filter_map(|(_, writes)| state(writes, at));
        let limit = options.limit.unwrap_or(usize::MAX);
        let revisions = rows.by_ref().take(limit).collect();
        let more = rows.next().is_some();
        Ok(Rows { revisions, more })
    }

    /// Returns the writes to `key` before `below`, which a compaction may remove.
    pub(super) fn before(&self, key: &Key, below: Revision) -> Vec<Revision> {
        let writes = self.read();
        let of_key = writes.of.get(key).into_iter().flatten();
        let older = of_key.map(|write| write.revision);
        older.take_while(|revision| *revision < below).collect()
    }

    /// Applies the changes of a transaction.
    pub(super) fn commit(
        &self,
        events: &[Event],
        removed: &[Removed],
        compacted: Option<Revision>,
    ) {
        let mut writes = self.write();
        for event in events {
            writes.add(event.key.clone(), Write::of(event));
        }
        for (key, below) in removed {
            writes.remove(key, *below);
        }
        writes.compacted = compacted.unwrap_or(writes.compacted);
    }

    /// Replaces the index with the content of the log.
    pub(super) fn replace(&self, writes: Writes) {
        *self.write() = writes;
    }

    fn read(&self) -> RwLockReadGuard<'_, Writes> {
        self.0.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Writes> {
        self.0.write()
    }
}

impl Writes {
    /// Creates the writes of an empty log.
    pub(super) fn new(compacted: Revision) -> Self {
        let of = BTreeMap::new();
        Self { of, compacted }
    }

    /// Adds a write that is newer than all others.
    pub(super) fn add(&mut self, key: Key, write: Write) {
        match self.of.entry(key) {
            // Most keys are written once, so reserve space for one write.
            Entry::Vacant(entry) => _ = entry.insert(vec![write]),
            Entry::Occupied(mut entry) => entry.get_mut().push(write),
        }
    }

    fn remove(&mut self, key: &Key, below: Revision) {
        let Some(writes) = self.of.get_mut(key) else {
            return;
        };
        writes.retain(|write| write.revision >= below);
        if writes.is_empty() {
            self.of.remove(key);
        }
    }

    fn check(&self, at: Revision) -> Result<(), Error> {
        let oldest = self.compacted;
        match at < oldest {
            true => Err(Error::Compacted { oldest }),
            false => Ok(()),
        }
    }
}

impl Write {
    /// Creates the index entry of an event.
    pub(super) fn of(event: &Event) -> Self {
        Self {
            revision: event.revision,
            deleted: event.change == crate::Change::Deleted,
        }
    }
}

/// Returns the write that is the state of a key at `at`; `None` if the key does not exist then.
fn state(writes: &[Write], at: Revision) -> Option<Revision> {
    let until = writes.partition_point(|write| write.revision <= at);
    let newest = writes.get(until.checked_sub(1)?)?;
    (!newest.deleted).then_some(newest.revision)
}
