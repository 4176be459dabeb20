//! A pool of read-only connections for blocking threads.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{log, publication::Head, schema};
use crate::{At, Error, Revision};

/// The pool. Connections are opened on first use and kept.
pub(super) struct Readers {
    file: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    head: Arc<Head>,
}

impl Readers {
    /// Creates a pool of at most `count` connections to `file`.
    pub(super) fn new(file: &Path, count: usize, head: Arc<Head>) -> Self {
        let idle = Mutex::new(Vec::with_capacity(count));
        let permits = Arc::new(Semaphore::new(count));
        Self {
            file: file.to_owned(),
            idle,
            permits,
            head,
        }
    }

    /// Runs `read` in one transaction on the state `at`, and passes it the revision.
    pub(super) async fn at<T: Send + 'static>(
        self: &Arc<Self>,
        at: At,
        read: impl Fn(&Connection, Revision) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let head = self.head.clone();
        let read_at = move |connection: &mut Connection| loop {
            let revision = match at {
                At::Latest => head.newest(),
                At::Exactly(revision) => head.check(revision).map(|()| revision)?,
            };
            let snapshot = connection.transaction()?;
            let oldest = log::compacted(&snapshot)?;
            let answer = match oldest <= revision {
                true => read(&snapshot, revision),
                false => Err(Error::Compacted { oldest }),
            };
            match answer {
                // A compaction ran since the head was read and has passed it, so the next head is
                // not compacted.
                Err(Error::Compacted { oldest }) if at == At::Latest && oldest > revision => {}
                answer => return answer,
            }
        };
        self.run(read_at).await
    }

    /// Runs `job` with a connection. A connection that failed is not used again.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(Error::unavailable)?;
        let pool = self.clone();
        let work = move || {
            let idle = pool.lock().pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => schema::open_reader(&pool.file)?,
            };
            let result = job(&mut connection);
            if !matches!(result, Err(Error::Unavailable(_) | Error::Corrupt { .. })) {
                pool.lock().push(connection);
            }
            drop(permit);
            result
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(Error::unavailable)?
    }

    /// Closes the idle connections.
    pub(super) fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock()
    }
}
