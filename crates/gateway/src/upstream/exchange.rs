//! The connections to a cluster, and the exchange of a request and its answer on them.
//!
//! A request that the cluster did not process is sent again on another connection (RFC 9113,
//! sections 6.8 and 8.7). This holds in exactly three cases:
//!
//! * hyper returns it, because nothing of it was written;
//! * its stream is above the last one that a GOAWAY of the cluster names, or was never opened after
//!   one: h2 reports a GOAWAY of the remote side to exactly those streams;
//! * the cluster reset its stream with REFUSED_STREAM.
//!
//! A cluster that violates the protocol can only cause a request to itself to be sent twice.
//!
//! If a connection ends in any other way, the cluster may have processed the request. Then only GET
//! and HEAD without a body are sent again, and only once. Go's transport does the same.

use std::sync::Arc;
use std::time::Duration;

use api::management::cluster::ClusterConnection;
use axum::body::Body;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use management::cluster_secret::Owned;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::credential::Credential;
use super::error::{Phase, UpstreamError};
use super::kept_body::Budget;
use super::options::Options;
use super::outgoing::{Fate, Outgoing, Unanswered};
use super::pool::{Connection, Pool, PooledBody};
use super::streams::Streams;
use super::target::Target;

/// Maximum number of times that a request is sent if the cluster does not process it.
const ATTEMPTS: u32 = 6;

/// Pause before the third attempt. It doubles with each further attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections to one cluster, or to another server.
pub(crate) struct Upstream {
    connection: ClusterConnection,
    /// `None` for servers that get no credential.
    credential: Option<Owned<Credential>>,
    target: Target,
    /// The connections for users' requests.
    pool: Arc<Pool>,
    /// The connections for the gateway's own requests, so that users cannot delay them.
    own_pool: Arc<Pool>,
    kept_bodies: Arc<Budget>,
    options: Options,
}

/// The parts that an [`Upstream`] is built from.
pub(super) struct UpstreamParts {
    pub(super) connection: ClusterConnection,
    /// `None` for servers that get no credential.
    pub(super) credential: Option<Owned<Credential>>,
    pub(super) target: Target,
    pub(super) kept_bodies: Arc<Budget>,
    pub(super) options: Options,
}

impl Upstream {
    /// Creates the connections. None is opened yet.
    pub(super) fn new(parts: UpstreamParts) -> Self {
        let policy = parts.options.addresses;
        Self {
            connection: parts.connection,
            credential: parts.credential,
            target: parts.target,
            pool: Pool::new(policy),
            own_pool: Pool::new(policy),
            kept_bodies: parts.kept_bodies,
            options: parts.options,
        }
    }

