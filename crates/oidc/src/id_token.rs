//! The outer form of an ID token: three base64url segments (RFC 7515, section 7.1) and the header.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::claims::Refusal;

/// The longest token, in bytes; any longer one is refused before work is done on it.
const MAX_BYTES: usize = 16 * 1024;

/// A token cut into its segments. Nothing in it is believed.
pub(crate) struct IdToken<'a> {
    /// Header and claims with the dot between them: what is signed.
    pub(crate) signed: &'a str,
    header: &'a str,
    claims: &'a str,
    pub(crate) signature: &'a str,
}

/// What a header says of the signature.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    /// The name of the key, where it is given.
    pub(crate) kid: Option<String>,
}

impl<'a> IdToken<'a> {
    /// Cuts a bearer at its two dots; `None` where it has another form.
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

    /// The claims: before the signature is checked only to see whom the token claims to be from.
    pub(crate) fn claims(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&decode(self.claims)?).ok()
    }

    /// The header, where it is one that is understood in full.
    ///
    /// # Errors
    /// Another algorithm than those allowed; an extension that must be understood (`crit`).
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
