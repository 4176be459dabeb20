//! The store in one SQLite file.
//!
//! The file holds a log: one row per write, keyed by its revision. The newest row of a key is its
//! state, and the rows after a revision are the history of a watch, so both survive a restart at no
//! extra cost. The mapping from keys to rows is kept in memory.
//!
//! ```text
//!  create, update, delete, compact          get, list              watch
//!            | bounded queue                    |               |        ^ live
//!       writer thread ---------- commit ----> state.db <-- read_-+       |
//!            |  one transaction for all that wait; then, in this order:  |
//!            +--> index, advance the head, publish to watches, answer the writers
//! ```
//!
//! * `writer` owns the only writing connection; `readers` lends read-only connections to blocking
//!   threads; `feed` is a watch; `checkpoint` moves the write-ahead log into the database file, off
//!   the commit path.
//! * `reserve` keeps space for deletions on a full disk; `high_water` detects that the file was
//!   reverted to an older state.
//! * `index` maps keys to rows, `log` contains all SQL on rows, `schema` opens connections, and
//!   `files` manages the directory, its lock and its modes.
//!
//! Relies on the file system keeping what `fsync` acknowledged. Reads never show a write before it
//! is published: they are bounded by the head that they start from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, config::DbConfig};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::{
    feed::Feed,
    high_water::HighWater,
    index::Index,
    publication::Publication,
    readers::Readers,
    reserve::Reserve,
    writer::{Disk, Opened, Operation, Request, Writer},
};
use crate::{At, Error, Key, ListOptions, Page, Record, Revision, Store, Watch, check_value};

mod checkpoint;
mod feed;
mod files;
mod high_water;
mod index;
mod log;
mod publication;
mod readers;
mod reclaim;
mod reserve;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

pub use self::files::OpenError;

/// Default name of the high-water file, in the data directory.
const HIGH_WATER: &str = "HIGH-WATER";

/// Options of a [`Sqlite`] store. The defaults suit a server.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Maximum number of writes in one transaction, which costs one `fsync`. At least 1.
    pub max_batch: usize,
    /// Maximum number of concurrent lists, gets and watch catch-ups. At least 1.
    pub readers: usize,
    /// Approximate maximum size of the write-ahead log, in bytes. Checkpoints start at half of it.
    pub checkpoint_bytes: usize,
    /// True if a missing store may be created.
    pub create: bool,
    /// True if a store may be opened although it lacks writes that it is known to have had.
    pub accept_older: bool,
    /// Path of the high-water file; `None` for a file in the data directory. A file outside of that
    /// directory is not replaced together with the store.
    pub high_water: Option<PathBuf>,
    /// Simulates a failing disk.
    #[cfg(test)]
    pub(crate) fault: Option<tests::Fault>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            max_batch: 512,
            readers: 4,
            checkpoint_bytes: 32 << 20,
            create: true,
            accept_older: false,
            high_water: None,
            #[cfg(test)]
            fault: None,
        }
    }
}

impl SqliteOptions {
    fn within_bounds(mut self) -> Self {
        self.max_batch = self.max_batch.max(1);
        self.readers = self.readers.max(1);
        self
    }
}

/// A store in a directory on the local machine, for one process at a time.
///
/// Dropping it waits until queued writes have finished, some milliseconds, so that the directory
/// can be opened again at once.
pub struct Sqlite {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<Readers>,
    index: Arc<Index>,
    publication: Publication,
    ended: CancellationToken,
}

impl Sqlite {
    /// Opens the store in `directory`, creating both if needed. Everything it creates is accessible
    /// to the owner only, regardless of the umask. Blocks: call it before serving.
    ///
    /// # Errors
    /// Returns an [`OpenError`] if another process has the store open, a newer program wrote it, or
    /// it cannot be used.
    pub fn open(directory: &Path, options: SqliteOptions) -> Result<Self, OpenError> {
        let options = options.within_bounds();
        let lock = files::prepare(directory)?;
        let beside = directory.join(HIGH_WATER);
        let high_water = options.high_water.as_deref().unwrap_or(&beside);
        let known = HighWater::read(high_water)?;
        let may_create = options.accept_older || options.create && known.is_none();
        let file = directory.join(files::DATABASE);
        let connection = open_database(directory, may_create)?;
        if let Some(known) = known {
            reach(&connection, known, options.accept_older)?;
        }
        let standing = log::standing(&connection).map_err(OpenError::Database)?;
        let high_water = HighWater::open(high_water, standing.head);
        let index = log::writes(&connection).map_err(OpenError::Database)?;
        reclaim::reclaim(&connection);
        let index = Arc::new(Index::new(index));
        let publication = Publication::new(standing);
        let readers = Arc::new(Readers::new(
            &file,
            options.readers,
            publication.head().clone(),
        ));

        // The queue holds two transactions: one that is being committed and one that waits.
        let (requests, queue) = mpsc::channel(2 * options.max_batch);
        let opened = Opened {
            file,
            connection,
            index: index.clone(),
            publication: publication.clone(),
        };
        let ended = CancellationToken::new();
        let disk = Disk {
            reserve: Reserve::of(directory),
            high_water,
        };
        let writer = Writer::new(opened, disk, options, &ended)?;
        let guard = ended.clone().drop_guard();
        let thread = std::thread::Builder::new()
            .name("storage-writer".into())
            .spawn(move || {
                // Dropped last, also if the writer panics.
                let _guard = guard;
                writer.run(queue);
                drop(lock);
            });
        let writer = Some(thread.map_err(OpenError::Io)?);
        Ok(Self {
            requests: Some(requests),
            writer,
            readers,
            index,
            publication,
            ended,
        })
    }

