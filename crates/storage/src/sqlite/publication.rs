//! Publication of each commit to the rest of the process.

use std::sync::{
    Arc,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use tokio::sync::broadcast;

use super::log::Standing;
use crate::{Batch, Error, Revision};

/// Number of commits that a watch may lag behind before it reads the log instead. A commit holds up
/// to `max_batch` writes, so a small number is enough, and it bounds the memory held for a slow
/// watch.
const LIVE_COMMITS: usize = 64;

/// The head of the log as visible outside the writer.
pub(super) struct Head {
    newest: AtomicU64,
    compacted: AtomicU64,
}

impl Head {
    /// Returns the newest published revision. Everything up to it is committed.
    pub(super) fn newest(&self) -> Revision {
        Revision::new(self.newest.load(Acquire))
    }

    /// Returns the revision of the oldest complete state.
    pub(super) fn compacted(&self) -> Revision {
        Revision::new(self.compacted.load(Acquire))
    }

    /// Checks that the state at `revision` can be read.
    pub(super) fn check(&self, revision: Revision) -> Result<(), Error> {
        let (oldest, current) = (self.compacted(), self.newest());
        if revision < oldest {
            Err(Error::Compacted { oldest })
        } else if revision > current {
            Err(Error::FutureRevision {
                requested: revision,
                current,
            })
        } else {
            Ok(())
        }
    }
}

/// The writes of one transaction.
pub(super) struct Commit {
    /// The head before the transaction.
    pub(super) after: Revision,
    /// The writes; the revision of the batch is the head after the transaction.
    pub(super) batch: Batch,
}

/// The head and the stream of commits that move it. Watches end when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Publication {
    head: Arc<Head>,
    commits: broadcast::Sender<Arc<Commit>>,
}

impl Publication {
    pub(super) fn new(standing: Standing) -> Self {
        let head = Head {
            newest: AtomicU64::new(standing.head.get()),
            compacted: AtomicU64::new(standing.compacted.get()),
        };
        Self {
            head: Arc::new(head),
            commits: broadcast::Sender::new(LIVE_COMMITS),
        }
    }

    /// Returns the head, for read access.
    pub(super) fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// Advances the head, then sends the commit to the watches, so that a watcher that receives an
    /// event can read its state at once. Never waits.
    pub(super) fn publish(&self, commit: Commit) {
        self.head.newest.store(commit.batch.revision.get(), Release);
        // Fails only if there are no watches.
        let _ = self.commits.send(Arc::new(commit));
    }

    /// Publishes that states older than `compacted` are gone.
    pub(super) fn set_compacted(&self, compacted: Revision) {
        self.head.compacted.store(compacted.get(), Release);
    }

    /// Returns a receiver of every commit that is published from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Commit>> {
        self.commits.subscribe()
    }
}
