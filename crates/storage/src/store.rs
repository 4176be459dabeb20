//! The contract of a store: what each call promises, so that the server above can be reasoned about
//! without knowing the backend. `conformance` tests these sentences.
//!
//! * **Order.** Writes are totally ordered by revision. A watch delivers in that order, a list shows
//!   the state at one revision.
//! * **Durability.** A write that returned `Ok` survives a crash. One that returned
//!   [`Error::Unavailable`] or [`Error::Full`], or whose future was dropped, may or may not have happened.
//! * **Linearizability.** [`Store::get`], lists at [`At::Latest`] and [`Store::current_revision`]
//!   show every write acknowledged before they were called.
//! * **Damage.** A value that cannot be read back (a failed checksum or seal) fails [`Store::get`].
//!   So that one bad record does not take down all others, lists, watches and conflicts hand it out
//!   as an *empty* value, which no writer can store.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{Error, Key, Revision};

/// Most bytes of a value: the request limit of etcd, which clients already live with.
pub const MAX_VALUE_BYTES: usize = 3 << 19;

/// A stored record.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub key: Key,
    /// Its bytes as written; empty when they are damaged.
    pub value: Bytes,
    /// The write that made it what it is.
    pub revision: Revision,
}

/// Which state to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// The newest.
    #[default]
    Latest,
    /// That after exactly this write.
    Exactly(Revision),
}

/// What part of which state to list. The default is all of the newest.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// The state.
    pub at: At,
    /// Only keys after this one.
    pub after: Option<Key>,
    /// At most so many records; `None` for all.
    pub limit: Option<usize>,
}

/// An answer to [`Store::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In byte order of their keys.
    pub records: Vec<Record>,
    /// The state they belong to: list the next page at exactly it, watch after it.
    pub revision: Revision,
    /// Whether the limit left records out.
    pub more: bool,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The record written.
    pub key: Key,
    /// The write's revision.
    pub revision: Revision,
    /// What it did.
    pub change: Change,
}

/// What a write did.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Created or replaced the record with this value (empty when damaged).
    Put(Bytes),
    /// Removed the record.
    Deleted,
}

/// Consecutive events of a watch; none at all when only time passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// In order of their revisions.
    pub events: Vec<Event>,
    /// Everything up to here has been delivered. Watch after it to go on.
    pub revision: Revision,
}

/// The changes of the whole store. Ends after an error, and when the store shuts down. Dropping it
/// ends the watch. A slow reader is neither waited for nor cut off before compaction overtakes it.
pub type Watch = BoxStream<'static, Result<Batch, Error>>;

/// A revisioned key-value store. See the module for what holds for all of it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Whether writes happen in the order in which they are begun, so that of two at once nobody sees
    /// the second without the first.
    fn is_ordered(&self) -> bool {
        false
    }

    /// Whether the store would take a write now. It tries, where it does not know: as often as this is called, at most once a second. It may take as
    /// long as a write takes, so it needs a deadline.
    ///
    /// # Errors
    /// `Unavailable`, `Full`, `Corrupt`.
    async fn check(&self) -> Result<(), Error> {
        self.current_revision().await.map(drop)
    }

    /// The newest record at `key`, `None` when absent.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error>;

    /// The records whose keys start with `prefix` (give it with a trailing `/`).
    ///
    /// # Errors
    /// `Compacted` and `FutureRevision` for an exact revision, `Unavailable`, `Corrupt`.
    async fn list(&self, prefix: &str, options: &ListOptions) -> Result<Page, Error>;

    /// Writes a record that is not there. Of concurrent creates of a key exactly one succeeds.
    ///
    /// # Errors
    /// `Exists`, `TooLarge`, `Empty`, `Unavailable`, `Full`.
    async fn create(&self, key: &Key, value: Bytes) -> Result<Revision, Error>;

    /// Replaces the record iff its revision is `expected`, as one atomic step, also when the value
    /// stays the same.
    ///
    /// # Errors
    /// `Conflict`, `TooLarge`, `Empty`, `Unavailable`, `Full`.
    async fn update(&self, key: &Key, value: Bytes, expected: Revision) -> Result<Revision, Error>;

    /// Removes the record iff its revision is `expected`, as one atomic step. The removal has a
    /// revision of its own.
    ///
    /// # Errors
    /// `Conflict`, `Unavailable`, `Full`.
    async fn delete(&self, key: &Key, expected: Revision) -> Result<Revision, Error>;

    /// Every write after `after`, exactly once and in order, then every further one as it happens.
    /// All events of one revision come in one batch.
    ///
    /// # Errors
    /// `Compacted`, `FutureRevision`, `Unavailable`; on the stream `Compacted` when it fell behind
    /// a compaction, `Unavailable`, `Corrupt`.
    async fn watch(&self, after: Revision) -> Result<Watch, Error>;

    /// The revision of the newest acknowledged write, or of a newer one.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn current_revision(&self) -> Result<Revision, Error>;

    /// The oldest revision that can be listed exactly and watched after.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn compacted_revision(&self) -> Result<Revision, Error>;

    /// Forgets states before `through`. The state at `through` and what came after stay. Going back
    /// does nothing. Returns when the space is free for reuse; a dropped future leaves a compaction
    /// that is complete for readers and freed by the next one.
    ///
    /// # Errors
    /// `FutureRevision`, `Unavailable`.
    async fn compact(&self, through: Revision) -> Result<(), Error>;
}

/// The checks every backend makes on a value it is asked to write.
///
/// # Errors
/// `Empty`, `TooLarge`.
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

/// Values may be secret: their size is printed, never their bytes.
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

/// As for [`Record`].
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(value) => write!(f, "Put({} bytes)", value.len()),
            Self::Deleted => f.write_str("Deleted"),
        }
    }
}
