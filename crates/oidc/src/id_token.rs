//! The encoding of an ID token: three base64url segments (RFC 7515, section 7.1), and the header.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::claims::Refusal;

/// Maximum length of a token, in bytes: that of the head of a request. A longer one is rejected
/// before any work is done on it.
const MAX_BYTES: usize = 64 * 1024;

/// A token split into its segments. Nothing in it is verified yet.
pub(crate) struct IdToken<'a> {
    /// The header and the claims with the dot between them, which is the signed part.
    pub(crate) signed: &'a str,
    header: &'a str,
    claims: &'a str,
    pub(crate) signature: &'a str,
}

/// The parameters of the signature, from the header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    /// The ID of the key, if present.
    pub(crate) kid: Option<String>,
}

impl<'a> IdToken<'a> {
    /// Splits a bearer token at its two dots. Returns `None` if it has another form or is too long.
    pub(crate) fn split(bearer: &'a str) -> Option<Self> {
        if bearer.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = bearer.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        (!claims.contains('.')).then_some(Self {
            signed,
            header,
            claims,
            signature,
        })
    }

    /// Returns the claims. Until the signature is verified, they may only be used to find the
    /// issuer.
    pub(crate) fn claims(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&decode(self.claims)?).ok()
    }

    /// Returns the header, if all of it is understood.
    ///
    /// # Errors
    /// The header is malformed, its algorithm is not allowed, or it has critical extensions
    /// (`crit`).
    pub(crate) fn header(&self, allowed: &[Algorithm]) -> Result<Header, Refusal> {
        #[derive(Deserialize)]
        struct Fields {
            alg: String,
            kid: Option<String>,
            crit: Option<IgnoredAny>,
        }
        let json = decode(self.header).filter(|json| json.starts_with(b"{"));
        let fields = json.and_then(|json| serde_json::from_slice(&json).ok());
        let fields: Fields = fields.ok_or(Refusal::Header)?;
        if fields.crit.is_some() {
            return Err(Refusal::Critical);
        }
        let algorithm = fields.alg.parse().ok();
        let algorithm = algorithm.filter(|algorithm| allowed.contains(algorithm));
        Ok(Header {
            algorithm: algorithm.ok_or(Refusal::Algorithm)?,
            kid: fields.kid,
        })
    }
}

fn decode(segment: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(segment).ok()
}