    /// Sends a user's request, or a request to a server that is not a cluster. Without `head` there
    /// is no deadline for the answer.
    ///
    /// # Errors
    /// The same as those of [`Upstreams::request`](super::Upstreams::request).
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        head: Option<Duration>,
    ) -> Result<Response<PooledBody>, UpstreamError> {
        let by = head.map(|head| Instant::now() + self.options.connect + head);
        let outgoing = self.outgoing(request);
        self.exchange(&self.pool, &outgoing, by).await
    }

    /// Sends a request of the gateway itself.
    ///
    /// # Errors
    /// The same as those of [`Upstreams::request`](super::Upstreams::request).
    pub(super) async fn send_own(
        &self,
        request: Request<Body>,
        head: Duration,
    ) -> Result<Response<PooledBody>, UpstreamError> {
        let by = Instant::now() + self.options.connect + head;
        let outgoing = self.outgoing(request);
        self.exchange(&self.own_pool, &outgoing, Some(by)).await
    }

    /// Sends an upgrade request on a connection of its own, which is closed after the answer unless
    /// that is a 101.
    ///
    /// # Errors
    /// The same as those of [`Upstreams::request`](super::Upstreams::request).
    pub(crate) async fn begin_upgrade(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        self.authorize(&mut request);
        self.target.address(&mut request, false)?;
        for attempt in 1.. {
            let opening = self.pool.open_for_upgrade(&self.target);
            let opened = tokio::time::timeout(self.options.connect, opening).await;
            let mut sender = opened.map_err(|_| UpstreamError::Slow(Phase::Connect))??;
            let answer =
                tokio::time::timeout(self.options.head, sender.try_send_request(request)).await;
            let mut unanswered = match answer.map_err(|_| UpstreamError::Slow(Phase::Head))? {
                Ok(answer) => return check_credential_refused(answer),
                Err(unanswered) => unanswered,
            };
            match unanswered.take_message() {
                Some(unsent) if attempt < ATTEMPTS => request = unsent,
                Some(_) => return Err(UpstreamError::of_connection(unanswered.into_error())),
                None => return Err(UpstreamError::of_exchange(unanswered.into_error())),
            }
            tokio::time::sleep(pause(attempt)).await;
        }
        Err(UpstreamError::Slow(Phase::Connect))
    }

    /// Closes all connections, including those in use.
    pub(super) fn cut(&self) {
        self.pool.cut();
        self.own_pool.cut();
    }

    /// Stops reusing connections. Those in use are closed after their requests.
    pub(super) fn retire(&self) {
        self.pool.retire();
        self.own_pool.retire();
    }

    /// Returns the cluster's own host and port, which clients must not see.
    pub(crate) fn authority(&self) -> &Authority {
        &self.target.authority
    }

    /// Returns the prefix of all paths at the cluster.
    pub(crate) fn base_path(&self) -> &str {
        &self.target.base_path
    }

    /// Returns the token that is cancelled when these connections are closed for good.
    pub(crate) fn is_cut(&self) -> CancellationToken {
        self.pool.is_cut()
    }

    /// Sends a request until the cluster has answered or may have processed it. The answer must
    /// begin before `by`.
    async fn exchange(
        &self,
        pool: &Arc<Pool>,
        outgoing: &Outgoing,
        by: Option<Instant>,
    ) -> Result<Response<PooledBody>, UpstreamError> {
        let mut avoided = None;
        for attempt in 1.. {
            let connection = self.connection(pool, avoided.as_ref()).await?;
            let is_reused = connection.is_reused();
            let request = outgoing.attempt(&self.target, connection.is_http2())?;
            let sent = send_on(pool, connection, request);
            let sent = match by {
                Some(by) => timeout_at(by, sent).await,
                None => Ok(sent.await),
            };
            let unanswered = match sent.map_err(|_| UpstreamError::Slow(Phase::Head))? {
                Ok(response) => {
                    outgoing.release();
                    return check_credential_refused(response);
                }
                Err(unanswered) => unanswered,
            };
            if outgoing.has_failed() {
                return Err(UpstreamError::RequestBody(Arc::new(unanswered.error)));
            }
            let may_repeat = match unanswered.fate {
                Fate::Unsent | Fate::NotTaken | Fate::Refused => {
                    attempt < ATTEMPTS && outgoing.is_whole()
                }
                Fate::Lost => attempt == 1 && is_reused && outgoing.is_safe(),
                Fate::Failed => false,
            };
            if !may_repeat || pool.is_cut().is_cancelled() {
                return Err(unanswered.into_error());
            }
            // The other idle connections have probably been closed, too.
            pool.forget_dead();
            avoided = unanswered.streams;
            tokio::time::sleep(pause(attempt)).await;
        }
        Err(UpstreamError::Slow(Phase::Head))
    }

    /// Returns a connection other than `avoided` with room for a request.
    async fn connection(
        &self,
        pool: &Pool,
        avoided: Option<&Arc<Streams>>,
    ) -> Result<Connection, UpstreamError> {
        if let Some(connection) = pool.waiting(avoided) {
            return Ok(connection);
        }
        // Boxed, since few requests need it and it would enlarge the future of all.
        let opening = Box::pin(pool.open(&self.target, avoided));
        let opened = tokio::time::timeout(self.options.connect, opening).await;
        opened.map_err(|_| UpstreamError::Slow(Phase::Connect))?
    }

    /// Returns the settings that the connections were built from.
    pub(super) fn connection_settings(&self) -> &ClusterConnection {
        &self.connection
    }

    /// Returns whether these connections use this credential.
    pub(super) fn uses(&self, credential: &Credential) -> bool {
        self.credential
            .as_ref()
            .is_some_and(|own| **own == *credential)
    }

    fn outgoing(&self, mut request: Request<Body>) -> Outgoing {
        self.authorize(&mut request);
        Outgoing::new(request, &self.kept_bodies)
    }

    fn authorize<B>(&self, request: &mut Request<B>) {
        let own = self.credential.as_ref();
        match own.and_then(|own| own.authorization.as_ref()) {
            Some(value) => request.headers_mut().insert(AUTHORIZATION, value.clone()),
            None => request.headers_mut().remove(AUTHORIZATION),
        };
        let path = self.target.path(request.uri().path_and_query());
        *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
    }
}

async fn send_on(
    pool: &Arc<Pool>,
    connection: Connection,
    request: Request<Body>,
) -> Result<Response<PooledBody>, Unanswered> {
    let streams = connection.streams();
    let sent = connection.send(pool, request).await;
    sent.map_err(|mut failure| {
        let fate = Fate::of(&mut failure);
        if let (Fate::Unsent | Fate::NotTaken, Some(streams)) = (fate, &streams) {
            streams.close();
        }
        Unanswered {
            error: failure.into_error(),
            fate,
            streams,
        }
    })
}

/// Returns the pause after an attempt: zero after the first, then growing, with a jitter of 50%.
fn pause(attempt: u32) -> Duration {
    let jitter = 0.5 + rand::random::<f64>();
    match attempt {
        1 => Duration::ZERO,
        later => (PAUSE * 2_u32.saturating_pow(later - 2)).mul_f64(jitter),
    }
}

/// Returns [`UpstreamError::CredentialRefused`] for a 401 of the cluster's own API server, which
/// sends no `WWW-Authenticate`. A 401 with that header is from an application behind its proxy, so
/// it is an answer for the user.
fn check_credential_refused<B>(response: Response<B>) -> Result<Response<B>, UpstreamError> {
    let is_ours = response.status() == StatusCode::UNAUTHORIZED
        && !response.headers().contains_key(WWW_AUTHENTICATE);
    match is_ours {
        true => Err(UpstreamError::CredentialRefused),
        false => Ok(response),
    }
}
