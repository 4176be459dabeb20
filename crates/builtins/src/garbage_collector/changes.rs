//! The changes of several collections of one cache, in chronological order.

use std::sync::Arc;
use std::time::Duration;

use apiserver::stored_object::StoredObject;
use futures_util::future::select_all;
use storage::cache::{CacheEvent, Collection, EventCursor};
use storage::{Error, Revision};
use tokio::time::sleep;

/// Time for which changes are collected before they are processed, so that a busy server processes
/// many at once.
const GATHERING: Duration = Duration::from_millis(10);

/// A change of an object of the kind at a position.
pub(super) struct Change {
    pub(super) kind: usize,
    pub(super) event: Arc<CacheEvent<StoredObject>>,
}

/// The changes of several collections of one cache.
#[derive(Default)]
pub(super) struct Changes {
    followed: Vec<(Collection<StoredObject>, EventCursor<StoredObject>)>,
}

impl Changes {
    /// Follows another collection after this revision.
    ///
    /// # Errors
    /// `Compacted` if its history does not go back that far.
    pub(super) fn follow(
        &mut self,
        collection: &Collection<StoredObject>,
        after: Revision,
    ) -> Result<(), Error> {
        let cursor = collection.watch_from(after)?;
        self.followed.push((collection.clone(), cursor));
        Ok(())
    }

    /// Waits for changes and returns all that are available, of all collections. A batch with a
    /// change always contains everything that happened before it.
    ///
    /// # Errors
    /// `Compacted` after a gap, `Closed` after the last change.
    pub(super) async fn next(&mut self) -> Result<Vec<Change>, Error> {
        let waits = self
            .followed
            .iter_mut()
            .map(|(_, cursor)| Box::pin(cursor.next()));
        let (first, kind, _) = select_all(waits).await;
        sleep(GATHERING).await;
        let mut changes = Vec::new();
        extend(&mut changes, kind, first?);
        let newest = changes.iter().map(|change| change.event.revision).max();
        for (kind, (collection, cursor)) in self.followed.iter_mut().enumerate() {
            collection
                .not_older_than(newest.unwrap_or_default())
                .await?;
            loop {
                let more = cursor.try_next()?;
                if more.is_empty() {
                    break;
                }
                extend(&mut changes, kind, more);
            }
        }
        changes.sort_by_key(|change| change.event.revision);
        Ok(changes)
    }
}

fn extend(changes: &mut Vec<Change>, kind: usize, events: Vec<Arc<CacheEvent<StoredObject>>>) {
    changes.extend(events.into_iter().map(|event| Change { kind, event }));
}
