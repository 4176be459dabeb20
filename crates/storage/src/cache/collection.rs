//! The reader's handle of a collection.

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use tokio::{sync::watch, time::Instant};

use super::{
    Decode,
    cursor::EventCursor,
    progress::Source,
    snapshot::{Snapshot, View},
};
use crate::{Error, Revision};

/// Maximum time that a read waits for the cache to reach its revision. The same as that of
/// kube-apiserver (`k8s.io/apiserver/pkg/storage/cacher/watch_cache.go`, `blockTimeout`).
const WAIT: Duration = Duration::from_secs(3);

/// The objects under one prefix. Clones share them.
pub struct Collection<E> {
    prefix: Arc<str>,
    decode: Arc<dyn Decode<E>>,
    published: Arc<Published<E>>,
    source: Arc<Source>,
}

impl<E: Send + Sync + 'static> Collection<E> {
    /// Returns the prefix of the keys.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the newest state in memory, which may be older than the store's.
    pub fn view(&self) -> View<E> {
        let applied = self.source.progress.applied();
        View::new(applied, self.published.snapshot.load_full())
    }

    /// Returns a state that contains every write acknowledged before this call.
    ///
    /// # Errors
    /// Returns `Unavailable` if the store does not answer, or the cache does not catch up within 3
    /// seconds.
    pub async fn latest(&self) -> Result<View<E>, Error> {
        let current = self.source.store.current_revision().await?;
        let behind = |_| Error::unavailable("the watch cache lags behind the store");
        self.source
            .progress
            .wait(current, Instant::now() + WAIT)
            .await
            .map_err(behind)?;
        Ok(self.view())
    }

    /// Returns a state at `revision` or later.
    ///
    /// # Errors
    /// Returns `FutureRevision` if it is not reached within 3 seconds.
    pub async fn not_older_than(&self, revision: Revision) -> Result<View<E>, Error> {
        self.source
            .progress
            .wait(revision, Instant::now() + WAIT)
            .await?;
        Ok(self.view())
    }

    /// Returns the state at exactly `revision`: the newest state with the later events undone.
    /// Returns `None` if the cache has not reached that revision, or its history does not reach
    /// back that far.
    pub fn at(&self, revision: Revision) -> Option<View<E>> {
        // The order matters: the snapshot then contains everything up to `applied`.
        let applied = self.source.progress.applied();
        let snapshot = self.published.snapshot.load_full();
        if revision < snapshot.oldest() || revision > applied.max(snapshot.revision()) {
            return None;
        }
        if snapshot.revision() <= revision {
            return Some(View::at(revision, snapshot));
        }
        let past = snapshot.at(revision, &*self.decode);
        Some(View::at(revision, Arc::new(past)))
    }

    /// Returns a cursor over every change after `after`, those in memory and those to come.
    ///
    /// # Errors
    /// Returns `Compacted` if the history does not reach back that far.
    pub fn watch_from(&self, after: Revision) -> Result<EventCursor<E>, Error> {
        let oldest = self.published.load().oldest();
        if after < oldest {
            return Err(Error::Compacted { oldest });
        }
        Ok(EventCursor::new(
            after,
            self.published.clone(),
            self.source.clone(),
        ))
    }

    pub(super) fn new(
        prefix: &str,
        decode: Arc<dyn Decode<E>>,
        published: Arc<Published<E>>,
        source: Arc<Source>,
    ) -> Self {
        Self {
            prefix: Arc::from(prefix),
            decode,
            published,
            source,
        }
    }

    /// Wakes all watches.
    pub(super) fn wake(&self) {
        self.published.changed.send_replace(());
    }
}

impl<E> Clone for Collection<E> {
    fn clone(&self) -> Self {
        Self {
            prefix: self.prefix.clone(),
            decode: self.decode.clone(),
            published: self.published.clone(),
            source: self.source.clone(),
        }
    }
}

/// The newest snapshot, and the channel that signals a newer one.
pub(super) struct Published<E> {
    snapshot: ArcSwap<Snapshot<E>>,
    changed: watch::Sender<()>,
}

impl<E> Published<E> {
    pub(super) fn new(snapshot: Snapshot<E>) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            changed: watch::Sender::new(()),
        }
    }

    /// Returns the newest snapshot, to be held briefly.
    pub(super) fn load(&self) -> Guard<Arc<Snapshot<E>>> {
        self.snapshot.load()
    }

    /// Replaces the snapshot, then wakes the watches.
    pub(super) fn publish(&self, snapshot: Snapshot<E>) {
        self.snapshot.store(Arc::new(snapshot));
        self.changed.send_replace(());
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
