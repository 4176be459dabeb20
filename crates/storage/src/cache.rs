//! The newest state and recent history of a store, decoded once, in memory: the one read path.
//!
//! A [`Cache`] follows a store with a single watch. For each of its collections (a prefix of keys)
//! it publishes immutable snapshots: the objects, an index of them, and the last events. Readers
//! take the newest snapshot without a lock and keep it as long as they like. A watch is a position
//! in the history: it has no queue, so a slow one costs nothing and falls out when the history has
//! moved past it.
//!
//! Two facts make reads and watches fit together:
//! * a snapshot is published *before* the revision that `applied` shows, for all collections, so
//!   one that is loaded after reading `applied` holds everything up to it;
//! * hence a [`View`] is the state of its collection at exactly its `revision`, and a watch after
//!   that revision has neither gap nor repeat.
//!
//! A state of the past, for the next page of a list, is the newest one with the later events undone:
//! as far as the history reaches, no such read goes to the store.
//!
//! After a restart the state is read from where the kept history begins and the history is
//! replayed, so watches resume across restarts. What objects mean is left to [`Decode`].

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

/// Makes the cached form of a record.
pub trait Decode<E>: Send + Sync {
    /// Cannot fail: a value that makes no sense becomes an `E` that says so. An empty value is one
    /// that the store could not read back.
    fn decode(&self, key: &Key, value: &Bytes, revision: Revision) -> E;

    /// What [`View::indexed`] finds the object by, if anything: its owner, say.
    fn index(&self, object: &E) -> Option<Arc<str>> {
        let _ = object;
        None
    }

    /// The number of bytes that the object occupies, as [`View::usage`] and the bound of the history
    /// count it. The same each time for the same object.
    fn size(&self, object: &E) -> usize {
        let _ = object;
        0
    }
}

/// How a cache works.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// Events kept in each collection for watches to resume from.
    pub history: usize,
    /// The most bytes of earlier states that these events may hold, in each collection. The newest
    /// event is kept whatever its size.
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

/// A cache to be.
pub struct CacheBuilder<E> {
    source: Arc<Source>,
    collections: Vec<Working<E>>,
    options: CacheOptions,
}

impl<E: Send + Sync + 'static> CacheBuilder<E> {
    /// A cache of nothing yet.
    pub fn new(store: Arc<dyn Store>, options: CacheOptions) -> Self {
        Self {
            source: Arc::new(Source::new(store)),
            collections: Vec::new(),
            options,
        }
    }

    /// Also caches what is under `prefix`, which ends with `/`. Prefixes must not overlap. The
    /// collection is empty until the cache is started.
    pub fn collection(&mut self, prefix: &str, decode: Arc<dyn Decode<E>>) -> Collection<E> {
        let working = Working::new(prefix.to_owned(), decode);
        let collection = working.collection(&self.source);
        self.collections.push(working);
        collection
    }

    /// Reads the store up to its current revision. The cache then stands still until
    /// [`Cache::run`] runs.
    ///
    /// # Errors
    /// Those of [`Store::list`] and [`Store::watch`].
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

/// A store's state in memory. Clones share it.
pub struct Cache<E> {
    source: Arc<Source>,
    collections: Arc<[Collection<E>]>,
    feed: Arc<Mutex<Feed<E>>>,
}

impl<E: Send + Sync + 'static> Cache<E> {
    /// Follows the store until `shutdown`, then ends all watches. Failures of the store are logged
    /// and retried with growing pauses, reads from memory go on meanwhile. When the store has
    /// compacted what was missed, the state is read anew and watches from before it end with
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

    /// Everything up to here is in memory, in all collections.
    pub fn applied(&self) -> Revision {
        self.source.progress.applied()
    }

    /// Waits until `revision` is applied.
    ///
    /// # Errors
    /// `FutureRevision` when it is not by `deadline`.
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
