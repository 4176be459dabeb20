//! The three patches that name no owner: JSON patch, JSON merge patch, strategic merge patch.
//!
//! Each takes the document as it is and gives the document as it should be. Whether that is still a valid object of its
//! kind is for [`decode::conform`] and validation to say. Server-side apply is elsewhere: it needs to know who owns what.

use crate::decode::{self, Decoded};

pub mod json_patch;
pub mod merge_patch;
pub mod strategic_merge_patch;

/// Why a patch has no result. Always the client's fault.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is wrong, whatever the document: 400 with this text.
    #[error("{0}")]
    Malformed(String),
    /// A JSON patch of this many operations, more than [`json_patch::MAX_OPERATIONS`]: 413.
    #[error("The allowed maximum operations in a JSON patch is {max}, got {0}", max = json_patch::MAX_OPERATIONS)]
    TooManyOperations(usize),
    /// The patch does not fit the document: 422. For a JSON patch Kubernetes does not tell the client this text.
    #[error("{0}")]
    Rejected(String),
}

/// Reads the body of a merge patch or a strategic merge patch, which is a JSON object.
///
/// # Errors
/// [`PatchError::Malformed`] if it is none.
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
