//! Fences: how a reader learns the revision it must not be behind.
//!
//! The API of Kubernetes has no way to ask an open watch how far it has come: a list tells the
//! host's newest revision, but a watch reaches that only with the next event of its own, or with a
//! bookmark, up to a minute later. So we make an event: one small Secret is written, and the
//! revision of that write is after all that was acknowledged before, *and* comes through the watch at
//! once.
//!
//! It costs one write in the host's etcd for all reads that wait at the same moment: who comes while
//! a write is under way waits for the next, never joins the running one, which may be older than
//! what it has to show. When nobody reads, one goes every two seconds, to check that the watch is
//! alive; the fences of other replicas count for that.

use std::sync::PoisonError;
use std::time::Duration;

use storage::{Error, Revision};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

/// Readers that wait for a fence; more wait to be among them.
const WAITING: usize = 1024;

/// Time for a fence, the write that is under way included. In a healthy cluster it takes
/// milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

type Reply = oneshot::Sender<Result<Revision, Error>>;

/// The queue in front of the fence.
pub(super) struct Fence {
    sender: mpsc::Sender<Reply>,
    receiver: Mutex<mpsc::Receiver<Reply>>,
    instance: String,
    number: std::sync::Mutex<u64>,
}

impl Fence {
    /// `instance` tells this process from all others.
    pub(super) fn new(instance: String) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            instance,
            number: std::sync::Mutex::default(),
        }
    }

    /// A revision after all writes that were acknowledged before the call.
    pub(super) async fn pass(&self) -> Result<Revision, Error> {
        let (reply, answer) = oneshot::channel();
        let passed = timeout(DEADLINE, async {
            let _ = self.sender.send(reply).await;
            answer.await
        });
        match passed.await {
            Ok(Ok(passed)) => passed,
            Ok(Err(_)) => Err(Error::unavailable("the store is shutting down")),
            Err(_) => Err(Error::unavailable("the host let a fence wait too long")),
        }
    }

    /// Asks for a fence without waiting for it.
    pub(super) fn nudge(&self) {
        // A full queue has one coming anyway.
        let _ = self.sender.try_send(oneshot::channel().0);
    }

    /// All who wait, when there is somebody. For one task at a time.
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
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        format!("{}-{number}", self.instance)
    }
}

/// Who is served by one write.
pub(super) struct Turn {
    /// What to write. No fence had it before: a write that changes nothing is none to the host.
    pub(super) stamp: String,
    waiting: Vec<Reply>,
}

impl Turn {
    /// The write is over.
    pub(super) fn end(self, passed: &Result<Revision, Error>) {
        for reply in self.waiting {
            // Who hung up does not need it.
            let _ = reply.send(passed.clone());
        }
    }
}
