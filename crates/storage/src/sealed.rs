//! Encryption at rest, over any store.
//!
//! Values under the given prefixes are sealed with AES-256-GCM when they are written and opened
//! when they are read; all others pass through unchanged. The storage key is authenticated with the
//! value, so a value that was moved to another key does not open, nor does a value that was never
//! sealed. Keys, revisions and sizes are not hidden. An old sealed value can be put back in its
//! place, which is what a restored backup does; a store that is [`Sealed::bound_to_writes`] detects
//! that, see `freshness`.
//!
//! A nonce is 96 random bits, which NIST SP 800-38D limits to 2^32 values for each key. To rotate,
//! put a new key at the top of the file, restart, and call [`Sealed::reseal_all`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;

use crate::{
    Change, Complaints, Error, Key, ListOptions, Page, Record, Revision, Store, Watch, check_value,
};

mod adoption;
mod envelope;
mod freshness;
mod keyring;
mod reseal;
#[cfg(test)]
mod tests;

use self::envelope::OpenError;
use self::freshness::{Freshness, Stamp};

pub use self::adoption::Adopted;
pub use self::keyring::{Keyring, KeyringError};
pub use self::reseal::{KeyInUse, Resealed};

/// Number of records read at a time when resealing.
const PAGE: usize = 500;

/// Maximum number of times that a value is sealed again because of concurrent writes.
const ATTEMPTS: usize = 8;

/// A store that seals some of its values.
pub struct Sealed {
    inner: Arc<dyn Store>,
    sealer: Arc<Sealer>,
}

impl Sealed {
    /// Creates a store that seals the values under `prefixes` of `inner`.
    pub fn new(inner: Arc<dyn Store>, keyring: Keyring, prefixes: Vec<String>) -> Self {
        Self {
            inner,
            sealer: Arc::new(Sealer {
                keyring,
                prefixes,
                complaints: Complaints::default(),
                freshness: None,
            }),
        }
    }

    /// Creates a store in which a value opens only at the write that stored it. Not suitable for a
    /// store in which other clients rewrite values legitimately.
    #[must_use]
    pub fn bound_to_writes(inner: Arc<dyn Store>, keyring: Keyring, prefixes: Vec<String>) -> Self {
        Self {
            inner,
            sealer: Arc::new(Sealer {
                keyring,
                prefixes,
                complaints: Complaints::default(),
                freshness: Some(Freshness::default()),
            }),
        }
    }

    /// Seals with the newest key all values under `prefix` that are sealed with an older one, and
    /// returns the number of records. Skips a record that changes meanwhile, because its writer
    /// sealed it with the newest key, and damaged records. Safe to repeat and to interrupt.
    ///
    /// # Errors
    /// Returns `Unavailable` or `Corrupt` of the inner store.
    async fn reseal(&self, prefix: &str) -> Result<usize, Error> {
        let mut options = ListOptions {
            limit: Some(PAGE),
            ..ListOptions::default()
        };
        let mut resealed = 0;
        loop {
            let page = self.inner.list(prefix, &options).await?;
            for record in &page.records {
                resealed += usize::from(self.reseal_record(record).await?);
            }
            match page.records.last() {
                Some(last) if page.more => options.after = Some(last.key.clone()),
                _ => return Ok(resealed),
            }
        }
    }

    async fn reseal_record(&self, record: &Record) -> Result<bool, Error> {
        let Some(value) = self.sealer.outdated(record) else {
            return Ok(false);
        };
        self.rewrite(record, &value).await
    }

