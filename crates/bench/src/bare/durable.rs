//! Durable writes that share their `fdatasync`: what any store that commits in groups has to do.

use std::io;
use std::path::Path;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::fsync::Log;

/// Writes that may wait at once.
const QUEUE: usize = 1024;

/// The one writer.
pub(crate) struct Durable {
    queue: mpsc::Sender<oneshot::Sender<()>>,
}

impl Durable {
    /// Starts the writer's thread; it ends with this value.
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        let path = folder.join("durable");
        let (queue, waiting) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("durable".into())
            .spawn(move || write(&path, waiting))?;
        Ok(Self { queue })
    }

    /// Returns when a block is durable that was written for this call. If the disk fails it returns
    /// as well: then there is no limit to measure, and the server's own writes fail, too.
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
            // Its client may have gone.
            let _ = done.send(());
        }
    }
}

/// Appends to the log, which is made when it is needed: a start does not wait for it.
fn append(log: &mut Option<Log>, path: &Path, count: usize) -> io::Result<()> {
    match log {
        Some(log) => log.append(count),
        None => log.insert(Log::create(path)?).append(count),
    }
}
