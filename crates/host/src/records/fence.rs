//! Fences provide the revision that a reader must have reached.
//!
//! The Kubernetes API cannot be asked how far an open watch has come. A list returns the host's
//! newest revision, but a watch reaches that only with its next event, or with a bookmark up to a
//! minute later. So the store causes an event: it writes one small Secret. The revision of that
//! write is newer than everything that was acknowledged before, *and* the watch delivers it at
//! once.
//!
//! One write in the host's etcd serves all readers that wait at that moment. A reader that comes
//! while a write is in progress waits for the next one. It must not join the running write, which
//! may be older than what the reader has to see. Without readers a fence is written every two
//! seconds to check that the watch is alive; the fences of other replicas serve the same purpose.

use std::time::Duration;

use storage::{Error, Revision};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

/// Maximum number of readers in the queue. Further readers wait for room in it.
const WAITING: usize = 1024;

/// Time limit for a fence, including the write in progress. In a healthy cluster it takes
/// milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

type Reply = oneshot::Sender<Result<Revision, Error>>;

/// The queue of readers that wait for a fence.
pub(super) struct Fence {
    sender: mpsc::Sender<Reply>,
    receiver: Mutex<mpsc::Receiver<Reply>>,
    instance: String,
    number: parking_lot::Mutex<u64>,
}

impl Fence {
    /// Creates a queue. `instance` identifies this process uniquely.
    pub(super) fn new(instance: String) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            instance,
            number: parking_lot::Mutex::default(),
        }
    }

    /// Waits for a fence. Returns a revision newer than all writes that were acknowledged before
    /// the call.
    pub(super) async fn pass(&self) -> Result<Revision, Error> {
        let (reply, answer) = oneshot::channel();
        let passed = timeout(DEADLINE, async {
            let _ = self.sender.send(reply).await;
            answer.await
        });
        match passed.await {
            Ok(Ok(passed)) => passed,
            Ok(Err(_)) => Err(Error::unavailable("the store is shutting down")),
            Err(_) => Err(Error::unavailable(
                "the host did not complete a fence in time",
            )),
        }
    }

    /// Requests a fence without waiting for it.
    pub(super) fn nudge(&self) {
        // If the queue is full, a fence will be written anyway.
        let _ = self.sender.try_send(oneshot::channel().0);
    }

    /// Waits for a reader, then takes all waiting readers. Only for one task at a time.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let mut receiver = self.receiver.lock().await;
        let mut waiting = vec![receiver.recv().await?];
        while let Ok(next) = receiver.try_recv() {
            waiting.push(next);
        }
        let stamp = self.stamp();
        Some(Turn { stamp, waiting })
    }

    fn stamp(&self) -> String {
        let mut number = self.number.lock();
        *number += 1;
        format!("{}-{number}", self.instance)
    }
}

/// The readers that one write serves.
pub(super) struct Turn {
    /// The content to write. No fence had it before, since the host ignores a write without
    /// changes.
    pub(super) stamp: String,
    waiting: Vec<Reply>,
}

impl Turn {
    /// Reports the result of the write to the readers.
    pub(super) fn end(self, passed: &Result<Revision, Error>) {
        for reply in self.waiting {
            // The reader may have given up.
            let _ = reply.send(passed.clone());
        }
    }
}
