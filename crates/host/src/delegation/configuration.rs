//! Follows what the host says about front proxies and client certificates.
//!
//! ```text
//! list ──take──▶ watch ──each event: take──▶ the watch ends, or breaks ──▶ list …
//! ```
//!
//! What is taken counts at once and as a whole. What cannot be used is not taken: the last good
//! state stays, the log says why, and so does [`AuthenticationConfiguration::trouble`] until it is
//! mended. A watch is begun anew every [`WATCH_SECS`], so that one that fell silent is noticed.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use auth::Authenticator;
use auth::client_certificate::{ClientCertificate, ClientCertificateVerifier};
use auth::front_proxy::FrontProxy;
use futures_util::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use machinery::time::Clock;
use rustls::DistinguishedName;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::authorities::{Authorities, ConfigurationError};

const NAMESPACE: &str = "kube-system";
/// The one object; the account may list and watch only it.
const SELECTOR: &str = "metadata.name=extension-apiserver-authentication";

/// How long one watch lasts, in seconds: a CA that is taken away is refused within a minute, even if
/// the connection that would tell is dead.
const WATCH_SECS: u32 = 45;
/// How long the host may take to answer, and to end a watch.
const LIMIT: Duration = Duration::from_secs(10);
/// The rest before the host is asked again, whatever ended the watch.
const PAUSE: Duration = Duration::from_secs(1);

/// How the host's ConfigMap is read.
#[derive(Clone)]
pub struct Options {
    /// Takes an empty `requestheader-allowed-names` also where users and front proxies have the same
    /// CA: then everybody with a certificate may name any user.
    pub allow_empty_front_proxy_names: bool,
    /// The time at which certificates are judged.
    pub clock: Arc<dyn Clock>,
}

/// Who is a front proxy and whose client certificates count, as the host says now.
pub struct AuthenticationConfiguration {
    config_maps: Api<ConfigMap>,
    options: Options,
    front_proxy: Arc<FrontProxy>,
    verifier: Arc<ClientCertificateVerifier>,
    client_certificates: Arc<ClientCertificate>,
    current: Mutex<Authorities>,
    issuers: watch::Sender<Vec<DistinguishedName>>,
    trouble: ArcSwapOption<String>,
}

