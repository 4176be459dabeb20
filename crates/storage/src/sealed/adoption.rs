//! Sealing of values that an earlier version stored without a seal.
//!
//! The caller decides when that is permitted: after the first adoption, a value without a seal was
//! not written by this program. If values are bound to their writes, values that are not bound yet
//! are bound, too.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{PAGE, Sealed, envelope};
use crate::{At, Error, Key, ListOptions, Record};

/// Number of concurrent writes.
const PARALLEL: usize = 32;

/// The result of an adoption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// The records that had no seal and have one now.
    pub sealed: Vec<Key>,
    /// The records whose seal does not open.
    pub foreign: Vec<Key>,
}

impl Sealed {
    /// Seals the values under `prefix` that have no seal, or one that this store does not accept.
    /// Safe to repeat and to interrupt. A record that another replica changes meanwhile is left to
    /// that replica.
    ///
    /// # Errors
    /// Returns `Unavailable`, `Corrupt` or `Denied` of the inner store.
    pub async fn adopt(&self, prefix: &str) -> Result<Adopted, Error> {
        let mut options = ListOptions {
            limit: Some(PAGE),
            ..ListOptions::default()
        };
        let mut adopted = Adopted::default();
        loop {
            let page = self.inner.list(prefix, &options).await?;
            let records = stream::iter(&page.records).map(Ok);
            let sealed = records.map_ok(|record| self.adopt_record(record));
            let sealed: Vec<Option<Key>> =
                sealed.try_buffer_unordered(PARALLEL).try_collect().await?;
            adopted.sealed.extend(sealed.into_iter().flatten());
            let foreign = page.records.iter().filter(|record| self.is_foreign(record));
            adopted
                .foreign
                .extend(foreign.map(|record| record.key.clone()));
            match page.records.last() {
                Some(last) if page.more => {
                    options.at = At::Exactly(page.revision);
                    options.after = Some(last.key.clone());
                }
                _ => return Ok(adopted),
            }
        }
    }

    async fn adopt_record(&self, record: &Record) -> Result<Option<Key>, Error> {
        let Some(value) = self.text(record) else {
            return Ok(None);
        };
        let rewritten = self.rewrite(record, &value).await?;
        Ok(rewritten.then(|| record.key.clone()))
    }

    /// Returns the plaintext of a record that has to be sealed.
    fn text(&self, record: &Record) -> Option<Bytes> {
        let Record {
            key,
            value,
            revision,
        } = record;
        if value.is_empty() || self.sealer.open_at(key, value, *revision).is_ok() {
            return None;
        }
        if !envelope::is_sealed(value) {
            return Some(value.clone());
        }
        let opened = envelope::open(&self.sealer.keyring, key.as_str(), value).ok()?;
        Some(opened.value)
    }

    fn is_foreign(&self, record: &Record) -> bool {
        let opened = || envelope::open(&self.sealer.keyring, record.key.as_str(), &record.value);
        envelope::is_sealed(&record.value) && opened().is_err()
    }
}
