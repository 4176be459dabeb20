//! Calls to etcd, independent of the member that answers: with a deadline, and repeated if that is
//! safe.

use std::{
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Error, Revision};

use super::{
    dial::Endpoint,
    failure::Failure,
    keyspace::{Keyspace, number, revision},
    link::Link,
    members::{Current, Members},
    wire::{RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse},
};

/// Maximum time that a caller waits.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// Pause between two attempts. Several fit into a change of the leader, which takes a second.
const PAUSE: Duration = Duration::from_millis(20);

/// The keyspace of a store, and the connection to etcd.
pub(super) struct Client {
    pub(super) keys: Keyspace,
    current: watch::Receiver<Current>,
    /// The oldest revision, as far as is known: everything before it has been compacted.
    oldest: AtomicU64,
    stopped: CancellationToken,
}

impl Client {
    /// Starts to connect to a member. Everything stops when the guard is dropped.
    pub(super) fn new(endpoints: Vec<Endpoint>, keys: Keyspace) -> (Self, DropGuard) {
        let (members, current) = Members::new(endpoints, keys.nothing());
        let stopped = CancellationToken::new();
        let stop = stopped.clone();
        tokio::spawn(async move { stop.run_until_cancelled(members.run()).await });
        let guard = stopped.clone().drop_guard();
        let client = Self {
            keys,
            current,
            oldest: AtomicU64::new(1),
            stopped,
        };
        (client, guard)
    }

    /// Returns when the store is dropped.
    pub(super) async fn stopped(&self) {
        self.stopped.cancelled().await;
    }

    /// Reads a range; repeated until the deadline on passing failures.
    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Failure> {
        let call = |link: Link| {
            let request = request.clone();
            async move { link.range(request).await }
        };
        self.attempt(call, Failure::is_passing).await
    }

    /// Executes a transaction; repeated only if it certainly had no effect.
    pub(super) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Failure> {
        let call = |link: Link| {
            let request = request.clone();
            async move { link.txn(request).await }
        };
        self.attempt(call, Failure::is_not_done).await
    }

    /// Returns the newest revision, by a linearizable read.
    pub(super) async fn newest(&self) -> Result<Revision, Failure> {
        let answer = self.range(self.keys.nothing()).await?;
        revision_of(answer.header)
    }

    /// Checks that the state at `at` can be read: otherwise fails with `Compacted` or
    /// `FutureRevision`.
    pub(super) async fn check(&self, at: Revision) -> Result<(), Failure> {
        let mut question = self.keys.nothing();
        // 0 would request the newest state, and is not a valid revision.
        question.revision = number(at).max(1);
        self.range(question).await?;
        if at.get() == 0 {
            return Err(Failure::Compacted);
        }
        Ok(())
    }

    /// Returns the oldest revision that can be read. etcd reports it only to watches that start too
    /// early, so it is searched for: with one request if nothing has changed, otherwise about
    /// twenty.
    pub(super) async fn compacted(&self) -> Result<Revision, Failure> {
        let mut gone = self.oldest.load(Acquire);
        if self.is_kept(gone).await? {
            return Ok(Revision::new(gone));
        }
        let mut kept = self.newest().await?.get();
        while kept - gone > 1 {
            let middle = gone.midpoint(kept);
            if self.is_kept(middle).await? {
                kept = middle;
            } else {
                gone = middle;
            }
        }
        self.oldest.fetch_max(kept, AcqRel);
        Ok(Revision::new(kept))
    }

    async fn is_kept(&self, revision: u64) -> Result<bool, Failure> {
        match self.check(Revision::new(revision)).await {
            Ok(()) => Ok(true),
            Err(Failure::Compacted) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Returns the error for a call that named the revision `requested`.
    pub(super) async fn explain(&self, failure: Failure, requested: Revision) -> Error {
        let explained = match failure {
            Failure::Compacted => self
                .compacted()
                .await
                .map(|oldest| Error::Compacted { oldest }),
            Failure::FutureRevision => self
                .newest()
                .await
                .map(|current| Error::FutureRevision { requested, current }),
            other => Err(other),
        };
        explained.unwrap_or_else(Error::from)
    }

    /// Repeats `call` until it succeeds, fails with a failure for which `again` is false, or the
    /// deadline passes.
    pub(super) async fn attempt<A, F>(
        &self,
        call: impl Fn(Link) -> F,
        again: fn(&Failure) -> bool,
    ) -> Result<A, Failure>
    where
        F: Future<Output = Result<A, Failure>>,
    {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let link = self.link(deadline).await?;
            let failure = match timeout_at(deadline, call(link)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(Failure::Late),
            };
            if !again(&failure) || Instant::now() + PAUSE >= deadline {
                return Err(failure);
            }
            sleep(PAUSE).await;
        }
    }

    /// Returns a connection that works, as far as is known. Waits for one until `deadline`.
    async fn link(&self, deadline: Instant) -> Result<Link, Failure> {
        if let Ok(link) = &*self.current.borrow() {
            return Ok(link.clone());
        }
        let mut current = self.current.clone();
        let connected = timeout_at(deadline, current.wait_for(Result::is_ok)).await;
        match connected {
            Ok(Ok(current)) => current.clone().map_err(Failure::NoMember),
            Ok(Err(_)) => Err(Failure::Closed),
            Err(_) => self.current.borrow().clone().map_err(Failure::NoMember),
        }
    }
}

/// Returns the revision in the header of an answer.
pub(super) fn revision_of(header: Option<ResponseHeader>) -> Result<Revision, Failure> {
    header
        .map(|header| revision(header.revision))
        .ok_or(Failure::Malformed)
}
