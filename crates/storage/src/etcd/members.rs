//! The task that keeps a connection to a member that works.
//!
//! One connection at a time carries everything. Twice a second the member is asked what it can
//! answer alone. When it answers nothing for too long, knows of no leader, or the connection has
//! ended, it is the next member's turn. When there is a *new* leader the connection is made anew as
//! well: what was under way to the old one may never be answered, and so ends now instead of at its
//! deadline.

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

/// How long a member may take to be reached, and to answer anything, where others wait. To leave
/// ends the calls under way, and a slow disk makes etcd silent for a second now and then.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same where there is no other to turn to.
const PATIENCE_WITH_ONE: Duration = Duration::from_secs(5);

/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(500);

/// Pauses between failed attempts double from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(320)];

/// The connection in use, or why there is none.
pub(super) type Current = Result<Link, Arc<Unfit>>;

/// Why a member is not, or no longer, used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("none was asked yet")]
    NotYet,
    #[error("it cannot be reached")]
    Unreachable(#[source] DialError),
    #[error("it does not answer")]
    Silent,
    #[error("it answers with an error")]
    Failing(#[source] Failure),
    #[error("the connection has ended")]
    Ended(#[source] Option<hyper::Error>),
    #[error("there is a new leader")]
    NewLeader,
}

/// All members that are known, and where the connection to one of them is published.
pub(super) struct Members {
    endpoints: Vec<Endpoint>,
    question: RangeRequest,
    patience: Duration,
    current: watch::Sender<Current>,
}

/// A connection that has answered.
struct Session {
    link: Link,
    connection: Connection,
    /// etcd numbers its leaders.
    term: u64,
}

impl Members {
    /// `question` is anything that may be asked. The receiver has what is in use.
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

    /// Never ends. Dropped, it closes the connection.
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

    /// Lets everybody use the session until it must end.
    async fn serve(&mut self, mut session: Session) {
        let endpoint = self.endpoint();
        tracing::info!(endpoint, term = session.term, "connected to etcd");
        self.publish(Ok(session.link.clone()));
        let unfit = self.stay(&mut session).await;
        let error = &unfit as &dyn std::error::Error;
        tracing::warn!(endpoint, error, "leaving a member of etcd");
        if !matches!(unfit, Unfit::NewLeader) {
            self.endpoints.rotate_left(1);
        }
        // Before the session is dropped, so that calls which this ends find that there is none.
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

    /// Returns when the session must end.
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
                // Busy: to leave would end what it is about to answer.
                Err(Unfit::Silent) if session.link.answers() > answers => {}
                Err(unfit) => return unfit,
            }
        }
    }

    /// The number of the leader whom the member follows.
    async fn ask(&self, link: &Link) -> Result<u64, Unfit> {
        let answer = timeout(self.patience, link.range(self.question.clone()));
        let answer = answer.await.map_err(|_| Unfit::Silent)?;
        let header = answer.map_err(Unfit::Failing)?.header.unwrap_or_default();
        Ok(header.raft_term)
    }

    /// Warns once, when all members have failed, and not at every attempt.
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

    /// The name, for logs, of the member whose turn it is.
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
