//! Encryption at rest, over any store.
//!
//! Values under the given prefixes are AES-256-GCM sealed on the way in and opened on the way out;
//! all else passes through. The storage key is authenticated with the value, so a value that was
//! moved to another key does not open, nor does one that was never sealed. Keys, revisions and
//! sizes are not hidden, and an old sealed value can be put back in its place: that needs write
//! access to the disk *and* is what a restored backup does.
//!
//! A nonce is 96 random bits, which NIST SP 800-38D limits to 2^32 values for each key: rotate by
//! putting a new key on top of the file, restarting, and calling [`Sealed::reseal_all`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;

use crate::{
    Change, Complaints, Error, Key, ListOptions, Page, Record, Revision, Store, Watch, check_value,
};

mod adoption;
mod envelope;
mod keyring;
mod reseal;
#[cfg(test)]
mod tests;

pub use self::adoption::Adopted;
pub use self::keyring::{Keyring, KeyringError};
pub use self::reseal::{KeyInUse, Resealed};

/// Records read at a time when resealing.
const PAGE: usize = 500;

/// A store that seals some of its values.
pub struct Sealed {
    inner: Arc<dyn Store>,
    sealer: Arc<Sealer>,
}

impl Sealed {
    /// Seals what is under `prefixes` of `inner`.
    pub fn new(inner: Arc<dyn Store>, keyring: Keyring, prefixes: Vec<String>) -> Self {
        Self {
            inner,
            sealer: Arc::new(Sealer {
                keyring,
                prefixes,
                complaints: Complaints::default(),
            }),
        }
    }

    /// Seals with the newest key whatever under `prefix` is sealed with an older one, and returns
    /// how many records that were. A record that changes meanwhile is left: its writer sealed it
    /// with the newest key. Damaged ones are left too. Safe to repeat and to interrupt.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt` of the store beneath.
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
        let Some(value) = self.sealer.renew(&record.key, &record.value) else {
            return Ok(false);
        };
        match self.inner.update(&record.key, value, record.revision).await {
            Ok(_) => Ok(true),
            Err(Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The keys and what they are for.
struct Sealer {
    keyring: Keyring,
    prefixes: Vec<String>,
    complaints: Complaints,
}

impl Sealer {
    fn covers(&self, key: &Key) -> bool {
        self.prefixes
            .iter()
            .any(|prefix| key.as_str().starts_with(prefix))
    }

    fn seal(&self, key: &Key, value: Bytes) -> Result<Bytes, Error> {
        if !self.covers(key) {
            return Ok(value);
        }
        check_value(&value)?;
        envelope::seal(self.keyring.newest(), key.as_str(), &value).map_err(Error::unavailable)
    }

    /// Empty stays empty: it is damaged already.
    fn open(&self, key: &Key, value: Bytes) -> Result<Bytes, Error> {
        if !self.covers(key) || value.is_empty() {
            return Ok(value);
        }
        envelope::open(&self.keyring, key.as_str(), &value)
            .map_err(|error| Error::corrupt(Some(key.clone()), error))
    }

    /// As [`Sealer::open`], with damage as an empty value, as [`Store`] has it.
    fn open_or_empty(&self, key: &Key, value: Bytes) -> Bytes {
        if !self.covers(key) || value.is_empty() {
            return value;
        }
        envelope::open(&self.keyring, key.as_str(), &value).unwrap_or_else(|why| {
            if self.complaints.is_new(key.as_str()) {
                tracing::error!(%key, %why, "a stored value is not used");
            }
            Bytes::new()
        })
    }

    /// The value sealed with the newest key, if it is under another one.
    fn renew(&self, key: &Key, value: &Bytes) -> Option<Bytes> {
        let outdated = self.covers(key) && !envelope::is_sealed_with(self.keyring.newest(), value);
        let plain = outdated.then(|| envelope::open(&self.keyring, key.as_str(), value).ok())??;
        envelope::seal(self.keyring.newest(), key.as_str(), &plain).ok()
    }

    fn open_record(&self, mut record: Record) -> Record {
        record.value = self.open_or_empty(&record.key, record.value);
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

    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        let Some(mut record) = self.inner.get(key).await? else {
            return Ok(None);
        };
        record.value = self.sealer.open(key, record.value)?;
        Ok(Some(record))
    }

    async fn list(&self, prefix: &str, options: &ListOptions) -> Result<Page, Error> {
        let mut page = self.inner.list(prefix, options).await?;
        page.records = page
            .records
            .into_iter()
            .map(|r| self.sealer.open_record(r))
            .collect();
        Ok(page)
    }

    async fn create(&self, key: &Key, value: Bytes) -> Result<Revision, Error> {
        self.inner.create(key, self.sealer.seal(key, value)?).await
    }

    async fn update(&self, key: &Key, value: Bytes, expected: Revision) -> Result<Revision, Error> {
        let sealed = self.sealer.seal(key, value)?;
        let result = self.inner.update(key, sealed, expected).await;
        result.map_err(|error| self.sealer.open_conflict(error))
    }

    async fn delete(&self, key: &Key, expected: Revision) -> Result<Revision, Error> {
        let result = self.inner.delete(key, expected).await;
        result.map_err(|error| self.sealer.open_conflict(error))
    }

    async fn watch(&self, after: Revision) -> Result<Watch, Error> {
        let sealer = self.sealer.clone();
        let open = move |mut batch: crate::Batch| {
            for event in &mut batch.events {
                if let Change::Put(value) = &mut event.change {
                    *value = sealer.open_or_empty(&event.key, std::mem::take(value));
                }
            }
            batch
        };
        let watch = self.inner.watch(after).await?;
        Ok(watch.map(move |item| item.map(&open)).boxed())
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        self.inner.current_revision().await
    }

    async fn compacted_revision(&self) -> Result<Revision, Error> {
        self.inner.compacted_revision().await
    }

    async fn compact(&self, through: Revision) -> Result<(), Error> {
        self.inner.compact(through).await
    }
}
