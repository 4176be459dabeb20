//! Lenient decoding, shared by all kinds.

use serde::{Deserialize, Deserializer};

/// Decodes `null` as the zero value, like Go's `encoding/json`.
pub(crate) fn null_as_zero<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
