//! JSON merge patch, RFC 7396.

use serde_json::Value;

/// Applies a merge patch: objects are merged, `null` removes, everything else replaces.
pub fn apply(document: &Value, patch: &Value) -> Value {
    let mut patched = document.clone();
    json_patch::merge(&mut patched, patch);
    patched
}

#[cfg(test)]
mod tests;
