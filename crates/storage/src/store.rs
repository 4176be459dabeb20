//! The contract of a store: the guarantees of each call, so that the server above can rely on them
//! without knowing the backend. `conformance` tests these guarantees.
//!
//! * **Order.** Writes are totally ordered by revision. A watch delivers in that order, and a list
//!   shows the state at one revision.
//! * **Durability.** A write that returned `Ok` survives a crash. A write that returned
//!   [`Error::Unavailable`] or [`Error::Full`], or whose future was dropped, may or may not have
//!   happened.
//! * **Linearizability.** [`Store::get`], lists at [`At::Latest`] and [`Store::current_revision`]
//!   show every write acknowledged before they were called.
//! * **Damage.** A value that cannot be read back (a failed checksum or seal) fails [`Store::get`].
//!   So that one bad record does not make all others unavailable, lists, watches and conflicts
//!   return it with an *empty* value, which cannot be stored.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{Error, Key, Revision};

/// Maximum size of a value, in bytes: the request limit of etcd, which clients already respect.
pub const MAX_VALUE_BYTES: usize = 3 << 19;

/// A stored record.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The key of the record.
    pub key: Key,
    /// The bytes as written; empty if they are damaged.
    pub value: Bytes,
    /// The revision of the last write to the record.
    pub revision: Revision,
}

/// The state to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// The newest state.
    #[default]
    Latest,
    /// The state after exactly this write.
    Exactly(Revision),
}

/// The part and the state to list. The default is all of the newest state.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// The state to list.
    pub at: At,
    /// Exclusive lower bound of the keys.
    pub after: Option<Key>,
    /// Maximum number of records; `None` for all.
    pub limit: Option<usize>,
}

/// A page of records, as returned by [`Store::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records, in byte order of their keys.
    pub records: Vec<Record>,
    /// The revision of the state they belong to. List the next page at exactly this revision, and
    /// watch after it.
    pub revision: Revision,
    /// True if the limit left records out.
    pub more: bool,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key of the written record.
    pub key: Key,
    /// The revision of the write.
    pub revision: Revision,
    /// The effect of the write.
    pub change: Change,
}

/// The effect of a write.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// The record was created or replaced with this value (empty if it is damaged).
    Put(Bytes),
    /// The record was removed.
    Deleted,
}

/// Consecutive events of a watch; empty if only the revision advanced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The events, in order of their revisions.
    pub events: Vec<Event>,
    /// The revision up to which everything has been delivered. Watch after it to continue.
    pub revision: Revision,
}

/// The changes of the whole store. Ends after an error, and when the store shuts down. Dropping it
/// ends the watch. A slow reader does not block the store, and is not cut off before compaction
/// overtakes it.
pub type Watch = BoxStream<'static, Result<Batch, Error>>;

/// A revisioned key-value store. The module documentation states the guarantees of the whole.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns whether writes happen in the order in which they were started, so that of two
    /// concurrent writes the second is never visible without the first.
    fn is_ordered(&self) -> bool {
        false
    }

    /// Checks whether the store would accept a write now. Attempts a write if the state is not
    /// known, at most once a second however often this is called. May take as long as a write, so
    /// it needs a deadline.
    ///
    /// # Errors
    /// Returns `Unavailable`, `Full` or `Corrupt`.
    async fn check(&self) -> Result<(), Error> {
        self.current_revision().await.map(drop)
    }

    /// Returns the newest record at `key`, or `None` if it does not exist.
    ///
    /// # Errors
    /// Returns `Unavailable` or `Corrupt`.
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error>;

    /// Returns the records whose keys start with `prefix` (which should end with a `/`).
    ///
    /// # Errors
    /// Returns `Compacted` and `FutureRevision` for an exact revision, `Unavailable`, `Corrupt`.
    async fn list(&self, prefix: &str, options: &ListOptions) -> Result<Page, Error>;

    /// Writes a record that does not exist. Of concurrent creates of a key exactly one succeeds.
    ///
    /// # Errors
    /// Returns `Exists`, `TooLarge`, `Empty`, `Unavailable` or `Full`.
    async fn create(&self, key: &Key, value: Bytes) -> Result<Revision, Error>;

    /// Replaces the record iff its revision is `expected`, as one atomic step, even if the value
    /// stays the same.
    ///
    /// # Errors
    /// Returns `Conflict`, `TooLarge`, `Empty`, `Unavailable` or `Full`.
    async fn update(&self, key: &Key, value: Bytes, expected: Revision) -> Result<Revision, Error>;

    /// Removes the record iff its revision is `expected`, as one atomic step. The removal has a
    /// revision of its own.
    ///
    /// # Errors
    /// Returns `Conflict`, `Unavailable` or `Full`.
    async fn delete(&self, key: &Key, expected: Revision) -> Result<Revision, Error>;

    /// Watches every write after `after`: those that have happened, exactly once and in order, then
    /// every further one as it happens. All events of one revision are in one batch.
    ///
    /// # Errors
    /// Returns `Compacted`, `FutureRevision` or `Unavailable`. The stream fails with `Compacted` if
    /// it fell behind a compaction, `Unavailable` or `Corrupt`.
    async fn watch(&self, after: Revision) -> Result<Watch, Error>;

    /// Returns the revision of the newest acknowledged write, or of a newer one.
    ///
    /// # Errors
    /// Returns `Unavailable`.
    async fn current_revision(&self) -> Result<Revision, Error>;

    /// Returns the oldest revision that can be listed exactly and watched after.
    ///
    /// # Errors
    /// Returns `Unavailable`.
    async fn compacted_revision(&self) -> Result<Revision, Error>;

    /// Discards states before `through`. The state at `through` and everything after it are kept. A
    /// revision that is already compacted has no effect. Returns when the space is free for reuse.
    /// A dropped future leaves a compaction that is complete for readers, and whose space is freed
    /// by the next one.
    ///
    /// # Errors
    /// Returns `FutureRevision` or `Unavailable`.
    async fn compact(&self, through: Revision) -> Result<(), Error>;
}

/// Performs the checks that every backend makes on a value before writing it.
///
/// # Errors
/// Returns `Empty` or `TooLarge`.
pub fn check_value(value: &Bytes) -> Result<(), Error> {
    match value.len() {
        0 => Err(Error::Empty),
        size if size > MAX_VALUE_BYTES => Err(Error::TooLarge {
            size,
            limit: MAX_VALUE_BYTES,
        }),
        _ => Ok(()),
    }
}

/// Prints the size of the value, never its bytes: values may be secret.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = format_args!("{} bytes", self.value.len());
        f.debug_struct("Record")
            .field("key", &self.key)
            .field("value", &value)
            .field("revision", &self.revision)
            .finish()
    }
}

/// Like [`Record`].
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(value) => write!(f, "Put({} bytes)", value.len()),
            Self::Deleted => f.write_str("Deleted"),
        }
    }
}
