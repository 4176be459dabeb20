//! Authentication at the unmanaged endpoint of clusters that have a `spec.authentication`.
//!
//! ```text
//! bearer ─▶ spec.authentication ─┬─▶ webhook   asked by a TokenReview; answers are cached
//!                                └─▶ oidc      ID tokens, verified with the current keys
//! ```
//!
//! Tokens that this server issued are always rejected. ID tokens that log in to this server and
//! tokens of ServiceAccounts are never sent to a webhook ([`credential_owner`]), since a webhook
//! receives the token itself.
//!
//! The authenticator that is built from a `spec.authentication` is kept until that field changes.
//! Requests that it authenticated end then. Every failure rejects the caller with a 401 and logs
//! the reason. The caller learns it only if the token is one that is not sent to webhooks.

pub(crate) mod credential_owner;
mod webhook;

use std::collections::HashMap;
use std::sync::Arc;

use api::management::Cluster;
use api::management::cluster::{ClusterAuthentication, GROUP_PREFIX, OidcProvider, TokenWebhook};
use apiserver::registry::Registry;
use auth::delegated::DelegatedAuthenticator;
use auth::identity::is_spelling_of;
use auth::request_headers::NoHeaders;
use auth::{Authentication, Authenticator, Credentials, Identity};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use machinery::meta::ObjectKey;
use machinery::status::Status;
use machinery::time::Clock;
use oidc::{Config, Issuers, Network, OidcAuthenticator};
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::bearer::SentToken;
use crate::upstream::Upstreams;

use credential_owner::{CredentialOwner, OwnIssuers};
use webhook::Webhook;

/// Default time for which answers of webhooks are cached, in seconds.
const CACHE: i64 = 10;

/// Maximum for the configured cache time, in seconds.
const MAX_CACHE: i64 = 3600;

/// All signature algorithms that a provider may use. The key itself restricts them further.
const ALGORITHMS: [&str; 8] = [
    "RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384", "PS512",
];

/// Authenticates callers by the `spec.authentication` of clusters.
pub(crate) struct Edge {
    parts: EdgeParts,
    known: Mutex<HashMap<Box<str>, BuiltAuthenticator>>,
}

/// The dependencies of an [`Edge`].
pub(crate) struct EdgeParts {
    pub(crate) clusters: Registry<Cluster>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Cancelled when the server stops, which ends background tasks.
    pub(crate) stop: CancellationToken,
    pub(crate) issuers: OwnIssuers,
}

/// The fields of a cluster that authentication depends on.
#[derive(Debug, PartialEq)]
pub(crate) struct Configured {
    authentication: Option<ClusterAuthentication>,
    /// The group that users of administrators' kubeconfig files are in.
    admin_group: String,
}

/// An authenticator and the configuration that it was built from.
struct BuiltAuthenticator {
    configured: Arc<Configured>,
    /// `None` if the configuration is invalid.
    authenticator: Option<Arc<dyn Authenticator>>,
    /// Stops the authenticator's background tasks when dropped.
    _running: DropGuard,
}

/// The reason for rejecting a caller, as far as the caller may learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdgeRejection {
    /// The uniform 401.
    Unauthorized,
    /// The token is of a kind that is not sent to webhooks.
    Withheld(CredentialOwner),
}

/// The result of authentication.
pub(crate) struct EdgeAuthentication {
    /// The caller's identity, or the reason for rejecting the caller.
    pub(crate) user: Result<Identity, EdgeRejection>,
    /// The configuration that the result is based on.
    pub(crate) configured: Option<Arc<Configured>>,
}

impl Edge {
    pub(crate) fn new(parts: EdgeParts) -> Self {
        Self {
            parts,
            known: Mutex::default(),
        }
    }

    /// Returns the authentication of a cluster, or `None` if it has no `spec.authentication`.
    pub(crate) fn configured(&self, cluster: &str) -> Option<Arc<Configured>> {
        let configured = self
            .parts
            .clusters
            .cache()
            .derived(ObjectKey::cluster(cluster), Configured::of);
        configured.filter(|configured| configured.authentication.is_some())
    }

