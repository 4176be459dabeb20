//! The thread that writes.
//!
//! It takes every request that waits, decides and appends them one after the other in a single
//! transaction, and commits once: the cost of making data durable is shared by all writers that
//! came while the previous commit was under way, and a moment later. After the commit it publishes,
//! then answers.
//!
//! When anything in a transaction fails, nobody is told of success, the connection is dropped and
//! nothing is retried: after a failed `fsync` the kernel may have forgotten what was not written,
//! so the state is read anew from the file before the next transaction.
//!
//! A full disk is the exception: the space of [`Reserve`] is given up and the deletions of the batch are tried again, on the state that is read
//! anew. Until there is space again, only they, and some updates that do not grow, are committed, and the write-ahead log is cut every second.
//!
//! The writer also answers whether it could write. While its last commit failed, and when that was long ago, it tries.

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

/// Writes that one step of a compaction looks at. A few milliseconds of work.
const COMPACTION_STEP: usize = 256;

/// How long the writer lets requests gather where some came while it was committing: then more are on
/// their way, and waiting costs less than another commit. Who writes alone never waits for it.
const GATHERING: Duration = Duration::from_micros(300);

/// The time between two attempts to write while the last one failed and nobody else writes.
const RETRY: Duration = Duration::from_secs(1);

/// The age of the last commit after which a check tries to write.
const FRESH: Duration = Duration::from_secs(1);

/// The bytes by which an object may grow on a full disk: what suspends, disables or begins to delete it, and says who did that.
const MARKS: usize = 1024;

/// What a request asks for.
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
    /// One step. The answer is the revision through which rows have been removed.
    Compact {
        through: Revision,
    },
    /// Changes nothing. Succeeds if a write would.
    Check,
}

/// What the asker gets.
type Answer = Result<Revision, Error>;

/// An operation and where its answer goes.
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// The files that the writer has beside the database.
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
    /// Pages in the write-ahead log.
    log_pages: Arc<AtomicI64>,
    disk: Disk,
    last: Last,
    /// Whether the file lacked published writes when it was opened last.
    is_behind: bool,
    options: SqliteOptions,
}

/// The last commit that was tried.
struct Last {
    at: Instant,
    failure: Option<Error>,
}

impl Writer {
    /// A writer on an open connection.
    pub(super) fn new(
        (file, mut connection): (PathBuf, Connection),
        (index, publication): (Arc<Index>, Publication),
        disk: Disk,
        (options, ended): (SqliteOptions, &CancellationToken),
    ) -> Result<Self, OpenError> {
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
                // Fails only when the asker has gone away.
                let _ = reply.send(answer);
            }
        }
        if let Some(connection) = self.connection {
            checkpoint::finish(&connection);
        }
        self.disk.high_water.sync();
    }

    /// The answers to all operations, in order.
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

    /// Moves the write-ahead log into the database on a full disk: its space serves the next writes.
    fn make_room(&mut self) {
        let Some(connection) = self.connection.take().or_else(|| self.reopen().ok()) else {
            return;
        };
        if checkpoint::cut(&connection) {
            self.disk.reserve.refill();
        }
        self.connection = Some(connection);
    }

    /// Whether only a write can tell if the disk works.
    fn is_unclear(&self, now: Instant) -> bool {
        let age = now.duration_since(self.last.at);
        match self.last.failure {
            Some(_) => age >= RETRY,
            None => age >= FRESH,
        }
    }

    /// The answer to a check that does not try to write.
    fn last_result(&self) -> Answer {
        match &self.last.failure {
            Some(failure) => Err(failure.clone()),
            None if !self.disk.reserve.is_held() => Err(Error::Full),
            None => Ok(self.publication.head().newest()),
        }
    }

    /// One transaction for all operations.
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

    /// Opens the file anew after a failure and publishes what it holds beyond the published head: a
    /// commit that reported failure may have happened all the same.
    fn reopen(&mut self) -> Result<Connection, Error> {
        let mut connection = schema::open_writer(&self.file, false).map_err(of_opening)?;
        count_pages(&mut connection, &self.log_pages)?;
        let standing = log::standing(&connection)?;
        let published = self.publication.head().newest();
        if standing.head < published {
            let missing = "acknowledged writes are missing from the file";
            // A disk that fails may show less than it has. It has lost them if that is so again.
            return Err(match std::mem::replace(&mut self.is_behind, true) {
                true => Error::corrupt(None, missing),
                false => Error::unavailable(missing),
            });
        }
        self.is_behind = false;
        self.index.replace(log::writes(&connection)?);
        if standing.head > published {
            // No events and no predecessor: watches read the log.
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
        tracing::info!(revision = %standing.head, "the database was opened again");
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

/// Has SQLite tell how many pages the write-ahead log has after each commit.
fn count_pages(connection: &mut Connection, pages: &Arc<AtomicI64>) -> rusqlite::Result<()> {
    let pages = Arc::clone(pages);
    connection.wal_hook(Some(move |_: &mut Wal, count: c_int| {
        pages.store(i64::from(count), Relaxed);
        Ok(())
    }))
}

/// A failure to open the database again, as an operation fails.
fn of_opening(error: OpenError) -> Error {
    match error {
        OpenError::Database(error) => error,
        other => Error::unavailable(other),
    }
}

/// What a transaction did, if it commits.
#[derive(Default)]
struct Outcome {
    answers: Vec<Answer>,
    events: Vec<Event>,
    compacted: Option<Revision>,
    removed: Vec<Removed>,
    /// Bytes that updates took on a full disk.
    updated_bytes: usize,
}

/// A transaction under way.
struct Transaction<'a> {
    rows: &'a Connection,
    index: &'a Index,
    published: Revision,
    head: Revision,
    /// The last write of this transaction to each key.
    written: HashMap<Key, Write>,
    /// The bytes that updates may write, where the disk is full.
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

    /// Adds the operation's answer. An error here is one of the store and fails the transaction.
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

    /// Whether there is space for an update: always, unless the disk is full.
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

    /// Answers whether more than deletions could be written.
    fn touch(&mut self) -> Result<Answer, Error> {
        log::touch(self.rows, self.published)?;
        Ok(match self.left_for_updates {
            Some(_) => Err(Error::Full),
            None => Ok(self.published),
        })
    }

    /// The row of a key that is there.
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