    /// Returns whether nothing was ever written to the store.
    pub fn is_unwritten(&self) -> bool {
        self.publication.head().newest() == log::BEGINNING
    }

    /// Returns when the store can no longer work because one of its threads ended, which only a bug
    /// does. Open the store again, preferably in a new process.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        self.ended.clone().cancelled_owned()
    }

    /// Writes a consistent copy of the store to the new file `to`, accessible to its owner only.
    /// The store may be in use. To restore, put the copy into an empty directory under the name
    /// `state.db`.
    ///
    /// # Errors
    /// Returns `Unavailable`, also if `to` exists.
    pub async fn back_up(&self, to: PathBuf) -> Result<(), Error> {
        let copy = move |connection: &mut rusqlite::Connection| {
            let file = files::create_private(&to).map_err(Error::unavailable)?;
            let name = to
                .to_str()
                .ok_or_else(|| Error::unavailable("the path is not UTF-8"))?;
            connection.execute("VACUUM INTO ?1", [name])?;
            file.sync_all().map_err(Error::unavailable)
        };
        self.readers.run(copy).await
    }

    /// Verifies the integrity of the whole file. Takes about a second for every few hundred
    /// thousand records. Reads and writes continue meanwhile.
    ///
    /// Reads detect a damaged value by themselves. Damage to the structure may also hide a record
    /// from them, and only this check finds it.
    ///
    /// # Errors
    /// Returns `Corrupt` or `Unavailable`.
    pub async fn verify(&self) -> Result<(), Error> {
        self.readers
            .at(At::Latest, |rows, _| log::verify(rows))
            .await
    }

    async fn write(&self, operation: Operation) -> Result<Revision, Error> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        requests
            .send(Request { operation, reply })
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

/// Opens the database. On a full disk, releases the reserved space first if needed: even to read,
/// SQLite needs space for its index of the write-ahead log.
fn open_database(directory: &Path, may_create: bool) -> Result<Connection, OpenError> {
    let file = directory.join(files::DATABASE);
    if files::is_blank(directory).map_err(OpenError::Io)? {
        // A write-ahead log without its database does not belong to a new store.
        if !may_create || files::has_log(directory) {
            return Err(OpenError::Missing(file));
        }
        files::create(directory).map_err(OpenError::Io)?;
    }
    match schema::open_writer(&file, may_create) {
        Err(OpenError::Database(Error::Full | Error::Unavailable(_)))
            if reserve::give_up(directory) =>
        {
            schema::open_writer(&file, may_create)
        }
        opened => opened,
    }
}

/// Checks that the database has reached the revision `known`. If it has not and `accept_older` is
/// set, makes it begin after that revision.
fn reach(connection: &Connection, known: Revision, accept_older: bool) -> Result<(), OpenError> {
    let head = log::standing(connection).map_err(OpenError::Database)?.head;
    if head >= known {
        return Ok(());
    }
    if !accept_older {
        // Leaves the rest of the write-ahead log as it is.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        return Err(OpenError::Older { head, known });
    }
    tracing::warn!(%head, %known, "using an older store: objects that were deleted since then exist again");
    log::begin_after(connection, known)?;
    Ok(())
}

fn stopped() -> Error {
    Error::unavailable("the writer has stopped")
}

#[async_trait]
impl Store for Sqlite {
    /// Sends the check to the writer through its queue.
    async fn check(&self) -> Result<(), Error> {
        self.write(Operation::Check).await.map(drop)
    }

    /// Returns true: one writer takes all writes from one queue.
    fn is_ordered(&self) -> bool {
        true
    }

    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        let (wanted, index) = (key.clone(), self.index.clone());
        let read = move |rows: &Connection, at| {
            let row = index.row(&wanted, at)?;
            row.map(|revision| log::record(rows, revision)).transpose()
        };
        match self.readers.at(At::Latest, read).await? {
            Some(record) if record.value.is_empty() => {
                Err(Error::corrupt(Some(key.clone()), log::Damaged))
            }
            other => Ok(other),
        }
    }

    async fn list(&self, prefix: &str, options: &ListOptions) -> Result<Page, Error> {
        let (prefix, options) = (prefix.to_owned(), options.clone());
        let (at, index) = (options.at, self.index.clone());
        let read = move |rows: &Connection, at| {
            let wanted = index.rows(&prefix, &options, at)?;
            log::records(rows, &wanted, at)
        };
        self.readers.at(at, read).await
    }

    async fn create(&self, key: &Key, value: Bytes) -> Result<Revision, Error> {
        check_value(&value)?;
        self.write(Operation::Create {
            key: key.clone(),
            value,
        })
        .await
    }

    async fn update(&self, key: &Key, value: Bytes, expected: Revision) -> Result<Revision, Error> {
        check_value(&value)?;
        self.write(Operation::Update {
            key: key.clone(),
            value,
            expected,
        })
        .await
    }

    async fn delete(&self, key: &Key, expected: Revision) -> Result<Revision, Error> {
        self.write(Operation::Delete {
            key: key.clone(),
            expected,
        })
        .await
    }

    async fn watch(&self, after: Revision) -> Result<Watch, Error> {
        Feed::open(after, self.readers.clone(), &self.publication)
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        Ok(self.publication.head().newest())
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        Ok(self.publication.head().compacted())
    }

    async fn compact(&self, through: Revision) -> Result<(), Error> {
        // In steps, so that other writes are processed in between.
        while self.write(Operation::Compact { through }).await? < through {}
        Ok(())
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.requests = None;
        // Closes the readers first, so that the writer closes the file last, which leaves it
        // without a write-ahead log.
        self.readers.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the storage writer panicked");
        }
    }
}
