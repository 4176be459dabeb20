//! A document that is computed once and served from memory, with the entity tag for client caches.

use aws_lc_rs::digest;
use bytes::Bytes;
use serde::Serialize;

/// An encoded document. Clones share the bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// The response body.
    pub bytes: Bytes,
    /// The `ETag` header, quotes included: the SHA-512 of the content in upper-case hexadecimal, as
    /// `k8s.io/apiserver` computes it. It is stable across restarts for the same content.
    pub etag: String,
}

impl Document {
    /// Creates a document whose tag is the digest of its bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let etag = format!("\"{}\"", upper_hex_sha512(&bytes));
        Self { bytes, etag }
    }

    /// Returns another encoding of this document with the same tag. `Vary: Accept` distinguishes
    /// the encodings.
    pub fn encoded_as(&self, bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            etag: self.etag.clone(),
        }
    }

    /// Returns the tag without its quotes.
    pub fn hash(&self) -> &str {
        self.etag.trim_matches('"')
    }

    /// Encodes a document as compact JSON.
    pub(crate) fn json(content: &impl Serialize) -> Self {
        Self::new(compact_json(content))
    }

    /// Encodes a document as compact JSON with a trailing line feed, like every API object.
    pub(crate) fn json_line(content: &impl Serialize) -> Self {
        let mut bytes = compact_json(content);
        bytes.push(b'\n');
        Self::new(bytes)
    }
}

fn compact_json(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content).expect("documents hold strings, lists and maps by string")
}

fn upper_hex_sha512(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA512, bytes);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_is_the_quoted_digest_of_the_bytes() {
        // The digest of "abc" is given in FIPS 180-2, appendix C.1.
        let expect = "\"DDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A\
                      2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F\"";
        assert_eq!(Document::new("abc").etag, expect);
    }

    #[test]
    fn encodings_share_the_tag() {
        let json = Document::json_line(&["a"]);
        let yaml = json.encoded_as("- a\n");
        assert_eq!(&json.bytes[..], b"[\"a\"]\n");
        assert_eq!(&yaml.bytes[..], b"- a\n");
        assert_eq!(json.etag, yaml.etag);
    }
}
