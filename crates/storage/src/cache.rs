//! The newest state and recent history of a store, decoded once and kept in memory. All reads of
//! the server go through it.
//!
//! A [`Cache`] follows a store with a single watch. For each of its collections (a prefix of keys)
//! it publishes immutable snapshots: the objects, an index of them, and the last events. Readers
//! take the newest snapshot without a lock and may hold it for any time. A watch is a position in
//! the history: it has no queue, so a slow watch costs nothing and fails once the history has moved
//! past it.
//!
//! Two invariants make reads and watches consistent:
//! * A snapshot is published *before* the revision that `applied` shows, for all collections, so a
//!   snapshot that is loaded after reading `applied` contains everything up to it.
//! * Hence a [`View`] is the state of its collection at exactly its `revision`, and a watch after
//!   that revision has neither gap nor repeat.
//!
//! A state of the past, for the next page of a list, is the newest one with the later events
//! undone: as far as the history reaches, no such read goes to the store.
//!
//! After a restart the state is read at the beginning of the kept history, and the history is
//! replayed, so watches resume across restarts. The meaning of objects is left to [`Decode`].

use std::sync::Arc;

use bytes::Bytes;
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use self::{
    feed::{Feed, Working},
    progress::Source,
};
use crate::{Error, Key, Revision, Store};

mod collection;
mod cursor;
mod feed;
mod progress;
mod snapshot;
#[cfg(test)]
mod tests;

pub use self::{
    collection::Collection,
    cursor::EventCursor,
    snapshot::{CacheEvent, Usage, View},
};

/// Decodes records into their cached form.
pub trait Decode<E>: Send + Sync {
    /// Decodes a record. Never fails: a value that cannot be parsed becomes an `E` that says so. An
    /// empty value is one that the store could not read back.
    fn decode(&self, key: &Key, value: &Bytes, revision: Revision) -> E;

    /// Returns the index value of the object, such as its owner, for [`View::indexed`].
    fn index(&self, object: &E) -> Option<Arc<str>> {
        let _ = object;
        None
    }

    /// Returns the number of bytes that the object occupies, for [`View::usage`] and the bound of
    /// the history. Must always be the same for the same object.
    fn size(&self, object: &E) -> usize {
        let _ = object;
        0
    }
}

/// Options of a cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// Number of events kept in each collection for watches to resume from.
    pub history: usize,
    /// Maximum number of bytes of earlier states that these events may hold, in each collection.
    /// The newest event is kept regardless of its size.
    pub history_bytes: usize,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            history: 8192,
            history_bytes: 64 << 20,
        }
    }
}

/// A builder of a cache.
pub struct CacheBuilder<E> {
    source: Arc<Source>,
    collections: Vec<Working<E>>,
    options: CacheOptions,
}

impl<E: Send + Sync + 'static> CacheBuilder<E> {
    /// Creates a builder without collections.
    pub fn new(store: Arc<dyn Store>, options: CacheOptions) -> Self {
        Self {
            source: Arc::new(Source::new(store)),
            collections: Vec::new(),
            options,
        }
    }

    /// Adds the collection of the keys under `prefix`, which must end with `/`. Prefixes must not
    /// overlap. The collection is empty until the cache is started.
    pub fn collection(&mut self, prefix: &str, decode: Arc<dyn Decode<E>>) -> Collection<E> {
        let working = Working::new(prefix.to_owned(), decode);
        let collection = working.collection(&self.source);
        self.collections.push(working);
        collection
    }

    /// Reads the store up to its current revision. The cache is then not updated until
    /// [`Cache::run`] is called.
    ///
    /// # Errors
    /// Returns the errors of [`Store::list`] and [`Store::watch`].
    pub async fn start(self) -> Result<Cache<E>, Error> {
        let collections = self.collections.iter();
        let collections = collections
            .map(|working| working.collection(&self.source))
            .collect();
        let mut feed = Feed::new(self.source.clone(), self.options, self.collections);
        feed.start().await?;
        Ok(Cache {
            source: self.source,
            collections,
            feed: Arc::new(Mutex::new(feed)),
        })
    }
}

/// The state of a store in memory. Clones share it.
pub struct Cache<E> {
    source: Arc<Source>,
    collections: Arc<[Collection<E>]>,
    feed: Arc<Mutex<Feed<E>>>,
}

impl<E: Send + Sync + 'static> Cache<E> {
    /// Follows the store until `shutdown`, then ends all watches. Failures of the store are logged
    /// and retried with growing pauses; reads from memory continue meanwhile. If the store has
    /// compacted what was missed, the state is read again and watches from before it end with
    /// [`Error::Compacted`]. Dropping the future only pauses the cache.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut feed = self.feed.lock().await;
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = feed.follow() => {}
        }
        self.source.progress.close();
        for collection in self.collections.iter() {
            collection.wake();
        }
    }

    /// Returns the revision up to which everything is in memory, in all collections.
    pub fn applied(&self) -> Revision {
        self.source.progress.applied()
    }

    /// Waits until `revision` is applied.
    ///
    /// # Errors
    /// Returns `FutureRevision` if it is not applied by `deadline`.
    pub async fn wait_applied(&self, revision: Revision, deadline: Instant) -> Result<(), Error> {
        self.source.progress.wait(revision, deadline).await
    }
}

impl<E> Clone for Cache<E> {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            collections: self.collections.clone(),
            feed: self.feed.clone(),
        }
    }
}
