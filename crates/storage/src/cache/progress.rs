//! The progress of a cache in following its store.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{Error, Revision, Store};

/// The store behind a cache and the progress in following it.
pub(super) struct Source {
    pub(super) store: Arc<dyn Store>,
    pub(super) progress: Progress,
}

impl Source {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let progress = Progress {
            applied: AtomicU64::new(0),
            moved: watch::Sender::new(Revision::default()),
            closed: AtomicBool::new(false),
        };
        Self { store, progress }
    }
}

/// The applied revision. Reading it takes no lock, waiting for it does.
pub(super) struct Progress {
    applied: AtomicU64,
    moved: watch::Sender<Revision>,
    closed: AtomicBool,
}

impl Progress {
    /// Returns the applied revision. Every snapshot loaded from now on contains everything up to
    /// it.
    pub(super) fn applied(&self) -> Revision {
        Revision::new(self.applied.load(Acquire))
    }

    /// Advances to `to`. Must be called after all snapshots with changes up to `to` are published.
    pub(super) fn advance(&self, to: Revision) {
        self.applied.store(to.get(), Release);
        self.moved.send_replace(to);
    }

    /// Waits until `revision` is applied. Returns `FutureRevision` if it is not by `deadline`.
    pub(super) async fn wait(&self, revision: Revision, deadline: Instant) -> Result<(), Error> {
        if self.applied() >= revision {
            return Ok(());
        }
        let mut moved = self.moved.subscribe();
        let reached = timeout_at(deadline, moved.wait_for(|applied| *applied >= revision)).await;
        match reached {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::FutureRevision {
                requested: revision,
                current: self.applied(),
            }),
        }
    }

    /// Marks the cache as closed: nothing will be applied any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }
}
