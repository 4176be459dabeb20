//! Renews the gateway's tokens before they expire.
//!
//! A ServiceAccount token is used to request its successor (TokenRequest), which the Role in
//! `deploy/downstream/` permits. It is due when a third of its lifetime is left, but at least ten
//! minutes before it expires if it lives long enough. The successor has the same lifetime, as far
//! as the cluster grants it. It is written to the Secret by compare-and-swap: if several replicas
//! renew a token at once, the first wins, and the tokens of the others expire unused.
//!
//! Tokens of other kinds and client certificates are not renewed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api::management::Cluster;
use apiserver::registry::WriteError;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use machinery::time::{Clock, rfc3339};
use management::cluster_secret::{ClusterSecrets, Owned, Purpose};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use signing::secret::SecretString;
use storage::Revision;

use crate::small_request;
use crate::token_claims::{ServiceAccount, TokenClaims};
use crate::upstream::{TOKEN, UpstreamError, Upstreams};

/// Minimum time before expiry at which a token is due, if its lifetime is at least twice as long.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// Shortest lifetime that Kubernetes grants
/// (`k8s.io/kubernetes/pkg/apis/authentication/validation`).
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);

/// Time from a failure to the next attempt. It doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// Maximum time between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// Renews the gateway's tokens.
pub struct Renewal {
    upstreams: Arc<Upstreams>,
    secrets: ClusterSecrets,
    clock: Arc<dyn Clock>,
    failures: Mutex<HashMap<String, Failure>>,
}

/// The last failure to renew a cluster's token.
struct Failure {
    /// The revision of the Secret whose token could not be renewed.
    revision: Revision,
    trouble: String,
    pause: Duration,
    next: Timestamp,
}

/// A token that is due to be replaced.
#[derive(Debug, Eq, PartialEq)]
struct Due {
    account: ServiceAccount,
    expires: Timestamp,
    life: SignedDuration,
}

/// The reason why a token was not renewed.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    #[error("the cluster responded {0}: apply deploy/downstream/ there")]
    Refused(StatusCode),
    #[error("the response of the cluster is malformed")]
    Malformed,
    #[error("the new token does not expire later")]
    Pointless,
    #[error("the Secret cannot be written: {0}")]
    Store(String),
}

#[derive(Deserialize)]
struct TokenRequest {
    status: TokenRequestStatus,
}

#[derive(Deserialize)]
struct TokenRequestStatus {
    token: String,
}

impl Renewal {
    /// Creates a renewal of the tokens in these Secrets.
    pub fn new(upstreams: Arc<Upstreams>, secrets: ClusterSecrets, clock: Arc<dyn Clock>) -> Self {
        Self {
            upstreams,
            secrets,
            clock,
            failures: Mutex::default(),
        }
    }

    /// Renews the token of a cluster, if it is due and the Secret is bound to the cluster in its
    /// current form. Returns the last failure until a renewal succeeds.
    ///
    /// If the future is dropped, the Secret is either unchanged or renewed.
    pub async fn renew_if_due(&self, cluster: &Cluster) -> Option<String> {
        let owned = self.secrets.cached(Purpose::Gateway, cluster);
        let secret: Owned<Secret> = owned.ok()?;
        let cluster = cluster.id();
        let now = self.clock.now();
        let due = token_of(&secret).and_then(|token| due(token, now));
        let Some(due) = due else {
            self.forget(cluster);
            return None;
        };
        if self.must_wait(cluster, secret.revision(), now) {
            return self.trouble(cluster);
        }
        match self.renew(cluster, &secret, &due).await {
            Ok(()) => {
                self.forget(cluster);
                tracing::info!(cluster, "renewed the gateway's token");
                None
            }
            Err(error) => {
                tracing::warn!(
                    cluster,
                    error = &error as &dyn std::error::Error,
                    "the gateway's token cannot be renewed"
                );
                self.fail(cluster, secret.revision(), &due, &error);
                self.trouble(cluster)
            }
        }
    }

    /// Returns the last failure to renew the token of a cluster.
    pub fn trouble(&self, cluster: &str) -> Option<String> {
        let failures = self.failures.lock();
        failures.get(cluster).map(|failure| failure.trouble.clone())
    }

    async fn renew(
        &self,
        cluster: &str,
        owned: &Owned<Secret>,
        due: &Due,
    ) -> Result<(), RenewalError> {
        let token = self.request(cluster, due).await?;
        let fresh = TokenClaims::read(token.expose()).ok_or(RenewalError::Malformed)?;
        if fresh.expires.is_some_and(|expires| expires <= due.expires) {
            return Err(RenewalError::Pointless);
        }
        let bytes = ByteString(token.expose().as_bytes().to_vec());
        let mut secret = Secret::clone(owned);
        secret
            .data
            .get_or_insert_default()
            .insert(TOKEN.to_owned(), bytes);
        let secrets = self.secrets.registry();
        match secrets.store().replace(secret, owned.revision()).await {
            // Another replica has just written the Secret, perhaps with its own successor.
            Ok(_) | Err(WriteError::Conflict) => Ok(()),
            Err(WriteError::Status(status)) => Err(RenewalError::Store(status.message)),
        }
    }

    async fn request(&self, cluster: &str, due: &Due) -> Result<SecretString, RenewalError> {
        let ServiceAccount { namespace, name } = &due.account;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "audiences": [], "expirationSeconds": due.life.max(SHORTEST).as_secs() },
        });
        let answer = small_request::post(&self.upstreams, cluster, &path, &request).await?;
        if answer.code != StatusCode::CREATED {
            return Err(RenewalError::Refused(answer.code));
        }
        let answer: TokenRequest =
            serde_json::from_slice(&answer.body).map_err(|_| RenewalError::Malformed)?;
        Ok(SecretString::new(answer.status.token))
    }

    /// Returns whether it is too early for another attempt with this same token.
    fn must_wait(&self, cluster: &str, revision: Revision, now: Timestamp) -> bool {
        let failures = self.failures.lock();
        let failure = failures.get(cluster);
        failure.is_some_and(|failure| failure.revision == revision && now < failure.next)
    }

    fn fail(&self, cluster: &str, revision: Revision, due: &Due, error: &RenewalError) {
        let mut failures = self.failures.lock();
        let before = failures
            .get(cluster)
            .filter(|before| before.revision == revision);
        let pause = before.map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        let wait = SignedDuration::try_from(pause).unwrap_or(MARGIN);
        let failure = Failure {
            revision,
            trouble: format!(
                "its token expires at {} and cannot be renewed: {error}",
                rfc3339(due.expires)
            ),
            pause,
            next: self
                .clock
                .now()
                .saturating_add(wait)
                .unwrap_or(Timestamp::MAX),
        };
        failures.insert(cluster.to_owned(), failure);
    }

    fn forget(&self, cluster: &str) {
        let mut failures = self.failures.lock();
        failures.remove(cluster);
    }
}

fn token_of(secret: &Secret) -> Option<&str> {
    let token = secret.data.as_ref()?.get(TOKEN)?;
    std::str::from_utf8(&token.0).ok().map(str::trim)
}

/// Returns the token's details, if it can renew itself and is due.
fn due(token: &str, now: Timestamp) -> Option<Due> {
    let claims = TokenClaims::read(token)?;
    let (account, expires) = (claims.account?, claims.expires?);
    let life = expires.duration_since(claims.issued?);
    let margin = (life / 3).max(MARGIN.min(life / 2));
    let is_due = expires.duration_since(now) <= margin;
    is_due.then_some(Due {
        account,
        expires,
        life,
    })
}

#[cfg(test)]
pub(crate) mod tests;
