//! File names that are derived from lists of texts.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;

/// Returns 32 hexadecimal digits that identify a list of texts. Different lists have different
/// keys, even if their concatenations are equal.
pub(crate) fn key(parts: &[&str]) -> String {
    let digest = digest(&SHA256, json!(parts).to_string().as_bytes());
    let half = digest.as_ref().iter().take(16);
    half.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn a_key_stands_for_one_list_of_texts() {
        assert_eq!(key(&["a", "b"]), "0473ef2dc0d324ab659d3580c1134e9d");
        for other in [&["ab"][..], &["a", "b", ""], &["b", "a"], &["a\",\"b"]] {
            assert_ne!(key(other), key(&["a", "b"]), "{other:?}");
        }
    }
}
