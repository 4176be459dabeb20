//! A document that is computed once and served from memory, with the entity tag for client caches.

use aws_lc_rs::digest;
use axum::body::Body;
use bytes::Bytes;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::respond;

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

    /// Returns the document with its tag, or a 304 if the client already has this version.
    pub(crate) fn response(&self, media_type: &'static str, request: &HeaderMap) -> Response<Body> {
        let mut response = match self.is_known(request) {
            true => respond::bytes(StatusCode::NOT_MODIFIED, media_type, Body::empty()),
            false => respond::bytes(StatusCode::OK, media_type, self.bytes.clone()),
        };
        if let Ok(etag) = HeaderValue::from_str(&self.etag) {
            response.headers_mut().insert(ETAG, etag);
        }
        response
    }

    /// Returns whether `If-None-Match` matches the tag (RFC 9110, section 13.1.2): with a list of
    /// tags, which can be weak, or `*`. kube-apiserver does the same for OpenAPI documents, with Go's
    /// `http.ServeContent`. For discovery documents it only recognizes the header that consists of
    /// the tag.
    fn is_known(&self, request: &HeaderMap) -> bool {
        let lines = request.get_all(IF_NONE_MATCH).iter();
        let mut lines = lines.filter_map(|line| line.to_str().ok());
        lines.any(|line| includes(line, &self.etag))
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

/// Returns whether a list of tags includes a tag or is `*`. Text after a malformed tag is ignored.
fn includes(list: &str, etag: &str) -> bool {
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.starts_with('*') {
            return true;
        }
        let Some((tag, next)) = split_tag(rest) else {
            return false;
        };
        if tag == etag {
            return true;
        }
        rest = next;
    }
}

/// Splits the first tag off a list, quotes included. A tag can contain commas.
fn split_tag(list: &str) -> Option<(&str, &str)> {
    let tag = list.strip_prefix("W/").unwrap_or(list);
    let end = tag.strip_prefix('"')?.find('"')?;
    Some(tag.split_at(end + 2))
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

    /// `lines` are the values of `If-None-Match`, with `TAG` for the tag of the document.
    #[track_caller]
    fn check(lines: &[&str], code: u16) {
        let document = Document::new("abc");
        let mut request = HeaderMap::new();
        for line in lines {
            let line = line.replace("TAG", &document.etag);
            request.append(IF_NONE_MATCH, HeaderValue::from_str(&line).unwrap());
        }
        let response = document.response("text/plain", &request);
        let found = (response.status().as_u16(), &response.headers()[ETAG]);
        let etag = HeaderValue::from_str(&document.etag).unwrap();
        assert_eq!(found, (code, &etag), "{lines:?}");
    }

    #[test]
    fn a_version_that_the_client_has_is_not_sent_again() {
        check(&["TAG"], 304);
        check(&["W/TAG"], 304);
        check(&["*"], 304);
        check(&["\"a\", TAG"], 304);
        check(&["\"a,*b\",W/\"c\"\t,, W/TAG , \"d\""], 304);
        check(&["\"a\"", "TAG"], 304);
        check(&["é", "TAG"], 304);
    }

    #[test]
    fn another_version_is_sent() {
        check(&[], 200);
        check(&[""], 200);
        check(&["\"a\""], 200);
        check(&["\"a,*,b\""], 200);
        check(&["DDAF35A193617ABA"], 200);
        check(&["w/TAG"], 200);
        check(&["a, TAG"], 200);
        check(&["\"a, TAG"], 200);
        check(&["\"a\" x, TAG"], 200);
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