/// What went wrong while following.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("the host cannot be asked how it authenticates")]
    Host(#[from] kube::Error),
    #[error("the host does not answer how it authenticates")]
    Late(#[from] time::error::Elapsed),
    #[error("what the host says about authentication is not taken")]
    Configuration(#[from] ConfigurationError),
}

impl AuthenticationConfiguration {
    /// Waits until the host says something that can be used; `None` if `stop` is cancelled before.
    pub async fn wait(
        client: Client,
        options: Options,
        stop: &CancellationToken,
    ) -> Option<Arc<Self>> {
        let config_maps = Api::namespaced(client, NAMESPACE);
        let mut told = None;
        loop {
            let tried = tokio::select! {
                () = stop.cancelled() => return None,
                tried = Self::first(&config_maps, &options) => tried,
            };
            match tried {
                Ok(configuration) => return Some(Arc::new(configuration)),
                Err(error) => tell(&mut told, &error),
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = time::sleep(PAUSE) => {}
            }
        }
    }

    /// Recognises users that a front proxy names.
    pub fn front_proxy(&self) -> Arc<dyn Authenticator> {
        Arc::clone(&self.front_proxy) as Arc<dyn Authenticator>
    }

    /// Whether a client with these certificates is a front proxy.
    pub fn is_front_proxy(&self, certificates: &[CertificateDer<'static>]) -> bool {
        self.front_proxy.is_front_proxy(certificates)
    }

    /// Recognises users by their certificates.
    pub fn client_certificates(&self) -> Arc<dyn Authenticator> {
        Arc::clone(&self.client_certificates) as Arc<dyn Authenticator>
    }

    /// The names of all authorities that count, now and whenever they change: TLS asks for
    /// certificates of these.
    pub fn client_issuers(&self) -> watch::Receiver<Vec<DistinguishedName>> {
        self.issuers.subscribe()
    }

    /// Why the last good state is not the newest, in words for an administrator.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.load().as_deref().cloned()
    }

    /// Follows the host until `stop` is cancelled.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut told = None;
        loop {
            let followed = tokio::select! {
                () = stop.cancelled() => return,
                followed = self.follow() => followed,
            };
            match followed {
                Ok(()) => told = None,
                Err(error) => {
                    tell(&mut told, &error);
                    self.trouble.store(told.clone().map(Arc::new));
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = time::sleep(PAUSE) => {}
            }
        }
    }

    async fn first(config_maps: &Api<ConfigMap>, options: &Options) -> Result<Self, FollowError> {
        let (config_map, _) = list(config_maps).await?;
        let authorities = read(config_map.as_ref(), options)?;
        let clock = Arc::clone(&options.clock);
        let front_proxy = FrontProxy::new(authorities.request_header.clone(), clock);
        let front_proxy = front_proxy.map_err(ConfigurationError::RequestHeader)?;
        let verifier = ClientCertificateVerifier::new(&authorities.client_ca);
        let verifier = Arc::new(verifier.map_err(ConfigurationError::Anchor)?);
        let clock = Arc::clone(&options.clock);
        let client_certificates = ClientCertificate::new(Arc::clone(&verifier), clock);
        warn_of_any_name(&authorities);
        Ok(Self {
            config_maps: config_maps.clone(),
            options: options.clone(),
            issuers: watch::Sender::new(issuers(&verifier, &front_proxy)),
            front_proxy: Arc::new(front_proxy),
            verifier,
            client_certificates: Arc::new(client_certificates),
            current: Mutex::new(authorities),
            trouble: ArcSwapOption::empty(),
        })
    }

    /// Takes what is there, then what comes, as long as one watch lasts.
    async fn follow(&self) -> Result<(), FollowError> {
        let (config_map, version) = list(&self.config_maps).await?;
        self.take(config_map.as_ref())?;
        let params = WatchParams::default().fields(SELECTOR).timeout(WATCH_SECS);
        let events = time::timeout(LIMIT, self.config_maps.watch(&params, &version)).await??;
        pin_mut!(events);
        let limit = Duration::from_secs(u64::from(WATCH_SECS)) + LIMIT;
        let end = time::Instant::now() + limit;
        while let Some(event) = time::timeout_at(end, events.next()).await? {
            match event? {
                WatchEvent::Added(config_map) | WatchEvent::Modified(config_map) => {
                    self.take(Some(&config_map))?;
                }
                WatchEvent::Deleted(_) => self.take(None)?,
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => return Err(kube::Error::Api(status).into()),
            }
        }
        Ok(())
    }

    /// Lets it count from now on, or not at all.
    fn take(&self, config_map: Option<&ConfigMap>) -> Result<(), ConfigurationError> {
        let next = read(config_map, &self.options)?;
        let mut current = self.current();
        current.followed_by(&next)?;
        if *current != next {
            self.front_proxy.replace(next.request_header.clone())?;
            let replaced = self.verifier.replace(&next.client_ca);
            replaced.map_err(ConfigurationError::Anchor)?;
            warn_of_any_name(&next);
            self.issuers
                .send_replace(issuers(&self.verifier, &self.front_proxy));
            tracing::info!("the host changed how it authenticates");
            *current = next;
        }
        self.trouble.store(None);
        Ok(())
    }

    fn current(&self) -> MutexGuard<'_, Authorities> {
        // Written by whole values only.
        let current = self.current.lock();
        current.unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(
    config_map: Option<&ConfigMap>,
    options: &Options,
) -> Result<Authorities, ConfigurationError> {
    let config_map = config_map.ok_or(ConfigurationError::NoConfigMap)?;
    Authorities::read(config_map, options.allow_empty_front_proxy_names)
}

/// The ConfigMap, and the version from which on changes are watched.
async fn list(config_maps: &Api<ConfigMap>) -> Result<(Option<ConfigMap>, String), FollowError> {
    let params = ListParams::default().fields(SELECTOR);
    let list = time::timeout(LIMIT, config_maps.list(&params)).await??;
    let version = list.metadata.resource_version.unwrap_or_default();
    Ok((list.items.into_iter().next(), version))
}

fn issuers(users: &ClientCertificateVerifier, proxies: &FrontProxy) -> Vec<DistinguishedName> {
    let mut issuers = users.issuers();
    issuers.extend(proxies.issuers());
    issuers
}

fn warn_of_any_name(authorities: &Authorities) {
    if authorities.request_header.allowed_names.is_empty() {
        tracing::warn!(
            "requestheader-allowed-names of the host is empty: every certificate of its \
             front-proxy CA may name any user"
        );
    }
}

/// Logs what went wrong, once as long as it stays the same.
fn tell(told: &mut Option<String>, error: &FollowError) {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    if told.as_ref() != Some(&text) {
        tracing::error!(why = text, "authentication of the host cannot be followed");
        *told = Some(text);
    }
}
