//! A watch on a collection.

use std::sync::Arc;

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{collection::Published, progress::Source, snapshot::CacheEvent};
use crate::{Error, Revision};

/// Maximum number of events returned at a time, exceeded only if they share a revision. Bounds the
/// data that a watch far behind encodes before it writes.
const AT_ONCE: usize = 256;

/// A position in the history of a collection.
pub struct EventCursor<E> {
    position: Revision,
    changed: watch::Receiver<()>,
    published: Arc<Published<E>>,
    source: Arc<Source>,
}

impl<E: Send + Sync + 'static> EventCursor<E> {
    pub(super) fn new(
        position: Revision,
        published: Arc<Published<E>>,
        source: Arc<Source>,
    ) -> Self {
        Self {
            position,
            changed: published.subscribe(),
            published,
            source,
        }
    }

    /// Returns the revision up to which everything of this collection has been returned. A bookmark
    /// may carry it.
    pub fn position(&self) -> Revision {
        self.position
    }

    /// Waits for events and returns those that are available, in order: at least one and about 256
    /// at most. Dropping the future loses none.
    ///
    /// # Errors
    /// Returns `Compacted` if the history has moved past the position, and `Closed` after the last
    /// event.
    pub async fn next(&mut self) -> Result<Vec<Arc<CacheEvent<E>>>, Error> {
        loop {
            // Register for the wake-up before reading, or a change in between would be missed.
            self.changed.borrow_and_update();
            let closed = self.source.progress.is_closed();
            let events = self.try_next()?;
            if !events.is_empty() {
                return Ok(events);
            }
            if closed || self.changed.changed().await.is_err() {
                return Err(Error::Closed);
            }
        }
    }

    /// Like [`EventCursor::next`], but returns by `deadline` even without events. The position has
    /// then advanced to what the cache has applied, so that a bookmark can be sent.
    ///
    /// # Errors
    /// Returns the same errors as `next`.
    pub async fn next_or_progress(
        &mut self,
        deadline: Instant,
    ) -> Result<Vec<Arc<CacheEvent<E>>>, Error> {
        match timeout_at(deadline, self.next()).await {
            Ok(result) => result,
            Err(_) => self.try_next(),
        }
    }

    /// Returns the available events, possibly none. Does not wait.
    ///
    /// # Errors
    /// Returns `Compacted` like `next`.
    pub fn try_next(&mut self) -> Result<Vec<Arc<CacheEvent<E>>>, Error> {
        // The order matters: the snapshot then contains everything up to `applied`.
        let applied = self.source.progress.applied();
        let snapshot = self.published.load();
        if self.position < snapshot.oldest() {
            return Err(Error::Compacted {
                oldest: snapshot.oldest(),
            });
        }
        let found = snapshot.events_after(self.position, AT_ONCE);
        if let Some(last) = found.events.last() {
            self.position = last.revision;
        }
        if found.all {
            self.position = self.position.max(applied);
        }
        Ok(found.events)
    }
}
