//! Follows the host's configuration of front proxies and client certificates.
//!
//! ```text
//! list ──take──▶ watch ──each event: take──▶ the watch ends, or breaks ──▶ list …
//! ```
//!
//! A new configuration is applied at once and as a whole. An invalid one is not applied: the last
//! valid one remains in use, and the reason is logged and returned by
//! [`AuthenticationConfiguration::trouble`] until the fault is repaired. The watch is opened again
//! every [`WATCH_SECS`], so that a dead one is noticed.

use std::error::Error;
use std::sync::Arc;
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
use parking_lot::{Mutex, MutexGuard};
use rustls::DistinguishedName;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::authorities::{Authorities, ConfigurationError};

const NAMESPACE: &str = "kube-system";
/// The only object that is read. The account may list and watch only this one.
const SELECTOR: &str = "metadata.name=extension-apiserver-authentication";

/// Duration of a watch, in seconds. A removed CA is refused within a minute, even if the connection
/// that would report its removal is dead.
const WATCH_SECS: u32 = 45;
/// Time limit for an answer of the host, and for the end of a watch.
const LIMIT: Duration = Duration::from_secs(10);
/// Pause before the host is asked again, after any end of a watch.
const PAUSE: Duration = Duration::from_secs(1);

/// The options for reading the host's ConfigMap.
#[derive(Clone)]
pub struct Options {
    /// Accepts an empty `requestheader-allowed-names` even if users and front proxies have the same
    /// CA. Then every user with a certificate may impersonate any other user.
    pub allow_empty_front_proxy_names: bool,
    /// The clock for the validity of certificates.
    pub clock: Arc<dyn Clock>,
}

/// The host's current configuration of front proxies and client certificates.
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

/// The reason why the configuration could not be followed.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("the authentication configuration of the host cannot be read")]
    Host(#[from] kube::Error),
    #[error("the host did not return its authentication configuration in time")]
    Late(#[from] time::error::Elapsed),
    #[error("the authentication configuration of the host is invalid")]
    Configuration(#[from] ConfigurationError),
}

impl AuthenticationConfiguration {
    /// Waits for a valid configuration of the host. Returns `None` if `stop` is cancelled first.
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

    /// Returns the authenticator of users that a front proxy names.
    pub fn front_proxy(&self) -> Arc<dyn Authenticator> {
        Arc::clone(&self.front_proxy) as Arc<dyn Authenticator>
    }

    /// Returns whether a client with these certificates is a front proxy.
    pub fn is_front_proxy(&self, certificates: &[CertificateDer<'static>]) -> bool {
        self.front_proxy.is_front_proxy(certificates)
    }

    /// Returns the authenticator of users by their certificates.
    pub fn client_certificates(&self) -> Arc<dyn Authenticator> {
        Arc::clone(&self.client_certificates) as Arc<dyn Authenticator>
    }

    /// Returns the current names of all trusted authorities, with updates. TLS requests
    /// certificates of these authorities.
    pub fn client_issuers(&self) -> watch::Receiver<Vec<DistinguishedName>> {
        self.issuers.subscribe()
    }

    /// Returns, for administrators, the reason why the newest configuration is not in use.
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

    /// Applies the current configuration and then its changes, for the duration of one watch.
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

    /// Applies a configuration as a whole, or rejects it.
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
            tracing::info!("the authentication configuration of the host changed");
            *current = next;
        }
        self.trouble.store(None);
        Ok(())
    }

    fn current(&self) -> MutexGuard<'_, Authorities> {
        self.current.lock()
    }
}

fn read(
    config_map: Option<&ConfigMap>,
    options: &Options,
) -> Result<Authorities, ConfigurationError> {
    let config_map = config_map.ok_or(ConfigurationError::NoConfigMap)?;
    Authorities::read(config_map, options.allow_empty_front_proxy_names)
}

/// Returns the ConfigMap, and the version to watch for changes from.
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
            "requestheader-allowed-names of the host is empty: every certificate of its front-proxy CA may impersonate any user"
        );
    }
}

/// Logs an error, unless it is the same as the last one.
fn tell(told: &mut Option<String>, error: &FollowError) {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    if told.as_ref() != Some(&text) {
        tracing::error!(
            why = text,
            "the authentication configuration of the host cannot be updated"
        );
        *told = Some(text);
    }
}
