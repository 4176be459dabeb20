//! The outer form of a token: three base64url segments (RFC 7515, section 7.1), and the header.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{jwt::Refusal, signing_key::ALGORITHM};

/// The only accepted `typ`, if a token has one (RFC 7519, section 5.1).
const TYPE: &str = "JWT";

/// A token split into its segments, still encoded.
pub(super) struct Compact<'a> {
    /// The signed text: header and claims with the dot between them.
    pub(super) signed: &'a str,
    pub(super) header: &'a str,
    pub(super) claims: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> Compact<'a> {
    /// Splits the token at its two dots.
    pub(super) fn split(token: &'a str) -> Result<Self, Refusal> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Segments)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::Segments)?;
        if claims.contains('.') {
            return Err(Refusal::Segments);
        }
        Ok(Self {
            signed,
            header,
            claims,
            signature,
        })
    }
}

/// The complete header of a token. Any other parameter (`crit`, `b64`, `zip`, `jku`, `jwk`, `x5u`,
/// `x5c` …) is rejected.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    /// The name of the key.
    #[serde(borrow)]
    pub(super) kid: Cow<'a, str>,
    #[serde(borrow, default = "typ")]
    typ: Cow<'a, str>,
}

impl<'a> Header<'a> {
    /// Returns the header of a token that this key signs.
    pub(super) fn of(kid: &'a str) -> Self {
        Self {
            alg: Cow::Borrowed(ALGORITHM),
            kid: Cow::Borrowed(kid),
            typ: typ(),
        }
    }

    /// Parses the JSON of a token's first segment.
    pub(super) fn from_json(json: &'a [u8]) -> Result<Self, Refusal> {
        let header: Self = object(json).ok_or(Refusal::Header)?;
        match header {
            _ if header.alg != ALGORITHM => Err(Refusal::Algorithm),
            _ if header.typ != TYPE => Err(Refusal::Type),
            _ => Ok(header),
        }
    }
}

fn typ() -> Cow<'static, str> {
    Cow::Borrowed(TYPE)
}

/// Encodes a segment.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes a segment. Padding, spaces and nonzero unused bits are rejected, so each segment has
/// only one spelling.
pub(super) fn decode(segment: &str) -> Result<Vec<u8>, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(segment);
    bytes.map_err(|_| Refusal::Encoding)
}

/// Parses a JSON object and nothing else. The first byte is checked because a derived deserializer
/// would accept an array of the same values too.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    json.starts_with(b"{")
        .then(|| serde_json::from_slice(json).ok())
        .flatten()
}
