//! The thread that writes.
//!
//! It takes all waiting requests, decides and appends them one after the other in a single
//! transaction, and commits once. The cost of durability is thus shared by all requests that
//! arrived while the previous commit was under way, or a moment later. After the commit the thread
//! publishes, then answers.
//!
//! If anything in a transaction fails, no request succeeds, the connection is dropped and nothing
//! is retried: after a failed `fsync` the kernel may have dropped the unwritten pages, so the state
//! is read again from the file before the next transaction.
//!
//! A full disk is the exception: the space of [`Reserve`] is released and the deletions of the
//! batch are retried, on the state that is read again. Until there is space, only deletions, and
//! some updates that hardly grow their object, are committed, and the write-ahead log is truncated
//! every second.
//!
//! The writer also answers whether it could write. It attempts a write if its last commit failed,
//! or was long ago.

use std::{
    collections::HashMap,
    ffi::c_int,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rusqlite::{Connection, TransactionBehavior, hooks::Wal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    OpenError, SqliteOptions,
    checkpoint::{self, Checkpointer},
    high_water::HighWater,
    index::{Index, Removed, Write},
    log,
    publication::{Commit, Publication},
    reserve::{Reserve, UPDATE_BYTES},
    schema,
};
use crate::{Batch, Change, Error, Event, Key, Revision};

/// Maximum number of writes that one step of a compaction processes. A few milliseconds of work.
const COMPACTION_STEP: usize = 256;

/// Time that the writer waits for more requests if some arrived while it was committing: then more
/// are on their way, and waiting costs less than another commit. A single sequential client is
/// never delayed.
const GATHERING: Duration = Duration::from_micros(300);

/// Interval between two attempts to write after a failed commit, while there are no other writes.
const RETRY: Duration = Duration::from_secs(1);

/// Age of the last commit after which a check attempts a write.
const FRESH: Duration = Duration::from_secs(1);

/// The number of bytes by which an object may grow on a full disk: enough to suspend, disable or
/// begin to delete it, and to record the user who did that.
const MARKS: usize = 1024;

/// The operation of a request.
#[derive(Clone)]
pub(super) enum Operation {
    Create {
        key: Key,
        value: Bytes,
    },
    Update {
        key: Key,
        value: Bytes,
        expected: Revision,
    },
    Delete {
        key: Key,
        expected: Revision,
    },
    /// One step of a compaction. The answer is the revision through which rows have been removed.
    Compact {
        through: Revision,
    },
    /// A check that changes nothing and succeeds if a write would.
    Check,
}

/// The answer to a request.
type Answer = Result<Revision, Error>;

/// An operation and the channel for its answer.
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// The files that the writer has in addition to the database.
pub(super) struct Disk {
    pub(super) reserve: Reserve,
    pub(super) high_water: HighWater,
}

/// The state of the thread.
pub(super) struct Writer {
    file: PathBuf,
    /// `None` after a failure, until the next transaction.
    connection: Option<Connection>,
    index: Arc<Index>,
    publication: Publication,
    checkpointer: Checkpointer,
    /// Number of pages in the write-ahead log.
    log_pages: Arc<AtomicI64>,
    disk: Disk,
    last: Last,
    /// True if the file lacked published writes when it was opened last.
    is_behind: bool,
    options: SqliteOptions,
}

/// The last attempted commit.
struct Last {
    at: Instant,
    failure: Option<Error>,
}

/// An open database, and what readers see of it.
pub(super) struct Opened {
    pub(super) file: PathBuf,
    pub(super) connection: Connection,
    pub(super) index: Arc<Index>,
    pub(super) publication: Publication,
}

impl Writer {
    /// Creates a writer on an open connection.
    pub(super) fn new(
        opened: Opened,
        disk: Disk,
        options: SqliteOptions,
        ended: &CancellationToken,
    ) -> Result<Self, OpenError> {
        let Opened {
            file,
            mut connection,
            index,
            publication,
        } = opened;
        let (most_bytes, ended) = (options.checkpoint_bytes, ended.clone());
        let checkpointer =
            Checkpointer::start(&file, most_bytes, disk.high_water.another(), ended)?;
        let log_pages = Arc::new(AtomicI64::new(0));
        count_pages(&mut connection, &log_pages)?;
        Ok(Self {
            file,
            connection: Some(connection),
            index,
            publication,
            checkpointer,
            log_pages,
            disk,
            last: Last {
                at: Instant::now(),
                failure: None,
            },
            is_behind: false,
            options,
        })
    }

    /// Serves the queue until it is closed and empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let max = self.options.max_batch;
        let mut waiting = Vec::with_capacity(max);
        loop {
            if !queue.is_empty() {
                thread::park_timeout(GATHERING);
            }
            if queue.blocking_recv_many(&mut waiting, max) == 0 {
                break;
            }
            let (operations, replies): (Vec<_>, Vec<_>) = waiting
                .drain(..)
                .map(|request| (request.operation, request.reply))
                .unzip();
            let answers = self.serve(operations);
            for (reply, answer) in replies.into_iter().zip(answers) {
                // Fails only if the caller is gone.
                let _ = reply.send(answer);
            }
        }
        if let Some(connection) = self.connection {
            checkpoint::finish(&connection);
        }
        self.disk.high_water.sync();
    }

    /// Returns the answers to all operations, in order.
    fn serve(&mut self, operations: Vec<Operation>) -> Vec<Answer> {
        let now = Instant::now();
        if self.disk.reserve.is_due(now) {
            self.make_room();
            self.disk.reserve.restore(now);
        }
        let is_check = |operation: &Operation| matches!(operation, Operation::Check);
        if operations.iter().all(is_check) && !self.is_unclear(now) {
            let answer = self.last_result();
            return vec![answer; operations.len()];
        }
        let mut committed = self.commit(&operations);
        if matches!(committed, Err(Error::Full)) && self.disk.reserve.give_up(now) {
            self.make_room();
            committed = self.commit(&operations);
        }
        self.last = Last {
            at: now,
            failure: committed.as_ref().err().cloned(),
        };
        match committed {
            Ok(outcome) => {
                self.checkpointer.committed(self.log_pages.load(Relaxed));
                self.disk.reserve.spend(outcome.updated_bytes);
                self.index
                    .commit(&outcome.events, &outcome.removed, outcome.compacted);
                self.publish(outcome.events, outcome.compacted);
                outcome.answers
            }
            Err(error) => vec![Err(error); operations.len()],
        }
    }

    /// Moves the write-ahead log into the database on a full disk, which frees its space for the
    /// next writes.
    fn make_room(&mut self) {
        let Some(connection) = self.connection.take().or_else(|| self.reopen().ok()) else {
            return;
        };
        if checkpoint::cut(&connection) {
            self.disk.reserve.refill();
        }
        self.connection = Some(connection);
    }

    /// Returns whether only a write can show if the disk works.
    fn is_unclear(&self, now: Instant) -> bool {
        let age = now.duration_since(self.last.at);
        match self.last.failure {
            Some(_) => age >= RETRY,
            None => age >= FRESH,
        }
    }

    /// Returns the answer to a check that does not attempt a write.
    fn last_result(&self) -> Answer {
        match &self.last.failure {
            Some(failure) => Err(failure.clone()),
            None if !self.disk.reserve.is_held() => Err(Error::Full),
            None => Ok(self.publication.head().newest()),
        }
    }

    /// Executes all operations in one transaction.
    fn commit(&mut self, operations: &[Operation]) -> Result<Outcome, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reopen()?,
        };
        self.checkpointer.help(&connection);
        let rows = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let head = self.publication.head().newest();
        let mut transaction = Transaction::new(&rows, &self.index, head);
        transaction.left_for_updates = self.disk.reserve.left_for_updates();
        for operation in operations {
            transaction.apply(operation.clone())?;
        }
        let outcome = transaction.outcome;
        #[cfg(test)]
        super::tests::Fault::strike(&self.options.fault, super::tests::Moment::BeforeCommit)?;
        rows.commit()?;
        #[cfg(test)]
        super::tests::Fault::strike(&self.options.fault, super::tests::Moment::AfterCommit)?;
        self.connection = Some(connection);
        Ok(outcome)
    }

    /// Opens the file again after a failure and publishes the writes in it beyond the published
    /// head: a commit that reported failure may have happened nevertheless.
    fn reopen(&mut self) -> Result<Connection, Error> {
        let mut connection = schema::open_writer(&self.file, false).map_err(of_opening)?;
        count_pages(&mut connection, &self.log_pages)?;
        let standing = log::standing(&connection)?;
        let published = self.publication.head().newest();
        if standing.head < published {
            let missing = "acknowledged writes are missing from the file";
            // A failing disk may show less than it has. The writes are considered lost only when
            // that happens twice.
            return Err(match std::mem::replace(&mut self.is_behind, true) {
                true => Error::corrupt(None, missing),
                false => Error::unavailable(missing),
            });
        }
        self.is_behind = false;
        self.index.replace(log::writes(&connection)?);
        if standing.head > published {
            // No events and no previous head: watches read the log.
            let batch = Batch {
                events: Vec::new(),
                revision: standing.head,
            };
            self.publication.publish(Commit {
                after: standing.head,
                batch,
            });
        }
        self.publication.set_compacted(standing.compacted);
        tracing::info!(revision = %standing.head, "the database was reopened");
        Ok(connection)
    }

    fn publish(&self, events: Vec<Event>, compacted: Option<Revision>) {
        if let Some(compacted) = compacted {
            self.publication.set_compacted(compacted);
        }
        if let Some(last) = events.last() {
            let batch = Batch {
                revision: last.revision,
                events,
            };
            self.disk.high_water.note(batch.revision);
            self.publication.publish(Commit {
                after: self.publication.head().newest(),
                batch,
            });
        }
    }
}