    /// Authenticates the caller.
    pub(crate) async fn authenticate(
        &self,
        cluster: &str,
        token: Option<SentToken>,
    ) -> EdgeAuthentication {
        let configured = self.configured(cluster);
        let user = self.user(cluster, configured.as_ref(), token).await;
        EdgeAuthentication { user, configured }
    }

    async fn user(
        &self,
        cluster: &str,
        configured: Option<&Arc<Configured>>,
        token: Option<SentToken>,
    ) -> Result<Identity, EdgeRejection> {
        let token = token.ok_or(EdgeRejection::Unauthorized)?;
        let asks_webhook = configured.is_none_or(|configured| configured.asks_webhook());
        match self.parts.issuers.owner_of(token.expose()) {
            CredentialOwner::Unknown => {}
            CredentialOwner::Issued => {
                let why = "the token was issued by this server";
                tracing::info!(why, cluster, "authentication failed");
                return Err(EdgeRejection::Unauthorized);
            }
            // These are verified with the provider's keys; the token is not sent anywhere.
            CredentialOwner::Login | CredentialOwner::ServiceAccount if !asks_webhook => {}
            owner => {
                let why = "the token must not be sent to a webhook";
                tracing::info!(why, ?owner, cluster, "authentication failed");
                return Err(EdgeRejection::Withheld(owner));
            }
        }
        let authenticator = configured.and_then(|it| self.authenticator(cluster, it));
        let authenticator = authenticator.ok_or(EdgeRejection::Unauthorized)?;
        let user = authenticate(&*authenticator, cluster, &token).await;
        user.ok_or(EdgeRejection::Unauthorized)
    }

    /// Drops the authenticators of those clusters whose configuration has changed, and returns the
    /// clusters.
    pub(crate) fn refresh(&self, concerns: impl Fn(&str) -> bool) -> Vec<Box<str>> {
        let mut known = self.known.lock();
        let gone = known.iter().filter(|(cluster, known)| {
            concerns(cluster) && self.configured(cluster).as_ref() != Some(&known.configured)
        });
        let gone: Vec<Box<str>> = gone.map(|(cluster, _)| cluster.clone()).collect();
        for cluster in &gone {
            known.remove(cluster);
        }
        gone
    }

    fn authenticator(
        &self,
        cluster: &str,
        configured: &Arc<Configured>,
    ) -> Option<Arc<dyn Authenticator>> {
        let mut all = self.known.lock();
        if let Some(known) = all.get(cluster)
            && known.configured == *configured
        {
            return known.authenticator.clone();
        }
        let running = self.parts.stop.child_token();
        let authenticator = self
            .build(configured, &running)
            .inspect_err(|error| {
                let error = &**error;
                tracing::warn!(
                    cluster,
                    error,
                    "spec.authentication of a cluster is invalid"
                );
            })
            .ok();
        let known = BuiltAuthenticator {
            configured: Arc::clone(configured),
            authenticator: authenticator.clone(),
            _running: running.drop_guard(),
        };
        all.insert(cluster.into(), known);
        authenticator
    }

    fn build(&self, configured: &Configured, stop: &CancellationToken) -> BuildResult {
        match &configured.authentication {
            Some(ClusterAuthentication {
                webhook: Some(webhook),
                oidc: None,
                ..
            }) => self.build_webhook(webhook),
            Some(ClusterAuthentication {
                webhook: None,
                oidc: Some(oidc),
                ..
            }) => self.build_oidc(oidc, stop),
            _ => Err("exactly one of webhook and oidc is required".into()),
        }
    }

    fn build_webhook(&self, webhook: &TokenWebhook) -> BuildResult {
        let reviewer = Arc::new(Webhook::new(&self.parts.upstreams, webhook)?);
        let time = webhook.cache_seconds.unwrap_or(CACHE).clamp(0, MAX_CACHE);
        // The key of the hashes under which answers are cached.
        let key = rand::random();
        let asking = DelegatedAuthenticator::new(reviewer, &key, Arc::clone(&self.parts.clock));
        Ok(Arc::new(
            asking.remembering(SignedDuration::from_secs(time)),
        ))
    }

