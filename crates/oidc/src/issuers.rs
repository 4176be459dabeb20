//! The issuers whose tokens are accepted, and their keys.

use std::net::IpAddr;
use std::sync::Arc;

use api::plugin::id_token::IdToken;
use arc_swap::ArcSwap;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::claims::{Claims, Refusal};
use crate::config::Config;
use crate::fetch::FetchError;
use crate::id_token::Header;
use crate::provider::Provider;

/// The issuers of ID tokens. They are replaced as a whole.
pub struct Issuers {
    current: ArcSwap<Vec<Arc<Issuer>>>,
    replaced: Notify,
    network: Network,
}

/// An issuer with its keys.
pub(crate) struct Issuer {
    pub(crate) config: Config,
    provider: Arc<Provider>,
}

/// The route to providers.
#[derive(Clone)]
pub struct Network {
    /// Decides whether an address may be contacted: that of the proxy, if one is used.
    pub allows: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// The proxies for HTTPS.
    pub proxies: Arc<Matcher>,
}

impl Network {
    /// Returns the proxies that the variables `HTTPS_PROXY` and `NO_PROXY` of the environment name.
    /// All addresses may be contacted.
    #[must_use]
    pub fn of_environment() -> Self {
        Self {
            proxies: Arc::new(Matcher::from_env()),
            ..Self::default()
        }
    }
}

impl Default for Network {
    /// Returns a network without proxies in which all addresses may be contacted.
    fn default() -> Self {
        Self {
            allows: Arc::new(|_| true),
            proxies: Arc::new(Matcher::builder().build()),
        }
    }
}

impl Issuers {
    /// Creates the issuers. Nothing is fetched before [`Issuers::run`].
    ///
    /// # Errors
    /// The certificate authorities of an issuer cannot be used.
    pub fn new(configs: Vec<Config>, network: Network) -> Result<Self, FetchError> {
        let issuers = Self {
            current: ArcSwap::default(),
            replaced: Notify::new(),
            network,
        };
        issuers.replace(configs)?;
        Ok(issuers)
    }

    /// Replaces the issuers. Tokens of issuers that are no longer configured are refused at once.
    /// An issuer keeps its keys if its addresses and authorities stay the same.
    ///
    /// # Errors
    /// The certificate authorities of an issuer cannot be used. The issuers stay as they were.
    pub fn replace(&self, configs: Vec<Config>) -> Result<(), FetchError> {
        let known = self.current.load();
        let issuers = configs.into_iter().map(|config| {
            let mut known = known.iter();
            let same = known.find(|known| known.config.has_provider_of(&config));
            let provider = match same {
                Some(same) => Arc::clone(&same.provider),
                None => Arc::new(Provider::new(&config, self.network.clone())?),
            };
            Ok(Arc::new(Issuer { config, provider }))
        });
        let issuers = issuers.collect::<Result<_, FetchError>>()?;
        self.current.store(Arc::new(issuers));
        self.replaced.notify_one();
        Ok(())
    }

    /// Returns the current configurations.
    #[must_use]
    pub fn configs(&self) -> Vec<Config> {
        let current = self.current.load();
        current.iter().map(|issuer| issuer.config.clone()).collect()
    }

    /// Refreshes the keys of the current issuers until `stop`. Ends early only if a refresh panics.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let mut running = JoinSet::new();
            for issuer in self.current.load().iter() {
                running.spawn(Arc::clone(&issuer.provider).run(stop.clone()));
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.replaced.notified() => {}
                Some(_) = running.join_next() => return,
            }
        }
    }

    /// Returns the issuer with this URL.
    pub(crate) fn of(&self, url: &str) -> Option<Arc<Issuer>> {
        let current = self.current.load();
        let found = current.iter().find(|issuer| issuer.config.issuer == url);
        found.cloned()
    }
}

impl Issuer {
    /// Returns the claims of a token after verifying its signature.
    ///
    /// # Errors
    /// The token is refused for the returned reason.
    pub(crate) async fn verified(&self, token: &IdToken<'_>) -> Result<Claims, Refusal> {
        let header = Header::of(token, &self.config.algorithms)?;
        self.provider.verify(token, &header).await?;
        token.claims().map(Claims::verified).ok_or(Refusal::Header)
    }

    /// Replaces the keys, for tests.
    #[cfg(test)]
    pub(crate) fn provider(&self) -> &Provider {
        &self.provider
    }
}