    /// Writes the value of a record again. Returns whether it did: a record that changes meanwhile
    /// is skipped.
    async fn rewrite(&self, record: &Record, value: &Bytes) -> Result<bool, Error> {
        match self
            .update_sealed(&record.key, value, record.revision)
            .await
        {
            Ok(_) => Ok(true),
            Err(Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn update_sealed(
        &self,
        key: &Key,
        value: &Bytes,
        expected: Revision,
    ) -> Result<Revision, Error> {
        let sealed = self.sealer.seal(key, value, expected)?;
        let bytes = sealed.bytes.clone();
        let written = self.inner.update(key, bytes, expected).await?;
        self.settle(key, value, sealed, written).await
    }

    /// Seals a value again, with its actual revision, if so many concurrent writes occurred that it
    /// is outside of its window.
    async fn settle(
        &self,
        key: &Key,
        value: &Bytes,
        mut sealed: SealedValue,
        mut written: Revision,
    ) -> Result<Revision, Error> {
        for _ in 0..ATTEMPTS {
            let (Some(freshness), Some(stamp)) = (&self.sealer.freshness, sealed.stamp) else {
                return Ok(written);
            };
            if let Some(nonce) = envelope::nonce(&sealed.bytes) {
                freshness.is_first(nonce, written);
            }
            if freshness.wrote(stamp, written) {
                return Ok(written);
            }
            sealed = self.sealer.seal(key, value, written)?;
            let bytes = sealed.bytes.clone();
            written = match self.inner.update(key, bytes, written).await {
                Ok(again) => again,
                // Another client updated or deleted the record, which is the newer state.
                Err(Error::Conflict { .. }) => return Ok(written),
                Err(error) => return Err(error),
            };
        }
        Err(Error::unavailable(
            "too many concurrent writes to seal a value",
        ))
    }
}

/// The keys, the prefixes that they seal, and the checks of sealed values.
struct Sealer {
    keyring: Keyring,
    prefixes: Vec<String>,
    complaints: Complaints,
    freshness: Option<Freshness>,
}

/// A value in its stored form.
struct SealedValue {
    bytes: Bytes,
    stamp: Option<Stamp>,
}

impl Sealer {
    fn covers(&self, key: &Key) -> bool {
        self.prefixes
            .iter()
            .any(|prefix| key.as_str().starts_with(prefix))
    }

    /// Seals a value that is about to be written after `known`.
    fn seal(&self, key: &Key, value: &Bytes, known: Revision) -> Result<SealedValue, Error> {
        if !self.covers(key) {
            let bytes = value.clone();
            return Ok(SealedValue { bytes, stamp: None });
        }
        check_value(value)?;
        let newest = self.keyring.newest();
        let stamp = self
            .freshness
            .as_ref()
            .map(|freshness| freshness.stamp(known));
        let sealed = match stamp {
            Some(stamp) => envelope::seal_stamped(newest, key.as_str(), stamp, value),
            None => envelope::seal(newest, key.as_str(), value),
        };
        let bytes = sealed.map_err(Error::unavailable)?;
        Ok(SealedValue { bytes, stamp })
    }

    /// Opens a value. An empty value stays empty: it is damaged already.
    fn open(&self, key: &Key, value: Bytes, written: Revision) -> Result<Bytes, Error> {
        if !self.covers(key) || value.is_empty() {
            return Ok(value);
        }
        self.open_at(key, &value, written)
            .map_err(|error| Error::corrupt(Some(key.clone()), error))
    }

    fn open_at(&self, key: &Key, value: &[u8], written: Revision) -> Result<Bytes, OpenError> {
        let opened = envelope::open(&self.keyring, key.as_str(), value)?;
        let Some(freshness) = &self.freshness else {
            return Ok(opened.value);
        };
        let stamp = opened.stamp.ok_or(OpenError::Unstamped)?;
        match stamp.admits(written) && freshness.is_first(opened.nonce, written) {
            true => Ok(opened.value),
            false => Err(OpenError::PutBack),
        }
    }

    /// Like [`Sealer::open`], but returns an empty value for damage, as [`Store`] specifies.
    fn open_or_empty(&self, key: &Key, value: Bytes, written: Revision) -> Bytes {
        if !self.covers(key) || value.is_empty() {
            return value;
        }
        self.open_at(key, &value, written).unwrap_or_else(|why| {
            if self.complaints.is_new(key.as_str()) {
                tracing::error!(%key, %why, "a stored value is rejected");
            }
            Bytes::new()
        })
    }

    /// Returns the plaintext of a record that is sealed with another key than the newest.
    fn outdated(&self, record: &Record) -> Option<Bytes> {
        let Record {
            key,
            value,
            revision,
        } = record;
        let outdated = self.covers(key) && !envelope::is_sealed_with(self.keyring.newest(), value);
        outdated.then(|| self.open_at(key, value, *revision).ok())?
    }

    /// Records a revision that the store has shown, which makes the next stamps tighter.
    fn reached(&self, revision: Revision) {
        if let Some(freshness) = &self.freshness {
            freshness.reached(revision);
        }
    }

    fn open_record(&self, mut record: Record) -> Record {
        record.value = self.open_or_empty(&record.key, record.value, record.revision);
        record
    }

    fn open_conflict(&self, error: Error) -> Error {
        match error {
            Error::Conflict {
                current: Some(record),
            } => Error::Conflict {
                current: Some(self.open_record(record)),
            },
            other => other,
        }
    }
}

#[async_trait]
impl Store for Sealed {
    fn is_ordered(&self) -> bool {
        self.inner.is_ordered()
    }

    async fn check(&self) -> Result<(), Error> {
        self.inner.check().await
    }

    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        let Some(mut record) = self.inner.get(key).await? else {
            return Ok(None);
        };
        record.value = self.sealer.open(key, record.value, record.revision)?;
        Ok(Some(record))
    }

    async fn list(&self, prefix: &str, options: &ListOptions) -> Result<Page, Error> {
        let mut page = self.inner.list(prefix, options).await?;
        self.sealer.reached(page.revision);
        page.records = page
            .records
            .into_iter()
            .map(|r| self.sealer.open_record(r))
            .collect();
        Ok(page)
    }

    async fn create(&self, key: &Key, value: Bytes) -> Result<Revision, Error> {
        let sealed = self.sealer.seal(key, &value, Revision::default())?;
        let written = self.inner.create(key, sealed.bytes.clone()).await?;
        self.settle(key, &value, sealed, written).await
    }

    async fn update(&self, key: &Key, value: Bytes, expected: Revision) -> Result<Revision, Error> {
        let result = self.update_sealed(key, &value, expected).await;
        result.map_err(|error| self.sealer.open_conflict(error))
    }

    async fn delete(&self, key: &Key, expected: Revision) -> Result<Revision, Error> {
        let deleted = self.inner.delete(key, expected).await;
        let deleted = deleted.map_err(|error| self.sealer.open_conflict(error))?;
        self.sealer.reached(deleted);
        Ok(deleted)
    }

    async fn watch(&self, after: Revision) -> Result<Watch, Error> {
        let sealer = self.sealer.clone();
        let open = move |mut batch: crate::Batch| {
            for event in &mut batch.events {
                if let Change::Put(value) = &mut event.change {
                    let sealed = std::mem::take(value);
                    *value = sealer.open_or_empty(&event.key, sealed, event.revision);
                }
            }
            sealer.reached(batch.revision);
            batch
        };
        let watch = self.inner.watch(after).await?;
        Ok(watch.map(move |item| item.map(&open)).boxed())
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        let current = self.inner.current_revision().await?;
        self.sealer.reached(current);
        Ok(current)
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        self.inner.compacted_revision().await
    }

    async fn compact(&self, through: Revision) -> Result<(), Error> {
        self.inner.compact(through).await
    }
}