    fn build_oidc(&self, oidc: &OidcProvider, stop: &CancellationToken) -> BuildResult {
        let authorities = match oidc.ca_data.as_str() {
            "" => None,
            data => Some(String::from_utf8(STANDARD.decode(data.trim())?)?),
        };
        let config = Config::new(oidc::Options {
            certificate_authority: authorities,
            ..options(oidc)
        })?;
        let addresses = self.parts.upstreams.addresses();
        let network = Network {
            allows: Arc::new(move |address| addresses.allows(address)),
            ..Network::of_environment()
        };
        let issuers = Arc::new(Issuers::new(vec![config], network)?);
        tokio::spawn(Arc::clone(&issuers).run(stop.clone()));
        let clock = Arc::clone(&self.parts.clock);
        Ok(Arc::new(OidcAuthenticator::new(issuers, clock)))
    }
}

type BuildResult = Result<Arc<dyn Authenticator>, Box<dyn std::error::Error + Send + Sync>>;

impl Configured {
    fn of(cluster: &Cluster) -> Self {
        Self {
            authentication: cluster.edge_authentication().cloned(),
            admin_group: cluster.admin_group().to_owned(),
        }
    }

    fn asks_webhook(&self) -> bool {
        let authentication = self.authentication.as_ref();
        authentication.is_some_and(|authentication| authentication.webhook.is_some())
    }

    /// Returns the group of the user that only this server gives: one with its prefix, or the group of
    /// the users of administrators' files, in any spelling. Their permissions end with records and
    /// grants.
    pub(crate) fn reserved_group<'a>(&self, user: &'a Identity) -> Option<&'a str> {
        let mut groups = user.groups.iter();
        let found = groups.find(|group| {
            group.starts_with(GROUP_PREFIX) || is_spelling_of(&self.admin_group, group)
        });
        found.map(String::as_str)
    }
}

impl EdgeRejection {
    /// Returns a 401. For a token that is valid elsewhere, the message says where.
    pub(crate) fn status(self) -> Status {
        let message = match self {
            Self::Withheld(CredentialOwner::ServiceAccount) => {
                "ServiceAccount tokens are not sent to the webhook of a cluster: use them at the cluster's own API server"
            }
            Self::Withheld(CredentialOwner::Login) => {
                "ID tokens that log in to this server are not sent to the webhook of a cluster: use a kubeconfig of this server, or another client of the provider"
            }
            Self::Unauthorized | Self::Withheld(_) => return Status::unauthorized(),
        };
        Status {
            message: message.to_owned(),
            ..Status::unauthorized()
        }
    }
}

/// Maps the provider to the options that the flags of kube-apiserver correspond to.
fn options(oidc: &OidcProvider) -> oidc::Options {
    let username_claim = match oidc.username_claim.as_str() {
        "" => "sub".to_owned(),
        claim => claim.to_owned(),
    };
    oidc::Options {
        issuer_url: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        username_claim,
        username_prefix: Some(oidc.username_prefix.clone()),
        groups_claim: oidc.groups_claim.clone(),
        groups_prefix: oidc.groups_prefix.clone(),
        signing_algs: ALGORITHMS.map(str::to_owned).to_vec(),
        ..oidc::Options::default()
    }
}

async fn authenticate(
    authenticator: &dyn Authenticator,
    cluster: &str,
    token: &SentToken,
) -> Option<Identity> {
    let credentials = Credentials {
        certificates: &[],
        bearer: Some(token.expose()),
        headers: &NoHeaders,
    };
    let why = match authenticator.authenticate(&credentials).await {
        Authentication::Authenticated(user) => return Some(user),
        Authentication::Failed(why) => why.to_string(),
        Authentication::NotRequested => "the token has a different issuer".to_owned(),
    };
    let by = authenticator.name();
    tracing::info!(why, by, cluster, "authentication failed");
    None
}
