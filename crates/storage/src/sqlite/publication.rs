//! What the writer tells the rest of the process after each commit.

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

/// Commits a watch may lag behind before it reads the log instead. A commit holds up to
/// `max_batch` writes, so a small number is enough, and it bounds the memory held for a slow one.
const LIVE_COMMITS: usize = 64;

/// The head of the log as everybody but the writer sees it.
pub(super) struct Head {
    newest: AtomicU64,
    compacted: AtomicU64,
}

impl Head {
    /// The newest published revision. Everything up to it is committed.
    pub(super) fn newest(&self) -> Revision {
        Revision::new(self.newest.load(Acquire))
    }

    /// The oldest complete state.
    pub(super) fn compacted(&self) -> Revision {
        Revision::new(self.compacted.load(Acquire))
    }

    /// Whether the state at `revision` can be read.
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

/// One transaction's writes.
pub(super) struct Commit {
    /// The head before it.
    pub(super) after: Revision,
    /// Its writes; its revision is the head after it.
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

    /// For those who only look.
    pub(super) fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// Moves the head, then hands the commit to the watches: whoever sees an event can read its
    /// state at once. Never waits.
    pub(super) fn publish(&self, commit: Commit) {
        self.head.newest.store(commit.batch.revision.get(), Release);
        // Fails only when nobody watches.
        let _ = self.commits.send(Arc::new(commit));
    }

    /// Tells that older states are gone.
    pub(super) fn set_compacted(&self, compacted: Revision) {
        self.head.compacted.store(compacted.get(), Release);
    }

    /// Every commit that is published from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Commit>> {
        self.commits.subscribe()
    }
}
