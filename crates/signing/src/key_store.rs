//! The signing keys in the store. They are loaded and rotated, but never printed. Their prefix must
//! be sealed; the binary ensures that.

mod operations;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use machinery::time::Clock;
use storage::{At, Complaints, Key, ListOptions, Record, Revision, Store};
use tokio_util::sync::CancellationToken;

use crate::key_ring::{KeyRing, KeyRingChange, RotationPolicy};
use crate::signing_key::{SigningKey, SigningKeyRecord};
use crate::steady_time::SteadyTime;

/// Prefix of the keys in the store. It must be sealed.
pub const PREFIX: &str = "/tokens/signingkeys/";

/// Seconds between two checks for due rotations and for keys that another replica created.
const LOOK_SECS: u64 = 60;

/// The pause between the end of a watch and the next watch.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Maximum number of times that the keys are changed and read again while other replicas change
/// them too.
const ATTEMPTS: usize = 8;

/// The signing keys.
pub struct KeyStore {
    store: Arc<dyn Store>,
    policy: ArcSwap<RotationPolicy>,
    ring: Arc<ArcSwap<KeyRing>>,
    /// The records that cannot be used and have been logged.
    complaints: Complaints,
    steady: SteadyTime,
}

/// The contents of the store.
struct Loaded {
    ring: KeyRing,
    unusable: Vec<Key>,
}

/// The reason that the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The store does not answer.
    #[error("the signing keys cannot be read or written")]
    Store(#[from] storage::Error),
    /// A stored value is not a key.
    #[error("a stored signing key is malformed")]
    Record(#[from] serde_json::Error),
    /// A key cannot be loaded or generated.
    #[error("a signing key cannot be used")]
    Key(#[from] crate::signing_key::KeyError),
    /// There are keys, but none of them can be used. A new key would hide that: every earlier token
    /// would be rejected for no visible reason.
    #[error("no stored signing key can be used ({}): restore them, or the key that sealed them, from a backup; or delete these records, which invalidates every token", .0.join(", "))]
    NoneUsable(Vec<String>),
    /// Other replicas changed the keys in every attempt.
    #[error("the signing keys were changed by other replicas in every attempt")]
    Contended,
}

impl KeyStore {
    /// Loads the keys and creates those that are missing.
    ///
    /// # Errors
    /// The keys cannot be loaded or created. Nothing can be signed or checked then.
    pub async fn open(
        store: Arc<dyn Store>,
        policy: RotationPolicy,
        now: Timestamp,
    ) -> Result<Arc<Self>, KeyStoreError> {
        let keys = Arc::new(Self {
            store,
            policy: ArcSwap::from_pointee(policy),
            ring: Arc::default(),
            complaints: Complaints::default(),
            steady: SteadyTime::new(now),
        });
        keys.rotate(now).await?;
        Ok(keys)
    }

    /// Returns the shared pointer to the current keys, for the code that checks tokens.
    pub fn shared_ring(&self) -> Arc<ArcSwap<KeyRing>> {
        Arc::clone(&self.ring)
    }

    /// Ensures that the keys outlive tokens of this lifetime, in seconds.
    ///
    /// # Errors
    /// The keys cannot be written.
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

    /// Returns the current keys.
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

    /// Applies changes that other replicas make to the keys as soon as the store reports them,
    /// until `shutdown`.
    pub async fn follow(&self, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        loop {
            let followed = tokio::select! {
                () = shutdown.cancelled() => return,
                followed = self.follow_once(&clock) => followed,
            };
            if let Err(error) = followed {
                tracing::warn!(%error, "changes of the signing keys cannot be watched at the moment");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Follows changes until the watch of the store ends.
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

    /// Reads the keys and writes the changes that are due, until none is due.
    async fn rotate(&self, now: Timestamp) -> Result<(), KeyStoreError> {
        for _ in 0..ATTEMPTS {
            let Loaded { ring, unusable } = self.load().await?;
            let has_none = ring.published(now).next().is_none();
            let mut changes = ring.plan(now, &self.policy.load());
            if !self.steady.observe(now) {
                changes.retain(|change| !matches!(change, KeyRingChange::Drop { .. }));
            }
            self.ring.store(Arc::new(ring));
            if has_none && !unusable.is_empty() {
                let names = unusable.iter().map(ToString::to_string);
                return Err(KeyStoreError::NoneUsable(names.collect()));
            }
            if changes.is_empty() {
                return Ok(());
            }
            for change in changes {
                self.apply(change).await?;
            }
        }
        Err(KeyStoreError::Contended)
    }

    /// Loads the usable keys. An unusable key does not affect the others: only its own tokens are
    /// rejected.
    async fn load(&self) -> Result<Loaded, KeyStoreError> {
        let page = self.store.list(PREFIX, &everything()).await?;
        let (mut keys, mut unusable) = (Vec::new(), Vec::new());
        for record in page.records {
            match usable(&record) {
                Ok(key) => keys.push(key),
                Err(why) => {
                    if self.complaints.is_new(record.key.as_str()) {
                        tracing::error!(key = %record.key, why, "a stored signing key cannot be used: tokens that it signed are rejected");
                    }
                    unusable.push(record.key);
                }
            }
        }
        Ok(Loaded {
            ring: KeyRing::new(keys),
            unusable,
        })
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

/// Returns the key of a record, if it is stored under its own name. The error of the JSON decoder
/// may quote the key, so it is not part of the returned reason.
fn usable(record: &Record) -> Result<SigningKey, &'static str> {
    if record.value.is_empty() {
        return Err("its value is damaged, or this server did not write it");
    }
    let stored = serde_json::from_slice::<SigningKeyRecord>(&record.value);
    let stored = stored.map_err(|_| "it is not a JSON-encoded key")?;
    if record.key.as_str().strip_prefix(PREFIX) != Some(&*stored.kid) {
        return Err("its kid differs from the name of its record");
    }
    SigningKey::load(&stored).map_err(|_| "it does not match its kid")
}

fn everything() -> ListOptions {
    ListOptions {
        at: At::Latest,
        after: None,
        limit: None,
    }
}

/// Treats a concurrent change by another replica as success: the keys are read again after every
/// change.
fn done(result: Result<Revision, storage::Error>) -> Result<(), KeyStoreError> {
    match result {
        Ok(_) | Err(storage::Error::Exists | storage::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn key(kid: &str) -> Result<Key, KeyStoreError> {
    Key::parse(&format!("{PREFIX}{kid}")).map_err(|error| storage::Error::unavailable(error).into())
}
