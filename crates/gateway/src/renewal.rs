//! Renews the gateway's tokens before they end.
//!
//! A token of a ServiceAccount asks with itself for its successor (TokenRequest), which `deploy/downstream/` allows it and nothing else. That
//! is due when a third of its life is left, and not less than ten minutes where it lives long enough. The successor lives as long as the
//! token did, as far as the cluster grants it, and is written to the Secret by compare-and-swap: of several replicas that do so at once the
//! first wins, and the tokens of the others lapse unused.
//!
//! Tokens of other kinds and client certificates are left alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::management::Cluster;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use machinery::time::{Clock, rfc3339};
use management::cluster_secret::{ClusterSecrets, Owned, Purpose};
use serde::Deserialize;
use serde_json::json;
use tokens::secret::SecretString;

use crate::ask::ask;
use crate::token_claims::{ServiceAccount, TokenClaims};
use crate::upstream::{TOKEN, UpstreamError, Upstreams};

/// Left over at least, where the token lives twice as long.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// Shorter lives are not granted (`k8s.io/kubernetes/pkg/apis/authentication/validation`).
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);

/// The time from a failure to the next attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// It grows no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// Renews the gateway's tokens.
pub struct Renewal {
    upstreams: Arc<Upstreams>,
    secrets: ClusterSecrets,
    clock: Arc<dyn Clock>,
    failures: Mutex<HashMap<String, Failure>>,
}

/// What went wrong last with a cluster's token.
struct Failure {
    /// The Secret that it was about.
    revision: u64,
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

/// Why there is no successor.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    #[error("the cluster answers {0}: apply deploy/downstream/ there")]
    Refused(StatusCode),
    #[error("the cluster's answer makes no sense")]
    Malformed,
    #[error("the new token ends no later")]
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
    /// Of the tokens in these Secrets.
    pub fn new(upstreams: Arc<Upstreams>, secrets: ClusterSecrets, clock: Arc<dyn Clock>) -> Self {
        Self {
            upstreams,
            secrets,
            clock,
            failures: Mutex::default(),
        }
    }

    /// Renews the token in the Secret of a cluster, if it is time and the Secret is bound to the cluster as it is. Returns the last
    /// problem until it is solved.
    ///
    /// Dropping the future leaves the Secret as it was or renewed.
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

    /// What went wrong last with the token of a cluster.
    pub fn trouble(&self, cluster: &str) -> Option<String> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
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
        match secrets.replace(secret, owned.revision()).await {
            // Somebody else has just written it, perhaps the same.
            Ok(_) | Err(None) => Ok(()),
            Err(Some(status)) => Err(RenewalError::Store(status.message)),
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
        let answer = ask(&self.upstreams, cluster, &path, Some(&request)).await?;
        if answer.code != StatusCode::CREATED {
            return Err(RenewalError::Refused(answer.code));
        }
        let answer: TokenRequest =
            serde_json::from_slice(&answer.body).map_err(|_| RenewalError::Malformed)?;
        Ok(SecretString::new(answer.status.token))
    }

    /// Whether the last attempt with this very token is not long enough ago.
    fn must_wait(&self, cluster: &str, revision: u64, now: Timestamp) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = failures.get(cluster);
        failure.is_some_and(|failure| failure.revision == revision && now < failure.next)
    }

    fn fail(&self, cluster: &str, revision: u64, due: &Due, error: &RenewalError) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let before = failures
            .get(cluster)
            .filter(|before| before.revision == revision);
        let pause = before.map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        let wait = SignedDuration::try_from(pause).unwrap_or(MARGIN);
        let failure = Failure {
            revision,
            trouble: format!(
                "its token ends at {} and cannot be renewed: {error}",
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
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(cluster);
    }
}

fn token_of(secret: &Secret) -> Option<&str> {
    let token = secret.data.as_ref()?.get(TOKEN)?;
    std::str::from_utf8(&token.0).ok().map(str::trim)
}

/// The token, if it can be replaced by itself and it is time to.
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
