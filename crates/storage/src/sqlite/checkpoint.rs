//! Checkpoints, which move the write-ahead log into the database file, off the commit path.
//!
//! A dedicated thread runs passive checkpoints, which block neither the writer nor readers. While
//! the writer never pauses, such a checkpoint never reaches the end of the log, and only then does
//! SQLite restart the log. So when the log has grown far beyond the threshold, the thread, having
//! moved nearly all of it, asks the writer to move the small rest between two commits.

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

use super::{OpenError, high_water::HighWater, schema};

/// Size of a page in the write-ahead log in bytes, without its header.
const PAGE: usize = 4096;

/// Divisor of the maximum log size that gives the size at which the thread starts. The writer helps
/// if the log grows to the maximum.
const BEGIN: i64 = 2;

/// The writer's handle. Dropping it stops the thread and waits for it.
pub(super) struct Checkpointer {
    /// Number of pages in the log at which the thread starts a checkpoint.
    begin_pages: i64,
    finish: Arc<AtomicBool>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread. When it ends, it cancels `ended`. `most_bytes` is the approximate maximum
    /// size of the log. A checkpoint also makes `high_water` durable.
    pub(super) fn start(
        file: &Path,
        most_bytes: usize,
        high_water: HighWater,
        ended: CancellationToken,
    ) -> Result<Self, OpenError> {
        let connection = schema::open_writer(file, false)?;
        let finish = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let limit_pages = i64::try_from(most_bytes / PAGE).unwrap_or(i64::MAX);
        let worker = Worker {
            connection,
            high_water,
            limit_pages,
            finish: finish.clone(),
        };
        let guard = ended.drop_guard();
        let thread = thread::Builder::new()
            .name("storage-checkpoint".into())
            .spawn(move || {
                // Dropped last, also if the thread panics.
                let _guard = guard;
                worker.run(&woken);
            })
            .map_err(OpenError::Io)?;
        Ok(Self {
            begin_pages: limit_pages / BEGIN,
            finish,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Wakes the thread if the log has `pages` pages and that is enough for a checkpoint.
    pub(super) fn committed(&self, pages: i64) {
        if pages >= self.begin_pages
            && let Some(wake) = &self.wake
        {
            // Fails if the thread is already awake.
            let _ = wake.try_send(());
        }
    }

    /// Moves the rest of the log if the thread asked for it. Must be called between commits.
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
            tracing::error!("the storage checkpointer panicked");
        }
    }
}

struct Worker {
    connection: Connection,
    high_water: HighWater,
    limit_pages: i64,
    finish: Arc<AtomicBool>,
}

impl Worker {
    fn run(self, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            if self.finish.load(Relaxed) {
                // It is the writer's turn, whose checkpoint would conflict with one of this thread.
                continue;
            }
            match run(&self.connection) {
                Ok(pages) => self.finish.store(pages > self.limit_pages, Relaxed),
                Err(error) => warn(&error),
            }
            self.high_water.sync();
        }
    }
}

/// Moves the rest of the log while there are no writes.
pub(super) fn finish(writer: &Connection) {
    if let Err(error) = run(writer) {
        warn(&error);
    }
}

/// Moves all of the log and truncates its file. Returns whether that succeeded: on a full disk the
/// database may be unable to grow, and a reader may still need the log.
pub(super) fn cut(writer: &Connection) -> bool {
    let busy = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0)
    });
    busy.is_ok_and(|busy| busy == 0)
}

/// Moves as many pages as possible. Returns the number of pages that the write-ahead log had, or -1
/// if another checkpoint was running. Pages that the writer appended meanwhile are not included.
fn run(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
}

/// Logs a failed checkpoint. Nothing is lost: the log grows and the next checkpoint tries again.
fn warn(error: &rusqlite::Error) {
    tracing::warn!(%error, "a checkpoint failed");
}
