//! A watch on a collection.

use std::sync::Arc;

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{collection::Published, progress::Source, snapshot::CacheEvent};
use crate::{Error, Revision};

/// Most events handed out at a time, more only when they share a revision. Bounds what a watch that
/// is far behind encodes before it writes.
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

    /// Everything of this collection up to here has been handed out: what a bookmark may say.
    pub fn position(&self) -> Revision {
        self.position
    }

    /// Waits for events and hands out those that are there, in order, one at least and about 256 at
    /// most. Dropping the future loses none.
    ///
    /// # Errors
    /// `Compacted` when the history has moved past the position, `Closed` after the last event.
    pub async fn next(&mut self) -> Result<Vec<Arc<CacheEvent<E>>>, Error> {
        loop {
            // First the bell, then the look: a change in between rings again.
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

    /// As [`EventCursor::next`], but by `deadline` returns even without events. The position has
    /// then moved to what the cache has applied: time for a bookmark.
    ///
    /// # Errors
    /// As for `next`.
    pub async fn next_or_progress(
        &mut self,
        deadline: Instant,
    ) -> Result<Vec<Arc<CacheEvent<E>>>, Error> {
        match timeout_at(deadline, self.next()).await {
            Ok(result) => result,
            Err(_) => self.try_next(),
        }
    }

    /// The events that are there, perhaps none. Does not wait.
    ///
    /// # Errors
    /// `Compacted` as for `next`.
    pub fn try_next(&mut self) -> Result<Vec<Arc<CacheEvent<E>>>, Error> {
        // In this order: the snapshot then holds everything up to `applied`.
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
