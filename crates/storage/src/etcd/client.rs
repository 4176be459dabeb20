//! Calls to etcd, whichever member answers: with a deadline, and repeated where that is harmless.

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

/// The longest that a caller waits.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// Between an attempt and the next: some for every change of the leader, which takes a second.
const PAUSE: Duration = Duration::from_millis(20);

/// A store's keys in etcd, and the way there.
pub(super) struct Client {
    pub(super) keys: Keyspace,
    current: watch::Receiver<Current>,
    /// The oldest state, as far as is known: what is before it is gone.
    oldest: AtomicU64,
    stopped: CancellationToken,
}

impl Client {
    /// Begins to look for a member. All ends when the guard is dropped.
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

    /// Reads; as often as it takes.
    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Failure> {
        let call = |link: Link| {
            let request = request.clone();
            async move { link.range(request).await }
        };
        self.attempt(call, Failure::is_passing).await
    }

    /// Writes; again only when it is certain that nothing was written.
    pub(super) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Failure> {
        let call = |link: Link| {
            let request = request.clone();
            async move { link.txn(request).await }
        };
        self.attempt(call, Failure::is_not_done).await
    }

    /// The newest revision: a read that all members agree on.
    pub(super) async fn newest(&self) -> Result<Revision, Failure> {
        let answer = self.range(self.keys.nothing()).await?;
        revision_of(answer.header)
    }

    /// Whether the state at `at` can be read: otherwise `Compacted` or `FutureRevision`.
    pub(super) async fn check(&self, at: Revision) -> Result<(), Failure> {
        let mut question = self.keys.nothing();
        // 0 would ask for the newest, and is no state.
        question.revision = number(at).max(1);
        self.range(question).await?;
        if at.get() == 0 {
            return Err(Failure::Compacted);
        }
        Ok(())
    }

    /// The oldest state that can be read. etcd tells it only to watches that come too late, so it
    /// is searched for: one question where nothing has changed, else some twenty.
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

    /// The error for a call that named the revision `requested`.
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

    /// Calls until there is an answer, a failure that is not to be tried `again`, or the deadline.
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

    /// A connection that works, as far as is known.
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

/// The revision that an answer was given at.
pub(super) fn revision_of(header: Option<ResponseHeader>) -> Result<Revision, Failure> {
    header
        .map(|header| revision(header.revision))
        .ok_or(Failure::Malformed)
}
