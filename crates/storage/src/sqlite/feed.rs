//! A watch: history from the log, then commits as they are published.
//!
//! It subscribes before it reads the head, so nothing between the two is missed, and duplicates are
//! recognised by their revision. Whenever the live commits do not continue at its position (at the
//! start, or because the watch was slow and the writer does not wait), it reads the log again.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    log,
    publication::{Commit, Publication},
    readers::Readers,
};
use crate::{At, Batch, Error, Revision, Watch};

/// Number of writes read from the log at a time. Bounds the memory of a slow watch.
const CATCH_UP: usize = 1000;

/// A watch and its position.
pub(super) struct Feed {
    position: Revision,
    behind: bool,
    failed: bool,
    live: broadcast::Receiver<Arc<Commit>>,
    readers: Arc<Readers>,
}

impl Feed {
    /// Opens a watch after the revision `after`.
    pub(super) fn open(
        after: Revision,
        readers: Arc<Readers>,
        publication: &Publication,
    ) -> Result<Watch, Error> {
        let live = publication.subscribe();
        publication.head().check(after)?;
        let feed = Self {
            position: after,
            behind: true,
            failed: false,
            live,
            readers,
        };
        let next = |mut feed: Self| async move { feed.next().await.map(|item| (item, feed)) };
        Ok(stream::unfold(feed, next).boxed())
    }

    /// Returns the next item of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Result<Batch, Error>> {
        if self.failed {
            return None;
        }
        loop {
            if self.behind {
                match self.catch_up().await {
                    Ok(batch) if batch.events.is_empty() => {}
                    result => {
                        self.failed = result.is_err();
                        return Some(result);
                    }
                }
            }
            match self.live.recv().await {
                Ok(commit) => {
                    if let Some(batch) = self.accept(&commit) {
                        return Some(Ok(batch));
                    }
                }
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Reads the next writes from the log, up to the head at most.
    async fn catch_up(&mut self) -> Result<Batch, Error> {
        let after = self.position;
        let read = move |rows: &rusqlite::Connection, head| {
            let oldest = log::compacted(rows)?;
            if after < oldest {
                return Err(Error::Compacted { oldest });
            }
            log::events(rows, after, head, CATCH_UP)
        };
        let batch = self.readers.at(At::Latest, read).await?;
        self.position = batch.revision;
        self.behind = batch.events.len() == CATCH_UP;
        Ok(batch)
    }

    /// Returns the part of a live commit that is new to this watch. After a gap, the watch falls
    /// back to reading the log.
    fn accept(&mut self, commit: &Commit) -> Option<Batch> {
        if commit.batch.revision <= self.position {
            return None;
        }
        if commit.after > self.position {
            self.behind = true;
            return None;
        }
        let mut batch = commit.batch.clone();
        batch.events.retain(|event| event.revision > self.position);
        self.position = batch.revision;
        Some(batch)
    }
}
