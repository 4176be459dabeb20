//! The store in an etcd cluster, for any number of concurrent processes.
//!
//! A record is one etcd key and its revision is etcd's own. A write is one transaction that
//! compares the revision. History, watches and compaction are etcd's, too: keys of other clients
//! cause gaps between the revisions, and a compaction by any client applies to all.
//!
//! ```text
//!   create, update, delete, get, list          watch            current_revision
//!            |                                   |                     |
//!          client: deadline, repeats           feed <- progress -- newest: asked once for many
//!            +-----------------+-----------------+---------------------+
//!                            link: concurrent calls on one HTTP/2 connection
//!                   members: keeps it, to a member that works <- dial: TCP, TLS
//! ```
//!
//! * `wire` is the protocol, `keyspace` maps keys, and `failure` classifies etcd's errors by the
//!   possible reaction.
//! * A read is repeated until the deadline. A write is repeated only if it certainly had no effect;
//!   if its outcome is unknown, it fails with `Unavailable`.
//! * etcd frees the space of compacted revisions in its own time.
//!
//! Requires etcd 3.5.18 or newer: earlier versions lose removals at the revision of a compaction.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::DropGuard;

use self::{
    client::{Client, DEADLINE, revision_of},
    dial::Endpoint,
    failure::Failure,
    feed::Feed,
    keyspace::{Keyspace, number, revision},
    link::Link,
    newest::Newest,
    wire::{
        COMPARE_MOD, CompactionRequest, CompactionResponse, Compare, DeleteRangeRequest,
        PutRequest, RangeRequest, Request, RequestOp, TxnRequest,
    },
};
use crate::{
    At, Error, Key, ListOptions, MAX_VALUE_BYTES, Page, Record, Revision, Store, Watch, check_value,
};

mod client;
mod dial;
mod failure;
mod feed;
mod keyspace;
mod link;
mod members;
mod newest;
mod wire;

pub use self::dial::{InvalidEndpoint, TlsFiles};

/// Maximum number of records per request.
const CHUNK: usize = 1000;

/// Bytes of etcd's request limit that a write needs in addition to the value: the key, twice, and
/// the frame.
const OVERHEAD: usize = 4 << 10;

/// The location of the records.
#[derive(Clone, Debug)]
pub struct EtcdOptions {
    /// URLs of the members, such as `https://etcd-0.example:2379`. They are used one at a time.
    pub endpoints: Vec<String>,
    /// Common prefix of all keys: a `/` and a name, or several.
    pub prefix: String,
    /// TLS files for `https` members.
    pub tls: TlsFiles,
}

/// A configuration error that prevents opening a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No endpoint is configured.
    #[error("no endpoint of etcd is set")]
    NoEndpoint,
    /// An endpoint, or its TLS configuration, is invalid.
    #[error("endpoint {url:?}")]
    Endpoint {
        /// The URL as configured.
        url: String,
        /// The fault.
        source: InvalidEndpoint,
    },
    /// The prefix is invalid.
    #[error("the etcd prefix must be one or more names, each after a /, without a / at the end")]
    Prefix,
}

/// A store under a prefix of an etcd cluster.
pub struct Etcd {
    client: Arc<Client>,
    newest: Newest,
    told: watch::Sender<Revision>,
    /// Ends the connection and the watches when dropped.
    _running: DropGuard,
}

impl Etcd {
    /// Starts to connect to a member in the background. Calls wait for a connection until their
    /// deadline. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Returns an [`OpenError`] if the options are invalid. Reachability of etcd is not checked
    /// here.
    pub fn open(options: &EtcdOptions) -> Result<Self, OpenError> {
        let keys = Keyspace::new(&options.prefix).ok_or(OpenError::Prefix)?;
        let mut endpoints = Vec::with_capacity(options.endpoints.len());
        for url in &options.endpoints {
            let parsed = Endpoint::parse(url, &options.tls);
            endpoints.push(parsed.map_err(|source| OpenError::Endpoint {
                url: url.clone(),
                source,
            })?);
        }
        if endpoints.is_empty() {
            return Err(OpenError::NoEndpoint);
        }
        let (client, running) = Client::new(endpoints, keys);
        Ok(Self {
            client: Arc::new(client),
            newest: Newest::default(),
            told: watch::Sender::new(Revision::default()),
            _running: running,
        })
    }

    /// Executes `write` iff the newest write of its key is `expected`; otherwise returns the stored
    /// record in the inner `Err`.
    async fn replace(
        &self,
        key: &Key,
        expected: Revision,
        write: impl FnOnce(Bytes) -> Request,
    ) -> Result<Result<Revision, Option<Record>>, Failure> {
        let key = self.client.keys.locate(key);
        // 0 would match an absent record, a revision that no caller can have seen.
        let expected = Some(number(expected)).filter(|number| *number > 0);
        let transaction = TxnRequest {
            compare: vec![last_write(key.clone(), expected.unwrap_or(-1))],
            success: vec![operation(write(key.clone()))],
            failure: vec![operation(Request::Range(RangeRequest {
                key,
                ..RangeRequest::default()
            }))],
        };
        let answer = self.client.txn(transaction).await?;
        if answer.succeeded {
            return revision_of(answer.header).map(Ok);
        }
        let read = answer.responses.into_iter().next().and_then(|op| op.range);
        let found = read.ok_or(Failure::Malformed)?.kvs.into_iter().next();
        Ok(Err(found.and_then(|kv| self.client.keys.record(kv))))
    }

