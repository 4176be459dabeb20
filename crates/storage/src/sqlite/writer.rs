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

use std::{collections::HashMap, path::PathBuf, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    OpenError, SqliteOptions,
    checkpoint::{self, Checkpointer},
    index::{Index, Removed, Write},
    log,
    publication::{Commit, Publication},
    schema,
};
use crate::{Batch, Change, Error, Event, Key, Revision};

/// Writes that one step of a compaction looks at. A few milliseconds of work.
const COMPACTION_STEP: usize = 256;

/// How long the writer lets requests gather where some came while it was committing: then more are on
/// their way, and waiting costs less than another commit. Who writes alone never waits for it.
const GATHERING: Duration = Duration::from_micros(300);

/// What a request asks for.
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
}

/// What the asker gets.
type Answer = Result<Revision, Error>;

/// An operation and where its answer goes.
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// The state of the thread.
pub(super) struct Writer {
    file: PathBuf,
    /// `None` after a failure, until the next transaction.
    connection: Option<Connection>,
    index: Arc<Index>,
    publication: Publication,
    checkpointer: Checkpointer,
    options: SqliteOptions,
}

impl Writer {
    /// A writer on an open connection.
    pub(super) fn new(
        file: PathBuf,
        connection: Connection,
        (index, publication): (Arc<Index>, Publication),
        (options, ended): (SqliteOptions, CancellationToken),
    ) -> Result<Self, OpenError> {
        let checkpointer = Checkpointer::start(&file, options.checkpoint_bytes, ended)?;
        Ok(Self {
            file,
            connection: Some(connection),
            index,
            publication,
            checkpointer,
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
    }

    /// One transaction for all operations; their answers, in order.
    fn serve(&mut self, operations: Vec<Operation>) -> Vec<Answer> {
        let count = operations.len();
        match self.commit(operations) {
            Ok(outcome) => {
                self.checkpointer.committed(outcome.bytes);
                self.index
                    .commit(&outcome.events, &outcome.removed, outcome.compacted);
                self.publish(outcome.events, outcome.compacted);
                outcome.answers
            }
            Err(error) => vec![Err(error); count],
        }
    }

    fn commit(&mut self, operations: Vec<Operation>) -> Result<Outcome, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reopen()?,
        };
        self.checkpointer.help(&connection);
        let rows = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let head = self.publication.head().newest();
        let mut transaction = Transaction::new(&rows, &self.index, head);
        for operation in operations {
            transaction.apply(operation)?;
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
    fn reopen(&self) -> Result<Connection, Error> {
        let connection = schema::open_writer(&self.file).map_err(Error::unavailable)?;
        let standing = log::standing(&connection)?;
        let published = self.publication.head().newest();
        if standing.head < published {
            return Err(Error::corrupt(
                None,
                "acknowledged writes are missing from the file",
            ));
        }
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
            self.publication.publish(Commit {
                after: self.publication.head().newest(),
                batch,
            });
        }
    }
}

/// What a transaction did, if it commits.
#[derive(Default)]
struct Outcome {
    answers: Vec<Answer>,
    events: Vec<Event>,
    compacted: Option<Revision>,
    removed: Vec<Removed>,
    /// About how many bytes of the file it changed.
    bytes: usize,
}

/// A transaction under way.
struct Transaction<'a> {
    rows: &'a Connection,
    index: &'a Index,
    published: Revision,
    head: Revision,
    /// The last write of this transaction to each key.
    written: HashMap<Key, Write>,
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
            outcome: Outcome::default(),
        }
    }

    /// Adds the operation's answer. An error here is one of the store and fails the transaction.
    fn apply(&mut self, operation: Operation) -> Result<(), Error> {
        let answer = match operation {
            Operation::Create { key, value } => match self.live(&key) {
                Some(_) => Err(Error::Exists),
                None => Ok(self.write(key, Change::Put(value))?),
            },
            Operation::Update {
                key,
                value,
                expected,
            } => self.replace(key, expected, Change::Put(value))?,
            Operation::Delete { key, expected } => self.replace(key, expected, Change::Deleted)?,
            Operation::Compact { through } => self.compact(through)?,
        };
        self.outcome.answers.push(answer);
        Ok(())
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
        self.outcome.bytes += key.as_str().len() + value.map_or(0, Bytes::len);
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
        self.outcome.bytes += COMPACTION_STEP * checkpoint::PAGE;
        self.outcome.compacted = Some(compaction.compacted);
        self.outcome.removed.extend(compaction.removed);
        Ok(Ok(compaction.swept))
    }
}
