//! The keys of a provider, followed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::claims::Refusal;
use crate::fetch::{FetchError, Fetcher};
use crate::id_token::{Header, IdToken};
use crate::key_set::KeySet;

/// Where a provider says where its keys are (OpenID Connect Discovery, section 4).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// The least time between two looks: tokens with invented keys must not make the server hammer the
/// provider.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a key counts that the provider has taken back, at most.
const REFRESH: Duration = Duration::from_secs(3600);

/// How long a request waits for a look that it caused: the deadline of the two documents.
const PATIENCE: Duration = Duration::from_secs(20);

/// The keys of a provider, followed by a task.
pub struct Provider {
    issuer: String,
    fetcher: Fetcher,
    keys: ArcSwapOption<KeySet>,
    wanted: Notify,
    /// When the last look ended.
    looked: watch::Sender<Option<Instant>>,
}

impl Provider {
    /// The provider of this URL, behind these authorities, PEM, or those of the machine. Nothing is
    /// read yet: see [`Provider::run`].
    ///
    /// # Errors
    /// The authorities cannot be used.
    pub fn new(issuer: &str, authorities: Option<&str>) -> Result<Self, FetchError> {
        Ok(Self {
            issuer: issuer.to_owned(),
            fetcher: Fetcher::new(authorities)?,
            keys: ArcSwapOption::empty(),
            wanted: Notify::new(),
            looked: watch::Sender::new(None),
        })
    }

    /// Reads nothing from other addresses than these.
    #[must_use]
    pub fn reaching(mut self, allows: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        self.fetcher.allows = Box::new(allows);
        self
    }

    /// Follows the keys until `stop`: at once, every hour, and when a token names an unknown one.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
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
            // Elapsed or wanted: both are a reason to look.
            let _ = timeout(pause, self.wanted_anew()).await;
        }
    }

    /// A wish that came while a look was under way was met by it.
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
        let url = format!("{}{DISCOVERY_PATH}", self.issuer.trim_end_matches('/'));
        let document = self.fetcher.get(&url).await?;
        let wrong = |why| FetchError::Document(url.clone(), why);
        let document = serde_json::from_slice(&document);
        let document: Discovery =
            document.map_err(|_| wrong("is no discovery document of OpenID Connect"))?;
        if document.issuer != self.issuer {
            return Err(wrong("is the document of another issuer"));
        }
        let keys = self.fetcher.get(&document.jwks_uri).await?;
        let keys = KeySet::from_json(&keys);
        let wrong = |_| FetchError::Document(document.jwks_uri.clone(), "is no key set");
        self.set_keys(keys.map_err(wrong)?);
        Ok(())
    }

    pub(crate) fn set_keys(&self, keys: KeySet) {
        self.keys.store(Some(Arc::new(keys)));
    }

    /// Whether a key of the provider has signed the token; where none of the known ones has, others are
    /// looked for, now and then.
    ///
    /// # Errors
    /// Why it does not count.
    pub(crate) async fn verify(&self, token: &IdToken<'_>, header: &Header) -> Result<(), Refusal> {
        match self.verify_now(token, header) {
            // A provider that starts anew may give a new key the name of an old one.
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

    /// Waits for a look that begins now, or is under way, unless the last one ended just now.
    async fn look_again(&self) {
        let mut looked = self.looked.subscribe();
        if self.may_look() {
            self.wanted.notify_one();
            // What is known then decides, whether it ended or not.
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
