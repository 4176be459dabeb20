//! Who waits for the event of a removal, to learn its revision.

use std::sync::{Mutex, MutexGuard, PoisonError};

use storage::{Key, Revision};
use tokio::sync::oneshot;

/// The removals that are waited for: as many as there are calls under way.
#[derive(Default)]
pub(crate) struct Removals(Mutex<Vec<Waiting>>);

struct Waiting {
    key: Key,
    after: Revision,
    reply: oneshot::Sender<Revision>,
}

impl Removals {
    /// The revision of the first removal of `key` after a revision. Call it before the removal is
    /// asked for. The answer fails when the events of it may have been missed.
    pub(crate) fn wait(&self, key: &Key, after: Revision) -> oneshot::Receiver<Revision> {
        let (reply, answer) = oneshot::channel();
        let mut all = self.lock();
        // Who gave up.
        all.retain(|waiting| !waiting.reply.is_closed());
        all.push(Waiting {
            key: key.clone(),
            after,
            reply,
        });
        answer
    }

    /// The record was removed by the write `at`.
    pub(super) fn tell(&self, key: &Key, at: Revision) {
        let mut all = self.lock();
        let told = all.extract_if(.., |waiting| waiting.key == *key && waiting.after < at);
        for waiting in told {
            // Who gave up does not mind.
            let _ = waiting.reply.send(at);
        }
    }

    /// Events were missed.
    pub(super) fn fail(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
