//! The signing keys in the store: loaded, rotated, never printed. Where they lie must be sealed; the binary sees to that.

mod operations;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use machinery::time::Clock;
use storage::{At, Key, ListOptions, Revision, Store};
use tokio_util::sync::CancellationToken;

use crate::key_ring::{KeyRing, KeyRingChange, RotationPolicy};
use crate::signing_key::SigningKeyRecord;
use crate::steady_time::SteadyTime;

/// Where the keys lie in the store; must be sealed.
pub const PREFIX: &str = "/tokens/signingkeys/";

/// How often rotation looks whether something is due, and for keys that another replica made.
const LOOK_SECS: u64 = 60;

/// The time from the end of a watch to the next.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// How often the keys are changed and read again when another replica does the same at that moment.
const ATTEMPTS: usize = 8;

/// The signing keys.
pub struct KeyStore {
    store: Arc<dyn Store>,
    policy: ArcSwap<RotationPolicy>,
    ring: Arc<ArcSwap<KeyRing>>,
    steady: SteadyTime,
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The store does not answer.
    #[error("the signing keys cannot be read or written")]
    Store(#[from] storage::Error),
    /// What is stored is no key.
    #[error("a stored signing key cannot be understood")]
    Record(#[from] serde_json::Error),
    /// A key cannot be loaded or made.
    #[error("a signing key cannot be used")]
    Key(#[from] crate::signing_key::KeyError),
    /// Others changed the keys all the time.
    #[error("the signing keys were changed by others again and again")]
    Contended,
}

impl KeyStore {
    /// Loads the keys and makes what is missing.
    ///
    /// # Errors
    /// Where the keys cannot be had: nothing can be signed or checked then.
    pub async fn open(
        store: Arc<dyn Store>,
        policy: RotationPolicy,
        now: Timestamp,
    ) -> Result<Arc<Self>, KeyStoreError> {
        let keys = Arc::new(Self {
            store,
            policy: ArcSwap::from_pointee(policy),
            ring: Arc::default(),
            steady: SteadyTime::new(now),
        });
        keys.rotate(now).await?;
        Ok(keys)
    }

    /// The place where the newest keys always are, for who checks tokens.
    pub fn shared_ring(&self) -> Arc<ArcSwap<KeyRing>> {
        Arc::clone(&self.ring)
    }

    /// Makes sure that the keys outlive tokens of this life, however long settings let them live.
    ///
    /// # Errors
    /// Where the keys cannot be written.
    pub async fn cover(&self, ttl_secs: u64, now: Timestamp) -> Result<(), KeyStoreError> {
        let policy = **self.policy.load();
        if ttl_secs <= policy.max_token_ttl_secs {
            return Ok(());
        }
        self.policy.store(Arc::new(RotationPolicy {
            max_token_ttl_secs: ttl_secs,
            ..policy
        }));
        self.rotate(now).await
    }

    /// The keys as they are now.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// Keeps the keys up to date until `shutdown`. All replicas may do this at once.
    pub async fn run(&self, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(std::time::Duration::from_secs(LOOK_SECS));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = look.tick() => {}
            }
            if let Err(error) = self.rotate(clock.now()).await {
                tracing::error!(%error, "the signing keys cannot be rotated");
            }
        }
    }

    /// Takes in what other replicas do to the keys as soon as the store tells of it, until `shutdown`.
    pub async fn follow(&self, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        loop {
            let followed = tokio::select! {
                () = shutdown.cancelled() => return,
                followed = self.follow_once(&clock) => followed,
            };
            if let Err(error) = followed {
                tracing::warn!(%error, "changes of the signing keys cannot be followed for now");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Until the watch of the store ends.
    async fn follow_once(&self, clock: &Arc<dyn Clock>) -> Result<(), KeyStoreError> {
        let mut watch = self
            .store
            .watch(self.store.current_revision().await?)
            .await?;
        self.rotate(clock.now()).await?;
        while let Some(batch) = watch.next().await {
            let events = batch?.events;
            if events
                .iter()
                .any(|event| event.key.as_str().starts_with(PREFIX))
            {
                self.rotate(clock.now()).await?;
            }
        }
        Ok(())
    }

    /// Reads the keys, does what is due, and reads again until nothing is.
    async fn rotate(&self, now: Timestamp) -> Result<(), KeyStoreError> {
        for _ in 0..ATTEMPTS {
            let ring = self.load().await?;
            let mut changes = ring.plan(now, &self.policy.load());
            if !self.steady.observe(now) {
                changes.retain(|change| !matches!(change, KeyRingChange::Drop { .. }));
            }
            self.ring.store(Arc::new(ring));
            if changes.is_empty() {
                return Ok(());
            }
            for change in changes {
                self.apply(change).await?;
            }
        }
        Err(KeyStoreError::Contended)
    }

    async fn load(&self) -> Result<KeyRing, KeyStoreError> {
        let page = self.store.list(PREFIX, &everything()).await?;
        let mut records = Vec::new();
        for record in &page.records {
            records.push(serde_json::from_slice::<SigningKeyRecord>(&record.value)?);
        }
        Ok(KeyRing::load(records)?)
    }

    async fn apply(&self, change: KeyRingChange) -> Result<(), KeyStoreError> {
        match change {
            KeyRingChange::Create { schedule } => {
                let record = SigningKeyRecord::generate(schedule)?;
                let value = Bytes::from(serde_json::to_vec(&record)?);
                done(self.store.create(&key(&record.kid)?, value).await)
            }
            KeyRingChange::Extend { kid, schedule } => {
                let key = key(&kid)?;
                let Some(stored) = self.store.get(&key).await? else {
                    return Ok(());
                };
                let record = serde_json::from_slice::<SigningKeyRecord>(&stored.value)?;
                let value = serde_json::to_vec(&SigningKeyRecord { schedule, ..record })?;
                done(self.store.update(&key, value.into(), stored.revision).await)
            }
            KeyRingChange::Drop { kid } => {
                let key = key(&kid)?;
                let Some(stored) = self.store.get(&key).await? else {
                    return Ok(());
                };
                done(self.store.delete(&key, stored.revision).await)
            }
        }
    }
}

fn everything() -> ListOptions {
    ListOptions {
        at: At::Latest,
        after: None,
        limit: None,
    }
}

/// Somebody else doing the same at this moment is no failure: the keys are read again after every change.
fn done(result: Result<Revision, storage::Error>) -> Result<(), KeyStoreError> {
    match result {
        Ok(_) | Err(storage::Error::Exists | storage::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn key(kid: &str) -> Result<Key, KeyStoreError> {
    Key::parse(&format!("{PREFIX}{kid}")).map_err(|error| storage::Error::unavailable(error).into())
}
