//! Callers that wait for the event of a removal, which contains its revision.

use parking_lot::{Mutex, MutexGuard};
use storage::{Key, Revision};
use tokio::sync::oneshot;

/// The awaited removals. There are at most as many as calls in flight.
#[derive(Default)]
pub(crate) struct Removals(Mutex<Vec<Waiting>>);

struct Waiting {
    key: Key,
    after: Revision,
    reply: oneshot::Sender<Revision>,
}

impl Removals {
    /// Waits for the first removal of `key` after a revision, and receives its revision. To be
    /// called before the removal is requested. The receiver fails if the event may have been
    /// missed.
    pub(crate) fn wait(&self, key: &Key, after: Revision) -> oneshot::Receiver<Revision> {
        let (reply, answer) = oneshot::channel();
        let mut all = self.lock();
        // These callers have given up.
        all.retain(|waiting| !waiting.reply.is_closed());
        all.push(Waiting {
            key: key.clone(),
            after,
            reply,
        });
        answer
    }

    /// Reports that the write `at` removed the record.
    pub(super) fn tell(&self, key: &Key, at: Revision) {
        let mut all = self.lock();
        let told = all.extract_if(.., |waiting| waiting.key == *key && waiting.after < at);
        for waiting in told {
            // The caller may have given up.
            let _ = waiting.reply.send(at);
        }
    }

    /// Fails all waiting callers, because events were missed.
    pub(super) fn fail(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock()
    }
}
