//! The keys of a provider, refreshed in the background.

use std::sync::Arc;
use std::time::Duration;

use api::plugin::id_token::IdToken;
use arc_swap::ArcSwapOption;
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::claims::Refusal;
use crate::config::Config;
use crate::fetch::{FetchError, Fetcher};
use crate::id_token::Header;
use crate::issuers::Network;
use crate::key_set::KeySet;

/// Path of the discovery document, which has the address of the keys (OpenID Connect Discovery,
/// section 4).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// Minimum time between two refreshes, so that tokens with invented keys do not make the server
/// flood the provider with requests.
const PAUSE: Duration = Duration::from_secs(10);

/// Time between two scheduled refreshes. While the provider is reachable, a key that it has revoked
/// is trusted for at most this time.
const REFRESH: Duration = Duration::from_secs(3600);

/// Time that a request waits for a refresh that it caused: the deadline of two documents.
const PATIENCE: Duration = Duration::from_secs(20);

/// The keys of a provider, refreshed by a task.
pub(crate) struct Provider {
    issuer: String,
    /// The address of the discovery document.
    discovery_url: String,
    fetcher: Fetcher,
    keys: ArcSwapOption<KeySet>,
    wanted: Notify,
    /// The time at which the last refresh ended.
    looked: watch::Sender<Option<Instant>>,
}

impl Provider {
    /// Creates the provider of an issuer. Nothing is fetched yet: see [`Provider::run`].
    ///
    /// # Errors
    /// The authorities cannot be used.
    pub(crate) fn new(config: &Config, network: Network) -> Result<Self, FetchError> {
        let issuer = config.issuer.clone();
        let discovery = config.discovery_url.clone();
        let discovery = discovery
            .unwrap_or_else(|| format!("{}{DISCOVERY_PATH}", issuer.trim_end_matches('/')));
        Ok(Self {
            issuer,
            discovery_url: discovery,
            fetcher: Fetcher::new(config.certificate_authority(), network)?,
            keys: ArcSwapOption::empty(),
            wanted: Notify::new(),
            looked: watch::Sender::new(None),
        })
    }

    /// Refreshes the keys until `stop`: at once, every hour, soon after a failure, and when the
    /// known keys cannot verify a token.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        loop {
            let pause = match self.look().await {
                Ok(()) => REFRESH,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        issuer = self.issuer,
                        "the keys of the OIDC provider cannot be read"
                    );
                    PAUSE
                }
            };
            self.looked.send_replace(Some(Instant::now()));
            // The pause has elapsed or a refresh was requested. Both lead to a refresh.
            let _ = timeout(pause, self.wanted_anew()).await;
        }
    }

    /// Waits for a request to refresh. A request that arrived during a refresh is satisfied by it.
    async fn wanted_anew(&self) {
        loop {
            self.wanted.notified().await;
            if self.may_look() {
                return;
            }
        }
    }

    async fn look(&self) -> Result<(), FetchError> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let url = &self.discovery_url;
        let document = self.fetcher.get(url).await?;
        let wrong = |why| FetchError::Document(url.clone(), why);
        let document = serde_json::from_slice(&document);
        let document: Discovery =
            document.map_err(|_| wrong("is not an OpenID Connect discovery document"))?;
        if document.issuer != self.issuer {
            return Err(wrong("has a different issuer"));
        }
        let keys = self.fetcher.get(&document.jwks_uri).await?;
        let keys = KeySet::from_json(&keys);
        let wrong =
            |_| FetchError::Document(document.jwks_uri.clone(), "is not a JSON Web Key Set");
        self.set_keys(keys.map_err(wrong)?);
        Ok(())
    }

    pub(crate) fn set_keys(&self, keys: KeySet) {
        self.keys.store(Some(Arc::new(keys)));
    }

    /// Checks that a key of the provider signed the token. If none of the known keys did, refreshes
    /// the keys, unless that happened a moment ago, and checks again.
    ///
    /// # Errors
    /// The token is refused for the returned reason.
    pub(crate) async fn verify(&self, token: &IdToken<'_>, header: &Header) -> Result<(), Refusal> {
        match self.verify_now(token, header) {
            // A reinstalled provider may give a new key the ID of an old one.
            Err(Refusal::UnknownKey | Refusal::Signature | Refusal::NoKeys) => {
                self.look_again().await;
                self.verify_now(token, header)
            }
            answer => answer,
        }
    }

    fn verify_now(&self, token: &IdToken<'_>, header: &Header) -> Result<(), Refusal> {
        let keys = self.keys.load();
        keys.as_ref().ok_or(Refusal::NoKeys)?.verify(token, header)
    }

    /// Waits for a refresh that starts now or is running, unless the last one ended less than
    /// [`PAUSE`] ago.
    async fn look_again(&self) {
        let mut looked = self.looked.subscribe();
        if self.may_look() {
            self.wanted.notify_one();
            // The next check uses the known keys, even if the refresh has not ended in time.
            let _ = timeout(PATIENCE, looked.changed()).await;
        }
    }

    fn may_look(&self) -> bool {
        let ended = *self.looked.borrow();
        ended.is_none_or(|ended| ended.elapsed() >= PAUSE)
    }
}

#[cfg(test)]
mod tests;
