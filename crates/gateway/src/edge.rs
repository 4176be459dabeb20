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

use machinery::meta::ObjectKey;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::management::Cluster;
use api::management::cluster::{ClusterAuthentication, OidcProvider, TokenWebhook};
use apiserver::registry::Registry;
use auth::delegated::DelegatedAuthenticator;
use auth::identity::is_spelling_of;
use auth::request_headers::NoHeaders;
use auth::{Authentication, Authenticator, Credentials, Identity};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use machinery::status::Status;
use machinery::time::Clock;
use oidc::{Config, OidcAuthenticator, Provider};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::bearer::SentToken;
use crate::gateway::GatewayParts;
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
    clusters: Registry<Cluster>,
    upstreams: Arc<Upstreams>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    own: OwnIssuers,
    known: Mutex<HashMap<Box<str>, Known>>,
}

/// The fields of a cluster that authentication depends on.
#[derive(Debug, PartialEq)]
pub(crate) struct Configured {
    authentication: Option<ClusterAuthentication>,
    /// The group that users of administrators' kubeconfig files are in.
    admin_group: String,
}

/// An authenticator and the configuration that it was built from.
struct Known {
    configured: Arc<Configured>,
    /// `None` if the configuration is invalid.
    authenticator: Option<Arc<dyn Authenticator>>,
    /// Stops the authenticator's background tasks when dropped.
    _running: DropGuard,
}

/// The reason for rejecting a caller, as far as the caller may learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unrecognised {
    /// The uniform 401.
    Unauthorized,
    /// The token is of a kind that is not sent to webhooks.
    Withheld(CredentialOwner),
}

/// The result of authentication, an extension of the request.
#[derive(Clone, Debug)]
pub(crate) struct Recognised {
    /// The caller's identity, or the reason for rejecting the caller.
    pub(crate) user: Result<Identity, Unrecognised>,
    /// The configuration that the result is based on.
    pub(crate) by: Option<Arc<Configured>>,
}

impl Edge {
    pub(crate) fn new(parts: &GatewayParts, upstreams: Arc<Upstreams>) -> Self {
        Self {
            clusters: parts.clusters.clone(),
            upstreams,
            clock: Arc::clone(&parts.clock),
            stop: parts.stop.clone(),
            own: OwnIssuers {
                minted: parts.validity.issuer().to_owned(),
                login: parts.login.clone(),
            },
            known: Mutex::default(),
        }
    }

    /// Returns the authentication of a cluster, or `None` if it has no `spec.authentication`.
    pub(crate) fn configured(&self, cluster: &str) -> Option<Arc<Configured>> {
        let configured = self
            .clusters
            .derived(ObjectKey::cluster(cluster), Configured::of);
        configured.filter(|configured| configured.authentication.is_some())
    }

    /// Authenticates the caller.
    pub(crate) async fn recognise(&self, cluster: &str, token: Option<SentToken>) -> Recognised {
        let by = self.configured(cluster);
        let user = self.user(cluster, by.as_ref(), token).await;
        Recognised { user, by }
    }

    async fn user(
        &self,
        cluster: &str,
        by: Option<&Arc<Configured>>,
        token: Option<SentToken>,
    ) -> Result<Identity, Unrecognised> {
        let token = token.ok_or(Unrecognised::Unauthorized)?;
        let asks_webhook = by.is_none_or(|by| by.asks_webhook());
        match self.own.owner_of(token.expose()) {
            CredentialOwner::Unknown => {}
            CredentialOwner::Issued => {
                let why = "the token was issued by this server";
                tracing::info!(why, cluster, "authentication failed");
                return Err(Unrecognised::Unauthorized);
            }
            // These are verified with the provider's keys; the token is not sent anywhere.
            CredentialOwner::Login | CredentialOwner::ServiceAccount if !asks_webhook => {}
            owner => {
                let why = "the token must not be sent to a webhook";
                tracing::info!(why, ?owner, cluster, "authentication failed");
                return Err(Unrecognised::Withheld(owner));
            }
        }
        let authenticator = by.and_then(|by| self.authenticator(cluster, by));
        let authenticator = authenticator.ok_or(Unrecognised::Unauthorized)?;
        let user = ask(&*authenticator, cluster, &token).await;
        user.ok_or(Unrecognised::Unauthorized)
    }

    /// Drops the authenticators of those clusters whose configuration has changed, and returns the
    /// clusters.
    pub(crate) fn refresh(&self, concerns: impl Fn(&str) -> bool) -> Vec<Box<str>> {
        let mut known = self.known();
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
        let mut all = self.known();
        if let Some(known) = all.get(cluster)
            && known.configured == *configured
        {
            return known.authenticator.clone();
        }
        let running = self.stop.child_token();
        let made = self.make(configured, &running);
        let authenticator = made
            .inspect_err(|error| {
                let error = &**error;
                tracing::warn!(
                    cluster,
                    error,
                    "spec.authentication of a cluster is invalid"
                );
            })
            .ok();
        let known = Known {
            configured: Arc::clone(configured),
            authenticator: authenticator.clone(),
            _running: running.drop_guard(),
        };
        all.insert(cluster.into(), known);
        authenticator
    }

    fn make(&self, configured: &Configured, stop: &CancellationToken) -> Made {
        match &configured.authentication {
            Some(ClusterAuthentication {
                webhook: Some(webhook),
                oidc: None,
                ..
            }) => self.make_webhook(webhook),
            Some(ClusterAuthentication {
                webhook: None,
                oidc: Some(oidc),
                ..
            }) => self.make_oidc(oidc, stop),
            _ => Err("exactly one of webhook and oidc is required".into()),
        }
    }

    fn make_webhook(&self, webhook: &TokenWebhook) -> Made {
        let reviewer = Arc::new(Webhook::new(&self.upstreams, webhook)?);
        let time = webhook.cache_seconds.unwrap_or(CACHE).clamp(0, MAX_CACHE);
        // The key of the hashes under which answers are cached.
        let key = rand::random();
        let asking = DelegatedAuthenticator::new(reviewer, &key, Arc::clone(&self.clock));
        Ok(Arc::new(
            asking.remembering(SignedDuration::from_secs(time)),
        ))
    }

    fn make_oidc(&self, oidc: &OidcProvider, stop: &CancellationToken) -> Made {
        let config = Config::new(options(oidc))?;
        let authorities = match oidc.ca_data.as_str() {
            "" => None,
            data => Some(String::from_utf8(STANDARD.decode(data.trim())?)?),
        };
        let addresses = self.upstreams.addresses();
        let provider = Provider::new(&oidc.issuer, authorities.as_deref())?;
        let provider = Arc::new(provider.reaching(move |address| addresses.allows(address)));
        tokio::spawn(Arc::clone(&provider).run(stop.clone()));
        let clock = Arc::clone(&self.clock);
        Ok(Arc::new(OidcAuthenticator::new(config, provider, clock)))
    }

    /// Poisoning is ignored: every update leaves the map consistent.
    fn known(&self) -> MutexGuard<'_, HashMap<Box<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Made = Result<Arc<dyn Authenticator>, Box<dyn std::error::Error + Send + Sync>>;

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

    /// Returns the group of the user that is reserved for this server, in any spelling. It is the
    /// group of the users of administrators' files, whose permissions end with their records.
    pub(crate) fn reserved_group<'a>(&self, user: &'a Identity) -> Option<&'a str> {
        let mut groups = user.groups.iter();
        let found = groups.find(|group| is_spelling_of(&self.admin_group, group));
        found.map(String::as_str)
    }
}

impl Unrecognised {
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

async fn ask(
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