    /// Reads all pages that `options` asks for, at one revision.
    async fn pages(&self, prefix: &str, options: &ListOptions) -> Result<Page, Failure> {
        let keys = &self.client.keys;
        let limit = options.limit.unwrap_or(usize::MAX);
        let (key, range_end) = keys.range(prefix, options.after.as_ref());
        let mut request = RangeRequest {
            key,
            range_end,
            ..RangeRequest::default()
        };
        if let At::Exactly(revision) = options.at {
            // 0 would request the newest revision. etcd rejects every other invalid one.
            request.revision = Some(number(revision))
                .filter(|n| *n > 0)
                .ok_or(Failure::Compacted)?;
        }
        let mut records = Vec::new();
        loop {
            let wanted = limit.saturating_sub(records.len()).clamp(1, CHUNK);
            request.limit = i64::try_from(wanted).unwrap_or_default();
            let answer = self.client.range(request.clone()).await?;
            if request.revision == 0 {
                request.revision = answer.header.ok_or(Failure::Malformed)?.revision;
            }
            let last = answer.kvs.last().map(|kv| kv.key.clone());
            records.extend(answer.kvs.into_iter().filter_map(|kv| keys.record(kv)));
            let more = answer.more || records.len() > limit;
            match last {
                Some(last) if answer.more && records.len() < limit => request.key = after(&last),
                _ => {
                    records.truncate(limit);
                    let revision = revision(request.revision);
                    return Ok(Page {
                        records,
                        revision,
                        more,
                    });
                }
            }
        }
    }
}

#[async_trait]
impl Store for Etcd {
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        let request = RangeRequest {
            key: self.client.keys.locate(key),
            ..RangeRequest::default()
        };
        let found = self.client.range(request).await?.kvs.into_iter().next();
        match found.and_then(|kv| self.client.keys.record(kv)) {
            Some(record) if record.value.is_empty() => {
                Err(Error::corrupt(Some(record.key), "the value is empty"))
            }
            record => Ok(record),
        }
    }

    async fn list(&self, prefix: &str, options: &ListOptions) -> Result<Page, Error> {
        let requested = match options.at {
            At::Latest => Revision::default(),
            At::Exactly(revision) => revision,
        };
        match self.pages(prefix, options).await {
            Ok(page) => Ok(page),
            Err(failure) => Err(self.client.explain(failure, requested).await),
        }
    }

    async fn create(&self, key: &Key, value: Bytes) -> Result<Revision, Error> {
        check_value(&value)?;
        let size = value.len();
        let key = self.client.keys.locate(key);
        let transaction = TxnRequest {
            compare: vec![last_write(key.clone(), 0)],
            success: vec![operation(Request::Put(PutRequest { key, value }))],
            failure: Vec::new(),
        };
        let answer = self.client.txn(transaction).await;
        let answer = answer.map_err(|failure| unwritten(failure, size))?;
        if !answer.succeeded {
            return Err(Error::Exists);
        }
        Ok(revision_of(answer.header)?)
    }

    async fn update(&self, key: &Key, value: Bytes, expected: Revision) -> Result<Revision, Error> {
        check_value(&value)?;
        let size = value.len();
        let put = |key| Request::Put(PutRequest { key, value });
        let written = self.replace(key, expected, put).await;
        let written = written.map_err(|failure| unwritten(failure, size))?;
        written.map_err(|current| Error::Conflict { current })
    }

    async fn delete(&self, key: &Key, expected: Revision) -> Result<Revision, Error> {
        let delete = |key| Request::DeleteRange(DeleteRangeRequest { key });
        let written = self.replace(key, expected, delete).await?;
        written.map_err(|current| Error::Conflict { current })
    }

    async fn watch(&self, after: Revision) -> Result<Watch, Error> {
        Feed::open(after, self.client.clone(), self.told.subscribe()).await
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        let client = self.client.clone();
        let ask = async move { client.newest().await.map_err(Error::from) };
        let answer = timeout(DEADLINE, self.newest.ask(ask)).await;
        let newest = answer.map_err(|_| Failure::Late)??;
        // A watch that is behind asks etcd for its progress, so that it reaches this revision
        // without a write.
        self.told.send_if_modified(|told| {
            let grows = *told < newest;
            *told = newest.max(*told);
            grows
        });
        Ok(newest)
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        let found = timeout(DEADLINE, self.client.compacted()).await;
        Ok(found.map_err(|_| Failure::Late)??)
    }

    async fn compact(&self, through: Revision) -> Result<(), Error> {
        let revision = number(through);
        let call = |link: Link| async move { link.compact(CompactionRequest { revision }).await };
        match self.client.attempt(call, Failure::is_passing).await {
            // A revision that is already compacted is not an error, even if another replica
            // compacted it first.
            Ok(CompactionResponse {}) | Err(Failure::Compacted) => Ok(()),
            Err(failure) => Err(self.client.explain(failure, through).await),
        }
    }
}

fn operation(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

/// Returns the comparison "the newest write of the key is at this revision", with 0 for an absent
/// key.
fn last_write(key: Bytes, revision: i64) -> Compare {
    Compare {
        target: COMPARE_MOD,
        key,
        mod_revision: Some(revision),
    }
}

/// Returns the smallest key after `key`.
fn after(key: &[u8]) -> Bytes {
    Bytes::from([key, b"\0"].concat())
}

/// Returns the error for a failed write of `size` bytes.
fn unwritten(failure: Failure, size: usize) -> Error {
    match failure {
        Failure::TooLarge => Error::TooLarge {
            size,
            // The limit may be configured lower in etcd, which does not report it.
            limit: (MAX_VALUE_BYTES - OVERHEAD).min(size.saturating_sub(1)),
        },
        other => other.into(),
    }
}
