//! The three types of patch without field ownership: JSON patch, JSON merge patch, strategic merge
//! patch.
//!
//! Each takes the current document and returns the patched one. [`decode::conform`] and validation
//! check whether the result is still a valid object of its kind. Server-side apply is in
//! [`managed_fields`](crate::managed_fields), because it depends on the owners of fields.

use crate::decode::{self, Decoded};

pub mod json_patch;
pub mod merge_patch;
pub mod strategic_merge_patch;

/// A failure to apply a patch. It is always the client's fault.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is invalid, for any document: 400 with this text.
    #[error("{0}")]
    Malformed(String),
    /// A JSON patch has this many operations, more than [`json_patch::MAX_OPERATIONS`]: 413.
    #[error("The allowed maximum operations in a JSON patch is {max}, got {0}", max = json_patch::MAX_OPERATIONS)]
    TooManyOperations(usize),
    /// The patch does not fit the document: 422. For a JSON patch, Kubernetes does not send this
    /// text to the client.
    #[error("{0}")]
    Rejected(String),
}

/// Parses the body of a merge patch or a strategic merge patch, which is a JSON object.
///
/// # Errors
/// [`PatchError::Malformed`] if the body is not a JSON object.
pub fn object(body: &[u8]) -> Result<Decoded, PatchError> {
    let decoded = decode::json(body).map_err(|error| undecodable(&error.to_string()))?;
    if !decoded.value.is_object() {
        return Err(undecodable("a patch must be a JSON object"));
    }
    Ok(decoded)
}

fn undecodable(cause: &str) -> PatchError {
    PatchError::Malformed(format!("error decoding patch: {cause}"))
}

#[cfg(test)]
mod properties;
