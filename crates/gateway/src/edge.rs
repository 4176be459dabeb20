//! Who calls at the unmanaged endpoint of a cluster that says how that is found out.
//!
//! ```text
//! bearer ─▶ spec.authentication ─┬─▶ webhook   asked by a TokenReview; answers are remembered
//!                                └─▶ oidc      ID tokens, by keys that are followed
//! ```
//!
//! Tokens that are meant for this server are recognised by neither, and no webhook is asked about them or
//! about tokens of ServiceAccounts ([`credential_owner`]): whoever is asked gets the token.
//!
//! What is made of a `spec.authentication` lasts until that changes; then the requests of those who
//! were recognised by it end. Whatever fails lets nobody in: the caller gets a 401, the log a reason.

pub(crate) mod credential_owner;
mod webhook;

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

/// How long answers of webhooks count where nothing else is said, in seconds.
const CACHE: i64 = 10;

/// Longest that one may count, in seconds, whatever is said.
const MAX_CACHE: i64 = 3600;

/// Everything that a provider may sign with. The key itself says which of these it is for.
const ALGORITHMS: [&str; 8] = [
    "RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384", "PS512",
];

/// The authentication of clusters.
pub(crate) struct Edge {
    clusters: Registry<Cluster>,
    upstreams: Arc<Upstreams>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    own: OwnIssuers,
    known: Mutex<HashMap<Box<str>, Known>>,
}

/// What a cluster says of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Configured {
    authentication: Option<ClusterAuthentication>,
    /// The group of administrators' files.
    admin_group: String,
}

/// What was made of that.
struct Known {
    configured: Arc<Configured>,
    /// `None` where it makes no sense.
    authenticator: Option<Arc<dyn Authenticator>>,
    /// Ends what it runs.
    _running: DropGuard,
}

/// The reason why a caller is not recognised, as far as they may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unrecognised {
    /// As everywhere.
    Unauthorized,
    /// Their token is one that is not sent to a webhook.
    Withheld(CredentialOwner),
}

/// Who a caller was found to be; an extension of their request.
#[derive(Clone, Debug)]
pub(crate) struct Recognised {
    /// `Err` where nothing says who they are.
    pub(crate) user: Result<Identity, Unrecognised>,
    /// What they were recognised by.
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

    /// What a cluster says of its authentication; `None` where it leaves it to itself.
    pub(crate) fn configured(&self, cluster: &str) -> Option<Arc<Configured>> {
        let configured = self.clusters.derived(("", cluster), Configured::of);
        configured.filter(|configured| configured.authentication.is_some())
    }

    /// Finds out who calls.
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
            // A provider's keys decide here: nobody is sent the token.
            CredentialOwner::Login | CredentialOwner::ServiceAccount if !asks_webhook => {}
            owner => {
                let why = "the token is not for a webhook";
                tracing::info!(why, ?owner, cluster, "authentication failed");
                return Err(Unrecognised::Withheld(owner));
            }
        }
        let authenticator = by.and_then(|by| self.authenticator(cluster, by));
        let authenticator = authenticator.ok_or(Unrecognised::Unauthorized)?;
        let user = ask(&*authenticator, cluster, &token).await;
        user.ok_or(Unrecognised::Unauthorized)
    }

    /// Forgets what was made of something that these clusters no longer say, and tells of which.
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
                    "spec.authentication of a cluster cannot be used"
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
            _ => Err("it needs one of webhook and oidc".into()),
        }
    }

    fn make_webhook(&self, webhook: &TokenWebhook) -> Made {
        let reviewer = Arc::new(Webhook::new(&self.upstreams, webhook)?);
        let time = webhook.cache_seconds.unwrap_or(CACHE).clamp(0, MAX_CACHE);
        // For hashes of what is remembered.
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

    /// A panic while it was held leaves a sound map.
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

    /// A group of the user that is this server's alone to give, in any spelling: in it are the users of
    /// administrators' files, whose power ends with their records.
    pub(crate) fn reserved_group<'a>(&self, user: &'a Identity) -> Option<&'a str> {
        let mut groups = user.groups.iter();
        let found = groups.find(|group| is_spelling_of(&self.admin_group, group));
        found.map(String::as_str)
    }
}

impl Unrecognised {
    /// 401, with the way for tokens that are valid elsewhere.
    pub(crate) fn status(self) -> Status {
        let message = match self {
            Self::Withheld(CredentialOwner::ServiceAccount) => {
                "tokens of ServiceAccounts are not sent to the webhook of a cluster: use them at the cluster's own API server"
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

/// As the flags of kube-apiserver would say it.
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
        Authentication::NotRequested => "the token is of another issuer".to_owned(),
    };
    let by = authenticator.name();
    tracing::info!(why, by, cluster, "authentication failed");
    None
}
