//! Durable writes that share their `fdatasync`: the minimum that any store with group commits has
//! to do.

use std::io;
use std::path::Path;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::fsync::Log;

/// Maximum number of waiting writes.
const QUEUE: usize = 1024;

/// A handle of the writer's thread.
pub(crate) struct Durable {
    queue: mpsc::Sender<oneshot::Sender<()>>,
}

impl Durable {
    /// Starts the writer's thread. The thread ends when this value is dropped.
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        let path = folder.join("durable");
        let (queue, waiting) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("durable".into())
            .spawn(move || write(&path, waiting))?;
        Ok(Self { queue })
    }

    /// Returns when a block is durable that was written for this call. Also returns if the disk
    /// fails: then there is no limit to measure, and the server's own writes fail, too.
    pub(crate) async fn wait(&self) {
        let (done, durable) = oneshot::channel();
        if self.queue.send(done).await.is_ok() {
            let _ = durable.await;
        }
    }
}

fn write(path: &Path, mut waiting: mpsc::Receiver<oneshot::Sender<()>>) {
    let mut log = None;
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while let Ok(next) = waiting.try_recv() {
            group.push(next);
        }
        if append(&mut log, path, group.len()).is_err() {
            return;
        }
        for done in group {
            // The client may be gone.
            let _ = done.send(());
        }
    }
}

/// Appends to the log, which is created on first use so that a start does not wait for it.
fn append(log: &mut Option<Log>, path: &Path, count: usize) -> io::Result<()> {
    match log {
        Some(log) => log.append(count),
        None => log.insert(Log::create(path)?).append(count),
    }
}
