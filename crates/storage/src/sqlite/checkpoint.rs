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

use super::{OpenError, high_water::HighWater, schema};

/// Bytes of a page in the write-ahead log, its header left aside.
const PAGE: usize = 4096;

/// The part of the log's greatest size at which the thread begins. The writer helps where it grows to all of it.
const BEGIN: i64 = 2;

/// The writer's end. Dropping it stops the thread and waits for it.
pub(super) struct Checkpointer {
    /// Pages of the log at which the thread begins.
    begin_pages: i64,
    finish: Arc<AtomicBool>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread, whose end cancels `ended`. `most_bytes` is about how large the log gets. A checkpoint makes `high_water` durable, too.
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
                // Dropped last, also where the thread panics.
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

    /// Wakes the thread if the log has grown to so many pages that it should begin.
    pub(super) fn committed(&self, pages: i64) {
        if pages >= self.begin_pages
            && let Some(wake) = &self.wake
        {
            // Fails where it is awake.
            let _ = wake.try_send(());
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
    high_water: HighWater,
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
            self.high_water.sync();
        }
    }
}

/// Moves what is left while nobody writes.
pub(super) fn finish(writer: &Connection) {
    if let Err(error) = run(writer) {
        warn(&error);
    }
}

/// Moves all of the log and cuts its file. Returns whether that succeeded: on a full disk the database may not grow, and
/// a reader may still need the log.
pub(super) fn cut(writer: &Connection) -> bool {
    let busy = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0)
    });
    busy.is_ok_and(|busy| busy == 0)
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
