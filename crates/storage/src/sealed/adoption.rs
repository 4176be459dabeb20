//! Sealing what an earlier version stored without a seal.
//!
//! The caller decides when that is allowed: after the first time, a value without a seal was not
//! written by this program.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{PAGE, Sealed, envelope};
use crate::{At, Error, Key, ListOptions, Record};

/// Writes under way at once.
const PARALLEL: usize = 32;

/// The result of an adoption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// The records that had no seal and have one now.
    pub sealed: Vec<Key>,
    /// The records with a seal that does not open.
    pub foreign: Vec<Key>,
}

impl Sealed {
    /// Seals the values under `prefix` that have no seal. Safe to repeat and to interrupt. A record
    /// that another replica changes meanwhile is left to that replica.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`, `Denied` of the store beneath.
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
        if record.value.is_empty() || envelope::is_sealed(&record.value) {
            return Ok(None);
        }
        let value = self.sealer.seal(&record.key, record.value.clone())?;
        match self.inner.update(&record.key, value, record.revision).await {
            Ok(_) => Ok(Some(record.key.clone())),
            Err(Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_foreign(&self, record: &Record) -> bool {
        envelope::is_sealed(&record.value)
            && self.sealer.open(&record.key, record.value.clone()).is_err()
    }
}