/// Registers a hook that stores the number of pages in the write-ahead log after each commit.
fn count_pages(connection: &mut Connection, pages: &Arc<AtomicI64>) -> rusqlite::Result<()> {
    let pages = Arc::clone(pages);
    connection.wal_hook(Some(move |_: &mut Wal, count: c_int| {
        pages.store(i64::from(count), Relaxed);
        Ok(())
    }))
}

/// Converts a failure to reopen the database to an error of an operation.
fn of_opening(error: OpenError) -> Error {
    match error {
        OpenError::Database(error) => error,
        other => Error::unavailable(other),
    }
}

/// The effects of a transaction, if it commits.
#[derive(Default)]
struct Outcome {
    answers: Vec<Answer>,
    events: Vec<Event>,
    compacted: Option<Revision>,
    removed: Vec<Removed>,
    /// Bytes that updates wrote on a full disk.
    updated_bytes: usize,
}

/// A transaction in progress.
struct Transaction<'a> {
    rows: &'a Connection,
    index: &'a Index,
    published: Revision,
    head: Revision,
    /// The last write of this transaction to each key.
    written: HashMap<Key, Write>,
    /// The bytes that updates may write; `None` unless the disk is full.
    left_for_updates: Option<usize>,
    outcome: Outcome,
}

impl<'a> Transaction<'a> {
    fn new(rows: &'a Connection, index: &'a Index, head: Revision) -> Self {
        Self {
            rows,
            index,
            published: head,
            head,
            written: HashMap::new(),
            left_for_updates: None,
            outcome: Outcome::default(),
        }
    }

