//! Resealing of all values with the newest key, and the keys that are in use.

use std::collections::BTreeMap;

use super::keyring::KEY_ID_BYTES;
use super::{PAGE, Sealed, envelope};
use crate::{Error, ListOptions};

/// The number of values by key id.
type Counts = BTreeMap<[u8; KEY_ID_BYTES], usize>;

/// The result of [`Sealed::reseal_all`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Number of values that were sealed again with the newest key.
    pub rewritten: usize,
    /// Number of values that do not open and were left unchanged.
    pub unreadable: usize,
    /// The keys that values are sealed with now, ordered by id.
    pub keys: Vec<KeyInUse>,
}

/// A key that values are sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInUse {
    /// The id in the key file, 16 hexadecimal digits.
    pub id: String,
    /// The number of values that are sealed with it.
    pub values: usize,
    /// True if new values are sealed with it.
    pub is_newest: bool,
}

impl Sealed {
    /// Seals all values with the newest key, discards the history, which contains values that are
    /// sealed with older keys, and returns the keys that are in use. Safe to repeat and to
    /// interrupt.
    ///
    /// Another process that writes to the same store must have the same newest key; otherwise its
    /// writes use older keys again, which the result shows.
    ///
    /// # Errors
    /// Returns `Unavailable` or `Corrupt` of the inner store.
    pub async fn reseal_all(&self) -> Result<Resealed, Error> {
        let mut result = Resealed::default();
        for prefix in &self.sealer.prefixes {
            result.rewritten += self.reseal(prefix).await?;
        }
        let current = self.inner.current_revision().await?;
        self.inner.compact(current).await?;
        let mut in_use = BTreeMap::new();
        for prefix in &self.sealer.prefixes {
            result.unreadable += self.count(prefix, &mut in_use).await?;
        }
        let newest = self.sealer.keyring.newest().id;
        let keys = in_use.into_iter().map(|(id, values)| KeyInUse {
            id: format!("{:016x}", u64::from_be_bytes(id)),
            values,
            is_newest: id == newest,
        });
        result.keys = keys.collect();
        Ok(result)
    }

    /// Counts the values under a prefix by their keys. Returns the number of values that do not
    /// open.
    async fn count(&self, prefix: &str, in_use: &mut Counts) -> Result<usize, Error> {
        let mut options = ListOptions {
            limit: Some(PAGE),
            ..ListOptions::default()
        };
        let mut unreadable = 0;
        loop {
            let page = self.inner.list(prefix, &options).await?;
            options.after = page.records.last().map(|record| record.key.clone());
            for record in page.records {
                let id = envelope::key_id(&record.value);
                let opened = self.sealer.open(&record.key, record.value, record.revision);
                match (id, opened) {
                    (Some(id), Ok(_)) => *in_use.entry(id).or_default() += 1,
                    _ => unreadable += 1,
                }
            }
            if !page.more || options.after.is_none() {
                return Ok(unreadable);
            }
        }
    }
}
