//! Moving the write-ahead log into the database file, off the commit path.
//!
//! A thread of its own runs passive checkpoints, which block neither the writer nor readers. A
//! writer that never pauses keeps such a checkpoint from ever reaching the end of the log, and only
//! then SQLite starts the log over. So when the log has grown far beyond the threshold, the thread,
//! having moved nearly all of it, asks the writer to move the small rest between two commits.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::{OpenError, schema};

/// Bytes of a page in the write-ahead log, its header left aside.
pub(super) const PAGE: usize = 4096;

/// Pages that every commit writes: the first one, and one that is not full.
const PAGES_OF_COMMIT: usize = 2;

/// The log may grow to this many times the threshold before the writer has to help.
const PATIENCE: usize = 4;

/// The writer's end. Dropping it stops the thread and waits for it.
pub(super) struct Checkpointer {
    threshold: usize,
    written: usize,
    finish: Arc<AtomicBool>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread, whose end cancels `ended`. `threshold` is in bytes.
    pub(super) fn start(
        file: &Path,
        threshold: usize,
        ended: CancellationToken,
    ) -> Result<Self, OpenError> {
        let connection = schema::open_writer(file)?;
        let finish = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let limit_pages = i64::try_from(threshold / PAGE * PATIENCE).unwrap_or(i64::MAX);
        let worker = Worker {
            connection,
            limit_pages,
            finish: finish.clone(),
        };
        let guard = ended.drop_guard();
        let thread = thread::Builder::new()
            .name("storage-checkpoint".into())
            .spawn(move || {
                // Dropped last, also where the thread panics.
                let _guard = guard;
                worker.run(&woken);
            })
            .map_err(OpenError::Io)?;
        Ok(Self {
            threshold,
            written: 0,
            finish,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Counts a commit of about so many bytes.
    pub(super) fn committed(&mut self, bytes: usize) {
        self.written += bytes + PAGES_OF_COMMIT * PAGE;
        let due = self.written >= self.threshold;
        if due
            && self
                .wake
                .as_ref()
                .is_some_and(|wake| wake.try_send(()).is_ok())
        {
            self.written = 0;
        }
    }

    /// Moves the rest of the log if the thread asked for it. Called between commits.
    pub(super) fn help(&self, writer: &Connection) {
        if self.finish.swap(false, Relaxed) {
            finish(writer);
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the storage checkpointer had panicked");
        }
    }
}

struct Worker {
    connection: Connection,
    limit_pages: i64,
    finish: Arc<AtomicBool>,
}

impl Worker {
    fn run(self, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            if self.finish.load(Relaxed) {
                // The writer's turn: it could not run a checkpoint beside one of ours.
                continue;
            }
            match run(&self.connection) {
                Ok(pages) => self.finish.store(pages > self.limit_pages, Relaxed),
                Err(error) => warn(&error),
            }
        }
    }
}

/// Moves what is left while nobody writes.
pub(super) fn finish(writer: &Connection) {
    if let Err(error) = run(writer) {
        warn(&error);
    }
}

/// Moves what can be moved. Returns how many pages the write-ahead log had; -1 when another
/// checkpoint was running. It cannot tell what the writer appended meanwhile.
fn run(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
}

/// Nothing is lost: the log grows and the next checkpoint tries again.
fn warn(error: &rusqlite::Error) {
    tracing::warn!(%error, "a checkpoint failed");
}