    /// Applies an operation and adds its answer. An `Err` is a failure of the store and fails the
    /// transaction.
    fn apply(&mut self, operation: Operation) -> Result<(), Error> {
        let answer = match operation {
            Operation::Create { key, value } => match self.live(&key) {
                Some(_) => Err(Error::Exists),
                None if self.left_for_updates.is_some() => Err(Error::Full),
                None => Ok(self.write(key, Change::Put(value))?),
            },
            Operation::Update {
                key,
                value,
                expected,
            } => match self.admits(&value, expected)? {
                true => self.replace(key, expected, Change::Put(value))?,
                false => Err(Error::Full),
            },
            Operation::Delete { key, expected } => self.replace(key, expected, Change::Deleted)?,
            Operation::Compact { through } => self.compact(through)?,
            Operation::Check => self.touch()?,
        };
        self.outcome.answers.push(answer);
        Ok(())
    }

    /// Returns whether there is space for an update: always, unless the disk is full.
    fn admits(&mut self, value: &Bytes, expected: Revision) -> Result<bool, Error> {
        let Some(left) = self.left_for_updates else {
            return Ok(true);
        };
        let stored = log::value_bytes(self.rows, expected)?;
        let is_small = value.len() <= stored.saturating_add(MARKS);
        let used = self.outcome.updated_bytes + value.len() + UPDATE_BYTES;
        if !is_small || used > left {
            return Ok(false);
        }
        self.outcome.updated_bytes = used;
        Ok(true)
    }

    /// Attempts a write, and returns whether more than deletions could be written.
    fn touch(&mut self) -> Result<Answer, Error> {
        log::touch(self.rows, self.published)?;
        Ok(match self.left_for_updates {
            Some(_) => Err(Error::Full),
            None => Ok(self.published),
        })
    }

    /// Returns the row of a key that exists.
    fn live(&self, key: &Key) -> Option<Revision> {
        let written = self.written.get(key).copied();
        let newest = written.or_else(|| self.index.newest(key))?;
        (!newest.deleted).then_some(newest.revision)
    }

    fn replace(&mut self, key: Key, expected: Revision, change: Change) -> Result<Answer, Error> {
        let live = self.live(&key);
        if live == Some(expected) {
            return self.write(key, change).map(Ok);
        }
        let current = live.map(|revision| log::record(self.rows, revision));
        let current = current.transpose()?;
        Ok(Err(Error::Conflict { current }))
    }

    fn write(&mut self, key: Key, change: Change) -> Result<Revision, Error> {
        let revision = Revision::new(self.head.get() + 1);
        let value = match &change {
            Change::Put(value) => Some(value),
            Change::Deleted => None,
        };
        log::append(self.rows, revision, &key, value)?;
        self.head = revision;
        let event = Event {
            key,
            revision,
            change,
        };
        self.written.insert(event.key.clone(), Write::of(&event));
        self.outcome.events.push(event);
        Ok(revision)
    }

    fn compact(&mut self, through: Revision) -> Result<Answer, Error> {
        if through > self.published {
            let (requested, current) = (through, self.published);
            return Ok(Err(Error::FutureRevision { requested, current }));
        }
        let compaction = log::compact(self.rows, self.index, through, COMPACTION_STEP)?;
        self.outcome.compacted = Some(compaction.compacted);
        self.outcome.removed.extend(compaction.removed);
        Ok(Ok(compaction.swept))
    }
}
