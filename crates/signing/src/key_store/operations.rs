//! The operations of administrators: early rotation, and replacement of all keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use storage::{Key, Record};

use super::{ATTEMPTS, KeyStore, KeyStoreError, PREFIX, done, everything};
use crate::key_ring::{KeyRing, KeyRingChange};

impl KeyStore {
    /// Returns the keys as they are in the store now.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub async fn read(&self, now: Timestamp) -> Result<Arc<KeyRing>, KeyStoreError> {
        self.rotate(now).await?;
        Ok(self.ring())
    }

    /// Adds a key that takes over after one overlap, unless one is already pending. All tokens stay
    /// valid.
    ///
    /// # Errors
    /// The keys cannot be written.
    pub async fn rotate_early(&self, now: Timestamp) -> Result<(), KeyStoreError> {
        self.rotate(now).await?;
        for change in self.ring().rotate(now, &self.policy.load()) {
            // The plan has already dropped the keys that may be dropped.
            if !matches!(change, KeyRingChange::Drop { .. }) {
                self.apply(change).await?;
            }
        }
        self.rotate(now).await
    }

    /// Replaces all keys by a new one that signs at once, and returns the number of removed keys.
    /// Every token that was signed before becomes invalid: on this replica at once, on other
    /// replicas with their next event of the store.
    ///
    /// The new key is stored first, so that no replica finds the store without a key and creates
    /// its own. Keys that cannot be read are removed too. A failure or a crash leaves old keys in
    /// the store; the operation must then be repeated.
    ///
    /// # Errors
    /// The keys cannot be written, or other replicas change them in every attempt.
    pub async fn revoke_all(&self, now: Timestamp) -> Result<usize, KeyStoreError> {
        let records = self.stored().await?;
        let revoked: BTreeSet<Key> = records.into_iter().map(|record| record.key).collect();
        let schedule = self.policy.load().schedule(now, now);
        self.apply(KeyRingChange::Create { schedule }).await?;
        for _ in 0..ATTEMPTS {
            let mut left = self.stored().await?;
            left.retain(|record| revoked.contains(&record.key));
            if left.is_empty() {
                self.rotate(now).await?;
                return Ok(revoked.len());
            }
            for Record { key, revision, .. } in left {
                done(self.store.delete(&key, revision).await)?;
            }
        }
        Err(KeyStoreError::Contended)
    }

    /// Returns the records of all keys, readable or not.
    async fn stored(&self) -> Result<Vec<Record>, KeyStoreError> {
        Ok(self.store.list(PREFIX, &everything()).await?.records)
    }
}
