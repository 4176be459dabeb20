//! The task that maintains a connection to a working member.
//!
//! One connection at a time carries all calls. Twice a second the task sends the member a request
//! that it can answer without the others. If the member does not answer for too long, has no
//! leader, or the connection has ended, the task switches to the next member. When there is a *new*
//! leader, the task also opens a new connection: a call in flight to the old leader may never be
//! answered, so it fails now instead of at its deadline.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    dial::{Connection, DialError, Endpoint},
    failure::Failure,
    link::Link,
    wire::RangeRequest,
};

/// Time limit for connecting to a member, and for any answer of it, if there are other members.
/// Switching fails the calls in flight, and a slow disk silences etcd for a second now and then.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same limit if there is no other member to switch to.
const PATIENCE_WITH_ONE: Duration = Duration::from_secs(5);

/// Interval between two health checks.
const INTERVAL: Duration = Duration::from_millis(500);

/// First and last pause between failed attempts; each is twice the one before.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(320)];

/// The connection in use, or the reason for its absence.
pub(super) type Current = Result<Link, Arc<Unfit>>;

/// The reason that a member is not used, or no longer used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("no member has been contacted yet")]
    NotYet,
    #[error("it cannot be reached")]
    Unreachable(#[source] DialError),
    #[error("it does not respond")]
    Silent,
    #[error("it responded with an error")]
    Failing(#[source] Failure),
    #[error("the connection has ended")]
    Ended(#[source] Option<hyper::Error>),
    #[error("there is a new leader")]
    NewLeader,
}

/// All known members, and the channel that publishes the connection in use.
pub(super) struct Members {
    endpoints: Vec<Endpoint>,
    question: RangeRequest,
    patience: Duration,
    current: watch::Sender<Current>,
}

/// A connection that has answered a request.
struct Session {
    link: Link,
    connection: Connection,
    /// The Raft term, which identifies the leader.
    term: u64,
}

impl Members {
    /// Creates the task state. `question` is any request that is permitted. The receiver yields the
    /// connection in use.
    pub(super) fn new(
        endpoints: Vec<Endpoint>,
        question: RangeRequest,
    ) -> (Self, watch::Receiver<Current>) {
        let (current, receiver) = watch::channel(Err(Arc::new(Unfit::NotYet)));
        let question = RangeRequest {
            serializable: true,
            ..question
        };
        let patience = match endpoints.len() {
            1 => PATIENCE_WITH_ONE,
            _ => PATIENCE,
        };
        let members = Self {
            endpoints,
            question,
            patience,
            current,
        };
        (members, receiver)
    }

    /// Maintains the connection for ever. Dropping the future closes it.
    pub(super) async fn run(mut self) {
        let mut failed = 0;
        loop {
            match self.reach().await {
                Ok(session) => {
                    failed = 0;
                    self.serve(session).await;
                }
                Err(unfit) => {
                    failed += 1;
                    self.report(&unfit, failed);
                    self.publish(Err(Arc::new(unfit)));
                    self.endpoints.rotate_left(1);
                    sleep(pause(failed)).await;
                }
            }
        }
    }

    /// Publishes the session until it must end.
    async fn serve(&mut self, mut session: Session) {
        let endpoint = self.endpoint();
        tracing::info!(endpoint, term = session.term, "connected to etcd");
        self.publish(Ok(session.link.clone()));
        let unfit = self.stay(&mut session).await;
        let error = &unfit as &dyn std::error::Error;
        tracing::warn!(endpoint, error, "disconnecting from a member of etcd");
        if !matches!(unfit, Unfit::NewLeader) {
            self.endpoints.rotate_left(1);
        }
        // Published before the session is dropped, so that calls which then fail find no
        // connection.
        self.publish(Err(Arc::new(unfit)));
    }

    async fn reach(&self) -> Result<Session, Unfit> {
        let endpoint = self.endpoints.first().ok_or(Unfit::NotYet)?;
        let (link, connection) = timeout(self.patience, endpoint.dial())
            .await
            .map_err(|_| Unfit::Silent)?
            .map_err(Unfit::Unreachable)?;
        let term = self.ask(&link).await?;
        Ok(Session {
            link,
            connection,
            term,
        })
    }

    /// Returns the reason when the session must end.
    async fn stay(&self, session: &mut Session) -> Unfit {
        loop {
            tokio::select! {
                cause = session.connection.end() => return Unfit::Ended(cause),
                () = sleep(INTERVAL) => {}
            }
            let answers = session.link.answers();
            match self.ask(&session.link).await {
                Ok(term) if term == session.term => {}
                Ok(_) => return Unfit::NewLeader,
                // The member is busy: switching would fail the calls that it is about to answer.
                Err(Unfit::Silent) if session.link.answers() > answers => {}
                Err(unfit) => return unfit,
            }
        }
    }

    /// Returns the Raft term of the leader that the member follows.
    async fn ask(&self, link: &Link) -> Result<u64, Unfit> {
        let answer = timeout(self.patience, link.range(self.question.clone()));
        let answer = answer.await.map_err(|_| Unfit::Silent)?;
        let header = answer.map_err(Unfit::Failing)?.header.unwrap_or_default();
        Ok(header.raft_term)
    }

    /// Warns once, when all members have failed, instead of at every attempt.
    fn report(&self, unfit: &Unfit, failed: usize) {
        let endpoint = self.endpoint();
        let error = unfit as &dyn std::error::Error;
        if failed == self.endpoints.len() {
            tracing::warn!(endpoint, error, "no member of etcd can be used");
        } else {
            tracing::debug!(endpoint, error, "a member of etcd cannot be used");
        }
    }

    fn publish(&self, current: Current) {
        drop(self.current.send_replace(current));
    }

    /// Returns the URL of the current member, for logs.
    fn endpoint(&self) -> String {
        self.endpoints
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

fn pause(failed: usize) -> Duration {
    let [first, last] = PAUSES;
    let doublings = u32::try_from(failed - 1).unwrap_or(u32::MAX);
    last.min(first.saturating_mul(2_u32.saturating_pow(doublings)))
}
